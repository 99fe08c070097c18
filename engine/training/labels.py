"""The label vocabulary: classes in a hierarchy, their captions, and which file is of which class.

``classes.csv`` names each class with its parents and captions. A caption fits every clip of its
class and of the classes below it: "bird" fits a clip of an owl, "owl hooting" no clip of a crow.
``labels.csv`` gives files their class: the first row whose source is a prefix of the file's source
and whose pattern is found in the file's path decides; ``-`` leaves the file out.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEAVE_OUT = "-"


class LabelError(ValueError):
    """A row of a label table that contradicts the others; the message names it."""


@dataclass(frozen=True)
class SoundClass:
    """One kind of sound: its direct parents and what people call it."""

    name: str
    parents: tuple[str, ...]
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Taxonomy:
    """All classes, by name."""

    classes: Mapping[str, SoundClass]

    def __post_init__(self) -> None:
        for item in self.classes.values():
            if not item.captions:
                raise LabelError(f"class {item.name!r} has no captions")
            for parent in item.parents:
                if parent not in self.classes:
                    raise LabelError(f"class {item.name!r} has an unknown parent {parent!r}")
        for name in self.classes:
            self.lineage(name)

    def lineage(self, name: str) -> frozenset[str]:
        """Return the class itself and all classes above it."""
        found: set[str] = set()
        path: list[tuple[str, tuple[str, ...]]] = [(name, (name,))]
        while path:
            current, way = path.pop()
            found.add(current)
            for parent in self.classes[current].parents:
                if parent in way:
                    raise LabelError(f"class {parent!r} is its own ancestor")
                path.append((parent, (*way, parent)))
        return frozenset(found)

    @cached_property
    def fitting(self) -> Mapping[str, frozenset[str]]:
        """For each class, every caption that is true of its clips."""
        return {
            name: frozenset(c for a in self.lineage(name) for c in self.classes[a].captions)
            for name in self.classes
        }

    @cached_property
    def captions(self) -> tuple[str, ...]:
        """Every caption once, sorted."""
        return tuple(sorted({c for item in self.classes.values() for c in item.captions}))

    def fits(self, caption: str, name: str) -> bool:
        """Whether the caption is true of a clip of the class."""
        return caption in self.fitting[name]


@dataclass(frozen=True)
class LabelRule:
    """Files of a source (by prefix) whose path matches a pattern are of a class."""

    source: str
    pattern: re.Pattern[str]
    name: str


def load_taxonomy() -> Taxonomy:
    """Read ``classes.csv``."""
    rows = _rows("classes.csv")
    items = [
        SoundClass(row["class"], _split(row["parents"]), _split(row["captions"])) for row in rows
    ]
    if len({item.name for item in items}) != len(items):
        raise LabelError("classes.csv names a class twice")
    return Taxonomy({item.name: item for item in items})


def load_rules(taxonomy: Taxonomy) -> tuple[LabelRule, ...]:
    """Read ``labels.csv``; an unknown class is an error that names its row."""
    rules = []
    for number, row in enumerate(_rows("labels.csv"), start=2):
        if row["class"] != LEAVE_OUT and row["class"] not in taxonomy.classes:
            raise LabelError(f"labels.csv line {number}: unknown class {row['class']!r}")
        pattern = re.compile(row["pattern"], re.IGNORECASE)
        rules.append(LabelRule(row["source"], pattern, row["class"]))
    return tuple(rules)


def label(rules: Sequence[LabelRule], source: str, path: str) -> str | None:
    """Return the class of a file, or None for a file that no rule wants."""
    for rule in rules:
        if source.startswith(rule.source) and rule.pattern.search(path):
            return None if rule.name == LEAVE_OUT else rule.name
    return None


def _split(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split("|") if part)


def _rows(name: str) -> list[dict[str, str]]:
    text = (files(__package__) / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
