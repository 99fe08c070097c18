"""The catalogue of models: which there are, and how each is loaded."""

from __future__ import annotations

from engine.errors import UnknownModel
from engine.folders import Folders
from engine.models.base import Separator

__all__ = ["load", "names"]


def names(folders: Folders) -> tuple[str, ...]:
    """Return the names of the models that can be loaded, the bundled one first."""
    del folders
    return ("compact",)


def load(name: str, folders: Folders) -> Separator:
    """Load a model.

    Raises
    ------
    UnknownModel
        There is none of that name.
    ModelBroken
        Its weights are missing, damaged, or do not fit their architecture.

    """
    if name not in names(folders):
        raise UnknownModel(
            f"There is no model named {name[:40]!r}; there are: {', '.join(names(folders))}."
        )
    # torch takes seconds to import, and a process that only lists models has no need of it
    from engine.models import compact

    return compact.load()
