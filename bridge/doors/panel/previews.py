"""What is heard while a hand moves: an adjusted answer in stretches, before its job is done."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.doors.panel.answers import Refused
from bridge.doors.panel.sources import Source, in_thread
from engine.errors import BadInput
from engine.folders import Folders
from engine.job import Job
from engine.options import Options
from engine.queue.excerpts import LEFT, Excerpts

__all__ = ["LONGEST", "Previews"]

LONGEST = 4.0
"""Seconds of samples in one answer: they are computed for it."""
_KEPT = 4


@dataclass(frozen=True, eq=False)
class _Preview:
    job: str
    excerpts: Excerpts


class Previews:
    """The last few previews, by their ids. Lives in the engine's event loop."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._known: OrderedDict[str, _Preview] = OrderedDict()
        self._one_at_a_time = asyncio.Semaphore(1)

    async def open(self) -> None:
        """Remove what an engine that was killed left of its previews."""
        left = list(self._folders.masks.glob(f"{LEFT}*"))

        def remove() -> None:
            for folder in left:
                shutil.rmtree(folder, ignore_errors=True)

        if left:
            await in_thread(remove, name="panel-preview")

    async def add(self, source: Source, job: Job, options: Options) -> dict[str, Any]:
        """Return the id of a preview of a job with other options.

        Raises
        ------
        Refused
            The kept masks do not serve for that: only a job can tell.
        BadInput
            The options cannot be.

        """
        try:
            excerpts = await in_thread(
                lambda: Excerpts(self._folders, job, options), name="panel-preview"
            )
        except BadInput as error:
            raise Refused(409, str(error)) from error
        samples = source.samples.info
        if (samples.frames, samples.rate) != (excerpts.info.frames, excerpts.info.rate):
            excerpts.close()
            raise Refused(409, "The kept masks are of another recording.")
        id_ = secrets.token_hex(8)
        self._known[id_] = _Preview(job.id, excerpts)
        while len(self._known) > _KEPT:
            _, oldest = self._known.popitem(last=False)
            await in_thread(oldest.excerpts.close, name="panel-preview")
        return {"preview": id_, "clips": excerpts.count}

    async def samples(self, job: str, id_: str, index: int, said: Mapping[str, str]) -> bytes:
        """Return a stretch of one clip as interleaved float32, little end first.

        Raises
        ------
        Refused
            There is no such preview, clip or stretch.
        Failure
            The kept masks are gone.

        """
        preview = self._known.get(id_)
        if preview is None or preview.job != job or not 0 <= index < preview.excerpts.count:
            raise Refused(404, "There is no such preview any more.")
        info = preview.excerpts.info
        try:
            start, stop = int(said.get("start", "")), int(said.get("stop", ""))
        except ValueError:
            raise Refused(416, "'start' and 'stop' must be whole numbers of frames.") from None
        if not 0 <= start < stop <= info.frames:
            raise Refused(416, f"There are frames 0 to {info.frames}, not {start} to {stop}.")
        if stop - start > LONGEST * info.rate:
            raise Refused(416, f"At most {LONGEST:.0f} s of a preview come at once: ask for less.")

        def made() -> bytes:
            clip = preview.excerpts.of(start, stop)[index]
            return np.ascontiguousarray(clip.T, "<f4").tobytes()

        async with self._one_at_a_time:
            return await in_thread(made, name="panel-preview")

    def close(self) -> None:
        """Let go of all."""
        while self._known:
            self._known.popitem()[1].excerpts.close()
