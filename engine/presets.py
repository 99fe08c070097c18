"""Presets: sounds and options under a name, and what stands where one is named.

A job never names one: whoever asks by a preset gets its values, as they are at that moment. Where
presets are kept is up to `engine.preset_file`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.errors import BadInput, BadJob, BadQuery
from engine.job import QUERIES_LIMIT, QUERY_LIMIT, Job, check_nots, clean_query, split_nots
from engine.option_types import Option, read, table, write
from engine.options import Options
from engine.request import Request
from engine.text_form import unprintable

__all__ = [
    "FIELD",
    "MARK",
    "NAME_LIMIT",
    "OPTIONS",
    "Find",
    "Preset",
    "called",
    "clean_name",
    "in_job",
    "in_request",
    "in_words",
    "lasting",
    "same",
]

FIELD = "preset"
"""The field of a request that names one."""
MARK = "@"
"""Before a preset's name among queries: its sounds stand there, and its options count."""
NAME_LIMIT = 60  # characters
OPTIONS: Mapping[str, Option[Any]] = {one.name: one for one in table(Options) if one.lasting}
"""The options that a preset can hold, by their names."""
_ACTIONS = ("separate", "again")

_Fields = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Preset:
    """Sounds and options under a name. `checked` says whether it can be used as it is.

    Attributes
    ----------
    queries, nots
        What is wanted, and what is not; there may be none.
    options
        Names and texts of options, in order. One read from a file can hold some of a newer Tweeze.
    more
        What else the file says of it, for a newer Tweeze.

    """

    name: str
    queries: tuple[str, ...] = ()
    nots: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """Return what is said of it in JSON."""
        return {
            "name": self.name,
            "queries": list(self.queries),
            "nots": list(self.nots),
            "options": dict(self.options),
        }

    def checked(self) -> Preset:
        """Return it as it is kept: name and sounds cleaned, options as their table writes them.

        Raises
        ------
        BadInput
            The name or a sound is unfit, an option cannot be in a preset, a value is not allowed,
            or it holds nothing.

        """
        name = clean_name(self.name)
        queries = tuple(dict.fromkeys(clean_query(text) for text in self.queries))
        nots = tuple(dict.fromkeys(clean_query(text) for text in self.nots))
        for text in (*queries, *nots):
            if text.startswith(MARK):
                raise BadQuery(f"A preset cannot name another one: write out what {text} holds.")
        if len(queries) + len(nots) > QUERIES_LIMIT:
            raise BadQuery(
                f"The preset '{name}' has {len(queries) + len(nots)} sounds, and {QUERIES_LIMIT} "
                "is the most: leave some out."
            )
        check_nots(queries, nots)
        options = tuple((key, _option_text(name, key, text)) for key, text in self.options)
        if not (queries or nots or options):
            raise BadInput(f"The preset '{name}' would hold nothing: name a sound or an option.")
        return replace(self, name=name, queries=queries, nots=nots, options=options)

    def fill(self, fields: _Fields) -> list[tuple[str, str]]:
        """Return a request's fields with what they leave open as the preset has it.

        Options count one by one, queries and what is not wanted each as a whole.

        Raises
        ------
        BadInput
            The preset cannot be used as it is.

        """
        preset = self.checked()
        named = {name for name, _ in fields}
        if any(split_nots(text)[1] for name, text in fields if name == "query"):
            named.add("not")
        own = [*(("query", text) for text in preset.queries)]
        own += [("not", text) for text in preset.nots]
        return [*fields, *(pair for pair in (*own, *preset.options) if pair[0] not in named)]

    def over(self, options: Options, named: Collection[str]) -> Options:
        """Return options with those that are not `named` as the preset has them.

        Raises
        ------
        BadInput
            The preset cannot be used as it is.

        """
        left = {name: text for name, text in self.checked().options if name not in named}
        return replace(options, **read(Options, left.get, "preset"))

    @property
    def words(self) -> str:
        """What it holds, as a sentence says it: `dog barking; rain; not wind; sharpness: 2`."""
        said = [*self.queries, *(f"not {text}" for text in self.nots)]
        return "; ".join([*said, *self.option_words])

    @property
    def option_words(self) -> list[str]:
        """Its options, each as dialogs call it; one that is unknown here as it is written."""
        return [_words(name, text) for name, text in self.options]


Find = Callable[[str], Preset]
"""Returns the preset of a name; BadInput where there is none, or they cannot be read."""


def clean_name(text: str) -> str:
    """Return a preset's name with its white space folded, in Unicode's composed form (NFC).

    Raises
    ------
    BadInput
        Nothing is left, or it is too long, or it holds control characters.

    """
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name:
        raise BadInput("The preset has no name: give it one of 1 to 60 characters.")
    if len(name) > NAME_LIMIT:
        raise BadInput(
            f"The preset's name has {len(name):,} characters, and {NAME_LIMIT} is the most: "
            "shorten it."
        )
    stray = unprintable(name)
    if stray:
        raise BadInput(f"The preset's name holds the control character {stray}: leave it out.")
    return name


def same(name: str, other: str) -> bool:
    """Return whether two names are one preset's: capitals and small letters are alike."""
    return _folded(name) == _folded(other)


