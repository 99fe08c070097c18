"""The captions that a network has learned from, and how a query is drawn towards them.

The network has seen vectors of captions and little else. A word that it never saw ("trombone")
lies beside them, and it answers that less well than it knows the sounds around it ("tuba",
"trumpet"). So a query's vector is the middle between its own and the mean of the captions, where
those that are nearer weigh more. A query that is a caption hardly moves; one that has nothing to do
with any stays as it is, for the network has learned to pass everything then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ModelBroken
from engine.taxonomy.text import words_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.models.base import FloatArray
    from engine.taxonomy.text import TextTable

__all__ = ["CAPTIONS", "NEARNESS", "LearnedCaptions", "captions_text", "read_captions"]

CAPTIONS = "captions.txt"
"""Name of the file beside a network's weights: UTF-8, a caption a line."""
NEARNESS = 0.1
"""By how much more similar a caption is that weighs e times as much."""
RELATED = 0.35
"""Cosine from which a query has to do with a caption: "bantam" (0.43 from "poultry") has. What lies
further from all was learned as a query that means nothing."""
SAME = 0.95
"""Cosine from which a query all but is a caption: "violins", "violin"."""
_LOOKED_AT, _SAID = 8, 3


class LearnedCaptions:
    """Captions as vectors.

    Parameters
    ----------
    captions
        At least one.
    table
        Makes their vectors.

    """

    def __init__(self, captions: Sequence[str], table: TextTable) -> None:
        self.captions = tuple(captions)
        self._table = table
        # Now, and not at the first query: what a loaded model takes is known once it is loaded.
        self._vectors: FloatArray = np.stack([table.embed(caption) for caption in captions])

    def towards(self, vector: FloatArray) -> FloatArray:
        """Return a query's vector, ``(dim,)``, drawn towards the nearest captions."""
        if float(self._cosines(vector).max()) < RELATED:
            return vector
        return scaled(vector + self.mean(vector))

    def instead_of(self, query: str) -> tuple[str, ...]:
        """Return the captions that stand for a query, the nearest first; three at most.

        None where the query holds one of them, or all but is one, or has to do with none.
        """
        words = _singular(query)
        if any(words >= _singular(caption) for caption in self.captions):
            return ()
        cosines = self._cosines(self._table.embed(query))
        order = np.argsort(-cosines, kind="stable")
        if not RELATED <= cosines[order[0]] < SAME:
            return ()
        found: list[str] = []
        for number in order[:_LOOKED_AT]:
            caption = self.captions[int(number)]
            told = {word for one in found for word in _singular(one)}
            if cosines[number] >= RELATED and not told & _singular(caption):
                found.append(caption)
        return tuple(found[:_SAID])

    def mean(self, place: FloatArray) -> FloatArray:
        """Return the mean of the captions around a place, ``(dim,)``, of unit length."""
        near = np.exp((self._cosines(place) - 1) / NEARNESS)
        return scaled(np.einsum("c,cd->d", near, self._vectors))

    def _cosines(self, place: FloatArray) -> FloatArray:
        """Return ``(captions,)``; without BLAS, whose rounding depends on the threads it gets."""
        cosines: FloatArray = np.einsum("cd,d->c", self._vectors, place)
        return cosines


def _singular(text: str) -> frozenset[str]:
    """Return a text's words without an ending s."""
    return frozenset(word[:-1] if word[3:].endswith("s") else word for word in words_of(text))


def scaled(vector: FloatArray) -> FloatArray:
    """Return a vector at unit length, float32."""
    return np.asarray(vector / (np.linalg.norm(vector) + 1e-9), np.float32)


def captions_text(captions: Sequence[str]) -> str:
    """Return what `CAPTIONS` holds."""
    return "".join(f"{caption}\n" for caption in captions)


def read_captions(text: bytes, where: str | Path) -> tuple[str, ...]:
    """Read what `captions_text` wrote.

    Raises
    ------
    ModelBroken
        It is not UTF-8, or holds no caption.

    """
    try:
        found = tuple(line for line in text.decode("utf-8").splitlines() if line.strip())
    except UnicodeDecodeError as error:
        raise ModelBroken(f"{where} is not a list of captions: it is not UTF-8.") from error
    if not found:
        raise ModelBroken(f"{where} is not a list of captions: it holds none.")
    return found
