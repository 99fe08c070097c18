"""Queries that describe the same sound share it: nothing is taken out of a mixture twice."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from known_models import Greedy

import engine.sound.core
import engine.sound.masks
from engine.folders import Folders
from engine.job import Job
from engine.models import load
from engine.models.base import FrameGrid
from engine.options import Bandwidth, Keep, Options, Stereo
from engine.sound.masks import shared, sharpened
from engine.sound.separate import separate

GRID = FrameGrid(32_000, 2048, 640, block=16, context=32, core=48)
DEMO = files("engine") / "demo"
ANY = {"allow_nan": False, "allow_infinity": False}


def masks_of(kind, least=1, most=5):
    values = {
        np.float32: st.floats(0, 4, width=32),
        np.complex64: st.complex_numbers(max_magnitude=4, width=64, **ANY),
    }[kind]
    shapes = st.tuples(st.integers(least, most), st.integers(1, 3), st.integers(1, 9))
    return shapes.flatmap(lambda shape: arrays.arrays(kind, shape, elements=values))


@given(masks_of(np.float32) | masks_of(np.complex64, least=2))
def test_no_bin_is_claimed_more_than_once(masks):
    before = masks.copy()
    out = shared(masks)
    assert np.array_equal(masks, before)  # a model may keep what it gave
    assert (out.dtype, out.shape) == (masks.dtype, masks.shape)
    assert (np.abs(out.astype(complex)).sum(axis=0) <= 1 + 1e-6).all()
    total = np.abs(masks.astype(complex)).sum(axis=0)
    np.testing.assert_allclose(out, masks / np.maximum(total, 1), atol=1e-6)


@given(masks_of(np.float32) | masks_of(np.complex64))
def test_what_is_claimed_once_keeps_its_bits(masks):
    out = shared(masks)
    alone = np.abs(masks).sum(axis=0) <= 1
    assert np.array_equal(out[:, alone], masks[:, alone])


@given(masks_of(np.complex64, most=1))
def test_a_single_complex_mask_is_left_alone(masks):
    assert shared(masks).tobytes() == masks.tobytes()


@given(masks_of(np.float32, most=1))
def test_a_single_real_mask_takes_no_more_than_there_is(masks):
    assert np.array_equal(shared(masks), np.minimum(masks, 1))


def samples_of(clips):
    return {
        clip.query or "residual": soundfile.read(clip.path, dtype="float32", always_2d=True)[0].T
        for clip in clips
    }


@pytest.mark.parametrize("bandwidth", Bandwidth)
def test_above_the_models_band_they_share_too(bandwidth, rng, wav, make_job, tmp_path):
    x = (0.3 * rng.standard_normal((1, 96_000))).astype(np.float32)
    job = make_job(wav(x, 96_000), "1", "1.0", keep=Keep.BOTH, bandwidth=bandwidth)
    rest = samples_of(separate(job, Greedy(), tmp_path / "out"))["residual"]
    spectrum = np.fft.rfft(rest * np.hanning(96_000)) / np.fft.rfft(x * np.hanning(96_000))
    above = spectrum[:, np.fft.rfftfreq(96_000, 1 / 96_000) > 17_000]
    assert np.median(np.abs(above)) == pytest.approx(float(bandwidth is Bandwidth.MODEL), abs=1e-3)


def test_turned_masks_share_their_magnitudes(rng, wav, make_job, tmp_path):
    x = (0.3 * rng.standard_normal((1, 32_000))).astype(np.float32)
    job = make_job(wav(x, 32_000), "0.9", "0.6", keep=Keep.BOTH)
    got = samples_of(separate(job, Greedy(turned=True), tmp_path / "out"))
    for query, share in (("0.9", 0.6), ("0.6", 0.4)):
        level = np.sqrt(np.mean(got[query] ** 2) / np.mean(x**2))
        assert level == pytest.approx(share, rel=0.02)


@pytest.mark.parametrize("turned", [False, True])
def test_a_job_begun_without_sharing_is_not_mixed_with_one_that_shares(
    turned, rng, wav, make_job, tmp_path, monkeypatch
):
    job = make_job(
        wav((0.3 * rng.standard_normal((1, 200_000))).astype(np.float32), 32_000),
        "0.9", "0.8", keep=Keep.BOTH,
    )  # fmt: skip
    fresh = {
        c.path.name: c.path.read_bytes() for c in separate(job, Greedy(turned), tmp_path / "a")
    }

    class KilledError(BaseException):
        pass

    def dies(share):
        if share > 0.6:
            raise KilledError

    with monkeypatch.context() as before:
        before.setattr(engine.sound.core, "METHOD", 1)
        before.setattr(engine.sound.masks, "shared", lambda masks: masks)
        with pytest.raises(KilledError):
            separate(job, Greedy(turned), tmp_path / "b", on_progress=dies)
    assert (tmp_path / "b" / "work" / "checkpoint.npz").exists()
    resumed = separate(job, Greedy(turned), tmp_path / "b")
    assert {c.path.name: c.path.read_bytes() for c in resumed} == fresh


@pytest.mark.parametrize(
    ("stereo", "keep"), [(Stereo.INDEPENDENT, Keep.RESIDUAL), (Stereo.LINKED, Keep.BOTH)]
)
def test_a_sound_named_three_times_leaves_no_negative_copy(stereo, keep, tmp_path):
    x, _ = soundfile.read(DEMO / "mixture.flac", dtype="float32", always_2d=True)
    guitar, _ = soundfile.read(DEMO / "guitar.flac", dtype="float32", always_2d=True)
    queries = ("guitar", "acoustic guitar", "plucked string instrument")
    job = Job("job-1", DEMO / "mixture.flac", queries, Options(keep=keep, stereo=stereo))
    compact = load("compact", Folders(tmp_path / "home"))
    rest = samples_of(separate(job, compact, tmp_path / "out"))["residual"]
    left = np.sum(rest.T * guitar) / np.sum(guitar**2)  # times the guitar, in the residual
    assert -0.05 < left < 0.4
    assert np.sum(rest**2) < np.sum(x**2)


def test_a_single_query_of_compact_is_not_touched(tmp_path, monkeypatch):
    job = Job("job-1", DEMO / "mixture.flac", ("guitar",), Options(keep=Keep.BOTH))
    compact = load("compact", Folders(tmp_path / "home"))
    ours = [c.path.read_bytes() for c in separate(job, compact, tmp_path / "a")]
    monkeypatch.setattr(engine.sound.masks, "shared", lambda masks: masks)
    assert [c.path.read_bytes() for c in separate(job, compact, tmp_path / "b")] == ours


def test_sharpness_comes_before_sharing():
    masks = np.array([[0.9], [0.9]], np.float32)
    assert shared(sharpened(masks, 8.0)).sum() == pytest.approx(2 * 0.9**8)
