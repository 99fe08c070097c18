"""Renders phrases of General MIDI instruments from SoundFonts, with fluidsynth.

    python -m engine.training.instruments FONT.sf2 OUT_FOLDER --phrases 4 --seed 1

Writes ``OUT_FOLDER/PROGRAM_NUMBER.wav`` for each program of ``instruments.csv``; the corpus reads
the instrument's class back from the program in the name.
"""

from __future__ import annotations

import argparse
import csv
import random
import struct
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

TICKS_PER_BEAT = 480
SECONDS = 10
DRUMS = "drums"
_DRUM_CHANNEL = 9
_DRUM_NOTES = (36, 38, 42, 42, 46, 49, 45, 47, 50, 51, 39, 54, 56, 60, 61, 75)
_LOW_PROGRAMS = frozenset({*range(32, 40), 43, 47, 58})
_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 3, 5, 7, 10))
_NOTE_LENGTHS = {
    "melody": (120, 240, 240, 480),
    "chords": (480, 960),
    "arpeggio": (120,),
    "long": (960, 1920),
}

Event = tuple[int, bytes]
"""A time in ticks and a MIDI message."""


def instrument_classes() -> dict[str, str]:
    """Return the class of each General MIDI program (``"0"`` ... ``"127"``, ``"drums"``)."""
    text = (files(__package__) / "instruments.csv").read_text(encoding="utf-8")
    return {row["program"]: row["class"] for row in csv.DictReader(text.splitlines())}


def _melodic_events(program: int, rng: random.Random, end: int) -> list[Event]:
    events: list[Event] = [(0, bytes((0xC0, program)))]
    root = rng.randint(36, 52) if program in _LOW_PROGRAMS else rng.randint(52, 70)
    scale = rng.choice(_SCALES)
    style = rng.choice(tuple(_NOTE_LENGTHS))
    tick = 0
    while tick < end:
        length = rng.choice(_NOTE_LENGTHS[style])
        if rng.random() > 0.12:
            degree = rng.randint(-3, 9)
            for step in (0, 2, 4) if style == "chords" else (0,):
                octave, place = divmod(degree + step, len(scale))
                note = root + scale[place] + 12 * octave
                off = tick + int(length * rng.uniform(0.6, 1.05))
                events.append((tick, bytes((0x90, note, rng.randint(50, 120)))))
                events.append((off, bytes((0x80, note, 0))))
        tick += length
    return events


def _drum_events(rng: random.Random, end: int) -> list[Event]:
    events: list[Event] = []
    tick = 0
    while tick < end:
        for note in rng.sample(_DRUM_NOTES, rng.choice((1, 1, 2, 2, 3))):
            events.append((tick, bytes((0x90 | _DRUM_CHANNEL, note, rng.randint(60, 120)))))
            events.append((tick + 100, bytes((0x80 | _DRUM_CHANNEL, note, 0))))
        tick += rng.choice((120, 240, 240))
    return events


def _variable_length(value: int) -> bytes:
    out = bytes((value & 0x7F,))
    while value := value >> 7:
        out = bytes(((value & 0x7F) | 0x80,)) + out
    return out


def midi_file(events: Sequence[Event], tempo: int) -> bytes:
    """Return a format-0 Standard MIDI File; ``tempo`` in microseconds per beat."""
    track = b"\x00\xff\x51\x03" + tempo.to_bytes(3, "big")
    now = 0
    for tick, message in sorted(events, key=lambda event: (event[0], event[1][0] >= 0x90)):
        track += _variable_length(tick - now) + message
        now = tick
    track += b"\x00\xff\x2f\x00"
    header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, TICKS_PER_BEAT)
    return header + b"MTrk" + struct.pack(">I", len(track)) + track


def phrase(program: str, rng: random.Random) -> bytes:
    """Return a random phrase of about ten seconds as a MIDI file."""
    beats_per_minute = rng.uniform(70, 160)
    end = int(SECONDS * beats_per_minute / 60 * TICKS_PER_BEAT)
    drums = program == DRUMS
    events = _drum_events(rng, end) if drums else _melodic_events(int(program), rng, end)
    return midi_file(events, int(60e6 / beats_per_minute))


def render(font: Path, out: Path, phrases: int, seed: int) -> int:
    """Render ``phrases`` phrases of every program; return the number of files written."""
    out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    count = 0
    for program in instrument_classes():
        for number in range(phrases * 3 if program == DRUMS else phrases):
            midi = phrase(program, rng)
            target = out / f"{program}_{number}.wav"
            reverb = str(rng.randint(0, 1))
            with tempfile.NamedTemporaryFile(suffix=".mid") as file:
                file.write(midi)
                file.flush()
                command = ["fluidsynth", "-niq", "-r", "32000", "-g", "0.6", "-R", reverb]
                subprocess.run(
                    [*command, "-F", str(target), str(font), file.name],
                    check=True,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            count += 1
    return count


def main() -> None:
    """Render one SoundFont from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("font", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--phrases", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(render(arguments.font, arguments.out, arguments.phrases, arguments.seed), "phrases")


if __name__ == "__main__":
    main()
