"""An Audacity that notes down what goes in, in the file `timeline`, beside an engine that dies.

The engine is the real one, but for the pipe and for the moment at which it is killed: when a clip
is about to be claimed (`ready`), when it is claimed, when it went in, or when that is settled.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from audacity import insertion
from bridge import app
from engine.job import Placement
from engine.queue.journal import Insertion, Journal
from engine.status import Clip

__all__ = ["take_the_place"]


def take_the_place(home: Path, moment: str) -> None:
    """Put this editor into the place of Audacity; `moment` may be none of those above."""

    def pass_by(here: str) -> None:
        if here == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    class Pipe(contextlib.AbstractContextManager["Pipe"]):
        def __exit__(self, *exception: object) -> None:
            pass

    class Place(contextlib.AbstractContextManager["Place"]):
        in_doubt = False

        def __init__(self, pipe: Pipe, placement: Placement, *, known: object) -> None:
            pass

        def __exit__(self, *exception: object) -> None:
            pass

        def insert(self, clip: Clip, *, mute: bool = False) -> None:
            pass_by("claimed")
            with (home / "timeline").open("a") as file:
                file.write(f"{clip.name}\n")
            pass_by("inserted")

    class Dying(Journal):
        def claim(self, id: str, clip: int, *, again: bool = False) -> bool:  # noqa: A002
            pass_by("ready")
            return super().claim(id, clip, again=again)

        def settle(self, id: str, clip: int, outcome: Insertion) -> None:  # noqa: A002
            super().settle(id, clip, outcome)
            pass_by("settled")

    async def notify(sentence: str) -> None:
        with (home / "told").open("a") as file:
            file.write(f"{sentence}\n")

    insertion.Pipe = Pipe  # type: ignore[assignment, misc]
    insertion.Place = Place  # type: ignore[assignment, misc]
    app.Journal = Dying  # type: ignore[misc]
    app.notify = notify
