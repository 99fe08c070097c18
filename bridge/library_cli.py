"""`tweeze batch` and `tweeze watch`: whole folders of recordings."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.batch_asked import BATCH, places_and_queries, say, todo
from bridge.option_flags import Nots, PresetName, takes_options, typed
from bridge.preset_use import Asked, asked_for, named_preset
from engine.display import shown
from engine.errors import BadInput, Failure
from engine.job import clean_query
from engine.options import Options

if TYPE_CHECKING:
    from bridge.batch_report import Report
    from engine.library.batch import Separating, Told
    from engine.library.estimate import Estimate
    from engine.library.finding import LeftOut
    from engine.library.items import Item
    from engine.library.manifest import Row

__all__ = ["add_to", "run"]

Out = Annotated[
    Path,
    typer.Option(
        help="Folder for the clips, in folders like the recordings', and for the manifest, "
        "tweeze-batch.csv."
    ),
]
Queries = Annotated[
    list[str] | None,
    typer.Option("--query", "-q", help="A sound; then all arguments are folders. Repeatable."),
]
Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Search folders in folders, too.")
]
Include = Annotated[
    list[str] | None,
    typer.Option(help="Take only files whose name fits a pattern, like '*.wav'. Repeatable."),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(help="Leave out files whose name fits a pattern. Repeatable."),
]
Sure = Annotated[
    float,
    typer.Option(
        "--only-if-heard",
        min=0.0,
        max=1.0,
        metavar="<0 to 1>",
        help="Keep a clip only if its sound is likely there, as the manifest's certainty has it.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(batch)
    app.command()(watch)


@takes_options
def batch(
    call: typer.Context,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FOLDER... QUERY...",
            help="Folders or files, then the sounds. What names something that is there is a "
            "folder, but for the last argument, which is a sound without --query and --jobs.",
        ),
    ] = None,
    query: Queries = None,
    nots: Nots = None,
    preset: PresetName = "",
    out: Out = Path("tweezed"),
    jobs: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE.csv",
            help="Take files and sounds from a table with the columns file and query, and, if "
            "wanted, not, start, end (seconds) and any option by its name.",
        ),
    ] = None,
    recursive: Recursive = False,
    include: Include = None,
    exclude: Exclude = None,
    sure: Sure = 0.0,
    cluster: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Separate on all machines of a Ray cluster: HOST:PORT, 'auto' for the one that "
            "this machine is part of, 'local' for this machine alone.",
        ),
    ] = "",
    cores: Annotated[
        int,
        typer.Option(
            min=0,
            help="Cores of each process of the cluster; 0: as many as this machine's engine takes, "
            "so that the clips are the same to the bit.",
        ),
    ] = 0,
    gpus: Annotated[
        float, typer.Option(min=0.0, help="GPUs of each process of the cluster.")
    ] = 0.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be separated, and do nothing.")
    ] = False,
    *,
    options: Options,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the manifest's rows as JSON, one a line.")
    ] = False,
) -> None:
    """Separate whole folders: clips in folders like the recordings', and a table of what was done.

    The same command once more goes on where it stopped, whatever ended it, and tries again what
    failed. A recording that changed since is done anew. No file is ever overwritten. A recording
    that cannot be separated is a row of the manifest, tweeze-batch.csv, with a sentence, and not
    the end. Prints the manifest's path.
    """
    places, said = places_and_queries(
        arguments or (), query or (), alone=jobs is not None or bool(preset)
    )
    asked = _asked(call, preset, said, nots or (), options)
    if places and not asked.queries and jobs is None:
        raise BadInput(f"No sound is named: describe one after the folders ({BATCH}).")
    if not places and jobs is None:
        raise BadInput(f"No folder is named: name one, or a table with --jobs ({BATCH}).")
    wanted = todo(
        places,
        jobs,
        tuple(asked.queries),
        tuple(asked.nots),
        asked.options,
        recursive=recursive,
        include=include or (),
        exclude=exclude or (),
        out=out,
        dry_run=dry_run,
    )
    if dry_run:
        say(wanted)
        return
    _run(wanted, out, sure, as_json=as_json, machines=_Machines(cluster, cores, gpus))


@takes_options
def watch(
    call: typer.Context,
    arguments: Annotated[
        list[str],
        typer.Argument(metavar="FOLDER... QUERY...", help="Folders, then the sounds."),
    ],
    query: Queries = None,
    nots: Nots = None,
    preset: PresetName = "",
    out: Out = Path("tweezed"),
    recursive: Recursive = False,
    include: Include = None,
    exclude: Exclude = None,
    sure: Sure = 0.0,
    settle: Annotated[
        float,
        typer.Option(
            min=0.0,
            metavar="SECONDS",
            help="How long a file must stay as it is to count as whole.",
        ),
    ] = 5.0,
    notify: Annotated[bool, typer.Option("--notify", help="Say each on the desktop, too.")] = False,
    *,
    options: Options,
) -> None:
    """Separate each recording that comes into a folder: of a recorder, or where a DAW renders to.

    A file is taken when it is whole. Goes on until Ctrl-C; started again, it goes on where it
    stopped. Clips and manifest are as 'tweeze batch' has them. Says one line a recording.
    """
    from bridge.watching import Watch
    from engine.library.items import Item

    places, said = places_and_queries(arguments, query or (), alone=bool(preset))
    asked = _asked(call, preset, said, nots or (), options)
    if not asked.queries:
        raise BadInput("No sound is named: describe one ('tweeze watch FOLDER QUERY').")

    def told(sentence: str) -> None:
        import asyncio

        from bridge.notify import notify as on_the_desktop

        asyncio.run(on_the_desktop(sentence))

    Watch(
        places,
        out.absolute(),
        lambda found: Item(found, tuple(asked.queries), tuple(asked.nots), asked.options),
        recursive,
        include or (),
        exclude or (),
        sure,
        settle,
        told if notify else lambda sentence: None,
    ).run()


def _asked(
    call: typer.Context, preset: str, queries: list[str], nots: Sequence[str], options: Options
) -> Asked:
    """Return what a command asks for, by its arguments and a preset."""
    taken = named_preset(preset)
    given = typed(call)
    wanted = queries or (list(taken.queries) if taken is not None else [])
    asked = asked_for(taken, wanted, nots, options, given)
    # Masks of so many recordings would push out those of the jobs that somebody adjusts.
    masks = asked.options.masks and any(name == "masks" for name, _ in given)
    return Asked(
        list(dict.fromkeys(clean_query(text) for text in asked.queries)),
        list(dict.fromkeys(clean_query(text) for text in asked.nots)),
        replace(asked.options, masks=masks, draft=False),
    )


def run(todo: Sequence[Item | LeftOut], out: Path, *, as_json: bool) -> None:
    """Do what a batch is to do on this machine, as `tweeze batch` does.

    Raises
    ------
    Failure
        Some of it failed; the manifest in `out` says why.

    """
    _run(todo, out, 0.0, as_json=as_json, machines=_Machines("", 0, 0.0))


@dataclass(frozen=True)
class _Machines:
    """Where a batch is to run: the address of a cluster, or '' for the user's own engine."""

    address: str
    cores: int
    gpus: float

    @contextlib.contextmanager
    def separating(
        self, todo: Sequence[Item | LeftOut], out: Path, report: Report
    ) -> Iterator[Separating]:
        """Yield what separates, once all machines see what they must."""
        from engine.folders import Folders
        from engine.library.items import Item

        folders = Folders.of_user()
        if not self.address:
            from bridge.batching import EngineSeparating

            yield EngineSeparating(folders, out, report.share)
            return
        from engine.cores import threads
        from engine.library.cluster import check, connected
        from engine.library.cluster_separating import ClusterSeparating

        report.say(f"Connecting to the cluster '{self.address}'.")
        with connected(self.address) as ray:
            out.mkdir(parents=True, exist_ok=True)
            paths = [one.found.path for one in todo if isinstance(one, Item)]
            names = check(ray, out, paths)
            report.say(f"The cluster's machines: {', '.join(sorted(names))}.")
            yield ClusterSeparating(
                ray,
                folders,
                out,
                cores=self.cores or threads(),
                gpus=self.gpus,
                on_share=report.share,
                on_note=report.say,
            )


