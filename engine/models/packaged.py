"""Models whose weights come in a Python package of others, which an extra of Tweeze installs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from engine.models.records import Entry

__all__ = ["Packaged"]


@dataclass(frozen=True)
class Packaged:
    """A model in a package that may be installed; the package is never imported.

    Attributes
    ----------
    name, kind, licence
        As an `Entry` has them.
    package
        Name of the package, for Python and for pip.
    extra
        The extra of Tweeze that installs it.
    size
        Bytes that it takes on disk.

    """

    name: str
    kind: str
    package: str
    extra: str
    licence: str
    size: int

    @property
    def how(self) -> str:
        """The command that installs it."""
        return f"pip install 'tweeze[{self.extra}]'"

    def entry(self) -> Entry | None:
        """Return the model if its package is installed."""
        found = find_spec(self.package)
        if found is None or not found.submodule_search_locations:
            return None
        return Entry(
            self.name,
            Path(found.submodule_search_locations[0]),
            self.kind,
            licence=self.licence,
            origin=f"the Python package {self.package}",
            package=self.package,
        )
