"""The service's end of a worker: starts the process, receives its messages, ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from engine.errors import Failure
from engine.folders import Folders
from engine.queue.messages import FromWorker, Gone, Pulse, ToWorker
from engine.waiting import aside, within

__all__ = ["WorkerHandle", "WorkerMain"]

WorkerMain = Callable[[Connection, Folders], None]
_END = 3.0  # seconds that a killed process gets to end; what it holds may be much
_LOG = logging.getLogger("tweeze.worker")


class WorkerHandle:
    """One worker process, from its start to its end.

    The process is spawned, never forked: forking a process with threads copies locks in whatever
    state they are. It must be made in the main thread, because Linux ties the worker's life to
    the thread that started it.

    Attributes
    ----------
    inbox
        Messages from the worker in order, pulses left out; the last one is `Gone`.
    greeted
        Whether it has said anything yet.

    """

    def __init__(
        self,
        main: WorkerMain,
        folders: Folders,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.inbox: asyncio.Queue[FromWorker] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._last_sign = clock()
        self.greeted = False
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=main, args=(theirs, folders), name="tweeze-worker", daemon=True
        )
        try:
            self._process.start()
        except OSError as error:
            self._connection.close()
            raise Failure(
                f"The process for the model could not be started ({error}): close other programs."
            ) from error
        finally:
            theirs.close()
        self._receiver = threading.Thread(target=self._receive, name="worker-receiver", daemon=True)
        self._receiver.start()
        _LOG.info("Worker %s started.", self._process.pid)

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid or 0

    @property
    def silence(self) -> float:
        """Seconds since the worker last said anything, counted from its start."""
        return self._clock() - self._last_sign

    def excuse(self) -> None:
        """Count the silence from now: this process itself was held up (a suspended machine)."""
        self._last_sign = self._clock()

    def send(self, message: ToWorker) -> None:
        """Send a message; if the worker is gone, the inbox says so, not this method."""
        with contextlib.suppress(OSError):
            self._connection.send(message)

    def kill(self) -> None:
        """Kill the process at once; a worker may always be killed."""
        if self._process.is_alive():
            self._process.kill()

    async def close(self) -> int | None:
        """End the process, wait for that, free what it used, and return its exit code.

        A process that waits for a disk or a network share cannot be ended until that answers. It
        is left behind, and None returned: it was killed, so it will not do anything more, and
        what it holds is freed when it ends.
        """
        self.kill()
        try:
            await within(_END, aside(self._await_end, name="worker-end"))
        except asyncio.TimeoutError:
            _LOG.warning(
                "Worker %d was killed and does not end: a disk or network share that it reads "
                "does not answer, perhaps. It is left behind.",
                self.pid,
            )
            return None
        code = self._process.exitcode
        self._process.close()
        self._connection.close()
        _LOG.info("A worker ended (exit code %s).", code)
        return code

    def _await_end(self) -> None:
        self._process.join()
        self._receiver.join()

    def _receive(self) -> None:
        while True:
            try:
                message: FromWorker = self._connection.recv()
            except Exception:  # closed, or cut off in the middle of a message
                message = Gone()
            self._last_sign = self._clock()
            self.greeted = True
            if not isinstance(message, Pulse):
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                    self._loop.call_soon_threadsafe(self.inbox.put_nowait, message)
            if isinstance(message, Gone):
                return
