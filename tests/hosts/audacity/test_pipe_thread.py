from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from audacity.pipe import Busy, Pipe
from audacity.pipe_thread import Abandoned, PipeThread
from audacity.timeline import Captured, capture
from tests.faults.inside import run, until
from tests.hosts.audacity.editor import Editor
from tests.hosts.audacity.test_timeline import Stumbling, load, mark, mixtures, selection

__all__ = ["mixtures"]  # a fixture


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


@pytest.mark.fault(
    "a request is cancelled while two tracks are captured, and another request waits",
    promise="the user's selection is put back and nothing left behind before the other's turn",
)
def test_a_cancelled_capture_puts_the_selection_back(
    editor: Editor, sound: Callable[..., Path], mixtures: Path, tmp_path: Path
) -> None:
    load(editor, sound("one"), sound("two"))
    mark(editor, [0, 1], 1.0, 2.0)
    before = selection(editor, tmp_path / "seen")
    mark(editor, [0, 1], 1.0, 2.0)
    keepsake = mixtures / "keepsake"
    begun, go = threading.Event(), threading.Event()

    def held() -> None:
        begun.set()
        assert go.wait(60)

    def first(abandoned: Abandoned) -> list[Captured]:
        with Stumbling("Export2", held) as pipe:
            return capture(pipe, mixtures, keepsake=keepsake, abandoned=abandoned)

    def second(abandoned: Abandoned) -> list[Captured]:
        with Pipe() as pipe:
            return capture(pipe, mixtures, keepsake=keepsake, abandoned=abandoned)

    async def scenario() -> list[Captured]:
        thread = PipeThread()
        cancelled = asyncio.create_task(thread.do(first))
        await until(begun.is_set)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        other = asyncio.create_task(thread.do(second))
        await asyncio.sleep(0)
        go.set()
        return await other

    captured = asyncio.run(scenario())
    assert [one.track for one in captured] == ["one", "two"]
    assert sorted(mixtures.glob("*.wav")) == sorted(one.path for one in captured)
    assert selection(editor, tmp_path / "seen") == before
