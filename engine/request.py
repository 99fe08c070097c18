"""A request to act on an editor's current selection, as hosts without sockets write it.

The form is that of a job file: `tweeze`, `id`, `host`, and whatever more the host's own part of
Tweeze understands (`query`, which may come several times, `keep`, `mute`, ...).
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import BadJob
from engine.job import check_id
from engine.text_form import lines, parse_lines

__all__ = ["Request"]


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
