"""Audacity's part of the resident process: requests in, jobs, clips back onto the timeline.

All talk with Audacity happens in one thread. Which jobs are on their way, and which clips wait, the
journal alone knows: nothing is lost where a part of this, or the engine, breaks and starts anew. A
clip is claimed in the journal before it goes in, so that it goes in once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from audacity import timeline
from audacity.install import installed
from audacity.pipe import Pipe
from audacity.pipe_thread import Abandoned, PipeThread
from audacity.startup import PAUSE, Startup
from audacity.timeline import Captured, OtherProject, Place
from bridge.notify import notify
from bridge.requests import raise_refused
from engine.errors import BadInput, Cancelled, Failure, HostError, TweezeError
from engine.files import replace_text
from engine.job import Job, Placement
from engine.queue.journal import Entry, Insertion
from engine.queue.service import Service
from engine.request import Request
from engine.status import JobState, Status
from engine.text_form import one_line
from engine.waiting import aside, within

__all__ = ["AudacityHost"]

_NAME = "audacity"
_REMEMBERED = 3  # sentences that stay in the status text
_CLIPS_KEPT = 24 * 3600.0  # seconds that the files of inserted clips are kept
_LOOK = 5.0  # seconds between looks into the journal that no news asked for
_CLEANING = 600.0  # seconds that removing old clips may take
_CALM = 0.25  # seconds between two status texts
_REST = 4.0  # seconds that the thread gets to leave Audacity in order when the engine ends
_LOG = logging.getLogger("tweeze.audacity")


class AudacityHost:
    """Carries out requests of Audacity's menu commands, and inserts what comes of them.

    A request's `action` is `separate` (with `query` and any option), `again` (the last
    one once more), `insert` (clips that are still waiting; `job` and `again` narrow and widen
    that), or `cancel`.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._folders = service.folders
        self._thread = PipeThread()
        self._startup = Startup()
        self._said: deque[str] = deque(maxlen=_REMEMBERED)
        self._shown = ""
        self._hindered: set[str] = set()  # jobs of which it was said that the journal refuses
        self._awaited: set[str] = set()  # jobs whose request tells, if they are refused
        self._owed: deque[Callable[[], None]] = deque()  # what the journal could not take yet
        self._paying = threading.Lock()  # here and in the thread that inserts
        self._ended = asyncio.Event()
        self._news = asyncio.Event()
        self._notices: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """What requests call this host."""
        return _NAME

    async def run(self) -> None:
        """Insert the clips of jobs as they are done, and attend Audacity's starts."""
        unlisten = self._service.listen(self._hear)
        tasks = [
            asyncio.create_task(self._insert_all(), name="audacity-insert"),
            asyncio.create_task(self._keep_telling(), name="audacity-tell"),
            asyncio.create_task(self._attend(), name="audacity-start"),
            asyncio.create_task(self._clean(), name="audacity-clean"),
        ]
        try:
            await asyncio.gather(*tasks)
        except asyncio.CancelledError:
            await self._thread.rest(_REST)
            raise
        finally:
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
            outcome = await self._carry_out(request)
        except TweezeError as error:
            self._say(str(error))
            raise
        report(replace(outcome, id=request.id))

    async def _carry_out(self, request: Request) -> Status:
        action = request.one("action", "separate")
        if action == "cancel":
            return _done(self._cancel())
        if action == "insert":
            said = await self._insert_waiting(
                request.one("job"), again=request.one("again") == "yes"
            )
            return _done(said)
        if action == "again":
            return await self._separate(self._last(request.id))
        if action == "separate":
            return await self._separate(request)
        raise BadInput(f"Audacity's part of Tweeze does not know the action {action[:40]!r}.")

    # Out of the timeline.

    async def _separate(self, request: Request) -> Status:
        """Capture the selection, submit the jobs, and return the request's own outcome."""
        queries, options, placing = request.queries(), request.options(), request.placing()
        self._remember(request)
        captured = await self._thread.do(self._capture, discard=_remove_captured)
        sent: dict[str, str] = {}  # by the job's id, what is told of it
        refused: list[Status] = []
        for one in captured:
            place = Placement(_NAME, one.project, one.track, one.start, one.rate, **placing)
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
                await self._service.submit(job, attendant=_NAME)
            except TweezeError as error:
                _remove_captured([one])
                refused.append(_failed(job.id, error))
            else:
                sent[job.id] = f"{one.track} ({one.frames / one.rate:.1f} s): job {job.id}"
        self._awaited |= sent.keys()
        try:
            looked = [await self._service.admitted(id_) for id_ in sent]
        except asyncio.CancelledError:
            for id_ in sent:  # nobody else would go on with them
                with contextlib.suppress(TweezeError):
                    self._service.cancel(id_)
            raise
        else:
            for status in looked:
                if status.state is JobState.FAILED:
                    refused.append(status)
                    self._owe(partial(self._service.journal.attend, status.id))
        finally:
            self._awaited -= sent.keys()
        going = [sent[status.id] for status in looked if status.state is not JobState.FAILED]
        raise_refused(refused, going)
        return _done("; ".join(going))

    def _capture(self, abandoned: Abandoned) -> list[Captured]:
        with Pipe(abandon=abandoned) as pipe:
            return timeline.capture(
                pipe,
                self._folders.mixtures,
                keepsake=self._folders.root / "audacity-export-setting",
                abandoned=abandoned,
            )

    # Into the timeline.

    async def _insert_all(self) -> None:
        """Attend to the end of each job that was asked for here, as the journal tells it."""
        while True:
            self._ended.clear()
            try:
                if self._pay():
                    for entry in self._service.journal.attended_by(_NAME):
                        if entry.status.state.final and entry.job.id not in self._awaited:
                            await self._finish(entry.job, entry.status)
            except TweezeError as error:
                _LOG.warning("Clips may wait; it is looked for them again: %s", error)
            await _news_of(self._ended)

    async def _finish(self, job: Job, status: Status) -> None:
        """Insert a job's clips or say why there are none; then it needs no more attention."""
        asked = ", ".join(repr(query) for query in job.queries)
        sentence = ""
        if status.state is JobState.FAILED:
            sentence = status.message
        elif status.state is JobState.CANCELLED:
            sentence = f"Cancelled: {asked}."
        else:
            try:
                count = await self._thread.do(partial(self._insert, job, status))
            except Cancelled:
                return  # the engine ends: what is left goes in at the next start
            except TweezeError as error:
                sentence = f"{asked} is ready, but not in the project: {_kept(error)}"
                if not isinstance(error, HostError):  # the journal refuses: nothing is settled
                    if job.id not in self._hindered:
                        self._hindered.add(job.id)
                        self._say(sentence)
                    return
            except Exception:
                _LOG.exception("The clips of job %s were not inserted.", job.id)
                sentence = (
                    f"{asked} is ready and kept, but inserting it failed. Unexpected error: see "
                    f"'tweeze log' ({self._folders.log})."
                )
            else:
                notes = " ".join(status.notes)
                if count:
                    sentence = f"{_clips(count)} of {job.title!r}: {asked}. {notes}".strip()
                elif self._in_doubt(job, status):
                    sentence = (
                        f"Whether {asked} is in the project is not known, for its insertion was "
                        f"cut short: look, and run 'tweeze insert {job.id}' if it is not."
                    )
        self._hindered.discard(job.id)
        self._owe(lambda: self._service.journal.attend(job.id))
        if sentence:
            self._say(sentence)

    def _insert(
        self,
        job: Job,
        status: Status,
        abandoned: Abandoned = lambda: False,
        *,
        again: bool = False,
    ) -> int:
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
                if abandoned():
                    raise Cancelled("The insertion was cancelled.")
                if not journal.claim(job.id, number, again=again):
                    continue
                try:
                    place.insert(status.clips[number], mute=place_at.mute and number == 0)
                except BaseException:
                    if not place.in_doubt:
                        self._settle(job.id, number, Insertion.FREE)
                    raise
                self._settle(job.id, number, Insertion.INSERTED)
                done += 1
        return done

    def _waits(self, job: Job, clip: int) -> bool:
        return self._service.journal.insertion(job.id, clip) is Insertion.FREE

    def _in_doubt(self, job: Job, status: Status) -> bool:
        journal = self._service.journal
        states = [journal.insertion(job.id, n) for n in range(len(status.clips))]
        return Insertion.CLAIMED in states

    # What the journal is told: at once, or as soon as it takes it again.

    def _settle(self, id_: str, clip: int, outcome: Insertion) -> None:
        self._owe(lambda: self._service.journal.settle(id_, clip, outcome))

    def _owe(self, record: Callable[[], None]) -> None:
        self._owed.append(record)
        if not self._pay():
            _LOG.warning("The journal refuses: what became of a clip is written down later.")

    def _pay(self) -> bool:
        """Have the journal take what it could not take before; False while it refuses."""
        with self._paying:
            while self._owed:
                try:
                    self._owed[0]()
                except TweezeError:
                    return False
                self._owed.popleft()
        return True

    async def _insert_waiting(self, id_: str, *, again: bool) -> str:
        """Insert what is kept: all that waits, or the clips of one job.

        Of one named job also clips whose insertion was cut short; `again`, those that are in.
        """
        entries = self._kept_entries(id_)
        done = 0
        error: TweezeError | None = None
        for entry in entries:
            work = partial(self._insert_kept, entry, release=bool(id_) and not again, again=again)
            try:
                done += await self._thread.do(work)
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

    def _insert_kept(
        self, entry: Entry, abandoned: Abandoned, *, release: bool, again: bool
    ) -> int:
        if not self._pay():
            raise Failure(
                "What became of earlier clips cannot be written down, so that one could go in "
                f"twice: check that the disk of {self._folders.journal} has room, and try again."
            )
        if release:
            self._release(entry)
        return self._insert(entry.job, entry.status, abandoned, again=again)

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
            and any(self._waits(entry.job, n) for n in range(len(entry.status.clips)))
        ]

    def _release(self, entry: Entry) -> None:
        """At the user's word: an insertion that was cut short may be tried anew."""
        journal = self._service.journal
        for number in range(len(entry.status.clips)):
            if journal.insertion(entry.job.id, number) is Insertion.CLAIMED:
                journal.settle(entry.job.id, number, Insertion.FREE)

    def _cancel(self) -> str:
        running = [
            entry.job.id for entry in self._service.journal.unfinished() if _is_ours(entry.job)
        ]
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
        self._news.set()
        if status.state.final:
            self._ended.set()

    def _say(self, sentence: str) -> None:
        stamp = time.strftime("%H:%M")
        self._said.append(f"{stamp}  {one_line(sentence)}")
        self._news.set()
        task = asyncio.create_task(notify(one_line(sentence)))  # a slow desktop holds up nothing
        self._notices.add(task)
        task.add_done_callback(self._notices.discard)

    async def _keep_telling(self) -> None:
        while True:
            self._news.clear()
            self._tell()
            await asyncio.sleep(_CALM)
            await _news_of(self._news)

    def _tell(self) -> None:
        """Write what Tweeze Status shows."""
        lines = []
        try:
            for entry in self._service.journal.attended_by(_NAME):
                status = self._service.status(entry.job.id)
                what = ", ".join(entry.job.queries)
                share = f"{status.state.value} {status.progress:.0%}"
                lines.append(f"{entry.job.title}: {what}: {share}")
        except TweezeError as error:
            lines.append(one_line(str(error)))
        text = "".join(f"{line}\n" for line in [*lines, *self._said])
        path = self._folders.spool / "audacity.txt"
        if text == self._shown and path.exists():
            return
        try:
            replace_text(path, text)
            self._shown = text
        except OSError as error:
            _LOG.warning("The status text cannot be written: %s", error)

    # Housekeeping.

    async def _attend(self) -> None:
        while True:
            await asyncio.sleep(PAUSE)
            if self._startup.noticed() and installed(self._folders):
                with contextlib.suppress(HostError):
                    await self._thread.do(self._startup.attend)

    async def _clean(self) -> None:
        """Remove the files of clips that have been in a project for a day."""
        while True:
            try:
                await within(_CLEANING, aside(self._remove_inserted, name="audacity-clean"))
            except (TweezeError, asyncio.TimeoutError) as error:
                _LOG.warning("Clips that are in a project could not be removed: %s", error)
            await asyncio.sleep(3600)

    def _remove_inserted(self) -> None:
        journal = self._service.journal
        for entry in journal.recent(1000):
            clips = range(len(entry.status.clips))
            if (
                _is_ours(entry.job)
                and clips
                and time.time() - entry.changed > _CLIPS_KEPT
                and all(journal.insertion(entry.job.id, n) is Insertion.INSERTED for n in clips)
            ):
                shutil.rmtree(self._folders.clips / entry.job.id, ignore_errors=True)


async def _news_of(event: asyncio.Event) -> None:
    """Wait for an event, which may get lost, or for the clock."""
    with contextlib.suppress(asyncio.TimeoutError):
        await within(_LOOK, event.wait())


def _done(said: str) -> Status:
    return Status("", JobState.DONE, progress=1.0, message=one_line(said))


def _failed(id_: str, error: TweezeError) -> Status:
    bad = isinstance(error, BadInput)
    return Status(id_, JobState.FAILED, message=one_line(str(error)), bad_input=bad)


def _remove_captured(captured: list[Captured]) -> None:
    """Remove the files of a capture of which no job comes."""
    for one in captured:
        with contextlib.suppress(OSError):
            one.path.unlink()


def _is_ours(job: Job) -> bool:
    return job.placement is not None and job.placement.host == _NAME


def _clips(count: int) -> str:
    return f"{count} new track{'' if count == 1 else 's'}"


def _kept(error: TweezeError) -> str:
    text = str(error)
    hint = "" if "tweeze insert" in text else " The clip is kept: 'tweeze insert' puts it in."
    return f"{text}{hint}" if isinstance(error, HostError) else text
