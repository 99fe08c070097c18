"""Files and queries on one command line: which is which, and what becomes of a bad one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import run
from bridge.inputs import files_and_queries, recordings, sounds
from engine.errors import BadInput


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    (folder / "birds").mkdir(parents=True)
    for name in ("a.wav", "b.wav", "dog", "c [1].flac"):
        (folder / name).write_text("x")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("arguments", "files", "queries"),
    [
        (["a.wav", "bell"], ["a.wav"], ["bell"]),
        (["a.wav", "b.wav", "bell", "rain"], ["a.wav", "b.wav"], ["bell", "rain"]),
        (["a.wav", "a.wav", "./a.wav", "bell"], ["a.wav"], ["bell"]),
        (["*.wav", "bell"], ["a.wav", "b.wav"], ["bell"]),
        (["b.wav", "*.wav", "bell"], ["b.wav", "a.wav"], ["bell"]),
        (["c [1].flac", "bell"], ["c [1].flac"], ["bell"]),
        (["a.wav", "birds"], ["a.wav"], ["birds"]),
        (["gone.wav", "bell"], ["gone.wav"], ["bell"]),
        (["a.wav", "AC/DC: bells?"], ["a.wav"], ["AC/DC: bells?"]),
        (["a.wav", "x" * 300], ["a.wav"], ["x" * 300]),
        (["birds/", "bell"], ["birds"], ["bell"]),
        (["-", "bell"], ["-"], ["bell"]),
        (["/dev/stdin", "-", "a.wav", "bell"], ["-", "a.wav"], ["bell"]),
        (["a.wav", "./birds/", "bell"], ["a.wav", "birds"], ["bell"]),
    ],
)
def test_files_come_first(
    here: Path, arguments: list[str], files: list[str], queries: list[str]
) -> None:
    assert files_and_queries(arguments) == ([Path(name) for name in files], queries)


def test_with_query_all_arguments_are_files(here: Path) -> None:
    assert files_and_queries(["a.wav", "dog"], ["dog"]) == ([Path("a.wav"), Path("dog")], ["dog"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.wav"], "No sound is named"),
        (["a.wav", "b.wav"], "No sound is named: b.wav is a file here"),
        (["a.wav", "dog"], "with --query"),
        (["a.wav", "bell", "b.wav"], "b.wav is a file, but comes after the sound 'bell'"),
        (["*.mp3", "bell"], "No file matches *.mp3"),
        (["a.wav", "*.mp3", "bell"], "No file matches *.mp3"),
        (["a.wav", "-"], "No sound is named: - is a file here"),
        (["a.wav", "bell", "-"], "- is a file, but comes after the sound 'bell'"),
        (["a.wav", ""], "query is empty"),
    ],
)
def test_what_is_unclear_is_refused(here: Path, arguments: list[str], said: str) -> None:
    with pytest.raises(BadInput, match=r"\.$") as refused:
        files_and_queries(arguments)
    assert said in str(refused.value)


def test_recordings_alone(here: Path) -> None:
    assert recordings(["b.wav", "*.wav"]) == [Path("b.wav"), Path("a.wav")]


def test_the_others_are_done_where_one_is_bad(home: Any, short_wav: Path, tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        shutil.copy(short_wav, tmp_path / name / "street.wav")
    bad = tmp_path / "bad.wav"
    bad.write_text("once upon a time " * 99)
    out = tmp_path / "out"
    good = [tmp_path / name / "street.wav" for name in ("1", "2")]
    done = home.tweeze("separate", good[0], bad, good[1], "dog", "--out", out)
    assert done.stdout.splitlines() == [
        str(out / "street - dog.wav"),
        str(out / "street - dog (2).wav"),
    ]
    (said,) = home.complaints(done)
    assert str(bad.name) in said
    assert "not an audio file" in said
    assert done.returncode == 2
    assert home.leftovers() == []

    said = home.tweeze("separate", *good, "dog", "--out", out, "--json")
    facts = [json.loads(line) for line in said.stdout.splitlines()]
    assert [one["file"] for one in facts] == [str(file) for file in good]


def test_one_wrong_request_is_said_once(home: Any, short_wav: Path, tmp_path: Path) -> None:
    other = shutil.copy(short_wav, tmp_path / "other.wav")
    done = home.tweeze(
        "separate", short_wav, other, "dog", "--model", "gpt", "--out", tmp_path / "o"
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "no model named 'gpt'" in done.stderr
    assert not (tmp_path / "o").exists()


def test_listening_to_several_names_each(home: Any, short_wav: Path, tmp_path: Path) -> None:
    other = shutil.copy(short_wav, tmp_path / "other.wav")
    done = home.tweeze("listen", short_wav, tmp_path / "gone.wav", other)
    assert done.returncode == 2
    assert "gone.wav does not exist" in done.stderr
    headings = [line for line in done.stdout.splitlines() if line.endswith(".wav:")]
    assert headings == [f"{short_wav}:", f"{other}:"]


def test_a_command_without_files_takes_none_for_a_sound(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TWEEZE_HOME", str(here / "home"))
    for command, instead in (
        ("suggest", "tweeze listen FILE"),
        ("trigger", "tweeze separate FILE"),
    ):
        for file in ("b.wav", "./dog", "*.wav", "./birds"):
            assert run([command, file]) == 2
            said = capsys.readouterr().err
            assert said.startswith(f"{file} is a file, not a sound: ")
            assert instead in said
            assert said.count("\n") == 1
    assert not (here / "home").exists()
    taken = ["dog", "birds", "gone.wav", "AC/DC: bells?"]
    assert sounds(taken, "") == taken
