"""Decoding with FFmpeg, where it is there: PyAV's (`tweeze[formats]`), or the commands on the PATH.

For what libsndfile does not know: the M4A of phones, WMA, AMR, the sound of a film. The first
audio stream is taken, and its start and length are those that Audacity's import gives: what an
encoder put before the start is dropped, and a stream that begins late begins with silence.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any, Protocol

import numpy as np

from engine.sound.decoders.base import Bytes, Decoder, Part, Samples, Undecodable, Window

__all__ = ["FfmpegDecoder", "kind", "open_ffmpeg"]

_BLOCK = 1 << 14  # frames
_GUESSED = ("aac", "ac3", "amr")  # streams without a header: their length is FFmpeg's guess
_TOLERANCE = 0.1  # seconds that a stream may be shorter than its header says, as many are
# Audacity (3.2.4, tests/hosts/audacity/test_formats.py) takes a stream's start for microseconds,
# whatever its time base is. A clip must lie where its original lies, so this is done as there.
_AUDACITY_TICKS = 1_000_000
# Named by their first bytes and never guessed by FFmpeg, which would also read playlists, that
# lead to other files and into the network. (offset, bytes, FFmpeg's demuxer, what people call it)
_KINDS: tuple[tuple[int, bytes, str, str], ...] = (
    (4, b"ftyp", "mov", "an M4A, MP4 or QuickTime file"),
    (4, b"moov", "mov", "a QuickTime file"),
    (4, b"mdat", "mov", "a QuickTime file"),
    (4, b"wide", "mov", "a QuickTime file"),
    (0, b"\xff\xf1", "aac", "an AAC file"),
    (0, b"\xff\xf9", "aac", "an AAC file"),
    (0, bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "asf", "a WMA file"),
    (0, b"#!AMR", "amr", "an AMR file"),
    (0, b"\x1a\x45\xdf\xa3", "matroska", "a WebM or Matroska file"),
    (0, b"wvpk", "wv", "a WavPack file"),
    (0, b"MAC ", "ape", "a Monkey's Audio file"),
    (0, b"TTA1", "tta", "a TTA file"),
    (0, b"DSD ", "dsf", "a DSD file"),
    (0, b"\x0b\x77", "ac3", "an AC-3 file"),
    (0, b"FLV\x01", "flv", "a Flash video"),
    (8, b"AVI ", "avi", "an AVI film"),
    (0, b"caff", "caf", "a CAF file"),
    (0, b"fLaC", "flac", "a FLAC file"),
    (0, b"OggS", "ogg", "an Ogg file"),
    (8, b"WAVE", "wav", "a WAV file"),
)


def kind(data: Bytes) -> tuple[str, str] | None:
    """Return FFmpeg's name of a file's kind and what people call it; None if it is none of them."""
    for offset, magic, demuxer, called in _KINDS:
        if data[offset : offset + len(magic)] == magic:
            return demuxer, called
    return None


def open_ffmpeg(data: Bytes, handle: int, demuxer: str) -> Decoder | None:
    """Open a file with whichever FFmpeg is there, or return None where there is none.

    `data` and `handle` are the same file: the library reads the one, the commands the other.

    Raises
    ------
    Undecodable
        FFmpeg cannot decode it, or finds no sound in it.

    """
    if demuxer == "mov" and data.find(b"moov") < 0:
        raise Undecodable(
            "has no index, which most programs write last and without which its sound cannot be "
            "found: it was cut off, copy it again."
        )
    try:
        av = importlib.import_module("av")
    except ImportError:
        programs = shutil.which("ffmpeg"), shutil.which("ffprobe")
        if programs[0] is None or programs[1] is None:
            return None
        return FfmpegDecoder(_Commands(programs[0], programs[1], handle, demuxer))
    return FfmpegDecoder(_Library(av, data, demuxer))


class _Stream(Protocol):
    """The first audio stream of a file, as FFmpeg yields it.

    `late` is when it begins, in ticks of its own time base, and `seconds` how long it should be
    (0.0: unknown).
    """

    rate: int
    channels: int
    late: int
    seconds: float
    damaged: bool

    def pieces(self) -> Iterator[Samples]:
        """Yield what is decoded, in pieces of any size."""

    def close(self) -> None:
        """Let go of it."""


class FfmpegDecoder:
    """Cuts what FFmpeg yields into blocks: see `Decoder`."""

    def __init__(self, stream: _Stream) -> None:
        self.rate, self.channels = stream.rate, stream.channels
        self._stream = stream
        self._silence = max(0, round(stream.late / _AUDACITY_TICKS * stream.rate))
        self.promised = (
            self._silence + round(stream.seconds * stream.rate) if stream.seconds else None
        )
        self._pieces = stream.pieces()
        self._left = np.zeros((0, self.channels), np.float32)
        self._done = 0
        self._notes: list[str] = []

    @property
    def notes(self) -> Sequence[str]:
        """Remarks on how the file was read."""
        return tuple(self._notes)

    def read(self, frames: int) -> Samples:
        """Return the next frames: `(frames, channels)`."""
        if self._silence:
            block = np.zeros((min(frames, self._silence), self.channels), np.float32)
            self._silence -= len(block)
        else:
            while not len(self._left):
                piece = next(self._pieces, None)
                if piece is None:
                    self._compare()
                    return self._left
                self._left = piece
            block, self._left = self._left[:frames], self._left[frames:]
        self._done += len(block)
        return block

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _compare(self) -> None:
        if self._stream.damaged:
            self._notes.append("holds damaged pieces, which were left out: copy it again.")
        elif self.promised and self.promised - self._done > _TOLERANCE * self.rate:
            said, there = self.promised / self.rate, self._done / self.rate
            self._notes.append(
                f"is cut off: its header promises {said:,.3f} s. "
                f"The {there:,.3f} s that are there were used."
            )


def _nothing(reason: object) -> Undecodable:
    said = getattr(reason, "strerror", None) or reason  # PyAV's own words: a number and '<none>'
    return Undecodable(f"cannot be decoded by FFmpeg ({said}): export it as WAV, AIFF or FLAC.")


class _Library:
    """A stream read with PyAV, from memory: it opens no other file, whatever this one says."""

    def __init__(self, av: Any, data: Bytes, demuxer: str) -> None:
        self._av = av
        self.damaged = False
        try:
            window = Window(data, Part(0, len(data)))
            self._container = av.open(
                window, mode="r", format=demuxer, options={"protocol_whitelist": "none"}
            )
            streams = self._container.streams.audio
            if not streams:
                raise Undecodable("has no audio track: choose a file with sound.")
            self._stream = streams[0]
            base = self._stream.time_base or 0
            self.late = self._stream.start_time or 0
            known = demuxer not in _GUESSED
            self.seconds = float((self._stream.duration or 0) * base) if known else 0.0
            self._decoded = self._decode()
            # What the header says of rate and channels is not always what comes out of a decoder.
            self._first = next(self._decoded, None)
        except (av.FFmpegError, ValueError, MemoryError) as error:
            raise _nothing(error) from error
        if self._first is None:
            raise Undecodable("has no audio track: choose a file with sound.")
        self.channels = self._first.shape[1]

    def _decode(self) -> Iterator[Samples]:
        resampler: Any = None
        for packet in self._container.demux(self._stream):
            try:
                frames = packet.decode()
            except self._av.error.InvalidDataError:
                self.damaged = True
                continue
            for frame in frames:
                if resampler is None:
                    self.rate = int(frame.sample_rate)
                    # Only the kind of number is changed: whole ones become parts of full scale.
                    resampler = self._av.AudioResampler("flt", frame.layout.name, self.rate)
                yield from map(_samples, resampler.resample(frame))
        if resampler is not None:
            yield from map(_samples, resampler.resample(None))

    def pieces(self) -> Iterator[Samples]:
        """Yield what is decoded."""
        assert self._first is not None
        yield self._first
        try:
            yield from self._decoded
        except (self._av.FFmpegError, ValueError) as error:
            raise _nothing(error) from error

    def close(self) -> None:
        """Close the file."""
        self._container.close()


def _samples(frame: Any) -> Samples:
    found: Samples = frame.to_ndarray().reshape(-1, len(frame.layout.channels))
    return found


class _Commands:
    """A stream read by the commands `ffprobe` and `ffmpeg`."""

    def __init__(self, ffmpeg: str, ffprobe: str, handle: int, demuxer: str) -> None:
        self.damaged = False
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the command
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._start(ffmpeg, ffprobe, handle, demuxer)
        except BaseException:
            self.close()
            raise

    def _start(self, ffmpeg: str, ffprobe: str, handle: int, demuxer: str) -> None:
        source = ["-v", "error", "-protocol_whitelist", "file,pipe,fd", "-f", demuxer]
        place = ["-i", f"/dev/fd/{handle}"]
        about = ["-select_streams", "a:0", "-show_entries", "stream=start_pts,duration"]
        os.lseek(handle, 0, os.SEEK_SET)
        try:
            said = subprocess.run(
                [ffprobe, *source, *about, "-of", "json", *place],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._words,
                pass_fds=(handle,),
                check=True,
            ).stdout
            streams = json.loads(said).get("streams", [])
        except (subprocess.CalledProcessError, ValueError) as error:
            raise _nothing(self._last_words()) from error
        if not streams:
            raise Undecodable("has no audio track: choose a file with sound.")
        self.late = int(_number(streams[0].get("start_pts")))
        known = demuxer not in _GUESSED
        self.seconds = _number(streams[0].get("duration")) if known else 0.0
        os.lseek(handle, 0, os.SEEK_SET)
        form = ["-map", "0:a:0", "-c:a", "pcm_f32be", "-f", "au"]
        self._process = subprocess.Popen(
            [ffmpeg, "-nostdin", *source, *place, *form, "-"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._words,
            pass_fds=(handle,),
        )
        assert self._process.stdout is not None
        self._out: IO[bytes] = self._process.stdout
        head = self._out.read(24)
        if len(head) < 24:
            self._process.wait()
            raise _nothing(self._last_words())
        _, start, _, _, self.rate, self.channels = struct.unpack(">4s5I", head)
        self._out.read(start - 24)

    def pieces(self) -> Iterator[Samples]:
        """Yield what is decoded."""
        assert self._process is not None
        frame = 4 * self.channels
        while data := self._out.read(_BLOCK * frame):
            numbers = np.frombuffer(data[: len(data) - len(data) % frame], ">f4")
            yield numbers.astype(np.float32).reshape(-1, self.channels)
        if self._process.wait():
            raise _nothing(self._last_words())
        self.damaged = bool(self._last_words())

    def close(self) -> None:
        """End the command."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._out.close()
        self._words.close()

    def _last_words(self) -> str:
        self._words.seek(0)
        lines = self._words.read().decode("utf-8", "replace").split("\n")
        return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")


def _number(text: object) -> float:
    try:
        value = float(str(text))
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0