def lasting(options: Options) -> tuple[tuple[str, str], ...]:
    """Return of options what a preset can hold and is not as usual, as names and texts."""
    usual = Options()
    return tuple(
        (name, option.write(getattr(options, name)))
        for name, option in OPTIONS.items()
        if getattr(options, name) != getattr(usual, name)
    )


def called(queries: Iterable[str]) -> bool:
    """Return whether a query stands for a preset."""
    return any(query.startswith(MARK) for query in queries)


def in_words(
    queries: Sequence[str], nots: Sequence[str], find: Find
) -> tuple[Preset | None, tuple[str, ...], tuple[str, ...]]:
    """Return the preset that a query stands for, and the sounds with its own in their places.

    What else is wanted or not comes beside the preset's. Without such a query all is as it was.

    Raises
    ------
    BadInput
        There is no such preset, it cannot be used, there are two, or one is not wanted.

    """
    if called(nots):
        text = next(text for text in nots if text.startswith(MARK))
        raise BadQuery(f"{text} is a preset, not a sound: say which sound is not wanted.")
    marked = [query for query in queries if query.startswith(MARK)]
    if not marked:
        return None, tuple(queries), tuple(nots)
    if len(marked) > 1:
        raise BadQuery(f"{marked[0]} and {marked[1]} are two presets: name one at a time.")
    preset = find(marked[0].removeprefix(MARK)).checked()
    wanted = [q for query in queries for q in (preset.queries if query in marked else (query,))]
    if not wanted:
        raise BadQuery(
            f"The preset '{preset.name}' names no sound: name one beside it, like "
            f"'{MARK}{preset.name}; dog barking'."
        )
    return preset, tuple(dict.fromkeys(wanted)), tuple(dict.fromkeys((*preset.nots, *nots)))


def in_job(job: Job, find: Find) -> Job:
    """Return a job with plain values where one of its queries stands for a preset.

    A job cannot say which of its options were chosen: those that are as usual are the preset's.

    Raises
    ------
    BadInput
        As `in_words`; or the job adjusts another, or what comes of it cannot be a job.

    """
    preset, queries, nots = in_words(job.queries, job.nots, find)
    if preset is None:
        return job
    if job.base:
        raise BadInput(
            f"{MARK}{preset.name} is a preset, and does not adjust a job: name sounds and options."
        )
    chosen = {name for name, _ in lasting(job.options)}
    return replace(job, queries=queries, nots=nots, options=preset.over(job.options, chosen))


def in_request(request: Request, find: Find) -> Request:
    """Return a request with plain fields where it names a preset; others as they are.

    What the request names itself counts before what the preset holds. One to separate leaves
    nothing open then, so that it asks for the same whatever was asked for last.

    Raises
    ------
    BadInput
        There is no such preset or it cannot be used, the request is for something else, or it
        names no sound and the preset neither.

    """
    names = request.all(FIELD)
    if not names:
        return request
    action = request.one("action", _ACTIONS[0])
    if action not in _ACTIONS:
        raise BadInput(
            f"A preset goes with {' or '.join(_ACTIONS)}, not with {action[:40]!r}: leave it out."
        )
    fields = [pair for pair in request.fields if pair[0] != FIELD]
    typed = [part.strip() for key, text in fields if key == "query" for part in text.split(";")]
    if len(names) > 1 or called(typed):
        raise BadInput("There are two presets: name one at a time.")
    preset = find(names[0])
    fields = preset.fill(fields)
    if action == "separate":
        if not any(key == "query" and split_nots(text)[0] for key, text in fields):
            raise BadQuery(f"The preset '{preset.name}' names no sound: name one beside it.")
        named = {key for key, _ in fields}
        fields += [pair for pair in write(Options.from_fields(fields)) if pair[0] not in named]
    return replace(request, fields=tuple(fields))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", " ".join(name.split())).casefold()


def _words(name: str, text: str) -> str:
    option = OPTIONS.get(name)
    if option is None:
        return f"{name}={text} (unknown to this Tweeze)"
    try:
        brief = option.brief(option.read(text))
    except BadJob:
        brief = text
    return f"{option.label[:1].lower()}{option.label[1:]}: {option.words.get(text, brief)}"


def _option_text(name: str, key: str, text: str) -> str:
    """Return the text of an option of the preset of that name, as its table writes it."""
    if key not in OPTIONS:
        if any(one.name == key for one in table(Options)):
            raise BadInput(f"A preset cannot hold '{key}': that belongs to one recording.")
        raise BadInput(
            f"The preset '{name}' has the option '{key[:40]}', which this Tweeze does not know: "
            "bring Tweeze up to date, or save the preset anew without it."
        )
    option = OPTIONS[key]
    try:
        written = option.write(option.read(text, f"'{key}' of the preset '{name}'"))
    except BadJob as error:
        raise BadInput(str(error)) from error  # the job that asks is of the form
    if len(written) > QUERY_LIMIT or unprintable(written):
        raise BadInput(
            f"'{key}' of the preset '{name}' is longer than {QUERY_LIMIT} characters, or holds a "
            "control character: type it anew."
        )
    return written
