"""Which queries mean speech as a whole, and which mean all that is left without it.

A model that tells speech from everything else can answer these two, and no others: "a woman
speaking" or "whispering" is a part of speech, and a crowd is many voices that belong to no one.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import cache

from engine.taxonomy.classes import load_taxonomy
from engine.taxonomy.phrases import folded, numbers

__all__ = ["Share", "share_of", "speech_left_out"]


class Share(Enum):
    """What a query asks for."""

    SPEECH = "speech"
    REST = "everything else"


_PARTS = frozenset({"a man talking", "a woman talking"})
"""Captions of the class "speech" that mean some of it."""
_WHOLE = (
    *("voice", "human voice", "spoken voice", "speaking voice", "spoken word"),
    *("people talking", "people speaking", "person talking", "somebody talking", "human speech"),
    *("someone speaking", "somebody speaking", "talk", "dialog", "interview", "narration"),
    *("voice over", "voiceover", "commentary", "podcast", "lecture", "clean speech"),
)
_REST = frozenset(
    (
        *("noise", "background noise", "ambient noise", "background", "background sound"),
        *("everything else", "all else", "anything else", "rest", "nonspeech", "non speech"),
        *("other sounds", "all other sounds"),
    )
)
_BUT = re.compile(
    r"(?:(?:everything|anything|all|all sounds|background|background noise|noise|sound|sounds) )?"
    r"(?:but|except for|except|without|besides|apart from|other than|no|not) (.+)"
)


def share_of(query: str) -> Share | None:
    """Return whether a query means speech as a whole, or what is left; None for anything else.

    >>> share_of("People talking"), share_of("everything but the voices"), share_of("a whisper")
    (<Share.SPEECH: 'speech'>, <Share.REST: 'everything else'>, None)
    """
    words = folded(query)
    if _is_one_of(words, _speech()):
        return Share.SPEECH
    if _is_one_of(words, _REST) or speech_left_out(query):
        return Share.REST
    return None


def speech_left_out(query: str) -> str:
    """Return the words for speech in a query for all but speech; '' where it names none.

    >>> speech_left_out("everything but the voices"), speech_left_out("background noise")
    ('voices', '')
    """
    without = _BUT.fullmatch(folded(query))
    left_out = folded(without[1]) if without else ""
    return left_out if _is_one_of(left_out, _speech()) else ""


@cache
def _speech() -> frozenset[str]:
    captions = load_taxonomy().classes["speech"].captions
    return frozenset(folded(words) for words in (*captions, *_WHOLE) if words not in _PARTS)


def _is_one_of(words: str, phrases: frozenset[str]) -> bool:
    return any(form in phrases for form in numbers(words))
