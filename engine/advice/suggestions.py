"""Terms to ask for that are near a query and that a model knows.

Terms are captions of the classes that `compact` was trained on. Related are those that the text
table places near the query; AudioSet's ontology and the classes' own hierarchy add what is
broader. How well `compact` separates a class, as evaluation found, decides between equals. Nothing
here loads a model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

from engine.models.base import FloatArray
from engine.models.knowledge import SEPARATES_WELL, Knowledge, load_knowledge, together
from engine.taxonomy.classes import Taxonomy, load_taxonomy
from engine.taxonomy.english import English
from engine.taxonomy.ontology import aliases, load_ontology, synonyms
from engine.taxonomy.phrases import folded, numbers
from engine.taxonomy.text import TextTable, load_text_table

__all__ = ["Adviser", "Relation", "Suggestion", "adviser", "suggest", "term_of", "terms"]

_LIMIT = 5
_NEAR = 0.35  # cosine below which a term has nothing to do with the query
_SUPPORT = 0.2  # how much the classes around a class count
_STEP = 0.12  # how much less near a broader class is, for each step up
_WIDE = 0.03  # how much less, for each doubling of the classes below it: "animal" says little
_SYNONYM = 0.7  # nearness of other words for the same class, unless they are a longer form
_ONTOLOGY = 0.4  # what AudioSet's word for it adds, and half of that for each step up
_SIBLING = 0.1  # what stands beside it in AudioSet
_PER_DB = 0.015  # nearness that a decibel of separation is worth
_SWAP = 0.1  # nearness by which the first term may lie behind the nearest
_POOL = 12  # nearest classes that are looked at
_PRIOR = 3  # measurements that the usual counts for: variance within classes over that between


class Relation(str, Enum):
    """How a suggested term stands to the query."""

    BROADER = "broader"
    NEARBY = "nearby"
    SAME = "other words"


@dataclass(frozen=True)
class Suggestion:
    """A term to ask for instead.

    `gain` is how well the model separates it (dB, mean over held-out recordings), None where that
    was not measured; `nearness` is the cosine that led here, with what is added for hierarchy.
    """

    term: str
    name: str
    relation: Relation
    nearness: float
    gain: float | None

    @property
    def separates_well(self) -> bool | None:
        """Whether the model is good at it; None where nobody knows."""
        return None if self.gain is None else self.gain >= SEPARATES_WELL


_classes = cache(load_taxonomy)


@cache
def adviser() -> Adviser:
    """Return the adviser of this process, with the bundled tables."""
    return Adviser(_classes(), load_text_table(), load_knowledge(), load_ontology())


def term_of(name: str) -> str:
    """Return the plainest caption of a class, which is what to ask for; other names as they are."""
    item = _classes().classes.get(name)
    return item.captions[0] if item else name


def terms() -> tuple[str, ...]:
    """Return the plainest caption of every class, sorted: what there is to choose from."""
    return tuple(sorted({item.captions[0] for item in _classes().classes.values()}))


def suggest(query: str, limit: int = _LIMIT) -> tuple[Suggestion, ...]:
    """Return up to `limit` terms to ask for instead of `query`, the best one first.

    None for a query that is not English; see `engine.advice.sentences.english_sentence`.

    >>> suggest("pheasant")[0].term
    'bird'
    """
    return adviser().suggest(query, limit)


@dataclass(frozen=True)
class Adviser:
    """Finds terms in a taxonomy by a text table; `ontology` maps AudioSet's names to parents."""

    taxonomy: Taxonomy
    table: TextTable
    knowledge: Mapping[str, Knowledge]
    ontology: Mapping[str, tuple[str, ...]]

    def suggest(self, query: str, limit: int = _LIMIT) -> tuple[Suggestion, ...]:
        """Return up to `limit` terms other than the query itself, the best one first.

        None for a query that is not English.
        """
        if not self.english.read(query).is_english:
            return ()
        own = self.taxonomy.named(query)
        nearness = self._nearness(query)
        above = self._broader(own, nearness)
        for name, more in self._by_ontology(query).items():
            nearness[name] = min(1.0, nearness[name] + (0.0 if name in own else more))
        for name, near in above.items():
            nearness[name] = max(nearness[name], near)
        for name in own:
            nearness[name] = self._as_synonym(name, query, nearness[name])
        found = []
        for name in sorted(nearness, key=lambda name: -nearness[name])[:_POOL]:
            term = self._term(name, query)
            if term and nearness[name] >= _NEAR:
                relation = Relation.BROADER if name in above else Relation.NEARBY
                found.append(
                    Suggestion(
                        term,
                        name,
                        Relation.SAME if name in own else relation,
                        round(nearness[name], 3),
                        self.gain(name),
                    )
                )
        # Where the query's own class is known, what stands first must be of its kin.
        kin = {*own, *above, *(other for name in own for other in self._relatives[name])}
        leads = {one.name: self._lead(one.name) for one in found}
        ranked = _ranked(found, leads, kin if own else set(nearness))
        return tuple(_with_a_good_one(ranked, limit))

    def gain(self, name: str) -> float | None:
        """Return the mean SI-SDR improvement of a class in dB, or None.

        Those below a class count with it: they, too, are what a query for it finds.
        """
        known = self._measured(name)
        return known.gain if known else None

    def _measured(self, name: str) -> Knowledge | None:
        """Return what was measured of a class and of those below it, together."""
        every = {name, *self._below[name]}
        return together(self.knowledge[one] for one in sorted(every) if one in self.knowledge)

    def _lead(self, name: str) -> float:
        """Return by how much the model does better with a class than with most, dB.

        A few measurements say little, so they count beside some of what is usual.
        """
        known = self._measured(name)
        if known is None:
            return 0.0
        return (known.gain - self._usual) * known.count / (known.count + _PRIOR)

    @cached_property
    def english(self) -> English:
        """The words that queries can be made of."""
        return English(self.table, (*self.taxonomy.captions, *self.ontology))

    @cached_property
    def _usual(self) -> float:
        """The model's mean over all that was measured, dB."""
        known = together(self.knowledge.values())
        return known.gain if known else 0.0

    @cached_property
    def _captions(self) -> tuple[FloatArray, npt.NDArray[np.intp]]:
        """All captions' vectors, and where each class's begin."""
        classes = self.taxonomy.classes.values()
        vectors = np.stack([self.table.embed(c) for item in classes for c in item.captions])
        starts = np.cumsum([0, *(len(item.captions) for item in classes)])[:-1]
        return vectors, starts.astype(np.intp)

    @cached_property
    def _below(self) -> Mapping[str, frozenset[str]]:
        """All classes below each class."""
        lineages = {name: self.taxonomy.lineage(name) for name in self.taxonomy.classes}
        return {
            name: frozenset(o for o, above in lineages.items() if name in above and o != name)
            for name in self.taxonomy.classes
        }

    @cached_property
    def _relatives(self) -> Mapping[str, frozenset[str]]:
        """Parents, children and siblings of each class."""
        classes = self.taxonomy.classes
        below: dict[str, set[str]] = {name: set() for name in classes}
        for name, item in classes.items():
            for parent in item.parents:
                below[parent].add(name)
        return {
            name: frozenset(
                {*item.parents, *below[name], *(s for p in item.parents for s in below[p])} - {name}
            )
            for name, item in classes.items()
        }

    @cached_property
    def _named(self) -> Mapping[str, str]:
        """Class by caption, folded; the first one that has it."""
        found: dict[str, str] = {}
        for name, item in self.taxonomy.classes.items():
            for caption in item.captions:
                found.setdefault(folded(caption), name)
        return found

    @cached_property
    def _aliases(self) -> Mapping[str, str]:
        """AudioSet's name by each of its parts, folded."""
        return aliases(self.ontology)

    def _nearness(self, query: str) -> dict[str, float]:
        """Return each class's cosine to the query, with support by the classes around it.

        A word whose vector went astray comes to lie near one class of a kind; a word that is
        understood, near several.
        """
        vectors, starts = self._captions
        cosines = np.maximum.reduceat(vectors @ self.table.embed(query), starts)
        plain = dict(zip(self.taxonomy.classes, map(float, cosines), strict=True))
        nearness = {}
        for name, cosine in plain.items():
            best = sorted((plain[other] for other in self._relatives[name]), reverse=True)[:2]
            support = sum(best) / len(best) if best else cosine
            nearness[name] = (cosine + _SUPPORT * support) / (1 + _SUPPORT)
        return nearness

    def _broader(self, own: frozenset[str], nearness: Mapping[str, float]) -> dict[str, float]:
        """Return the classes above the query's own, or above the nearest, with their nearness."""
        start = own or {max(nearness, key=lambda name: nearness[name])}
        above: dict[str, float] = {}
        for name in start:
            near = 1.0 if own else nearness[name]
            level = self.taxonomy.classes[name].parents
            while level:
                near -= _STEP
                for parent in level:
                    if parent not in own:
                        share = near - _WIDE * math.log2(1 + len(self._below[parent]))
                        above[parent] = max(share, above.get(parent, share))
                level = tuple(p for up in level for p in self.taxonomy.classes[up].parents)
        return above

    def _by_ontology(self, query: str) -> dict[str, float]:
        """Return the classes that AudioSet knows above and beside the query, with what that adds.

        What is above counts half for each step, so that "musical instrument" adds little to
        "mandolin".
        """
        level = {self._aliases[word] for word in numbers(folded(query)) if word in self._aliases}
        above: dict[str, float] = {}
        add = _ONTOLOGY
        beside: set[str] = set()
        while level:
            for name in level:
                above.setdefault(name, add)
            level = {parent for name in level for parent in self.ontology[name]}
            beside = beside or {n for n, parents in self.ontology.items() if level & set(parents)}
            add /= 2
        found: dict[str, float] = {}
        for name, more in [*above.items(), *((name, _SIBLING) for name in sorted(beside))]:
            known = next(
                (self._named[part] for part in synonyms(name) if part in self._named), None
            )
            if known is not None:
                found.setdefault(known, more)
        return found

    def _as_synonym(self, name: str, query: str, nearness: float) -> float:
        """Return the nearness of a class that has the query among its captions.

        Longer forms of the query ("dog barking" for "dog") count as they are, other words less:
        what did not work with one of them will hardly work with another.
        """
        said = folded(self._term(name, query) or "").split()
        longer = any(
            all(any(word.startswith(part) for word in said) for part in form.split())
            for form in numbers(folded(query))
        )
        return nearness if longer else min(nearness, _SYNONYM)

    def _term(self, name: str, query: str) -> str | None:
        """Return a class's plainest caption that is not the query itself."""
        same = set(numbers(folded(query)))
        captions = self.taxonomy.classes[name].captions
        return next((c for c in captions if not same & set(numbers(folded(c)))), None)


def _ranked(
    found: Sequence[Suggestion], leads: Mapping[str, float], kin: Set[str]
) -> list[Suggestion]:
    """Order by nearness and by how much better the model does than usual (`leads`, dB).

    The first one must be among the nearest of `kin`: no quality makes up for another meaning, so
    that only a few hundredths can be gained by it.
    """

    def worth(one: Suggestion) -> float:
        return one.nearness + _PER_DB * max(-6.0, min(6.0, leads[one.name]))

    ordered = sorted(found, key=worth, reverse=True)
    nearest = max((one.nearness for one in found if one.name in kin), default=2.0)
    for one in ordered:
        if one.name in kin and one.nearness >= nearest - _SWAP:
            return [one, *(other for other in ordered if other is not one)]
    return ordered


def _with_a_good_one(ranked: Sequence[Suggestion], limit: int) -> list[Suggestion]:
    """Cut the list; the last place goes to a term that the model is good at, if there was none."""
    kept, rest = list(ranked[:limit]), ranked[limit:]
    if kept and not any(one.separates_well for one in kept):
        kept[-1] = next((one for one in rest if one.separates_well), kept[-1])
    return kept
