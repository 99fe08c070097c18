"""Tables on a terminal, and lines elsewhere."""

from __future__ import annotations

import re

import pytest

from bridge.tables import table

JOB = "20261201-121432-466-cc8bb5"
HEADER = ("recording", "job")


@pytest.mark.parametrize("columns", [40, 60])
def test_what_is_for_copying_stays_on_one_line(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    table(HEADER, [("a recording of a rather long walk by the sea " * 3, JOB)], whole=("job",))
    lines = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).splitlines()
    assert any(JOB in line for line in lines)
    assert max(map(len, lines)) <= columns


def test_no_rows_print_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    table(HEADER, [])
    assert capsys.readouterr().out == ""


def test_elsewhere_there_are_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    table(HEADER, [("walk", JOB)], whole=("job",))
    assert capsys.readouterr().out == f"walk\t{JOB}\n"
