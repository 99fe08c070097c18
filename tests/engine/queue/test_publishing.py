from __future__ import annotations

import logging
import math
from dataclasses import replace

import pytest

from engine.queue.publishing import Publisher
from engine.status import JobState, Status

RUNNING = Status("job-1", JobState.RUNNING)


def test_each_subscriber_has_its_own_pace_and_misses_no_change() -> None:
    now = 0.0
    publisher = Publisher(clock=lambda: now)
    all_, some, changes = list[Status](), list[Status](), list[Status]()
    publisher.subscribe(all_.append)
    publisher.subscribe(some.append, every=0.25)
    publisher.subscribe(changes.append, every=math.inf)
    publisher.publish(replace(RUNNING, state=JobState.QUEUED))
    for step in range(8):
        now = 1 + step / 8
        publisher.publish(replace(RUNNING, progress=step / 8))
    publisher.publish(replace(RUNNING, state=JobState.DONE, progress=1.0))
    assert [status.progress for status in all_] == [0.0, *(n / 8 for n in range(8)), 1.0]
    assert [status.progress for status in some] == [0.0, 0.0, 0.25, 0.5, 0.75, 1.0]
    assert [status.state for status in changes] == [
        JobState.QUEUED,
        JobState.RUNNING,
        JobState.DONE,
    ]


def test_a_subscriber_that_fails_or_leaves_does_not_disturb_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    publisher = Publisher()
    got: list[Status] = []

    def fail(status: Status) -> None:
        raise RuntimeError("as a bug would")

    publisher.subscribe(fail)
    leave = publisher.subscribe(got.append)
    stay = list[Status]()
    publisher.subscribe(stay.append)
    publisher.subscribe(lambda status: leave() if status.state.final else None)
    done = replace(RUNNING, state=JobState.DONE)
    with caplog.at_level(logging.ERROR):
        for status in (RUNNING, done, RUNNING):
            publisher.publish(status)
    assert got == [RUNNING, done]
    assert stay == [RUNNING, done, RUNNING]
    assert caplog.text.count("A subscriber failed at job job-1") == 3
