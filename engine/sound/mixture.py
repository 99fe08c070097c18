"""Mixtures: where the samples of a separation come from, at their own rate and at the model's."""

from __future__ import annotations

import contextlib
import errno
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import soxr

from engine.job import Job
from engine.models.base import FloatArray, FrameGrid
from engine.sound.audio import AudioInfo, frame_bytes, opened
from engine.sound.frames import GROUP, reflect, spectrum, window

__all__ = [
    "SILENCE",
    "ArrayMixture",
    "DecodedMixture",
    "Mixture",
    "at_rate",
    "decode",
    "frames_around",
    "is_silent",
    "model_magnitudes",
    "prepare",
    "resampled",
    "silent_note",
]

SILENCE = 10 ** (-90 / 20)
"""Peak below which a recording counts as silent: -90 dBFS, just above the last bit of 16."""
_BLOCK = 1 << 16  # frames that are resampled at a time
_OWN, _MODEL, _NOTE = "mixture.f32", "model.f32", "mixture.json"


class Mixture(Protocol):
    """A source of samples, at its own rate and at a model's."""

    @property
    def info(self) -> AudioInfo:
        """Its own rate, channels and frames."""

    @property
    def model_samples(self) -> int:
        """Number of samples at the model's rate."""

    @property
    def rms(self) -> float:
        """RMS of the samples at the model's rate, over all channels."""

    @property
    def peak(self) -> float:
        """The largest magnitude of any sample at its own rate."""

    def samples(self, start: int, stop: int) -> FloatArray:
        """Return frames `[start, stop)` at its own rate: `(channels, stop - start)`."""

    def resampled(self, start: int, stop: int) -> FloatArray:
        """Return samples `[start, stop)` at the model's rate: `(channels, stop - start)`."""


def is_silent(mixture: Mixture) -> bool:
    """Return whether a mixture holds nothing that could be separated or heard."""
    return mixture.peak < SILENCE


def silent_note(name: str) -> str:
    """Return the sentence that says of a recording that it is silent."""
    return f"'{name}' is silent: no sample reaches -90 dBFS."


def frames_around(
    read: Callable[[int, int], FloatArray], count: int, centres: npt.NDArray[np.int64], width: int
) -> FloatArray:
    """Return the samples around `centres`: `(channels, len(centres), width)`.

    `read` returns samples `[start, stop)` out of `count`; beyond the ends they are reflected.
    """
    starts = centres - width // 2
    first, last = int(starts[0]), int(starts[-1]) + width
    if first >= 0 and last <= count:
        samples = read(first, last)
    else:
        index = reflect(np.arange(first, last), count)
        low = int(index.min())
        samples = read(low, int(index.max()) + 1)[:, index - low]
    hop = int(starts[1] - starts[0]) if len(starts) > 1 else 1
    if (np.diff(starts) == hop).all():
        # Frames at equal distances need no copy.
        return np.lib.stride_tricks.sliding_window_view(samples, width, axis=1)[:, ::hop]
    return samples[:, (starts - first)[:, None] + np.arange(width)]


