"""Builds the bundled demo recording from three CC0 sounds.

    python -m engine.training.demo RAW

``RAW`` is the folder that ``engine.training.corpus fetch`` filled. Writes ``engine/demo``: the
mixture and its three parts, 24-bit FLAC at 44.1 kHz, such that the parts add up to the mixture
exactly, sample by sample. The three recordings are left out of training (``labels.csv``).
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
SECONDS = 10
LEVEL_DB = -26.0
"""RMS of the first part."""
BITS = 20
"""Bits that are used, of the 24 of the files: the rest would be noise that takes space."""


@dataclass(frozen=True)
class Part:
    """One sound of the recording and how it lies in it."""

    name: str
    source: str
    path: str
    level: float
    """dB against the first part."""
    azimuth: float
    """-1 (left) to 1 (right)."""
    width: float = 0.0
    """Seconds between the stretches that the left and right channel take from a wide ambience."""


PARTS = (
    Part("guitar", "sonic-pi-samples", "sonic-pi/samples/guit_em9.flac", 0.0, -0.1),
    Part("birds", "supertuxkart-data", "games/supertuxkart/data/sfx/exotic-birds.ogg", -1.0, 0.5),
    Part(
        "river", "supertuxkart-data", "games/supertuxkart/data/sfx/river_loop.ogg", -3.0, 0.0, 4.3
    ),
)


def render(part: Part, raw: Path) -> NDArray[np.float32]:
    """Return the part alone, ``(2, frames)``, at its place between the loudspeakers."""
    file = raw / part.source / "usr/share" / part.path
    audio, rate = soundfile.read(file, dtype="float32", always_2d=True)
    audio = soxr.resample(audio, rate, RATE).T
    frames = SECONDS * RATE
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


def build(raw: Path, out: Path) -> None:
    """Write the parts and their sum."""
    step = 1 << (BITS - 1)
    parts = [
        np.round(render(part, raw).astype(np.float64) * step).astype(np.int64) for part in PARTS
    ]
    mixture = np.sum(parts, axis=0)
    if np.abs(mixture).max() >= step:
        raise ValueError("the mixture would clip: lower LEVEL_DB")
    out.mkdir(parents=True, exist_ok=True)
    for name, audio in [
        *((p.name, a) for p, a in zip(PARTS, parts, strict=True)),
        ("mixture", mixture),
    ]:
        samples = (audio << (32 - BITS)).astype(np.int32).T
        soundfile.write(out / f"{name}.flac", samples, RATE, subtype="PCM_24")


def main() -> None:
    """Build the demo from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("raw", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "demo")
    arguments = parser.parse_args()
    build(arguments.raw, arguments.out)


if __name__ == "__main__":
    main()
