"""Collects what tests say of faults: which one, what is promised, how often it was tried.

A test says it with a marker, and with how many times it tried within one run:

    @pytest.mark.fault("the worker is killed", promise="its job ends in the same bytes")
    def test_it(tries):
        ...
        tries(50)

With `TWEEZE_RELIABILITY=FILE` the outcomes are written there, for `python -m tests.faults.report`;
with several processes (pytest-xdist) by the one that collects the reports of all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_KEY = "fault"
_outcomes: dict[str, dict[str, Any]] = {}


@pytest.fixture
def tries(request: pytest.FixtureRequest) -> Callable[[int], None]:
    """Say how many times the fault was provoked; without it a test counts as one time."""

    def say(count: int) -> None:
        request.node.user_properties.append(("tries", count))

    return say


def pytest_runtest_setup(item: pytest.Item) -> None:
    marker = item.get_closest_marker("fault")
    if marker is not None:
        fact = {
            "fault": marker.args[0],
            "promise": marker.kwargs["promise"],
            "group": marker.kwargs.get("group", item.path.parent.name),
        }
        item.user_properties.append((_KEY, fact))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    properties = dict(report.user_properties)
    if _KEY not in properties:
        return
    found = _outcomes.setdefault(
        report.nodeid, {**properties[_KEY], "outcome": "held", "tries": 1, "seconds": 0.0}
    )
    found["seconds"] += report.duration
    counts = [count for name, count in report.user_properties if name == "tries"]
    if counts:
        found["tries"] = sum(counts)
    if report.failed:
        found["outcome"] = "broken"
    elif report.skipped and found["outcome"] == "held":
        found["outcome"] = "skipped"
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple | list) else ""
        found["reason"] = str(reason).removeprefix("Skipped: ")


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = os.environ.get("TWEEZE_RELIABILITY")
    if path and not hasattr(session.config, "workerinput"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(_outcomes, indent=1, sort_keys=True))
