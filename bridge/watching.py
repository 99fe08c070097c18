"""`tweeze watch`: separates what comes into folders, until somebody stops it."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bridge.batching import EngineSeparating
from bridge.interruption import Interruption
from engine.display import shown
from engine.errors import BadInput, TweezeError
from engine.folders import Folders
from engine.library.batch import Batch, Told
from engine.library.finding import Found, LeftOut, find
from engine.library.items import Item
from engine.library.manifest import State
from engine.library.watching import Settling

__all__ = ["Watch"]

_LOOK = 1.0  # seconds between looks
_PATIENCE = 30.0  # seconds until what failed as a whole is tried again


@dataclass
class Watch:
    """Folders, and what to do with each recording that comes into them.

    Attributes
    ----------
    places
        The folders.
    out
        Where the clips go.
    item
        Makes an item of a recording.
    recursive, include, exclude
        See `engine.library.finding.find`.
    sure
        See `engine.library.batch.Batch`.
    settle
        Seconds that a file must stay as it is to count as whole.
    notify
        Says a sentence on the desktop, too.

    """

    places: Sequence[Path]
    out: Path
    item: Callable[[Found], Item]
    recursive: bool = False
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    sure: float = 0.0
    settle: float = 5.0
    notify: Callable[[str], None] = lambda sentence: None

    def run(self) -> None:
        """Go on until a signal comes; one line a recording on standard error.

        Raises
        ------
        BadInput
            A folder is not there in the beginning, or the results would go among the recordings.
        Interrupted
            A signal came.

        """
        self.out.mkdir(parents=True, exist_ok=True)
        for one in self.places:
            if not one.is_dir():
                raise BadInput(f"There is no folder {one}: check the path.")
        list(self._found())  # what cannot be is said before anything is waited for
        settling = Settling(self.settle)
        where = ", ".join(str(place) for place in self.places)
        _say(f"Watching {where}: Ctrl-C ends it.")
        missing: set[Path] = set()
        with Interruption() as interruption:
            while True:
                gone = {place for place in self.places if not place.is_dir()}
                for place in gone - missing:
                    _say(f"{place} is gone: waiting for it to come back.")
                for place in missing - gone:
                    _say(f"{place} is back.")
                missing = gone
                whole = list(settling.whole(self._found()))
                if whole and not self._separate(whole, interruption):
                    for file in whole:
                        settling.again(file.path)
                    time.sleep(_PATIENCE)
                time.sleep(_LOOK)

    def _found(self) -> Iterator[Found | LeftOut]:
        there = [place for place in self.places if place.is_dir()]
        if not there:
            return
        with contextlib.suppress(FileNotFoundError):
            for one in find(
                there,
                recursive=self.recursive,
                include=self.include,
                exclude=self.exclude,
                apart=[self.out],
            ):
                if isinstance(one, Found) or one.fault:
                    yield one

    def _separate(self, whole: Sequence[Found | LeftOut], interruption: Interruption) -> bool:
        """Separate what is whole; False if nothing could be done, and it is to be tried again."""
        asked = [one if isinstance(one, LeftOut) else self.item(one) for one in whole]
        for one in asked:
            if isinstance(one, LeftOut):
                _say(one.sentence)
        if not any(isinstance(one, Item) for one in asked):
            return True
        try:
            Batch(self.out, self.sure).run(
                asked,
                EngineSeparating(Folders.of_user(), self.out),
                told=self._told,
                shield=interruption.shield,
            )
        except TweezeError as error:
            _say(f"{error} It is tried again in {_PATIENCE:.0f} s.")
            return False
        return True

    def _told(self, told: Told) -> None:
        sentence = _sentence(told)
        _say(sentence)
        self.notify(sentence)


def _sentence(told: Told) -> str:
    """Return the one sentence on a recording."""
    name = told.item.found.path.name
    failed = next((row for row in told.rows if row.state == State.FAILED.value), None)
    if failed is not None:
        return f"{name} failed: {failed.error}"
    heard = []
    for row in told.rows:
        sure = "" if row.certainty is None else f" ({row.certainty:.0%} sure)"
        if row.state == State.DONE.value:
            heard.append(f"{row.clip}{sure}")
        else:
            heard.append(f"'{row.query}' is not likely enough{sure}")
    return f"{name}: {', '.join(heard)}."


def _say(sentence: str) -> None:
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
    print(f"{now} {shown(sentence)}", file=sys.stderr, flush=True)
