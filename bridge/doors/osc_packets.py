"""Packets of OSC 1.0, taken apart: what can be told before anybody knows who sent them.

Packets come from anyone on this machine, so a message's secret is found by its place alone, and
python-osc parses the rest only when somebody asks for the arguments.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from pythonosc.osc_message import OscMessage

from engine.errors import BadInput

__all__ = ["Message", "Value", "messages"]

Value = str | int | float | bool | None

_BUNDLE = b"#bundle\0"
_IMMEDIATELY = 1
_EPOCH = 2_208_988_800  # seconds from 1900, where OSC's time begins, to 1970
_LONGEST = 4096  # bytes of a packet; no message needs more
_TYPES = "sihfdTFN"  # of arguments; N, nil, is one that is left out


_LATER = "A bundle for later cannot be used: send it with the time tag 'immediately'."
_CUT = "The arguments do not fit their OSC types: is the packet cut short?"


@dataclass(frozen=True)
class Message:
    """A message that begins with a text: the secret, if its sender knows it.

    Attributes
    ----------
    address
        As it was sent; nobody has looked whether there is such a one.
    secret
        The first argument's bytes.

    """

    address: str
    secret: bytes
    _data: bytes
    _types: str
    _fault: str = ""

    def arguments(self) -> list[Value]:
        """Return the arguments after the secret.

        Raises
        ------
        BadInput
            They cannot be read, or come in a packet that cannot be used.

        """
        if self._fault:
            raise BadInput(self._fault)
        strange = next((kind for kind in self._types if kind not in _TYPES), "")
        if strange:
            raise BadInput(
                f"An argument of the OSC type '{strange}' means nothing here: "
                "send text (s), numbers (i, h, f, d), T, F, or nil (N)."
            )
        try:
            values: list[Value] = OscMessage(self._data).params
        except Exception as error:  # python-osc has no one error for all that can be wrong
            raise BadInput(_CUT) from error
        return values[1:]


def messages(packet: bytes) -> Iterator[Message]:
    """Find the messages of a packet: itself, or those of a bundle, whose bundles may hold more.

    What is no message, or does not begin with a text, is passed over.
    """
    fault = ""
    if len(packet) > _LONGEST:
        fault = f"The packet has {len(packet):,} bytes, and {_LONGEST:,} is the most."
    elements = [(packet[:_LONGEST], fault)]
    while elements:
        element, fault = elements.pop()
        if not element.startswith(_BUNDLE):
            message = _message(element, fault)
            if message is not None:
                yield message
        elif len(element) >= 16:
            due = int.from_bytes(element[8:16], "big")
            if due != _IMMEDIATELY and due / 2**32 - _EPOCH > time.time():
                fault = fault or _LATER
            elements += [(part, fault or cut) for part, cut in reversed(_parts(element))]


def _parts(bundle: bytes) -> list[tuple[bytes, str]]:
    """Return the elements of a bundle, and of each what is wrong with it, or ''."""
    parts = []
    at = 16  # behind the time tag
    while at + 4 <= len(bundle):
        size = int.from_bytes(bundle[at : at + 4], "big")
        at += 4
        parts.append((bundle[at : at + size], _CUT if size > len(bundle) - at else ""))
        at += size
    return parts


def _message(data: bytes, fault: str) -> Message | None:
    """Find address, types and the first text; None where one of them is not there."""
    address, at = _text(data, 0)
    types, at = _text(data, at)
    secret, _ = _text(data, at)
    if not address.startswith(b"/") or not types.startswith(b",s"):
        return None
    if len(data) % 4:
        fault = fault or _CUT
    return Message(
        address.decode("utf-8", "replace"),
        secret,
        data,
        types[1:].decode("latin-1"),
        fault,
    )


def _text(data: bytes, start: int) -> tuple[bytes, int]:
    """Return a text, which zeros fill up to a multiple of four bytes, and where the next begins."""
    end = data.find(b"\0", start)
    if end < 0:
        return b"", len(data)
    return data[start:end], (end + 4) // 4 * 4
