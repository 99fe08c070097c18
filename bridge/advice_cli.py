"""`tweeze suggest` and `tweeze listen`: what to ask for, and what is there to be asked for."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge import labels as label_file
from bridge.inputs import for_each, recordings, sounds
from bridge.listening import listen as listen_to
from bridge.tables import table
from engine.display import shown
from engine.errors import BadInput
from engine.folders import Folders

if TYPE_CHECKING:
    from engine.advice.suggestions import Suggestion
    from engine.status import Heard

__all__ = ["add_to"]

_TIMES = 12  # stretches of one sound that a table on a terminal names
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(suggest)
    app.command()(listen)


def suggest(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="A sound, like 'pheasant'.")],
    as_json: Json = False,
) -> None:
    """Name broader and related terms that may work better than QUERY.

    The best one comes first. How well the bundled model separates each of them was measured on
    recordings that it was not trained on; the figure says by how many decibels the clip was nearer
    to the true sound than the mixture. Prints one term a line where the output is not a terminal.
    """
    from engine.advice import sentences, stems, suggestions
    from engine.models import router

    (wanted,) = sounds([query], "'tweeze listen FILE' says what is heard in one")
    found = suggestions.suggest(wanted)
    specialist = router.specialist_for(wanted, Folders.of_user())
    note = sentences.specialist_sentence(wanted, specialist) if specialist else ""
    if not note and stems.is_stem(wanted):
        note = sentences.stem_sentence([wanted])
    note = note or sentences.english_sentence(wanted)
    if as_json:
        print(
            json.dumps({"query": wanted, "suggestions": [_facts(o) for o in found], "note": note})
        )
        return
    if note:
        print(shown(note), file=sys.stderr)
    if not found:
        if not note:
            print(
                f"No sound that Tweeze knows is similar to '{shown(wanted)}': describe the kind of "
                "sound in other words.",
                file=sys.stderr,
            )
        return
    table(
        ("term", "", "how well it is separated"),
        [(one.term, one.relation.value, _quality(one)) for one in found],
    )


def listen(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Audio files; '-' is standard input.")
    ],
    model: Annotated[
        str, typer.Option(help="A model that listens; 'tweeze models' lists them all.")
    ] = "ears",
    as_json: Json = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the stretches there too: labels for Audacity, or regions for REAPER "
            "where FILE ends in .csv.",
        ),
    ] = None,
) -> None:
    """Say which sounds are likely in recordings, and when: words to ask for.

    The likeliest sound comes first, by its most specific name. Nothing is written, but for the
    file of --labels. Audacity reads that with File > Import > Labels, REAPER in the Region/Marker
    Manager.
    Of several files each is named before what is heard in it; with --json there is one object for
    each file, one a line.
    """
    found = recordings(files)
    if labels is not None:
        if len(found) > 1:
            raise BadInput(
                f"--labels names one file, and there are {len(found)} recordings: listen to each "
                "of them with a file of its own."
            )
        label_file.check(labels)

    def each(file: Path) -> None:
        _listen(file, model, as_json=as_json, named=len(found) > 1, labels=labels)

    for_each(found, each)


def _listen(file: Path, model: str, *, as_json: bool, named: bool, labels: Path | None) -> None:
    status = listen_to(file, model)
    events = any(one.events for one in status.heard)
    if labels is not None:
        label_file.write(labels, status.heard)
        if not events:
            print(shown(f"No sound stands out: {labels} is empty."), file=sys.stderr)
    for note in status.notes:
        print(shown(note), file=sys.stderr)
    if as_json:
        facts = {
            "id": status.id,
            "file": str(file),
            "model": model,
            "seconds": status.seconds,
            "loading": status.loading,
            "heard": [
                {
                    "name": one.name,
                    "label": one.label,
                    "probability": one.probability,
                    "times": one.times,
                    "events": [vars(event) for event in one.events],
                }
                for one in status.heard
            ],
            "notes": list(status.notes),
        }
        print(json.dumps(facts), flush=True)
        return
    if named:
        print(f"{shown(str(file))}:", flush=True)
    if status.heard and not events:
        print("No sound stands out; the likeliest are:", file=sys.stderr)
    table(
        ("sound", "likely", "heard at"),
        [(one.name, f"{one.probability:.0%}", _when(one)) for one in status.heard],
    )


def _facts(one: Suggestion) -> dict[str, object]:
    return {
        "term": one.term,
        "class": one.name,
        "relation": one.relation.value,
        "nearness": one.nearness,
        "gain": one.gain,
        "separates_well": one.separates_well,
    }


def _quality(one: Suggestion) -> str:
    if one.gain is None:
        return "not measured"
    word = "well" if one.separates_well else "a little" if one.gain >= 1 else "badly"
    return f"{word} ({one.gain:+.1f} dB)"


def _when(one: Heard) -> str:
    """Return the times; a terminal is told of the first few."""
    times = [f"{_clock(start)}-{_clock(stop)}" for start, stop in one.times]
    if sys.stdout.isatty() and len(times) > _TIMES + 1:
        times = [*times[:_TIMES], f"and {len(times) - _TIMES} more"]
    return ", ".join(times)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:04.1f}"
