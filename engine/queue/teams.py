"""The models of a job, loaded and put together, and the sentences that say who does what."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from engine.advice.contest import competition, sharing
from engine.advice.sentences import spoken
from engine.job import Job
from engine.models.base import Competing, FloatArray, Separator, WaveformSeparator
from engine.sound.masks import Competition, Rule
from engine.sound.team import Member, Team
from engine.taxonomy.families import SPEECH, may_be_beside_speech

__all__ = ["Assembled", "assemble"]


@dataclass(frozen=True, eq=False)
class Assembled:
    """A job's team, what to tell the user about it, and which queries specialists answer."""

    team: Team
    notes: tuple[str, ...]
    specialists: frozenset[str] = frozenset()


def assemble(
    job: Job,
    separators: Mapping[str, Separator],
    *,
    beside: bool = False,
    embed: Callable[[str], FloatArray] | None = None,
) -> Assembled:
    """Put the team of a resolved job together.

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

    """
    touched = tuple(map(may_be_beside_speech, job.queries)) if beside else ()
    answers = (*job.answers, job.beside) if beside else job.answers
    first = [isinstance(separators[name], WaveformSeparator) for name in answers]
    lead = separators[answers[first.index(False)]] if False in first else separators[answers[0]]
    rule = Rule(lead.weight) if isinstance(lead, Competing) else Rule()
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
    idle = contest.idle(len(texts))
    team = _team(
        [text for place, text in enumerate(texts) if place not in idle],
        [name for place, name in enumerate(answers) if place not in idle],
        separators,
        contest.without(idle),
        embed,
    )
    specialists = [
        name
        for name in dict.fromkeys(job.answers)
        if isinstance(separators[name], WaveformSeparator) and name != options.model
    ]
    notes = _notes(job, specialists, idle, beside=beside)
    answered = frozenset(
        text
        for text, name in zip(job.sounds, job.answers, strict=True)
        if isinstance(separators[name], WaveformSeparator)
    )
    return Assembled(team, tuple(notes), answered)


def _team(
    texts: Sequence[str],
    answers: Sequence[str],
    separators: Mapping[str, Separator],
    contest: Competition,
    embed: Callable[[str], FloatArray] | None,
) -> Team:
    """Return the team in which each model answers for its sounds."""
    sounds: dict[str, list[int]] = {}
    for place, name in enumerate(answers):
        sounds.setdefault(name, []).append(place)
    # Masks lie on the frames of a model that answers with masks, if there is one.
    order = sorted(sounds, key=lambda name: isinstance(separators[name], WaveformSeparator))
    members = tuple(Member(separators[name], tuple(sounds[name]), embed) for name in order)
    return Team(tuple(texts), members, contest)


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
