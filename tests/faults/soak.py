"""`make soak`: a thousand jobs or more with random kills in between, and what they cost.

    python -m tests.faults.soak                SOAK_MINUTES (30), at least SOAK_JOBS (1000)
    python -m tests.faults.soak --minutes 2

Clients put jobs into the spool, over OSC too; worker and engine are killed at random. Watched all
the time: descriptors, threads and memory of engine and worker, files and bytes of the spool. The
figures go to `build/soak.json`; what grew makes the run fail.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from engine.folders import Folders
from engine.job import Job
from engine.queue.journal import Journal
from engine.status import JobState
from tests.faults.load import Desk, environment_port
from tests.faults.resident import ROOT, Resident, expected, kill_worker, pause, until, write_noise

BUILD = ROOT / "build"
FLAT = {"descriptors": 8, "threads": 4, "rss_mib": 48}  # what may come on top, start to end
KINDS = 6
KILLS = (15, 45)  # jobs from one kill to the next
BATCH = 16  # jobs in the queue at once


class Watch:
    """Samples of what a process holds, since its start."""

    def __init__(self) -> None:
        self.samples: list[dict[str, float]] = []

    def look(self, pid: int) -> None:
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                self.samples.append(
                    {
                        "pid": pid,
                        "descriptors": process.num_fds(),
                        "threads": process.num_threads(),
                        "rss_mib": round(process.memory_info().rss / 2**20, 1),
                    }
                )
        except psutil.Error:
            pass

    def growth(self) -> dict[str, float]:
        """How much the median grew within one process, from its first fifth to its last.

        Of the process that lived longest: a start is no growth.
        """
        pids = [sample["pid"] for sample in self.samples]
        if not pids:
            return {}
        longest = max(set(pids), key=pids.count)
        mine = [sample for sample in self.samples if sample["pid"] == longest]
        mine = mine[len(mine) // 5 :]  # it warms up first
        part = max(1, len(mine) // 5)
        return {
            name: round(
                statistics.median(s[name] for s in mine[-part:])
                - statistics.median(s[name] for s in mine[:part]),
                1,
            )
            for name in FLAT
        }

    def most(self) -> dict[str, float]:
        return {name: max((s[name] for s in self.samples), default=0) for name in FLAT}


def spool_size(folders: Folders) -> tuple[int, int]:
    """Files and bytes of what comes in; statuses stay for days and are counted apart."""
    files = [
        path
        for folder in (folders.jobs, folders.cancel, folders.requests, folders.mixtures)
        for path in folder.iterdir()
    ]
    total = 0
    for path in files:
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return len(files), total


def soak(minutes: float, least: int, model: str, seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    root = Path(tempfile.mkdtemp(prefix="tweeze-soak-"))
    folders = Folders(root / "home")
    folders.root.mkdir(mode=0o700)
    mixtures = [write_noise(root / f"{n}.wav", 4.0 + n, seed=n) for n in range(KINDS)]
    shutil.copy(mixtures[0], folders.root / "selection.wav")
    engine = Resident(folders, model=model, TWEEZE_OSC_PORT=environment_port())
    kinds = [Job(f"kind-{n}", mixtures[n], (f"slow {n}",)) for n in range(KINDS)]
    wanted = expected(kinds, root / "calm") if model == "stand-in" else {}
    watched = {"engine": Watch(), "worker": Watch()}
    answers: list[float] = []
    spools: list[tuple[int, int]] = []
    counts = dict.fromkeys(("done", "failed", "cancelled", "worker_kills", "engine_kills"), 0)
    waiting: dict[str, int] = {}
    began = time.monotonic()
    next_kill = rng.randint(*KILLS)
    number = ended = wrong = 0
    engine.start()
    desk = Desk(engine, "desk1")
    try:
        while True:
            elapsed = time.monotonic() - began
            enough = elapsed > minutes * 60 and number >= least
            while len(waiting) < BATCH and not enough:
                kind = number % KINDS
                id_ = f"soak-{number:06}"
                job = Job(id_, mixtures[kind], (f"slow {kind}",), client=f"c{number % 8}")
                engine.client.submit(job)
                waiting[id_] = kind
                number += 1
                if number % 25 == 0:
                    desk.say("separate", "slow rain", "desk1")
                if number % 40 == 0:
                    engine.client.cancel(id_)
            if enough and not waiting:
                break
            assert elapsed < minutes * 60 * 3 + 1800, f"jobs do not end: {sorted(waiting)[:5]}"
            for id_, kind in list(waiting.items()):
                status = engine.status(id_)
                if status is None or not status.state.final:
                    continue
                counts[status.state.value] += 1
                if status.state is JobState.DONE and wanted:
                    contents = [clip.path.read_bytes() for clip in status.clips]
                    wrong += contents != wanted[f"kind-{kind}"]
                elif status.state is JobState.FAILED:
                    wrong += "ended 3 times" not in status.message
                shutil.rmtree(folders.clips / id_, ignore_errors=True)
                del waiting[id_]
                ended += 1
            for name in desk.jobs():
                status = engine.status(name)
                if status is not None and status.state.final:
                    shutil.rmtree(folders.clips / name, ignore_errors=True)
            beat = engine.beat()
            watched["engine"].look(engine.process.pid)  # type: ignore[union-attr]
            if beat is not None and beat.worker:
                watched["worker"].look(beat.worker)
            if beat is not None and beat.running and not ended % 5:
                answers.append(desk.status())
            spools.append(spool_size(folders))
            if ended >= next_kill and not enough:
                pause(rng, 0.0, 1.0)
                next_kill = ended + rng.randint(*KILLS)
                # The engine lives through half of the time, so that what grows can be seen.
                if rng.random() < 0.15 and elapsed < minutes * 30:
                    desk.close()
                    engine.kill()
                    engine.start()
                    desk = Desk(engine, "desk1")
                    counts["engine_kills"] += 1
                else:
                    counts["worker_kills"] += kill_worker(engine)
            time.sleep(0.1)
        until(lambda: (b := engine.beat()) is not None and not b.running and not b.queue)
        left = spool_size(folders)[0]
    finally:
        desk.close()
        engine.stop()
    journal = Journal(folders.journal)
    known = journal.recent(1_000_000)
    unfinished = len(journal.unfinished())
    journal.close()
    half = [str(p) for p in folders.clips.rglob("*.part")]
    said = (folders.root / "said").read_text("utf-8", "replace")
    log = folders.log.read_text("utf-8", "replace")
    figures: dict[str, Any] = {
        "minutes": round((time.monotonic() - began) / 60, 1),
        "seed": seed,
        "model": model,
        "jobs": len(known),
        "ended": counts,
        "wrong_results": wrong,
        "unfinished": unfinished,
        "half_written": len(half),
        "tracebacks": said.count("Traceback") + log.count("Traceback"),
        "status_over_osc_median_ms": round(statistics.median(answers) * 1000, 1) if answers else 0,
        "spool_files_most": max(count for count, _ in spools),
        "spool_files_left": left,
        "status_files": sum(1 for _ in folders.status.iterdir()),
        "journal_bytes": folders.journal.stat().st_size,
        "growth": {name: watch.growth() for name, watch in watched.items()},
        "most": {name: watch.most() for name, watch in watched.items()},
        "samples": {name: len(watch.samples) for name, watch in watched.items()},
    }
    figures["broken"] = broken(figures)
    if figures["broken"]:
        print(f"Kept for a look: {root}")
    else:
        shutil.rmtree(root)
    return figures


def broken(figures: dict[str, Any]) -> list[str]:
    """What does not hold of that which the soak promises."""
    found = [
        f"{what}: {figures[what]}"
        for what in ("wrong_results", "unfinished", "half_written", "spool_files_left")
        if figures[what]
    ]
    for name, growth in figures["growth"].items():
        found += [
            f"{what} of the {name} grew by {growth[what]}"
            for what, most in FLAT.items()
            if growth and growth[what] > most
        ]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak")
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("SOAK_MINUTES", 30)))
    parser.add_argument("--jobs", type=int, default=None, help="at least so many")
    parser.add_argument("--model", choices=["stand-in", "compact"], default="stand-in")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    arguments = parser.parse_args()
    usual = 1000 if arguments.minutes >= 30 else 0
    least = usual if arguments.jobs is None else arguments.jobs
    figures = soak(arguments.minutes, least, arguments.model, arguments.seed)
    BUILD.mkdir(exist_ok=True)
    (BUILD / "soak.json").write_text(json.dumps(figures, indent=1))
    for name, value in figures.items():
        print(f"{name:28} {value}")
    return 1 if figures["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
