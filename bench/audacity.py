"""What the bridge to Audacity costs: everything but the separation, beside Audacity's own work.

`python -m bench.audacity [--runs N]` drives a real Audacity on a virtual screen. Each
run captures a selection and puts a clip of it back; beside it stand Audacity's own export and
import of the same range, in the same run.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from audacity.pipe import Pipe, command
from audacity.timeline import Place, capture
from engine.job import Placement
from engine.status import Clip, ClipKind
from tests.hosts.audacity.editor import Editor, Screen, only_one

RATE = 44100
PAUSE = 0.3  # seconds; in use, a separation lies between two connections


def one_run(folder: Path, seconds: float) -> tuple[float, float, float]:
    """Return the seconds of capture, of insertion, and of Audacity's own export and import."""
    time.sleep(PAUSE)
    began = time.perf_counter()
    with Pipe() as pipe:
        (captured,) = capture(pipe, folder, keepsake=folder / "keepsake")
    taken = time.perf_counter() - began
    place = Placement("audacity", captured.project, captured.track, captured.start, RATE)
    clip = Clip(captured.path, ClipKind.TARGET, "dog barking", "source - dog barking")

    time.sleep(PAUSE)
    began = time.perf_counter()
    with Pipe() as pipe, Place(pipe, place) as there:
        there.insert(clip)
    put = time.perf_counter() - began

    own = folder / "own.wav"
    with Pipe() as pipe:
        pipe.do("Undo:")
        began = time.perf_counter()
        pipe.do(command("Export2", Filename=own, NumChannels=2), timeout=120)
        pipe.do(command("Import2", Filename=own), timeout=120)
        bare = time.perf_counter() - began
        pipe.do("Undo:")
        pipe.do(command("SelectTracks", Track=0, TrackCount=1, Mode="Set"))
        pipe.do(command("SelectTime", Start=1.0, End=1.0 + seconds))
    captured.path.unlink()
    return taken, put, bare


def measure(editor: Editor, folder: Path, seconds: float, runs: int) -> None:
    """Print the medians for a stereo selection of that length."""
    source = folder / "source.wav"
    rng = np.random.default_rng(1)
    noise = rng.uniform(-0.3, 0.3, (round((seconds + 2) * RATE), 2)).astype("float32")
    soundfile.write(source, noise, RATE, subtype="FLOAT")
    editor.do("SelectAll:", "RemoveTracks:")
    editor.do(command("Import2", Filename=source))
    editor.do(command("SelectTime", Start=1.0, End=1.0 + seconds))
    rows = [one_run(folder, seconds) for _ in range(runs)]
    taken, put, bare = (statistics.median(column) for column in zip(*rows, strict=True))
    total = statistics.median(row[0] + row[1] for row in rows)
    print(
        f"audacity bridge, {seconds:.0f} s stereo, median of {runs}: {total:.2f} s "
        f"(capture {taken:.2f}, insert {put:.2f}); Audacity's own export + import {bare:.2f} s, "
        f"ratio {total / bare:.1f}",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    with only_one(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        screen = Screen()
        editor = Editor(screen, folder / "home")
        editor.prepare()
        try:
            editor.start()
            measure(editor, folder, 10, runs)
            measure(editor, folder, 300, max(3, runs // 3))
        finally:
            editor.stop()
            screen.close()


if __name__ == "__main__":
    main()
