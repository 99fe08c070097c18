"""Tweeze's menu commands in Audacity 3: put in, taken out, looked at.

What is changed in Audacity's settings is written down key by key, with what was there before, so
that taking out restores exactly that, and leaves alone what the user changed since.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from audacity import places
from audacity.owned import digest
from audacity.places import Editor
from audacity.settings import Settings, escape
from audacity.stamping import in_lisp, plugin
from engine import editing
from engine.errors import BadInput, HostError
from engine.folders import Folders
from engine.host import Check
from engine.request import OPTIONS

__all__ = ["SHORTCUTS", "check", "install", "installed", "uninstall"]

SHORTCUTS = {"tweeze.ny": "Ctrl+Alt+Y", "tweeze-again.ny": "Ctrl+Alt+Shift+Y"}
"""Keys for the commands: free in Audacity's own defaults."""

_NAMES = {
    "tweeze.ny": "Tweeze",
    "tweeze-again.ny": "Tweeze Again",
    "tweeze-panel.ny": "Tweeze Panel",
    "tweeze-status.ny": "Tweeze Status",
    "tweeze-cancel.ny": "Tweeze Cancel",
}
_MODULE = "mod-script-pipe"
_Key = tuple[str, str]


class AudacityRuns(BadInput):
    """Audacity is open, and would write its settings over ours when it ends."""


def install(editor: Editor, folders: Folders, models: Sequence[str]) -> list[str]:
    """Put the menu commands in and return what was done, a sentence each; again does no harm.

    Parameters
    ----------
    editor
        Where.
    folders
        The engine's folders; the plug-ins get the spool's path.
    models
        Names for the dialog's list, the usual one first.

    Raises
    ------
    BadInput
        Audacity runs.
    HostError
        A file cannot be written.

    """
    _refuse_while_running("install")
    record = _Record.load(folders)
    done = []
    try:
        settings = Settings(editing.read(editor.settings))
        before = settings.text
        for (group, key), value in _wanted(editor).items():
            present = settings.get(group, key)
            known = record.keys.get(_join(group, key))
            if present == value and known is None:
                continue  # the user's own, and just right
            if known is None or known["set"] != present:
                if group.startswith("NewKeys/") and present is not None:
                    continue  # the user gave the command another key, or none
                known = {"before": present}
            record.keys[_join(group, key)] = {**known, "set": value}
            settings.set(group, key, value)
        record.settings = str(editor.settings)
        record.made = record.made or not editor.settings.exists()
        editor.plugins.mkdir(parents=True, exist_ok=True)
        texts = {editor.plugins / name: plugin(name, folders, OPTIONS, models) for name in _NAMES}
        record.files = {str(path): digest(text.encode()) for path, text in texts.items()}
        record.save()
        for path, text in texts.items():
            if not path.exists() or path.read_bytes() != text.encode():
                editing.rewrite(path, text)
                done.append(f"Put {path.name} into {editor.plugins}.")
        if settings.text != before:
            editor.settings.parent.mkdir(parents=True, exist_ok=True)
            editing.rewrite(editor.settings, settings.text)
            done.append(
                f"Enabled scripting and 32-bit float export, and set shortcuts, in "
                f"{editor.settings}."
            )
    except OSError as error:
        raise HostError(
            f"{error.filename} cannot be written ({error.strerror}): check its permissions."
        ) from error
    return done or ["Everything was in place for Audacity 3."]


def uninstall(folders: Folders) -> list[str]:
    """Take out what `install` put in, and return what was done, a sentence each.

    Raises
    ------
    BadInput
        Audacity runs.
    HostError
        A file cannot be written.

    """
    _refuse_while_running("uninstall")
    record = _Record.load(folders)
    done = []
    try:
        for name, value in record.files.items():
            path = Path(name)
            if not path.exists():
                continue
            if digest(path.read_bytes()) != value:
                done.append(f"Left {path} alone: it was changed since.")
                continue
            path.unlink()
            done.append(f"Removed {path}.")
        if record.settings and Path(record.settings).exists():
            path = Path(record.settings)
            settings = Settings(editing.read(path))
            before = settings.text
            for joined, known in record.keys.items():
                group, _, key = joined.rpartition("|")
                if settings.get(group, key) == known["set"]:
                    settings.set(group, key, known["before"])
            if settings.text != before:
                if record.made and not settings.text:
                    editing.remove(path)
                else:
                    editing.rewrite(path, settings.text)
                done.append(f"Restored {len(record.keys)} settings in {path}.")
        record.forget()
    except OSError as error:
        raise HostError(
            f"{error.filename} cannot be written ({error.strerror}): check its permissions."
        ) from error
    return done or ["Nothing was installed."]


