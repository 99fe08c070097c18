"""The models: which there are, and loading one by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.folders import Folders
from engine.models import catalogue

if TYPE_CHECKING:
    from engine.models.base import Separator

__all__ = ["load", "names"]


def names(folders: Folders) -> tuple[str, ...]:
    """Return the names of the models that can be loaded, the bundled one first."""
    return tuple(entry.name for entry in catalogue.entries(folders))


def load(name: str, folders: Folders) -> Separator:
    """Load a model.

    Raises
    ------
    UnknownModel
        There is none of that name.
    ModelBroken
        Its weights are missing, damaged, or do not fit their architecture.

    """
    return catalogue.load(catalogue.entry(name, folders))
