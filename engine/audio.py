"""Audio files in and out: what a file holds, its samples block by block, float32 WAV out.

Arrays are float32 of shape `(channels, frames)`; times are whole frames at a rate.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from engine.errors import BadAudio

__all__ = [
    "RATES",
    "AudioInfo",
    "FrameWriter",
    "Sound",
    "blocks",
    "frame_bytes",
    "opened",
    "probe",
    "read",
    "wav_header",
]

RATES = (1_000, 768_000)  # Hz; the lowest and the highest sample rate that can be separated
_CHANNELS = 2
_LOUDEST = 1e6  # full scales; a sample beyond was never audio
_BLOCK = 1 << 16  # frames
_CHUNKS = 10_000  # of a WAV file, before its sound; editors write fewer than a hundred


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


@dataclass(frozen=True)
class Sound:
    """An open audio file: what its header said when it was opened stays true of what is read."""

    path: Path
    info: AudioInfo
    _file: soundfile.SoundFile

    def blocks(self, frames: int = _BLOCK) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the samples in blocks of shape `(channels, <= frames)`: `info.frames` in all.

        Raises
        ------
        BadAudio
            A sample is not a number, or the file ends before its header says.

        """
        path, info = self.path, self.info
        done = 0
        while done < info.frames:
            wanted = min(frames, info.frames - done)
            try:
                block = self._file.read(wanted, dtype="float32", always_2d=True)
            except soundfile.SoundFileError as error:
                raise BadAudio(
                    f"{path} cannot be decoded from {done / info.rate:.3f} s on ({error}): "
                    "export it again."
                ) from error
            if not len(block):
                raise BadAudio(
                    f"{path} ends after {done / info.rate:.3f} s, but its header promises "
                    f"{info.seconds:.3f} s: export it again."
                )
            _check_samples(path, block, done, info.rate)
            done += len(block)
            yield np.ascontiguousarray(block.T)


@contextlib.contextmanager
def opened(path: Path, *, follow: bool = True) -> Iterator[Sound]:
    """Open an audio file, once, and look at its header.

    Without `follow` a symbolic link is refused, also one that was put there a moment ago: a path
    that somebody else named could lead anywhere else by the time it is opened.

    Raises
    ------
    BadAudio
        The file cannot be read, is no audio, or is audio that cannot be separated. Devices and
        FIFOs are refused without being opened.

    """
    with _file(path, follow=follow) as file:
        yield Sound(path, _info(path, file), file)


def probe(path: Path, *, follow: bool = True) -> AudioInfo:
    """Look at a file's header and say what the file holds; raises as `opened`."""
    with opened(path, follow=follow) as sound:
        return sound.info


def read(path: Path) -> tuple[npt.NDArray[np.float32], int]:
    """Return a whole file's samples, `(channels, frames)`, and its rate in Hz."""
    with opened(path) as sound:
        return np.concatenate(list(sound.blocks()), axis=1), sound.info.rate


def blocks(path: Path, frames: int = _BLOCK) -> Iterator[npt.NDArray[np.float32]]:
    """Yield a file's samples in blocks of shape `(channels, <= frames)`; see `Sound.blocks`."""
    with opened(path) as sound:
        yield from sound.blocks(frames)


def _check_samples(path: Path, block: npt.NDArray[np.float32], done: int, rate: int) -> None:
    """Refuse what is no sample: NaN, infinity, or a number no converter ever made."""
    with np.errstate(invalid="ignore"):
        sane = np.abs(block) <= _LOUDEST
    if sane.all():
        return
    frame, channel = (int(index) for index in np.argwhere(~sane)[0])
    value = block[frame, channel]
    what = f"{value:.3g} times full scale" if np.isfinite(value) else f"{value} (not a number)"
    raise BadAudio(
        f"{path} holds a damaged sample at {(done + frame) / rate:.6f} s (channel {channel + 1}: "
        f"{what}): repair that spot or export the file again."
    )


