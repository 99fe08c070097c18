"""Clips onto Audacity's timeline, once each, whatever breaks in between.

Which jobs are on their way, and which clips wait, the journal alone knows: nothing is lost where a
part of this, or the engine, breaks and starts anew. A clip is claimed in the journal before it goes
in, so that it goes in once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Callable
from functools import partial

from audacity.marks import limits
from audacity.pipe import Pipe
from audacity.pipe_thread import Abandoned, PipeThread
from audacity.sight import Sight
from audacity.timeline import Captured, OtherProject, Place
from engine.errors import BadInput, Cancelled, Failure, HostError, TweezeError
from engine.job import Job, check_id
from engine.options import Options
from engine.queue.journal import Entry, Insertion
from engine.queue.service import Service
from engine.request import Request, events
from engine.status import JobState, Status
from engine.waiting import aside, within

__all__ = ["NAME", "Inserter", "is_ours", "news_of"]

NAME = "audacity"
"""What requests, placements and the journal call this editor."""

_CLIPS_KEPT = 24 * 3600.0  # seconds that the files of inserted clips are kept
_LOOK = 5.0  # seconds between looks into the journal that no news asked for
_CLEANING = 600.0  # seconds that removing old clips may take
_SIGHTS = 100  # projects of which it is remembered how they look from outside
_LOG = logging.getLogger("tweeze.audacity")


class Inserter:
    """Inserts the clips of Audacity's jobs, in the thread that talks with Audacity.

    `say` gets a sentence for the user about each end. `awaited` holds the ids of jobs whose request
    still waits to see whether they are refused, and says so itself.
    """

    def __init__(self, service: Service, thread: PipeThread, say: Callable[[str], None]) -> None:
        self._service = service
        self._folders = service.folders
        self._thread = thread
        self._say = say
        self.awaited: set[str] = set()
        self._sights: dict[str, Sight] = {}  # by the text of a project's fingerprint
        self._hindered: set[str] = set()  # jobs of which it was said that the journal refuses
        self._ended = asyncio.Event()

    def wake(self) -> None:
        """Look into the journal at once, since a job has ended."""
        self._ended.set()

    def remember(self, captured: Captured) -> None:
        """Remember how the project looks from outside: clips of it need not ask again."""
        if captured.sight is not None:
            self._sights.pop(captured.project, None)
            self._sights[captured.project] = captured.sight
            if len(self._sights) > _SIGHTS:
                del self._sights[next(iter(self._sights))]

    async def run(self) -> None:
        """Attend to the end of each job that came from Audacity, until cancelled."""
        while True:
            self._ended.clear()
            try:
                if self._service.outbox.flush():
                    for entry in self._service.journal.attended_by(NAME):
                        if entry.status.state.final and entry.job.id not in self.awaited:
                            await self._finish(entry.job, entry.status)
            except TweezeError as error:
                _LOG.warning("Clips may wait; it is looked for them again: %s", error)
            await news_of(self._ended)

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
                notes = " ".join([*_limited(job.options), *status.notes])
                if count:
                    sentence = f"{_clips(count)} of {job.title!r}: {asked}. {notes}".strip()
                elif self._in_doubt(job, status):
                    sentence = (
                        f"Whether {asked} is in the project is not known, for its insertion was "
                        f"cut short: look, and run 'tweeze insert {job.id}' if it is not."
                    )
        self._hindered.discard(job.id)
        self.dismiss(job.id)
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
        journal, outbox = self._service.journal, self._service.outbox
        place_at = job.placement
        assert place_at is not None
        waiting = [n for n in range(len(status.clips)) if again or self._waits(job, n)]
        if not waiting:
            return 0
        done = 0
        known = self._sights.get(place_at.project)
        with Pipe() as pipe, Place(pipe, place_at, known=known) as place:
            for number in waiting:
                if abandoned():
                    raise Cancelled("The insertion was cancelled.")
                if not journal.claim(job.id, number, again=again):
                    continue
                try:
                    place.insert(status.clips[number], mute=place_at.mute and number == 0)
                except BaseException:
                    if not place.in_doubt:
                        outbox.settle(job.id, number, Insertion.FREE)
                    raise
                outbox.settle(job.id, number, Insertion.INSERTED)
                done += 1
        return done

    def _waits(self, job: Job, clip: int) -> bool:
        return self._service.journal.insertion(job.id, clip) is Insertion.FREE

    def _in_doubt(self, job: Job, status: Status) -> bool:
        journal = self._service.journal
        states = [journal.insertion(job.id, n) for n in range(len(status.clips))]
        return Insertion.CLAIMED in states

    # What the journal records: at once, or as soon as it takes it again.

    def dismiss(self, id_: str) -> None:
        """Record that a job needs no attention any more."""
        self._service.outbox.attend(id_)

    async def insert_waiting(self, id_: str, *, again: bool) -> str:
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
        if not self._service.outbox.flush():
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
            if entry is None or not is_ours(entry.job):
                raise BadInput(f"There is no job {id_[:64]!r} from Audacity.")
            if entry.status.state is not JobState.DONE:
                raise BadInput(f"Job {id_} has no clips: it is {entry.status.state.value}.")
            return [entry]
        return [
            entry
            for entry in reversed(journal.recent(200))
            if is_ours(entry.job)
            and entry.status.state is JobState.DONE
            and any(self._waits(entry.job, n) for n in range(len(entry.status.clips)))
        ]

    def _release(self, entry: Entry) -> None:
        """At the user's word: an insertion that was cut short may be tried anew."""
        journal = self._service.journal
        for number in range(len(entry.status.clips)):
            if journal.insertion(entry.job.id, number) is Insertion.CLAIMED:
                journal.settle(entry.job.id, number, Insertion.FREE)

    async def label(self, request: Request) -> str:
        """Put labels beside the recording of a job, as a request names them.

        Raises
        ------
        BadInput
            The job did not come from Audacity, or an event is none.
        HostError
            Audacity does not answer, or another project is in front.

        """
        entry = self._service.journal.get(check_id(request.one("job")))
        if entry is None or not is_ours(entry.job):
            raise BadInput(f"There is no job {request.one('job')[:64]!r} from Audacity.")
        place_at, spans, name = entry.job.placement, events(request), request.one("name")
        assert place_at is not None

        def put(abandoned: Abandoned) -> None:
            with Pipe(abandon=abandoned) as pipe, Place(pipe, place_at) as place:
                place.label(spans, name)

        await self._thread.do(put)
        count = len(spans)
        return f"{count} label{'' if count == 1 else 's'} on a new track {name!r}."

    # Housekeeping.

    async def clean(self) -> None:
        """Remove the files of clips that have been in a project for a day, until cancelled."""
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
                is_ours(entry.job)
                and clips
                and time.time() - entry.changed > _CLIPS_KEPT
                and all(journal.insertion(entry.job.id, n) is Insertion.INSERTED for n in clips)
            ):
                shutil.rmtree(self._folders.clips / entry.job.id, ignore_errors=True)


def is_ours(job: Job) -> bool:
    """Return whether a job came from Audacity."""
    return job.placement is not None and job.placement.host == NAME


async def news_of(event: asyncio.Event) -> None:
    """Wait for an event, which may get lost, or for the clock."""
    with contextlib.suppress(asyncio.TimeoutError):
        await within(_LOOK, event.wait())


def _limited(options: Options) -> list[str]:
    """Return the sentence that says to which places a job was limited, if it was."""
    said = limits(options.at, options.never, options.band, options.rect)
    return [f"{said[0].upper()}{said[1:]}."] if said else []


def _clips(count: int) -> str:
    return f"{count} new track{'' if count == 1 else 's'}"


def _kept(error: TweezeError) -> str:
    text = str(error)
    hint = "" if "tweeze insert" in text else " The clip is kept: 'tweeze insert' puts it in."
    return f"{text}{hint}" if isinstance(error, HostError) else text
