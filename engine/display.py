"""Text from outside (queries, names of files and tracks), made fit for a terminal, a log, a name.

Such text is only ever data. What it could do to whoever shows it is named instead of done:
control characters, which a terminal obeys, and Unicode's direction overrides, which make a line
read as something else than it is ("Trojan Source", CVE-2021-42574).
"""

from __future__ import annotations

import logging
import unicodedata

__all__ = ["LogFormatter", "misleads", "shown"]

_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")  # control characters, lone surrogates, line separators
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def misleads(character: str) -> bool:
    """Return whether a character controls how text is shown, rather than being shown itself."""
    return character in _DIRECTIONS or unicodedata.category(character) in _CATEGORIES


def shown(text: str) -> str:
    r"""Return `text` with every character that misleads named by its escape.

    >>> print(shown("dog\x1b[2J\u202e"))
    dog\x1b[2J\u202e
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(c) if misleads(c) else c for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class LogFormatter(logging.Formatter):
    """Formats a record so that no text in it can pass for another record.

    A record begins at the start of a line; whatever lines follow (a traceback) are indented.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines."""
        return "\n    ".join(shown(line) for line in super().format(record).split("\n"))
