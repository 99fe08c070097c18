"""Jobs and what becomes of them, as frozen values, and their text form.

The text form is what hosts without sockets can read and write in ten lines: UTF-8, one
`key=value` a line, some keys more than once, and a closing line `end` which says that the file is
whole. Nothing is escaped: a value is all that follows the first `=`, and no value may hold a
control character.
"""

from __future__ import annotations

import re
import secrets
import time
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePath
from typing import TypeVar

from engine.display import misleads
from engine.errors import BadJob, BadQuery

__all__ = [
    "QUERIES_LIMIT",
    "QUERY_LIMIT",
    "Bandwidth",
    "Clip",
    "ClipKind",
    "Context",
    "Heard",
    "Job",
    "JobState",
    "Keep",
    "Memory",
    "Options",
    "Placement",
    "Precision",
    "Status",
    "Stereo",
    "Task",
    "check_id",
    "clean_query",
    "file_name",
    "lines",
    "new_id",
    "one_line",
    "parse_lines",
]

QUERY_LIMIT = 300  # characters; a longer text is a pasted mistake, no description of a sound
QUERIES_LIMIT = 16  # queries in one job
_REPEATED = ("note", "presence", "heard", "clip", "kind", "query", "name")  # in a status
_TEXT_LIMIT = 1 << 20  # characters of a whole job or status text
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_FORM = "1"
_NAME_LIMIT = 120  # bytes of a file's name without its extension
_CUT = "…"
_SPAN = r"[0-9]{1,9}\.[0-9]-[0-9]{1,9}\.[0-9]"
_HEARD = re.compile(rf"([01]\.[0-9][0-9]) ((?:{_SPAN}(?:,{_SPAN})*)?) (.*)")
_T = TypeVar("_T")


class Task(str, Enum):
    """What a job is for: pulling sounds out of its mixture, or naming those that are in it."""

    SEPARATE = "separate"
    LISTEN = "listen"


class Keep(str, Enum):
    """Which clips a job returns."""

    TARGET = "target"
    RESIDUAL = "residual"
    BOTH = "both"


class Stereo(str, Enum):
    """How the channels of a mixture are separated: one by one, or all with the same mask."""

    INDEPENDENT = "independent"
    LINKED = "linked"


class Bandwidth(str, Enum):
    """What happens above the model's own band: the top bands' mask carries on, or nothing."""

    FULL = "full"
    MODEL = "model"


class Precision(str, Enum):
    """How a model computes: in float32, or faster and roughly where the processor has bfloat16."""

    EXACT = "exact"
    DRAFT = "draft"


class Context(str, Enum):
    """What a segment sees beyond its ends: all that can matter, or less where the model can."""

    EXACT = "exact"
    SHORT = "short"


class Memory(str, Enum):
    """How much memory a job may take: what makes it fast, or little."""

    DEFAULT = "default"
    LOW = "low"


class JobState(str, Enum):
    """Where a job stands; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class ClipKind(str, Enum):
    """What a clip holds: what a query describes, or what no query describes."""

    TARGET = "target"
    RESIDUAL = "residual"


@dataclass(frozen=True)
class Options:
    """How a job is to be separated.

    `sharpness` is the power to which the magnitude of each mask is raised: above 1 a target holds
    less of what only resembles its query, and loses some of its own edges and tails; 1 is as
    trained. It runs from 0.1 to 10, in hundredths. `precision`, `context` and `memory` are for
    models that have a choice; others work as they always do.
    """

    model: str = "compact"
    keep: Keep = Keep.TARGET
    stereo: Stereo = Stereo.INDEPENDENT
    bandwidth: Bandwidth = Bandwidth.FULL
    sharpness: float = 1.0
    precision: Precision = Precision.EXACT
    context: Context = Context.EXACT
    memory: Memory = Memory.DEFAULT

    def __post_init__(self) -> None:
        if not 0.1 <= self.sharpness <= 10 or self.sharpness != round(self.sharpness, 2):
            raise BadJob(
                f"The sharpness {self.sharpness:g} is not possible: take a number from 0.1 to 10 "
                "with at most two decimals (1 is as trained)."
            )


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
        Whether the original is to be muted when the clips go in.

    """

    host: str
    project: str
    track: str
    start: int
    rate: int
    mute: bool = False


