"""Presence of separator and listener together, with a listener whose ears are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from listeners import GRID, Tones, tone

from engine.advice import presence
from engine.advice.meaning import labels_meant
from engine.advice.presence import FEATURES, Asked, Weights, ask, evidence_of, impression
from engine.errors import Cancelled, Failure
from engine.job import Job
from engine.sound.certainty import VALUES
from engine.status import Clip, ClipKind

RATE = 44_100


def weights(**given: float) -> Weights:
    """The same weights for every kind of evidence; 0 for what is not named."""
    named = {name.replace(" ", "_"): 0.0 for name in FEATURES} | {"constant": 0.0}
    assert set(given) <= set(named)
    row = tuple((named | given).values())
    kinds = ("listener", "listener, separator", "listener, separator, target")
    return Weights(dict.fromkeys(kinds, row), 0.25)


@pytest.fixture
def job(wav: Callable[..., Path]) -> Job:
    """Ten seconds with a bark from 2 to 4 s."""
    samples = tone("Bark", RATE, 10, (2, 4))[None]
    return Job("job-1", wav(samples, RATE), ("dog barking", "rain", "glockenspiel solo"))


@pytest.fixture
def clips(job: Job, wav: Callable[..., Path]) -> tuple[Clip, ...]:
    """What a separator might make of it: the bark, and twice next to nothing."""
    bark = tone("Bark", RATE, 10, (2, 4))[None]
    return tuple(
        Clip(wav(bark * share, RATE, f"{query}.wav"), ClipKind.TARGET, query, query)
        for query, share in zip(job.queries, (1.0, 1e-4, 1e-4), strict=True)
    )


def test_what_a_query_means_in_audioset_s_words() -> None:
    assert {"Bark", "Bow-wow"} <= labels_meant("a dog barking")
    assert {"Dog", "Bark", "Cat", "Meow", "Animal"} <= labels_meant("animals")
    assert labels_meant("the sound of rain in the background") == labels_meant("rain")
    assert "Rain" in labels_meant("rain")
    assert "Bark" not in labels_meant("cat meowing")
    assert labels_meant("zxqw of the third kind") == frozenset()


def test_names_decide_where_a_sound_is(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    only_names = weights(named=-3.0, name_in_mixture=1.5)
    monkeypatch.setattr(presence, "load_weights", lambda: only_names)
    separator = 0.16, np.full((3, 63), 0.5, np.float32)
    found = ask(job, (), Tones(), separator)
    assert found is not None
    step, certainty = found
    assert (step, certainty.shape) == (0.16, (3, 63))
    dog, rain, unknown = certainty
    likely = np.flatnonzero(dog > 0.5) * step
    assert 1.4 <= likely.min() <= 2.2
    assert 3.6 <= likely.max() <= 4.6
    assert rain.max() < 0.01
    assert np.allclose(unknown, 0.5)  # nobody knows


def test_the_separator_s_own_opinion_counts_block_by_block(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "load_weights", lambda: weights(separator=1.0))
    own = np.random.default_rng(0).uniform(0.01, 0.99, (3, 63)).astype(np.float32)
    found = ask(job, (), Tones(), (0.16, own))
    assert found is not None
    np.testing.assert_allclose(found[1], own, atol=1e-5)
    coarse = own[:, :9]
    found = ask(job, (), Tones(), (1.2, coarse))  # values further apart than windows
    assert found is not None
    np.testing.assert_allclose(found[1], coarse, atol=1e-5)


def test_the_separated_sound_is_heard_too(
    job: Job, clips: tuple[Clip, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "load_weights", lambda: weights(target_level=4.0, constant=2.0))
    certainty = ask(job, clips, Tones(), (0.16, np.full((3, 63), 0.5, np.float32)))
    assert certainty is not None
    dog, rain, _ = certainty[1]
    assert dog[13:24].min() > 0.8  # 0 dB of the mixture
    assert rain[13:24].max() < 1e-3  # -60 dB
    alone = ask(job, clips, Tones(), None)  # of another separator's targets nothing was learned
    assert alone is not None
    assert np.allclose(alone[1], 1 / (1 + np.exp(-2)), atol=1e-6)


def test_without_a_separator_s_opinion_there_is_a_value_a_window(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "load_weights", lambda: weights(name_in_mixture=1.0))
    found = ask(job, (), Tones(), None)
    assert found is not None
    assert (found[0], found[1].shape) == (0.5, (3, 19))


def test_a_query_of_a_model_without_an_opinion_is_weighed_by_the_listener_alone(
    job: Job, clips: tuple[Clip, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        presence, "load_weights", lambda: weights(separator=1.0, name_in_mixture=1.0)
    )
    own = np.full((3, 63), 0.5, np.float32)
    whole = ask(job, clips, Tones(), (0.16, own))
    own[1] = np.nan
    mixed = ask(job, clips, Tones(), (0.16, own))
    assert whole is not None
    assert mixed is not None
    assert mixed[1].shape == (3, 63)
    assert np.isfinite(mixed[1]).all()
    np.testing.assert_array_equal(mixed[1][[0, 2]], whole[1][[0, 2]])
    np.testing.assert_allclose(mixed[1][1], whole[1][1], atol=1e-6)  # 0.5 said nothing, either


def test_of_a_long_recording_there_is_a_bounded_number_of_values() -> None:
    asked = Asked(np.zeros((1, 128), np.float32), ((),))
    windows = 3 * VALUES + 1
    heard = presence.Impression(
        np.zeros((1, windows), np.float32), np.zeros((1, windows), np.float32), np.ones(windows)
    )
    evidence = evidence_of(asked, 0, heard, None, None, GRID)
    assert evidence.count <= VALUES
    assert evidence.step == 2.0
    assert set(evidence.value.tolist()) == set(range(evidence.count))
    numbers = np.append(np.zeros(evidence.count), np.arange(windows)).astype(np.float32)
    last_window = evidence.reduced(numbers)
    assert np.array_equal(last_window[:3], [2, 6, 10])  # centres lie half a second behind starts


def test_in_silence_and_when_cancelled_there_is_no_answer(
    job: Job, wav: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "load_weights", weights)
    silence = wav(np.zeros((1, RATE), np.float32), RATE, "silence.wav")
    silent = Job("job-2", silence, ("dog",))
    assert ask(silent, (), Tones(), None) is None

    def step() -> None:
        raise Cancelled("Job job-1 was cancelled.")

    with pytest.raises(Cancelled):
        ask(job, (), Tones(), None, step=step)


def test_vectors_that_are_none_are_a_failure() -> None:
    class Wrong(Tones):
        def vectors(self, samples):
            return np.full_like(super().vectors(samples), np.nan)

    asked = Asked.of(("dog",), Tones())
    with pytest.raises(Failure, match="returned vectors that cannot be used"):
        impression([np.zeros((1, RATE), np.float32)], RATE, 1, Wrong(), asked)
