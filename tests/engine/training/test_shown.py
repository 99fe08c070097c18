"""Sounds that stand for words while a network learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.taxonomy.classes import load_taxonomy
from engine.taxonomy.text import load_text_table
from engine.training.asking import Asker, UnknownQueries, sounds_of
from engine.training.corpus import TRAIN, Clip, build, read_clips
from engine.training.mixing import COMPACT, Mixer
from engine.training.scenes import load_stores
from engine.training.shown import (
    AGAINST_SHARE,
    QUERY_SHARE,
    ShownSounds,
    agreed,
    placed_clips,
    write_places,
)
from engine.training.train import draw_batch

EYE = np.eye(4, dtype=np.float32)


def clip(name: str) -> Clip:
    return Clip(name, "s", "p", name, TRAIN, 0, 100)


def shown(places: np.ndarray, *names: str) -> ShownSounds:
    return ShownSounds([clip(name) for name in names], places, load_taxonomy(), lambda place: place)


def test_a_clip_of_the_class_stands_for_its_own_captions_now_and_then() -> None:
    sounds = shown(EYE[:3], "dog", "rain", "dog")
    caption = load_taxonomy().classes["dog"].captions[0]
    rng = np.random.default_rng(0)
    drawn = [sounds.query(caption, rng) for _ in range(2000)]
    there = [one for one in drawn if one is not None]
    assert len(there) / 2000 == pytest.approx(QUERY_SHARE, abs=0.03)
    assert {int(one.argmax()) for one in there} == {0, 2}
    assert all(sounds.query("animal", rng) is None for _ in range(50))  # no class's own caption


def test_what_is_unwanted_holds_some_of_what_is_wanted() -> None:
    sounds = shown(EYE[:2], "dog", "rain")
    classes = load_taxonomy().classes
    rng = np.random.default_rng(0)
    drawn = [
        sounds.against(classes["rain"].captions[0], classes["dog"].captions[0], rng)
        for _ in range(1000)
    ]
    there = np.stack([one for one in drawn if one is not None])
    assert len(there) / 1000 == pytest.approx(AGAINST_SHARE, abs=0.05)
    np.testing.assert_allclose(np.linalg.norm(there, axis=1), 1, atol=1e-6)
    assert (there[:, 1] > there[:, 0]).all()
    assert there[:, 0].min() < 0.05
    assert there[:, 0].max() > 0.4


def test_what_the_listener_did_not_hear_stands_for_nothing() -> None:
    sounds = shown(np.zeros((2, 4), np.float32), "dog", "rain")
    rng = np.random.default_rng(0)
    classes = load_taxonomy().classes
    assert all(sounds.query(classes["dog"].captions[0], rng) is None for _ in range(50))
    with pytest.raises(ValueError, match="3 places for 2 clips"):
        shown(np.zeros((3, 4), np.float32), "dog", "rain")


def test_a_corpus_is_placed_and_steps_draw_from_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = (
        "001 - Dog bark",
        "002 - Rain",
        "003 - Sea waves",
        "004 - Baby cry",
        "007 - Helicopter",
    )
    for name in names:
        (tmp_path / "raw" / name).mkdir(parents=True)
        for number in range(4):
            file = tmp_path / "raw" / name / f"{1 + number}-{number}-A.ogg"
            soundfile.write(file, 0.1 * rng.standard_normal(24000), 32000)
    store = tmp_path / "store"
    build({"esc-10": tmp_path / "raw"}, store)
    taxonomy, table = load_taxonomy(), load_text_table()
    assert sounds_of(*placed_clips(store), taxonomy, table) is None
    count = write_places(store, processes=1)
    assert count == sum(one.split == TRAIN for one in read_clips(store))
    trained, places = placed_clips(store)
    sounds = sounds_of(trained, places, taxonomy, table)
    assert sounds is not None
    assert places is not None
    (store / "contradicted.csv").write_text(
        f"start,decision,class\n{trained[0].start},drop,dog\n{trained[2].start},relabel,rain\n",
        encoding="utf-8",
    )
    kept, left = agreed(store)
    assert kept == [trained[1], replace(trained[2], name="rain"), *trained[3:]]
    assert left is not None
    assert np.array_equal(left, places[1:])
    mixer = Mixer(load_stores(store, TRAIN), taxonomy, COMPACT)
    unknown = UnknownQueries(table, taxonomy)

    def vectors(given: ShownSounds | None) -> np.ndarray:
        asker = Asker(table.embed, unknown, given)
        batch, _ = draw_batch(mixer, asker, 12, np.random.default_rng(5))
        return batch.vectors.numpy()

    words, some = vectors(None), vectors(sounds)
    assert words.shape == some.shape == (24, 256)
    assert np.array_equal(words, vectors(None))
    assert np.array_equal(some, vectors(sounds))
    assert not np.array_equal(words, some)
