"""Listening for speech leaves what it heard of the queries, for whoever asks next."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from listeners import SPEECH_LAST, Tones, tone

from engine.advice.beside import SURE, speech_in
from engine.advice.presence import Asked, ask, heard, is_fitted
from engine.job import Job
from engine.models.base import FloatArray

RATE = 44_100


class Shared(Tones):
    """Can be asked by several threads at once; hears speech all the time, or never."""

    def __init__(self, speech: float = 0.0) -> None:
        super().__init__(labels=SPEECH_LAST)
        self.speech = speech
        self.shares: list[int] = []
        self.seconds = 0.0

    @contextlib.contextmanager
    def computing(self, threads: int) -> Iterator[None]:
        self.shares.append(threads)
        yield

    def both(self, samples: FloatArray) -> tuple[FloatArray, FloatArray]:
        self.seconds += samples.shape[1] / self.hearing_grid.sample_rate
        scores, vectors = super().both(samples)
        scores[:, -1] = self.speech
        return scores, vectors


@pytest.fixture
def job(wav: Callable[..., Path]) -> Job:
    """Forty-five seconds with a bark from 2 to 4 s."""
    samples = tone("Bark", RATE, 45, (2, 4))[None]
    return Job("job-1", wav(samples, RATE), ("dog barking", "rain"))


def nothing() -> None:
    """Do nothing."""


def test_a_listener_that_can_be_shared_hears_the_same_in_any_number_of_threads(job: Job) -> None:
    asked = Asked.of(job.queries, Tones())
    alone = heard(job.mixture, Tones(), asked, nothing)
    shared = Shared()
    found = heard(job.mixture, shared, asked, nothing)
    assert set(shared.shares) == {1}
    for one, other in ((found.likeness, alone.likeness), (found.named, alone.named)):
        assert one.tobytes() == other.tobytes()
    assert found.power.tobytes() == alone.power.tobytes()


def test_what_was_heard_of_the_queries_while_speech_was_looked_for_is_not_heard_again(
    job: Job,
) -> None:
    assert is_fitted()
    listener = Shared()
    found = speech_in(job, listener, nothing)
    assert found.speech < SURE
    assert found.mixture is not None
    so_far = listener.seconds
    told = ask(job, (), listener, None, mixture=found.mixture)
    assert listener.seconds == so_far
    anew = ask(job, (), Shared(), None)
    assert told is not None
    assert anew is not None
    assert told[0] == anew[0]
    np.testing.assert_array_equal(told[1], anew[1])


def test_who_is_sure_of_speech_hears_no_more(
    wav: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.cores.threads", lambda: 2)
    samples = tone("Bark", RATE, 150, (2, 4))[None]
    listener = Shared(0.9)
    found = speech_in(Job("job-1", wav(samples, RATE), ("rain",)), listener, nothing)
    assert found.speech >= SURE
    assert found.mixture is None
    assert listener.seconds < 100


def test_what_a_step_raises_ends_the_listening(job: Job) -> None:
    def step() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        speech_in(job, Shared(), step)
