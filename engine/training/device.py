"""Trains ``compact`` on a graphics card that is there for minutes, with all sounds in its memory.

    python -m engine.training.device PACK --out FOLDER --minutes 9

``PACK`` was written by `engine.training.pack`; a corpus's folder will do. The learning rate falls
to nothing when the time is up. ``FOLDER`` gets, every minute, ``weights.safetensors`` and
``heads.safetensors`` (averaged, in the form that ships) and ``state-*.safetensors`` (what it takes
to go on), ``captions.txt``, and ``log.csv`` and ``validation.csv``. No file is larger than 16 MiB.

What is mixed and asked is drawn as `engine.training.train` draws it, from the same distributions,
by processes that never touch a sound; `engine.training.rendering` makes the sound of it. Where the
corpus, or what was packed of it, says where the listener places its clips, sounds stand for some
words (`engine.training.shown`). The only change to a clip that is left out is the lossy codec: the
pack went through one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from engine.errors import BadInput
from engine.models.compact import load_network, trunk_channels
from engine.models.compact.heads import Heads, heads_from, save_heads
from engine.models.compact.network import VECTOR
from engine.models.compact.weights import new_network, save_weights
from engine.taxonomy.classes import load_taxonomy
from engine.taxonomy.text import load_text_table
from engine.training.corpus import HELD_OUT, OUTSIDE, SAMPLE_RATE, TRAIN, read_clips
from engine.training.evaluate import draw_pairs, evaluate
from engine.training.figures import summary
from engine.training.losses import real_losses, step_losses
from engine.training.mixing import COMPACT, ClipStore
from engine.training.pack import packed_places, unpack
from engine.training.planning import Planner, Plans
from engine.training.rendering import Renderer
from engine.training.shown import agreed
from engine.training.train import Average, log_row, note_captions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from engine.training.corpus import Clip
    from engine.training.planning import Plan

__all__ = ["Settings", "Trainer", "WallSchedule", "main"]

PART_BYTES = 15 * 2**20
"""Of a file of the state, at most."""
COMPILERS = ("none", "default", "reduce-overhead", "max-autotune-no-cudagraphs")
_NET, _HEADS, _FIRST, _SECOND = "net.", "heads.", "first.", "second."
_STEP, _UPDATES, _PARTS = "step", "updates", "parts"


@dataclass(frozen=True)
class Settings:
    """How a run goes."""

    minutes: float = 9.0
    """Of wall clock, from the beginning of the program to a rate of nothing."""
    mixtures: int = 256
    """A step, two queries each; halved as often as the memory asks for it."""
    rate: float = 3e-3
    """Peak of the learning rate."""
    warmup: int = 200
    """Steps."""
    decay: float = 0.5
    """Share of the time in which the rate falls."""
    seconds: float = 2.5
    """Of a mixture."""
    compiler: str = "none"
    """A mode of ``torch.compile``, or ``none``."""
    workers: int = 0
    """Processes that draw plans; 0: this one does."""
    seed: int = 1
    pairs: int = 100
    """Of each split that is watched."""
    save_every: float = 60.0
    """Seconds, as are the next two."""
    validate_every: float = 120.0
    say_every: float = 5.0


@dataclass(frozen=True)
class WallSchedule:
    """Learning rate: up over steps, level, and down to nothing when the time is up."""

    peak: float
    warmup: int
    seconds: float
    decay: float

    def rate(self, step: int, elapsed: float) -> float:
        """Return the rate of the ``step``-th step, ``elapsed`` seconds after the beginning."""
        up = (step + 1) / self.warmup
        down = (self.seconds - elapsed) / max(self.decay * self.seconds, 1e-9)
        return self.peak * max(0.0, min(1.0, up, down))


class Stages:
    """How long each stage of a step takes; costs nothing unless it is wanted."""

    def __init__(self, device: torch.device, wanted: bool) -> None:
        self._device = device
        self._wanted = wanted
        self.seconds: dict[str, list[tuple[float, float]]] = {}
        """Of each stage, for each time: of wall clock, and of this process's processor time."""

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Measure what is inside, up to the device's last kernel of it."""
        if not self._wanted:
            yield
            return
        self._wait()
        began, spent = time.perf_counter(), time.process_time()
        yield
        self._wait()
        found = (time.perf_counter() - began, time.process_time() - spent)
        self.seconds.setdefault(name, []).append(found)

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def table(self) -> str:
        """Return medians, a line a stage."""
        lines = []
        for name, found in self.seconds.items():
            wall, spent = np.median(np.array(found), axis=0) * 1000
            lines.append(f"{name:10} {wall:9.1f} ms of wall clock, {spent:9.1f} ms of processor")
        return "\n".join(lines)


