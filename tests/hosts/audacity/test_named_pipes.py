"""Windows' pair of named pipes, by a stand-in that has their rules; see `_NamedPipes`.

One client at a time; the pipes come anew after it has left; what is read ends a line with CR LF
wherever it is cut; a write waits for the reader. What Windows itself does was never seen here.
"""

from __future__ import annotations

import builtins
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from audacity import pipe
from audacity.pipe import Blocked, Busy, Gone, NotRunning, _NamedPipes

TO, FROM = r"\\.\pipe\ToSrvPipe", r"\\.\pipe\FromSrvPipe"


class Server:
    """The other end. `refusals` are what opening gets first."""

    def __init__(self) -> None:
        self.refusals: list[OSError] = []
        self.opened: list[str] = []
        self.reads, self._theirs = os.pipe()
        self._ours, self.writes = os.pipe()

    def open(self, path: str, mode: str, buffering: int) -> Any:
        assert (path, mode, buffering) in [(TO, "wb", 0), (FROM, "rb", 0)]
        if self.refusals:
            raise self.refusals.pop(0)
        self.opened.append(path)
        return os.fdopen(self._theirs if path == TO else self._ours, mode, buffering=0)

    def answer(self, *parts: bytes) -> None:
        for part in parts:
            os.write(self.writes, part)
            time.sleep(0.02)  # so that each is read by itself; the outcome is the same if not

    def leave(self) -> None:
        for end in ("reads", "writes"):
            if getattr(self, end) is not None:
                os.close(getattr(self, end))
                setattr(self, end, None)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server()
    real = builtins.open

    def open_(path: Any, *arguments: Any, **more: Any) -> Any:
        if str(path).startswith("\\\\.\\pipe"):
            return made.open(path, *arguments, **more)
        return real(path, *arguments, **more)

    monkeypatch.setattr(builtins, "open", open_)
    monkeypatch.setattr(pipe, "_SETTLE", 0.3)
    yield made
    made.leave()


def received(pipes: _NamedPipes, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = pipes.receive(time.monotonic() + 20)
        assert part is not None, data
        data += part
    return data


def test_a_command_and_its_answer(server: Server) -> None:
    pipes = _NamedPipes(0)
    assert server.opened == [TO, FROM]
    pipes.send(b"Help:\n", 20)
    assert os.read(server.reads, 100) == b"Help:\n"
    server.answer(b"one\r", b"\ntwo\r\n\0", b"\r", b"\n", b"\0", b"a\rb\r\n")
    expected = b"one\ntwo\n\na\rb\n"
    assert received(pipes, len(expected)) == expected
    assert pipes.receive(time.monotonic() + 0.01) is None
    pipes.close()


def test_pipes_that_are_made_anew_are_waited_for(server: Server) -> None:
    server.refusals = [FileNotFoundError(), FileNotFoundError()]
    _NamedPipes(0).close()
    server.refusals = [FileNotFoundError()] * 100
    with pytest.raises(NotRunning, match="Audacity is not running"):
        _NamedPipes(0)


def test_another_client_is_waited_for_and_named_as_the_reason(server: Server) -> None:
    server.refusals = [PermissionError(), OSError(231, "All pipe instances are busy")]
    _NamedPipes(20).close()
    server.refusals = [PermissionError()] * 100
    with pytest.raises(Busy, match="Another program holds"):
        _NamedPipes(0)


def test_an_audacity_that_takes_nothing_is_not_waited_for_without_a_limit(server: Server) -> None:
    pipes = _NamedPipes(0)
    with pytest.raises(Blocked, match="open dialog"):
        pipes.send(b"x" * (1 << 20), 0.1)
    pipes.close()
    assert not pipes._to.closed, "closing it would wait for what is being written"
    for _ in range(1 << 8):
        os.read(server.reads, 1 << 12)
    deadline = time.monotonic() + 20
    while not pipes._to.closed:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_audacity_that_ends_is_noticed_and_closing_does_not_wait(server: Server) -> None:
    pipes = _NamedPipes(0)
    reader = pipes._from
    server.leave()
    for _ in range(2):
        with pytest.raises(Gone, match="in the middle of the work"):
            pipes.receive(time.monotonic() + 20)
    with pytest.raises(Gone, match="in the middle of the work"):
        pipes.send(b"Help:\n", 20)
    pipes.close()
    deadline = time.monotonic() + 20
    while not reader.closed:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_closing_does_not_wait_for_what_is_read(server: Server) -> None:
    """On Windows, closing a file that is being read waits until something comes."""
    pipes = _NamedPipes(0)
    pipes.close()
    assert not pipes._from.closed
    server.leave()
