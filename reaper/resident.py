"""REAPER's part of the resident process: hands requests to the script that listens in REAPER.

The script captures the selection, sends the jobs, and inserts the clips itself; here it is only
woken, asked, and told what there is to choose from.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from engine import disk_clock, models
from engine.advice import suggestions
from engine.errors import BadInput, BadJob, HostError, TweezeError
from engine.files import read_small, replace_text
from engine.folders import Folders
from engine.host import Notify, Report, Selected
from engine.job import Placement, check_id, clean_query
from engine.options import AUTO
from engine.presets import MARK
from engine.queue.heartbeat import is_fresh
from engine.queue.preset_file import PresetFile
from engine.queue.service import Service
from engine.request import OPTIONS, Request, raise_refused
from engine.status import JobState, Status
from engine.text_form import lines, one_line, parse_lines
from engine.waiting import aside, within
from reaper.insertion import NAME, Inserter, NotTaken
from reaper.offer import option_rows
from reaper.wake import Waker

__all__ = ["ReaperResident"]

_FOLDERS = ("wishes", "answers", "cancel", "opened")  # of the spool for REAPER
# What the script writes down for each recording that is to be opened in the panel.
_OPENED = ("file", "title", "start", "rate", "note")
_WAKING = 15.0  # seconds that REAPER gets to start the script
_TAKING = 15.0  # seconds that the engine gets to look at the jobs that the script has sent
_LOOK = 0.1  # seconds between looks at the script's answer
_OFFER = 60.0  # seconds between looks whether there are other models
_KEPT = 24 * 3600.0  # seconds that answers are kept
_T = TypeVar("_T")


class ReaperResident:
    """Carries out requests with the help of the script `Tweeze - listen`.

    A request's `action` is `separate` (with `query` and any option), `again`, `insert`
    (what became ready while its project was closed, or the clips of one `job`), `events` (regions
    at each `event` of a `job`'s recording, called `name`), `cancel`, or
    `suggest`: its message then names terms to ask for instead of `query`, with semicolons between
    them.
    """

    inserts = True
    """Clips go where the script noted that their mixture came from."""
    collects = True
    """The script fetches the clips of the jobs that it sent itself."""
    marks = "region"
    tells = True
    """The scripts show what became of what they asked for."""

    def __init__(self, service: Service, notify: Notify) -> None:
        self._service = service
        self._folders = service.folders
        self._spool = service.folders.spool / NAME
        self._inserter = Inserter(service, self._carried_out, notify)
        with contextlib.suppress(OSError):
            self._make_folders()  # before the engine says that it is there

    async def run(self) -> None:
        """Insert the clips of jobs that are attended to, and keep what there is to choose from."""
        tasks = [
            asyncio.create_task(self._inserter.run(), name="reaper-insert"),
            asyncio.create_task(self._keep_offering(), name="reaper-offer"),
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_offering(self) -> None:
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
            said = await _aside(lambda: _suggested(request.one("query"), self._folders))
            report(Status(request.id, JobState.DONE, progress=1.0, message=said))
            return
        if action not in ("separate", "again", "insert", "events"):
            raise BadInput(
                f"A request to REAPER cannot have the action {action[:40]!r}: it can be separate, "
                "again, insert, events, cancel or suggest."
            )
        if action == "insert" and request.one("job"):
            again = request.one("again") == "yes"
            said = await self._inserter.insert(request.one("job"), again=again)
            report(Status(request.id, JobState.DONE, progress=1.0, message=said))
            return
        if action == "events":
            said = await self._inserter.mark(request)
            report(Status(request.id, JobState.DONE, progress=1.0, message=said))
            return
        said, _ = await self._carried_out(request, ("sent", "done", "partly"))
        report(Status(request.id, JobState.DONE, progress=1.0, message=one_line(said)))

    async def selection(self, request: Request) -> list[Selected]:
        """Return what the script read and wrote down before it sent the request.

        Raises
        ------
        BadInput
            It wrote nothing down, or something that cannot be opened.

        """
        path = self._spool / "opened" / request.id
        try:
            pairs = await _aside(lambda: parse_lines(read_small(path), repeated=_OPENED))
        except (OSError, BadJob):
            raise BadInput(
                'REAPER sent nothing to open: select audio there, and run "Tweeze - panel".'
            ) from None
        with contextlib.suppress(OSError):
            path.unlink()
        columns = [[value for key, value in pairs if key == name] for name in _OPENED]
        project = dict(pairs).get("project", "")
        try:
            return [self._selected(project, *row) for row in zip(*columns, strict=True)]
        except (ValueError, TweezeError) as error:
            raise BadInput(f"What REAPER wants to open cannot be read: {error}.") from error

    def _selected(
        self, project: str, file: str, title: str, start: str, rate: str, note: str
    ) -> Selected:
        path = Path(file)
        if path.parent != self._folders.mixtures or path.name in ("", ".", ".."):
            raise BadInput(f"{file[:200]!r} is not among the mixtures")
        place = Placement(NAME, project, title, int(start), int(rate), note=check_id(note))
        return Selected(path, title, place)

    async def _carried_out(self, request: Request, ends: Sequence[str]) -> tuple[str, list[str]]:
        """Have the script carry out a request until its answer is one of `ends`.

        Returns its words, and the jobs that it sent; raises as `handle` does.
        """
        self._make_folders()
        waiting = self._spool / "wishes" / request.id
        if not self._is_alive():
            try:
                await _aside(Waker.of(self._folders).wake)
            except HostError as error:
                raise NotTaken(str(error)) from error
        replace_text(waiting, request.to_text())
        try:
            said, jobs = await self._answer(request.id, ends)
            refused = await self._refused(jobs)
        except BaseException as error:
            # Taken back where it still lies there, else stopped.
            try:
                waiting.unlink()
            except OSError:
                with contextlib.suppress(OSError):
                    replace_text(self._spool / "cancel" / request.id, "end\n")
            else:
                if isinstance(error, HostError):
                    raise NotTaken(str(error)) from error
            raise
        failed = {status.id for status in refused}
        raise_refused(refused, [f"job {id_}" for id_ in jobs if id_ not in failed])
        return said, jobs

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

    async def _answer(self, id_: str, ends: Sequence[str]) -> tuple[str, list[str]]:
        """Wait until the script has sent its jobs, or says why not: its words, and the jobs."""
        began = time.monotonic()
        while True:
            state, message, jobs = self._read_answer(id_)
            if state in ends:
                sent = f"Jobs: {', '.join(jobs)}." if jobs else ""
                return f"{sent} {message}".strip(), jobs
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
            if place is not None and place.host == NAME:
                self._service.cancel(entry.job.id)
                count += 1
        return f"{count} cancelled." if count else "Nothing was at work."

    def _make_folders(self) -> None:
        # Requests lie in 'wishes': scripts that were installed earlier look for them there.
        for folder in (self._spool, *(self._spool / n for n in _FOLDERS)):
            folder.mkdir(mode=0o700, exist_ok=True)

    def _clean(self) -> None:
        for name in _FOLDERS:
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


def _suggested(query: str, folders: Folders) -> str:
    """Return terms to ask for instead, the best one first, as they are typed into the window.

    Of what begins with `@` they are the presets whose names begin so.
    """
    if query.startswith(MARK):
        begun = query.removeprefix(MARK).strip().casefold()
        names = [preset.name for preset in PresetFile(folders).all() if ";" not in preset.name]
        return "; ".join(f"{MARK}{name}" for name in names if name.casefold().startswith(begun))
    return "; ".join(one.term for one in suggestions.suggest(clean_query(query)))
