"""Trains ``compact``; can be stopped at any time and goes on where it was.

    python -m engine.training.train STORE RUN --steps 8000 --decay 2000

``RUN`` gets ``checkpoint.pt`` (everything needed to go on), ``log.csv`` (losses),
``validation.csv``, ``curve.png``, ``weights.safetensors`` and ``heads.safetensors`` (the averaged
weights, in the form that ships), and ``captions.txt`` (what it has learned from, and what the
weights that it began with had). The examples of a step depend on the seed and the number of the
step alone.

One process a core with one thread each learns nearly twice as fast as two threads in one process;
their gradients are averaged after each step. With jemalloc preloaded (``LD_PRELOAD``) the kernel
has less to do.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from engine import processes
from engine.errors import BadInput
from engine.models.compact import load_network, trunk_channels
from engine.models.compact.heads import Heads, heads_from, save_heads
from engine.models.compact.learned import CAPTIONS, captions_text, read_captions
from engine.models.compact.network import VECTOR
from engine.models.compact.weights import new_network, save_weights
from engine.taxonomy.classes import load_taxonomy
from engine.taxonomy.text import load_text_table
from engine.training.asking import Asker, UnknownQueries, sounds_of
from engine.training.corpus import HELD_OUT, OUTSIDE
from engine.training.evaluate import draw_pairs, evaluate
from engine.training.figures import summary
from engine.training.losses import QUERIES, Batch, Truth, step_losses
from engine.training.mixing import COMPACT, ClipStore, Mixer
from engine.training.scenes import load_stores
from engine.training.shown import agreed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor


Work = Callable[[int, argparse.Namespace], None]

RMS_JITTER_DB = 6.0
"""The RMS of a whole recording differs by about this from that of three seconds of it."""


@dataclass(frozen=True)
class Schedule:
    """Learning rate over the steps: up, level, and linearly down to nothing at the end."""

    peak: float
    warmup: int
    steps: int
    decay: int

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        up = (step + 1) / self.warmup
        down = (self.steps - step) / max(self.decay, 1)
        return self.peak * max(0.0, min(1.0, up, down))


def draw_batch(
    mixer: Mixer, asker: Asker, mixtures: int, rng: np.random.Generator
) -> tuple[Batch, Truth]:
    """Draw the examples of one step, and what is there in each."""
    examples = [mixer.example(rng, QUERIES) for _ in range(mixtures)]
    vectors = [
        asker.vector(caption, other, rng)
        for example in examples
        for caption, other in zip(example.captions, example.against, strict=True)
    ]
    gains = 10 ** (rng.uniform(-RMS_JITTER_DB, RMS_JITTER_DB, mixtures) / 20)
    targets = torch.from_numpy(np.concatenate([e.targets for e in examples]))
    batch = Batch(
        torch.from_numpy(np.stack([e.mixture for e in examples])),
        targets,
        torch.from_numpy(np.stack(vectors)),
        torch.from_numpy(gains.astype(np.float32)),
    )
    truth = Truth(
        targets.any(1).float(),
        torch.tensor([bool(caption) for e in examples for caption in e.captions]),
    )
    return batch, truth


class Average:
    """Exponential moving average of a module's parameters and statistics."""

    def __init__(self, net: torch.nn.Module, decay: float = 0.996) -> None:
        self.decay = decay
        self.state = {key: value.detach().clone() for key, value in net.state_dict().items()}

    def update(self, net: torch.nn.Module, step: int) -> None:
        """Move towards the module; faster in the first steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for key, value in net.state_dict().items():
            if value.dtype.is_floating_point:
                self.state[key].lerp_(value, 1 - decay)
            else:
                self.state[key].copy_(value)


@dataclass(frozen=True)
class Team:
    """The processes of a run: how many, and which one this is (0 validates and saves)."""

    size: int = 1
    rank: int = 0

    def average(self, parameters: Sequence[Tensor]) -> None:
        """Replace the gradients by their mean over the team."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.ravel() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()

    def told(self, number: float) -> float:
        """Return the number that process 0 gives; all must ask."""
        if self.size == 1:
            return number
        found = torch.tensor(number, dtype=torch.float64)
        dist.broadcast(found, 0)
        return found.item()


