"""Tweeze in each Audacity that is here, 3 and 4: put in, taken out, looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from audacity import extending, places
from audacity import install as three
from audacity.places import Editor, Editor4
from engine.errors import HostError
from engine.folders import Folders
from engine.host import Check

__all__ = ["check", "install", "uninstall"]


def install(
    folders: Folders,
    models: Sequence[str],
    *,
    portable: Path | None = None,
    unseen: bool = False,
    nyquist: bool = False,
) -> list[str]:
    """Put the commands into each Audacity and return what was done, a sentence each.

    Parameters
    ----------
    folders
        The engine's.
    models
        Names for lists of models, the usual one first.
    portable
        The folder of a portable Audacity, which then is the only one that is looked at.
    unseen
        Whether to prepare the place where an Audacity 4 would look, though none is found.
    nyquist
        Whether Audacity 4 gets Nyquist plug-ins in place of the extension.

    Raises
    ------
    BadInput
        Audacity 3 runs, or `portable` is not what it should be.
    HostError
        There is no Audacity, or a file cannot be written.

    """
    old, new = _found(portable)
    if unseen and not new:
        new = [places.usual4()]
    if old is None and not new:
        raise HostError(
            "Tweeze found neither an Audacity 3 with mod-script-pipe nor an Audacity 4: install "
            "one (of 3.2 to 3.7 not the AppImage, which cannot be used). If an Audacity 4 is here, "
            "start it once and try again, or add --audacity4."
        )
    done = three.install(old, folders, models) if old is not None else []
    if new:
        try:
            done += extending.install(new, folders, models, nyquist=nyquist)
        except HostError as error:
            if old is None:
                raise
            raise HostError(f"Audacity 3 is done, but not Audacity 4: {error}") from error
    return done


def _found(portable: Path | None) -> tuple[Editor | None, list[Editor4]]:
    if portable is None:
        return next(places.editors(), None), places.editors4()
    one = places.portable(portable)
    return (one, []) if isinstance(one, Editor) else (None, [one])


def uninstall(folders: Folders) -> list[str]:
    """Take the commands out of each Audacity, and return what was done, a sentence each.

    Raises
    ------
    BadInput
        Audacity 3 has them, and runs.
    HostError
        A file cannot be written or removed.

    """
    done = three.uninstall(folders) if three.installed(folders) else []
    done += extending.uninstall(folders)
    return done or ["Nothing was installed."]


def check(folders: Folders) -> Iterator[Check]:
    """Look at every step of an installation; says nothing where there was none."""
    yield from three.check(folders)
    yield from extending.check(folders)
    if three.installed(folders) and not extending.installed(folders):
        for one in places.editors4():
            said = f"is here ({one.kind}), without Tweeze: 'tweeze install audacity' puts it in"
            yield Check("audacity 4", True, said)
