"""The mixture on disk, decoded once: at its own rate and at the model's."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

from engine.audio import AudioInfo, blocks, frame_bytes, probe
from engine.frames import GROUP, reflect, spectrum, window
from engine.job import Job
from engine.models.base import ComplexArray, FloatArray, Geometry

__all__ = ["Mixture", "prepare"]


@dataclass(frozen=True)
class Mixture:
    """A mixture decoded to disk, at its own rate and at the model's.

    `model_frames` counts samples at the model's rate; `loudness` is their RMS over all channels.
    """

    info: AudioInfo
    own: Path  # interleaved float32 at info.rate
    model: Path  # interleaved float32 at the model's rate; the same file if the rates agree
    model_frames: int
    loudness: float
    geometry: Geometry

    def frames(
        self, centres: npt.NDArray[np.int64], width: int, *, at_model_rate: bool = False
    ) -> FloatArray:
        """Return the samples around `centres`: `(channels, len(centres), width)`.

        Beyond its ends the mixture is reflected.
        """
        path, count = (
            (self.model, self.model_frames) if at_model_rate else (self.own, self.info.frames)
        )
        index = (centres - width // 2)[:, None] + np.arange(width)
        if index[0, 0] < 0 or index[-1, -1] >= count:
            index = reflect(index, count)
        low = int(index.min())
        samples = self._read(path, low, int(index.max()) + 1)
        return samples[:, index - low]

    def model_spectrum(self, first: int, last: int) -> ComplexArray:
        """Return the spectrogram of model frames `[first, last)`: `(channels, frames, bins)`."""
        width = self.geometry.n_fft
        group = max(1, GROUP // width)
        return np.concatenate(
            [
                spectrum(
                    self.frames(
                        np.arange(a, min(a + group, last)) * self.geometry.hop,
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


def prepare(job: Job, geometry: Geometry, work: Path, progress: Callable[[float], None]) -> Mixture:
    """Decode the mixture to disk, once, and take its loudness.

    A copy, because seeking in compressed files is not exact, and because the original may change
    or go away while the job runs.
    """
    own, model, note = work / "mixture.f32", work / "model.f32", work / "mixture.json"
    info = probe(job.mixture) if not note.exists() else None
    if info is not None:
        frames, loudness = _decode(job.mixture, info, geometry, own, model, progress)
        temporary = note.with_suffix(".part")
        temporary.write_text(
            json.dumps({"info": asdict(info), "frames": frames, "loudness": loudness})
        )
        temporary.replace(note)
    kept = json.loads(note.read_text())
    info = AudioInfo(**kept["info"])
    return Mixture(
        info,
        own,
        own if info.rate == geometry.sample_rate else model,
        int(kept["frames"]),
        float(kept["loudness"]),
        geometry,
    )


def _decode(
    path: Path,
    info: AudioInfo,
    geometry: Geometry,
    own: Path,
    model: Path,
    progress: Callable[[float], None],
) -> tuple[int, float]:
    """Write the mixture at both rates; return its frames and RMS at the model's rate."""
    resample = info.rate != geometry.sample_rate
    wanted = -(-info.frames * geometry.sample_rate // info.rate)
    energy, done, written = 0.0, 0, 0
    stream = soxr.ResampleStream(
        info.rate, geometry.sample_rate, info.channels, dtype="float32", quality="HQ"
    )
    with own.open("wb") as own_file, model.open("wb") as model_file:

        def keep(samples: npt.NDArray[np.float32]) -> None:
            nonlocal energy, written
            samples = samples[: wanted - written]
            energy += float(np.sum(samples.astype(np.float64) ** 2))
            written += len(samples)
            if resample:
                model_file.write(samples.astype("<f4", copy=False).tobytes())

        for block in blocks(path):
            interleaved = np.ascontiguousarray(block.T)
            own_file.write(interleaved.astype("<f4", copy=False).tobytes())
            done += len(interleaved)
            last = done == info.frames
            keep(stream.resample_chunk(interleaved, last=last) if resample else interleaved)
            progress(done / info.frames)
        keep(np.zeros((wanted - written, info.channels), np.float32))
    return wanted, math.sqrt(energy / max(1, wanted * info.channels))
