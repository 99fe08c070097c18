"""An option is described in one place, and offered everywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import run
from bridge.inputs import example_from_here
from engine.errors import BadInput, BadJob
from engine.job import Job, Placement
from engine.option_types import Flag, Text, table, write
from engine.options import Bandwidth, Context, Keep, Memory, Options, Precision, Stereo
from engine.request import OPTIONS, Request, option_fields

ROOT = Path(__file__).parents[2]

# Two more options in the table, and then everything that offers options, in a process of its own.
WITH_TWO_MORE = """
import contextlib, io, json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from engine import options
from engine.option_types import Choice, Number, described


class Polish(str, Enum):
    NONE = "none"
    SOFT = "soft"


@dataclass(frozen=True)
class More(options.Options):
    polish: Polish = described(
        Choice(
            default=Polish.NONE,
            label="Polish",
            help="How smooth.",
            called={Polish.NONE: "as it is", Polish.SOFT: "smooth"},
            sparse=True,
            dialog=4,
        )
    )
    warmth: float = described(
        Number(default=0.5, label="Warmth", help="How warm.", least=0, most=2, dialog=5)
    )


options.Options = More

from audacity import dialog
from bridge.cli import run
from bridge.doors import osc_packets
from engine.job import Job
from engine.request import OPTIONS, Request, option_fields
from reaper.offer import option_rows
from pythonosc.osc_message_builder import OscMessageBuilder


def said(*arguments):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        with contextlib.redirect_stderr(io.StringIO()) as err:
            code = run(list(arguments))
    return code, out.getvalue(), err.getvalue()


def asked(polish):
    fields = (("query", "dog"), ("polish", polish), ("warmth", "2"))
    given = Request("r1", "reaper", fields).options()
    return given.polish.value, given.warmth


made = Job("j1", Path("/a.wav"), ("dog",), More(polish=Polish.SOFT, warmth=1.25))
assert Job.from_text(made.to_text()) == made
assert Job.from_text(Job("j1", Path("/a.wav"), ("dog",)).to_text()).options == More()
builder = OscMessageBuilder("/tweeze/separate")
for argument in ("secret", "dog", *(f"{option.name}=x" for option in OPTIONS)):
    builder.add_arg(argument)
