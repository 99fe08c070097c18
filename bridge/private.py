"""Makes the user's folders, and refuses those that other users could reach."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from engine.errors import Failure
from engine.folders import Folders

__all__ = ["check_private"]


def check_private(folders: Folders) -> None:
    """Make the folders, and refuse those that other users could reach.

    Raises
    ------
    Failure
        A folder belongs to another user, or others may enter it, or it cannot be made.

    """
    try:
        folders.make()
        _check_way(folders.root)
        _check_owner(folders.root, others=0o022)
        for folder in (folders.spool, folders.mixtures, folders.clips, folders.models):
            _check_owner(folder, others=0o077)
    except OSError as error:
        raise Failure(
            f"The folder {error.filename or folders.root} cannot be used ({error.strerror}): "
            "check its permissions, or name another with TWEEZE_HOME."
        ) from error


def _check_owner(folder: Path, *, others: int) -> None:
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode):
        raise Failure(f"{folder} is not a folder: move it away.")
    if not hasattr(os, "geteuid"):
        return  # Windows: the user's own profile is private by its access list
    if about.st_uid != os.geteuid():
        raise Failure(f"The folder {folder} belongs to another user: name one with TWEEZE_HOME.")
    if about.st_mode & others:
        if not _keeps_modes(folder):
            raise Failure(
                f"Other users can reach the folder {folder}, and its disk (exFAT, NTFS, a share?) "
                "keeps no permissions: name a folder on another disk with TWEEZE_HOME, or have the "
                "disk mounted for you alone (options 'uid=YOU,umask=077')."
            )
        raise Failure(
            f"Other users can reach the folder {folder} (mode {stat.S_IMODE(about.st_mode):o}): "
            f"run 'chmod 700 {folder}'."
        )


def _keeps_modes(folder: Path) -> bool:
    """Return whether what is made in a folder for its owner alone is for its owner alone."""
    probe = folder / f".modes.{os.getpid()}"
    probe.mkdir(mode=0o700)
    try:
        return probe.stat().st_mode & 0o077 == 0
    finally:
        probe.rmdir()


def _check_way(root: Path) -> None:
    """Refuse a root that others could exchange as a whole: from a folder in which all may rename.

    Raises
    ------
    Failure
        A folder above is writable for everyone, without the sticky bit that `/tmp` has.

    """
    if not hasattr(os, "geteuid"):
        return
    for folder in root.resolve().parents:
        mode = folder.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise Failure(
                f"Other users can exchange what lies in {folder} (mode {stat.S_IMODE(mode):o}): "
                f"run 'chmod o-w {folder}', or name another folder with TWEEZE_HOME."
            )
