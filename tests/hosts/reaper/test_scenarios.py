"""Everything a musician does in REAPER, against a real resident engine."""

from __future__ import annotations

import pytest

from tests.hosts.reaper import scenarios
from tests.hosts.reaper.studio import Engine, Studio


@pytest.mark.parametrize("name", scenarios.ALL)
def test_scenario(name: str, studio: Studio, standin: Engine) -> None:
    _prepare(standin)
    scenarios.ALL[name](studio, standin)


def _prepare(engine: Engine) -> None:
    (engine.folders.root / "hold").unlink(missing_ok=True)
