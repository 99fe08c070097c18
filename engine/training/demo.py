"""Builds the bundled demo recordings.

    python -m engine.training.demo RAW --sounds FOLDER

``RAW`` is the folder that ``engine.training.corpus fetch`` filled, ``FOLDER`` holds the sources of
kind ``folder``. Writes ``engine/demo``: each mixture and its parts but the last, FLAC at 44.1 kHz.
All parts add up to the mixture exactly, sample by sample, so the last is what the others leave of
it. No recording of them was trained on: those of the river are left out (``labels.csv``), those of
the rain are from sources that are measured on.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import soxr

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 44100
LEVEL_DB = -26.0
"""RMS of the first part."""
BITS = 16
"""More would be noise that takes space: half of what the parts weigh with 24."""


@dataclass(frozen=True)
class Part:
    """One sound of a recording and how it lies in it."""

    name: str
    source: str
    path: str
    level: float
    """dB against the first part."""
    azimuth: float
    """-1 (left) to 1 (right)."""
    width: float = 0.0
    """Seconds between the stretches that the left and right channel take from a wide ambience."""
    start: float = 0.0
    """Seconds of the source that are left out."""


@dataclass(frozen=True)
class Recording:
    """A mixture and its parts."""

    name: str
    """Of the mixture's file."""
    seconds: int
    parts: tuple[Part, ...]


RECORDINGS = (
    Recording(
        "mixture",
        10,
        (
            Part("guitar", "sonic-pi-samples", "sonic-pi/samples/guit_em9.flac", 0.0, -0.1),
            Part(
                "birds",
                "supertuxkart-data",
                "games/supertuxkart/data/sfx/exotic-birds.ogg",
                -1.0,
                0.5,
            ),
            Part(
                "river",
                "supertuxkart-data",
                "games/supertuxkart/data/sfx/river_loop.ogg",
                -3.0,
                0.0,
                4.3,
            ),
        ),
    ),
    Recording(
        "interview",
        7,
        (
            Part("speech", "librosa-data", "5703-47212-0000.opus", 0.0, 0.0, start=0.4),
            Part("rain", "sms-tools", "rain.opus", -3.0, 0.0, 2.9),
        ),
    ),
)


def _file(part: Part, raw: Path, sounds: Path) -> Path:
    packaged = raw / part.source / "usr/share" / part.path
    return packaged if packaged.is_file() else sounds / part.source / part.path


def render(part: Part, seconds: int, file: Path) -> NDArray[np.float32]:
    """Return the part alone, ``(2, frames)``, at its place between the loudspeakers."""
    audio, rate = soundfile.read(file, dtype="float32", always_2d=True)
    audio = soxr.resample(audio, rate, RATE).T[:, round(part.start * RATE) :]
    frames = seconds * RATE
    if len(audio) == 1:
        shifted = np.roll(audio[0], -int(part.width * RATE))
        audio = np.stack([audio[0], shifted])
    audio = np.tile(audio, (1, -(-frames // audio.shape[1])))[:, :frames]
    # constant power between the loudspeakers; the far ear hears up to 0.3 ms later
    angle = (part.azimuth + 1) * np.pi / 4
    audio = audio * np.sqrt(2) * np.array([[np.cos(angle)], [np.sin(angle)]])
    late = round(0.0003 * abs(part.azimuth) * RATE)
    far = 0 if part.azimuth > 0 else 1
    audio[far] = np.concatenate([np.zeros(late), audio[far]])[:frames]
    edge = np.minimum(np.arange(frames), np.arange(frames)[::-1]) / (0.05 * RATE)
    audio = audio * np.clip(edge, 0, 1)
    gain = 10 ** ((LEVEL_DB + part.level) / 20) / np.sqrt(np.mean(audio**2))
    return np.asarray(audio * gain, np.float32)


def build(raw: Path, sounds: Path, out: Path, only: str = "") -> None:
    """Write the parts and their sum of each recording, or of one."""
    out.mkdir(parents=True, exist_ok=True)
    for recording in RECORDINGS:
        if only not in ("", recording.name):
            continue
        step = 1 << (BITS - 1)
        parts = {
            part.name: np.round(
                render(part, recording.seconds, _file(part, raw, sounds)).astype(np.float64) * step
            ).astype(np.int64)
            for part in recording.parts
        }
        mixture = np.sum(list(parts.values()), axis=0)
        if np.abs(mixture).max() >= step:
            raise ValueError(f"{recording.name} would clip: lower LEVEL_DB")
        parts.popitem()  # what the others leave of the mixture
        for name, audio in {**parts, recording.name: mixture}.items():
            soundfile.write(out / f"{name}.flac", audio.astype(np.int16).T, RATE, subtype="PCM_16")


def main() -> None:
    """Build the demo from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("raw", type=Path)
    parser.add_argument("--sounds", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "demo")
    parser.add_argument("--only", default="", help="mixture or interview")
    arguments = parser.parse_args()
    build(arguments.raw, arguments.sounds, arguments.out, arguments.only)


if __name__ == "__main__":
    main()