def _file(path: Path, *, follow: bool) -> soundfile.SoundFile:
    # Without O_NONBLOCK, opening a FIFO would wait for its writer, for ever perhaps.
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_BINARY", "O_CLOEXEC", "O_NOCTTY"):
        flags |= getattr(os, name, 0)
    if not follow:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    try:
        # Looked at before it is opened, for that alone makes some devices do something; and after,
        # for it may have been exchanged in between.
        _check_kind(path, path.stat() if follow else path.lstat())
        handle = os.open(path, flags)
    except FileNotFoundError:
        raise BadAudio(f"{path} does not exist: check the path.") from None
    except (OSError, ValueError) as error:
        if not follow and getattr(error, "errno", 0) == errno.ELOOP:
            raise BadAudio(_LINK.format(path)) from error
        reason = getattr(error, "strerror", None) or str(error)
        raise BadAudio(f"{path} cannot be opened ({reason}): check its permissions.") from error
    try:
        about = os.fstat(handle)
        _check_kind(path, about)
        if about.st_size == 0:
            raise BadAudio(f"{path} is empty (0 bytes): export it again.")
        _check_whole(path, handle, about.st_size)
        os.lseek(handle, 0, os.SEEK_SET)
        try:
            return soundfile.SoundFile(os.dup(handle), closefd=True)
        except soundfile.SoundFileError as error:
            raise BadAudio(
                f"{path} is no audio file that Tweeze can read: export it as WAV, AIFF or FLAC."
            ) from error
    finally:
        os.close(handle)


_LINK = "{} is a symbolic link: name the file that it points to."


def _check_kind(path: Path, about: os.stat_result) -> None:
    if stat.S_ISLNK(about.st_mode):
        raise BadAudio(_LINK.format(path))
    if stat.S_ISDIR(about.st_mode):
        raise BadAudio(f"{path} is a folder: name an audio file.")
    if not stat.S_ISREG(about.st_mode):
        raise BadAudio(f"{path} is a device or a pipe, not a file: name an audio file.")


def _check_whole(path: Path, handle: int, size: int) -> None:
    """Refuse a WAV file whose header promises more than the file holds.

    libsndfile would silently read what is there. A length of 0 or 2**32 - 1 is what programs
    write that did not know it beforehand (WAV over a pipe): these are taken as they are.
    """
    form = os.read(handle, 12)
    if form[:4] not in (b"RIFF", b"RIFX") or form[8:] != b"WAVE":
        return
    order = "<" if form[:4] == b"RIFF" else ">"
    for _ in range(_CHUNKS):
        head = os.read(handle, 8)
        if len(head) < 8:
            return
        kind, length = struct.unpack(f"{order}4sI", head)
        if kind == b"data":
            there = size - os.lseek(handle, 0, os.SEEK_CUR)
            if length not in (0, 0xFFFFFFFF) and length > there:
                raise BadAudio(
                    f"{path} is cut off: its header promises {length:,} bytes of sound and "
                    f"{there:,} are there: export it again."
                )
            return
        os.lseek(handle, length + (length & 1), os.SEEK_CUR)
    raise BadAudio(
        f"{path} has more than {_CHUNKS:,} chunks before its sound, which no program writes: "
        "export it again."
    )


def _info(path: Path, sound: soundfile.SoundFile) -> AudioInfo:
    info = AudioInfo(int(sound.samplerate), int(sound.channels), int(sound.frames))
    if info.frames < 1:
        raise BadAudio(f"{path} holds no sound (0 frames): export it again.")
    if info.channels > _CHANNELS:
        raise BadAudio(
            f"{path} has {info.channels} channels, and Tweeze takes mono or stereo: "
            "export the channels that you want as a stereo file."
        )
    if not RATES[0] <= info.rate <= RATES[1]:
        raise BadAudio(
            f"{path} has a sample rate of {info.rate:,} Hz, and Tweeze takes {RATES[0]:,} to "
            f"{RATES[1]:,} Hz: export it at 44,100 or 48,000 Hz."
        )
    return info


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
