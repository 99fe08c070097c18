"""Jobs, as frozen values: a mixture, its queries and options, and where the result goes."""

from __future__ import annotations

import re
import secrets
import time
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from engine.errors import BadJob, BadQuery
from engine.option_types import Flag, described, read, write
from engine.options import Options
from engine.taxonomy.phrases import folded, numbers
from engine.text_form import FORM, Fields, lines, parse_lines, unprintable

__all__ = [
    "QUERIES_LIMIT",
    "QUERY_LIMIT",
    "Job",
    "Placement",
    "Task",
    "check_id",
    "check_nots",
    "clean_query",
    "new_id",
    "split_nots",
]

QUERY_LIMIT = 300  # characters; a longer text is a pasted mistake, not a description of a sound
QUERIES_LIMIT = 16  # queries in one job
_ALL_BUT = re.compile(r"(?:everything|anything|all|any)\b.* (?:but|except|without|besides)\b")
_MINUS = re.compile(r"(?:^|(?<=\s))[-\N{MINUS SIGN}](?=\s*\w)")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Task(str, Enum):
    """What a job is for: pulling sounds out of its mixture, or naming those that are in it."""

    SEPARATE = "separate"
    LISTEN = "listen"


@dataclass(frozen=True)
class Placement:
    """Where in an editor a job's clips belong.

    Attributes
    ----------
    host
        Name of the editor: `audacity` or `reaper`.
    project
        Fingerprint of the project the mixture came from; clips go nowhere else.
    track
        Name of the source track.
    start
        Frames at `rate` from the project's start to the selection's start.
    rate
        Hz; sample rate of the mixture.
    mute
        Whether to mute the original when the clips go in.
    note
        The name of the editor's own note of the selection, if it needs one to put clips there.

    """

    host: str
    project: str
    track: str
    start: int
    rate: int
    mute: bool = described(
        Flag(
            default=False,
            label="Original track",
            help="Mute the original track.",
            called=("leave as it is", "mute"),
            dialog=2,
        )
    )
    note: str = ""


@dataclass(frozen=True)
class Job:
    """One request: a mixture, its queries, options, and where the result goes.

    `nots` describe sounds that are there, too, and not wanted. `answers` names the model for each
    of `sounds`, `beside` a specialist whose sound may compete unasked, and `runtime` what computes
    the model that has a choice; they are filled in when the job is submitted, so that the job ends
    the same whatever is installed meanwhile. `title` leads the names of the clips (the source
    track's name, or the file's). `client` says who asks: the clients' jobs take turns, so that one
    with many jobs does not keep the others waiting. A job whose `task` is to listen has no queries
    and no clips. `base` is the id of a job of the same mixture that this one adjusts: it goes on
    from that one's masks.
    """

    id: str
    mixture: Path
    queries: tuple[str, ...]
    options: Options = field(default_factory=Options)
    title: str = ""
    placement: Placement | None = None
    client: str = ""
    task: Task = Task.SEPARATE
    nots: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    beside: str = ""
    runtime: str = ""
    base: str = ""

    @property
    def sounds(self) -> tuple[str, ...]:
        """All sounds that the job names: its queries, then what is not wanted."""
        return self.queries + self.nots

    @property
    def unresolved(self) -> Job:
        """The job as it was asked for, without what was filled in."""
        return replace(self, answers=(), beside="", runtime="")

    def __post_init__(self) -> None:
        check_id(self.id)
        if self.base:
            check_id(self.base)
        if not self.mixture.is_absolute():
            raise BadJob(
                f"The mixture's path {self.mixture} is not absolute: name it from the root."
            )
        if self.task is Task.LISTEN and self.queries:
            raise BadJob("A job that is to listen takes no queries: leave them out.")
        if self.task is Task.SEPARATE and not self.queries:
            raise BadQuery("There is no query: describe a sound in a few words.")
        if self.nots and not self.queries:
            raise BadQuery("There is only what is not wanted: add a query for a sound that is.")
        if len(self.sounds) > QUERIES_LIMIT:
            raise BadQuery(
                f"There are {len(self.sounds)} sounds{', wanted or not' if self.nots else ''}, and "
                f"{QUERIES_LIMIT} is the most: ask for some of them, and then for the others."
            )
        for query in self.sounds:
            if query != clean_query(query):
                raise BadQuery(f"The query {query!r} has stray white space: leave it out.")
        check_nots(self.queries, self.nots)
        if self.answers and len(self.answers) != len(self.sounds):
            raise BadJob(
                f"The job names {len(self.answers)} models for {len(self.sounds)} sounds: name one "
                "for each, or leave 'answers' out."
            )

    def to_text(self) -> str:
        """Return the job file's text.

        >>> job = Job("j1", Path("/tmp/a.wav"), ("dog barking",))
        >>> print(job.to_text(), end="")
        tweeze=1
        id=j1
        mixture=/tmp/a.wav
        query=dog barking
        model=auto
        keep=target
        stereo=independent
        bandwidth=full
        title=
        end
        """
        pairs = [("tweeze", FORM), ("id", self.id)]
        if self.task is not Task.SEPARATE:
            pairs.append(("task", self.task.value))
        pairs.append(("mixture", str(self.mixture)))
        pairs += [("query", query) for query in self.queries]
        pairs += [("not", text) for text in self.nots]
        pairs += [("answers", name) for name in self.answers]
        if self.beside:
            pairs.append(("beside", self.beside))
        if self.runtime:
            pairs.append(("runtime", self.runtime))
        pairs += write(self.options)
        pairs.append(("title", self.title))
        if self.client:
            pairs.append(("client", self.client))
        if self.base:
            pairs.append(("base", self.base))
        if self.placement is not None:
            place = self.placement
            pairs += [
                ("host", place.host),
                ("project", place.project),
                ("track", place.track),
                ("start", str(place.start)),
                ("rate", str(place.rate)),
                *write(place),
            ]
            if place.note:
                pairs.append(("note", place.note))
        return lines(pairs)

    @classmethod
    def from_text(cls, text: str) -> Job:
        """Read a job file's text.

        Raises
        ------
        BadJob
            The text does not follow the form; BadQuery, if one of its queries cannot be used.

        """
        pairs = parse_lines(text, repeated=("query", "not", "answers"))
        fields = Fields(pairs, "job")
        fields.expect("tweeze", FORM)
        placement = None
        if fields.has("host"):
            placement = Placement(
                host=fields.one("host"),
                project=fields.one("project"),
                track=fields.one("track", ""),
                start=fields.whole("start"),
                rate=fields.whole("rate"),
                **read(Placement, fields.maybe, "job"),
                note=fields.one("note", ""),
            )
        job = cls(
            id=fields.one("id"),
            mixture=Path(fields.one("mixture")),
            queries=tuple(clean_query(query) for query in fields.all("query")),
            options=Options(**read(Options, fields.maybe, "job")),
            title=fields.one("title", ""),
            placement=placement,
            client=fields.one("client", ""),
            task=fields.choice("task", {t.value: t for t in Task}, "separate"),
            nots=tuple(clean_query(text) for text in fields.all("not")),
            answers=tuple(fields.all("answers")),
            beside=fields.one("beside", ""),
            runtime=fields.one("runtime", ""),
            base=fields.one("base", ""),
        )
        fields.done()
        return job


