"""Audacity's part of the resident process: carries out requests and tells the user about them.

All talk with Audacity happens in one thread. `insertion` brings the clips back onto the timeline.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import partial

from audacity import timeline
from audacity.insertion import NAME, Inserter, is_ours, news_of
from audacity.install import installed
from audacity.marks import SPANS, points_ignored
from audacity.pipe import Pipe
from audacity.pipe_thread import Abandoned, PipeThread
from audacity.startup import PAUSE, Startup
from audacity.timeline import Captured
from audacity.view import SEEN, Seen
from engine.errors import BadInput, HostError, TweezeError
from engine.files import replace_text
from engine.host import Notify, Report, Selected
from engine.job import Job, Placement
from engine.queue.service import Service
from engine.request import Request, raise_refused
from engine.status import JobState, Status
from engine.text_form import one_line

__all__ = ["AudacityResident"]

_REMEMBERED = 3  # sentences that stay in the status text
_CALM = 0.25  # seconds between two status texts
_REST = 4.0  # seconds that the thread gets to leave Audacity in order when the engine ends
_LOG = logging.getLogger("tweeze.audacity")


class AudacityResident:
    """Carries out requests of Audacity's menu commands, and inserts what comes of them.

    A request's `action` is `separate` (with `query` and any option), `again` (the last
    one once more, but for what is named beside it), `insert` (clips that are still waiting; `job`
    and `again` narrow and widen that), `events` (labels at each `event` of a `job`'s recording,
    called `name`), or `cancel`. `notify` shows a sentence on the desktop.
    """

    inserts = True
    marks = "label"

    def __init__(self, service: Service, notify: Notify) -> None:
        self._service = service
        self._folders = service.folders
        self._notify = notify
        self._thread = PipeThread()
        self._inserter = Inserter(service, self._thread, self._say)
        self._startup = Startup()
        self._said: deque[str] = deque(maxlen=_REMEMBERED)
        self._shown = ""
        self._news = asyncio.Event()
        self._notices: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Insert the clips of jobs as they are done, and attend Audacity's starts."""
        unsubscribe = self._service.subscribe(self._hear)
        tasks = [
            asyncio.create_task(self._inserter.run(), name="audacity-insert"),
            asyncio.create_task(self._keep_telling(), name="audacity-tell"),
            asyncio.create_task(self._attend(), name="audacity-start"),
            asyncio.create_task(self._inserter.clean(), name="audacity-clean"),
        ]
        try:
            await asyncio.gather(*tasks)
        except asyncio.CancelledError:
            await self._thread.rest(_REST)
            raise
        finally:
            unsubscribe()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(OSError):
                (self._folders.spool / "audacity.txt").unlink()

    async def handle(self, request: Request, report: Report) -> None:
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
            said = await self._inserter.insert_waiting(
                request.one("job"), again=request.one("again") == "yes"
            )
            return _done(said)
        if action == "events":
            return _done(await self._inserter.label(request))
        if action == "again":
            fields = [pair for pair in request.fields if pair[0] != "action"]
            return await self._separate(self._last(request.id).changed(fields))
        if action == "separate":
            return await self._separate(request)
        raise BadInput(
            f"A request to Audacity cannot have the action {action[:40]!r}: it can be separate, "
            "again, insert, events or cancel."
        )

    # Out of the timeline.

    async def selection(self, request: Request) -> list[Selected]:
        """Return what is selected in Audacity, a recording for each track.

        Raises
        ------
        TweezeError
            Nothing is, or Audacity does not answer.

        """
        try:
            # As if spans were named: labels and points do not limit what is only opened.
            capture = partial(self._capture, SPANS, Seen.from_text(request.one(SEEN)))
            captured = await self._thread.do(capture, discard=_remove_captured)
        except TweezeError as error:
            self._say(str(error))
            raise
        return [
            Selected(
                one.path,
                one_line(one.track),
                Placement(NAME, one.project, one.track, one.start, one.rate, mute=False),
            )
            for one in captured
        ]

    async def _separate(self, request: Request) -> Status:
        """Capture the selection, submit the jobs, and return the request's own outcome."""
        queries, options, placing = request.queries(), request.options(), request.placing()
        nots = request.nots()
        named = {name for name, _ in request.fields}
        self._remember(request)
        capture = partial(self._capture, named, Seen.from_text(request.one(SEEN)))
        captured = await self._thread.do(capture, discard=_remove_captured)
        ignored = {points_ignored(one.marks.points) for one in captured}
        for sentence in filter(None, ignored):
            self._say(sentence)
        sent: dict[str, str] = {}  # sentences about jobs, by id
        refused: list[Status] = []
        for one in captured:
            marks = one.marks.beside(named)
            place = Placement(NAME, one.project, one.track, one.start, one.rate, **placing)
            job = Job(
                id=one.path.stem,
                mixture=one.path,
                queries=queries,
                options=marks.limited(options),
                title=one_line(one.track),
                placement=place,
                client=NAME,
                nots=nots,
            )
            try:
                await self._service.submit(job, attendant=NAME)
            except asyncio.CancelledError:
                _remove_captured([other for other in captured if other.path.stem not in sent])
                self._cancel_all(sent)
                raise
            except TweezeError as error:
                _remove_captured([one])
                refused.append(_failed(job.id, error))
            else:
                limits = f", {marks.said}" if marks.said else ""
                sent[job.id] = f"{one.track} ({one.frames / one.rate:.1f} s){limits}: job {job.id}"
        self._inserter.awaited |= sent.keys()
        try:
            looked = [await self._service.admitted(id_) for id_ in sent]
        except asyncio.CancelledError:
            self._cancel_all(sent)
            raise
        else:
            for status in looked:
                if status.state is JobState.FAILED:
                    refused.append(status)
                    self._inserter.dismiss(status.id)
        finally:
            self._inserter.awaited -= sent.keys()
        going = [sent[status.id] for status in looked if status.state is not JobState.FAILED]
        raise_refused(refused, going)
        return _done("; ".join(going))

    def _cancel_all(self, sent: Iterable[str]) -> None:
        """Cancel the jobs of a request that was cancelled: nobody else would go on with them."""
        for id_ in sent:
            with contextlib.suppress(TweezeError):
                self._service.cancel(id_)

    def _capture(
        self, named: Collection[str], seen: Seen | None, abandoned: Abandoned
    ) -> list[Captured]:
        with Pipe(abandon=abandoned) as pipe:
            captured = timeline.capture(
                pipe,
                self._folders.mixtures,
                keepsake=self._folders.root / "audacity-export-setting",
                labels=SPANS.isdisjoint(named),
                seen=seen,
                abandoned=abandoned,
            )
        for one in captured:
            self._inserter.remember(one)
        return captured

    def _cancel(self) -> str:
        running = [
            entry.job.id for entry in self._service.journal.unfinished() if is_ours(entry.job)
        ]
        for id_ in running:
            self._service.cancel(id_)
        if not running:
            self._say("There is nothing to cancel.")
        return f"{len(running)} cancelled."

    # What was asked for last.

    def _remember(self, request: Request) -> None:
        fields = [pair for pair in request.fields if pair[0] not in ("action", SEEN)]
        with contextlib.suppress(OSError):
            replace_text(self._folders.root / "audacity-last.json", json.dumps(fields))

    def _last(self, id_: str) -> Request:
        try:
            text = (self._folders.root / "audacity-last.json").read_text("utf-8")
            return Request(id_, NAME, tuple((str(k), str(v)) for k, v in json.loads(text)))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise BadInput(
                "There is nothing to repeat yet: use Tools > Tweeze > Tweeze... first."
            ) from error

    # News.

    def _hear(self, status: Status) -> None:
        self._news.set()
        if status.state.final:
            self._inserter.wake()

    def _say(self, sentence: str) -> None:
        stamp = time.strftime("%H:%M")
        self._said.append(f"{stamp}  {one_line(sentence)}")
        self._news.set()
        task = asyncio.create_task(self._notify(one_line(sentence)))  # it may be slow
        self._notices.add(task)
        task.add_done_callback(self._notices.discard)

    async def _keep_telling(self) -> None:
        while True:
            self._news.clear()
            self._tell()
            await asyncio.sleep(_CALM)
            await news_of(self._news)

    def _tell(self) -> None:
        """Write what Tweeze Status shows."""
        lines = []
        try:
            for entry in self._service.journal.attended_by(NAME):
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

    async def _attend(self) -> None:
        while True:
            await asyncio.sleep(PAUSE)
            if self._startup.noticed() and installed(self._folders):
                with contextlib.suppress(HostError):
                    await self._thread.do(self._startup.attend)


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
