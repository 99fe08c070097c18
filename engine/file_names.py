"""Names that are safe as names of files on every system."""

from __future__ import annotations

from collections.abc import Iterable

from engine.display import misleads

__all__ = ["file_name"]

_NAME_LIMIT = 120  # bytes of a file's name without its extension
_CUT = "…"
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file: with any ending, too.
_WINDOWS_DEVICES = {
    *("CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"),
    *(f"{p}{n}" for p in ("COM", "LPT") for n in "123456789¹²³"),
}


def file_name(name: str, label: str = "") -> str:
    """Return `name - label` made fit to be a file's name on every system, never empty.

    It has at most 120 bytes, and room for a number and an extension where a file system takes no
    more than 143. What is longer is cut between two characters as a reader sees them (graphemes):
    of `name` first, since the label is what tells a recording's clips apart.

    Path separators, what Windows forbids, and what would make it read as another name (control
    characters, direction overrides) become `_`; dots and blanks at the ends go.

    >>> file_name('AC/DC: "live"?')
    'AC_DC_ _live__'
    >>> file_name("Tape 1, " * 20, "dog barking")[-22:]
    'Tape 1,… - dog barking'
    """
    label = _cut(_safe(label), _NAME_LIMIT)
    name = _cut(_safe(name), _NAME_LIMIT - len(f" - {label}".encode()) if label else _NAME_LIMIT)
    safe = " - ".join(part for part in (name, label) if part).strip(" .")
    if not safe or safe.partition(".")[0].rstrip().upper() in _WINDOWS_DEVICES:
        return f"_{safe}"
    return safe


def _safe(name: str) -> str:
    safe = "".join("_" if c in '<>:"/\\|?*' or misleads(c) else c for c in name)
    return safe if safe.strip(" .") else ""


def _cut(text: str, limit: int) -> str:
    """Return `text`, or as much of its start as fits into `limit` bytes of UTF-8 with a `…`."""
    if len(text.encode()) <= limit:
        return text
    import regex  # rarely needed, and Python's own `re` knows no graphemes

    room = limit - len(_CUT.encode())
    kept = _fitting(regex.findall(r"\X", text), room) or _fitting(text, room)
    return f"{kept.rstrip(' .')}{_CUT}" if kept else ""


def _fitting(pieces: Iterable[str], room: int) -> str:
    kept = ""
    for piece in pieces:
        room -= len(piece.encode())
        if room < 0:
            break
        kept += piece
    return kept
