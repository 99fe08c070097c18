"""The extension for Audacity 4 as this Tweeze carries it, and made ready for this user.

A release brings the library for each platform. From a checkout it is built, so that it fits the
scripts.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from audacity.extension import FOLDER, build, scripts
from audacity.owned import digest
from engine.errors import TweezeError
from engine.folders import Folders
from engine.queue.heartbeat import VERSION

__all__ = ["files", "library", "name"]

_WHERE = "where.js"


def files(folders: Folders) -> dict[str, bytes]:
    """Return the manifest and the scripts by their names; they know where the engine's home is."""
    made = {path.name: path.read_bytes() for path in scripts()}
    where = json.dumps({"home": str(folders.root)})  # in ASCII, as every script can hold it
    made[_WHERE] = f"// Written by 'tweeze install audacity'.\nmodule.exports = {where}\n".encode()
    return made


def name(folders: Folders) -> str:
    """Return the name of the extension's folder: another one where anything in it is another.

    It is free of the signs that Audacity gives a meaning in the name of a command.
    """
    parts = sorted(files(folders).items())
    parts.append((build.SOURCE.name, build.SOURCE.read_bytes()))
    whole = "".join(f"{part} {digest(data)}\n" for part, data in parts)
    return f"tweeze-{VERSION}-{digest(whole.encode())[:8]}"


def library(folder: Path) -> None:
    """Put the library for this computer into an extension's folder.

    Raises
    ------
    TweezeError
        It is not carried along, and cannot be built.

    """
    target = build.this_target()
    carried = build.built(target)
    if not carried.is_file() or (FOLDER.parents[1] / ".git").exists():
        try:
            build.build(target, folder)
        except TweezeError:
            if not carried.is_file():
                raise
        else:
            return
    place = build.built(target, folder)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(carried, place)
