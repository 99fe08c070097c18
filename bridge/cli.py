"""The command line. Each command asks the engine or looks at its files; none loads a model."""

from __future__ import annotations

import os
import sys

if (
    __name__ == "__main__"
    and sys.orig_argv[-len(sys.argv) - 1] == "-m"
    and not getattr(sys.flags, "safe_path", False)
    and sys.path[0] != os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120
):
    # 'python -m' would take every module from the working folder first.
    del sys.path[0]

import contextlib
import errno
import json
import time
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bridge import advice_cli, hosts_cli, launch, models_cli, training_cli
from bridge.client import Client
from bridge.inputs import files_and_queries, for_each
from bridge.interruption import Interrupted
from engine.cores import limit_threads
from engine.display import shown
from engine.errors import BadInput, BadJob, Cancelled, TweezeError
from engine.files import read_small
from engine.folders import Folders
from engine.job import (
    Bandwidth,
    Context,
    JobState,
    Keep,
    Memory,
    Options,
    Precision,
    Status,
    Stereo,
    check_id,
)
from engine.queue.heartbeat import STALLED, VERSION, Heartbeat

__all__ = ["app", "main", "run"]

_BY_USE = (
    *("separate", "listen", "suggest", "demo"),
    *("install", "uninstall", "trigger", "insert", "osc"),
    *("models", "evaluate", "finetune", "train"),
    *("status", "cancel", "start", "stop", "log", "doctor"),
)


class _Commands(TyperGroup):
    """Lists the commands by use, wherever they were added."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names, what one wants first leading."""
        return sorted(super().list_commands(ctx), key=lambda name: (*_BY_USE, name).index(name))


