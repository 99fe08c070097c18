"""`tweeze evaluate`, `train`, `finetune`: how good a model is, and making better ones.

They work in their own process, not in the engine's; torch is imported where it is needed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from bridge.patience import waiting
from engine.errors import BadInput
from engine.folders import Folders
from engine.taxonomy.families import FAMILIES

__all__ = ["add_to"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(evaluate)
    app.command()(train)
    app.command()(finetune)


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A model that 'tweeze models' lists, or a weight file of a training run (with "
            "the 'heads.safetensors' beside it, if there is one).",
        ),
    ],
    sets: Annotated[
        list[Path] | None,
        typer.Option("--set", help="Folder of your own mixtures, with a 'triples.csv'."),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="A corpus, of which what was kept from training is used.")
    ] = None,
    pairs: Annotated[int, typer.Option(min=1, help="Mixtures of each kind from the corpus.")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Decides which mixtures are drawn.")] = 2026,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only this kind: outside, heldout, three, esc10 or unseen."),
    ] = None,
    told: Annotated[
        bool, typer.Option("--told", help="Also with the other sound named as not wanted.")
    ] = False,
    twice: Annotated[
        bool, typer.Option("--twice", help="As 'tweeze separate --twice' answers.")
    ] = False,
    routing: Annotated[
        bool,
        typer.Option(
            "--route",
            help="Measure how well the model does with each family of sounds that specialists are "
            "for, and note it for 'auto'; with --out in a table there.",
        ),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for tables and charts.")] = None,
    as_json: Json = False,
) -> None:
    """Measure how well a model separates sounds that are known; figures in dB.

    SI-SDRi is what separation gains over the mixture, the wrong query what the caption of another
    sound gives, the margin what the right words gain over the wrong ones, leakage what is left of
    the other sounds, and the absent level what comes out for a sound that is not there.

    A folder's 'triples.csv' has the columns mixture, target and caption.
    """
    from engine.models import load_listener
    from engine.taxonomy.classes import load_taxonomy

    with waiting("Loading torch"):
        from engine.training import evaluate as evaluation
        from engine.training import figures, report, scenes

    if store is None and not sets:
        raise BadInput(
            "There is nothing to measure on: name a corpus with --store or a folder of mixtures "
            "with --set."
        )
    taxonomy = load_taxonomy()
    if routing:
        _route(model, store, pairs, seed, out)
        return
    wanted = [scenes.triples(folder) for folder in sets or []]
    if store is not None:
        drawn = scenes.corpus_sets(store, taxonomy, pairs, seed)
        for key in only or []:
            if key not in {found.key for found in drawn}:
                raise BadInput(
                    f"There is no kind '{key}' in {store}: it has "
                    f"{', '.join(found.key for found in drawn)}."
                )
        wanted += [found for found in drawn if not only or found.key in only]
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    with waiting(f"Loading {model}"):
        separator = evaluation.load(model, Folders.of_user())
        hearer = load_listener(Folders.of_user()) if twice else None
    found = []
    with _progress("Separating", sum(part.count for part in wanted)) as step:
        found = [
            evaluation.measure(separator, part, step, told=told, hearer=hearer) for part in wanted
        ]
    if out is not None:
        figures.write_tables(out, found)
        facts = {"model": model, "seed": seed, "sets": [report.facts(f, taxonomy) for f in found]}
        (out / "figures.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        report.draw_chart(out, model, found, taxonomy)
    if as_json:
        print(json.dumps({"model": model, "sets": [report.facts(f, taxonomy) for f in found]}))
        return
    for number, findings in enumerate(found):
        if number:
            print()
        for line in report.lines(findings, taxonomy):
            print(line)
    if out is not None:
        print(f"\nTables and charts: {out}")


def _route(model: str, store: Path | None, pairs: int, seed: int, out: Path | None) -> None:
    """Measure a model on each family that it answers, and write the figures down."""
    from engine.errors import BadQuery
    from engine.models.router import Route, routes_file, write_routes
    from engine.taxonomy.classes import load_taxonomy
    from engine.training import evaluate as evaluation
    from engine.training import scenes
    from engine.training.figures import summary

    if store is None:
        raise BadInput("--route measures on a corpus: name one with --store.")
    folders = Folders.of_user()
    with waiting(f"Loading {model}"):
        separator = evaluation.load(model, folders)
    origin = f"tweeze evaluate {model} --route --pairs {pairs} --seed {seed}"
    rows = []
    for family, part in scenes.family_sets(store, load_taxonomy(), pairs, seed):
        try:
            separator.embed(FAMILIES[family])
        except BadQuery:
            continue
        with _progress(f"Separating {family}", part.count) as step:
            scores = evaluation.measure(separator, part, step).scores
        figures = summary(scores)
        rows.append(Route(family, model, figures["SI-SDRi mean"], len(scores), origin))
        print(
            f"{family:14} n {len(scores):4}  SI-SDRi mean {figures['SI-SDRi mean']:6.2f} dB, "
            f"median {figures['SI-SDRi median']:6.2f} dB",
            flush=True,
        )
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    else:
        folders.make()
    path = routes_file(folders) if out is None else out / "routes.csv"
    write_routes(path, rows)
    print(f"Noted in {path}")


def train(
    store: Annotated[
        Path,
        typer.Argument(
            metavar="STORE", help="Folder written by 'python -m engine.training.corpus build'."
        ),
    ],
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of this run; an existing one goes on.")
    ],
    start: Annotated[
        Path | None, typer.Option(help="Weights to begin a new run with, instead of random ones.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Where to stop.")] = 8000,
    decay: Annotated[int, typer.Option(min=0, help="Steps of falling rate at the end.")] = 2000,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 1.5e-3,
    mixtures: Annotated[
        int, typer.Option(min=1, help="Mixtures a step and process, two queries each.")
    ] = 4,
    every: Annotated[int, typer.Option(min=1, help="Steps between two validations.")] = 300,
    validation_pairs: Annotated[int, typer.Option(min=1, help="Mixtures of a validation.")] = 120,
    seed: Annotated[int, typer.Option(min=0, help="Decides all that is random.")] = 1,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Minutes at first, then 1.4 times as fast.")
    ] = False,
    processes: Annotated[int, typer.Option(min=1, help="How many; one a core.")] = 2,
    port: Annotated[int, typer.Option(help="Where they meet, on this machine.")] = 29517,
) -> None:
    """Train compact's network on a corpus; can be stopped at any time and goes on where it was.

    RUN gets the averaged weights (weights.safetensors), the losses and the held-out figures
    (log.csv, validation.csv, curve.png), and all that it takes to go on (checkpoint.pt).
    """
    from argparse import Namespace

    if not (store / "clips.csv").is_file():
        raise BadInput(f"{store} is not a corpus: 'clips.csv' is missing.")
    if start is not None and not start.is_file():
        raise BadInput(f"There is no file {start}: check the path.")
    with waiting("Loading torch"):
        from engine.training.train import launch as begin

    begin(
        Namespace(
            store=store, run=run, start=start, steps=steps, decay=decay, rate=rate,
            mixtures=mixtures, every=every, validation_pairs=validation_pairs, seed=seed,
            compile=compiled, processes=processes, port=port,
        )
    )  # fmt: skip
    print(f"{run / 'weights.safetensors'} holds the averaged weights.")


def finetune(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="Your recordings: a folder with a sub-folder for each sound, named after it; or a "
            "CSV file (wav,caption); or AudioSep's JSON.",
        ),
    ],
    name: Annotated[str, typer.Option(help="What to call the new model.")],
    base: Annotated[
        str, typer.Option("--from", help="The model to begin with: compact, or one you added.")
    ] = "compact",
    store: Annotated[
        Path | None, typer.Option(help="A corpus to mix your recordings with, too.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Where to stop at the latest.")] = 400,
    rate: Annotated[float, typer.Option(min=0, help="Peak learning rate; 0: the usual one.")] = 0,
    every: Annotated[int, typer.Option(min=1, help="Steps between two validations.")] = 50,
    patience: Annotated[
        int, typer.Option(min=1, help="Validations without a better one before it stops.")
    ] = 5,
    mixtures: Annotated[int, typer.Option(min=1, help="Mixtures a step.")] = 4,
    pairs: Annotated[int, typer.Option(min=1, help="Held-out mixtures of a validation.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Decides all that is random.")] = 1,
    as_json: Json = False,
) -> None:
    """Teach a model your own sounds; makes a new model that works like any other.

    A fifth of your recordings is held out, to tell how much it learns; the step that was best on
    them is kept. The same command goes on where it was interrupted.
    """
    from engine.display import shown

    with waiting("Loading torch"):
        from engine.training.finetune import Settings
        from engine.training.finetune import finetune as learn

    def say(sentence: str) -> None:
        print(shown(sentence), file=sys.stderr, flush=True)

    settings = Settings(steps, rate, every, patience, mixtures, pairs, seed)
    folders = Folders.of_user()
    made = learn(data, name, folders, base=base, store=store, settings=settings, say=say)
    if as_json:
        facts = {"name": name, "before": made.before, "after": made.after, "step": made.step}
        print(json.dumps(facts))
        return
    print(
        f"On held-out recordings: {made.before:.2f} dB before, {made.after:.2f} dB after "
        f"(step {made.step}; mean SI-SDRi)."
    )
    print(f"{name} is ready: tweeze separate FILE QUERY --model {name}")


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal; yields a function to call with how many more are done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.update(task, advance=count)
