"""A kind of model enters through the table of kinds alone."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bridge.cli import run
from engine import models
from engine.errors import UnknownModel
from engine.folders import Folders
from engine.job import Job
from engine.models import catalogue, kinds, releases
from engine.models.cache import ModelCache
from engine.options import Options
from engine.queue.admission import admit
from engine.sound.separate import separate

ENGINE = Path(kinds.__file__).parents[1]
SUPPORT = Path(__file__).parents[2] / "support"
pytestmark = pytest.mark.usefixtures("no_specialists")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    monkeypatch.setenv("TWEEZE_HOME", str(tmp_path / "home"))
    made = Folders(tmp_path / "home")
    made.make()
    return made


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table with one kind more, which is all that its model needs."""
    monkeypatch.setitem(kinds.KINDS, "halving", "halving")


@pytest.fixture
def added(home: Folders, table: None, tmp_path: Path) -> Path:
    (tmp_path / "Half.txt").write_text("0.5")
    (tmp_path / "notes").write_text("none")
    notes = f"notes={tmp_path / 'notes'}"
    words = ["models", "add", str(tmp_path / "Half.txt"), "--kind", "halving", "--with", notes]
    assert run([*words, "--licence", "CC0"]) == 0
    return home.models / "half"


def test_a_new_kind_is_added_listed_verified_and_removed(home, added, capsys, tmp_path):
    capsys.readouterr()
    assert run(["models", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)[2]
    assert (row["name"], row["kind"], row["state"]) == ("half", "halving", "added")
    assert (row["licence"], row["origin"]) == ("CC0", str(added / "share"))
    assert run(["models", "verify", "half"]) == 0
    assert capsys.readouterr().out.count("ok ") == 2
    (added / "notes").write_text("some")
    assert run(["models", "verify", "half"]) == 1
    assert f"WRONG  {added / 'notes'} was changed" in capsys.readouterr().out
    assert run(["models", "remove", "half"]) == 0
    assert models.names(home) == ("compact",)
    assert not added.exists()
    (tmp_path / "bad.txt").write_text("a lot")
    assert run(["models", "add", str(tmp_path / "bad.txt"), "--kind", "halving"]) == 1
    assert list(home.models.iterdir()) == []


def test_a_new_kind_separates(home, added, tmp_path):
    mixture = np.random.default_rng(0).uniform(-0.5, 0.5, (48_000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "mixture.wav", mixture, 48_000, subtype="FLOAT")
    job = Job("job-1", tmp_path / "mixture.wav", ("a dog",), Options(model="half"))
    admit(job, home)
    cache = ModelCache(home, models.load)
    model, _ = cache.fetch("half")
    (clip,) = separate(job, model, home.clips / job.id)
    found, _ = soundfile.read(clip.path, dtype="float32")
    below = np.abs(np.fft.rfft(found - 0.5 * mixture, axis=0))[:14_000]  # 0.45 of 32 kHz
    assert below.max() < 10 ** (-90 / 20) * np.abs(np.fft.rfft(mixture, axis=0)).max()
    assert cache.fetch("half") == (model, 0.0)
    run(["models", "remove", "half"])
    with pytest.raises(UnknownModel, match="no model named 'half'; there are: compact"):
        admit(job, home)
    (tmp_path / "half.txt").write_text("0.25")
    assert run(["models", "add", str(tmp_path / "half.txt"), "--kind", "halving"]) == 0
    assert cache.fetch("half")[0].value == 0.25  # another model has that name since


def test_a_release_of_a_new_kind_is_pulled(home, table, monkeypatch, capsys):
    def remote(name: str, content: bytes) -> releases.RemoteFile:
        digest = hashlib.sha256(content).hexdigest()
        return releases.RemoteFile("someone/share", "0" * 40, name, len(content), digest)

    release = releases.Release(
        name="share",
        title="Share",
        kind="halving",
        main=remote("share-3.txt", b"0.3"),
        also={"notes": remote("README", b"nothing")},
        room=10,
        licence="CC0",
        terms="Do what you like.",
    )
    monkeypatch.setattr(releases, "RELEASES", (release,))
    with pytest.raises(UnknownModel, match="'share' is not installed: run 'tweeze models pull"):
        models.load("share", home)
    (home.models / "share").mkdir()  # as an earlier pull left it: nothing is to be downloaded
    for name, content in (("share-3.txt", b"0.3"), ("README", b"nothing")):
        (home.models / "share" / name).write_bytes(content)
    assert run(["models", "pull", "share", "--yes"]) == 0
    assert "Do what you like." in capsys.readouterr().out
    assert models.load("share", home).value == 0.3
    assert catalogue.entry("share", home).origin == release.main.page


def test_a_model_of_a_kind_that_is_gone_is_named(home, added, monkeypatch, capsys):
    monkeypatch.delitem(kinds.KINDS, "halving")
    capsys.readouterr()
    assert run(["models"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[2].split()[:2] == ["half", "unusable"]
    assert err == (
        "half cannot be used: its kind 'halving' is unknown to this version of Tweeze: update "
        "Tweeze, or remove the model with 'tweeze models remove half'.\n"
    )
    assert run(["models", "verify", "half"]) == 2
    assert "its kind 'halving' is unknown" in capsys.readouterr().err
    assert models.names(home) == ("compact",)
    assert run(["models", "remove", "half"]) == 0
    assert not added.exists()


def test_listing_models_imports_no_kind(added):
    code = (
        "import sys; from engine.models.kinds import KINDS; KINDS['halving'] = 'halving'; "
        "from bridge.cli import run; assert run(['models']) == 0; "
        "sys.exit(any(n in sys.modules for n in ('torch', 'engine.models.audiosep', 'halving')))"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ENGINE.parent}{os.pathsep}{SUPPORT}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "half" in done.stdout
    assert done.stderr == ""


def test_only_the_table_and_the_releases_name_a_family():
    for file in ENGINE.glob("models/*.py"):
        if file.name in ("kinds.py", "releases.py", "resunet.py", "knowledge.py"):
            continue
        words = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant):
                words.add(node.value)
            elif isinstance(node, ast.Name):
                words.add(node.id)
            elif isinstance(node, ast.ImportFrom):
                words |= {*(node.module or "").split("."), *(name.name for name in node.names)}
        assert "Entry" in words or file.name not in ("catalogue.py", "pulling.py")  # it does look
        assert not words & set(kinds.KINDS), file


@pytest.mark.parametrize("name", kinds.KINDS)
def test_each_kind_offers_what_is_asked_of_one(name):
    module = kinds.kind(name)
    assert all(module.ROLES.values())
    asked = [word for word in vars(kinds.Kind) if not word.startswith("_")]
    assert sorted(asked) == ["ROLES", "add", "load", "verify"]
    assert all(hasattr(module, word) for word in asked)