app = typer.Typer(
    name="tweeze",
    cls=_Commands,
    help="Tweeze pulls the sound you describe out of your timeline.",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

hosts_cli.add_to(app)
advice_cli.add_to(app)

app.add_typer(models_cli.app, name="models")

training_cli.add_to(app)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def main() -> None:
    """Run the command line and end the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    limit_threads()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Carry out a command and return its exit code; every error is one sentence on stderr.

    0 is success, 2 a wrong request, 1 a failure, 130 Ctrl-C.
    """
    try:
        code: Any = app(arguments, standalone_mode=False, prog_name="tweeze")
    except (Interrupted, KeyboardInterrupt, typer.Abort) as interruption:
        print("Cancelled.", file=sys.stderr)
        return getattr(interruption, "exit_code", 130)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has had enough
        return 1
    except TweezeError as error:
        if "--debug" in arguments:
            traceback.print_exc()
        print(shown(str(error)), file=sys.stderr)
        return 2 if isinstance(error, BadInput) else 130 if isinstance(error, Cancelled) else 1
    except Exception as error:
        if hasattr(error, "format_message"):  # a wrong option or argument, as typer found it
            print(shown(" ".join(_usage(error).split())), file=sys.stderr)
            return 2
        if "--debug" in arguments:
            traceback.print_exc()
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            name = shown(str(error.filename))
            print(
                f"No file can have so long a name: {name[:60]}…: check the path.", file=sys.stderr
            )
            return 2
        sentence = _known(error)
        if sentence:
            print(shown(sentence), file=sys.stderr)
            return 2
        reason = shown(" ".join(f"{type(error).__name__}: {error}".split()))
        print(
            f"Tweeze failed in a way it does not know ({reason}): "
            "run the command again with 'tweeze --debug ...' to see where.",
            file=sys.stderr,
        )
        return 1
    return code if isinstance(code, int) else 0


def _known(error: Exception) -> str:
    """Return what to say of an odd machine, or '' where the fault is not known to be its."""
    if isinstance(error, FileNotFoundError) and _working_folder_is_gone():
        return "The working folder is no longer there: change to another one and try again."
    if isinstance(error, UnicodeEncodeError) and not error.object.isprintable():
        return f"A name holds bytes that are no UTF-8 ({error.object[-80:]}): rename the file."
    if isinstance(error, OSError) and error.filename:
        return (
            f"{error.filename} cannot be used ({error.strerror}): check its path and permissions."
        )
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return "This user has no home folder: set HOME to a folder of yours and try again."
    return ""


def _working_folder_is_gone() -> bool:
    try:
        os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        return True
    return False


def _usage(error: Any) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "tweeze"
    return f"{error.format_message().rstrip('.')}: see '{command} --help'."


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tweeze {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Tweeze pulls the sound you describe out of your timeline."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(short_help="Pull the sounds that you describe out of recordings.")
def separate(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE... QUERY...",
            help="Audio files, then the sounds, like 'dog barking'. The first argument is a file, "
            "and so are those behind it that name existing files.",
        ),
    ],
    query: Annotated[
        list[str] | None,
        typer.Option("--query", "-q", help="A sound; then all arguments are files. Repeatable."),
    ] = None,
    model: Annotated[
        str, typer.Option(help="One of those that 'tweeze models' lists.")
    ] = "compact",
    keep: Annotated[Keep, typer.Option(help="The sounds, the rest, or both.")] = Keep.TARGET,
    out: Annotated[Path, typer.Option(help="Folder for the clips.")] = Path(),
    stereo: Annotated[
        Stereo, typer.Option(help="Channels one by one, or with one mask.")
    ] = Stereo.INDEPENDENT,
    bandwidth: Annotated[
        Bandwidth, typer.Option(help="Whether the mask goes on above the model's own band.")
    ] = Bandwidth.FULL,
    sharpness: Annotated[
        float, typer.Option(help="Above 1: less of what only resembles the sound; 0.1 to 10.")
    ] = 1.0,
    precision: Annotated[
        Precision, typer.Option(help="Draft is faster and rougher, where the model can.")
    ] = Precision.EXACT,
    context: Annotated[
        Context, typer.Option(help="Short is faster, where the model can.")
    ] = Context.EXACT,
    memory: Annotated[
        Memory, typer.Option(help="Low takes less memory and more time.")
    ] = Memory.DEFAULT,
    as_json: Json = False,
) -> None:
    """Pull the described sounds out of files; prints the clips' paths, one a line.

    Each file is separated on its own. Where one of them fails, the others are still done, and the
    exit code is that of a failure: 2 if a file or the request is wrong, 1 if the work went wrong.
    With --json there is one object for each file, one a line.
    """
    from bridge.separating import separate

    files, queries = files_and_queries(arguments, query or ())
    options = Options(
        model, keep, stereo, bandwidth, sharpness, precision, context=context, memory=memory
    )

    def each(file: Path) -> None:
        result = separate(file, queries, options, out)
        for note in result.status.notes:
            print(shown(note), file=sys.stderr)
        if as_json:
            print(result.to_json(), flush=True)
        else:
            for path in result.paths:
                # A program that reads this gets the path itself, a terminal what is harmless.
                print(shown(str(path)) if sys.stdout.isatty() else path, flush=True)

    for_each(files, each)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for clips and picture.")] = Path("demo-output"),
    model: Annotated[
        str, typer.Option(help="One of those that 'tweeze models' lists.")
    ] = "compact",
) -> None:
    """Separate the bundled recording, and say how well that went."""
    from bridge import demo as demonstration

    demonstration.run(out, model=model)


@app.command()
def start() -> None:
    """Start the engine, if it does not run."""
    beat, started = launch.ensure(Folders.of_user())
    print(f"The engine {'has started' if started else 'was running'} (process {beat.pid}).")


@app.command()
def stop() -> None:
    """End the engine; a running job goes on at the next start."""
    ended = launch.stop(Folders.of_user())
    print("The engine has ended." if ended else "The engine was not running.")


@app.command()
def status(
    job: Annotated[str, typer.Argument(help="A job's id; without it, the engine.")] = "",
    as_json: Json = False,
) -> None:
    """Say what the engine does, or where a job stands."""
    folders = Folders.of_user()
    if job:
        found = Client(folders).status(check_id(job))
        if found is None:
            raise BadJob(f"There is no job {job}: see 'tweeze status' for those there are.")
        print(json.dumps(_job_facts(found)) if as_json else _job_lines(found))
        return
    beat = Heartbeat.of_living(folders)
    jobs = _recent(folders)
    if as_json:
        facts = {
            "running": beat is not None,
            "engine": None if beat is None else vars(beat),
            "jobs": [_job_facts(found) for found in jobs],
        }
        print(json.dumps(facts))
        return
    if beat is None:
        print("The engine is not running; any command that needs it starts it.")
    else:
        models = ", ".join(beat.models) or "no model"
        print(
            f"The engine {shown(beat.version)} is {beat.state} (process {beat.pid}, {models} in "
            f"memory, {beat.queue} waiting)."
        )
        if beat.stalled >= STALLED:
            doing = f"Job {beat.running}" if beat.running else "Looking at a waiting job's file"
            print(
                f"{doing} has not come on for {beat.stalled} s; 'tweeze cancel JOB' ends a job "
                "within half a minute."
            )
        if beat.notice:
            print(shown(beat.notice))
    for found in jobs:
        share = f" {found.progress:.0%}" if found.state is JobState.RUNNING else ""
        reason = f": {shown(found.message)}" if found.state is JobState.FAILED else ""
        print(f"{found.id}  {found.state.value}{share}{reason}")


