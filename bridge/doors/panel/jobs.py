"""What the panel asks of the engine: separations, listening, and how loud it all is."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bridge.doors.panel import facts
from bridge.doors.panel.answers import Refused
from bridge.doors.panel.loudness import loudness
from bridge.doors.panel.overview import Overview
from bridge.doors.panel.samples import clip_samples
from bridge.doors.panel.sources import Source, Sources, in_thread
from bridge.doors.panel.steps import Steps
from bridge.requests import Requests
from engine import mask_room
from engine.errors import BadInput, BadJob, TweezeError
from engine.job import QUERIES_LIMIT, Job, Task, new_id
from engine.options import Options
from engine.queue.service import Service
from engine.request import Request, option_fields
from engine.status import Clip, JobState, Status
from engine.waiting import aside

__all__ = ["CLIENT", "Jobs"]

CLIENT = "panel"
"""Who asks, as the queue knows it."""
_UNFINISHED = 16  # jobs of the panel's at once
_PATIENCE = 20.0  # seconds that a measurement may be waited for
_LOOK = 0.05  # seconds between looks whether a model is loaded
_HEARD_FIRST = 0.3  # seconds in which a clip is fetched to be heard, before it is measured
_TRIES = 100  # to remove a folder in which a thread writes that was told to end
_LOG = logging.getLogger("tweeze.panel")

Tell = Callable[[Hashable, Callable[[], dict[str, Any] | None]], None]


class Jobs:
    """The jobs of the open recordings. Lives in the engine's event loop.

    `tell` passes on what is new (see `Events.tell`).
    """

    def __init__(
        self,
        service: Service,
        requests: Requests,
        sources: Sources,
        tell: Tell,
    ) -> None:
        self._service = service
        self._sources = sources
        self._tell = tell
        self._known: dict[str, Job] = {}
        self._ended: dict[str, Status] = {}
        self._postponed: set[str] = set()  # sources that are listened to when there is time
        self._clips: dict[tuple[str, str, int], Overview] = {}
        self._measuring: dict[tuple[str, str], asyncio.Task[float | None]] = {}
        self._one_at_a_time = asyncio.Semaphore(1)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._steps = Steps(self._status, requests.forgetter)
        self._subscriptions = contextlib.ExitStack()
        self._subscriptions.callback(service.subscribe(self._hear, every=facts.CALM))
        self._subscriptions.callback(requests.forgetter.subscribe(self._drop_job))

    def resume(self) -> None:
        """Go on with what an earlier engine did not get to."""
        for source in self._sources:
            if source.instead:
                self._begin(self._steps.sweep(source), "panel-sweep")

    async def close(self) -> None:
        """Let go of everything; jobs that are under way go on."""
        self._subscriptions.close()
        for overview in self._clips.values():
            overview.close()
        tasks = [*self._tasks, *self._measuring.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Separating.

    async def ask(self, source: Source, said: Mapping[str, Any]) -> dict[str, Any]:
        """Send a job for a recording, as the page describes it; returns what is known of it.

        Raises
        ------
        BadInput
            What is asked for cannot be.
        Failure
            The journal refuses.

        """
        job = self._job(source, said)
        instead = self._instead(source, said.get("instead", ""), job)
        waiting = self._unfinished() - {instead}
        if len(waiting) >= _UNFINISHED:
            raise Refused(429, f"{_UNFINISHED} jobs wait already: let some end first.")
        self._give_way()
        source.jobs.append(job.id)
        if instead:
            source.instead[job.id] = instead
        try:
            await self._service.submit(job)
        except BaseException:
            source.jobs.remove(job.id)
            source.instead.pop(job.id, None)
            self._listen_again()
            raise
        if instead:
            self._begin(self._replace(source, instead), "panel-replace")
        self._sources.save(source)
        return self.facts(source, job.id)

    def _unfinished(self) -> set[str]:
        """Return the jobs that have not ended, without those in whose place others come."""
        return {
            id_
            for source in self._sources
            for id_ in set(source.jobs) - self._steps.are_replaced(source)
            if not self._status(id_).state.final
        }

    def _instead(self, source: Source, instead: object, job: Job) -> str:
        """Return the job in whose place another one comes; '' where both are needed."""
        if instead == "":
            return ""
        if not isinstance(instead, str) or instead not in source.jobs:
            raise Refused(404, "The job to replace is none of this recording's.")
        replaced = self._job_of(instead)
        if replaced is None or replaced.client != CLIENT:
            raise Refused(409, "The panel replaces only what it asked for itself.")
        return instead if instead != job.base else ""

    async def _replace(self, source: Source, id_: str) -> None:
        await self._stop(id_)
        await self._steps.sweep(source)

    def _drop_job(self, id_: str) -> None:
        """Show a job no longer: it was forgotten."""
        for source in self._sources:
            if id_ in source.jobs:
                source.jobs.remove(id_)
                source.instead.pop(id_, None)
                self._let_go(source, id_)
                self._sources.save(source)
        self._known.pop(id_, None)
        self._ended.pop(id_, None)
        self._tell(("job", id_), lambda: {"forgotten": id_})

    def _let_go(self, source: Source, id_: str) -> None:
        """Let go of what is measured and drawn of a job."""
        for name in [name for name in source.loud if name.startswith(f"{id_}/")]:
            del source.loud[name]
        for key in [key for key in self._measuring if key[1].startswith(f"{id_}/")]:
            self._keep(self._measuring.pop(key))  # it finds by itself that nobody needs it
        for clip in [clip for clip in self._clips if clip[0] == id_]:
            overview = self._clips.pop(clip)
            overview.close()
            self._begin(_remove_drawn(_drawn(source, clip)), "panel-let-go")

    def _job(self, source: Source, said: Mapping[str, Any]) -> Job:
        fields = [("query", text) for text in _texts(said, "queries")]
        fields += [("not", text) for text in _texts(said, "nots")]
        named = said.get("options", {})
        if not isinstance(named, dict) or not all(isinstance(v, str) for v in named.values()):
            raise Refused(400, "'options' must be an object of texts.")
        fields += option_fields(f"{name}={value}" for name, value in named.items())
        request = Request(new_id(), "", tuple(fields))
        request.to_text()
        options = self._with_example(request.options())
        placement = source.placement
        if placement is not None:
            placement = replace(placement, **request.placing())
        base = self._base(source, said.get("base", ""), options)
        return Job(
            request.id,
            self._mixture(source, base),
            request.queries(),
            options,
            source.title,
            placement,
            CLIENT,
            nots=request.nots(),
            base=base,
        )

    def _mixture(self, source: Source, base: str) -> Path:
        """Return the file that a job reads: where masks are kept, the one that they are of."""
        job = self._job_of(base) if base else None
        kept = self._service.folders.masks / base / mask_room.NOTE
        return job.mixture if job is not None and kept.exists() else source.recording

    def _base(self, source: Source, base: object, options: Options) -> str:
        """Return the job to go on from; '' where its model is another than the one asked for."""
        if base == "":
            return ""
        if not isinstance(base, str) or base not in source.jobs:
            raise Refused(404, "The job to adjust is none of this recording's.")
        job = self._job_of(base)
        if job is None or self._status(base).state is not JobState.DONE:
            raise Refused(409, "The job to adjust is not done: adjust it when it is.")
        return base if job.options.model == options.model else ""

    def adjusted(self, id_: str, said: Mapping[str, Any]) -> tuple[Source, Job, Options]:
        """Return a job that is done, its recording, and options that the page names for it.

        Raises
        ------
        BadInput
            There is no such job, it is not done, or the options cannot be.

        """
        source = self.source_of(id_)
        job = self._job_of(id_)
        if job is None or self._status(id_).state is not JobState.DONE:
            raise Refused(409, "The job to adjust is not done: adjust it when it is.")
        asked = self._job(
            source, {**said, "queries": [*job.queries], "nots": [*job.nots], "base": ""}
        )
        return source, job, replace(asked.options, draft=job.options.draft)

    def _with_example(self, options: Options) -> Options:
        """Have `like` mean an open recording: no path comes in here."""
        if not options.like:
            return options
        id_, at, stretch = options.like.partition("@")
        source = next((one for one in self._sources if one.id == id_), None)
        if source is None:
            raise BadInput(
                "An example must be a stretch of a recording that is open in the panel: "
                "ID@START-END."
            )
        return replace(options, like=f"{source.recording}{at}{stretch}")

    def cancel(self, id_: str) -> dict[str, Any]:
        """Cancel a job; returns what is known of it."""
        source = self.source_of(id_)
        self._service.cancel(id_)
        return self.facts(source, id_)

    def source_of(self, id_: str) -> Source:
        """Return the recording that a job is of; Refused where the panel has no such job."""
        for source in self._sources:
            if id_ in source.jobs:
                return source
        raise Refused(404, "The panel has no such job: ask again.")

    async def drop(self, source: Source) -> None:
        """Cancel what is under way for a recording that was closed."""
        self._postponed.discard(source.id)
        for id_ in [*source.jobs, *filter(None, [source.listening])]:
            try:
                self._service.cancel(id_)
            except TweezeError:
                continue
            for key in [key for key in self._clips if key[0] == id_]:
                self._clips.pop(key).close()

    # What is known of them.

    def facts(self, source: Source, id_: str) -> dict[str, Any]:
        """Return what the page is told of a job."""
        job = self._job_of(id_)
        if job is None:
            raise Refused(404, "The journal has no such job any more: ask again.")
        status = self._status(id_)
        said = facts.of_job(source, job, status)
        for clip in said["clips"]:
            name = f"{id_}/{clip['index']}"
            clip["loudness"] = source.loud.get(name)
            if name not in source.loud:
                self._begin_measuring(source, id_, clip["index"])
        return said

    def all_facts(self, source: Source) -> list[dict[str, Any]]:
        """Return what the page is told of a recording's jobs, without those that are forgotten."""
        return [self.facts(source, id_) for id_ in source.jobs if self._job_of(id_) is not None]

    def clip(self, id_: str, index: int, *, draft: bool = False) -> Clip:
        """Return a job's clip; Refused where there is none of that number."""
        self.source_of(id_)
        status = self._status(id_)
        clips: Sequence[Clip] = status.draft if draft else status.clips
        if not 0 <= index < len(clips):
            raise Refused(404, "The job has no such clip.")
        return clips[index]

    async def clip_overview(self, id_: str, index: int, *, draft: bool = False) -> Overview:
        """Return what is drawn of a clip."""
        clip = self.clip(id_, index, draft=draft)
        source = self.source_of(id_)
        key = (id_, "draft" if draft else "clip", index)
        if key not in self._clips:
            info = source.samples.info
            if not source.samples.whole:
                raise Refused(503, f"'{source.title}' is still being read: ask again in a moment.")
            folder = _drawn(source, key)

            def made() -> Overview:
                samples = clip_samples(clip.path, info)
                folder.mkdir(mode=0o700, exist_ok=True)
                return Overview(samples, folder)

            overview = await in_thread(made)
            if id_ not in source.jobs:  # forgotten meanwhile
                overview.close()
                await _remove_drawn(folder)
                raise Refused(404, "The panel has no such job: ask again.")
            self._clips.setdefault(key, overview)
        return self._clips[key]

    def _job_of(self, id_: str) -> Job | None:
        if id_ not in self._known:
            entry = self._service.journal.get(id_)
            if entry is None:
                return None
            self._known[id_] = entry.job
        return self._known[id_]

    def _status(self, id_: str) -> Status:
        if id_ in self._ended:
            return self._ended[id_]
        try:
            status = self._service.status(id_)
        except BadJob:
            return Status(id_, JobState.FAILED, message="The journal has no such job any more.")
        if status.state.final:
            self._ended[id_] = status
        return status

    def _hear(self, status: Status) -> None:
        for source in self._sources:
            if status.id in source.jobs:
                self._tell_job(source, status.id)
                if status.state.final:
                    self._listen_again()
                    if source.instead:
                        self._begin(self._steps.sweep(source), "panel-sweep")
            elif status.id == source.listening:
                self._tell(
                    ("heard", source.id),
                    lambda source=source: {  # type: ignore[misc]
                        "heard": {"source": source.id, **self.heard(source)}
                    },
                )

    def _tell_job(self, source: Source, id_: str) -> None:
        def say() -> dict[str, Any] | None:
            try:
                return {"job": self.facts(source, id_)}
            except TweezeError:
                return None

        self._tell(("job", id_), say)

    # Loudness.

    async def loudness(self, source: Source) -> float | None:
        """Return how loud a recording is, in LUFS; None of silence.

        Raises
        ------
        NotYet, Refused
            It is still being read.

        """
        if "" not in source.loud:
            if not source.samples.whole:
                raise Refused(503, f"'{source.title}' is still being read: ask again in a moment.")
            key = (source.id, "")
            if key not in self._measuring:
                self._measuring[key] = asyncio.create_task(self._measure(source, ""))
            await asyncio.wait({self._measuring[key]}, timeout=_PATIENCE)
            if not self._measuring[key].done():
                raise Refused(503, f"'{source.title}' is being measured: ask again in a moment.")
            return self._measuring[key].result()
        return source.loud[""]

    def _begin_measuring(self, source: Source, id_: str, index: int) -> None:
        key = (source.id, f"{id_}/{index}")
        if key in self._measuring or source.overview is None or not source.samples.whole:
            return
        self._measuring[key] = asyncio.create_task(
            self._measure(source, key[1], id_, index), name=f"panel-loudness-{id_}-{index}"
        )

    async def _measure(
        self, source: Source, name: str, id_: str = "", index: int = 0
    ) -> float | None:
        try:
            if id_:
                await asyncio.sleep(_HEARD_FIRST)
            async with self._one_at_a_time:
                overview = await self.clip_overview(id_, index) if id_ else source.overview
                assert overview is not None
                found = await aside(lambda: loudness(overview.samples), name="panel-loudness")
        except Exception as error:
            if not isinstance(error, TweezeError):
                _LOG.exception("The loudness of '%s' was not measured.", ascii(source.title))
            return None
        if id_ and id_ not in source.jobs:  # forgotten meanwhile
            return None
        source.loud[name] = found if found is None else round(found, 2)
        self._sources.save(source)
        if id_:
            self._tell_job(source, id_)
        return source.loud[name]

    # Listening.

    async def listen(self, source: Source) -> dict[str, Any]:
        """Have the engine listen to a recording, unless it did; returns what is known of that."""
        again = source.listening and self._status(source.listening).state in (
            JobState.CANCELLED,
            JobState.FAILED,
        )
        if source.id not in self._postponed and (not source.listening or again):
            if self._separates():
                self._postponed.add(source.id)
            elif not again or self._status(source.listening).state is JobState.CANCELLED:
                await self._submit_listening(source)
        return self.heard(source)

    def heard(self, source: Source) -> dict[str, Any]:
        """Return what the page is told of the sounds in a recording."""
        if source.id in self._postponed or not source.listening:
            return {"state": "running", "progress": 0.0, "heard": [], "error": ""}
        return facts.of_listening(self._status(source.listening))

    async def _submit_listening(self, source: Source) -> None:
        job = Job(
            new_id(),
            source.recording,
            (),
            Options(),
            source.title,
            client=CLIENT,
            task=Task.LISTEN,
        )
        self._postponed.discard(source.id)
        source.listening = job.id
        await self._service.submit(job)
        self._sources.save(source)

    def _separates(self) -> bool:
        return any(
            not self._status(id_).state.final for source in self._sources for id_ in source.jobs
        )

    def _give_way(self) -> None:
        """Put off listening: somebody waits for a sound."""
        for source in self._sources:
            if source.listening and not self._status(source.listening).state.final:
                self._postponed.add(source.id)
                self._begin(self._stop(source.listening), "panel-give-way")

    async def _stop(self, id_: str) -> None:
        """Cancel a job, but one that runs not before it has got somewhere.

        A worker that starts, or loads a model, reads no messages: it would be ended, and the
        next job would have to wait for another one.
        """
        while self._service.running == id_ and not self._status(id_).progress:
            await asyncio.sleep(_LOOK)
        with contextlib.suppress(TweezeError):
            self._service.cancel(id_)

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._keep(asyncio.create_task(work, name=name))

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _listen_again(self) -> None:
        if not self._postponed or self._separates():
            return

        async def resume() -> None:
            for source in self._sources:
                if source.id in self._postponed and not self._separates():
                    try:
                        await self._submit_listening(source)
                    except TweezeError as error:
                        _LOG.warning("'%s' is not listened to: %s", ascii(source.title), error)

        self._begin(resume(), "panel-listen-again")


def _drawn(source: Source, key: tuple[str, str, int]) -> Path:
    """Return the folder of what is drawn of a clip."""
    return source.folder / "-".join(map(str, key))


async def _remove_drawn(folder: Path) -> None:
    """Remove what is drawn of a clip, though it may be drawn at this moment."""

    def remove() -> None:
        for _ in range(_TRIES):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                return
            time.sleep(_LOOK)

    await in_thread(remove)


def _texts(said: Mapping[str, Any], name: str) -> list[str]:
    found = said.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise Refused(400, f"'{name}' must be a list of texts.")
    if len(found) > QUERIES_LIMIT:
        raise Refused(400, f"'{name}' has {len(found)} texts; {QUERIES_LIMIT} is the most.")
    return found
