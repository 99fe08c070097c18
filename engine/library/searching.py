"""Searching an index: which moments of which files hold a sound.

Nothing here loads a model or NumPy, so that a search starts fast; `likeness` does where a sound is
searched by another one.
"""

from __future__ import annotations

import difflib
import heapq
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from types import TracebackType

from engine.errors import BadInput, BadQuery
from engine.library.tables import opened_to_read, sentences, words_in
from engine.library.wanted import Wanted, of_events, of_files
from engine.taxonomy.phrases import folded

__all__ = ["Counts", "Library", "Meant", "Moment", "Wanted"]

_FEW = 3000  # contents of a folder, from which it is quicker to go through sounds than through them
_SUGGESTED = 3
_ALIKE = 0.72  # of letters, from which a word may be a misspelling of another
_LONGEST = 200  # characters of a search


@dataclass(frozen=True)
class Meant:
    """What words mean in an index.

    Attributes
    ----------
    words
        As they are understood: shorter than what was asked for where parts of it say nothing.
    sounds
        The sounds' numbers, those with these names and all their kinds.

    """

    words: str
    sounds: tuple[int, ...]


@dataclass(frozen=True)
class Moment:
    """A stretch of a file in which a sound is heard.

    Attributes
    ----------
    path
        The file; the first one by its name where several have this content.
    sound, label
        What it is called, by a musician and by AudioSet; '' for a file as a whole.
    start, stop
        Seconds from the file's start.
    certainty
        0 to 1.
    seconds
        Length of the file.
    file
        The file's number in the index.
    number
        The moment's, in its file.
    copies
        Other files with the same content.
    likeness
        Cosine to what it was searched by, None where it was searched by words.

    """

    path: Path
    sound: str
    label: str
    start: float
    stop: float
    certainty: float
    seconds: float
    file: int
    number: int
    copies: tuple[Path, ...] = ()
    likeness: float | None = None


@dataclass(frozen=True)
class Counts:
    """What an index holds: files, those that could not be heard, hours of sound, events."""

    files: int
    faults: int
    hours: float
    events: int


