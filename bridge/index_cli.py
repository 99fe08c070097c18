"""`tweeze index` and `tweeze find`: what is heard in a library, and where.

A search loads neither NumPy nor a model, unless it is for what sounds like an example.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.tables import sound_length, table
from engine.display import shown
from engine.errors import BadInput, BadQuery
from engine.folders import Folders
from engine.taxonomy.phrases import folded

if TYPE_CHECKING:
    from engine.library.searching import Library, Meant, Moment, Wanted

__all__ = ["add_to"]

_LIMIT = 50
_SURE = 0.5
_LEAST = 0.2  # certainty from which a sound is an event at all
_MOST = 1_000_000

IndexFile = Annotated[
    Path | None,
    typer.Option("--index", metavar="FILE", help="The index, if it is not the usual one."),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(index)
    app.command()(find)


def index(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDER]...", help="Folders with recordings, or files."),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Only files like this ('*.wav'); may be repeated."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="No files like this; may be repeated."),
    ] = None,
    file: IndexFile = None,
    again: Annotated[
        bool, typer.Option("--again", help="Try files again that could not be heard.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Forget what was heard in files that are gone.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option("-j", "--jobs", min=1, max=64, help="Processes that listen; one a core."),
    ] = None,
    cluster: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Listen on all machines of a Ray cluster: HOST:PORT, 'auto' for the one that "
            "this machine is part of, 'local' for this machine alone.",
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Listen to all recordings in folders and below, and note what is heard in each, and when.

    'tweeze find' searches that. Run it again whenever files came, went or changed: only what is new
    is heard, and files that were moved or renamed are known again. It can be broken off at any
    time, and goes on from there. A file that cannot be heard is noted with the reason; without a
    FOLDER these are listed, and how much there is.
    """
    path = file or Folders.of_user().index
    if not folders and not prune:
        _describe(path, as_json=as_json)
        return
    from bridge.indexing import bring_up_to_date

    summary, said = bring_up_to_date(
        path,
        folders or (),
        include=include or (),
        exclude=exclude or (),
        again=again,
        prune=prune,
        count=jobs,
        cluster=cluster,
    )
    if as_json:
        print(json.dumps(summary))
        return
    print(shown(said))


def find(
    sound: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SOUND]...", help="A sound, like 'dog' or 'animal'."),
    ] = None,
    sure: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="How sure Tweeze must be; 0.5, but with --like 0."),
    ] = None,
    longer: Annotated[float, typer.Option(min=0, help="Seconds that it lasts at least.")] = 0.0,
    shorter: Annotated[
        float | None, typer.Option(min=0, help="Seconds that it lasts at most.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--in", metavar="FOLDER", help="Only in files below FOLDER.")
    ] = None,
    named: Annotated[
        str, typer.Option(metavar="WORDS", help="Only in files with these words in their path.")
    ] = "",
    like: Annotated[
        str,
        typer.Option(
            metavar="FILE[@START-END]", help="What sounds like this; stretches in seconds."
        ),
    ] = "",
    limit: Annotated[
        int, typer.Option("-n", "--limit", min=1, max=_MOST, help="How many.")
    ] = _LIMIT,
    file: IndexFile = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a moment.")
    ] = False,
    m3u: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a playlist of the moments.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Write labels for Audacity: a file, or of several recordings a folder with a "
            "file for each.",
        ),
    ] = None,
    regions: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Write regions for REAPER (.csv), like --labels."),
    ] = None,
    jobs: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Write a table for 'tweeze batch --jobs'."),
    ] = None,
    separate: Annotated[
        bool, typer.Option("--separate", help="Separate SOUND in just these moments.")
    ] = False,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the clips of --separate go.")
    ] = Path("tweezed"),
) -> None:
    """Find the moments in which a sound is heard, in all files that 'tweeze index' listened to.

    SOUND finds all kinds of it, too: 'animal' finds dogs. The most certain moments come first. With
    --like, those that sound most like a stretch of a file; SOUND limits these to sounds of that
    name. Prints lines with tabs where the output is not a terminal: certainty, sound, start and end
    in seconds, file.
    """
    from engine.library.searching import Library, Wanted

    words = " ".join(sound or ())
    if not words and not like:
        raise BadQuery("Name a sound to look for, like 'tweeze find dog', or an example (--like).")
    outputs = {"--m3u": m3u, "--labels": labels, "--regions": regions, "--jobs": jobs}
    _check(outputs)
    if sure is None:
        sure = 0.0 if like else _SURE
    wanted = Wanted(sure, longer, shorter, _resolved(folder), named)
    with Library(file or Folders.of_user().index) as library:
        meant = _meant(library, words) if words else None
        if like:
            found = _alike(library, like, meant, wanted, limit + 1)
        else:
            assert meant is not None
            found = library.moments(meant.sounds, wanted, limit + 1)
            if not found:
                _say_none(library, meant, wanted)
    more, found = len(found) > limit, found[:limit]
    if any(outputs.values()):
        from bridge import moments

        for said in moments.written(found, words, m3u, labels, regions, jobs):
            print(shown(said), file=sys.stderr)
    if as_json:
        for one in found:
            print(json.dumps(_facts(one)))
    else:
        _print(found, by_example=bool(like))
    if more:
        print(f"There are more: -n shows more than {limit}.", file=sys.stderr)
    if separate and found:
        _separate(found, words, out)


