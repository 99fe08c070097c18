"""A client of Audacity's mod-script-pipe that cannot hang and says what is wrong.

The protocol (Audacity 3.2 to 3.7): one UTF-8 line a command; the reply is message lines, then
`BatchCommand finished: OK` or `Failed!`, then an empty line. A modal dialog withholds the reply
until it is closed; without a project window each command is swallowed and the reply is a bare
newline. The FIFOs stay behind when Audacity ends, so their existence proves nothing.

* HostError
  * NotRunning        nobody listens on the pipe
  * NoProject         Audacity runs, but no project window takes commands (start, or all closed)
  * Blocked           no reply in time: a dialog is open, or a long operation runs
  * Busy              another program holds the pipe
  * Gone              Audacity ended while a command was under way
  * Refused           Audacity answered `Failed!` or did not understand
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import queue
import re
import secrets
import select
import stat
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol

from engine.errors import HostError

__all__ = [
    "COMMAND_LIMIT",
    "Blocked",
    "Busy",
    "Gone",
    "NoProject",
    "NotRunning",
    "Pipe",
    "Refused",
    "command",
    "listening_fifo",
    "plain",
]

COMMAND_LIMIT = 1022
"""Bytes of the longest command; Audacity reads with a buffer of 1,024 and would take a longer
line for two commands, with two replies."""

_REPLY_END = re.compile(rb"(\A|\n)BatchCommand finished: [^\n]*\n\n\Z")
_SETTLE = 2.0  # seconds Audacity may take to make its FIFOs anew after the last client left
_START = 5.0  # seconds of bare newlines before "no project" is believed
_TURN = 5.0  # seconds to wait for another client to be done


class NotRunning(HostError):  # noqa: N818
    """Nobody listens on the pipe."""


class NoProject(HostError):  # noqa: N818
    """Audacity runs, but no project window takes commands."""


class Blocked(HostError):  # noqa: N818
    """Audacity took a command and did not answer in time."""


class Busy(HostError):  # noqa: N818
    """Another program holds the pipe, and would get the answers that are meant for us."""


class Gone(HostError):  # noqa: N818
    """Audacity ended while a command was under way."""


class Refused(HostError):  # noqa: N818
    """Audacity answered that a command failed."""


def command(name: str, **values: str | float | Path) -> str:
    r"""Return the line for one command, its values quoted.

    A path is written with forward slashes. A float is written with nine decimals. Other values
    must be free of backslashes and control characters (see `plain`), since Audacity unescapes
    them once or twice, depending on the command.

    Raises
    ------
    HostError
        The line is longer than `COMMAND_LIMIT`, or a value cannot be sent.

    Examples
    --------
    >>> command("SetTrackStatus", Name='the "big" dog')
    'SetTrackStatus: Name="the \\"big\\" dog"'

    """
    words = [f"{name}:"]
    for key, value in values.items():
        if isinstance(value, Path):
            text = value.as_posix()
        elif isinstance(value, float):
            text = f"{value:.9f}"
        else:
            text = str(value)
        if text != plain(text):
            raise HostError(f"Audacity cannot be sent the {key} {text[:80]!r}: choose another.")
        quoted = text.replace('"', '\\"')
        words.append(f'{key}="{quoted}"')
    line = " ".join(words)
    if len(line.encode()) > COMMAND_LIMIT:
        raise HostError(
            f"The command {name} has {len(line.encode()):,} bytes; Audacity takes {COMMAND_LIMIT:,}"
            ": use a shorter path or name."
        )
    return line


def plain(text: str) -> str:
    """Return `text` as Audacity can be told it: no control characters, `/` for backslashes."""
    return "".join(
        "/" if c == "\\" else " " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c
        for c in text
    )


class Pipe:
    """One connection to the running Audacity; made for one job and closed after it.

    A connection begins with a question that only this client can have asked. Replies to what an
    earlier client left unanswered are thus read and dropped, and a reply that somebody else
    takes away shows.

    Parameters
    ----------
    timeout
        Seconds that Audacity may take for an ordinary command.
    patience
        Seconds to wait, while connecting, for another client to be done or a project to open.
    abandon
        Asked while waiting for a project to open; true ends the wait.

    """

    def __init__(
        self,
        *,
        timeout: float = 15.0,
        patience: float | None = None,
        abandon: Callable[[], bool] = lambda: False,
    ) -> None:
        self._timeout = timeout
        self._abandon = abandon
        self._broken = False
        turn = _TURN if patience is None else patience
        start = _START if patience is None else patience
        deadline = time.monotonic() + _SETTLE
        while True:
            self._transport = _connect(turn)
            try:
                self._greet(start)
                return
            except BaseException as error:
                self.close()
                # The FIFOs that were opened may be those of a client that has just left.
                if not isinstance(error, Gone) or time.monotonic() > deadline:
                    raise
                self._broken = False

    def __enter__(self) -> Pipe:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def broken(self) -> bool:
        """Whether replies can no longer be told apart, so that no command makes sense."""
        return self._broken

    def do(self, line: str, *, timeout: float | None = None) -> str:
        """Send one command and return the message lines of its reply.

        Raises
        ------
        Refused
            Audacity said `Failed!`, or that it does not understand the line.
        NoProject, Blocked, Gone
            There is no proper reply; after Blocked and Gone the connection is of no more use.

        """
        if "\n" in line or "\r" in line or len(line.encode()) > COMMAND_LIMIT:
            raise HostError(f"The command {line[:60]!r} is not one line of {COMMAND_LIMIT} bytes.")
        name = line.partition(":")[0]
        self._send(line)
        reply = self._reply(name, timeout)
        if reply == "\n":
            raise NoProject(
                "Audacity has no project window that takes commands: open a project and try again."
            )
        message, finished, outcome = reply.rpartition("BatchCommand finished: ")
        if not finished:
            raise Refused(f"Audacity does not understand the command {name}: {reply.strip()[:200]}")
        if not outcome.startswith("OK"):
            told = " ".join(message.split())[:200] or "it gives no reason"
            raise Refused(f"Audacity refused the command {name} ({told}).")
        return message

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._transport.close()

    def _greet(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        while True:
            # A command that does not exist: it is refused by its name, in every language, and takes
            # half as long as the quickest that would say something.
            token = f"tweeze{secrets.token_hex(8)}"
            self._send(f"{token}:")
            replies = 0
            while True:
                reply = self._reply("a sign of life", None)
                replies += 1
                if token in reply:
                    return
                if reply == "\n":
                    break
                if replies > 8:
                    self._broken = True
                    raise Busy(
                        "Another program talks to Audacity at the same time: "
                        "wait until it is done and try again."
                    )
            if time.monotonic() >= deadline or self._abandon():
                raise NoProject(
                    "Audacity has no project window that takes commands: "
                    "open a project and try again."
                )
            time.sleep(0.05)

    def _send(self, line: str) -> None:
        if self._broken:
            raise Gone("The connection to Audacity is out of step: connect anew.")
        try:
            self._transport.send(line.encode() + b"\n", self._timeout)
        except HostError:
            self._broken = True
            raise

    def _reply(self, name: str, timeout: float | None) -> str:
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        data = b""
        while True:
            try:
                part = self._transport.receive(deadline)
            except HostError:
                self._broken = True
                raise
            if part is None:
                self._broken = True
                others = _other_clients()
                if others:
                    raise Busy(
                        f"Another program talks to Audacity ({others[0]}): "
                        "wait until it is done and try again."
                    )
                raise Blocked(
                    "Audacity does not answer: look for an open dialog in Audacity, close it, "
                    f"and try again (it was asked for {name})."
                )
            data += part
            if data == b"\n" or _REPLY_END.search(data):
                break
            if data.endswith(b"\n\n") and b"BatchCommand finished: " not in data:
                break  # a syntax error has only its text
        return data.decode("utf-8", "replace")


class _Transport(Protocol):
    def send(self, data: bytes, timeout: float) -> None: ...

    def receive(self, deadline: float) -> bytes | None:
        """Return some bytes, or None if none came until `deadline` (monotonic seconds)."""

    def close(self) -> None: ...


def _connect(patience: float) -> _Transport:
    if sys.platform == "win32":
        return _NamedPipes(patience)
    return _Fifos(patience)


def listening_fifo() -> Path:
    """Return the path at which Audacity listens, whether or not it does (Linux and macOS)."""
    return _fifo("to")


def _fifo(direction: str) -> Path:
    return Path(f"/tmp/audacity_script_pipe.{direction}.{os.getuid()}")


def _open_own(path: Path, way: int) -> int:
    """Open a FIFO of this user's: every user may put something of that name into `/tmp`.

    Raises
    ------
    NotRunning
        It is a link, no FIFO, or another user's, who would read the commands and give the answers.

    """
    try:
        handle = os.open(path, way | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EACCES):
            raise NotRunning(_FOREIGN.format(path)) from error
        raise
    about = os.fstat(handle)
    if not stat.S_ISFIFO(about.st_mode) or about.st_uid != os.geteuid():
        os.close(handle)
        raise NotRunning(_FOREIGN.format(path))
    return handle


_FOREIGN = "{} is not the pipe of your own Audacity: have it removed and start Audacity again."
_GONE = "Audacity was closed in the middle of the work."
_DEAF = (
    "Audacity does not take commands: look for an open dialog in Audacity, close it, and try again."
)
_CLOSED = "Audacity is not running, or runs without mod-script-pipe: start it and try again"


class _Fifos:
    """The pair of FIFOs on Linux and macOS.

    `/tmp` is what Audacity uses whatever TMPDIR says. Opening to write without blocking fails
    with ENXIO where no Audacity reads: that tells a stale FIFO from a live one.
    """

    def __init__(self, patience: float) -> None:
        self._wait_for_turn(patience)
        deadline = time.monotonic() + _SETTLE
        while True:
            try:
                self._to = _open_own(_fifo("to"), os.O_WRONLY)
                break
            except OSError as error:
                if error.errno not in (errno.ENXIO, errno.ENOENT):
                    raise NotRunning(f"Audacity's pipe cannot be opened: {error}.") from error
                runs = _editor_runs()
                if runs and time.monotonic() >= deadline:
                    raise Blocked(
                        "Audacity runs but does not listen: look for an open dialog in Audacity "
                        "and close it; if there is none, close Audacity and start it again."
                    ) from error
                if runs is False or time.monotonic() >= deadline:
                    left = " (an earlier Audacity left its pipe behind)"
                    stale = left if error.errno == errno.ENXIO else ""
                    raise NotRunning(f"{_CLOSED}{stale}.") from error
                time.sleep(0.01)
        try:
            self._from = _open_own(_fifo("from"), os.O_RDONLY)
        except NotRunning:
            os.close(self._to)
            raise
        except OSError as error:
            os.close(self._to)
            raise NotRunning(f"Audacity's pipe cannot be opened: {error}.") from error

    @staticmethod
    def _wait_for_turn(patience: float) -> None:
        deadline = time.monotonic() + patience
        while others := _other_clients():
            if time.monotonic() >= deadline:
                raise Busy(
                    f"Another program holds Audacity's pipe ({others[0]}): "
                    "wait until it is done, or end it, and try again."
                )
            time.sleep(0.05)

    def send(self, data: bytes, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while data:
            ready = select.select([], [self._to], [], max(0.0, deadline - time.monotonic()))[1]
            if not ready:
                raise Blocked(_DEAF)
            try:
                data = data[os.write(self._to, data) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise Gone(_GONE) from error

    def receive(self, deadline: float) -> bytes | None:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            if not select.select([self._from], [], [], left)[0]:
                return None
            try:
                data = os.read(self._from, 1 << 16)
            except BlockingIOError:
                continue
            if data:
                return data
            # End of file: Audacity has not yet opened its end, or is gone.
            if not self._read_by_someone():
                raise Gone(_GONE)
            time.sleep(0.002)

    def close(self) -> None:
        for end in ("_to", "_from"):
            with contextlib.suppress(OSError, AttributeError):
                os.close(getattr(self, end))
                delattr(self, end)

    def _read_by_someone(self) -> bool:
        poll = select.poll()
        poll.register(self._to, select.POLLERR)
        return not any(event & select.POLLERR for _, event in poll.poll(0))


def _editor_runs() -> bool | None:
    """Whether an Audacity of this user runs; None where there is no cheap way to know."""
    if not Path("/proc/self/fd").exists():
        return None
    for pid in _own_processes():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip().lower() == "audacity":
                return True
    return False


def _other_clients() -> list[str]:
    """Return `name, process N` of other programs that hold the FIFOs open as a client does.

    A client has `to` open for writing or `from` for reading; Audacity has them the other way
    round. Linux only: elsewhere the list is empty, and the greeting is all there is.
    """
    ends = {}
    for direction, flag in (("to", os.O_WRONLY), ("from", os.O_RDONLY)):
        with contextlib.suppress(OSError):
            about = _fifo(direction).stat()
            ends[about.st_dev, about.st_ino] = flag
    if not ends:
        return []
    found = []
    for pid in _own_processes():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if pid != os.getpid() and _is_client(pid, ends):
                found.append(f"{_name(pid)}, process {pid}")
    return found


def _is_client(pid: int, ends: Mapping[tuple[int, int], int]) -> bool:
    # Each connection looks at thousands of links: with pathlib that would be twice as long.
    folder = f"/proc/{pid}/fd/"
    for link in os.listdir(folder):  # noqa: PTH208
        try:
            if "audacity_script_pipe." not in os.readlink(folder + link):  # noqa: PTH115
                continue
            about = Path(folder + link).stat()
            info = Path(f"/proc/{pid}/fdinfo/{link}").read_text()
        except OSError:
            continue
        mode = int(info.split("flags:")[1].split()[0], 8) & os.O_ACCMODE
        if mode == ends.get((about.st_dev, about.st_ino)):
            return True
        if mode == os.O_RDWR and _name(pid).lower() != "audacity":
            return True
    return False


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _own_processes() -> list[int]:
    user, found = os.getuid(), []
    try:
        with os.scandir("/proc") as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.name.isdigit() and entry.stat().st_uid == user:
                        found.append(int(entry.name))
    except OSError:
        return []
    return found


class _NamedPipes:
    r"""The pair of named pipes on Windows; written to the protocol, never run there.

    `os.path.exists` on `\\.\pipe\ToSrvPipe` uses up the server's one instance, so the pipe is
    opened without asking first. Reads and writes block on Windows, hence the threads.
    """

    def __init__(self, patience: float) -> None:
        began = time.monotonic()
        while True:
            try:
                self._to = open(r"\\.\pipe\ToSrvPipe", "wb", buffering=0)  # noqa: SIM115, PTH123
                break
            except FileNotFoundError as error:
                # Audacity makes its pipes anew when a client has left.
                if time.monotonic() >= began + _SETTLE:
                    raise NotRunning(f"{_CLOSED}.") from error
            except OSError as error:
                if time.monotonic() >= began + max(patience, _SETTLE):
                    raise Busy(
                        "Another program holds Audacity's pipe: wait until it is done."
                    ) from error
            time.sleep(0.05)
        try:
            self._from = open(r"\\.\pipe\FromSrvPipe", "rb", buffering=0)  # noqa: SIM115, PTH123
        except OSError as error:
            self._to.close()
            raise NotRunning(f"Audacity's pipe cannot be opened: {error}.") from error
        self._parts: queue.Queue[bytes] = queue.Queue()
        self._rest = b""  # a carriage return whose newline may still come
        self._writing: threading.Thread | None = None
        self._left = False
        threading.Thread(target=self._pump, daemon=True).start()

    def send(self, data: bytes, timeout: float) -> None:
        errors: list[OSError | ValueError] = []

        def write() -> None:
            try:
                left = data
                while left:
                    left = left[self._to.write(left) :]
            except (OSError, ValueError) as error:
                errors.append(error)
            if self._left:
                self._close(self._to)

        self._writing = threading.Thread(target=write, daemon=True)
        self._writing.start()
        self._writing.join(timeout)
        if self._writing.is_alive():
            raise Blocked(_DEAF)
        if errors:
            raise Gone(_GONE) from errors[0]

    def receive(self, deadline: float) -> bytes | None:
        while True:
            try:
                part = self._parts.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return None
            if not part:
                self._parts.put(part)  # nothing comes after it
                raise Gone(_GONE)
            part = self._rest + part
            self._rest = b"\r" if part.endswith(b"\r") else b""
            text = part.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\0", b"")
            if text:
                return text

    def close(self) -> None:
        # While an end is read or written, closing it would wait: the thread that does it closes it.
        self._left = True
        if self._writing is None or not self._writing.is_alive():
            self._close(self._to)

    def _pump(self) -> None:
        part = b"x"
        while part:
            try:
                part = self._from.read(1 << 16) or b""
            except (OSError, ValueError):
                part = b""
            self._parts.put(part)
        self._close(self._from)

    @staticmethod
    def _close(end: io.FileIO) -> None:
        with contextlib.suppress(OSError):
            end.close()
