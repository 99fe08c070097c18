"""Listening on many machines; see `engine.library.crew` for how the work is spread."""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from engine.library.content import Content
from engine.library.crew import Crew, Pace, Piece
from engine.library.hearers import Asked, Came, Item, Known, News, Refused, Told
from engine.library.hearing import check_unchanged, digest_of, hear, listener_mark, why_not

__all__ = ["ClusterHearers", "Ears"]

_Answer: TypeAlias = "bytes | Content | Refused"


class Ears:
    """What listens on one machine of a cluster: digests and hears one file after the other.

    `share` may be called from another thread meanwhile.
    """

    def __init__(self) -> None:
        from engine.models import ears

        self._listener, self._mark = ears.load(), listener_mark()
        self._seconds = 0.0

    def ready(self) -> str:
        """Return this machine's name, once the process can work."""
        return socket.gethostname()

    def share(self) -> float:
        """Return how many seconds of the file at hand were heard."""
        return self._seconds

    def digest(self, item: Item) -> bytes | Refused:
        """Return the digest of a file's bytes, or why there is none."""
        self._seconds = 0.0
        try:
            return digest_of(item.path)
        except Exception as error:
            return Refused(item, *why_not(item.path, error))

    def hear(self, item: Item, digest: bytes) -> Content | Refused:
        """Return what is heard in a file, or why nothing is."""
        self._seconds = 0.0
        try:
            heard = hear(item.path, digest, self._listener, self._mark, self._at)
            check_unchanged(item.path, item.size, item.mtime_ns)
        except Exception as error:
            return Refused(item, *why_not(item.path, error))
        return heard

    def _at(self, seconds: float) -> None:
        self._seconds = seconds


@dataclass
class _Hearing(Piece):
    item: Item | None = None
    digest: bytes = b""  # none as long as nobody asked for it


class ClusterHearers(Crew[_Hearing, "_Answer"]):
    """Listens on the machines of a cluster, as `engine.library.hearers.Hearers` does on this one.

    Parameters
    ----------
    ray, on_note, pace
        See `engine.library.crew.Crew`.
    worker
        The class of the actors; tests have their own.

    """

    def __init__(
        self,
        ray: Any,
        *,
        on_note: Callable[[str], None] = lambda note: None,
        worker: type = Ears,
        pace: Pace | None = None,
    ) -> None:
        super().__init__(ray, worker, cores=1, on_note=on_note, pace=pace)
        self._told: deque[Told] = deque()

    def over(
        self, items: Iterable[Item], every: float = 0.5, idle: Callable[[], None] = lambda: None
    ) -> Iterator[News]:
        """Hear files, and yield what comes of each, in the order in which they are done.

        `idle` is called several times a second (`every` is for `Hearers`); it may raise.

        Raises
        ------
        Failure
            No process starts.

        """
        pieces = (_Hearing(item=item) for item in items)
        with contextlib.closing(self.answers(pieces, idle)) as answers:
            for piece, answer in answers:
                item = piece.item
                assert item is not None
                while self._told:
                    yield self._told.popleft()
                if isinstance(answer, bytes):
                    known: list[bool] = []
                    yield Asked(item, answer, known.append)
                    if any(known):
                        yield Known(item, answer)
                    else:
                        piece.digest = answer
                        self.add(piece)
                elif isinstance(answer, Content):
                    yield Came(item, answer)
                else:
                    yield answer

    def begin(self, actor: Any, piece: _Hearing) -> Any:
        """Have an actor digest a file first, and then hear it."""
        if piece.digest:
            return actor.hear.remote(piece.item, piece.digest)
        return actor.digest.remote(piece.item)

    def complaint(self, answer: _Answer) -> str:
        """Return why a file could not be heard, if it is not to blame itself."""
        return answer.sentence if isinstance(answer, Refused) and answer.passing else ""

    def given_up(self, piece: _Hearing) -> Refused:
        """Return what becomes of a file over which too many processes ended."""
        assert piece.item is not None
        sentence = (
            f"{piece.item.path} was begun {piece.deaths} times, and each time the process that "
            "listens ended: export the file again."
        )
        return Refused(piece.item, sentence, passing=True)

    def moved(self, piece: _Hearing, share: float) -> None:
        """Take note of how many seconds of a file were heard."""
        if piece.item is not None:
            self._told.append(Told(piece.item, share))
