"""The mixture on disk, decoded once: at its own rate and at the model's."""

from __future__ import annotations

import errno
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

from engine.job import Job
from engine.models.base import ComplexArray, FloatArray, FrameGrid
from engine.sound.audio import AudioInfo, Sound, frame_bytes, opened
from engine.sound.frames import GROUP, reflect, spectrum, window

__all__ = ["SILENCE", "Mixture", "prepare"]

SILENCE = 10 ** (-90 / 20)
"""Peak below which a recording counts as silent: -90 dBFS, just above the last bit of 16."""


@dataclass(frozen=True)
class Mixture:
    """A mixture decoded to disk, at its own rate and at the model's.

    `model_samples` counts samples at the model's rate; `rms` is their RMS over all channels.
    `peak` is the largest magnitude of any sample. `notes` are sentences about how the file was
    read, and about what it holds.
    """

    info: AudioInfo
    own: Path  # interleaved float32 at info.rate
    model: Path  # interleaved float32 at the model's rate; the same file if the rates agree
    model_samples: int
    rms: float
    peak: float
    frame_grid: FrameGrid
    notes: tuple[str, ...] = ()

    @property
    def silent(self) -> bool:
        """Whether there is nothing in it that could be separated or heard."""
        return self.peak < SILENCE

    def frames(
        self, centres: npt.NDArray[np.int64], width: int, *, at_model_rate: bool = False
    ) -> FloatArray:
        """Return the samples around `centres`: `(channels, len(centres), width)`.

        Beyond its ends the mixture is reflected.
        """
        path, count = (
            (self.model, self.model_samples) if at_model_rate else (self.own, self.info.frames)
        )
        index = (centres - width // 2)[:, None] + np.arange(width)
        if index[0, 0] < 0 or index[-1, -1] >= count:
            index = reflect(index, count)
        low = int(index.min())
        samples = self._read(path, low, int(index.max()) + 1)
        return samples[:, index - low]

    def model_spectrum(self, first: int, last: int) -> ComplexArray:
        """Return the spectrogram of model frames `[first, last)`: `(channels, frames, bins)`."""
        width = self.frame_grid.n_fft
        group = max(1, GROUP // width)
        return np.concatenate(
            [
                spectrum(
                    self.frames(
                        np.arange(a, min(a + group, last)) * self.frame_grid.hop,
                        width,
                        at_model_rate=True,
                    ),
                    window(width),
                )
                for a in range(first, last, group)
            ],
            axis=1,
        )

    def samples(self, start: int, stop: int) -> FloatArray:
        """Return frames `[start, stop)` at the mixture's own rate: `(channels, frames)`."""
        return self._read(self.own, start, stop)

    def _read(self, path: Path, start: int, stop: int) -> FloatArray:
        channels = self.info.channels
        flat = np.fromfile(
            path, "<f4", (stop - start) * channels, offset=start * frame_bytes(channels)
        )
        samples: FloatArray = flat.reshape(-1, channels).T.astype(np.float32, copy=False)
        return samples


def prepare(
    job: Job, frame_grid: FrameGrid, work: Path, progress: Callable[[float], None]
) -> Mixture:
    """Decode the mixture to disk, once, and measure its RMS.

    A copy, because seeking in compressed files is not exact, and because the original may change
    or go away while the job runs.
    """
    note = work / "mixture.json"
    kept = _kept(note, frame_grid, work)
    if kept is None:
        own, model = work / "mixture.f32", work / "model.f32"
        # Opened once, and never through a link: what was admitted may have been exchanged since.
        with opened(job.mixture, follow=False, tick=lambda: progress(0.0)) as sound:
            info, frames, rms, peak = _decode(sound, frame_grid, own, model, progress)
            notes = list(sound.notes)
            if peak < SILENCE:
                name = job.title or job.mixture.name
                notes.append(f"'{name}' is silent: no sample reaches -90 dBFS.")
            said = {"info": asdict(info), "frames": frames, "rms": rms, "peak": peak}
            text = json.dumps({**said, "notes": notes})
        temporary = note.with_suffix(".part")
        temporary.write_text(text)
        temporary.replace(note)
        kept = _kept(note, frame_grid, work)
        if kept is None:
            raise OSError(errno.EIO, "what was written is not there", str(work))
    return kept


def _kept(note: Path, frame_grid: FrameGrid, work: Path) -> Mixture | None:
    """Return the mixture that an earlier process decoded, if all of it is there."""
    try:
        said = json.loads(note.read_text())
        info = AudioInfo(**said["info"])
        frames, rms, peak = int(said["frames"]), float(said["rms"]), float(said["peak"])
        notes = tuple(str(note) for note in said["notes"])
        own = work / "mixture.f32"
        model = own if info.rate == frame_grid.sample_rate else work / "model.f32"
        frame = frame_bytes(info.channels)
        whole = own.stat().st_size == info.frames * frame and model.stat().st_size == frames * frame
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return Mixture(info, own, model, frames, rms, peak, frame_grid, notes) if whole else None


def _decode(
    sound: Sound,
    frame_grid: FrameGrid,
    own: Path,
    model: Path,
    progress: Callable[[float], None],
) -> tuple[AudioInfo, int, float, float]:
    """Write the mixture at both rates; return its info, frames and RMS at the model's, and peak.

    How many frames there are is known when all are read, whatever the file's header says.
    """
    rate, channels = sound.rate, sound.channels
    resample = rate != frame_grid.sample_rate
    energy, peak, done, written = 0.0, 0.0, 0, 0
    stream = soxr.ResampleStream(
        rate, frame_grid.sample_rate, channels, dtype="float32", quality="HQ"
    )
    with own.open("wb") as own_file, model.open("wb") as model_file:

        def keep(samples: npt.NDArray[np.float32], wanted: int | None = None) -> None:
            nonlocal energy, written
            if wanted is not None:
                samples = samples[: wanted - written]
            energy += float(np.sum(samples.astype(np.float64) ** 2))
            written += len(samples)
            if resample:
                model_file.write(samples.astype("<f4", copy=False).tobytes())

        def take(samples: npt.NDArray[np.float32], *, last: bool) -> None:
            nonlocal done, peak
            peak = max(peak, float(np.max(np.abs(samples), initial=0.0)))
            own_file.write(samples.astype("<f4", copy=False).tobytes())
            done += len(samples)
            wanted = -(-done * frame_grid.sample_rate // rate) if last else None
            keep(stream.resample_chunk(samples, last=last) if resample else samples, wanted)
            progress(min(1.0, done / sound.promised) if sound.promised else 0.0)

        held: npt.NDArray[np.float32] | None = None  # one block back, to know which is the last
        for block in sound.blocks():
            if held is not None:
                take(held, last=False)
            held = np.ascontiguousarray(block.T)
        if held is not None:
            take(held, last=True)
        wanted = -(-done * frame_grid.sample_rate // rate)
        keep(np.zeros((wanted - written, channels), np.float32))
    rms = math.sqrt(energy / max(1, wanted * channels))
    return AudioInfo(rate, channels, done), wanted, rms, peak
