"""What becomes of jobs, as frozen values: where each stands, its clips, and what was heard."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from engine.errors import BadJob
from engine.job import check_id
from engine.text_form import FORM, Fields, lines, parse_lines

__all__ = ["Clip", "ClipKind", "Heard", "JobState", "Status"]

_REPEATED = ("note", "presence", "heard", "clip", "kind", "query", "name")
_SPAN = r"[0-9]{1,9}\.[0-9]-[0-9]{1,9}\.[0-9]"
_HEARD = re.compile(rf"([01]\.[0-9][0-9]) ((?:{_SPAN}(?:,{_SPAN})*)?) (.*)")


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
        fields = Fields(pairs, "status")
        fields.expect("tweeze", FORM)
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
