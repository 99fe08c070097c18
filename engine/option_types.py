"""What an option of a job is: its values, its text, and its words for users, described once.

A description is held by the dataclass field that holds the value; `table` collects those of a
dataclass. Whatever offers options reads them from there: text forms, the command line, requests,
OSC and the editors' dialogs.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from engine.errors import BadJob

__all__ = [
    "PLACES_LIMIT",
    "Choice",
    "Flag",
    "Number",
    "Option",
    "Several",
    "Text",
    "described",
    "read",
    "table",
    "write",
]

PLACES_LIMIT = 1000
"""Values of one option at most."""
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?|\.[0-9]{1,12}")
_T = TypeVar("_T")
_E = TypeVar("_E", bound=Enum)


@dataclass(frozen=True, kw_only=True)
class Option(ABC, Generic[_T]):
    """The description of one option; its name is that of the field that holds it.

    Attributes
    ----------
    default
        The value where nobody names one.
    label
        What dialogs call it.
    help
        What it is for, in a sentence that fits the command line's help.
    sparse
        Whether texts leave it out where it has its default. An option that is younger than the
        text form is sparse: readers that do not know it yet go on with all texts that do not
        need it.
    dialog
        Its place in the editors' small dialogs, from 1; 0 where they do not show it.
    lasting
        Whether it means the same for every recording, so that a preset can hold it.

    """

    default: _T
    label: str
    help: str
    sparse: bool = False
    dialog: int = 0
    lasting: bool = True
    name: str = ""

    @property
    def words(self) -> Mapping[str, str]:
        """What dialogs call each possible text; empty where the texts cannot be listed."""
        return {}

    @property
    @abstractmethod
    def form(self) -> str:
        """What stands for the value in a line of usage, like `target|residual|both`."""

    @property
    @abstractmethod
    def allowed(self) -> str:
        """What the value must be, as the end of a sentence: `yes or no`."""

    @abstractmethod
    def write(self, value: _T) -> str:
        """Return the text of a value."""

    def brief(self, value: _T) -> str:
        """Return the text of a value as a user would type it."""
        return self.write(value)

    @abstractmethod
    def _read(self, text: str) -> _T | None:
        """Return the value of a text, or None if it has none."""

    def _allows(self, value: _T) -> bool:
        return True

    def read(self, text: str, called: str = "") -> _T:
        """Return the value of a text; BadJob, which says what is allowed, if it has none.

        `called` is what the sentence calls the option; without it, its name.
        """
        value = self._read(text)
        if value is None or not self._allows(value):
            raise self._refusal(text, called)
        return value

    def check(self, value: _T) -> None:
        """Raise BadJob if a value is not allowed."""
        if not self._allows(value):
            raise self._refusal(self.brief(value), "")

    def _refusal(self, text: str, called: str) -> BadJob:
        called = called or f"'{self.name}'"
        return BadJob(f"{called} must be {self.allowed}, not {text[:40]!r}.")


@dataclass(frozen=True, kw_only=True)
class Choice(Option[_E]):
    """One of the members of an enumeration; `called` is what dialogs call each, in their order."""

    called: Mapping[_E, str]

    @property
    def words(self) -> Mapping[str, str]:
        """What dialogs call each value's text."""
        return {value.value: word for value, word in self.called.items()}

    @property
    def form(self) -> str:
        """The texts, with bars between them."""
        return "|".join(self.words)

    @property
    def allowed(self) -> str:
        """The texts."""
        *others, last = self.words
        return f"{', '.join(others)} or {last}"

    def write(self, value: _E) -> str:
        """Return the member's own text."""
        return str(value.value)

    def _read(self, text: str) -> _E | None:
        return next((value for value in self.called if value.value == text), None)


@dataclass(frozen=True, kw_only=True)
class Flag(Option[bool]):
    """Yes or no; `called` is what dialogs call no, and yes."""

    called: tuple[str, str]

    @property
    def words(self) -> Mapping[str, str]:
        """What dialogs call no and yes."""
        return dict(zip(("no", "yes"), self.called, strict=True))

    @property
    def form(self) -> str:
        """Both texts."""
        return "no|yes"

    @property
    def allowed(self) -> str:
        """Both texts."""
        return "yes or no"

    def write(self, value: bool) -> str:
        """Return `yes` or `no`."""
        return "yes" if value else "no"

    def _read(self, text: str) -> bool | None:
        return {"yes": True, "no": False}.get(text)


