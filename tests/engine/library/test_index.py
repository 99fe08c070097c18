"""The index of a library: what is written, what is kept, and what a search finds in it."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from engine.errors import BadInput, BadQuery, Failure
from engine.library.content import Content, Happening
from engine.library.hearing import quantised
from engine.library.index import Index
from engine.library.likeness import Vectors, like
from engine.library.searching import Library, Wanted
from engine.library.tables import words_in
from engine.library.vocabulary import vocabulary

EARS = "ears-1"


def content(
    name: str, *happenings: tuple[str, float, float, float], listener: str = EARS, seed: int = 0
) -> Content:
    found = tuple(
        Happening(label, round(100 * start), round(100 * stop), round(100 * sure))
        for label, start, stop, sure in happenings
    )
    vectors = np.random.default_rng(seed).standard_normal((1 + len(found), 128))
    return Content(name.encode().ljust(32), 441_000, 44_100, 2, listener, found, quantised(vectors))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "library.sqlite"


@pytest.fixture
def index(path: Path) -> Iterator[Index]:
    with Index(path, EARS) as made:
        yield made


def add(index: Index, file: str, of: Content) -> None:
    index.add(Path(file), 10, 20, of)


def found(path: Path, words: str, wanted: Wanted | None = None, limit: int = 99) -> list[str]:
    """Search, and say of each moment where it is: file:start."""
    with Library(path) as library:
        meant = library.meant(words)
        assert meant is not None
        moments = library.moments(meant.sounds, wanted or Wanted(), limit)
    return [f"{one.path}:{one.start:g}" for one in moments]


def test_words_find_a_sound_its_kinds_and_no_others(index: Index, path: Path) -> None:
    add(index, "/a/dog.wav", content("a", ("Bark", 1, 2, 0.9), ("Meow", 4, 5, 0.8)))
    add(index, "/a/rain.wav", content("b", ("Rain", 0, 9, 0.7)))
    assert found(path, "animal") == ["/a/dog.wav:1", "/a/dog.wav:4"]
    assert found(path, "Dogs") == found(path, "the dog barking") == ["/a/dog.wav:1"]
    assert found(path, "cat") == ["/a/dog.wav:4"]
    assert found(path, "water") == ["/a/rain.wav:0"], "rain is a kind of it"
    assert found(path, "rain on surface") == []
    with Library(path) as library:
        meant = library.meant("a very big dog barking far away")
        assert meant is not None
        assert meant.words == "dog barking"
        assert library.meant("zxqw") is None
        assert library.suggestions("thundr")[0] == "thunder"
        assert "bird" in library.suggestions("pheasant")
        for wrong in ("", "?!", "x" * 300):
            with pytest.raises(BadQuery, match="Name a sound"):
                library.meant(wrong)
        assert library.meant('dog" OR "rain') is not None, "quotes are no syntax"


def test_a_file_that_moves_or_is_copied_keeps_what_is_known(index: Index, path: Path) -> None:
    add(index, "/a/one.wav", content("a", ("Bark", 1, 2, 0.9)))
    index.gone(["/a/one.wav"])
    assert found(path, "dog") == []
    assert index.holds(b"a".ljust(32))
    index.link(Path("/b/moved.wav"), 10, 20, b"a".ljust(32))
    index.link(Path("/b/z copy.wav"), 10, 20, b"a".ljust(32))
    assert found(path, "dog") == ["/b/moved.wav:1"], "a moment counts once"
    with Library(path) as library:
        meant = library.meant("dog")
        assert meant is not None
        (one,) = library.moments(meant.sounds, Wanted(), 5)
        assert one.copies == (Path("/b/z copy.wav"),)
    assert index.prune() == 1
    assert found(path, "dog") == ["/b/moved.wav:1"]
    index.gone(["/b/moved.wav", "/b/z copy.wav"])
    assert index.prune() == 2
    assert not index.holds(b"a".ljust(32))
    with pytest.raises(ValueError, match="61"):
        index.link(Path("/b/moved.wav"), 10, 20, b"a".ljust(32))


def test_a_changed_file_drops_what_was_heard_in_it_before(index: Index, path: Path) -> None:
    add(index, "/a/one.wav", content("a", ("Bark", 1, 2, 0.9)))
    add(index, "/a/one.wav", content("b", ("Rain", 1, 2, 0.9)))
    assert found(path, "dog") == []
    assert found(path, "rain") == ["/a/one.wav:1"]
    assert not index.holds(b"a".ljust(32))
    index.refuse(Path("/a/one.wav"), 1, 2, "It is broken.")
    assert found(path, "rain") == []
    with Library(path) as library:
        assert library.faults() == [(Path("/a/one.wav"), "It is broken.")]
        assert library.counts().faults == 1
        assert library.counts().events == 0
    known = index.known(Path("/a/one.wav"))
    assert known is not None
    assert (known.heard, known.error, known.passing) == (False, "It is broken.", False)


def test_what_another_listener_heard_is_heard_again(path: Path) -> None:
    with Index(path, "ears-0") as index:
        add(index, "/a/one.wav", content("a", ("Bark", 1, 2, 0.9), listener="ears-0"))
        index.link(Path("/a/two.wav"), 10, 20, b"a".ljust(32))
    with Index(path, EARS) as index:
        known = index.known(Path("/a/one.wav"))
        assert known is not None
        assert not known.heard
        assert not index.holds(b"a".ljust(32))
        assert found(path, "dog") == ["/a/one.wav:1"], "until then it serves"
        add(index, "/a/one.wav", content("a", ("Rain", 3, 4, 0.9)))
        assert found(path, "dog") == []
        assert found(path, "rain") == ["/a/one.wav:3"]
        two = index.known(Path("/a/two.wav"))
        assert two is not None
        assert two.heard, "a copy was heard with it"


def test_folders_are_taken_whole(index: Index, path: Path) -> None:
    for number, file in enumerate(("/a/x.wav", "/a/b/x.wav", "/ab/x.wav", "/a", "/a%/x.wav")):
        add(index, file, content(str(number), ("Bark", number, number + 0.5, 0.9)))
    assert index.below(Path("/a")) == {"/a", "/a/x.wav", "/a/b/x.wav"}
    inside = found(path, "dog", Wanted(folder=Path("/a")))
    assert sorted(inside) == ["/a/b/x.wav:1", "/a/x.wav:0", "/a:3"]
    assert found(path, "dog", Wanted(folder=Path("/a/b/x.wav"))) == ["/a/b/x.wav:1"]
    assert len(found(path, "dog", Wanted(folder=Path("/")))) == 5


def test_paths_are_searched_by_their_words(index: Index, path: Path) -> None:
    add(index, "/lib/DogBark_03.wav", content("a", ("Bark", 1, 2, 0.9)))
    add(index, "/lib/Süd/yard.wav", content("b", ("Bark", 3, 4, 0.9)))
    assert found(path, "dog", Wanted(named="bark")) == ["/lib/DogBark_03.wav:1"]
    assert found(path, "dog", Wanted(named="sud yar")) == ["/lib/Süd/yard.wav:3"]
    assert found(path, "dog", Wanted(named="nothing")) == []
    with pytest.raises(BadInput, match="no word"):
        found(path, "dog", Wanted(named="--"))
    assert words_in(Path("take12B.wav")) == "take 12 B wav"


def test_a_search_finds_what_going_through_all_events_does(index: Index, path: Path) -> None:
    dice = random.Random(3)
    labels = ["Bark", "Meow", "Rain", "Growling", "Speech"]
    events = []
    for number in range(40):
        file = f"/{'ab'[number % 2]}/{number}.wav"
        own = []
        for place in range(dice.randrange(6)):
            label, sure = dice.choice(labels), dice.randrange(20, 100) / 100
            start = 2.0 * place
            own.append((label, start, start + dice.choice([0.5, 1.0, 1.5]), sure))
        add(index, file, content(str(number), *own))
        events += [(label, file, start, stop, sure) for label, start, stop, sure in own]
    kinds = {"animal": {"Bark", "Meow", "Growling"}, "dog": {"Bark", "Growling"}, "rain": {"Rain"}}
    with Library(path) as library:
        for words, wanted in [
            *((words, Wanted()) for words in kinds),
            ("animal", Wanted(sure=0.55)),
            ("animal", Wanted(longer=1.0)),
            ("animal", Wanted(shorter=1.0, folder=Path("/b"))),
            ("dog", Wanted(0.3, 0.6, 1.2, Path("/a"))),
        ]:
            expected = {
                (file, start)
                for label, file, start, stop, sure in events
                if label in kinds[words]
                and sure >= wanted.sure
                and wanted.longer <= stop - start <= (wanted.shorter or 9)
                and (wanted.folder is None or file.startswith(f"{wanted.folder}/"))
            }
            meant = library.meant(words)
            assert meant is not None
            for few in (0, 3000):  # both ways to search a folder
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr("engine.library.searching._FEW", few)
                    moments = library.moments(meant.sounds, wanted, 10_000)
                assert {(str(one.path), one.start) for one in moments} == expected
                assert all(a.certainty >= b.certainty for a, b in pairwise(moments))
                assert library.moments(meant.sounds, wanted, 3) == moments[:3]


def test_of_moments_that_overlap_the_most_certain_counts(index: Index, path: Path) -> None:
    heard = [("Bark", 1, 3, 0.6), ("Growling", 1.2, 3, 0.9), ("Howl", 2.9, 5, 0.5)]
    add(index, "/a.wav", content("a", *heard))
    assert found(path, "dog") == ["/a.wav:1.2", "/a.wav:2.9"]


@pytest.mark.fault(
    "an index is written by two commands at once, and searched meanwhile",
    promise="the second is refused with a sentence; searches see what is whole",
)
def test_one_process_writes_and_others_read_meanwhile(index: Index, path: Path) -> None:
    with pytest.raises(BadInput, match=r"is being written by process [0-9]+: wait"):
        Index(path, EARS)
    add(index, "/a.wav", content("a", ("Bark", 1, 2, 0.9)))
    with Library(path) as library:
        meant = library.meant("dog")
        assert meant is not None
        add(index, "/b.wav", content("b", ("Bark", 1, 2, 0.9)))
        assert len(library.moments(meant.sounds, Wanted(), 9)) == 2


def test_a_file_that_is_no_index_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no index"):
        Library(tmp_path / "none.sqlite")
    text = tmp_path / "text.sqlite"
    text.write_text("no database at all, " * 100)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE mine (x)")
    database.close()
    before = other.read_bytes()
    for path in (text, other):
        for opening in (lambda p=path: Index(p, EARS), lambda p=path: Library(p)):
            with pytest.raises(BadInput, match="is no index of Tweeze's"):
                opening()
    assert other.read_bytes() == before
    newer = tmp_path / "newer.sqlite"
    Index(newer, EARS).close()
    with sqlite3.connect(newer) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(Failure, match="newer Tweeze"):
        Index(newer, EARS)


@pytest.mark.fault(
    "the disk is full while an index is written",
    promise="one sentence; what was heard before is kept, and it goes on with room again",
)
def test_a_full_disk_costs_the_file_at_hand(index: Index, path: Path) -> None:
    add(index, "/a.wav", content("a", ("Bark", 1, 2, 0.9)))
    (pages,) = index._database.execute("PRAGMA page_count").fetchone()
    index._database.execute(f"PRAGMA max_page_count = {pages}")  # as SQLite says of a full disk
    many = content("b", *(("Rain", second, second + 0.5, 0.5) for second in range(900)))
    with pytest.raises(Failure, match=r"cannot be used .*full.*: check that its disk has room"):
        add(index, "/b.wav", many)
    assert found(path, "dog") == ["/a.wav:1"]
    assert index.known(Path("/b.wav")) is None
    index._database.execute("PRAGMA max_page_count = 100000")
    add(index, "/b.wav", many)
    assert len(found(path, "rain", limit=9999)) == 900


def test_only_the_user_reads_an_index(index: Index, path: Path) -> None:
    assert path.stat().st_mode & 0o077 == 0


def test_the_vocabulary_knows_kinds_from_names() -> None:
    named = {one.label: one for one in vocabulary()}
    assert "animal" in named["Bark"].kinds
    assert "dog barking" in named["Bark"].own
    assert "dog barking" not in named["Growling"].kinds
    assert all(one.name and one.own for one in named.values())


def nearest(path: Path, vector: np.ndarray, wanted: Wanted | None = None) -> list[tuple[str, int]]:
    with Library(path) as library:
        moments = like(library, Vectors.of(library), vector, wanted or Wanted(), 5)
    return [(str(one.path), one.number) for one in moments]


def test_what_is_nearest_is_found_and_new_files_come_in(index: Index, path: Path) -> None:
    contents = [
        content(str(n), ("Bark", 1, 2, 0.9), ("Rain", 3, 4, 0.5), seed=n) for n in range(30)
    ]
    for number, one in enumerate(contents[:20]):
        add(index, f"/{'ab'[number % 2]}/{number}.wav", one)
    whole = np.concatenate([np.frombuffer(o.vectors, np.int8).reshape(-1, 128) for o in contents])
    unit = whole / np.linalg.norm(whole.astype(np.float32), axis=1, keepdims=True)

    def expected(place: int, among: range) -> tuple[str, int]:
        rows = [3 * n + k for n in among for k in range(3)]
        best = rows[int(np.argmax(unit[rows] @ unit[place]))]
        return f"/{'ab'[best // 3 % 2]}/{best // 3}.wav", best % 3

    for place in (0, 4, 29, 59):
        assert nearest(path, unit[place].astype(np.float32))[0] == expected(place, range(20))
    for number, one in enumerate(contents[20:], start=20):
        add(index, f"/{'ab'[number % 2]}/{number}.wav", one)
    for place in (1, 62, 88):
        vector = unit[place].astype(np.float32)
        assert nearest(path, vector)[0] == expected(place, range(30)) == (
            f"/{'ab'[place // 3 % 2]}/{place // 3}.wav", place % 3
        )  # fmt: skip
        inside = nearest(path, vector, Wanted(folder=Path("/b")))
        assert inside[0] == expected(place, range(1, 30, 2))
        assert all(file.startswith("/b/") for file, _ in inside)
    index.gone([f"/a/{number}.wav" for number in range(0, 30, 2)])
    index.prune()
    assert nearest(path, unit[60].astype(np.float32))[0] == expected(60, range(1, 30, 2))


@pytest.mark.fault(
    "the file of vectors beside an index is cut off or of another index",
    promise="it is made anew",
)
def test_a_damaged_file_of_vectors_is_made_anew(index: Index, path: Path) -> None:
    add(index, "/a.wav", content("a", ("Bark", 1, 2, 0.9), seed=4))
    vector = np.frombuffer(content("a", seed=4).vectors, np.int8)[:128].astype(np.float32)
    assert nearest(path, vector)[0] == ("/a.wav", 0)
    beside = path.with_name(f"{path.name}.vectors")
    beside.write_bytes(b"")
    assert nearest(path, vector)[0] == ("/a.wav", 0)
    path.with_name(f"{path.name}.vectors.json").write_text("{}")
    assert nearest(path, vector)[0] == ("/a.wav", 0)
    assert beside.stat().st_mode & 0o077 == 0
    other = path.with_name("moved")
    other.mkdir()
    index.close()
    path.rename(other / path.name)
    assert nearest(other / path.name, vector)[0] == ("/a.wav", 0)


def test_words_limit_what_is_like_an_example(index: Index, path: Path) -> None:
    one = content("a", ("Bark", 1, 2, 0.9), ("Rain", 3, 4, 0.5))
    add(index, "/a.wav", one)
    vector = np.frombuffer(one.vectors, np.int8)[256:].astype(np.float32)
    vector /= np.linalg.norm(vector)
    with Library(path) as library:
        meant = library.meant("dog")
        assert meant is not None
        vectors = Vectors.of(library)
        (moment,) = like(library, vectors, vector, Wanted(), 9, sounds=meant.sounds)
        assert moment.sound == "dog barking"
        first, *_ = like(library, vectors, vector, Wanted(), 9)
        assert first.sound == "rain"
        assert first.likeness == pytest.approx(1.0, abs=0.01)
        but = (Path("/a.wav"), 2.5, 4.5)
        assert [m.sound for m in like(library, vectors, vector, Wanted(), 9, but=but)] == [
            "dog barking"
        ]
        assert like(library, vectors, vector, Wanted(longer=30), 9) == []
