from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.advice.suggestions import adviser
from engine.models.knowledge import Knowledge
from engine.taxonomy.classes import LabelError, load_taxonomy
from engine.training import words
from engine.training.words import Unseen, land, load_unseen, share_within, suggestion_report


def test_the_unseen_words_are_unseen() -> None:
    items = load_unseen(load_taxonomy())
    assert len(items) == 150
    assert len({item.query for item in items}) == 150
    assert min(len([i for i in items if i.group == g]) for g in {i.group for i in items}) >= 8


def test_a_caption_among_the_unseen_words_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "files", lambda package: tmp_path)
    (tmp_path / "unseen.csv").write_text("query,classes,group\nowl,owl,animals\n")
    with pytest.raises(LabelError, match=r"line 2: 'owl' is a caption"):
        load_unseen(load_taxonomy())
    (tmp_path / "unseen.csv").write_text("query,classes,group\nbantam,dodo,animals\n")
    with pytest.raises(LabelError, match=r"line 2: unknown class 'dodo'"):
        load_unseen(load_taxonomy())


def test_a_word_lands_on_the_class_of_its_nearest_caption() -> None:
    angles = {"low": 0.0, "b1": 0.3, "a1": 0.4, "a2": 1.5, "c1": 2.0}

    def embed(text: str) -> np.ndarray:
        return np.array([np.cos(angles[text]), np.sin(angles[text])], np.float32)

    classes = {"a": ("a1", "a2"), "b": ("b1",), "c": ("c1",)}
    (found,) = land([Unseen("low", ("c", "a"), "x")], classes, embed)
    assert [name for name, _ in found.ranked] == ["b", "a", "c"]
    assert found.rank == 2
    assert share_within([found], 1) == 0
    assert share_within([found], 2) == 1


def test_suggestions_are_counted_as_right_only_where_they_fit() -> None:
    items = [Unseen("bantam", ("chicken",), "x"), Unseen("bantam", ("car horn",), "x")]
    nobody = suggestion_report(items, replace(adviser(), knowledge={}))
    assert nobody[0].endswith(" 50.0 %")
    assert "not known" in nobody[1]
    good = replace(adviser(), knowledge={"rooster": Knowledge(5.0, 9)})
    lines = suggestion_report(items, good)
    assert lines[1].endswith("100.0 %")  # "rooster" is suggested for both
    assert lines[2].endswith(" 50.0 %")  # by what is below it "chicken" is good as well
    assert [line for line in lines if line.startswith("not helped")] == lines[3:]
    assert len(lines[3:]) == 1
