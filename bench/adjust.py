"""How long adjusting takes: from a job that is accepted to its clip on disk, in a warm engine.

    python -m bench.adjust

Prints, for 10 s and 5 min of stereo at 44.1 kHz, the median seconds of separating with `compact`
and of adjusting what it found, in a span and as a whole, how far the adjusted clip is from a fresh
job of the same options, and the room that the masks take; and for 10 s, when a draft is there, of a
job for a specialist.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np
import soundfile

from engine.folders import Folders
from engine.job import Job, new_id
from engine.mask_room import size
from engine.options import Options
from engine.places import Span
from engine.queue.journal import Journal
from engine.queue.service import Service
from engine.status import Status

RATE = 44_100


def mixture(path: Path, seconds: float) -> Path:
    """Write noise that swells, with a melody in it."""
    rng = np.random.default_rng(1)
    time_ = np.arange(int(RATE * seconds)) / RATE
    melody = np.sin(2 * np.pi * 440 * 2 ** (np.floor(time_ * 2) % 12 / 12) * time_) * 0.2
    noise = 0.1 * rng.standard_normal((len(time_), 2)) * (1 + np.sin(time_))[:, None]
    soundfile.write(path, (noise + melody[:, None]).astype(np.float32), RATE, subtype="FLOAT")
    return path


async def done(service: Service, job: Job) -> tuple[float, Status]:
    """Submit a job; returns the seconds to its end, and its status."""
    began = time.perf_counter()
    await service.submit(job)
    status = await service.finished(job.id)
    assert status.clips, status.message
    return time.perf_counter() - began, status


async def measure(seconds: float, rounds: int, root: Path, *, whole: bool) -> str:
    """Return one row; with `whole`, without a span, so that no frame is left out."""
    folders = Folders(root)
    folders.make()
    service = Service(folders, Journal(folders.journal))
    await service.start()
    path = mixture(root / "mixture.wav", seconds)
    at = () if whole else (Span(seconds / 4, seconds / 2),)
    changed = Options(sharpness=1.5, at=at, amount=80)
    try:
        await done(service, Job(new_id(), path, ("piano",)))  # loads the model
        fresh: list[float] = []
        again: list[float] = []
        first = Job(new_id(), path, ("piano",))
        for _ in range(rounds):
            took, _ = await done(service, Job(new_id(), path, ("piano",), changed))
            fresh.append(took)
            if not again:
                await done(service, first)
            took, status = await done(
                service, Job(new_id(), path, ("piano",), changed, base=first.id)
            )
            again.append(took)
        exact = Job(new_id(), path, ("piano",), changed)
        _, wanted = await done(service, exact)
        got, _ = soundfile.read(status.clips[0].path)
        true, _ = soundfile.read(wanted.clips[0].path)
        error = 10 * np.log10(np.sum((got - true) ** 2) / np.sum(true**2))
        room = size(folders.masks / first.id) / 1e6
    finally:
        await service.stop()
    return (
        f"{seconds:5.0f} s{', whole' if whole else ''}: fresh {statistics.median(fresh):6.2f} s, "
        f"adjusted {statistics.median(again):6.3f} s, error {error:.0f} dB, {room:.0f} MB"
    )


async def drafted(rounds: int, root: Path) -> str:
    """Return the row of the draft."""
    folders = Folders(root)
    folders.make()
    service = Service(folders, Journal(folders.journal))
    await service.start()
    path = mixture(root / "mixture.wav", 10.0)
    first, last = [], []
    try:
        for _ in range(rounds + 1):
            job = Job(new_id(), path, ("speech",), Options(draft=True))
            began = time.perf_counter()
            seen: list[float] = []

            def note(status: Status, job: Job = job, seen: list[float] = seen) -> None:
                if status.id == job.id and status.draft and not seen:
                    seen.append(time.perf_counter())

            unsubscribe = service.subscribe(note)
            took, _ = await done(service, job)
            unsubscribe()
            first.append(seen[0] - began if seen else float("nan"))
            last.append(took)
    finally:
        await service.stop()
    draft, exact = (statistics.median(found[1:]) for found in (first, last))  # the first loads
    return f"   10 s: draft {draft:6.2f} s, exact {exact:6.2f} s"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    for seconds, whole in product((10.0, 300.0), (False, True)):
        with tempfile.TemporaryDirectory() as folder:
            print(asyncio.run(measure(seconds, rounds, Path(folder), whole=whole)), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        print(asyncio.run(drafted(rounds, Path(folder))), flush=True)


if __name__ == "__main__":
    main()
