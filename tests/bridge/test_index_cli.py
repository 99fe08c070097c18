"""`tweeze index` and `tweeze find`, as a user runs them."""

from __future__ import annotations

import csv
import json
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bridge import labels, moments
from engine.library.content import Content, Happening
from engine.library.finding import LeftOut
from engine.library.hearing import listener_mark, quantised
from engine.library.index import Index
from engine.library.items import Cut, Item
from engine.library.searching import Library, Moment
from engine.library.wanted import Wanted

DEADLINE = 120.0


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of noise: what is heard in them does not matter."""
    folder = tmp_path_factory.mktemp("library")
    noise = np.random.default_rng(5).standard_normal((8 * 16_000, 1)) * 0.1
    for number, name in enumerate(("a.wav", "b/c.wav", "b/d.wav")):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.roll(noise, 999 * number, axis=0), 16_000)
    (folder / "bad.wav").write_bytes(b"nonsense")
    return folder


@pytest.fixture(scope="module")
def indexed(home: Any, library: Path) -> Any:
    """An index that was made by the command, with what is known to be heard added to it."""
    done = home.tweeze("index", library)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Files: 3 heard (0.4 min, ")
    assert "1 that cannot be heard" in done.stdout
    assert "bad.wav" in done.stderr
    with Index(home.folders.index, listener_mark()) as index:
        for number, name in enumerate(("a.wav", "b/c.wav")):
            heard = (
                Happening("Bark", 100, 250, 90 - number),
                Happening("Meow", 300, 400, 60),
                Happening("Rain", 500, 800, 45),
            )
            path, vectors = library / name, np.zeros((4, 128), np.float32)
            vectors[:, 100:102] = ((1.0, 0.0), (0.8, 0.6))[number]  # alike, and like no noise
            about = path.stat()
            content = Content(
                bytes([number]) * 32, 8 * 16_000, 16_000, 1, listener_mark(), heard,
                quantised(vectors),
            )  # fmt: skip
            index.add(path, about.st_size, about.st_mtime_ns, content)
    return home


def rows(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_what_is_found_is_a_line_each(indexed: Any, library: Path) -> None:
    assert rows(indexed.tweeze("find", "dog")) == [
        ["0.90", "dog barking", "1.00", "2.50", str(library / "a.wav")],
        ["0.89", "dog barking", "1.00", "2.50", str(library / "b/c.wav")],
    ]
    limited = indexed.tweeze("find", "animal", "-n", "2")
    assert len(rows(limited)) == 2
    assert limited.stderr == "There are more: -n shows more than 2.\n"
    inside = indexed.tweeze("find", "animal", "--in", library / "b", "--longer", "1.2")
    assert [row[1:] for row in rows(inside)] == [
        ["dog barking", "1.00", "2.50", str(library / "b/c.wav")]
    ]
    assert len(rows(indexed.tweeze("find", "animal", "--named", "c wav"))) == 2
    done = indexed.tweeze("find", "cat", "--json", "--limit", "1")
    (facts,) = map(json.loads, done.stdout.splitlines())
    assert facts == {
        "file": str(library / "b/c.wav"), "sound": "cat meowing", "label": "Meow", "start": 3.0,
        "end": 4.0, "certainty": 0.6, "seconds": 8.0, "copies": [],
    }  # fmt: skip


def test_what_is_not_found_gets_a_sentence(indexed: Any, library: Path) -> None:
    less = indexed.tweeze("find", "rain", "--in", library / "a.wav")
    assert (less.returncode, less.stdout) == (0, "")
    assert less.stderr == "Nothing is as sure; the surest is 45%: try --sure 0.2.\n"
    none = indexed.tweeze("find", "glockenspiel", "--in", library / "a.wav")
    assert none.stderr == "'glockenspiel' is heard in no file of the index that fits.\n"
    typo = indexed.tweeze("find", "thundr")
    assert typo.returncode == 2
    assert typo.stderr.startswith(
        "No sound that can be heard is called 'thundr': did you mean 'thunder'"
    )
    longer = indexed.tweeze("find", "dog", "behind a", "fence")
    assert longer.stderr == "Looking for 'dog'.\n"
    assert len(rows(longer)) == 2
    for words, said in [
        (["find"], "Name a sound to look for"),
        (["find", "dog", "--in", library / "none"], "There is no folder"),
        (["find", "dog", "--index", library / "none.sqlite"], "There is no index"),
        (["find", "dog", "--index", library / "a.wav"], "is no index of Tweeze's"),
        (["find", "dog", "--sure", "2"], "takes a number from 0 to 1"),
        (["find", "--like", library / "none.wav"], "There is no file"),
        (["index", library / "none"], "There is no folder"),
    ]:
        done = indexed.tweeze(*words)
        assert done.returncode == 2, words
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_search_loads_neither_numpy_nor_the_engine(indexed: Any) -> None:
    script = (
        "import sys; from bridge.cli import run; code = run(['find', 'dog', '--named', 'a']);"
        "heavy = {'numpy', 'torch', 'rich', 'asyncio', 'engine.queue'} & set(sys.modules);"
        "print(heavy); sys.exit(code or bool(heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=indexed.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_moments_are_written_as_files(indexed: Any, library: Path, tmp_path: Path) -> None:
    place = {name: tmp_path / name for name in ("a.m3u", "labels", "one.csv", "jobs.csv")}
    done = indexed.tweeze(
        "find", "dog", "--m3u", place["a.m3u"], "--labels", place["labels"], "--jobs",
        place["jobs.csv"],
    )  # fmt: skip
    assert len(rows(done)) == 2
    assert done.stderr.count("\n") == 3
    playlist = place["a.m3u"].read_text().splitlines()
    assert playlist[:5] == [
        "#EXTM3U",
        "#EXTINF:2,dog barking - a",
        "#EXTVLCOPT:start-time=1.00",
        "#EXTVLCOPT:stop-time=2.50",
        str(library / "a.wav"),
    ]
    assert sorted(path.name for path in place["labels"].iterdir()) == ["a.txt", "c.txt"]
    assert labels.read(place["labels"] / "a.txt").at[0].text == "1-2.5"
    with place["jobs.csv"].open(newline="") as file:
        assert next(csv.DictReader(file)) == {
            "file": str(library / "a.wav"), "query": "dog", "start": "0.50", "end": "3.00"
        }  # fmt: skip
    indexed.tweeze("find", "dog", "--regions", place["one.csv"], "--in", library / "a.wav")
    assert place["one.csv"].read_text().splitlines()[1] == (
        "R1,dog barking,0:00:01.000,0:00:02.500,0:00:01.500"
    )
    for words, said in [
        (["--m3u", place["a.m3u"]], "is there already"),
        (["--regions", tmp_path / "several.csv"], "cannot lie in one file"),
        (["--labels", tmp_path / "none" / "x"], "There is no folder"),
        (["--m3u", tmp_path / "x", "--jobs", tmp_path / "x"], "by --m3u and by --jobs"),
        (["--m3u", tmp_path / "x.m3u", "--sure", "0.99"], "Nothing was found"),
    ]:
        refused = indexed.tweeze("find", "dog", *words)
        assert refused.returncode == 2
        assert said in refused.stderr
    assert not (tmp_path / "several.csv").exists()


def test_just_the_moments_are_separated(indexed: Any, library: Path) -> None:
    """As a batch of stretches; a file that is gone meanwhile is left out with a sentence."""
    with Library(indexed.folders.index) as opened:
        meant = opened.meant("dog")
        assert meant is not None
        found = opened.moments(meant.sounds, Wanted(0.5), 9)
    gone = replace(found[1], path=library / "b" / "gone.wav")
    first, second = moments.items([found[0], gone], "dog")
    assert isinstance(first, Item)
    assert isinstance(second, LeftOut)
    assert (first.found.place, first.queries) == (Path("a.wav"), ("dog",))
    assert first.cut == Cut(0.5, 3.0)
    assert "on its folder again" in second.sentence
    (named,) = moments.items(found[:1], "")
    assert isinstance(named, Item)
    assert named.queries == ("dog barking",)


def test_an_example_finds_what_sounds_like_it(indexed: Any, library: Path) -> None:
    """A file of the index needs no listener; a stretch of one does."""
    done = indexed.tweeze("find", "--like", library / "a.wav", "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found[0]["file"] == str(library / "b/c.wav")
    assert all(one["file"] != str(library / "a.wav") for one in found)
    assert found[0]["likeness"] >= found[-1]["likeness"]
    stretch = indexed.tweeze("find", "--like", f"{library / 'b/d.wav'}@1-3", "-n", "1")
    assert len(rows(stretch)) == 1


def test_what_an_index_holds_is_said(indexed: Any, library: Path) -> None:
    done = indexed.tweeze("index")
    assert str(library / "bad.wav") in done.stdout
    assert done.stderr.startswith("4 files, 0.4 min, ")
    assert "1 could not be heard" in done.stderr
    facts = json.loads(indexed.tweeze("index", "--json").stdout)
    assert facts["files"] == 4


def test_moments_of_a_file_that_is_gone_fail_alone(tmp_path: Path) -> None:
    there, gone = tmp_path / "a.wav", tmp_path / "gone.wav"
    soundfile.write(there, np.zeros((800, 1)), 8000)
    found = [Moment(path, "dog", "Dog", 0.0, 0.1, 0.9, 0.1, 1, 0) for path in (gone, there)]
    left, item = moments.items(found, "dog")
    assert isinstance(left, LeftOut)
    assert left.fault
    assert "gone.wav cannot be opened" in left.sentence
    assert isinstance(item, Item)


@pytest.mark.fault(
    "'tweeze index' is killed while it listens",
    promise="what was heard is kept, nothing is heard twice but the files at hand",
)
def test_a_killed_index_goes_on_and_ctrl_c_is_clean(
    home: Any, library: Path, tmp_path: Path
) -> None:
    many = tmp_path / "many"
    many.mkdir()
    noise = np.random.default_rng(5).standard_normal((30 * 16_000, 1)) * 0.1
    for number in range(12):
        soundfile.write(many / f"{number}.wav", np.roll(noise, number * 100, axis=0), 16_000)
    file = tmp_path / "own.sqlite"
    counts = []
    for signal_ in (signal.SIGKILL, signal.SIGINT):
        before = counts[-1] if counts else 0
        process = home.start("index", many, "--index", file, "-j", "1")
        deadline = time.monotonic() + DEADLINE
        while _heard(file) <= before and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal_)
        _, said = process.communicate(timeout=DEADLINE)
        if signal_ == signal.SIGINT and process.returncode != 0:
            assert process.returncode == 130
            # how far it is comes before, on a slow machine
            assert [line for line in said.splitlines() if "Listening:" not in line] == [
                "Cancelled."
            ]
        counts.append(_heard(file))
    done = home.tweeze("index", many, "--index", file, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["heard"] + counts[-1] == 12, "nothing is lost, and nothing heard twice"
    assert not list(tmp_path.glob("own.sqlite-*"))


def _heard(file: Path) -> int:
    if not file.exists():
        return 0
    try:
        with sqlite3.connect(file, timeout=20) as database:
            (count,) = database.execute("SELECT count(*) FROM contents").fetchone()
    except sqlite3.OperationalError:
        return 0
    finally:
        database.close()
    return int(count)
