"""Samples for the page's ears, and clips as files to keep: streamed, so that no length matters."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from urllib.parse import quote

import numpy as np
from starlette.responses import StreamingResponse

from bridge.doors.panel.samples import Samples
from engine.models.base import FloatArray
from engine.sound.audio import AudioInfo, wav_header
from engine.waiting import aside, within

__all__ = ["LONGEST", "samples_response", "wav_response"]

LONGEST = 30.0
"""Seconds of samples in one answer."""
_BLOCK = 1 << 15  # frames that are read at a time
_DISK = 30.0  # seconds that a disk gets to answer


def samples_response(samples: Samples, start: int, stop: int) -> StreamingResponse:
    """Return frames `[start, stop)` as interleaved float32, little end first."""
    size = (stop - start) * samples.info.channels * 4
    return StreamingResponse(
        _blocks(samples, start, stop, _floats),
        media_type="application/octet-stream",
        headers={"Content-Length": str(size)},
    )


def wav_response(samples: Samples, name: str, *, pcm24: bool) -> StreamingResponse:
    """Return a whole clip as a WAV file to keep, as float32 or as 24 bit.

    24 bit has no room beyond full scale: what is louder is cut off there.
    """
    info = samples.info
    header, form = (_pcm24_header(info), _pcm24) if pcm24 else (wav_header(info), _floats)
    size = len(header) + info.frames * info.channels * (3 if pcm24 else 4)

    async def body() -> AsyncIterator[bytes]:
        yield header
        async for block in _blocks(samples, 0, info.frames, form):
            yield block
        if size % 2:
            yield b"\0"  # RIFF's chunks have an even length

    plain = "".join(c if c.isascii() and (c.isalnum() or c in " -_.") else "_" for c in name)
    return StreamingResponse(
        body(),
        media_type="audio/wav",
        headers={
            "Content-Length": str(size + size % 2),
            "Content-Disposition": (
                f"attachment; filename=\"{plain}.wav\"; filename*=UTF-8''{quote(name, '')}.wav"
            ),
        },
    )


async def _blocks(
    samples: Samples, start: int, stop: int, form: Callable[[FloatArray], bytes]
) -> AsyncIterator[bytes]:
    while start < stop:
        end = min(start + _BLOCK, stop)
        yield await _read(samples, start, end, form)
        start = end


async def _read(
    samples: Samples, start: int, stop: int, form: Callable[[FloatArray], bytes]
) -> bytes:
    try:
        return await within(
            _DISK, aside(lambda: form(samples.interleaved(start, stop)), name="panel-audio")
        )
    except asyncio.TimeoutError:
        raise TimeoutError(f"{samples.path} does not answer.") from None


def _floats(frames: FloatArray) -> bytes:
    return frames.astype("<f4", copy=False).tobytes()


def _pcm24(frames: FloatArray) -> bytes:
    full = 1 << 23
    whole = np.clip(np.rint(frames.astype(np.float64) * full), -full, full - 1).astype("<i4")
    return np.ascontiguousarray(whole).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def _pcm24_header(info: AudioInfo) -> bytes:
    """Return the header of a 24-bit WAV file, RF64 where it is too long for RIFF.

    Formats as for `engine.sound.audio.wav_header`.
    """
    frame = 3 * info.channels
    data = info.frames * frame
    form = struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, 1, info.channels, info.rate, info.rate * frame, frame, 24
    )
    riff = 4 + len(form) + 8 + data + data % 2
    if riff <= 0xFFFFFFFE:
        start = struct.pack("<4sI4s", b"RIFF", riff, b"WAVE")
        return start + form + struct.pack("<4sI", b"data", data)
    sizes = struct.pack("<4sIQQQI", b"ds64", 28, riff + 36, data, info.frames, 0)
    start = struct.pack("<4sI4s", b"RF64", 0xFFFFFFFF, b"WAVE")
    return start + sizes + form + struct.pack("<4sI", b"data", 0xFFFFFFFF)
