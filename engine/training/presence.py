"""Fits how the separator's and the listener's opinions are weighed into presence.

    python -m engine.training.presence STORE [--scenes 400] [--kept FOLDER] [--write]
    python -m engine.training.presence STORE --measure [--plot FILE]

Mixtures of the corpus's training clips are separated by what is in them and by what is not; the
listener hears them and what was separated (`engine.advice.presence`). They are those that the
listener has not learned from (`engine.training.lessons.kept_back`): of its own lessons it is surer
than of anything else. A logistic model is fitted
for each kind of evidence, so that the probability of a mixture is that of its likeliest moment.
Without ``--measure`` it is fitted, and ``--write`` puts it in its place; then the weights are
measured on clips that were kept from training: how often a sound that is there scores above one
that is not (AUC), and how often a sound of a given presence is there (reliability). ``--kept``
names a folder for the evidence, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from engine.advice import presence
from engine.advice.presence import FEATURES, Asked, Evidence, Weights, evidence_of, impression
from engine.errors import BadInput
from engine.models import compact, ears
from engine.models.base import Listener, PresenceSeparator
from engine.sound.certainty import CertaintyGrid
from engine.sound.mixture import ArrayMixture
from engine.taxonomy.classes import load_taxonomy
from engine.training.evaluate import alone
from engine.training.figures import area_under_curve
from engine.training.lessons import load_store
from engine.training.scenes import Scene, SceneSet, corpus_sets, draw

__all__ = ["Opinion", "fit", "opinions", "reliability"]

PLACE = Path(presence.__file__).with_name("presence.json")
VARIANTS = ("listener", "listener, separator", "listener, separator, target")
DECAY = 1e-3
"""Of the weights' squares, on features of variance 1."""
ROUNDS = 12
"""How often the likeliest moments are looked for anew."""
LOST = 0.1
"""Share of the sounds that are there which may count as missing."""
BINS = 10
SEED = 77
SOUNDS = 3
"""Most sounds of a mixture that is learned from."""


@dataclass(frozen=True, eq=False)
class Opinion:
    """What is known of one query, with each kind of evidence, and the truth."""

    evidence: Mapping[str, Evidence]
    """By variant."""
    present: bool
    near: bool
    """Whether a sound of a neighbouring class is there, if the query's is not."""


def opinions(separator: PresenceSeparator, listener: Listener, scene: Scene) -> list[Opinion]:
    """Separate a scene by everything that is asked of it, each in a job of its own, and listen."""
    queries = scene.captions
    rate = separator.frame_grid.sample_rate
    samples = np.asarray(scene.mixture, np.float32)
    mixture = ArrayMixture(samples, scene.rate, rate)
    frames = mixture.model_samples // separator.frame_grid.hop + 1
    step = CertaintyGrid(separator.frame_grid, frames).step
    asked = Asked.of(queries, listener)
    channels = len(samples)
    whole = impression([samples], scene.rate, channels, listener, asked)
    truth = {question.caption: (True, False) for question in scene.questions}
    truth |= {caption: (False, near) for caption, near in scene.absent}
    made = []
    for number, query in enumerate(queries):
        if query not in truth:
            continue
        found, end = alone(separator, mixture, query)
        target = impression([found], scene.rate, channels, listener, asked.only(number))
        known = step, end.certainty[0]
        kinds: list[tuple[object, object]] = [(None, None), (None, known), (target, known)]
        evidence = [
            evidence_of(asked, number, whole, heard, said, listener.hearing_grid)  # type: ignore[arg-type]
            for heard, said in kinds
        ]
        made.append(Opinion({one.variant: one for one in evidence}, *truth[query]))
    return made


