"""A real resident engine, with the stand-in model or with `compact`, to be killed and started."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import soundfile

from bridge.client import Client
from engine import processes
from engine.folders import Folders
from engine.job import Job
from engine.options import Options
from engine.queue.heartbeat import Heartbeat
from engine.queue.lock import holder
from engine.status import JobState, Status

ROOT = Path(__file__).parents[2]
DEADLINE = 120.0  # seconds until what must happen counts as not happening
# What `python -c` takes to run `tweeze doctor` but for the models, each of which it would load.
DOCTOR = "from bridge import cli, doctor; doctor._models = lambda *_: iter(()); cli.main()"
MANY = bool(os.environ.get("TWEEZE_MANY"))  # `make soak`: each fault is tried many times


def until(condition: Callable[[], object], what: str = "it", seconds: float = DEADLINE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.01)


def write_noise(
    path: Path, seconds: float, *, rate: int = 16_000, channels: int = 1, seed: int = 7
) -> Path:
    noise = np.random.default_rng(seed).standard_normal((round(seconds * rate), channels)) * 0.1
    soundfile.write(path, noise.astype(np.float32), rate, subtype="FLOAT")
    return path


class Resident:
    """The engine of one home folder, in a process of its own."""

    def __init__(self, folders: Folders, *, model: str = "stand-in", **settings: str) -> None:
        self.folders = folders
        self.client = Client(folders)
        self.model = model
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
        self.environment = {
            **os.environ,
            "TWEEZE_HOME": str(folders.root),
            "TWEEZE_OSC_PORT": "0",
            "PYTHONPATH": paths,
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Resident:
        name = "tests.faults.engine" if self.model == "stand-in" else "bridge.app"
        self.folders.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folders.root / "said").open("ab") as said:
            self.process = subprocess.Popen(
                processes.command(name, options=("-X", "faulthandler")),
                env=self.environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        until(lambda: self.beat() is not None or not self.runs(), "the engine's start")
        return self

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def beat(self) -> Heartbeat | None:
        return Heartbeat.of_living(self.folders)

    def worker(self) -> int:
        """Process id of the worker, 0 where there is none."""
        return holder(self.folders.root / "worker.lock") or 0

    def kill(self) -> None:
        """End it as a crash does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(DEADLINE)

    def stop(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                self.process.terminate()
            self.process.wait(DEADLINE)
            self.process = None

    def status(self, id_: str) -> Status | None:
        return self.client.status(id_)

    def final(self, id_: str, seconds: float = DEADLINE) -> Status:
        def ended() -> bool:
            status = self.client.status(id_)
            return status is not None and status.state.final

        until(ended, f"the end of {id_}", seconds)
        status = self.client.status(id_)
        assert status is not None
        return status

    def log(self) -> str:
        return self.folders.log.read_text("utf-8", "replace")


@contextlib.contextmanager
def resident(root: Path, **more: str) -> Iterator[Resident]:
    made = Resident(Folders(root), **more)  # type: ignore[arg-type]
    try:
        yield made.start()
    finally:
        made.stop()


def kill_worker(engine: Resident) -> bool:
    """Kill the worker, if there is one, as an outsider; returns whether there was."""
    pid = engine.worker()
    with contextlib.suppress(ProcessLookupError):
        if pid and psutil.Process(engine.process.pid).is_running():  # type: ignore[union-attr]
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def expected(jobs: list[Job], folder: Path) -> dict[str, list[bytes]]:
    """What each job gives when nothing disturbs it, by its id; jobs alike are done once."""
    from engine.sound.separate import separate
    from tests.faults.standin import Model

    known: dict[tuple[Path, tuple[str, ...], Options], list[bytes]] = {}
    folder.mkdir(parents=True, exist_ok=True)
    calm = Folders(folder)
    results: dict[str, list[bytes]] = {}
    for job in jobs:
        key = (job.mixture, job.queries, job.options)
        if key not in known:
            clips = separate(replace(job, id="calm"), Model(calm), folder / f"{len(known)}")
            known[key] = [clip.path.read_bytes() for clip in clips]
        results[job.id] = known[key]
    return results


def check_names(folders: Folders, wanted: dict[str, list[bytes]]) -> int:
    """Whatever has a final name is whole, at whatever moment one looks. Returns how many have."""
    seen = 0
    for id_, contents in wanted.items():
        for path in (folders.clips / id_).glob("*.wav"):
            assert path.read_bytes() in contents, f"{path} is half-written"
            seen += 1
    return seen


def check_ends(engine: Resident, wanted: dict[str, list[bytes]]) -> dict[JobState, int]:
    """Every job is done, with the same bytes as undisturbed, or failed with its reason."""
    counts = dict.fromkeys(JobState, 0)
    for id_, contents in wanted.items():
        status = engine.final(id_)
        counts[status.state] += 1
        folder = engine.folders.clips / id_
        if status.state is JobState.DONE:
            assert [clip.path.read_bytes() for clip in status.clips] == contents, id_
            assert len(list(folder.iterdir())) == len(contents), f"{folder} holds more than clips"
        else:
            assert "ended 3 times" in status.message, status
            assert not folder.exists()
    return counts


def pause(rng: random.Random, least: float, most: float) -> None:
    """Let a random time go by: kills come at random moments, not after events."""
    time.sleep(rng.uniform(least, most))
