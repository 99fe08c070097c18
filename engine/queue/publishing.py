"""Publishes the statuses of jobs to subscribers: doors, hosts, callers that wait for a job."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from engine.status import Status
from engine.throttle import Throttle

__all__ = ["Publisher", "Subscriber"]

Subscriber = Callable[[Status], None]
_LOG = logging.getLogger("tweeze.service")


@dataclass(frozen=True, eq=False)
class _Subscription:
    subscriber: Subscriber
    throttle: Throttle


class Publisher:
    """Calls each subscriber with each new status; one that raises does not disturb the others."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._subscriptions: list[_Subscription] = []

    def subscribe(self, subscriber: Subscriber, *, every: float = 0.0) -> Callable[[], None]:
        """Call `subscriber` with each new status from now on; returns a function that unsubscribes.

        At least `every` seconds lie between two statuses of one job in the same state. A change of
        state always comes, and at once; with `math.inf` nothing else does.
        """
        subscription = _Subscription(subscriber, Throttle(every, self._clock))
        self._subscriptions.append(subscription)
        return lambda: self._subscriptions.remove(subscription)

    def publish(self, status: Status) -> None:
        """Call the subscribers, in the order of their subscription."""
        for subscription in list(self._subscriptions):
            passes = subscription.throttle.passes(status.id, status.state)
            if status.state.final:
                subscription.throttle.forget(status.id)
            if not passes:
                continue
            try:
                subscription.subscriber(status)
            except Exception:
                _LOG.exception("A subscriber failed at job %s.", status.id)
