"""AudioSep against the published code's way: `python -m bench.audiosep speed|memory [MODEL]`.

The baseline is a plain implementation of the published whole-clip forward: float32, transforms
as convolutions, batch norms as they stand, a query padded to 512 tokens and encoded twice. It and
what it is compared with run in turn in one process; medians are compared. Peak memory is that of
a process of its own.

Without MODEL (an added one) the weights are those of `tests/data/golden/formula.py`: speed and
memory do not depend on the weights. The tokenizer is then that of `tests/data/roberta-base`;
`--tokenizer FOLDER` names another.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.nn import functional

from engine.folders import Folders
from engine.job import Job
from engine.models import catalogue, runtime_choice
from engine.models.audiosep import AudioSep, FastForm, checkpoint, network, text
from engine.models.audiosep.kind import fast_form, find_tokenizer
from engine.models.records import Entry
from engine.options import Memory, Options, Precision
from engine.sound.audio import AudioInfo, FrameWriter
from engine.sound.separate import separate

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "data" / "golden"
RATE = 32_000
QUERY = "A rocket flies by followed by a loud explosion"
State = dict[str, Tensor]


class Published:
    """The published forward, from the published tensors."""

    def __init__(self, state: State) -> None:
        self.state = dict(state)
        window = np.hanning(2049)[:-1]
        turns = np.exp(np.outer(np.arange(2048), np.arange(2048)) * (-2j * np.pi / 2048))
        forward = (turns * window)[:1025].astype(np.complex64)  # (bins, samples)
        back = (turns.conj() * window[:, None] / 2048).astype(np.complex64)  # (samples, bins)
        self.stft = [torch.from_numpy(p.copy())[:, None] for p in (forward.real, forward.imag)]
        self.istft = [torch.from_numpy(p.copy())[:, :, None] for p in (back.real, back.imag)]
        self.window = torch.from_numpy(window.astype(np.float32))

    def __call__(self, samples: Tensor, condition: Tensor) -> Tensor:
        """Separate `(batch, samples)` with one embedding `(512,)`."""
        padded = functional.pad(samples[:, None], (1024, 1024), mode="reflect")
        real, imag = (functional.conv1d(padded, kernel, stride=320) for kernel in self.stft)
        real, imag = real.transpose(1, 2)[:, None], imag.transpose(1, 2)[:, None]
        magnitude = torch.clamp(real**2 + imag**2, 1e-10, None) ** 0.5
        mask = self.network(magnitude, condition)
        share = torch.sigmoid(mask[:, 0:1])
        turn_real, turn_imag = torch.tanh(mask[:, 1:2]), torch.tanh(mask[:, 2:3])
        length = torch.clamp((turn_real**2 + turn_imag**2) ** 0.5, 1e-10, None)
        cos, sin = turn_real / length, turn_imag / length
        cos_in, sin_in = real / magnitude, imag / magnitude
        loud = torch.relu(magnitude * share)
        out_real = loud * (cos_in * cos - sin_in * sin)
        out_imag = loud * (sin_in * cos + cos_in * sin)
        return self.inverse(out_real[:, 0], out_imag[:, 0], samples.shape[1])

    def network(self, x: Tensor, condition: Tensor) -> Tensor:
        state = self.state
        frames = x.shape[2]
        x = self.norm(x.transpose(1, 3), "bn0").transpose(1, 3)
        x = functional.pad(x, (0, 0, 0, -frames % 32))[..., :-1]
        x = functional.conv2d(x, state["base.pre_conv.weight"], state["base.pre_conv.bias"])
        skips = []
        pools = [(2, 2)] * 5 + [(1, 2)]
        for number, pool in enumerate(pools, start=1):
            x = self.block(x, f"encoder_block{number}.conv_block1", condition)
            skips.append(x)
            x = functional.avg_pool2d(x, pool)
        x = self.block(x, "conv_block7a.conv_block1", condition)
        for number, pool in enumerate(reversed(pools), start=1):
            name = f"decoder_block{number}"
            x = self.steered(x, f"{name}.bn1", condition)
            x = functional.conv_transpose2d(x, state[f"base.{name}.conv1.weight"], stride=pool)
            x = self.block(torch.cat((x, skips.pop()), 1), f"{name}.conv_block2", condition)
        x = functional.conv2d(x, state["base.after_conv.weight"], state["base.after_conv.bias"])
        return functional.pad(x, (0, 1))[:, :, :frames]

    def block(self, x: Tensor, name: str, condition: Tensor) -> Tensor:
        state = self.state
        h = self.steered(x, f"{name}.bn1", condition)
        h = functional.conv2d(h, state[f"base.{name}.conv1.weight"], padding=1)
        h = self.steered(h, f"{name}.bn2", condition)
        h = functional.conv2d(h, state[f"base.{name}.conv2.weight"], padding=1)
        weight = state.get(f"base.{name}.shortcut.weight")
        if weight is None:
            return x + h
        return functional.conv2d(x, weight, state[f"base.{name}.shortcut.bias"]) + h

    def steered(self, x: Tensor, name: str, condition: Tensor) -> Tensor:
        film = f"film.{name.replace('.', '->').replace('bn', 'beta')}"
        shift = functional.linear(
            condition, self.state[f"{film}.weight"], self.state[f"{film}.bias"]
        )
        return functional.leaky_relu_(self.norm(x, name) + shift[None, :, None, None], 0.01)

    def norm(self, x: Tensor, name: str) -> Tensor:
        mean, variance, weight, bias = (
            self.state[f"base.{name}.{leaf}"]
            for leaf in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(x, mean, variance, weight, bias)

    def inverse(self, real: Tensor, imag: Tensor, count: int) -> Tensor:
        """Overlap-add of `(batch, frames, bins)`, by convolutions over the mirrored spectrum."""
        real, imag = real.transpose(1, 2), imag.transpose(1, 2)
        real = torch.cat((real, torch.flip(real[:, 1:-1], [1])), 1)
        imag = torch.cat((imag, -torch.flip(imag[:, 1:-1], [1])), 1)
        frames = functional.conv1d(real, self.istft[0]) - functional.conv1d(imag, self.istft[1])
        total = (frames.shape[2] - 1) * 320 + 2048
        fold = {"output_size": (1, total), "kernel_size": (1, 2048), "stride": (1, 320)}
        summed = functional.fold(frames, **fold)[:, 0, 0]
        squared = (self.window**2)[None, :, None].expand(1, 2048, frames.shape[2])
        weights = functional.fold(squared.contiguous(), **fold)[0, 0, 0].clamp_min(1e-11)
        return (summed / weights)[:, 1024 : 1024 + count]


def formula() -> ModuleType:
    spec = importlib.util.spec_from_file_location("formula", GOLDEN / "formula.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def chosen(name: str, tokenizer: Path | None) -> Iterator[Entry]:
    """Yield the added model of that name, or one with formula weights."""
    if name:
        yield catalogue.entry(name, Folders.of_user())
        return
    places = [tokenizer, ROOT / "tests" / "data" / "roberta-base"]
    found = [place for place in places if place and (place / text.VOCABULARY).is_file()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "formula.ckpt"
        draw = formula()
        state = {f"ss_model.{k}": v for k, v in draw.state(network.shapes()).items()}
        words = {k: draw.tensor(k, shape) for k, shape in text.shapes().items()}
        state |= {f"query_encoder.model.{k}": v for k, v in words.items()}
        torch.save({"state_dict": {k: torch.from_numpy(v) for k, v in state.items()}}, path)
        home = Folders(Path(folder) / "home")
        place = found[0] if found else find_tokenizer(Folders.of_user().models)
        also = {"tokenizer": place} if place else {}
        yield catalogue.add(home, "formula", "audiosep", path, also=also)


def noise(path: Path, seconds: int, channels: int) -> Path:
    rng = np.random.default_rng(0)
    writer = FrameWriter(path, AudioInfo(RATE, channels, RATE * seconds))
    for _ in range(seconds):
        writer.write((0.1 * rng.standard_normal((channels, RATE))).astype(np.float32))
    writer.close()
    return path


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def engine(
    model: AudioSep,
    mixture: Path,
    *,
    precision: Precision = Precision.EXACT,
    memory: Memory = Memory.DEFAULT,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Callable[[], object]:
    """Return the whole separation by the engine, from file to file."""

    def work() -> None:
        options = Options(model=model.name, precision=precision, memory=memory)
        job = Job("bench", mixture, (QUERY,), options)
        with tempfile.TemporaryDirectory() as folder:
            separate(job, model, Path(folder) / "clips", on_progress=on_progress)

    return work


def speed(entry: Entry, rounds: int, long_seconds: int) -> None:
    torch.set_grad_enabled(False)
    found = checkpoint.read(entry.main)
    published = Published({name: t.clone() for name, t in found.separator.items()})
    form = fast_form(entry)
    if entry.name == "formula":
        draw = formula()
        clip = np.load(GOLDEN / "out_4s.npy")
        condition = torch.from_numpy(draw.condition())
        error = published(torch.from_numpy(draw.signal(4))[None], condition)[0].numpy() - clip
        decibels = 10 * np.log10((error**2).sum() / (clip**2).sum())
        print(f"the baseline differs from the golden clip by {decibels:.0f} dB", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        short = noise(Path(folder) / "10s.wav", 10, channels=2)
        long = noise(Path(folder) / "long.wav", long_seconds, channels=2)
        samples = soundfile.read(short, dtype="float32")[0].T
        kinds = ["torch"] + (["openvino"] if runtime_choice.openvino() else [])
        models = {kind: AudioSep(entry.name, form, runtime=kind) for kind in kinds}
        vector = torch.from_numpy(models["torch"].embed(QUERY))
        batch = torch.from_numpy(samples)
        variants: dict[str, Callable[[], object]] = {"baseline": lambda: published(batch, vector)}
        variants |= {f"{kind} exact": engine(models[kind], short) for kind in kinds}
        draft = AudioSep(entry.name, form, runtime=kinds[-1])
        variants[f"{kinds[-1]} draft"] = engine(draft, short, precision=Precision.DRAFT)
        for work in variants.values():
            work()  # compiles, and finds its memory
        seconds: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(rounds):
            for name, work in variants.items():
                seconds[name].append(timed(work))
        print(f"10 s stereo at 32 kHz, {rounds} rounds in turn (file to file but for the baseline)")
        report(seconds)

        name = f"{kinds[-1]} exact, {long_seconds} s"
        print(f"{long_seconds} s stereo, per 10 s; the baseline on 10 s in turn with the segments")
        report(in_turn(models[kinds[-1]], long, variants["baseline"], name))

        encoder = form.encoder()
        words: dict[str, Callable[[], object]] = {
            "baseline": padded(encoder),
            "trimmed": lambda: encoder.embed(QUERY),
        }
        seconds = {name: [] for name in words}
        for work in words.values():
            work()
        for _ in range(rounds):
            for name, work in words.items():
                seconds[name].append(timed(work))
        print(f"one query's embedding, not cached, {rounds} rounds in turn")
        report(seconds)


def in_turn(
    model: AudioSep, mixture: Path, baseline: Callable[[], object], name: str
) -> dict[str, list[float]]:
    """Separate a long mixture, and stop eight times in between to time the baseline."""
    seconds: dict[str, list[float]] = {"baseline": [], name: []}
    marks = [(number + 0.5) / 8 for number in range(8)]
    paused = 0.0

    def step(share: float) -> None:
        nonlocal paused
        if marks and share >= marks[0]:
            marks.pop(0)
            seconds["baseline"].append(timed(baseline))
            paused += seconds["baseline"][-1]

    length = soundfile.info(mixture).duration
    whole = timed(engine(model, mixture, on_progress=step))
    seconds[name].append((whole - paused) * 10 / length)
    return seconds


def padded(encoder: text.TextEncoder) -> Callable[[], object]:
    """Return the published way to encode a query: padded to 512 tokens, twice."""
    ids = encoder.token_ids(QUERY)
    row = torch.tensor(ids + [1] * (512 - len(ids)))
    heard = (row != 1).long()

    def work() -> object:
        return encoder.model(
            input_ids=torch.stack([row, row]), attention_mask=torch.stack([heard, heard])
        )

    return work


def report(seconds: dict[str, list[float]]) -> None:
    base = statistics.median(seconds["baseline"])
    least = min(seconds["baseline"])
    for name, values in seconds.items():
        middle = statistics.median(values)
        print(
            f"  {name:26} {middle:8.3f} s  {base / middle:6.2f} x the baseline by the medians, "
            f"{least / min(values):6.2f} x by the best runs",
            flush=True,
        )


def memory(entry: Entry) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lengths = (60, 600)
        files = [
            noise(Path(folder) / f"{seconds}s.wav", seconds, channels=1) for seconds in lengths
        ]
        peak(entry, noise(Path(folder) / "1s.wav", 1, channels=1), Memory.DEFAULT)  # first use
        for kind in Memory:
            peaks = [peak(entry, file, kind) / 1e9 for file in files]
            print(
                f"--memory {kind.value:8}: "
                + ", ".join(f"{s} s {p:.2f} GB" for s, p in zip(lengths, peaks, strict=True))
                + f" ({peaks[1] / peaks[0] - 1:+.1%})",
                flush=True,
            )


def peak(entry: Entry, mixture: Path, kind: Memory) -> int:
    """Return the peak memory, in bytes, of a process that separates once, text encoder and all."""
    arguments = [str(entry.folder), str(mixture), kind.value]
    done = subprocess.run(
        [sys.executable, "-m", "bench.audiosep", "--measure", *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    found: int = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(folder: str, mixture: str, kind: str) -> None:
    form = FastForm(Path(folder) / "fast")
    for kept in (form.folder / "embeddings").glob("*.npy"):
        kept.unlink()
    engine(AudioSep("bench", form), Path(mixture), memory=Memory(kind))()
    print(high_water())


def high_water() -> int:
    """Return this process's peak memory in bytes."""
    with contextlib.suppress(OSError):
        # Not `ru_maxrss`, which on Linux begins with the memory of the process that started this.
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        if found:
            return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        measure(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m bench.audiosep", description=__doc__)
    parser.add_argument("what", choices=["speed", "memory"])
    parser.add_argument("model", nargs="?", default="")
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long", type=int, default=300, help="seconds of the long mixture")
    asked = parser.parse_args()
    with chosen(asked.model, asked.tokenizer) as entry:
        if asked.what == "speed":
            speed(entry, asked.rounds, asked.long)
        else:
            memory(entry)


if __name__ == "__main__":
    main()
