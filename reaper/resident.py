"""REAPER's part of the resident process: hands requests to the script that listens in REAPER.

The script captures the selection, sends the jobs, and inserts the clips itself; here it is only
woken, asked, and told what there is to choose from.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from engine import disk_clock, models
from engine.advice import suggestions
from engine.errors import BadInput, BadJob, HostError
from engine.files import read_small, replace_text
from engine.folders import Folders
from engine.host import Report
from engine.job import clean_query
from engine.options import AUTO
from engine.queue.heartbeat import is_fresh
from engine.queue.service import Service
from engine.request import OPTIONS, Request, raise_refused
from engine.status import JobState, Status
from engine.text_form import lines, one_line, parse_lines
from engine.waiting import aside, within
from reaper.offer import option_rows
from reaper.wake import Waker

__all__ = ["ReaperResident"]

_NAME = "reaper"
_WAKING = 15.0  # seconds that REAPER gets to start the script
_TAKING = 15.0  # seconds that the engine gets to look at the jobs that the script has sent
_LOOK = 0.1  # seconds between looks at the script's answer
_OFFER = 60.0  # seconds between looks whether there are other models
_KEPT = 24 * 3600.0  # seconds that answers are kept
_T = TypeVar("_T")


class ReaperResident:
    """Carries out requests with the help of the script `Tweeze - listen`.

    A request's `action` is `separate` (with `query` and any option), `again`, `insert`
    (what became ready while its project was closed), `cancel`, or `suggest`: its message then
    names terms to ask for instead of `query`, with semicolons between them.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._folders = service.folders
        self._spool = service.folders.spool / _NAME

    async def run(self) -> None:
        """Keep on offer what there is to choose from; clean up what was answered long ago."""
        offered = ""
        while True:
            self._make_folders()
            try:
                offer = await _aside(lambda: _offer(self._folders))
            except HostError:
                offer = offered  # models may lie on a share that does not answer
            if offer != offered:
                replace_text(self._spool / "offer", offer)
                offered = offer
            self._clean()
            await asyncio.sleep(_OFFER)

    async def handle(self, request: Request, report: Report) -> None:
        """Have the script carry out a request.

        Raises
        ------
        BadInput
            The script says what is wrong with the selection.
        HostError
            Nobody in REAPER answers.

        """
        action = request.one("action", "separate")
        if action == "cancel":
            report(Status(request.id, JobState.DONE, message=self._cancel_all()))
            return
        if action == "suggest":
            said = await _aside(lambda: _suggested(request.one("query")))
            report(Status(request.id, JobState.DONE, progress=1.0, message=said))
            return
        if action not in ("separate", "again", "insert"):
            raise BadInput(
                f"A request to REAPER cannot have the action {action[:40]!r}: it can be separate, "
                "again, insert, cancel or suggest."
            )
        self._make_folders()
        waiting = self._spool / "wishes" / request.id
        if not self._is_alive():
            await _aside(Waker.of(self._folders).wake)
        replace_text(waiting, request.to_text())
        try:
            said, jobs = await self._answer(request.id)
            refused = await self._refused(jobs)
        except BaseException:
            # Taken back where it still lies there, else stopped.
            try:
                waiting.unlink()
            except OSError:
                with contextlib.suppress(OSError):
                    replace_text(self._spool / "cancel" / request.id, "end\n")
            raise
        failed = {status.id for status in refused}
        raise_refused(refused, [f"job {id_}" for id_ in jobs if id_ not in failed])
        report(Status(request.id, JobState.DONE, progress=1.0, message=one_line(said)))

    async def _refused(self, jobs: Sequence[str]) -> list[Status]:
        """Wait until the engine has looked at the jobs; return what it says of those that fail."""
        deadline = time.monotonic() + _TAKING
        refused = []
        for id_ in jobs:
            while (status := self._looked_at(id_)) is None and time.monotonic() < deadline:
                await asyncio.sleep(_LOOK)
            if status is not None and status.state is JobState.FAILED:
                refused.append(status)
        return refused

    def _looked_at(self, id_: str) -> Status | None:
        try:
            return self._service.status(id_) if self._service.is_admitted(id_) else None
        except BadJob:  # its file was not taken yet, or was refused
            with contextlib.suppress(OSError, BadInput):
                return Status.from_text(read_small(self._folders.status / id_))
            return None

    async def _answer(self, id_: str) -> tuple[str, list[str]]:
        """Wait until the script has sent its jobs, or says why not: its words, and the jobs."""
        began = time.monotonic()
        while True:
            state, message, jobs = self._read_answer(id_)
            if state in ("sent", "done", "partly"):
                return f"Jobs: {', '.join(jobs)}." if jobs else message, jobs
            if state == "failed":
                raise BadInput(message)
            if state in ("later", "elsewhere"):
                raise HostError(message or 'It waits: run "Tweeze - collect" in that project.')
            if state == "cancelled":
                raise HostError("It was cancelled in REAPER.")
            if self._is_alive():
                began = time.monotonic()
            elif time.monotonic() - began > _WAKING:
                raise HostError(
                    'REAPER does not answer: run its action "Tweeze - listen" once, and try again.'
                )
            await asyncio.sleep(_LOOK)

    def _read_answer(self, id_: str) -> tuple[str, str, list[str]]:
        with contextlib.suppress(OSError, BadJob):
            pairs = parse_lines(read_small(self._spool / "answers" / id_), repeated=("job",))
            said = dict(pairs)
            jobs = [value for key, value in pairs if key == "job"]
            return said.get("state", ""), said.get("message", ""), jobs
        return "", "", []

    def _is_alive(self) -> bool:
        with contextlib.suppress(OSError, BadJob, KeyError, ValueError):
            said = dict(parse_lines(read_small(self._spool / "alive")))
            return is_fresh(int(said["time"]))
        return False

    def _cancel_all(self) -> str:
        count = 0
        for entry in self._service.journal.unfinished():
            place = entry.job.placement
            if place is not None and place.host == _NAME:
                self._service.cancel(entry.job.id)
                count += 1
        return f"{count} cancelled." if count else "Nothing was at work."

    def _make_folders(self) -> None:
        # Requests lie in 'wishes': scripts that were installed earlier look for them there.
        for folder in (self._spool, *(self._spool / n for n in ("wishes", "answers", "cancel"))):
            folder.mkdir(mode=0o700, exist_ok=True)

    def _clean(self) -> None:
        for name in ("wishes", "answers", "cancel"):
            for age, path in disk_clock.ages(self._spool / name):
                if age > _KEPT:
                    with contextlib.suppress(OSError):
                        path.unlink()


async def _aside(work: Callable[[], _T]) -> _T:
    """Have `work` done in a thread; HostError where that takes longer than it can."""
    try:
        return await within(_WAKING, aside(work, name="reaper"))
    except asyncio.TimeoutError:
        raise HostError(
            f"REAPER's part of Tweeze got no answer within {_WAKING:.0f} s: a disk or network "
            "share does not answer, perhaps. Try again."
        ) from None


def _offer(folders: Folders) -> str:
    """Return models, the usual one first, options, and the sounds `compact` was trained on."""
    pairs = [("tweeze", "1"), *(("model", name) for name in (AUTO, *models.names(folders)))]
    pairs += option_rows(OPTIONS)
    return lines([*pairs, *(("sound", term) for term in suggestions.terms())])


def _suggested(query: str) -> str:
    """Return terms to ask for instead, the best one first, as they are typed into the window."""
    return "; ".join(one.term for one in suggestions.suggest(clean_query(query)))