def fit(known: Sequence[Opinion], variant: str) -> tuple[float, ...]:
    """Fit the logistic model of one kind of evidence: a weight for each feature, then a constant.

    A query's probability is that of its likeliest moment, so the moment is looked for and the
    model fitted to it in turns. Sounds that are there, near ones and far ones count alike as
    groups, half of the weight for what is there.
    """
    facts = [opinion.evidence[variant].facts for opinion in known]
    there = np.array([opinion.present for opinion in known])
    near = np.array([opinion.near for opinion in known])
    share = np.zeros(len(known))
    for group, part in ((there, 0.5), (~there & near, 0.25), (~there & ~near, 0.25)):
        if group.any():
            share[group] = part / group.sum()
    share /= share.sum()
    every = np.concatenate(facts)
    mean, spread = every.mean(axis=0), every.std(axis=0)
    used = spread > 1e-9
    scale = np.where(used, spread, 1.0)
    plain = [(part - mean) / scale * used for part in facts]
    weights = np.append(used.astype(float), 0.0)
    sign = np.where(there, 1.0, -1.0)

    for _ in range(ROUNDS):
        moments = np.stack([part[np.argmax(part @ weights[:-1])] for part in plain])

        def loss(w: NDArray[np.float64], x: NDArray[np.float64] = moments) -> tuple[float, object]:
            margin = sign * (x @ w[:-1] + w[-1])
            slope = -share * sign / (1 + np.exp(margin))
            gradient = np.append(x.T @ slope + 2 * DECAY * w[:-1], slope.sum())
            total = share @ np.logaddexp(0, -margin) + DECAY * (w[:-1] @ w[:-1])
            return float(total), gradient

        weights = minimize(loss, weights, jac=True, method="L-BFGS-B").x
    slopes = weights[:-1] / scale * used
    constant = weights[-1] - slopes @ mean
    return (*(round(float(w), 5) for w in slopes), round(float(constant), 5))


def presences(known: Sequence[Opinion], weights: Weights, variant: str) -> NDArray[np.float64]:
    """Return the presence of each query: that of its likeliest moment."""
    return np.array([weights.certainty(one.evidence[variant]).max() for one in known], np.float64)


def reliability(
    there: NDArray[np.bool_], shares: NDArray[np.float64]
) -> list[tuple[float, float, int]]:
    """Return mean presence, share of sounds that are there, and count; for tenths of presence."""
    rows = []
    tenth = np.minimum((shares * BINS).astype(int), BINS - 1)
    for number in range(BINS):
        inside = tenth == number
        if inside.any():
            rows.append((shares[inside].mean(), there[inside].mean(), int(inside.sum())))
    return [(float(a), float(b), count) for a, b, count in rows]


def gather(
    separator: PresenceSeparator,
    listener: Listener,
    scenes: SceneSet,
    kept: Path | None,
) -> list[Opinion]:
    """Return the opinions on all scenes; those that `kept` holds already are read from there."""
    known: list[Opinion] = []
    for number, scene in enumerate(scenes.scenes()):
        file = kept / f"{scenes.key}-{number:05}.npz" if kept else None
        if file is not None and file.is_file():
            known += _read(file)
            continue
        made = opinions(separator, listener, scene)
        if file is not None:
            _write(file, made)
        known += made
    return known


def _write(file: Path, made: Sequence[Opinion]) -> None:
    arrays: dict[str, NDArray[np.generic]] = {
        "truth": np.array([(one.present, one.near) for one in made], bool)
    }
    for number, one in enumerate(made):
        for variant, evidence in one.evidence.items():
            arrays[f"{number}/{variant}"] = evidence.facts.astype(np.float32)
    draft = file.with_suffix(".tmp")
    with draft.open("wb") as out:
        np.savez(out, **arrays)  # type: ignore[arg-type]
    draft.replace(file)


def _read(file: Path) -> list[Opinion]:
    found = []
    with np.load(file, allow_pickle=False) as kept:
        for number, (present, near) in enumerate(kept["truth"]):
            evidence = {}
            for variant in VARIANTS:
                facts = kept[f"{number}/{variant}"].astype(np.float64)
                evidence[variant] = Evidence(
                    facts,
                    np.arange(len(facts)),
                    len(facts),
                    0.0,
                    separator="separator" in variant,
                    target="target" in variant,
                )
            found.append(Opinion(evidence, bool(present), bool(near)))
    return found


