"""Fine-tuning: a model that is there already learns a user's own sounds.

From ``compact`` or from an AudioSep checkpoint. The user's clips are mixed with one another and,
where a corpus is given, with its clips; some files of each sound are held out, what the model gains
on them decides which step is kept, and that becomes a named model in Tweeze's folder. All batch
statistics stay those of the model that it began with: a few clips say nothing about them.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from engine.errors import BadInput, Failure
from engine.models import catalogue
from engine.models.kinds import BUNDLED
from engine.taxonomy.classes import SoundClass, Taxonomy, load_taxonomy
from engine.taxonomy.text import load_text_table
from engine.training.corpus import HELD_OUT, SAMPLE_RATE, TRAIN, read_clips
from engine.training.figures import Score, score, summary
from engine.training.losses import QUERIES
from engine.training.mixing import ClipStore, Mixer, MixingOptions, phrase
from engine.training.scenes import draw
from engine.training.train import Schedule, plot
from engine.training.userdata import USER, Collection, collect, find

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from engine.folders import Folders
    from engine.models.records import Entry
    from engine.training.corpus import Clip
    from engine.training.mixing import Example
    from engine.training.scenes import Scene

__all__ = ["Learner", "Outcome", "Settings", "finetune"]

_FAR = 0.4
"""A caption of the taxonomy that is less like all of the user's may be asked for in vain."""
_WARMUP = 20


@dataclass(frozen=True)
class Settings:
    """How to fine-tune."""

    steps: int = 400
    rate: float = 0.0
    """Peak learning rate; 0 is the model's usual one."""
    every: int = 50
    """Steps between two validations."""
    patience: int = 5
    """Validations without a better one after which it ends."""
    mixtures: int = 4
    """Mixtures a step, two queries each."""
    pairs: int = 24
    """Held-out mixtures that each validation separates."""
    seed: int = 1


@dataclass(frozen=True)
class Outcome:
    """What came of it; mean SI-SDRi on held-out files, in dB."""

    entry: Entry
    before: float
    after: float
    step: int
    """The step that was kept."""


class Learner(Protocol):
    """A network that learns from examples; its state is all that it takes to go on."""

    usual_rate: float
    seconds: float
    """Length of its examples."""

    def learn(self, examples: Sequence[Example], captions: Sequence[str], rate: float) -> float:
        """Take one step and return its loss; a caption for each query of each example."""

    def separate(
        self, mixture: NDArray[np.float32], captions: Sequence[str]
    ) -> NDArray[np.float32]:
        """Separate ``(samples,)`` with the averaged weights; returns ``(captions, samples)``."""

    def state(self) -> dict[str, Any]:
        """Return all that it takes to go on."""

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""

    def averaged(self) -> dict[str, Tensor]:
        """Return the averaged weights."""

    def publish(
        self, weights: Mapping[str, Tensor], folders: Folders, name: str, origin: str
    ) -> Entry:
        """Record weights that `averaged` returned as a named model."""


class _JoinedStore(ClipStore):
    """The user's clips and a corpus's, each with samples of its own."""

    def __init__(
        self,
        user: NDArray[np.int16],
        corpus: NDArray[np.int16],
        clips: Sequence[Clip],
    ) -> None:
        super().__init__(corpus, clips)
        self._user = ClipStore(user, ())

    def read(self, clip: Clip) -> NDArray[np.float32]:
        return self._user.read(clip) if clip.source == USER else super().read(clip)


class _UserMixer(Mixer):
    """Draws mixtures that mostly hold one of the user's sounds; requests in vain are for others."""

    def __init__(
        self,
        store: ClipStore,
        taxonomy: Taxonomy,
        options: MixingOptions,
        users: Sequence[str],
        in_vain: Sequence[str],
    ) -> None:
        super().__init__(store, taxonomy, options)
        self._users = list(users)
        self._corpus = [name for name in store.names if name not in set(users)]
        self.captions = tuple(sorted({*in_vain, *self.captions}))

    def draw_classes(self, rng: np.random.Generator) -> list[str]:
        count = int(rng.choice([1, 2, 3], p=[0.05, 0.75, 0.2]))
        names = []
        for number in range(count):
            # one in five mixtures is the corpus's alone, lest the rest be forgotten
            share = 0.8 if number == 0 else 0.4
            theirs = not self._corpus or rng.random() < share
            names.append(str(rng.choice(self._users if theirs else self._corpus)))
        return names


