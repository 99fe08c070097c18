"""Spleeter as a kind of model: read from the package with its weights, or from two files."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from engine.errors import BadInput, ModelBroken
from engine.models.packaged import again
from engine.models.records import Entry, Finding, Progress, check_source, source_of
from engine.models.spleeter import published
from engine.models.spleeter.separator import SOURCES, Spleeter

__all__ = ["ROLES", "add", "load", "verify"]

VOCALS, ACCOMPANIMENT = SOURCES
ROLES = {VOCALS: "the file of the vocals' network", ACCOMPANIMENT: "that of the accompaniment's"}


def add(entry: Entry, files: Mapping[str, Path], progress: Progress) -> Entry:
    """Check the two files of another set of weights and copy them; see `Kind`."""
    if ACCOMPANIMENT not in files:
        raise BadInput(
            "Spleeter has a network for each stem, and FILE is that of the vocals: name the other "
            f"one with --with {ACCOMPANIMENT}=FILE."
        )
    sources = []
    for role in SOURCES:
        published.read(files[role])  # raises where it does not fit
        target = entry.folder / f"{role}.ckpt"
        shutil.copyfile(files[role], target)
        sources.append(source_of(role, target, entry.folder, progress))
    return replace(entry, sources=tuple(sources))


def load(entry: Entry) -> Spleeter:
    """Load both networks, after comparing their files with the published ones or the record's."""
    for found in verify(entry, lambda _: None):
        if found.problem:
            raise ModelBroken(
                f"The model {entry.name} cannot be loaded: {found.path} {found.problem}; "
                f"{_remedy(entry)}."
            )
    return Spleeter(
        entry.name, {source: published.read(_path(entry, source)) for source in SOURCES}
    )


def verify(entry: Entry, progress: Progress) -> tuple[Finding, ...]:
    """Compare the files with the published ones, or with their record."""
    if entry.package:
        return published.findings(entry.folder, progress)
    return tuple(check_source(entry, source, progress) for source in entry.sources)


def _path(entry: Entry, source: str) -> Path:
    if entry.package:
        return entry.folder / published.FILES[source][0]
    return entry.path(source) or entry.folder


def _remedy(entry: Entry) -> str:
    if entry.package:
        return f"install it again ('{again(entry.requirement)}')"
    return f"remove it ('tweeze models remove {entry.name}') and add it anew"
