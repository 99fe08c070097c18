from __future__ import annotations

import pytest

from engine.taxonomy.stems import STEMS, stem_of

ASKED = {
    "vocals": (
        *("vocals", "Singing", "the singer", "lead vocals", "a cappella", "vocal track"),
        *("the vocals of the song", "only the vocals in the mix", "a woman singing", "rapping"),
    ),
    "drums": ("drums", "the drum kit", "drums only", "drum track", "isolated drums"),
    "bass": ("bass", "the bass line", "bass guitar", "bass from the mix"),
    "other": ("other", "the other instruments", "other stem"),
    "accompaniment": (
        *("accompaniment", "instrumental", "Karaoke", "the instruments", "backing track"),
        *("music without vocals", "music without the singer", "everything but the vocals"),
        *("song without singing", "no vocals", "everything except the lead vocals"),
    ),
}


@pytest.mark.parametrize(("query", "stem"), [(q, s) for s, qs in ASKED.items() for q in qs])
def test_a_stem_is_known_by_its_words(query: str, stem: str) -> None:
    assert stem_of(query) == stem
    assert stem in STEMS


@pytest.mark.parametrize(
    "query",
    [
        *("music", "voice", "speech", "music without drums", "everything but the dog", "no"),
        *("bass drum", "drums of a parade in the distance", "bird singing", "other people", ""),
        *("no dogs", "choir singing in a church", "music in a recording", "everything"),
    ],
)
def test_other_sounds_are_no_stems(query: str) -> None:
    assert stem_of(query) is None
