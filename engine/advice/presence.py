"""Whether the sound of a query is there, and when: the separator and a listener asked together.

The separator says how sure it is block by block. A listener, which knows nothing of the separator,
hears the mixture and the separated sound: how much does each sound like the query's words, and how
likely are the names that the query means? A small logistic model, fitted to mixtures of which the
truth is known (`engine.training.presence`), weighs what they say into one probability.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.advice.listening import checked
from engine.advice.meaning import labels_meant
from engine.cores import ahead
from engine.errors import Failure
from engine.job import Job
from engine.models.base import FloatArray, HearingGrid, Listener, Shareable
from engine.sound.audio import opened
from engine.sound.certainty import VALUES
from engine.sound.hearing import stretches
from engine.sound.mixture import SILENCE, resampled
from engine.status import Clip, ClipKind
from engine.taxonomy.text import load_text_table

__all__ = [
    "FEATURES",
    "Asked",
    "Evidence",
    "Impression",
    "Weights",
    "ask",
    "evidence_of",
    "heard",
    "impression",
    "is_fitted",
    "load_weights",
]

FEATURES = (
    "separator",
    "mixture like query",
    "target like query",
    "target level",
    "named",
    "name in mixture",
    "name in target",
)
"""What is weighed, at each moment. All but the first come from the listener."""
_WEIGHTS = "presence.json"
_SURE = 1e-3  # probabilities are not followed closer than this to 0 and 1
_FLOOR_DB = -60.0  # levels of the target below the mixture are not followed further
_QUIET = 1e-12  # mean square that is as good as silence


@dataclass(frozen=True, eq=False)
class Asked:
    """Queries, as a listener can be asked for them.

    Attributes
    ----------
    vectors
        `(queries, dimensions)`, among the texts.
    labels
        For each query the numbers of the listener's labels that it means; there may be none.

    """

    vectors: FloatArray
    labels: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, queries: Sequence[str], listener: Listener) -> Asked:
        """Look the queries up among the texts and among a listener's labels."""
        table = load_text_table()
        meant = [labels_meant(query) for query in queries]
        return cls(
            np.stack([table.embed(query) for query in queries]),
            tuple(
                tuple(number for number, label in enumerate(listener.labels) if label in names)
                for names in meant
            ),
        )

    def only(self, query: int) -> Asked:
        """Return one of the queries."""
        return Asked(self.vectors[query : query + 1], self.labels[query : query + 1])


