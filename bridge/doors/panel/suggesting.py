"""Suggestions as one types: what the word may become, then what to ask for in its place."""

from __future__ import annotations

from typing import Any

from engine.advice import sentences, stems, suggestions
from engine.errors import BadInput
from engine.folders import Folders
from engine.job import clean_query
from engine.models import router

__all__ = ["suggested"]

_COMPLETIONS = 5
_COMPLETION = "completion"


def suggested(text: str, folders: Folders) -> dict[str, Any]:
    """Return terms for what was typed, each with how well the bundled model does on it.

    Blocking: the first call reads the bundled tables.
    """
    try:
        query = clean_query(text)
    except BadInput:
        return {"terms": [], "note": ""}
    terms = [{"term": term, "relation": _COMPLETION, "gain": gain} for term, gain in _begun(query)]
    known = {one["term"] for one in terms}
    terms += [
        {"term": one.term, "relation": one.relation.value, "gain": one.gain}
        for one in suggestions.suggest(query)
        if one.term not in known
    ]
    specialist = router.specialist_for(query, folders)
    note = sentences.specialist_sentence(query, specialist) if specialist else ""
    if not note and stems.is_stem(query):
        note = sentences.stem_sentence([query])
    return {"terms": terms, "note": note or sentences.english_sentence(query)}


def _begun(query: str) -> list[tuple[str, float | None]]:
    """Return the terms that begin with what was typed, then those with a word that does.

    The plainest term of each class comes before its others ("dog" before "dog barking").
    """
    adviser = suggestions.adviser()
    typed = query.casefold()
    gains: dict[str, float | None] = {}
    plain = set()
    for name, item in adviser.taxonomy.classes.items():
        gain = adviser.gain(name)
        plain.add(item.captions[0])
        gains.update({caption: gain for caption in item.captions if caption not in gains})

    def rank(term: str) -> tuple[bool, bool, int, str]:
        return not term.casefold().startswith(typed), term not in plain, len(term), term

    begun = [
        term for term in gains if f" {typed}" in f" {term.casefold()}" and term.casefold() != typed
    ]
    return [(term, gains[term]) for term in sorted(begun, key=rank)[:_COMPLETIONS]]
