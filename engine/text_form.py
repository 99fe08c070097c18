"""The text form of jobs, statuses and requests, that hosts without sockets read and write.

UTF-8, one `key=value` a line, some keys more than once, and a closing line `end` which shows that
the file is complete. Nothing is escaped: a value is everything after the first `=`, and must not
contain control characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TypeVar

from engine.errors import BadJob

__all__ = ["FORM", "Fields", "lines", "one_line", "parse_lines", "unprintable"]

FORM = "1"
"""The form that this version writes and reads: the first line is `tweeze=1`."""

_TEXT_LIMIT = 1 << 20  # characters of a whole job or status text
_T = TypeVar("_T")


def lines(pairs: Iterable[tuple[str, str]]) -> str:
    """Return `key=value` lines and the closing `end`.

    Raises
    ------
    BadJob
        A value holds a control character (a newline, say) or is not valid Unicode.

    """
    out = []
    for key, value in pairs:
        stray = unprintable(value)
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
        stray = unprintable(row)
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
    return "".join("?" if unprintable(c) else c for c in " ".join(text.split()))


def unprintable(text: str) -> str:
    """Return the name of the first control character, line break or lone surrogate, else ''."""
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            return f"U+{ord(character):04X}"
    return ""


class Fields:
    """Takes values out of parsed pairs; `done` refuses those that are left."""

    def __init__(self, pairs: list[tuple[str, str]], what: str) -> None:
        self._what = what
        self._values: dict[str, list[str]] = {}
        for key, value in pairs:
            self._values.setdefault(key, []).append(value)

    def has(self, key: str) -> bool:
        """Return whether a value of `key` is left."""
        return key in self._values

    def maybe(self, key: str) -> str | None:
        """Take the value of `key`, or return None if it is missing."""
        return self.one(key) if self.has(key) else None

    def all(self, key: str) -> list[str]:
        """Take all values of `key`, in order; there may be none."""
        return self._values.pop(key, [])

    def one(self, key: str, default: str | None = None) -> str:
        """Take the value of `key`; BadJob if it is missing and there is no `default`."""
        values = self._values.pop(key, None)
        if values is None:
            if default is None:
                raise BadJob(f"The {self._what} does not say '{key}'.")
            return default
        return values[0]

    def expect(self, key: str, value: str) -> None:
        """Take `key`, which says the form; BadJob if its value is another."""
        found = self.one(key)
        if found != value:
            raise BadJob(
                f"The {self._what} is written in form {found[:20]!r}, this Tweeze reads form "
                f"{value}: bring both to the same version."
            )

    def whole(self, key: str) -> int:
        """Take a whole number; BadJob if it is something else."""
        text = self.one(key)
        if not re.fullmatch(r"-?[0-9]{1,15}", text):
            raise BadJob(f"'{key}' of the {self._what} must be a whole number, not {text[:40]!r}.")
        return int(text)

    def number(self, key: str) -> float:
        """Take a decimal number without a sign; BadJob if it is something else."""
        return self._number(key, self.one(key))

    def numbers(self, key: str) -> tuple[float, ...]:
        """Take every value of `key` as a decimal number without a sign."""
        return tuple(self._number(key, text) for text in self.all(key))

    def _number(self, key: str, text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", text):
            raise BadJob(f"'{key}' of the {self._what} must be a number, not {text[:40]!r}.")
        return float(text)

    def choice(self, key: str, choices: Mapping[str, _T], default: str | None) -> _T:
        """Take one of `choices`; BadJob, which names them all, if it is something else."""
        text = self.one(key, default)
        if text not in choices:
            raise BadJob(
                f"'{key}' of the {self._what} is {text[:40]!r}; it can be: {', '.join(choices)}."
            )
        return choices[text]

    def done(self) -> None:
        """Raise BadJob if values are left."""
        if self._values:
            raise BadJob(
                f"The {self._what} says '{next(iter(self._values))[:40]}', which is unknown."
            )
