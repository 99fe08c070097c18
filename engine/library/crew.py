"""Work on many machines: actors hold the models, and each gets one piece after the other.

They are actors of Ray Core, and not of Ray Data's pipelines: a piece costs a few milliseconds there
instead of hundreds, its progress and its death can be seen, and neither pandas nor Arrow is needed
(`python -m bench.cluster` compares them).
"""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from engine.errors import Failure

__all__ = ["Crew", "Pace", "Piece"]

_P = TypeVar("_P", bound="Piece")
_A = TypeVar("_A")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_DEATHS = 3  # processes that may end while they work on a piece
_TRIES = 3  # times that a piece may fail on machines whose fault it may be
_HOPE = 60.0  # seconds for which a process that starts may be one on another machine
_UNFIT = 3  # failures of a machine, one after the other, after which it gets nothing more


@dataclass(frozen=True)
class Pace:
    """How long things may take, in seconds.

    Attributes
    ----------
    look
        Between looks at what is done.
    ask
        Between questions how far an item is.
    grow
        Between looks for machines that joined.
    start
        Without any process that works, until that is given up.
    stall
        Without progress of a process, until that one is given up.

    """

    look: float = 0.2
    ask: float = 2.0
    grow: float = 10.0
    start: float = 600.0
    stall: float = 1800.0


@dataclass
class Piece:
    """A piece of work.

    Attributes
    ----------
    deaths
        Processes that ended while they worked on it.
    failures
        How often it failed where that may have been the machine's fault.
    avoid
        The machines on which it failed.

    """

    deaths: int = 0
    failures: int = 0
    avoid: set[str] = field(default_factory=set)


@dataclass
class _Actor(Generic[_P]):
    handle: Any
    pending: Any  # what it is asked for: to be ready, or to do a piece
    machine: str = ""  # none as long as it starts
    since: float = field(default_factory=time.monotonic)
    work: _P | None = None
    moved: float = 0.0  # when it last made progress
    share: float = 0.0
    asked: float = 0.0
    asking: Any = None


