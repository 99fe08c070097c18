"""The OSC door: other programs and controllers ask over UDP, from this machine only.

Every message begins with the user's secret, for other users share the loopback. A packet that is
malformed, or without the secret, is dropped without an answer. Verbs become requests in the spool
folder, so that they get the same checks as any other; none can name a path.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from bridge.hosts import Host
from engine.display import shown
from engine.errors import BadInput, BadJob, TweezeError
from engine.files import read_small, replace_text
from engine.folders import Folders
from engine.job import check_id, new_id
from engine.queue.service import Service
from engine.request import OPTIONS, Request, option_fields
from engine.settings import Settings
from engine.status import JobState, Status
from engine.text_form import lines, parse_lines

__all__ = ["Access", "Osc"]

_VERBS = ("separate", "again", "cancel", "status", "subscribe")
_SECRET = 32  # characters; a shorter one was not made by Tweeze, and could be guessed
_PACKET = 4096  # bytes; no verb needs more
# Judged before anything parses it: one message (no bundle) of a known verb, text first.
_ARGUMENTS = 4 + len(OPTIONS)  # at most: query, editor, keep, mute, and each option by its name
_SHAPE = re.compile(
    rb"/tweeze/(?:%s)\0{1,4},s[sifTF]{0,%d}\0{1,4}" % ("|".join(_VERBS).encode(), _ARGUMENTS)
)
_SUBSCRIBERS = 16
_SUBSCRIBED = 600.0  # seconds; a controller that is there renews
_FOLLOWED = 16  # requests under way at once
_PATIENCE = 180.0  # seconds that the outcome of a request is waited for
_TELL = 0.1  # seconds between two progress values of one job
_BEAT = 5.0  # seconds between two signs of life
_LOG = logging.getLogger("tweeze.osc")

_Address = tuple[str, int]
_Value = str | int | float | bool


@dataclass(frozen=True)
class Access:
    """What a program must know to use this door: kept in a file that only the user can read.

    `port` is 0 while the door is shut.
    """

    port: int
    secret: str

    @staticmethod
    def path(folders: Folders) -> Path:
        """Return where it is kept."""
        return folders.root / "osc"

    @classmethod
    def read(cls, folders: Folders) -> Access | None:
        """Return what is kept, or None if there is none that can be used."""
        path = cls.path(folders)
        with contextlib.suppress(OSError, BadJob, KeyError, ValueError):
            about = path.lstat()
            if hasattr(os, "geteuid") and (about.st_mode & 0o077 or about.st_uid != os.geteuid()):
                return None  # others could have read or written it: a new one is made
            said = dict(parse_lines(read_small(path)))
            if len(said["secret"]) >= _SECRET:
                return cls(int(said["port"]), said["secret"])
        return None

    def write(self, folders: Folders) -> None:
        """Keep it, for the user alone."""
        path = self.path(folders)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(lines([("tweeze", "1"), ("port", str(self.port)), ("secret", self.secret)]))


class Osc:
    """The door. `TWEEZE_OSC_PORT` names another port than the usual one; 0 keeps it shut."""

    def __init__(self, service: Service, hosts: Mapping[str, Host]) -> None:
        self._service = service
        self._hosts = hosts
        self._folders = service.folders
        self._secret = ""
        self._transport: asyncio.DatagramTransport | None = None
        self._subscribers: dict[_Address, float] = {}
        self._requests: dict[str, asyncio.Task[None]] = {}
        self._told: dict[str, tuple[JobState, float]] = {}
        self._dropped = 0
        self._beat: asyncio.Task[None] | None = None
        self._unlisten: Callable[[], None] = lambda: None

    async def open(self) -> None:
        """Begin to listen; a port that is taken is logged, and the door stays shut."""
        known = Access.read(self._folders)
        self._secret = known.secret if known else secrets.token_hex(_SECRET // 2)
        port = Settings.of_environment().osc_port
        if port:
            try:
                self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda: _Protocol(self._take), local_addr=("127.0.0.1", port)
                )
            except OSError as error:
                _LOG.warning("No OSC: port %d cannot be used (%s).", port, error)
                port = 0
        Access(port, self._secret).write(self._folders)
        if self._transport is not None:
            self._unlisten = self._service.listen(self._tell)
            self._beat = asyncio.create_task(self._keep_beating(), name="osc-heartbeat")

    async def close(self) -> None:
        """Stop listening."""
        self._unlisten()
        tasks = [*self._requests.values(), *([self._beat] if self._beat else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()

    # Coming in.

    def _take(self, packet: bytes, sender: _Address) -> None:
        message = _parse(packet) if _is_here(sender) else None
        if message is None or not self._knows_secret(message.params[0]):
            self._dropped += 1
            if self._dropped & (self._dropped - 1) == 0:  # 1, 2, 4, 8, ...: a flood logs little
                _LOG.warning("Dropped %d packets: malformed, or without secret.", self._dropped)
            return
        verb, arguments = message.address.rpartition("/")[2], message.params[1:]
        try:
            self._act(verb, arguments, sender)
        except TweezeError as error:
            self._send("/tweeze/error", [shown(str(error))], {sender, *self._present()})

    def _knows_secret(self, said: object) -> bool:
        return isinstance(said, str) and hmac.compare_digest(said.encode(), self._secret.encode())

    def _act(self, verb: str, arguments: list[_Value], sender: _Address) -> None:
        if verb == "subscribe":
            self._subscribe(arguments, sender)
        elif verb == "status":
            self._tell_engine({sender, *self._present()})
        elif verb == "cancel":
            self._cancel(_text(arguments, 0))
        elif verb == "again":
            self._ask([("action", "again")], _text(arguments, 0))
        else:
            self._separate(arguments)

    def _separate(self, arguments: list[_Value]) -> None:
        queries = [part.strip() for part in _text(arguments, 0).split(";") if part.strip()]
        if not queries:
            raise BadInput("There is no query: /tweeze/separate SECRET 'dog barking'.")
        # What is left has its place, or says what it is: 'reaper', 'both', 1, 'stereo=linked'.
        named = [one for one in arguments[1:] if isinstance(one, str) and "=" in one]
        placed = [one for one in arguments[1:] if one not in named]
        keep, mute = _text(placed, 1), (placed[2] if len(placed) > 2 else "")
        if keep:
            named.append(f"keep={keep}")
        if mute != "":
            named.append(f"mute={mute if isinstance(mute, str) else 'yes' if mute == 1 else 'no'}")
        fields = [("action", "separate"), *(("query", query) for query in queries)]
        self._ask([*fields, *option_fields(named)], _text(placed, 0))

    def _ask(self, fields: list[tuple[str, str]], named: str) -> None:
        """Leave a request in the spool, and tell later how it ended."""
        if len(self._requests) >= _FOLLOWED:
            raise BadInput("Too many requests at once: wait until some have ended.")
        request = Request(new_id(), self._host(named), tuple(fields))
        try:
            replace_text(self._folders.requests / request.id, request.to_text())
        except OSError as error:
            raise BadInput(f"The request could not be taken ({error.strerror}).") from error
        task = asyncio.create_task(self._follow(request.id), name=f"osc-{request.id}")
        self._requests[request.id] = task
        task.add_done_callback(lambda _: self._requests.pop(request.id, None))

    def _host(self, named: str) -> str:
        """Return the editor that is meant: the named one, or the one that asked last."""
        if named:
            if named not in self._hosts:
                raise BadInput(f"There is no editor '{named[:40]}': {', '.join(self._hosts)}.")
            return named
        for entry in self._service.journal.recent():
            place = entry.job.placement
            if place is not None and place.host in self._hosts:
                return place.host
        raise BadInput(f"No editor has asked yet: name one of {', '.join(self._hosts)}.")

    def _cancel(self, job: str) -> None:
        """Cancel one job or request, or all that has not ended."""
        if job:
            ids = [check_id(job)]
        else:
            ids = [entry.job.id for entry in self._service.journal.unfinished()]
            ids += self._requests
        for id_ in ids:
            if id_ in self._requests:
                replace_text(self._folders.cancel / id_, "end\n")
            else:
                self._service.cancel(id_)

    def _subscribe(self, arguments: list[_Value], sender: _Address) -> None:
        port = arguments[0] if arguments else sender[1]
        if isinstance(port, float) and port.is_integer():
            port = int(port)  # some controllers know no other numbers
        if isinstance(port, bool) or not isinstance(port, int) or not 1024 <= port < 65536:
            raise BadInput("The port to answer to must be a number from 1024 to 65535.")
        now = time.monotonic()
        self._subscribers = {a: end for a, end in self._subscribers.items() if end > now}
        address = (sender[0], port)
        if address not in self._subscribers and len(self._subscribers) >= _SUBSCRIBERS:
            raise BadInput(f"{_SUBSCRIBERS} listen already: one must go first.")
        self._subscribers[address] = now + _SUBSCRIBED
        self._tell_engine({address})

    # Going out.

    async def _follow(self, id_: str) -> None:
        """Wait for a request's outcome in the spool."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, BadInput):
                status = Status.from_text(read_small(self._folders.request_status / id_))
                if status.state in (JobState.FAILED, JobState.CANCELLED):
                    self._send("/tweeze/job/failed", [id_, status.message], self._present())
                if status.state.final:
                    return
            await asyncio.sleep(0.1)

    def _tell(self, status: Status) -> None:
        state, when = self._told.get(status.id, (None, 0.0))
        now = time.monotonic()
        if state is status.state and now - when < _TELL:
            return
        self._told[status.id] = (status.state, now)
        if status.state.final:
            del self._told[status.id]
        if status.state is JobState.DONE:
            names = [clip.name for clip in status.clips]
            self._send("/tweeze/job/done", [status.id, *names], self._present())
        elif status.state.final:
            self._send("/tweeze/job/failed", [status.id, status.message], self._present())
        else:
            values: list[_Value] = [status.id, float(status.progress)]
            self._send("/tweeze/job/progress", values, self._present())
        if state is not status.state:
            self._tell_engine(self._present())

    async def _keep_beating(self) -> None:
        while True:
            self._tell_engine(self._present())
            await asyncio.sleep(_BEAT)

    def _tell_engine(self, to: set[_Address]) -> None:
        service = self._service
        values: list[_Value] = [service.activity.value, service.queue_length, service.running]
        self._send("/tweeze/engine", values, to)

    def _present(self) -> set[_Address]:
        now = time.monotonic()
        return {address for address, end in self._subscribers.items() if end > now}

    def _send(self, address: str, values: list[_Value], to: set[_Address]) -> None:
        if not to or self._transport is None:
            return
        builder = OscMessageBuilder(address)
        for value in values:
            builder.add_arg(value)
        packet = builder.build().dgram
        for receiver in filter(_is_here, to):
            self._transport.sendto(packet, receiver)


class _Protocol(asyncio.DatagramProtocol):
    """Hands packets on; that a receiver is gone is no concern of ours."""

    def __init__(self, take: Callable[[bytes, _Address], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: _Address) -> None:
        try:
            self._take(data, addr)
        except Exception:
            _LOG.exception("A packet could not be handled.")


def _parse(packet: bytes) -> OscMessage | None:
    """Return the one message in a packet, or None."""
    if len(packet) > _PACKET or len(packet) % 4 or not _SHAPE.match(packet):
        return None
    try:
        message = OscMessage(packet)
    except Exception:  # python-osc has no one error for all that can be wrong
        return None
    known = message.address.removeprefix("/tweeze/") in _VERBS
    return message if known and message.params else None


def _is_here(address: _Address) -> bool:
    """Return whether an address is on this machine: nothing comes from or goes to another."""
    return ipaddress.ip_address(address[0]).is_loopback


def _text(arguments: list[_Value], index: int) -> str:
    value = arguments[index] if index < len(arguments) else ""
    return value if isinstance(value, str) else ""
