"""Kinds of sound in a hierarchy, with their captions.

``classes.csv`` names each class with its parents and captions. A caption fits every clip of its
class and of the classes below it: "bird" fits a clip of an owl, "owl hooting" no clip of a crow.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING

from engine.taxonomy.phrases import folded, numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LabelError", "SoundClass", "Taxonomy", "load_taxonomy"]


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

    def named(self, text: str) -> frozenset[str]:
        """Return the classes that have a text among their captions, as people write it."""
        wanted = set(numbers(folded(text)))
        return frozenset(
            name
            for name, item in self.classes.items()
            if any(folded(caption) in wanted for caption in item.captions)
        )

    def fits(self, caption: str, name: str) -> bool:
        """Whether the caption is true of a clip of the class."""
        return caption in self.fitting[name]


def load_taxonomy() -> Taxonomy:
    """Read ``classes.csv``."""
    rows = _rows("classes.csv")
    items = [
        SoundClass(row["class"], _split(row["parents"]), _split(row["captions"])) for row in rows
    ]
    if len({item.name for item in items}) != len(items):
        raise LabelError("classes.csv names a class twice")
    return Taxonomy({item.name: item for item in items})


def _split(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split("|") if part)


def _rows(name: str) -> list[dict[str, str]]:
    text = (files(__package__) / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
