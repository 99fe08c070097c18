"""Places a text query on the unit sphere: a static table of word vectors, no network, no model.

The table is distilled from all-MiniLM-L6-v2 (``engine.training.text_table`` builds it). A query is
the weighted sum of its words' rows, scaled to unit length. Words that the table does not hold lose
an ending first, and then fall into word pieces.

It lies outside ``compact``, whose query vectors it makes, because processes that never load torch
look for related words with it.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load

from engine.tensors import unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.abc import Traversable

    from numpy.typing import NDArray

MAX_CHARACTERS = 512
"""What comes after this many characters of a query is not read."""

_WORD = re.compile(r"[a-z0-9]+")
_ENDINGS = (("ies", "y"), ("es", ""), ("s", ""), ("ing", ""), ("ing", "e"), ("ed", ""), ("ed", "e"))
_SHORTEST_STEM = 3


class TextTable:
    """A vocabulary of words and word pieces, each with one vector.

    Parameters
    ----------
    rows
        Token to row number. A token that continues a word starts with ``##``.
    vectors
        int8, shape ``(tokens, dim)``.
    scales
        float32, shape ``(tokens,)``: what a row is multiplied by. Holds both the step of the
        quantisation and how much the word counts ("the" counts little).
    """

    def __init__(
        self, rows: Mapping[str, int], vectors: NDArray[np.int8], scales: NDArray[np.float32]
    ) -> None:
        if vectors.shape[0] != len(rows) or scales.shape != (len(rows),):
            raise ValueError(
                f"the text table holds {len(rows)} words, but {vectors.shape[0]} vectors "
                f"and {scales.shape[0]} scales"
            )
        self._rows = rows
        self._vectors = vectors
        self._scales = scales

    @property
    def dim(self) -> int:
        """Length of a query's vector."""
        return int(self._vectors.shape[1])

    @property
    def words(self) -> list[str]:
        """The whole words of the table, in its order."""
        return [token for token in self._rows if not token.startswith("##")]

    def embed(self, query: str) -> NDArray[np.float32]:
        """Return the query's vector: shape ``(dim,)``, unit length.

        A query without any letter or digit of the Latin alphabet gives zeros, which the model has
        learned to answer with the whole mixture.
        """
        rows = [row for word in words_of(query) for row in self._rows_of(word)]
        total = (self._vectors[rows] * self._scales[rows, None]).sum(axis=0, dtype=np.float32)
        length = float(np.linalg.norm(total)) or 1.0
        return np.asarray(total / length, np.float32)

    def knows(self, word: str) -> bool:
        """Whether the table holds a lower-case word, or what is left without its ending."""
        return any(candidate in self._rows for candidate in _spellings(word))

    def _rows_of(self, word: str) -> list[int]:
        for candidate in _spellings(word):
            if candidate in self._rows:
                return [self._rows[candidate]]
        return self._pieces_of(word)

    def _pieces_of(self, word: str) -> list[int]:
        """Longest piece first, from the left, as in BERT's tokenizer; unknown letters drop out."""
        pieces = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            for end in range(len(word), start, -1):
                row = self._rows.get(prefix + word[start:end])
                if row is not None:
                    pieces.append(row)
                    start = end
                    break
            else:
                start += 1
        return pieces


def words_of(query: str) -> list[str]:
    """Return a query's words in lower case: runs of Latin letters and digits, without accents."""
    text = unicodedata.normalize("NFKD", query[:MAX_CHARACTERS]).lower()
    return _WORD.findall("".join(c for c in text if not unicodedata.combining(c)))


def _spellings(word: str) -> Iterator[str]:
    yield word
    for ending, replacement in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word and len(stem) >= _SHORTEST_STEM:
            yield stem + replacement


@functools.cache
def load_text_table() -> TextTable:
    """Read the table that comes with ``compact``; once, for a job asks several times."""
    return read_text_table(files("engine.taxonomy"))


def read_text_table(folder: Traversable) -> TextTable:
    """Read a table (``words.txt`` and ``words.safetensors``) from a folder."""
    tokens = (folder / "words.txt").read_text(encoding="utf-8").split("\n")
    tensors = unpacked(load, (folder / "words.safetensors").read_bytes())
    rows = {token: row for row, token in enumerate(tokens)}
    return TextTable(rows, tensors["vectors"], tensors["scales"].astype(np.float32))
