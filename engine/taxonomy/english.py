"""How much of a query is English: the text table was made of English and makes sense of no other.

What other languages write falls into word pieces, whose vectors mean nothing together. But the
table holds many of their words too, for English texts quote them ("der", "qui", names of people),
so a query counts as English where at least half of its words are known.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from engine.taxonomy.text import TextTable, words_of

__all__ = ["English", "Reading"]

_FOREIGN = frozenset(
    (
        *("au", "auf", "aus", "aux", "avec", "bei", "chez", "che", "con", "dans", "das", "de"),
        *("dei", "del", "della", "dem", "der", "des", "di", "du", "een", "ein", "eine", "einem"),
        *("einen", "einer", "el", "elle", "em", "est", "et", "het", "il", "im", "la", "las", "le"),
        *("les", "los", "met", "mit", "na", "nel", "nella", "op", "och", "para", "pas", "por"),
        *("que", "qui", "sich", "sous", "sul", "sulla", "sur", "un", "una", "und", "une", "uno"),
        *("van", "vom", "von", "vor", "zu", "zum", "zur"),
    )
)
"""Small words of other languages. English queries rarely hold one; it never decides alone."""
_SHORTEST = 3
"""Letters of a word that counts; shorter ones are alike in many languages."""
_COMPOUND = 7
"""Letters from which an unknown word may be two known ones: "lawnmower"."""
_DRAWN_OUT = re.compile(r"(.)\1{2,}")
_TOKEN = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Reading:
    """How many of a query's words count, how many of those are known, and if it has accents."""

    words: int
    known: int
    accents: bool

    @property
    def is_english(self) -> bool:
        """Whether half of the words are known; more than half of a query with accents."""
        return 2 * self.known >= self.words + self.accents or not self.words


@dataclass(frozen=True)
class English:
    """The words that queries can be made of.

    Parameters
    ----------
    table
        The text table; its word pieces do not count.
    phrases
        What kinds of sound are called: their words count as known as well.

    """

    table: TextTable
    phrases: tuple[str, ...]

    def read(self, query: str) -> Reading:
        """Count the words of a query that are known."""
        text = unicodedata.normalize("NFC", query).casefold()
        counted = known = 0
        for token in _TOKEN.findall(text):
            words = words_of(token)
            if token.isdigit() or (words and len(token) < _SHORTEST and token not in _FOREIGN):
                continue
            counted += 1
            known += len(words) == 1 and self._knows(words[0])
        return Reading(counted, known, accents=not text.isascii())

    @cached_property
    def _named(self) -> frozenset[str]:
        spelled = [words_of(phrase) for phrase in self.phrases]
        return frozenset((*(w for words in spelled for w in words), *map("".join, spelled)))

    def _knows(self, word: str) -> bool:
        if word in _FOREIGN:
            return False
        short = (_DRAWN_OUT.sub(r"\1" * count, word) for count in (2, 1))
        return self._is_whole((word, *short)) or (
            len(word) >= _COMPOUND
            and any(
                self._is_whole((word[:cut],)) and self._is_whole((word[cut:],))
                for cut in range(_SHORTEST, len(word) - _SHORTEST + 1)
            )
        )

    def _is_whole(self, words: Iterable[str]) -> bool:
        return any(word in self._named or self.table.knows(word) for word in words)