def new_id() -> str:
    """Return a fresh job id; ids sort by time of making (UTC)."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return f"{stamp}-{time.time_ns() // 1_000_000 % 1000:03d}-{secrets.token_hex(3)}"


def check_id(text: str) -> str:
    """Return `text` if it can be a job's id, and so a file's name; else raise BadJob."""
    if not _ID.fullmatch(text):
        raise BadJob(
            f"{text[:80]!r} is not a valid job id: use 1 to 64 letters, digits, '-' or '_', "
            "the first a letter or digit."
        )
    return text


def check_nots(queries: Iterable[str], nots: Iterable[str]) -> None:
    """Raise BadQuery where a sound is both wanted and not wanted."""
    wanted = {form: query for query in queries for form in numbers(folded(query))}
    for text in nots:
        query = next((wanted[form] for form in numbers(folded(text)) if form in wanted), None)
        if query is not None:
            raise BadQuery(f"'{query}' is both wanted and not wanted: leave one of them out.")
        if _ALL_BUT.match(folded(text)):
            raise BadQuery(f"'{text}' names no sound: say which sound is not wanted.")


def split_nots(text: str) -> tuple[str, tuple[str, ...]]:
    """Take what follows a minus out of a text of queries: sounds that are not wanted.

    A minus counts where white space, a semicolon or nothing stands before it; within a word it is
    a hyphen. What follows reaches up to the next minus or semicolon.

    >>> split_nots("dog; rain - wind -low hum; hi-hat")
    ('dog; rain; hi-hat', ('wind', 'low hum'))
    """
    kept, nots = [], []
    for part in text.split(";"):
        first, *others = _MINUS.split(part)
        kept.append(first)
        nots += [other.strip() for other in others if other.strip()]
    return "; ".join(word.strip() for word in kept if word.strip()), tuple(nots)


def clean_query(text: str) -> str:
    """Return a query with its white space folded, in Unicode's composed form (NFC).

    Raises
    ------
    BadQuery
        Nothing is left, or it is too long, or it holds control characters.

    """
    query = " ".join(unicodedata.normalize("NFC", text).split())
    if not query:
        raise BadQuery("The query is empty: describe the sound in a few words, like 'dog barking'.")
    if len(query) > QUERY_LIMIT:
        raise BadQuery(
            f"The query has {len(query):,} characters, and {QUERY_LIMIT} is the most: "
            "describe the sound in a few words."
        )
    stray = unprintable(query)
    if stray:
        raise BadQuery(f"The query holds the control character {stray}: type it anew without it.")
    return query
