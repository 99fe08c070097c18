"""Models that are asked by several threads: in order, the same bits, bounded, and ended at once."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
import pytest
from known_models import Blur, SharedBlur, WaveBlur

from engine.errors import Failure
from engine.options import Stereo
from engine.sound import answers
from engine.sound.answers import Part
from engine.sound.core import pieces, pieces_of
from engine.sound.masks import Competition
from engine.sound.mixture import ArrayMixture

SECONDS = 6  # 7 segments of `known_models.GRID`


def mixture(rng, rate=44_100, channels=2, seconds=SECONDS):
    samples = (0.3 * rng.standard_normal((channels, int(rate * seconds)))).astype(np.float32)
    return ArrayMixture(samples, rate, 32_000)


def separated(sound, model, **options):
    found = list(pieces(sound, model, np.array([[3.0], [4.0]], np.float32), **options))
    return np.concatenate([piece.targets for piece in found], axis=-1)


@dataclass(frozen=True)
class Watched(SharedBlur):
    """Knows who asked, and how many did so at once; from call `broken` on, it says nonsense."""

    threads: set = field(default_factory=set, compare=False)
    now: list = field(default_factory=list, compare=False)
    most: list = field(default_factory=list, compare=False)
    broken: int = -1

    def mask(self, magnitude, vectors, rms, keep):
        self.threads.add(threading.current_thread())
        self.now.append(1)
        self.most.append(len(self.now))
        try:
            found = super().mask(magnitude, vectors, rms, keep)
            return found * np.nan if 0 < self.broken <= len(self.calls) else found
        finally:
            self.now.pop()


@pytest.fixture(params=[1, 2, 3, 9])
def cores(request, monkeypatch):
    monkeypatch.setattr(answers, "threads", lambda: request.param)
    return request.param


@pytest.mark.parametrize("stereo", Stereo)
def test_any_number_of_threads_gives_the_bits_of_one(cores, stereo, rng):
    sound = mixture(rng)
    alone = separated(sound, Blur(), stereo=stereo)
    model = Watched()
    assert separated(sound, model, stereo=stereo).tobytes() == alone.tobytes()
    lanes = min(cores, 4)
    assert max(model.most) <= lanes
    assert set(model.shares) == {max(1, cores // lanes)}


def test_a_short_mono_clip_gets_all_processors(cores, rng):
    model = Watched()
    separated(mixture(rng, channels=1, seconds=0.5), model)
    assert model.shares == [cores]


def test_models_that_are_asked_together_give_the_bits_of_each_alone(cores, rng):
    sound = mixture(rng, seconds=4)
    waves = ArrayMixture(sound.samples(0, sound.info.frames), 44_100, 24_000)

    def together(first):
        near = WaveBlur()
        parts = (
            Part(first, sound, np.array([[3.0]], np.float32), (0,)),
            Part(near, waves, near.embed("four")[None], (1,)),
        )
        found = pieces_of(parts, Competition(((1,), (0,))))
        return np.concatenate([piece.targets for piece in found], axis=-1)

    assert together(Watched()).tobytes() == together(Blur()).tobytes()


def test_little_is_worked_out_ahead(monkeypatch, rng):
    monkeypatch.setattr(answers, "threads", lambda: 2)
    model = Watched()
    found = pieces(mixture(rng), model, np.array([[3.0]], np.float32))
    next(found)
    # The segment that was taken, and two behind it; the generator does not go on by itself.
    at_rest(model, 6)
    found.close()
    assert len(model.calls) <= 6


def at_rest(model, most):
    """Wait until the threads have done what they were given."""
    done = threading.Event()
    for _ in range(600):
        if len(model.calls) >= most and not model.now:
            return
        done.wait(0.05)
    raise AssertionError(f"{len(model.calls)} of {most} askings were done in half a minute")


def test_masks_that_are_large_are_not_worked_out_ahead(monkeypatch, rng):
    monkeypatch.setattr(answers, "threads", lambda: 2)
    monkeypatch.setattr(answers, "_ROOM", 1)
    model = Watched()
    found = pieces(mixture(rng), model, np.array([[3.0]], np.float32))
    next(found)
    assert len(model.calls) == 2
    found.close()


def test_where_memory_is_short_nobody_is_asked_ahead_or_aside(monkeypatch, rng):
    monkeypatch.setattr(answers, "threads", lambda: 4)
    model = Watched()
    separated(mixture(rng), model, reduction=1)
    assert model.threads == {threading.current_thread()}


def test_what_progress_raises_ends_all_threads(cores, rng):
    model = Watched()

    def on_progress(share):
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        separated(mixture(rng), model, on_progress=on_progress)
    assert not model.now
    begun = len(model.calls)
    assert begun < 14
    assert not [one for one in threading.enumerate() if one.name.startswith("lane")]


def test_progress_goes_from_start_to_end(cores, rng):
    seen = []
    separated(mixture(rng), Watched(), on_progress=seen.append)
    assert seen[0] == 0
    assert seen == sorted(seen)
    assert seen[-1] <= 1


def test_an_answer_that_cannot_be_used_is_told(cores, rng):
    with pytest.raises(Failure, match="not finite"):
        separated(mixture(rng), Watched(broken=9))
