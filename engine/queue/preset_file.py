"""The file of the user's presets: small, private, and replaced as a whole.

Several processes write it, one at a time: the command line and the engine. What a newer Tweeze put
into it stays there, and a file that cannot be read is never written over.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from engine.errors import BadInput, BadJob, Failure
from engine.files import SMALL, read_small, replace_text
from engine.folders import Folders
from engine.presets import Preset, clean_name, same
from engine.queue.lock import ProcessLock

__all__ = ["PRESETS_LIMIT", "PresetFile"]

PRESETS_LIMIT = 200
"""Presets at most."""
_FORM = 1
_PATIENCE = 10.0  # seconds that another process may take to write
_LOOK = 0.02  # seconds between looks whether it has
_NAMED = 12  # names in a sentence


class PresetFile:
    """The presets of a user. Any process and thread may use it at any time."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._path = folders.presets

    @property
    def mark(self) -> tuple[int, ...]:
        """What changes with each change of the file; () where there is none."""
        try:
            about = self._path.stat()
        except OSError:
            return ()
        return about.st_ino, about.st_mtime_ns, about.st_size

    def all(self) -> list[Preset]:
        """Return the presets in the order of their names.

        Raises
        ------
        BadInput
            The file cannot be read, or is not of the form.

        """
        return sorted(self._read()[1], key=lambda preset: preset.name.casefold())

    def get(self, name: str) -> Preset:
        """Return the preset of a name, in capitals or not.

        Raises
        ------
        BadInput
            There is none, or the file cannot be read.

        """
        wanted = clean_name(name)
        presets = self.all()
        for preset in presets:
            if same(preset.name, wanted):
                return preset
        raise BadInput(f"There is no preset '{wanted}'{_others(presets)}.")

    def save(self, preset: Preset) -> tuple[Preset, bool]:
        """Keep a preset in place of one of the same name; returns it as kept, and if one was.

        Raises
        ------
        BadInput
            It cannot be used, there is no room for another one, or the file cannot be read.
        Failure
            The file cannot be written.

        """
        made = preset.checked()
        with self._alone():
            rest, presets = self._read()
            others = [one for one in presets if not same(one.name, made.name)]
            if len(others) >= PRESETS_LIMIT:
                raise BadInput(
                    f"There are {PRESETS_LIMIT} presets, the most there can be: remove one first "
                    "('tweeze presets remove NAME')."
                )
            self._write(rest, [*others, made])
        return made, len(others) < len(presets)

    def remove(self, name: str) -> Preset:
        """Remove a preset, and return it.

        Raises
        ------
        BadInput
            There is none of that name, or the file cannot be read.
        Failure
            The file cannot be written.

        """
        with self._alone():
            rest, presets = self._read()
            gone = self.get(name)
            self._write(rest, [one for one in presets if not same(one.name, gone.name)])
        return gone

    def _read(self) -> tuple[dict[str, Any], list[Preset]]:
        """Return what the file says beside the presets, and those."""
        try:
            text = read_small(self._path)
        except FileNotFoundError:
            return {}, []
        except OSError as error:
            raise BadInput(
                f"{self._path} cannot be read ({error.strerror}): check its permissions."
            ) from error
        except BadJob as error:
            raise self._broken(str(error).rstrip(".")) from error
        try:
            said = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._broken(f"it is no JSON ({error})") from error
        if not isinstance(said, dict) or not isinstance(said.get("presets"), list):
            raise self._broken("there is no list of presets in it")
        if said.get("tweeze") != _FORM:
            raise BadInput(
                f"{self._path} is written in form {str(said.get('tweeze'))[:20]!r}, this Tweeze "
                f"reads form {_FORM}: bring Tweeze up to date."
            )
        presets: list[Preset] = []
        for number, one in enumerate(said.pop("presets"), start=1):
            preset = _preset(one)
            if preset is None:
                raise self._broken(f"preset {number} in it is not as Tweeze writes one")
            if any(same(preset.name, other.name) for other in presets):
                raise self._broken(f"'{preset.name[:60]}' is in it twice")
            presets.append(preset)
        return said, presets

    def _broken(self, why: str) -> BadInput:
        return BadInput(
            f"The presets in {self._path} cannot be read, and were left as they are: {why}. Mend "
            "the file, or move it away."
        )

    def _write(self, rest: Mapping[str, Any], presets: list[Preset]) -> None:
        listed = [{**preset.more, **preset.facts} for preset in presets]
        said = {"tweeze": _FORM, **rest, "presets": listed}
        text = json.dumps(said, ensure_ascii=False, indent=1) + "\n"
        if any(0xD800 <= ord(character) < 0xE000 for character in text):  # of another's making
            text = json.dumps(said, indent=1) + "\n"
        if len(text.encode()) > SMALL:
            raise BadInput("The presets take more than 1 MB: remove some, or shorten this one.")
        try:
            replace_text(self._path, text, mode=0o600)
        except OSError as error:
            raise Failure(
                f"The presets in {self._path} cannot be written ({error.strerror}): check the disk "
                "and the file's permissions."
            ) from error

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from writing meanwhile; a lock ends with whoever holds it."""
        try:
            self._folders.make()
        except OSError as error:
            raise Failure(
                f"{self._folders.root} cannot be made ({error.strerror}): check the disk."
            ) from error
        lock = ProcessLock(self._path.with_suffix(".lock"))
        deadline = time.monotonic() + _PATIENCE
        while not lock.take():
            if time.monotonic() > deadline:
                raise Failure(
                    f"Another program has held {lock.path} for {_PATIENCE:.0f} s: try again."
                )
            time.sleep(_LOOK)
        try:
            yield
        finally:
            lock.drop()


def _others(presets: list[Preset]) -> str:
    """Return the end of a sentence that says which presets there are."""
    if not presets:
        return ": save one with 'tweeze presets save NAME ...'"
    names = ", ".join(f"'{preset.name}'" for preset in presets[:_NAMED])
    return f"; there are: {names}{', …' if len(presets) > _NAMED else ''}"


def _preset(said: object) -> Preset | None:
    """Return the preset that an entry of the file is; None where it is none."""
    if not isinstance(said, dict):
        return None
    more = dict(said)
    name, options = more.pop("name", None), more.pop("options", {})
    queries, nots = more.pop("queries", []), more.pop("nots", [])
    if not isinstance(name, str) or not name.strip() or not isinstance(options, dict):
        return None
    if not isinstance(queries, list) or not isinstance(nots, list):
        return None
    if not all(isinstance(text, str) for text in (*queries, *nots, *options.values())):
        return None
    return Preset(name, tuple(queries), tuple(nots), tuple(options.items()), more)
