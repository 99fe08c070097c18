"""A request to act on an editor's current selection, as hosts without sockets write it.

The form is that of a job file: `tweeze`, `id`, `host`, and whatever more the host's own part of
Tweeze understands (`query`, which may come several times, `keep`, `mute`, ...).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import BadInput, BadJob, Failure
from engine.job import Status, check_id, lines, parse_lines

__all__ = ["Request", "raise_refused"]


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

    def to_text(self) -> str:
        """Return the request file's text."""
        return lines([("tweeze", "1"), ("id", self.id), ("host", self.host), *self.fields])

    @classmethod
    def from_text(cls, text: str) -> Request:
        """Read a request file's text; BadJob if it does not follow the form."""
        pairs = parse_lines(text, repeated=("query",))
        known = dict(reversed(pairs))
        for key in ("tweeze", "id", "host"):
            if key not in known:
                raise BadJob(f"The request does not say '{key}'.")
        if known["tweeze"] != "1":
            raise BadJob(f"The request has the form {known['tweeze'][:20]!r}; '1' is known here.")
        rest = tuple(pair for pair in pairs if pair[0] not in ("tweeze", "id", "host"))
        return cls(known["id"], known["host"], rest)


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
