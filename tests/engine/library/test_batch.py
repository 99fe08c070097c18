"""A batch goes on where it stopped, whatever stopped it, and never overwrites anything."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from batches import Separating, found, write_tone

from engine.errors import BadInput, EngineUnreachable, Failure
from engine.files import name_anew
from engine.library.batch import MANIFEST, Batch, Told
from engine.library.finding import JOURNAL, LeftOut
from engine.library.items import Item
from engine.library.ledger import Ledger
from engine.library.manifest import State


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    top = tmp_path / "in"
    return [write_tone(top / name) for name in ("a.wav", "b.wav", "sub/a.wav", "sub/deep/c.wav")]


def items(recordings: list[Path], *queries: str) -> list[Item]:
    top = recordings[0].parent
    return [Item(found(path, top), queries or ("dog",)) for path in recordings]


def rows(out: Path) -> list[dict[str, str]]:
    with (out / MANIFEST).open(newline="") as file:
        return list(csv.DictReader(file))


def names(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*.wav"))


def test_clips_lie_as_their_recordings_do(tmp_path: Path, recordings: list[Path]) -> None:
    out, told = tmp_path / "out", list[Told]()
    batch = Batch(out)
    separating = Separating(tmp_path / "made")
    left = LeftOut(tmp_path / "in/x.txt", Path("x.txt"), "No recording.", fault=False)
    lost = LeftOut(tmp_path / "in/y.wav", Path("y.wav"), "It leads nowhere.")
    batch.run([*items(recordings), left, lost], separating, told=told.append)
    assert names(out) == [
        "a - dog.wav",
        "b - dog.wav",
        "sub/a - dog.wav",
        "sub/deep/c - dog.wav",
    ]
    said = rows(out)
    assert [row["state"] for row in said] == ["done"] * 4 + ["left out", "failed"]
    assert said[4]["error"] == "No recording."
    for row in said[:4]:
        assert row["digest"] == hashlib.sha256((out / row["clip"]).read_bytes()).hexdigest()
        assert (row["model"], row["certainty"]) == ("stand-in", "0.9")
        assert float(row["energy_share"]) == pytest.approx(0.25, abs=1e-6)
        assert float(row["seconds"]) == pytest.approx(0.1)
    counts = [batch.counts[one] for one in (State.DONE, State.LEFT_OUT, State.FAILED)]
    assert counts == [4, 1, 1]
    assert [one.estimate.done for one in told][-1] == 4
    assert not list((tmp_path / "made").rglob("*.wav")), "nothing is left where they were made"
    assert (out / "a - dog.wav").stat().st_mode & 0o777 == 0o644
    assert separating.closed


def test_what_is_done_is_not_done_again(tmp_path: Path, recordings: list[Path]) -> None:
    out = tmp_path / "out"
    Batch(out).run(items(recordings), Separating(tmp_path / "made"))
    again, batch = Separating(tmp_path / "made"), Batch(out)
    batch.run(items(recordings), again)
    assert (again.asked, batch.already) == ([], 4)
    write_tone(recordings[1], level=0.25)
    batch = Batch(out)
    batch.run([*items(recordings), *items(recordings[:1], "cat")], again)
    assert sorted(again.asked) == ["a.wav", "b.wav"], "one has changed, of one more is asked"
    assert "b - dog (2).wav" in names(out)
    assert len(rows(out)) == 5
    assert [row["clip"] for row in rows(out) if row["file"].endswith("b.wav")] == [
        "b - dog (2).wav"
    ]


def test_what_failed_is_a_row_and_is_tried_again(tmp_path: Path, recordings: list[Path]) -> None:
    out, batch = tmp_path / "out", Batch(tmp_path / "out")
    asked = [*items(recordings[:1], "fail"), *items(recordings[1:])]
    batch.run(asked, Separating(tmp_path / "made"))
    assert (batch.counts[State.FAILED], batch.counts[State.DONE]) == (1, 3)
    assert rows(out)[0]["error"] == "It was asked to fail."
    again = Separating(tmp_path / "made")
    Batch(out).run(asked, again)
    assert again.asked == ["a.wav"]


def test_only_what_is_heard_is_kept(tmp_path: Path, recordings: list[Path]) -> None:
    out, batch = tmp_path / "out", Batch(tmp_path / "out", sure=0.5)
    batch.run(items(recordings[:1], "dog", "gone cat"), Separating(tmp_path / "made"))
    batch.run(items(recordings[1:2], "gone cat"), Separating(tmp_path / "made"))
    assert names(out) == ["a - dog.wav"]
    assert [row["state"] for row in rows(out)] == ["done", "not heard", "not heard"]
    assert "50%" in rows(out)[1]["error"]
    again = Separating(tmp_path / "made")
    batch.run(items(recordings[1:2], "gone cat"), again)
    assert again.asked == [], "it was looked for already"


def test_what_was_not_sure_enough_is_made_where_less_is_asked(
    tmp_path: Path, recordings: list[Path]
) -> None:
    out, asked = tmp_path / "out", items(recordings[:1], "gone cat")
    Batch(out, sure=0.5).run(asked, Separating(tmp_path / "made"))
    more, less = Separating(tmp_path / "made"), Separating(tmp_path / "made")
    Batch(out, sure=0.3).run(asked, more)
    assert (more.asked, names(out)) == ([], []), "it is 10 % sure"
    Batch(out, sure=0.05).run(asked, less)
    assert (less.asked, names(out)) == (["a.wav"], ["a - gone cat.wav"])


def test_clips_that_somebody_removed_are_counted(tmp_path: Path, recordings: list[Path]) -> None:
    out = tmp_path / "out"
    Batch(out).run(items(recordings), Separating(tmp_path / "made"))
    (out / "a - dog.wav").unlink()
    batch = Batch(out)
    batch.run(items(recordings), Separating(tmp_path / "made"))
    assert (batch.already, batch.lost) == (4, 1)


def test_who_stops_listening_is_no_broken_disk(tmp_path: Path, recordings: list[Path]) -> None:
    def told(told: Told) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        Batch(tmp_path / "out").run(items(recordings), Separating(tmp_path / "made"), told=told)


def test_nothing_is_overwritten(tmp_path: Path, recordings: list[Path]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a - dog.wav").write_text("mine")
    twin = write_tone(tmp_path / "in/a.flac")
    Batch(out).run(items([*recordings[:1], twin]), Separating(tmp_path / "made"))
    assert (out / "a - dog.wav").read_text() == "mine"
    assert names(out) == ["a - dog (2).wav", "a - dog (3).wav", "a - dog.wav"]


def test_one_batch_at_a_time_writes_to_a_folder(tmp_path: Path, recordings: list[Path]) -> None:
    ledger = Ledger(tmp_path / "out")
    with pytest.raises(BadInput, match="Another 'tweeze batch'"):
        Batch(tmp_path / "out").run(items(recordings), Separating(tmp_path / "made"))
    ledger.close()


def test_a_strange_journal_is_refused(tmp_path: Path, recordings: list[Path]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for text in ("{}\n", '{"tweeze-batch": 99}\n', "\0\0\0\n"):
        (out / JOURNAL).write_text(text)
        with pytest.raises(BadInput, match="line 1"):
            Batch(out).run(items(recordings), Separating(tmp_path / "made"))
    (out / JOURNAL).write_text('{"tweeze-batch": 1}\n{"done": "x", "size')  # cut short
    Batch(out).run(items(recordings), Separating(tmp_path / "made"))
    assert len(names(out)) == 4
    assert [json.loads(line) for line in (out / JOURNAL).read_text().splitlines()]


def test_an_engine_that_is_gone_ends_it_with_all_that_was_done(
    tmp_path: Path, recordings: list[Path]
) -> None:
    out = tmp_path / "out"

    def leave(item: Item) -> None:
        if item.found.place == Path("sub/a.wav"):
            raise EngineUnreachable("The engine is gone.")

    with pytest.raises(EngineUnreachable):
        Batch(out).run(items(recordings), Separating(tmp_path / "made", before=leave))
    assert len(rows(out)) == len(names(out)) == 2
    again = Separating(tmp_path / "made")
    Batch(out).run(items(recordings), again)
    assert again.asked == ["sub/a.wav", "sub/deep/c.wav"]


@pytest.mark.fault(
    "the disk for a batch's clips is full",
    promise="it ends with a sentence; the same command goes on",
    group="library",
)
def test_a_full_disk_ends_it_and_nothing_is_lost(
    tmp_path: Path, recordings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, calls = tmp_path / "out", list[Path]()

    def refused(file: Path, path: Path) -> None:
        calls.append(path)
        if len(calls) == 3:  # the second item's first step
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        name_anew(file, path)

    monkeypatch.setattr("engine.library.publishing.name_anew", refused)
    with pytest.raises(Failure, match=r"is full.*goes on where it stopped"):
        Batch(out).run(items(recordings), Separating(tmp_path / "made"))
    assert names(out) == ["a - dog.wav"]
    assert not list(out.rglob("*.part"))
    Batch(out).run(items(recordings), Separating(tmp_path / "made"))
    assert len(names(out)) == len(rows(out)) == 4


@pytest.mark.fault(
    "a disk refuses a clip's name", promise="a row says so, the others are done", group="library"
)
def test_a_name_that_a_disk_refuses_is_a_row(
    tmp_path: Path, recordings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(file: Path, path: Path) -> None:
        if path.name == "b - dog.wav":
            raise OSError(errno.EINVAL, "Invalid argument", str(file), None, str(path))
        name_anew(file, path)

    monkeypatch.setattr("engine.library.publishing.name_anew", refused)
    out = tmp_path / "out"
    Batch(out).run(items(recordings), Separating(tmp_path / "made"))
    assert len(names(out)) == 3
    assert "does not allow the name 'b - dog.wav'" in rows(out)[1]["error"]


CRASHES = """
import os, sys
from pathlib import Path
sys.path[:0] = {path!r}
from batches import Separating, found
from engine.library.batch import Batch
from engine.library.items import Item

