"""A request to act on an editor's current selection, as hosts without sockets write it.

The form is that of a job file: `tweeze`, `id`, `host`, and whatever more the host's own part of
Tweeze understands: `query` and `not`, which may come several times, any option of a job, and
`preset`, which stands for all of these (`engine.presets`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.errors import BadInput, BadJob, BadQuery, Failure
from engine.job import Placement, check_id, check_nots, clean_query, split_nots
from engine.option_types import Option, read, table
from engine.options import Options
from engine.places import Span
from engine.status import Status
from engine.text_form import lines, parse_lines

__all__ = ["EVENTS_LIMIT", "OPTIONS", "Request", "events", "option_fields", "raise_refused"]

EVENTS_LIMIT = 1000
"""Events that one request can mark in an editor."""
OPTIONS: tuple[Option[Any], ...] = (*table(Options), *table(Placement))
"""The options that a request can name: those of its jobs and of their placement."""


@dataclass(frozen=True)
class Request:
    """What an editor's menu command asks for; `fields` keeps the order of the lines."""

    id: str
    host: str
    fields: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        check_id(self.id)

    def one(self, key: str, default: str = "") -> str:
        """Return the first value of a field."""
        return next((value for name, value in self.fields if name == key), default)

    def all(self, key: str) -> tuple[str, ...]:
        """Return all values of a field."""
        return tuple(value for name, value in self.fields if name == key)

    def queries(self) -> tuple[str, ...]:
        """Return the queries, each once; a field may hold several, with semicolons between them.

        What follows a minus is not wanted (see `nots`).

        Raises
        ------
        BadQuery
            There is none, or one is unfit.

        """
        texts = [text for value in self.all("query") for text in split_nots(value)[0].split(";")]
        queries = tuple(dict.fromkeys(clean_query(text) for text in texts if text.strip()))
        if not queries:
            raise BadQuery(
                "The query is empty: describe the sound in a few words, like 'dog barking'."
            )
        return queries

    def nots(self) -> tuple[str, ...]:
        """Return what is not wanted, each once: fields `not`, and what follows a minus in a query.

        Raises
        ------
        BadQuery
            One is unfit, or is a query, too.

        """
        texts = [text for value in self.all("not") for text in value.split(";")]
        texts += [text for value in self.all("query") for text in split_nots(value)[1]]
        nots = tuple(dict.fromkeys(clean_query(text) for text in texts if text.strip()))
        check_nots(self.queries(), nots)
        return nots

    def options(self) -> Options:
        """Return the jobs' options; BadJob if the value of one is not allowed."""
        return Options.from_fields(self.fields)

    def placing(self) -> dict[str, Any]:
        """Return the options of the jobs' placement by name (`mute`), as far as they are given.

        Raises
        ------
        BadJob
            The value of one is not allowed.

        """
        return read(Placement, dict(reversed(self.fields)).get, "request")

    def changed(self, fields: Iterable[tuple[str, str]]) -> Request:
        """Return the request with other values for some fields, each field as a whole.

        Other queries bring their own of what is not wanted.
        """
        given = tuple(fields)
        named = {name for name, _ in given}
        if "query" in named:
            named.add("not")
        kept = (pair for pair in self.fields if pair[0] not in named)
        return replace(self, fields=(*kept, *given))

    def to_text(self) -> str:
        """Return the request file's text."""
        return lines([("tweeze", "1"), ("id", self.id), ("host", self.host), *self.fields])

    @classmethod
    def from_text(cls, text: str) -> Request:
        """Read a request file's text; BadJob if it does not follow the form."""
        pairs = parse_lines(text, repeated=("query", "not", "event"))
        known = dict(reversed(pairs))
        for key in ("tweeze", "id", "host"):
            if key not in known:
                raise BadJob(f"The request does not say '{key}'.")
        if known["tweeze"] != "1":
            raise BadJob(f"The request has the form {known['tweeze'][:20]!r}; '1' is known here.")
        rest = tuple(pair for pair in pairs if pair[0] not in ("tweeze", "id", "host"))
        return cls(known["id"], known["host"], rest)


def option_fields(texts: Iterable[str]) -> list[tuple[str, str]]:
    """Return the fields that texts like `stereo=linked` stand for.

    Raises
    ------
    BadJob
        There is no such option, or its value is not allowed.

    """
    known = {option.name: option for option in OPTIONS}
    fields: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in known:
            raise BadJob(f"There is no option {name[:40]!r}; there are: {', '.join(known)}.")
        if name in fields:
            raise BadJob(f"'{name}' is named twice: leave one of them out.")
        option = known[name]
        fields[name] = option.write(option.read(value))
    return list(fields.items())


def events(request: Request) -> tuple[Span, ...]:
    """Return the stretches of time that a request's fields `event` name, in their order of time.

    Raises
    ------
    BadJob
        One is none, or there are none, or too many.

    """
    texts = request.all("event")
    if not 0 < len(texts) <= EVENTS_LIMIT:
        raise BadJob(
            f"There are {len(texts):,} events to mark: name at least one, and {EVENTS_LIMIT:,} at "
            "most."
        )
    found = []
    for text in texts:
        span = Span.from_text(text)
        if span is None or not math.isfinite(span.stop):
            raise BadJob(f"The event {text[:40]!r} is not START-END in seconds, like 3.2-7.5.")
        found.append(span)
    return tuple(sorted(found, key=lambda span: (span.start, span.stop)))


def raise_refused(refused: Sequence[Status], going: Sequence[str]) -> None:
    """Raise what the engine says of a request's jobs that failed as soon as they were sent.

    `going` says, a text each, which jobs of the request go on all the same.

    Raises
    ------
    BadInput
        What was asked for is wrong.
    Failure
        Something else, a full disk for instance.

    """
    if not refused:
        return
    said = " ".join(dict.fromkeys(status.message for status in refused))
    if going:
        said += f" The others go on: {'; '.join(going)}."
    raise BadInput(said) if all(status.bad_input for status in refused) else Failure(said)
