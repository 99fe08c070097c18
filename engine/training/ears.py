"""Trains ``ears``; can be stopped at any time and goes on where it was.

    python -m engine.training.ears STORE RUN --teacher FOLDER --steps 6000

``RUN`` gets ``lessons`` (written beside the training by processes of their own), ``checkpoint.pt``
(everything needed to go on), ``log.csv`` and ``weights.safetensors`` (the averaged weights,
calibrated, in the form that ships). A mixture's targets are the teacher's scores, overruled by what
is known of its parts.
"""

from __future__ import annotations

import argparse
import csv
import math
import subprocess
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from engine.models.ears.network import FEATURES, EarsNet, windows_of
from engine.models.ears.weights import load_labels, network_from, new_network, save_weights
from engine.taxonomy.classes import load_taxonomy
from engine.taxonomy.ontology import heard_as
from engine.taxonomy.text import load_text_table
from engine.training.lessons import Lessons, read_lessons
from engine.training.mixing import TEMPLATES
from engine.training.teacher import ancestors, load_meanings
from engine.training.train import Average, Team, join, launch
from engine.training.transform import precision

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["Batch", "Captions", "Course", "Knowledge", "calibrate", "main"]

SURE = 0.92
"""Probability of what the labels say is there."""
DOUBT = 0.5
"""What is left of a teacher's score for a name that no label of the mixture speaks for."""
SHARPENED = 0.6
"""What the likeliest fitting name gets where a class has no name of its own."""
INSIDE_WEIGHT, PLACE_WEIGHT, NEAR_WEIGHT = 4.0, 0.15, 0.2
TEMPERATURE = 0.07
ALONE = Team()
ADDED = 0.5
"""How often another mixture is added, beside what the lessons mix themselves."""
SHIFTED = 0.3
"""How often everything sounds up to two bands higher or lower."""
CLOSENESS = 5.0
"""What a label's logit gains, before training, where a sound lies right at the label's name."""


class Knowledge:
    """The classes of the taxonomy in terms of the listener's labels."""

    def __init__(self, labels: Sequence[str]) -> None:
        meanings = load_meanings()
        self.names = tuple(load_taxonomy().classes)
        index = {label: number for number, label in enumerate(labels)}
        shape = (len(self.names) + 1, len(labels))  # the last row is for no class at all
        self.true, self.fitting, self.related = (np.zeros(shape, np.float32) for _ in range(3))
        for row, name in enumerate(self.names):
            meaning = meanings[name]
            above = {a for known in meaning.names for a in ancestors(known)}
            for matrix, known in (
                (self.true, {*meaning.names, *above}),
                (self.fitting, meaning.agreeing),
                (self.related, meaning.related if not meaning.names else ()),
            ):
                matrix[row, [index[n] for n in known if n in index]] = 1

    def targets(self, lessons: Lessons) -> NDArray[np.float32]:
        """Return what is to be said of each window: ``(mixtures, windows, labels)``.

        What a clip's label says counts fully where the clip is within 10 dB of the mixture, and
        not at all 20 dB below it. The teacher's score for a name that no clip's label speaks for
        is halved. A class without a name of its own lifts the teacher's scores for related names.
        """
        target = lessons.scores.astype(np.float32)
        near = np.clip((lessons.share.astype(np.float32) + 20) / 10, 0, 1)
        near *= lessons.own > -25
        fits = self.fitting[lessons.parts].max(axis=1)[:, None]
        target *= DOUBT + (1 - DOUBT) * fits
        for part in range(lessons.parts.shape[1]):
            rows = lessons.parts[:, part]
            audible = near[:, :, part, None]
            related = self.related[rows][:, None] * target
            best = related.max(axis=2, keepdims=True)
            gain = np.where(best > 0.03, np.minimum(SHARPENED / np.maximum(best, 1e-3), 5.0), 0.0)
            target = np.maximum(target, related * gain * audible)
            target = np.maximum(target, SURE * audible * self.true[rows][:, None])
        return np.minimum(target, 1.0)


