"""Who answers for the sounds of a job: one model, or several, and which sounds compete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.models.base import FloatArray, Opposed, Separator, Tunable
from engine.options import Options
from engine.sound.masks import Competition

__all__ = ["Member", "Team"]


@dataclass(frozen=True, eq=False)
class Member:
    """A model and the sounds that it answers for.

    Attributes
    ----------
    separator
        The loaded model.
    sounds
        Places of its sounds among the team's.
    embed
        Turns a text into a vector; None where the model itself does.

    """

    separator: Separator
    sounds: tuple[int, ...]
    embed: Callable[[str], FloatArray] | None = None


@dataclass(frozen=True, eq=False)
class Team:
    """The models of a job.

    Attributes
    ----------
    texts
        What is asked for: the job's queries, then what only competes.
    members
        The models. The first says on which frames masks lie; see `engine.sound.core.pieces_of`.
    competition
        Which sounds compete.

    """

    texts: tuple[str, ...]
    members: tuple[Member, ...]
    competition: Competition

    @classmethod
    def of_one(
        cls,
        separator: Separator,
        queries: Sequence[str],
        embed: Callable[[str], FloatArray] | None = None,
    ) -> Team:
        """Return the team of one model, which answers queries that do not compete."""
        sounds = tuple(range(len(queries)))
        none = Competition.none(len(queries))
        return cls(tuple(queries), (Member(separator, sounds, embed),), none)

    @property
    def lead(self) -> Separator:
        """The first model."""
        return self.members[0].separator

    def others(self, sound: int) -> list[str]:
        """Return the texts of the sounds that one competes with, in their order."""
        rivals = self.competition.rivals
        parts = self.competition.parts or ((),) * len(rivals)
        against = [{*rivals[query], *parts[query]} for query in range(len(rivals))]
        found = set(against[sound]) if sound < len(rivals) else set()
        found |= {query for query, places in enumerate(against) if sound in places}
        return [self.texts[place] for place in sorted(found)]

    def vectors(self, member: Member) -> FloatArray:
        """Return the vectors of a member's sounds, `(sounds, dimensions)`.

        A model that can be told what else is there is told, where its sounds compete.
        """
        separator = member.separator
        others = [self.others(sound) for sound in member.sounds]
        texts = [self.texts[sound] for sound in member.sounds]
        if member.embed is None and isinstance(separator, Opposed) and any(others):
            pairs = zip(texts, others, strict=True)
            return np.stack([separator.embed_beside(text, beside) for text, beside in pairs])
        embed = member.embed or separator.embed
        return np.stack([embed(text) for text in texts])

    def tuned(self, options: Options) -> Team:
        """Return the same team with each model set up as `options` ask."""
        return replace(
            self,
            members=tuple(
                replace(one, separator=one.separator.tuned(options))
                if isinstance(one.separator, Tunable)
                else one
                for one in self.members
            ),
        )
