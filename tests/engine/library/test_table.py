"""Tables of what to separate, and the stretches that they name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from batches import RATE, write_tone

from engine.errors import BadInput
from engine.library.estimate import Estimate
from engine.library.finding import Found, LeftOut
from engine.library.items import Cut, Item, write_cut
from engine.library.manifest import COLUMNS, Manifest, Row, write_parquet
from engine.library.table import read_table
from engine.options import Options
from engine.sound.audio import probe, read


@pytest.fixture
def top(tmp_path: Path) -> Path:
    write_tone(tmp_path / "tapes/a.wav", 2.0)
    write_tone(tmp_path / "tapes/sub/b.wav", 1.0)
    write_tone(tmp_path / "other/c.wav", 1.0)
    return tmp_path / "tapes"


def table(top: Path, text: str, encoding: str = "utf-8") -> list[Item | LeftOut]:
    (top / "jobs.csv").write_bytes(text.encode(encoding))
    return list(read_table(top / "jobs.csv", ("dog",), ("rain",), Options(sharpness=2.0)))


def only(found: list[Item | LeftOut]) -> Item:
    (item,) = found
    assert isinstance(item, Item), item
    return item


def test_a_row_says_what_it_wants_and_the_command_the_rest(top: Path) -> None:
    item = only(
        table(top, "file,query,not,start,end,model\nsub/b.wav,cat; a cow,,0.25,0.5,compact\n")
    )
    assert (item.queries, item.nots) == (("cat", "a cow"), ("rain",))
    assert (item.options.model, item.options.sharpness) == ("compact", 2.0)
    assert item.cut == Cut(0.25, 0.5)
    assert item.title == "b 0.25-0.5 s"
    assert (item.found.place, item.folder) == (Path("sub/b.wav"), Path("sub"))
    assert only(table(top, "file\na.wav\n")).queries == ("dog",)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_what_spreadsheets_write_is_read(top: Path, encoding: str, between: str) -> None:
    text = f'File{between}Query\r\n"a.wav"{between}"dög"\r\n{between}\r\n\r\n'
    assert only(table(top, text, encoding)).queries == ("dög",)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("file;query;start;end;sharpness\na.wav;cat;0,5;1,25;1,5\n", Cut(0.5, 1.25)),
        ("file,start,end\na.wav,0:00:00.5,0:01\n", Cut(0.5, 1.0)),
        ("file,query,start,,\na.wav,cat,1,,\n", Cut(1.0)),
        ("file,query,start,end\na.wav,cat,1\n", Cut(1.0)),
        ("file,start\na.wav,1,,,\n", Cut(1.0)),
        ("sep=;\r\nfile;query;start\r\na.wav;a, b;1\r\n", Cut(1.0)),
        ("\n,,\nfile,query\n\na.wav,cat\n", None),
    ],
)
def test_spreadsheets_ways_with_numbers_and_empty_cells(
    top: Path, text: str, cut: Cut | None
) -> None:
    item = only(table(top, text))
    assert item.cut == cut
    assert item.options.sharpness == (1.5 if "sharpness" in text else 2.0)


def test_lines_are_counted_from_the_first_of_the_file(top: Path) -> None:
    (left,) = table(top, "sep=,\n\nfile,query\n\nnowhere.wav,dog\n")
    assert isinstance(left, LeftOut)
    assert "line 5" in left.sentence


def test_a_quote_that_is_not_closed_takes_no_rows_along(top: Path) -> None:
    with pytest.raises(BadInput, match=r"row at line 3 .* quotes"):
        table(top, 'file,query\na.wav,cat\na.wav,"dog\nsub/b.wav,cat\n')


def test_a_table_without_end_is_refused(top: Path) -> None:
    with (top / "jobs.csv").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(BadInput, match="more than 64 MiB"):
        list(read_table(top / "jobs.csv", ("dog",), (), Options()))


def test_each_bad_row_is_left_out_with_its_line(top: Path) -> None:
    found = table(
        top,
        "file,query,start,end\n"
        "nowhere.wav,dog,,\n"
        f"{'x' * 300}.wav,dog,,\n"
        "a.wav,dog,,,,more\n"
        "a.wav,dog,3,2\n"
        "a.wav,dog,soon,\n"
        ",dog,,\n"
        "sub,dog,,\n"
        f"a.wav,{'x' * 400},,\n"
        "a.wav,rain,,\n"
        "a.wav,cat,,\n",
    )
    said = [one.sentence for one in found if isinstance(one, LeftOut)]
    assert len(found) == 10
    assert len(said) == 9
    for number, (sentence, word) in enumerate(
        zip(
            said,
            [
                "no file",
                "too long",
                "more cells",
                "before it has begun",
                "seconds",
                "names no file",
                "folder",
                "400",
                "both wanted",
            ],
            strict=True,
        ),
        start=2,
    ):
        assert f"line {number}" in sentence
        assert word in sentence
        assert sentence.endswith(".")


def test_files_elsewhere_keep_their_places(top: Path) -> None:
    found = table(top, "file,query\n../other/c.wav,dog\na.wav,dog\n")
    places = [one.found.place.as_posix() for one in found if isinstance(one, Item)]
    assert places == ["other/c.wav", "tapes/a.wav"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("query\ndog\n", "must name the columns"),
        ("file,quarry\na.wav,dog\n", "'quarry'"),
        ("file,file\na,b\n", "each once"),
        ("", "must name the columns"),
    ],
)
def test_a_table_without_its_columns_is_refused(top: Path, text: str, word: str) -> None:
    with pytest.raises(BadInput, match=word):
        table(top, text)


def test_a_table_that_cannot_be_read_is_refused(top: Path) -> None:
    with pytest.raises(BadInput, match="CSV UTF-8"):
        table(top, "file,query\na.wav,dög\n", "latin-1")
    with pytest.raises(BadInput, match="cannot be read"):
        list(read_table(top / "nowhere.csv", (), (), Options()))


def test_a_stretch_is_cut_to_the_sample(top: Path, tmp_path: Path) -> None:
    whole, _ = read(top / "a.wav")
    for cut, first, last in (
        (Cut(0.5, 1.25), 4000, 10000),
        (Cut(1.5), 12000, 16000),
        (Cut(0.0, 9.0), 0, 16000),
        (Cut(0.25, 0.25 + 1 / RATE), 2000, 2001),
    ):
        write_cut(top / "a.wav", cut, tmp_path / "cut.wav")
        samples, rate = read(tmp_path / "cut.wav")
        assert rate == RATE
        np.testing.assert_array_equal(samples, whole[:, first:last])
        assert probe(tmp_path / "cut.wav").frames == last - first
    with pytest.raises(BadInput, match=r"lasts 2\.00 s"):
        write_cut(top / "a.wav", Cut(2.0, 3.0), tmp_path / "cut.wav")


def test_items_are_told_apart_by_all_that_matters(top: Path) -> None:
    found = Found(top / "a.wav", Path("a.wav"), 1, 1)
    other = Found(top / "b.wav", Path("a.wav"), 1, 1)
    items = [
        Item(found, ("dog", "cat")),
        Item(other, ("dog", "cat")),
        Item(found, ("dog",), ("cat",)),
        Item(found, ("dog", "cat"), options=Options(sharpness=2)),
        Item(found, ("dog", "cat"), cut=Cut(0, 1)),
        Item(found, ("dog", "cat"), cut=Cut(0)),
    ]
    assert len({item.key for item in items}) == len(items)
    assert Item(found, ("cat", "dog")).key == items[0].key, "the order of sounds changes no clip"


def test_the_manifest_takes_any_name_and_is_parquet_too(tmp_path: Path) -> None:
    rows = [
        Row('/a, "b"\n.wav', query="dög", certainty=0.5, clip="x.wav"),
        Row("/\udcff.wav", state="failed", error="No."),
    ]
    manifest = Manifest(tmp_path / "m.csv")
    manifest.rewrite(rows[:1])
    manifest.append(rows[1:])
    appended = (tmp_path / "m.csv").read_bytes()
    manifest.rewrite(rows)
    assert (tmp_path / "m.csv").read_bytes() == appended
    assert b"\\udcff.wav" in appended
    import pyarrow.parquet

    assert write_parquet(tmp_path / "m.parquet", rows)
    table = pyarrow.parquet.read_table(tmp_path / "m.parquet")
    assert tuple(table.column_names) == COLUMNS
    assert table["certainty"].to_pylist() == [0.5, None]
    assert table["file"].to_pylist()[0] == rows[0].file


def test_what_is_left_is_estimated_from_what_was_done(top: Path) -> None:
    def item(name: str, size: int) -> Item:
        return Item(Found(top / name, Path(name), size, 1), ("dog",))

    items = [item("a.wav", 1000), item("b.wav", 3000), item("c.mp3", 100), item("d.flac", 500)]
    estimate = Estimate.of(items)
    assert estimate.remaining(1.0) is None, "nothing is known yet"
    estimate.add(items[0], 10.0)
    estimate.add(items[2], 20.0)
    # b.wav as a.wav: 30 s; d.flac as all: 500 * 30 / 1100 s.
    assert estimate.left == pytest.approx(30 + 500 * 30 / 1100)
    # Two files of four are done, and a file costs as much time as 5 s of audio besides.
    assert estimate.remaining(6.0) == pytest.approx((30 + 500 * 30 / 1100 + 10) * 6 / (30 + 10))
    assert estimate.remaining(1.0) is None, "it is too early to say"
    estimate.add(items[1], 0.0)
    estimate.add(items[3], 5.0)
    assert (estimate.left, estimate.done) == (0.0, 4)


def test_a_short_recording_first_does_not_make_hours_of_the_rest(top: Path) -> None:
    def item(name: str, size: int) -> Item:
        return Item(Found(top / name, Path(name), size, 1), ("dog",))

    items = [item(f"{number}.wav", 1000) for number in range(9)] + [item("long.wav", 100_000)]
    estimate = Estimate.of(items)
    estimate.add(items[0], 0.1)
    left = estimate.remaining(5.0)
    assert left is not None
    assert 45 < left < 60
