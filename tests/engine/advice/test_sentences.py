from __future__ import annotations

from engine.advice.sentences import LOW_PRESENCE, advice, english_sentence, stem_sentence


def test_advice_is_given_where_it_is_needed() -> None:
    assert advice(("dog", "rain"), (0.9, LOW_PRESENCE)) == ()
    assert advice(("dog",), ()) == ()  # a model that does not say
    (low,) = advice(("rain", "pheasant"), (0.9, LOW_PRESENCE - 0.01))
    assert low.startswith("'pheasant' was barely detected in this recording: try 'bird'")
    assert low.count("'") == 2 + 2 * 3
    stem, missing = advice(("drums", "dog"), (0.8, 0.0))
    assert stem == stem_sentence(["drums"])
    assert "htdemucs" in stem
    assert "tweeze[stems]" not in stem  # which brings no drums
    assert "tweeze[stems]" in stem_sentence(["the vocals"])
    assert missing.startswith("'dog'")
    assert advice(("drums",), (0.8,), specialists={"drums"}) == ()  # a specialist did it
    (helpless,) = advice(("?",), (0.0,))
    assert "other words" in helpless
    (foreign,) = advice(("Hund bellt",), (0.0,))
    assert foreign == (
        "'Hund bellt' was barely detected in this recording. No word of 'Hund bellt' is known, "
        "and queries are English: describe the sound in common English words, for example "
        "'dog barking'."
    )
    (unknown,) = advice(("asdfgh", "dog"), (0.9, 0.9), by_words=("asdfgh", "dog"))
    assert unknown.startswith("No word of 'asdfgh' is known")
    assert advice(("asdfgh",), (0.9,)) == ()  # a model that may know it
    (long,) = advice(("dog " * 70,), (0.0,))
    assert len(long) < 200


def test_another_language_is_said_as_far_as_it_is_known() -> None:
    assert english_sentence("dog barking") == ""
    assert english_sentence("?") == ""
    assert "No word of '小鳥' is known" in english_sentence("小鳥")
    assert "'motor de coche' seems to be in another language" in english_sentence("motor de coche")
