"""The options of a job as options of the commands that take them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import typer

from bridge.inputs import example_from_here
from engine.job import Placement
from engine.option_types import Flag, Option, Text, table
from engine.options import Options

__all__ = ["Model", "Nots", "takes_options"]


def takes_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for each of a job's.

    The command has a parameter `options`, for the `Options` that they make. It gets those of a
    placement, `mute`, for parameters of their names.
    """
    own = table(Options)
    placing = {option.name: option for option in table(Placement)}

    @functools.wraps(command)
    def run(**given: Any) -> None:
        options = Options(**{option.name: given.pop(option.name) for option in own})
        command(options=options, **given)

    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if parameter.name == "options":
            parameters += map(_parameter, own)
        elif parameter.name in placing:
            parameters.append(_parameter(placing[parameter.name]))
        else:
            parameters.append(parameter)
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _parameter(option: Option[Any]) -> inspect.Parameter:
    """Return a command's parameter, as typer reads it, for an option."""
    default = option.default if isinstance(option, Flag) else option.brief(option.default)
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[type(default), _flag(option)],
    )


def _flag(option: Option[Any]) -> Any:
    flag = f"--{option.name.replace('_', '-')}"
    if isinstance(option, Flag):
        both = f"{flag}/--no-{flag.removeprefix('--')}" if option.default else flag
        return typer.Option(both, help=option.help)
    read = partial(option.read, called=flag)
    if isinstance(option, Text) and option.file:
        return typer.Option(flag, help=option.help, metavar="FILE", parser=example_from_here)
    return typer.Option(flag, help=option.help, metavar=f"<{option.form}>", parser=read)


Model = Annotated[str, _flag(next(one for one in table(Options) if one.name == "model"))]
"""The option `--model` alone, for commands that take no other."""

Nots = Annotated[
    list[str] | None,
    typer.Option(
        "--not",
        help="A sound that is there, too, and not wanted: it stays in the rest. Repeatable.",
    ),
]
"""The option `--not` of commands that separate."""
