"""Recordings are decoded alike, copies found, and no recording is on two sides of the split."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.training.corpus import (
    HELD_OUT,
    SAMPLE_RATE,
    TEST,
    TRAIN,
    Clip,
    build,
    decode,
    excerpts,
    fingerprint,
    merge_duplicates,
    read_clips,
    recording_group,
    split_groups,
)


def clip(name: str, source: str, path: str) -> Clip:
    return Clip(name, source, path, recording_group(source, path, name), "", 0, 1)


def esc_clips() -> list[Clip]:
    folders = {"dog": "001 - Dog bark", "rain": "002 - Rain"}
    return [
        clip(name, "esc-10", f"{folder}/{fold}-{100 * fold + number}-{take}.ogg")
        for name, folder in folders.items()
        for fold in range(1, 6)
        for number in range(4)
        for take in "AB"
    ]


def test_fold_five_is_for_testing_alone() -> None:
    clips = esc_clips()
    split = split_groups(clips, frozenset())
    for item in clips:
        fold = Path(item.path).name[0]
        assert (split[item.group] == TEST) == (fold == "5"), item.path


def test_no_recording_on_two_sides() -> None:
    clips = esc_clips() + [
        clip("dog", "game", f"sounds/bark_{n}_{take}.ogg") for n in range(3) for take in range(3)
    ]
    split = split_groups(clips, frozenset())
    takes = defaultdict(set)
    for item in clips:
        takes[item.group].add(split[item.group])
    assert all(len(sides) == 1 for sides in takes.values())
    assert split["esc-10/1-100"] in {TRAIN, HELD_OUT}
    assert {split[item.group] for item in clips} == {TRAIN, HELD_OUT, TEST}


def test_the_split_does_not_depend_on_order_or_chance() -> None:
    clips = esc_clips()
    assert split_groups(clips, frozenset()) == split_groups(clips[::-1], frozenset())


def test_sources_can_be_held_out_whole() -> None:
    clips = [clip("piano", "TimGM6mb", "0_0.wav"), clip("piano", "FluidR3_GM", "0_0.wav")]
    split = split_groups(clips, frozenset({"TimGM6mb"}))
    assert split["TimGM6mb/0"] == HELD_OUT
    assert split["FluidR3_GM/0"] == TRAIN


def test_what_older_weights_were_trained_on_is_never_held_out() -> None:
    trained = "hydrogen-drumkits/Millo_MultiLayered3/tom drum"
    clips = [
        clip("tom drum", "hydrogen-drumkits", f"kits/{kit}/tom_{n}.flac")
        for kit in ("Millo_MultiLayered3", "Other", "Third")
        for n in range(4)
    ]
    assert trained in {item.group for item in clips}
    split = split_groups(clips, frozenset({"hydrogen-drumkits"}))
    assert split[trained] == TRAIN
    assert {side for group, side in split.items() if group != trained} == {HELD_OUT}


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


def test_copies_are_dropped_and_their_groups_joined() -> None:
    rng = np.random.default_rng(0)
    first = rng.standard_normal(8000).astype(np.float32)
    copy = first * 0.5 + 1e-4 * rng.standard_normal(8000).astype(np.float32)
    other = np.cumsum(rng.standard_normal(8000)).astype(np.float32)
    prints = np.stack([fingerprint(audio) for audio in (first, copy, other)])
    keep, groups = merge_duplicates(prints, [8000] * 3, ["a", "b", "c"], ["x"] * 3)
    assert keep == [True, False, True]
    assert groups[0] == groups[1] != groups[2]


def test_building_a_store(tmp_path: Path) -> None:
    folder = tmp_path / "raw" / "001 - Dog bark"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    for name in ("1-1-A", "2-2-A", "5-3-A"):
        soundfile.write(folder / f"{name}.ogg", 0.1 * rng.standard_normal(16000), 32000)
    (folder / "3-4-A.ogg").write_bytes(b"broken")
    clips = build({"esc-10": tmp_path / "raw"}, tmp_path / "store")
    assert read_clips(tmp_path / "store") == clips
    assert len(clips) == 3
    size = (tmp_path / "store" / "audio.i16").stat().st_size
    assert size == 2 * sum(item.length for item in clips)
    assert [item.split for item in clips if "5-3" in item.path] == [TEST]