def _run(
    todo: Sequence[Item | LeftOut], out: Path, sure: float, *, as_json: bool, machines: _Machines
) -> None:
    from bridge.batch_report import lost, reporting, sentence
    from bridge.interruption import Interruption
    from engine.library.batch import MANIFEST, Batch, row_of
    from engine.library.finding import LeftOut
    from engine.library.manifest import State

    faults = [one for one in todo if isinstance(one, LeftOut) and one.fault]
    batch = Batch(out.absolute(), sure)
    stdout = sys.stdout
    with (
        Interruption() as interruption,
        reporting() as report,
        machines.separating(todo, batch.folder, report) as separating,
    ):

        def told(told: Told) -> None:
            report.told(told)
            if as_json:
                write(told.rows)

        def write(rows: Iterable[Row]) -> None:
            for row in rows:
                print(json.dumps(asdict(row)), file=stdout, flush=True)

        def begun(estimate: Estimate) -> None:
            report.begun(estimate)
            report.faults(faults)
            if as_json:
                write(map(row_of, faults))

        batch.run(todo, separating, told=told, begun=begun, shield=interruption.shield)
    print(sentence(batch.counts, batch.already), file=sys.stderr)
    if batch.lost:
        print(shown(lost(batch.lost, batch.folder)), file=sys.stderr)
    manifest = batch.folder / MANIFEST
    if not as_json:
        print(shown(str(manifest)) if sys.stdout.isatty() else manifest)
    if batch.counts[State.FAILED]:
        raise Failure(
            f"{batch.counts[State.FAILED]} of {sum(batch.counts.values()) + batch.already} "
            f"recordings failed: {manifest} says why."
        )
