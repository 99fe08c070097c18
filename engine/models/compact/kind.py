"""The bundled network as a kind of model: the catalogue's way to other weights of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from engine.errors import ModelBroken
from engine.models import compact
from engine.models.compact import learned
from engine.models.records import Entry, Finding, Progress, check_source, source_of

__all__ = ["ROLES", "add", "load", "verify"]

WEIGHTS, HEADS, CAPTIONS = "compact", "heads", "captions"
ROLES = {
    WEIGHTS: "the network's weights",
    HEADS: "weights that estimate presence, if any",
    CAPTIONS: "the captions that it learned from, if queries are to be drawn towards them",
}
_FILES = {role: f"{role}.safetensors" for role in (WEIGHTS, HEADS)} | {CAPTIONS: learned.CAPTIONS}


def add(entry: Entry, files: Mapping[str, Path], progress: Progress) -> Entry:
    """Copy weights, and heads and captions if there are any; see `engine.models.kinds.Kind`."""
    # raises where they do not fit
    compact.from_files(files[WEIGHTS], files.get(HEADS), files.get(CAPTIONS))
    sources = []
    for role in (role for role in ROLES if role in files):
        target = file = files[role]
        if not file.is_relative_to(entry.folder):
            target = entry.folder / _FILES[role]
            shutil.copyfile(file, target)
        sources.append(source_of(role, target, entry.folder, progress))
    return replace(entry, sources=tuple(sources))


def load(entry: Entry) -> compact.Compact:
    """Load the network, with its heads if it has them; see `engine.models.kinds.Kind`."""
    if entry.bundled:
        return compact.load()
    for source in entry.sources:
        found = check_source(entry, source)
        if found.problem:
            raise ModelBroken(
                f"The model {entry.name} cannot be loaded: {found.path} {found.problem}; remove "
                f"it ('tweeze models remove {entry.name}') and train it anew."
            )
    model = compact.from_files(entry.main, entry.path(HEADS), entry.path(CAPTIONS))
    model.name = entry.name
    return model


def verify(entry: Entry, progress: Progress) -> tuple[Finding, ...]:
    """Compare the files with their record; the bundled ones are loaded."""
    if not entry.bundled:
        return tuple(check_source(entry, source, progress) for source in entry.sources)
    try:
        compact.load()
    except ModelBroken as error:
        return (Finding(entry.folder, f"cannot be loaded: {error}"),)
    return (Finding(entry.folder, ""),)
