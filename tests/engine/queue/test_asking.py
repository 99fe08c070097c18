"""The worker asks the listener where it may, and does without it where that fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from listeners import Tones, tone

from engine.advice import presence
from engine.advice.presence import FEATURES, Weights
from engine.errors import Cancelled, ModelBroken
from engine.folders import Folders
from engine.job import Job
from engine.models.base import Model
from engine.models.cache import ModelCache
from engine.options import Options, Presence
from engine.queue import asking

OWN = (0.16, np.full((1, 20), 0.5, np.float32))


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    import soundfile

    soundfile.write(tmp_path / "a.wav", tone("Rain", 16_000, 3.2, (0, 3.2)), 16_000)
    row = (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 2.0)
    assert len(row) == len(FEATURES) + 1
    weights = Weights(dict.fromkeys(("listener", "listener, separator"), row), 0.3)
    monkeypatch.setattr(presence, "is_fitted", lambda: True)
    monkeypatch.setattr(presence, "load_weights", lambda: weights)
    return Job("job-1", tmp_path / "a.wav", ("rain",))


def asked(job: Job, models: ModelCache, *, cancelled: bool = False) -> object:
    return asking.presence(job, (), OWN, models, lambda: cancelled)


def test_the_listener_s_opinion_counts(job: Job, tmp_path: Path) -> None:
    models = ModelCache(Folders(tmp_path), lambda name, folders: Tones())
    found = asked(job, models)
    assert isinstance(found, tuple)
    assert found[1].min() > 0.9
    presence_, certainty = asking.told(found)
    assert presence_ == (0.99,) or presence_[0] >= 0.9
    assert (certainty[0].step, len(certainty[0].values)) == (0.16, 20)


def test_it_is_not_asked_where_nobody_wants_that(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str, folders: Folders) -> Model:
        raise AssertionError("nobody asked for a listener")

    models = ModelCache(Folders(tmp_path), load)
    alone = replace(job, options=Options(presence=Presence.SEPARATOR))
    assert asked(alone, models) is None
    monkeypatch.setattr(presence, "is_fitted", lambda: False)
    assert asked(job, models) is None


@pytest.mark.parametrize("error", [ModelBroken("its weights are damaged"), MemoryError()])
def test_where_it_fails_the_separator_s_word_stands(
    job: Job, tmp_path: Path, error: Exception
) -> None:
    class Broken(Tones):
        def both(self, samples: object) -> object:  # type: ignore[override]
            raise error

    loads = []

    def load(name: str, folders: Folders) -> Model:
        loads.append(name)
        return Broken()

    models = ModelCache(Folders(tmp_path), load)
    assert asked(job, models) is None
    assert asked(job, models) is None
    assert loads == ["ears"] * (2 if isinstance(error, MemoryError) else 1)  # it was dropped


def test_a_cancelled_job_is_left(job: Job, tmp_path: Path) -> None:
    models = ModelCache(Folders(tmp_path), lambda name, folders: Tones())
    with pytest.raises(Cancelled):
        asked(job, models, cancelled=True)


def test_the_listener_stays_beside_two_other_models(tmp_path: Path) -> None:
    loads: list[str] = []

    def load(name: str, folders: Folders) -> Model:
        loads.append(name)
        return Tones()

    models = ModelCache(Folders(tmp_path), load)
    for name in ("a", "ears", "b", "ears", "a", "b", "ears"):
        models.fetch(name)
    assert loads == ["a", "ears", "b"]
    models.fetch("c")
    models.fetch("ears")
    models.fetch("b")
    assert loads == ["a", "ears", "b", "c"]
    models.fetch("a")
    assert loads[-1] == "a"
