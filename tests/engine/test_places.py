from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadJob
from engine.options import Options
from engine.places import Band, Rectangle, Span, merged, subtracted

SPANS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(1, 20)).map(lambda pair: Span(pair[0], sum(pair))),
    max_size=8,
)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Span, "3.2-7.5", Span(3.2, 7.5)),
        (Span, " 0 - .5 ", Span(0, 0.5)),
        (Span, "3-", Span(3, math.inf)),
        (Band, "300-3400", Band(300, 3400)),
        (Band, "8000-", Band(8000)),
        (Rectangle, "3.2-4.0:2000-8000", Rectangle(Span(3.2, 4), Band(2000, 8000))),
    ],
)
def test_texts_and_values(kind, text, value):
    assert kind.from_text(text) == value
    assert kind.from_text(value.text) == value


@pytest.mark.parametrize("text", ["", "3", "-3", "a-b", "1:2-3", "1-2-3", "1e9-2e9", "nan-1"])
def test_other_texts_are_refused_with_the_form(text):
    assert Span.from_text(text) is None
    if text:
        with pytest.raises(BadJob, match=r"START-END in seconds, like 3\.2-7\.5"):
            Options.from_fields([("at", text)])


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("at", "7-3", "The span 7-3 ends before it begins"),
        ("never", "3-3", "The span 3-3 is empty"),
        ("band", "800-200", "The band 800-200 is upside down"),
        ("band", "5-5", "The band 5-5 is empty"),
        ("rect", "1-2:800-200", "The band 800-200 is upside down"),
        ("rect", "2-1:200-800", "The span 2-1 ends before it begins"),
    ],
)
def test_what_cannot_be_is_named(field, text, said):
    with pytest.raises(BadJob, match=said):
        Options.from_fields([(field, text)])


def test_several_in_one_text():
    options = Options.from_fields([("at", "3-4, 0.5-1"), ("rect", "1-2:0-500,3-4:100-")])
    assert options.at == (Span(3, 4), Span(0.5, 1))
    assert [one.text for one in options.rect] == ["1-2:0-500", "3-4:100-"]
    with pytest.raises(BadJob):
        Options.from_fields([("at", ",".join(["1-2"] * 1001))])


@given(SPANS, SPANS)
def test_sets_of_time(spans, holes):
    def seconds(of):
        return {second for span in of for second in range(int(span.start), int(span.stop))}

    union = merged(spans)
    assert seconds(union) == seconds(spans)
    assert all(a.stop < b.start for a, b in pairwise(union))
    assert seconds(subtracted(union, holes)) == seconds(spans) - seconds(holes)
