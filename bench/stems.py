"""How well and how fast songs are taken apart: `python -m bench.stems quality|speed [MODEL]`.

`quality` mixes singing (SINGING, files of one voice, one after the other) over instruments (each of
OVER) at the same loudness, the voice in the middle and the instruments 7 ms apart, and prints by
how many dB each stem is nearer to the truth than the mixture was (SI-SDR improvement).

`speed` separates 30 s of stereo noise in a process of its own and prints how many times faster than
real time that went, loading apart, and the process's peak memory.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from pathlib import Path

import numpy as np
import soundfile
import soxr

from engine import models
from engine.folders import Folders
from engine.models.base import FloatArray, Separator
from engine.sound.core import pieces
from engine.sound.measure import si_sdr
from engine.sound.mixture import ArrayMixture

RATE, RMS, GAP = 44_100, 0.1, 11_025
QUERIES = ("vocals", "accompaniment")


def read(path: Path) -> FloatArray:
    """Return a file's samples, mixed down, at 44.1 kHz and the loudness of all."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = soxr.resample(samples.mean(axis=1), rate, RATE)
    return np.asarray(mono * RMS / np.sqrt(np.mean(mono**2)), np.float32)


def sung(voices: list[FloatArray], frames: int) -> FloatArray:
    """Return all voices in turn with pauses between them, for so many frames, in both channels."""
    out, place, turn = np.zeros(frames, np.float32), GAP, 0
    while place + len(voices[turn % len(voices)]) <= frames:
        voice = voices[turn % len(voices)]
        out[place : place + len(voice)] = voice
        place, turn = place + len(voice) + GAP, turn + 1
    return np.stack([out, out])


def separated(model: Separator, mixture: FloatArray) -> FloatArray:
    vectors = np.stack([model.embed(query) for query in QUERIES])
    heard = ArrayMixture(mixture, RATE, model.frame_grid.sample_rate)
    return np.concatenate([piece.targets for piece in pieces(heard, model, vectors)], axis=-1)


def quality(model: Separator, singing: list[Path], over: list[Path]) -> None:
    voices = [read(path) for path in singing]
    gains: list[tuple[float, ...]] = []
    for path in over:
        alone = read(path)
        backing = np.stack([alone, np.roll(alone, 300)])
        voice = sung(voices, len(alone))
        if not voice.any():
            raise SystemExit(f"{path} is too short for the first of the singing.")
        mixture = voice + backing
        found = separated(model, mixture)
        gains.append(
            tuple(
                si_sdr(truth, answer) - si_sdr(truth, mixture)
                for truth, answer in zip((voice, backing), found, strict=True)
            )
        )
        print(f"{path.stem[:40]:40}  {gains[-1][0]:5.1f} dB  {gains[-1][1]:5.1f} dB", flush=True)
    print(
        f"{'median':40}",
        *(f" {statistics.median(row):5.1f} dB" for row in zip(*gains, strict=True)),
    )


def speed(model: Separator, seconds: int = 30) -> None:
    noise = np.random.default_rng(0).standard_normal((2, seconds * RATE)).astype(np.float32)
    took = []
    for _ in range(3):
        started, busy = time.perf_counter(), time.process_time()
        separated(model, RMS * noise)
        took.append((time.perf_counter() - started, time.process_time() - busy))
    wall, work = min(took)
    print(f"{seconds / wall:.1f} times real time (best of 3), {work / seconds:.2f} s of processor")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory {peak:.2f} GB, Python and torch included")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("quality", "speed"))
    parser.add_argument("model", nargs="?", default="spleeter")
    parser.add_argument("--singing", type=Path, nargs="+", default=[])
    parser.add_argument("--over", type=Path, nargs="+", default=[])
    asked = parser.parse_args()
    started = time.perf_counter()
    model = models.load(asked.model, Folders.of_user())
    print(f"loaded in {time.perf_counter() - started:.1f} s")
    if asked.what == "speed":
        speed(model)
    else:
        quality(model, asked.singing, asked.over)


if __name__ == "__main__":
    main()
