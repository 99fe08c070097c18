"""The catalogue: which models there are; adding, loading, checking and removing them.

A model that the user added has a folder of its own under the user's `models`, with a record
(`model.json`) and what its kind keeps there. What differs between kinds of model lies in the
package of each (see `engine.models.kinds`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import BadInput, Failure, UnknownModel
from engine.folders import Folders
from engine.job import Task
from engine.models import kinds, releases
from engine.models.records import Entry, Finding, Progress, Source, ignore
from engine.models.tasks import cannot_listen, cannot_separate

if TYPE_CHECKING:
    from engine.models.base import Model

__all__ = [
    "add",
    "added",
    "check_free",
    "check_task",
    "entries",
    "entry",
    "load",
    "packaged",
    "remove",
    "specialists",
    "stamp",
    "verify",
]

_RECORD = "model.json"
_FORM = 2  # form 1 named no kind
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_BUNDLED = {entry.name: entry for entry in (kinds.BUNDLED, kinds.LISTENER)}


def added(folders: Folders) -> tuple[Entry, ...]:
    """Return the models that the user added, by name, with those that cannot be used."""
    return tuple(_read(record) for record in sorted(folders.models.glob(f"*/{_RECORD}")))


def packaged() -> tuple[Entry, ...]:
    """Return the models whose weights come in a Python package that is installed."""
    return tuple(found for one in kinds.PACKAGED if (found := one.entry()))


def entries(folders: Folders) -> tuple[Entry, ...]:
    """Return the separators that can be loaded, the bundled ones first."""
    others = (*kinds.specialists(), *packaged(), *added(folders))
    return (kinds.BUNDLED, *(entry for entry in others if not entry.problem))


def specialists(folders: Folders) -> frozenset[str]:
    """Return the names of the models that answer only some queries."""
    return frozenset(one.name for one in entries(folders) if one.kind in kinds.SPECIALISTS)


def entry(name: str, folders: Folders) -> Entry:
    """Return the model of that name.

    Raises
    ------
    UnknownModel
        There is none, or its record cannot be used; the message says what to do.

    """
    known = (*_BUNDLED.values(), *kinds.specialists(), *packaged(), *added(folders))
    for found in known:
        if found.name == name:
            if found.problem:
                raise UnknownModel(f"The model '{name}' cannot be used: {found.problem}")
            return found
    if any(release.name == name for release in releases.RELEASES):
        raise UnknownModel(f"The model '{name}' is not installed: run 'tweeze models pull {name}'.")
    for one in kinds.PACKAGED:
        if one.name == name:
            raise UnknownModel(f"The model '{name}' is not installed: run \"{one.how}\".")
    names = ", ".join(found.name for found in (*entries(folders), kinds.LISTENER))
    raise UnknownModel(f"There is no model named {name[:40]!r}; there are: {names}.")


def check_task(found: Entry, task: Task) -> None:
    """Raise BadInput unless a model can do a task."""
    if found.task is task:
        return
    if task is Task.LISTEN:
        raise cannot_listen(found.name)
    raise cannot_separate(found.name)


def check_free(name: str, folders: Folders) -> None:
    """Raise BadInput unless a new model can have this name."""
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"{name[:60]!r} is not a valid name for a model: use 1 to 40 small letters, digits or "
            "'-', the first a letter or digit."
        )
    if _is_bundled(name):
        raise BadInput(f"'{name}' is a bundled model's name: choose another with --name.")
    if any(one.name == name for one in kinds.PACKAGED):
        raise BadInput(f"'{name}' is a known model's name: choose another with --name.")
    if (folders.models / name / _RECORD).exists():
        raise BadInput(
            f"There is a model named '{name}': remove it ('tweeze models remove {name}') or "
            "choose another name with --name."
        )


def add(
    folders: Folders,
    name: str,
    kind: str,
    main: Path,
    *,
    also: Mapping[str, Path] | None = None,
    licence: str = "",
    origin: str = "",
    progress: Progress = ignore,
) -> Entry:
    """Check a model's files and record them as the model `name`.

    Parameters
    ----------
    folders
        The user's.
    name
        What the model will be called.
    kind
        A kind that `engine.models.kinds` holds.
    main
        The model's main file.
    also
        What else the kind takes, files or folders, by role.
    licence, origin
        What to record.
    progress
        Called with the number of bytes read since the last call.

    Raises
    ------
    BadInput
        The name is taken or impossible, the kind or a role is unknown, or a file does not exist.
    ModelBroken
        A file does not hold what it should; the message names the tensor where it can.
    Failure
        The disk has no room.

    """
    check_free(name, folders)
    if kind not in kinds.KINDS:
        raise BadInput(
            f"There is no kind of model named {kind[:40]!r}; there are: {', '.join(kinds.KINDS)}."
        )
    module = kinds.kind(kind)
    role, *others = module.ROLES
    files = {role: main, **(also or {})}
    for extra in also or ():
        if extra not in others:
            raise BadInput(
                f"A model of the kind '{kind}' takes no {extra[:40]!r}; beside its main file it "
                f"takes: {', '.join(others) or 'nothing'}."
            )
    for path in files.values():
        if not path.exists():
            raise BadInput(f"There is no file {path}.")
    folders.make()
    folder = folders.models / name
    kept = folder.is_dir() and any(folder.iterdir())  # what was downloaded for it
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        made = module.add(
            Entry(name, folder, kind, licence=licence, origin=origin), files, progress
        )
        _write(made)
    except BaseException as error:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise Failure(f"Writing to {folder} failed: {error.strerror or error}.") from error
        raise
    return made


def load(found: Entry) -> Model:
    """Load a model.

    Raises
    ------
    ModelBroken
        Its files are missing, damaged, or do not fit their architecture.

    """
    return kinds.kind(found.kind).load(found)


def verify(found: Entry, progress: Progress = ignore) -> tuple[Finding, ...]:
    """Read all of a model's files and compare them with what was recorded of them."""
    return kinds.kind(found.kind).verify(found, progress)


