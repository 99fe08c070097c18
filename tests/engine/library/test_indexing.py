"""Bringing an index up to date: what is heard, what is known, and what is said of the rest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile
from listeners import Tones, tone

from engine.errors import BadAudio, BadInput
from engine.library.hearers import Asked, Came, Hearers, Item, Known, News, Refused, Told
from engine.library.hearing import digest_of, hear
from engine.library.index import Index
from engine.library.indexing import Progress, Summary, update
from engine.library.searching import Library, Wanted

RATE = 16_000


@dataclass
class Here(Hearers):
    """Hears in this process, with ears that know tones; ends after `most` files."""

    most: int = 999
    heard: list[str] = field(default_factory=list)

    def over(
        self, items: Iterable[Item], every: float = 0.5, idle: Callable[[], None] = lambda: None
    ) -> Iterator[News]:
        for item in items:
            answers: list[bool] = []
            try:
                digest = digest_of(item.path)
                yield Asked(item, digest, answers.append)
                if answers[0]:
                    yield Known(item, digest)
                    continue
                if len(self.heard) == self.most:
                    raise KeyboardInterrupt
                self.heard.append(item.path.name)
                yield Told(item, 0.5)
                yield Came(item, hear(item.path, digest, Tones(), "tones-1"))
            except BadAudio as error:
                yield Refused(item, str(error), passing=not os.access(item.path, os.R_OK))


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    for number, (name, sound) in enumerate(
        [("dog.wav", "Bark"), ("deep/cat.flac", "Meow"), ("deep/down/rain.wav", "Rain")]
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone(sound, RATE, 3.0 + number, (1, 2)), RATE)
    return folder


def run(index_file: Path, *folders: Path, pool: Here | None = None, **more: object) -> Summary:
    with Index(index_file, "tones-1") as index:
        return update(index, folders, pool or Here(), **more)  # type: ignore[arg-type]


def found(index_file: Path, words: str) -> list[Path]:
    with Library(index_file) as library:
        meant = library.meant(words)
        assert meant is not None
        return [one.path for one in library.moments(meant.sounds, Wanted(), 99)]


def test_only_what_is_new_or_changed_is_heard(library: Path, tmp_path: Path) -> None:
    index = tmp_path / "i.sqlite"
    (library / "notes.txt").write_text("no recording")
    first = run(index, library)
    assert (first.heard, first.known, first.unchanged) == (3, 0, 0)
    assert first.seconds == pytest.approx(12.0)
    assert not first.refused + first.left_out
    assert found(index, "animal") == [library / "deep/cat.flac", library / "dog.wav"] or found(
        index, "animal"
    ) == [library / "dog.wav", library / "deep/cat.flac"]
    again = run(index, library, pool=(pool := Here()))
    assert (again.heard, again.unchanged, pool.heard) == (0, 3, [])
    soundfile.write(library / "dog.wav", tone("Rain", RATE, 2.0, (0, 1)), RATE)
    soundfile.write(library / "new.wav", tone("Meow", RATE, 2.0, (0, 1)), RATE)
    third = run(index, library, pool=(pool := Here()))
    assert sorted(pool.heard) == ["dog.wav", "new.wav"]
    assert third.unchanged == 2
    assert found(index, "dog") == []


def test_moved_copied_and_touched_files_are_known_by_their_content(
    library: Path, tmp_path: Path
) -> None:
    index = tmp_path / "i.sqlite"
    run(index, library)
    (library / "deep").rename(library / "moved")
    shutil.copyfile(library / "dog.wav", library / "copy of a dog.wav")
    os.utime(library / "dog.wav", (1, 1))
    summary = run(index, library, pool=(pool := Here()))
    assert pool.heard == []
    assert (summary.known, summary.gone) == (4, 2)
    assert found(index, "cat") == [library / "moved/cat.flac"]


@pytest.mark.fault(
    "a drive with recordings is away while its folder is indexed",
    promise="its files are not found meanwhile; back again, they are known without listening",
)
def test_a_drive_that_was_away_is_known_when_it_is_back(library: Path, tmp_path: Path) -> None:
    index = tmp_path / "i.sqlite"
    run(index, library)
    library.rename(tmp_path / "unplugged")
    library.mkdir()
    assert run(index, library).gone == 3
    assert found(index, "dog") == []
    library.rmdir()
    (tmp_path / "unplugged").rename(library)
    back = run(index, library, pool=(pool := Here()))
    assert (back.unchanged, back.gone, pool.heard) == (3, 0, [])
    assert found(index, "dog") == [library / "dog.wav"]


def test_other_patterns_lose_nothing(library: Path, tmp_path: Path) -> None:
    index = tmp_path / "i.sqlite"
    run(index, library)
    some = run(index, library, include=["*.wav"], exclude=["rain*"])
    assert (some.unchanged, some.gone) == (1, 0)
    assert found(index, "cat") == [library / "deep/cat.flac"]
    assert run(index, library / "deep").unchanged == 2


def test_a_bad_file_is_a_row_and_tried_again_when_it_changes(library: Path, tmp_path: Path) -> None:
    index = tmp_path / "i.sqlite"
    bad = library / "bad.wav"
    bad.write_bytes(b"RIFF nonsense")
    (library / "empty.wav").touch()
    soundfile.write(library / "many.wav", np.zeros((800, 5), np.float32), RATE)
    summary = run(index, library)
    assert summary.heard == 3
    assert len(summary.refused) == 3
    with Library(index) as opened:
        faults = dict(opened.faults())
    assert set(faults) == {bad, library / "empty.wav", library / "many.wav"}
    assert "5 channels" in faults[library / "many.wav"]
    second = run(index, library, pool=(pool := Here()))
    assert (second.refused, second.faults, pool.heard) == ([], 3, [])
    assert len(run(index, library, again=True).refused) == 3
    soundfile.write(bad, tone("Bark", RATE, 2.0, (0, 1)), RATE)
    assert run(index, library).heard == 1
    assert bad in found(index, "dog")


def test_what_cannot_be_opened_is_a_row_until_it_can(library: Path, tmp_path: Path) -> None:
    index = tmp_path / "i.sqlite"
    os.mkfifo(library / "pipe.wav")
    (library / "nowhere.wav").symlink_to(tmp_path / "nowhere")
    (library / os.fsdecode(b"odd-\xff.wav")).touch()
    for _ in range(2):
        summary = run(index, library)
        assert len(summary.left_out) == 3
        with Library(index) as opened:
            faults = dict(opened.faults())
        assert faults.keys() == {library / "pipe.wav", library / "nowhere.wav"}
    assert "no regular file" in faults[library / "pipe.wav"]
    (library / "pipe.wav").unlink()
    shutil.copyfile(library / "dog.wav", library / "pipe.wav")
    (library / "nowhere.wav").unlink()
    run(index, library)
    with Library(index) as opened:
        assert opened.faults() == []


def test_what_is_broken_off_goes_on(library: Path, tmp_path: Path) -> None:
    index = tmp_path / "i.sqlite"
    with pytest.raises(KeyboardInterrupt):
        run(index, library, pool=(first := Here(most=2)))
    rest = run(index, library, pool=(second := Here()))
    assert sorted(first.heard + second.heard) == ["cat.flac", "dog.wav", "rain.wav"]
    assert (rest.heard, rest.unchanged) == (1, 2)


def test_progress_is_told_and_estimates_become_right(library: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    run(tmp_path / "i.sqlite", library, on_progress=told.append)
    assert told[0].looking
    last = told[-1]
    assert (last.files, last.of_files) == (3, 3)
    assert last.seconds == last.of_seconds == pytest.approx(12.0)
    assert last.left is None, "nobody can know after so short a time"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no folder"):
        run(tmp_path / "i.sqlite", tmp_path / "none")
