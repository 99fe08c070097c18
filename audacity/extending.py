"""Tweeze in Audacity 4: its extension put in, taken out, looked at.

Each version goes into a folder of a fresh name, for Audacity 4 does not read a manifest anew that
it knows. Where no library can be had for this computer, two Nyquist plug-ins stand in for the
extension.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from audacity import carried, owned
from audacity.places import Editor4
from audacity.stamping import in_lisp, plugin
from engine import editing
from engine.errors import HostError, TweezeError
from engine.folders import Folders
from engine.host import Check
from engine.option_types import table
from engine.options import Options

__all__ = ["check", "install", "installed", "uninstall"]

_PLUGINS = {
    "tweeze-send.ny": "'Tweeze Send' in its Analyze menu",
    "tweeze-collect.ny": "'Tweeze Collect' in its Effect menu",
}
_AGAIN = "Run 'tweeze install audacity' again, and then start Audacity 4 anew."
_LOADS = "import ctypes, sys; ctypes.CDLL(sys.argv[1]).extension_dispatch_v0"
_LOADING = 20.0  # seconds that a library may take to load


def install(
    editors: Sequence[Editor4], folders: Folders, models: Sequence[str], *, nyquist: bool = False
) -> list[str]:
    """Put the extension in and return what was done, a sentence each; again does no harm.

    Parameters
    ----------
    editors
        Where.
    folders
        The engine's folders; the extension gets their path.
    models
        Names for the plug-ins' list of models, the usual one first.
    nyquist
        Whether the plug-ins go in, in place of the extension.

    Raises
    ------
    HostError
        A file cannot be written or removed.

    """
    record = _Record.load(folders)
    done: list[str] = []
    with _said():
        for editor in editors:
            reason = "" if nyquist else _extend(editor, folders, record, done)
            wanted = (
                {
                    editor.plugins / name: plugin(name, folders, table(Options), models).encode()
                    for name in _PLUGINS
                }
                if nyquist or reason
                else {}
            )
            if nyquist:
                _clear(editor.extensions, record, done)
            if reason:
                done.append(f"There is no extension for Audacity 4: {reason}")
            _put_plugins(editor, wanted, record, done)
        record.save()
    return done or ["Everything was in place for Audacity 4."]


def uninstall(folders: Folders) -> list[str]:
    """Take out what `install` put in, and return what was done, a sentence each.

    Raises
    ------
    HostError
        A file cannot be removed.

    """
    record = _Record.load(folders)
    done: list[str] = []
    with _said():
        record.clear_drafts()
        for name in list(record.extensions):
            _remove(Path(name), record, done)
        _remove_plugins(record, list(record.plugins), done)
        for name in reversed(record.made):
            with contextlib.suppress(OSError):  # something else lies in it by now
                Path(name).rmdir()
        record.path.unlink(missing_ok=True)
    return done


def installed(folders: Folders) -> bool:
    """Return whether `install` was run, and not undone."""
    record = _Record.load(folders)
    return bool(record.extensions or record.plugins)


def check(folders: Folders) -> Iterator[Check]:
    """Look at every step of an installation; says nothing where there was none."""
    record = _Record.load(folders)
    for name in record.extensions:
        yield from _check_extension(Path(name), folders)
    if record.plugins:
        missing = [Path(name).name for name in record.plugins if not Path(name).exists()]
        spool = f'"{in_lisp(folders.spool)}/"'.encode()
        strange = [
            Path(name).name
            for name in record.plugins
            if Path(name).exists() and spool not in Path(name).read_bytes()
        ]
        places = ", ".join(dict.fromkeys(str(Path(name).parent) for name in record.plugins))
        said = f"Tweeze Send and Tweeze Collect in {places}, in place of the extension"
        if missing or strange:
            what = "missing" if missing else "made for another folder of an engine"
            said = f"{', '.join(missing or strange)} {what}"
        yield Check("audacity 4 plug-ins", not missing and not strange, said, _AGAIN)


# The extension.


def _extend(editor: Editor4, folders: Folders, record: _Record, done: list[str]) -> str:
    """Put the extension into one Audacity; return why that cannot be, or ''."""
    name = carried.name(folders)
    whole = [one for one in sorted(editor.extensions.glob(f"{name}*")) if owned.is_whole(one)]
    place = whole[0] if whole else _free(editor.extensions / name)
    if whole:
        _note(place, record)
    else:
        draft = editor.extensions.with_name(f".tweeze-{secrets.token_hex(4)}")
        record.make(editor.extensions)
        record.drafts.append(str(draft))
        record.save()
        try:
            draft.mkdir()
            for file, data in carried.files(folders).items():
                (draft / file).write_bytes(data)
            try:
                carried.library(draft)
            except TweezeError as error:
                return str(error)
            owned.close(draft)
            _note(place, record)
            record.save()
            draft.rename(place)
        finally:
            record.clear_drafts()
        done.append(
            f"Put the extension for Audacity 4 ({editor.kind}) into {place}; an Audacity 4 that "
            "runs finds it when it is started anew."
        )
    _clear(editor.extensions, record, done, but=place)
    return ""


def _free(place: Path) -> Path:
    number = 1
    fresh = place
    while fresh.exists() or fresh.is_symlink():
        number += 1
        fresh = place.with_name(f"{place.name}-{number}")
    return fresh


def _note(place: Path, record: _Record) -> None:
    if str(place) not in record.extensions:
        record.extensions.append(str(place))


def _clear(extensions: Path, record: _Record, done: list[str], but: Path | None = None) -> None:
    """Remove Tweeze's other folders: Audacity would show the commands of each."""
    if extensions.is_dir():
        for folder in sorted(extensions.iterdir()):
            if folder != but and owned.files(folder):
                _remove(folder, record, done)


