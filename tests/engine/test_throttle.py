from __future__ import annotations

import math

from engine.throttle import Throttle


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_progress_passes_at_most_once_in_its_time() -> None:
    clock = Clock()
    throttle = Throttle(0.5, clock)
    passed = []
    for tick in range(20):
        clock.now = 100.0 + tick / 8
        passed.append(throttle.passes("job"))
    assert [tick for tick, passes in enumerate(passed) if passes] == [0, 4, 8, 12, 16]


def test_a_change_of_state_passes_at_once_and_things_do_not_hold_up_each_other() -> None:
    throttle = Throttle(10.0, Clock())
    asked = [("a", "queued"), ("a", "running"), ("b", "running"), ("a", "running"), ("a", "done")]
    assert [throttle.passes(*one) for one in asked] == [True, True, True, False, True]


def test_of_an_endless_time_only_changes_pass() -> None:
    clock = Clock()
    throttle = Throttle(math.inf, clock)
    assert throttle.passes("job", 1)
    clock.now += 1e12
    assert not throttle.passes("job", 1)
    assert throttle.passes("job", 2)


def test_what_was_forgotten_is_new() -> None:
    throttle = Throttle(math.inf, Clock())
    assert throttle.passes("job", 1)
    throttle.forget("job")
    throttle.forget("other")
    assert throttle.passes("job", 1)
