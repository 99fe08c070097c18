"""What labels and a spectral selection come to; needs no Audacity."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from audacity.marks import Label, Marks, limits, marked, points_ignored
from engine.errors import BadInput
from engine.options import Options
from engine.places import Band, Rectangle, Span


def read(
    *labels: tuple[float, float, str], start: float = 10.0, end: float = 20.0, heard: float = 10.0
) -> Marks:
    return marked([Label(*label) for label in labels], start, end, heard, "Take 1")


def texts(spans: Sequence[Span]) -> list[str]:
    return [span.text for span in spans]


@pytest.mark.parametrize(
    ("text", "at", "never"),
    [
        ("+ dog here", ["2-3.5"], []),
        ("- rain", [], ["2-3.5"]),
        ("+", ["2-3.5"], []),
        (" - ", [], ["2-3.5"]),
        ("\N{MINUS SIGN} rain", [], ["2-3.5"]),
        ("+\tdog", ["2-3.5"], []),
        ("+dog", [], []),
        ("-3 dB", [], []),
        ("dog + rain", [], []),
        ("", [], []),
    ],
)
def test_a_sign_and_a_blank_begin_the_text(text: str, at: list[str], never: list[str]) -> None:
    found = read((12, 13.5, text))
    assert (texts(found.at), texts(found.never)) == (at, never)


@pytest.mark.parametrize(
    ("start", "stop", "at"),
    [
        (12.1234567, 13, ["2.123457-3"]),
        (5, 13, ["0-3"]),
        (12, 25, ["2-"]),
        (5, 25, ["0-"]),
        (10.0004, 19.9996, ["0-"]),
        (2, 9, []),
        (2, 10.0005, []),
        (19.9995, 30, []),
        (21, 30, []),
    ],
)
def test_a_label_counts_as_far_as_it_is_selected(start: float, stop: float, at: list[str]) -> None:
    assert texts(read((start, stop, "+ dog")).at) == at


def test_times_that_audacity_rounds_are_not_taken_for_slivers() -> None:
    """At ten hours it tells labels to a tenth of a second."""
    here = {"start": 36_000.04, "end": 36_010.04}
    assert (
        read((35_990.0, 36_000.1, "+ before"), (36_010.0, 36_020.0, "- after"), **here) == Marks()
    )
    assert texts(read((36_000.0, 36_005.0, "+ from the start"), **here).at) == ["0-4.96"]


def test_labels_that_overlap_are_one() -> None:
    found = read((11, 13, "+ dog"), (12, 14, "+"), (15, 16, "+ dog"), (16.5, 17, "- no"))
    assert (texts(found.at), texts(found.never)) == (["1-4", "5-6"], ["6.5-7"])
    assert found.said == "only at 2 labelled spans, not at 1 labelled span"


def test_a_label_without_length_is_told() -> None:
    found = read((12, 12, "+ dog"), (13, 13, "a note"), (30, 30, "+ elsewhere"), (14, 15, "- rain"))
    assert found.points == ("+ dog",)
    assert texts(found.never) == ["4-5"]
    assert points_ignored(found.points) == "The label '+ dog' has no length, so it was ignored."
    assert points_ignored(("+ a", "- b")).startswith("2 labels have no length, '+ a' for one")
    assert points_ignored(()) == ""


@pytest.mark.parametrize(
    ("labels", "heard"),
    [
        ([(10, 20, "- all")], 10),
        ([(12, 14, "+ dog"), (11, 15, "- rain")], 10),
        ([(16, 18, "+ behind the track's end")], 4),
        ([(10, 14, "- all that this track has")], 4),
    ],
)
def test_labels_that_leave_nothing_are_one_sentence(
    labels: list[tuple[float, float, str]], heard: float
) -> None:
    with pytest.raises(BadInput, match=r"leave no time of 'Take 1'") as caught:
        read(*labels, heard=heard)
    assert str(caught.value).count(".") == 1


def test_more_labels_than_a_job_can_hold_are_one_sentence() -> None:
    many = [(10 + number / 200, 10 + (number + 0.5) / 200, "- x") for number in range(1001)]
    assert len(read(*many[1:]).never) == 1000
    with pytest.raises(BadInput, match="More than 1,000 labels"):
        read(*many)


def test_the_request_comes_first() -> None:
    marks = Marks((Span(1, 2),), (Span(3, 4),), Band(500, 4000), ("+ x",))
    asked = Options(sharpness=2)
    both = marks.beside({"query", "sharpness"}).limited(asked)
    assert both == Options(sharpness=2, at=marks.at, never=marks.never, band=(Band(500, 4000),))
    for named in ("at", "never"):
        left = marks.beside({named})
        assert left == Marks(band=Band(500, 4000))
        assert left.limited(Options(at=(Span(5),))).at == (Span(5),)
    assert marks.beside({"band"}) == Marks(marks.at, marks.never, None, ("+ x",))
    assert marks.beside({"rect"}) == Marks()


def test_all_limits_can_be_said() -> None:
    said = limits([], [Span(0, 1)], [Band(0, 50), Band(100)], [Rectangle(Span(0, 1), Band(5))])
    assert said == "not at 1 span, only in 1 rectangle, only in 2 bands"
    assert limits([], [], [Band(100)]) == "only from 100 Hz up"
    assert limits([], [], []) == ""
