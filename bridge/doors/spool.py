"""The spool folder: jobs, cancellations and requests come in as files, statuses go out as files.

Events of the file system only say when to look; looking is the same at an event and on the
clock, because events get lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

from bridge.doors.events import Events
from bridge.doors.statuses import STATUSES, Statuses, entries
from bridge.private import check_private
from bridge.requests import Requests
from engine.errors import BadInput, BadJob, Failure, Foreign, TweezeError
from engine.files import read_small
from engine.job import Job, check_id
from engine.queue.heartbeat import Heartbeat
from engine.queue.service import Service
from engine.request import Request
from engine.status import JobState, Status
from engine.text_form import one_line
from engine.waiting import aside, within

__all__ = ["Spool"]

SCAN = 2.0  # seconds between looks that no event asked for
PATIENCE = 10.0  # seconds a file may stay without its closing line
_TOLD_AGAIN = 200  # statuses of ended jobs that are written anew where the folder was removed
_FOREIGN = 0.2  # seconds between looks whether the folder is this engine's again
_JOIN = 1.0  # seconds that the watch on the folders gets to end
_BEAT = 1.0  # seconds between signs of life
_TELL = 0.1  # seconds between two progress values of one job on disk
_LOG = logging.getLogger("tweeze.spool")


class Spool:
    """The door made of files. `patience` is how long a file may stay without its closing line.

    `owned` says whether the folder is still this process's to serve; where not, it is left alone.
    """

    def __init__(
        self,
        service: Service,
        requests: Requests,
        *,
        patience: float = PATIENCE,
        owned: Callable[[], bool] = lambda: True,
    ) -> None:
        self._service = service
        self._requests = requests
        self._folders = service.folders
        self._patience = patience
        self._owned = owned
        self._incomplete: dict[Path, tuple[tuple[int, int], float]] = {}
        self._statuses = Statuses(service, requests, owned)
        self._ended_since_cleaning = 0
        self._look = asyncio.Event()
        self._beat = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._events: Events | None = None
        self._blind = ""  # why there are no events
        self._watched: list[int] = []
        self._stumbled = ""  # what the last look failed at
        self._subscriptions = contextlib.ExitStack()

    async def open(self) -> None:
        """Bring the statuses on disk up to date, and begin to look for files."""
        self._statuses.catch_up()
        for subscriber, every in ((self._statuses.write, _TELL), (self._note_change, math.inf)):
            self._subscriptions.callback(self._service.subscribe(subscriber, every=every))
        self._watch()
        self._look.set()
        self._tasks = [
            asyncio.create_task(self._keep_looking(), name="spool-look"),
            asyncio.create_task(self._keep_beating(), name="spool-heartbeat"),
        ]

    async def close(self) -> None:
        """Stop looking; statuses are still written."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._events is not None:
            self._events.stop()
            with contextlib.suppress(asyncio.TimeoutError):
                await within(_JOIN, aside(self._events.join, name="spool-events"))
        beat = Heartbeat.read(self._folders.heartbeat)
        if beat is not None and beat.pid == os.getpid():
            with contextlib.suppress(OSError):
                self._folders.heartbeat.unlink()

    def detach(self) -> None:
        """Write no further statuses; called when the service has said its last."""
        self._subscriptions.close()

    # Coming in.

    def _watch(self) -> None:
        """Have events of the three incoming folders wake the look; without them the clock must."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._look.set)

        incoming = (self._folders.jobs, self._folders.cancel, self._folders.requests)
        self._watched = [folder.stat().st_ino for folder in incoming]
        if self._events is not None:
            self._events.stop()
            self._events = None
        try:
            self._events = Events(incoming, wake)
        except Failure as error:
            self._go_blind(str(error))
        else:
            self._blind = ""

    def _go_blind(self, reason: str) -> None:
        """Look more often from now on; the reason is said once."""
        if not self._blind:
            _LOG.warning("%s Until then Tweeze looks for new files every half second.", reason)
        self._blind = one_line(reason)
        self._beat.set()

    async def _keep_looking(self) -> None:
        cleaned = 0.0
        while True:
            pause = SCAN / 4 if self._blind else SCAN
            if self._incomplete:
                pause = min(pause, self._patience / 4)
            with contextlib.suppress(asyncio.TimeoutError):
                await within(pause, self._look.wait())
            self._look.clear()
            try:
                if not self._owned():
                    continue  # whose folder this is now is for the process as a whole to find out
                await self._restore()
                self._statuses.write_missed()
                await self._take_all()
                if (
                    not cleaned
                    or time.monotonic() - cleaned > 3600
                    or self._ended_since_cleaning > STATUSES / 10
                ):
                    cleaned = time.monotonic()
                    self._ended_since_cleaning = 0
                    self._statuses.clean()
                self._stumbled = ""
            except Foreign:
                self._look.set()  # it may be this engine's again in a moment
                await asyncio.sleep(_FOREIGN)
            except Exception as error:
                if self._stumbled != repr(error):  # said once, however long it lasts
                    _LOG.exception("A look into the spool folder failed; others follow.")
                self._stumbled = repr(error)

    async def _restore(self) -> None:
        """Make the folders again if somebody removed them, and watch the new ones."""
        incoming = (self._folders.jobs, self._folders.cancel, self._folders.requests)
        try:
            found = [folder.stat().st_ino for folder in incoming]
            if self._events is None or found == self._watched:
                if self._events is not None and not self._events.alive:
                    self._go_blind("The watch on new files has broken off: run 'tweeze stop'.")
                return
        except FileNotFoundError:
            pass
        _LOG.warning("The spool folder was removed; it is made anew.")
        check_private(self._folders)
        self._watch()
        # Somebody may be waiting for a status that went with the folder.
        for entry in self._service.journal.recent(_TOLD_AGAIN):
            self._statuses.write_again(entry)
        self._statuses.catch_up()

    async def _take_all(self) -> None:
        for path in entries(self._folders.jobs):
            await self._take_job(path)
            await asyncio.sleep(0)  # whatever else is to be done has its turn in between
        for path in entries(self._folders.cancel):
            self._take_cancel(path)
        for path in entries(self._folders.requests):
            self._take_request(path)
        for path in [path for path in self._incomplete if not path.exists()]:
            del self._incomplete[path]

    async def _take_job(self, path: Path) -> None:
        try:
            text = self._whole_text(path)
            if text is None:
                return
            job = Job.from_text(text)
            if job.id != path.name:
                raise BadJob(f"The job file {path.name} holds another id: {job.id}.")
            try:
                status = await self._service.submit(job)
            except Foreign:
                raise  # the file is for whoever serves the folder next
            except Failure as error:
                # Nothing was promised, and the file would fail again: tell who sent it.
                status = Status(job.id, JobState.FAILED, message=str(error))
            except BadJob as error:
                self._put_away(path, error)
                return
            self._statuses.write(status)
            path.unlink(missing_ok=True)
        except (BadInput, OSError) as error:
            self._refuse(path, error)

    def _take_cancel(self, path: Path) -> None:
        id_ = path.name
        try:
            waiting = self._folders.jobs / check_id(id_)
            if waiting in self._incomplete:
                self._remove(waiting)
                self._statuses.write(Status(id_, JobState.CANCELLED, message="Cancelled."))
            else:
                self._requests.cancel(id_)
        except TweezeError as error:
            _LOG.warning("Nothing to cancel: %s", error)
        self._remove(path)

    def _take_request(self, path: Path) -> None:
        try:
            text = self._whole_text(path)
            if text is None:
                return
            request = Request.from_text(text)
            if request.id != path.name:
                raise BadJob(f"The request file {path.name} holds another id: {request.id}.")
            self._requests.submit(request, self._statuses.write_request)
        except (BadInput, OSError) as error:
            self._refuse(path, error)
            return
        self._remove(path)
        self._beat.set()

    def _whole_text(self, path: Path) -> str | None:
        """Return the text of an incoming file, or None while it is still being written.

        Raises
        ------
        BadJob
            It is no file for this folder, or did not become whole in time.

        """
        check_id(path.name)
        try:
            about = path.lstat()
            text = read_small(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                return None  # no fault of the file's: it is read when files can be opened again
            raise
        ending = text.rstrip("\r\n").rpartition("\n")[2]
        if ending == "end":
            self._incomplete.pop(path, None)
            return text
        look = (about.st_size, about.st_mtime_ns)
        known, since = self._incomplete.get(path, (None, 0.0))
        if known != look:
            self._incomplete[path] = (look, time.monotonic())
        elif time.monotonic() - since > self._patience:
            raise BadJob(
                f"The file {path.name} was not finished within {self._patience:.0f} s: "
                "its closing line 'end' is missing."
            )
        return None

    def _refuse(self, path: Path, error: Exception) -> None:
        """Say why a file is refused, and move it where it does not come again."""
        with contextlib.suppress(TweezeError):
            check_id(path.name)
            message = str(error) if isinstance(error, TweezeError) else _reason(path, error)
            status = Status(path.name, JobState.FAILED, message=one_line(message), bad_input=True)
            # What is known keeps its own status, whatever comes under its name later.
            if path.parent == self._folders.requests:
                if path.name not in self._requests:
                    self._statuses.write_request(status)
            elif self._service.journal.get(path.name) is None:
                self._statuses.write(status)
                # What was captured for it lies under its name, whatever its file says.
                with contextlib.suppress(OSError):
                    (self._folders.mixtures / f"{path.name}.wav").unlink()
        self._put_away(path, error)

    def _put_away(self, path: Path, error: Exception) -> None:
        _LOG.warning("Refused %s: %s", ascii(path.name), one_line(str(error)))
        self._incomplete.pop(path, None)
        refused = self._folders.spool / "refused"
        try:
            refused.mkdir(mode=0o700, exist_ok=True)
            path.rename(refused / f"{time.time_ns()}-{path.name[:120]}")
        except FileNotFoundError:
            pass
        except OSError:
            _LOG.exception("%s cannot be moved away.", ascii(path.name))

    def _remove(self, path: Path) -> None:
        self._incomplete.pop(path, None)
        with contextlib.suppress(FileNotFoundError):
            try:
                path.unlink()
            except OSError as error:
                self._put_away(path, error)

    # Going out.

    def _note_change(self, status: Status) -> None:
        self._ended_since_cleaning += status.state.final
        self._beat.set()

    async def _keep_beating(self) -> None:
        service = self._service
        mute = False
        while True:
            beat = Heartbeat(
                pid=os.getpid(),
                models=service.models,
                state=service.activity.value,
                queue=service.queue_length,
                running=service.running,
                worker=service.worker_pid,
                requests=len(self._requests),
                blind=self._blind,
                notice=one_line(service.journal.notice),
                stalled=int(service.stalled),
            )
            try:
                if self._owned():
                    beat.write(self._folders.heartbeat)
                mute = False
            except OSError as error:
                if not mute:
                    _LOG.warning("No sign of life can be written: %s", error)
                mute = True
            self._beat.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await within(_BEAT, self._beat.wait())


def _reason(path: Path, error: Exception) -> str:
    return f"The file {path.name} cannot be read ({getattr(error, 'strerror', None) or error})."