@app.command()
def cancel(job: Annotated[str, typer.Argument(help="The job's id.")]) -> None:
    """Cancel a job that waits or runs."""
    client = Client(Folders.of_user())
    found = client.status(check_id(job))
    if not client.knows(job):
        raise BadJob(f"There is no job {job}: see 'tweeze status' for those there are.")
    if found is not None and found.state.final:
        print(f"Job {job} had already ended ({found.state.value}).")
        return
    launch.ensure(client.folders, any_version=True)
    client.cancel(job)
    print(f"Job {job}: {client.follow(job).state.value}.")


@app.command()
def log(
    lines: Annotated[int, typer.Option("-n", min=0, help="How many lines.")] = 50,
    follow: Annotated[bool, typer.Option("-f", help="Go on with what comes.")] = False,
) -> None:
    """Show the end of the engine's log."""
    path = Folders.of_user().log
    if not path.exists() and not follow:
        print("The engine has not written a log yet.")
        return
    position = 0
    with contextlib.suppress(FileNotFoundError):
        data = path.read_bytes()
        position = len(data)
        text = data.decode("utf-8", "replace").removesuffix("\n")
        for line in text.split("\n")[-lines or position :] if text else ():
            print(shown(line))
    while follow:
        time.sleep(0.2)
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            if path.stat().st_size < position:  # a new file: the log was rotated
                position = 0
            file.seek(position)
            more = file.read()
            position += len(more)
            text = more.decode("utf-8", "replace")
            print("\n".join(shown(line) for line in text.split("\n")), end="", flush=True)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is installed, what is wrong, and what to do about it."""
    from bridge.doctor import examine

    folders = Folders.of_user()
    checks = [*examine(folders), *hosts_cli.examine(folders)]
    if as_json:
        print(json.dumps([vars(check) for check in checks]))
    else:
        for check in checks:
            print(f"{'ok   ' if check.ok else 'WRONG'}  {check.name}: {check.said}")
            if not check.ok:
                print(f"       {check.remedy}")
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def _recent(folders: Folders, limit: int = 5) -> list[Status]:
    """Return the unfinished jobs and those that ended last, the latest first."""
    times = []
    with contextlib.suppress(FileNotFoundError):
        for path in folders.status.iterdir():
            with contextlib.suppress(FileNotFoundError):  # it is replaced, or goes, as we look
                if not path.name.startswith("."):
                    times.append((path.stat().st_mtime_ns, path))
    found = []
    ended = 0
    for _, path in sorted(times, reverse=True):
        try:
            status = Status.from_text(read_small(path))
        except (BadInput, OSError):
            continue
        ended += status.state.final
        if not status.state.final or ended <= limit:
            found.append(status)
    return found


def _job_facts(status: Status) -> dict[str, Any]:
    return {
        "id": status.id,
        "state": status.state.value,
        "progress": status.progress,
        "message": status.message,
        "seconds": status.seconds,
        "loading": status.loading,
        "clips": [
            {"path": str(clip.path), "kind": clip.kind.value, "query": clip.query}
            for clip in status.clips
        ],
        "presence": list(status.presence),
        "notes": list(status.notes),
    }


def _job_lines(status: Status) -> str:
    rows = [f"{status.id}  {status.state.value}"]
    if status.state is JobState.RUNNING:
        rows[0] += f" {status.progress:.0%}"
    if status.message:
        rows.append(status.message)
    rows += [str(clip.path) for clip in status.clips]
    return "\n".join(map(shown, [*rows, *status.notes]))


if __name__ == "__main__":
    main()