class Run:
    """A training run and its folder."""

    def __init__(
        self,
        store: Path,
        folder: Path,
        seed: int,
        validation_pairs: int,
        team: Team,
        start: Path | None = None,
    ) -> None:
        torch.manual_seed(seed)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.seed = seed
        self.team = team
        self.taxonomy = load_taxonomy()
        self.table = load_text_table()
        clips, places = agreed(store)
        samples = np.memmap(store / "audio.i16", dtype="<i2", mode="r")
        self.mixer = Mixer(ClipStore(samples, clips), self.taxonomy, COMPACT)
        self.shown = sounds_of(clips, places, self.taxonomy, self.table)
        self.pairs = {
            split: draw_pairs(stored, self.taxonomy, validation_pairs, seed=7)
            for split in (HELD_OUT, OUTSIDE)
            if len((stored := load_stores(store, split)).names) > 1
        }
        note_captions(folder, self.mixer.captions, start)
        self.net = new_network()
        self.heads = Heads(trunk_channels(self.net), VECTOR, ())
        resumed = (folder / "checkpoint.pt").exists()
        if start is not None and not resumed:
            self._begin_with(start)
        self.parameters = [*self.net.parameters(), *self.heads.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-3, weight_decay=1e-2)
        self.average = Average(self.net)
        self.heads_average = Average(self.heads)
        self.step = 0
        if resumed:
            self._load(torch.load(folder / "checkpoint.pt", weights_only=True))

    @functools.cached_property
    def asker(self) -> Asker:
        """Made when the first step draws from it: that takes a second."""
        return Asker(self.table.embed, UnknownQueries(self.table, self.taxonomy), self.shown)

    def _begin_with(self, start: Path) -> None:
        """Take weights, and the presence head beside them if there is one."""
        self.net.load_state_dict(load_network(start).state_dict())
        file = start.with_name("heads.safetensors")
        if file.exists():
            heads = heads_from(file.read_bytes(), str(file), trunk_channels(self.net))
            self.heads.presence.load_state_dict(heads.presence.state_dict())

    def _load(self, state: dict[str, Any]) -> None:
        try:
            self.net.load_state_dict(state["net"])
            self.heads.load_state_dict(state["heads"])
        except (KeyError, RuntimeError) as error:
            raise BadInput(
                f"{self.folder} was begun by an older Tweeze: begin a new run, with "
                f"--start {self.folder / 'weights.safetensors'}."
            ) from error
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.state = state["average"]
        self.heads_average.state = state["heads average"]
        self.step = state["step"]

    def save(self) -> None:
        """Write the checkpoint and the averaged weights; either is whole or the old one."""
        state = {
            "net": self.net.state_dict(),
            "heads": self.heads.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state,
            "heads average": self.heads_average.state,
            "step": self.step,
        }
        torch.save(state, self.folder / "checkpoint.tmp")
        (self.folder / "checkpoint.tmp").replace(self.folder / "checkpoint.pt")
        save_weights(self.average.state, self.folder / "weights.safetensors")
        heads = Heads(trunk_channels(self.net), VECTOR, (), self.heads.width)
        heads.load_state_dict(self.heads_average.state)
        save_heads(heads, self.folder / "heads.safetensors")

    def validate(self) -> dict[str, float]:
        """Score the averaged weights on pairs of the splits that are watched."""
        net = new_network()
        net.load_state_dict(self.average.state)
        figures: dict[str, float] = {}
        for split, pairs in self.pairs.items():
            found = summary(evaluate(net, self.table.embed, pairs))
            figures |= {f"{split} {name}": value for name, value in found.items()}
        return figures

    def train(self, schedule: Schedule, mixtures: int, every: int, compiled: bool) -> None:
        """Go on up to ``schedule.steps``; log, validate and save each ``every`` steps."""
        analyse = torch.compile(self.net.analyse) if compiled else self.net.analyse
        sums = np.zeros(3)
        began = time.monotonic()
        self.heads.train()
        while self.step < schedule.steps:
            rng = np.random.default_rng((self.seed, self.step, self.team.rank))
            torch.manual_seed(int(rng.integers(1 << 62)))  # what drops out in the heads
            batch, truth = draw_batch(self.mixer, self.asker, mixtures, rng)
            for group in self.optimizer.param_groups:
                group["lr"] = schedule.rate(self.step)
            self.optimizer.zero_grad(set_to_none=True)
            figures = self._learn(batch, truth, analyse)
            self.team.average(self.parameters)
            torch.nn.utils.clip_grad_norm_(self.parameters, 5.0)
            self.optimizer.step()
            self.average.update(self.net, self.step)
            self.heads_average.update(self.heads, self.step)
            self.step += 1
            if self.team.rank > 0:
                continue
            sums += figures
            if self.step % 50 == 0:
                rate = 50 / (time.monotonic() - began)
                means = dict(zip(("magnitude", "dB", "presence"), sums / 50, strict=True))
                self._log("log.csv", {**means, "steps/s": rate})
                sums[:] = 0
                began = time.monotonic()
            if self.step % every == 0 or self.step == schedule.steps:
                self.save()
                self._log("validation.csv", self.validate())
                began = time.monotonic()

    def _learn(
        self,
        batch: Batch,
        truth: Truth,
        analyse: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]],
    ) -> tuple[float, float, float]:
        """Add up the gradients of one step; return its losses: magnitude, dB, presence."""
        self.net.train()
        block = self.net.config.net.time_block
        loss, parts = step_losses(analyse, self.heads, batch, truth, block, self.mixer.options.vain)
        loss.backward()  # type: ignore[no-untyped-call]
        magnitude, decibels, presence = parts.tolist()
        return magnitude, decibels, presence

    def _log(self, name: str, figures: dict[str, float]) -> None:
        log_row(self.folder / name, self.step, figures)


