"""`tweeze evaluate`, `train`, `finetune`: what a user types and reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bridge.cli import run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TWEEZE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def mixtures(tmp_path: Path) -> Path:
    """One mixture of a low and a high noise."""
    rng = np.random.default_rng(0)
    parts = 0.1 * rng.standard_normal((2, 32_000))
    parts[0] = np.convolve(parts[0], np.ones(30) / 5, "same")
    folder = tmp_path / "mixtures"
    folder.mkdir()
    for name, audio in (("mix", parts.sum(0)), ("low", parts[0]), ("high", parts[1])):
        soundfile.write(folder / f"{name}.wav", audio, 32_000, subtype="FLOAT")
    (folder / "triples.csv").write_text(
        "mixture,target,caption\nmix.wav,low.wav,rumble\nmix.wav,high.wav,hiss\n"
    )
    return folder


def test_evaluate_prints_and_writes(home, mixtures, tmp_path, capsys):
    out = tmp_path / "new" / "out"
    assert run(["evaluate", "compact", "--set", str(mixtures), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "mixtures of mixtures" in text
    assert "SI-SDRi median" in text
    names = {"absent.csv", "chart.png", "classes.csv", "classes.png", "clips.csv", "figures.json"}
    assert {path.name for path in out.iterdir()} == names | {"knowledge.csv"}
    assert run(["evaluate", "compact", "--set", str(mixtures), "--json"]) == 0
    (part,) = json.loads(capsys.readouterr().out)["sets"]
    assert part == json.loads((out / "figures.json").read_text())["sets"][0]
    assert part["n"] == 2
    assert part["figures"]["absent level mean"] is None


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["evaluate", "compact"], "There is nothing to measure on"),
        (["evaluate", "compact", "--set", "gone"], "There is no folder gone"),
        (["evaluate", "compact", "--store", "gone"], "gone is not a corpus"),
        (["evaluate", "demucs", "--set", "MIXTURES"], "There is no model named 'demucs'"),
        (["evaluate", "gone.safetensors", "--set", "MIXTURES"], "There is no file gone"),
        (["train", "gone", "run"], "gone is not a corpus"),
        (["finetune", "gone", "--name", "mine"], "There is no folder or file gone"),
        (["finetune", "MIXTURES", "--name", "Mine!"], "is not a valid name for a model"),
        (["finetune", "MIXTURES"], "'tweeze finetune' needs '--name'"),
    ],
)
def test_a_wrong_request_is_one_sentence_and_2(home, mixtures, capsys, command, said):
    arguments = [str(mixtures) if word == "MIXTURES" else word for word in command]
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (home / "models" / "mine").exists()


def test_help_needs_no_torch() -> None:
    commands = ("evaluate", "train", "finetune")
    code = (
        "import sys; from bridge.cli import run; "
        f"[run([command, '--help']) for command in {commands}]; sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in commands:
        assert f"Usage: tweeze {command} " in done.stdout


def test_a_finetuned_model_is_listed_and_removed(home, tmp_path, capsys, monkeypatch):
    from engine.folders import Folders
    from engine.models import catalogue, compact
    from engine.models.compact.weights import save_weights

    weights = tmp_path / "weights.safetensors"
    save_weights(compact.load().net.state_dict(), weights)
    catalogue.add(Folders(home), "mine", "compact", weights, licence="yours", origin="compact")
    assert run(["models", "--json"]) == 0
    (row,) = (one for one in json.loads(capsys.readouterr().out) if one["name"] == "mine")
    assert (row["state"], row["origin"]) == ("added", "compact")
    assert row["bytes"] > 5_000_000
    assert run(["models", "verify", "mine"]) == 0
    assert run(["models", "remove", "mine"]) == 0
    assert not (home / "models" / "mine").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="names have a form of their own elsewhere")
def test_names_that_are_no_utf8_can_be_learned_from(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / os.fsdecode(b"Zo\xeb")
    rng = np.random.default_rng(0)
    for caption in ("dog", "rain"):
        (place / caption).mkdir(parents=True)
        for number in range(3):
            name = os.fsdecode(b"\xeb%d.wav" % number) if number else "0.wav"
            with (place / caption / name).open("wb") as file:
                audio = 0.1 * rng.standard_normal(16_000)
                soundfile.write(file, audio, 16_000, format="WAV", subtype="FLOAT")
    few = ["--steps", "1", "--every", "1", "--pairs", "2", "--mixtures", "1"]
    assert run(["finetune", str(place), "--name", "mine", *few]) == 0
    assert "mine is ready" in capsys.readouterr().out


def test_evaluate_with_the_other_sound_named(home, mixtures, capsys):
    assert run(["evaluate", "compact", "--set", str(mixtures), "--told", "--json"]) == 0
    (part,) = json.loads(capsys.readouterr().out)["sets"]
    told = part["figures"]["told mean"]
    assert told is not None
    assert told != part["figures"]["SI-SDRi mean"]


def test_evaluate_notes_who_is_best_for_a_family(home, tmp_path, capsys):
    store = tmp_path / "store"
    store.mkdir()
    names = ("speech", "rain", "guitar", "singing")
    rng = np.random.default_rng(3)
    samples = (rng.uniform(-0.5, 0.5, (len(names), 32_000)) * 32767).astype("<i2")
    (store / "audio.i16").write_bytes(samples.tobytes())
    rows = [
        f"{name},a,{name}.wav,{name},heldout,{32_000 * place},32000"
        for place, name in enumerate(names)
    ]
    (store / "clips.csv").write_text(
        "\n".join(["name,source,path,group,split,start,length", *rows]) + "\n"
    )
    words = ["evaluate", "compact", "--store", str(store), "--route", "--pairs", "2"]
    assert run([*words, "--seed", "5"]) == 0
    text = capsys.readouterr().out
    assert str(home / "routes.csv") in text
    table = (home / "routes.csv").read_text().splitlines()
    assert table[0] == "family,model,gain,count,from"
    families = {row.split(",")[0] for row in table[1:]}
    assert families == {"speech", "no speech", "vocals", "accompaniment"}
    assert all(
        row.endswith(f",2,tweeze {' '.join(words[:2])} --route --pairs 2 --seed 5")
        for row in table[1:]
    )
    assert run([*words, "--out", str(tmp_path / "there")]) == 0
    assert (tmp_path / "there" / "routes.csv").is_file()
    assert run(["evaluate", "compact", "--route"]) == 2
    assert "name a corpus with --store" in capsys.readouterr().err
