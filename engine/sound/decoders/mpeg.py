"""MPEG audio streams (MP1, MP2, MP3): how many frames there are, where one ends in another.

libsndfile believes the tag that an encoder leaves in the first frame (Xing, Info, VBRI), and where
there is none it guesses from the bit rate of the first frame. Counting the frames is quick, for a
header tells where the next one is. Formats: ISO/IEC 11172-3 and 13818-3; the tags as LAME's
`VbrTag.c` and Fraunhofer's VBRI describe them.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from engine.sound.decoders.base import Alive, Bytes, Layout, Part

__all__ = ["layout", "looks_like"]

_WORD = struct.Struct(">I")
_RATES = (44_100, 48_000, 32_000)
_SHIFTS = {3: 0, 2: 1, 0: 2}  # by MPEG version: 1, 2, 2.5
_LOST = 1024  # bytes that are no frames, after which libsndfile's decoder looks no further
_KBITS = {  # (MPEG 1?, layer): bit rates in kbit/s, the first for "free"
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


class _Frame(NamedTuple):
    """What one frame's header says: its length in bytes and in samples per channel.

    `stream` is what stays the same in a recording: version, layer, sample rate, whether it is mono.
    The version is that of the header: 3 for MPEG 1, 2 for MPEG 2, 0 for MPEG 2.5.
    """

    stream: tuple[int, int, int, bool]
    size: int
    samples: int


def looks_like(data: Bytes) -> bool:
    """Whether an MPEG stream begins here, after ID3 tags perhaps."""
    at = _after_tags(data, 0, len(data))
    first = _frame(data, at, len(data))
    return first is not None and _frame(data, at + first.size, len(data)) is not None


def layout(data: Bytes, start: int, stop: int, alive: Alive = lambda: None) -> Layout:
    """Return the recordings in bytes `[start, stop)`: a new one begins at each encoder's tag."""
    parts: list[Part] = []
    promised = here = 0  # samples
    begun: tuple[int, _Frame] | None = None
    tag: _Tag | None = None
    count, ended = 0, start
    owed = 0  # frames that a tag names and that did not follow yet
    damaged = False

    def end(stop: int) -> None:
        nonlocal promised, here, owed
        if begun is None or not count:
            return
        at, first = begun
        head, said = b"", count
        if tag is not None and tag.place:
            said = tag.frames
            if said < count:  # joined without care, or cut in an editor that leaves the tag alone
                head = data[at : tag.place] + struct.pack(">I", count)
        frames = count * first.samples
        # An encoder may have counted its tag's frame, too.
        more = max(said - 1, count) - count
        # What comes after a gap was named by the tag before it.
        found = min(owed, count)
        promised += (count - found + more) * first.samples
        owed += more - found
        here += frames
        endless = tag is None or not tag.place
        parts.append(Part(at + len(head), stop, head, endless=endless, frames=frames))

    for at, frame in _frames(data, start, stop, alive):
        told = _tag(data, at, frame)
        damaged |= begun is not None and at - _after_all_tags(data, ended, at) >= frame.size
        if begun is None or told or at - ended > _LOST or frame.stream != begun[1].stream:
            end(ended)
            if begun is None or told is not None or frame.stream != begun[1].stream:
                owed = 0
            begun, tag, count = (at, frame), told, 0
        count += told is None
        ended = at + frame.size
    end(stop)
    if not parts:
        return Layout((Part(start, stop, endless=True),))
    return Layout(tuple(parts), promised / here, damaged=damaged)


def _frames(data: Bytes, start: int, stop: int, alive: Alive) -> Iterator[tuple[int, _Frame]]:
    """Yield each frame that is whole, and where it begins."""
    at, sure = start, False
    turns = 0
    while at + 4 <= stop:
        turns += 1
        if not turns & 0xFFFF:
            alive()
        frame = _frame(data, at, stop)
        if frame is None and (after_tags := _after_tags(data, at, stop)) > at:
            at = after_tags
            continue
        # In doubt, one header alone is no frame: the next must be where it says, and of its kind.
        if frame is not None and not sure:
            after = _frame(data, at + frame.size, stop)
            last = at + frame.size + 4 > stop
            if not last and (after is None or after.stream[:3] != frame.stream[:3]):
                frame = None
        elif frame is not None and (inner := _inner(data, at, frame, stop)):
            at, sure = inner, False
            continue
        sure = frame is not None
        if frame is None:
            at = data.find(b"\xff", at + 1, stop)
            if at < 0:
                return
        elif at + frame.size > stop:
            return  # cut off in the middle
        else:
            yield at, frame
            at += frame.size


