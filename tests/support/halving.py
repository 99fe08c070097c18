"""A kind of model as small as one can be: its file holds the share that every mask is.

A test names this module in the table of kinds; nothing else knows of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.errors import ModelBroken
from engine.models.base import FloatArray, FrameGrid
from engine.models.records import Entry, Finding, Progress, check_source, source_of

ROLES = {"share": "a text file with a number", "notes": "what else is to be said"}


@dataclass(frozen=True)
class Share:
    """A `Separator` that gives each query the same share of everything."""

    name: str
    value: float

    @property
    def frame_grid(self) -> FrameGrid:
        return FrameGrid(32_000, 2048, 640, block=16, context=16, core=64)

    def embed(self, query: str) -> FloatArray:
        return np.zeros(1, np.float32)

    def mask(
        self, magnitude: FloatArray, vectors: FloatArray, rms: float, keep: slice
    ) -> FloatArray:
        return np.full((len(vectors), *magnitude.shape), self.value, np.float32)


def add(entry: Entry, files: Mapping[str, Path], progress: Progress) -> Entry:
    _read(files["share"])
    sources = []
    for role, file in files.items():
        target = entry.folder / role
        shutil.copyfile(file, target)
        sources.append(source_of(role, target, entry.folder, progress))
    return replace(entry, sources=tuple(sources))


def load(entry: Entry) -> Share:
    return Share(entry.name, _read(entry.main))


def verify(entry: Entry, progress: Progress) -> tuple[Finding, ...]:
    return tuple(check_source(entry, source, progress) for source in entry.sources)


def _read(path: Path) -> float:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        raise ModelBroken(f"{path} holds no share.") from None
