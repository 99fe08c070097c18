"""Single keys in Audacity's settings file, changed without touching anything else in it.

The file is wxWidgets' text form: `[Group/Sub]` headers and `key=value` lines. All lines that are
not changed stay as they are, byte for byte.
"""

from __future__ import annotations

from engine.editing import BOM, rows

__all__ = ["Settings", "escape"]

_SAFE = "@_/-!.*%()"


class Settings:
    r"""The text of a settings file.

    >>> settings = Settings("[A]\nx=1\n")
    >>> settings.set("B/C", "y", "2")
    >>> settings.set("A", "x", None)
    >>> settings.text
    '[B/C]\ny=2\n'
    """

    def __init__(self, text: str) -> None:
        self._mark = BOM if text.startswith(BOM) else ""
        found = rows(text.removeprefix(BOM))
        self._lines = [line for line, _ in found]
        self._endings = [ending for _, ending in found]
        self._newline = self._endings[0] if found and self._endings[0] else "\n"

    @property
    def text(self) -> str:
        """The text as it is now."""
        pairs = zip(self._lines, self._endings, strict=True)
        return self._mark + "".join(line + ending for line, ending in pairs)

    def get(self, group: str, key: str) -> str | None:
        """Return a key's value, or None where it is not set."""
        at = self._find(group, key)
        return None if at is None else self._lines[at].partition("=")[2]

    def set(self, group: str, key: str, value: str | None) -> None:
        """Set a key, or delete it (None); a group that is then empty goes with it."""
        at = self._find(group, key)
        if value is None:
            if at is not None:
                self._delete(at)
                self._drop_if_empty(group)
            return
        line = f"{key}={value}"
        if at is not None:
            self._lines[at] = line
            return
        span = self._span(group)
        if span is None:
            self._insert(len(self._lines), f"[{group}]")
            self._insert(len(self._lines), line)
        else:
            self._insert(span[1], line)

    def _insert(self, at: int, line: str) -> None:
        self._lines.insert(at, line)
        self._endings.insert(at, self._newline)
        if at and not self._endings[at - 1]:  # the text had no last newline, and gets none
            self._endings[at - 1], self._endings[at] = self._newline, ""

    def _delete(self, at: int) -> None:
        del self._lines[at]
        ending = self._endings.pop(at)
        if at and not ending:
            self._endings[at - 1] = ""

    def _span(self, group: str) -> tuple[int, int] | None:
        """Return the line numbers of a group's header and of what follows its last key."""
        try:
            header = self._lines.index(f"[{group}]")
        except ValueError:
            return None
        end = header + 1
        while end < len(self._lines) and not self._lines[end].startswith("["):
            end += 1
        return header, end

    def _find(self, group: str, key: str) -> int | None:
        span = self._span(group)
        if span is None:
            return None
        for number in range(span[0] + 1, span[1]):
            if self._lines[number].partition("=")[0] == key:
                return number
        return None

    def _drop_if_empty(self, group: str) -> None:
        span = self._span(group)
        if span is not None and span[1] == span[0] + 1:
            self._delete(span[0])


def escape(name: str) -> str:
    r"""Return a group's or key's name as wxWidgets writes it.

    >>> escape("Tweeze Again")
    'Tweeze\\ Again'
    """
    return "".join(c if c.isalnum() or c in _SAFE or ord(c) > 126 else f"\\{c}" for c in name)
