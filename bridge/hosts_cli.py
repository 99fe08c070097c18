"""`tweeze install`, `uninstall`, `trigger`, `insert`, `osc`: what has to do with an editor."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge import launch, login
from bridge.client import Client
from bridge.inputs import sounds
from bridge.option_flags import takes_options
from bridge.patience import waiting
from engine.errors import BadInput, Failure, HostError
from engine.files import replace_text
from engine.folders import Folders
from engine.job import new_id
from engine.option_types import write
from engine.options import Options
from engine.request import Request
from engine.settings import Settings
from engine.status import JobState, Status

if TYPE_CHECKING:
    from bridge.doctor import Check

__all__ = ["add_to", "examine"]


class Editor(str, Enum):
    """The editors that have menu commands to install."""

    AUDACITY = "audacity"
    REAPER = "reaper"


Where = Annotated[Editor, typer.Argument(help="The editor.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(short_help="Put Tweeze's commands into Audacity or REAPER.")(install)
    app.command(short_help="Take Tweeze's commands out of an editor.")(uninstall)
    app.command(short_help="Do what the editor's menu command does.")(trigger)
    app.command(short_help="Insert clips that were kept into the project in front.")(insert)
    app.command(short_help="Show where the engine listens for OSC, and the secret for it.")(osc)


def install(
    editor: Where,
    resource: Annotated[
        Path | None, typer.Option(help="REAPER's resource folder, if it is not the usual one.")
    ] = None,
    osc: Annotated[
        bool, typer.Option("--osc", help="REAPER listens to OSC, on EVERY network interface.")
    ] = False,
) -> None:
    """Put Tweeze's commands into an editor, and have the engine start at login."""
    folders = Folders.of_user()
    Settings.of_environment()  # else the engine's start would fail when all else is done
    folders.make()
    if editor is Editor.REAPER:
        from reaper.install import find as find_reaper
        from reaper.install import install as put_into_reaper

        done = put_into_reaper(find_reaper(resource), folders, osc=osc)
        hint = (
            "In REAPER: select items, then Ctrl+Alt+Y, or Actions > 'Tweeze - separate selection'."
        )
    else:
        from audacity.install import find
        from audacity.install import install as put_in
        from engine import models

        if resource is not None or osc:
            raise BadInput("--resource and --osc are for REAPER: leave them out.")
        done = put_in(find(), folders, models.names(folders))
        hint = "In Audacity: select audio, then Tools > Tweeze > Tweeze... (or Ctrl+Alt+Y)."
    done.append(login.enable(folders))
    with waiting("Starting the engine"):
        beat, started = launch.ensure(folders)
    done.append(f"The engine {'has started' if started else 'runs'} (process {beat.pid}).")
    for sentence in [*done, hint]:
        print(sentence)


def uninstall(editor: Where) -> None:
    """Take Tweeze's commands out of an editor; what you changed since stays."""
    from audacity.install import installed as in_audacity
    from audacity.install import uninstall as take_out_of_audacity
    from reaper.install import installed as in_reaper
    from reaper.install import uninstall as take_out_of_reaper

    folders = Folders.of_user()
    take_out = take_out_of_reaper if editor is Editor.REAPER else take_out_of_audacity
    for sentence in take_out(folders):
        print(sentence)
    if not in_audacity(folders) and not in_reaper(folders):
        print(login.disable())


@takes_options
def trigger(
    queries: Annotated[
        list[str] | None, typer.Argument(metavar="[QUERY]...", help="The sounds, in words.")
    ] = None,
    host: Annotated[Editor, typer.Option(help="The editor.")] = Editor.AUDACITY,
    *,
    options: Options,
    mute: bool,
    again: Annotated[bool, typer.Option("--again", help="Repeat what was asked for last.")] = False,
) -> None:
    """Do what the editor's menu command does, for a hotkey of your desktop.

    Done once the engine has taken a job for each selected track; else it says why not.
    """
    if bool(queries) == again:
        raise BadInput("Name a sound, or say --again: 'tweeze trigger \"dog barking\"'.")
    fields: list[tuple[str, str]] = [("action", "again")]
    if queries:
        instead = "the editor's selection is separated, and a file by 'tweeze separate FILE QUERY'"
        fields = [("action", "separate"), *(("query", query) for query in sounds(queries, instead))]
        fields += [*write(options), ("mute", "yes" if mute else "no")]
    print(_ask(host, fields).message)


def insert(
    job: Annotated[str, typer.Argument(help="A job's id; without it, all that waits.")] = "",
    host: Annotated[Editor, typer.Option(help="The editor.")] = Editor.AUDACITY,
    again: Annotated[bool, typer.Option("--again", help="Also clips that are in already.")] = False,
) -> None:
    """Insert clips that were kept, into the project that is in front."""
    if again and not job:
        raise BadInput("Name the job whose clips are to go in again: 'tweeze insert JOB --again'.")
    fields = [("action", "insert"), ("again", "yes" if again else "no")]
    if job:
        fields.append(("job", job))
    print(_ask(host, fields).message)


def osc() -> None:
    """Show where the engine listens for OSC, and the secret with which every message begins."""
    from bridge.doors.osc import Access

    folders = Folders.of_user()
    with waiting("Starting the engine"):
        launch.ensure(folders)
    access = Access.read(folders)
    if access is None or not access.port:
        raise Failure(
            "The engine does not listen for OSC: another program uses its port. See 'tweeze log', "
            "or name another port with TWEEZE_OSC_PORT and restart the engine."
        )
    print(f"host    127.0.0.1\nport    {access.port}\nsecret  {access.secret}")


def _ask(host: Editor, fields: list[tuple[str, str]]) -> Status:
    """Send a request and wait until the engine has carried it out."""
    client = Client(Folders.of_user())
    with waiting("Starting the engine"):
        launch.ensure(client.folders)
    request = Request(new_id(), host.value, tuple(fields))
    text = request.to_text()  # refuses what cannot be sent before anything is
    try:
        replace_text(client.folders.requests / request.id, text)
    except OSError as error:
        raise Failure(
            f"{client.folders.requests} cannot be written ({error.strerror}): run 'tweeze doctor'."
        ) from error
    with waiting(f"Waiting for {host.value.capitalize()}"):
        status = client.follow(request.id, restart=False)
    if status.state is not JobState.DONE:
        kind = BadInput if status.bad_input else HostError
        raise kind(status.message or "The request was cancelled.")
    return status


def examine(folders: Folders) -> Iterator[Check]:
    """Look at what was installed into editors; says nothing where nothing was."""
    from audacity.install import check
    from audacity.install import installed as in_audacity
    from bridge.doctor import Check
    from reaper.install import faults
    from reaper.install import installed as in_reaper

    names = []
    if in_audacity(folders):
        names.append("audacity")
        for found in check(folders):
            yield Check(found.name, found.ok, found.said, found.remedy)
    resource = in_reaper(folders)
    if resource is not None:
        names.append("reaper")
        wrong = faults(folders)
        remedy = "Close REAPER and run 'tweeze install reaper' again."
        yield Check("REAPER's actions", not wrong, " ".join(wrong) or str(resource), remedy)
    if names:
        said = "this Tweeze" if login.is_current(folders) else "another one, or none"
        remedy = f"Close the editor and run 'tweeze install {names[0]}' again."
        yield Check("start at login", login.is_current(folders), said, remedy)
