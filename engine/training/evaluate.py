"""Measures ``compact`` on mixtures of recordings that it has never seen.

    python -m engine.training.evaluate STORE [--weights FILE] [--pairs 400] [--seed 7]

Each pair of clips of two classes is mixed at 0 dB, and both are asked for by a caption. Printed
are the improvement of SI-SDR over the mixture with the right query, the same with the caption of
the other sound, and the margin between the two; SI-SDR is followed down to -30 dB.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.measure import si_sdr
from engine.training.corpus import HELD_OUT, SAMPLE_RATE, TEST, read_clips
from engine.training.labels import load_taxonomy
from engine.training.mixing import LEVEL, ClipStore, Mixer, MixingOptions, class_weights
from engine.training.transform import istft, stft

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from engine.models.compact.network import CompactNet
    from engine.training.labels import Taxonomy

EVALUATION_SECONDS = 5
FLOOR_DB = -30.0
"""Scores are not followed below this: the answer is wrong, and how wrong says nothing."""
GROUPS = ("voice", "animal", "music", "vehicle", "water", "footsteps", "weapon", "tool")
"""Classes for which figures are printed together; the rest is "other"."""


@dataclass(frozen=True)
class Pair:
    """Two sounds at equal level with a caption each."""

    names: tuple[str, str]
    captions: tuple[str, str]
    sources: NDArray[np.float32]
    """``(2, samples)``"""

    @property
    def mixture(self) -> NDArray[np.float32]:
        """Both sounds together, ``(samples,)``."""
        return np.asarray(self.sources.sum(axis=0), np.float32)


@dataclass(frozen=True)
class Score:
    """How one sound of one pair was separated; dB."""

    name: str
    before: float
    """SI-SDR of the mixture."""
    right: float
    """SI-SDR with the sound's own caption."""
    wrong: float
    """SI-SDR with the caption of the other sound."""

    @property
    def improvement(self) -> float:
        """What separation gained."""
        return self.right - self.before

    @property
    def margin(self) -> float:
        """What the right words gained over the wrong ones."""
        return self.right - self.wrong


def score(truth: NDArray[np.float32], estimate: NDArray[np.float32]) -> float:
    """Return the SI-SDR of ``(samples,)`` in dB, at least ``FLOOR_DB``."""
    return max(FLOOR_DB, si_sdr(truth, estimate)) if estimate.any() else FLOOR_DB


def draw_pairs(store: ClipStore, taxonomy: Taxonomy, count: int, seed: int) -> list[Pair]:
    """Draw pairs of different classes of which neither caption fits both."""
    options = MixingOptions(samples=EVALUATION_SECONDS * SAMPLE_RATE, augment=0.0)
    mixer = Mixer(store, taxonomy, options)
    rng = np.random.default_rng(seed)
    counts = {name: len(clips) for name, clips in store.by_class.items()}
    weights = class_weights(store.names, counts)
    pairs: list[Pair] = []
    while len(pairs) < count:
        first, second = (str(name) for name in rng.choice(store.names, 2, p=weights))
        captions = [
            own[rng.integers(len(own))]
            for own in (taxonomy.classes[name].captions for name in (first, second))
        ]
        if taxonomy.fits(captions[0], second) or taxonomy.fits(captions[1], first):
            continue
        sources = np.stack([mixer.source(name, rng) for name in (first, second)])
        sources *= LEVEL / np.sqrt(np.mean(sources**2, axis=1, keepdims=True) + 1e-12)
        pairs.append(Pair((first, second), (captions[0], captions[1]), sources))
    return pairs


def separate(
    net: CompactNet, mixture: NDArray[np.float32], vectors: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Separate ``(samples,)`` by ``(queries, dim)``; returns ``(queries, samples)``."""
    with torch.inference_mode():
        spectrum = stft(torch.from_numpy(mixture)[None])
        queries = len(vectors)
        loudness = torch.full((queries,), float(np.sqrt(np.mean(mixture**2))))
        magnitude = spectrum.abs().expand(queries, -1, -1)
        mask = net(magnitude, torch.from_numpy(vectors), loudness)
        return istft(spectrum * mask, mixture.size).numpy()


def evaluate(
    net: CompactNet, embed: Callable[[str], NDArray[np.float32]], pairs: Sequence[Pair]
) -> list[Score]:
    """Separate each pair by both captions; returns two scores a pair."""
    net.eval()
    scores = []
    for pair in pairs:
        vectors = np.stack([embed(caption) for caption in pair.captions])
        estimates = separate(net, pair.mixture, vectors)
        for mine, other in ((0, 1), (1, 0)):
            truth = pair.sources[mine]
            scores.append(
                Score(
                    pair.names[mine],
                    score(truth, pair.mixture),
                    score(truth, estimates[mine]),
                    score(truth, estimates[other]),
                )
            )
    return scores


def group_of(name: str, taxonomy: Taxonomy) -> str:
    """Return the printed group of a class."""
    lineage = taxonomy.lineage(name)
    return next((group for group in GROUPS if group in lineage), "other")


def summary(scores: Sequence[Score]) -> dict[str, float]:
    """Return mean and median figures, in dB."""
    gains = np.array([score.improvement for score in scores])
    margins = np.array([score.margin for score in scores])
    wrong = np.array([score.wrong - score.before for score in scores])
    return {
        "SI-SDRi mean": float(gains.mean()),
        "SI-SDRi median": float(np.median(gains)),
        "wrong query mean": float(wrong.mean()),
        "margin mean": float(margins.mean()),
        "margin median": float(np.median(margins)),
        "improved %": float(100 * (gains > 0).mean()),
    }


def print_table(scores: Sequence[Score], taxonomy: Taxonomy, title: str) -> None:
    """Print the figures of all scores and of each group."""
    groups: dict[str, list[Score]] = defaultdict(list)
    for score in scores:
        groups[group_of(score.name, taxonomy)].append(score)
    rows = {"all": list(scores), **{name: groups[name] for name in sorted(groups)}}
    print(f"\n{title}")
    print(f"{'':10} {'n':>5}", *(f"{key:>16}" for key in summary(scores)))
    for name, members in rows.items():
        figures = summary(members).values()
        print(f"{name:10} {len(members):5}", *(f"{value:16.2f}" for value in figures))


def load_stores(folder: Path, split: str) -> ClipStore:
    """Open the clips of one split of a corpus."""
    samples = np.memmap(folder / "audio.i16", dtype="<i2", mode="r")
    return ClipStore(samples, [clip for clip in read_clips(folder) if clip.split == split])


def main() -> None:
    """Evaluate from the command line."""
    from engine.models.compact import load, load_network

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path, help="folder written by engine.training.corpus")
    parser.add_argument("--weights", type=Path, help="weights other than the bundled ones")
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    taxonomy = load_taxonomy()
    model = load()
    net = load_network(arguments.weights) if arguments.weights else model.net
    for split, title in (
        (HELD_OUT, "held-out recordings, two sounds at 0 dB"),
        (TEST, "ESC-10 fold 5, two sounds at 0 dB"),
    ):
        store = load_stores(arguments.store, split)
        pairs = draw_pairs(store, taxonomy, arguments.pairs, arguments.seed)
        print_table(evaluate(net, model.embed, pairs), taxonomy, title)


if __name__ == "__main__":
    main()
