"""What `tweeze batch` and `tweeze watch` are asked to do: folders, sounds, a table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.display import shown
from engine.errors import BadInput
from engine.options import Options

if TYPE_CHECKING:
    from engine.library.finding import LeftOut
    from engine.library.items import Item

__all__ = ["BATCH", "places_and_queries", "say", "todo"]

BATCH = "'tweeze batch FOLDER... QUERY'"
"""How the command is typed, for sentences."""


def places_and_queries(
    arguments: Sequence[str], queries: Sequence[str], *, alone: bool
) -> tuple[list[Path], list[str]]:
    """Split arguments into folders or files, and sounds; `alone` if there may be no sound.

    Raises
    ------
    BadInput
        There is no such folder, or something that is there stands where a sound belongs.

    """
    count = len(arguments)
    if not queries and not alone:
        count = max(1, count - 1)
    places = 0
    while places < min(count, len(arguments)) and _is_there(arguments[places]):
        places += 1
    if not places and arguments and not alone:
        raise BadInput(f"There is no folder {arguments[0]}: check the path.")
    said = list(arguments[places:])
    for text in said:
        if len(said) == 1 and _is_file(text):
            raise BadInput(
                f"{text} is a file, and no sound comes after it: describe one ({BATCH}), or name a "
                "sound that is called like a file with --query."
            )
        if len(said) > 1 and _is_there(text):
            raise BadInput(
                f"{text} is a folder, but comes after the sound '{said[0]}': name the folders "
                f"first ({BATCH}), or a sound of that name with --query."
            )
        if "/" in text or "\\" in text:
            raise BadInput(f"There is no folder {text}: check the path.")
    if said and queries:
        raise BadInput(
            f"There is no folder {said[0]}: with --query all arguments are folders or files."
        )
    return [Path(text) for text in arguments[:places]], [*said, *queries]


def _is_there(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False


def todo(
    places: Sequence[Path],
    jobs: Path | None,
    queries: tuple[str, ...],
    nots: tuple[str, ...],
    options: Options,
    *,
    recursive: bool,
    include: Sequence[str],
    exclude: Sequence[str],
    out: Path,
    dry_run: bool,
) -> list[Item | LeftOut]:
    """Return what a command asks for; says on a terminal that it is looking.

    Raises
    ------
    BadInput
        There is nothing to separate, or a folder or the table cannot be used.

    """
    from bridge.patience import waiting
    from engine.library.finding import LeftOut, find
    from engine.library.items import Item
    from engine.library.table import read_table

    found: list[Item | LeftOut] = []
    with waiting("Looking for recordings") as show:
        if jobs is not None:
            found += read_table(jobs, queries, nots, options)
        apart = [out] if out.exists() else []
        for one in (
            find(places, recursive=recursive, include=include, exclude=exclude, apart=apart)
            if places
            else ()
        ):
            found.append(one if isinstance(one, LeftOut) else Item(one, queries, nots, options))
            if not len(found) % 100:
                show(f"Looking for recordings: {len(found)}")
    if not any(isinstance(one, Item) for one in found):
        left = [one for one in found if isinstance(one, LeftOut)]
        why = next((one.sentence for one in left if one.fault), left[0].sentence if left else "")
        more = f"{len(left) - 1:,} more left out: --dry-run says why." if len(left) > 1 else ""
        if dry_run:
            say(left)
            why = more = ""
        raise BadInput(" ".join(filter(None, ["There is no recording to separate.", why, more])))
    return found


def say(todo: Sequence[Item | LeftOut]) -> None:
    """Print what would be separated, and on standard error what is left out."""
    from engine.library.items import Item

    for one in todo:
        if isinstance(one, Item):
            part = "" if one.cut is None else f" ({one.cut.text} s)"
            nots = "".join(f", not {text}" for text in one.nots)
            print(
                shown(f"{one.found.path}{part}"), shown(f"{', '.join(one.queries)}{nots}"), sep="\t"
            )
        else:
            print(shown(one.sentence), file=sys.stderr)
