"""The options of a job as options of the commands that take them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.inputs import example_from_here
from engine.job import Placement
from engine.option_types import Flag, Option, Several, Text, table
from engine.options import Options

__all__ = [
    "Model",
    "Nots",
    "Picture",
    "PresetName",
    "is_typed",
    "takes_changes",
    "takes_options",
    "typed",
]


def takes_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for each of a job's.

    The command has a parameter `options`, for the `Options` that they make. It gets those of a
    placement, `mute`, for parameters of their names.
    """
    own = table(Options)

    def made(given: dict[str, Any]) -> Options:
        return Options(**{option.name: _value(option, given.pop(option.name)) for option in own})

    return _with_options(command, "options", own, made, _parameter)


def takes_changes(
    command: Callable[..., None], *, without: Collection[str] = ()
) -> Callable[..., None]:
    """Give a command one option for each of a job's, but for some, none of which has a default.

    The command has a parameter `changes`, for the fields `(name, text)` of those that are named.
    """
    own = tuple(option for option in table(Options) if option.name not in without)

    def made(given: dict[str, Any]) -> list[tuple[str, str]]:
        named = [(option, given.pop(option.name)) for option in own]
        return [
            (option.name, option.write(_value(option, value)))
            for option, value in named
            if value is not None and value != []
        ]

    return _with_options(command, "changes", own, made, _open_parameter)


def typed(call: typer.Context) -> list[tuple[str, str]]:
    """Return the fields `(name, text)` of a job's options that were typed in a call."""
    own = [option for option in table(Options) if is_typed(call, option.name)]
    values = [(option, _value(option, call.params[option.name])) for option in own]
    return [(option.name, option.write(value)) for option, value in values]


def is_typed(call: typer.Context, name: str) -> bool:
    """Return whether a command's option of a name was typed."""
    source = call.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _with_options(
    command: Callable[..., None],
    name: str,
    own: Sequence[Option[Any]],
    made: Callable[[dict[str, Any]], object],
    parameter: Callable[[Option[Any]], inspect.Parameter],
) -> Callable[..., None]:
    """Give a command options in place of its parameter `name`, for what is `made` of them."""
    placing = {option.name: option for option in table(Placement)}

    @functools.wraps(command)
    def run(**given: Any) -> None:
        value = made(given)
        command(**{name: value}, **given)

    parameters: list[inspect.Parameter] = []
    for one in inspect.signature(command, eval_str=True).parameters.values():
        if one.name == name:
            parameters += map(parameter, own)
        elif one.name in placing:
            parameters.append(_parameter(placing[one.name]))
        else:
            parameters.append(one)
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _value(option: Option[Any], given: Any) -> Any:
    """Return the value of an option that typer read; of repeated ones it has the texts."""
    if isinstance(option, Several):
        return option.read(",".join(given or ()), called=_named(option))
    return given


def _named(option: Option[Any]) -> str:
    return f"--{option.name.replace('_', '-')}"


def _parameter(option: Option[Any]) -> inspect.Parameter:
    """Return a command's parameter, as typer reads it, for an option."""
    if isinstance(option, Several):
        return _keyword(option, None, list[str] | None)
    default = option.default if isinstance(option, Flag) else option.brief(option.default)
    return _keyword(option, default, type(default))


def _open_parameter(option: Option[Any]) -> inspect.Parameter:
    """Return a parameter like those of `_parameter`, but with None as its default."""
    kind = bool if isinstance(option, Flag) else str
    return _keyword(option, None, list[str] | None if isinstance(option, Several) else kind | None)


def _keyword(option: Option[Any], default: Any, kind: Any) -> inspect.Parameter:
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, _flag(option, both=default is None)],
    )


def _flag(option: Option[Any], *, both: bool = False) -> Any:
    """Return typer's option; a switch that is left open has `both` its forms."""
    flag = _named(option)
    if isinstance(option, Flag):
        off = f"--no-{flag.removeprefix('--')}"
        return typer.Option(f"{flag}/{off}" if option.default or both else flag, help=option.help)
    if isinstance(option, Several):
        return typer.Option(flag, help=option.help, metavar=f"<{option.form}>")
    if isinstance(option, Text) and option.file:
        return typer.Option(flag, help=option.help, metavar="FILE", parser=example_from_here)

    def read(text: str) -> Any:  # no partial: typer asks a parser for its name
        return option.read(text, called=flag)

    return typer.Option(flag, help=option.help, metavar=f"<{option.form}>", parser=read)


Model = Annotated[str, _flag(next(one for one in table(Options) if one.name == "model"))]
"""The option `--model` alone, for commands that take no other."""

PresetName = Annotated[
    str,
    typer.Option(
        "--preset",
        metavar="NAME",
        help="Sounds and options that 'tweeze presets save' keeps; what is typed counts first.",
    ),
]
"""The option `--preset` of commands that separate."""

Nots = Annotated[
    list[str] | None,
    typer.Option(
        "--not",
        help="A sound that is there, too, and not wanted: it stays in the rest. Repeatable.",
    ),
]
"""The option `--not` of commands that separate."""

Picture = Annotated[
    Path | None,
    typer.Option(
        "--picture",
        metavar="FILE",
        help="Write spectrograms of the recording and of the clips there, too, as PNG; a picture "
        "that is there already is replaced.",
    ),
]
"""The option `--picture` of commands that write clips."""
