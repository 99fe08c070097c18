"""AudioSet's ontology: names of kinds of sound, and what is above each (see ``audioset.md``)."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from engine.taxonomy.phrases import folded

__all__ = ["aliases", "ancestors", "heard_as", "load_ontology", "synonyms"]

_BRACKETS = re.compile(r"\s*\(.*?\)")


def load_ontology() -> dict[str, tuple[str, ...]]:
    """Return AudioSet's names, each with those directly above it."""
    return {
        row["name"]: tuple(part for part in row["parents"].split("|") if part)
        for row in _rows("audioset.csv")
    }


def ancestors(name: str, ontology: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """Return all names above a name, without itself; none above one that is not known."""
    found: set[str] = set()
    level = set(ontology.get(name, ()))
    while level - found:
        found |= level
        level = {parent for above in level for parent in ontology.get(above, ())}
    return frozenset(found - {name})


def heard_as(name: str) -> str:
    """Return what a musician calls the sound, fit to be a query; "" for what is no sound to name.

    That is the first part of AudioSet's name in small letters, unless ``heard.csv`` says otherwise.

    >>> heard_as("Violin, fiddle"), heard_as("Bark"), heard_as("Inside, small room")
    ('violin', 'dog barking', '')
    """
    terms = _terms()
    return terms[name] if name in terms else _BRACKETS.sub("", name).split(",")[0].strip().lower()


@cache
def _terms() -> dict[str, str]:
    return {row["name"]: row["term"] for row in _rows("heard.csv")}


def _rows(name: str) -> csv.DictReader[str]:
    text = (files("engine.taxonomy") / name).read_text(encoding="utf-8")
    return csv.DictReader(text.splitlines())


def synonyms(name: str) -> list[str]:
    """Return a name of AudioSet and its parts, folded: "Water tap, faucet" holds two more."""
    return list(dict.fromkeys(folded(part) for part in [name, *re.split(r"[,()]", name)] if part))


def aliases(ontology: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return AudioSet's name by each of its synonyms; the first one that has it."""
    found: dict[str, str] = {}
    for name in ontology:
        for part in synonyms(name):
            found.setdefault(part, name)
    return found
