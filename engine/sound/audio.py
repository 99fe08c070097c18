"""Audio files in and out: what a file holds, its samples block by block, float32 WAV out.

Arrays are float32 of shape `(channels, frames)`; times are whole frames at a rate. Files are
decoded in a process of their own: see `engine.sound.reader`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from engine.sound.reader import Recording

__all__ = [
    "CHANNELS",
    "LOUDEST",
    "RATES",
    "AudioInfo",
    "FrameWriter",
    "Sound",
    "frame_bytes",
    "opened",
    "probe",
    "read",
    "wav_header",
]

RATES = (1_000, 768_000)  # Hz; the lowest and the highest sample rate that can be separated
CHANNELS = 2  # at most
LOUDEST = 1e6  # full scales; a sample beyond was never audio
_BLOCK = 1 << 16  # frames
_LOG = logging.getLogger("tweeze.audio")


@dataclass(frozen=True)
class AudioInfo:
    """What a file holds: Hz, channels, frames."""

    rate: int
    channels: int
    frames: int

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / self.rate


class Sound:
    """An open audio file, to be read once from its start to its end.

    `rate` is in Hz. `promised` is how many frames its header says there are, None where it does not
    say; how many there are is known at the end.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.rate = recording.rate
        self.channels = recording.channels
        self.promised = recording.promised

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what was left out or is not as the header says: whole at the end."""
        return self._recording.notes

    def blocks(self, frames: int = _BLOCK) -> Iterator[npt.NDArray[np.float32]]:
        """Yield all samples, in blocks of shape `(channels, frames)`; the last may be shorter.

        Raises
        ------
        BadAudio
            A sample is not a number, or the file cannot be decoded from some place on.

        """
        while (block := self._recording.read(frames)).shape[1]:
            yield block


@contextlib.contextmanager
def opened(
    path: Path, *, follow: bool = True, tick: Callable[[], None] | None = None
) -> Iterator[Sound]:
    """Open an audio file, once, and decode its beginning.

    Without `follow` a symbolic link is refused, also one that was put there a moment ago: a path
    that somebody else named could lead anywhere else by the time it is opened. `tick` is called a
    few times a second while a decoder is waited for, and may raise.

    Raises
    ------
    BadAudio
        The file cannot be read, is not audio, or cannot be separated. Devices and FIFOs are
        refused without being opened.
    Failure
        No process to read it could be started.

    """
    recording = Recording(path, follow=follow, tick=tick)
    try:
        yield Sound(recording)
    finally:
        recording.close()


def probe(path: Path, *, follow: bool = True) -> AudioInfo:
    """Say what a file holds; raises as `opened`.

    The number of frames is what the file says of itself; a file that does not say is decoded.
    """
    with opened(path, follow=follow) as sound:
        frames = sound.promised
        if frames is None:
            frames = sum(block.shape[1] for block in sound.blocks())
        return AudioInfo(sound.rate, sound.channels, frames)


def read(path: Path) -> tuple[npt.NDArray[np.float32], int]:
    """Return a whole file's samples, `(channels, frames)`, and its rate in Hz.

    What there is to say of how it was read goes to the log. Raises as `opened`.
    """
    with opened(path) as sound:
        samples = np.concatenate(list(sound.blocks()), axis=1)
        for note in sound.notes:
            _LOG.warning("%s", note)
        return samples, sound.rate


def frame_bytes(channels: int) -> int:
    """Return the bytes of one frame of float32 samples."""
    return 4 * channels


def wav_header(info: AudioInfo) -> bytes:
    """Return the header of a float32 WAV file (RF64 from 4 GiB on).

    Written here and not by libsndfile, because that adds a PEAK chunk with the time of day, and a
    job that was resumed must end in the same bytes. Format: Microsoft's "Multiple channel audio
    data and WAVE files" and EBU Tech 3306 (RF64).
    """
    frame = frame_bytes(info.channels)
    data = info.frames * frame
    form = struct.pack(
        "<4sIHHIIHHH", b"fmt ", 18, 3, info.channels, info.rate, info.rate * frame, frame, 32, 0
    )
    fact = struct.pack("<4sII", b"fact", 4, min(info.frames, 0xFFFFFFFF))
    riff = 4 + len(form) + len(fact) + 8 + data
    if riff <= 0xFFFFFFFE:
        start = struct.pack("<4sI4s", b"RIFF", riff, b"WAVE")
        return start + form + fact + struct.pack("<4sI", b"data", data)
    sizes = struct.pack("<4sIQQQI", b"ds64", 28, riff + 36, data, info.frames, 0)
    start = struct.pack("<4sI4s", b"RF64", 0xFFFFFFFF, b"WAVE")
    return start + sizes + form + fact + struct.pack("<4sI", b"data", 0xFFFFFFFF)


class FrameWriter:
    """Writes a float32 WAV file of known length, from its start or from a frame on."""

    def __init__(self, path: Path, info: AudioInfo, *, frame: int = 0) -> None:
        header = wav_header(info)
        self._file: BinaryIO = path.open("r+b" if frame else "wb")
        if frame == 0:
            self._file.write(header)
        else:
            self._file.truncate(len(header) + frame * frame_bytes(info.channels))
            self._file.seek(0, os.SEEK_END)

    @classmethod
    def holds(cls, path: Path, info: AudioInfo, frame: int) -> bool:
        """Whether the file at `path` has all frames before `frame`."""
        try:
            return path.stat().st_size >= len(wav_header(info)) + frame * frame_bytes(info.channels)
        except FileNotFoundError:
            return False

    def write(self, samples: npt.NDArray[np.float32]) -> None:
        """Append samples, `(channels, frames)`."""
        self._file.write(np.ascontiguousarray(samples.T).astype("<f4", copy=False).tobytes())

    def flush(self, *, to_disk: bool = False) -> None:
        """Hand everything to the system, and with `to_disk` wait until it is on the disk."""
        self._file.flush()
        if to_disk:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
