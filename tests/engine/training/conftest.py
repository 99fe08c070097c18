from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

    from engine.taxonomy.classes import Taxonomy
    from engine.taxonomy.text import TextTable


@pytest.fixture(scope="session", autouse=True)
def _words_are_embedded_once() -> Iterator[None]:
    """Every run embeds all words of its table, which takes seconds: one run does it for all."""
    from engine.training.asking import UnknownQueries

    known: dict[object, NDArray[float32]] = {}
    first = UnknownQueries.__init__

    def init(self: UnknownQueries, table: TextTable, taxonomy: Taxonomy) -> None:
        key = tuple(table.words), tuple(taxonomy.captions)
        if key not in known:
            first(self, table, taxonomy)
            known[key] = self._vectors
        self._vectors = known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UnknownQueries, "__init__", init)
        yield


@pytest.fixture(scope="session")
def teacher_folder() -> Path:
    """The folder that TWEEZE_TEACHER names, with YAMNet as TensorFlow Lite."""
    folder = os.environ.get("TWEEZE_TEACHER")
    if not folder:
        pytest.skip("NOT TESTED: TWEEZE_TEACHER does not name a folder with the teacher.")
    if importlib.util.find_spec("ai_edge_litert") is None:
        pytest.skip("NOT TESTED: the teacher takes 'tweeze[training]'.")
    return Path(folder)