def installed(folders: Folders) -> bool:
    """Return whether `install` was run, and not undone."""
    return bool(_Record.load(folders).files)


def check(folders: Folders) -> Iterator[Check]:
    """Look at every step of an installation; says nothing where there was none."""
    record = _Record.load(folders)
    if not record.files:
        return
    again = "Close Audacity and run 'tweeze install audacity' again."
    editor = _recorded(record)
    if editor is None:
        said = f"no Audacity 3 with mod-script-pipe is here any more for {record.settings}"
        yield Check("audacity", False, said, again)
        return
    missing = [Path(name).name for name in record.files if not Path(name).exists()]
    said = (
        f"{', '.join(missing)} missing"
        if missing
        else f"{len(_NAMES)} menu commands in {editor.plugins}"
    )
    yield Check("audacity menu", not missing, said, again)
    settings = Settings(editing.read(editor.settings))
    off = [
        key
        for (group, key), value in _wanted(editor).items()
        if group.startswith("Module") and settings.get(group, key) != value
    ]
    said = "is switched off, or new to Audacity" if off else f"enabled, {editor.module}"
    yield Check(f"audacity {_MODULE}", not off, said, again)
    spool = in_lisp(folders.spool)
    other = [
        Path(name).name
        for name in record.files
        if Path(name).exists() and f'"{spool}/"'.encode() not in Path(name).read_bytes()
    ]
    said = f"{', '.join(other)} name another" if other else "is the one the menu commands name"
    yield Check("audacity spool", not other, said, again)


def _recorded(record: _Record) -> Editor | None:
    """Return the Audacity that Tweeze was put into, if it is still here."""
    for editor in places.editors():
        if str(editor.settings) == record.settings:
            return editor
    with contextlib.suppress(BadInput):
        one = places.portable(Path(record.settings).parents[1])
        return one if isinstance(one, Editor) else None
    return None


def _wanted(editor: Editor) -> dict[_Key, str]:
    changed = datetime.datetime.fromtimestamp(editor.module_time)  # noqa: DTZ006 - local, as is
    wanted = {
        ("Module", _MODULE): "1",
        ("ModulePath", _MODULE): str(editor.module).replace("\\", "\\\\"),
        ("ModuleDateTime", _MODULE): changed.isoformat(),
        ("FileFormats/ExportFormat_SF1_Type", "WAV_10000"): "6",
    }
    if sys.platform != "win32":  # how Windows' paths are written there was never seen
        for name, shortcut in SHORTCUTS.items():
            command = f"Effect_Nyquist_Tweeze_{_NAMES[name]}_{editor.plugins}"
            wanted[f"NewKeys/{escape(command)}", escape(name)] = shortcut
    return wanted


def _refuse_while_running(verb: str) -> None:
    user = psutil.Process().username()
    for process in psutil.process_iter(["name", "username"]):
        about = process.info
        name = (about["name"] or "").lower().removesuffix(".exe")
        if name == "audacity" and (about["username"] or user).endswith(user):
            raise AudacityRuns(
                "Audacity is running and would write its settings over the new ones: close it "
                f"and run 'tweeze {verb} audacity' again."
            )


class _Record:
    """What was changed: settings with their former values, and files with their digests."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = ""
        self.made = False  # there were no settings before
        self.keys: dict[str, dict[str, str | None]] = {}
        self.files: dict[str, str] = {}

    @classmethod
    def load(cls, folders: Folders) -> _Record:
        record = cls(folders.root / "audacity-install.json")
        try:
            known = json.loads(record.path.read_text("utf-8"))
            record.settings = str(known["settings"])
            record.made = bool(known.get("made"))
            record.keys = dict(known["keys"])
            record.files = dict(known["files"])
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise HostError(
                f"{record.path} cannot be read ({error}): move it away and install again."
            ) from error
        return record

    def save(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = {
            "settings": self.settings,
            "made": self.made,
            "keys": self.keys,
            "files": self.files,
        }
        editing.rewrite(self.path, json.dumps(known, indent=1) + "\n")

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)


def _join(group: str, key: str) -> str:
    return f"{group}|{key}"
