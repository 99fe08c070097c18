"""What a search of an index is limited to, and how SQLite is asked for that."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Wanted", "around", "of_events", "of_files"]


@dataclass(frozen=True)
class Wanted:
    """What a search is limited to.

    Attributes
    ----------
    sure
        Certainty, 0 to 1, from which a moment counts.
    longer, shorter
        Seconds that a moment lasts at least and at most.
    folder
        Where files lie; or a file.
    named
        Words in a file's path.

    """

    sure: float = 0.0
    longer: float = 0.0
    shorter: float | None = None
    folder: Path | None = None
    named: str = ""


def around(folder: Path) -> tuple[str, str]:
    """Return what the paths below a folder are not less than, and what they are less than."""
    text = str(folder)
    inside = text if text.endswith(os.sep) else text + os.sep
    return inside, inside[:-1] + chr(ord(os.sep) + 1)


def of_events(wanted: Wanted, *, whole: bool = False) -> tuple[str, list[object]]:
    """Return what events must fulfil, to follow other conditions, and the values for it."""
    parts: list[str] = []
    values: list[object] = []
    length = "100 * frames / rate" if whole else "stop - start"
    if not whole and wanted.sure > 0:
        parts.append("AND certainty >= ?")
        values.append(round(100 * wanted.sure))
    if wanted.longer > 0:
        parts.append(f"AND {length} >= ?")
        values.append(100 * wanted.longer)
    if wanted.shorter is not None:
        parts.append(f"AND {length} <= ?")
        values.append(100 * wanted.shorter)
    content = "contents.id" if whole else "events.content"
    if wanted.folder is not None or wanted.named:
        condition, more = of_files(wanted)
        parts.append(f"AND EXISTS (SELECT 1 FROM files WHERE content = {content} {condition})")
        values += more
    return " ".join(parts), values


def of_files(wanted: Wanted) -> tuple[str, list[object]]:
    """Return what files must fulfil, and the values for it."""
    parts, values = ["AND gone IS NULL"], list[object]()
    if wanted.folder is not None:
        parts.append("AND (path = ? OR path >= ? AND path < ?)")
        values += [str(wanted.folder), *around(wanted.folder)]
    if wanted.named:
        parts.append("AND files.id IN (SELECT id FROM temp.named)")
    return " ".join(parts), values
