"""`tweeze presets ...`: sounds and options under a name: listing, saving, removing."""

from __future__ import annotations

import functools
import json
from typing import Annotated

import typer

from bridge.client import Client
from bridge.inputs import sounds
from bridge.option_flags import takes_changes
from bridge.preset_use import KEEP, changed, sentence
from bridge.separating import raise_unless_done
from bridge.tables import table
from engine.display import shown
from engine.folders import Folders
from engine.job import new_id
from engine.option_types import table as options_of
from engine.options import Options
from engine.presets import OPTIONS, Preset, clean_name
from engine.queue.preset_file import PresetFile
from engine.request import Request

__all__ = ["add_to"]

_app = typer.Typer(
    help="Sounds and options under a name: list, save, remove.\n\n"
    "'tweeze separate FILE --preset NAME' and 'tweeze trigger --preset NAME' use one; so does "
    "@NAME where a sound is typed.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON list.")]
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The preset's name; capitals do not matter.")
]
_FLEETING = tuple(one.name for one in options_of(Options) if one.name not in OPTIONS)


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(_app, name="presets")


@_app.callback(invoke_without_command=True)
def _default(context: typer.Context, as_json: Json = False) -> None:
    """The presets, and what each holds; without a command, list them."""
    if context.invoked_subcommand is None:
        _list(as_json=as_json)


@_app.command("list")
def list_presets(as_json: Json = False) -> None:
    """List the presets, and what each holds."""
    _list(as_json=as_json)


@_app.command()
@functools.partial(takes_changes, without=_FLEETING)
def save(
    name: Name,
    queries: Annotated[
        list[str] | None, typer.Argument(metavar="QUERY", help="The sounds, in words.")
    ] = None,
    nots: Annotated[
        list[str] | None, typer.Option("--not", help="What is not wanted. Repeatable.")
    ] = None,
    job: Annotated[
        str,
        typer.Option("--from", metavar="JOB", help="Take what a job asked for: its id, or 'last'."),
    ] = "",
    *,
    changes: list[tuple[str, str]],
) -> None:
    """Keep sounds and options under a name, in place of what was kept under it.

    It holds what is named here, and nothing else. With --from it holds what that job asked for, and
    what is named here in place of that; an empty value, like --not '', takes away what there was.
    """
    folders = Folders.of_user()
    instead = "a preset is for any recording: leave it out"
    fields = [*changes, *(("query", text) for text in sounds(queries or (), instead))]
    fields += [("not", text) for text in nots or ()]
    if not job:
        made, replaced = PresetFile(folders).save(changed(Preset(name), fields))
        print(shown(sentence(made, replaced=replaced)))
        return
    asked = [("action", KEEP), ("name", clean_name(name)), ("job", job), *fields]
    status = Client(folders).request(Request(new_id(), "", tuple(asked)))
    raise_unless_done(status)
    print(shown(status.message))


@_app.command()
def remove(name: Name) -> None:
    """Remove a preset; jobs that came of it stay."""
    gone = PresetFile(Folders.of_user()).remove(name)
    print(shown(f"'{gone.name}' was removed: it held {gone.words}."))


def _list(*, as_json: bool) -> None:
    presets = PresetFile(Folders.of_user()).all()
    if as_json:
        print(json.dumps([preset.facts for preset in presets]))
        return
    if not presets:
        print("There are no presets: save one with 'tweeze presets save NAME QUERY ...'.")
        return
    table(("preset", "holds"), [(preset.name, preset.words) for preset in presets])