def remove(name: str, folders: Folders) -> int:
    """Remove a model and all that Tweeze keeps of it; returns the bytes that this freed.

    Files that were added from elsewhere stay. A model that cannot be used is removed as well.

    Raises
    ------
    BadInput
        The model is a bundled one, or comes in a Python package.
    UnknownModel
        There is none of that name.
    Failure
        The folder cannot be removed.

    """
    if _is_bundled(name):
        raise BadInput(f"'{name}' is part of Tweeze and cannot be removed.")
    for known in packaged():
        if known.name == name:
            raise BadInput(
                f"'{name}' is part of {known.origin}: 'pip uninstall {known.package}' removes it."
            )
    found = next((one for one in added(folders) if one.name == name), None)
    if found is None:
        found = entry(name, folders)  # says what there is
    size = found.size
    try:
        (found.folder / _RECORD).unlink(missing_ok=True)  # first, so that no half model is seen
        shutil.rmtree(found.folder)
    except OSError as error:
        raise Failure(
            f"Removing {found.folder} failed: {error.strerror or error}; "
            "stop the engine ('tweeze stop') and try again."
        ) from error
    return size


def stamp(name: str, folders: Folders) -> tuple[int, int, int] | None:
    """Return what changes when a model is removed and another added under its name."""
    try:
        about = (folders.models / name / _RECORD).stat()
    except OSError:
        return None  # bundled models have no record
    return about.st_ino, about.st_mtime_ns, about.st_size


def _is_bundled(name: str) -> bool:
    return any(name == found.name for found in (*_BUNDLED.values(), *kinds.specialists()))


def _read(record: Path) -> Entry:
    """Return what a record says; one that cannot be used comes with its problem."""
    name, folder = record.parent.name, record.parent
    damaged = f"its record {record} is damaged: remove it with 'tweeze models remove {name}'."
    newer = (
        "{} is unknown to this version of Tweeze: update Tweeze, or remove the model with "
        f"'tweeze models remove {name}'."
    )
    try:
        facts: Mapping[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        form = facts["form"]
        if form not in (1, _FORM):
            return Entry(name, folder, "", problem=newer.format(f"its record's form {form!r:.20}"))
        sources = tuple(
            Source(
                str(source["role"]), str(source["path"]), int(source["size"]), str(source["sha256"])
            )
            for source in facts["sources"]
        )
        role = sources[0].role  # every model has a main source
        kind = kinds.ROLES_OF_FORM_1[role] if form == 1 else str(facts["kind"])
        licence, origin = str(facts["licence"]), str(facts["origin"])
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return Entry(name, folder, "", problem=damaged)
    problem = "" if kind in kinds.KINDS else newer.format(f"its kind {kind[:40]!r}")
    return Entry(name, folder, kind, sources, licence, origin, problem=problem)


def _write(made: Entry) -> None:
    facts = {
        "form": _FORM,
        "kind": made.kind,
        "licence": made.licence,
        "origin": made.origin,
        "sources": [asdict(source) for source in made.sources],
    }
    temporary = made.folder / f"{_RECORD}.{os.getpid()}.part"
    temporary.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    temporary.replace(made.folder / _RECORD)
