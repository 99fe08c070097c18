"""A batch: many recordings, each separated on its own, until all are done, failed or left out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from engine.errors import Failure
from engine.library.estimate import Estimate
from engine.library.finding import LeftOut
from engine.library.items import Item
from engine.library.ledger import Ledger
from engine.library.manifest import Manifest, Row, State, write_parquet
from engine.library.outcome import Outcome
from engine.library.publishing import publish

__all__ = ["MANIFEST", "Batch", "Separating", "Told", "row_of"]

MANIFEST = "tweeze-batch.csv"
"""The manifest's name, in the folder that the clips go to."""
_PARQUET = "tweeze-batch.parquet"


class Separating(Protocol):
    """What separates items: the user's engine, or the machines of a cluster."""

    def run(self, items: Iterable[Item]) -> Generator[Outcome, None, None]:
        """Separate items, and yield what became of each, in whatever order they are done.

        It begins with an item only when it has room for it. Whoever leaves the iterator early
        finds nothing running any more.

        Raises
        ------
        TweezeError
            No item can be separated any more.

        """


@dataclass(frozen=True)
class Told:
    """What is told of a batch while it goes on.

    Attributes
    ----------
    item
        The one that is finished.
    rows
        What the manifest says of it.
    notes
        Sentences for the user.
    estimate
        How far the batch is.

    """

    item: Item
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    estimate: Estimate


@dataclass
class Batch:
    """Items and their results in one folder; `run` goes on where an earlier one stopped.

    Attributes
    ----------
    folder
        Where the clips go, in the folders that their recordings lie in; the manifest lies there.
    sure
        How likely a sound must be there for its clip to be kept.
    counts
        How many items ended in each state, in this run; `already` are those that were done before,
        and `lost` the clips of these that are no longer there.

    """

    folder: Path
    sure: float = 0.0
    counts: dict[State, int] = field(default_factory=lambda: dict.fromkeys(State, 0))
    already: int = 0
    lost: int = 0

    def run(
        self,
        asked: Sequence[Item | LeftOut],
        separating: Separating,
        *,
        told: Callable[[Told], None] = lambda told: None,
        begun: Callable[[Estimate], None] = lambda estimate: None,
        shield: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
    ) -> None:
        """Do what is asked for and was not done yet.

        Parameters
        ----------
        asked
            Items, and what was left out of them, for the manifest.
        separating
            What separates.
        told
            Called after each item.
        begun
            Called once, before the first.
        shield
            Makes what must not be interrupted in its middle a matter of all or nothing.

        Raises
        ------
        BadInput
            The folder cannot be used, or another batch writes there.
        Failure
            The disk refuses. What was done stays done.
        TweezeError
            What `separating` raises.

        """
        items = {item.key: item for item in asked if isinstance(item, Item)}
        left = [one for one in asked if isinstance(one, LeftOut)]
        for one in left:
            self.counts[_state(one)] += 1
        with contextlib.closing(Ledger(self.folder)) as ledger:
            manifest = Manifest(self.folder / MANIFEST)
            waiting = {
                key: item
                for key, item in items.items()
                if not ledger.is_done(key, item.found, self.sure)
            }
            self.already = len(items) - len(waiting)
            self.lost = sum(
                bool(row.clip) and not (self.folder / row.clip).exists()
                for key in items.keys() - waiting.keys()
                for row in ledger.rows_of(key)
            )
            estimate = Estimate.of(waiting.values())
            try:
                manifest.rewrite([*ledger.rows(), *map(row_of, left)])
                begun(estimate)
                with contextlib.closing(separating.run(waiting.values())) as outcomes:
                    for outcome in outcomes:
                        item = waiting[outcome.key]
                        with shield():
                            rows = publish(ledger, item, outcome, sure=self.sure)
                            manifest.append(rows)
                            self._count(rows)
                            estimate.add(item, outcome.seconds)
                            told(Told(item, rows, outcome.notes, estimate))
            except BrokenPipeError:
                raise  # whoever is told has gone; the manifest is no pipe
            except OSError as error:
                raise Failure(
                    f"The manifest {manifest.path} cannot be written ({error.strerror or error}): "
                    "check the disk and run the command again; it goes on where it stopped."
                ) from error
            finally:
                manifest.close()
                with contextlib.suppress(OSError):
                    every = [*ledger.rows(), *map(row_of, left)]
                    manifest.rewrite(every)
                    write_parquet(self.folder / _PARQUET, every)

    def _count(self, rows: Iterable[Row]) -> None:
        states = {row.state for row in rows}
        for state in (State.FAILED, State.DONE, State.NOT_HEARD):
            if state.value in states:
                self.counts[state] += 1
                return


def row_of(left: LeftOut) -> Row:
    """Return the manifest's row of what was left out: it failed where that is a fault."""
    return Row(str(left.path), state=_state(left).value, error=left.sentence)


def _state(left: LeftOut) -> State:
    return State.FAILED if left.fault else State.LEFT_OUT
