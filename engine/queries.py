"""What to ask for instead: under construction."""

from __future__ import annotations

from collections.abc import Sequence


def advice(queries: Sequence[str], presence: Sequence[float]) -> tuple[str, ...]:
    """Return sentences for a job's status."""
    return ()