def training_set(folder: Path, count: int) -> SceneSet:
    """Return mixtures of two sounds at 0 dB, and of one 5 dB below two others, in turn.

    None of their recordings were in the listener's lessons.

    Raises
    ------
    BadInput
        The corpus is too small for that.

    """
    store, taxonomy = load_store(folder, back=True), load_taxonomy()
    if len(store.names) < SOUNDS:
        raise BadInput(
            f"{folder} keeps recordings of {len(store.names)} classes from the listener, and "
            f"presence is fitted on mixtures of {SOUNDS}: build a larger corpus."
        )

    def scenes() -> Iterator[Scene]:
        two = draw(store, store, taxonomy, SEED)
        three = draw(store, store, taxonomy, SEED + 1, interferers=2, snr=-5.0)
        yield from islice(chain.from_iterable(zip(two, three, strict=False)), count)

    return SceneSet("back", "recordings kept from the listener", count, scenes)


def report(known: Sequence[Opinion], weights: Weights, title: str) -> None:
    """Print how well presence does on a set, for each kind of evidence."""
    there = np.array([one.present for one in known])
    near = np.array([one.near for one in known])
    print(f"{title}: {there.sum()} that are there, {(near & ~there).sum()} near, "
          f"{(~near & ~there).sum()} far")  # fmt: skip
    rows = {variant: presences(known, weights, variant) for variant in VARIANTS}
    alone = [one.evidence["listener, separator"].facts[:, 0].max() for one in known]
    rows["separator alone"] = np.array(alone)
    for name, shares in rows.items():
        positive = shares[there]
        aucs = [
            area_under_curve(positive, shares[~there & group])
            for group in (near, ~near, near | ~near)
        ]
        print(f"  {name:32} AUC near {aucs[0]:.3f}  far {aucs[1]:.3f}  all {aucs[2]:.3f}")
    best = rows[VARIANTS[-1]]
    low = best < weights.missing
    print(
        f"  below {weights.missing:.2f}: {low[there].mean():.0%} of what is there, "
        f"{low[~there].mean():.0%} of what is not"
    )
    print("  presence  is there  queries")
    for mean, share, count in reliability(there, best):
        print(f"  {mean:8.2f}  {share:8.2f}  {count:7}")


def plot(sets: Mapping[str, tuple[NDArray[np.bool_], NDArray[np.float64]]], file: Path) -> None:
    """Draw how often what has a presence is there."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.8")
    for title, (there, shares) in sets.items():
        rows = reliability(there, shares)
        axes.plot([row[0] for row in rows], [row[1] for row in rows], marker="o", label=title)
    axes.set(xlabel="presence", ylabel="share that is there", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    figure.savefig(file, dpi=120)


def main() -> None:
    """Fit and measure from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path, help="folder written by engine.training.corpus")
    parser.add_argument("--scenes", type=int, default=400, help="mixtures to learn from")
    parser.add_argument("--held-out", type=int, default=100, help="mixtures to measure on, a set")
    parser.add_argument("--kept", type=Path, help="folder for what was heard")
    parser.add_argument("--measure", action="store_true", help="fit nothing")
    parser.add_argument("--write", action="store_true", help=f"write {PLACE.name}")
    parser.add_argument("--plot", type=Path, help="write a picture of the reliability")
    arguments = parser.parse_args()
    if arguments.kept:
        arguments.kept.mkdir(parents=True, exist_ok=True)
    separator, listener = compact.load(), ears.load()
    if arguments.measure:
        weights = presence.load_weights()
    else:
        known = gather(
            separator, listener, training_set(arguments.store, arguments.scenes), arguments.kept
        )
        weights = Weights({variant: fit(known, variant) for variant in VARIANTS}, 0.0)
        there = np.array([one.present for one in known])
        shares = presences(known, weights, VARIANTS[-1])
        weights = Weights(weights.variants, round(float(np.quantile(shares[there], LOST)), 2))
        report(known, weights, "recordings kept from the listener")
        if arguments.write:
            facts = {
                "features": list(FEATURES),
                "weights": {name: list(row) for name, row in weights.variants.items()},
                "missing": weights.missing,
            }
            PLACE.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    pictured = {}
    for scenes in corpus_sets(arguments.store, load_taxonomy(), arguments.held_out, 2026):
        found = gather(separator, listener, scenes, arguments.kept)
        report(found, weights, scenes.title)
        pictured[scenes.key] = (
            np.array([one.present for one in found]),
            presences(found, weights, VARIANTS[-1]),
        )
    if arguments.plot:
        plot(pictured, arguments.plot)


if __name__ == "__main__":
    main()
