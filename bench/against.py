"""Whole jobs in this checkout against the same jobs in another one, in one run.

    git worktree add /tmp/before main
    python -m bench.against /tmp/before [--seconds 30 600] [--rounds 5] [--queries "dog barking"]

Each checkout gets an engine of its own, whose worker is warm; jobs alternate between them. A job
lasts from its submission to its clips on disk. Printed are medians, and their ratios: of seconds,
of the processors' seconds (which other programs distort less), and of the worker's peak memory;
then how far the clips of the two are apart, and whether each repeats its own bit by bit.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile

RATE = 44_100


def recording(path: Path, seconds: int) -> Path:
    """Write a busy stereo recording: bursts of noise and gliding tones."""
    rng = np.random.default_rng(seconds)
    phase = 0.0
    with soundfile.SoundFile(path, "w", RATE, 2, "FLOAT") as file:
        for second in range(seconds):
            t = np.arange(RATE) / RATE
            hz = 220 * 2 ** (rng.uniform(0, 4) + t * rng.uniform(-1, 1))
            angle = phase + 2 * np.pi * np.cumsum(hz) / RATE
            phase = float(angle[-1])
            left = 0.2 * np.sin(angle) + 0.1 * rng.standard_normal(RATE) * np.exp(-t * 8)
            right = 0.2 * np.sin(angle + 1) + 0.1 * rng.standard_normal(RATE) * (second % 2)
            file.write(np.stack([left, right], axis=1).astype(np.float32))
    return path


async def serve(root: Path) -> None:
    """Do the jobs that lines of standard input name, in an engine of the folder's checkout."""
    from engine.folders import Folders
    from engine.job import Job, new_id
    from engine.options import Options
    from engine.queue.journal import Journal
    from engine.queue.service import Service

    folders = Folders(root)
    folders.make()
    service = Service(folders, Journal(folders.journal))
    await service.start()
    for line in sys.stdin:
        asked = json.loads(line)
        before, began = _cpu(), time.perf_counter()
        options = Options(model=asked["model"])
        job = Job(new_id(), Path(asked["mixture"]), tuple(asked["queries"]), options)
        await service.submit(job)
        status = await service.finished(job.id)
        assert status.clips, status.message
        seconds, spent = time.perf_counter() - began, _cpu() - before
        clips = [str(clip.path) for clip in status.clips]
        said = {"seconds": seconds, "cpu": spent, "peak": _peak(), "clips": clips}
        print(json.dumps(said), flush=True)
    await service.stop()


def _cpu() -> float:
    """Return the seconds that this process's children have computed."""
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(one.user + one.system for one in times)


def _peak() -> int:
    """Return the peak memory, in bytes, of the largest of this process's children (Linux)."""
    peaks = [0]
    for child in psutil.Process().children(recursive=True):
        rows = Path(f"/proc/{child.pid}/status").read_text(encoding="utf-8").splitlines()
        peaks += [int(row.split()[1]) << 10 for row in rows if row.startswith("VmHWM:")]
    return max(peaks)


class Engine:
    """A warm engine of a checkout, in a process of its own."""

    def __init__(self, checkout: Path, root: Path) -> None:
        source = Path(__file__).read_text(encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-c", source, "--serve", str(root)],
            cwd=checkout,
            env=os.environ | {"PYTHONPATH": str(checkout)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, mixture: Path, queries: list[str], model: str) -> dict[str, Any]:
        """Do a job; returns what it took, and its clips."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"mixture": str(mixture), "queries": queries, "model": model}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        paths = [Path(path) for path in said["clips"]]
        said["digest"] = hashlib.sha256(b"".join(p.read_bytes() for p in paths)).hexdigest()
        said["samples"] = np.stack([soundfile.read(p, dtype="float32")[0] for p in paths])
        for path in paths:
            path.unlink()
        return said

    def end(self) -> None:
        """End the engine."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)


def compare(
    seconds: int, rounds: int, queries: list[str], model: str, other: Path, root: Path
) -> None:
    """Measure one length, and print."""
    mixture = recording(root / f"{seconds}s.wav", seconds)
    names = ("other", "this")
    checkouts = (other, Path(__file__).resolve().parent.parent)
    engines = [Engine(one, root / name) for one, name in zip(checkouts, names, strict=True)]
    found: list[list[dict[str, Any]]] = [[], []]
    apart = 0.0
    try:
        warm = recording(root / "warm.wav", 5)
        for engine in engines:
            engine.do(warm, queries, model)
        for turn in range(rounds):
            order = (0, 1) if turn % 2 == 0 else (1, 0)
            for place in order:
                found[place].append(engines[place].do(mixture, queries, model))
            pair = [row[-1].pop("samples") for row in found]
            apart = max(apart, float(np.abs(pair[0] - pair[1]).max() / np.abs(pair[0]).max()))
    finally:
        for engine in engines:
            engine.end()

    def median(place: int, key: str) -> float:
        return statistics.median(float(one[key]) for one in found[place])

    print(f"{seconds} s of stereo at {RATE} Hz, {model}, {len(queries)} queries, {rounds} rounds")
    for key, unit in (("seconds", "s"), ("cpu", "s of processors")):
        before, now = median(0, key), median(1, key)
        each = [a[key] / b[key] for a, b in zip(*found, strict=True)]
        print(
            f"  {before:7.2f} {unit} -> {now:7.2f}: {before / now:.2f} times as fast "
            f"(rounds: {min(each):.2f} to {max(each):.2f})"
        )
    peaks = [median(place, "peak") / 2**20 for place in (0, 1)]
    print(f"  {peaks[0]:.0f} MiB -> {peaks[1]:.0f}: {peaks[1] - peaks[0]:+.0f} MiB at the peak")
    same = [len({one["digest"] for one in row}) == 1 for row in found]
    print(f"  {apart:.1e} of the peak apart; the same bits in each round: {same[0]}, {same[1]}")


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(Path(sys.argv[2])))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("--seconds", type=int, nargs="+", default=[30, 600])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--queries", nargs="+", default=["dog barking"])
    parser.add_argument("--model", default="auto")
    asked = parser.parse_args()
    from bench.machine import machine  # not there in older checkouts, whose engines run this file

    print(machine())
    for seconds in asked.seconds:
        with tempfile.TemporaryDirectory() as folder:
            other, root = asked.other.resolve(), Path(folder)
            compare(seconds, asked.rounds, asked.queries, asked.model, other, root)


if __name__ == "__main__":
    main()
