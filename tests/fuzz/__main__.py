"""`make fuzz`: feeds every target for its share of the time, and says what was found.

    python -m tests.fuzz                          all targets, FUZZ_MINUTES (10) in all
    python -m tests.fuzz --target sounds          one of them
    python -m tests.fuzz --replay build/fuzz/...  one input again, in the open

Each target runs in a process of its own, whose memory is limited and which is ended when an input
takes too long; the input of that moment lies on disk beforehand, so that nothing is lost with the
process. What was found lies in `build/fuzz`; the figures lie in `build/fuzz.json`.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import json
import os
import random
import subprocess
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import psutil
from hypothesis import HealthCheck, Phase, given, seed, settings

from bridge.launch import stop
from engine.folders import Folders
from tests.fuzz.targets import TARGETS, Target, opened, room

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
FOUND = BUILD / "fuzz"
SLOW = 5.0  # seconds of a processor's time that one input may take
STUCK = 20.0  # seconds that it may sleep; waiting for a processor is not sleeping
READY = 900.0  # seconds that a target gets to be ready on a busy machine
LOOK = 0.2  # seconds between looks at a target's process
ROUND = 50  # inputs of each kind in a row
LIMIT = 20  # findings of one target, after which it is left


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--target", choices=TARGETS, action="append")
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("FUZZ_MINUTES", 10)))
    parser.add_argument("--seed", type=int, default=None, help="else another one each time")
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        name, number, seconds, folder = arguments.child
        return _child(name, int(number), float(seconds), Path(folder))
    if arguments.replay:
        return _replay(arguments.replay)
    return _all(arguments.target or list(TARGETS), arguments.minutes, arguments.seed)


def _all(names: list[str], minutes: float, number: int | None) -> int:
    number = random.SystemRandom().randrange(1 << 32) if number is None else number
    FOUND.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    report = []
    for index, name in enumerate(names):
        left = minutes * 60 - (time.monotonic() - began)
        share = max(1.0, left / (len(names) - index))
        cases, failures = _run(name, number, share)
        report.append({"name": name, "cases": cases, "failures": failures})
        print(f"{name:12}  {cases:9,} inputs  {failures} failures", flush=True)
    spent = (time.monotonic() - began) / 60
    figures = {"minutes": round(spent, 2), "seed": number, "targets": report}
    (BUILD / "fuzz.json").write_text(json.dumps(figures, indent=1) + "\n")
    return int(any(target["failures"] for target in report))


def _run(name: str, number: int, seconds: float) -> tuple[int, int]:
    """Run a target until its time is up, in as many processes as that takes."""
    deadline = time.monotonic() + seconds
    cases = failures = 0
    while failures < LIMIT:
        left = deadline - time.monotonic()
        if left < 0.5 and cases:
            break
        done, found, ended = _run_process(name, number + cases, max(left, 1.0))
        cases += done
        failures += found
        if ended:
            break
    return cases, failures


def _run_process(name: str, number: int, seconds: float) -> tuple[int, int, bool]:
    """Return inputs tried, findings, and whether the time is up."""
    with room() as place:
        folder = Path(place)
        current, tally = _notes(folder)
        words = FOUND / f"{name}.words"
        command = [sys.executable, "-m", "tests.fuzz", "--child", name, str(number), str(seconds)]
        with (
            words.open("w+", errors="replace") as file,
            subprocess.Popen(
                [*command, place], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=file
            ) as child,
        ):
            why = _watch(child, current)
            child.wait()
        stop(Folders(folder / "target" / "home"))  # what a killed process could not
        said = json.loads(tally.read_text()) if tally.exists() else {"cases": 0, "failures": 0}
        data = current.read_bytes() if current.exists() else b""
    told = words.read_text(errors="replace")[-3000:].strip()
    words.unlink()
    if not why and child.returncode == 0:
        return said["cases"], said["failures"], True
    if not why and child.returncode == 3:  # a finding that it could tell of itself
        print(told, flush=True)
        return said["cases"], said["failures"], False
    why = why or f"the process ended with {child.returncode}"
    print(_note(name, data, f"{why}\n{told}"), flush=True)
    return said["cases"] + 1, said["failures"] + 1, False


def _notes(folder: Path) -> tuple[Path, Path]:
    """Return where a target's process notes its input and its figures."""
    return folder / "now", folder / "tally"


