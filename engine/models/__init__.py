"""The models: which there are, and loading one by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.folders import Folders
from engine.models import catalogue, kinds
from engine.models.tasks import as_listener, as_separator

if TYPE_CHECKING:
    from engine.models.base import Listener, Separator

__all__ = ["load", "load_listener", "names"]


def names(folders: Folders) -> tuple[str, ...]:
    """Return the names of the separators that can be loaded, the bundled ones first."""
    return tuple(entry.name for entry in catalogue.entries(folders))


def load(name: str, folders: Folders) -> Separator:
    """Load a separator.

    Raises
    ------
    BadInput
        The model of that name listens, and does not separate.
    UnknownModel
        There is none of that name.
    ModelBroken
        Its weights are missing, damaged, or do not fit their architecture.

    """
    return as_separator(catalogue.load(catalogue.entry(name, folders)))


def load_listener(folders: Folders, name: str = kinds.LISTENER.name) -> Listener:
    """Load a listener: the bundled one unless another is named.

    Raises
    ------
    BadInput
        The model of that name separates, and does not listen.
    UnknownModel
        There is none of that name.
    ModelBroken
        Its weights are missing, damaged, or do not fit their architecture.

    """
    return as_listener(catalogue.load(catalogue.entry(name, folders)))
