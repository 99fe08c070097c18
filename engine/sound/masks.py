"""What each sound of a job gets of a bin: masks raised, competing, and shared.

Masks are those of all sounds that a job names, on one grid: first its queries', then those of what
is not wanted, which only compete. Everything works bin by bin, so that it is the same wherever a
segment ends, and whichever model a mask comes from.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np

from engine.models.base import FloatArray
from engine.sound.frames import Mask

__all__ = ["Competition", "Rule", "competed", "shared", "sharpened", "steered"]


@dataclass(frozen=True)
class Rule:
    """How masks that compete decide a bin.

    With `a` the magnitude of a sound's mask and `b` those of its rivals, the sound gets
    `a^(1 - weight) * (a^2 / (a^2 + sum(b^2)))^weight`.

    Attributes
    ----------
    weight
        How much competing counts, 0 to 1. With 0 nothing changes, with 1 the sounds that are named
        get everything, whatever else there is.

    """

    weight: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise ValueError(f"the weight {self.weight} is not between 0 and 1")


@dataclass(frozen=True)
class Competition:
    """Which sounds of a job compete.

    Attributes
    ----------
    rivals
        For each query the indices of its rivals among all sounds.
    parts
        For each query the indices of sounds that are part of what it describes and not wanted, as
        the dog of "animal, not dog": they are taken out. Empty where there are none.
    sharers
        For each query the indices of sounds that are not wanted and of which it is a part, or the
        same: they share with it what both claim. Empty where there are none.
    rule
        How rivals decide a bin.
    again
        For each query the index of a sound that is the same, asked for in another way: its mask is
        the mean of both. Empty where there are none.

    """

    rivals: tuple[tuple[int, ...], ...]
    parts: tuple[tuple[int, ...], ...] = ()
    sharers: tuple[tuple[int, ...], ...] = ()
    rule: Rule = field(default_factory=Rule)
    again: tuple[int, ...] = ()

    @classmethod
    def none(cls, queries: int) -> Competition:
        """Return the competition of queries that do not compete."""
        return cls(((),) * queries)

    @property
    def queries(self) -> int:
        """Number of queries."""
        return len(self.rivals)

    def with_rest(self, sounds: int) -> Competition:
        """Return the same competition with one rival more for each query, after so many sounds.

        The queries follow once more, as what is asked for without that rival.
        """
        return replace(
            self,
            rivals=tuple((*row, sounds) for row in self.rivals),
            again=tuple(range(sounds + 1, sounds + 1 + self.queries)),
        )

    def idle(self, sounds: int) -> frozenset[int]:
        """Return the places, among so many, of sounds that are no queries and matter to none."""
        rows = (*self.rivals, *self.parts, *self.sharers, self.again)
        matter = {place for row in rows for place in row}
        return frozenset(range(self.queries, sounds)) - matter

    def without(self, idle: Collection[int]) -> Competition:
        """Return the same competition where idle sounds are left out and the others move up."""

        def moved(rows: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
            return tuple(tuple(p - sum(one < p for one in idle) for p in row) for row in rows)

        return Competition(
            moved(self.rivals),
            moved(self.parts),
            moved(self.sharers),
            self.rule,
            *moved((self.again,)),
        )


def steered(masks: Mask, competition: Competition, sharpness: float) -> Mask:
    """Return the masks of the queries, out of those of all sounds.

    Parameters
    ----------
    masks
        `(sounds, ...)`, the queries first; real, or complex.
    competition
        Who competes with whom. Where nobody does, masks keep their bits unless they claim a bin
        more than once.
    sharpness
        The power to which magnitudes are raised.

    Returns
    -------
    masks
        `(queries, ...)`. Real ones add up to at most 1 in each bin, as do the magnitudes of complex
        ones, but for that of a single query's, which keeps its bits.

    """
    raised = sharpened(masks, sharpness)
    return shared(competed(raised, competition))


def competed(masks: Mask, competition: Competition) -> Mask:
    """Return the queries' masks after they competed; phases stay.

    >>> two = Competition(((1,), (0,)), rule=Rule(weight=1))
    >>> competed(np.array([[0.5, 0.5, 0.25], [0.5, 0.0, 0.75]], np.float32), two).tolist()
    [[0.5, 1.0, 0.10000000149011612], [0.5, 0.0, 0.8999999761581421]]
    """
    if competition.again:
        mean = (masks[: competition.queries] + masks[list(competition.again)]) / np.float32(2)
        masks = np.concatenate([mean, masks[competition.queries :]])
    wanted = masks[: competition.queries]
    if not any((*competition.rivals, *competition.parts, *competition.sharers)):
        return wanted
    magnitude = np.minimum(np.abs(masks), np.float32(1))
    out: Mask = wanted.copy()
    for query, rivals in enumerate(competition.rivals):
        own = magnitude[query]
        parts = competition.parts[query] if competition.parts else ()
        sharers = competition.sharers[query] if competition.sharers else ()
        if not (rivals or parts or sharers):
            continue
        share = _share(own, magnitude[list(rivals)], competition.rule) if rivals else own
        for part in parts:
            share = share * (np.float32(1) - magnitude[part])
        if sharers:
            total = own + magnitude[list(sharers)].sum(axis=0)
            share = share / np.maximum(total, np.float32(1))
        out[query] = _with_magnitude(wanted[query], own, share)
    return out


def _share(own: FloatArray, rivals: FloatArray, rule: Rule) -> FloatArray:
    """Return what a sound gets of each bin beside its rivals; see `Rule`."""
    squared = own * own
    total = squared + (rivals * rivals).sum(axis=0)
    share = np.zeros_like(own)
    np.divide(squared, total, out=share, where=total > 0)
    weight = np.float32(rule.weight)
    gained: FloatArray = own ** (np.float32(1) - weight) * share**weight
    return gained


def _with_magnitude(mask: Mask, magnitude: FloatArray, wanted: FloatArray) -> Mask:
    """Return a mask of other magnitudes, with its phases."""
    if not np.iscomplexobj(mask):
        return wanted
    factor = np.zeros_like(magnitude)
    np.divide(wanted, np.abs(mask), out=factor, where=magnitude > 0)
    out = np.empty_like(mask)
    # As in `engine.sound.frames.masked`: no product of complex numbers, whose bits vary.
    out.real, out.imag = mask.real * factor, mask.imag * factor
    return out


def sharpened(mask: Mask, power: float) -> Mask:
    """Raise a mask's magnitude to a power, and leave its phase; a power of 1 changes no bit.

    >>> sharpened(np.array([0.5, 0, -0.5j], np.complex64), 2.0).tolist()
    [(0.25+0j), 0j, -0.25j]
    """
    if power == 1:
        return mask
    magnitude = np.abs(mask)
    factor = np.zeros_like(magnitude)
    np.power(magnitude, np.float32(power - 1), out=factor, where=magnitude > 0)
    sharp: Mask = mask * factor
    return sharp


def shared(masks: Mask) -> Mask:
    """Scale the masks of several queries (first axis) so that no energy is claimed twice.

    Where their magnitudes add up to more than 1 they share the bin in proportion, and keep their
    phases. What is claimed once keeps its bits, and so does the mask of a single query, unless
    it is real and claims more than there is.

    >>> shared(np.array([[0.5, 1.0, 1.0], [0.25, 1.0, 0.0]], np.float32)).tolist()
    [[0.5, 0.5, 1.0], [0.25, 0.5, 0.0]]
    """
    if len(masks) == 1 and np.iscomplexobj(masks):
        return masks  # the magnitude of a unit phase rounds to a little over 1
    total = np.maximum(np.abs(masks).sum(axis=0), np.float32(1))
    out = np.empty_like(masks)
    if np.iscomplexobj(masks):
        # as in `masked`: no product of complex numbers, whose bits vary
        out.real, out.imag = masks.real / total, masks.imag / total
    else:
        np.divide(masks, total, out=out)
    return out
