"""Where Tweeze keeps things: one private folder per user, and what lies in it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from engine.display import misleads
from engine.errors import BadInput

__all__ = ["Folders", "xdg_folder"]


def xdg_folder(variable: str, usual: str) -> Path:
    """Return the folder that an XDG variable names, else `usual` below the user's home.

    The XDG Base Directory Specification has an empty variable mean nothing, and a relative path
    in it be ignored.
    """
    named = os.environ.get(variable, "")
    return Path(named) if Path(named).is_absolute() else Path.home() / usual


def _usual() -> Path:
    """Return where Tweeze's folder lies if the user names none."""
    try:
        if sys.platform not in ("win32", "darwin"):
            root = xdg_folder("XDG_DATA_HOME", ".local/share") / "tweeze"
        else:
            root = Path(platformdirs.user_data_dir("tweeze", appauthor=False))
    except RuntimeError:  # no home
        root = Path()
    if not root.is_absolute():
        raise BadInput(
            "This user has no home folder (HOME is not set): name a folder for Tweeze with "
            "TWEEZE_HOME."
        )
    return root


@dataclass(frozen=True)
class Folders:
    """The folders under `root`; `TWEEZE_HOME` names another root than the system's usual one.

    The spool (how hosts without sockets talk to the engine): `requests` (act on the editor's
    current selection), `jobs` (audio attached), `status` and `request_status` (what became of
    them), `cancel`, and the file `heartbeat`.
    """

    root: Path

    @classmethod
    def of_user(cls) -> Folders:
        """Return the folders of the user who runs this process.

        Raises
        ------
        BadInput
            There is no home folder, or the folder's name cannot be written into a job.

        """
        named = os.environ.get("TWEEZE_HOME")
        if named:
            try:
                # Not `absolute`, which leaves '..' in: a job may not name a path that goes up.
                root = Path(os.path.abspath(Path(named).expanduser()))  # noqa: PTH100
            except RuntimeError:
                raise BadInput(
                    f"TWEEZE_HOME names no folder ({named}): give a whole path."
                ) from None
        else:
            root = _usual()
        if any(misleads(c) for c in str(root)):
            raise BadInput(
                f"Tweeze's folder {root} has control characters or bytes that are not valid UTF-8 "
                "in its name: name another with TWEEZE_HOME."
            )
        return cls(root)

    @property
    def spool(self) -> Path:
        """Root of the spool."""
        return self.root / "spool"

    @property
    def requests(self) -> Path:
        """Requests to act on an editor's current selection."""
        return self.spool / "requests"

    @property
    def jobs(self) -> Path:
        """Job files (`<id>`)."""
        return self.spool / "jobs"

    @property
    def status(self) -> Path:
        """Status files of jobs (`<id>`), replaced atomically."""
        return self.spool / "status"

    @property
    def request_status(self) -> Path:
        """Status files of requests (`<id>`), in the same form as those of jobs."""
        return self.spool / "request-status"

    @property
    def cancel(self) -> Path:
        """Empty files named after the jobs to cancel."""
        return self.spool / "cancel"

    @property
    def heartbeat(self) -> Path:
        """The engine's sign of life: a text of `key=value` lines, rewritten every second."""
        return self.spool / "engine"

    @property
    def mixtures(self) -> Path:
        """Mixtures that were captured for a job; removed when their job is final."""
        return self.root / "mixtures"

    @property
    def clips(self) -> Path:
        """Clips, a folder a job; `work` in it holds a running job's unfinished files."""
        return self.root / "clips"

    @property
    def masks(self) -> Path:
        """Kept masks of jobs that can be adjusted, a folder a job."""
        return self.root / "masks"

    @property
    def panel(self) -> Path:
        """Recordings that the panel was opened with, and what is drawn of them."""
        return self.root / "panel"

    @property
    def models(self) -> Path:
        """Checkpoints that the user added, and caches made from them."""
        return self.root / "models"

    @property
    def presets(self) -> Path:
        """The user's presets, in one file."""
        return self.root / "presets.json"

    @property
    def journal(self) -> Path:
        """The SQLite journal of jobs."""
        return self.root / "journal.sqlite"

    @property
    def index(self) -> Path:
        """The SQLite index of the user's libraries; written by `tweeze index` alone."""
        return self.root / "library.sqlite"

    @property
    def log(self) -> Path:
        """The engine's log."""
        return self.root / "engine.log"

    @property
    def crash_log(self) -> Path:
        """What the engine's process said outside its log: the last words of one that crashed."""
        return self.root / "engine.crash.log"

    @property
    def lock(self) -> Path:
        """Lock file of the one resident engine."""
        return self.root / "engine.lock"

    def make(self) -> None:
        """Make all folders, for the user alone (mode 0700)."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (
            self.spool,
            self.requests,
            self.jobs,
            self.status,
            self.request_status,
            self.cancel,
            self.mixtures,
            self.clips,
            self.models,
        ):
            folder.mkdir(mode=0o700, exist_ok=True)