def model_magnitudes(
    mixture: Mixture,
    frame_grid: FrameGrid,
    first: int,
    last: int,
    channels: slice = slice(None),
    workers: int = 0,
) -> FloatArray:
    """Return the magnitudes of model frames `[first, last)`: `(channels, frames, bins)`.

    `workers` is the number of threads; 0 for as many as there are processors to use.
    """
    width = frame_grid.n_fft
    group = max(1, GROUP // width)

    def read(start: int, stop: int) -> FloatArray:
        return mixture.resampled(start, stop)[channels]

    parts = []
    for start in range(first, last, group):
        centres = np.arange(start, min(start + group, last)) * frame_grid.hop
        around = frames_around(read, mixture.model_samples, centres, width)
        parts.append(np.abs(spectrum(around, window(width), workers)))
    return np.concatenate(parts, axis=1)


class ArrayMixture:
    """A mixture in memory.

    Parameters
    ----------
    samples
        `(channels, frames)`, float32, at least one frame.
    rate
        Hz.
    model_rate
        Hz; the rate at which the model hears.

    """

    def __init__(self, samples: FloatArray, rate: int, model_rate: int) -> None:
        channels, frames = samples.shape
        self.info = AudioInfo(rate, channels, frames)
        self._own = samples
        energy = 0.0
        model: list[FloatArray] = []
        blocks = (samples[:, a : a + _BLOCK] for a in range(0, frames, _BLOCK))
        for block in resampled(blocks, rate, model_rate, channels):
            energy += _energy(block)
            if rate != model_rate:
                model.append(block)
        self._model: FloatArray = np.concatenate(model).T if model else samples
        self.model_samples = self._model.shape[1]
        self.rms = math.sqrt(energy / max(1, self._model.size))
        self.peak = float(np.max(np.abs(samples), initial=0.0))

    def samples(self, start: int, stop: int) -> FloatArray:
        """See `Mixture.samples`."""
        return self._own[:, start:stop]

    def resampled(self, start: int, stop: int) -> FloatArray:
        """See `Mixture.resampled`."""
        return self._model[:, start:stop]


@dataclass(frozen=True)
class DecodedMixture:
    """A mixture on disk, decoded once at its own rate and at the model's.

    `model_samples` counts samples at the model's rate, which is `model_rate` in Hz; `rms` is their
    RMS over all channels.
    `peak` is the largest magnitude of any sample. `notes` are sentences about how the file was
    read, and about what it holds.
    """

    info: AudioInfo
    own: Path  # interleaved float32 at info.rate
    model: Path  # interleaved float32 at the model's rate; the same file if the rates agree
    model_samples: int
    rms: float
    peak: float
    notes: tuple[str, ...] = ()
    model_rate: int = 0

    def samples(self, start: int, stop: int) -> FloatArray:
        """See `Mixture.samples`."""
        return self._read(self.own, start, stop)

    def resampled(self, start: int, stop: int) -> FloatArray:
        """See `Mixture.resampled`."""
        return self._read(self.model, start, stop)

    def _read(self, path: Path, start: int, stop: int) -> FloatArray:
        channels = self.info.channels
        flat = np.fromfile(
            path, "<f4", (stop - start) * channels, offset=start * frame_bytes(channels)
        )
        samples: FloatArray = flat.reshape(-1, channels).T.astype(np.float32, copy=False)
        return samples


def prepare(
    job: Job, frame_grid: FrameGrid, work: Path, on_progress: Callable[[float], None]
) -> DecodedMixture:
    """Decode a job's mixture into the folder `work`, once, and measure its RMS.

    A copy, because seeking in compressed files is not exact, and because the original may change
    or go away while the job runs.
    """
    kept = _kept(frame_grid, work)
    if kept is not None:
        return kept
    reached = 0.0
    # Opened once, and never through a link: what was admitted may have been exchanged since.
    with opened(job.mixture, follow=False, tick=lambda: on_progress(reached)) as sound:

        def counted() -> Iterator[FloatArray]:
            nonlocal reached
            done = 0
            for block in sound.blocks():
                yield block
                done += block.shape[1]
                reached = min(1.0, done / sound.promised) if sound.promised else 0.0
                on_progress(reached)

        return decode(
            counted(),
            sound.rate,
            sound.channels,
            frame_grid,
            work,
            name=job.title or job.mixture.name,
            notes=lambda: sound.notes,
        )


def decode(
    blocks: Iterable[FloatArray],
    rate: int,
    channels: int,
    frame_grid: FrameGrid,
    work: Path,
    *,
    name: str = "the recording",
    notes: Callable[[], tuple[str, ...]] = tuple,
) -> DecodedMixture:
    """Write a mixture into the folder `work`, at both rates, and measure its RMS.

    `blocks` are of shape `(channels, frames)`, float32, at `rate` Hz; how many frames there are is
    known when all were read. `notes` is called then, for sentences about how they were read; one
    says so where the mixture, called `name`, is silent.
    """
    own, model = work / _OWN, work / _MODEL
    energy, peak, frames, written = 0.0, 0.0, 0, 0
    with own.open("wb") as own_file, model.open("wb") as model_file:

        def passed() -> Iterator[FloatArray]:
            nonlocal frames, peak
            for block in blocks:
                own_file.write(_interleaved(block.T))
                frames += block.shape[1]
                peak = max(peak, float(np.max(np.abs(block), initial=0.0)))
                yield block

        for block in resampled(passed(), rate, frame_grid.sample_rate, channels):
            energy += _energy(block)
            written += len(block)
            if rate != frame_grid.sample_rate:
                model_file.write(_interleaved(block))
    said = list(notes())
    if peak < SILENCE:
        said.append(silent_note(name))
    facts = {
        "info": asdict(AudioInfo(rate, channels, frames)),
        "frames": written,
        "rms": math.sqrt(energy / max(1, written * channels)),
        "peak": peak,
        "notes": said,
    }
    temporary = work / f"{_NOTE}.part"
    temporary.write_text(json.dumps(facts))
    temporary.replace(work / _NOTE)
    kept = _kept(frame_grid, work)
    if kept is None:
        raise OSError(errno.EIO, "what was written is not there", str(work))
    return kept


def _kept(frame_grid: FrameGrid, work: Path) -> DecodedMixture | None:
    """Return the mixture that an earlier process decoded, if all of it is there."""
    try:
        said = json.loads((work / _NOTE).read_text())
        info = AudioInfo(**said["info"])
        frames, rms, peak = int(said["frames"]), float(said["rms"]), float(said["peak"])
        notes = tuple(str(note) for note in said["notes"])
        own = work / _OWN
        model = own if info.rate == frame_grid.sample_rate else work / _MODEL
        frame = frame_bytes(info.channels)
        whole = own.stat().st_size == info.frames * frame and model.stat().st_size == frames * frame
    except (OSError, ValueError, TypeError, KeyError):
        return None
    found = DecodedMixture(info, own, model, frames, rms, peak, notes, frame_grid.sample_rate)
    return found if whole else None


def at_rate(
    mixture: DecodedMixture, rate: int, work: Path, on_step: Callable[[], None] = lambda: None
) -> DecodedMixture:
    """Return a decoded mixture with samples at another model's rate.

    They are written into the folder `work` once; `on_step` is called between blocks.
    """
    if mixture.model_rate == rate:
        return mixture
    note = work / f"model-{rate}.json"
    own = rate == mixture.info.rate
    path = mixture.own if own else work / f"model-{rate}.f32"
    channels = mixture.info.channels
    wanted = -(-mixture.info.frames * rate // mixture.info.rate)
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        rms = float(json.loads(note.read_text())["rms"])
        if path.stat().st_size == wanted * frame_bytes(channels):
            return replace(mixture, model=path, model_samples=wanted, rms=rms, model_rate=rate)

    def blocks() -> Iterator[FloatArray]:
        for start in range(0, mixture.info.frames, _BLOCK):
            on_step()
            yield mixture.samples(start, min(start + _BLOCK, mixture.info.frames))

    energy = 0.0
    with contextlib.nullcontext() if own else path.open("wb") as file:
        for block in resampled(blocks(), mixture.info.rate, rate, channels):
            energy += _energy(block)
            if file is not None:
                file.write(_interleaved(block))
    rms = math.sqrt(energy / max(1, wanted * channels))
    temporary = note.with_suffix(".part")
    temporary.write_text(json.dumps({"rms": rms}))
    temporary.replace(note)
    return replace(mixture, model=path, model_samples=wanted, rms=rms, model_rate=rate)


def resampled(
    blocks: Iterable[FloatArray], rate: int, to: int, channels: int
) -> Iterator[FloatArray]:
    """Yield blocks `(channels, frames)` at another rate, interleaved: `(frames, channels)`.

    Of `n` frames it makes `ceil(n * to / rate)`.
    """
    if rate == to:
        for block in blocks:
            yield np.ascontiguousarray(block.T)
        return
    stream = soxr.ResampleStream(rate, to, channels, dtype="float32", quality="HQ")
    done, written = 0, 0
    held: FloatArray | None = None  # one block back, to know which is the last
    for block in blocks:
        if held is not None:
            made = stream.resample_chunk(held, last=False)
            written += len(made)
            yield made
        held = np.ascontiguousarray(block.T)
        done += len(held)
    wanted = -(-done * to // rate)
    if held is not None:
        made = stream.resample_chunk(held, last=True)[: wanted - written]
        written += len(made)
        yield made
    yield np.zeros((wanted - written, channels), np.float32)


def _energy(samples: FloatArray) -> float:
    return float(np.sum(samples.astype(np.float64) ** 2))


def _interleaved(samples: FloatArray) -> bytes:
    return np.ascontiguousarray(samples).astype("<f4", copy=False).tobytes()
