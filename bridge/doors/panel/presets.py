"""The user's presets, as the page lists and changes them, and hears of what others change."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from bridge.doors.panel.answers import Refused
from bridge.doors.panel.events import Events
from bridge.doors.panel.sources import in_thread
from engine.errors import TweezeError
from engine.folders import Folders
from engine.job import QUERIES_LIMIT
from engine.presets import OPTIONS, Preset, same
from engine.queue.preset_file import PresetFile

__all__ = ["Presets"]

_LOOK = 1.0  # seconds between looks whether another process changed them
_LISTS = ("queries", "nots")


class Presets:
    """The presets, told to every open page when they change, whoever changed them."""

    def __init__(self, folders: Folders, events: Events) -> None:
        self._file = PresetFile(folders)
        self._events = events
        self._watch: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to look for changes."""
        self._watch = asyncio.create_task(self._keep_looking(), name="panel-presets")

    async def close(self) -> None:
        """Stop looking."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def all(self) -> list[dict[str, Any]]:
        """Return what the page is told of all presets; BadInput if they cannot be read."""
        return await in_thread(self._facts)

    async def save(self, name: str, said: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        """Keep a preset as the page describes it; returns it as kept, and if it replaced one.

        Raises
        ------
        BadInput
            It cannot be one, or there is no room for another.
        Failure
            They cannot be written.

        """
        preset = _described(name, said)
        made, replaced = await in_thread(lambda: self._file.save(preset))
        await self._tell()
        return made.facts, replaced

    async def remove(self, name: str) -> str:
        """Remove a preset; returns its name.

        Raises
        ------
        Refused
            There is none of that name.
        BadInput, Failure
            They cannot be read, or not written.

        """

        def removed() -> str | None:
            if not any(same(preset.name, name) for preset in self._file.all()):
                return None
            return self._file.remove(name).name

        gone = await in_thread(removed)
        if gone is None:
            raise Refused(404, f"There is no preset '{name[:60]}'.")
        await self._tell()
        return gone

    def _facts(self) -> list[dict[str, Any]]:
        return [preset.facts for preset in self._file.all()]

    async def _tell(self) -> None:
        with contextlib.suppress(TweezeError):  # who asks for them hears why not
            facts = await self.all()
            self._events.tell("presets", lambda: {"presets": facts})

    async def _keep_looking(self) -> None:
        known: tuple[int, ...] | None = None
        while True:
            if known is None or len(self._events):
                with contextlib.suppress(TweezeError):  # a disk that does not answer
                    mark = await in_thread(lambda: self._file.mark)
                    if known is not None and mark != known:
                        await self._tell()
                    known = mark
            await asyncio.sleep(_LOOK)


def _described(name: str, said: Mapping[str, Any]) -> Preset:
    for key in said:
        if key not in ("name", "options", *_LISTS):
            raise Refused(400, f"A preset has no '{key[:40]}': it has queries, nots and options.")
    if "name" in said and not (isinstance(said["name"], str) and same(said["name"], name)):
        raise Refused(400, "The preset's name is not the one in the address.")
    for key in _LISTS:
        found = said.get(key, [])
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise Refused(400, f"'{key}' must be a list of texts.")
        if len(found) > QUERIES_LIMIT:
            raise Refused(400, f"'{key}' has {len(found)} texts; {QUERIES_LIMIT} is the most.")
    options = said.get("options", {})
    if not isinstance(options, dict) or not all(isinstance(v, str) for v in options.values()):
        raise Refused(400, "'options' must be an object of texts.")
    if len(options) > len(OPTIONS):
        raise Refused(400, f"'options' names {len(options)}; {len(OPTIONS)} can be in a preset.")
    queries, nots = (tuple(said.get(key, ())) for key in _LISTS)
    return Preset(str(said.get("name", name)), queries, nots, tuple(options.items()))
