"""Jobs of the past in the panel: found, opened with their recordings again, and forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bridge.doors.panel import facts
from bridge.doors.panel.answers import Refused
from bridge.doors.panel.samples import clip_samples
from bridge.doors.panel.sources import Source, Sources, in_thread
from bridge.requests import Requests
from engine import mask_room
from engine.errors import Failure
from engine.job import check_id, new_id
from engine.queue.history import Past, folder_size, past, past_of
from engine.queue.journal import Insertion
from engine.queue.service import Service
from engine.settings import Settings
from engine.sound.audio import wav_header
from engine.sound.kept import Kept

__all__ = ["LIMIT", "History"]

LIMIT = 200
"""Jobs in one answer."""
_WORDS = 200  # characters
_WHOLE = 20.0  # seconds within which a recording is decoded, or is taken as it is meanwhile
_LOOK = 0.05  # seconds between looks whether it is
_ATTACHED = 200  # jobs of one recording
_BLOCK = 1 << 20  # bytes


class History:
    """The jobs whose clips are kept, whoever asked for them.

    `changed` is called with a recording to which a job was added.
    """

    def __init__(
        self,
        service: Service,
        requests: Requests,
        sources: Sources,
        changed: Callable[[Source], None],
    ) -> None:
        self._service = service
        self._forgetter = requests.forgetter
        self._sources = sources
        self._changed = changed
        self._opening = asyncio.Lock()

    async def find(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return what the page is told of the jobs that a search finds.

        Raises
        ------
        Refused
            A value of the search cannot be.
        Failure
            The journal or the disk refuses.

        """
        limit = query.get("limit", "50")
        if not (limit.isascii() and limit.isdecimal() and 1 <= int(limit[:9]) <= LIMIT):
            raise Refused(400, f"'limit' must be a whole number from 1 to {LIMIT}.")
        before = query.get("before", "")
        if before:
            check_id(before)
            if self._service.journal.get(before) is None:
                raise Refused(404, "The job to go on from is forgotten: search again.")
        words = query.get("q", "")
        if len(words) > _WORDS:
            raise Refused(400, f"The search has more than {_WORDS} characters: shorten it.")
        opened = {id_: source.id for source in self._sources for id_ in source.jobs}
        folders, journal = self._service.folders, self._service.journal

        def look() -> dict[str, Any]:
            found, more = past(journal, folders, words, before, int(limit))
            settings = Settings.of_environment()
            return {
                "jobs": [self._facts(one, opened) for one in found],
                "more": more,
                "bytes": folder_size(folders.clips),
                "masks": mask_room.size(folders.masks),
                "limit_days": settings.keep_days,
                "limit_bytes": settings.keep_gb * 1e9,
            }

        return await in_thread(look, name="panel-history")

    def _facts(self, one: Past, opened: Mapping[str, str]) -> dict[str, Any]:
        job, journal = one.entry.job, self._service.journal
        captured = job.mixture.parent == self._service.folders.mixtures
        states = [journal.insertion(job.id, number) for number in one.clips]
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(one.entry.accepted))
        return {
            "id": job.id,
            "title": job.title,
            "file": "" if captured else one.file,
            "queries": list(job.queries),
            "nots": list(job.nots),
            "options": facts.changed(job.options),
            "when": when,
            "seconds": one.seconds,
            "clips": len(one.clips),
            "bytes": one.size,
            "host": job.placement.host if job.placement else "",
            "open": opened.get(job.id, ""),
            "inserted": Insertion.INSERTED in states,
            "recording": _is_there(job.mixture) or self._kept(job.id) is not None,
        }

    def _kept(self, id_: str) -> Kept | None:
        return Kept.open(self._service.folders.masks / id_)

    async def open(self, id_: str) -> Source:
        """Open a job's recording, or find it among the open ones, with the job among its jobs.

        Raises
        ------
        Refused
            There is no such job, or its recording is gone.
        BadInput, Failure
            The recording cannot be opened; says why.

        """
        async with self._opening:
            one = await self._past(id_)
            job = one.entry.job
            for source in self._sources:
                if id_ in source.jobs:
                    return source
            for source in self._sources:
                if job.mixture in (source.recording, source.origin) and await self._fits(
                    source, one
                ):
                    return self._attach(source, one)
            return self._attach(await self._opened(one), one)

    async def _past(self, id_: str) -> Past:
        entry = self._service.journal.get(check_id(id_))
        one = await in_thread(lambda: past_of(entry)) if entry is not None else None
        if one is None:
            raise Refused(404, "There is no such job in the history, or none with clips any more.")
        return one

    async def _opened(self, one: Past) -> Source:
        """Open the recording itself, or where it is gone the copy beside the kept masks."""
        job = one.entry.job
        changed = False
        if await in_thread(lambda: _is_there(job.mixture)):
            source = await self._sources.add(job.mixture, job.title, job.placement)
            if await self._fits(source, one):
                return source
            await self._sources.remove(source.id)
            changed = True
        kept = await in_thread(lambda: self._kept(job.id))
        if kept is None:
            why = "was changed since" if changed else "is no longer there"
            raise Refused(
                409,
                f"The recording of this job ('{job.title or job.mixture.name}') {why}, and its "
                "masks are not kept: its clips can be downloaded or sent, but not be shown.",
            )
        path = self._service.folders.panel / f"{new_id()}.wav"
        try:
            await in_thread(lambda: _write_wav(kept, path))
            source = await self._sources.add(path, job.title, job.placement, move=True)
        finally:
            with contextlib.suppress(OSError):
                await in_thread(lambda: path.unlink(missing_ok=True))
        source.origin = job.mixture
        return source

    async def _fits(self, source: Source, one: Past) -> bool:
        """Return whether a job's clips are as long as a recording, as far as that is known yet."""
        path = one.entry.status.clips[one.clips[0]].path

        def fits() -> bool:
            try:
                clip_samples(path, source.samples.info)
            except Failure:
                return False
            return True

        deadline = time.monotonic() + _WHOLE
        while not source.error and time.monotonic() < deadline:
            if source.overview is not None and source.samples.whole:
                return await in_thread(fits)
            await asyncio.sleep(_LOOK)
        return not source.error

    def _attach(self, source: Source, one: Past) -> Source:
        id_ = one.entry.job.id
        if len(source.jobs) >= _ATTACHED:
            raise Refused(
                409, f"'{source.title}' shows {_ATTACHED} jobs, which is the most: forget some."
            )
        source.jobs.append(id_)
        source.jobs.sort(key=self._number)
        self._sources.save(source)
        self._changed(source)
        return source

    def _number(self, id_: str) -> float:
        entry = self._service.journal.get(id_)
        return entry.number if entry is not None else -1

    async def forget(self, id_: str) -> None:
        """Forget a job.

        Raises
        ------
        Refused
            There is no such job, or it is needed.
        Failure
            The disk or the journal refuses.

        """
        if self._service.journal.get(check_id(id_)) is None:
            raise Refused(404, "There is no such job in the history.")
        if said := self._forgetter.hindrance(id_):
            raise Refused(409, said)
        await self._forgetter.forget(id_)


def _is_there(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _write_wav(kept: Kept, path: Path) -> None:
    """Write the mixture that lies beside kept masks as a WAV file.

    Raises
    ------
    Failure
        It is gone, or the disk is full.

    """
    try:
        with kept.samples.open("rb") as samples, path.open("xb") as file:
            path.chmod(0o600)
            file.write(wav_header(kept.info))
            shutil.copyfileobj(samples, file, _BLOCK)
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise Failure(
            f"The recording of this job could not be copied ({error.strerror}): free some space "
            "and try again."
        ) from error
