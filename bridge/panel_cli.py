"""`tweeze panel`: the page in the browser, with a recording if one is named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bridge.client import Client
from bridge.patience import waiting
from engine.display import shown
from engine.errors import BadInput, Cancelled, Failure
from engine.folders import Folders
from engine.job import new_id
from engine.request import Request
from engine.status import JobState

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(panel)


def panel(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="An audio file; '-' is standard input.")
    ] = None,
    browser: Annotated[
        bool,
        typer.Option("--browser/--no-browser", help="Start the browser, or only print the link."),
    ] = True,
) -> None:
    """Open the panel in the browser: spectrograms, sounds to ask for, and lanes to listen to.

    Prints the file that leads there: it works once, within a minute, and for you alone. The engine
    serves the page to this machine only, and stops doing so ten minutes after it was closed.
    """
    from contextlib import nullcontext

    from bridge.streams import source

    folders = Folders.of_user()
    client = Client(folders)
    with source(file, folders) if file is not None else nullcontext() as recording:
        fields = [("action", "panel")]
        if recording is not None:
            fields += [("file", str(recording.path)), ("title", recording.title)]
        with waiting("Opening the panel"):
            status = client.request(Request(new_id(), "", tuple(fields)))
    if status.state is JobState.CANCELLED:
        raise Cancelled("Opening the panel was cancelled.")
    if status.state is JobState.FAILED:
        raise BadInput(status.message) if status.bad_input else Failure(status.message)
    page = Path(status.message)
    print(shown(str(page)), flush=True)
    if browser:
        _start_browser(page)


def _start_browser(page: Path) -> None:
    """Open the link in the user's browser; what others can read of its start is a file's name."""
    import webbrowser

    try:
        started = webbrowser.open(page.as_uri())
    except webbrowser.Error:
        started = False
    if not started:
        print("No browser could be started: open that file in yours.", file=sys.stderr)