class Library:
    """The index in a file, to be searched; others may write it meanwhile.

    Raises
    ------
    BadInput
        There is none at that path.
    Failure
        The disk refuses. Methods raise it, too.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = opened_to_read(path)

    def __enter__(self) -> Library:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    def counts(self) -> Counts:
        """Return how much there is; this takes a moment where there are millions of events."""
        with sentences(self.path):
            files, faults, hours = self.database.execute(
                "SELECT count(*), total(error != ''), total(1.0 * frames / rate) / 3600 FROM files "
                "LEFT JOIN contents ON contents.id = content WHERE gone IS NULL"
            ).fetchone()
            (events,) = self.database.execute("SELECT count(*) FROM events").fetchone()
        return Counts(files, int(faults), hours, events)

    def faults(self) -> list[tuple[Path, str]]:
        """Return the files that could not be heard, each with a sentence."""
        with sentences(self.path):
            rows = self.database.execute(
                "SELECT path, error FROM files WHERE error != '' AND gone IS NULL ORDER BY path"
            )
            return [(Path(path), error) for path, error in rows]

    def meant(self, words: str) -> Meant | None:
        """Return the sounds that words mean; None if no sound is called so.

        Sounds with exactly that name go first, in the singular or plural; then those with a name
        that holds the words; then what the longest part of the words means by itself.

        Raises
        ------
        BadQuery
            There are no words, or too many.

        """
        asked = folded(words)
        if not asked or len(words) > _LONGEST:
            raise BadQuery(
                f"Name a sound of 1 to {_LONGEST} characters to look for, like 'dog barking'."
            )
        tokens = asked.split()
        with sentences(self.path):
            found = self._called(tokens) or self._matching(f'"{asked}"')
            found = found or self._matching(" ".join(f'"{token}"' for token in tokens))
            if found:
                return Meant(asked, found)
            for count in range(len(tokens) - 1, 0, -1):
                for first in range(len(tokens) - count + 1):
                    part = tokens[first : first + count]
                    if found := self._called(part):
                        return Meant(" ".join(part), found)
        return None

    def suggestions(self, words: str) -> list[str]:
        """Return names of sounds that may be meant by words that are no sound's name.

        Those that are spelled alike, or else those that mean something near; for the latter tables
        are loaded that take a moment.
        """
        asked = folded(words)
        near = difflib.get_close_matches(asked, self._phrases, 4 * _SUGGESTED, _ALIKE)
        if near:
            return _apart(near)
        from engine.advice.suggestions import suggest  # brings NumPy

        return [one.term for one in suggest(words) if self.meant(one.term)][:_SUGGESTED]

    def named(self, sounds: Iterable[int]) -> list[str]:
        """Return what sounds are called, sorted."""
        return sorted({self._sounds[number][0] for number in sounds})

    def moments(self, sounds: Sequence[int], wanted: Wanted, limit: int) -> list[Moment]:
        """Return moments of sounds, those that are most certain first, `limit` at most.

        Of moments of one file that overlap the most certain one counts.
        """
        with sentences(self.path):
            self._note_named(wanted)
            rows = self._rows(sounds, wanted)
            return list(islice(self._seen(_without_overlaps(rows), wanted), limit))

    def of(self, content: int, number: int, wanted: Wanted) -> Moment | None:
        """Return a moment by its content and its number there (0: the whole); None without one."""
        whole = number == 0
        conditions, values = of_events(wanted, whole=whole)
        if whole:
            sql = (
                "SELECT NULL, 0, contents.id, 0, 0, 100 * frames / rate FROM contents "
                f"WHERE contents.id = ? {conditions}"
            )
        else:
            sql = (
                "SELECT sound, certainty, content, number, start, stop FROM events "
                f"WHERE content = ? AND number = {int(number)} {conditions}"
            )
        with sentences(self.path):
            rows = self.database.execute(sql, (content, *values))
            return next(self._seen(rows, wanted), None)

    def contents(self, wanted: Wanted) -> Iterator[int]:
        """Yield the numbers of all contents that a search is limited to, by their files."""
        condition, values = of_files(wanted)
        with sentences(self.path):
            self._note_named(wanted)
            for (content,) in self.database.execute(
                f"SELECT DISTINCT content FROM files WHERE content IS NOT NULL {condition}", values
            ):
                yield content

    def numbers(self, sounds: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Yield all moments of sounds: contents, and numbers in them."""
        marks = ", ".join("?" * len(sounds))
        with sentences(self.path):
            yield from self.database.execute(
                f"SELECT content, number FROM events WHERE sound IN ({marks})", tuple(sounds)
            )

    def file(self, number: int) -> Path | None:
        """Return where a file lies by its number; None if the index names none that is there."""
        if not 0 < number < 1 << 63:  # SQLite knows no other
            return None
        with sentences(self.path):
            found = self.database.execute(
                "SELECT path FROM files WHERE id = ? AND gone IS NULL AND content IS NOT NULL",
                (number,),
            ).fetchone()
        return Path(found[0]) if found else None

    def content_of(self, path: Path) -> int | None:
        """Return the number of a file's content, if the file is as it was when it was heard."""
        try:
            about = path.stat()
        except OSError:
            return None
        with sentences(self.path):
            found = self.database.execute(
                "SELECT content FROM files WHERE path = ? AND size = ? AND mtime_ns = ?",
                (str(path), about.st_size, about.st_mtime_ns),
            ).fetchone()
        return found[0] if found else None

    @cached_property
    def _sounds(self) -> dict[int, tuple[str, str]]:
        """Names and labels of sounds by their numbers."""
        rows = self.database.execute("SELECT id, name, label FROM sounds")
        return {number: (name, label) for number, name, label in rows}

    @cached_property
    def _phrases(self) -> list[str]:
        with sentences(self.path):
            rows = self.database.execute("SELECT DISTINCT phrase FROM words WHERE own = 1")
            return [phrase for (phrase,) in rows]

    def _called(self, tokens: Sequence[str]) -> tuple[int, ...]:
        """Return the sounds with a name of just these words."""
        rows = self.database.execute(
            "SELECT phrase, sound FROM words WHERE words MATCH ?", (f'"{" ".join(tokens)}"',)
        )
        return tuple(sorted({s for phrase, s in rows if len(phrase.split()) == len(tokens)}))

    def _matching(self, query: str) -> tuple[int, ...]:
        rows = self.database.execute("SELECT sound FROM words WHERE words MATCH ?", (query,))
        return tuple(sorted({sound for (sound,) in rows}))

    def _rows(self, sounds: Sequence[int], wanted: Wanted) -> Iterator[_Row]:
        """Yield moments, the most certain first, then the latest: lazily, for who stops early."""
        columns = "SELECT sound, certainty, events.content, number, start, stop FROM"
        order = "ORDER BY certainty DESC, events.content DESC, number DESC"  # as they lie there
        few = self._few(wanted)
        if few is not None:
            conditions, values = of_events(replace(wanted, folder=None, named=""))
            marks = ", ".join("?" * len(sounds))
            self.database.execute(
                "CREATE TEMP TABLE IF NOT EXISTS here (content INTEGER PRIMARY KEY)"
            )
            self.database.execute("DELETE FROM temp.here")
            self.database.executemany("INSERT INTO temp.here VALUES (?)", ((c,) for c in few))
            yield from self.database.execute(
                f"{columns} temp.here CROSS JOIN events INDEXED BY events_by_content "
                f"ON events.content = here.content WHERE sound IN ({marks}) {conditions} "
                f"{order}",
                (*sounds, *values),
            )
            return
        conditions, values = of_events(wanted)
        sql = f"{columns} events WHERE sound = ? {conditions} {order}"
        each = [self.database.execute(sql, (sound, *values)) for sound in sounds]
        yield from heapq.merge(*each, key=lambda row: (-row[1], -row[2], -row[3]))

    def _note_named(self, wanted: Wanted) -> None:
        """Look up once which files have the words in their path that are wanted."""
        self.database.execute("CREATE TEMP TABLE IF NOT EXISTS named (id INTEGER PRIMARY KEY)")
        self.database.execute("DELETE FROM temp.named")
        if not wanted.named:
            return
        words = words_in(Path(wanted.named)).split()
        if not words:
            raise BadInput(f"There is no word in '{wanted.named}' to look for in paths.")
        self.database.execute(
            "INSERT INTO temp.named SELECT rowid FROM paths WHERE paths MATCH ?",
            (" ".join(f'"{word}"*' for word in words),),
        )

    def _few(self, wanted: Wanted) -> list[int] | None:
        """Return the contents that a folder or words limit a search to, if they are few."""
        if wanted.folder is None and not wanted.named:
            return None
        condition, values = of_files(wanted)
        rows = self.database.execute(
            f"SELECT DISTINCT content FROM files WHERE content IS NOT NULL {condition} "
            f"LIMIT {_FEW + 1}",
            values,
        ).fetchall()
        return [content for (content,) in rows] if len(rows) <= _FEW else None

    def _seen(self, rows: Iterable[_Row], wanted: Wanted) -> Iterator[Moment]:
        """Yield what is to be shown of rows."""
        condition, values = of_files(wanted)
        for sound, certainty, content, number, start, stop in rows:
            files = self.database.execute(
                "SELECT files.id, path, 1.0 * frames / rate FROM files JOIN contents "
                f"ON contents.id = content WHERE content = ? {condition} ORDER BY path",
                (content, *values),
            ).fetchall()
            if not files:
                continue
            file, path, seconds = files[0]
            name, label = self._sounds[sound] if sound is not None else ("", "")
            yield Moment(
                Path(path),
                name,
                label,
                start / 100,
                min(stop / 100, seconds),
                certainty / 100,
                seconds,
                file,
                number,
                tuple(Path(other) for _, other, _ in files[1:]),
            )


_Row = tuple[int | None, int, int, int, int, int]  # sound, certainty, content, number, start, stop


def _without_overlaps(rows: Iterable[_Row]) -> Iterator[_Row]:
    """Leave out what overlaps, by half of the shorter one, with what came before."""
    taken: dict[int, list[tuple[int, int]]] = {}
    for row in rows:
        _, _, content, _, start, stop = row
        spans = taken.setdefault(content, [])
        if all(
            2 * (min(stop, end) - max(start, begin)) < min(stop - start, end - begin)
            for begin, end in spans
        ):
            spans.append((start, stop))
            yield row


def _apart(phrases: Sequence[str]) -> list[str]:
    """Return phrases without those that differ in their endings alone."""
    kept: dict[str, str] = {}
    for phrase in phrases:
        kept.setdefault(re.sub(r"(?:ing|ed|es|s)\b", "", phrase), phrase)
    return list(kept.values())[:_SUGGESTED]
