"""Every figure that README and docs quote, in one go: `make bench`, or `python -m bench [NAME...]`.

    python -m bench --list
    python -m bench start audiosep
    python -m bench --with STORE=~/store --with CHECKOUT=../before

Runs the benches one after the other, each in a process of its own, and prints what they print; a
copy goes to `build/bench.txt`. A bench that needs something of yours (a corpus, another checkout,
recordings) runs where `--with` names it, and is listed as not run otherwise. Figures are ratios
within one run: leave the machine alone meanwhile, and quote them with the line on the processor.
Benches have a home folder of Tweeze's of their own: nothing in yours is changed.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from bench.machine import machine

ROOT = Path(__file__).parents[1]
LIMIT = 2 * 3600  # seconds that one bench may take
_ASKED = re.compile(r"[A-Z]{3,}")  # an argument that stands for something of the user's


@dataclass(frozen=True)
class Bench:
    """One command.

    Attributes
    ----------
    command
        Module and arguments, as after `python -m`; words in capitals stand for what `--with` names.
    says
        What it measures.

    """

    command: str
    says: str

    @property
    def name(self) -> str:
        """What it is called here: its module, or a command of Tweeze's."""
        module, command = self.command.split()[:2] if " " in self.command else (self.command, "")
        return command if module == "bridge.cli" else module.rpartition(".")[2]

    @property
    def asks(self) -> list[str]:
        """What of the user's it needs."""
        return [word for word in self.command.split() if _ASKED.fullmatch(word)]


BENCHES = (
    Bench("bench.start 7", "how long commands take to start"),
    Bench("bench.engine", "speed and memory of `compact`"),
    Bench("bench.adjust", "answering again from kept masks"),
    Bench("bench.audacity", "the bridge beside Audacity's own work"),
    Bench("bench.panel --minutes 60", "the panel in a browser"),
    Bench("bench.library", "an index, and searching it"),
    Bench("bench.cluster --compact 30", "what many machines cost and gain"),
    Bench("bench.audiosep speed", "AudioSep against its published code"),
    Bench("bench.audiosep memory", "the memory of AudioSep"),
    Bench("bench.roofline", "how far AudioSep is from what the processor can"),
    Bench("bench.int8", "what 8 bits do to trained weights"),
    Bench("bench.speech speed", "DeepFilterNet's speed"),
    Bench("bench.stems speed", "Spleeter's speed"),
    Bench("bench.against CHECKOUT", "whole jobs against another checkout"),
    Bench("bench.speech quality SPEECH NOISE", "how good DeepFilterNet is"),
    Bench("bench.speech mask SPEECH NOISE --each 1", "what a mask of it loses"),
    Bench("bench.stems quality --singing SINGING --over OVER", "how good Spleeter is"),
    Bench(
        "bench.beside STORE --count 100",
        "what speech that competes unasked gains",
    ),
    Bench("bench.candidates STORE", "how often the best word is found"),
    Bench("bench.competition STORE", "how much competing sounds should take from each other"),
    Bench(
        "bridge.cli evaluate compact --store STORE --pairs 200 --seed 2026 --told",
        "how good `compact` is",
    ),
    Bench(
        "bridge.cli evaluate compact --store STORE --pairs 60", "the same on fewer, beside the next"
    ),
    Bench(
        "bridge.cli evaluate compact --store STORE --pairs 60 --twice", "what asking twice gains"
    ),
    Bench(
        "bridge.cli evaluate compact --store STORE --route --pairs 60",
        "`compact` at what specialists do",
    ),
    Bench(
        "bridge.cli evaluate deepfilternet --store STORE --route --pairs 60",
        "DeepFilterNet at the same",
    ),
    Bench(
        "engine.training.versus STORE engine/models/compact --plain --sets unseen --pairs 100",
        "what the nearest known words gain where one is unknown",
    ),
    Bench("engine.training.by_example STORE", "how well a sound does as a query"),
    Bench("engine.training.words", "where unknown words land"),
    Bench(
        "engine.training.presence STORE --measure --held-out 70", "whether it knows what is there"
    ),
    Bench("engine.training.naming STORE --teacher TEACHER", "how often `tweeze listen` is right"),
)


def main() -> int:
    """Run what is asked for; 1 if a bench failed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; all without")
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    parser.add_argument(
        "--with",
        dest="given",
        action="append",
        default=[],
        metavar="WORD=PATH",
        help="what a word in capitals stands for, of those that --list shows",
    )
    asked = parser.parse_args()
    unknown = set(asked.names) - {bench.name for bench in BENCHES}
    if unknown:
        parser.error(f"There is no bench {min(unknown)}: see --list.")
    if not all("=" in words for words in asked.given):
        parser.error("--with takes WORD=PATH, such as STORE=corpus.")
    given = dict(words.split("=", 1) for words in asked.given)
    strange = set(given) - {word for bench in BENCHES for word in bench.asks}
    if strange:
        parser.error(f"No bench asks for {min(strange)}: see --list.")
    chosen = [bench for bench in BENCHES if not asked.names or bench.name in asked.names]
    if asked.list:
        for bench in chosen:
            print(f"python -m {bench.command}\n    {bench.says}")
        return 0
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / "bench.txt").open("w", encoding="utf-8") as copy:
        return run(chosen, given, copy)


def run(chosen: list[Bench], given: dict[str, str], copy: TextIO) -> int:
    """Run benches, printing what they print, also into a file; 1 if one failed."""

    def say(text: str) -> None:
        print(text, flush=True)
        print(text, file=copy, flush=True)

    say(machine())
    with tempfile.TemporaryDirectory(prefix="tweeze-bench-") as home:
        return _all_of(chosen, given, Path(home), say)


def _all_of(
    chosen: list[Bench], given: dict[str, str], home: Path, say: Callable[[str], None]
) -> int:
    failed, left = [], []
    for bench in chosen:
        if not set(bench.asks) <= given.keys():
            left.append(bench)
            continue
        words = [
            str(Path(given[word]).expanduser().resolve()) if word in bench.asks else word
            for word in bench.command.split()
        ]
        say(f"\n$ python -m {bench.command}")
        began = time.monotonic()
        code = _carried_out(words, home, say)
        say(f"({time.monotonic() - began:.0f} s{'' if code == 0 else f', FAILED with {code}'})")
        if code:
            failed.append(bench)
    for bench in left:
        needs = ", ".join(word for word in bench.asks if word not in given)
        say(f"\nNOT RUN for want of --with {needs}: python -m {bench.command}")
    for bench in failed:
        say(f"\nFAILED: python -m {bench.command}")
    return 1 if failed else 0


def _carried_out(words: list[str], home: Path, say: Callable[[str], None]) -> int:
    """Run `python -m WORDS`, telling each line as it comes; return the exit code."""
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONUNBUFFERED": "1", "TWEEZE_HOME": str(home)},
    )
    assert process.stdout is not None
    limit = threading.Timer(LIMIT, process.kill)
    limit.start()
    with process:
        try:
            for line in process.stdout:
                say(line.rstrip("\n"))
            return process.wait()
        finally:
            limit.cancel()


if __name__ == "__main__":
    sys.exit(main())
