"""`tweeze separate` and `demo`: sounds out of recordings."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bridge import labels as label_file
from bridge.inputs import files_and_queries, for_each
from bridge.option_flags import Model, Nots, Picture, PresetName, takes_options, typed
from bridge.preset_use import asked_for, named_preset
from bridge.streams import STANDARD, check_one_clip
from engine.display import shown
from engine.errors import BadInput
from engine.options import AUTO, Options
from engine.status import Status

__all__ = ["add_to"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(separate)
    app.command()(demo)


@takes_options
def separate(
    call: typer.Context,
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE... QUERY...",
            help="Audio files ('-' is standard input), then the sounds, like 'dog barking'. The "
            "first argument is a file, and so are those behind it that name existing files.",
        ),
    ],
    query: Annotated[
        list[str] | None,
        typer.Option("--query", "-q", help="A sound; then all arguments are files. Repeatable."),
    ] = None,
    nots: Nots = None,
    preset: PresetName = "",
    out: Annotated[
        Path, typer.Option(help="Folder for the clips; '-' writes one clip to standard output.")
    ] = Path(),
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write when each sound is likely there, too: labels for Audacity, or regions for "
            "REAPER where FILE ends in .csv.",
        ),
    ] = None,
    spans: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Take --at and --never from such a file: from labels that begin with '+ ' and "
            "'- '; where some name the sounds, those of other sounds are left out.",
        ),
    ] = None,
    picture: Picture = None,
    trying: Annotated[
        bool,
        typer.Option(
            "--try",
            help="Try other words for the sound, too, and take what is probably best; as 'tweeze "
            "compare' does.",
        ),
    ] = False,
    *,
    options: Options,
    as_json: Json = False,
) -> None:
    """Pull the described sounds out of files; prints the clips' paths, one a line.

    Each file is separated on its own. Where one of them fails, the others are still done, and the
    exit code is that of a failure: 2 if a file or the request is wrong, 1 if the work went wrong.
    What is named with --not competes with the sounds: what both could be goes to the likelier one.
    --preset NAME, or @NAME among the sounds, stands for what a preset holds.
    With --like the sound is shown: what sounds like the example is pulled out, and words beside it
    say more.
    --at, --never, --band and --rect say where a sound may be, --events lets Tweeze find that out.
    With --draft a first, rough answer is written at once, and replaced when the exact one is there.
    With --json there is one object for each file, one a line.
    """
    from bridge.separating import separate

    taken = named_preset(preset)
    instead = taken.queries if taken is not None else ()
    if options.like and not instead:
        from engine.advice.examples import Example

        instead = (Example.from_text(options.like).query,)
    files, queries = files_and_queries(arguments, query or (), instead)
    asked = asked_for(taken, queries, nots or (), options, typed(call))
    queries, nots, options = asked.queries, asked.nots, asked.options
    if out == STANDARD:
        check_one_clip(len(files), len(queries), options.keep, as_json=as_json)

    for flag, path in (("--labels", labels), ("--picture", picture)):
        if path is not None and len(files) > 1:
            raise BadInput(
                f"{flag} names one file, and there are {len(files)} recordings: separate each of "
                "them with a file of its own."
            )
    if labels is not None:
        label_file.check(labels)
    if picture is not None:
        from bridge import picture as pictures  # NumPy takes its time

        if out == STANDARD:
            raise BadInput("--picture draws clips that lie in a folder: name one with --out.")
        pictures.check(picture)
    if spans is not None:
        options = _marked(spans, queries, options)

    def drafted(paths: tuple[Path, ...]) -> None:
        for path in paths:
            print(f"A draft is there: {shown(str(path))}", file=sys.stderr, flush=True)

    if trying:
        if len(queries) > 1 or nots or options.like or labels or picture or out == STANDARD:
            raise BadInput(
                "--try is for one sound alone, described in words, and its clips in a folder: "
                "leave out the other sounds, --not, --like, --labels and --picture."
            )
        for_each(files, lambda file: _tried(file, queries[0], options, out, as_json=as_json))
        return

    def each(file: Path) -> None:
        result = separate(file, queries, options, out, nots=nots, on_draft=drafted)
        for note in result.status.notes:
            print(shown(note), file=sys.stderr)
        # First of all where the clips lie: labels and picture may fail.
        if as_json:
            print(result.to_json(), flush=True)
        else:
            for path in result.paths:
                # A program that reads this gets the path itself, a terminal what is harmless.
                print(shown(str(path)) if sys.stdout.isatty() else path, flush=True)
        if labels is not None:
            _write_labels(labels, result.status, list(dict.fromkeys(queries)), options)
        if picture is not None:
            pictures.draw_job(picture, result.status.id, file, result.named, options)

    for_each(files, each)


def _tried(file: Path, query: str, options: Options, out: Path, *, as_json: bool) -> None:
    """Separate by several words, and keep what is probably best."""
    from bridge.comparing import compare

    (best,) = compare(file, query, (), options, out, best=True)
    for note in best.notes:
        print(shown(note), file=sys.stderr)
    if best.query != query:
        sure = "" if best.presence is None else f", which is likely there ({best.presence:.0%})"
        print(shown(f"'{best.query}' was taken for '{query}'{sure}."), file=sys.stderr)
    if as_json:
        print(json.dumps(best.facts), flush=True)
        return
    for path in best.paths:
        print(shown(str(path)) if sys.stdout.isatty() else path, flush=True)


def _marked(path: Path, queries: list[str], options: Options) -> Options:
    """Return options with the spans that a file of labels marks for the sounds."""
    marked = label_file.read(path, queries)
    if marked.others:
        names = ", ".join(f"'{name}'" for name in marked.others[:3])
        more = ", …" if len(marked.others) > 3 else ""
        print(shown(f"Labels of other sounds were left out ({names}{more})."), file=sys.stderr)
    if marked.shared:
        print(
            "Spans are for all sounds of a job alike: for spans of its own, ask for each sound by "
            "itself, with the others as --not.",
            file=sys.stderr,
        )
    return replace(options, at=(*options.at, *marked.at), never=(*options.never, *marked.never))


def _write_labels(path: Path, status: Status, queries: list[str], options: Options) -> None:
    if not status.certainty:
        print(
            shown(f"Nobody estimates when these sounds are there: {path} was not written."),
            file=sys.stderr,
        )
        return
    heard = label_file.noticed_in(queries, status.certainty, options)
    label_file.write(path, heard)
    if not any(one.events for one in heard):
        print(shown(f"No sound is likely enough at any time: {path} is empty."), file=sys.stderr)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for clips and picture.")] = Path("demo-output"),
    model: Model = AUTO,
) -> None:
    """Separate the bundled recordings, and say how well that went."""
    from bridge import demo as demonstration

    demonstration.run(out, model=model)
