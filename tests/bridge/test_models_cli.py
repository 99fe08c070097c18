"""`tweeze models`: what a user reads and types; the catalogue has tests of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from bridge.cli import run
from engine.folders import Folders
from engine.models import catalogue, pulling
from engine.models.records import Entry

pytestmark = pytest.mark.usefixtures("no_specialists")
TOKENIZER = ("vocab.json", "merges.txt")


@pytest.fixture
def home(tmp_path: Path, monkeypatch) -> Folders:
    monkeypatch.setenv("TWEEZE_HOME", str(tmp_path / "home"))
    return Folders(tmp_path / "home")


@pytest.fixture
def added(home, tmp_path, monkeypatch) -> Path:
    """A checkpoint of a few bytes that counts as a model."""

    def write(folder: Path, *_: object) -> None:
        folder.mkdir(parents=True)
        (folder / "form.json").write_text("{}")

    monkeypatch.setattr("engine.models.audiosep.fast.write", write)
    checkpoint = tmp_path / "My Model v2.ckpt"
    checkpoint.write_bytes(b"weights")
    for name in TOKENIZER:
        (tmp_path / name).write_text("{}")
    assert run(["models", "add", str(checkpoint), "--tokenizer", str(tmp_path)]) == 0
    return checkpoint


@pytest.mark.parametrize("command", [["models"], ["models", "list"]])
def test_a_fresh_home_lists_what_there_is_and_what_can_be_had(home, capsys, command):
    assert run(command) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["compact", "ears", "audiosep", "audiosep-hive", "htdemucs"]
    assert "any sound" in " ".join(rows[0])
    does = [[word for word in row if word in ("separates", "listens")] for row in rows]
    assert does == [["separates"], ["listens"], *3 * [["separates"]]]
    assert rows[2][1:] == ["to", "pull", "1.27", "GB", "separates", "MIT"]
    assert run([*command, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [fact["name"] for fact in facts] == [row[0] for row in rows]


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_what_the_users_table_names_in_vain_is_said(home, capsys, flags):
    home.make()
    path = home.root / "routes.csv"
    path.write_text("family,model,gain,count,from\nspeech,compct,9.0,3,x\ndrums,compact,2,3,x\n")
    assert run(["models", *flags]) == 0
    out, err = capsys.readouterr()
    assert "compct" not in out
    assert "compact" in out
    assert err == (
        f"{path} names models that are not known ('compct'): those rows count for nothing; "
        "correct or remove them.\n"
    )


def test_an_added_model_is_named_after_its_file(home, added, capsys):
    capsys.readouterr()
    run(["models", "--json"])
    facts = json.loads(capsys.readouterr().out)[2]
    assert (facts["name"], facts["state"]) == ("my-model-v2", "added")
    assert facts["origin"] == str(added)


def test_verify_ends_with_1_where_something_is_wrong(home, added, capsys):
    assert run(["models", "verify", "my-model-v2"]) == 1
    capsys.readouterr()
    assert run(["models", "verify", "my-model-v2", "--json"]) == 1
    findings = {f["path"]: f["problem"] for f in json.loads(capsys.readouterr().out)}
    assert findings.pop(str(added)) == ""
    assert list(findings.values()) == ["was not made from this checkpoint"]


def test_removing_leaves_the_checkpoint(home, added, capsys):
    assert run(["models", "remove", "my-model-v2"]) == 0
    assert "Removed my-model-v2" in capsys.readouterr().out
    assert added.exists()
    assert catalogue.added(home) == ()
    assert run(["models", "remove", "my-model-v2"]) == 2
    assert "There is no model named" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["remove", "compact"], "part of Tweeze"),
        (["remove", "ears"], "part of Tweeze"),
        (["add", "x.ckpt", "--name", "ears"], "is a bundled model's name"),
        (["pull", "demucs"], "it can pull: audiosep, audiosep-hive"),
        (["pull", "audiosep", "--from", "x/y"], "pulled from: Audio-AGI/AudioSep, nielsr/audiosep"),
        (
            ["pull", "htdemucs", "--from", "x/y"],
            "it can be pulled from: https://dl.fbaipublicfiles",
        ),
        (["add", "nothing.ckpt"], "There is no file"),
        (["add", ".", "--name", "x"], "There is no file"),
        (["add", "x.ckpt", "--name", "A B"], "is not a valid name for a model"),
        (["verify", "nothing"], "There is no model named 'nothing'; there are: compact, ears."),
        (["verify", "audiosep"], "run 'tweeze models pull audiosep'"),
        (["add", "x.ckpt", "--kind", "x"], "no kind of model named 'x'; there are: compact, audio"),
        (["add", "x.ckpt", "--with", "x"], "not of the form ROLE=FILE"),
        (["add", "x.ckpt", "--with", "x=y"], "takes no 'x'; beside its main file it takes: text"),
    ],
)
def test_a_wrong_request_is_one_sentence_and_2(home, capsys, command, said):
    assert run(["models", *command]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_checkpoint_with_code_in_it_is_refused(home, tmp_path, capsys):
    class Trap:
        def __reduce__(self):
            return Path.write_text, (tmp_path / "was here", "x")

    torch.save({"state_dict": {}, "trap": Trap()}, tmp_path / "bad.ckpt")
    for name in TOKENIZER:
        (tmp_path / name).write_text("{}")
    code = run(["models", "add", str(tmp_path / "bad.ckpt"), "--tokenizer", str(tmp_path)])
    assert code == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "was here").exists()


def test_pull_says_what_is_not_pinned(home, capsys, monkeypatch):
    def pull(wanted, folders, **_):
        shown = " ".join(capsys.readouterr().out.split())
        assert "0.96 GB from https://huggingface.co/nielsr/audiosep-demo/tree/main" in shown
        assert "the first download is taken on trust" in shown
        assert "Apache License 2.0" in shown
        return Entry(wanted.name, folders.models / wanted.name, wanted.kind)

    monkeypatch.setattr(pulling, "pull", pull)
    assert run(["models", "pull", "audiosep", "--from", "nielsr/audiosep-demo"]) == 0
    assert "audiosep is ready" in capsys.readouterr().out


def test_pull_shows_size_and_terms_first(home, capsys, monkeypatch):
    def pull(wanted, folders, **_):
        shown = capsys.readouterr().out
        assert "1.27 GB from https://huggingface.co/spaces/Audio-AGI/AudioSep" in shown
        assert "on trust" not in shown
        assert "Copyright (c) Xubo Liu" in shown
        assert "THE SOFTWARE IS PROVIDED" in shown
        return Entry(wanted.name, folders.models / wanted.name, wanted.kind)

    monkeypatch.setattr(pulling, "pull", pull)
    assert run(["models", "pull", "audiosep"]) == 0
    assert "audiosep is ready" in capsys.readouterr().out


class Drafting:
    """In the place of an AudioSep whose drafts can be tried."""

    def __init__(self, facts: dict[str, object]) -> None:
        self.facts = facts

    def try_drafts(self) -> dict[str, object]:
        return self.facts


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            {"decibels": 31.2, "seconds_with": 1.0, "seconds_without": 1.7, "plan": {}},
            "Drafts of mine have parts in 8 bits from now on: 1.7 times as fast, and 31.2 dB from "
            "exact answers.",
        ),
        ({"why": "the trial failed: \x1b"}, "Drafts stay as they were: the trial failed: \\x1b."),
    ],
)
def test_tune_says_what_it_found(home, capsys, monkeypatch, facts, said):
    monkeypatch.setattr("engine.models.load", lambda name, folders: Drafting(facts))
    assert run(["models", "tune", "mine"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("Trying which parts of mine bear 8 bits")
    assert second == said


def test_only_audiosep_has_drafts_to_tune(home, capsys):
    assert run(["models", "tune", "compact"]) == 2
    assert "compact has no drafts to tune: AudioSep has" in capsys.readouterr().err
