"""Recordings are decoded alike, copies found, and no recording is on two sides of the split."""

import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from engine.taxonomy.classes import load_taxonomy
from engine.training import corpus
from engine.training.corpus import (
    HELD_OUT,
    OUTSIDE,
    SAMPLE_RATE,
    TEST,
    TRAIN,
    UNSEEN,
    UNSEEN_CLASSES,
    Clip,
    build,
    decode,
    excerpts,
    load_sources,
    read_clips,
    recording_group,
    split_clips,
)
from engine.training.yardsticks import Yardstick, load_yardsticks


def melody(rng: np.random.Generator, seconds: float = 3) -> NDArray[np.float64]:
    """Return short tones at random, ``(samples,)`` at 32 kHz."""
    out = 1e-3 * rng.standard_normal(int(seconds * SAMPLE_RATE))
    for _ in range(int(12 * seconds)):
        start, length = int(rng.integers(out.size - 4000)), 4000
        tone = np.sin(2 * np.pi * rng.uniform(200, 6000) * np.arange(length) / SAMPLE_RATE)
        out[start : start + length] += 0.2 * tone * np.hanning(length)
    return out


def clip(name: str, source: str, path: str) -> Clip:
    return Clip(name, source, path, recording_group(source, path, name), "", 0, 1)


def test_what_is_frozen_keeps_its_split_and_nothing_new_is_held_out() -> None:
    frozen = replace(clip("dog", "game", "sounds/bark_1.ogg"), split=HELD_OUT)
    others = [
        clip("dog", "game", "sounds/bark_2.ogg"),  # another take of it
        clip("dog", "game", "sounds/woof_1.ogg"),
        clip("cello", "game", "sounds/solo.ogg"),  # a left-out class
        clip("cat", "petz", "petz_meow.opus"),  # a source that is never trained on
    ]
    split = split_clips([frozen, *others], [True, False, False, False, False])
    assert split == [HELD_OUT, None, TRAIN, None, None]


def test_the_frozen_list_is_whole() -> None:
    found = load_yardsticks()
    assert len({(item.source, item.path) for item in found}) == len(found)
    taxonomy = load_taxonomy()
    for item in found:
        assert item.name in taxonomy.classes
        assert len(item.digest) == 32
        assert item.excerpts
        assert (item.split == UNSEEN) >= (item.name in UNSEEN_CLASSES and item.split != OUTSIDE)
    counts = Counter(item.split for item in found)
    assert counts[TEST] == 78
    assert counts[HELD_OUT] > 1000
    assert min(counts[UNSEEN], counts[OUTSIDE]) > 150
    assert {Path(item.path).name[:2] for item in found if item.split == TEST} == {"5-"}
    outside = {source.name for source in load_sources() if source.outside}
    assert {item.source for item in found if item.split == OUTSIDE} < outside


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("esc-10", "x/1-4211-A.ogg"), ("esc-10", "x/1-4211-B.ogg"), True),
        (("esc-10", "x/1-4211-A.ogg"), ("esc-10", "x/1-4212-A.ogg"), False),
        (("minetest-data", "a/default_dig_metal.1.ogg"), ("mod", "sounds_dig_metal.ogg"), True),
        (("wesnoth", "birds1.ogg"), ("wesnoth", "birds2.ogg"), True),
    ],
)
def test_takes_of_one_recording_share_a_group(
    one: tuple[str, str], other: tuple[str, str], same: bool
) -> None:
    groups = [recording_group(*place, "any") for place in (one, other)]
    assert (groups[0] == groups[1]) == same


def test_speech_is_grouped_by_speaker() -> None:
    french = recording_group("tuxpaint", "a/owl_desc_fr.ogg", "speech")
    assert french == recording_group("tuxpaint", "b/cow_desc_fr.ogg", "speech")
    assert french != recording_group("tuxpaint", "a/owl_desc_de.ogg", "speech")