def _inner(data: Bytes, at: int, frame: _Frame, stop: int) -> int:
    """Return where another file begins that was joined to a frame which was cut off, else 0."""
    end = at + frame.size
    if end + 4 > stop or data[end] == 0xFF or data[end : end + 3] in (b"ID3", b"TAG", b"APE"):
        return 0
    place = at
    while (place := data.find(b"\xff", place + 1, end)) >= 0:
        first = _frame(data, place, stop)
        after = _frame(data, place + first.size, stop) if first else None
        if first and after and first.stream[:3] == after.stream[:3]:
            return place
    return 0


def _after_tags(data: Bytes, at: int, stop: int) -> int:
    """Return where ID3v2 and APEv2 tags that begin at `at` end."""
    while True:
        if data[at : at + 3] == b"ID3" and at + 10 <= stop:
            flags, *size = data[at + 5 : at + 10]
            at += 10 + sum((byte & 0x7F) << 7 * (3 - i) for i, byte in enumerate(size))
            at += 10 if flags & 0x10 else 0
        elif data[at : at + 8] == b"APETAGEX" and at + 32 <= stop:
            (size_,) = struct.unpack_from("<I", data, at + 12)
            at += 32 + size_
        else:
            return at


def _after_all_tags(data: Bytes, at: int, stop: int) -> int:
    """The same, with an ID3v1 tag in front: what may stand between two files that were joined."""
    if data[at : at + 3] == b"TAG":
        at += 128
    return _after_tags(data, at, stop) if at < stop else stop


@dataclass(frozen=True)
class _Tag:
    """An encoder's tag: how many frames follow it, and where that stands (0 if it does not)."""

    place: int
    frames: int


def _tag(data: Bytes, at: int, frame: _Frame) -> _Tag | None:
    version, layer, _, mono = frame.stream
    if layer != 3:
        return None
    side = {(3, False): 32, (3, True): 17, (2, False): 17, (0, False): 17}.get((version, mono), 9)
    for place in (at + 4 + side, at + 6 + side):  # two bytes of check sum may stand before it
        if data[place : place + 4] in (b"Xing", b"Info"):
            (flags,) = struct.unpack_from(">I", data, place + 4)
            return _counted(data, place + 8) if flags & 1 else _Tag(0, 0)
    place = at + 36
    return _counted(data, place + 14) if data[place : place + 4] == b"VBRI" else None


def _counted(data: Bytes, place: int) -> _Tag:
    return _Tag(place, struct.unpack_from(">I", data, place)[0])


def _frame(data: Bytes, at: int, stop: int) -> _Frame | None:
    return _said(_WORD.unpack_from(data, at)[0]) if at + 4 <= stop else None


@functools.lru_cache(maxsize=4096)
def _said(word: int) -> _Frame | None:
    """Return what a frame's header says; None if it is none."""
    version, layer = word >> 19 & 3, 4 - (word >> 17 & 3)
    if word >> 21 != 0x7FF or version == 1 or layer == 4 or word >> 10 & 3 == 3:
        return None
    rate = _RATES[word >> 10 & 3] >> _SHIFTS[version]
    kbits, padding = word >> 12 & 15, word >> 9 & 1
    if kbits in (0, 15):
        return None
    bits = 1000 * _KBITS[version == 3, layer][kbits]
    if layer == 1:
        samples, size = 384, (12 * bits // rate + padding) * 4
    else:
        samples = 576 if layer == 3 and version != 3 else 1152
        size = samples // 8 * bits // rate + padding
    return _Frame((version, layer, rate, word >> 6 & 3 == 3), size, samples)
