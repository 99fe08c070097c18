"""`tweeze models ...`: which models there are, getting, adding, checking and removing them."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.patience import waiting
from engine.display import shown
from engine.errors import BadInput
from engine.folders import Folders
from engine.job import Task
from engine.models import catalogue, kinds, pulling, releases, router
from engine.models.records import Entry, Progress

__all__ = ["add_to"]

_app = typer.Typer(
    help="The models that can be used: list, pull, add, verify, remove.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON list.")]
_TO_INSTALL = "to install"
_DOES = {Task.SEPARATE.value: "separates", Task.LISTEN.value: "listens"}
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="A model that 'tweeze models list' shows.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(_app, name="models")


@_app.callback(invoke_without_command=True)
def _default(context: typer.Context, as_json: Json = False) -> None:
    """The models that can be used; without a command, list them."""
    if context.invoked_subcommand is None:
        _list(as_json=as_json)


@_app.command("list")
def list_models(as_json: Json = False) -> None:
    """List the models, and those that can be pulled.

    Those that separate pull sounds out of a recording; the one that listens names what is in it,
    for 'tweeze listen'.
    """
    _list(as_json=as_json)


@_app.command()
def pull(
    release: Annotated[
        str, typer.Argument(metavar="RELEASE", help="A published model, like audiosep.")
    ],
    name: Annotated[str, typer.Option(help="What to call it; else the release's name.")] = "",
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="REPOSITORY",
            help="Another repository of the Hugging Face hub that has it, like "
            "nielsr/audiosep-demo.",
        ),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Download a published model, after showing its size and its terms."""
    wanted = releases.release(release, source)
    print(wanted.title)
    print(f"{wanted.size / 1e9:.2f} GB from {wanted.main.page}")
    if not wanted.main.sha256:
        print(
            "Its publisher names no SHA-256 to check it by: the first download is taken on trust, "
            "and later ones are held to it."
        )
    print()
    print(textwrap.indent(wanted.terms, "  ", lambda line: bool(line.strip())))
    print(flush=True)
    if sys.stdin.isatty() and not yes:
        typer.confirm("Download it?", default=True, abort=True)
    with _progress("Checking", wanted.main.size) as step:
        made = pulling.pull(
            wanted,
            Folders.of_user(),
            name=name,
            progress=step,
            say=lambda sentence: print(shown(sentence), file=sys.stderr, flush=True),
        )
    _say_ready(made)


@_app.command()
def add(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT",
            help="A checkpoint (.ckpt, .safetensors), of AudioSep unless --kind.",
        ),
    ],
    name: Annotated[str, typer.Option(help="What to call it; else after the file.")] = "",
    clap: Annotated[
        Path | None, typer.Option(help="The CLAP checkpoint, if CHECKPOINT holds no text encoder.")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Folder with vocab.json and merges.txt of roberta-base.")
    ] = None,
    kind: Annotated[
        str, typer.Option(help=f"The kind of model: {', '.join(kinds.KINDS)}.")
    ] = kinds.DEFAULT,
    also: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="ROLE=FILE", help="Another file of the model; can be repeated."
        ),
    ] = None,
    licence: Annotated[str, typer.Option(help="Its licence, to be listed.")] = "",
) -> None:
    """Add a checkpoint that is on this computer. AudioSep's stays where it is."""
    files = _roles(also or [])
    files |= {role: path for role, path in (("text", clap), ("tokenizer", tokenizer)) if path}
    size = sum(path.stat().st_size for path in (checkpoint, *files.values()) if path.is_file())
    with _progress("Reading", size) as step:
        made = catalogue.add(
            Folders.of_user(),
            name or _name_after(checkpoint),
            kind,
            checkpoint.absolute(),
            also={role: path.absolute() for role, path in files.items()},
            licence=licence,
            progress=step,
        )
    _say_ready(made)


@_app.command()
def verify(name: Name, as_json: Json = False) -> None:
    """Read all files of a model and compare them with what was recorded."""
    found = catalogue.entry(name, Folders.of_user())
    with _progress("Reading", found.size) as step:
        findings = catalogue.verify(found, step)
    if as_json:
        print(json.dumps([{"path": str(f.path), "problem": f.problem} for f in findings]))
    else:
        for finding in findings:
            state = (
                f"WRONG  {finding.path} {finding.problem}"
                if finding.problem
                else (f"ok     {finding.path}")
            )
            print(state)
    if any(finding.problem for finding in findings):
        raise typer.Exit(1)


@_app.command()
def remove(name: Name) -> None:
    """Remove a model. A checkpoint that you added stays; one that was pulled goes."""
    size = catalogue.remove(name, Folders.of_user())
    print(f"Removed {name} ({size / 1e9:.2f} GB).")


