"""How far AudioSep's network is from what the processor can: `python -m bench.roofline [MODEL]`.

The limit of an operation is the longer of two times: its multiplications at the rate of the largest
matrix product that this processor does in the same run, and the bytes that it has to read and write
once at the rate of a copy. Both are measured between the rounds. Without MODEL (an added one) the
weights are those of the tests' formula: the time does not depend on them. The network computes one
segment, of the default length unless `--frames` says less, in float32.

Times are those of the processor, not by the clock, so that other programs take none of them, except
what they push out of the caches; the time of an operation is its share by the clock of that of all.
One thread is measured unless `--threads` says more.
"""

from __future__ import annotations

import argparse
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.audiosep import formula
from engine.folders import Folders
from engine.models import catalogue
from engine.models.audiosep import network, runtimes
from engine.models.audiosep.kind import fast_form
from engine.models.openvino import openvino

FRAMES = 1920
KINDS = {
    "convolutions 3x3": ("Convolution",),
    "convolutions 1x1 (shortcuts)": ("Convolution 1x1",),
    "transposed convolutions": ("ConvolutionBackpropData",),
    "scale, shift and leaky ReLU": ("Multiply", "Add", "PowerStatic", "PRelu", "Eltwise"),
    "joining, cutting, pooling": ("Concat", "Slice", "StridedSlice", "AvgPool"),
    "other layouts": ("Reorder",),
}
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_tile", "amx_int8")


@dataclass(frozen=True)
class Cost:
    """What an operation has to do at least."""

    flops: float
    bytes: float


def costs(model: Any, inputs: list[np.ndarray]) -> Mapping[str, Cost]:
    """Return multiplications and additions, and bytes, by node name, of a graph's convolutions."""
    op = openvino().opset13
    found = [
        node
        for node in model.get_ordered_ops()
        if node.get_type_name() in ("Convolution", "ConvolutionBackpropData")
    ]
    ends = []
    for node in found:
        ends += [op.shape_of(node.input(0).get_source_output()).output(0)]
        ends += [op.shape_of(node.output(0)).output(0)]
    model.add_outputs(ends)
    request = openvino().Core().compile_model(model, "CPU").create_infer_request()
    request.infer(dict(enumerate(inputs)))
    shapes = [np.array(request.get_output_tensor(1 + i).data, float) for i in range(len(ends))]
    result = {}
    for i, node in enumerate(found):
        read, written = shapes[2 * i], shapes[2 * i + 1]
        weights = np.array(node.input(1).get_shape(), float)
        # a transposed convolution's stride is its kernel: each input is used once a weight
        places = read if node.get_type_name() == "ConvolutionBackpropData" else written
        taps = np.prod(weights[1:])
        flops = 2 * np.prod(places) * taps
        moved = 4 * (np.prod(read) + np.prod(written) + np.prod(weights))
        result[node.get_friendly_name()] = Cost(float(flops), float(moved))
    return result


def peak_flops(size: int = 1536) -> float:
    """Return the floating-point operations a second of one large matrix product.

    Of torch's and OpenVINO's the faster: on some processors one of them is far from the limit.
    """
    threads = torch.get_num_threads()
    a, b = torch.rand(size, size), torch.rand(size, size)
    op = openvino().opset13
    left = op.parameter([size, size], np.float32)
    product = openvino().Model([op.matmul(left, op.constant(b.numpy()), False, False)], [left])
    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    request = openvino().Core().compile_model(product, "CPU", hints).create_infer_request()
    inputs = {0: a.numpy()}
    seconds = min(best(lambda: a @ b), best(lambda: request.infer(inputs, share_inputs=True)))
    return 2 * size**3 * threads / seconds


def bandwidth(megabytes: int = 256) -> float:
    """Return the bytes a second, read and written, of a copy that no cache holds."""
    a = torch.rand(megabytes << 18)
    b = torch.empty_like(a)
    return 2 * a.numel() * 4 * torch.get_num_threads() / best(lambda: b.copy_(a))


def best(work: Any, rounds: int = 3) -> float:
    seconds = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return min(seconds)


