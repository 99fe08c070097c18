"""One separating job in the worker: who answers, from which masks, and what is said of it."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from engine.advice import presence as both
from engine.advice.noticed import noticed
from engine.advice.sentences import LOW_PRESENCE, advice
from engine.errors import BadInput, Cancelled, Failure
from engine.folders import Folders
from engine.job import Job
from engine.mask_room import prune
from engine.models.base import FloatArray, Model, Movable, Separator, Tunable, Vocabulary
from engine.models.cache import ModelCache
from engine.models.kinds import BUNDLED, LISTENER
from engine.models.router import unknown_in_routes
from engine.models.tasks import as_listener, as_separator
from engine.options import AUTO, Context, Options, Precision, Presence
from engine.places import Span
from engine.queue import asking
from engine.queue.messages import Finished
from engine.queue.teams import ONCE, Assembled, assemble, hears_rest, rest_note
from engine.settings import Settings
from engine.sound.kept import Kept, Told
from engine.sound.rest import Hearer
from engine.sound.separate import Keeping
from engine.sound.team import Rest, Team, Traits
from engine.status import Certainty, Clip

__all__ = ["Separate", "Separation"]

KEPT_SECONDS = 600.0
"""Seconds of the longest mixture whose masks are kept."""
DRAFT = "draft"
"""Name of the folder, in the job's, that a draft's clips lie in until the exact ones are there."""
_HEARD = 0.1  # share of the progress that belongs to listening for speech, from start to end
_FIRST = 0.9  # share of the progress that belongs to the first pass of a job with events
_LOG = logging.getLogger("tweeze.worker")


class Separate(Protocol):
    """What `engine.sound.separate.separate` looks like from here."""

    def __call__(
        self,
        job: Job,
        team: Team,
        folder: Path,
        *,
        on_progress: Callable[[float], None],
        cancelled: Callable[[], bool],
        on_certainty: Callable[[float, FloatArray], None],
        on_notes: Callable[[tuple[str, ...]], None],
        reduction: int,
        kept: Kept | None,
        keeping: Keeping | None,
        events: Sequence[Sequence[Span] | None],
        hearer: Hearer | None,
        on_rest: Callable[[Rest], None],
    ) -> tuple[Clip, ...]:
        """Separate `job` into `folder`."""


@dataclass(eq=False)
class Separation:
    """A resolved job, while it is carried out.

    Attributes
    ----------
    job, folder, reduction
        As in `engine.queue.messages.Work`.
    folders
        Tweeze's.
    models
        The loaded models.
    fetch
        Returns a model of some name, and tells the service of it.
    run
        Separates: `engine.sound.separate.separate`.
    on_progress
        Called with the fraction done.
    on_draft
        Called with the clips of a draft.
    cancelled
        Whether the job was cancelled.

    """

    job: Job
    folder: Path
    reduction: int
    folders: Folders
    models: ModelCache
    fetch: Callable[[str], Model]
    run: Separate
    on_progress: Callable[[float], None]
    on_draft: Callable[[tuple[Clip, ...]], None]
    cancelled: Callable[[], bool]
    _separators: dict[str, Separator] = field(default_factory=dict)
    _notes: list[str] = field(default_factory=list)
    _impression: both.Impression | None = None
    _rest: Rest | None = None
    _begun: float = 0.0  # share of the progress that is done before the sounds are separated

    def finished(self) -> Finished:
        """Separate, and return what becomes of the job.

        Raises
        ------
        Cancelled
            It was cancelled.
        TweezeError, Exception
            What loading a model and separating raise.

        """
        job = self.job
        kept = self._kept()
        self._load(name for name in job.answers if kept is None or name not in kept.traits)
        started = time.perf_counter()
        if job.options.draft and kept is None:
            self._draft()
        beside = self._beside(kept)
        hearer = self._hearer(kept, beside=beside)
        if hearer is not None and kept is not None:
            kept = replace(kept, sounds=())  # other masks, of the same mixture
        assembled = self._assembled(kept, beside=beside)
        known = _known(kept, job) if kept is not None else ()
        events = self._events(known) if job.options.events and known else ()
        limited = bool(events) or not job.options.events
        keeping = self._keeping(needed=not limited)
        clips, certainty = self._separated(
            assembled, kept, keeping, events, 1.0 if limited else _FIRST, hearer
        )
        low = LOW_PRESENCE
        if known:
            over_time: tuple[Certainty, ...] = known
            presence = tuple(max(one.values) for one in known)
            best: Sequence[float] = presence
            low = both.load_weights().missing if both.is_fitted() else low
        else:
            asked = asking.presence(
                job, clips, certainty, self.models, self.cancelled, self._impression
            )
            if asked is not None:
                certainty, low = asked, both.load_weights().missing
            presence, over_time = asking.told(certainty)
            # Of what a specialist answered nobody says how likely it is there: nothing is advised.
            best = () if certainty is None else np.nan_to_num(certainty[1].max(axis=1), nan=1.0)
        if not limited:
            assert keeping is not None
            clips = self._limited(assembled, keeping, beside=beside, certainty=certainty)
        if job.options.twice and self._rest is None:
            self._notes.append(ONCE)
        notes = (*self._notes, *assembled.notes)
        notes += advice(
            job.queries,
            tuple(best),
            low,
            specialists=assembled.specialists,
            by_words=self._by_words(),
        )
        notes += _of_routes(job, self.folders)
        self._tidy(keeping, Told(beside, over_time, self._rest))
        seconds = time.perf_counter() - started
        return Finished(
            job.id, clips, seconds, presence, notes, certainty=over_time, answers=job.answers
        )

    def _by_words(self) -> Collection[str]:
        """Return the queries that are answered, now, by a model that knows certain words."""
        known = {n for n, one in self._separators.items() if isinstance(one, Vocabulary)}
        asked = zip(self.job.queries, self.job.answers, strict=False)
        return [query for query, name in asked if name in known and not self.job.options.like]

    def _load(self, names: Iterable[str]) -> None:
        for name in dict.fromkeys(names):
            if name not in self._separators:
                self._separators[name] = self._settled(as_separator(self.fetch(name)))
                if self.cancelled():
                    raise Cancelled(f"Job {self.job.id} was cancelled.")

    def _settled(self, separator: Separator) -> Separator:
        """Return a model in the job's runtime; a job that named none names it from now on.

        What was begun in one runtime is so never ended in another: a job's checkpoints are for all
        that it says.
        """
        if not isinstance(separator, Movable):
            return separator
        tuned = separator.tuned(self.job.options) if isinstance(separator, Tunable) else separator
        assert isinstance(tuned, Movable)
        moved = tuned.on(self.job.runtime)
        assert isinstance(moved, Movable)
        self.job = replace(self.job, runtime=moved.runtime_name)
        return moved

    def _kept(self) -> Kept | None:
        """Return what is kept of the job that this one adjusts: masks where they serve.

        Where they do not, at least the mixture comes from there, which may be gone elsewhere.
        """
        job = self.job
        if not job.base:
            return None
        kept = Kept.open(self.folders.masks / job.base)
        if kept is not None and _alike(kept.job, job):
            return kept
        why = "was set up otherwise" if kept is not None else "has no kept masks"
        self._notes.append(f"Job {job.base} {why}: the model was asked anew.")
        if kept is None or kept.job.mixture != job.mixture:
            return None
        told = Told(kept.told.beside, (), kept.told.rest) if kept.told is not None else None
        return replace(kept, sounds=(), told=told)

    def _beside(self, kept: Kept | None) -> bool:
        """Return whether speech competes unasked; its specialist is loaded, if need be."""
        job = self.job
        if kept is not None and kept.told is not None and kept.job.beside == job.beside:
            beside = kept.told.beside
        else:
            beside, self._impression = asking.is_beside(
                job, self.models, self.cancelled, self._on_heard
            )
        if beside and (kept is None or job.beside not in kept.traits):
            self._load([job.beside])
        return beside

    def _hearer(self, kept: Kept | None, *, beside: bool) -> Hearer | None:
        """Return what loads the listener that is to hear the rest; None where it is not heard.

        What the job that this one adjusts heard for the same query, is not heard again.
        """
        job = self.job
        traits = dict(kept.traits) if kept is not None else {}
        traits |= {name: Traits.of(one) for name, one in self._separators.items()}
        if not hears_rest(job, traits, beside=beside):
            return None
        if kept is not None and kept.told is not None and kept.job.queries == job.queries:
            self._rest = kept.told.rest
            if self._rest is not None:
                return None
        return lambda: as_listener(self.models.fetch(LISTENER.name)[0])

    def _on_rest(self, rest: Rest) -> None:
        if self._rest is None:  # where memory ran out it is told once more
            self._notes.append(rest_note(self.job))
        self._rest = rest

    def _on_heard(self, part: float) -> None:
        self._begun = part * _HEARD
        self.on_progress(self._begun)

    def _assembled(self, kept: Kept | None, *, beside: bool) -> Assembled:
        while True:
            lead = self._separators.get(self.job.answers[0])
            shown = None
            if lead is not None:
                shown = asking.shown(self.job, lead, self.models, self.cancelled)
            found = assemble(
                self.job, self._separators, beside=beside, embed=shown, kept=kept, rest=self._rest
            )
            if not found.missing:
                return found
            self._load(found.missing)

    def _keeping(self, *, needed: bool) -> Keeping | None:
        """Return where the masks are kept; `needed` if the job itself goes on from them."""
        room = Settings.of_environment().masks_gb
        if self.job.options.masks and room > 0:
            seconds = float("inf") if needed else KEPT_SECONDS
            return Keeping(self.folders.masks / self.job.id, seconds)
        return Keeping(self.folders.masks / self.job.id) if needed else None

    def _separated(
        self,
        assembled: Assembled,
        kept: Kept | None,
        keeping: Keeping | None,
        events: Sequence[Sequence[Span] | None],
        share: float,
        hearer: Hearer | None = None,
    ) -> tuple[tuple[Clip, ...], tuple[float, FloatArray] | None]:
        """Separate once; returns the clips, and what the separator said of the queries."""
        certainty: tuple[float, FloatArray] | None = None

        def on_certainty(step: float, values: FloatArray) -> None:
            nonlocal certainty
            certainty = step, values

        clips = self.run(
            self.job,
            assembled.team,
            self.folder,
            on_progress=lambda part: self.on_progress(self._begun + part * (share - self._begun)),
            cancelled=self.cancelled,
            on_certainty=on_certainty,
            on_notes=self._notes.extend,
            reduction=self.reduction,
            kept=kept,
            keeping=keeping,
            events=events,
            hearer=hearer,
            on_rest=self._on_rest,
        )
        return clips, certainty

    def _events(self, certainty: Sequence[Certainty | None]) -> tuple[tuple[Span, ...] | None, ...]:
        """Return when each query is likely; None where nobody knows."""
        spans: list[tuple[Span, ...] | None] = []
        for query, one in zip(self.job.queries, certainty, strict=True):
            spans.append(noticed(one, self.job.options) if one is not None else None)
            if one is None:
                self._notes.append(
                    f"Nobody estimates when '{query}' is there: its clip is not limited to events."
                )
            elif not spans[-1]:
                self._notes.append(
                    f"'{query}' is nowhere likely enough "
                    f"({self.job.options.event_above:.0%}): its clip is silent."
                )
        return tuple(spans)

    def _limited(
        self,
        assembled: Assembled,
        keeping: Keeping,
        *,
        beside: bool,
        certainty: tuple[float, FloatArray] | None,
    ) -> tuple[Clip, ...]:
        """Write the clips once more, limited to the events, from the masks that were kept."""
        kept = Kept.open(keeping.path)
        if kept is None:
            raise Failure(
                f"The events of '{self.job.mixture.name}' need room for its masks, which "
                f"{self.folders.masks} does not have: free some space and try again."
            )
        found: list[Certainty | None] = [None] * len(self.job.queries)
        if certainty is not None:
            step, rows = certainty
            found = [
                Certainty.rounded(step, row) if np.isfinite(row).all() else None for row in rows
            ]
        team = assemble(self.job, {}, beside=beside, kept=kept, rest=self._rest).team
        limited = replace(assembled, team=team)
        told = len(self._notes)
        events = self._events(found)
        notes = self._notes[told:]
        first = self._notes[:told]
        clips, _ = self._separated(limited, kept, None, events, 1.0)
        self._notes[:] = first + notes
        return clips

    def _draft(self) -> None:
        """Answer fast and roughly first, where the job's own models are slower than that."""
        job = self.job
        if set(job.answers) == {BUNDLED.name}:
            return
        options: Options = replace(
            job.options,
            model=BUNDLED.name,
            precision=Precision.DRAFT,
            context=Context.SHORT,
            presence=Presence.SEPARATOR,
            draft=False,
            masks=False,
            events=False,
        )
        answers = (BUNDLED.name,) * len(job.sounds)
        draft = replace(job, options=options, answers=answers, beside="")
        folder = self.folder / DRAFT
        try:
            separator = as_separator(self.fetch(BUNDLED.name))
            lead = {BUNDLED.name: separator}
            shown = asking.shown(draft, separator, self.models, self.cancelled)
            clips = self.run(
                draft,
                assemble(draft, lead, embed=shown).team,
                folder,
                on_progress=lambda _: None,
                cancelled=self.cancelled,
                on_certainty=lambda step, values: None,
                on_notes=lambda notes: None,
                reduction=self.reduction,
                kept=None,
                keeping=None,
                events=(),
                hearer=None,
                on_rest=lambda _: None,
            )
        except Cancelled:
            raise
        except Exception as error:  # the exact answer says what is wrong, if it fares no better
            _LOG.warning("Job %s: no draft could be made (%s).", job.id, error)
            return
        self.on_draft(clips)

    def _tidy(self, keeping: Keeping | None, told: Told) -> None:
        """Note what was told, remove drafts, and keep the masks within their room."""
        shutil.rmtree(self.folder / DRAFT, ignore_errors=True)
        kept = Kept.open(keeping.path) if keeping is not None else None
        if kept is None:
            return
        room = Settings.of_environment().masks_gb
        seconds = kept.info.frames / kept.info.rate
        if not self.job.options.masks or seconds > KEPT_SECONDS:
            shutil.rmtree(kept.folder, ignore_errors=True)
        else:
            kept.tell(told)
        prune(self.folders.masks, room * 1e9)


def _of_routes(job: Job, folders: Folders) -> tuple[str, ...]:
    """Return what to say of the user's own table of who answers what, where a job went by it."""
    if job.options.model != AUTO or job.options.like:
        return ()
    try:
        return tuple(filter(None, [unknown_in_routes(folders)]))
    except BadInput:  # it was damaged after the job had been submitted, which needs it no more
        return ()


def _alike(kept: Job, job: Job) -> bool:
    """Return whether a model answers two jobs alike, where both ask for the same sound."""
    return kept.mixture == job.mixture and all(
        getattr(kept.options, name) == getattr(job.options, name)
        for name in ("stereo", "precision", "context", "memory", "like")
    )


def _known(kept: Kept, job: Job) -> tuple[Certainty, ...]:
    """Return what was told of each of a job's queries before; empty if not of all."""
    if kept.told is None or len(kept.told.certainty) != len(kept.job.queries):
        return ()
    told = dict(zip(kept.job.queries, kept.told.certainty, strict=True))
    if not all(query in told for query in job.queries):
        return ()
    return tuple(told[query] for query in job.queries)
