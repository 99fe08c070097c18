"""What the command line says of itself."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bridge import engine_cli, usage
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
    assert commands[:4] == ["separate", "adjust", "compare", "listen"]
    assert commands[-1] == "doctor"
    assert len(commands) == len(set(commands))


@pytest.mark.parametrize(
    "command",
    ["suggest", "trigger", "insert", "models pull", "models add", "models verify", "models tune",
     "models remove", "evaluate", "finetune", "train", "status", "cancel"],
)  # fmt: skip
def test_the_help_calls_an_argument_what_sentences_call_it(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command.split(), "--help"]) == 0
    usage_line = capsys.readouterr().out.splitlines()[0]
    names = usage_line.removeprefix(f"Usage: tweeze {command} [OPTIONS] ")
    assert names != usage_line
    assert names == names.upper()


@pytest.mark.parametrize("command", ["separate", "listen", "suggest", "install", "cancel", "train"])
def test_a_command_without_what_it_needs_says_so_in_a_line(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert f"see 'tweeze {command} --help'" in said.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("separate a.wav dog --sharpness loud", "--sharpness must be a number from 0.1 to 10"),
        ("separate a.wav dog --keep some", "--keep must be target, residual or both, not 'some'"),
        ("separate a.wav dog --out", "'--out' needs a value"),
        ("separate a.wav dog --keeep both", "no option '--keeep' (did you mean '--keep'?)"),
        ("separate -gone.wav dog", "no file '-gone.wav' here (write './-gone.wav' for a file"),
        ("separate --gone.wav dog", "no file '--gone.wav' here (write './--gone.wav' for a file"),
        ("log -n many", "'-n' takes a whole number of at least 0, not 'many'"),
        ("log -n -3", "'-n' takes a whole number of at least 0, not '-3'"),
        ("evaluate compact --pairs 0", "'--pairs' takes a whole number of at least 1, not '0'"),
        ("train a b --rate fast", "'--rate' takes a number, not 'fast'"),
        ("install logic", "no editor 'logic'; there are: audacity, reaper"),
        ("trigger dog --mute=3", "'--mute' takes no value"),
        ("trigger dog --not", "'--not' needs a value"),
        ("trigger dog --not Dog", "'dog' is both wanted and not wanted: leave one of them out."),
        ("trigger --again --not rain", "--again repeats what was not wanted, too: leave --not out"),
        ("canel", "no command 'canel' (did you mean 'cancel'?)"),
        ("models pul", "no command 'pul' (did you mean 'pull'?)"),
        ("status one two", "does not know what to do with 'two'"),
        ("doctor --json --report", "'--json' and '--report' are two forms of the same"),
    ],
)
def test_a_wrong_option_is_named_with_its_value_and_what_it_takes(
    arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments.split()) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert told.err.count("\n") == 1
    endings = (" --help'.\n", ", not 'some'.\n", ", not 'loud'.\n", "are: audacity, reaper.\n",
               "leave one of them out.\n", "leave --not out.\n")  # fmt: skip
    assert told.err.endswith(endings)
    for foreign in ("Input should", "Value error", "Invalid value", "No such", "Got unexpected"):
        assert foreign not in told.err


def test_an_older_typer_gets_the_same_sentences() -> None:
    """Before it had pydantic find what is wrong, typer quoted the value in click's message."""

    class BadParameter(Exception):  # noqa: N818 - click's name
        message = "'many' is not a valid integer."
        ctx = SimpleNamespace(
            command_path="tweeze log", command=SimpleNamespace(callback=engine_cli.log)
        )
        param = SimpleNamespace(name="lines", opts=["-n"], param_type_name="option")

    said = usage.sentence(BadParameter(), [])
    assert said == ("'-n' takes a whole number of at least 0, not 'many': see 'tweeze log --help'.")


def test_no_help_speaks_of_what_is_no_word_of_the_fields(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for command in ("separate", "listen", "suggest", "doctor", "models", "cancel", "evaluate"):
        assert run([command, "--help"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        for odd in (" is told", " is no ", "must be able to", "hears OSC"):
            assert odd not in said, (command, odd)
