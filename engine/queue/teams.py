"""The models of a job, loaded and put together, and the sentences that say who does what."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress

from engine.advice.contest import competition, sharing
from engine.advice.sentences import spoken
from engine.job import Job
from engine.models.base import FloatArray, Separator, Vocabulary
from engine.sound.kept import Kept
from engine.sound.masks import Rule
from engine.sound.rest import LONGEST, is_heard
from engine.sound.team import KeptMember, Member, Rest, Team, Traits
from engine.taxonomy.families import SPEECH, may_be_beside_speech

__all__ = ["ONCE", "Assembled", "assemble", "hears_rest", "rest_note"]


ONCE = (
    "Answered once: a second answer is for a single sound of a recording of up to "
    f"{LONGEST:g} s, by a model like compact, where nothing else is named or competes and the "
    "first one leaves something."
)
"""Said where a second answer was wanted, and could not be had."""


@dataclass(frozen=True, eq=False)
class Assembled:
    """A job's team, what to tell the user about it, and which queries specialists answer.

    `missing` are the names of models that it takes and that were not given; without them the team
    lacks members.
    """

    team: Team
    notes: tuple[str, ...]
    specialists: frozenset[str] = frozenset()
    missing: tuple[str, ...] = ()


def assemble(
    job: Job,
    separators: Mapping[str, Separator],
    *,
    beside: bool = False,
    embed: Callable[[str], FloatArray] | None = None,
    kept: Kept | None = None,
    rest: Rest | None = None,
) -> Assembled:
    """Put the team of a resolved job together.

    What a model answered before, and was kept, it is not asked again: it need not be loaded.

    Parameters
    ----------
    job
        Whose `answers` name a model for each sound.
    separators
        These models, loaded, by name; with `beside`, that of the job's `beside`, too.
    beside
        Whether speech competes unasked.
    embed
        Turns the queries into vectors, where a sound is shown.
    kept
        Masks of an earlier job that was set up alike, of the same mixture.
    rest
        What a first answer left, where that is known already; see `hears_rest`.

    """
    traits = dict(kept.traits) if kept is not None else {}
    traits |= {name: Traits.of(separator) for name, separator in separators.items()}
    touched = tuple(map(may_be_beside_speech, job.queries)) if beside else ()
    answers = (*job.answers, job.beside) if beside else job.answers
    first = [traits[name].waveform for name in answers]
    lead = traits[answers[first.index(False) if False in first else 0]]
    rule = Rule() if lead.weight is None else Rule(lead.weight)
    options = job.options
    contest = competition(
        job.queries,
        job.nots,
        rule=rule,
        compete=options.compete,
        first=first[: len(job.sounds)],
        beside=touched,
    )
    texts = (*job.sounds, SPEECH) if beside else job.sounds
    if rest is not None:
        contest = contest.with_rest(len(texts))
        texts = rest.beside(texts, len(job.queries))
        answers = (*job.answers[:1],) * len(texts)
    idle = contest.idle(len(texts))
    team = Team(
        tuple(text for place, text in enumerate(texts) if place not in idle),
        (),
        contest.without(idle),
        rest,
    )
    answering = [name for place, name in enumerate(answers) if place not in idle]
    casting = _Casting(traits, separators, embed, kept, shown=bool(options.like))
    team = casting.filled(team, answering)
    specialists = [
        name
        for name in dict.fromkeys(job.answers)
        if traits[name].waveform and name != options.model
    ]
    notes = _notes(job, specialists, idle, beside=beside)
    notes += _words_instead(job, separators)
    if rest is not None:
        notes.append(rest_note(job))
    answered = frozenset(
        text for text, name in zip(job.sounds, job.answers, strict=True) if traits[name].waveform
    )
    return Assembled(team, tuple(notes), answered, tuple(casting.missing))


def hears_rest(job: Job, traits: Mapping[str, Traits], *, beside: bool) -> bool:
    """Return whether what a first answer leaves of a job's mixture is to compete with a second.

    It is where nothing else competes and one model answers; see `engine.sound.rest.is_heard`.

    Parameters
    ----------
    job
        A resolved one.
    traits
        Of the models that it names, by name.
    beside
        Whether speech competes unasked.

    """
    options = job.options
    wanted = options.twice and options.compete and not options.like and not beside
    if not wanted or len({*job.answers}) != 1 or job.answers[0] not in traits:
        return False
    return is_heard(job.queries, job.nots, traits[job.answers[0]])


def rest_note(job: Job) -> str:
    """Return the sentence that says that the rest competed."""
    return (
        f"What a first answer left of the recording competed with {spoken(job.queries)} in the "
        "second."
    )


class _Casting:
    """Gives each sound of a team the model that answers, or answered, for it."""

    def __init__(
        self,
        traits: Mapping[str, Traits],
        separators: Mapping[str, Separator],
        embed: Callable[[str], FloatArray] | None,
        kept: Kept | None,
        *,
        shown: bool,
    ) -> None:
        self._traits = traits
        self._separators = separators
        self._embed = embed
        self._kept = kept
        self._shown = shown
        self.missing: list[str] = []

    def filled(self, team: Team, answers: Sequence[str]) -> Team:
        """Return the team with its members; `answers` names the model of each sound."""
        sounds: dict[str, list[int]] = {}
        for place, name in enumerate(answers):
            sounds.setdefault(name, []).append(place)
        # Masks lie on the frames of a model that answers with masks, if there is one.
        order = sorted(sounds, key=lambda name: self._traits[name].waveform)
        members = [member for name in order for member in self._members(team, name, sounds[name])]
        return replace(team, members=tuple(members))

    def _members(
        self, team: Team, name: str, sounds: Sequence[int]
    ) -> Iterator[Member | KeptMember]:
        """Yield what a model kept of its sounds, then the model itself for the others."""
        opposed = self._traits[name].opposed
        sought = team.sought(sounds, opposed=opposed, shown=self._shown)
        found = [self._kept.find(name, one) if self._kept else None for one in sought]
        places = [place for place in found if place is not None]
        if places:
            there = [sound for sound, place in zip(sounds, found, strict=True) if place is not None]
            known = tuple(
                one for one, place in zip(sought, found, strict=True) if place is not None
            )
            yield KeptMember(name, self._traits[name], tuple(there), known, tuple(places))
        if len(places) == len(sounds):
            return
        asked = [place is None for place in found]
        if name not in self._separators:
            self.missing.append(name)
            return
        yield Member(
            self._separators[name],
            tuple(compress(sounds, asked)),
            self._embed,
            tuple(compress(sought, asked)),
            name,
        )


def _words_instead(job: Job, separators: Mapping[str, Separator]) -> Iterator[str]:
    """Yield what models go by for queries that they never learned."""
    if job.options.like:
        return
    for query, name in zip(job.queries, job.answers, strict=False):
        separator = separators.get(name)
        words = separator.instead_of(query) if isinstance(separator, Vocabulary) else ()
        if words:
            yield (
                f"{name} has not learned {spoken([query])} and goes by the nearest that it knows: "
                f"{spoken(words)}."
            )


def _notes(
    job: Job, specialists: Sequence[str], idle: Collection[int], *, beside: bool
) -> list[str]:
    """Return what specialists answered, who shared instead of competing, and what did neither."""
    notes = []
    for name in specialists:
        said = [text for text, by in zip(job.sounds, job.answers, strict=True) if by == name]
        notes.append(f"{name} answered for {spoken(said)}.")
    notes += sharing(job.queries, job.nots, compete=job.options.compete)
    models = " and ".join(dict.fromkeys(job.answers[: len(job.queries)]))
    notes += [
        f"'{text}' takes nothing from {spoken(job.queries)}: {models} tells the two apart."
        for place, text in enumerate(job.nots, len(job.queries))
        if place in idle
    ]
    if beside:
        wanted = [query for query in job.queries if may_be_beside_speech(query)]
        notes.append(
            f"Speech is in the recording, too, and competed with {spoken(wanted)} "
            f"({job.beside}); --no-auto leaves it alone."
        )
    return notes
