"""How well and how fast `deepfilternet` does speech: `python -m bench.speech quality|speed|mask`.

`quality SPEECH NOISE...` mixes recordings of speech with noise at 0 dB and prints how much
SI-SDR each query gains; all are folders that are searched for audio files. `mask` takes the same
and prints what is lost between the network's waveform and the mask, on frames of several lengths.
`speed` separates 30 s of stereo noise from array to array, at 44.1 kHz, and prints how many times
faster than real time that was, with the peak memory of the process.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from engine.models.base import ChunkGrid, FloatArray, FrameGrid, Separator
from engine.models.deepfilternet import separator, wheel
from engine.models.deepfilternet.stream import DELAY, Memory, speech
from engine.sound.core import pieces
from engine.sound.measure import si_sdr
from engine.sound.mixture import ArrayMixture

RATE = 48_000
SECONDS = 5
SUFFIXES = {".wav", ".flac", ".ogg", ".opus"}
GRIDS = ((960, 480), (1536, 384), (2048, 512), (3072, 960), (4096, 1024))


@dataclass
class Fixed:
    """A separator whose answer is known."""

    answer: FloatArray
    frame_grid: FrameGrid
    name: str = "fixed"
    sources: tuple[str, ...] = ("speech",)
    channels: int = 1

    @property
    def chunk_grid(self) -> ChunkGrid:
        return ChunkGrid(np.ones(len(self.answer), np.float32), hop=len(self.answer))

    def embed(self, query: str) -> FloatArray:
        return np.ones(1, np.float32)

    def sources_of(self, samples: FloatArray, rms: float) -> FloatArray:
        return self.answer[None, None]


def separated(model: Separator, samples: FloatArray, rate: int, *queries: str) -> FloatArray:
    mixture = ArrayMixture(samples, rate, model.frame_grid.sample_rate)
    vectors = np.stack([model.embed(query) for query in queries])
    return np.concatenate([piece.targets for piece in pieces(mixture, model, vectors)], axis=-1)


def waveform(model: separator.DeepFilterNet, samples: FloatArray) -> FloatArray:
    """Return the network's own speech, before it becomes a mask."""
    gain = np.float32(separator.LEVEL / max(1e-9, float(np.sqrt(np.mean(samples**2)))))
    padded = np.pad(samples * gain, (0, -len(samples) % 480 + DELAY))
    found = speech(model.network, padded, Memory.none())[0][DELAY:][: len(samples)] / gain
    return np.asarray(found, np.float32)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def read(path: Path) -> FloatArray:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(samples[:, 0], rate, RATE, "VHQ"), np.float32)


def mixtures(
    talk: Path, noises: list[Path], each: int
) -> Iterator[tuple[str, FloatArray, FloatArray]]:
    """Yield the name of each noise, the speech, and the mixture, at an RMS of 0.1."""
    rng = np.random.default_rng(0)
    spoken = files(talk)
    for folder in noises:
        for path in rng.choice(np.array(files(folder), dtype=object), each, replace=False):
            noise = read(path)
            noise = np.tile(noise, -(-SECONDS * RATE // len(noise)))[: SECONDS * RATE]
            voice = np.zeros(0, np.float32)
            while len(voice) < len(noise):
                voice = np.concatenate([voice, read(spoken[rng.integers(len(spoken))])])
            voice = voice[: len(noise)]
            noise = noise * np.sqrt(np.mean(voice**2) / max(1e-12, float(np.mean(noise**2))))
            gain = 0.1 / np.sqrt(np.mean((voice + noise) ** 2))
            yield folder.name, voice * gain, (voice + noise) * gain


def quality(talk: Path, noises: list[Path], each: int) -> None:
    model = load()
    gains: dict[str, list[tuple[float, float]]] = {}
    for name, clean, mixture in mixtures(talk, noises, each):
        answers = separated(model, mixture[None], RATE, "speech", "background noise")
        before = si_sdr(clean, mixture), si_sdr(mixture - clean, mixture)
        after = si_sdr(clean, answers[0]), si_sdr(mixture - clean, answers[1])
        gains.setdefault(name, []).append((after[0] - before[0], after[1] - before[1]))
    print(f"{'noise':24} clips  speech  everything else   (SI-SDRi, dB; median and lowest)")
    gains["all"] = [row for found in gains.values() for row in found]
    for name, rows in gains.items():
        table = np.array(rows)
        middle, least = np.median(table, axis=0), table.min(axis=0)
        cells = "  ".join(f"{m:5.1f} ({low:5.1f})" for m, low in zip(middle, least, strict=True))
        print(f"{name:24} {len(rows):5}  {cells}")


def mask(talk: Path, noises: list[Path], each: int) -> None:
    model = load()
    rows: dict[tuple[int, int], list[tuple[float, float]]] = {grid: [] for grid in GRIDS}
    for _, clean, mixture in mixtures(talk, noises, each):
        own = waveform(model, mixture)
        for n_fft, hop in GRIDS:
            known = Fixed(own, FrameGrid(RATE, n_fft, hop, 1, 1))
            (found,) = separated(known, mixture[None], RATE, "speech")
            change = si_sdr(clean, found) - si_sdr(clean, own)
            rows[n_fft, hop].append((si_sdr(own, found), change))
    print("n_fft   hop   SI-SDR against the waveform (lowest)   change against the speech (lowest)")
    for (n_fft, hop), values in rows.items():
        table = np.array(values)
        (own_mean, change), (own_least, worst) = table.mean(axis=0), table.min(axis=0)
        print(
            f"{n_fft:5} {hop:5}   {own_mean:6.1f} ({own_least:5.1f}) {change:30.2f} ({worst:.2f})"
        )


def speed(rounds: int) -> None:
    began = time.perf_counter()
    model = load()
    loading = time.perf_counter() - began
    rng = np.random.default_rng(0)
    samples = (0.1 * rng.standard_normal((2, 30 * 44_100))).astype(np.float32)
    times, spent = [], []
    for _ in range(rounds):
        began, cpu = time.perf_counter(), time.process_time()
        separated(model, samples, 44_100, "speech")
        times.append(time.perf_counter() - began)
        spent.append(time.process_time() - cpu)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"loads in {loading:.2f} s; 30 s of stereo: {30 / statistics.median(times):.1f} times")
    print(f"real time (best {30 / min(times):.1f}); {min(spent):.1f} s of a processor's time")
    print(f"peak of the process {peak:.0f} MiB")


def load() -> separator.DeepFilterNet:
    archive = wheel.archive()
    if archive is None:
        raise SystemExit(f"deepfilternet cannot be used: {wheel.problem()}")
    return separator.load(archive)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("quality", "mask", "speed"))
    parser.add_argument("speech", type=Path, nargs="?", help="a folder of speech")
    parser.add_argument("noises", type=Path, nargs="*", help="folders of noise")
    parser.add_argument("--each", type=int, default=4, help="mixtures for each folder of noise")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    if given.what == "speed":
        speed(given.rounds)
    elif not given.noises:
        parser.error("name a folder of speech, and at least one of noise")
    elif given.what == "quality":
        quality(given.speech, given.noises, given.each)
    else:
        mask(given.speech, given.noises, given.each)


if __name__ == "__main__":
    main()
