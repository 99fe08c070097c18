"""Everything that happens at a musician's desk, under the extension as it is."""

from __future__ import annotations

import pytest

from tests.hosts.audacity4 import endings, scenarios  # noqa: F401 - adds to ALL
from tests.hosts.audacity4.desk import Engine, Maker

# These take the longest, and look at little more than others do: `make soak`.
LONG = ("the_engine_is_killed",)
CHOSEN = [name for name in scenarios.ALL if scenarios.MANY or name not in LONG]


@pytest.mark.parametrize("name", CHOSEN)
def test_scenario(name: str, desks: Maker, standin: Engine) -> None:
    scenarios.ALL[name](desks, standin)
