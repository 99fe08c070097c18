"""The frozen list of what models are measured on.

``yardsticks.csv`` names every file that no training may see, with its class, its split, which of
its excerpts are used, and a digest of its bytes. The list stays as it is: figures of one year can
be compared with those of the next, whatever the corpus becomes. No rule, and no teacher, relabels
or drops what stands there.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files

__all__ = ["Yardstick", "load_yardsticks"]


@dataclass(frozen=True)
class Yardstick:
    """A file that models are measured on."""

    source: str
    path: str
    name: str
    """Its class."""
    split: str
    excerpts: tuple[int, ...]
    """Which of its clips are used (`engine.training.corpus.excerpts`)."""
    digest: str
    """The first 32 hexadecimal digits of the SHA-256 of its bytes."""


def load_yardsticks() -> tuple[Yardstick, ...]:
    """Read ``yardsticks.csv``, in its order."""
    text = (files(__package__) / "yardsticks.csv").read_text(encoding="utf-8")
    return tuple(
        Yardstick(
            row["source"],
            row["path"],
            row["class"],
            row["split"],
            tuple(int(number) for number in row["excerpts"].split()),
            row["digest"],
        )
        for row in csv.DictReader(text.splitlines())
    )
