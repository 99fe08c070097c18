"""AudioSep where sounds compete: its masks are complex, and share as those of any other model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.job import Job
from engine.models.audiosep import AudioSep
from engine.models.audiosep.kind import fast_form
from engine.options import Keep, Options
from engine.queue.teams import assemble
from engine.sound.separate import separate

RATE = 32_000
SOUNDS = ("dog", "animal", "rain", "bell")
pytestmark = pytest.mark.parametrize("audiosep", ["torch"], indirect=True)


@pytest.fixture
def model(audiosep: AudioSep, entry, formula) -> AudioSep:
    """The model, to which the words of `SOUNDS` mean vectors that differ."""
    for number, word in enumerate(SOUNDS):
        fast_form(entry).embeddings.put(word, np.roll(formula.condition(), 7 * number))
    return audiosep


@pytest.fixture(scope="module")
def mixture(formula) -> np.ndarray:
    return formula.signal(0.5)[None]


def separated(model, samples, folder: Path, *queries, nots=(), alone=False, **options):
    """Return the clips, `(clips, channels, frames)`: targets, then the residual."""
    folder.mkdir(exist_ok=True)
    path = folder / "mixture.wav"
    soundfile.write(path, samples.T, RATE, subtype="FLOAT")
    job = Job(
        "job", path, queries, Options("formula", keep=Keep.BOTH, **options), nots=nots,
        answers=("formula",) * len(queries + nots),
    )  # fmt: skip
    team = model if alone else assemble(job, {"formula": model}).team
    clips = separate(job, team, folder / "clips")
    found = [soundfile.read(clip.path, dtype="float32", always_2d=True)[0].T for clip in clips]
    for clip in clips:
        clip.path.unlink()
    return np.stack(found)


def energy(samples: np.ndarray) -> float:
    return float((samples.astype(float) ** 2).sum())


def likeness(first: np.ndarray, second: np.ndarray) -> float:
    product = float((first.astype(float) * second).sum())
    return product / (energy(first) * energy(second)) ** 0.5


@pytest.mark.parametrize(
    ("queries", "options"),
    [(("dog",), {}), (("dog", "animal"), {}), (("dog", "rain"), {"compete": False})],
)
def test_without_rivals_no_bit_changes(model, mixture, tmp_path, queries, options):
    """Alone, beside what it is a kind of, and where nothing is to compete."""
    found = separated(model, mixture, tmp_path, *queries, **options)
    plain = separated(model, mixture, tmp_path, *queries, alone=True, **options)
    assert found.tobytes() == plain.tobytes()


@pytest.mark.parametrize(
    ("queries", "nots"),
    [(("dog", "rain"), ()), (("dog",), ("rain",)), (("animal", "rain"), ("dog", "bell"))],
)
def test_the_clips_of_rivals_and_the_residual_are_the_mixture(
    model, mixture, tmp_path, queries, nots
):
    *targets, residual = separated(model, mixture, tmp_path, *queries, nots=nots)
    assert len(targets) == len(queries)
    assert all(energy(target) > 0 for target in targets)
    total = np.sum([*targets, residual], axis=0, dtype=float)
    bound = 2.0**-22 * np.maximum(np.abs(mixture), np.abs(targets).max(axis=0))
    assert (np.abs(total - mixture) <= bound).all()


def test_rivals_differ_from_those_that_share(model, mixture, tmp_path):
    rivals = separated(model, mixture, tmp_path, "dog", "rain")
    sharing = separated(model, mixture, tmp_path, "dog", "rain", compete=False)
    assert likeness(*rivals[:2]) < likeness(*sharing[:2])


def test_what_is_not_wanted_takes_what_is_its_own(model, mixture, tmp_path):
    alone, _ = separated(model, mixture, tmp_path, "animal")
    kind, _ = separated(model, mixture, tmp_path, "animal", nots=("dog",))
    assert energy(kind) < energy(alone)  # a dog is an animal: it is taken out
    rain, _ = separated(model, mixture, tmp_path, "rain")
    apart, _ = separated(model, mixture, tmp_path, "animal", nots=("rain",))
    assert likeness(apart, rain) < likeness(alone, rain)
