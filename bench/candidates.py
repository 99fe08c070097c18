"""How often an odd word's better neighbours are recognised: the ranking behind `tweeze compare`.

    python -m bench.candidates STORE [--count 300]

Mixtures of two held-out recordings at 0 dB are asked for one of them by a word that no caption
holds (`engine/training/unseen.csv`), then by the first two words that `tweeze suggest` names for
it. The word itself is compared with the one that `engine.advice.candidates` picks. Printed for
each: how often the best of the three is picked, and the mean gain (SI-SDR improvement), with its
standard error against the plain word.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from engine import models
from engine.advice import presence
from engine.advice.candidates import ranked
from engine.advice.presence import Asked, evidence_of, impression
from engine.advice.suggestions import suggest
from engine.folders import Folders
from engine.sound.certainty import CertaintyGrid
from engine.sound.core import pieces
from engine.sound.mixture import ArrayMixture
from engine.taxonomy.classes import load_taxonomy
from engine.training.corpus import HELD_OUT, OUTSIDE, TEST, read_clips
from engine.training.figures import score
from engine.training.mixing import ClipStore
from engine.training.scenes import Scene, draw
from engine.training.words import load_unseen


@dataclass(frozen=True)
class Answer:
    """A candidate's gain in dB, and how likely its sound is there."""

    gain: float
    presence: float


class Tweeze:
    """The bundled models."""

    def __init__(self) -> None:
        folders = Folders.of_user()
        self.separator = models.load("compact", folders)
        self.listener = models.load_listener(folders)

    def answer(self, scene: Scene, query: str) -> Answer:
        """Separate a scene by one query, and ask whether its sound is there."""
        grid = self.separator.frame_grid
        samples = np.asarray(scene.mixture, np.float32)
        mixture = ArrayMixture(samples, scene.rate, grid.sample_rate)
        found = list(pieces(mixture, self.separator, self.separator.embed(query)[None]))
        target = np.concatenate([piece.targets[0] for piece in found], axis=-1)
        asked = Asked.of([query], self.listener)
        whole = impression([samples], scene.rate, len(samples), self.listener, asked)
        heard = impression([target], scene.rate, len(samples), self.listener, asked)
        step = CertaintyGrid(grid, mixture.model_samples // grid.hop + 1).step
        checkpoint = found[-1].checkpoint
        assert checkpoint is not None
        known = step, checkpoint.certainty[0]
        evidence = evidence_of(asked, 0, whole, heard, known, self.listener.hearing_grid)
        likely = float(presence.load_weights().certainty(evidence).max())
        truth = scene.questions[0].truth
        gain = score(truth, target) - score(truth, samples)
        return Answer(gain, likely)


def scenes(store: Path, seed: int) -> Iterator[tuple[Scene, str]]:
    """Draw mixtures without end, each with an odd word for its first sound."""
    taxonomy = load_taxonomy()
    words: dict[str, list[str]] = {}
    for item in load_unseen(taxonomy):
        for name in item.classes:
            words.setdefault(name, []).append(item.query)
    clips = [clip for clip in read_clips(store) if clip.split in (HELD_OUT, OUTSIDE, TEST)]
    audio = np.memmap(store / "audio.i16", dtype="<i2", mode="r")
    asked = ClipStore(audio, [clip for clip in clips if clip.name in words])
    rng = np.random.default_rng(seed)
    for scene in draw(asked, ClipStore(audio, clips), taxonomy, seed):
        question = scene.questions[0]
        yield replace(scene, questions=(question,)), str(rng.choice(words[question.name]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path, help="folder written by engine.training.corpus")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=2026)
    arguments = parser.parse_args()
    tweeze = Tweeze()
    rows: list[list[Answer]] = []
    for scene, word in islice(scenes(arguments.store, arguments.seed), arguments.count):
        others = [found.term for found in suggest(word, 2)]
        if len(others) == 2:
            rows.append([tweeze.answer(scene, query) for query in (word, *others)])
    gains = np.array([[answer.gain for answer in row] for row in rows])
    rules = {
        "the word itself": [0] * len(rows),
        "the likeliest": [ranked([answer.presence for answer in row])[0] for row in rows],
        "the best (known afterwards)": [int(place) for place in gains.argmax(axis=1)],
    }
    print(f"{len(rows)} mixtures, {len(rows[0])} candidates each")
    for name, picks in rules.items():
        picked = gains[np.arange(len(rows)), picks]
        best = np.mean(picked >= gains.max(axis=1) - 0.1)
        more = picked - gains[:, 0]
        error = more.std() / np.sqrt(len(rows))
        print(
            f"  {name:28} best in {best:4.0%}  gain {picked.mean():6.2f} dB  "
            f"more than the word {more.mean():+5.2f} ± {error:.2f} dB"
        )


if __name__ == "__main__":
    main()