@dataclass(frozen=True)
class Job:
    """One request: a mixture, its queries, options, and where the result goes.

    `title` leads the names of the clips (the source track's name, or the file's). `client` says
    who asks: the clients' jobs take turns, so that one with many jobs does not keep the others
    waiting. A job whose `task` is to listen has no queries and no clips.
    """

    id: str
    mixture: Path
    queries: tuple[str, ...]
    options: Options = Options()
    title: str = ""
    placement: Placement | None = None
    client: str = ""
    task: Task = Task.SEPARATE

    def __post_init__(self) -> None:
        check_id(self.id)
        if not self.mixture.is_absolute():
            raise BadJob(f"Job {self.id}: the mixture's path {self.mixture} is not absolute.")
        if self.task is Task.LISTEN and self.queries:
            raise BadJob(f"Job {self.id} is to listen: leave out its queries.")
        if self.task is Task.SEPARATE and not self.queries:
            raise BadQuery(f"Job {self.id} has no query: describe a sound in a few words.")
        if len(self.queries) > QUERIES_LIMIT:
            raise BadQuery(
                f"Job {self.id} has {len(self.queries)} queries; {QUERIES_LIMIT} is the most: "
                "split it into several jobs."
            )
        for query in self.queries:
            if query != clean_query(query):
                raise BadQuery(f"Job {self.id}: the query {query!r} has stray white space.")

    def to_text(self) -> str:
        """Return the job file's text.

        >>> job = Job("j1", Path("/tmp/a.wav"), ("dog barking",))
        >>> print(job.to_text(), end="")
        tweeze=1
        id=j1
        mixture=/tmp/a.wav
        query=dog barking
        model=compact
        keep=target
        stereo=independent
        bandwidth=full
        title=
        end
        """
        pairs = [("tweeze", _FORM), ("id", self.id)]
        if self.task is not Task.SEPARATE:
            pairs.append(("task", self.task.value))
        pairs.append(("mixture", str(self.mixture)))
        pairs += [("query", query) for query in self.queries]
        options = self.options
        pairs += [
            ("model", options.model),
            ("keep", options.keep.value),
            ("stereo", options.stereo.value),
            ("bandwidth", options.bandwidth.value),
        ]
        # Younger than the form: left out where they say nothing, so that older readers go on.
        if options.sharpness != 1:
            pairs.append(("sharpness", f"{options.sharpness:.2f}"))
        if options.precision is not Precision.EXACT:
            pairs.append(("precision", options.precision.value))
        if options.context is not Context.EXACT:
            pairs.append(("context", options.context.value))
        if options.memory is not Memory.DEFAULT:
            pairs.append(("memory", options.memory.value))
        pairs.append(("title", self.title))
        if self.client:
            pairs.append(("client", self.client))
        if self.placement is not None:
            place = self.placement
            pairs += [
                ("host", place.host),
                ("project", place.project),
                ("track", place.track),
                ("start", str(place.start)),
                ("rate", str(place.rate)),
                ("mute", "yes" if place.mute else "no"),
            ]
        return lines(pairs)

    @classmethod
    def from_text(cls, text: str) -> Job:
        """Read a job file's text.

        Raises
        ------
        BadJob
            The text does not follow the form; BadQuery, if one of its queries is no query.

        """
        pairs = parse_lines(text, repeated=("query",))
        fields = _Fields(pairs, "job")
        fields.expect("tweeze", _FORM)
        placement = None
        if fields.has("host"):
            placement = Placement(
                host=fields.one("host"),
                project=fields.one("project"),
                track=fields.one("track", ""),
                start=fields.whole("start"),
                rate=fields.whole("rate"),
                mute=fields.choice("mute", {"yes": True, "no": False}, "no"),
            )
        job = cls(
            id=fields.one("id"),
            mixture=Path(fields.one("mixture")),
            queries=tuple(clean_query(query) for query in fields.all("query")),
            options=Options(
                model=fields.one("model", "compact"),
                keep=fields.choice("keep", {k.value: k for k in Keep}, "target"),
                stereo=fields.choice("stereo", {s.value: s for s in Stereo}, "independent"),
                bandwidth=fields.choice("bandwidth", {b.value: b for b in Bandwidth}, "full"),
                sharpness=fields.number("sharpness", "1"),
                precision=fields.choice("precision", {p.value: p for p in Precision}, "exact"),
                context=fields.choice("context", {c.value: c for c in Context}, "exact"),
                memory=fields.choice("memory", {m.value: m for m in Memory}, "default"),
            ),
            title=fields.one("title", ""),
            placement=placement,
            client=fields.one("client", ""),
            task=fields.choice("task", {t.value: t for t in Task}, "separate"),
        )
        fields.done()
        return job


