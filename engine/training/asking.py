"""Turns captions into the vectors that a network learns from: of words, of sounds, of nonsense."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from engine.models.compact import Compact
from engine.models.compact.network import VECTOR
from engine.models.compact.weights import new_network
from engine.training.mixing import phrase
from engine.training.shown import ShownSounds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from engine.taxonomy.classes import Taxonomy
    from engine.taxonomy.text import TextTable
    from engine.training.corpus import Clip

__all__ = ["Asker", "UnknownQueries", "sounds_of"]


class UnknownQueries:
    """Vectors of words that have nothing to do with any caption; sometimes no vector at all."""

    def __init__(self, table: TextTable, taxonomy: Taxonomy) -> None:
        captions = np.stack([table.embed(caption) for caption in taxonomy.captions])
        words = np.stack([table.embed(word) for word in table.words])
        far = (words @ captions.T).max(axis=1) < 0.45
        self._vectors = words[far & (np.linalg.norm(words, axis=1) > 0.5)]

    def draw(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return ``(dim,)``."""
        vector = self._vectors[rng.integers(len(self._vectors))]
        return vector if rng.random() < 0.7 else np.zeros_like(vector)


class Asker:
    """Makes the vector of a query.

    Parameters
    ----------
    embed
        Turns words into a vector, ``(dim,)``.
    unknown
        Stand for a query that means nothing.
    shown
        Where given, some sounds are asked for, or excluded, by a sound instead of words.

    """

    def __init__(
        self,
        embed: Callable[[str], NDArray[np.float32]],
        unknown: UnknownQueries,
        shown: ShownSounds | None = None,
    ) -> None:
        self._embed = embed
        self._unknown = unknown
        self._shown = shown

    def vector(self, caption: str, against: str, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return ``(2 * dim,)``: what is asked for, and what the target must not hold.

        An empty caption means nothing; zeros stand where nothing is excluded.
        """
        wanted = self._wanted(caption, rng)
        return np.concatenate([wanted, self._unwanted(against, caption, rng)])

    def _wanted(self, caption: str, rng: np.random.Generator) -> NDArray[np.float32]:
        if not caption:
            return self._unknown.draw(rng)
        sound = self._shown.query(caption, rng) if self._shown is not None else None
        return sound if sound is not None else self._embed(phrase(caption, rng))

    def _unwanted(
        self, against: str, caption: str, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        if not against:
            return np.zeros(VECTOR, np.float32)
        sound = self._shown.against(against, caption, rng) if self._shown is not None else None
        return sound if sound is not None else self._embed(phrase(against, rng))


def sounds_of(
    clips: Sequence[Clip],
    places: NDArray[np.floating] | None,
    taxonomy: Taxonomy,
    table: TextTable,
) -> ShownSounds | None:
    """Return the clips as sounds that stand for words, placed as ``compact`` places them.

    ``places`` is ``(clips, dim)``, see `engine.training.shown`; None returns None.
    """
    if places is None:
        return None
    steer = functools.partial(Compact(new_network(), table).embed_sound, query=None)
    return ShownSounds(clips, np.asarray(places, np.float32), taxonomy, steer)
