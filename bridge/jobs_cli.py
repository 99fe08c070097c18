"""`tweeze separate` and `demo`: sounds out of recordings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bridge.inputs import files_and_queries, for_each
from bridge.option_flags import Model, Nots, takes_options
from bridge.streams import STANDARD, check_one_clip
from engine.display import shown
from engine.errors import BadInput
from engine.options import AUTO, Options

__all__ = ["add_to"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(short_help="Pull the sounds that you describe out of recordings.")(separate)
    app.command()(demo)


@takes_options
def separate(
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
    out: Annotated[
        Path, typer.Option(help="Folder for the clips; '-' writes one clip to standard output.")
    ] = Path(),
    *,
    options: Options,
    as_json: Json = False,
) -> None:
    """Pull the described sounds out of files; prints the clips' paths, one a line.

    Each file is separated on its own. Where one of them fails, the others are still done, and the
    exit code is that of a failure: 2 if a file or the request is wrong, 1 if the work went wrong.
    What is named with --not competes with the sounds: what both could be goes to the likelier one.
    With --like the sound is shown: what sounds like the example is pulled out, and words beside it
    say more.
    With --json there is one object for each file, one a line.
    """
    from bridge.separating import separate

    instead = ""
    if options.like:
        from engine.advice.examples import Example

        instead = Example.from_text(options.like).query
    files, queries = files_and_queries(arguments, query or (), instead)
    if out == STANDARD:
        check_one_clip(len(files), len(queries), options.keep, as_json=as_json)

    if not all(text.strip() for text in nots or ()):
        raise BadInput("--not names no sound: say which one is not wanted, like --not rain.")

    def each(file: Path) -> None:
        result = separate(file, queries, options, out, nots=nots or ())
        for note in result.status.notes:
            print(shown(note), file=sys.stderr)
        if as_json:
            print(result.to_json(), flush=True)
        else:
            for path in result.paths:
                # A program that reads this gets the path itself, a terminal what is harmless.
                print(shown(str(path)) if sys.stdout.isatty() else path, flush=True)

    for_each(files, each)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for clips and picture.")] = Path("demo-output"),
    model: Model = AUTO,
) -> None:
    """Separate the bundled recordings, and say how well that went."""
    from bridge import demo as demonstration

    demonstration.run(out, model=model)
