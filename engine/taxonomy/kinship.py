"""How two descriptions of sounds stand to each other: the same, one part of the other, or apart.

By the classes that have them among their captions, then by AudioSet's names, then by their words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

from engine.taxonomy.classes import Taxonomy, load_taxonomy
from engine.taxonomy.ontology import aliases, ancestors, load_ontology
from engine.taxonomy.phrases import folded, numbers
from engine.taxonomy.text import TextTable, load_text_table

__all__ = ["Kin", "Kinship", "kinship"]

FloatArray = npt.NDArray[np.float32]

_SAME = 0.8
"""Cosine of two descriptions' vectors from which they are taken for the same sound."""
_NEAR = 0.55
"""Cosine to a caption from which a description that no table knows is a kind of its class."""


class Kin(str, Enum):
    """What the first of two descriptions is to the second."""

    SAME = "same"
    WITHIN = "within"  # a kind of it, as "dog barking" is of "animal"
    AROUND = "around"  # it is a kind of the first
    APART = "apart"


@cache
def kinship() -> Kinship:
    """Return the kinship of this process, with the bundled tables."""
    return Kinship(load_taxonomy(), load_ontology(), load_text_table())


@dataclass(frozen=True)
class Kinship:
    """Compares descriptions; `ontology` maps AudioSet's names to their parents."""

    taxonomy: Taxonomy
    ontology: Mapping[str, tuple[str, ...]]
    table: TextTable

    def between(self, first: str, second: str) -> Kin:
        """Return what the first description is to the second.

        >>> kinship().between("dog barking", "animal").value
        'within'
        """
        one, other = folded(first), folded(second)
        if not (one and other):
            return Kin.APART
        if set(numbers(one)) & set(numbers(other)):
            return Kin.SAME
        by_class = _compared(self.lines(first), self.lines(second))
        if by_class is not None:
            return by_class
        by_class = _compared(self._guessed(first), self._guessed(second))
        if by_class in (Kin.WITHIN, Kin.AROUND):
            return by_class
        if float(self.table.embed(first) @ self.table.embed(second)) >= _SAME:
            return Kin.SAME
        words, others = set(one.split()), set(other.split())
        if words > others:
            return Kin.WITHIN
        return Kin.AROUND if words < others else Kin.APART

    def _guessed(self, text: str) -> dict[str, frozenset[str]]:
        """Return the lines of a description; one that no table knows is a kind of the nearest."""
        known = self.lines(text)
        if known:
            return known
        captions, vectors = self._captions
        cosines = vectors @ self.table.embed(text)
        best = int(np.argmax(cosines))
        if cosines[best] < _NEAR:
            return {}
        above = [self.taxonomy.lineage(name) for name in self.taxonomy.named(captions[best])]
        return {f"?{text}": frozenset().union({f"?{text}"}, *above)} if above else {}

    @cached_property
    def _captions(self) -> tuple[tuple[str, ...], FloatArray]:
        """All captions, and their vectors."""
        captions = self.taxonomy.captions
        return captions, np.stack([self.table.embed(caption) for caption in captions])

    def lines(self, text: str) -> dict[str, frozenset[str]]:
        """Return what has this name, in both tables, with what is above each.

        Names of AudioSet begin with a slash.
        """
        wanted = set(numbers(folded(text)))
        found = {name: self.taxonomy.lineage(name) for name in self.taxonomy.named(text)}
        for alias in wanted & self._aliases.keys():
            name = self._aliases[alias]
            above = {f"/{other}" for other in ancestors(name, self.ontology)}
            found[f"/{name}"] = frozenset({f"/{name}", *above})
        return found

    @cached_property
    def _aliases(self) -> Mapping[str, str]:
        """AudioSet's name by each of its synonyms, folded."""
        return aliases(self.ontology)


def _compared(
    first: Mapping[str, frozenset[str]], second: Mapping[str, frozenset[str]]
) -> Kin | None:
    """Compare names with their lines; None where no table knows both."""
    if first.keys() & second.keys():
        return Kin.SAME
    if any(name in line for line in first.values() for name in second):
        return Kin.WITHIN
    if any(name in line for line in second.values() for name in first):
        return Kin.AROUND
    known = any(name.startswith("/") == other.startswith("/") for name in first for other in second)
    return Kin.APART if known else None
