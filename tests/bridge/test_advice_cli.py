"""`tweeze suggest` and `tweeze listen`, as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bridge import advice_cli
from engine.advice.suggestions import Relation, Suggestion
from engine.errors import BadInput
from engine.status import Event, Heard, JobState, Status


def test_terms_come_one_a_line_the_best_one_first(home: Any) -> None:
    done = home.tweeze("suggest", "a pheasant")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows[0][:2] == ["bird", "broader"]
    assert len(rows) == 5
    assert all(len(row) == 3 for row in rows)
    facts = json.loads(home.tweeze("suggest", "a pheasant", "--json").stdout)
    assert [one["term"] for one in facts["suggestions"]] == [row[0] for row in rows]
    assert facts["query"] == "a pheasant"
    assert facts["note"] == ""


def test_a_stem_and_nonsense_get_a_sentence(home: Any) -> None:
    done = home.tweeze("suggest", "vocals")
    assert done.returncode == 0
    assert "tweeze[stems]" in done.stderr
    assert "stems" not in done.stdout
    done = home.tweeze("suggest", "zxqw")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        "No word of 'zxqw' is known, and queries are English: describe the sound in common English "
        "words, for example 'dog barking'.\n"
    )
    done = home.tweeze("suggest", "?")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("No sound that Tweeze knows is similar to '?'")
    done = home.tweeze("suggest", " ")
    assert done.returncode == 2
    assert done.stderr.startswith("The query is empty")


def test_suggesting_starts_no_engine_and_loads_no_torch(home: Any, tmp_path: Path) -> None:
    script = (
        "import sys; from bridge.cli import run; code = run(['suggest', 'gong']);"
        "sys.exit(code or bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    environment = {**home.environment, "TWEEZE_HOME": str(tmp_path / "other")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert done.returncode == 0
    assert not (tmp_path / "other").exists()


def test_listening_names_sounds_and_writes_nothing(
    home: Any, short_wav: Path, tmp_path: Path
) -> None:
    done = home.tweeze("listen", short_wav, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["model"] == "ears"
    assert facts["heard"]
    for one in facts["heard"]:
        assert one["times"] == [[event["start"], event["stop"]] for event in one["events"]]
        assert one["label"]
    assert all(0 <= a < b <= 1.0 for one in facts["heard"] for a, b in one["times"])
    rows = home.tweeze("listen", short_wav, cwd=tmp_path).stdout.splitlines()
    assert [row.split("\t")[0] for row in rows] == [one["name"] for one in facts["heard"]]
    assert list(tmp_path.iterdir()) == []
    assert home.leftovers() == []


def test_what_cannot_be_listened_to_gets_one_sentence(home: Any, tmp_path: Path) -> None:
    done = home.tweeze("listen", tmp_path / "gone.wav")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [f"{tmp_path / 'gone.wav'} does not exist: check the path."]
    (tmp_path / "text.wav").write_text("no sound")
    done = home.tweeze("listen", tmp_path / "text.wav")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "text.wav" in done.stderr


def test_times_and_qualities_are_said_as_a_musician_reads_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    events = (Event(0.0, 2.5, 0.93), Event(61.0, 3601.5, 0.6))
    heard = (Heard("dog", 0.93, events, "Dog"), Heard("rain", 0.2, (), "Rain"))
    status = Status("job-1", JobState.DONE, heard=heard)
    monkeypatch.setattr(advice_cli, "listen_to", lambda file, model: status)
    advice_cli.listen(["a.wav"], model="ears")
    out, err = capsys.readouterr()
    assert out == "dog\t93%\t0:00.0-0:02.5, 1:01.0-60:01.5\nrain\t20%\t\n"
    assert err == ""
    monkeypatch.setattr(
        advice_cli, "listen_to", lambda file, model: Status("j", JobState.DONE, heard=heard[1:])
    )
    advice_cli.listen(["a.wav"], model="ears")
    assert capsys.readouterr().err == "No sound stands out; the likeliest are:\n"
    gains = {None: "not measured", 4.04: "well (+4.0 dB)", 1.0: "a little (+1.0 dB)"}
    for gain, said in {**gains, -2.0: "badly (-2.0 dB)"}.items():
        one = Suggestion("bird", "bird", Relation.BROADER, 0.5, gain)
        assert advice_cli._quality(one) == said


def test_what_is_heard_can_be_written_for_an_editor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    heard = (Heard("dog", 0.93, (Event(0.5, 2.5, 0.93),), "Dog"), Heard("rain", 0.2, (), "Rain"))
    said = [Status("job-1", JobState.DONE, heard=heard)]
    monkeypatch.setattr(advice_cli, "listen_to", lambda file, model: said[-1])
    file = tmp_path / "labels.txt"
    advice_cli.listen(["a.wav"], model="ears", labels=file)
    assert file.read_text() == "0.500000\t2.500000\tdog\n"
    assert capsys.readouterr().out.startswith("dog\t93%")
    with pytest.raises(BadInput, match=r"labels\.txt is there already"):
        advice_cli.listen(["a.wav"], model="ears", labels=file)
    with pytest.raises(BadInput, match="names one file, and there are 2 recordings"):
        advice_cli.listen(["a.wav", "b.wav"], model="ears", labels=tmp_path / "both.txt")
    said.append(Status("job-2", JobState.DONE, heard=heard[1:]))
    advice_cli.listen(["a.wav"], model="ears", labels=tmp_path / "none.csv")
    assert f"No sound stands out: {tmp_path / 'none.csv'} is empty." in capsys.readouterr().err
    assert (tmp_path / "none.csv").read_text() == "#,Name,Start,End,Length\n"


def test_on_a_terminal_there_is_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    advice_cli.table(("term", "how"), [("[red]dog", "well"), ("a\x1b[2Jb", "badly")])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "[red]dog" in lines[1]  # nothing in a name is markup, or obeyed by the terminal
    assert r"a\x1b[2Jb" in lines[2]
