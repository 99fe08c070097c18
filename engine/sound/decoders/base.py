"""What every decoder offers, and the stretch of a file that one decoder reads."""

from __future__ import annotations

import io
import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["FAR", "Alive", "Bytes", "Decoder", "Layout", "Part", "Samples", "Undecodable", "Window"]

Samples: TypeAlias = npt.NDArray[np.float32]  # interleaved: (frames, channels)
Bytes: TypeAlias = bytes | mmap.mmap
Alive: TypeAlias = Callable[[], None]  # called from time to time by what takes long, but comes on

FAR = 1 << 50  # bytes; beyond the end of any file
_TAIL = 1 << 16  # bytes before it


class Undecodable(Exception):  # noqa: N818 - named for what is the matter, as the sentence says it
    """A file cannot be decoded; `str(error)` says why, in words that can follow its name."""


class Decoder(Protocol):
    """An open recording that is read once, from its start to its end."""

    @property
    def rate(self) -> int:
        """Sample rate in Hz."""

    @property
    def channels(self) -> int:
        """How many channels it has."""

    @property
    def promised(self) -> int | None:
        """How many frames there should be; None where the file does not say."""

    @property
    def notes(self) -> Sequence[str]:
        """Remarks on how the file was read, to follow its name; complete at the end."""

    def read(self, frames: int) -> Samples:
        """Return the next frames, at most so many, and none at the end; may raise Undecodable."""

    def close(self) -> None:
        """Let go of the file."""


@dataclass(frozen=True)
class Part:
    """Bytes `[start, stop)` of a file, with `head` in front: one recording.

    A head stands in where the file's own header says what is not so. With `endless`, libsndfile is
    told that the part goes on for ever: of some formats it guesses the number of frames from the
    length, and never reads beyond its guess. `frames` is how many there should be, where the
    format lets us count them.
    """

    start: int
    stop: int
    head: bytes = b""
    endless: bool = False
    frames: int | None = None


@dataclass(frozen=True)
class Layout:
    """Where the recordings in a file lie.

    `promised` is how much more sound the header promises than there is, as a factor: 1.0 where it
    is right, 2.0 where half is missing, 0.5 where there is twice as much as it says. With `cut`
    an end is missing, and nobody knows how much; with `damaged` something in between.
    """

    parts: tuple[Part, ...]
    promised: float = 1.0
    cut: bool = False
    damaged: bool = False


class Window(io.RawIOBase):
    """A part of a file as a file of its own, for libsndfile to read."""

    def __init__(self, data: Bytes, part: Part) -> None:
        super().__init__()
        self._data = data
        self._part = part
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    @property
    def exhausted(self) -> bool:
        """Whether all that is there was asked for."""
        return self._at >= self._size

    @property
    def _size(self) -> int:
        return len(self._part.head) + self._part.stop - self._part.start

    def tell(self) -> int:
        """Return the position, in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position, in bytes, and return it."""
        size = FAR if self._part.endless else self._size
        self._at = max(0, offset + (0, self._at, size)[whence])
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` from the present position on, and return how many bytes there were."""
        part, head = self._part, self._part.head
        if self._at >= FAR - _TAIL:
            # libsndfile looks for a tag at the end, and gives up where it cannot read there.
            buffer[:] = bytes(len(buffer))
            return len(buffer)
        data = head[self._at : self._at + len(buffer)]
        if len(data) < len(buffer):
            start = part.start + max(0, self._at - len(head))
            stop = min(part.stop, start + len(buffer) - len(data))
            data += self._data[start : max(start, stop)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
