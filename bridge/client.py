"""A program's side of the spool: sends jobs to the engine and follows what becomes of them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from bridge import launch
from engine.errors import BadInput, EngineUnreachable
from engine.files import read_small, replace_text
from engine.folders import Folders
from engine.job import Job
from engine.queue.heartbeat import Heartbeat
from engine.queue.lock import holder
from engine.request import Request
from engine.status import Status

__all__ = ["Client"]

_TAKEN = 30.0  # seconds within which an engine that answers must have taken a job
_SILENT = 30.0  # seconds without a sign of life after which a running engine counts as hung
_QUICK = 0.005  # seconds between looks in a job's first second, so that short jobs end at once
_CALM = 0.05  # seconds between looks later on
_CHECK = 0.25  # seconds between looks whether the engine is still there


class Client:
    """Talks to the engine of one user, and starts it where that is needed."""

    def __init__(self, folders: Folders) -> None:
        self.folders = folders

    def separate(
        self, job: Job, on_status: Callable[[Status], None] = lambda status: None
    ) -> Status:
        """Send a job and wait for its end; `on_status` is called with each new status.

        Raises
        ------
        EngineUnreachable
            The engine does not start, does not answer, or ended twice.

        """
        launch.ensure(self.folders)
        self.submit(job)
        return self.follow(job.id, on_status)

    def request(
        self, request: Request, on_status: Callable[[Status], None] = lambda status: None
    ) -> Status:
        """Send a request and wait for its end; `on_status` is called with each new status.

        Raises
        ------
        EngineUnreachable
            As for `separate`.

        """
        launch.ensure(self.folders)
        self._put(self.folders.requests / request.id, request.to_text())
        return self.follow(request.id, on_status, restart=False)

    def submit(self, job: Job) -> None:
        """Put a job into the spool; the engine takes it when it runs."""
        self._put(self.folders.jobs / job.id, job.to_text())

    def cancel(self, id: str) -> None:  # noqa: A002
        """Ask for a job to be cancelled; one that no engine has taken yet is taken back."""
        with contextlib.suppress(OSError):
            if holder(self.folders.lock) is None and self.status(id) is None:
                (self.folders.jobs / id).unlink()
                return
        self._put(self.folders.cancel / id, "end\n")

    def status(self, id: str) -> Status | None:  # noqa: A002
        """Return what the engine last said of a job or request, None if it has said nothing."""
        try:
            return Status.from_text(read_small(self._file(id)))
        except (OSError, BadInput):
            return None

    def knows(self, id: str) -> bool:  # noqa: A002
        """Return whether the spool holds anything of a job."""
        return self._file(id).exists() or (self.folders.jobs / id).exists()

    def follow(
        self,
        id: str,  # noqa: A002
        on_status: Callable[[Status], None] = lambda status: None,
        *,
        restart: bool = True,
    ) -> Status:
        """Wait until a job or request has come to its end.

        An engine that ends meanwhile is started again, once (`restart`), and goes on with the job.
        """
        started = checked = time.monotonic()
        alive = told = started
        seen: tuple[int, int] | None = None
        said: Status | None = None
        while True:
            now = time.monotonic()
            mark = _mark(self._file(id))
            if mark is not None:
                told = now
            if mark is not None and mark != seen:
                status = self.status(id)
                if status is not None:
                    seen = mark
                    if status != said:
                        said = status
                        on_status(status)
                    if status.state.final:
                        return status
            if now - checked > _CHECK:
                checked = now
                seen = None  # a coarse clock can give two statuses the same mark
                if holder(self.folders.lock) is None:
                    if not restart:
                        raise EngineUnreachable(
                            f"The engine ended while it worked on job {id}: see 'tweeze log', "
                            "then try again."
                        )
                    restart = False
                    launch.ensure(self.folders)
                    alive = told = time.monotonic()
                elif Heartbeat.of_living(self.folders) is not None:
                    alive = now
                elif now - alive > _SILENT:
                    raise EngineUnreachable(
                        "The engine does not answer: run 'tweeze stop' and try again."
                    )
                if now - told > _TAKEN:
                    raise EngineUnreachable(
                        f"The engine did not take job {id} within {_TAKEN:.0f} s: run the command "
                        "again; if that does not help, run 'tweeze doctor'."
                        if said is None
                        else f"The engine lost job {id}, perhaps because {self.folders.root} was "
                        "removed or replaced: run the command again."
                    )
            time.sleep(_QUICK if now - started < 1.0 else _CALM)

    def _file(self, id: str) -> Path:  # noqa: A002
        """Return where the status of a job or request lies, or will lie."""
        # An engine of an older version says what became of a request among the jobs, too.
        of_job = self.folders.status / id
        of_request = self.folders.request_status / id
        return of_request if of_request.exists() else of_job

    def _put(self, path: Path, text: str) -> None:
        try:
            replace_text(path, text)
        except OSError as error:
            raise EngineUnreachable(
                f"The engine's folder {path.parent} cannot be written ({error.strerror}): "
                "run 'tweeze doctor'."
            ) from error


def _mark(path: Path) -> tuple[int, int] | None:
    """Return what changes with each replacement of a file, or None while there is none."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns
