"""What the listener learns from: mixtures of known clips, and what a teacher hears in each.

    python -m engine.training.lessons STORE FOLDER --teacher TEACHER --count 24

A lesson file holds some hundred mixtures; lesson ``n`` depends on the store, the split and ``n``
alone, so that several processes can write one set.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr

from engine.models.ears.spectra import FRAME, HOP, SAMPLE_RATE, magnitudes
from engine.taxonomy.classes import load_taxonomy
from engine.training.corpus import SAMPLE_RATE as STORED_RATE
from engine.training.corpus import TRAIN, Clip, read_clips
from engine.training.mixing import LEVEL, ClipStore, Mixer, MixingOptions, class_weights, encode
from engine.training.teacher import PATCH, PATCH_HOP, Teacher, corrected, patches_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["FRAMES", "PARTS", "WINDOWS", "Lessons", "draw", "kept_back", "read_lessons", "write"]

FRAMES = 336
"""Frames of a mixture: seven steps of 48."""
WINDOWS = 1 + (FRAMES - PATCH) // PATCH_HOP
PARTS = 3
"""Most clips in a mixture."""
LESSON = 400
"""Mixtures of a file."""
_SAMPLES = (FRAMES - 1) * HOP + FRAME
_COUNTS = (0.5, 0.33, 0.17)
_SNR = (-6.0, 3.0, 18.0)
_BED = 0.15
_CODEC = 0.05
_SPEECH = 6.0
_KEPT_BACK = 0.06
_TEACHERS_PEAK = 0.5
_QUIETEST = -60.0


@dataclass(frozen=True)
class Lessons:
    """Mixtures with what is known of them.

    Attributes
    ----------
    heard
        ``(mixtures, frames, 64)``, float16: logarithms of the magnitudes plus 1e-5, at the level
        at which the teacher heard them.
    scores
        ``(mixtures, windows, 521)``, float16: the teacher's.
    inside
        ``(mixtures, windows, 1024)``, uint8: the teacher's embedding, 0 to 6 as 0 to 255.
    parts
        ``(mixtures, 3)``, int16: number of each clip's class in ``names``; -1 for none.
    share
        ``(mixtures, windows, 3)``, int8: dB; each clip's power relative to the mixture's.
    own
        ``(mixtures, windows, 3)``, int8: dB; relative to the clip's own loudest window.

    """

    heard: NDArray[np.float16]
    scores: NDArray[np.float16]
    inside: NDArray[np.uint8]
    parts: NDArray[np.int16]
    share: NDArray[np.int8]
    own: NDArray[np.int8]


def kept_back(clip: Clip) -> bool:
    """Whether a recording of the training split is kept back, for calibration: six in a hundred."""
    digest = hashlib.sha256(clip.group.encode()).digest()
    return int.from_bytes(digest[:4], "little") < _KEPT_BACK * 2**32


def load_store(store: Path, *, back: bool) -> ClipStore:
    """Open the training clips of a corpus, or those of them that are kept back.

    What the teacher contradicts (`engine.training.teacher`) is left out or called what it is.
    """
    clips = corrected(store, [c for c in read_clips(store) if c.split == TRAIN])
    clips = [clip for clip in clips if kept_back(clip) == back]
    return ClipStore(np.memmap(store / "audio.i16", dtype="<i2", mode="r"), clips)


def draw(
    mixer: Mixer, weights: NDArray[np.float64], names: Sequence[str], rng: np.random.Generator
) -> tuple[list[str], NDArray[np.float32]]:
    """Draw one to three classes, and ``(parts, samples)`` of clips of them at the store's rate."""
    count = 1 + int(rng.choice(len(_COUNTS), p=_COUNTS))
    drawn = [str(rng.choice(names, p=weights)) for _ in range(count)]
    sources = []
    for index, name in enumerate(drawn):
        source = mixer.source(name, rng)
        level = 0.0 if index == 0 else -rng.triangular(*_SNR)
        sources.append(source * np.float32(LEVEL * 10 ** (level / 20) / _rms(source)))
    return drawn, np.stack(sources)


