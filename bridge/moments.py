"""Moments that a search found, as files: playlists, labels, regions, and tables of jobs."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bridge import labels
from engine.errors import BadInput, Failure
from engine.file_names import file_name
from engine.files import replace_text
from engine.options import Options
from engine.status import Event, Heard
from engine.text_form import one_line

if TYPE_CHECKING:
    from engine.library.finding import LeftOut
    from engine.library.items import Item
    from engine.library.searching import Moment

__all__ = ["items", "jobs_table", "playlist", "written"]

_AROUND = 0.5  # seconds before and after a moment that are separated, too: its ends are not exact


def written(
    found: Sequence[Moment],
    query: str,
    m3u: Path | None,
    labels_at: Path | None,
    regions_at: Path | None,
    jobs: Path | None,
) -> Iterator[str]:
    """Write what is wanted; yields a sentence for each that says where it lies.

    Raises
    ------
    BadInput
        Nothing was found, or there are moments of several files and one file for all.
    Failure
        The disk refuses.

    """
    if not found:
        raise BadInput("Nothing was found, and nothing is written.")
    if m3u is not None:
        yield _put(m3u, playlist(found))
    if jobs is not None:
        yield _put(jobs, jobs_table(found, query))
    for place, flag, regions in ((labels_at, "--labels", False), (regions_at, "--regions", True)):
        if place is not None:
            yield _marked(found, place, flag, regions=regions)


def playlist(found: Sequence[Moment]) -> str:
    """Return an extended M3U playlist, UTF-8, an entry for each moment.

    Where it begins and ends stands in `#EXTVLCOPT`, VLC's own; other players play the whole file.
    """
    lines = ["#EXTM3U"]
    for one in found:
        title = " - ".join(filter(None, (one.sound, one_line(one.path.stem))))
        lines += [
            f"#EXTINF:{max(1, round(one.stop - one.start))},{title}",
            f"#EXTVLCOPT:start-time={one.start:.2f}",
            f"#EXTVLCOPT:stop-time={one.stop:.2f}",
            str(one.path),
        ]
    return "\n".join(lines) + "\n"


def jobs_table(found: Sequence[Moment], query: str) -> str:
    """Return a table for `tweeze batch --jobs`: a row for each moment, half a second around it.

    `query` is what is asked for; without one, what each moment is called.
    """
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(("file", "query", "start", "end"))
    for one in found:
        if query or one.sound:
            table.writerow((one.path, query or one.sound, *map("{:.2f}".format, _stretch(one))))
    return out.getvalue()


def items(found: Sequence[Moment], query: str) -> list[Item | LeftOut]:
    """Return what a batch is to do to separate just these moments, half a second around them.

    `query` is what is asked for; without one, what each moment is called. A file that is not there
    any more is left out.
    """
    from engine.library.finding import Found, LeftOut
    from engine.library.items import Cut, Item

    top = os.path.commonpath([one.path.parent for one in found])
    todo: list[Item | LeftOut] = []
    for one in found:
        sound = query or one.sound
        if sound:
            place = one.path.relative_to(top)
            try:
                about = one.path.stat()
            except OSError as error:
                said = (
                    f"{one.path} cannot be opened ({error.strerror}): run 'tweeze index' on its "
                    "folder again."
                )
                todo.append(LeftOut(one.path, place, said))
                continue
            start, stop = _stretch(one)
            file = Found(one.path, place, about.st_size, about.st_mtime_ns)
            # Masks of so many moments would push out those of the jobs that somebody adjusts.
            todo.append(Item(file, (sound,), options=Options(masks=False), cut=Cut(start, stop)))
    return todo


def _stretch(one: Moment) -> tuple[float, float]:
    start, stop = max(0.0, one.start - _AROUND), min(one.stop + _AROUND, one.seconds)
    return round(start, 2), round(stop, 2)


def _marked(found: Sequence[Moment], place: Path, flag: str, *, regions: bool) -> str:
    """Write labels or regions: of one recording a file, of several a folder of files."""
    ending = ".csv" if regions else ".txt"
    files = list(dict.fromkeys(one.path for one in found))
    if len(files) == 1:
        if place.suffix.lower() not in (".csv", ".txt"):
            place = place.with_name(place.name + ending)
        return _put(place, _text(found, files[0], regions=regions))
    if place.suffix.lower() in (".csv", ".txt"):
        raise BadInput(
            f"The moments are of {len(files)} recordings, whose labels cannot lie in one file: "
            f"name a folder with {flag}, or one recording with --in."
        )
    try:
        place.mkdir()
    except OSError as error:
        raise Failure(f"The folder {place} cannot be made ({error.strerror}).") from error
    free = _free_names()
    for file in files:
        _put(place / free(file_name(file.stem), ending), _text(found, file, regions=regions))
    return f"{place}: {len(files)} files."


def _text(found: Sequence[Moment], file: Path, *, regions: bool) -> str:
    events = [
        Heard(
            one.sound or "like the example",
            one.certainty,
            (Event(one.start, one.stop, one.certainty),),
        )
        for one in found
        if one.path == file
    ]
    return labels.text(events, regions=regions)


def _free_names() -> Callable[[str, str], str]:
    """Return what gives each file another name, upper and lower case alike."""
    taken: dict[str, int] = {}

    def free(name: str, ending: str) -> str:
        count = taken[name.casefold()] = taken.get(name.casefold(), 0) + 1
        return f"{name}{ending}" if count == 1 else f"{name} ({count}){ending}"

    return free


def _put(path: Path, text: str) -> str:
    try:
        replace_text(path, text)
    except OSError as error:
        raise Failure(f"{path} cannot be written ({error.strerror or error}).") from error
    return f"{path}."
