"""Containers with one stretch of sound: WAV, RF64, W64, AIFF, AU, CAF.

Programs that write to a pipe, and recorders that lost their power, leave headers that say 0 or
some very large number; copies that broke off have less sound than their header says. libsndfile
takes some of these as they are, some for empty, and refuses others: those get a header that is
true. Formats: Microsoft's RIFF WAVE, EBU Tech 3306 (RF64), Sony's Wave64, Apple's AIFF-C and Core
Audio Format specifications, the AU header of Sun's audio(5).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from engine.sound.decoders import mpeg
from engine.sound.decoders.base import Alive, Bytes, Layout, Part, Undecodable

__all__ = ["layout"]

_CHUNKS = 10_000  # before the sound; editors write fewer than a hundred
_HEADER = 1 << 24  # bytes of header that are worth a copy
_MPEG = (0x50, 0x55)  # WAVE format tags of MPEG layers I to III
# What programs write for "I do not know how long it will be", and a little around it.
_UNKNOWN = (0x7F00_0000, 1 << 31, 1 << 32)
_AROUND = 1 << 16


def layout(data: Bytes, alive: Alive = lambda: None) -> Layout | None:
    """Return where the sound in a container lies; None if this is none of them, or a sound one.

    Raises
    ------
    Undecodable
        A WAV file has more chunks before its sound than any program writes.

    """
    for magics, look in _LOOKS:
        if any(data[: len(magic)] == magic for magic in magics):
            try:
                found = look(data)
                if isinstance(found, _Stream):
                    return mpeg.layout(data, found.start, found.stop, alive)
                return found
            except struct.error:
                return None  # cut off within the header: libsndfile has its own words for that
    return None


class _Stream(NamedTuple):
    """Bytes of a container that are an MPEG stream."""

    start: int
    stop: int


def _unknown(length: int) -> bool:
    return length <= 0 or any(abs(length - value) <= _AROUND for value in _UNKNOWN)


def _wave(data: Bytes) -> Layout | _Stream | None:
    if data[8:12] != b"WAVE":
        return None
    order = ">" if data[:4] == b"RIFX" else "<"
    form = b""
    long: int | None = None  # the length of the sound that an RF64 file keeps apart
    at = 12
    for _ in range(_CHUNKS):
        if at + 8 > len(data):
            return None
        kind, length = struct.unpack_from(f"{order}4sI", data, at)
        at += 8
        if kind == b"fmt ":
            form = data[at : at + length][:4096]
        elif kind == b"ds64":
            (long,) = struct.unpack_from("<q", data, at + 8)
        elif kind == b"data":
            if long is not None and length == 0xFFFFFFFF:
                length = long
            return _sound_of_wave(data, order, form, at, length)
        at += length + (length & 1)
    raise Undecodable(
        f"has more than {_CHUNKS:,} chunks before its sound, which no program writes: "
        "export it again."
    )


def _sound_of_wave(
    data: Bytes, order: str, form: bytes, start: int, length: int
) -> Layout | _Stream | None:
    tag, _, _, bytes_per_second, align = struct.unpack_from(f"{order}HHIIH", form)
    there = len(data) - start
    ended = start + length + (length & 1)
    if length == 0 and there and _chunks_follow(data, order, ended):
        return None  # a file without sound
    promised = 1.0
    if _unknown(length) and not 0 < length <= there:
        length = there
    elif length - there >= max(1, align):
        promised, length = length / max(1, there), there
    elif there - length >= max(1, bytes_per_second) and not _chunks_follow(data, order, ended):
        promised, length = length / there, there
    elif tag not in _MPEG:
        return None
    length = min(length, there)
    if tag in _MPEG:
        return _Stream(start, start + length)
    length -= length % max(1, align)
    return Layout((Part(start, start + length, _wave_header(order, form, length)),), promised)


def _wave_header(order: str, form: bytes, length: int) -> bytes:
    form = struct.pack(f"{order}4sI", b"fmt ", len(form)) + form + b"\0" * (len(form) & 1)
    riff = 4 + len(form) + 8 + length
    if riff <= 0xFFFFFFFE:
        start = struct.pack(f"{order}4sI4s", b"RIFF" if order == "<" else b"RIFX", riff, b"WAVE")
        return start + form + struct.pack(f"{order}4sI", b"data", length)
    if order == ">":
        raise Undecodable("is longer than a file of its kind can be: export it again.")
    sizes = struct.pack("<4sIqqqI", b"ds64", 28, riff + 36, length, 0, 0)
    start = struct.pack("<4sI4s", b"RF64", 0xFFFFFFFF, b"WAVE")
    return start + sizes + form + struct.pack("<4sI", b"data", 0xFFFFFFFF)


def _chunks_follow(data: Bytes, order: str, at: int) -> bool:
    """Whether what lies from `at` on is a chain of chunks to the end, and no sound."""
    if at >= len(data):
        return False
    for _ in range(_CHUNKS):
        if at + 8 > len(data):
            return True
        kind, length = struct.unpack_from(f"{order}4sI", data, at)
        if not all(0x20 <= byte < 0x7F for byte in kind):
            return False
        at += 8 + length + (length & 1)
        if at > len(data) + 1:
            return False
    return False


def _aiff(data: Bytes) -> Layout | None:
    if data[8:12] not in (b"AIFF", b"AIFC"):
        return None
    common = frames = frame = 0
    at = 12
    for _ in range(_CHUNKS):
        if at + 8 > len(data):
            return None
        kind, length = struct.unpack_from(">4sI", data, at)
        if kind == b"COMM":
            common = at
            channels, frames, bits = struct.unpack_from(">hIh", data, at + 8)
            frame = channels * -(-bits // 8)
        elif kind == b"SSND":
            break
        at += 8 + length + (length & 1)
    else:
        return None
    (offset,) = struct.unpack_from(">I", data, at + 8)
    start = at + 16 + offset
    there = len(data) - start
    claimed = length - 8 - offset
    if not common or frame < 1 or there < 1 or start > _HEADER or 0 <= claimed - there < frame:
        return None
    if 0 < claimed <= there and (frames or claimed > frame):
        return None
    promised = 1.0 if _unknown(length - 8) or _unknown(length) else claimed / there
    # A count of frames is right only for what is not compressed; libsndfile corrects it there.
    head = bytearray(data[:start])
    struct.pack_into(">I", head, 4, min(len(data) - 8, 0xFFFFFFFF))
    struct.pack_into(">I", head, common + 10, min(there // frame, 0xFFFFFFFF))
    struct.pack_into(">I", head, at + 4, min(there + 8 + offset, 0xFFFFFFFF))
    return Layout((Part(start, start + there, bytes(head)),), promised)


def _wave64(data: Bytes) -> Layout | None:
    at = 40
    for _ in range(_CHUNKS):
        kind, length = struct.unpack_from("<16sq", data, at)
        if kind[:4] == b"data":
            break
        if length < 24:
            return None
        at += length + (-length & 7)
    else:
        return None
    there = len(data) - at - 24
    if there < 1 or length - 24 - there < 8 or _unknown(length - 24):
        return None  # libsndfile takes what is there
    return Layout((Part(0, len(data)),), (length - 24) / there)


def _au(data: Bytes) -> Layout | None:
    order = ">" if data[:4] == b".snd" else "<"
    start, length = struct.unpack_from(f"{order}II", data, 4)
    there = len(data) - start
    if there < 1 or start > _HEADER or (length <= there and length):
        return None
    if length == 0:
        head = data[:8] + struct.pack(f"{order}I", 0xFFFFFFFF) + data[12:start]
        return Layout((Part(start, len(data), head),))
    known = not _unknown(length) and length - there > 8
    return Layout((Part(0, len(data)),), length / there) if known else None


def _core_audio(data: Bytes) -> Layout | None:
    at, packet = 8, 0
    for _ in range(_CHUNKS):
        kind, length = struct.unpack_from(">4sq", data, at)
        at += 12
        if kind == b"desc":
            (packet,) = struct.unpack_from(">I", data, at + 16)
        elif kind == b"data":
            break
        if length < 0:
            return None
        at += length
    else:
        return None
    there = len(data) - at
    # Packets of a size of their own are listed in a chunk that may come last: nothing to mend.
    if packet < 1 or at > _HEADER or there < 5 or 0 <= length <= there:
        return None
    there -= (there - 4) % packet
    head = data[: at - 8] + struct.pack(">q", there)
    return Layout((Part(at, at + there, head),), 1.0 if _unknown(length) else length / there)


_LOOKS: tuple[tuple[tuple[bytes, ...], Callable[[Bytes], Layout | _Stream | None]], ...] = (
    ((b"RIFF", b"RIFX", b"RF64", b"BW64"), _wave),
    ((b"FORM",), _aiff),
    ((b"riff",), _wave64),
    ((b".snd", b"dns."), _au),
    ((b"caff",), _core_audio),
)