@dataclass(frozen=True)
class Clip:
    """One resulting audio file: float32 WAV with the mixture's rate, length and channels.

    `query` is empty for the residual. `name` is what a track that holds the clip is called.
    """

    path: Path
    kind: ClipKind
    query: str
    name: str


@dataclass(frozen=True)
class Heard:
    """A sound that a listening model noticed.

    `probability` is that of its clearest moment, in hundredths; `times` are the stretches in
    which it is likely, `(start, stop)` in tenths of a second from the mixture's start.
    """

    name: str
    probability: float
    times: tuple[tuple[float, float], ...]

    def to_value(self) -> str:
        """Return the value of a status text's `heard`.

        >>> Heard("dog", 0.93, ((0.0, 2.5), (7.5, 10.0))).to_value()
        '0.93 0.0-2.5,7.5-10.0 dog'
        """
        times = ",".join(f"{start:.1f}-{stop:.1f}" for start, stop in self.times)
        return f"{self.probability:.2f} {times} {self.name}"

    @classmethod
    def from_value(cls, value: str) -> Heard:
        """Read what `to_value` wrote; BadJob if it is something else."""
        found = _HEARD.fullmatch(value)
        if not found:
            raise BadJob(f"'heard' of the status is not of its form: {value[:80]!r}.")
        probability, times, name = found.groups()
        pairs = [part.split("-") for part in times.split(",") if part]
        return cls(name, float(probability), tuple((float(a), float(b)) for a, b in pairs))


@dataclass(frozen=True)
class Status:
    """What is known of a job at one moment.

    `progress` runs from 0 to 1; `message` is a sentence for the user (the reason of a failure);
    `seconds` is what the separation took, `loading` what loading the model took before it (0.0
    where the model was resident); `notes` are sentences of advice; `bad_input` says that the
    failure is one of the request, which its author can mend. `presence` is how likely the sound
    of each query is in the mixture at all, in the order of the job's queries, from 0 to 1 in
    hundredths; empty where the model does not estimate it. `heard` is what a listening job found,
    the likeliest first.

    In the text form a status has one `note`, `presence` and `heard` line for each of these
    values, and none where there are none, so that older readers go on.
    """

    id: str
    state: JobState
    progress: float = 0.0
    message: str = ""
    clips: tuple[Clip, ...] = ()
    seconds: float = 0.0
    loading: float = 0.0
    notes: tuple[str, ...] = ()
    bad_input: bool = False
    presence: tuple[float, ...] = ()
    heard: tuple[Heard, ...] = ()

    def to_text(self) -> str:
        """Return the status file's text."""
        pairs = [
            ("tweeze", _FORM),
            ("id", self.id),
            ("state", self.state.value),
            ("progress", f"{self.progress:.4f}"),
            ("message", self.message),
            ("seconds", f"{self.seconds:.3f}"),
            ("loading", f"{self.loading:.3f}"),
            ("bad_input", "yes" if self.bad_input else "no"),
        ]
        pairs += [("note", note) for note in self.notes]
        pairs += [("presence", f"{share:.2f}") for share in self.presence]
        pairs += [("heard", one.to_value()) for one in self.heard]
        for clip in self.clips:
            pairs += [
                ("clip", str(clip.path)),
                ("kind", clip.kind.value),
                ("query", clip.query),
                ("name", clip.name),
            ]
        return lines(pairs)

    @classmethod
    def from_text(cls, text: str) -> Status:
        """Read a status file's text; BadJob if it does not follow the form."""
        pairs = parse_lines(text, repeated=_REPEATED)
        fields = _Fields(pairs, "status")
        fields.expect("tweeze", _FORM)
        kinds = {k.value: k for k in ClipKind}
        columns = [fields.all(key) for key in ("clip", "kind", "query", "name")]
        if len({len(column) for column in columns}) != 1 or not set(columns[1]) <= set(kinds):
            raise BadJob("A status text names a clip without its kind, query and name.")
        status = cls(
            id=check_id(fields.one("id")),
            state=fields.choice("state", {s.value: s for s in JobState}, None),
            progress=fields.number("progress"),
            message=fields.one("message", ""),
            clips=tuple(
                Clip(Path(path), kinds[kind], query, name)
                for path, kind, query, name in zip(*columns, strict=True)
            ),
            seconds=fields.number("seconds"),
            loading=fields.number("loading"),
            notes=tuple(fields.all("note")),
            bad_input=fields.choice("bad_input", {"yes": True, "no": False}, "no"),
            presence=fields.numbers("presence"),
            heard=tuple(Heard.from_value(value) for value in fields.all("heard")),
        )
        fields.done()
        return status


