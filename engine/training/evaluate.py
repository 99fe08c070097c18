"""Measures separators on mixtures of which the parts are known.

`measure` takes any model of the catalogue and separates as a user's job does, with
`engine.sound.core`. `evaluate` takes the bare network of ``compact``: that is quick enough to
watch a training run by.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine import models
from engine.advice.contest import competition
from engine.errors import BadInput
from engine.models.base import Competing
from engine.models.compact import from_files
from engine.models.compact.learned import CAPTIONS
from engine.sound.core import pieces
from engine.sound.masks import Rule
from engine.sound.mixture import ArrayMixture
from engine.sound.rest import heard_rest, is_heard
from engine.sound.team import Member, Team, Traits
from engine.training.corpus import SAMPLE_RATE
from engine.training.figures import Absent, Findings, Score, kept, leakage, level, score
from engine.training.mixing import LEVEL, Mixer, MixingOptions, class_weights
from engine.training.scenes import SECONDS
from engine.training.transform import istft, stft

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from engine.folders import Folders
    from engine.models.base import Listener, Separator
    from engine.models.compact.network import CompactNet
    from engine.sound.mixture import Mixture
    from engine.sound.overlap import Checkpoint
    from engine.taxonomy.classes import Taxonomy
    from engine.training.mixing import ClipStore
    from engine.training.scenes import Scene, SceneSet

__all__ = [
    "Answers",
    "Pair",
    "alone",
    "ask",
    "draw_pairs",
    "evaluate",
    "load",
    "measure",
    "separate",
]


@dataclass(frozen=True)
class Answers:
    """What a separator made of a mixture."""

    targets: dict[str, NDArray[np.float32]]
    """``(channels, frames)`` of each query."""
    presence: dict[str, float]
    """How likely each query's sound is there; NaN from a model that does not tell."""
    told: dict[tuple[str, str], NDArray[np.float32]]
    """``(channels, frames)`` of a query beside which another sound was named as not wanted."""


def load(model: str, folders: Folders) -> Separator:
    """Load a model of the catalogue, or a weight file of a training run.

    The `heads.safetensors` and `captions.txt` beside a weight file are used where they are.

    Raises
    ------
    BadInput
        There is no such file, or no such model (UnknownModel).
    ModelBroken
        The weights do not fit their architecture.

    """
    path = Path(model)
    if path.suffix != ".safetensors":
        return models.load(model, folders)
    if not path.is_file():
        raise BadInput(f"There is no file {path}: name a weight file of a training run.")
    heads, captions = path.with_name("heads.safetensors"), path.with_name(CAPTIONS)
    return from_files(
        path, heads if heads.is_file() else None, captions if captions.is_file() else None
    )


def alone(
    separator: Separator, mixture: Mixture, query: str, hearer: Listener | None = None
) -> tuple[NDArray[np.float32], Checkpoint]:
    """Separate a mixture as a user's job with one query does.

    With a `hearer`, what a first answer leaves competes with a second. Returns the target,
    ``(channels, frames)``, and the last checkpoint.

    Raises
    ------
    BadInput, Failure
        As `engine.sound.core.pieces`.

    """
    team = Team.of_one(separator, (query,))
    if hearer is not None and is_heard(team.texts, (), Traits.of(separator)):
        rule = Rule(separator.weight) if isinstance(separator, Competing) else Rule()
        team = replace(team, competition=replace(team.competition, rule=rule))
        rest = heard_rest(mixture, team, hearer)
        team = team if rest is None else team.beside_rest(rest)
    (member,) = team.members
    assert isinstance(member, Member)
    found = list(pieces(mixture, separator, team.vectors(member), competition=team.competition))
    end = found[-1].checkpoint
    assert end is not None
    return np.concatenate([piece.targets[0] for piece in found], axis=-1), end


def ask(
    separator: Separator, scene: Scene, *, told: bool = False, hearer: Listener | None = None
) -> Answers:
    """Separate a scene by each of its queries as a user's job with that query alone is.

    With a `hearer`, what a first answer leaves competes with a second.

    Queries of one job compete (`engine.sound.masks`): asked together, the right query would gain
    from the wrong one beside it. With `told`, each sound is asked for once more, with the other
    one named as not wanted.

    Raises
    ------
    BadInput, Failure
        As `engine.sound.core.pieces`.

    """
    rate = separator.frame_grid.sample_rate
    mixture = ArrayMixture(np.asarray(scene.mixture, np.float32), scene.rate, rate)
    targets, presence = {}, {}
    for query in scene.captions:
        targets[query], end = alone(separator, mixture, query, hearer)
        (presence[query],) = end.presence.tolist() or [float("nan")]
    beside = {}
    for question in scene.questions if told else ():
        if question.wrong:
            query, other = question.caption, question.wrong
            rule = Rule(separator.weight) if isinstance(separator, Competing) else Rule()
            contest = competition((query,), (other,), rule=rule)
            member = Member(separator, (0, 1))
            team = Team((query, other), (member,), contest)
            separated = pieces(mixture, separator, team.vectors(member), competition=contest)
            beside[query, other] = np.concatenate([part.targets[0] for part in separated], axis=-1)
    return Answers(targets, presence, beside)


def measure(
    separator: Separator,
    scenes: SceneSet,
    on_progress: Callable[[int], None] = lambda _: None,
    *,
    told: bool = False,
    hearer: Listener | None = None,
) -> Findings:
    """Measure a model on a set of mixtures; `on_progress` is called with 1 after each of them.

    `hearer` is that of `ask`. With `told`, also with the other sound of each mixture named as not
    wanted.
    """
    scores, absent = [], []
    for scene in scenes.scenes():
        answers = ask(separator, scene, told=told, hearer=hearer)
        for asked in scene.questions:
            estimate = answers.targets[asked.caption]
            other = answers.targets.get(asked.wrong)
            beside = answers.told.get((asked.caption, asked.wrong))
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
                    float("nan") if beside is None else score(asked.truth, beside),
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
        on_progress(1)
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
    """Separate ``(samples,)`` by ``(queries, dim)``, on the network's device.

    Returns ``(queries, samples)``.
    """
    with torch.inference_mode():
        device = net.gather.device
        spectrum = stft(torch.from_numpy(mixture)[None].to(device))
        queries = len(vectors)
        rms = torch.full((queries,), float(np.sqrt(np.mean(mixture**2))), device=device)
        magnitude = spectrum.abs().expand(queries, -1, -1)
        mask = net(magnitude, torch.from_numpy(vectors).to(device), rms)
        return istft(spectrum * mask, mixture.size).cpu().numpy()


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