print(json.dumps({
    "text": made.to_text(),
    "default": Job("j1", Path("/a.wav"), ("dog",)).to_text(),
    "help": [said(command, "--help")[1] for command in ("separate", "trigger")],
    "wrong": [said(name, "a.wav", "dog", "--polish", "x") for name in ("separate", "trigger")],
    "asked": asked("soft"),
    "osc": option_fields(["polish=soft", "warmth=1.5"]),
    "over OSC": len(next(osc_packets.messages(builder.build().dgram)).arguments()),
    "controls": dialog.controls(OPTIONS, {}),
    "fields": dialog.fields(OPTIONS, {}),
    "offer": option_rows(OPTIONS),
}))
"""


@pytest.fixture(scope="module")
def more() -> dict[str, Any]:
    """What is offered where the table has two more options."""
    done = subprocess.run(
        [sys.executable, "-c", WITH_TWO_MORE], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_another_option_is_in_jobs_texts(more: dict[str, Any]) -> None:
    assert "bandwidth=full\npolish=soft\nwarmth=1.25\ntitle=" in more["text"]
    assert "polish" not in more["default"]  # sparse: older readers go on
    assert "warmth=0.50\n" in more["default"]


def test_another_option_is_on_the_command_line(more: dict[str, Any]) -> None:
    for text in more["help"]:
        assert "--polish <none|soft>" in text
        assert "How smooth.  [default: none]" in " ".join(text.split("\n")).replace("   ", "")
        assert "--warmth <0 to 2>" in text
    for code, out, err in more["wrong"]:
        assert (code, out, err) == (2, "", "--polish must be none or soft, not 'x'.\n")


def test_another_option_is_in_requests_and_over_osc(more: dict[str, Any]) -> None:
    assert more["asked"] == ["soft", 2.0]
    assert more["osc"] == [["polish", "soft"], ["warmth", "1.50"]]
    assert more["over OSC"] == 1 + len(OPTIONS) + 2  # a message may name every option


def test_another_option_is_in_the_editors_dialogs(more: dict[str, Any]) -> None:
    assert ';control polish "Polish" choice "as it is,smooth" 0\n' in more["controls"]
    assert more["controls"].endswith(';control warmth "Warmth" float-text "" 0.5 0 2')
    assert '(list "polish" (nth polish \'("none" "soft")))' in more["fields"]
    assert '(list "warmth" (format nil "~a" warmth))' in more["fields"]
    rows = more["offer"]
    at = rows.index(["option", "polish"])
    assert rows[at + 1 : at + 5] == [
        ["default", "none"],
        ["form", "none|soft"],
        ["label", "Polish"],
        ["called", "as it is|smooth"],
    ]


def recorded() -> list[str]:
    """The texts of jobs with every choice, as they were written before there was a table."""
    text = (ROOT / "tests" / "data" / "jobs.txt").read_text("utf-8")
    return [part + "\nend\n" for part in text.split("\nend\n")[:-1]]


def test_the_texts_of_jobs_are_what_they_were() -> None:
    sharp = (1.0, 0.1, 1.5, 10.0, 2.25)
    every = list(product(Keep, Stereo, Bandwidth, Precision, Context, Memory))
    texts = recorded()
    assert len(texts) == len(every) == 96
    for n, (text, (keep, stereo, bandwidth, *rest)) in enumerate(zip(texts, every, strict=True)):
        precision, context, memory = rest
        options = Options(
            "compact" if n % 3 else "my model",
            *(keep, stereo, bandwidth, sharp[n % 5], precision, context, memory),
        )
        mute = n % 4 == 1
        place = Placement("reaper", "p1", "Vögel = 1", -7, 48000, mute=mute) if n % 2 else None
        job = Job(
            f"job-{n}",
            Path("/m/a b.wav"),
            ("dog barking", "rain")[: 1 + n % 2],
            options,
            "Take 1" if n % 3 else "",
            place,
            "reaper" if n % 2 else "",
        )
        assert job.to_text() == text
        assert Job.from_text(text) == job


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_a_wrong_value_is_one_sentence_that_says_what_is_right(option: Any) -> None:
    if not option.form.startswith("text"):
        with pytest.raises(BadJob) as refused:
            option.read("odd\n")
        assert str(refused.value) == f"'{option.name}' must be {option.allowed}, not 'odd\\n'."
        assert all(text in option.allowed for text in option.words)
    assert option.read(option.write(option.default)) == option.default
    assert set(option.words) == {option.write(option.read(text)) for text in option.words}


@pytest.mark.parametrize("command", ["separate", "trigger"])
@pytest.mark.parametrize(
    "option",
    [one for one in table(Options) if not isinstance(one, Text | Flag)],
    ids=lambda option: option.name,
)
def test_a_wrong_value_on_the_command_line_is_one_sentence(
    command: str, option: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    flag = f"--{option.name.replace('_', '-')}"
    assert run([command, "a.wav", "dog", flag, "odd"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"{flag} must be {option.allowed}, not 'odd'.\n"


@pytest.mark.parametrize("command", ["separate", "trigger"])
def test_a_flag_takes_no_value(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "a.wav", "dog", "--no-compete=odd"]) == 2
    said = capsys.readouterr()
    assert said.err == f"'--no-compete' takes no value: see 'tweeze {command} --help'.\n"


@pytest.mark.parametrize("command", ["separate", "trigger"])
@pytest.mark.parametrize(
    ("example", "said"),
    [
        ("none.wav", "There is no file none.wav: name an example as --like FILE or "),
        ("none.wav@3-2", "The example 'none.wav@3-2' ends before it has begun: "),
        (
            "none.wav@3-3.01",
            "The example 'none.wav@3-3.01' is too short: name 0.05 s of it at least.",
        ),
        ("none.wav@1-99", "The example 'none.wav@1-99' lasts 98 s: name at most 30 s of it."),
    ],
)
def test_an_impossible_example_is_one_sentence(
    command: str, example: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "a.wav", "dog", "--like", example]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(said)
    assert told.err.count("\n") == 1


def test_an_example_is_found_from_where_the_command_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bark.wav").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert example_from_here("bark.wav@1-2") == f"{tmp_path.resolve() / 'bark.wav'}@1-2"
    assert example_from_here("") == ""


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (("keep", "all"), "'keep' of the request must be target, residual or both, not 'all'."),
        (("mute", "1"), "'mute' of the request must be yes or no, not '1'."),
        (("sharpness", "-1"), "'sharpness' of the request must be a number from 0.1 to 10"),
    ],
)
def test_a_request_is_refused_with_what_is_allowed(field: tuple[str, str], said: str) -> None:
    request = Request("r1", "audacity", (("query", "dog"), field))
    with pytest.raises(BadInput) as refused:
        print(request.options(), request.placing())
    assert str(refused.value).startswith(said)


def test_a_request_carries_every_option() -> None:
    options = Options("m", Keep.BOTH, Stereo.LINKED, Bandwidth.MODEL, 1.5, memory=Memory.LOW)
    request = Request("r1", "audacity", (*write(options), ("mute", "yes"), ("again", "no")))
    assert Request.from_text(request.to_text()).options() == options
    assert request.placing() == {"mute": True}
    assert Request("r1", "audacity").options() == Options()
    assert Request("r1", "audacity").placing() == {}


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["steroe=linked"], "There is no option 'steroe'; there are: model, keep, stereo,"),
        (["stereo"], "'stereo' must be independent or linked, not ''"),
        (["stereo=linked", "stereo=linked"], "'stereo' is named twice"),
    ],
)
def test_options_by_name_are_refused_in_a_sentence(texts: list[str], said: str) -> None:
    with pytest.raises(BadInput) as refused:
        option_fields(texts)
    assert str(refused.value).startswith(said)


def test_the_handbook_names_every_option_of_a_job() -> None:
    rows = [
        row
        for row in (ROOT / "docs" / "command-line.md").read_text("utf-8").split("\n")
        if "| `--" in row
    ]
    for option in table(Options):
        off = "no-" if isinstance(option, Flag) and option.default else ""  # as it is needed
        flag = option.name.replace("_", "-")
        assert any(f"`--{off}{flag}" in row for row in rows), option.name
        for text in option.words if option.name in ("keep", "stereo", "bandwidth") else ():
            assert any(f"`--{option.name}" in row and text in row for row in rows), text