top, out, made = map(Path, sys.argv[1:4])
recordings = sorted(top.rglob("*.wav"))
items = [Item(found(path, top), ("dog", "cat")) for path in recordings]
step = 0
while True:
    step += 1
    child = os.fork()
    if not child:
        count = 0

        def counted(call):
            def run(*arguments, **options):
                global count
                count += 1
                if count == step:
                    os.kill(os.getpid(), 9)
                return call(*arguments, **options)
            return run

        for name in ("fsync", "link", "replace", "unlink", "rename", "mkdir", "chmod", "open"):
            setattr(os, name, counted(getattr(os, name)))
        separating = Separating(made)
        Batch(out / str(step)).run(items, separating)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        sys.exit(0 if not os.WEXITSTATUS(status) else "it failed")
    killed = Separating(made)
    Batch(out / str(step)).run(items, killed)
    print(step, len(killed.asked), flush=True)
"""


@pytest.mark.fault(
    "a batch is killed at any step",
    promise="the same command ends in the same files; none is half there or done twice",
    group="library",
)
def test_killed_at_any_step_it_ends_with_the_same_files(
    tmp_path: Path, tries: Callable[[int], None]
) -> None:
    """kill -9 at each call of the file system in turn: nothing lost, done twice, or half there."""
    top, out = tmp_path / "in", tmp_path / "out"
    for name in ("a.wav", "sub/b.wav"):
        write_tone(top / name)
    script = CRASHES.format(path=[path for path in sys.path if path])
    done = subprocess.run(
        [sys.executable, "-c", script, str(top), str(out), str(tmp_path / "made")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    steps = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert len(steps) > 20, "it was killed at many steps"
    tries(len(steps))
    assert {asked for _, asked in steps} == {0, 1, 2}, "before, between and after the items"
    last = out / str(len(steps) + 1)
    whole = {name: (last / name).read_bytes() for name in names(last)}
    assert sorted(whole) == ["a - cat.wav", "a - dog.wav", "sub/b - cat.wav", "sub/b - dog.wav"]
    for step, _ in steps:
        folder = out / str(step)
        assert {name: (folder / name).read_bytes() for name in names(folder)} == whole, step
        assert not list(folder.rglob("*.part")), step
        assert sorted(row["clip"] for row in rows(folder)) == sorted(whole), step
