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
_NO_KIND = frozenset(
    {
        *("answering", "announcement", "announcer", "intercom", "loudspeaker", "megaphone", "pa"),
        *("speaker", "tannoy", "walkie", "voicemail", "phone", "doll", "film", "movie", "video"),
        *("all", "and", "anything", "but", "else", "everything", "except", "minus", "no", "not"),
        *("or", "other", "than", "with", "without"),
    }
)
"""Words for what speaks where no table has them ("answering machine" is no machine like others),
and words by which more is meant than what the last ones name."""
_LONGEST = 6
"""Words of a description that may be a kind of what its last ones name; a sentence is none."""
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
    table knows. A description that none knows is a kind of what its last words name, as a
    "computer fan" is a fan, unless another part of it is of the former.

    >>> may_be_beside_speech("dog barking"), may_be_beside_speech("baby"), may_be_beside_speech("x")
    (True, False, False)
    >>> may_be_beside_speech("computer fan"), may_be_beside_speech("crowd hum")
    (True, False)
    """
    if kinship().lines(query):
        return _holds_no_speech(query)  # whatever its single words are
    words = folded(query).split()
    if len(words) > _LONGEST or not _NO_KIND.isdisjoint(words):
        return False
    places = range(len(words) + 1)
    parts = {" ".join(words[start:stop]) for start in places for stop in places[start + 1 :]}
    is_kind = any(kinship().lines(" ".join(words[start:])) for start in places)
    return is_kind and all(map(_holds_no_speech, parts))


def _holds_no_speech(text: str) -> bool:
    if family(text):
        return False
    lines = kinship().lines(text)
    held = any(line & _NEVER_WITHIN for line in lines.values())
    return not held and not lines.keys() & _NEVER
