"""What the arguments of a command name: files first, then the sounds to look for in them."""

from __future__ import annotations

import glob
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bridge.streams import STANDARD, is_standard_input
from engine.display import shown
from engine.errors import BadInput, BadQuery, Cancelled, EngineUnreachable, TweezeError
from engine.job import clean_query

__all__ = ["example_from_here", "files_and_queries", "for_each", "recordings", "sounds"]

_SEPARATE = "'tweeze separate FILE... QUERY...'"


def files_and_queries(
    arguments: Sequence[str], queries: Sequence[str] = (), instead: Sequence[str] = ()
) -> tuple[list[Path], list[str]]:
    """Split the arguments of a command into files and queries.

    The first argument is a file, and so are those after it as long as they name existing files;
    the rest are queries. Where queries are given apart, all arguments are files. `instead` are the
    queries where none is named; without them, that is an error.

    Raises
    ------
    BadInput
        There is no query, one is invalid, or a file comes after a query.

    """
    count = 1
    if queries:
        count = len(arguments)
    while count < len(arguments) and _names_files(arguments[count]):
        count += 1
    described = [clean_query(query) for query in (*arguments[count:], *queries)]
    for argument in arguments[count:]:
        if _names_files(argument):
            raise BadInput(
                f"{argument} is a file, but comes after the sound '{described[0]}': name the "
                f"files first ({_SEPARATE}), or a sound of that name with --query."
            )
        if "*" in argument:
            raise _nothing(argument)
    files = recordings(arguments[:count])
    if not described and instead:
        return files, list(instead)
    if not described:
        last = f": {arguments[-1]} is a file here" if count > 1 else ""
        raise BadQuery(
            f"No sound is named{last}: describe one after the files ({_SEPARATE}), or with --query."
        )
    return files, described


def recordings(arguments: Sequence[str]) -> list[Path]:
    """Return the files that arguments name, each once, in their order.

    Standard input (`-`) is `bridge.streams.STANDARD`. A `*` that the shell left is for us to
    expand: Windows' leaves all of them.

    Raises
    ------
    BadInput
        A pattern fits no file.

    """
    files: dict[Path, Path] = {}
    for argument in arguments:
        if is_standard_input(argument):
            files.setdefault(STANDARD, STANDARD)
            continue
        found = [argument]
        if "*" in argument and not _is(argument, folder=False):
            found = [path for path in sorted(glob.glob(argument)) if _is(path, folder=False)]  # noqa: PTH207
        if not found:
            raise _nothing(argument)
        for path in map(Path, found):
            # './-' is a file of that name.
            files.setdefault(_place(path), path.absolute() if path == STANDARD else path)
    return list(files.values())


def sounds(arguments: Sequence[str], instead: str) -> list[str]:
    """Return the sounds that the arguments of a command without files name.

    `instead` says what to do with a file. A word is a sound even where a file is called so: what
    names an existing file counts as one if it has an ending ('dog.wav') or is written as a path.

    Raises
    ------
    BadInput
        One is unfit, or names a file.

    """
    for argument in arguments:
        if (Path(argument).suffix or _is_path(argument)) and _names_files(argument):
            raise BadInput(f"{argument} is a file, not a sound: {instead}.")
    return [clean_query(argument) for argument in arguments]


def example_from_here(text: str) -> str:
    """Return what `--like` names with an absolute path; an empty text stays empty.

    Raises
    ------
    BadInput
        There is no such file, or the stretch is impossible.

    """
    if not text:
        return text
    from engine.advice.examples import Example  # brings NumPy, which most commands do without

    example = Example.from_text(text)
    if not _is(str(example.path), folder=False):
        raise BadInput(
            f"There is no file {example.path}: name an example as --like FILE or FILE@START-END."
        )
    return replace(example, path=_place(example.path)).text


def for_each(files: Sequence[Path], do: Callable[[Path], None]) -> None:
    """Do something with each file, the others still where one fails.

    What went wrong is said in the end, the same sentence once only, and the gravest error raised:
    a failure, what was cancelled, bad input.

    Raises
    ------
    TweezeError
        What happened to a file; after EngineUnreachable no other one was tried.

    """
    errors: list[TweezeError] = []
    for file in files:
        try:
            do(file)
        except TweezeError as error:  # noqa: PERF203 - the other files go on
            if str(error) not in map(str, errors):
                errors.append(error)
            if isinstance(error, EngineUnreachable):  # for every other file, too
                break
    if not errors:
        return
    gravest = min(errors, key=lambda e: 2 * isinstance(e, BadInput) + isinstance(e, Cancelled))
    for other in errors:
        if other is not gravest:
            print(shown(str(other)), file=sys.stderr)
    raise gravest


def _nothing(argument: str) -> BadInput:
    return BadInput(f"No file matches {argument}: check the path.")


def _names_files(argument: str) -> bool:
    """Whether an argument names a file, or what is plainly meant for a folder or for files."""
    if is_standard_input(argument):
        return True
    if "*" in argument:
        return any(_is(path, folder=False) for path in glob.glob(argument))  # noqa: PTH207
    # A bare word is a sound even where a folder is called so: 'birds', full of clips of birds.
    return _is(argument, folder=False) or (_is_path(argument) and _is(argument, folder=True))


def _is_path(argument: str) -> bool:
    return "/" in argument or "\\" in argument or argument in (".", "..")


def _is(argument: str, *, folder: bool) -> bool:
    try:
        path = Path(argument)
        return path.is_dir() if folder else path.exists() and not path.is_dir()
    except (OSError, ValueError):  # too long for a name, say: then it is none
        return False


def _place(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()