def finetune(
    place: Path,
    name: str,
    folders: Folders,
    *,
    base: str = BUNDLED.name,
    store: Path | None = None,
    settings: Settings | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Train a model on a user's recordings and add it to the user's models.

    What is unfinished lies in ``training`` in the model's folder; the same call goes on with it.

    Parameters
    ----------
    place
        The recordings, in a form that `engine.training.userdata.find` reads.
    name
        What the new model is to be called.
    folders
        The user's.
    base
        The model to begin with: the bundled one, or one that the user added.
    store
        A corpus to mix with.
    settings
        How to train.
    say
        Called with sentences about the progress.

    Raises
    ------
    BadInput
        The name is taken, the recordings are not what they should be, or an unfinished training
        of that name was one of something else.
    ModelBroken
        The model to begin with is damaged, or its checkpoint is gone.
    Failure
        No step was better than the model that it began with.

    """
    settings = settings or Settings()
    catalogue.check_free(name, folders)
    found = find(place)
    if store is not None and not (store / "clips.csv").is_file():
        raise BadInput(f"{store} is not a corpus: 'clips.csv' is missing.")
    folders.make()
    work = folders.models / name / "training"
    learner, origin = _learner(base, folders)
    facts = {
        "base": origin,
        "recordings": _digest([f"{i.file.absolute()}\n{i.caption}" for i in found]),
        "store": str(store.absolute()) if store else "",
        "seed": settings.seed,
    }
    _begin(work, facts, name)
    collection = collect(found, work, alone=store is None, left_out=say)
    for caption in collection.captions:
        counts = [
            len({c.group for c in collection.of(split) if c.name == caption})
            for split in (TRAIN, HELD_OUT)
        ]
        say(f"{caption}: {counts[0]} recordings to learn from, {counts[1]} held out.")
    if store is None:
        say("The recordings are mixed with one another only; --store CORPUS mixes in others.")
    mixer, scenes = _material(collection, store, settings, learner.seconds)
    run = _Run(work, learner, mixer, scenes, settings, say)
    before, after, step = run.train()
    if after <= before:
        raise Failure(
            f"No step was better on held-out recordings than the model it began with ({before:.1f} "
            f"dB), so nothing was added: give more recordings, or more --steps; {work} keeps the "
            "state."
        )
    weights = torch.load(work / "best.pt", weights_only=True)["weights"]
    made = learner.publish(weights, folders, name, f"{base}, fine-tuned on {place.absolute()}")
    for file in ("audio.i16", "checkpoint.pt", "best.pt"):
        (work / file).unlink(missing_ok=True)
    return Outcome(made, before, after, step)


def _learner(base: str, folders: Folders) -> tuple[Learner, str]:
    """Return the learner for a model, and what names that model for good."""
    from engine.models import compact
    from engine.training.learners import AudioSepLearner, CompactLearner

    entry = catalogue.entry(base, folders)
    if entry.kind == "audiosep":
        return AudioSepLearner(entry), entry.digest
    model = catalogue.load(entry)
    if not isinstance(model, compact.Compact):
        raise BadInput(f"Models of the kind '{entry.kind}', like {base}, cannot be fine-tuned.")
    # the text table steers the network, and may change with a later Tweeze
    words = b"".join(model.embed(word).tobytes() for word in load_taxonomy().captions)
    networks: list[torch.nn.Module] = [model.net]
    if isinstance(model, compact.HearingCompact):
        networks.append(model.heads)
    state = b"".join(v.numpy().tobytes() for net in networks for v in net.state_dict().values())
    return CompactLearner(model), hashlib.sha256(state + words).hexdigest()


def _begin(work: Path, facts: Mapping[str, object], name: str) -> None:
    """Make the folder of the unfinished model, or see that what lies there is of the same."""
    record = work / "settings.json"
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(mode=0o700, parents=True)
        record.write_text(json.dumps(facts, indent=1), encoding="utf-8")
        return
    differing = [key for key, value in facts.items() if known.get(key) != value]
    if differing:
        raise BadInput(
            f"The unfinished training of '{name}' began with another {differing[0]}: choose "
            f"another name with --name, or remove {work}."
        )


def _material(
    collection: Collection, store: Path | None, settings: Settings, seconds: float
) -> tuple[Mixer, list[Scene]]:
    """Return what to learn from, and the held-out mixtures to measure on."""
    known = load_taxonomy()
    names = {caption: f"your {caption}" for caption in collection.captions}
    own = {
        names[caption]: SoundClass(
            names[caption],
            tuple(n for n, item in known.classes.items() if store and caption in item.captions),
            (caption,),
        )
        for caption in collection.captions
    }
    taxonomy = Taxonomy({**(known.classes if store else {}), **own})
    table = load_text_table()
    mine = np.stack([table.embed(caption) for caption in collection.captions])
    others = np.stack([table.embed(caption) for caption in known.captions])
    far = (others @ mine.T).max(axis=1) < _FAR
    in_vain = [c for c, is_far in zip(known.captions, far, strict=True) if is_far]

    def clips(split: str) -> list[Clip]:
        return [replace(clip, name=names[clip.name]) for clip in collection.of(split)]

    corpus = np.memmap(store / "audio.i16", dtype="<i2", mode="r") if store else None
    theirs = read_clips(store) if store else []

    def joined(split: str) -> ClipStore:
        if corpus is None:
            return ClipStore(collection.samples, clips(split))
        rest = [clip for clip in theirs if clip.split == split]
        return _JoinedStore(collection.samples, corpus, [*clips(split), *rest])

    options = MixingOptions(samples=int(seconds * SAMPLE_RATE), unknown=0.0)
    users = sorted({clip.name for clip in clips(TRAIN)})
    mixer = _UserMixer(joined(TRAIN), taxonomy, options, users, in_vain)
    mine_held = ClipStore(collection.samples, clips(HELD_OUT))
    rest_held = mine_held if corpus is None else joined(HELD_OUT)
    scenes = islice(draw(mine_held, rest_held, taxonomy, seed=7), settings.pairs)
    return mixer, [replace(scene, absent=()) for scene in scenes]


class _Run:
    """The steps, their validations, and the folder of both."""

    def __init__(
        self,
        folder: Path,
        learner: Learner,
        mixer: Mixer,
        scenes: Sequence[Scene],
        settings: Settings,
        say: Callable[[str], None],
    ) -> None:
        self.folder = folder
        self.learner = learner
        self.mixer = mixer
        self.scenes = scenes
        self.settings = settings
        self.say = say
        self.step = 0
        self.before = self.best = -np.inf
        self.best_step = 0
        checkpoint = folder / "checkpoint.pt"
        if checkpoint.exists():
            state = torch.load(checkpoint, weights_only=True)
            learner.resume(state["learner"])
            self.step, self.before = state["step"], state["before"]
            self.best, self.best_step = state["best"], state["best_step"]
            say(f"Going on from step {self.step}.")

    def train(self) -> tuple[float, float, int]:
        """Go on to the end; returns the first and the best score, and the step of the latter."""
        settings = self.settings
        schedule = Schedule(
            settings.rate or self.learner.usual_rate, _WARMUP, settings.steps, settings.steps // 2
        )
        if self.step == 0:
            self.before = self.best = self.validate()
            self.say(f"Before: {self.before:.2f} dB on held-out recordings.")
        losses = []
        try:
            while self.step < settings.steps and not self._is_stuck():
                rng = np.random.default_rng((settings.seed, self.step))
                examples = [self.mixer.example(rng, QUERIES) for _ in range(settings.mixtures)]
                captions = [phrase(c, rng) for example in examples for c in example.captions]
                losses.append(self.learner.learn(examples, captions, schedule.rate(self.step)))
                self.step += 1
                if self.step % settings.every == 0 or self.step == settings.steps:
                    self._log("log.csv", {"loss": float(np.mean(losses))})
                    losses.clear()
                    gain = self.validate()
                    if gain > self.best:
                        self.best, self.best_step = gain, self.step
                        self._write("best.pt", {"weights": self.learner.averaged()})
                    self.save()
                    plot(self.folder, "loss")
                    self.say(f"Step {self.step}: {gain:.2f} dB.")
        except KeyboardInterrupt:
            self.save()
            raise
        return self.before, self.best, self.best_step

    def validate(self) -> float:
        """Return the mean SI-SDRi on held-out mixtures, and note all figures."""
        scores = []
        for scene in self.scenes:
            mixture = scene.mixture[0]
            estimates = self.learner.separate(mixture, scene.captions)
            answers = dict(zip(scene.captions, estimates, strict=True))
            scores += [
                Score(
                    asked.name,
                    score(asked.truth[0], mixture),
                    score(asked.truth[0], answers[asked.caption]),
                    score(asked.truth[0], answers[asked.wrong]),
                )
                for asked in scene.questions
            ]
        figures = summary(scores)
        self._log("validation.csv", figures)
        return figures["SI-SDRi mean"]

    def save(self) -> None:
        """Write all that it takes to go on."""
        state = {
            "learner": self.learner.state(),
            "step": self.step,
            "before": self.before,
            "best": self.best,
            "best_step": self.best_step,
        }
        self._write("checkpoint.pt", state)

    def _is_stuck(self) -> bool:
        return self.step >= self.best_step + self.settings.patience * self.settings.every

    def _write(self, name: str, state: object) -> None:
        temporary = self.folder / f"{name}.part"
        torch.save(state, temporary)
        temporary.replace(self.folder / name)

    def _log(self, name: str, figures: Mapping[str, float]) -> None:
        path = self.folder / name
        fresh = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as table:
            writer = csv.writer(table)
            if fresh:
                writer.writerow(["step", *figures])
            writer.writerow([self.step, *(f"{value:.4f}" for value in figures.values())])


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