def test_decoding_trims_resamples_and_levels(tmp_path: Path) -> None:
    rate = 44100
    sound = 0.1 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    padded = np.concatenate([np.zeros(rate), sound, np.zeros(rate)])
    soundfile.write(tmp_path / "a.wav", np.stack([padded, padded], axis=1), rate)
    audio = decode(tmp_path / "a.wav")
    assert audio.dtype == np.float32
    assert audio.size == pytest.approx(SAMPLE_RATE, rel=0.01)
    assert np.abs(audio).max() == pytest.approx(0.9, rel=1e-4)


@pytest.mark.parametrize("content", [b"", b"no audio at all"])
def test_unusable_files_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.wav").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.wav"):
        decode(tmp_path / "bad.wav")
    soundfile.write(tmp_path / "silent.wav", np.zeros(9999), 8000)
    with pytest.raises(ValueError, match="silent"):
        decode(tmp_path / "silent.wav")


def test_long_recordings_give_a_few_clips() -> None:
    lengths = [piece.size for piece in excerpts(np.zeros(200 * SAMPLE_RATE, np.float32))]
    assert lengths == [15 * SAMPLE_RATE] * 3
    assert [piece.size for piece in excerpts(np.zeros(999, np.float32))] == [999]


def test_building_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "raw" / "001 - Dog bark"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    sounds = {name: melody(rng) for name in ("1-1-A", "2-2-A", "5-3-A")}
    sounds["4-9-A"] = np.concatenate([np.zeros(9000), 0.4 * sounds["5-3-A"][20000:]])  # a part
    for name, sound in sounds.items():
        soundfile.write(folder / f"{name}.ogg", sound, 32000)
    (folder / "3-4-A.ogg").write_bytes(b"broken")
    path = "001 - Dog bark/5-3-A.ogg"
    frozen = Yardstick("esc-10", path, "dog", TEST, (0,), "")
    clips = build({"esc-10": tmp_path / "raw"}, tmp_path / "store", [frozen])
    assert read_clips(tmp_path / "store") == clips
    assert [(Path(item.path).stem, item.split) for item in clips] == [
        ("5-3-A", TEST),
        ("1-1-A", TRAIN),
        ("2-2-A", TRAIN),
    ]
    said = capsys.readouterr().err
    assert f"copy of esc-10/{path}: esc-10/001 - Dog bark/4-9-A.ogg" in said
    assert "3-4-A.ogg" in said


def test_a_frozen_file_that_changed_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "a.wav", melody(np.random.default_rng(1)), 32000)
    frozen = Yardstick("esc-10", "a.wav", "dog", HELD_OUT, (0,), "0" * 32)
    (only,) = build({"esc-10": tmp_path}, tmp_path / "store", [frozen])
    assert only.split == HELD_OUT
    assert f"not the file that was frozen: {tmp_path / 'a.wav'}" in capsys.readouterr().err


def test_what_can_be_fetched_is_there_though_one_package_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def fetched(source: corpus.Source, folder: Path) -> None:
        tried.append(source.name)
        if source.name == "gone" and tried.count("gone") == 1:
            raise subprocess.CalledProcessError(100, "apt-get")
        (folder / f"{source.name}.wav").write_bytes(b"sound")

    sources = tuple(corpus.Source(name, "debian", "CC0") for name in ("one", "gone", "two"))
    monkeypatch.setattr(corpus, "load_sources", lambda: sources)
    monkeypatch.setattr(corpus, "_FETCHED", {"debian": fetched})
    with pytest.raises(subprocess.CalledProcessError):
        corpus.fetch(tmp_path)
    assert sorted(tried) == ["gone", "one", "two"]
    assert not (tmp_path / "gone").exists()
    corpus.fetch(tmp_path)
    assert sorted(tried) == ["gone", "gone", "one", "two"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["gone", "one", "two"]
    assert (tmp_path / "two" / "two.wav").is_file()
