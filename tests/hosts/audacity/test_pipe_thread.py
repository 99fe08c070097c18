from __future__ import annotations

import asyncio

import pytest

from audacity.pipe import Busy
from audacity.pipe_thread import Abandoned, PipeThread
from tests.faults.inside import run, until


def test_work_has_its_turn_in_time_and_what_nobody_wants_is_passed_over() -> None:
    async def scenario() -> None:
        thread = PipeThread(patience=0.2)
        go = asyncio.Event()
        loop = asyncio.get_running_loop()
        done: list[str] = []

        def long(abandoned: Abandoned) -> str:
            asyncio.run_coroutine_threadsafe(go.wait(), loop).result()
            done.append("stopped" if abandoned() else "went on")
            return "captured"

        left: list[str] = []
        first = asyncio.create_task(thread.do(long, discard=left.append))
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="look for an open dialog in Audacity"):
            await thread.do(lambda abandoned: done.append("never"))
        with pytest.raises(Busy):
            await first
        go.set()
        await until(lambda: left)
        assert (left, done) == (["captured"], ["stopped"])
        assert await thread.do(lambda abandoned: abandoned()) is False
        assert done == ["stopped"]

    run(scenario())
