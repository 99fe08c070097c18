"""The process that opens audio files: one that hangs or crashes over a file takes nothing with it.

A file from outside can make a decoder loop for ever or end its process, and a share that is away
can hold up whoever looks at it. So files are opened and decoded in a process of their own. It is
started when it is first needed and serves one file after the other; when it does not answer in
time, it is killed. `engine.sound.audio` is what everybody else uses.

The two talk over the process's standard input and output: a line of JSON each way, with raw
samples after a reply.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine import processes
from engine.errors import BadAudio, Failure
from engine.sound.memory import is_exhausted

__all__ = ["Limits", "Recording"]

_TICK = 0.25  # seconds between two looks while an answer is waited for
_LONGER = 12  # times the limit that an answer may take in all, if there are signs of life meanwhile
_LOSSES = 2  # readers that may hang or end over one file
_PIPE = 1 << 20  # bytes that may wait between the two, where the system lets one choose
_LOG = logging.getLogger("tweeze.reader")


@dataclass
class Limits:
    """How long a reader may take, in seconds: to start, and to answer one request."""

    start: float = 60.0
    answer: float = 10.0


LIMITS = Limits()


class _Lost(Exception):  # noqa: N818
    """A reader hangs or has ended; `str(error)` says which."""


class _Reader:
    """The parent's end of one reader process."""

    def __init__(self) -> None:
        try:
            self._process = subprocess.Popen(
                processes.command("engine.sound.reading"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pipesize=_PIPE,
                # Decoders may start commands of their own, which are to end with it.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            if is_exhausted(error):
                raise
            if isinstance(error, FileNotFoundError):
                raise Failure(
                    f"Tweeze cannot read audio files: its program {sys.executable} was moved or "
                    "removed while it ran. Run 'tweeze stop', and try again."
                ) from error
            raise Failure(
                f"The process that reads audio files could not be started ({error.strerror}): "
                "close other programs."
            ) from error
        self.busy = True  # whether an answer is due
        self._replies: queue.SimpleQueue[tuple[dict[str, Any], bytes] | None] = queue.SimpleQueue()
        receiver = threading.Thread(target=self._receive, name="reader-receiver", daemon=True)
        try:
            receiver.start()
        except RuntimeError:  # no memory for it
            assert self._process.stdout is not None
            self._process.stdout.close()
            self.kill()
            raise
        try:
            self._answer(LIMITS.start, None)
        except _Lost as error:
            self.kill()
            raise Failure(
                f"The process that reads audio files does not start: it {error}."
            ) from error

    @property
    def usable(self) -> bool:
        """Whether it lives and waits for a request."""
        return not self.busy and self._process.poll() is None

    def ask(
        self, tick: Callable[[], None] | None, **request: object
    ) -> tuple[dict[str, Any], bytes]:
        """Send a request and return the answer: what it says, and its bytes.

        `tick` is called about four times a second meanwhile, and may raise.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise _Lost("ended") from None
        self.busy = True
        return self._answer(LIMITS.answer, tick)

    def kill(self) -> None:
        """End the process; one that the system holds on to is left behind."""
        with contextlib.suppress(OSError):
            if self._process.poll() is None:
                if hasattr(os, "killpg"):
                    os.killpg(self._process.pid, signal.SIGKILL)
                else:
                    self._process.kill()
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            _LOG.warning("Reader %d does not end; it is left behind.", self._process.pid)
            _left_behind.append(self._process)
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def _answer(
        self, limit: float, tick: Callable[[], None] | None
    ) -> tuple[dict[str, Any], bytes]:
        deadline = time.monotonic() + limit
        last = time.monotonic() + _LONGER * limit
        while (left := deadline - time.monotonic()) > 0:
            try:
                reply = self._replies.get(timeout=min(_TICK, left))
            except queue.Empty:
                if tick is not None:
                    tick()
                continue
            if reply is None:
                raise _Lost("ended")
            if reply[0].get("alive"):  # it takes long, and comes on
                deadline = min(time.monotonic() + limit, last)
                continue
            self.busy = False
            return reply
        raise _Lost(f"gave no answer within {limit:.0f} s")

    def _receive(self) -> None:
        out = self._process.stdout
        assert out is not None
        with out:
            try:
                while line := out.readline():
                    said = json.loads(line)
                    size = said.get("bytes", 0)
                    data = out.read(size)
                    if len(data) < size:
                        break
                    self._replies.put((said, data))
            except (OSError, ValueError):
                pass
        self._replies.put(None)
        self._process.wait()  # else it stays, as a zombie, until somebody asks for it


_left_behind: list[subprocess.Popen[bytes]] = []  # kept, or Python warns of each that still runs
_idle: list[_Reader] = []
_guard = threading.Lock()


def _borrowed() -> _Reader:
    with _guard:
        while _idle:
            reader = _idle.pop()
            if reader.usable:
                return reader
            reader.kill()
    return _Reader()


def _given_back(reader: _Reader) -> None:
    with _guard:
        if reader.usable and not _idle:  # one waits for the next file; more were needed only once
            _idle.append(reader)
            return
    reader.kill()


@atexit.register
def _end() -> None:
    with _guard:
        while _idle:
            _idle.pop().kill()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # they are the parent's


class Recording:
    """An open audio file, decoded by a reader process.

    `rate` is in Hz; `promised` is how many frames there should be, None where the file does not
    say. `notes` are sentences about what was left out or is not as the header says, whole when
    `read` has returned the last frames.

    Raises
    ------
    BadAudio
        The file cannot be read or separated; two readers hung or ended
        over it.
    Failure
        No reader can be started.

    """

    def __init__(self, path: Path, *, follow: bool, tick: Callable[[], None] | None) -> None:
        self.path = path
        self.notes: tuple[str, ...] = ()
        self._follow = follow
        self._tick = tick
        self._losses = 0
        self._done = 0
        self._reader: _Reader | None = None
        about = self._ask(do="open", path=os.fspath(path), follow=follow)[0]
        self.rate, self.channels = int(about["rate"]), int(about["channels"])
        self.promised: int | None = about["promised"]

    def read(self, frames: int) -> npt.NDArray[np.float32]:
        """Return the next samples, `(channels, <= frames)`; no frames at the end."""
        said, data = self._ask(do="read", frames=frames)
        block = np.frombuffer(data, np.float32).reshape(-1, self.channels)
        self._done += len(block)
        if not len(block):
            self.notes = tuple(f"'{self.path.name}' {note}" for note in said["notes"])
        return np.ascontiguousarray(block.T)

    def close(self) -> None:
        """Let go of the file."""
        reader, self._reader = self._reader, None
        if reader is None:
            return
        if reader.usable:
            with contextlib.suppress(_Lost):
                reader.ask(None, do="close")
        _given_back(reader)

    def _ask(self, **request: object) -> tuple[dict[str, Any], bytes]:
        while True:
            try:
                if self._reader is None:
                    self._reader = _borrowed()
                    if request["do"] != "open":
                        self._catch_up(self._reader)
                said, data = self._reader.ask(self._tick, **request)
            except _Lost as error:
                self._lose(error)
                continue
            except BaseException:
                self.close()
                raise
            if "error" in said:
                self.close()
                raise BadAudio(f"{self.path} {said['error']}")
            return said, data

    def _catch_up(self, reader: _Reader) -> None:
        """Have a reader that took over go to where the one before it was lost."""
        said, _ = reader.ask(self._tick, do="open", path=os.fspath(self.path), follow=self._follow)
        if (said.get("rate"), said.get("channels")) != (self.rate, self.channels):
            raise BadAudio(f"{self.path} changed while it was read: try again.")
        left = self._done
        while left:
            got = len(reader.ask(self._tick, do="read", frames=min(left, 1 << 16))[1])
            if not got:
                raise BadAudio(f"{self.path} changed while it was read: try again.")
            left -= got // (4 * self.channels)

    def _lose(self, error: _Lost) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.kill()
        self._losses += 1
        _LOG.warning("The reader of %s %s.", ascii(str(self.path)), error)
        if self._losses < _LOSSES:
            return
        if "answer" in str(error):
            raise BadAudio(
                f"{self.path} was opened twice, and each time the decoder {error}: it is damaged "
                "(export it again), or the disk that it lies on does not answer."
            ) from None
        raise BadAudio(
            f"{self.path} was opened twice, and each time the decoder crashed: it is damaged, "
            "export it again."
        ) from None
