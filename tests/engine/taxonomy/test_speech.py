"""Which queries mean speech as a whole, and which all else."""

from __future__ import annotations

import pytest

from engine.taxonomy.speech import Share, share_of


@pytest.mark.parametrize(
    "query",
    [
        *("speech", "Talking", "the voice", "voices", "a dialogue", "spoken words", "Interview!"),
        *("people talking", "narrator", "a person speaking", "conversation", "human speech"),
    ],
)
def test_speech(query):
    assert share_of(query) is Share.SPEECH


@pytest.mark.parametrize(
    "query",
    [
        *("noise", "the background noise", "everything but speech", "no speech", "not the voice"),
        *("everything except for the talking", "background without voices", "everything else"),
    ],
)
def test_everything_else(query):
    assert share_of(query) is Share.REST


@pytest.mark.parametrize(
    "query",
    [
        *("woman speaking", "child speaking", "a man talking", "whispering", "crowd", "singing"),
        *("dog", "", "no", "everything but", "everything but the dog", "white noise", "shouting"),
    ],
)
def test_anything_else_is_neither(query):
    assert share_of(query) is None
