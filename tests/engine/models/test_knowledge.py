from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.models import knowledge
from engine.models.kinds import BUNDLED
from engine.models.knowledge import Knowledge
from engine.training.knowledge import knowledge_of, write_knowledge


def test_what_evaluation_found_is_read_as_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "compact"
    folder.mkdir()
    monkeypatch.setattr(knowledge, "BUNDLED", replace(BUNDLED, folder=folder))
    assert knowledge.load_knowledge() == {}
    found = knowledge_of([("owl", 4.0), ("crow", -1.0), ("owl", 5.0)])
    write_knowledge(folder / "knowledge.csv", found)
    assert knowledge.load_knowledge() == {"crow": Knowledge(-1.0, 1), "owl": Knowledge(4.5, 2)}
    assert (folder / "knowledge.csv").read_text().startswith("class,si_sdri,n\n")
    assert [p.name for p in folder.iterdir()] == ["knowledge.csv"]
