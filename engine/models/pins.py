"""Digests of published files that no release pins: noted at the first pull, held to ever after.

For a file whose publisher names no SHA-256, the first download is taken on trust; another file in
its place later is not. The notes lie beside the models and outlive them.
"""

from __future__ import annotations

import json

from engine.errors import Failure
from engine.files import replace_text
from engine.folders import Folders
from engine.models.releases import RemoteFile

__all__ = ["NOTES", "hold"]

NOTES = "digests.json"


def hold(file: RemoteFile, digest: str, folders: Folders) -> bool:
    """Note a file's digest (SHA-256) if none is noted; return whether it was.

    Raises
    ------
    Failure
        Another one is noted, or the notes cannot be read.

    """
    path = folders.models / NOTES
    try:
        notes = json.loads(path.read_text(encoding="utf-8"))
        noted = notes.get(file.name)
    except FileNotFoundError:
        notes, noted = {}, None
    except (OSError, ValueError, AttributeError) as error:
        raise Failure(
            f"{path}, which holds the digests of earlier pulls, cannot be read: remove it, and the "
            "next pull is taken on trust again."
        ) from error
    if noted is None:
        replace_text(path, json.dumps({**notes, file.name: digest}, indent=1))
        return True
    if noted != digest:
        raise Failure(
            f"{file.name} is another file than at the first pull (its SHA-256 is {digest}, and was "
            f"{noted}): ask its publisher why, and if you trust the new one, take its line out of "
            f"{path} and pull again."
        )
    return False
