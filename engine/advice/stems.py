"""Stems: what a song is made of, and what other programs take apart better."""

from __future__ import annotations

import re

from engine.taxonomy.phrases import folded

__all__ = ["is_stem"]

_STEMS = frozenset(
    (
        *("vocal", "vocals", "singing", "singer", "singers", "singing voice", "acapella"),
        *("a cappella", "acappella", "a capella", "lead vocal", "lead vocals", "lead singer"),
        *("backing vocal", "backing vocals", "background vocals", "harmony vocals", "choruses"),
        *("male vocals", "female vocals", "male vocal", "female vocal", "voice of the singer"),
        *("drums", "drumset", "drum set", "drum kit", "drumkit", "percussion and drums"),
        *("bass", "bass line", "bassline", "bass guitar", "electric bass", "bass guitars"),
        *("accompaniment", "instrumental", "instrumentals", "instruments", "karaoke"),
        *("backing", "backing music", "music without vocals", "everything but the vocals"),
        *("everything but vocals", "no vocals", "vocals removed"),
    )
)
_BEFORE_STEM = re.compile(r"^(?:(?:the|just|only|isolated|solo|all|clean) )+")
_IN_A_SONG = re.compile(
    r" (?:in|of|from) (?:(?:a|the|this|my) )?(?:song|music|mix|track|recording|band)$"
)
_AS_A_STEM = re.compile(r"(?: (?:only|stems?|tracks?|parts?))+$")


def is_stem(query: str) -> bool:
    """Return whether a query asks for one of the parts that a finished song is mixed from.

    Only as a whole: "bass drum" and "drums of a parade in the distance" are sounds like others.
    """
    words = _IN_A_SONG.sub("", _BEFORE_STEM.sub("", folded(query)))
    part = _AS_A_STEM.sub("", words)
    return words in _STEMS or part in _STEMS or (part != words and f"{part}s" in _STEMS)
