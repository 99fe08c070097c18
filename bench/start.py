"""How long a command takes to start: `python -m bench.start [ROUNDS]`, interleaved, in one run.

Prints the median of the wall clock and of the processor's time, and how many starts of a bare
Python that is. The home is empty and no engine runs, so what is measured is the start alone;
`import torch` stands for what a command would take that loaded a model itself.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

PYTHON = [sys.executable, "-c"]
TWEEZE = [sys.executable, "-m", "bridge.cli"]
COMMANDS = {
    "python -c pass": [*PYTHON, "pass"],
    "tweeze --help": [*TWEEZE, "--help"],
    "tweeze status": [*TWEEZE, "status"],
    "tweeze cancel x": [*TWEEZE, "cancel", "x"],
    "tweeze find dog": [*TWEEZE, "find", "dog"],
    "tweeze separate --help": [*TWEEZE, "separate", "--help"],
    "tweeze models": [*TWEEZE, "models"],
    "import torch": [*PYTHON, "import torch"],
}


def timed(command: list[str], home: str) -> tuple[float, float]:
    """Return the seconds of the wall clock and of the processor that a command takes."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        command, env={**os.environ, "TWEEZE_HOME": home}, capture_output=True, timeout=60
    )
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(rounds: int) -> None:
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as home:
        for each in range(rounds + 1):
            for name, command in COMMANDS.items():
                once = timed(command, home)
                if each:  # the first round warms the files
                    taken[name].append(once)
    bare = statistics.median(busy for _, busy in taken["python -c pass"])
    for name, times in taken.items():
        wall, busy = (statistics.median(column) for column in zip(*times, strict=True))
        least = min(row[0] for row in times)
        print(
            f"{name:24}{wall:6.3f} s (least {least:.3f}), processor {busy:.3f} s, "
            f"{busy / bare:4.0f} x"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