def kind_of(node: Any) -> str:
    name = node.node_type
    if name == "Convolution" and "1x1" in node.exec_type:
        name = "Convolution 1x1"
    return next((kind for kind, types in KINDS.items() if name in types), "the rest")


def processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    name = re.search(r"model name\s*: (.*)", text)
    flags = re.search(r"flags\s*: (.*)", text)
    here = set(flags[1].split()) if flags else set()
    return f"{name[1] if name else 'unknown'} ({', '.join(f for f in FLAGS if f in here)})"


def measure(graph: Path, frames: int, threads: int, rounds: int) -> None:
    torch.set_num_threads(threads)
    edge = frames // 6 // network.BLOCK * network.BLOCK  # of context, as in a segment
    rng = np.random.default_rng(0)
    spectrum = rng.standard_normal((1, 1, frames, network.BINS)).astype(np.float32)
    shifts = (0.1 * rng.standard_normal(network.shift_count())).astype(np.float32)
    inputs = [spectrum, shifts, np.array((edge, frames - edge))]
    core = openvino().Core()
    cost = costs(core.read_model(graph), inputs)
    hints = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERF_COUNT": True,
    }
    request = core.compile_model(core.read_model(graph), "CPU", hints).create_infer_request()
    request.infer(dict(enumerate(inputs)))  # finds its memory
    seconds: dict[str, float] = {}
    kinds: dict[str, str] = {}
    flops, moved, walls, used = [], [], [], []
    for _ in range(rounds):
        flops.append(peak_flops())
        moved.append(bandwidth())
        wall, cpu = time.perf_counter(), time.process_time()
        request.infer(dict(enumerate(inputs)))
        walls.append(time.perf_counter() - wall)
        used.append(time.process_time() - cpu)
        for node in request.profiling_info:
            kinds[node.node_name] = kind_of(node)
            took = node.real_time.total_seconds()
            seconds[node.node_name] = min(seconds.get(node.node_name, took), took)
    peak, rate = max(flops), max(moved)
    print(f"{processor()}; {threads} thread{'s' if threads > 1 else ''}, best of {rounds} rounds")
    print(f"largest matrix product {peak / 1e9:.0f} GFLOP/s, copy {rate / 1e9:.1f} GB/s")
    clock, whole = sum(seconds.values()), min(used) / threads
    seconds = {name: value * whole / clock for name, value in seconds.items()}
    print(
        f"{frames} frames: {whole:.2f} s of each processor (best), "
        f"{statistics.median(walls):.2f} s by the clock (median)"
    )
    header = ("", "GFLOP", "GFLOP/s", "seconds", "share", "at least", "of the limit")
    print("| " + " | ".join(header) + " |")
    print("| --- " * len(header) + "|")
    rows = [*KINDS, "the rest"]
    total = [0.0, 0.0]
    for kind in rows:
        names = [name for name, its in kinds.items() if its == kind]
        took = sum(seconds[name] for name in names)
        known = [cost[name] for name in names if name in cost]
        work = sum(one.flops for one in known)
        least = sum(max(one.flops / peak, one.bytes / rate) for one in known)
        total = [total[0] + work, total[1] + least]
        print(line(kind, work, took, whole, least))
    print(line("all", total[0], whole, whole, total[1]))


def line(kind: str, work: float, took: float, whole: float, least: float) -> str:
    done = [f"{work / 1e9:.1f}", f"{work / took / 1e9:.0f}"] if work and took else ["", ""]
    limit = [f"{least:.3f}", f"{least / took:.0%}"] if least and took else ["", ""]
    return "| " + " | ".join([kind, *done, f"{took:.3f}", f"{took / whole:.1%}", *limit]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.roofline", description=__doc__)
    parser.add_argument("model", nargs="?", default="")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--frames", type=int, default=FRAMES, help="a multiple of 32")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.model:
            net = fast_form(catalogue.entry(asked.model, Folders.of_user())).network()
        else:
            state = formula().state(network.shapes())
            tensors = {name: torch.from_numpy(array) for name, array in state.items()}
            net = network.Network.from_state(network.fold(tensors))
        graph = Path(folder) / "graph.xml"
        runtimes.write_graph(net, graph)
        measure(graph, asked.frames, asked.threads, asked.rounds)


if __name__ == "__main__":
    main()