def _describe(path: Path, *, as_json: bool) -> None:
    from dataclasses import asdict

    from engine.library.searching import Library

    with Library(path) as library:
        counts, faults = library.counts(), library.faults()
    if as_json:
        print(json.dumps({**asdict(counts), "faults": {str(p): said for p, said in faults}}))
        return
    for _, said in faults:
        print(shown(said))
    files = "1 file" if counts.files == 1 else f"{counts.files:,} files"
    print(
        f"{files}, {sound_length(3600 * counts.hours)}, {counts.events:,} events; "
        f"{counts.faults:,} could not be heard.",
        file=sys.stderr,
    )


def _meant(library: Library, words: str) -> Meant:
    """Return what words mean, and say so where they were cut short; BadQuery if it is nothing."""
    meant = library.meant(words)
    if meant is None:
        near = [f"'{one}'" for one in library.suggestions(words)]
        either = " or ".join(filter(None, [", ".join(near[:-1]), *near[-1:]]))
        better = f"did you mean {either}?" if near else "say in other words what kind it is."
        raise BadQuery(f"No sound that can be heard is called '{words}': {better}")
    if meant.words != folded(words):
        print(shown(f"Looking for '{meant.words}'."), file=sys.stderr)
    return meant


def _alike(
    library: Library, like: str, meant: Meant | None, wanted: Wanted, limit: int
) -> list[Moment]:
    from bridge.patience import waiting
    from engine.library.likeness import alike

    with waiting("Listening to the example"):
        sounds = meant.sounds if meant is not None else None
        return alike(library, like, wanted, limit, sounds=sounds)


def _say_none(library: Library, meant: Meant, wanted: Wanted) -> None:
    """Say that nothing was found, and what would be with less certainty."""
    from dataclasses import replace

    less = library.moments(meant.sounds, replace(wanted, sure=0.0), 1) if wanted.sure else []
    if less:
        print(
            f"Nothing is as sure; the surest is {less[0].certainty:.0%}: try --sure {_LEAST:g}.",
            file=sys.stderr,
        )
        return
    print(shown(f"'{meant.words}' is heard in no file of the index that fits."), file=sys.stderr)


def _separate(found: list[Moment], words: str, out: Path) -> None:
    from bridge import library_cli, moments

    todo = moments.items(found, words)
    if not todo:
        raise BadInput("These moments have no names to ask for: name the sound before --like.")
    library_cli.run(todo, out, as_json=False)


def _print(found: list[Moment], *, by_example: bool) -> None:
    if sys.stdout.isatty():
        title = "alike" if by_example else "sure"
        rows = [
            (
                f"{one.likeness if one.likeness is not None else one.certainty:.0%}",
                one.sound or "(whole file)",
                f"{_clock(one.start)}-{_clock(one.stop)}",
                str(one.path),
            )
            for one in found
        ]
        table((title, "sound", "when", "file"), rows)
        return
    for one in found:
        sure = one.likeness if one.likeness is not None else one.certainty
        cells = (f"{sure:.2f}", one.sound, f"{one.start:.2f}", f"{one.stop:.2f}", str(one.path))
        print("\t".join(map(shown, cells)))


def _facts(one: Moment) -> dict[str, object]:
    facts: dict[str, object] = {
        "file": str(one.path),
        "sound": one.sound,
        "label": one.label,
        "start": one.start,
        "end": one.stop,
        "certainty": one.certainty,
        "seconds": round(one.seconds, 3),
        "copies": [str(path) for path in one.copies],
    }
    if one.likeness is not None:
        facts["likeness"] = one.likeness
    return facts


def _check(outputs: dict[str, Path | None]) -> None:
    """Refuse files that are there already, or named twice, before anything is searched."""
    flags: dict[Path, str] = {}
    for flag, path in outputs.items():
        if path is None:
            continue
        if (other := flags.setdefault(path.absolute(), flag)) != flag:
            raise BadInput(f"{path} is named by {other} and by {flag}: name a file for each.")
        if path.exists() or path.is_symlink():
            raise BadInput(f"{path} is there already: name a new one with {flag}, or remove it.")
        if not path.absolute().parent.is_dir():
            raise BadInput(
                f"There is no folder {path.absolute().parent}: make it, or name another."
            )


def _resolved(folder: Path | None) -> Path | None:
    if folder is None:
        return None
    if not folder.exists():
        raise BadInput(f"There is no folder {folder}: check the path that --in names.")
    return folder.resolve()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
