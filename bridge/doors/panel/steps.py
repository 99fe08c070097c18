"""Steps of adjusting: while a hand moves, each job takes the place of the one before.

A job that was replaced goes as soon as the newer one is done, or at once where it has no clips. So
hundreds of steps leave one job, and the disk stays as it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from bridge.doors.panel.sources import Source
from bridge.forgetting import Forgetter
from engine.errors import BadJob, TweezeError
from engine.status import JobState, Status

__all__ = ["Steps"]

_LOG = logging.getLogger("tweeze.panel")


class Steps:
    """What replaces what, among the jobs of the open recordings (`Source.instead`).

    `status` returns what is known of a job.
    """

    def __init__(self, status: Callable[[str], Status], forgetter: Forgetter) -> None:
        self._status = status
        self._forgetter = forgetter
        self._sweeping = asyncio.Lock()

    def are_replaced(self, source: Source) -> set[str]:
        """Return the jobs of a recording in whose place others come."""
        return set(source.instead.values())

    async def sweep(self, source: Source) -> None:
        """Forget what was replaced, as far as that can be now."""
        async with self._sweeping:
            while id_ := next((one for one in source.jobs if self._may_go(source, one)), ""):
                earlier = source.instead.get(id_, "")
                try:
                    await self._forgetter.forget(id_)
                except TweezeError as error:
                    _LOG.warning("Job %s was replaced, and stays: %s", id_, error)
                    return
                # Whoever replaces it takes the place of what it was to replace.
                for newer, older in list(source.instead.items()):
                    if older == id_ and earlier in source.jobs:
                        source.instead[newer] = earlier

    def _may_go(self, source: Source, id_: str) -> bool:
        newer = [one for one, older in source.instead.items() if older == id_]
        if not newer:
            return False
        state = self._status(id_).state
        if not state.final:
            return False
        # What has clips stays until there are newer ones.
        if state is JobState.DONE and not any(
            self._status(one).state is JobState.DONE for one in newer
        ):
            return False
        try:
            return not self._forgetter.is_needed(id_)
        except BadJob:  # its entry is gone already
            return True
