"""Tweeze's menu commands in Audacity: put in, taken out, looked at.

What is changed in Audacity's settings is written down key by key, with what was there before, so
that taking out restores exactly that, and leaves alone what the user changed since.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from audacity import dialog
from audacity.settings import Settings, escape
from engine import editing
from engine.errors import BadInput, HostError
from engine.folders import Folders, xdg_folder
from engine.host import Check
from engine.request import OPTIONS

__all__ = ["SHORTCUTS", "Editor", "check", "find", "install", "installed", "uninstall"]

SHORTCUTS = {"tweeze.ny": "Ctrl+Alt+Y", "tweeze-again.ny": "Ctrl+Alt+Shift+Y"}
"""Keys for the commands: free in Audacity's own defaults."""

_NAMES = {
    "tweeze.ny": "Tweeze",
    "tweeze-again.ny": "Tweeze Again",
    "tweeze-status.ny": "Tweeze Status",
    "tweeze-cancel.ny": "Tweeze Cancel",
}
_SOURCES = Path(__file__).parent / "plugins"
_MODULE = "mod-script-pipe"
_Key = tuple[str, str]


class AudacityRuns(BadInput):
    """Audacity is open, and would write its settings over ours when it ends."""


@dataclass(frozen=True)
class Editor:
    """Where an Audacity keeps its things.

    Attributes
    ----------
    settings
        `audacity.cfg`; need not be there yet.
    plugins
        The user's plug-in folder.
    module
        The file of mod-script-pipe, as Audacity names it.
    module_time
        When that file was last changed, seconds since 1970.

    """

    settings: Path
    plugins: Path
    module: Path
    module_time: int


def find() -> Editor:
    """Return this user's Audacity.

    Raises
    ------
    HostError
        No mod-script-pipe is found where Audacity puts it on this system.

    """
    settings, plugins = _user_files()
    for module in _module_places():
        if module.is_file():
            return Editor(settings, plugins, module, int(module.stat().st_mtime))
    raise HostError(
        "Tweeze found no Audacity 3 with mod-script-pipe: install Audacity 3.2 to 3.7 from its "
        "website or your system's packages (the AppImage, Flatpak and Audacity 4 lack it)."
    )


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
        texts = {editor.plugins / name: _plugin(name, folders, models) for name in _NAMES}
        record.files = {str(path): _hash(text.encode()) for path, text in texts.items()}
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
    return done or ["Everything was in place."]


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
        for name, digest in record.files.items():
            path = Path(name)
            if not path.exists():
                continue
            if _hash(path.read_bytes()) != digest:
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
    try:
        editor = find()
    except HostError as error:
        yield Check("audacity", False, str(error), again)
        return
    missing = [Path(name).name for name in record.files if not Path(name).exists()]
    said = f"{', '.join(missing)} missing" if missing else f"4 menu commands in {editor.plugins}"
    yield Check("audacity menu", not missing, said, again)
    settings = Settings(editing.read(editor.settings))
    off = [
        key
        for (group, key), value in _wanted(editor).items()
        if group.startswith("Module") and settings.get(group, key) != value
    ]
    said = "is switched off, or new to Audacity" if off else f"enabled, {editor.module}"
    yield Check(f"audacity {_MODULE}", not off, said, again)
    spool = _lisp(folders.spool)
    other = [
        Path(name).name
        for name in record.files
        if Path(name).exists() and f'"{spool}/"'.encode() not in Path(name).read_bytes()
    ]
    said = f"{', '.join(other)} name another" if other else "is the one the menu commands name"
    yield Check("audacity spool", not other, said, again)


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


def _plugin(name: str, folders: Folders, models: Sequence[str]) -> str:
    text = (_SOURCES / name).read_text("utf-8")
    common = (_SOURCES / "common.lsp").read_text("utf-8")
    offered = {"model": models}
    return (
        text.replace(";@COMMON@", common.strip())
        .replace("@SPOOL@", _lisp(folders.spool))
        .replace(";@CONTROLS@", dialog.controls(OPTIONS, offered))
        .replace(";@FIELDS@", dialog.fields(OPTIONS, offered))
    )


def _lisp(path: Path) -> str:
    return path.as_posix().replace("\\", "\\\\").replace('"', '\\"')


def _user_files() -> tuple[Path, Path]:
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA", home / "AppData/Roaming")) / "audacity"
        return base / "audacity.cfg", base / "Plug-Ins"
    if sys.platform == "darwin":
        base = home / "Library/Application Support/audacity"
        return base / "audacity.cfg", base / "Plug-Ins"
    old = home / ".audacity-data"
    if old.is_dir():  # an Audacity that was first started before 3.2 goes on using it
        return old / "audacity.cfg", old / "Plug-Ins"
    config = xdg_folder("XDG_CONFIG_HOME", ".config")
    data = xdg_folder("XDG_DATA_HOME", ".local/share")
    return config / "audacity/audacity.cfg", data / "audacity/Plug-Ins"


def _module_places() -> Iterator[Path]:
    if sys.platform == "win32":
        for base in ("ProgramFiles", "ProgramFiles(x86)"):
            if base in os.environ:
                yield Path(os.environ[base]) / "Audacity/modules/mod-script-pipe.dll"
        return
    if sys.platform == "darwin":
        for base in (Path("/Applications"), Path.home() / "Applications"):
            yield base / "Audacity.app/Contents/modules/mod-script-pipe.so"
        return
    program = shutil.which("audacity")
    prefixes = [Path("/usr"), Path("/usr/local")]
    if program:
        prefixes.insert(0, Path(program).resolve().parent.parent)
    for prefix in prefixes:
        for pattern in ("lib*/audacity/modules", "lib/*/audacity/modules"):
            for folder in sorted(prefix.glob(pattern)):
                yield folder / "mod-script-pipe.so"


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


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
