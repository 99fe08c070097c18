"""Regions in REAPER mean what labels in Audacity mean."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lupa.lua54 import LuaRuntime  # type: ignore[import-not-found]

from audacity.marks import Label, marked
from engine.errors import BadInput
from engine.options import Options
from tests.hosts.reaper.studio import LUA

NAMES = (
    "+ dog",
    "- rain",
    "+",
    " - ",
    "\N{MINUS SIGN} wind",
    "+dog",
    "-6 dB",
    "Verse + 1",
    "",
    "++",
)
edges = st.builds(lambda eighths, by: eighths / 8 + by, st.integers(0, 160), st.floats(-0.01, 0.01))
times = st.tuples(edges, st.one_of(st.just(0.0), st.floats(0.01, 9))).map(lambda t: (t[0], sum(t)))
labels = st.lists(st.builds(lambda t, name: (*t, name), times, st.sampled_from(NAMES)), max_size=8)


class Regions:
    """The scripts' `spans`, and what REAPER lists to them."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, float, str]] = []
        lua = LuaRuntime(unpack_returned_tuples=True)
        lua.execute(f"package.path = '{LUA}/?.lua'")
        lua.globals().list = self._list
        lua.execute("reaper = {EnumProjectMarkers3 = function(_, index) return list(index) end}")
        self.spans = lua.eval("require 'tweeze.spans'")[0]
        self.region = lua.eval("function(p, l) return {position = p, length = l, title = 'T'} end")
        self.pair = lua.eval("function(name) return {{name, 'x'}} end")

    def _list(self, index: int) -> tuple[Any, ...]:
        if index >= len(self.rows):
            return (0,)
        start, stop, name = self.rows[index]
        return index + 1, stop > start, start, stop, name

    def noted(self, start: float, seconds: float) -> Any:
        region = self.region(start, seconds)
        self.spans.note(region, self.spans.find(None))
        return region


@pytest.fixture(scope="module")
def regions() -> Regions:
    return Regions()


@given(labels)
@example([(9.0, 11.0, "+ dog"), (10.5, 12.0, "- rain"), (12.0, 12.0, "+ now")])
@example([(5.0, 25.0, "- all")])
@example([(5.0, 10.0005, "- before"), (19.9995, 21.0, "+ after")])
@example([(10.0, 12.0, "+"), (12.0, 14.0, "+"), (10.0, 14.0, "-")])
def test_they_are_read_as_labels_are(
    regions: Regions, rows: list[tuple[float, float, str]]
) -> None:
    regions.rows = rows
    region = regions.noted(10.0, 10.0)
    try:
        marks = marked([Label(*row) for row in rows], 10.0, 20.0, 10.0, "T")
    except BadInput:
        assert not regions.spans.leave_time(region)
        return
    assert regions.spans.leave_time(region)
    assert len(region.points) == len(marks.points)
    texts = {pair[1]: pair[2] for pair in regions.spans.options(region).values()}
    sent = Options.from_fields(texts.items())
    assert (len(sent.at), len(sent.never)) == (len(marks.at), len(marks.never))
    for mine, other in zip((*sent.at, *sent.never), (*marks.at, *marks.never), strict=True):
        assert mine.start == pytest.approx(other.start, abs=2e-6)
        assert mine.stop == pytest.approx(other.stop, abs=2e-6)


def test_spans_that_are_named_come_first(regions: Regions) -> None:
    for name in ("at", "never", "rect"):
        assert regions.spans.are_named(regions.pair(name))
    assert not regions.spans.are_named(regions.pair("band"))
