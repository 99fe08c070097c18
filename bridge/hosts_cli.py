"""`tweeze install`, `uninstall`, `trigger`, `insert`, `osc`: what has to do with an editor."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer

from bridge import hosts, launch, login
from bridge.client import Client
from bridge.inputs import sounds
from bridge.option_flags import Nots, PresetName, is_typed, takes_options, typed
from bridge.patience import waiting
from engine.errors import BadInput, Failure, HostError
from engine.files import replace_text
from engine.folders import Folders
from engine.host import Check, Host, Option
from engine.job import check_nots, new_id
from engine.option_types import write
from engine.options import Options
from engine.presets import FIELD
from engine.request import Request
from engine.settings import Settings
from engine.status import JobState, Status

__all__ = ["add_to", "examine"]

_NAMES = "|".join(host.name for host in hosts.HOSTS)
_USUAL = hosts.HOSTS[0].name
Where = Annotated[str, typer.Argument(metavar="EDITOR", help=f"The editor: {_NAMES}.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(_with_options(install))
    app.command()(uninstall)
    app.command()(trigger)
    app.command()(insert)
    app.command()(osc)


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with the options that the editors declare, for its `**options`."""

    @functools.wraps(command)
    def extended(*arguments: Any, **options: Any) -> None:
        command(*arguments, **options)

    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    declared = [
        inspect.Parameter(
            option.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=option.default,
            annotation=Annotated[
                option.kind if option.kind is bool else option.kind | None,
                typer.Option(option.flag, help=option.help),
            ],
        )
        for host in hosts.HOSTS
        for option in host.options
    ]
    extended.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*own, *declared]
    )
    return extended


def install(editor: Where, **options: Any) -> None:
    """Put Tweeze's commands into an editor, and have the engine start at login."""
    host = hosts.named(editor)
    _refuse_strange(host, options)
    folders = Folders.of_user()
    Settings.of_environment()  # else the engine's start would fail when all else is done
    folders.make()
    with waiting(f"Preparing {host.title}"):  # a library may have to be built
        done = host.install(folders, {one.name: options[one.name] for one in host.options})
    done.append(login.enable(folders))
    with waiting("Starting the engine"):
        beat, started = launch.ensure(folders)
    done.append(f"The engine {'has started' if started else 'runs'} (process {beat.pid}).")
    for sentence in [*done, host.first_steps]:
        print(sentence)


def _refuse_strange(host: Host, options: dict[str, Any]) -> None:
    """Refuse options that only another editor understands."""

    def given(option: Option) -> bool:
        return bool(options[option.name] != option.default)

    for other in hosts.HOSTS:
        flags = [option.flag for option in other.options if given(option)]
        if other is not host and flags:
            are, them = ("are", "them") if len(flags) > 1 else ("is", "it")
            raise BadInput(f"{' and '.join(flags)} {are} for {other.title}: leave {them} out.")


def uninstall(editor: Where) -> None:
    """Take Tweeze's commands out of an editor; what you changed since stays."""
    folders = Folders.of_user()
    for sentence in hosts.named(editor).uninstall(folders):
        print(sentence)
    if not any(host.installed(folders) for host in hosts.HOSTS):
        print(login.disable())


@takes_options
def trigger(
    call: typer.Context,
    queries: Annotated[
        list[str] | None, typer.Argument(metavar="QUERY", help="The sounds, in words.")
    ] = None,
    nots: Nots = None,
    preset: PresetName = "",
    host: Annotated[str, typer.Option(metavar=f"<{_NAMES}>", help="The editor.")] = _USUAL,
    *,
    options: Options,
    mute: bool,
    again: Annotated[bool, typer.Option("--again", help="Repeat what was asked for last.")] = False,
) -> None:
    """Do what the editor's menu command does, for a hotkey of your desktop.

    Done once the engine has taken a job for each selected track; else it says why not.
    What is named with --not competes with the sounds: what both could be goes to the likelier one.
    --preset NAME stands for what a preset holds; with --again, in place of what was asked for last.
    """
    if again if queries else not (again or preset):
        raise BadInput("Name a sound, or say --again: 'tweeze trigger \"dog barking\"'.")
    if again and nots:
        raise BadInput("--again repeats what was not wanted, too: leave --not out.")
    muted = ("mute", "yes" if mute else "no")
    fields: list[tuple[str, str]] = [("action", "again" if again else "separate")]
    if again and is_typed(call, "mute"):
        fields.append(muted)
    if queries or nots:
        instead = "the editor's selection is separated, and a file by 'tweeze separate FILE QUERY'"
        wanted, unwanted = sounds(queries or (), instead), sounds(nots or (), instead)
        check_nots(wanted, unwanted)
        fields += [("query", query) for query in wanted]
        fields += [("not", text) for text in unwanted]
    if preset:
        fields.append((FIELD, preset))
    fields += typed(call) if preset or again else write(options)
    if not again:
        fields.append(muted)
    print(_ask(host, fields).message)


def insert(
    job: Annotated[
        str, typer.Argument(metavar="JOB", help="Its id; without it, all that waits.")
    ] = "",
    host: Annotated[str, typer.Option(metavar=f"<{_NAMES}>", help="The editor.")] = _USUAL,
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
        if not Settings.of_environment().osc_port:
            raise Failure(
                "OSC is switched off (TWEEZE_OSC_PORT is 0): unset that variable, run 'tweeze "
                "stop', and try again."
            )
        raise Failure(
            "The engine does not listen for OSC: another program uses its port. See 'tweeze log', "
            "or name another port with TWEEZE_OSC_PORT and restart the engine."
        )
    print(f"host    127.0.0.1\nport    {access.port}\nsecret  {access.secret}")


def _ask(host: str, fields: list[tuple[str, str]]) -> Status:
    """Send a request and wait until the engine has carried it out."""
    editor = hosts.named(host)
    client = Client(Folders.of_user())
    with waiting("Starting the engine"):
        launch.ensure(client.folders)
    request = Request(new_id(), editor.name, tuple(fields))
    text = request.to_text()  # refuses what cannot be sent before anything is
    try:
        replace_text(client.folders.requests / request.id, text)
    except OSError as error:
        raise Failure(
            f"{client.folders.requests} cannot be written ({error.strerror}): run 'tweeze doctor'."
        ) from error
    with waiting(f"Waiting for {editor.title}"):
        status = client.follow(request.id, restart=False)
    if status.state is not JobState.DONE:
        kind = BadInput if status.bad_input else HostError
        raise kind(status.message or "The request was cancelled.")
    return status


def examine(folders: Folders) -> Iterator[Check]:
    """Examine what was installed into editors; yields nothing where nothing was."""
    present = [host for host in hosts.HOSTS if host.installed(folders)]
    for host in present:
        yield from host.check(folders)
    if present:
        said = "this Tweeze" if login.is_current(folders) else "another one, or none"
        remedy = f"Close the editor and run 'tweeze install {present[0].name}' again."
        yield Check("start at login", login.is_current(folders), said, remedy)
