"""How much the competition between sounds should count: the `weight` of `engine.sound.masks.Rule`.

    python -m bench.competition STORE [--pairs 60] [--seed 5]

Each sound of a mixture is asked for with another one of it named as not wanted, by `compact`, with
several weights. Printed for each kind of mixture: the mean gain (SI-SDR improvement, dB) with each
weight, and how it differs from that with 0.5, the one in use, with the standard error.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine import models
from engine.advice.contest import competition
from engine.folders import Folders
from engine.models.base import Separator
from engine.sound.core import pieces
from engine.sound.masks import Rule
from engine.sound.mixture import ArrayMixture
from engine.sound.team import Member, Team
from engine.taxonomy.classes import load_taxonomy
from engine.training.figures import score
from engine.training.scenes import Question, Scene, corpus_sets

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)


def gains(scene: Scene, question: Question, separator: Separator) -> list[float]:
    """Return the gain in dB with each of `WEIGHTS`."""
    samples = np.asarray(scene.mixture, np.float32)
    query, other = question.caption, question.wrong
    before = score(question.truth, samples)
    found = []
    for weight in WEIGHTS:
        contest = competition((query,), (other,), rule=Rule(weight))
        member = Member(separator, (0, 1))
        vectors = Team((query, other), (member,), contest).vectors(member)
        mixture = ArrayMixture(samples, scene.rate, separator.frame_grid.sample_rate)
        parts = pieces(mixture, separator, vectors, competition=contest)
        target = np.concatenate([part.targets[0] for part in parts], axis=-1)
        found.append(score(question.truth, target) - before)
    return found


def line(rows: Sequence[Sequence[float]]) -> str:
    """Return the means of the columns, and their differences from the column in use."""
    figures: npt.NDArray[np.float64] = np.array(rows)
    more = figures - figures[:, [WEIGHTS.index(Rule().weight)]]
    errors = more.std(axis=0) / np.sqrt(len(rows))
    columns = zip(WEIGHTS, figures.mean(axis=0), more.mean(axis=0), errors, strict=True)
    return "  ".join(f"{w:g}: {g:.2f} ({m:+.2f} ± {e:.2f})" for w, g, m, e in columns)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path, help="folder written by engine.training.corpus")
    parser.add_argument("--pairs", type=int, default=60, help="mixtures of each kind")
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    separator = models.load("compact", Folders.of_user())
    for kind in corpus_sets(arguments.store, load_taxonomy(), arguments.pairs, arguments.seed):
        rows = [
            gains(scene, question, separator)
            for scene in kind.scenes()
            for question in scene.questions
            if question.wrong
        ]
        if rows:
            print(f"{kind.title}, {len(rows)} sounds\n  {line(rows)}", flush=True)


if __name__ == "__main__":
    main()
