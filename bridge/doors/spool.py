"""The spool folder: jobs, cancellations and requests come in as files, statuses go out as files.

Events of the file system only say when to look; looking is the same at an event and on the
clock, because events get lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from bridge.doors.events import Events
from bridge.hosts import Host
from engine import disk_clock
from engine.errors import BadInput, BadJob, Failure, Foreign, TweezeError
from engine.files import read_small, replace_text
from engine.folders import Folders
from engine.job import Job, check_id
from engine.queue.heartbeat import Heartbeat
from engine.queue.journal import Entry
from engine.queue.service import Service
from engine.request import Request
from engine.status import JobState, Status
from engine.text_form import one_line
from engine.waiting import aside, within

__all__ = ["Spool", "check_private"]

SCAN = 2.0  # seconds between looks that no event asked for
PATIENCE = 10.0  # seconds a file may stay without its closing line
KEEP = 7 * 24 * 3600.0  # seconds that statuses without clips and refused files are kept
STATUSES = 1000  # statuses that are kept at most of what has ended and has no clips
_READ = 600.0  # seconds within which whoever waits for a status has read it
REMEMBERED = 90 * 24 * 3600.0  # seconds that the journal knows a job after its end
_TOLD_AGAIN = 200  # statuses of ended jobs that are written anew where the folder was removed
_FOREIGN = 0.2  # seconds between looks whether the folder is this engine's again
_JOIN = 1.0  # seconds that the watch on the folders gets to end
_BEAT = 1.0  # seconds between signs of life
_TELL = 0.1  # seconds between two progress values of one job on disk
_LOG = logging.getLogger("tweeze.spool")


def check_private(folders: Folders) -> None:
    """Make the folders, and refuse those that other users could reach.

    Raises
    ------
    Failure
        A folder belongs to another user, or others may enter it, or it cannot be made.

    """
    try:
        folders.make()
        _check_way(folders.root)
        _check_owner(folders.root, others=0o022)
        for folder in (folders.spool, folders.mixtures, folders.clips, folders.models):
            _check_owner(folder, others=0o077)
    except OSError as error:
        raise Failure(
            f"The folder {error.filename or folders.root} cannot be used ({error.strerror}): "
            "check its permissions, or name another with TWEEZE_HOME."
        ) from error


def _check_owner(folder: Path, *, others: int) -> None:
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode):
        raise Failure(f"{folder} is not a folder: move it away.")
    if not hasattr(os, "geteuid"):
        return  # Windows: the user's own profile is private by its access list
    if about.st_uid != os.geteuid():
        raise Failure(f"The folder {folder} belongs to another user: name one with TWEEZE_HOME.")
    if about.st_mode & others:
        if not _keeps_modes(folder):
            raise Failure(
                f"Other users can reach the folder {folder}, and its disk (exFAT, NTFS, a share?) "
                "keeps no permissions: name a folder on another disk with TWEEZE_HOME, or have the "
                "disk mounted for you alone (options 'uid=YOU,umask=077')."
            )
        raise Failure(
            f"Other users can reach the folder {folder} (mode {stat.S_IMODE(about.st_mode):o}): "
            f"run 'chmod 700 {folder}'."
        )


def _keeps_modes(folder: Path) -> bool:
    """Return whether what is made in a folder for its owner alone is for its owner alone."""
    probe = folder / f".modes.{os.getpid()}"
    probe.mkdir(mode=0o700)
    try:
        return probe.stat().st_mode & 0o077 == 0
    finally:
        probe.rmdir()


def _check_way(root: Path) -> None:
    """Refuse a root that others could exchange as a whole: from a folder in which all may rename.

    Raises
    ------
    Failure
        A folder above is writable for everyone, without the sticky bit that `/tmp` has.

    """
    if not hasattr(os, "geteuid"):
        return
    for folder in root.resolve().parents:
        mode = folder.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise Failure(
                f"Other users can exchange what lies in {folder} (mode {stat.S_IMODE(mode):o}): "
                f"run 'chmod o-w {folder}', or name another folder with TWEEZE_HOME."
            )


class Spool:
    """The door made of files. `patience` is how long a file may stay without its closing line.

    `owned` says whether the folder is still this process's to serve; where not, it is left alone.
    """

    def __init__(
        self,
        service: Service,
        hosts: Mapping[str, Host],
        *,
        patience: float = PATIENCE,
        owned: Callable[[], bool] = lambda: True,
    ) -> None:
        self._service = service
        self._hosts = hosts
        self._folders = service.folders
        self._patience = patience
        self._owned = owned
        self._incomplete: dict[Path, tuple[tuple[int, int], float]] = {}
        self._told: dict[str, tuple[Status, float]] = {}
        self._unwritten: dict[Path, Status] = {}
        self._ended_since_cleaning = 0
        self._requests: dict[str, asyncio.Task[None]] = {}
        self._look = asyncio.Event()
        self._beat = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._events: Events | None = None
        self._blind = ""  # why there are no events
        self._watched: list[int] = []
        self._stumbled = ""  # what the last look failed at
        self._unlisten: Callable[[], None] = lambda: None

    async def open(self) -> None:
        """Bring the statuses on disk up to date, and begin to look for files."""
        self._catch_up()
        self._unlisten = self._service.listen(self._tell)
        self._watch()
        self._look.set()
        self._tasks = [
            asyncio.create_task(self._keep_looking(), name="spool-look"),
            asyncio.create_task(self._keep_beating(), name="spool-heartbeat"),
        ]

    async def close(self) -> None:
        """Stop looking; hosts that carry out requests are stopped, too."""
        tasks = [*self._tasks, *self._requests.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
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
        self._unlisten()

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
                for path, status in list(self._unwritten.items()):
                    self._write(status, path.parent)
                await self._take_all()
                if (
                    not cleaned
                    or time.monotonic() - cleaned > 3600
                    or self._ended_since_cleaning > STATUSES / 10
                ):
                    cleaned = time.monotonic()
                    self._ended_since_cleaning = 0
                    self._clean()
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
                if self._events is not None and not self._events.come:
                    self._go_blind("The part that hears of new files has died: run 'tweeze stop'.")
                return
        except FileNotFoundError:
            pass
        _LOG.warning("The spool folder was removed; it is made anew.")
        check_private(self._folders)
        self._watch()
        # Somebody may be waiting for a status that went with the folder.
        for entry in self._service.journal.recent(_TOLD_AGAIN):
            self._write_again(entry)
        self._catch_up()

    async def _take_all(self) -> None:
        for path in _entries(self._folders.jobs):
            await self._take_job(path)
            await asyncio.sleep(0)  # whatever else is to be done has its turn in between
        for path in _entries(self._folders.cancel):
            self._take_cancel(path)
        for path in _entries(self._folders.requests):
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
            self._write(status)
            path.unlink(missing_ok=True)
        except (BadInput, OSError) as error:
            self._refuse(path, error)

    def _take_cancel(self, path: Path) -> None:
        id_ = path.name
        try:
            waiting = self._folders.jobs / check_id(id_)
            if waiting in self._incomplete:
                self._remove(waiting)
                self._write(Status(id_, JobState.CANCELLED, message="Cancelled."))
            elif id_ in self._requests:
                self._requests[id_].cancel()
            else:
                self._service.cancel(id_)
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
            if self._service.journal.get(request.id) is not None or request.id in self._requests:
                raise BadJob(f"The id {request.id} is taken: send the request under a new one.")
            host = self._hosts.get(request.host)
            if host is None:
                raise BadJob(
                    f"There is no part for the editor {request.host[:40]!r} here; there are: "
                    f"{', '.join(self._hosts) or 'none'}."
                )
        except (BadInput, OSError) as error:
            self._refuse(path, error)
            return
        self._write(Status(request.id, JobState.QUEUED), self._folders.request_status)
        self._remove(path)
        task = asyncio.create_task(self._carry_out(host, request), name=f"request-{request.id}")
        self._requests[request.id] = task
        task.add_done_callback(lambda _: self._requests.pop(request.id, None))
        self._beat.set()

    async def _carry_out(self, host: Host, request: Request) -> None:
        last = Status(request.id, JobState.RUNNING)

        def report(status: Status) -> None:
            nonlocal last
            last = replace(status, id=request.id)
            self._write(last, self._folders.request_status)

        report(last)
        try:
            await host.handle(request, report)
            if not last.state.final:
                report(replace(last, state=JobState.DONE, progress=1.0))
        except asyncio.CancelledError:
            report(replace(last, state=JobState.CANCELLED, message="Cancelled."))
            raise
        except TweezeError as error:
            bad = isinstance(error, BadInput)
            report(replace(last, state=JobState.FAILED, message=str(error), bad_input=bad))
        except Exception:
            _LOG.exception("Request %s failed.", request.id)
            message = f"Unexpected error: see 'tweeze log' ({self._folders.log})."
            report(replace(last, state=JobState.FAILED, message=message))

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
                    self._write(status, self._folders.request_status)
            elif self._service.journal.get(path.name) is None:
                self._write(status)
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

    def _tell(self, status: Status) -> None:
        """Write a status down, though not every step of the progress."""
        known, when = self._told.get(status.id, (None, 0.0))
        now = time.monotonic()
        if known is not None and known.state is status.state and now - when < _TELL:
            return
        self._told[status.id] = (status, now)
        if status.state.final:
            del self._told[status.id]
            self._ended_since_cleaning += 1
        self._write(status)
        if known is None or known.state is not status.state:
            self._beat.set()

    def _write(self, status: Status, folder: Path | None = None) -> None:
        """Write a status down: a job's, or in the folder `request_status` a request's."""
        path = (folder or self._folders.status) / status.id
        known = self._unwritten.pop(path, None)
        if not self._owned():
            self._unwritten[path] = status
            return
        try:
            replace_text(path, status.to_text())
        except OSError as error:
            self._unwritten[path] = status  # written when the disk takes it again
            if known is None:
                _LOG.error("The status of %s cannot be written: %s", status.id, error)

    def _write_again(self, entry: Entry) -> None:
        """Write down what the journal knows of a job, as of when that was."""
        self._write(entry.status)
        with contextlib.suppress(OSError):
            os.utime(self._folders.status / entry.job.id, (entry.changed, entry.changed))

    def _catch_up(self) -> None:
        """Write the statuses that an earlier process did not get to write."""
        journal = self._service.journal
        for entry in journal.unfinished():
            self._write(entry.status)
        self._tell_of_clips()
        for path in [*_entries(self._folders.status), *_entries(self._folders.request_status)]:
            try:
                status = Status.from_text(read_small(path))
            except (BadInput, OSError):
                continue
            if status.state.final:
                continue
            known = journal.get(status.id) if path.parent == self._folders.status else None
            if known is not None:
                self._write(known.status)
            else:
                message = "The engine ended in the middle of this request: ask for it again."
                self._write(replace(status, state=JobState.FAILED, message=message), path.parent)

    def _tell_of_clips(self) -> None:
        """Write the statuses that are missing of jobs whose clips are kept.

        By its status alone a script that can only read files finds the clips of a job.
        """
        for folder in _entries(self._folders.clips):
            if not (self._folders.status / folder.name).exists():
                entry = self._service.journal.get(folder.name)
                if entry is not None and entry.status.state.final:
                    self._write_again(entry)

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

    def _clean(self) -> None:
        """Remove old statuses and refused files, and what writers left that died."""
        unfinished = {entry.job.id for entry in self._service.journal.unfinished()}
        for folder in (
            self._folders.status,
            self._folders.request_status,
            self._folders.jobs,
            self._folders.cancel,
            self._folders.requests,
            self._folders.spool / "refused",
        ):
            for age, path in disk_clock.ages(folder):
                if age > KEEP and not self._is_needed(path, unfinished):
                    self._remove_old(path)

        self._thin_out(self._folders.status, unfinished)
        self._thin_out(self._folders.request_status, unfinished)
        self._tell_of_clips()
        journal = self._service.journal
        for id_ in journal.ended_before(time.time() - REMEMBERED):
            if not (self._folders.clips / id_).exists():  # else they can still be asked for
                journal.forget(id_)

    def _thin_out(self, folder: Path, unfinished: set[str]) -> None:
        """Keep the youngest statuses only, so that the folder stays small whatever comes."""
        ages = [
            (age, path)
            for age, path in disk_clock.ages(folder)
            if not self._is_needed(path, unfinished)
        ]
        for age, path in ages[STATUSES:]:
            if age > _READ:
                self._remove_old(path)

    def _is_needed(self, path: Path, unfinished: set[str]) -> bool:
        """Whether a file is of something that goes on, or says where clips lie that are kept."""
        if path.parent == self._folders.request_status:
            return path.name in self._requests
        kept = path.parent == self._folders.status and (self._folders.clips / path.name).is_dir()
        return kept or path.name in unfinished

    def _remove_old(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()


def _entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, oldest name first, names that begin with a dot left out."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []


def _reason(path: Path, error: Exception) -> str:
    return f"The file {path.name} cannot be read ({getattr(error, 'strerror', None) or error})."
