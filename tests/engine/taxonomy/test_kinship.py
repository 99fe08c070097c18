from __future__ import annotations

import pytest

from engine.taxonomy.families import FAMILIES, family, may_be_beside_speech
from engine.taxonomy.kinship import Kin, kinship


@pytest.mark.parametrize(
    ("first", "second", "kin"),
    [
        ("dog", "rain", Kin.APART),
        ("Dogs", "a dog", Kin.SAME),
        ("puppy", "dog", Kin.WITHIN),
        ("dog barking", "animal", Kin.WITHIN),
        ("animal", "dog barking", Kin.AROUND),
        ("pheasant", "bird", Kin.WITHIN),
        ("violin", "guitar", Kin.APART),
        ("keyboard typing", "piano", Kin.APART),
        ("woman speaking", "speech", Kin.WITHIN),
        ("big dog", "dog", Kin.WITHIN),
        ("jeep", "vehicle", Kin.WITHIN),
        ("downpour", "thunder", Kin.APART),
        ("qwzx", "vjkq", Kin.APART),
    ],
)
def test_how_two_sounds_stand_to_each_other(first, second, kin):
    assert kinship().between(first, second) is kin
    back = {Kin.WITHIN: Kin.AROUND, Kin.AROUND: Kin.WITHIN}.get(kin, kin)
    assert kinship().between(second, first) is back


def test_each_family_has_a_query_of_its_own():
    assert {family(query): name for name, query in FAMILIES.items()} == {n: n for n in FAMILIES}


@pytest.mark.parametrize(
    "query", ["dog", "woman speaking", "child", "whisper", "crowd", "bass drum"]
)
def test_a_part_or_a_neighbour_of_a_family_is_not_of_it(query):
    assert family(query) == ""


@pytest.mark.parametrize(
    "query",
    [
        *(
            "dog barking",
            "rain",
            "car engine",
            "violin",
            "door slam",
            "keyboard typing",
            "music box",
        ),
        *("computer fan", "fridge hum", "my neighbour's dog", "the wind"),
    ],
)
def test_speech_may_compete_with(query):
    assert may_be_beside_speech(query)


@pytest.mark.parametrize(
    "query",
    [
        *("speech", "vocals", "woman speaking", "laughter", "baby crying", "crowd", "footsteps"),
        *("radio", "television", "music", "song", "applause", "cough", "qwzx", "the other thing"),
        *("computer voice", "crowd hum", "radio hum", "answering machine", "talking clock", ""),
        *("everything but dog", "no dog", "dog and bird", "other dogs", "singing bird"),
    ],
)
def test_speech_never_competes_unasked_with(query):
    assert not may_be_beside_speech(query)
