"""The command line. Each command asks the engine or looks at its files; none loads a model.

Which commands there are is said in `bridge.commands`; here they are one program, with exit codes.
"""

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
import traceback
from typing import Annotated, Any

import typer

from bridge import usage
from bridge.commands import Commands
from bridge.interruption import Interrupted
from engine.cores import limit_threads
from engine.display import shown
from engine.errors import BadInput, Cancelled, TweezeError

__all__ = ["app", "main", "run"]

app = typer.Typer(
    name="tweeze",
    cls=Commands,
    help="Tweeze pulls the sound you describe out of your timeline.",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    limit_threads()
    sys.exit(run(sys.argv[1:]))


def _open_streams() -> None:
    """Open what whoever started this closed (`>&-`), so that no file of ours takes its place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            with contextlib.suppress(OSError):
                os.fstat(number)
                continue
            handle = os.open(os.devnull, os.O_RDWR)
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
            os.set_inheritable(number, True)  # processes that this one starts need it as well
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


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
            print(shown(" ".join(usage.sentence(error, arguments).split())), file=sys.stderr)
            return 2
        if "--debug" in arguments:
            traceback.print_exc()
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            name = shown(str(error.filename))
            print(
                f"The name '{name[:60]}…' is too long for a file: check the path.", file=sys.stderr
            )
            return 2
        sentence = _known(error)
        if sentence:
            print(shown(sentence), file=sys.stderr)
            return 2
        reason = shown(" ".join(f"{type(error).__name__}: {error}".split()))
        print(
            f"Unexpected error ({reason}): run the command again with 'tweeze --debug ...' to see "
            "where it happened.",
            file=sys.stderr,
        )
        return 1
    return code if isinstance(code, int) else 0


def _known(error: Exception) -> str:
    """Return what to say of an odd machine, or '' where the fault is not known to be its."""
    if isinstance(error, FileNotFoundError) and _working_folder_is_gone():
        return "The working folder is no longer there: change to another one and try again."
    if isinstance(error, UnicodeEncodeError) and not error.object.isprintable():
        return f"The name {error.object[-80:]} is not valid UTF-8: rename the file."
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


def _version(wanted: bool) -> None:
    if wanted:
        from engine.queue.heartbeat import VERSION

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


if __name__ == "__main__":
    main()
