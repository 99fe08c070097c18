"""How fast libraries are indexed and searched: all of it generated, in one run.

    python -m bench.library [--events 1000000] [--hours 2] [FOLDER...]

Prints how many times faster than real time `tweeze index` listens, with one process and with one a
core, to generated WAV and FLAC files (or to the folders that are named); how much memory an
eight-hour recording takes; what a search takes in an index of a million events, by words and by an
example; and what `tweeze find` takes as a whole.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import soundfile

from bench.machine import machine
from engine.cores import threads
from engine.library.content import DIMENSIONS
from engine.library.hearers import Hearers
from engine.library.hearing import listener_mark
from engine.library.index import Index
from engine.library.indexing import update
from engine.library.likeness import Vectors, like
from engine.library.searching import Library, Wanted

RATE = 44_100
WORDS = ("dog", "animal", "music", "speech", "door", "vehicle", "bird singing")
EACH = 10  # events in a recording


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folders", nargs="*", type=Path)
    arguments.add_argument("--events", type=int, default=1_000_000)
    arguments.add_argument("--hours", type=float, default=2.0)
    arguments.add_argument("--long", type=float, default=8.0, help="hours of the long recording")
    given = arguments.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="tweeze-bench-") as folder:
        root = Path(folder)
        if given.hours:
            folders = given.folders or [recordings(root / "library", given.hours)]
            for count in sorted({1, threads()}):
                listening(root / f"{count}.sqlite", folders, count)
        if given.long:
            one_long(root, given.long)
        if given.events:
            searching(root, given.events)


def sound(seconds: float, seed: int) -> np.ndarray:
    """Return noise that comes and goes, and tones: `(frames, 2)`, float32."""
    noise = np.random.default_rng(seed)
    time_ = np.arange(round(seconds * RATE)) / RATE
    envelope = np.clip(np.sin(time_ * 0.7 + seed), 0, 1)
    tone = np.sin(2 * np.pi * noise.uniform(200, 2000) * time_) * np.clip(np.sin(time_ * 2.1), 0, 1)
    mono = 0.2 * envelope * noise.standard_normal(len(time_)) + 0.2 * tone
    return np.stack([mono, 0.7 * mono], axis=1).astype(np.float32)


def recordings(folder: Path, hours: float) -> Path:
    """Write a library: half of it minutes long, half of it a few seconds."""
    folder.mkdir()
    minutes = sound(60.0, 1)
    for number in range(round(hours * 3600 / 2 / 180)):
        ending = ("wav", "flac")[number % 2]
        parts = np.concatenate([np.roll(minutes, 997 * (number + part)) for part in range(3)])
        soundfile.write(folder / f"minutes-{number}.{ending}", parts, RATE, subtype="PCM_16")
    for number in range(round(hours * 3600 / 2 / 6)):
        ending = ("wav", "flac")[number % 2]
        part = np.roll(minutes, 1009 * number)[: 6 * RATE]
        soundfile.write(folder / f"seconds-{number}.{ending}", part, RATE, subtype="PCM_16")
    return folder


def listening(path: Path, folders: list[Path], count: int) -> None:
    with watched() as seen, Index(path, listener_mark()) as index, Hearers(count) as pool:
        summary = update(index, folders, pool)
    print(
        f"index, {count} processes: {summary.heard} files, {summary.seconds / 3600:.2f} h in "
        f"{summary.took:.1f} s: {summary.seconds / summary.took:.0f}x real time at a load of "
        f"{os.getloadavg()[0]:.1f}, {summary.seconds / seen.computed:.0f}x for each second that a "
        f"core computes; {path.stat().st_size / summary.seconds * 3600 / 1e6:.2f} MB an hour"
    )
    began = time.perf_counter()
    with Index(path, listener_mark()) as index, Hearers(count) as pool:
        update(index, folders, pool)
    print(f"index, nothing new: {time.perf_counter() - began:.2f} s")


def one_long(root: Path, hours: float) -> None:
    """Index one recording of many hours, and one of a few minutes; compare their memory."""
    minute = (sound(60.0, 3) * 32000).astype(np.int16)
    peaks = []
    for name, minutes in (("short", 5), ("long", round(60 * hours))):
        folder = root / name
        folder.mkdir()
        with soundfile.SoundFile(folder / "a.wav", "w", RATE, 2, "PCM_16", format="RF64") as file:
            for part in range(minutes):
                file.write(np.roll(minute, 997 * part, axis=0))
        path = root / f"{name}.sqlite"
        with watched() as seen, Index(path, listener_mark()) as index, Hearers(1) as pool:
            summary = update(index, [folder], pool)
        peaks.append(seen.memory)
        print(
            f"one recording of {minutes / 60:.1f} h: {summary.seconds / summary.took:.0f}x real "
            f"time, {seen.memory / 2**20:.0f} MiB at most in all processes"
        )
        (folder / "a.wav").unlink()
    print(f"memory, long over short: {peaks[1] / peaks[0]:.2f}")


@dataclass
class Seen:
    """What this process and its children took.

    Bytes at most, without what a decoder maps of a file, which the system may take back; and
    seconds of computing, on all cores.
    """

    memory: int = 0
    spent: dict[int, float] = field(default_factory=dict)

    @property
    def computed(self) -> float:
        return sum(self.spent.values())


@contextlib.contextmanager
def watched() -> Iterator[Seen]:
    """Look ten times a second at this process and its children."""
    seen, done = Seen(), threading.Event()
    own = psutil.Process()
    before = sum(own.cpu_times()[:2])

    def watch() -> None:
        while not done.wait(0.1):
            total = 0
            for process in (own, *own.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    about = process.memory_info()
                    total += about.rss - getattr(about, "shared", 0)
                    spent = sum(process.cpu_times()[:2])
                    seen.spent[process.pid] = spent - (before if process == own else 0)
            seen.memory = max(seen.memory, total)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def generated(path: Path, events: int) -> None:
    """Write an index of so many events, sounds as unlike in number as words in a text."""
    with Index(path, listener_mark()) as index:
        database = index._database
        dice = np.random.default_rng(7)
        contents = max(1, events // EACH)
        sounds = [row[0] for row in database.execute("SELECT id FROM sounds ORDER BY id")]
        dice.shuffle(sounds)
        shares = 1 / np.arange(1, len(sounds) + 1)
        chosen = dice.choice(sounds, (contents, EACH), p=shares / shares.sum())
        sure = dice.integers(20, 100, (contents, EACH))
        starts = np.sort(dice.integers(0, 60_000, (contents, EACH)), axis=1)
        lengths = dice.integers(50, 1500, (contents, EACH))
        database.execute("BEGIN")
        for number in range(1, contents + 1):
            row = number - 1
            database.execute(
                "INSERT INTO contents VALUES (?, ?, ?, ?, 2, ?, '')",
                (number, number.to_bytes(32, "big"), 700 * RATE, RATE, listener_mark()),
            )
            file = f"/library/{number // 1000:03d}/take {number % 1000}.wav"
            database.execute(
                "INSERT INTO files VALUES (?, ?, 1, 1, ?, '', 0, NULL)", (number, file, number)
            )
            database.execute("INSERT INTO paths (rowid, words) VALUES (?, ?)", (number, file))
            vectors = dice.integers(-127, 128, (EACH + 1) * DIMENSIONS, np.int8)
            database.execute("INSERT INTO vectors VALUES (?, ?)", (number, vectors.tobytes()))
            database.executemany(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        int(chosen[row, k]),
                        int(sure[row, k]),
                        number,
                        k + 1,
                        int(starts[row, k]),
                        int(starts[row, k] + lengths[row, k]),
                    )
                    for k in range(EACH)
                ],
            )
        database.execute("COMMIT")


def searching(root: Path, events: int) -> None:
    home = root / "home"
    home.mkdir()
    path = home / "library.sqlite"
    generated(path, events)
    print(f"an index of {events:,} events: {path.stat().st_size / 1e6:.0f} MB")
    cases = {
        "sure": Wanted(0.5),
        "all": Wanted(0.0),
        "long ones": Wanted(0.5, longer=14.9),
        "in a folder of 1000": Wanted(0.5, folder=Path("/library/017")),
        "in all folders": Wanted(0.5, folder=Path("/library")),
        "named": Wanted(0.5, named="take 17"),
        "in no folder": Wanted(0.0, folder=Path("/elsewhere")),
    }
    for name, wanted in cases.items():
        slowest = max((middle(partial(query, path, word, wanted)), word) for word in WORDS)
        print(f"find, {name}: {1000 * slowest[0]:.1f} ms at most ('{slowest[1]}')")
    with Library(path) as library:
        began = time.perf_counter()
        vectors = Vectors.of(library)
        print(f"like, the first time: {time.perf_counter() - began:.2f} s for the vectors")
        place = np.random.default_rng(1).standard_normal(DIMENSIONS).astype(np.float32)
        for name, wanted in (
            ("everywhere", Wanted()),
            ("in a folder", cases["in a folder of 1000"]),
        ):
            took = middle(partial(nearest, library, place, wanted))
            print(f"like, {name}: {1000 * took:.1f} ms for {len(vectors.rows):,} vectors")
    environment = {**os.environ, "TWEEZE_HOME": str(home)}
    words = [sys.executable, "-m", "bridge.cli", "find", "dog"]
    whole = middle(lambda: subprocess.run(words, env=environment, check=True, capture_output=True))
    bare = middle(lambda: subprocess.run([sys.executable, "-c", ""], check=True))
    print(
        f"'tweeze find dog', all of it: {1000 * whole:.0f} ms; Python alone: {1000 * bare:.0f} ms"
    )


def nearest(library: Library, place: np.ndarray, wanted: Wanted) -> None:
    like(library, Vectors.of(library), place, wanted, 50)


def query(path: Path, word: str, wanted: Wanted) -> None:
    with Library(path) as library:
        meant = library.meant(word)
        assert meant is not None
        library.moments(meant.sounds, wanted, 50)


def middle(work: Callable[[], object], times: int = 5) -> float:
    """Return the median of what some work takes, in seconds, after a first time."""
    work()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


if __name__ == "__main__":
    main()
