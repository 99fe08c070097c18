"""What is packed comes back within the budget, most diverse first."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import BadInput
from engine.training.corpus import HELD_OUT, SAMPLE_RATE, TRAIN, Clip
from engine.training.device import open_clips
from engine.training.pack import (
    FADE,
    PAUSE,
    REEL,
    PackOptions,
    by_diversity,
    loudest,
    main,
    pack,
    packed_places,
    unpack,
)
from engine.training.shown import placed_clips


def clip(name: str, source: str, group: str, path: str = "") -> Clip:
    return Clip(name, source, path or group, group, TRAIN, 0, 1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tones of known pitch, each loud for one of its five seconds, or short."""
    folder = tmp_path_factory.mktemp("store")
    rows, parts, position = [], [], 0
    for number in range(40):
        seconds = 5.0 if number % 2 else 0.7
        time = np.arange(round(seconds * SAMPLE_RATE) + number) / SAMPLE_RATE
        tone = 0.05 * np.sin(2 * np.pi * (300 + 50 * number) * time)
        if number % 2:
            tone[3 * SAMPLE_RATE : 4 * SAMPLE_RATE] *= 10
        parts.append(np.round(tone * 32767).astype("<i2"))
        split = HELD_OUT if number >= 36 else TRAIN
        rows.append(
            f"{('dog', 'bell', 'rain')[number % 3]},s,{number}.wav,g{number},{split},"
            f"{position},{tone.size}\n"
        )
        position += tone.size
    (folder / "audio.i16").write_bytes(np.concatenate(parts).tobytes())
    (folder / "clips.csv").write_text(
        "name,source,path,group,split,start,length\n" + "".join(rows), encoding="utf-8"
    )
    return folder


def test_classes_then_recordings_then_sources_take_turns() -> None:
    many = [clip("bell", "game", f"bell {n}", f"{n}{take}") for n in range(3) for take in "ab"]
    clips = [*many, clip("bell", "field", "chapel"), clip("dog", "field", "rex")]
    assert [(c.name, c.group, c.path[-1]) for c in by_diversity(clips)] == [
        ("bell", "bell 0", "a"),
        ("dog", "rex", "x"),
        ("bell", "chapel", "l"),
        ("bell", "bell 1", "a"),
        ("bell", "bell 2", "a"),
        ("bell", "bell 0", "b"),
        ("bell", "bell 1", "b"),
        ("bell", "bell 2", "b"),
    ]


