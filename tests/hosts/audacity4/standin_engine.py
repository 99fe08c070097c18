"""A resident engine, real but for its models (tests/support); its listener knows tones.

A query with `hold` makes the separator wait for as long as the file `hold` is in the home folder.
"""

from __future__ import annotations

import functools
from multiprocessing.connection import Connection

import standins
from listeners import SPEECH_LAST, Tones

from bridge import app
from engine.advice import presence
from engine.advice.listening import listen
from engine.folders import Folders
from engine.models.base import FloatArray, Model
from engine.queue import worker
from engine.queue.service import Service
from engine.sound.separate import separate


class Ears(Tones):
    """Hears tones, and nobody who speaks."""

    def hear(self, samples: FloatArray) -> FloatArray:
        out = super().hear(samples)
        out[:, self.labels.index("Speech")] = 0.0
        return out


def load(name: str, folders: Folders) -> Model:
    return Ears("ears", labels=SPEECH_LAST) if name == "ears" else standins.load(name, folders)


def main(connection: Connection, folders: Folders) -> None:
    presence.is_fitted = lambda: False  # to the bundled models it is, not to these
    worker.serve(connection, folders, load=load, separate=separate, listen=listen)


if __name__ == "__main__":
    app.Service = functools.partial(Service, worker_main=main)  # type: ignore[misc]
    app.main()