@dataclass(frozen=True, kw_only=True)
class Number(Option[float]):
    """A number from `least` to `most` with two decimals; `remark` says what one is for, if any."""

    least: float
    most: float
    remark: str = ""

    @property
    def form(self) -> str:
        """The limits."""
        return f"{self.least:g} to {self.most:g}"

    @property
    def allowed(self) -> str:
        """The limits, and the remark."""
        remark = f" ({self.remark})" if self.remark else ""
        return f"a number from {self.form} with at most two decimals{remark}"

    def write(self, value: float) -> str:
        """Return the number with two decimals."""
        return f"{value:.2f}"

    def brief(self, value: float) -> str:
        """Return the number with the decimals that it needs."""
        return f"{value:g}"

    def _read(self, text: str) -> float | None:
        return float(text) if _NUMBER.fullmatch(text) else None

    def _allows(self, value: float) -> bool:
        return self.least <= value <= self.most and value == round(value, 2)


@dataclass(frozen=True, kw_only=True)
class Text(Option[str]):
    """Any text. Which ones are possible is known elsewhere, as the models' names are.

    `file` says that it names a file: a command line takes it from where it was called.
    """

    file: bool = False

    @property
    def form(self) -> str:
        """Any text."""
        return "text"

    @property
    def allowed(self) -> str:
        """Nothing is refused here."""
        return "a text"

    def write(self, value: str) -> str:
        """Return it as it is."""
        return value

    def _read(self, text: str) -> str | None:
        return text


class _Place(Protocol):
    """A value with a text of its own, as in `engine.places`."""

    form: ClassVar[str]
    allowed: ClassVar[str]

    @property
    def text(self) -> str:
        """The value as one types it."""

    @classmethod
    def from_text(cls, text: str) -> _Place | None:
        """Read a text; None if it is not of the form, BadJob if its value cannot be."""


_P = TypeVar("_P", bound=_Place)


@dataclass(frozen=True, kw_only=True)
class Several(Option[tuple[_P, ...]]):
    """Any number of values of one kind, with commas between their texts."""

    kind: type[_P]

    @property
    def form(self) -> str:
        """The form of one."""
        return self.kind.form

    @property
    def allowed(self) -> str:
        """What one must be."""
        return self.kind.allowed

    def write(self, value: tuple[_P, ...]) -> str:
        """Return the texts, with commas between them."""
        return ",".join(one.text for one in value)

    def _read(self, text: str) -> tuple[_P, ...] | None:
        found: list[_P] = []
        for part in filter(None, (part.strip() for part in text.split(","))):
            one = self.kind.from_text(part)
            if one is None:
                return None
            found.append(one)  # type: ignore[arg-type]
        return tuple(found)

    def _allows(self, value: tuple[_P, ...]) -> bool:
        return len(value) <= PLACES_LIMIT


def described(option: Option[_T]) -> _T:
    """Return a dataclass field with an option's description and default."""
    return field(default=option.default, metadata={"option": option})


def table(kind: type) -> tuple[Option[Any], ...]:
    """Return the options among a dataclass's fields, in their order."""
    return tuple(
        replace(one.metadata["option"], name=one.name)
        for one in fields(kind)
        if "option" in one.metadata
    )


def read(kind: type, take: Callable[[str], str | None], what: str) -> dict[str, Any]:
    """Return the values of a dataclass's options by name, as far as their texts are given.

    `take` returns the text that a name has in the `what` (a job, say), or None.

    Raises
    ------
    BadJob
        A text is not allowed.

    """
    given = ((option, take(option.name)) for option in table(kind))
    return {
        option.name: option.read(text, f"'{option.name}' of the {what}")
        for option, text in given
        if text is not None
    }


def write(value: object) -> list[tuple[str, str]]:
    """Return the names and texts of a value's options, in their order."""
    pairs = [(option, getattr(value, option.name)) for option in table(type(value))]
    return [
        (option.name, option.write(value))
        for option, value in pairs
        if not option.sparse or value != option.default
    ]
