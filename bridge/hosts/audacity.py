"""Audacity's part of the resident process: requests in, jobs, clips back onto the timeline.

All talk with Audacity happens in threads, one connection at a time. A clip is claimed in the
journal before it goes in, so that it goes in once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
import time
from collections import deque
from collections.abc import Callable

from audacity import timeline
from audacity.install import installed
from audacity.pipe import Pipe
from audacity.startup import PAUSE, Startup
from audacity.timeline import Captured, OtherProject, Place
from bridge.files import replace_text
from bridge.notify import notify
from bridge.requests import raise_refused
from engine.errors import BadInput, BadQuery, HostError, TweezeError
from engine.job import Job, JobState, Keep, Options, Placement, Status, clean_query, one_line
from engine.journal import Entry, Insertion
from engine.request import Request
from engine.service import Service

__all__ = ["AudacityHost"]

_NAME = "audacity"
_REMEMBERED = 3  # sentences that stay in the status text
_CLIPS_KEPT = 24 * 3600.0  # seconds that the files of inserted clips are kept
_LOG = logging.getLogger("tweeze.audacity")


class AudacityHost:
    """Carries out requests of Audacity's menu commands, and inserts what comes of them.

    A request's `action` is `separate` (with `query`, `keep`, `mute`, `model`), `again` (the last
    one once more), `insert` (clips that are still waiting; `job` and `again` narrow and widen
    that), or `cancel`.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._folders = service.folders
        self._turn = asyncio.Lock()  # held by who talks to Audacity
        self._startup = Startup()
        self._jobs: dict[str, Job] = {}
        self._states: dict[str, Status] = {}
        self._ended: asyncio.Queue[Status] = asyncio.Queue()
        self._said: deque[str] = deque(maxlen=_REMEMBERED)
        self._notices: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """What requests call this host."""
        return _NAME

    async def run(self) -> None:
        """Insert the clips of jobs as they are done, and attend Audacity's starts."""
        for entry in self._service.journal.unfinished():
            if _is_ours(entry.job):
                self._jobs[entry.job.id] = entry.job
                self._states[entry.job.id] = entry.status
        unlisten = self._service.listen(self._hear)
        tasks = [
            asyncio.create_task(self._insert_all(), name="audacity-insert"),
            asyncio.create_task(self._attend(), name="audacity-start"),
            asyncio.create_task(self._clean(), name="audacity-clean"),
        ]
        self._tell()
        try:
            await asyncio.gather(*tasks)
        finally:
            self._startup.end()
            unlisten()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(OSError):
                (self._folders.spool / "audacity.txt").unlink()

    async def handle(self, request: Request, report: Callable[[Status], None]) -> None:
        """Carry out a request; what goes wrong is also said on the desktop.

        Raises
        ------
        TweezeError
            It cannot be done.

        """
        try:
            said = await self._carry_out(request)
        except TweezeError as error:
            self._say(str(error))
            raise
        report(Status(request.id, JobState.DONE, progress=1.0, message=one_line(said)))

    async def _carry_out(self, request: Request) -> str:
        action = request.one("action", "separate")
        if action == "cancel":
            return await self._cancel()
        if action == "insert":
            return await self._insert_waiting(
                request.one("job"), again=request.one("again") == "yes"
            )
        if action == "again":
            return await self._separate(self._last(request.id))
        if action == "separate":
            return await self._separate(request)
        raise BadInput(f"Audacity's part of Tweeze does not know the action {action[:40]!r}.")

    # Out of the timeline.

    async def _separate(self, request: Request) -> str:
        queries, options, mute = _wishes(request)
        self._remember(request)
        async with self._turn:
            captured = await asyncio.to_thread(self._capture)
        told: list[str] = []
        refused: list[Status] = []
        while captured:
            one = captured[0]
            place = Placement(_NAME, one.project, one.track, one.start, one.rate, mute)
            job = Job(
                id=one.path.stem,
                mixture=one.path,
                queries=queries,
                options=options,
                title=one_line(one.track),
                placement=place,
                client=_NAME,
            )
            try:
                status = await self._submit(job)
            except asyncio.CancelledError:
                for left in captured:
                    left.path.unlink(missing_ok=True)
                raise
            captured.pop(0)
            if status.state is JobState.FAILED:
                refused.append(status)
            else:
                told.append(f"{one.track} ({one.frames / one.rate:.1f} s): job {job.id}")
        raise_refused(refused, told)
        return "; ".join(told)

    async def _submit(self, job: Job) -> Status:
        """Send a job. Of one that fails at once the request tells, and nobody else."""
        self._jobs[job.id] = job
        try:
            status = await self._service.submit(job)
        except asyncio.CancelledError:
            self._forget(job)
            with contextlib.suppress(TweezeError):
                self._service.cancel(job.id)  # nobody else would go on with it
            raise
        except TweezeError as error:
            job.mixture.unlink(missing_ok=True)
            bad = isinstance(error, BadInput)
            status = Status(job.id, JobState.FAILED, message=str(error), bad_input=bad)
        if status.state is JobState.FAILED:
            self._forget(job)
        return status

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        self._states.pop(job.id, None)
        self._tell()

    def _capture(self) -> list[Captured]:
        with Pipe() as pipe:
            keepsake = self._folders.root / "audacity-export-setting"
            return timeline.capture(pipe, self._folders.mixtures, keepsake=keepsake)

    # Into the timeline.

    async def _insert_all(self) -> None:
        while True:
            status = await self._ended.get()
            job = self._jobs.pop(status.id, None)
            if job is None:
                continue
            try:
                await self._finish(job, status)
            except Exception:
                _LOG.exception("The clips of job %s were not inserted.", job.id)
            self._states.pop(job.id, None)
            self._tell()

    async def _finish(self, job: Job, status: Status) -> None:
        asked = ", ".join(repr(query) for query in job.queries)
        if status.state is JobState.FAILED:
            self._say(status.message)
        elif status.state is JobState.CANCELLED:
            self._say(f"Cancelled: {asked}.")
        else:
            try:
                async with self._turn:
                    count = await asyncio.to_thread(self._insert, job, status)
            except TweezeError as error:
                self._say(f"{asked} is ready, but not in the project: {_kept(error)}")
                return
            notes = " ".join(status.notes)
            self._say(f"{_clips(count)} of {job.title!r}: {asked}. {notes}".strip())

    def _insert(self, job: Job, status: Status, *, again: bool = False) -> int:
        """Insert the clips that wait, and return how many; blocking."""
        journal = self._service.journal
        place_at = job.placement
        assert place_at is not None
        waiting = [n for n in range(len(status.clips)) if again or self._waits(job, n)]
        if not waiting:
            return 0
        done = 0
        with Pipe() as pipe, Place(pipe, place_at) as place:
            for number in waiting:
                if not journal.claim(job.id, number, again=again):
                    continue
                try:
                    place.insert(status.clips[number], mute=place_at.mute and number == 0)
                except BaseException:
                    if not place.in_doubt:
                        journal.settle(job.id, number, Insertion.FREE)
                    raise
                journal.settle(job.id, number, Insertion.INSERTED)
                done += 1
        return done

    def _waits(self, job: Job, clip: int) -> bool:
        return self._service.journal.insertion(job.id, clip) is Insertion.FREE

    async def _insert_waiting(self, id_: str, *, again: bool) -> str:
        """Insert what is kept: all that waits, or the clips of one job.

        Of one named job also clips whose insertion was cut short; `again`, those that are in.
        """
        entries = self._kept_entries(id_)
        done = 0
        error: TweezeError | None = None
        async with self._turn:
            for entry in entries:
                if id_ and not again:
                    self._release(entry)
                try:
                    done += await asyncio.to_thread(
                        self._insert, entry.job, entry.status, again=again
                    )
                except TweezeError as caught:
                    error = caught
                    if not isinstance(caught, OtherProject):
                        break
        if error is not None and not done:
            raise error
        if error is not None and not isinstance(error, OtherProject):
            raise HostError(f"{_clips(done)}, and then: {error}")
        if not done:
            raise BadInput(
                f"The clips of job {id_} are in already: add --again to insert them once more."
                if id_
                else "No clip is waiting to be inserted."
            )
        said = f"{_clips(done)}."
        self._say(said)
        return said

    def _kept_entries(self, id_: str) -> list[Entry]:
        journal = self._service.journal
        if id_:
            entry = journal.get(id_)
            if entry is None or not _is_ours(entry.job):
                raise BadInput(f"There is no job {id_[:64]!r} from Audacity.")
            if entry.status.state is not JobState.DONE:
                raise BadInput(f"Job {id_} has no clips: it is {entry.status.state.value}.")
            return [entry]
        return [
            entry
            for entry in reversed(journal.recent(200))
            if _is_ours(entry.job)
            and entry.status.state is JobState.DONE
            and entry.job.id not in self._jobs
            and any(self._waits(entry.job, n) for n in range(len(entry.status.clips)))
        ]

    def _release(self, entry: Entry) -> None:
        """At the user's word: an insertion that was cut short may be tried anew."""
        journal = self._service.journal
        for number in range(len(entry.status.clips)):
            if journal.insertion(entry.job.id, number) is Insertion.CLAIMED:
                journal.settle(entry.job.id, number, Insertion.FREE)

    async def _cancel(self) -> str:
        running = [id_ for id_ in self._jobs if not self._service.status(id_).state.final]
        for id_ in running:
            self._service.cancel(id_)
        if not running:
            self._say("There is nothing to cancel.")
        return f"{len(running)} cancelled."

    # What was asked for last.

    def _remember(self, request: Request) -> None:
        fields = [pair for pair in request.fields if pair[0] != "action"]
        with contextlib.suppress(OSError):
            replace_text(self._folders.root / "audacity-last.json", json.dumps(fields))

    def _last(self, id_: str) -> Request:
        try:
            text = (self._folders.root / "audacity-last.json").read_text("utf-8")
            return Request(id_, _NAME, tuple((str(k), str(v)) for k, v in json.loads(text)))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise BadInput(
                "There is nothing to repeat yet: use Tools > Tweeze > Tweeze... first."
            ) from error

    # News.

    def _hear(self, status: Status) -> None:
        if status.id not in self._jobs:
            return
        known = self._states.get(status.id)
        self._states[status.id] = status
        if status.state.final:
            self._ended.put_nowait(status)
        elif known is not None and int(known.progress * 20) == int(status.progress * 20):
            return
        self._tell()

    def _say(self, sentence: str) -> None:
        stamp = time.strftime("%H:%M")
        self._said.append(f"{stamp}  {one_line(sentence)}")
        self._tell()
        task = asyncio.create_task(notify(one_line(sentence)))  # a slow desktop holds up nothing
        self._notices.add(task)
        task.add_done_callback(self._notices.discard)

    def _tell(self) -> None:
        """Write what Tweeze Status shows."""
        lines = []
        for id_, status in self._states.items():
            job = self._jobs.get(id_)
            if job is not None:
                what = ", ".join(job.queries)
                lines.append(f"{job.title}: {what}: {status.state.value} {status.progress:.0%}")
        lines += self._said
        text = "".join(f"{line}\n" for line in lines)
        try:
            replace_text(self._folders.spool / "audacity.txt", text)
        except OSError as error:
            _LOG.warning("The status text cannot be written: %s", error)

    # Housekeeping.

    async def _attend(self) -> None:
        while True:
            await asyncio.sleep(PAUSE)
            if self._startup.noticed() and installed(self._folders):
                async with self._turn:
                    await asyncio.to_thread(self._startup.attend)

    async def _clean(self) -> None:
        """Remove the files of clips that have been in a project for a day."""
        while True:
            for entry in self._service.journal.recent(1000):
                clips = range(len(entry.status.clips))
                if (
                    _is_ours(entry.job)
                    and clips
                    and time.time() - entry.changed > _CLIPS_KEPT
                    and all(
                        self._service.journal.insertion(entry.job.id, n) is Insertion.INSERTED
                        for n in clips
                    )
                ):
                    shutil.rmtree(self._folders.clips / entry.job.id, ignore_errors=True)
            await asyncio.sleep(3600)


