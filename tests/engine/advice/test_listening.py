"""A recording is heard whole, in bounded memory, with a listener whose ears are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known_models import Constant
from listeners import GRID, Tones, tone

from engine.advice.listening import listen
from engine.errors import BadInput, Cancelled, Failure
from engine.job import Job, Task

RATE = 44_100


@pytest.fixture
def job(wav: Callable[..., Path]) -> Job:
    """Fifty seconds: a bark near the start, a meow across the first cut, rain on the right."""
    bark = tone("Bark", RATE, 50, (2, 4))
    meow = tone("Meow", RATE, 50, (19, 22))
    rain = tone("Rain", RATE, 50, (45, 50))
    return Job("job-1", wav(np.stack([bark + meow, rain]), RATE), (), task=Task.LISTEN)


def test_what_is_heard_and_when(job: Job) -> None:
    shares: list[float] = []
    notes: list[tuple[str, ...]] = []
    ears = Tones()
    found = listen(job, ears, on_progress=shares.append, on_notes=notes.append)
    assert {one.name: one.label for one in found} == {
        "dog barking": "Bark",
        "cat meowing": "Meow",
        "rain": "Rain",
    }
    times = {one.name: one.times for one in found}
    for name, (start, stop) in {"dog barking": (2, 4), "cat meowing": (19, 22)}.items():
        ((begin, end),) = times[name]
        assert abs(begin - start) <= 0.5
        assert abs(end - stop) <= 0.5
    assert times["rain"][0][1] == 50.0
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert notes == [()]
    assert len(ears.calls) == 3  # stretches of 20 s
    assert max(ears.calls) < 21 * GRID.sample_rate


def test_a_sound_shorter_than_a_window_is_heard(wav: Callable[..., Path]) -> None:
    short = Job("job-1", wav(tone("Meow", RATE, 0.3, (0, 0.3))[None], RATE), (), task=Task.LISTEN)
    (cat,) = listen(short, Tones())
    assert (cat.name, cat.times) == ("cat meowing", ((0.0, 0.3),))


@pytest.mark.parametrize("second", [0, 3.9, 5.5, 7.9, 9.7])
def test_nothing_is_passed_over(second: float, wav: Callable[..., Path]) -> None:
    samples = tone("Rain", RATE, 10, (second, second + 0.3))[None]
    (rain,) = listen(Job("job-1", wav(samples, RATE), (), task=Task.LISTEN), Tones())
    assert rain.name == "rain"
    assert any(start <= second + 0.15 <= stop for start, stop in rain.times)


def test_in_silence_nothing_is_heard_and_a_sentence_says_so(wav: Callable[..., Path]) -> None:
    notes: list[tuple[str, ...]] = []
    silent = Job("job-1", wav(np.zeros((1, RATE), np.float32), RATE), (), task=Task.LISTEN)
    assert listen(silent, Tones(), on_notes=notes.append) == ()
    ((note,),) = notes
    assert "is silent: no sample reaches -90 dBFS." in note


def test_a_model_without_ears_says_so(job: Job) -> None:
    with pytest.raises(BadInput, match=r"The model constant separates sounds and cannot say what"):
        listen(job, Constant())


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.1])
def test_what_is_no_probability_is_a_failure(job: Job, wrong: float) -> None:
    with pytest.raises(Failure, match="not probabilities"):
        listen(job, replace(Tones(), wrong=wrong))


def test_too_few_windows_are_a_failure(job: Job) -> None:
    class Short(Tones):
        def hear(self, samples):
            return super().hear(samples)[1:]

    with pytest.raises(Failure, match="not probabilities"):
        listen(job, Short())


def test_cancelled_it_stops(job: Job) -> None:
    ears = Tones()
    with pytest.raises(Cancelled):
        listen(job, ears, cancelled=lambda: bool(ears.calls))
    assert len(ears.calls) == 1
