"""What was heard, as Audacity and REAPER import it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bridge import labels
from engine.errors import BadInput, Failure
from engine.status import Event, Heard

HEARD = (
    Heard("dog, big", 0.9, (Event(0.5, 2.0, 0.9), Event(3599.994, 3661.5, 0.6))),
    Heard('a "rain"\tdrop', 0.8, (Event(0.0, 7200.25, 0.8),)),
    Heard("wind", 0.3, ()),
)


def test_a_label_track_has_seconds_and_names_between_tabs() -> None:
    assert labels.text(HEARD, regions=False).splitlines() == [
        '0.000000\t7200.250000\ta "rain" drop',
        "0.500000\t2.000000\tdog, big",
        "3599.994000\t3661.500000\tdog, big",
    ]


def test_regions_have_the_columns_that_reaper_exports() -> None:
    rows = list(csv.reader(labels.text(HEARD, regions=True).splitlines()))
    assert rows[0] == ["#", "Name", "Start", "End", "Length"]
    assert rows[1:] == [
        ["R1", 'a "rain" drop', "0:00:00.000", "2:00:00.250", "2:00:00.250"],
        ["R2", "dog, big", "0:00:00.500", "0:00:02.000", "0:00:01.500"],
        ["R3", "dog, big", "0:59:59.994", "1:01:01.500", "0:01:01.506"],
    ]


@pytest.mark.parametrize(("name", "first"), [("a.txt", "0.0000"), ("A.CSV", "#,Name")])
def test_the_ending_says_which(tmp_path: Path, name: str, first: str) -> None:
    labels.check(tmp_path / name)
    labels.write(tmp_path / name, HEARD)
    assert (tmp_path / name).read_bytes().startswith(first.encode())
    with pytest.raises(BadInput, match="is there already"):
        labels.check(tmp_path / name)


def test_a_folder_that_is_not_there_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no folder"):
        labels.check(tmp_path / "gone" / "a.txt")
    with pytest.raises(Failure, match="cannot be written"):
        labels.write(tmp_path / "gone" / "a.txt", HEARD)
