"""Loaded models are kept, the two used last."""

from __future__ import annotations

from pathlib import Path

import halving
import pytest

from engine.errors import ModelBroken
from engine.folders import Folders
from engine.models.cache import ModelCache


def test_the_two_models_used_last_stay_loaded(tmp_path: Path) -> None:
    loaded: list[str] = []

    def load(name: str, folders: Folders) -> halving.Share:
        if name == "broken":
            raise ModelBroken("broken")
        loaded.append(name)
        return halving.Share(name, 0.5)

    begun: list[str] = []
    cache = ModelCache(Folders(tmp_path), load)
    for name in "abacab":
        before = len(loaded)
        model, seconds = cache.fetch(name, lambda name=name: begun.append(name))
        assert model.name == name
        assert (seconds > 0) == (len(loaded) > before)
    assert loaded == begun == ["a", "b", "c", "b"]  # c took b's place, and b then c's
    with pytest.raises(ModelBroken):
        cache.fetch("broken")
    assert cache.fetch("b") == (cache.fetch("b")[0], 0.0)
    assert loaded == begun