def new_id() -> str:
    """Return a fresh job id; ids sort by time of making (UTC)."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return f"{stamp}-{time.time_ns() // 1_000_000 % 1000:03d}-{secrets.token_hex(3)}"


def check_id(text: str) -> str:
    """Return `text` if it can be a job's id, and so a file's name; else raise BadJob."""
    if not _ID.fullmatch(text):
        raise BadJob(
            f"{text[:80]!r} is no job id: 1 to 64 letters, digits, '-' or '_', "
            "the first a letter or digit."
        )
    return text


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
    stray = _unprintable(query)
    if stray:
        raise BadQuery(f"The query holds the control character {stray}: type it anew without it.")
    return query


def file_name(name: str, label: str = "") -> str:
    """Return `name - label` made fit to be a file's name on every system, never empty.

    It has at most 120 bytes, and room for a number and an extension where a file system takes no
    more than 143. What is longer is cut between two characters as a reader sees them (graphemes):
    of `name` first, since the label is what tells a recording's clips apart.

    Path separators, what Windows forbids, and what would make it read as another name (control
    characters, direction overrides) become `_`; dots and blanks at the ends go.

    >>> file_name('AC/DC: "live"?')
    'AC_DC_ _live__'
    >>> file_name("Tape 1, " * 20, "dog barking")[-22:]
    'Tape 1,… - dog barking'
    """
    label = _cut(_safe(label), _NAME_LIMIT)
    name = _cut(_safe(name), _NAME_LIMIT - len(f" - {label}".encode()) if label else _NAME_LIMIT)
    safe = " - ".join(part for part in (name, label) if part).strip(" .")
    if not safe or PurePath(safe).stem.upper() in _WINDOWS_DEVICES:
        return f"_{safe}"
    return safe


def _safe(name: str) -> str:
    safe = "".join("_" if c in '<>:"/\\|?*' or misleads(c) else c for c in name)
    return safe if safe.strip(" .") else ""


def _cut(text: str, limit: int) -> str:
    """Return `text`, or as much of its start as fits into `limit` bytes of UTF-8 with a `…`."""
    if len(text.encode()) <= limit:
        return text
    import regex  # rarely needed, and Python's own `re` knows no graphemes

    room = limit - len(_CUT.encode())
    kept = _fitting(regex.findall(r"\X", text), room) or _fitting(text, room)
    return f"{kept.rstrip(' .')}{_CUT}" if kept else ""


def _fitting(pieces: Iterable[str], room: int) -> str:
    kept = ""
    for piece in pieces:
        room -= len(piece.encode())
        if room < 0:
            break
        kept += piece
    return kept


_WINDOWS_DEVICES = {
    "CON",
    "PRN",
    "AUX",
    "NUL",
    *(f"{p}{n}" for p in ("COM", "LPT") for n in "123456789"),
}


def lines(pairs: Iterable[tuple[str, str]]) -> str:
    """Return `key=value` lines and the closing `end`.

    Raises
    ------
    BadJob
        A value holds a control character (a newline, say) or is not valid Unicode.

    """
    out = []
    for key, value in pairs:
        stray = _unprintable(value)
        if stray:
            raise BadJob(f"The value of '{key}' holds the control character {stray}: leave it out.")
        out.append(f"{key}={value}\n")
    return "".join(out) + "end\n"


def parse_lines(text: str, *, repeated: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Return the pairs of a text of `key=value` lines.

    Raises
    ------
    BadJob
        A line has no `=`, a key comes twice that is not in `repeated`, there is a control
        character, or the closing `end` is missing or not the last line.

    """
    if len(text) > _TEXT_LIMIT:
        raise BadJob(f"The text has {len(text):,} characters; {_TEXT_LIMIT:,} is the most.")
    rows = text.split("\n")
    rows = [row.removesuffix("\r") for row in rows]
    if rows[-1] == "":
        rows.pop()
    if not rows or rows[-1] != "end":
        raise BadJob("The text has no closing line 'end': it is not whole.")
    several = set(repeated)
    seen: set[str] = set()
    pairs = []
    for number, row in enumerate(rows[:-1], start=1):
        key, equals, value = row.partition("=")
        if not equals or not key:
            raise BadJob(f"Line {number} is not of the form key=value: {row[:80]!r}.")
        stray = _unprintable(row)
        if stray:
            raise BadJob(f"Line {number} holds the control character {stray}.")
        if key in seen and key not in several:
            raise BadJob(f"Line {number} says '{key}' a second time.")
        seen.add(key)
        pairs.append((key, value))
    return pairs


