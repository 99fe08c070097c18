"""`tweeze adjust` and `compare`: other answers from what was found before."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.option_flags import Picture, takes_changes, takes_options
from bridge.preset_use import refuse_presets
from bridge.tables import table
from engine.display import shown
from engine.options import Options

if TYPE_CHECKING:
    from bridge.comparing import Compared

__all__ = ["add_to"]

_HEARD = 3  # spans of a candidate that a terminal shows
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(adjust)
    app.command()(compare)


@functools.partial(takes_changes, without=("model", "draft"))
def adjust(
    job: Annotated[
        str,
        typer.Argument(metavar="JOB", help="Its id, as 'tweeze status' says it, or 'last'."),
    ] = "last",
    query: Annotated[
        list[str] | None,
        typer.Option("--query", "-q", help="Another sound in place of the job's. Repeatable."),
    ] = None,
    nots: Annotated[
        list[str] | None,
        typer.Option("--not", help="What is not wanted, in place of what the job had. Repeatable."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the clips.")] = Path(),
    place: Annotated[
        bool,
        typer.Option("--place", help="Put the clips into the editor that the job came from."),
    ] = False,
    picture: Picture = None,
    *,
    changes: list[tuple[str, str]],
    as_json: Json = False,
) -> None:
    """Make new clips of a job that is done, with what is named here changed; prints their paths.

    What is not named stays as it was; an empty value, like --not '', takes away what there was.
    While the job's masks are kept no model is asked, but for sounds that are new to it. Else the
    recording is separated anew, and a note says so.
    """
    from bridge.separating import adjust as adjusted

    fields = [*changes, *(("query", text) for text in query or ())]
    fields += [("not", text) for text in nots or ()]
    if picture is not None:
        from bridge import picture as pictures  # NumPy takes its time

        pictures.check(picture)
    result = adjusted(job, fields, None if place else out)
    for note in result.status.notes:
        print(shown(note), file=sys.stderr)
    if as_json:
        print(result.to_json(), flush=True)
    else:
        for path in result.paths:
            print(shown(str(path)) if sys.stdout.isatty() else path, flush=True)
    if picture is not None:  # last, since it may fail
        pictures.draw_job(picture, result.status.id, None, result.named, Options())


@takes_options
def compare(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An audio file.")],
    query: Annotated[str, typer.Argument(metavar="QUERY", help="The sound, like 'pheasant'.")],
    others: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            help="Other words for it; without any, those that 'tweeze suggest' names. Repeatable.",
        ),
    ] = None,
    pick: Annotated[
        int | None,
        typer.Option("--pick", metavar="N", help="Write the clips of candidate N alone."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the clips.")] = Path(),
    *,
    options: Options,
    as_json: Json = False,
) -> None:
    """Separate one sound by several descriptions, and say what each of them finds.

    The query comes first, then other words for it, then the query with another model if one is
    installed. Each gets a clip and a line: how likely the sound is there, how much of the
    recording's energy its clip holds, how far that is from the first clip, and when it is likely.
    The one that is probably best has a star. --pick N writes candidate N with all options.
    """
    from bridge.comparing import compare as compared

    refuse_presets((query, *(others or ())))
    found = compared(file, query, others or (), options, out, pick=pick)
    # What is said of one word alone, that it was barely detected, say, the table tells as well.
    shared = [note for note in found[0].notes if all(note in one.notes for one in found)]
    for note in shared:
        print(shown(note), file=sys.stderr)
    if len(found) == 1 and pick is None:
        print(
            shown(f"No other words are known for '{found[0].query}': name some with --with."),
            file=sys.stderr,
        )
    if as_json:
        print(json.dumps([one.facts for one in found]), flush=True)
        return
    if pick is not None:
        for path in found[0].paths:
            print(shown(str(path)) if sys.stdout.isatty() else path, flush=True)
        return
    table(
        ("", "sound", "model", "likely", "energy", "unlike the first", "heard at", "clip"),
        [_row(one, out) for one in sorted(found, key=lambda one: one.number)],
    )


def _row(one: Compared, out: Path) -> tuple[str, ...]:
    """Return a candidate's cells; a terminal, which is narrow, gets less of what is long."""
    narrow = sys.stdout.isatty()
    heard = [span.text for span in one.spans]
    if narrow and len(heard) > _HEARD:
        heard = [*heard[:_HEARD], f"{len(heard) - _HEARD} more"]
    return (
        f"{one.number}{'*' if one.best else ''}",
        one.query,
        one.model,
        "?" if one.presence is None else f"{one.presence:.0%}",
        f"{one.share:.1f} dB",
        "" if one.difference is None else f"{one.difference:.1f} dB",
        ", ".join(heard),
        str(out / one.paths[0].name if narrow else one.paths[0]),
    )