def test_the_loudest_stretch_is_cut_out_and_fades() -> None:
    rng = np.random.default_rng(0)
    audio = (100 * rng.standard_normal(100_000)).astype(np.int16)
    audio[60_000:70_000] *= 20
    part = loudest(audio, 20_000)
    assert part.size == 20_000
    assert np.sum(np.abs(part) > 0.03) > 5000
    assert part[0] == 0
    assert part[-1] == 0
    assert np.abs(part[: FADE // 4]).max() < np.abs(part[FADE : 2 * FADE]).max()
    np.testing.assert_array_equal(loudest(audio[:9], 20_000), audio[:9] / np.float32(32768))


def test_what_is_packed_comes_back(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "pack.zip"
    packed = pack(store, file, PackOptions(1.0, validation=3))
    samples, clips = unpack(file, 1)
    assert clips == packed
    assert sum(c.split == HELD_OUT for c in clips) == 3
    assert sum(c.split == TRAIN for c in clips) == 36
    assert max(c.length for c in clips) == 2.5 * SAMPLE_RATE
    for item in clips:
        number = int(item.path.removesuffix(".wav"))
        heard = samples[item.start : item.start + item.length] / 32768
        spectrum = np.abs(np.fft.rfft(heard * np.hanning(heard.size)))
        pitch = np.argmax(spectrum) * SAMPLE_RATE / heard.size
        assert pitch == pytest.approx(300 + 50 * number, abs=2)
        assert np.abs(heard).max() > (0.4 if number % 2 else 0.04)  # the loud second is in it
        # the next excerpt begins a pause later
        silent = samples[item.start + item.length + PAUSE // 2 :][: PAUSE // 4] / 32768
        assert np.abs(silent).max() < 0.02


def test_where_the_listener_places_clips_is_packed_with_them(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "pack.zip"
    pack(store, file, PackOptions(1.0))
    assert packed_places(file) is None
    placed = tmp_path / "placed"
    shutil.copytree(store, placed)
    trained, _ = placed_clips(placed)
    numbers = [int(clip.path.removesuffix(".wav")) for clip in trained]
    np.save(placed / "places.npy", np.repeat(np.float32([numbers]).T, 4, axis=1))
    size = file.stat().st_size
    packed = [c for c in pack(placed, file, PackOptions(1.0)) if c.split == TRAIN]
    places = packed_places(file)
    assert places is not None
    assert [f"{place:.0f}.wav" for place in places[:, 0]] == [clip.path for clip in packed]
    assert size + places.nbytes < file.stat().st_size < size + places.nbytes + 400
    # what a teacher contradicts stays out, here and where a run takes the folder itself
    gone, other = trained[0], trained[1]
    (placed / "contradicted.csv").write_text(
        f"start,decision,class\n{gone.start},drop,{gone.name}\n{other.start},relabel,rain\n"
    )
    fewer = [c for c in pack(placed, file, PackOptions(1.0)) if c.split == TRAIN]
    named = {clip.path: clip.name for clip in fewer}
    assert gone.path not in named
    assert named[other.path] == "rain"
    assert len(fewer) == len(packed) - 1
    _, read, where = open_clips(placed, 1)
    assert [c.path for c in read if c.split == TRAIN] == [c.path for c in trained[1:]]
    assert where is not None
    assert where[:, 0].tolist() == numbers[1:]
    (placed / "contradicted.csv").unlink()
    # and places count in the budget
    few = pack(placed, file, PackOptions(0.9 * size / 2**20, validation=0))
    assert 0 < len(few) < len(packed)
    assert file.stat().st_size < 0.9 * size


def test_the_budget_holds_and_the_first_are_the_same(store: Path, tmp_path: Path) -> None:
    whole = pack(store, tmp_path / "whole", PackOptions(1.0, validation=0))
    size = (tmp_path / "whole").stat().st_size
    half = size * 0.95 / 2**20
    part = pack(store, tmp_path / "part", PackOptions(half, validation=0))
    assert (tmp_path / "part").stat().st_size <= half * 2**20
    assert part == whole[:REEL]
    with pytest.raises(BadInput, match="hold nothing"):
        pack(store, tmp_path / "none", PackOptions(0.001))


def test_packing_is_repeatable(store: Path, tmp_path: Path) -> None:
    pack(store, tmp_path / "one", PackOptions(1.0))
    pack(store, tmp_path / "two", PackOptions(1.0), processes=2)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    once, _ = unpack(tmp_path / "one", 1)
    again, _ = unpack(tmp_path / "one", 2)
    np.testing.assert_array_equal(once, again)


def test_reels_are_ordinary_opus(store: Path, tmp_path: Path) -> None:
    """Their checksums were written anew; a strict reader would skip damaged pages."""
    import io
    import zipfile

    pack(store, tmp_path / "pack", PackOptions(1.0))
    with zipfile.ZipFile(tmp_path / "pack") as archive:
        info = soundfile.info(io.BytesIO(archive.read("0000.opus")))
    assert info.subtype == "OPUS"
    assert info.channels == 1


def test_a_file_that_is_no_pack_is_named(tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_bytes(b"no")
    with pytest.raises(BadInput, match=r"no\.zip is not a pack"):
        unpack(tmp_path / "no.zip")


def test_the_command_says_what_it_packed(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(store), str(tmp_path / "pack"), "--mebibytes", "1", "--processes", "1"]
    monkeypatch.setattr("sys.argv", ["pack", *arguments])
    main()
    assert "36 clips for training" in capsys.readouterr().out
