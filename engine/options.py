"""How a job is to be separated."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from engine.errors import BadJob

__all__ = ["Bandwidth", "Context", "Keep", "Memory", "Options", "Precision", "Stereo"]


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