class Crew(ABC, Generic[_P, _A]):
    """Processes on all machines, which do pieces of work.

    A process that dies, with its machine or alone, or that makes no progress, is replaced, and its
    piece done anew; one that ended `_DEATHS` processes is given up. A piece that failed for another
    reason than itself is tried on other machines, and a machine on which all fails gets nothing
    more.

    Parameters
    ----------
    ray
        What `engine.library.cluster.connected` yields.
    worker
        The class of the actors: without arguments, with `ready`, which returns the machine's name,
        and `share`, which returns how much of the piece at hand is done.
    cores, gpus
        Of each process.
    on_note
        Called with sentences for the user about the cluster.
    pace
        How long things may take.

    """

    def __init__(
        self,
        ray: Any,
        worker: type,
        *,
        cores: int,
        gpus: float = 0,
        on_note: Callable[[str], None] = lambda note: None,
        pace: Pace | None = None,
    ) -> None:
        self._ray = ray
        self._on_note = on_note
        self._pace = pace or Pace()
        self._cores, self._gpus = cores, gpus
        self._kind = ray.remote(
            num_cpus=cores,
            num_gpus=gpus,
            max_restarts=0,
            max_concurrency=2,  # one works, one says how far it is
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": dict.fromkeys(_THREADS, str(cores))},
        )(worker)
        self._actors: list[_Actor[_P]] = []
        self._again: deque[_P] = deque()
        self._failures: Counter[str] = Counter()  # of machines, one after the other
        self._unfit: set[str] = set()
        self._stillborn = 0  # processes that ended before they could work, one after the other

    @abstractmethod
    def begin(self, actor: Any, piece: _P) -> Any:
        """Ask an actor for a piece, and return Ray's promise of its answer."""

    @abstractmethod
    def complaint(self, answer: _A) -> str:
        """Return why an answer is a failure that may be the machine's fault, or ''."""

    @abstractmethod
    def given_up(self, piece: _P) -> _A:
        """Return what becomes of a piece over which too many processes ended."""

    def lost(self, piece: _P) -> None:
        """Tidy up behind a process that ended over a piece."""

    def moved(self, piece: _P, share: float) -> None:
        """Take note of how much of a piece is done."""

    def answers(
        self, pieces: Iterable[_P], idle: Callable[[], None] = lambda: None
    ) -> Generator[tuple[_P, _A], None, None]:
        """Yield pieces with their answers, in the order in which they are done.

        A piece that was yielded may be put in once more with `add`. `idle` is called several times
        a second, and may raise. Whoever leaves early finds nothing running any more.

        Raises
        ------
        Failure
            No process starts.

        """
        source = iter(pieces)
        grown = -self._pace.grow
        alive = time.monotonic()
        try:
            while True:
                now = time.monotonic()
                first = self._next(source)
                if first is not None:
                    self._again.appendleft(first)
                elif not any(actor.work for actor in self._actors):
                    return
                if now - grown >= self._pace.grow:
                    grown = now
                    self._grow()
                self._hand_out(source)
                if any(actor.machine for actor in self._actors):
                    alive = now
                elif now - alive > self._pace.start:
                    raise Failure(
                        f"No process could be started in the cluster within "
                        f"{self._pace.start:.0f} s: look at 'ray status' for free cores."
                    )
                idle()
                pending = [actor.pending for actor in self._actors if actor.pending is not None]
                if pending:
                    done, _ = self._ray.wait(pending, timeout=self._pace.look)
                else:
                    done = []
                    time.sleep(self._pace.look)
                for actor in [one for one in self._actors if one.pending in done]:
                    yield from self._arrived(actor)
                self._ask()
                for actor in [one for one in self._actors if self._stalls(one)]:
                    yield from self._died(actor)
        finally:
            for actor in self._actors:
                self._ray.kill(actor.handle)
            self._actors.clear()

    def add(self, piece: _P) -> None:
        """Have a piece done next."""
        self._again.appendleft(piece)

    def _next(self, source: Iterator[_P]) -> _P | None:
        return self._again.popleft() if self._again else next(source, None)

    def _grow(self) -> None:
        """Have as many processes as the cluster has room for."""
        whole = self._ray.cluster_resources()
        room = int(whole.get("CPU", 0) // self._cores)
        if self._gpus:
            room = min(room, int(whole.get("GPU", 0) / self._gpus))
        if not self._actors and not room:
            self._on_note(
                f"No machine of the cluster has {self._cores} cores"
                + (f" and {self._gpus:g} GPUs" if self._gpus else "")
                + " for a process: waiting for one."
            )
        for _ in range(len(self._actors), room):
            self._start()

    def _start(self) -> None:
        handle = self._kind.remote()
        self._actors.append(_Actor(handle, handle.ready.remote()))

    def _hand_out(self, source: Iterator[_P]) -> None:
        """Give each process that has nothing to do a piece, away from machines that failed it."""
        ready = {actor.machine for actor in self._actors if actor.machine}
        if ready <= self._unfit:
            self._unfit.clear()  # there are no better ones any more
        for actor in self._actors:
            if not actor.machine or actor.work or actor.machine in self._unfit:
                continue
            piece = self._next(source)
            if piece is None:
                return
            if actor.machine in piece.avoid and self._others(piece):
                self._again.append(piece)
                continue
            actor.work, actor.share = piece, 0.0
            actor.moved = actor.asked = time.monotonic()
            actor.pending = self.begin(actor.handle, piece)

    def _others(self, piece: _P) -> bool:
        """Whether there is another machine for a piece, or may be one in a moment."""
        now = time.monotonic()
        return any(
            actor.machine not in piece.avoid | self._unfit
            if actor.machine
            else now - actor.since < _HOPE
            for actor in self._actors
        )

    def _arrived(self, actor: _Actor[_P]) -> Generator[tuple[_P, _A], None, None]:
        """Take what a process answers: that it is ready, or what became of its piece."""
        try:
            answer = self._ray.get(actor.pending)
        except self._ray.exceptions.RayError as error:
            yield from self._died(actor, error)
            return
        if actor.work is None:
            actor.machine, actor.pending, self._stillborn = answer, None, 0
            return
        piece, actor.work, actor.pending = actor.work, None, None
        complaint = self.complaint(answer)
        if not complaint:
            self._failures[actor.machine] = 0
            yield piece, answer
            return
        piece.failures += 1
        piece.avoid.add(actor.machine)
        self._failures[actor.machine] += 1
        ready = {one.machine for one in self._actors if one.machine} - self._unfit
        if self._failures[actor.machine] >= _UNFIT and ready - {actor.machine}:
            self._unfit.add(actor.machine)
            self._on_note(
                f"The machine {actor.machine} failed {_UNFIT} times and gets nothing more: "
                f"{complaint}"
            )
        if piece.failures < _TRIES and self._others(piece):
            self._again.append(piece)
        else:
            yield piece, answer

    def _died(
        self, actor: _Actor[_P], error: Exception | None = None
    ) -> Generator[tuple[_P, _A], None, None]:
        """Replace a process that ended or stalls; its piece is done anew, or given up."""
        self._ray.kill(actor.handle)
        self._actors.remove(actor)
        piece = actor.work
        if piece is None:
            self._stillborn += 1
            if self._stillborn > 2 * _DEATHS:
                said = " ".join(str(getattr(error, "cause", None) or error).split())[-300:]
                raise Failure(f"The cluster's processes end before they can work: {said}")
            return
        self._start()
        self.lost(piece)
        piece.deaths += 1
        if piece.deaths < _DEATHS:
            self._again.append(piece)
        else:
            yield piece, self.given_up(piece)

    def _ask(self) -> None:
        """Ask processes how far they are, now and then, and take what they said."""
        now = time.monotonic()
        for actor in self._actors:
            if actor.work is None:
                continue
            if actor.asking is not None:
                done, _ = self._ray.wait([actor.asking], timeout=0)
                if not done:
                    continue
                with contextlib.suppress(self._ray.exceptions.RayError):
                    share = float(self._ray.get(actor.asking))
                    if share != actor.share:
                        actor.share, actor.moved = share, now
                        self.moved(actor.work, share)
                actor.asking = None
            elif now - actor.asked > self._pace.ask:
                actor.asked = now
                actor.asking = actor.handle.share.remote()

    def _stalls(self, actor: _Actor[_P]) -> bool:
        return actor.work is not None and time.monotonic() - actor.moved > self._pace.stall
