"""What becomes of jobs, as frozen values: where each stands, its clips, and what was heard."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from engine.errors import BadJob
from engine.job import check_id
from engine.text_form import FORM, Fields, lines, parse_lines

__all__ = ["Certainty", "Clip", "ClipKind", "Event", "Heard", "JobState", "Status"]

_REPEATED = (
    "note",
    "presence",
    "certainty",
    "answers",
    "heard",
    "label",
    "clip",
    "kind",
    "query",
    "name",
    "draft",
    "draft_kind",
    "draft_query",
    "draft_name",
)
_CLIP = ("clip", "kind", "query", "name")
_DRAFT = tuple(f"draft{suffix}" for suffix in ("", "_kind", "_query", "_name"))
_SHARE = r"[01]\.[0-9][0-9]"
_SECONDS = r"[0-9]{1,9}\.[0-9]{1,2}"
_EVENT = rf"{_SECONDS}-{_SECONDS}(?:@{_SHARE})?"
_HEARD = re.compile(rf"({_SHARE}) ((?:{_EVENT}(?:,{_EVENT})*)?) (.*)")
_CERTAINTY = re.compile(r"([0-9]{1,6}\.[0-9]{6}) ((?:[0-9][0-9])*)")


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
class Clip:
    """One resulting audio file: float32 WAV with the mixture's rate, length and channels.

    `query` is empty for the residual. `name` is what a track that holds the clip is called.
    """

    path: Path
    kind: ClipKind
    query: str
    name: str


@dataclass(frozen=True)
class Certainty:
    """How sure Tweeze is that a query's sound is there, over time.

    `values[i]` is about the seconds from `i * step` to `(i + 1) * step`, counted from the mixture's
    start: a probability in hundredths, 0.99 at most.
    """

    step: float
    values: tuple[float, ...]

    @classmethod
    def rounded(cls, step: float, values: Iterable[float]) -> Certainty:
        """Return the certainty with its step in millionths and its values in hundredths."""
        return cls(round(step, 6), tuple(min(0.99, round(float(v), 2)) for v in values))

    def to_value(self) -> str:
        """Return the value of a status text's `certainty`: the step, then two digits a value.

        >>> Certainty(0.16, (0.0, 0.07, 0.99)).to_value()
        '0.160000 000799'
        """
        digits = "".join(f"{min(99, round(value * 100)):02d}" for value in self.values)
        return f"{self.step:.6f} {digits}"

    @classmethod
    def from_value(cls, value: str) -> Certainty:
        """Read what `to_value` wrote; BadJob if it is something else."""
        found = _CERTAINTY.fullmatch(value)
        if not found:
            raise BadJob(f"'certainty' of the status is not of its form: {value[:80]!r}.")
        step, digits = found.groups()
        values = (int(digits[at : at + 2]) / 100 for at in range(0, len(digits), 2))
        return cls(float(step), tuple(values))


@dataclass(frozen=True)
class Event:
    """A stretch in which a sound is likely.

    `start` and `stop` are in hundredths of a second from the mixture's start, `probability`, of
    its clearest moment, in hundredths.
    """

    start: float
    stop: float
    probability: float


@dataclass(frozen=True)
class Heard:
    """A sound that a listener noticed.

    `name` is fit to be a query. `probability` is that of its clearest moment, in hundredths;
    `events` are the stretches in which it is likely, none where it is not likely at any time.
    `label` is what AudioSet calls the sound.
    """

    name: str
    probability: float
    events: tuple[Event, ...] = ()
    label: str = ""

    @property
    def times(self) -> tuple[tuple[float, float], ...]:
        """The stretches in which it is likely, `(start, stop)` in seconds."""
        return tuple((event.start, event.stop) for event in self.events)

    def to_value(self) -> str:
        """Return the value of a status text's `heard`; `label` has a line of its own.

        >>> Heard("dog", 0.93, (Event(0.0, 2.5, 0.93), Event(7.5, 10.0, 0.6))).to_value()
        '0.93 0.00-2.50@0.93,7.50-10.00@0.60 dog'
        """
        events = ",".join(f"{e.start:.2f}-{e.stop:.2f}@{e.probability:.2f}" for e in self.events)
        return f"{self.probability:.2f} {events} {self.name}"

    @classmethod
    def from_value(cls, value: str, label: str = "") -> Heard:
        """Read what `to_value` wrote, now or in earlier versions; BadJob if it is something else.

        Those did not write the probability of each event: it is that of the whole.
        """
        found = _HEARD.fullmatch(value)
        if not found:
            raise BadJob(f"'heard' of the status is not of its form: {value[:80]!r}.")
        probability, listed, name = found.groups()
        events = []
        for part in listed.split(",") if listed else []:
            times, _, share = part.partition("@")
            start, stop = times.split("-")
            events.append(Event(float(start), float(stop), float(share or probability)))
        return cls(name, float(probability), tuple(events), label)


@dataclass(frozen=True)
class Status:
    """What is known of a job at one moment.

    `progress` runs from 0 to 1; `message` is a sentence for the user (the reason of a failure);
    `seconds` is what the separation took, `loading` what loading the model took before it (0.0
    where the model was resident); `notes` are sentences of advice; `bad_input` says that the
    failure is one of the request, which its author can mend. `presence` is how likely the sound
    of each query is in the mixture at all, in the order of the job's queries, from 0 to 1 in
    hundredths; empty where the model does not estimate it. `certainty` says the same over time.
    `heard` is what a listening job found, the likeliest first. `answers` names the model of each
    of the job's sounds, in their order. `draft` are clips of a first, rough answer to a job that
    asks for one; they are there until its own are.

    In the text form a status has one `note`, `presence`, `certainty`, `answers`, `heard` and
    `label` line for each of these values, and none where there are none, so that older readers
    go on.
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
    certainty: tuple[Certainty, ...] = ()
    answers: tuple[str, ...] = ()
    draft: tuple[Clip, ...] = ()

    def to_text(self) -> str:
        """Return the status file's text."""
        pairs = [
            ("tweeze", FORM),
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
        pairs += [("certainty", one.to_value()) for one in self.certainty]
        pairs += [("answers", name) for name in self.answers]
        for one in self.heard:
            pairs += [("heard", one.to_value()), ("label", one.label)]
        for clip in self.clips:
            pairs += zip(_CLIP, _values(clip), strict=True)
        for clip in self.draft:
            pairs += zip(_DRAFT, _values(clip), strict=True)
        return lines(pairs)

    @classmethod
    def from_text(cls, text: str) -> Status:
        """Read a status file's text; BadJob if it does not follow the form."""
        pairs = parse_lines(text, repeated=_REPEATED)
        fields = Fields(pairs, "status")
        fields.expect("tweeze", FORM)
        heard, labels = fields.all("heard"), fields.all("label")
        if labels and len(labels) != len(heard):
            raise BadJob("A status text says what was heard without AudioSet's name for it.")
        labels = labels or [""] * len(heard)
        status = cls(
            id=check_id(fields.one("id")),
            state=fields.choice("state", {s.value: s for s in JobState}, None),
            progress=fields.number("progress"),
            message=fields.one("message", ""),
            clips=_clips(fields, _CLIP),
            seconds=fields.number("seconds"),
            loading=fields.number("loading"),
            notes=tuple(fields.all("note")),
            bad_input=fields.choice("bad_input", {"yes": True, "no": False}, "no"),
            presence=fields.numbers("presence"),
            heard=tuple(map(Heard.from_value, heard, labels)),
            certainty=tuple(Certainty.from_value(value) for value in fields.all("certainty")),
            answers=tuple(fields.all("answers")),
            draft=_clips(fields, _DRAFT),
        )
        fields.done()
        return status


def _values(clip: Clip) -> tuple[str, str, str, str]:
    return str(clip.path), clip.kind.value, clip.query, clip.name


def _clips(fields: Fields, keys: Sequence[str]) -> tuple[Clip, ...]:
    """Return the clips of a text whose columns have these keys."""
    kinds = {k.value: k for k in ClipKind}
    columns = [fields.all(key) for key in keys]
    if len({len(column) for column in columns}) != 1 or not set(columns[1]) <= set(kinds):
        raise BadJob("A status text names a clip without its kind, query and name.")
    return tuple(
        Clip(Path(path), kinds[kind], query, name)
        for path, kind, query, name in zip(*columns, strict=True)
    )
