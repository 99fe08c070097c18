from __future__ import annotations

import asyncio

import pytest

from engine.waiting import within


def test_it_returns_what_comes_in_time_and_gives_up_after_it() -> None:
    async def scenario() -> None:
        assert await within(None, asyncio.sleep(0, "now")) == "now"
        with pytest.raises(asyncio.TimeoutError):
            await within(0.01, asyncio.Event().wait())

    asyncio.run(scenario())


def test_a_cancellation_is_not_lost_when_the_wait_ends_in_the_same_moment() -> None:
    async def scenario() -> None:
        event = asyncio.Event()

        async def forever() -> None:
            while True:
                await within(10, event.wait())
                event.clear()

        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        event.set()
        await asyncio.sleep(0)  # the inner wait has ended, the task has not seen it
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=10)
        assert done

    asyncio.run(scenario())


def test_a_queue_loses_nothing_to_waits_that_gave_up() -> None:
    async def scenario() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue()
        for number in range(50):
            waiting = asyncio.ensure_future(within(0, queue.get()))
            asyncio.get_running_loop().call_soon(queue.put_nowait, number)
            try:
                assert await waiting == number
            except asyncio.TimeoutError:
                assert await within(1, queue.get()) == number

    asyncio.run(scenario())