def _watch(child: subprocess.Popen[bytes], current: Path) -> str:
    """Wait for a target's process; end it, and say why, if one input takes too long."""
    process = psutil.Process(child.pid)
    seen = 0  # when the input was noted
    used = asleep = 0.0  # a processor's seconds before it, seconds without asking for one since
    began = time.monotonic()
    while child.poll() is None:
        time.sleep(LOOK)
        try:
            times = process.cpu_times()
            sleeps = process.status() == psutil.STATUS_SLEEPING
            mark = current.stat().st_mtime_ns
        except FileNotFoundError:
            if time.monotonic() - began > READY:
                child.kill()
                return "it did not become ready"
            continue
        except psutil.Error:
            continue
        if seen != mark:
            seen, used, asleep = mark, times.user + times.system, 0.0
            continue
        asleep += LOOK * sleeps
        spent = times.user + times.system - used
        if spent > SLOW or asleep > STUCK:
            child.kill()
            return f"one input took {spent:.1f} s of a processor and slept for {asleep:.1f} s"
    return ""


def _child(name: str, number: int, seconds: float, folder: Path) -> int:
    faulthandler.enable()
    warnings.simplefilter("ignore", ResourceWarning)
    current, tally = _notes(folder)
    counts = {"cases": 0, "failures": 0}
    (folder / "target").mkdir()
    with opened(name, folder / "target") as target:
        _limit_memory(target.memory)
        deadline = time.monotonic() + seconds
        rng = random.Random(f"{name} {number}")

        def attempt(data: bytes) -> None:
            current.write_bytes(data)
            counts["cases"] += 1
            if counts["cases"] % 20 == 0:
                tally.write_text(json.dumps(counts))
            target.check(data)

        try:
            for data in target.seeds:
                attempt(data)
            while time.monotonic() < deadline:
                _generated(target, attempt, rng.randrange(1 << 32), deadline)
                for _ in range(ROUND):
                    attempt(target.make(rng))
                    if time.monotonic() > deadline:
                        break
        except Exception:
            counts["failures"] += 1
            print(_note(name, current.read_bytes(), traceback.format_exc()), file=sys.stderr)
            return 3
        finally:
            tally.write_text(json.dumps(counts))
            current.unlink(missing_ok=True)
    return 0


def _generated(target: Target, attempt: Any, number: int, deadline: float) -> None:
    """Try what the target's Hypothesis strategy makes; a finding comes in its least form."""

    @seed(number)
    @settings(
        max_examples=ROUND,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(target.strategy())
    def explore(data: bytes) -> None:
        if time.monotonic() < deadline:
            attempt(data)

    explore()


def _limit_memory(more: int) -> None:
    if sys.platform == "linux":
        import resource

        now = psutil.Process().memory_info().vms
        resource.setrlimit(resource.RLIMIT_AS, (now + more, now + more))


def _note(name: str, data: bytes, why: str) -> str:
    """Keep an input that did harm, and return what to say of it."""
    path = FOUND / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    path.with_suffix(".txt").write_text(why)
    again = f"{sys.executable} -m tests.fuzz --replay {path.relative_to(ROOT)}"
    return f"{why.strip()}\n{name}: {len(data)} bytes; again with:\n    {again}"


def _replay(path: Path) -> int:
    name = path.name.rpartition("-")[0]
    faulthandler.enable()
    faulthandler.dump_traceback_later(10 * SLOW, exit=True)
    with opened(name) as target:
        _limit_memory(target.memory)
        target.check(path.read_bytes())
    print(f"{path}: nothing wrong.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