def named(labels: Sequence[str]) -> Tensor:
    """Return ``(labels, 128)``: the vector of what people call each label, times `CLOSENESS`."""
    table = load_text_table()
    vectors = [table.embed(heard_as(label) or label) for label in labels]
    return CLOSENESS * torch.from_numpy(np.stack(vectors))


class Captions:
    """Vectors of everything that people call the classes, in each form of a query."""

    def __init__(self) -> None:
        taxonomy, table = load_taxonomy(), load_text_table()
        self.names = tuple(taxonomy.classes)
        texts = taxonomy.captions
        forms = tuple(dict.fromkeys(TEMPLATES))
        self.vectors = torch.from_numpy(
            np.stack([[table.embed(form.format(text)) for text in texts] for form in forms])
        )
        """``(forms, captions, 128)``"""
        fits = [[taxonomy.fits(text, name) for text in texts] for name in self.names]
        self.fits = torch.tensor(fits)
        """``(classes, captions)``: which caption is true of which class."""
        self._own = [
            [texts.index(text) for text in taxonomy.classes[name].captions] for name in self.names
        ]
        means = [self.vectors[0, own].mean(0) for own in self._own]
        self.centres = functional.normalize(torch.stack(means), dim=1)
        """``(classes, 128)``: the mean of each class's captions."""

    def pick(self, classes: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        """Return the number of one caption of each class."""
        drawn = [self._own[c][rng.integers(len(self._own[c]))] for c in classes]
        return torch.tensor(drawn)

    def loss(self, heard: Tensor, classes: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        """Return how far unit vectors ``(windows, 128)`` are from captions of their classes.

        Each window against all captions that are not true of it, and each class's caption against
        all windows of which it is not true (InfoNCE, van den Oord et al. 2018); and the distance
        from the mean of the class's captions.
        """
        form = self.vectors[rng.integers(len(self.vectors))]
        chosen = self.pick(classes, rng)
        fits = self.fits[torch.from_numpy(classes)]
        logits = heard @ form.T / TEMPERATURE
        right = logits.gather(1, chosen[:, None])
        others = logits.masked_fill(fits, -1e4)
        forward = torch.logsumexp(torch.cat([right, others], 1), 1) - right[:, 0]
        asked = form[chosen] @ heard.T / TEMPERATURE
        rivals = asked.masked_fill(fits[:, chosen].T, -1e4)
        own = asked.diagonal()
        backward = torch.logsumexp(torch.cat([own[:, None], rivals], 1), 1) - own
        centre = 1 - (heard * self.centres[torch.from_numpy(classes)]).sum(1)
        return (forward + backward).mean() + 2 * centre.mean()


@dataclass(frozen=True)
class Batch:
    """What one step learns from."""

    magnitude: Tensor
    """``(mixtures, frames, 64)``"""
    target: Tensor
    """``(mixtures, windows, labels)``"""
    inside: Tensor
    """``(mixtures, windows, 1024)``: roots of the teacher's embedding."""
    plain: Tensor
    """``(mixtures,)``: whether nothing was added to what the teacher heard."""
    classes: NDArray[np.int64]
    """``(mixtures, windows)``: the class that dominates a window, or -1."""


class Course:
    """All lessons that have been written so far."""

    def __init__(self, folder: Path, knowledge: Knowledge, pattern: str = "lesson-*.npz") -> None:
        self._folder, self._pattern, self._knowledge = folder, pattern, knowledge
        self._read: dict[str, Lessons] = {}

    def __len__(self) -> int:
        return len(self._read)

    def refresh(self) -> int:
        """Read what is new; return the number of files."""
        for path in sorted(self._folder.glob(self._pattern)):
            if path.name not in self._read:
                self._read[path.name] = read_lessons(path)
        return len(self._read)

    def draw(self, mixtures: int, rng: np.random.Generator, *, changed: bool = True) -> Batch:
        """Draw mixtures, changed in level, tone and time and sometimes added to one another."""
        files = list(self._read.values())
        picks: list[Lessons] = []
        for number in rng.integers(len(files), size=mixtures):
            lessons = files[number]
            at = int(rng.integers(len(lessons.parts)))
            picks.append(_slice(lessons, slice(at, at + 1)))
        whole = _join(picks)
        target = self._knowledge.targets(whole)
        magnitude = np.maximum(np.exp(whole.heard.astype(np.float32)) - 1e-5, 0)
        classes = dominant(whole)
        plain = np.ones(mixtures, bool)
        if changed:
            magnitude, target, plain = _changed(magnitude, target, rng)
            classes[~plain] = -1
        return Batch(
            torch.from_numpy(magnitude),
            torch.from_numpy(target),
            torch.from_numpy(np.sqrt(whole.inside.astype(np.float32) * (6 / 255))),
            torch.from_numpy(plain),
            classes,
        )

    def everything(self) -> Lessons:
        """Return all mixtures at once."""
        return _join(list(self._read.values()))


def dominant(lessons: Lessons) -> NDArray[np.int64]:
    """Return the class whose clip makes up nearly all of a window; -1 for none."""
    clear = (lessons.share > -2) & (lessons.own > -20)
    best = np.where(clear, lessons.share, -99).argmax(axis=2)
    found = np.take_along_axis(np.asarray(lessons.parts, np.int64), best, axis=1)
    return np.where(clear.any(axis=2), found, -1)


def _slice(lessons: Lessons, at: slice) -> Lessons:
    return Lessons(**{field.name: getattr(lessons, field.name)[at] for field in fields(Lessons)})


def _join(parts: Sequence[Lessons]) -> Lessons:
    return Lessons(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Lessons)}
    )