def _wishes(request: Request) -> tuple[tuple[str, ...], Options, bool]:
    """Read what a request wants; several queries in one text are divided by `;`."""
    texts = [text for value in request.all("query") for text in value.split(";")]
    queries = tuple(dict.fromkeys(clean_query(text) for text in texts if text.strip()))
    if not queries:
        raise BadQuery("The query is empty: describe the sound in a few words, like 'dog barking'.")
    keep = request.one("keep", "target")
    if keep not in {choice.value for choice in Keep}:
        raise BadInput(f"A request cannot keep {keep[:40]!r}: it can keep target, residual, both.")
    mute = request.one("mute", "no")
    if mute not in ("yes", "no"):
        raise BadInput(f"'mute' of a request is {mute[:40]!r}: it can be yes or no.")
    return queries, Options(model=request.one("model", "compact"), keep=Keep(keep)), mute == "yes"


def _is_ours(job: Job) -> bool:
    return job.placement is not None and job.placement.host == _NAME


def _clips(count: int) -> str:
    return f"{count} new track{'' if count == 1 else 's'}"


def _kept(error: TweezeError) -> str:
    text = str(error)
    hint = "" if "tweeze insert" in text else " The clip is kept: 'tweeze insert' puts it in."
    return f"{text}{hint}" if isinstance(error, HostError) else text
