"""Families of sounds that specialists are for, and which sounds speech may compete with unasked."""

from __future__ import annotations

import re
from collections.abc import Mapping

from engine.taxonomy.kinship import kinship
from engine.taxonomy.phrases import folded
from engine.taxonomy.speech import Share, share_of, speech_left_out
from engine.taxonomy.stems import stem_of, vocals_left_out

__all__ = ["FAMILIES", "SPEECH", "family", "left_out", "may_be_beside_speech"]

SPEECH = "speech"
"""The family of speech as a whole."""
FAMILIES: Mapping[str, str] = {
    SPEECH: "speech",
    "no speech": "everything but speech",
    "vocals": "vocals",
    "accompaniment": "accompaniment",
    "drums": "drums",
    "bass": "bass guitar",
    "other": "other instruments",
}
"""Every family, with a query that is of it."""
_NEVER_WITHIN = frozenset(
    {
        *("voice", "speech", "crowd", "applause", "radio chatter", "finger snap", "whistling"),
        *("eating", "drinking", "heartbeat", "static", "electronic", "footsteps"),
        *("/Human sounds", "/Human voice", "/Human group actions", "/Radio", "/Television"),
        *("/Telephone", "/Conversation", "/Narration, monologue"),
    }
)
"""Classes, and AudioSet's names after a slash, that hold speech or are taken for it."""
_NEVER = frozenset({"music", "/Music"})
"""The same, without what is below them: a violin holds no speech."""
_ALL_BUT = re.compile(
    r"(?:everything|anything|all)(?: (?:else|sounds|other sounds))? "
    r"(?:but|except for|except|without|besides|apart from|other than|minus) (.+)"
)


def family(query: str) -> str:
    """Return the family that a query asks for as a whole; '' for a sound like any other.

    >>> family("people talking"), family("the singer"), family("woman speaking")
    ('speech', 'vocals', '')
    """
    share = share_of(query)
    if share is Share.SPEECH:
        return SPEECH
    # "noise" alone may be a hiss or a hum, which the general model knows as well.
    if share is Share.REST and not kinship().taxonomy.named(query):
        return "no speech"
    return stem_of(query) or ""


def left_out(query: str) -> str:
    """Return the sound that a query for all but one sound leaves out; '' for any other query.

    >>> left_out("everything but the speech"), left_out("no vocals"), left_out("no dogs")
    ('speech', 'vocals', '')
    """
    known = speech_left_out(query) or vocals_left_out(query)
    without = _ALL_BUT.fullmatch(folded(query))
    return known or (folded(without[1]) if without else "")


def may_be_beside_speech(query: str) -> bool:
    """Return whether speech in the mixture is certainly none of what a query asks for.

    Never for sounds that people make, crowds, radio, television or music, nor for words that no
    table knows.

    >>> may_be_beside_speech("dog barking"), may_be_beside_speech("baby"), may_be_beside_speech("x")
    (True, False, False)
    """
    if family(query):
        return False
    lines = kinship().lines(query)
    held = any(line & _NEVER_WITHIN for line in lines.values())
    return bool(lines) and not held and not lines.keys() & _NEVER