def one_line(text: str) -> str:
    """Return `text` fit to be a value, whatever a library put into its message.

    White space is folded, and other control characters become question marks.
    """
    return "".join("?" if _unprintable(c) else c for c in " ".join(text.split()))


def _unprintable(text: str) -> str:
    """Return the name of the first control character, line break or lone surrogate, else ''."""
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            return f"U+{ord(character):04X}"
    return ""


class _Fields:
    """Takes values out of parsed pairs, and in the end complains of what nobody took."""

    def __init__(self, pairs: list[tuple[str, str]], what: str) -> None:
        self._what = what
        self._values: dict[str, list[str]] = {}
        for key, value in pairs:
            self._values.setdefault(key, []).append(value)

    def has(self, key: str) -> bool:
        return key in self._values

    def all(self, key: str) -> list[str]:
        return self._values.pop(key, [])

    def one(self, key: str, default: str | None = None) -> str:
        values = self._values.pop(key, None)
        if values is None:
            if default is None:
                raise BadJob(f"The {self._what} does not say '{key}'.")
            return default
        return values[0]

    def expect(self, key: str, value: str) -> None:
        found = self.one(key)
        if found != value:
            raise BadJob(
                f"The {self._what} is written in form {found[:20]!r}, this Tweeze reads form "
                f"{value}: bring both to the same version."
            )

    def whole(self, key: str) -> int:
        text = self.one(key)
        if not re.fullmatch(r"-?[0-9]{1,15}", text):
            raise BadJob(f"'{key}' of the {self._what} is no whole number: {text[:40]!r}.")
        return int(text)

    def number(self, key: str, default: str | None = None) -> float:
        return self._number(key, self.one(key, default))

    def numbers(self, key: str) -> tuple[float, ...]:
        return tuple(self._number(key, text) for text in self.all(key))

    def _number(self, key: str, text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", text):
            raise BadJob(f"'{key}' of the {self._what} is no number: {text[:40]!r}.")
        return float(text)

    def choice(self, key: str, choices: Mapping[str, _T], default: str | None) -> _T:
        text = self.one(key, default)
        if text not in choices:
            raise BadJob(
                f"'{key}' of the {self._what} is {text[:40]!r}; it can be: {', '.join(choices)}."
            )
        return choices[text]

    def done(self) -> None:
        if self._values:
            raise BadJob(
                f"The {self._what} says '{next(iter(self._values))[:40]}', which is unknown."
            )