def note_captions(folder: Path, captions: Sequence[str], start: Path | None) -> None:
    """Write what a run's network learns from to its folder, with what it knew before."""
    known = set(captions)
    earlier = [folder / CAPTIONS, *([start.with_name(CAPTIONS)] if start is not None else [])]
    for file in earlier:
        if file.is_file():
            known |= set(read_captions(file.read_bytes(), file))
    text = captions_text(sorted(known))
    (folder / CAPTIONS).write_text(text, encoding="utf-8", newline="\n")


def log_row(path: Path, step: int, figures: Mapping[str, float]) -> None:
    """Add a row to a run's table; the first one brings the names."""
    fresh = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as table:
        writer = csv.writer(table)
        if fresh:
            writer.writerow(["step", *figures])
        writer.writerow([step, *(f"{value:.4f}" for value in figures.values())])


def plot(folder: Path, loss: str = "dB") -> None:
    """Draw ``curve.png`` from the two tables of a run, if there is something to draw.

    ``loss`` is the column of ``log.csv`` that is drawn.
    """
    from matplotlib.figure import Figure

    if not (folder / "log.csv").exists():
        return

    def table(name: str) -> dict[str, list[float]]:
        with (folder / name).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return {key: [float(row[key]) for row in rows] for key in rows[0]}

    losses_, validation = table("log.csv"), table("validation.csv")
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(losses_["step"], losses_[loss])
    left.set(xlabel="step", ylabel="training loss" + (", dB" if loss == "dB" else ""))
    for key in validation:
        if key.endswith(("SI-SDRi mean", "SI-SDRi median")):
            right.plot(validation["step"], validation[key], label=key)
    right.set(xlabel="step", ylabel="dB")
    right.legend()
    figure.savefig(folder / "curve.png", dpi=110)


def join(rank: int, size: int, port: int) -> Team:
    """Make this process, which computes in one thread, one of a team."""
    torch.set_num_threads(1)
    if size > 1:
        dist.init_process_group(
            "gloo",
            init_method=f"tcp://127.0.0.1:{port}",
            rank=rank,
            world_size=size,
            timeout=datetime.timedelta(hours=12),
        )
    return Team(size, rank)


def work(rank: int, arguments: argparse.Namespace) -> None:
    """Be one process of the team."""
    team = join(rank, arguments.processes, arguments.port)
    run = Run(
        arguments.store,
        arguments.run,
        arguments.seed,
        arguments.validation_pairs,
        team,
        arguments.start,
    )
    warmup = max(1, min(200, arguments.steps // 10))
    schedule = Schedule(arguments.rate, warmup, arguments.steps, arguments.decay)
    run.train(schedule, arguments.mixtures, arguments.every, arguments.compile)
    if rank == 0:
        plot(arguments.run)


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path, help="folder written by engine.training.corpus")
    parser.add_argument("run", type=Path, help="folder of this run; an existing one goes on")
    parser.add_argument(
        "--start", type=Path, help="weights to begin a new run with, instead of random ones"
    )
    parser.add_argument("--steps", type=int, default=8000, help="where to stop")
    parser.add_argument("--decay", type=int, default=2000, help="steps of falling rate at the end")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="peak learning rate")
    parser.add_argument(
        "--mixtures", type=int, default=4, help="mixtures a step and process, two queries each"
    )
    parser.add_argument("--every", type=int, default=300, help="steps between validations")
    parser.add_argument("--validation-pairs", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--compile", action="store_true", help="minutes at first, then 1.4 times as fast"
    )
    parser.add_argument("--processes", type=int, default=2, help="one a core")
    parser.add_argument("--port", type=int, default=29517, help="where they meet, on this machine")
    launch(parser.parse_args())


def launch(arguments: argparse.Namespace, each: Work = work) -> None:
    """Train with as many processes as wanted; what `main` reads says how, ``each`` is one."""
    context = multiprocessing.get_context("spawn")
    others = [
        context.Process(target=each, args=(rank, arguments), daemon=True)
        for rank in range(1, arguments.processes)
    ]
    with processes.isolated():
        for process in others:
            process.start()
    each(0, arguments)


if __name__ == "__main__":
    main()
