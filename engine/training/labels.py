"""Which file is of which class.

``labels.csv`` gives files their class: the first row whose source is a prefix of the file's source
and whose pattern is found in the file's path decides; ``-`` leaves the file out. Some sources bring
a table of their own (``labels.csv`` in their folder, with the columns ``file`` and ``label``): what
it says of a file that no row wants is looked up in ``stated.csv``.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from engine.taxonomy.classes import LabelError, Taxonomy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LEAVE_OUT = "-"


@dataclass(frozen=True)
class LabelRule:
    """Files of a source (by prefix) whose path matches a pattern are of a class."""

    source: str
    pattern: re.Pattern[str]
    name: str


def load_rules(taxonomy: Taxonomy) -> tuple[LabelRule, ...]:
    """Read ``labels.csv``; an unknown class is an error that names its row."""
    rules = []
    for number, row in enumerate(_rows("labels.csv"), start=2):
        if row["class"] != LEAVE_OUT and row["class"] not in taxonomy.classes:
            raise LabelError(f"labels.csv line {number}: unknown class {row['class']!r}")
        pattern = re.compile(row["pattern"], re.IGNORECASE)
        rules.append(LabelRule(row["source"], pattern, row["class"]))
    return tuple(rules)


def label(
    rules: Sequence[LabelRule], source: str, path: str, stated: str | None = None
) -> str | None:
    """Return the class of a file: what a rule says, else ``stated``; None for one to leave out."""
    for rule in rules:
        if source.startswith(rule.source) and rule.pattern.search(path):
            return None if rule.name == LEAVE_OUT else rule.name
    return stated


def load_stated(taxonomy: Taxonomy) -> dict[str, str | None]:
    """Read ``stated.csv``: the class of each label of other people's tables, None to leave out."""
    found: dict[str, str | None] = {}
    for number, row in enumerate(_rows("stated.csv"), start=2):
        if row["class"] != LEAVE_OUT and row["class"] not in taxonomy.classes:
            raise LabelError(f"stated.csv line {number}: unknown class {row['class']!r}")
        found[row["label"]] = None if row["class"] == LEAVE_OUT else row["class"]
    return found


def stated_label(folder: Path) -> dict[str, str]:
    """Return what the table of a source's folder says of each file; empty without a table."""
    table = folder / "labels.csv"
    if not table.is_file():
        return {}
    with table.open(encoding="utf-8", newline="") as file:
        return {row["file"]: row["label"] for row in csv.DictReader(file)}


def _rows(name: str) -> list[dict[str, str]]:
    text = (files(__package__) / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
