"""A worker with a stand-in model whose query says how it misbehaves. Spawned processes import it.

A query with `hold` makes the model wait, at its third segment, for as long as the file `hold` is in
the home folder; with `crash` its process ends there; with `freeze` it stops itself, once; with
`read far` it reads the file `far` in the home folder.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from multiprocessing.connection import Connection

import numpy as np
from listeners import SPEECH_LAST, NoSpeech, Tones

from engine.advice import presence
from engine.advice.listening import listen
from engine.errors import ModelBroken
from engine.folders import Folders
from engine.models.base import FloatArray, FrameGrid, Model
from engine.queue import worker
from engine.sound.separate import separate


class StandIn:
    """Takes a share of the mixture that depends on nothing but the query."""

    name = "compact"
    frame_grid = FrameGrid(32000, 2048, 640, block=16, context=16, core=64)

    def __init__(self, folders: Folders) -> None:
        self._root = folders.root
        self._query = ""
        self._masks = 0

    def embed(self, query: str) -> FloatArray:
        self._query = query
        self._masks = 0
        digest = hashlib.sha256(query.encode()).digest()
        return np.frombuffer(digest, np.uint8)[:4].astype(np.float32) / 255

    def mask(
        self, magnitude: FloatArray, vectors: FloatArray, rms: float, keep: slice
    ) -> FloatArray:
        self._masks += 1
        if self._masks == 3:
            self._misbehave()
        return np.stack([np.full(magnitude.shape, vector[0], np.float32) for vector in vectors])

    def _misbehave(self) -> None:
        if "hold" in self._query and (self._root / "hold").exists():
            (self._root / ".held").write_text(str(os.getpid()))
            (self._root / ".held").replace(self._root / "held")
            while (self._root / "hold").exists():
                time.sleep(0.005)
        if "read far" in self._query:
            (self._root / "far").read_bytes()
        if "crash" in self._query:
            os._exit(3)
        if "freeze" in self._query and not (self._root / "frozen").exists():
            (self._root / "frozen").touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        if "memory" in self._query:
            raise MemoryError
        if "allocate" in self._query:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        if "bug" in self._query:
            raise ZeroDivisionError("secret\ndetails")


class HearingStandIn(StandIn):
    """Finds a sound whose query says `gone` absent, all others present in the first two blocks."""

    def embed(self, query: str) -> FloatArray:
        return np.append(super().embed(query), np.float32("gone" not in query))

    def mask_with_presence(
        self, magnitude: FloatArray, vectors: FloatArray, rms: float, keep: slice
    ) -> tuple[FloatArray, FloatArray]:
        mask = self.mask(magnitude, vectors, rms, keep)
        blocks = -(-(keep.stop - keep.start) // self.frame_grid.block)
        presence = np.zeros((len(vectors), blocks), np.float32)
        presence[:, :2] = np.where(vectors[:, -1:] > 0, np.float32(0.931), np.float32(0.02))
        return mask, presence


class StandInEars(Tones):
    """Hears a dog, and perhaps rain, in anything."""

    def levels(self, part: FloatArray) -> list[float]:
        return [0.876, 0.0, 0.125]


def load(name: str, folders: Folders) -> Model:
    return NoSpeech("ears", labels=SPEECH_LAST) if name == "ears" else StandIn(folders)


def load_hearing(name: str, folders: Folders) -> Model:
    return StandInEars() if name == "ears" else HearingStandIn(folders)


def load_the_second_time(name: str, folders: Folders) -> Model:
    if not (folders.root / "asked").exists():
        (folders.root / "asked").touch()
        raise ModelBroken("The weights are damaged.")
    return load(name, folders)


def main(connection: Connection, folders: Folders) -> None:
    presence.is_fitted = lambda: False  # to the bundled models it is, not to these
    worker.serve(connection, folders, load=load, separate=separate, listen=listen)


def hearing_main(connection: Connection, folders: Folders) -> None:
    presence.is_fitted = lambda: False
    worker.serve(connection, folders, load=load_hearing, separate=separate, listen=listen)


def second_time_main(connection: Connection, folders: Folders) -> None:
    worker.serve(connection, folders, load=load_the_second_time, separate=separate, listen=listen)
