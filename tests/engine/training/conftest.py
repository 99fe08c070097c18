from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def teacher_folder() -> Path:
    """The folder that TWEEZE_TEACHER names, with YAMNet as TensorFlow Lite."""
    folder = os.environ.get("TWEEZE_TEACHER")
    if not folder:
        pytest.skip("NOT TESTED: TWEEZE_TEACHER does not name a folder with the teacher.")
    if importlib.util.find_spec("ai_edge_litert") is None:
        pytest.skip("NOT TESTED: the teacher takes 'tweeze[training]'.")
    return Path(folder)