def _remove(folder: Path, record: _Record, done: list[str]) -> None:
    done += owned.remove(folder)
    if str(folder) in record.extensions:
        record.extensions.remove(str(folder))


def _check_extension(folder: Path, folders: Folders) -> Iterator[Check]:
    files = owned.files(folder)
    wrong = [n for n, value in files.items() if not owned.is_as(folder / n, value)]
    others = [
        other.name
        for other in (folder.parent.iterdir() if folder.parent.is_dir() else ())
        if other != folder and owned.files(other)
    ]
    said = str(folder)
    if not files:
        said = f"{folder} is gone"
    elif wrong:
        said = f"{', '.join(wrong)} in {folder} missing or changed"
    elif not folder.name.startswith(carried.name(folders)):
        said = f"{folder} is of another Tweeze, or names another folder for its spool"
    elif others:
        said = f"beside it lies another: {', '.join(others)}"
    yield Check("audacity 4 extension", said == str(folder), said, _AGAIN)
    libraries = [name for name in files if name.startswith("platform/")]
    if libraries and not wrong:
        why = _unloadable(folder / libraries[0])
        yield Check("audacity 4 library", not why, why or "loads", _AGAIN)


def _unloadable(library: Path) -> str:
    """Return why a library does not load, or ''; it is loaded in a process of its own."""
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _LOADS, str(library)],
            capture_output=True,
            timeout=_LOADING,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{library.name} does not load within {_LOADING:.0f} s"
    words = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return "" if done.returncode == 0 else f"{library.name} does not load: {words}"


# The plug-ins.


def _put_plugins(
    editor: Editor4, wanted: Mapping[Path, bytes], record: _Record, done: list[str]
) -> None:
    if wanted:
        record.make(editor.plugins)
    for path, data in wanted.items():
        before = path.read_bytes() if path.exists() else b""
        if before and b';author "Tweeze"' not in before:
            done.append(f"Left {path} alone: it is not Tweeze's. Rename it, and install again.")
            continue
        record.plugins[str(path)] = owned.digest(data)
        record.save()
        if before != data:
            editing.write(path, data)
            title = _PLUGINS[path.name]
            done.append(
                f"Put {path.name} into {editor.plugins}: an Audacity 4 ({editor.kind}) that is "
                f"started anew has {title}."
            )
    stale = [str(editor.plugins / name) for name in _PLUGINS if editor.plugins / name not in wanted]
    _remove_plugins(record, stale, done)


def _remove_plugins(record: _Record, names: Iterable[str], done: list[str]) -> None:
    for name in names:
        path, value = Path(name), record.plugins.pop(name, None)
        if value is None or not path.exists():
            continue
        if owned.is_as(path, value):
            path.unlink()
            done.append(f"Removed {path}.")
        else:
            done.append(f"Left {path} alone: it was changed since.")


# What was put in.


@dataclass
class _Record:
    """Where: extensions' folders, plug-ins with their digests, and folders that were not there.

    `drafts` are folders of extensions that are not whole, of an installation that was cut short.
    """

    path: Path
    extensions: list[str] = field(default_factory=list)
    plugins: dict[str, str] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    drafts: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, folders: Folders) -> _Record:
        path = folders.root / "audacity4-install.json"
        try:
            return cls(path, **json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            return cls(path)
        except (OSError, ValueError, TypeError) as error:
            raise HostError(
                f"{path} cannot be read ({error}): move it away and install again."
            ) from error

    def save(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = {name: value for name, value in vars(self).items() if name != "path"}
        editing.rewrite(self.path, json.dumps(known, indent=1) + "\n")

    def clear_drafts(self) -> None:
        """Remove the drafts, whatever is in them: nobody else knew of them."""
        for name in self.drafts:
            shutil.rmtree(name, ignore_errors=True)
        self.drafts.clear()

    def make(self, folder: Path) -> None:
        """Make a folder with those above it, and note which were not there."""
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        self.made += [str(one) for one in reversed(missing) if str(one) not in self.made]


@contextlib.contextmanager
def _said() -> Iterator[None]:
    """Have an OSError be one sentence."""
    try:
        yield
    except PermissionError as error:
        raise HostError(
            f"{error.filename} cannot be changed ({error.strerror}): close Audacity 4, check the "
            "file's permissions, and try again."
        ) from error
    except OSError as error:
        raise HostError(
            f"{error.filename} cannot be written ({error.strerror}): check its permissions."
        ) from error
