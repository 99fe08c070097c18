"""Tweeze's actions in REAPER: put in, taken out.

What is put in is written down, so that taking out removes exactly that: files that nobody has
changed since, and the lines that were added to REAPER's own files.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from engine import editing, processes
from engine.errors import BadInput, HostError
from engine.folders import Folders, xdg_folder
from engine.text_form import lines
from reaper.ini import Lines, action_id, add_surface, key_is_taken, remove_surface
from reaper.wake import LISTENER, Waker, executable, is_running

__all__ = ["OSC_PORT", "faults", "find", "install", "installed", "uninstall"]

OSC_PORT = 9158
"""Where REAPER's own OSC surface receives, if it is put in."""

_SOURCES = Path(__file__).parent
_FOLDER = "Tweeze"
_NEW_INSTANCE = 516  # flags of a SCR line: run beside one that runs, without asking
_KEYS = {  # virtual key, Ctrl (8) and Alt (16), Shift (4)
    "Tweeze - separate selection.lua": (1 + 8 + 16, ord("Y"), "Ctrl+Alt+Y"),
    "Tweeze - again.lua": (1 + 4 + 8 + 16, ord("Y"), "Ctrl+Alt+Shift+Y"),
}
_SURFACE = f'OSC "Tweeze" 1 {OSC_PORT} "127.0.0.1" 0 1024 10 ""'


