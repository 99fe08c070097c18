"""Stems: the parts that a finished song is mixed from, by the words that people have for them."""

from __future__ import annotations

import re

from engine.taxonomy.phrases import folded

__all__ = ["STEMS", "stem_of", "vocals_left_out"]

STEMS = ("vocals", "drums", "bass", "other", "accompaniment")
"""What `stem_of` returns; the accompaniment is all but the vocals."""

_WORDS = {
    "vocals": (
        *("vocal", "vocals", "singing", "singer", "singers", "singing voice", "singing voices"),
        *("acapella", "a cappella", "acappella", "a capella", "voice of the singer"),
        *("lead vocal", "lead vocals", "lead singer", "backing vocal", "backing vocals"),
        *("background vocals", "harmony vocals", "choruses", "song vocals", "voice singing"),
        *("male vocals", "female vocals", "male vocal", "female vocal", "male singer"),
        *("female singer", "male singing", "female singing", "man singing", "woman singing"),
        *("person singing", "someone singing", "rapping", "rapper", "rap vocals"),
    ),
    "drums": ("drums", "drumset", "drum set", "drum kit", "drumkit", "percussion and drums"),
    "bass": ("bass", "bass line", "bassline", "bass guitar", "electric bass", "bass guitars"),
    "other": ("other", "others", "other instruments"),
    "accompaniment": (
        *("accompaniment", "instrumental", "instrumentals", "instruments", "karaoke", "backing"),
        *("backing music", "instrumental music", "instrumental version", "karaoke version"),
        *("no vocals", "vocals removed", "music only", "instruments only"),
    ),
}
_STEM = {word: stem for stem, words in _WORDS.items() for word in words}
_BEFORE = re.compile(r"^(?:(?:the|just|only|isolated|solo|all|clean) )+")
_IN_A_SONG = re.compile(
    r" (?:in|of|from) (?:(?:a|the|this|my) )?(?:song|music|mix|track|recording|band)$"
)
_AS_A_STEM = re.compile(r"(?: (?:only|stems?|tracks?|parts?))+$")
_ALL_BUT = re.compile(
    r"(?:(?:music|songs?|mix|track|band|everything|all) (?:but|except|without|minus)|without|no)"
    r"(?: for)? (.+)"
)


def stem_of(query: str) -> str | None:
    """Return which of `STEMS` a query asks for; None if it is about a sound like any other.

    Only as a whole: "bass drum" and "drums of a parade in the distance" are no stems.

    >>> stem_of("the vocals of the song"), stem_of("music without the singer"), stem_of("dog")
    ('vocals', 'accompaniment', None)
    """
    words = folded(query)
    if _ALL_BUT.fullmatch(words):
        return "accompaniment" if vocals_left_out(query) else None
    return _named(words)


def vocals_left_out(query: str) -> str:
    """Return the words for the vocals in a query for all but them; '' where it names none.

    >>> vocals_left_out("music without the singer"), vocals_left_out("karaoke")
    ('singer', '')
    """
    without = _ALL_BUT.fullmatch(folded(query))
    left_out = folded(without[1]) if without else ""
    return left_out if _named(left_out) == "vocals" else ""


def _named(words: str) -> str | None:
    bare = _BEFORE.sub("", words)
    for whole in (bare, _IN_A_SONG.sub("", bare)):
        part = _AS_A_STEM.sub("", whole)
        candidates = (whole, part, f"{part}s") if part != whole else (whole,)
        for candidate in candidates:
            if candidate in _STEM:
                return _STEM[candidate]
    return None
