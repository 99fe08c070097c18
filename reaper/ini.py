"""REAPER's settings files, changed line by line: what is not Tweeze's stays byte for byte."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from engine import editing

__all__ = ["Lines", "action_id", "add_surface", "key_is_taken", "remove_surface"]

_SECTION = re.compile(r"\s*\[(.*)\]\s*")


class _Line(str):
    """A line of a file, with the ending that it has there."""

    ending = ""


class Lines:
    """The lines of a file, with its own line endings; bytes that are no UTF-8 survive.

    The last line is what follows the last ending, usually nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.existed = path.exists()
        self._before = editing.read(path)
        self._mark = editing.BOM if self._before.startswith(editing.BOM) else ""
        found = editing.rows(self._before.removeprefix(editing.BOM))
        self._end = found[0][1] if found and found[0][1] else "\n"
        self.lines: list[str] = []
        for text, ending in found:
            line = _Line(text)
            line.ending = ending
            self.lines.append(line)
        if not found or found[-1][1]:
            self.lines.append("")

    @property
    def text(self) -> str:
        """The file's text as it would be written."""
        ended = [line + (getattr(line, "ending", "") or self._end) for line in self.lines[:-1]]
        return self._mark + "".join(ended) + "".join(self.lines[-1:])

    @property
    def data(self) -> bytes:
        """The file's content as it would be written."""
        return self.text.encode("utf-8", "surrogateescape")

    def append(self, line: str) -> bool:
        """Add a line at the end; False if it is there."""
        if line in self.lines:
            return False
        if self.lines[-1] == "":
            self.lines.insert(-1, line)
        else:
            self.lines += [line, ""]
        return True

    def remove(self, line: str) -> bool:
        """Remove a line; False if it is not there."""
        if line not in self.lines:
            return False
        self.lines.remove(line)
        return True

    def save(self) -> None:
        """Write what has changed, whole or not at all."""
        if self.text != self._before:
            editing.rewrite(self.path, self.text)


def action_id(stored: str) -> str:
    """Return the id that REAPER itself gives a script of the main section.

    `stored` is the script's path as `reaper-kb.ini` has it: below `Scripts`, with `/`. The rule is
    that of 9,472 such lines in public `reaper-kb.ini` files.

    >>> action_id("QuerySep/querysep_Separate by text.lua")
    'RScee923018d1e63071943240c5f65e4297199ed18'
    """
    return "RS" + hashlib.sha1(stored.upper().encode(), usedforsecurity=False).hexdigest()


def key_is_taken(lines: list[str], modifiers: int, key: int) -> bool:
    """Return whether the user has given a key of the main section to an action, or taken it off."""
    for line in lines:
        words = line.split()
        if words[:3] == ["KEY", str(modifiers), str(key)] and len(words) > 4 and words[4] == "0":
            return True
    return False


def _find(lines: list[str], key: str) -> int:
    """Return where section [REAPER] says `key`, or -1."""
    inside = False
    for index, line in enumerate(lines):
        section = _SECTION.fullmatch(line)
        if section:
            inside = section.group(1).lower() == "reaper"
        elif inside and line.lower().startswith(f"{key}="):
            return index
    return -1


def _count(lines: list[str]) -> int:
    at = _find(lines, "csurf_cnt")
    value = lines[at].partition("=")[2].strip() if at >= 0 else "0"
    return int(value) if value.isdecimal() else 0


def _put(lines: list[str], key: str, value: str) -> None:
    at = _find(lines, key)
    if at >= 0:
        lines[at] = f"{lines[at].partition('=')[0]}={value}"
        return
    for index, line in enumerate(lines):
        section = _SECTION.fullmatch(line)
        if section and section.group(1).lower() == "reaper":
            lines.insert(index + 1, f"{key}={value}")
            return
    lines[:0] = ["[REAPER]", f"{key}={value}"]


def add_surface(lines: list[str], entry: str) -> bool:
    """Add a control surface to the lines of `reaper.ini`; False if it is there."""
    count = _count(lines)
    for number in range(count):
        at = _find(lines, f"csurf_{number}")
        if at >= 0 and lines[at].partition("=")[2] == entry:
            return False
    _put(lines, f"csurf_{count}", entry)
    _put(lines, "csurf_cnt", str(count + 1))
    return True


def remove_surface(lines: list[str], entry: str) -> bool:
    """Remove a control surface, and close the gap in the numbers; False if it is not there."""
    count = _count(lines)
    values = []
    for number in range(count):
        at = _find(lines, f"csurf_{number}")
        values.append(lines.pop(at).partition("=")[2] if at >= 0 else "")
    present = entry in values
    if present:
        values.remove(entry)
    for number, value in enumerate(values):
        _put(lines, f"csurf_{number}", value)
    if count:
        _put(lines, "csurf_cnt", str(len(values)))
    return present