def write(path: Path, store: ClipStore, teacher: Teacher, number: int, count: int = LESSON) -> None:
    """Write a lesson file, whole or not at all."""
    taxonomy = load_taxonomy()
    samples = -(-_SAMPLES * STORED_RATE // SAMPLE_RATE)
    mixer = Mixer(store, taxonomy, MixingOptions(samples=samples))
    counts = {name: len(clips) for name, clips in store.by_class.items()}
    weights = class_weights(store.names, counts, _SPEECH)
    numbers = {name: index for index, name in enumerate(taxonomy.classes)}
    rng = np.random.default_rng((number, 17))
    heard = np.empty((count, FRAMES, 64), np.float16)
    scores = np.empty((count, WINDOWS, len(teacher.labels)), np.float16)
    inside = np.empty((count, WINDOWS, 1024), np.uint8)
    parts = np.full((count, PARTS), -1, np.int16)
    share = np.full((count, WINDOWS, PARTS), _QUIETEST, np.int8)
    own = np.full((count, WINDOWS, PARTS), _QUIETEST, np.int8)
    for index in range(count):
        names, sources = draw(mixer, weights, store.names, rng)
        mixture = np.asarray(sources.sum(axis=0), np.float32)
        if rng.random() < _BED:
            level = 10 ** (-rng.uniform(5, 35) / 20)
            bed = _noise(mixture.size, rng) * np.float32(_rms(mixture) * level)
            mixture = mixture + bed
        if rng.random() < _CODEC:
            coded = encode(mixture, rng)
            mixture[: coded.size] = coded
        low = np.asarray(soxr.resample(mixture, STORED_RATE, SAMPLE_RATE), np.float32)[:_SAMPLES]
        low *= np.float32(_TEACHERS_PEAK / (np.abs(low).max() + 1e-9))
        bands = magnitudes(low[None])
        heard[index] = np.log(bands + np.float32(1e-5))
        judged, embedded = teacher.judge(patches_of(np.log(bands + np.float32(1e-3))))
        scores[index] = judged
        inside[index] = np.round(embedded * (255 / 6))
        whole = _window_power(mixture)
        for part, (name, source) in enumerate(zip(names, sources, strict=True)):
            power = _window_power(source)
            parts[index, part] = numbers[name]
            share[index, :, part] = _decibels(power / (whole + 1e-12))
            own[index, :, part] = _decibels(power / (power.max() + 1e-12))
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    with temporary.open("wb") as out:
        np.savez(out, heard=heard, scores=scores, inside=inside, parts=parts, share=share, own=own)
    temporary.replace(path)


def read_lessons(path: Path) -> Lessons:
    """Read a lesson file."""
    with np.load(path, allow_pickle=False) as found:
        return Lessons(**{key: found[key] for key in found.files})


def _window_power(audio: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean square of each window of ``(samples,)`` at the store's rate."""
    ratio = STORED_RATE // SAMPLE_RATE
    size, hop = PATCH * HOP * ratio, PATCH_HOP * HOP * ratio
    sums = np.concatenate([[0.0], np.cumsum(np.square(audio, dtype=np.float64))])
    starts = np.arange(WINDOWS) * hop
    return np.asarray((sums[starts + size] - sums[starts]) / size)


def _decibels(ratio: NDArray[np.float64]) -> NDArray[np.int8]:
    return np.asarray(np.clip(10 * np.log10(ratio + 1e-9), _QUIETEST, 20).round(), np.int8)


def _noise(samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum *= np.maximum(np.arange(spectrum.size), 8.0) ** -rng.uniform(0, 1.2)
    noise = np.fft.irfft(spectrum, samples)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)), np.float32)


def _rms(audio: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(audio), dtype=np.float64))) + 1e-9


def fill(store: Path, folder: Path, teacher: Path, count: int, first: int = 0) -> None:
    """Write lessons ``first`` to ``count``, and four of clips that are kept back, if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    ready = Teacher(teacher)
    back = load_store(store, back=True)
    for number in range(4):
        path = folder / f"back-{number:03d}.npz"
        if not path.exists() and first == 0:
            write(path, back, ready, 1_000_000 + number)
    train = load_store(store, back=False)
    for number in range(first, count):
        path = folder / f"lesson-{number:03d}.npz"
        if not path.exists():
            write(path, train, ready, number)


def main() -> None:
    """Write lessons from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    fill(arguments.store, arguments.folder, arguments.teacher, arguments.count, arguments.first)


if __name__ == "__main__":
    main()
