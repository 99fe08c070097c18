"""AudioSet's ontology: names of kinds of sound, and what is above each (see ``audioset.md``)."""

from __future__ import annotations

import csv
import re
from importlib.resources import files

from engine.taxonomy.phrases import folded

__all__ = ["load_ontology", "synonyms"]


def load_ontology() -> dict[str, tuple[str, ...]]:
    """Return AudioSet's names, each with those directly above it."""
    text = (files("engine.taxonomy") / "audioset.csv").read_text(encoding="utf-8")
    return {
        row["name"]: tuple(part for part in row["parents"].split("|") if part)
        for row in csv.DictReader(text.splitlines())
    }


def synonyms(name: str) -> list[str]:
    """Return a name of AudioSet and its parts, folded: "Water tap, faucet" holds two more."""
    return list(dict.fromkeys(folded(part) for part in [name, *re.split(r"[,()]", name)] if part))
