"""The method of AudioSep's drafts in 8 bits on trained weights: `python -m bench.int8`.

AudioSep's own weights could not be had where this was made, and weights by a formula say little
about quality. So `compact`'s network, which is trained, goes the same way: the same search, on the
same recordings. Nothing of that is used by `compact`. Prints what each form costs at each site, the
plan, and by how many dB its answers differ from float on stretches that had no part in it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor, nn

from engine.models import compact, int8
from engine.models.base import FloatArray
from engine.models.compact.network import BANDS, HOP, N_FFT, SAMPLE_RATE, CompactNet
from engine.models.openvino import openvino

DEMO = Path(__file__).parents[1] / "engine" / "demo"
FRAMES = 96
CHOOSING = (
    ("mixture.flac", 0.5, "guitar"),
    ("interview.flac", 0.5, "speech"),
    ("mixture.flac", 3.0, "flowing water"),
)
CHECKING = (
    ("mixture.flac", 6.5, "birds chirping"),
    ("mixture.flac", 7.5, "guitar"),
    ("interview.flac", 4.0, "rain"),
    ("interview.flac", 4.5, "speech"),
)


class Middle(nn.Module):
    """The network between what it sees and the logits of its bands."""

    def __init__(self, net: CompactNet) -> None:
        super().__init__()
        self.unet = net.unet

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        logits: Tensor = self.unet(x, condition)
        return logits


class Case:
    def __init__(self, net: CompactNet, model: Any, file: str, start: float, query: str) -> None:
        samples, rate = soundfile.read(DEMO / file, dtype="float32", always_2d=True)
        x = soxr.resample(samples[:, 0], rate, SAMPLE_RATE)
        rms = float(np.sqrt(np.square(x).mean()))
        first = round(start * SAMPLE_RATE)
        frames = np.lib.stride_tricks.sliding_window_view(x[first:], N_FFT)[::HOP][:FRAMES]
        window = np.hanning(N_FFT + 1)[:-1].astype(np.float32)
        magnitude = np.abs(np.fft.rfft(frames * window)).astype(np.float32)
        vector = torch.from_numpy(model.embed(query))[None]
        self.magnitude, self.spread = magnitude, net.spread.numpy()
        with torch.no_grad():
            seen = net.features(torch.from_numpy(magnitude)[None], torch.tensor([rms]))
            self.inputs = [seen.contiguous().numpy(), net.condition(vector).numpy()]

    def answer(self, request: Any) -> FloatArray:
        request.infer(dict(enumerate(self.inputs)))
        logits = np.array(request.get_output_tensor(0).data)[0, 0]
        mask = (1 / (1 + np.exp(-logits))) @ self.spread
        return np.asarray(mask * self.magnitude, np.float32)


def compiled(model: Any) -> Any:
    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    return openvino().Core().compile_model(model, "CPU", hints).create_infer_request()


def network(folder: Path) -> tuple[Any, Sequence[Case], Sequence[Case]]:
    """Return what reads the graph, and the cases to choose by and to check with."""
    net = compact.load_network(Path(compact.__file__).parent / "weights.safetensors").eval()
    middle = Middle(net).eval()
    for parameter in middle.parameters():
        parameter.requires_grad_(False)
    model = compact.load()
    example = (torch.zeros(1, 2, FRAMES, BANDS), torch.zeros(1, net.config.net.condition))
    # Tiles depend on the length.
    net.unet._tiled = lambda _: False  # type: ignore[method-assign,assignment]
    made = openvino().convert_model(middle, example_input=example)
    openvino().save_model(made, folder / "compact.xml", compress_to_fp16=False)
    read = lambda: openvino().Core().read_model(folder / "compact.xml")  # noqa: E731
    choosing, checking = (
        [Case(net, model, *one) for one in cases] for cases in (CHOOSING, CHECKING)
    )
    return read, choosing, checking


def noise(read: Any, plan: int8.Plan, cases: Sequence[Case]) -> list[float]:
    exact, rounded = compiled(read()), compiled(int8.apply(read(), plan))
    found = []
    for case in cases:
        a, b = case.answer(exact), case.answer(rounded)
        found.append(float(np.square(a - b).sum() / np.square(a).sum()))
    return found


def best(request: Any, case: Case, rounds: int = 5) -> float:
    seconds = []
    for _ in range(rounds):
        started = time.process_time()
        case.answer(request)
        seconds.append(time.process_time() - started)
    return min(seconds)


def main() -> None:
    import tempfile

    parser = argparse.ArgumentParser(prog="python -m bench.int8", description=__doc__)
    parser.add_argument("--wanted", type=float, default=30.0, help="dB")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        read, choosing, checking = network(Path(folder))
        inputs = [case.inputs for case in choosing]
        candidates = int8.sites(read(), inputs[0])
        ranges = int8.observe(read(), inputs)
        weights = int8.fitted(read(), candidates, inputs)
        for form in int8.FORMS:
            for label, used in (("rounded", {}), ("fitted", weights)):
                plan = int8.Plan({site.name: form for site in candidates}, ranges, used)
                levels = [f"{int8.decibels(n):.1f}" for n in noise(read, plan, checking)]
                print(f"all {form:>2} bits, weights {label}: {', '.join(levels)} dB", flush=True)
        found = int8.find(
            candidates,
            ranges,
            weights,
            {int8.EIGHT: 0.3, int8.SIXTEEN: 0.6},
            lambda plan: float(np.mean(noise(read, plan, choosing[:2]))),
            lambda plan: max(noise(read, plan, checking)),
            10 ** (-asked.wanted / 10),
        )
        if found is None:
            print(f"no part can be in 8 bits at {asked.wanted:g} dB")
            return
        plan = found
        share = {site.name: site.share for site in candidates}
        for form in int8.FORMS:
            names = [name for name, its in plan.forms.items() if its == form]
            work = sum(share[name] for name in names)
            print(f"{form:>2} bits: {len(names)} sites, {work:.0%} of the work")
        levels = [f"{int8.decibels(n):.1f}" for n in noise(read, plan, checking)]
        print(f"the plan, on stretches that had no part in it: {', '.join(levels)} dB")
        exact = best(compiled(read()), checking[0])
        rounded = best(compiled(int8.apply(read(), plan)), checking[0])
        print(f"a processor's time: {exact / rounded:.2f} times as fast as float32 in OpenVINO")


if __name__ == "__main__":
    main()
