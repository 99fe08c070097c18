"""What the command line says of options and arguments that it cannot take, in one sentence each."""

from __future__ import annotations

import difflib
import inspect
import re
import typing
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from typer.models import ParameterInfo

__all__ = ["sentence", "with_dashed_files"]


def sentence(error: Any, arguments: Sequence[str]) -> str:
    """Return what is wrong with a command line: the option, its value, and what it takes.

    `error` is a usage error of typer's or, in older versions, of click's.
    """
    if getattr(error, "ctx", None) is not None:
        command = str(error.ctx.command_path)
    else:
        command = " ".join(["tweeze", *(word for word in arguments[:1] if word.isalpha())])
    return f"{_complaint(error, command, arguments)}: see '{command} --help'."


def with_dashed_files(command: Any, arguments: Sequence[str]) -> list[str]:
    """Return a command's arguments with './' before the files whose names begin with a dash.

    What names an existing file counts as one if it has an ending ('-take.wav'), is no option of
    the command's, and is not the value of one.
    """
    valued = {
        option
        for parameter in command.params
        if not (getattr(parameter, "is_flag", False) or getattr(parameter, "count", False))
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    known = {option for parameter in command.params for option in parameter.opts}
    plain: list[str] = []
    for number, argument in enumerate(arguments):
        if argument == "--":
            return [*plain, *arguments[number:]]
        dashed = argument.startswith("-") and argument.partition("=")[0] not in known
        is_value = bool(number) and arguments[number - 1] in valued
        plain.append(
            f"./{argument}" if dashed and not is_value and _is_file(argument) else argument
        )
    return plain


def _is_file(name: str) -> bool:
    try:
        return bool(Path(name).suffix) and Path(name).is_file()
    except (OSError, ValueError):
        return False


def _complaint(error: Any, command: str, arguments: Sequence[str]) -> str:
    kind = type(error).__name__
    parameter = getattr(error, "param", None)
    if kind == "NoSuchOption":
        return _no_such_option(error, command, arguments)
    if kind == "MissingParameter" and parameter is not None:
        return f"'{command}' needs {_called(parameter)}"
    if kind == "BadOptionUsage" and "requires an argument" in error.message:
        return f"'{error.option_name}' needs a value"
    if kind == "BadOptionUsage" and "does not take a value" in error.message:
        return f"'{error.option_name}' takes no value"
    if kind == "BadParameter" and parameter is not None:
        takes, value = _takes(error.ctx, parameter), _value(error)
        if takes:
            return f"{_called(parameter)} takes {takes}" + (f", not '{value}'" if value else "")
    extra = re.search(r"extra arguments? \((.*)\)|extra argument\(s\) \((.*)\)", error.message)
    if extra:
        return f"'{command}' does not know what to do with '{extra[1] or extra[2]}'"
    unknown = re.match(r"No such command '(.*?)'", error.message)
    if unknown:
        near = difflib.get_close_matches(unknown[1], error.ctx.command.list_commands(error.ctx), 1)
        return f"'{command}' has no command '{unknown[1]}'{_perhaps(near)}"
    return str(error.format_message()).rstrip(".")


def _no_such_option(error: Any, command: str, arguments: Sequence[str]) -> str:
    option = str(error.option_name)
    meant = [a for a in arguments if a.startswith(option) and Path(a).suffix and "=" not in a]
    if meant:
        return (
            f"'{command}' has no option '{option}', and there is no file '{meant[0]}' here (write "
            f"'./{meant[0]}' for a file of that name)"
        )
    options = [name for parameter in error.ctx.command.params for name in parameter.opts]
    near = difflib.get_close_matches(option, options, 1)
    return f"'{command}' has no option '{option}'{_perhaps(near)}"


def _perhaps(near: Sequence[str]) -> str:
    return f" (did you mean '{near[0]}'?)" if near else ""


def _called(parameter: Any) -> str:
    """Return what a parameter is called: '--keep', or FILE as the help has it."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    return f"'{max(parameter.opts, key=len)}'"


def _value(error: Any) -> str:
    """Return the value that was refused, as far as it can be known."""
    found = getattr(error.__cause__, "errors", None)  # pydantic's, in typer from 0.26 on
    if found is not None:
        return str(found()[0]["input"])
    quoted = re.match(r"'(.*)' is not|(\S+) is not", error.message)
    return str(quoted[1] or quoted[2]) if quoted else ""


def _takes(context: Any, parameter: Any) -> str:
    """Return what a parameter takes, by how the command declares it; '' if nothing is known."""
    declared = inspect.signature(context.command.callback, eval_str=True).parameters
    annotation = declared[parameter.name].annotation
    info = next((i for i in typing.get_args(annotation) if isinstance(i, ParameterInfo)), None)
    kinds = [annotation]
    while typing.get_args(kinds[0]):
        kinds = [kind for kind in typing.get_args(kinds[0]) if kind is not type(None)]
    kind = kinds[0]
    if isinstance(kind, type) and issubclass(kind, Enum):
        names = [f"'{choice.value}'" for choice in kind]
        return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    if kind not in (int, float):
        return ""
    low, high = getattr(info, "min", None), getattr(info, "max", None)
    limits = {
        (True, True): f" from {low} to {high}",
        (True, False): f" of at least {low}",
        (False, True): f" of at most {high}",
        (False, False): "",
    }
    number = "a whole number" if kind is int else "a number"
    return number + limits[low is not None, high is not None]
