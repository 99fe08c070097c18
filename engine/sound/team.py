"""Who answers for the sounds of a job: one model, or several, and which sounds compete."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from engine.models.base import (
    Competing,
    FloatArray,
    FrameGrid,
    Opposed,
    PresenceSeparator,
    Separator,
    SoundSteered,
    Tunable,
    WaveformSeparator,
)
from engine.options import Options
from engine.sound.masks import Competition

__all__ = ["KeptMember", "Member", "Rest", "Sought", "Team", "Traits"]


@dataclass(frozen=True)
class Traits:
    """What is to be known of a model to put a team together, loaded or not.

    Attributes
    ----------
    frame_grid
        Its frame grid.
    waveform
        Whether it is a `WaveformSeparator`.
    presence
        Whether it is a `PresenceSeparator`.
    opposed
        Whether it is `Opposed`.
    weight
        How much competing counts, where it is `Competing`.
    steered
        Whether it is `SoundSteered`.

    """

    frame_grid: FrameGrid
    waveform: bool = False
    presence: bool = False
    opposed: bool = False
    weight: float | None = None
    steered: bool = False

    @classmethod
    def of(cls, separator: Separator) -> Traits:
        """Return the traits of a loaded model."""
        return cls(
            separator.frame_grid,
            waveform=isinstance(separator, WaveformSeparator),
            presence=isinstance(separator, PresenceSeparator),
            opposed=isinstance(separator, Opposed),
            weight=separator.weight if isinstance(separator, Competing) else None,
            steered=isinstance(separator, SoundSteered),
        )

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Traits:
        """Read what `to_json` returned; TypeError or ValueError where it is something else."""
        return cls(**{**facts, "frame_grid": FrameGrid(**facts["frame_grid"])})


@dataclass(frozen=True)
class Sought:
    """What a model is asked for: a text, and what else is there, where it is told that.

    `others` is None where it is not told; a model may answer otherwise when it is told of nothing.
    """

    text: str
    others: tuple[str, ...] | None = None

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Sought:
        """Read the fields of one; KeyError or TypeError where they hold something else."""
        others = facts["others"]
        return cls(str(facts["text"]), None if others is None else tuple(map(str, others)))


@dataclass(frozen=True, eq=False)
class Rest:
    """What a first answer left of a mixture, as a listener hears it.

    Attributes
    ----------
    place
        `(dimensions,)`, of unit length: where it lies among the vectors of words.

    """

    place: FloatArray

    @property
    def text(self) -> str:
        """Stands for it among what a model is asked for; another rest has another text."""
        return f"the rest {hashlib.sha256(self.place.tobytes()).hexdigest()[:12]}"

    def beside(self, texts: Sequence[str], queries: int) -> tuple[str, ...]:
        """Return the texts of a team with it, and with its queries once more."""
        return (*texts, self.text, *texts[:queries])


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
    sought
        What it is asked for, sound by sound; empty where `Team.sought` says it.
    model
        What the job calls the model; empty where that is its own name.

    """

    separator: Separator
    sounds: tuple[int, ...]
    embed: Callable[[str], FloatArray] | None = None
    sought: tuple[Sought, ...] = ()
    model: str = ""

    @property
    def frame_grid(self) -> FrameGrid:
        """The model's frame grid."""
        return self.separator.frame_grid


@dataclass(frozen=True)
class KeptMember:
    """A model that is not asked again: its masks were kept.

    Attributes
    ----------
    model, sounds, sought
        As in `Member`.
    traits
        Those of the model.
    places
        Places of these sounds among those that were kept.

    """

    model: str
    traits: Traits
    sounds: tuple[int, ...]
    sought: tuple[Sought, ...]
    places: tuple[int, ...]

    @property
    def frame_grid(self) -> FrameGrid:
        """The model's frame grid."""
        return self.traits.frame_grid


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
    rest
        What a first answer left and competes, behind what was asked for; None where nothing does.

    """

    texts: tuple[str, ...]
    members: tuple[Member | KeptMember, ...]
    competition: Competition
    rest: Rest | None = None

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
    def frame_grid(self) -> FrameGrid:
        """That of the first model."""
        return self.members[0].frame_grid

    def others(self, sound: int) -> list[str]:
        """Return the texts of the sounds that one competes with, in their order.

        Of a sound that is asked for once more (`Competition.again`) there are none.
        """
        rivals = self.competition.rivals
        parts = self.competition.parts or ((),) * len(rivals)
        against = [{*rivals[query], *parts[query]} for query in range(len(rivals))]
        found = set(against[sound]) if sound < len(rivals) else set()
        found |= {query for query, places in enumerate(against) if sound in places}
        return [self.texts[place] for place in sorted(found)]

    def sought(
        self, sounds: Sequence[int], *, opposed: bool, shown: bool = False
    ) -> tuple[Sought, ...]:
        """Return what a model is asked for that answers for `sounds`.

        One that can be told what else there is (`opposed`) is told, where its sounds compete;
        unless it is shown a sound instead.
        """
        texts = [self.texts[sound] for sound in sounds]
        others = [tuple(self.others(sound)) for sound in sounds]
        if not (opposed and not shown and any(others)):
            return tuple(map(Sought, texts))
        return tuple(map(Sought, texts, others))

    def sought_of(self, member: Member | KeptMember) -> tuple[Sought, ...]:
        """Return what a member is, or was, asked for."""
        if isinstance(member, KeptMember) or member.sought:
            return member.sought
        opposed = isinstance(member.separator, Opposed)
        return self.sought(member.sounds, opposed=opposed, shown=member.embed is not None)

    def vectors(self, member: Member) -> FloatArray:
        """Return the vectors of a member's sounds, `(sounds, dimensions)`.

        A model that can be told what else is there is told, where its sounds compete.
        """
        separator = member.separator
        embed = member.embed or separator.embed

        def vector(text: str) -> FloatArray:
            if self.rest is None or text != self.rest.text:
                return embed(text)
            assert isinstance(separator, SoundSteered)
            return separator.embed_sound(self.rest.place, None)

        return np.stack(
            [
                separator.beside(vector(one.text), [vector(other) for other in one.others])
                if one.others is not None and isinstance(separator, Opposed)
                else vector(one.text)
                for one in self.sought_of(member)
            ]
        )

    def beside_rest(self, rest: Rest) -> Team:
        """Return the same team with what is left as one more sound, which competes with each query.

        The team's only member answers for that, for its own sounds beside it, and for its queries
        without.
        """
        (member,) = self.members
        assert isinstance(member, Member)
        team = replace(
            self,
            texts=rest.beside(self.texts, self.competition.queries),
            competition=self.competition.with_rest(len(self.texts)),
            rest=rest,
        )
        sounds = tuple(range(len(team.texts)))
        sought = team.sought(sounds, opposed=isinstance(member.separator, Opposed))
        return replace(team, members=(replace(member, sounds=sounds, sought=sought),))

    def tuned(self, options: Options) -> Team:
        """Return the same team with each model set up as `options` ask."""
        return replace(
            self,
            members=tuple(
                replace(one, separator=one.separator.tuned(options))
                if isinstance(one, Member) and isinstance(one.separator, Tunable)
                else one
                for one in self.members
            ),
        )
