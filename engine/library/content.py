"""What was heard in one recording, as a frozen value that can be sent between processes."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

__all__ = ["DIMENSIONS", "Content", "Happening"]

DIMENSIONS = 128
"""Numbers of a vector."""


@dataclass(frozen=True)
class Happening:
    """A stretch of a recording in which a sound is heard.

    `label` is AudioSet's; `start` and `stop` are hundredths of a second from the recording's start,
    `certainty` hundredths.
    """

    label: str
    start: int
    stop: int
    certainty: int


@dataclass(frozen=True)
class Content:
    """A recording's content, whatever it is called and wherever it lies.

    Attributes
    ----------
    digest
        SHA-256 of the file's bytes.
    frames, rate, channels
        How much sound there is; `rate` in Hz.
    listener
        Which listener heard it: vectors of another one cannot be compared.
    happenings
        What is heard, and when, from the first to the last.
    vectors
        Where the recording as a whole, and then each happening, lies among sounds: int8,
        `(1 + happenings, 128)`, zeros for silence. Lengths mean nothing, directions do.
    notes
        Sentences about how the file was read.

    """

    digest: bytes
    frames: int
    rate: int
    channels: int
    listener: str
    happenings: tuple[Happening, ...]
    vectors: bytes
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / self.rate

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {
            "digest": self.digest.hex(),
            "frames": self.frames,
            "rate": self.rate,
            "channels": self.channels,
            "listener": self.listener,
            "happenings": [(h.label, h.start, h.stop, h.certainty) for h in self.happenings],
            "vectors": base64.b64encode(self.vectors).decode("ascii"),
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Content:
        """Read what `to_json` wrote."""
        return cls(
            bytes.fromhex(said["digest"]),
            said["frames"],
            said["rate"],
            said["channels"],
            said["listener"],
            tuple(Happening(*one) for one in said["happenings"]),
            base64.b64decode(said["vectors"]),
            tuple(said["notes"]),
        )
