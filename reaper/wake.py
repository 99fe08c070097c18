"""Waking REAPER: has a running REAPER start the script that listens to wishes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
from pythonosc.udp_client import SimpleUDPClient

from engine.errors import HostError
from engine.folders import Folders
from engine.text_form import lines, parse_lines

__all__ = ["LISTENER", "Waker", "executable", "is_running"]

LISTENER = "Tweeze - listen.lua"
_NAMES = ("reaper", "reaper.exe", "REAPER")
_PLACES = {
    "darwin": ("/Applications/REAPER.app/Contents/MacOS/REAPER",),
    "win32": (r"C:\Program Files\REAPER (x64)\reaper.exe", r"C:\Program Files\REAPER\reaper.exe"),
    "linux": ("/opt/REAPER/reaper", "/usr/local/bin/reaper"),
}


def executable() -> Path | None:
    """Return where REAPER's program lies, if that can be found."""
    found = shutil.which("reaper")
    places = [found] if found else [p for p in _PLACES.get(sys.platform, ()) if Path(p).exists()]
    return Path(places[0]) if places else None


def is_running(program: str = "") -> bool:
    """Return whether a REAPER runs on this machine for this user; `program` may name another."""
    names = (*_NAMES, Path(program).name)
    me = psutil.Process().username()
    for process in psutil.process_iter(["name", "username"]):
        if process.info["name"] in names and process.info["username"] in (me, None):
            return True
    return False


@dataclass(frozen=True)
class Waker:
    """How REAPER can be reached, as `tweeze install reaper` wrote it down.

    Attributes
    ----------
    program
        REAPER's executable, or ''.
    script
        Path of the script that listens.
    action
        The script's command in REAPER, with its leading `_`.
    port
        Where REAPER's own OSC surface receives; 0 if Tweeze has not put one in.

    """

    program: str = ""
    script: str = ""
    action: str = ""
    port: int = 0

    @staticmethod
    def path(folders: Folders) -> Path:
        """Return where it is written down."""
        return folders.root / "reaper"

    @classmethod
    def of(cls, folders: Folders) -> Waker:
        """Return what is written down, or what says nothing."""
        try:
            said = dict(parse_lines(cls.path(folders).read_text("utf-8")))
            return cls(said["program"], said["script"], said["action"], int(said["port"]))
        except Exception:  # whatever is wrong with the file, it does not help
            return cls()

    def write(self, folders: Folders) -> None:
        """Write it down."""
        pairs = [("program", self.program), ("script", self.script), ("action", self.action)]
        self.path(folders).write_text(lines([*pairs, ("port", str(self.port))]), "utf-8")

    def wake(self) -> None:
        """Have REAPER start the script; does not wait for it.

        Raises
        ------
        HostError
            There is no way to, or REAPER does not run.

        """
        if self.port:
            SimpleUDPClient("127.0.0.1", self.port).send_message("/action/str", self.action)
            return
        if not self.program or not self.script:
            raise HostError('Nobody listens in REAPER: run its action "Tweeze - listen" once.')
        if not is_running(self.program):
            raise HostError("REAPER does not run: start it, select audio, and try again.")
        try:
            subprocess.Popen(
                [self.program, "-nonewinst", self.script],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            ).wait(timeout=10)
        except subprocess.TimeoutExpired:
            pass  # it hands over to the REAPER that runs, in its own time
        except OSError as error:
            raise HostError(f"{self.program} cannot be started ({error.strerror}).") from error
