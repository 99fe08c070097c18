"""The spool folder: jobs, cancellations and requests come in as files, statuses go out as files.

Events of the file system only say when to look; looking is the same at an event and on the
clock, because events get lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from bridge.files import read_small, replace_text
from bridge.heartbeat import Heartbeat
from bridge.hosts import Host
from engine.errors import BadInput, BadJob, Failure, TweezeError
from engine.folders import Folders
from engine.job import Job, JobState, Status, check_id, one_line
from engine.request import Request
from engine.service import Service
from engine.waiting import aside, within

__all__ = ["Spool", "check_private"]

SCAN = 2.0  # seconds between looks that no event asked for
PATIENCE = 10.0  # seconds a file may stay without its closing line
KEEP = 7 * 24 * 3600.0  # seconds that statuses and refused files are kept
STATUSES = 1000  # statuses of ended jobs that are kept at most
_READ = 600.0  # seconds within which whoever waits for a status has read it
REMEMBERED = 90 * 24 * 3600.0  # seconds that the journal knows a job after its end
_TOLD_AGAIN = 200  # statuses of ended jobs that are written anew where the folder was removed
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
        raise Failure(f"{folder} is no folder: move it away.")
    if not hasattr(os, "geteuid"):
        return  # Windows: the user's own profile is private by its access list
    if about.st_uid != os.geteuid():
        raise Failure(f"The folder {folder} belongs to another user: name one with TWEEZE_HOME.")
    if about.st_mode & others:
        raise Failure(
            f"Other users can reach the folder {folder} (mode {stat.S_IMODE(about.st_mode):o}): "
            f"run 'chmod 700 {folder}'."
        )


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
    """The door made of files. `patience` is how long a file may stay without its closing line."""

    def __init__(
        self,
        service: Service,
        hosts: Mapping[str, Host],
        *,
        patience: float = PATIENCE,
    ) -> None:
        self._service = service
        self._hosts = hosts
        self._folders = service.folders
        self._patience = patience
        self._incomplete: dict[Path, tuple[tuple[int, int], float]] = {}
        self._told: dict[str, tuple[Status, float]] = {}
        self._unwritten: dict[str, Status] = {}
        self._ended_since_cleaning = 0
        self._requests: dict[str, asyncio.Task[None]] = {}
        self._look = asyncio.Event()
        self._beat = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._observer: BaseObserver | None = None
        self._watched: list[int] = []
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
        if self._observer is not None:
            self._observer.stop()
            with contextlib.suppress(asyncio.TimeoutError):
                await within(_JOIN, aside(self._observer.join, name="spool-observer"))
        with contextlib.suppress(OSError):
            self._folders.heartbeat.unlink()

    def detach(self) -> None:
        """Write no further statuses; called when the service has said its last."""
        self._unlisten()

    # Coming in.

    def _watch(self) -> None:
        """Have events of the three incoming folders wake the look; without them the clock must."""
        observer = Observer()
        waker = _Waker(asyncio.get_running_loop(), self._look)
        incoming = (self._folders.jobs, self._folders.cancel, self._folders.requests)
        try:
            for folder in incoming:
                observer.schedule(waker, str(folder))
            observer.start()
        except OSError as error:
            _LOG.warning("No events from the file system (%s): looking every second.", error)
            return
        self._observer = observer
        self._watched = [folder.stat().st_ino for folder in incoming]

    async def _keep_looking(self) -> None:
        cleaned = 0.0
        while True:
            pause = SCAN if self._observer is not None else SCAN / 4
            if self._incomplete:
                pause = min(pause, self._patience / 4)
            with contextlib.suppress(asyncio.TimeoutError):
                await within(pause, self._look.wait())
            self._look.clear()
            try:
                await self._restore()
                for status in list(self._unwritten.values()):
                    self._write(status)
                await self._take_all()
                if (
                    not cleaned
                    or time.monotonic() - cleaned > 3600
                    or self._ended_since_cleaning > STATUSES / 10
                ):
                    cleaned = time.monotonic()
                    self._ended_since_cleaning = 0
                    self._clean()
            except Exception:
                _LOG.exception("A look into the spool folder failed; the next one follows.")

    async def _restore(self) -> None:
        """Make the folders again if somebody removed them, and watch the new ones."""
        incoming = (self._folders.jobs, self._folders.cancel, self._folders.requests)
        try:
            if not self._watched or [f.stat().st_ino for f in incoming] == self._watched:
                return
        except FileNotFoundError:
            pass
        _LOG.warning("The spool folder was removed; it is made anew.")
        check_private(self._folders)
        if self._observer is not None:
            self._observer.stop()
            self._observer = None
        self._watch()
        # Somebody may be waiting for a status that went with the folder.
        for entry in self._service.journal.recent(_TOLD_AGAIN):
            self._write(entry.status)
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
        self._write(Status(request.id, JobState.QUEUED))
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
            self._write(last)

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
            message = (
                "Tweeze failed on this request in a way it does not know; the log at "
                f"{self._folders.log} holds the details."
            )
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
            # A job that is known keeps its own status, whatever comes under its name later.
            if self._service.journal.get(path.name) is None and path.name not in self._requests:
                message = str(error) if isinstance(error, TweezeError) else _reason(path, error)
                self._write(
                    Status(path.name, JobState.FAILED, message=one_line(message), bad_input=True)
                )
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

    def _write(self, status: Status) -> None:
        known = self._unwritten.pop(status.id, None)
        try:
            replace_text(self._folders.status / status.id, status.to_text())
        except OSError as error:
            self._unwritten[status.id] = status  # written when the disk takes it again
            if known is None:
                _LOG.error("The status of %s cannot be written: %s", status.id, error)

    def _catch_up(self) -> None:
        """Write the statuses that an earlier process did not get to write."""
        journal = self._service.journal
        for entry in journal.unfinished():
            self._write(entry.status)
        for path in _entries(self._folders.status):
            try:
                status = Status.from_text(read_small(path))
            except (BadInput, OSError):
                continue
            if status.state.final:
                continue
            known = journal.get(status.id)
            if known is not None:
                self._write(known.status)
            else:
                message = "The engine ended in the middle of this request: ask for it again."
                self._write(replace(status, state=JobState.FAILED, message=message))

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
            )
            try:
                beat.write(self._folders.heartbeat)
                mute = False
            except OSError as error:
                if not mute:
                    _LOG.warning("No sign of life can be written: %s", error)
                mute = True
                with contextlib.suppress(OSError):
                    # What it says is old, but that somebody says it takes no room on the disk.
                    os.utime(self._folders.heartbeat)
            self._beat.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await within(_BEAT, self._beat.wait())

    def _clean(self) -> None:
        """Remove old statuses and refused files, and what writers left that died."""
        unfinished = {entry.job.id for entry in self._service.journal.unfinished()}
        for folder in (
            self._folders.status,
            self._folders.jobs,
            self._folders.cancel,
            self._folders.requests,
            self._folders.spool / "refused",
        ):
            with contextlib.suppress(OSError):
                for path in list(folder.iterdir()):
                    if path.name not in unfinished and _age(path) > KEEP:
                        self._remove_old(path)

        self._thin_out(unfinished)
        journal = self._service.journal
        for id_ in journal.ended_before(time.time() - REMEMBERED):
            if not (self._folders.clips / id_).exists():  # else they can still be asked for
                journal.forget(id_)

    def _thin_out(self, unfinished: set[str]) -> None:
        """Keep the youngest statuses only, so that the folder stays small whatever comes."""
        with contextlib.suppress(OSError):
            paths = [p for p in self._folders.status.iterdir() if p.name not in unfinished]
            for path in sorted(paths, key=_age)[STATUSES:]:
                if _age(path) > _READ and path.name not in self._requests:
                    self._remove_old(path)

    def _remove_old(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()


class _Waker(FileSystemEventHandler):
    """Wakes the look when something in a folder was made, changed or moved."""

    def __init__(self, loop: asyncio.AbstractEventLoop, look: asyncio.Event) -> None:
        self._loop = loop
        self._look = look

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in ("created", "modified", "moved", "closed"):
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._look.set)


def _entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, oldest name first, names that begin with a dot left out."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []


def _age(path: Path) -> float:
    return time.time() - path.lstat().st_mtime


def _reason(path: Path, error: Exception) -> str:
    return f"The file {path.name} cannot be read ({getattr(error, 'strerror', None) or error})."
