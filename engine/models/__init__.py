"""The catalogue of models: which there are, and how each is loaded."""

from __future__ import annotations

from engine.errors import UnknownModel
from engine.folders import Folders
from engine.models import catalogue
from engine.models.base import Separator
from engine.models.releases import RELEASES

__all__ = ["load", "names"]


def names(folders: Folders) -> tuple[str, ...]:
    """Return the names of the models that can be loaded, the bundled one first."""
    return (catalogue.BUNDLED, *(entry.name for entry in catalogue.entries(folders)))


def load(name: str, folders: Folders) -> Separator:
    """Load a model.

    Raises
    ------
    UnknownModel
        There is none of that name.
    ModelBroken
        Its weights are missing, damaged, or do not fit their architecture.

    """
    if name == catalogue.BUNDLED:
        # torch takes seconds to import, and a process that only lists models has no need of it
        from engine.models import compact

        return compact.load()
    if name not in names(folders):
        known = any(release.name == name for release in RELEASES)
        raise UnknownModel(
            f"There is no model named {name[:40]!r}; there are: {', '.join(names(folders))}."
            + (f" Get it with 'tweeze models pull {name}'." if known else "")
        )
    return catalogue.load(catalogue.entry(name, folders))
