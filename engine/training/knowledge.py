"""What evaluation found of each class, in the form in which suggestions use it.

``knowledge.csv`` beside ``compact``'s weights; :func:`engine.models.knowledge.load_knowledge`
reads it.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["knowledge_of", "write_knowledge"]


def knowledge_of(improvements: Iterable[tuple[str, float]]) -> dict[str, tuple[float, int]]:
    """Return each class's mean SI-SDR improvement (dB) and the number of sounds behind it.

    ``improvements`` holds a class and an improvement for each sound that was separated.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for name, gain in improvements:
        found[name].append(gain)
    return {name: (sum(gains) / len(gains), len(gains)) for name, gains in found.items()}


def write_knowledge(path: Path, rows: Mapping[str, tuple[float, int]]) -> None:
    """Write class, mean SI-SDR improvement in dB (``si_sdri``) and number of sounds (``n``).

    Replaces the file as a whole; rows are sorted by class, so that a new file compares with the
    old one.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("class", "si_sdri", "n"))
    writer.writerows((name, f"{gain:.2f}", count) for name, (gain, count) in sorted(rows.items()))
    temporary = path.with_suffix(".part")
    temporary.write_text(text.getvalue(), encoding="utf-8")
    temporary.replace(path)
