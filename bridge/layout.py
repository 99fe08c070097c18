"""The layout of the user's folders, by number, so that one Tweeze knows what another one left."""

from __future__ import annotations

import contextlib
import stat

from engine.errors import BadJob, Failure
from engine.files import read_small, replace_text
from engine.folders import Folders
from engine.text_form import lines, parse_lines

__all__ = ["LAYOUT", "settle"]

LAYOUT = 1
_NAME = "layout"


def settle(folders: Folders) -> None:
    """Bring folders that an older Tweeze left to the present layout; for the lock's holder only.

    Layout 0 is what Tweeze left before it wrote a number down: as now, but for files beside the
    spool that other users could read where the root is not closed to them.

    Raises
    ------
    Failure
        A newer Tweeze laid the folders out, or they cannot be written.

    """
    found = _number(folders)
    if found > LAYOUT:
        raise Failure(
            f"The folder {folders.root} was laid out by a newer Tweeze: update Tweeze, or name "
            "another folder with TWEEZE_HOME."
        )
    if found == LAYOUT:
        return
    try:
        for path in folders.root.iterdir():
            about = path.lstat()
            if stat.S_ISREG(about.st_mode) and about.st_mode & 0o077:
                with contextlib.suppress(OSError):  # some disks keep no modes
                    path.chmod(0o600)
        replace_text(folders.root / _NAME, lines([("tweeze", "1"), ("layout", str(LAYOUT))]))
    except OSError as error:
        raise Failure(
            f"The folder {folders.root} cannot be brought up to date ({error.strerror}): "
            "check its permissions."
        ) from error


def _number(folders: Folders) -> int:
    with contextlib.suppress(OSError, BadJob, KeyError, ValueError):
        return int(dict(parse_lines(read_small(folders.root / _NAME)))["layout"])
    return 0
