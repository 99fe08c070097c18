"""The stand-in model's misbehaviour under faults, in the worker process.

Words in the query say what happens:

`slow`       each segment takes 20 ms
`unclaimed`  the worker is killed when all clips lie there and it has not said so, once
`between`    it is killed between the names of two clips, once
`hungry`     segments of more than 32 frames find no memory
`starved`    no segment does
`gorge`      segments of more than 32 frames take 256 MiB, from the third on

For as long as the file `hold-load` lies in the home folder, the model loads. Each separated
segment's length in frames is added to the file `segments`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import standins
from standins import load as usual

from engine.folders import Folders
from engine.job import Job
from engine.models.base import FloatArray
from engine.models.base import Model as AnyModel
from engine.sound.separate import separate
from engine.status import Clip


class Model(standins.StandIn):
    def mask(
        self, magnitude: FloatArray, vectors: FloatArray, rms: float, keep: slice
    ) -> FloatArray:
        # The test may have made the disk full or read-only.
        with contextlib.suppress(OSError), (self._root / "segments").open("a") as file:
            file.write(f"{keep.stop - keep.start}\n")
        if "slow" in self._query:
            time.sleep(0.02)
        frames = keep.stop - keep.start
        if "starved" in self._query or ("hungry" in self._query and frames > 32):
            if "torch" in self._query:
                raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
            raise MemoryError
        found = super().mask(magnitude, vectors, rms, keep)
        if "gorge" in self._query and frames > 32 and self._masks >= 3:
            np.ones(64 << 20, np.float32)
        return found


def load(name: str, folders: Folders) -> AnyModel:
    if (folders.root / "hold-load").exists():
        (folders.root / "loading").write_text(str(os.getpid()))
        while (folders.root / "hold-load").exists():
            time.sleep(0.01)
    return usual(name, folders) if name == "ears" else Model(folders)


def once(folder: Path, name: str) -> bool:
    """Whether it is the first time, even over deaths."""
    try:
        (folder / name).open("x").close()
    except FileExistsError:
        return False
    return True


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _separate(job: Job, separator: Any, folder: Path, **more: Any) -> tuple[Clip, ...]:
    root = folder.parent.parent
    plain = Path.replace
    if "between" in job.queries[0]:

        def replace(self: Path, target: Any) -> Path:
            done = plain(self, target)
            if str(target).endswith(".wav") and once(root, f"between-{job.id}"):
                die()
            return done

        Path.replace = replace  # type: ignore[method-assign]
    try:
        clips = separate(job, separator, folder, **more)
    finally:
        Path.replace = plain  # type: ignore[method-assign]
    if "unclaimed" in job.queries[0] and once(root, f"unclaimed-{job.id}"):
        die()
    return clips


def main(connection: Connection, folders: Folders) -> None:
    """What the worker process runs."""
    standins.load, standins.separate = load, _separate
    standins.main(connection, folders)
