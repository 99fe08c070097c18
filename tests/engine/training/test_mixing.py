"""Examples are repeatable, and a target is the sum of what its caption fits."""

from dataclasses import replace
from unittest.mock import create_autospec

import numpy as np
import pytest

from engine.taxonomy.classes import SoundClass, Taxonomy
from engine.training.corpus import SAMPLE_RATE, TRAIN, Clip
from engine.training.mixing import (
    ClipStore,
    Mixer,
    MixingOptions,
    augment,
    class_weights,
    encode,
    phrase,
    place,
)

TAXONOMY = Taxonomy(
    {
        "bird": SoundClass("bird", (), ("bird",)),
        "owl": SoundClass("owl", ("bird",), ("owl", "hooting")),
        "crow": SoundClass("crow", ("bird",), ("crow", "cawing")),
        "bell": SoundClass("bell", (), ("bell",)),
        "dog": SoundClass("dog", (), ("dog",)),
    }
)


@pytest.fixture(scope="module")
def store() -> ClipStore:
    rng = np.random.default_rng(0)
    samples = (rng.uniform(-0.5, 0.5, 12 * SAMPLE_RATE) * 32767).astype(np.int16)
    names = ("owl", "crow", "bell")
    return ClipStore(
        samples,
        [
            Clip(name, "s", f"{name}{n}", f"{name}{n}", TRAIN, (4 * i + 2 * n) * SAMPLE_RATE, 32000)
            for i, name in enumerate(names)
            for n in range(2)
        ],
    )


def test_examples_depend_on_the_seed_alone(store: ClipStore) -> None:
    mixer = Mixer(store, TAXONOMY)
    first = mixer.example(np.random.default_rng(4))
    second = mixer.example(np.random.default_rng(4))
    np.testing.assert_array_equal(first.mixture, second.mixture)
    np.testing.assert_array_equal(first.targets, second.targets)
    assert first.captions == second.captions
    assert (mixer.example(np.random.default_rng(5)).mixture != first.mixture).any()


def test_a_general_caption_means_both_birds(store: ClipStore) -> None:
    options = MixingOptions(samples=16000, noise=0.0, unknown=0.0, absent=0.0, counts=(0.1, 0.9))
    mixer = Mixer(store, TAXONOMY, options)
    seen = set()
    for seed in range(200):
        example = mixer.example(np.random.default_rng(seed))
        for caption, target in zip(example.captions, example.targets, strict=True):
            gap = float(np.abs(target - example.mixture).max())
            seen.add((caption == "bird", gap < 1e-6))
    assert (True, True) in seen, "bird in a mixture of birds is all of it"
    assert (True, False) in seen
    assert (False, False) in seen


def test_absent_and_unknown_queries(store: ClipStore) -> None:
    absent = Mixer(store, TAXONOMY, MixingOptions(samples=8000, absent=1.0, unknown=0.0))
    unknown = Mixer(store, TAXONOMY, MixingOptions(samples=8000, absent=0.0, unknown=1.0))
    for seed in range(10):
        example = unknown.example(np.random.default_rng(seed), queries=1)
        assert example.captions == ("",)
        np.testing.assert_array_equal(example.targets[0], example.mixture)
        example = absent.example(np.random.default_rng(seed), queries=1)
        assert not example.targets.any()


def test_nothing_is_absent_from_a_corpus_of_one_class() -> None:
    clip = Clip("bell", "s", "a", "a", TRAIN, 0, 8000)
    store = ClipStore(np.full(8000, 9000, np.int16), [clip])
    options = MixingOptions(samples=8000, absent=1.0, unknown=0.0, augment=0.0, noise=0.0)
    example = Mixer(store, TAXONOMY, options).example(np.random.default_rng(0), queries=1)
    assert example.captions == ("",)
    np.testing.assert_array_equal(example.targets[0], example.mixture)