@dataclass
class _Record:
    """What was put in: files with their hashes, lines by file, and files that did not exist."""

    resource: str = ""
    files: dict[str, str] = field(default_factory=dict)
    actions: list[str] = field(default_factory=list)
    surface: str = ""
    originals: dict[str, list[str]] = field(default_factory=dict)  # hash before, hash after
    made: list[str] = field(default_factory=list)

    @staticmethod
    def path(folders: Folders) -> Path:
        return folders.root / "reaper-install.json"

    @classmethod
    def load(cls, folders: Folders) -> _Record:
        try:
            return cls(**json.loads(cls.path(folders).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return cls()

    def save(self, folders: Folders) -> None:
        self.path(folders).write_text(json.dumps(asdict(self), indent=1), "utf-8")


def _usual_places() -> list[Path]:
    home = Path.home()
    if sys.platform == "darwin":
        places = [home / "Library" / "Application Support" / "REAPER"]
    elif sys.platform == "win32":
        places = [Path(os.environ.get("APPDATA", home)) / "REAPER"]
    else:
        places = [xdg_folder("XDG_CONFIG_HOME", ".config") / "REAPER"]
    program = executable()
    if program is not None:
        places.insert(0, program.resolve().parent)  # a portable REAPER keeps all beside itself
    return places


def find(resource: Path | None = None) -> Path:
    """Return REAPER's resource folder: the named one, a portable one's, or the usual one.

    Raises
    ------
    HostError
        There is none, or the named one is not REAPER's.

    """
    places = [resource] if resource is not None else _usual_places()
    for place in places:
        if (place / "reaper.ini").is_file():
            return place.absolute()
    raise HostError(
        f"Tweeze found no REAPER settings (reaper.ini) in {' or '.join(map(str, places))}: start "
        "REAPER once, or name its resource folder with --resource (in REAPER: Options > Show "
        "REAPER resource path)."
    )


def installed(folders: Folders) -> Path | None:
    """Return the resource folder that Tweeze was put into, or None."""
    resource = _Record.load(folders).resource
    return Path(resource) if resource else None


def faults(folders: Folders) -> list[str]:
    """Return what is wrong with an installation: scripts or actions that are no longer there."""
    record = _Record.load(folders)
    wrong = [f"{name} is missing." for name in record.files if not Path(name).exists()]
    keys = Lines(Path(record.resource) / "reaper-kb.ini")
    actions = [line for line in record.actions if line.startswith("SCR ")]
    present = _ids(keys)
    lost = [line.split('"')[1] for line in actions if line.split()[3] not in present]
    wrong += [f"REAPER's action list has no '{name}'." for name in lost]
    stale = [p for p in _scripts() if record.files.get(_target(record, p)) != _source_hash(p)]
    return wrong + (["The scripts are those of another Tweeze."] if stale else [])


def _ids(file: Lines) -> set[str]:
    scripts = [line.split() for line in file.lines if line.startswith("SCR ")]
    return {words[3] for words in scripts if len(words) > 3}


def _target(record: _Record, script: Path) -> str:
    return str(Path(record.resource) / "Scripts" / _FOLDER / script)


def _source_hash(script: Path) -> str:
    return _hash((_SOURCES / script).read_bytes())


def install(resource: Path, folders: Folders, *, osc: bool = False) -> list[str]:
    """Put the actions in and return what was done, a sentence each; again does no harm.

    `osc` also has REAPER listen to OSC, which it does on every network interface.

    Raises
    ------
    BadInput
        REAPER runs, and would write its settings over ours when it ends.
    HostError
        A file cannot be written.

    """
    _refuse_while_running("install")
    record = _Record.load(folders)
    if record.resource and record.resource != str(resource):
        uninstall(folders)
        record = _Record()
    record.resource = str(resource)
    try:
        record.save(folders)
        done = [_copy_scripts(resource, folders, record)]
        done += _add_actions(resource, folders, record)
        if osc:
            done.append(_add_osc(resource, folders, record))
        record.save(folders)
        _note_waker(resource, folders, record)
    except OSError as error:
        raise HostError(
            f"{error.filename} cannot be written ({error.strerror}): check its permissions, "
            "then run 'tweeze install reaper' again."
        ) from error
    return done


def uninstall(folders: Folders) -> list[str]:
    """Take out what `install` put in, and return what was done, a sentence each.

    Raises
    ------
    BadInput
        REAPER runs.
    HostError
        A file cannot be changed.

    """
    record = _Record.load(folders)
    if not record.resource:
        return ["Tweeze was not in REAPER."]
    _refuse_while_running("uninstall")
    resource = Path(record.resource)
    done = []
    try:
        for name, change in _changes(record).items():
            _restore(resource / name, folders, record, change)
        done += _remove_scripts(record)
        Waker.path(folders).unlink(missing_ok=True)
        _Record.path(folders).unlink(missing_ok=True)
        shutil.rmtree(_backups(folders), ignore_errors=True)
    except OSError as error:
        raise HostError(
            f"{error.filename} cannot be changed ({error.strerror}): check its permissions."
        ) from error
    return ["Tweeze's actions are out of REAPER.", *done]


def _refuse_while_running(what: str) -> None:
    if is_running():
        raise BadInput(
            "REAPER runs, and would undo the change when it ends: close it, then run "
            f"'tweeze {what} reaper' again."
        )


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _backups(folders: Folders) -> Path:
    return folders.root / "reaper-backup"


# Scripts.


def _scripts() -> list[Path]:
    found = [*_SOURCES.glob("*.lua"), *(_SOURCES / "tweeze").glob("*.lua")]
    return sorted(path.relative_to(_SOURCES) for path in found)


def _copy_scripts(resource: Path, folders: Folders, record: _Record) -> str:
    target = resource / "Scripts" / _FOLDER
    if not target.parent.exists():
        record.made.append(target.parent.name)
    texts = {target / path: (_SOURCES / path).read_bytes() for path in _scripts()}
    texts[target / "tweeze" / "where.txt"] = _where(folders).encode()
    for stale in set(record.files) - set(map(str, texts)):  # of an older Tweeze
        Path(stale).unlink(missing_ok=True)
    record.files = {str(path): _hash(data) for path, data in texts.items()}
    record.save(folders)
    for path, data in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return f"The scripts lie in {target}."


def _where(folders: Folders) -> str:
    """Return what tells the scripts where the engine's folders are, and how to start it."""
    program = Path(sys.executable).with_name("tweeze.exe" if os.name == "nt" else "tweeze")
    words = [str(program)] if program.exists() else processes.command("bridge.cli")
    if os.environ.get("TWEEZE_HOME") and os.name != "nt":
        words = ["/usr/bin/env", f"TWEEZE_HOME={folders.root}", *words]
    start = " ".join(f'"{word}"' for word in [*words, "start"])
    return lines([("home", str(folders.root)), ("start", start)])


def _remove_scripts(record: _Record) -> list[str]:
    kept = []
    for name, known in record.files.items():
        path = Path(name)
        if path.exists() and _hash(path.read_bytes()) == known:
            path.unlink()
        elif path.exists():
            kept.append(f"{path} was changed since, and stays.")
    for folder in sorted({Path(name).parent for name in record.files}, reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    scripts = Path(record.resource) / "Scripts"
    if scripts.name in record.made and scripts.is_dir() and not any(scripts.iterdir()):
        scripts.rmdir()
    return kept


# REAPER's own files.


def _change(resource: Path, folders: Folders, record: _Record, name: str) -> Lines:
    """Return the lines of a file of REAPER's, of which a copy is kept before the first change."""
    file = Lines(resource / name)
    if name not in record.originals:
        record.originals[name] = [_hash(file.data), ""]
        if not file.existed:
            record.made.append(name)
        backup = _backups(folders) / name
        backup.parent.mkdir(parents=True, exist_ok=True)
        backup.write_bytes(file.data)
    elif _hash(file.data) != record.originals[name][1]:
        # Somebody else has written to it since: the copy is no longer what to go back to.
        (_backups(folders) / name).unlink(missing_ok=True)
    return file


def _save(file: Lines, folders: Folders, record: _Record) -> None:
    record.originals[file.path.name][1] = _hash(file.data)
    record.save(folders)
    file.save()


def _changes(record: _Record) -> dict[str, tuple[list[str], str]]:
    """Return, by file, the lines and the control surface that were added to it."""
    changes: dict[str, tuple[list[str], str]] = {}
    if record.actions:
        changes["reaper-kb.ini"] = (record.actions, "")
    if record.surface:
        changes["reaper.ini"] = ([], record.surface)
    return changes


def _restore(path: Path, folders: Folders, record: _Record, change: tuple[list[str], str]) -> None:
    if not path.exists():
        return
    backup = _backups(folders) / path.name
    if _hash(path.read_bytes()) == record.originals[path.name][1] and backup.exists():
        if path.name in record.made:
            editing.remove(path)
        else:
            editing.rewrite(path, editing.read(backup))
        return
    file = Lines(path)  # REAPER or the user has written to it since
    for line in change[0]:
        file.remove(line)
    if change[1]:
        remove_surface(file.lines, change[1])
    file.save()


def _add_actions(resource: Path, folders: Folders, record: _Record) -> list[str]:
    file = _change(resource, folders, record, "reaper-kb.ini")
    said = []
    for script in sorted(path.name for path in _SOURCES.glob("*.lua")):
        stored = f"{_FOLDER}/{script}"
        id_ = action_id(stored)
        if not any(f" {id_} " in line for line in file.lines if line.startswith("SCR ")):
            line = f'SCR {_NEW_INSTANCE} 0 {id_} "Custom: {script}" "{stored}"'
            file.append(line)
            record.actions.append(line)
        if script in _KEYS:
            modifiers, key, shown = _KEYS[script]
            line = f"KEY {modifiers} {key} _{id_} 0"
            action = script.removesuffix(".lua")
            if line in file.lines:
                said.append(f"{shown} runs '{action}'.")
            elif any(f" _{id_} " in f"{other} " for other in file.lines):
                said.append(f"'{action}' keeps the key that you gave it.")
            elif key_is_taken(file.lines, modifiers, key):
                said.append(f"{shown} is taken: give '{action}' a key in the action list.")
            else:
                file.append(line)
                record.actions.append(line)
                said.append(f"{shown} runs '{action}'.")
    _save(file, folders, record)
    return said


def _add_osc(resource: Path, folders: Folders, record: _Record) -> str:
    file = _change(resource, folders, record, "reaper.ini")
    if add_surface(file.lines, _SURFACE):
        record.surface = _SURFACE
    _save(file, folders, record)
    return (
        f"WARNING: REAPER will listen to OSC on port {OSC_PORT} of EVERY network interface, "
        "without a password: anybody in your network can run its actions. Use a firewall, or "
        "leave it out (it only wakes 'Tweeze - listen')."
    )


def _note_waker(resource: Path, folders: Folders, record: _Record) -> None:
    program = executable()
    Waker(
        program=str(program or ""),
        script=str(resource / "Scripts" / _FOLDER / LISTENER),
        action="_" + action_id(f"{_FOLDER}/{LISTENER}"),
        port=OSC_PORT if record.surface else 0,
    ).write(folders)
