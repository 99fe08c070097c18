"""What the environment can set: each variable with its usual value and the values that it can have.

`TWEEZE_HOME`, which says where everything lies, is read by `engine.folders`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

from engine.errors import BadInput

__all__ = ["Settings"]


@dataclass(frozen=True)
class _Range:
    """A variable, and the numbers that it can be."""

    variable: str
    least: float
    most: float
    whole: bool = False

    def read(self, environment: Mapping[str, str]) -> float | None:
        """Return the variable's number; None where it is not set, or empty."""
        text = environment.get(self.variable, "").strip()
        if not text:
            return None
        with contextlib.suppress(ValueError):
            value = int(text) if self.whole else float(text)
            if self.least <= value <= self.most:  # false for what is no number (NaN)
                return value
        kind = "a whole number" if self.whole else "a number"
        raise BadInput(
            f"{self.variable} is {text[:40]!r}: it must be {kind} from {self.least:,g} to "
            f"{self.most:,.0f}. Set it again, or unset it for the usual value."
        )


_RANGES = {
    "osc_port": _Range("TWEEZE_OSC_PORT", 0, 65535, whole=True),
    "idle_minutes": _Range("TWEEZE_IDLE_MINUTES", 0, 1_000_000),
    "keep_days": _Range("TWEEZE_KEEP_DAYS", 0.001, 1_000_000),
    "keep_gb": _Range("TWEEZE_KEEP_GB", 0.001, 1_000_000),
    "masks_gb": _Range("TWEEZE_MASKS_GB", 0, 1_000_000),
}


@dataclass(frozen=True)
class Settings:
    """The settings as they are used.

    Attributes
    ----------
    osc_port
        UDP port of the OSC door (`TWEEZE_OSC_PORT`); 0 keeps the door shut.
    idle_minutes
        Minutes without a job after which the models leave the memory (`TWEEZE_IDLE_MINUTES`).
    keep_days
        Days that clips stay which nobody fetches (`TWEEZE_KEEP_DAYS`).
    keep_gb
        Gigabytes that all clips together may take (`TWEEZE_KEEP_GB`).
    masks_gb
        Gigabytes that all kept masks together may take (`TWEEZE_MASKS_GB`); 0 keeps none.

    """

    osc_port: int = 9157
    idle_minutes: float = 15.0
    keep_days: float = 30.0
    keep_gb: float = 20.0
    masks_gb: float = 2.0

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Return the usual settings with those in their place that the environment names.

        Raises
        ------
        BadInput
            A variable has a value that it cannot have; which one, and what it could be.

        """
        named = os.environ if environment is None else environment
        found = {field: range_.read(named) for field, range_ in _RANGES.items()}
        return cls(**{field: value for field, value in found.items() if value is not None})  # type: ignore[arg-type]
