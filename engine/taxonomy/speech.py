"""Which queries ask for speech as a whole."""

from __future__ import annotations

from engine.taxonomy.phrases import folded

__all__ = ["is_speech"]

_WORDS = frozenset({"speech", "talking", "voice", "people talking", "dialogue"})


def is_speech(query: str) -> bool:
    """Return whether a query asks for speech as a whole."""
    return folded(query) in _WORDS
