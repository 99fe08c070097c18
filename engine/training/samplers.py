"""Plays phrases with recorded notes: solos of real instruments.

    python -m engine.training.samplers FOLDER OUT --phrases 14 --seed 1

``FOLDER`` holds a note a file, each named like ``A3.mp3`` or ``Cs4.mp3`` (``s`` for sharp). Writes
``OUT/phrase-NN.wav``, 8 s each, mono at 32 kHz: melodies, long notes, and on instruments that can,
chords. A note that was not recorded is the nearest one at another speed, two semitones at most.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import soxr

from engine.sound.audio import read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["notes", "phrase", "render"]

SAMPLE_RATE = 32000
SECONDS = 8
_NAME = re.compile(r"([A-G])(s|b|#)?(-?\d)$")
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 3, 5, 7, 10))
_FARTHEST = 2  # semitones
_RELEASE = 0.08  # seconds
_CHORDS = re.compile("guitar|harp|organ|piano|harmonium|xylophone")


def notes(folder: Path) -> dict[int, NDArray[np.float32]]:
    """Read a folder of notes: MIDI number to ``(samples,)`` at 32 kHz, from where it begins."""
    found = {}
    for file in sorted(folder.rglob("*.mp3")):
        name = _NAME.fullmatch(file.stem)
        if name is None:
            continue
        letter, sharp, octave = name.groups()
        number = 12 * (int(octave) + 1) + _STEPS[letter] + {"s": 1, "#": 1, "b": -1}.get(sharp, 0)
        audio, rate = read(file)
        mono = np.asarray(soxr.resample(audio.mean(axis=0), rate, SAMPLE_RATE), np.float32)
        loud = np.flatnonzero(np.abs(mono) > 0.01 * np.abs(mono).max(initial=1e-9))
        if loud.size:
            found[number] = mono[max(0, loud[0] - 64) :]
    return found


def phrase(
    recorded: Mapping[int, NDArray[np.float32]], chords: bool, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Play 8 s at random; returns ``(samples,)``, peak 0.9."""
    out = np.zeros(SECONDS * SAMPLE_RATE, np.float32)
    lowest, highest = min(recorded), max(recorded)
    root = int(rng.integers(lowest, max(lowest + 1, highest - 9)))
    scale = _SCALES[rng.integers(len(_SCALES))]
    beat = rng.uniform(0.18, 0.55)
    lengths = ((1, 1, 2), (0.5, 0.5, 1), (3, 4, 6))[rng.integers(3)]
    together = int(rng.integers(2, 4)) if chords and rng.random() < 0.45 else 1
    place, degree = int(rng.uniform(0, 0.2) * SAMPLE_RATE), int(rng.integers(0, 6))
    while place < out.size:
        length = int(rng.choice(lengths) * beat * SAMPLE_RATE)
        if rng.random() > 0.1:
            loud = np.float32(rng.uniform(0.5, 1))
            for voice in range(together):
                octave, step = divmod(degree + 2 * voice, len(scale))
                note = _played(recorded, root + scale[step] + 12 * octave, length)
                part = note[: out.size - place]
                out[place : place + part.size] += loud * part
        degree = int(np.clip(degree + rng.integers(-3, 4), -3, 12))
        place += length
    return np.asarray(out * (0.9 / np.abs(out).max(initial=1e-9)), np.float32)


def _played(
    recorded: Mapping[int, NDArray[np.float32]], wanted: int, length: int
) -> NDArray[np.float32]:
    octaves = [wanted + 12 * octave for octave in range(-4, 5)]
    gap, _, wanted, near = min(
        (abs(one - note), abs(one - wanted), one, note) for one in octaves for note in recorded
    )
    if gap > _FARTHEST:
        wanted = near
    source = recorded[near][: int((length + _RELEASE * SAMPLE_RATE) * 1.2)]
    if near != wanted:
        at = np.arange(0, source.size - 1, 2 ** ((wanted - near) / 12), dtype=np.float64)
        source = np.interp(at, np.arange(source.size), source).astype(np.float32)
    release = int(_RELEASE * SAMPLE_RATE)
    note = np.array(source[: length + release])
    fade = min(release, note.size)
    note[note.size - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return note


def render(folder: Path, out: Path, phrases: int, seed: int) -> int:
    """Write ``phrases`` phrases of the notes in ``folder``; returns how many there are."""
    recorded = notes(folder)
    if not recorded:
        raise SystemExit(f"{folder} holds no notes: files named like A3.mp3.")
    out.mkdir(parents=True, exist_ok=True)
    chords = bool(_CHORDS.search(folder.name))
    for number in range(phrases):
        rng = np.random.default_rng((seed, number))
        audio = phrase(recorded, chords, rng)
        soundfile.write(out / f"phrase-{number:02}.wav", audio, SAMPLE_RATE, subtype="PCM_16")
    return phrases


def main() -> None:
    """Render from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--phrases", type=int, default=14)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(render(arguments.folder, arguments.out, arguments.phrases, arguments.seed), "phrases")


if __name__ == "__main__":
    main()
