"""How well the bundled model separates each class, as evaluation found."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass

from engine.models.kinds import BUNDLED

__all__ = ["SEPARATES_WELL", "Knowledge", "load_knowledge", "together"]

SEPARATES_WELL = 3.0
"""dB of SI-SDR improvement from which a class counts as one that the model separates well."""


@dataclass(frozen=True)
class Knowledge:
    """How well the model separates a class: mean SI-SDR improvement in dB, over `count` sounds."""

    gain: float
    count: int


def load_knowledge() -> dict[str, Knowledge]:
    """Return how well the bundled model separates each class that was measured.

    `knowledge.csv` beside its weights holds the columns `class`, `si_sdri` (mean, dB) and `n`;
    `engine.training.knowledge` writes it. Without that file, nothing is known.
    """
    file = BUNDLED.folder / "knowledge.csv"
    if not file.is_file():
        return {}
    rows = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    return {row["class"]: Knowledge(float(row["si_sdri"]), int(row["n"])) for row in rows}


def together(known: Iterable[Knowledge]) -> Knowledge | None:
    """Return the mean of some measurements, or None of none."""
    every = tuple(known)
    count = sum(one.count for one in every)
    return Knowledge(sum(one.gain * one.count for one in every) / count, count) if count else None
