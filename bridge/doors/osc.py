"""The OSC door: other programs and controllers ask over UDP, from this machine only.

Every message begins with the user's secret, for other users share the loopback. What comes without
it is dropped without an answer; what comes with it and cannot be used is answered with a sentence.
Verbs become requests; none can name a path. `osc_packets` takes packets apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import logging
import math
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pythonosc.osc_message_builder import OscMessageBuilder

from bridge.adjusting import ADJUST
from bridge.doors.osc_packets import Message, Value, messages
from bridge.requests import Requests
from engine.display import shown
from engine.errors import BadInput, BadJob, TweezeError
from engine.files import read_small
from engine.folders import Folders
from engine.job import new_id, split_nots
from engine.presets import FIELD
from engine.queue.service import Service
from engine.request import Request, option_fields
from engine.settings import Settings
from engine.status import JobState, Status
from engine.text_form import lines, parse_lines

__all__ = ["Access", "Osc"]

_MUTE: dict[float, str] = {0: "no", 1: "yes"}
_SECRET = 32  # characters; a shorter one was not made by Tweeze, and could be guessed
_SAID = 200  # characters of an answer that go into the log
_MINUTE = 60.0  # seconds in which no answer is logged twice
_LOGGED = 16  # different answers that are logged in that time
_SUBSCRIBERS = 16
_SUBSCRIBED = 600.0  # seconds; a controller that is there renews
_ASKED = 16  # requests of this door under way at once
_TELL = 0.1  # seconds between two progress values of one job
_BEAT = 5.0  # seconds between two signs of life
_LOG = logging.getLogger("tweeze.osc")

_Address = tuple[str, int]


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

    def __init__(self, service: Service, requests: Requests) -> None:
        self._service = service
        self._requests = requests
        self._folders = service.folders
        self._secret = ""
        self._transport: asyncio.DatagramTransport | None = None
        self._subscribers: dict[_Address, float] = {}
        self._asked: set[str] = set()  # requests of this door that have not ended
        self._drafted: set[str] = set()  # jobs whose draft was told
        self._dropped = 0
        self._logged: set[str] = set()
        self._logged_since = 0.0
        self._beat: asyncio.Task[None] | None = None
        self._subscriptions = contextlib.ExitStack()

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
            for subscriber, every in ((self._tell, _TELL), (self._note_change, math.inf)):
                self._subscriptions.callback(self._service.subscribe(subscriber, every=every))
            self._beat = asyncio.create_task(self._keep_beating(), name="osc-heartbeat")

    async def close(self) -> None:
        """Stop listening."""
        self._subscriptions.close()
        if self._beat is not None:
            self._beat.cancel()
            await asyncio.gather(self._beat, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    # Coming in.

    def _take(self, packet: bytes, sender: _Address) -> None:
        found = messages(packet) if _is_here(sender) else ()
        known = [message for message in found if self._knows(message.secret)]
        if not known:
            self._dropped += 1
            if self._dropped & (self._dropped - 1) == 0:  # 1, 2, 4, 8, ...: a flood logs little
                _LOG.warning("Dropped %d packets: malformed, or without secret.", self._dropped)
        for message in known:
            self._answer(message, sender)

    def _knows(self, secret: bytes) -> bool:
        return hmac.compare_digest(secret, self._secret.encode())

    def _answer(self, message: Message, sender: _Address) -> None:
        try:
            self._act(message, sender)
        except TweezeError as error:
            said = shown(str(error).replace(self._secret, "(the secret)"))
            self._log(said)
            self._send("/tweeze/error", [said], {sender, *self._present()})

    def _log(self, said: str) -> None:
        """Log what is answered, each sentence once a minute: a controller may send it for ever."""
        now = time.monotonic()
        if now - self._logged_since > _MINUTE:
            self._logged_since = now
            self._logged.clear()
        if said not in self._logged and len(self._logged) < _LOGGED:
            self._logged.add(said)
            _LOG.warning("Answered over OSC: %s", said[:_SAID])

    def _act(self, message: Message, sender: _Address) -> None:
        act: dict[str, Callable[[list[Value]], None]] = {
            "/tweeze/separate": self._separate,
            "/tweeze/again": self._again,
            "/tweeze/adjust": self._adjust,
            "/tweeze/cancel": self._cancel,
            "/tweeze/status": lambda arguments: self._tell_engine({sender, *self._present()}),
            "/tweeze/subscribe": lambda arguments: self._subscribe(arguments, sender),
        }
        if message.address not in act:
            raise BadInput(
                f"There is no message '{message.address[:40]}'; there are: {', '.join(act)}."
            )
        act[message.address](message.arguments())

    def _separate(self, arguments: list[Value]) -> None:
        if _preset(_text(arguments, 0)):
            arguments = ["", *arguments]
        presets = [one for one in arguments[1:] if isinstance(one, str) and _preset(one)]
        arguments = [one for one in arguments if one not in presets]
        wanted, unwanted = split_nots(_text(arguments, 0))
        queries = _sounds(wanted)
        if not queries and not presets:
            raise BadInput("There is no query: /tweeze/separate SECRET 'dog barking'.")
        # What is left has its place, or says what it is: 'reaper', 'both', 1, 'stereo=linked'.
        named = [one for one in arguments[1:] if isinstance(one, str) and "=" in one]
        placed = [one for one in arguments[1:] if one not in named]
        nots = [*unwanted, *(sound for one in named if _is_not(one) for sound in _nots(one))]
        named = [one for one in named if not _is_not(one)]
        keep, mute = _text(placed, 1), (placed[2] if len(placed) > 2 else "")
        if keep:
            named.append(f"keep={keep}")
        if mute not in (None, ""):
            # As controllers send it: 1, 1.0 or T; what is none of these is refused as it is.
            named.append(f"mute={mute if isinstance(mute, str) else _MUTE.get(mute, mute)}")
        fields = [("action", "separate"), *(("query", query) for query in queries)]
        fields += [("not", text) for text in nots]
        if nots and queries:
            Request(new_id(), "", tuple(fields)).nots()  # refuses what is unfit, or wanted, too
        fields += [pair for one in presets for pair in _preset(one)]
        self._ask([*fields, *option_fields(named)], _text(placed, 0))

    def _again(self, arguments: list[Value]) -> None:
        """Repeat what was asked for last, but for what is named: 'preset=birds', 'sharpness=2'."""
        named = [one for one in arguments if isinstance(one, str) and "=" in one]
        presets = [pair for one in named for pair in _preset(one)]
        options = option_fields(one for one in named if not _preset(one))
        others = [one for one in arguments if one not in named]
        self._ask([("action", "again"), *presets, *options], _text(others, 0))

    def _adjust(self, arguments: list[Value]) -> None:
        """Adjust a job, or the last one: what follows says what changes, like 'sharpness=2'."""
        named = [one for one in arguments if isinstance(one, str) and "=" in one]
        others = [one for one in arguments if isinstance(one, str) and "=" not in one]
        fields = [("action", ADJUST), ("job", others[0] if others else "last"), ("into", "either")]
        for one in named:
            key, _, value = one.partition("=")
            if key in ("not", "query"):
                fields += [(key, text) for text in _sounds(value) or [""]]
        named = [one for one in named if one.partition("=")[0] not in ("not", "query")]
        self._ask([*fields, *option_fields(named)], "")

    def _ask(self, fields: list[tuple[str, str]], editor: str) -> None:
        if len(self._asked) >= _ASKED:
            raise BadInput("Too many requests at once: wait until some have ended.")
        request = Request(new_id(), editor, tuple(fields))
        self._requests.submit(request, self._tell_request)

    def _cancel(self, arguments: list[Value]) -> None:
        """Cancel one job or request, or all that has not ended."""
        job = _text(arguments, 0)
        if job:
            self._requests.cancel(job)
        else:
            self._requests.cancel_all()

    def _subscribe(self, arguments: list[Value], sender: _Address) -> None:
        port = _argument(arguments, 0)
        if port is None:
            port = sender[1]
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

    def _tell_request(self, status: Status) -> None:
        """Follow a request; jobs that come of it tell of themselves."""
        if not status.state.final:
            self._asked.add(status.id)
            return
        self._asked.discard(status.id)
        if status.state is not JobState.DONE:
            self._send("/tweeze/job/failed", [status.id, status.message], self._present())

    def _tell(self, status: Status) -> None:
        if status.state is JobState.DONE:
            names = [clip.name for clip in status.clips]
            self._send("/tweeze/job/done", [status.id, *names], self._present())
        elif status.state.final:
            self._send("/tweeze/job/failed", [status.id, status.message], self._present())
        else:
            values: list[Value] = [status.id, float(status.progress)]
            self._send("/tweeze/job/progress", values, self._present())
            if status.draft and status.id not in self._drafted:
                self._drafted.add(status.id)
                paths = [str(clip.path) for clip in status.draft]
                self._send("/tweeze/job/draft", [status.id, *paths], self._present())
        if status.state.final:
            self._drafted.discard(status.id)

    def _note_change(self, status: Status) -> None:
        self._tell_engine(self._present())

    async def _keep_beating(self) -> None:
        while True:
            self._tell_engine(self._present())
            await asyncio.sleep(_BEAT)

    def _tell_engine(self, to: set[_Address]) -> None:
        service = self._service
        values: list[Value] = [service.activity.value, service.queue_length, service.running]
        self._send("/tweeze/engine", values, to)

    def _present(self) -> set[_Address]:
        now = time.monotonic()
        return {address for address, end in self._subscribers.items() if end > now}

    def _send(self, address: str, values: list[Value], to: set[_Address]) -> None:
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


def _is_here(address: _Address) -> bool:
    """Return whether an address is on this machine: nothing comes from or goes to another."""
    return ipaddress.ip_address(address[0]).is_loopback


def _sounds(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]


def _preset(text: str) -> list[tuple[str, str]]:
    """Return the field that an argument like `preset=birds` stands for; none of another one."""
    key, equals, name = text.partition("=")
    return [(FIELD, name.strip())] if equals and key == FIELD else []


def _is_not(named: str) -> bool:
    return named.partition("=")[0] == "not"


def _nots(named: str) -> list[str]:
    """Return what an argument like `not=rain; wind` names."""
    nots = _sounds(named.partition("=")[2])
    if not nots:
        raise BadInput("'not=' names no sound: write 'not=rain', or leave it out.")
    return nots


def _argument(arguments: list[Value], index: int) -> Value:
    """Return an argument; None where there is none, or nil."""
    return arguments[index] if index < len(arguments) else None


def _text(arguments: list[Value], index: int) -> str:
    """Return an argument that is text; '' where it is left out.

    Some controllers always send a number along, the state of the button; it counts as nothing.
    """
    value = _argument(arguments, index)
    return value if isinstance(value, str) else ""
