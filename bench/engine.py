"""Speed and memory of a separation: `python -m bench.engine [MODEL]`.

Each figure comes from a process of its own (peak memory is a process's); the runs that are
compared are interleaved, and medians are printed.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from engine.sound.audio import AudioInfo, FrameWriter

RATE = 44_100
ROUNDS = 3


def recording(path: Path, seconds: int) -> Path:
    """Write a busy stereo recording: bursts of noise and gliding tones."""
    rng = np.random.default_rng(seconds)
    info = AudioInfo(RATE, 2, RATE * seconds)
    writer = FrameWriter(path, info)
    phase = 0.0
    for second in range(seconds):
        t = np.arange(RATE) / RATE
        hz = 220 * 2 ** (rng.uniform(0, 4) + t * rng.uniform(-1, 1))
        angle = phase + 2 * np.pi * np.cumsum(hz) / RATE
        phase = float(angle[-1])
        left = 0.2 * np.sin(angle) + 0.1 * rng.standard_normal(RATE) * np.exp(-t * 8)
        right = 0.2 * np.sin(angle + 1) + 0.1 * rng.standard_normal(RATE) * (second % 2)
        writer.write(np.stack([left, right]).astype(np.float32))
    writer.close()
    return path


def measure(model: str, mixture: Path) -> None:
    """Separate once in this process; print seconds and peak memory (bytes) as JSON."""
    from engine.folders import Folders
    from engine.job import Job
    from engine.models import load
    from engine.options import Keep, Options
    from engine.sound.separate import separate

    folders = Folders.of_user()
    start = time.perf_counter()
    separator = load(model, folders)
    loaded = time.perf_counter()
    options = Options(model=model, keep=Keep.BOTH)
    job = Job("bench", mixture, ("dog barking",), options)
    with tempfile.TemporaryDirectory() as folder:
        separate(job, separator, Path(folder) / "clips")
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"loading": loaded - start, "seconds": done - loaded, "peak": peak}))


def run(model: str, mixture: Path) -> dict[str, float]:
    result = subprocess.run(
        [sys.executable, "-m", "bench.engine", "--measure", model, str(mixture)],
        check=True,
        capture_output=True,
        text=True,
    )
    figures: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return figures


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], Path(sys.argv[3]))
        return
    model = sys.argv[1] if len(sys.argv) > 1 else "compact"
    with tempfile.TemporaryDirectory() as folder:
        short = recording(Path(folder) / "30s.wav", 30)
        long = recording(Path(folder) / "600s.wav", 600)
        runs = [(run(model, short), run(model, long)) for _ in range(ROUNDS)]

    def median(index: int, key: str) -> float:
        return statistics.median(pair[index][key] for pair in runs)

    print(f"{model}, stereo at {RATE} Hz, one query, target and residual, {ROUNDS} rounds")
    for index, seconds in ((0, 30), (1, 600)):
        rate = seconds / median(index, "seconds")
        peak = median(index, "peak") / 2**20
        print(f"  {seconds:3d} s: {rate:5.1f} x real time, peak memory {peak:6.0f} MiB")
    extra = (median(1, "peak") - median(0, "peak")) / 2**20
    print(f"  10 minutes need {extra:+.0f} MiB beside 30 seconds (bar: at most +286 MiB = 300 MB)")
    print(
        f"  30 s against its bar of 10 x real time: {3.0 / median(0, 'seconds'):.2f} times as fast"
    )
    loading = median(0, "loading")
    print(f"  loading the model takes {loading / median(0, 'seconds'):.2f} times as long as 30 s")


if __name__ == "__main__":
    main()
