"""Which of AudioSet's names a query means, if any: what a listener's scores say of the query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from engine.advice.suggestions import adviser
from engine.taxonomy.ontology import ancestors, heard_as, load_ontology, synonyms
from engine.taxonomy.phrases import folded, numbers

__all__ = ["labels_meant"]

_AROUND = re.compile(
    r"^(?:only |just )?(?:the )?(?:(?:sounds?|recording|noise) of )?(?:a |an |the |some )?"
)
_BEHIND = re.compile(r" (?:sounds?|noises?|in the (?:back|fore)ground)$")


def labels_meant(query: str) -> frozenset[str]:
    """Return AudioSet's names for what a query describes, with the names of all its kinds.

    Empty where neither AudioSet nor the table of classes has the query among its words.

    >>> sorted(labels_meant("a dog barking"))[:3]
    ['Bark', 'Bay', 'Bow-wow']
    """
    said = folded(query)
    phrases = {said, _BEHIND.sub("", _AROUND.sub("", said))}
    asked = {form for phrase in phrases for form in numbers(phrase)}
    own = {name for form in asked for name in _by_word().get(form, ())}
    if not own:  # a class's other captions may be among AudioSet's words
        classes = adviser().taxonomy.classes.values()
        captions = {
            folded(caption)
            for item in classes
            if any(folded(caption) in asked for caption in item.captions)
            for caption in item.captions
        }
        own = {name for caption in captions for name in _by_word().get(caption, ())}
    return frozenset(name for name, above in _lineages().items() if name in own or own & above)


@cache
def _by_word() -> Mapping[str, frozenset[str]]:
    """AudioSet's names by each of their parts, and by what a musician calls them; folded."""
    found: dict[str, set[str]] = {}
    for name in load_ontology():
        for word in {*synonyms(name), folded(heard_as(name))} - {""}:
            found.setdefault(word, set()).add(name)
    return {word: frozenset(names) for word, names in found.items()}


@cache
def _lineages() -> Mapping[str, frozenset[str]]:
    ontology = load_ontology()
    return {name: ancestors(name, ontology) for name in ontology}