class Reporter:
    """Prints lines, and one at least every ten seconds, so that nobody takes it for dead."""

    def __init__(self, longest: float = 9.0) -> None:
        self._longest = longest
        self._began = self._last = time.monotonic()
        self._stage = "beginning"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._remind, daemon=True)

    def __enter__(self) -> Reporter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def __call__(self, text: str) -> None:
        """Print a line with the seconds since the beginning; it also names what goes on now."""
        self._stage = text
        self._last = time.monotonic()
        print(f"{self._last - self._began:6.1f} s  {text}", flush=True)

    def _remind(self) -> None:
        while not self._over.wait(0.5):
            now = time.monotonic()
            if now - self._last > self._longest:
                self._last = now
                print(f"{now - self._began:6.1f} s  still: {self._stage}", flush=True)


class Trainer:
    """A training run on one device.

    Parameters
    ----------
    samples, clips
        As `engine.training.pack.unpack` returns them.
    places
        Of the clips for training, ``(clips, dim)``, where sounds are to stand for some words; see
        `engine.training.shown`.
    folder
        Of the run; one that holds a state goes on.
    device
        Where everything is computed.
    settings
        How it goes.
    start
        Weights to begin with where the folder holds none, and the heads beside them if any.
    clock
        Seconds since the beginning.
    say
        Is told what happens.
    timed
        Whether the stages are measured, which costs time.

    """

    def __init__(
        self,
        samples: NDArray[np.int16],
        clips: Sequence[Clip],
        folder: Path,
        device: torch.device,
        settings: Settings,
        *,
        places: NDArray[np.floating] | None = None,
        start: Path | None = None,
        clock: Callable[[], float] | None = None,
        say: Callable[[str], None] = lambda _: None,
        timed: bool = False,
    ) -> None:
        began = time.monotonic()
        self.clock = clock or (lambda: time.monotonic() - began)
        self.say = say
        self.settings = settings
        self.device = device
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(settings.seed)
        self.stages = Stages(device, timed)
        frames = round(settings.seconds * SAMPLE_RATE)
        self.options = replace(COMPACT, samples=frames)
        taxonomy, table = load_taxonomy(), load_text_table()
        trained = [clip for clip in clips if clip.split == TRAIN]
        if not trained:
            raise BadInput("There is no clip for training among these.")
        self._embed = table.embed
        self.plans = Plans(
            Planner(trained, taxonomy, table, self.options, places),
            settings.seed,
            settings.workers,
        )
        self.pairs = {}
        for split in (HELD_OUT, OUTSIDE):
            watched = ClipStore(samples, [clip for clip in clips if clip.split == split])
            if len(watched.names) > 1 and settings.pairs:
                self.pairs[split] = draw_pairs(watched, taxonomy, settings.pairs, seed=7)
        own, placed = _only(samples, trained)
        self.plans.planner.move(placed)
        self.renderer = Renderer(torch.from_numpy(own).to(device), frames)
        self.net = new_network().to(device)
        self.heads = Heads(trunk_channels(self.net), VECTOR, ()).to(device)
        self.parameters = {
            **{_NET + name: value for name, value in self.net.named_parameters()},
            **{_HEADS + name: value for name, value in self.heads.named_parameters()},
        }
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(), lr=0.0, weight_decay=1e-2, fused=device.type == "cuda"
        )
        self.schedule = WallSchedule(
            settings.rate, settings.warmup, 60 * settings.minutes, settings.decay
        )
        self.mixtures = settings.mixtures
        self.step = 0
        self.warm = 0
        """Steps since the optimiser knew nothing."""
        note_captions(folder, self.plans.planner.captions, start)
        weights = folder / "weights.safetensors"
        if not self._resume() and (weights.exists() or start is not None):
            self._begin_with(weights if weights.exists() else start)
        self.average = Average(self.net)
        self.heads_average = Average(self.heads)
        if weights.exists():
            self._begin_averages(weights)
        self._saved: float | None = None
        self._eager()
        if settings.compiler != "none":
            self._compile()

    def train(self) -> None:
        """Go on until the time is up; then validate and save a last time."""
        settings, total = self.settings, self.schedule.seconds
        self.heads.train()
        self.net.train()
        saved = validated = said = self.clock()
        sums = torch.zeros(3, device=self.device)
        since = 0
        mark: torch.cuda.Event | None = None
        self.say("the first step")
        while (elapsed := self.clock()) < total:
            rate = self.schedule.rate(self.warm, elapsed)
            parts = self._step(rate)
            if parts is None:
                continue
            sums += parts
            since += 1
            if self.device.type == "cuda":
                # not more than a step ahead of the device, or the clock would mean nothing
                if mark is not None:
                    mark.synchronize()
                mark = torch.cuda.Event()  # type: ignore[no-untyped-call]
                mark.record()
            now = self.clock()
            if now - said >= settings.say_every or self.warm == 1:
                means = dict(
                    zip(("magnitude", "dB", "presence"), (sums / since).tolist(), strict=True)
                )
                if not np.isfinite(list(means.values())).all():
                    self._rewind()
                else:
                    speed = since / max(now - said, 1e-9)
                    row = {**means, "steps/s": speed, "rate": rate, "seconds": now}
                    log_row(self.folder / "log.csv", self.step, row)
                    self.say(
                        f"step {self.step}: {means['dB']:.3f} dB, magnitude "
                        f"{means['magnitude']:.4f}, presence {means['presence']:.4f}; rate "
                        f"{rate:.1e}, {speed:.2f} steps/s of {self.mixtures} mixtures"
                    )
                    if now - saved >= settings.save_every:
                        self.save()
                        saved = self.clock()
                    if now - validated >= settings.validate_every:
                        self.validate()
                        validated = self.clock()
                sums.zero_()
                since = 0
                said = self.clock()
        self.say("the time is up")
        self.save()
        self.validate()
        self.plans.close()

    def _step(self, rate: float) -> Tensor | None:
        """Take a step; None if there was no memory for it."""
        try:
            with self.stages("plan"):
                plan = self.plans.take(self.step, self.mixtures)
            parts = self._attempt(plan, rate)
        except torch.OutOfMemoryError:
            if self.mixtures == 1:
                raise
            parts = None
        if parts is None:
            # out here, nothing holds on to what was computed
            self.optimizer.zero_grad(set_to_none=True)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            self.mixtures //= 2
            self.say(f"no memory for that: {self.mixtures} mixtures a step from now on")
            return None
        self.step += 1
        self.warm += 1
        return parts

    def _attempt(self, plan: Plan, rate: float) -> Tensor:
        """Take a step with what was compiled; if it fails, without, and from then on."""
        try:
            return self._learn(plan, rate)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            if not self._compiled:
                raise
            reason = (str(error).strip() or "no reason given").splitlines()[0]
            self.say(f"compiling failed ({type(error).__name__}: {reason}); going on without it")
        self._eager()
        return self._learn(plan, rate)

    def _learn(self, plan: Plan, rate: float) -> Tensor:
        torch.manual_seed(plan.seed)  # what drops out in the heads
        with self.stages("mix"):
            batch, truth = self.renderer.render(plan)
        self.optimizer.zero_grad(set_to_none=True)
        if self._compiled and self.settings.compiler == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        with self.stages("forward"):
            loss, parts = step_losses(
                self._analyse,
                self.heads,
                batch,
                truth,
                self.net.config.net.time_block,
                self.options.vain,
                self._of_mask,
            )
        with self.stages("backward"):
            loss.backward()  # type: ignore[no-untyped-call]
        with self.stages("update"):
            torch.nn.utils.clip_grad_norm_(self.parameters.values(), 5.0)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.step()
            self.average.update(self.net, self.step)
            self.heads_average.update(self.heads, self.step)
        return parts

    def _eager(self) -> None:
        self._compiled = False
        self._analyse, self._of_mask = self.net.analyse, real_losses

    def _compile(self) -> None:
        mode = self.settings.compiler
        self._compiled = True
        self._analyse = torch.compile(self.net.analyse, mode=mode, dynamic=False)
        self._of_mask = torch.compile(real_losses, dynamic=False)

    def validate(self) -> None:
        """Score the averaged weights on the pairs that are watched; write and say the figures."""
        if not self.pairs:
            return
        self.say("validating")
        net = new_network()
        net.load_state_dict(self.average.state)
        net.to(self.device)
        figures: dict[str, float] = {}
        for split, pairs in self.pairs.items():
            found = summary(evaluate(net, self._embed, pairs))
            figures |= {f"{split} {name}": value for name, value in found.items()}
        log_row(self.folder / "validation.csv", self.step, figures)
        self.say(", ".join(f"{name} {value:.2f}" for name, value in figures.items()))

    def save(self) -> None:
        """Write the averaged weights and the state; each file is whole or the old one."""
        partly = self.folder / "partly"
        save_weights({k: v.cpu() for k, v in self.average.state.items()}, partly)
        partly.replace(self.folder / "weights.safetensors")
        heads = Heads(trunk_channels(self.net), VECTOR, (), self.heads.width)
        heads.load_state_dict(self.heads_average.state)
        save_heads(heads, partly)
        partly.replace(self.folder / "heads.safetensors")
        parts = _portions(self._state())
        notes = {_STEP: str(self.step), _UPDATES: str(self.warm), _PARTS: str(len(parts))}
        for number, part in enumerate(parts, 1):
            save_file(part, partly, notes)
            partly.replace(self._part(number))
        self._saved = self.clock()

    def _part(self, number: int) -> Path:
        return self.folder / f"state-{number}.safetensors"

    def _state(self) -> dict[str, Tensor]:
        """Return all that it takes to go on, float32 on the processor."""
        state = {_NET + key: value for key, value in self.net.state_dict().items()}
        state |= {_HEADS + key: value for key, value in self.heads.state_dict().items()}
        for name, parameter in self.parameters.items():
            moments = self.optimizer.state.get(parameter, {})
            if moments:
                state[_FIRST + name] = moments["exp_avg"]
                state[_SECOND + name] = moments["exp_avg_sq"]
        return {key: value.detach().cpu().contiguous() for key, value in state.items()}

    def _resume(self) -> bool:
        """Take up the folder's state; False where there is none that is whole."""
        if not self._part(1).exists():
            return False
        state: dict[str, Tensor] = {}
        steps = set()
        try:
            number, count = 0, 1
            while number < count:
                number += 1
                with safe_open(self._part(number), "pt") as file:
                    notes = file.metadata()
                    count = int(notes[_PARTS])
                    steps.add((int(notes[_STEP]), int(notes[_UPDATES])))
                    state |= {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            if len(steps) != 1:
                raise ValueError("its files are of different steps")
            self.net.load_state_dict(_after(_NET, state))
            self.heads.load_state_dict(_after(_HEADS, state))
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            self.say(f"{self.folder} holds no whole state ({error}); its weights will do")
            return False
        ((self.step, self.warm),) = steps
        for name, parameter in self.parameters.items():
            if _FIRST + name in state:
                self.optimizer.state[parameter] = {
                    # fused kernels want the count where the moments are
                    "step": torch.tensor(
                        float(self.warm),
                        device=self.device if self.device.type == "cuda" else None,
                    ),
                    "exp_avg": state[_FIRST + name].to(self.device),
                    "exp_avg_sq": state[_SECOND + name].to(self.device),
                }
        self.say(f"going on from step {self.step}")
        return True

    def _rewind(self) -> None:
        """Go back to the last state that was saved, and on from there with other examples."""
        step = self.step
        if self._saved is None:
            raise BadInput(
                "The losses are no longer numbers before anything was saved: take a lower --rate."
            )
        self.optimizer.state.clear()
        if not self._resume():
            raise BadInput(f"The losses are no longer numbers, and {self.folder} cannot be read.")
        self._begin_averages(self.folder / "weights.safetensors")
        self.step = step
        self.say(
            f"the losses were no longer numbers: back to what was saved {self._saved:.0f} s in"
        )

    def _begin_with(self, start: Path | None) -> None:
        assert start is not None
        self.net.load_state_dict(load_network(start).state_dict())
        file = start.with_name("heads.safetensors")
        if file.exists():
            heads = heads_from(file.read_bytes(), str(file), trunk_channels(self.net))
            self.heads.presence.load_state_dict(heads.presence.state_dict())
        self.say(f"beginning with {start}")

    def _begin_averages(self, weights: Path) -> None:
        """Take the averages up where they were, as exactly as their file holds them."""
        states = [(self.average, load_network(weights).state_dict())]
        file = weights.with_name("heads.safetensors")
        if file.exists():
            heads = heads_from(file.read_bytes(), str(file), trunk_channels(self.net))
            states.append((self.heads_average, heads.state_dict()))
        for average, state in states:
            for key, value in state.items():
                average.state[key].copy_(value)


def _only(
    samples: NDArray[np.int16], clips: Sequence[Clip]
) -> tuple[NDArray[np.int16], list[Clip]]:
    """Return the samples of these clips alone, and the clips at their new places."""
    parts = [samples[clip.start : clip.start + clip.length] for clip in clips]
    starts = np.cumsum([0, *(part.size for part in parts)])
    placed = [
        replace(clip, start=int(start)) for clip, start in zip(clips, starts[:-1], strict=True)
    ]
    return np.concatenate(parts), placed


def _portions(state: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """Divide a state into as few files as its order allows."""
    parts: list[dict[str, Tensor]] = [{}]
    size = 0
    for key, value in state.items():
        size += value.nbytes
        if size > PART_BYTES:
            parts.append({})
            size = value.nbytes
        parts[-1][key] = value
    return parts


def _after(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def open_clips(
    place: Path, processes: int
) -> tuple[NDArray[np.int16], list[Clip], NDArray[np.floating] | None]:
    """Read a pack, or a corpus's folder; returns samples ``(samples,)``, clips, and places."""
    if not place.is_dir():
        return *unpack(place, processes), packed_places(place)
    samples = np.memmap(place / "audio.i16", dtype="<i2", mode="r")
    trained, places = agreed(place)
    return samples, [*trained, *(c for c in read_clips(place) if c.split != TRAIN)], places


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    standard = Settings()
    parser.add_argument("pack", type=Path, help="written by engine.training.pack, or a corpus")
    parser.add_argument("--out", type=Path, required=True, help="folder; an existing one goes on")
    parser.add_argument("--start", type=Path, help="weights to begin with, instead of random ones")
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="PyTorch's name"
    )
    parser.add_argument("--minutes", type=float, default=standard.minutes, help="all in all")
    parser.add_argument("--mixtures", type=int, default=standard.mixtures, help="a step")
    parser.add_argument("--rate", type=float, default=standard.rate, help="peak learning rate")
    parser.add_argument("--warmup", type=int, default=standard.warmup, help="steps")
    parser.add_argument(
        "--decay", type=float, default=standard.decay, help="share of the time of falling rate"
    )
    parser.add_argument("--seconds", type=float, default=standard.seconds, help="of a mixture")
    parser.add_argument("--compile", choices=COMPILERS, default="none", dest="compiler")
    parser.add_argument(
        "--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2), help="that draw plans"
    )
    parser.add_argument("--pairs", type=int, default=standard.pairs, help="to watch, each split")
    parser.add_argument("--seed", type=int, default=standard.seed)
    parser.add_argument(
        "--stages", action="store_true", help="measure each stage of a step; slows it down"
    )
    return parser.parse_args(arguments)


def main() -> None:
    """Train from the command line."""
    began = time.monotonic()
    arguments = parse()
    names = ("minutes", "mixtures", "rate", "warmup", "decay", "seconds", "compiler", "workers")
    settings = Settings(**{name: getattr(arguments, name) for name in (*names, "seed", "pairs")})
    device = torch.device(arguments.device)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    with Reporter() as say:
        say(f"unpacking {arguments.pack.name}")
        samples, clips, places = open_clips(arguments.pack, os.cpu_count() or 1)
        say(f"{len(clips)} clips, {samples.size / SAMPLE_RATE / 3600:.2f} hours")
        trainer = Trainer(
            samples,
            clips,
            arguments.out,
            device,
            settings,
            places=places,
            start=arguments.start,
            clock=lambda: time.monotonic() - began,
            say=say,
            timed=arguments.stages,
        )
        with contextlib.closing(trainer.plans):
            trainer.train()
        if device.type == "cuda":
            say(f"at most {torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB at a time")
        if arguments.stages:
            print(trainer.stages.table())


if __name__ == "__main__":
    main()