def test_what_a_query_speaks_against_is_not_in_its_target(store: ClipStore) -> None:
    options = MixingOptions(samples=8000, absent=0.0, unknown=0.0, against=1.0, noise=0.0)
    plain = Mixer(store, TAXONOMY, replace(options, against=0.0))
    mixer = Mixer(store, TAXONOMY, replace(options, vainly_against=0.0))
    named = 0
    for seed in range(120):
        example = mixer.example(np.random.default_rng(seed), queries=1)
        assert plain.example(np.random.default_rng(seed), queries=1).against == ("",)
        (caption,), (other,) = example.captions, example.against
        if not other:
            continue
        named += 1
        assert any(TAXONOMY.fits(other, name) for name in example.names)
        kept = [
            n for n in example.names if TAXONOMY.fits(caption, n) and not TAXONOMY.fits(other, n)
        ]
        assert bool(kept) == bool(example.targets.any())
        assert kept, "the sound that is asked for is never spoken against"
        assert np.abs(example.targets[0] - example.mixture).max() > 1e-6
    assert named > 30


def test_every_recording_is_as_likely_as_another() -> None:
    samples = np.concatenate([np.full(1000, 8000 + number, np.int16) for number in range(10)])
    clips = [
        Clip("dog", "s", f"{number}.wav", "many" if number else "one", TRAIN, 1000 * number, 1000)
        for number in range(10)
    ]
    options = MixingOptions(samples=1000, augment=0.0, by_recording=True)
    mixer = Mixer(ClipStore(samples, clips), TAXONOMY, options)
    rng = np.random.default_rng(1)
    first = [mixer.source("dog", rng)[0] < 8000.5 / 32768 for _ in range(200)]
    assert 70 < sum(first) < 130


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_number_of_sources_follows_the_shares(store: ClipStore, count: int) -> None:
    shares = tuple(float(count == number) for number in (1, 2, 3, 4))
    mixer = Mixer(store, TAXONOMY, MixingOptions(samples=2000, counts=shares))
    for seed in range(5):
        assert len(mixer.example(np.random.default_rng(seed)).names) == count


def test_speech_can_be_favoured() -> None:
    plain = class_weights(("bell", "speech"), {"bell": 4, "speech": 4}, speech=1.0)
    favoured = class_weights(("bell", "speech"), {"bell": 4, "speech": 4}, speech=9.0)
    np.testing.assert_allclose(plain, [0.5, 0.5])
    np.testing.assert_allclose(favoured, [0.1, 0.9])


@pytest.mark.parametrize("length", [100, 5000, 8000, 30000])
def test_placing_keeps_the_length(length: int) -> None:
    rng = np.random.default_rng(length)
    for _ in range(20):
        placed = place(np.ones(length, np.float32), 8000, rng)
        assert placed.shape == (8000,)
        assert placed.any()


@pytest.mark.parametrize("seed", range(6))
def test_a_codec_keeps_what_can_be_heard(seed: int) -> None:
    """Whatever codec: a tone stays a tone, at its level, and is not the same to the sample."""
    time = np.arange(SAMPLE_RATE, dtype=np.float32) / SAMPLE_RATE
    tone = (0.3 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)
    heard = encode(tone, np.random.default_rng(seed))
    assert heard.dtype == np.float32
    assert 0.9 * tone.size < heard.size <= tone.size
    assert np.abs(np.fft.rfft(heard[8000:24000])).argmax() == 500
    assert np.sqrt(np.mean(heard[8000:24000] ** 2)) == pytest.approx(0.212, rel=0.15)
    assert (heard[8000:24000] != tone[8000:24000]).any()


def test_no_draw_asks_a_codec_for_what_it_refuses() -> None:
    tone = np.sin(np.arange(SAMPLE_RATE, dtype=np.float32))
    for kind in (0, 1):
        drawn = create_autospec(np.random.Generator, instance=True)
        drawn.integers.return_value = kind
        drawn.uniform.side_effect = lambda low, high: np.nextafter(high, low)
        assert encode(tone, drawn).any()


def test_augmenting_stays_finite_and_audible() -> None:
    rng = np.random.default_rng(0)
    audio = rng.standard_normal(20000).astype(np.float32)
    for _ in range(30):
        changed = augment(audio, rng)
        assert changed.dtype == np.float32
        assert np.isfinite(changed).all()
        assert 0.8 * audio.size < changed.size < 2 * audio.size
        assert 0.05 < np.std(changed) < 20


def test_phrases_keep_the_caption() -> None:
    rng = np.random.default_rng(0)
    phrases = {phrase("owl hooting", rng) for _ in range(100)}
    assert "owl hooting" in phrases
    assert len(phrases) > 3
    assert all("owl hooting" in item for item in phrases)