@dataclass(frozen=True, eq=False)
class Impression:
    """What a listener made of a recording, as far as the queries go.

    Attributes
    ----------
    likeness
        `(queries, windows)`: how much each window sounds like the query, -1 to 1.
    named
        `(queries, windows)`: the probability of the likeliest name that the query means, else 0.
    power
        `(windows,)`: mean square of each window's samples.

    """

    likeness: FloatArray
    named: FloatArray
    power: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of one query at a number of moments.

    Attributes
    ----------
    facts
        `(moments, features)`: see `FEATURES`; what is not known is 0.
    value
        `(moments,)`: the value of the certainty over time to which each belongs.
    count, step
        How many such values there are, and the seconds from one to the next.
    separator, target
        Whether the separator was asked, and whether the separated sound was heard.

    """

    facts: npt.NDArray[np.float64]
    value: npt.NDArray[np.intp]
    count: int
    step: float
    separator: bool
    target: bool

    @property
    def variant(self) -> str:
        """Name of the weights that fit."""
        parts = ("separator",) * self.separator + ("target",) * self.target
        return "listener" + "".join(f", {part}" for part in parts)

    def reduced(self, certainty: FloatArray) -> FloatArray:
        """Return the maximum of the moments of each value, `(count,)`."""
        out = np.zeros(self.count, np.float32)
        np.maximum.at(out, self.value, certainty)
        return out


@dataclass(frozen=True)
class Weights:
    """A logistic model for each kind of evidence.

    Attributes
    ----------
    variants
        By `Evidence.variant`: a weight for each of `FEATURES`, then the constant.
    missing
        Presence below which a sound counts as missing.

    """

    variants: Mapping[str, tuple[float, ...]]
    missing: float

    def logits(self, evidence: Evidence) -> npt.NDArray[np.float64]:
        """Return the logit at each moment, `(moments,)`."""
        *weights, constant = self.variants[evidence.variant]
        return np.asarray(evidence.facts @ np.array(weights) + constant)

    def certainty(self, evidence: Evidence) -> FloatArray:
        """Return the probability that the sound is there at each moment, `(moments,)`."""
        return (1 / (1 + np.exp(-self.logits(evidence)))).astype(np.float32)


def is_fitted() -> bool:
    """Return whether the weights were fitted to the bundled models; without them nobody weighs."""
    return (files("engine.advice") / _WEIGHTS).is_file()


@cache
def load_weights() -> Weights:
    """Return the weights that are part of Tweeze.

    Raises
    ------
    Failure
        They are not those of this version.

    """
    text = (files("engine.advice") / _WEIGHTS).read_text(encoding="utf-8")
    facts = json.loads(text)
    if facts["features"] != list(FEATURES):
        raise Failure(f"{_WEIGHTS} is of another version of Tweeze: install Tweeze again.")
    variants = {name: tuple(map(float, row)) for name, row in facts["weights"].items()}
    return Weights(variants, float(facts["missing"]))


def ask(
    job: Job,
    clips: Sequence[Clip],
    listener: Listener,
    separator: tuple[float, FloatArray] | None,
    *,
    mixture: Impression | None = None,
    step: Callable[[], None] = lambda: None,
) -> tuple[float, FloatArray] | None:
    """Ask the listener about a job that was separated, and weigh its answer with the separator's.

    Parameters
    ----------
    job
        The mixture's file, and the queries.
    clips
        The job's clips; targets among them are heard.
    listener
        The loaded model.
    separator
        Seconds from one value to the next, and `(queries, values)`, as
        `engine.sound.separate.separate` tells its certainty, NaN for queries that a model without
        one answered; None where it knows nothing.
    mixture
        What the listener made of the mixture, if it heard it with the queries in mind before.
    step
        Called again and again; what it raises ends the work.

    Returns
    -------
    certainty
        Of the same form, at the separator's step if it has one; None of a silent mixture.

    Raises
    ------
    BadAudio
        A file cannot be read any more.
    Failure
        The listener returned something that cannot be used.

    """
    asked = Asked.of(job.queries, listener)
    if mixture is None:
        mixture = heard(job.mixture, listener, asked, step)
    if mixture.power.max() < SILENCE**2 / 2 and separator is None:
        return None
    # how a target sounds where the sound is missing depends on the separator: those were learned
    targets = [clip.path for clip in clips if clip.kind is ClipKind.TARGET and separator]
    found = []
    for query in range(len(job.queries)):
        known = None if separator is None else (separator[0], separator[1][query])
        told = known is not None and bool(np.isfinite(known[1]).all())
        target = None
        if targets and told:
            target = heard(targets[query], listener, asked.only(query), step)
        evidence = evidence_of(asked, query, mixture, target, known, listener.hearing_grid)
        found.append(evidence.reduced(load_weights().certainty(evidence)))
    return evidence.step, np.stack(found)


def heard(
    path: Path,
    listener: Listener,
    asked: Asked,
    step: Callable[[], None],
    on_scores: Callable[[FloatArray], None] = lambda _: None,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Impression:
    """Let a listener hear a file with some queries in mind; raises BadAudio, and as `impression`.

    `step` is called again and again, `on_scores` as in `impression`, `on_progress` with the
    fraction of the file that was read, if the file says how long it is.
    """
    # Opened once, and never through a link: what was admitted may have been exchanged since.
    with opened(path, follow=False, tick=step) as sound:

        def blocks() -> Iterator[FloatArray]:
            done = 0
            for block in sound.blocks():
                step()
                yield block
                done += block.shape[1]
                if sound.promised:
                    on_progress(min(1.0, done / sound.promised))

        return impression(blocks(), sound.rate, sound.channels, listener, asked, on_scores)


def impression(
    blocks: Iterable[FloatArray],
    rate: int,
    channels: int,
    listener: Listener,
    asked: Asked,
    on_scores: Callable[[FloatArray], None] = lambda _: None,
) -> Impression:
    """Let a listener hear a recording that comes in blocks, with some queries in mind.

    Parameters
    ----------
    blocks
        `(channels, frames)` each, float32.
    rate, channels
        Hz, and channels of each block.
    listener
        The loaded model.
    asked
        The queries.
    on_scores
        Called with the probabilities of all labels, `(windows, labels)`, stretch by stretch. What
        it raises ends the hearing.

    Raises
    ------
    Failure
        The model returned something that cannot be used.

    """
    grid = listener.hearing_grid
    likeness, named, power = [], [], []
    made = resampled(blocks, rate, grid.sample_rate, channels)
    cut = ((stretch,) for stretch in stretches((block.T for block in made), grid))

    def hear(stretch: FloatArray) -> tuple[FloatArray, FloatArray]:
        with listener.computing(1) if isinstance(listener, Shareable) else nullcontext():
            return listener.both(stretch)

    # Several at a time, each in one thread; a listener that takes all threads hears one at a time.
    most = None if isinstance(listener, Shareable) else 1
    for (stretch,), (scores, vectors) in ahead(hear, cut, most):
        on_scores(checked(scores, stretch, listener))
        near = vectors @ asked.vectors.T
        if near.shape != (len(scores), len(asked.labels)) or not np.isfinite(near).all():
            raise Failure(
                f"The model {listener.name} returned vectors that cannot be used: its weights are "
                "damaged, see 'tweeze models'."
            )
        likeness.append(near.T)
        named.append([scores[:, columns].max(axis=1, initial=0) for columns in asked.labels])
        power.append(_power(stretch, grid, len(scores)))
    return Impression(
        np.concatenate(likeness, axis=1),
        np.concatenate([np.array(part, np.float32) for part in named], axis=1),
        np.concatenate(power),
    )


def _power(stretch: FloatArray, grid: HearingGrid, windows: int) -> npt.NDArray[np.float64]:
    """Return the mean square of each window, `(windows,)`, over all channels."""
    squares = np.square(stretch[:, grid.context :], dtype=np.float64).mean(axis=0)
    sums = np.concatenate([[0.0], np.cumsum(squares)])
    starts = np.arange(windows) * grid.hop
    return np.asarray((sums[starts + grid.window] - sums[starts]) / grid.window)


def evidence_of(
    asked: Asked,
    query: int,
    mixture: Impression,
    target: Impression | None,
    separator: tuple[float, FloatArray] | None,
    grid: HearingGrid,
) -> Evidence:
    """Put together what is known of one of the queries, at every moment that may matter.

    Those are the separator's steps, and the listener's windows where these lie closer.

    Parameters
    ----------
    asked, query
        The queries, and the number of the one in question.
    mixture, target
        Impressions of the mixture, with all queries, and of what was separated, with this one.
    separator
        The separator's step and certainty, `(values,)`; NaN where it says nothing of this query.
    grid
        The listener's.

    """
    windows = mixture.likeness.shape[1]
    hop = grid.hop / grid.sample_rate
    centre = grid.window / 2 / grid.sample_rate
    if separator is None:
        together = -(-windows // VALUES)
        step, count = together * hop, -(-windows // together)
    else:
        step, count = separator[0], len(separator[1])
    value = np.arange(count)
    window = np.rint(((value + 0.5) * step - centre) / hop).astype(int).clip(0, windows - 1)
    if step > hop:
        between = np.arange(windows)
        value = np.append(value, ((between * hop + centre) / step).astype(int).clip(0, count - 1))
        window = np.append(window, between)
    facts = np.zeros((len(window), len(FEATURES)))
    told = separator is not None and bool(np.isfinite(separator[1]).all())
    if separator is not None and told:
        facts[:, 0] = _logit(separator[1])[value]
    facts[:, 1] = mixture.likeness[query, window]
    if asked.labels[query]:
        facts[:, 4] = 1.0
        facts[:, 5] = _logit(mixture.named[query])[window]
    if target is not None:
        share = (target.power + _QUIET) / (mixture.power + _QUIET)
        facts[:, 2] = target.likeness[0, window]
        facts[:, 3] = np.maximum(_FLOOR_DB, 10 * np.log10(share))[window] / 20
        if asked.labels[query]:
            facts[:, 6] = _logit(target.named[0])[window]
    return Evidence(facts, value, count, step, separator=told, target=target is not None)


def _logit(probability: FloatArray) -> npt.NDArray[np.float64]:
    sure = np.clip(probability.astype(np.float64), _SURE, 1 - _SURE)
    return np.asarray(np.log(sure / (1 - sure)))
