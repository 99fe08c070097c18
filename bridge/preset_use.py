"""What a command line asks for where it names or saves a preset: what is typed counts first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.errors import BadInput
from engine.folders import Folders
from engine.options import Options
from engine.presets import MARK, Preset, called, in_words
from engine.queue.preset_file import PresetFile

__all__ = ["KEEP", "Asked", "asked_for", "changed", "named_preset", "refuse_presets", "sentence"]

KEEP = "keep"
"""The action of a request to make a preset of a job (`bridge.presetting`); its `name` is the
preset's, its `job` the job's id or `last`."""


@dataclass(frozen=True)
class Asked:
    """Plain values: sounds that are wanted, sounds that are not, and options."""

    queries: list[str]
    nots: list[str]
    options: Options


def named_preset(name: str) -> Preset | None:
    """Return the user's preset of a name; None of an empty one.

    Raises
    ------
    BadInput
        There is none, or it cannot be used.

    """
    return _find(name).checked() if name else None


def asked_for(
    preset: Preset | None,
    queries: Sequence[str],
    nots: Sequence[str],
    options: Options,
    typed: Sequence[tuple[str, str]],
) -> Asked:
    """Return what is asked for by sounds and options, of which some were typed, and a preset.

    Without a preset one of the queries may stand for one.

    Raises
    ------
    BadInput
        There is no such preset, there are two, or `--not` is empty without one.

    """
    if preset is None:
        if not all(text.strip() for text in nots):
            raise BadInput("--not names no sound: say which one is not wanted, like --not rain.")
        preset, queries, nots = in_words(queries, nots, _find)
    elif called((*queries, *nots)):
        raise BadInput(f"--preset and {MARK}NAME are two presets: name one at a time.")
    else:
        # An empty --not takes away what there was, as where a job is adjusted.
        nots = [text for text in nots if text.strip()] if nots else preset.nots
    if preset is not None:
        options = preset.over(options, {name for name, _ in typed})
    return Asked(list(queries), list(nots), options)


def changed(preset: Preset, fields: Sequence[tuple[str, str]]) -> Preset:
    """Return a preset with what fields name in place of what it has.

    Options count one by one, queries and what is not wanted each as a whole; an empty text takes
    away what there was.
    """
    named = {name for name, _ in fields}
    queries = tuple(text for name, text in fields if name == "query" and text.strip())
    nots = tuple(text for name, text in fields if name == "not" and text.strip())
    options = {**dict(preset.options), **dict(fields)}
    return replace(
        preset,
        queries=queries if "query" in named else preset.queries,
        nots=nots if "not" in named else preset.nots,
        options=tuple((key, text) for key, text in options.items() if key not in ("query", "not")),
    )


def sentence(preset: Preset, *, replaced: bool) -> str:
    """Return what is said where a preset was saved."""
    return f"'{preset.name}' was {'replaced' if replaced else 'saved'}: {preset.words}."


def refuse_presets(sounds: Sequence[str]) -> None:
    """Raise BadInput where a sound stands for a preset, in a command that takes none."""
    if called(sounds):
        name = next(text for text in sounds if called((text,)))
        raise BadInput(f"{name} is a preset, which 'tweeze separate' takes: name a sound here.")


def _find(name: str) -> Preset:
    return PresetFile(Folders.of_user()).get(name)
