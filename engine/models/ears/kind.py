"""The bundled listener as a kind of model: the catalogue's way to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.errors import BadInput, ModelBroken
from engine.models import ears
from engine.models.base import Listener
from engine.models.records import Entry, Finding, Progress

__all__ = ["ROLES", "add", "load", "verify"]

ROLES = {"ears": "the network's weights"}


def add(entry: Entry, files: Mapping[str, Path], progress: Progress) -> Entry:
    """Refuse: there is one listener, the bundled one; see `engine.models.kinds.Kind`."""
    raise BadInput(f"No other listener can be added, nor {entry.name}: Tweeze has its own.")


def load(entry: Entry) -> Listener:
    """Load the bundled weights; see `engine.models.kinds.Kind`."""
    return ears.load()


def verify(entry: Entry, progress: Progress) -> tuple[Finding, ...]:
    """Load the bundled weights."""
    try:
        ears.load()
    except ModelBroken as error:
        return (Finding(entry.folder, f"cannot be loaded: {error}"),)
    return (Finding(entry.folder, ""),)
