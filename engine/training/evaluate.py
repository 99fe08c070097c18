"""Measures separators on mixtures of which the parts are known.

`measure` takes any model of the catalogue and goes the way of a user's job, through
`engine.sound.separate`. `evaluate` takes the bare network of ``compact``: that is quick enough to
watch a training run by.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import torch

from engine.job import QUERIES_LIMIT, Job, new_id
from engine.options import Options
from engine.sound.audio import read
from engine.sound.separate import separate as separate_job
from engine.training.corpus import SAMPLE_RATE
from engine.training.figures import Absent, Findings, Score, kept, leakage, level, score
from engine.training.mixing import LEVEL, Mixer, MixingOptions, class_weights
from engine.training.scenes import SECONDS
from engine.training.transform import istft, stft

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from engine.models.base import Separator
    from engine.models.compact.network import CompactNet
    from engine.taxonomy.classes import Taxonomy
    from engine.training.mixing import ClipStore
    from engine.training.scenes import Scene, SceneSet

__all__ = ["Answers", "Pair", "ask", "draw_pairs", "evaluate", "measure", "separate"]


@dataclass(frozen=True)
class Answers:
    """What a separator made of a mixture."""

    targets: dict[str, NDArray[np.float32]]
    """``(channels, frames)`` of each query."""
    presence: dict[str, float]
    """How likely each query's sound is there; NaN from a model that does not tell."""


def ask(separator: Separator, scene: Scene) -> Answers:
    """Have a scene separated as a user's job is, by everything that it is to be asked.

    Raises
    ------
    BadInput, Failure
        As `engine.sound.separate.separate`.

    """
    queries = scene.captions
    told: list[float] = []
    with tempfile.TemporaryDirectory(prefix="tweeze-evaluate-") as name:
        folder = Path(name)
        mixture = folder / "mixture.wav"
        soundfile.write(mixture, scene.mixture.T, scene.rate, subtype="FLOAT")
        targets: dict[str, NDArray[np.float32]] = {}
        for start in range(0, len(queries), QUERIES_LIMIT):
            part = queries[start : start + QUERIES_LIMIT]
            job = Job(new_id(), mixture, part, Options(model=separator.name))
            clips = separate_job(job, separator, folder / "clips", present=told.extend)
            targets |= {clip.query: read(clip.path)[0] for clip in clips}
    presence = told if told else [float("nan")] * len(queries)
    return Answers(targets, dict(zip(queries, presence, strict=True)))


def measure(
    separator: Separator, scenes: SceneSet, progress: Callable[[int], None] = lambda _: None
) -> Findings:
    """Measure a model on a set; `progress` is called with the number of mixtures done."""
    scores, absent = [], []
    for scene in scenes.scenes():
        answers = ask(separator, scene)
        for asked in scene.questions:
            estimate = answers.targets[asked.caption]
            other = answers.targets.get(asked.wrong)
            scores.append(
                Score(
                    asked.name,
                    score(asked.truth, scene.mixture),
                    score(asked.truth, estimate),
                    float("nan") if other is None else score(asked.truth, other),
                    asked.caption,
                    asked.other,
                    asked.wrong,
                    leakage(scene.mixture, asked.truth, estimate),
                    answers.presence[asked.caption],
                    kept(asked.truth, estimate),
                )
            )
        absent += [
            Absent(
                caption,
                near,
                level(answers.targets[caption], scene.mixture),
                answers.presence[caption],
            )
            for caption, near in scene.absent
        ]
        progress(1)
    return Findings(scenes.key, scenes.title, tuple(scores), tuple(absent))


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


def draw_pairs(store: ClipStore, taxonomy: Taxonomy, count: int, seed: int) -> list[Pair]:
    """Draw pairs of different classes of which neither caption fits both."""
    options = MixingOptions(samples=SECONDS * SAMPLE_RATE, augment=0.0)
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
        rms = torch.full((queries,), float(np.sqrt(np.mean(mixture**2))))
        magnitude = spectrum.abs().expand(queries, -1, -1)
        mask = net(magnitude, torch.from_numpy(vectors), rms)
        return istft(spectrum * mask, mixture.size).numpy()


def evaluate(
    net: CompactNet, embed: Callable[[str], NDArray[np.float32]], pairs: Sequence[Pair]
) -> list[Score]:
    """Separate each pair by both captions with the bare network; returns two scores a pair."""
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
                    pair.captions[mine],
                    pair.names[other],
                    pair.captions[other],
                    kept=kept(truth, estimates[mine]),
                )
            )
    return scores
