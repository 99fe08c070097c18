"""`tweeze batch` and `tweeze watch`, as a user meets them: an engine with a stand-in model."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from batches import write_tone

from engine.library.actor import Task, Worker
from engine.library.batch import MANIFEST
from engine.library.finding import find
from engine.library.items import Cut, Item
from engine.sound.audio import probe, read
from engine.status import JobState, Status
from tests.bridge.conftest import ROOT, until


@pytest.fixture
def tapes(tmp_path: Path) -> Path:
    for name in ("a.wav", "b.wav", "sub/c.wav"):
        write_tone(tmp_path / "tapes" / name, 0.5)
    (tmp_path / "tapes/sub/broken.wav").write_text("no audio")
    (tmp_path / "tapes/notes.txt").write_text("no audio")
    return tmp_path / "tapes"


def rows(out: Path) -> list[dict[str, str]]:
    with (out / MANIFEST).open(newline="") as file:
        return list(csv.DictReader(file))


def clips(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*.wav"))


def test_a_folder_is_separated_and_what_is_wrong_is_a_row(
    home: Any, tapes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = home.tweeze("batch", tapes, "dog", "--not", "rain", "-r", "--out", out)
    assert done.returncode == 1
    assert done.stdout == f"{out / MANIFEST}\n"
    assert clips(out) == ["a - dog.wav", "b - dog.wav", "sub/c - dog.wav"]
    states = {Path(row["file"]).name: row["state"] for row in rows(out)}
    assert states == {
        "a.wav": "done",
        "b.wav": "done",
        "c.wav": "done",
        "broken.wav": "failed",
        "notes.txt": "left out",
    }
    said = done.stderr.splitlines()
    assert "3 recordings were separated, 1 failed, 1 left out." in said
    assert said[-1] == f"1 of 5 recordings failed: {out / MANIFEST} says why."
    assert any(line.startswith("[4 of 4] ") for line in said)
    assert home.leftovers() == []
    # Each clip is what 'tweeze separate' makes of the recording.
    alone = tmp_path / "alone"
    home.tweeze("separate", tapes / "a.wav", "dog", "--not", "rain", "--out", alone)
    assert (alone / "a - dog.wav").read_bytes() == (out / "a - dog.wav").read_bytes()
    # The same command once more does only what failed.
    (tapes / "sub/broken.wav").unlink()
    again = home.tweeze("batch", tapes, "dog", "--not", "rain", "-r", "--out", out, "--json")
    assert (again.returncode, again.stdout) == (0, "")
    assert "3 were done before" in again.stderr


def test_a_table_names_stretches_and_options(home: Any, tapes: Path, tmp_path: Path) -> None:
    (tapes / "jobs.csv").write_text(
        "file,query,start,end,keep\na.wav,dog;cat,0.1,0.3,both\nsub/c.wav,cow,,,\nx.wav,cow,,,\n"
    )
    out = tmp_path / "out"
    done = home.tweeze("batch", "--jobs", tapes / "jobs.csv", "--out", out, "--json")
    assert done.returncode == 1, "a row cannot be used"
    assert "line 4" in done.stderr.splitlines()[0]
    assert done.stderr.splitlines()[-1].startswith("1 of 3 recordings failed")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert "line 4" in told[0]["error"]
    assert told[0]["state"] == "failed"
    assert {(row["part"], row["query"]) for row in told[1:]} == {
        ("0.1-0.3", "dog"),
        ("0.1-0.3", "cat"),
        ("0.1-0.3", ""),
        ("", "cow"),
    }
    whole, rate = read(tapes / "a.wav")
    assert probe(out / "a 0.1-0.3 s - dog.wav").frames == round(0.2 * rate)
    parts = [
        read(out / f"a 0.1-0.3 s - {name}.wav")[0] for name in ("dog", "cat", "without dog, cat")
    ]
    assert abs(sum(parts) - whole[:, 800:2400]).max() < 1e-6
    assert "line 4" in next(row["error"] for row in rows(out) if row["state"] == "failed")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["nowhere", "dog"], "no folder nowhere"),
        (["tapes"], "no folder tapes|No sound"),
        (["tapes", "dog", "tapes"], "comes after the sound"),
        (["tapes", "notes.txt"], "is a file, and no sound comes after it"),
        ([], "No folder is named"),
        (["tapes", "dog", "--out", "tapes"], "among the recordings"),
        (["tapes", "dog", "--include", "*.mp3"], "no recording to separate"),
        (["tapes", "--jobs", "nowhere.csv"], "cannot be read"),
        (["tapes", "dog", "--cluster", "nonsense"], "no address of a cluster"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    home: Any, tapes: Path, tmp_path: Path, arguments: list[str], word: str
) -> None:
    (tmp_path / "notes.txt").touch()
    done = home.tweeze("batch", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    said = done.stderr.splitlines()[-1]
    assert re.search(word, said), said
    assert not (tmp_path / "tweezed").exists()


def test_a_dry_run_says_what_it_would_do(home: Any, tapes: Path, tmp_path: Path) -> None:
    done = home.tweeze("batch", "tapes", "dog", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [f"{tapes / name}\tdog" for name in ("a.wav", "b.wav")]
    assert "--recursive" in done.stderr
    assert not (tmp_path / "tweezed").exists()


def test_clips_that_were_removed_are_said(home: Any, tapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    home.tweeze("batch", tapes, "dog", "--out", out)
    (out / "a - dog.wav").unlink()
    again = home.tweeze("batch", tapes, "dog", "--out", out)
    assert again.returncode == 0
    assert again.stderr.splitlines()[-1].startswith("1 clip of what was done before is no longer")


def test_a_service_without_streams_does_its_work(home: Any, tapes: Path, tmp_path: Path) -> None:
    command = '"$0" -m bridge.cli batch "$1" dog --out "$2" <&- >&- 2>&-'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, tapes, tmp_path / "out"],
        env=home.environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert clips(tmp_path / "out") == ["a - dog.wav", "b - dog.wav"]


def test_ctrl_c_leaves_what_is_done_and_nothing_half(
    home: Any, tapes: Path, tmp_path: Path
) -> None:
    write_tone(tapes / "b.wav", 12.0)  # long enough for the model to hold
    (home.root / "hold").touch()
    out, before = tmp_path / "out", set(home.folders.status.iterdir())

    def cancelled() -> bool:
        said = set(home.folders.status.glob("[!.]*")) - before
        return any(Status.from_text(p.read_text()).state is JobState.CANCELLED for p in said)

    process = home.start("batch", tapes, "hold", "-r", "--out", out)
    try:
        until((home.root / "held").exists)
        process.send_signal(signal.SIGINT)
        until(cancelled)
    finally:
        (home.root / "hold").unlink()
        _, said = process.communicate(timeout=60)
    (home.root / "held").unlink()
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "Cancelled."
    done = [row["clip"] for row in rows(out) if row["state"] == "done"]
    assert clips(out) == done
    assert "b - hold.wav" not in done
    until(lambda: home.leftovers() == [])
    again = home.tweeze("batch", tapes, "hold", "-r", "--out", out)
    assert len(clips(out)) == 3, again.stderr


@pytest.mark.fault(
    "'tweeze batch' is killed while the engine separates",
    promise="the engine goes on, and the same command takes up what came of it",
    group="library",
)
def test_what_the_engine_does_for_a_batch_that_was_killed_is_taken_up(
    home: Any, tmp_path: Path
) -> None:
    write_tone(tmp_path / "tapes/long.wav", 12.0)
    (tmp_path / "tapes/jobs.csv").write_text("file,query,start,end\nlong.wav,hold,1,11.5\n")
    out = tmp_path / "out"
    command = ("batch", "--jobs", tmp_path / "tapes/jobs.csv", "--out", out)
    (home.root / "hold").touch()
    process = home.start(*command)
    try:
        until((home.root / "held").exists)
    finally:
        process.kill()
        process.communicate(timeout=30)
        (home.root / "hold").unlink()
    (home.root / "held").unlink()
    said = [path for path in home.folders.status.iterdir() if path.name.startswith("batch-")]
    job = max(said, key=lambda path: path.stat().st_mtime_ns).name
    until(lambda: home.client.status(job).state.final)
    done = home.tweeze(*command, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["clip"] == "long 1-11.5 s - hold.wav"
    assert not (home.root / "held").exists(), "it was not separated once more"
    assert home.leftovers() == []
    assert not (home.root / "cuts").exists()


@pytest.mark.fault("'tweeze watch' is killed", promise="started again, it goes on", group="library")
def test_what_comes_into_a_watched_folder_is_separated_once(
    home: Any, tapes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = ("watch", tapes, "dog", "--out", out, "--settle", "0.2")
    first = home.start(*command)
    until(lambda: clips(out) == ["a - dog.wav", "b - dog.wav"])
    first.kill()
    first.communicate(timeout=30)
    second = home.start(*command)
    shutil.copy(tapes / "a.wav", tapes / "new.wav")
    until(lambda: "new - dog.wav" in clips(out))
    second.send_signal(signal.SIGTERM)
    _, said = second.communicate(timeout=30)
    assert second.returncode == 143, said
    assert len(clips(out)) == len([row for row in rows(out) if row["state"] == "done"]) == 3
    lines = [line for line in said.splitlines() if "new.wav" in line]
    assert len(lines) == 1
    assert lines[0].endswith("new - dog.wav.") or "sure)." in lines[0]


def test_a_clusters_worker_makes_the_clips_of_the_engine(
    real_home: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is what Ray runs; here it runs without Ray, with the bundled model."""
    tapes, out = tmp_path / "tapes", tmp_path / "out"
    tapes.mkdir()
    shutil.copy(ROOT / "engine/demo/guitar.flac", tapes)
    monkeypatch.setenv("TWEEZE_HOME", str(real_home.root))
    (recording,) = find([tapes])
    item = Item(recording, ("guitar",), cut=Cut(0.5, 3.0))  # type: ignore[arg-type]
    from engine.models.router import resolve

    job = resolve(item.job("j1", recording.path, "test"), real_home.folders)
    worker = Worker()
    done = worker.separate(Task(item, job, out / "j1"))
    assert done.error == ""
    assert worker.share() == 1.0
    (made,) = done.made
    assert (made.model, done.seconds) == ("compact", 2.5)
    assert made.certainty is not None
    assert made.certainty > 0.5
    (tapes / "jobs.csv").write_text("file,query,start,end\nguitar.flac,guitar,0.5,3\n")
    real_home.in_its_own_process("batch", "--jobs", tapes / "jobs.csv", "--out", tmp_path / "own")
    (row,) = rows(tmp_path / "own")
    own, _ = read(tmp_path / "own" / row["clip"])
    other, _ = read(made.path)
    assert abs(own - other).max() <= 1e-6 * abs(own).max()
    wrong = worker.separate(
        Task(Item(recording, ("guitar",), cut=Cut(99.0)), job, out / "j2")  # type: ignore[arg-type]
    )
    assert wrong.wrong
    assert "lasts 10.00 s" in wrong.error
    assert not (out / "j2").exists()
