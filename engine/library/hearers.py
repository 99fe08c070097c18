"""Processes that listen, one for each core, and what comes of the files that they are given.

A file that ends a process, or makes it hang, takes no other with it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import psutil

from engine import processes
from engine.cores import threads
from engine.errors import Failure
from engine.library.content import Content

__all__ = ["Asked", "Came", "Hearers", "Item", "Known", "News", "Refused", "Told"]

_START = 180.0  # seconds that a process gets to load the listener
_SILENT = 60.0  # seconds without a sign of life after which it hangs
_MEMORY = 1 << 30  # bytes that are to be free for each
_LOSSES = 2  # processes that may end over one file
_LOG = logging.getLogger("tweeze.library")


@dataclass(frozen=True)
class Item:
    """A file to be heard; `size` in bytes, `mtime_ns` in nanoseconds since the epoch."""

    path: Path
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Asked:
    """Whether a file's content is known already; somebody must `answer`."""

    item: Item
    digest: bytes
    answer: Callable[[bool], None]


@dataclass(frozen=True)
class Told:
    """A sign of life: so many seconds of a file were heard."""

    item: Item
    seconds: float


@dataclass(frozen=True)
class Known:
    """A file whose content was known."""

    item: Item
    digest: bytes


@dataclass(frozen=True)
class Came:
    """What was heard in a file."""

    item: Item
    content: Content


@dataclass(frozen=True)
class Refused:
    """A sentence why a file could not be heard; `passing` if that is worth another try."""

    item: Item
    sentence: str
    passing: bool


News: TypeAlias = Asked | Told | Known | Came | Refused


class _Lost(Exception):  # noqa: N818
    """A process hangs or has ended; `str(error)` says which."""


class Hearers:
    """As many listening processes as are worth it, for files that come one after the other.

    `count` is how many; by default one for each core that this process may run on, if there is
    memory for them.
    """

    def __init__(self, count: int | None = None) -> None:
        self._count = count or _worth()
        self._news: queue.SimpleQueue[News | Failure | None] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._running: set[_Process] = set()
        self._closed = False

    def __enter__(self) -> Hearers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes, whatever they do."""
        with self._guard:
            self._closed = True
            running, self._running = set(self._running), set()
        for process in running:
            process.kill()

    def over(
        self, items: Iterable[Item], every: float = 0.5, idle: Callable[[], None] = lambda: None
    ) -> Iterator[News]:
        """Hear files, and yield what comes of each, in the order in which they are done.

        `idle` is called where nothing happens for `every` seconds; it may raise.

        Raises
        ------
        Failure
            No process can be started, or none can load the listener.

        """
        waiting = iter(items)
        count = 0
        for _ in range(self._count):
            first = self._next(waiting)
            if first is None:
                break
            count += 1
            threading.Thread(
                target=self._work, args=(first, waiting), name="hearer", daemon=True
            ).start()
        while count:
            try:
                news = self._news.get(timeout=every)
            except queue.Empty:
                idle()
                continue
            if isinstance(news, Failure):
                raise news
            if news is None:
                count -= 1
            else:
                yield news

    def _next(self, waiting: Iterator[Item]) -> Item | None:
        with self._guard:
            return None if self._closed else next(waiting, None)

    def _work(self, item: Item | None, waiting: Iterator[Item]) -> None:
        """Hear files with one process after the other; in a thread."""
        process: _Process | None = None
        try:
            while item is not None:
                losses = 0
                while True:
                    try:
                        if process is None:
                            process = self._started()
                        process.hear(item, self._news.put)
                        break
                    except _Lost as error:
                        if process is None or self._closed:
                            raise Failure(
                                f"The process that listens does not start: it {error}. See "
                                "'tweeze doctor'."
                            ) from None
                        self._end(process)
                        process = None
                        losses += 1
                        _LOG.warning("The process that heard %s %s.", ascii(str(item.path)), error)
                        if losses == _LOSSES:
                            sentence = (
                                f"{item.path} was begun twice, and each time the process that "
                                f"listens {error}: export the file again."
                            )
                            self._news.put(Refused(item, sentence, passing=True))
                            break
                item = self._next(waiting)
        except Failure as error:
            self._news.put(error)
        except OSError as error:
            said = (
                f"No process that listens could be started ({error.strerror}): run 'tweeze doctor'."
            )
            self._news.put(Failure(said))
        finally:
            if process is not None:
                self._end(process)
            self._news.put(None)

    def _started(self) -> _Process:
        process = _Process()
        with self._guard:
            if not self._closed:
                self._running.add(process)
        if self._closed:
            process.kill()
        try:
            process.wait_until_ready()
        except _Lost:
            self._end(process)
            raise
        return process

    def _end(self, process: _Process) -> None:
        with self._guard:
            self._running.discard(process)
        process.kill()


def _worth() -> int:
    """Return how many processes are worth it: one a core, as long as memory lasts."""
    return max(1, min(threads(), psutil.virtual_memory().available // _MEMORY))


class _Process:
    """The parent's end of one listening process."""

    def __init__(self) -> None:
        single = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            processes.command("engine.library.listening_process"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**processes.environment(os.environ), **single},
            # Ctrl-C is this process's matter, and decoders end with their listener.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._replies: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._receive, name="hearer-receiver", daemon=True).start()

    def wait_until_ready(self) -> None:
        """Wait until the listener is loaded."""
        self._reply(_START)

    def hear(self, item: Item, tell: Callable[[News], None]) -> None:
        """Have a file heard, and tell what comes of it."""
        self._send(path=str(item.path), about=[item.size, item.mtime_ns])
        while True:
            said = self._reply(_SILENT)
            if "seconds" in said:
                tell(Told(item, said["seconds"]))
            elif "digest" in said:
                answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
                tell(Asked(item, bytes.fromhex(said["digest"]), answers.put))
                try:
                    self._send(hear=not answers.get(timeout=_SILENT))
                except queue.Empty:
                    raise _Lost("was not told what to do") from None
            elif "known" in said:
                tell(Known(item, bytes.fromhex(said["known"])))
                return
            elif "content" in said:
                tell(Came(item, Content.from_json(said["content"])))
                return
            else:
                tell(Refused(item, said["error"], said["passing"]))
                return

    def kill(self) -> None:
        """End the process; one that the system holds on to is left behind."""
        with contextlib.suppress(OSError):
            if self._process.poll() is None:
                if hasattr(os, "killpg"):
                    os.killpg(self._process.pid, signal.SIGKILL)
                else:
                    self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def _send(self, **said: object) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(said).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            raise _Lost("ended") from None

    def _reply(self, limit: float) -> dict[str, Any]:
        try:
            said = self._replies.get(timeout=limit)
        except queue.Empty:
            raise _Lost(f"gave no answer within {limit:.0f} s") from None
        if said is None:
            raise _Lost("ended")
        return said

    def _receive(self) -> None:
        out = self._process.stdout
        assert out is not None
        with out, contextlib.suppress(OSError, ValueError):
            for line in out:
                self._replies.put(json.loads(line))
        self._replies.put(None)
