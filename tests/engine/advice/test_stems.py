from __future__ import annotations

import pytest

from engine.advice.stems import is_stem


@pytest.mark.parametrize(
    "query",
    [
        *("vocals", "Vocals", "the vocals", "lead vocals", "vocal", "singing", "a cappella"),
        *("drums", "drum kit", "isolated drums", "drum track", "drums only", "the bass"),
        *("bass line", "bassline", "bass guitar", "accompaniment", "instrumental", "vocal stem"),
        *("vocals in a song", "the drums of the song", "bass from the mix", "backing track"),
    ],
)
def test_a_part_of_a_finished_song_is_a_stem(query: str) -> None:
    assert is_stem(query)


@pytest.mark.parametrize(
    "query",
    [
        *("bass drum", "drums of a parade in the distance", "drum", "snare drum", "steel drums"),
        *("bird singing", "singing bowl", "choir singing in a church", "voice", "speech", "music"),
        *("double bass", "sea bass", "hand drums", "people singing happy birthday", "track", ""),
        *("trains on a track", "piano"),
    ],
)
def test_other_sounds_are_no_stems(query: str) -> None:
    assert not is_stem(query)