def _changed(
    magnitude: NDArray[np.float32], target: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    count, frames, bands = magnitude.shape
    added: NDArray[np.bool_] = np.asarray(rng.random(count) < ADDED)
    if count > 1:
        order = np.roll(np.arange(count), 1)
        level = np.asarray(rng.uniform(-15, 0, count), np.float32)
        gain = np.where(added, 10 ** (level / 20), 0).astype(np.float32)[:, None, None]
        magnitude = np.sqrt(np.square(magnitude) + np.square(gain * magnitude[order]))
        heard = np.where(added, np.clip((level + 24) / 16, 0, 1), 0)[:, None, None]
        target = np.maximum(target, target[order] * heard.astype(np.float32))
    knots = np.linspace(0, bands - 1, 5)
    out = np.empty_like(magnitude)
    for index in range(count):
        gain_db = np.full(bands, rng.uniform(-36, 6))
        if rng.random() < 0.6:
            gain_db += np.interp(np.arange(bands), knots, rng.uniform(-6, 6, 5))
        one = magnitude[index] * (10 ** (gain_db / 20)).astype(np.float32)
        later = int(rng.integers(-8, 9))
        one = one[np.clip(np.arange(frames) + later, 0, frames - 1)]
        if rng.random() < SHIFTED:
            higher = int(rng.integers(-2, 3))
            one = one[:, np.clip(np.arange(bands) - higher, 0, bands - 1)]
        if rng.random() < 0.3:
            width = int(rng.integers(2, 9))
            low = int(rng.integers(bands - width))
            one[:, low : low + width] = 0
        if rng.random() < 0.3:
            width = int(rng.integers(4, 24))
            begin = int(rng.integers(frames - width))
            one[begin : begin + width] = 0
        out[index] = one
    return out, target, ~added


class Run:
    """A training run and its folder."""

    def __init__(
        self, folder: Path, seed: int, start: Path | None = None, team: Team = ALONE
    ) -> None:
        torch.manual_seed(seed)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.seed, self.team = folder, seed, team
        self.labels = load_labels()
        self.knowledge, self.captions = Knowledge(self.labels), Captions()
        self.course = Course(folder / "lessons", self.knowledge)
        self.net = new_network()
        with torch.no_grad():
            self.net.tags.bias.fill_(-4.5)
            self.net.named.weight.copy_(named(self.labels))
        if start is not None:
            self.net.load_state_dict(network_from(start.read_bytes(), str(start)).state_dict())
        self.guess = nn.Linear(FEATURES, 1024)
        """From the network's features to the roots of the teacher's embedding."""
        self.parameters = [*self.net.parameters(), *self.guess.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-3, weight_decay=0.02)
        self.average = Average(self.net, 0.998)
        self.step, self.seconds = 0, 0.0
        if (folder / "checkpoint.pt").exists():
            self._load(torch.load(folder / "checkpoint.pt", weights_only=True))

    def _load(self, state: Mapping[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.guess.load_state_dict(state["guess"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.state = dict(state["average"])
        self.step, self.seconds = state["step"], state["seconds"]

    def averaged(self) -> EarsNet:
        """Return a network with the averaged weights."""
        net = new_network()
        net.load_state_dict(self.average.state)
        return net.eval()

    def save(self) -> None:
        """Write the checkpoint and the averaged weights, calibrated where lessons allow that."""
        state = {
            "net": self.net.state_dict(),
            "guess": self.guess.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state,
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(state, self.folder / "checkpoint.tmp")
        (self.folder / "checkpoint.tmp").replace(self.folder / "checkpoint.pt")
        net = self.averaged()
        back = Course(self.folder / "lessons", self.knowledge, "back-*.npz")
        if back.refresh():
            figures = calibrate(net, back.everything(), self.knowledge, self.captions)
            self._log("calibration.csv", figures)
        save_weights(net.state_dict(), self.folder / "weights.tmp")
        (self.folder / "weights.tmp").replace(self.folder / "weights.safetensors")

    def train(
        self, steps: int, peak: float, mixtures: int, every: int, minutes: float = math.inf
    ) -> None:
        """Go on up to ``steps``, or until so many minutes have gone into the run, whichever is
        first; log each 50 steps, calibrate and save each ``every``.

        The learning rate falls along half a cosine towards that end.
        """
        sums, began, logged = np.zeros(3), time.monotonic() - self.seconds, time.monotonic()
        self.course.refresh()
        while (done := self.team.told(max(self.step / steps, self.seconds / 60 / minutes))) < 1:
            if self.step % 50 == 0:
                self.course.refresh()
            rng = np.random.default_rng((self.seed, self.step, self.team.rank))
            torch.manual_seed(int(rng.integers(1 << 62)))
            rate = peak * min(1.0, (self.step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * done))
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            sums += self.learn(self.course.draw(mixtures, rng), rng)
            self.step += 1
            self.seconds = time.monotonic() - began
            if self.team.rank > 0:
                continue
            if self.step % 50 == 0:
                names = ("tags", "inside", "place")
                speed = 50 / (time.monotonic() - logged)
                means = dict(zip(names, sums / 50, strict=True))
                self._log("log.csv", {**means, "steps/s": speed, "lessons": len(self.course)})
                sums[:], logged = 0, time.monotonic()
            if self.step % every == 0:
                self.save()
        if self.team.rank == 0:
            self.save()

    def learn(self, batch: Batch, rng: np.random.Generator) -> tuple[float, float, float]:
        """Take one step; return its losses: tags, the teacher's embedding, place among texts."""
        self.net.train()
        with precision():
            positions = self.net.positions(batch.magnitude)
            windows = functional.dropout(windows_of(positions), 0.1)
            logits, placed = self.net.judge(windows)
            guess = self.guess(windows)[batch.plain]
        tags = functional.binary_cross_entropy_with_logits(logits.float(), batch.target)
        inside = functional.mse_loss(guess.float(), batch.inside[batch.plain])
        place = torch.zeros(())
        chosen = batch.classes >= 0
        if chosen.any():
            vectors = placed[torch.from_numpy(chosen)].float()
            place = self.captions.loss(vectors, batch.classes[chosen], rng)
        loss = 100 * tags + INSIDE_WEIGHT * inside + PLACE_WEIGHT * place
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.team.average(self.parameters)
        torch.nn.utils.clip_grad_norm_(self.parameters, 5.0)
        self.optimizer.step()
        self.average.update(self.net, self.step)
        return tags.item(), inside.item(), place.item()

    def _log(self, name: str, figures: Mapping[str, float]) -> None:
        path = self.folder / name
        fresh = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as table:
            writer = csv.writer(table)
            if fresh:
                writer.writerow(["step", *figures])
            writer.writerow([self.step, *(f"{value:.5f}" for value in figures.values())])


def calibrate(
    net: EarsNet, lessons: Lessons, knowledge: Knowledge, captions: Captions
) -> dict[str, float]:
    """Scale and shift the logits, in place, so that 0.5 is right half of the time.

    Fitted on mixtures of recordings that no step saw: one factor and one shift for all labels
    (Platt 1999). A shift for each label would learn which labels those few recordings bear.
    Returns the loss on these mixtures before and after, and how often the nearest caption is true
    of a window that one clip dominates.
    """
    logits, vectors = [], []
    with torch.inference_mode():
        for start in range(0, len(lessons.parts), 32):
            heard = np.exp(lessons.heard[start : start + 32].astype(np.float32)) - 1e-5
            tagged, placed = net.judge(windows_of(net.positions(torch.from_numpy(heard).clamp(0))))
            logits.append(tagged.flatten(0, 1))
            vectors.append(placed.flatten(0, 1))
    said = torch.cat(logits).clone()
    target = torch.from_numpy(knowledge.targets(lessons)).flatten(0, 1)
    factor, shift = torch.ones((), requires_grad=True), torch.zeros((), requires_grad=True)
    before = functional.binary_cross_entropy_with_logits(said, target).item()
    optimizer = torch.optim.LBFGS([factor, shift], max_iter=40, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = 100 * functional.binary_cross_entropy_with_logits(said * factor + shift, target)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        after = functional.binary_cross_entropy_with_logits(said * factor + shift, target).item()
        net.tags.weight.mul_(factor)
        net.named.weight.mul_(factor)
        net.tags.bias.mul_(factor).add_(shift)
    classes = dominant(lessons).reshape(-1)
    known = classes >= 0
    nearest = (torch.cat(vectors)[torch.from_numpy(known)] @ captions.vectors[0].T).argmax(1)
    true = captions.fits[torch.from_numpy(classes[known]), nearest].float().mean().item()
    return {
        "loss before": 100 * before,
        "loss after": 100 * after,
        "factor": factor.item(),
        "nearest caption true": true,
    }


def work(rank: int, arguments: argparse.Namespace) -> None:
    """Be one process of the team."""
    team = join(rank, arguments.processes, arguments.port)
    run = Run(arguments.run, arguments.seed, arguments.start, team)
    run.train(
        arguments.steps, arguments.rate, arguments.mixtures, arguments.every, arguments.minutes
    )


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--minutes", type=float, default=math.inf, help="end after these")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--mixtures", type=int, default=32, help="of a step and process")
    parser.add_argument("--lessons", type=int, default=60, help="files of 400 mixtures")
    parser.add_argument("--first", type=int, default=4, help="lessons to wait for")
    parser.add_argument("--every", type=int, default=500, help="steps between checkpoints")
    parser.add_argument("--start", type=Path, help="weights to begin with")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1, help="one a core that is idle")
    parser.add_argument("--port", type=int, default=29518, help="where they meet, on this machine")
    arguments = parser.parse_args()
    folder = arguments.run / "lessons"
    command = [sys.executable, "-m", "engine.training.lessons", str(arguments.store), str(folder)]
    command += ["--teacher", str(arguments.teacher), "--count", str(arguments.lessons)]
    with subprocess.Popen(["nice", "-n", "19", *command]) as writer:
        while len(list(folder.glob("lesson-*.npz"))) < arguments.first and writer.poll() is None:
            time.sleep(2)
        try:
            launch(arguments, work)
        finally:
            writer.terminate()


if __name__ == "__main__":
    main()
