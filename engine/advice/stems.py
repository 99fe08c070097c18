"""Stems: what other programs take out of a song better than a query does."""

from __future__ import annotations

from engine.taxonomy.stems import stem_of

__all__ = ["is_stem"]


def is_stem(query: str) -> bool:
    """Return whether a query asks for one of the parts that a finished song is mixed from."""
    return stem_of(query) is not None
