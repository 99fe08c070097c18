"""Folders of Tweeze's in another program's place, which tell what in them is Tweeze's.

In such a folder lies a list of the files that Tweeze put there, with their digests. What is not on
it, or was changed since, is never removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path, PurePosixPath

from engine.errors import BadJob
from engine.files import read_small, sync_folder

__all__ = ["LIST", "close", "digest", "files", "is_as", "is_whole", "remove"]

LIST = "tweeze-files.json"
"""The list's name."""


def digest(data: bytes) -> str:
    """Return what tells one file's bytes from another's (SHA-256)."""
    return hashlib.sha256(data).hexdigest()


def close(folder: Path) -> None:
    """Write the list of all that is in a folder: from now on it is Tweeze's."""
    listed = {
        path.relative_to(folder).as_posix(): digest(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    (folder / LIST).write_text(json.dumps({"tweeze": 1, "files": listed}, indent=1) + "\n", "utf-8")
    sync_folder(folder)


def files(folder: Path) -> dict[str, str]:
    """Return the files that Tweeze put into a folder, with their digests; none if it is not its.

    A link to a folder (of somebody who works on what is in it, say) is not.
    """
    if folder.is_symlink():
        return {}
    try:
        known = json.loads(read_small(folder / LIST))
        listed = {str(name): str(value) for name, value in known["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BadJob):
        return {}
    return listed if known.get("tweeze") == 1 and all(map(_is_below, listed)) else {}


def _is_below(name: str) -> bool:
    """Return whether a name leads to a file in its folder, and nowhere else."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not (name.startswith("/") or {"..", "\\", ":"} & {*parts, *name})


def is_whole(folder: Path) -> bool:
    """Return whether all that Tweeze put into a folder is there, and as it was."""
    listed = files(folder)
    return bool(listed) and all(is_as(folder / name, value) for name, value in listed.items())


def is_as(path: Path, value: str) -> bool:
    """Return whether a file is there, itself and no link to one, and has that digest."""
    try:
        return not path.is_symlink() and digest(path.read_bytes()) == value
    except OSError:
        return False


def remove(folder: Path) -> list[str]:
    """Remove what Tweeze put into a folder, and the folder if nothing else is left in it.

    Returns a sentence for what was done, or left; none where there is no such folder.

    Raises
    ------
    OSError
        A file cannot be removed.

    """
    listed = files(folder)
    changed = []
    for name, value in listed.items():
        path = folder / name
        if path.parent.resolve() != folder.resolve() / PurePosixPath(name).parent:
            continue  # a link leads out of the folder
        if is_as(path, value):
            path.unlink()
        elif path.exists():
            changed.append(name)
    if listed:
        (folder / LIST).unlink()
        for parent in sorted({p for name in listed for p in PurePosixPath(name).parents})[::-1]:
            with contextlib.suppress(OSError):  # something else lies in it
                (folder / parent).rmdir()
    if changed:
        return [f"Left {', '.join(changed)} in {folder} alone: changed since."]
    if folder.exists():
        return [f"Left {folder}: what is in it is not Tweeze's."]
    return [f"Removed {folder}."] if listed else []
