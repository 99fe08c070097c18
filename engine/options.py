"""The options of a job: a table that everything which offers options reads.

A new field of `Options` is a new option everywhere: in text forms, on the command line, in
requests, over OSC and, with a place among them, in the editors' dialogs. What it does is up to
the code that reads its value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from engine.option_types import Choice, Flag, Number, Several, Text, described, read, table
from engine.places import Band, Rectangle, Span

__all__ = [
    "AUTO",
    "Bandwidth",
    "Context",
    "Keep",
    "Memory",
    "Options",
    "Precision",
    "Presence",
    "Stereo",
]


AUTO = "auto"
"""The model that is none: each sound goes to the one that is best for it."""


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


class Presence(str, Enum):
    """Who is asked whether a sound is there: separator and listener, or the separator alone."""

    BOTH = "both"
    SEPARATOR = "separator"


class Memory(str, Enum):
    """How much memory a job may take: what makes it fast, or little."""

    DEFAULT = "default"
    LOW = "low"


@dataclass(frozen=True)
class Options:
    """How a job is to be separated.

    `sharpness` is the power to which the magnitude of each mask is raised: above 1 a target holds
    less of what only resembles its query, and loses some of its own edges and tails; 1 is as
    trained. `like` names an example, see `engine.advice.examples`. `presence` changes no clip, only
    what is said of it. `precision`, `context` and `memory` are for models that have a choice;
    others work as they always do.
    """

    model: str = described(
        Text(
            default=AUTO,
            label="Model",
            help="One of those that 'tweeze models' lists; 'auto' takes the best for each sound.",
            dialog=3,
        )
    )
    keep: Keep = described(
        Choice(
            default=Keep.TARGET,
            label="Result",
            help="The sounds, the rest, or both.",
            called={
                Keep.TARGET: "the sound",
                Keep.RESIDUAL: "everything else",
                Keep.BOTH: "both",
            },
            dialog=1,
        )
    )
    stereo: Stereo = described(
        Choice(
            default=Stereo.INDEPENDENT,
            label="Channels",
            help="Channels one by one, or with one mask.",
            called={Stereo.INDEPENDENT: "one by one", Stereo.LINKED: "with one mask"},
        )
    )
    bandwidth: Bandwidth = described(
        Choice(
            default=Bandwidth.FULL,
            label="Above the model's band",
            help="Whether the mask goes on above the model's own band.",
            called={Bandwidth.FULL: "the mask goes on", Bandwidth.MODEL: "nothing is taken out"},
        )
    )
    sharpness: float = described(
        Number(
            default=1.0,
            label="Sharpness",
            help="Above 1: less of what only resembles the sound.",
            least=0.1,
            most=10,
            remark="1 is as trained",
            sparse=True,
        )
    )
    precision: Precision = described(
        Choice(
            default=Precision.EXACT,
            label="Precision",
            help="Draft is faster and rougher, where the model can.",
            called={Precision.EXACT: "exact", Precision.DRAFT: "draft"},
            sparse=True,
        )
    )
    context: Context = described(
        Choice(
            default=Context.EXACT,
            label="Context",
            help="Short is faster, where the model can.",
            called={Context.EXACT: "exact", Context.SHORT: "short"},
            sparse=True,
        )
    )
    memory: Memory = described(
        Choice(
            default=Memory.DEFAULT,
            label="Memory",
            help="Low takes less memory and more time.",
            called={Memory.DEFAULT: "as needed", Memory.LOW: "little"},
            sparse=True,
        )
    )
    presence: Presence = described(
        Choice(
            default=Presence.BOTH,
            label="Is it there?",
            help="Whether a listener is asked, too, if the sound is there.",
            called={Presence.BOTH: "ask a listener, too", Presence.SEPARATOR: "separator only"},
            sparse=True,
        )
    )

    compete: bool = described(
        Flag(
            default=True,
            label="Sounds compete",
            help="Whether the sounds of a job compete for what both could be.",
            called=("each by itself", "they compete"),
            sparse=True,
        )
    )
    auto: bool = described(
        Flag(
            default=True,
            label="Speech beside it",
            help="Whether speech that is heard beside another sound competes unasked.",
            called=("leave it alone", "it competes"),
            sparse=True,
        )
    )
    twice: bool = described(
        Flag(
            default=False,
            label="Answer twice",
            help="Whether one sound is asked for twice, and what the first answer leaves competes "
            "with the second; up to 20 s.",
            called=("once", "twice"),
            sparse=True,
        )
    )
    like: str = described(
        Text(
            default="",
            label="Like this sound",
            help="A sound to look for: FILE, or FILE@START-END in seconds.",
            file=True,
            sparse=True,
            lasting=False,
        )
    )

    at: tuple[Span, ...] = described(
        Several(
            default=(),
            kind=Span,
            label="Only at",
            help="Only there: a span of time in seconds, like 3.2-7.5. Repeatable.",
            sparse=True,
            lasting=False,
        )
    )
    never: tuple[Span, ...] = described(
        Several(
            default=(),
            kind=Span,
            label="Not at",
            help="Not there: a span of time in seconds, like 0-1. Repeatable.",
            sparse=True,
            lasting=False,
        )
    )
    band: tuple[Band, ...] = described(
        Several(
            default=(),
            kind=Band,
            label="Only from low to high",
            help="Only these frequencies in Hz, like 300-3400. Repeatable.",
            sparse=True,
        )
    )
    rect: tuple[Rectangle, ...] = described(
        Several(
            default=(),
            kind=Rectangle,
            label="Only in the rectangle",
            help="Only there, in time and frequency, like 3.2-4.0:2000-8000. Repeatable.",
            sparse=True,
            lasting=False,
        )
    )
    amount: float = described(
        Number(
            default=100.0,
            label="Amount",
            help="How much of each sound is taken out, in percent; what is not stays in the rest.",
            least=0,
            most=100,
            remark="percent",
            sparse=True,
        )
    )
    merge: bool = described(
        Flag(
            default=False,
            label="One clip",
            help="All sounds in one clip.",
            called=("a clip each", "all in one"),
            sparse=True,
        )
    )
    events: bool = described(
        Flag(
            default=False,
            label="Only where it is heard",
            help="Only where each sound is likely enough to be there.",
            called=("everywhere", "where it is likely"),
            sparse=True,
        )
    )
    event_above: float = described(
        Number(
            default=0.5,
            label="How likely",
            help="With --events: how likely it must be.",
            least=0.01,
            most=0.99,
            sparse=True,
        )
    )
    event_least: float = described(
        Number(
            default=0.2,
            label="Shortest event",
            help="With --events: seconds of the shortest event.",
            least=0,
            most=60,
            sparse=True,
        )
    )
    event_gap: float = described(
        Number(
            default=0.5,
            label="Widest gap",
            help="With --events: gaps of at most so many seconds are part of an event.",
            least=0,
            most=60,
            sparse=True,
        )
    )
    draft: bool = described(
        Flag(
            default=False,
            label="Draft first",
            help="A fast first answer, which the exact one replaces.",
            called=("only the exact answer", "a draft first"),
            sparse=True,
        )
    )
    masks: bool = described(
        Flag(
            default=True,
            label="Adjust later",
            help="Whether masks are kept, so that 'tweeze adjust' need not wait for the model.",
            called=("keep nothing", "keep masks"),
            sparse=True,
            lasting=False,
        )
    )

    @property
    def places(self) -> bool:
        """Whether it is said where targets may be."""
        return bool(self.at or self.never or self.band or self.rect)

    def __post_init__(self) -> None:
        for option in table(type(self)):
            option.check(getattr(self, option.name))

    @classmethod
    def from_fields(cls, given: Iterable[tuple[str, str]], what: str = "request") -> Options:
        """Return what the fields of a request say; what they leave open has its default.

        The first of two fields of one name counts; fields of other names are ignored.

        Raises
        ------
        BadJob
            A value is not allowed.

        """
        return cls(**read(cls, dict(reversed(list(given))).get, what))
