"""A user's recordings: three forms, a split by file, and a sentence for what is wrong with them."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import BadInput
from engine.training.corpus import HELD_OUT, TRAIN
from engine.training.userdata import Captioned, collect, find


def noise(path: Path, seconds: float = 0.5, level: float = 0.1) -> Path:
    rng = np.random.default_rng(len(path.name))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, level * rng.standard_normal(int(16_000 * seconds)), 16_000)
    return path


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Two sounds, five recordings each."""
    for name in ("door_slam", "kettle"):
        for number in range(5):
            noise(tmp_path / "own" / name / f"{number}.wav")
    return tmp_path / "own"


class TestForms:
    def test_sub_folders(self, own: Path) -> None:
        found = find(own)
        assert [item.caption for item in found] == ["door slam"] * 5 + ["kettle"] * 5
        assert found[0].file == own / "door_slam" / "0.wav"

    def test_csv(self, own: Path) -> None:
        table = own / "mine.csv"
        table.write_text("caption,wav\na door is slammed,door_slam/1.wav\nkettle,kettle/0.wav\n")
        wanted = [
            Captioned(own / "door_slam/1.wav", "a door is slammed"),
            Captioned(own / "kettle/0.wav", "kettle"),
        ]
        assert find(table) == find(own) == wanted

    def test_json_of_audiosep(self, own: Path) -> None:
        table = own / "datafiles.json"
        entries = [{"wav": str(own / "kettle/0.wav"), "caption": "a  kettle boils"}]
        table.write_text(json.dumps({"data": entries}))
        assert find(table) == find(own) == [Captioned(own / "kettle/0.wav", "a kettle boils")]

    @pytest.mark.parametrize(
        ("name", "text", "said"),
        [
            ("a.csv", "file,caption\nx,y\n", "has no column 'wav'"),
            ("a.csv", "wav,caption\nkettle/0.wav,\n", "line 2: there is no caption"),
            ("a.csv", "wav,caption\ngone.wav,x\n", "line 2: there is no file"),
            ("a.csv", "wav,caption\n", "names no recording"),
            ("a.csv", "wav,caption\nkettle/0.wav,a\x01b\n", "line 2: The query holds the control"),
            ("a.json", "{", "cannot be read"),
            ("a.json", '["kettle/0.wav"]', "holds no list 'data'"),
            ("a.json", '{"data": ["x"]}', "entry 1: there is no wav"),
            ("a.json", '{"data": [{"wav": "kettle/0.wav"}]}', "entry 1: there is no caption"),
        ],
    )
    def test_a_wrong_table_is_one_sentence(
        self, own: Path, name: str, text: str, said: str
    ) -> None:
        (own / name).write_text(text)
        with pytest.raises(BadInput) as raised:
            find(own / name)
        assert said in str(raised.value)
        assert "\n" not in str(raised.value)

    def test_what_is_no_data(self, own: Path) -> None:
        with pytest.raises(BadInput, match="no folder or file"):
            find(own / "gone")
        with pytest.raises(BadInput, match="no recordings in a known form"):
            find(own / "kettle")
        with pytest.raises(BadInput, match="neither a folder nor a table"):
            find(own / "kettle" / "0.wav")
        (own / "a.csv").write_text("")
        (own / "b.json").write_text("")
        with pytest.raises(BadInput, match=r"several tables \(a.csv, b.json\)"):
            find(own)


class TestCollecting:
    def test_the_split_is_by_file(self, own: Path, tmp_path: Path) -> None:
        noise(own / "kettle" / "long.wav", seconds=40)  # gives two clips
        found = collect(find(own), tmp_path / "work")
        assert len(found.clips) == 12
        train, held = ({c.group for c in found.of(split)} for split in (TRAIN, HELD_OUT))
        assert not train & held
        assert len(train | held) == 11
        assert {c.name for c in found.of(HELD_OUT)} == {"door slam", "kettle"}
        assert len(held) == 2
        again = collect(find(own), tmp_path / "again")
        assert [c.split for c in again.clips] == [c.split for c in found.clips]

    def test_unique_captions_are_split_too(self, own: Path, tmp_path: Path) -> None:
        items = [Captioned(item.file, f"sound {n}") for n, item in enumerate(find(own))]
        found = collect(items, tmp_path / "work")
        assert len(found.of(HELD_OUT)) == 2
        assert len(found.of(TRAIN)) == 8

    def test_what_cannot_be_used_is_named_and_left_out(self, own: Path, tmp_path: Path) -> None:
        noise(own / "kettle" / "silent.wav", level=0)
        noise(own / "kettle" / "short.wav", seconds=0.01)
        (own / "kettle" / "broken.wav").write_bytes(b"RIFF of nothing")
        said: list[str] = []
        found = collect(find(own), tmp_path / "work", left_out=said.append)
        assert len(found.clips) == 10
        assert len(said) == 3
        for sentence, (name, reason) in zip(
            said,
            [
                ("broken", "is a text file, not an audio file"),
                ("short", "too short"),
                ("silent", "silent"),
            ],
            strict=True,
        ):
            assert sentence.startswith(str(own / "kettle" / f"{name}.wav"))
            assert reason in sentence
            assert "replace it" in sentence

    def test_too_little(self, own: Path, tmp_path: Path) -> None:
        found = find(own)
        with pytest.raises(BadInput, match=r"2 usable recording\(s\) are too few"):
            collect(found[:2], tmp_path / "work")
        for file in (own / "door_slam").iterdir():
            file.unlink()
        noise(own / "kettle" / "more.wav")
        with pytest.raises(BadInput, match=r"All recordings are of 'kettle'.*--store"):
            collect(find(own), tmp_path / "work")
        assert len(collect(find(own), tmp_path / "work", alone=False).of(HELD_OUT)) == 1
