"""What a cluster costs and gains: `python -m bench.cluster [--compact SECONDS]`.

All on this machine, with Ray's own processes in place of machines. Scaling and overhead are
measured with workers that sleep, so that they say what Ray and Tweeze cost, and not how many cores
there are. With `--compact` the bundled model separates some files, through the user's engine and
through one process of a cluster, in turns. Ray Data is compared where it is installed
(`pip install 'ray[data]'`).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.machine import machine
from bridge import launch
from bridge.batching import EngineSeparating
from engine.cores import threads
from engine.folders import Folders
from engine.library.batch import Batch, Separating
from engine.library.cluster_separating import ClusterSeparating
from engine.library.items import Item
from engine.library.manifest import State
from engine.sound.audio import AudioInfo, FrameWriter, read
from tests.support.batches import Sleeper, found, write_tone

ROOT = Path(__file__).parents[1]
PIECE = 0.5  # seconds that a sleeping worker takes for a file
FILES = 24  # for each worker


def items(top: Path, count: int, *queries: str) -> list[Item]:
    return [
        Item(found(write_tone(top / f"{number:04}.wav"), top), queries) for number in range(count)
    ]


def run(asked: list[Item], separating: Separating, out: Path) -> list[float]:
    """Run a batch, and return when each file was done, in seconds."""
    ends: list[float] = []
    batch = Batch(out)
    batch.run(asked, separating, told=lambda told: ends.append(time.perf_counter()))
    assert batch.counts[State.DONE] == len(asked)
    return ends


def scaling(ray: Any, folder: Path) -> None:
    print(f"\nWorkers that sleep {PIECE} s for each of {FILES} files a worker:")
    alone = 0.0
    for workers in (1, 2, 4, 8):
        asked = items(folder / f"in{workers}", FILES * workers, f"sleep {PIECE}")
        out = folder / f"out{workers}"
        out.mkdir()
        separating = ClusterSeparating(
            ray, Folders(folder / "home"), out, worker=Sleeper, cores=8 // workers
        )
        # From the first result on: starting a process is paid once for a whole batch.
        ends = run(asked, separating, out)
        spent = ends[-1] - ends[workers - 1]
        each = spent / (len(asked) - workers) * workers
        alone = alone or each
        print(
            f"  {workers}: {each:.3f} s a file and worker, {1000 * (each - PIECE):.0f} ms over; "
            f"{alone / each:.2f} of linear"
        )


def pipelines(ray: Any) -> None:
    """Time an item of Ray Core's actors and of Ray Data's, for workers that sleep."""
    count, workers, nap = 160, 8, 0.1

    class Napping:
        def nap(self) -> None:
            time.sleep(nap)

    remote = ray.remote(num_cpus=1)(Napping)
    actors = [remote.remote() for _ in range(workers)]
    ray.get([actor.nap.remote() for actor in actors])
    running: dict[Any, Any] = {}
    started, idle, left = time.perf_counter(), list(actors), count
    while left or running:
        while idle and left:
            actor = idle.pop()
            running[actor.nap.remote()] = actor
            left -= 1
        (done,), _ = ray.wait(list(running))
        idle.append(running.pop(done))
    core = (time.perf_counter() - started) * workers / count - nap
    for actor in actors:
        ray.kill(actor)
    print(f"\nAn item of Ray Core costs {1000 * core:.1f} ms beside its work", end="")
    try:
        import ray.data
    except ImportError:
        print("; Ray Data is not installed.")
        return

    class Pipe:
        def __call__(self, batch: Any) -> Any:
            time.sleep(nap)
            return batch

    ray.data.DataContext.get_current().enable_progress_bars = False
    started = time.perf_counter()
    pool = ray.data.ActorPoolStrategy(min_size=workers, max_size=workers)
    made = ray.data.from_items([{"item": i} for i in range(count)], override_num_blocks=count)
    piped = made.map_batches(Pipe, compute=pool, num_cpus=0.9, batch_size=1)
    assert sum(1 for _ in piped.iter_rows()) == count
    data = (time.perf_counter() - started) * workers / count - nap
    print(f", one of Ray Data {1000 * data:.0f} ms (with the start of its actors).")


def compact(ray: Any, folder: Path, seconds: float) -> None:
    """Separate the same files through the engine and through a cluster's process, in turns."""
    top, count, rounds = folder / "demo", 6, 3
    top.mkdir()
    parts = sorted((ROOT / "engine" / "demo").glob("*.flac"))
    for number in range(count):
        samples, rate = read(parts[number % len(parts)])
        whole = np.tile(samples, (1, 1 + int(seconds * rate / samples.shape[1])))
        whole = whole[:, : int(seconds * rate)]
        writer = FrameWriter(top / f"{number}.wav", AudioInfo(rate, *whole.shape))
        writer.write(whole)
        writer.close()
    asked = [Item(found(path, top), ("birds",)) for path in sorted(top.glob("*.wav"))]
    home = Folders(folder / "engine")
    launch.ensure(home)
    times: dict[str, list[float]] = {"engine": [], "cluster": []}
    rows = {}
    try:
        for number in range(rounds + 1):
            for name in times:
                out = folder / f"{name}{number}"
                out.mkdir()
                separating = (
                    EngineSeparating(home, out)
                    if name == "engine"
                    else ClusterSeparating(ray, home, out, cores=threads())
                )
                ends = run(asked, separating, out)
                if number:  # the first round warms everything up
                    times[name].append((ends[-1] - ends[0]) / (count - 1))
                rows[name] = {path.name: path.read_bytes() for path in out.glob("*.wav")}
                shutil.rmtree(out)
    finally:
        launch.stop(home)
    engine, cluster = (statistics.median(times[name]) for name in times)
    same = rows["engine"] == rows["cluster"]
    print(
        f"\ncompact, {count} files of {seconds:g} s in stereo, {threads()} threads, median of "
        f"{rounds} rounds in turns:\n  engine {engine:.2f} s a file ({seconds / engine:.1f} x real "
        f"time), cluster {cluster:.2f} s: {cluster / engine:.2f} of that; the clips are "
        f"{'the same to the bit' if same else 'NOT THE SAME'}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compact", type=float, default=0.0, metavar="SECONDS")
    chosen = parser.parse_args()
    print(machine())
    folder = Path(tempfile.mkdtemp(prefix="tweeze-bench-"))
    os.environ["TWEEZE_HOME"] = str(folder / "engine")
    os.environ["PYTHONPATH"] = str(ROOT)
    try:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        import ray

        ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False)
        scaling(ray, folder)
        pipelines(ray)
        if chosen.compact:
            compact(ray, folder, chosen.compact)
        ray.shutdown()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
