"""What the command line says of itself."""

from __future__ import annotations

import pytest

from bridge.cli import run


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--debug"]])
def test_the_help_is_readable_on_a_narrow_terminal(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(arguments) == 0
    said = capsys.readouterr()
    assert said.err == ""
    lines = said.out.splitlines()
    assert lines[0].startswith("Usage: tweeze ")
    assert all(len(line) <= 80 and not line.endswith("...") for line in lines[1:])
    commands = [line.split()[0] for line in lines[lines.index("Commands:") + 1 :] if line]
    assert commands[:3] == ["separate", "listen", "suggest"]
    assert commands[-1] == "doctor"
    assert len(commands) == len(set(commands))


@pytest.mark.parametrize("command", ["separate", "listen", "suggest", "install", "cancel", "train"])
def test_a_command_without_what_it_needs_says_so_in_a_line(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert f"see 'tweeze {command} --help'" in said.err
