"""What each sound that can be heard is called, and which words it is a kind of.

The words are those of AudioSet, what a musician calls the sound, and the captions of the classes
that have these names. Nothing here loads a model or NumPy: a search must start fast.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.taxonomy.classes import Taxonomy, load_taxonomy
from engine.taxonomy.ontology import ancestors, heard_as, load_ontology, synonyms
from engine.taxonomy.phrases import folded, numbers

__all__ = ["Named", "fingerprint", "vocabulary"]


@dataclass(frozen=True)
class Named:
    """A sound by its names.

    Attributes
    ----------
    label
        What AudioSet calls it.
    name
        What a musician calls it; fit to be a query.
    own
        Phrases that mean it.
    kinds
        Phrases that mean something it is a kind of, as "animal" of a dog.

    """

    label: str
    name: str
    own: tuple[str, ...]
    kinds: tuple[str, ...]


def vocabulary() -> tuple[Named, ...]:
    """Return every sound that a listener may name, in the order of AudioSet's table.

    >>> dog = next(one for one in vocabulary() if one.label == "Dog")
    >>> "animal" in dog.kinds, "animal" in dog.own
    (True, False)
    """
    ontology, taxonomy = load_ontology(), load_taxonomy()
    classes = dict(_classes_by_word(taxonomy))
    found = []
    for label in ontology:
        name = heard_as(label)
        if not name:
            continue
        # Of what it is a kind of, the names alone: "dog barking" is a caption of dogs, no growl.
        above = {phrase for other in ancestors(label, ontology) for phrase in _names(other)}
        for item in _classes(label, classes):
            lineage = taxonomy.lineage(item) - {item}
            above |= {folded(taxonomy.classes[one].captions[0]) for one in lineage}
        mine = _own(label, taxonomy, classes)
        found.append(Named(label, name, tuple(sorted(mine)), tuple(sorted(above - mine))))
    return tuple(found)


def fingerprint(named: tuple[Named, ...]) -> str:
    """Return what tells these tables from those of another version."""
    text = json.dumps([(one.label, one.name, one.own, one.kinds) for one in named])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _names(label: str) -> set[str]:
    """Return a label, its parts, and what a musician calls it; folded."""
    return {*synonyms(label), folded(heard_as(label))} - {""}


def _own(label: str, taxonomy: Taxonomy, classes: Mapping[str, set[str]]) -> frozenset[str]:
    captions = (taxonomy.classes[item].captions for item in _classes(label, classes))
    return frozenset({*_names(label), *(folded(text) for each in captions for text in each)})


def _classes(label: str, classes: Mapping[str, set[str]]) -> set[str]:
    """Return the classes that have a label's whole name, or the musician's, among their captions.

    Not its parts: "Inside, small room" is no room in which something else sounds.
    """
    wanted = {synonyms(label)[0], folded(heard_as(label))} - {""}
    return {item for name in wanted for item in classes.get(name, ())}


def _classes_by_word(taxonomy: Taxonomy) -> Iterator[tuple[str, set[str]]]:
    """Yield each caption in every form that it may be written in, with the classes it names."""
    found: dict[str, set[str]] = {}
    for name, item in taxonomy.classes.items():
        for caption in item.captions:
            for form in numbers(folded(caption)):
                found.setdefault(form, set()).add(name)
    yield from found.items()