@_app.command()
def tune(name: Name) -> None:
    """Try whether drafts of a model (--precision draft) gain from 8 bits here: some minutes.

    What is found is remembered. Answers stay as they are without --precision draft.
    """
    from engine.models import load
    from engine.models.base import TriesDrafts

    with waiting(f"Loading {name}"):
        model = load(name, Folders.of_user())
    if not isinstance(model, TriesDrafts):
        raise BadInput(
            f"The model {name} has no drafts to tune: AudioSep has, see 'tweeze models'."
        )
    print(
        f"Trying which parts of {name} bear 8 bits; this takes some minutes, and Ctrl-C leaves all "
        "as it was.",
        flush=True,
    )
    with waiting("Trying"):
        facts = model.try_drafts()
    if "why" in facts:
        print(shown(f"Drafts stay as they were: {facts['why']}."))
        return
    gain = float(str(facts["seconds_without"])) / float(str(facts["seconds_with"]))
    print(
        f"Drafts of {name} have parts in 8 bits from now on: {gain:.1f} times as fast, and "
        f"{facts['decibels']} dB from exact answers."
    )


@_app.command()
def use(name: Name) -> None:
    """Make a model the one for any sound; specialists go on to take what they are better at."""
    router.use(name, Folders.of_user())
    print(f"{name} answers from now on; specialists go on to take what they are better at.")


def _list(*, as_json: bool) -> None:
    folders = Folders.of_user()
    rows = list(_rows(folders))
    takes = router.who_takes(folders)
    for row in rows:
        if row["task"] == Task.SEPARATE.value:
            families = [family for family, name in takes.items() if name == row["name"]]
            row["takes"] = ["any sound"] if row["name"] == router.general(folders) else families
    unknown = router.unknown_in_routes(folders)
    if unknown:
        print(shown(unknown), file=sys.stderr)
    if as_json:
        print(json.dumps(rows))
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        size = f"{row['bytes'] / 1e9:.2f} GB" if row["bytes"] else ""
        does = _DOES[row["task"]]
        line = f"{row['name']:{width}}  {row['state']:10}  {size:>8}  {does:9}  {row['licence']}"
        if row["state"] == _TO_INSTALL:
            line += f"  ({row['origin']})"
        takes_them = f"  takes {', '.join(row['takes'])}" if row.get("takes") else ""
        print(shown(f"{line.rstrip()}{takes_them}"))
    sys.stdout.flush()
    for row in rows:
        if "problem" in row:
            print(shown(f"{row['name']} cannot be used: {row['problem']}"), file=sys.stderr)


def _rows(folders: Folders) -> Iterator[dict[str, Any]]:
    added = catalogue.added(folders)
    specialists = (entry for entry in kinds.specialists() if not entry.problem)
    installed = catalogue.packaged()
    for entry in (kinds.BUNDLED, kinds.LISTENER, *specialists, *installed, *added):
        row = {
            "name": entry.name,
            "kind": entry.kind,
            "state": _state(entry),
            "bytes": entry.size,
            "licence": entry.licence,
            "task": entry.task.value,
        }
        if entry.problem:
            row["problem"] = entry.problem
        elif not entry.bundled:
            row["origin"] = entry.origin or str(entry.main)
        yield row
    for one in kinds.PACKAGED:
        if all(entry.name != one.name for entry in installed):
            yield {
                "name": one.name,
                "kind": one.kind,
                "state": _TO_INSTALL,
                "bytes": one.size,
                "licence": one.licence,
                "task": Task.SEPARATE.value,
                "origin": one.how,
            }
    for release in releases.RELEASES:
        if all(entry.name != release.name for entry in added):
            yield {
                "name": release.name,
                "kind": release.kind,
                "state": "to pull",
                "bytes": release.size,
                "licence": release.licence,
                "task": Task.SEPARATE.value,
                "origin": release.main.page,
            }


def _state(entry: Entry) -> str:
    if entry.problem:
        return "unusable"
    return "bundled" if entry.bundled else "installed" if entry.package else "added"


def _roles(given: list[str]) -> dict[str, Path]:
    """Read options of the form ROLE=FILE."""
    found = {}
    for text in given:
        role, is_, path = text.partition("=")
        if not (role and is_ and path):
            raise BadInput(
                f"--with {text!r} is not of the form ROLE=FILE, like heads=heads.safetensors."
            )
        found[role] = Path(path)
    return found


def _name_after(checkpoint: Path) -> str:
    letters = [c if c.isascii() and c.isalnum() else "-" for c in checkpoint.stem.lower()]
    return "-".join(part for part in "".join(letters).split("-") if part)[:40].rstrip("-")


def _say_ready(made: Entry) -> None:
    print(f"{made.name} is ready: tweeze separate FILE QUERY --model {made.name}")


@contextmanager
def _progress(what: str, total: int) -> Iterator[Progress]:
    """Show a bar on a terminal; yields a function to call with how many more bytes are done."""
    from rich import progress as rich
    from rich.console import Console

    console = Console(stderr=True)
    columns = (rich.TextColumn("{task.description}"), rich.BarColumn(), rich.DownloadColumn())
    bar = rich.Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task(what, total=total, visible=False)

    def step(count: int) -> None:
        # Shown with the first bytes, so that the bar does not stand beside that of a download.
        bar.start()
        bar.update(task, advance=count, visible=True)

    try:
        yield step
    finally:
        if bar.live.is_started:  # else some releases of rich end a line that nobody began
            bar.stop()
