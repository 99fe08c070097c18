"""What competing and sharing do to masks, and several models on one grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_models import GRID, Blur, Constant, Greedy, WaveBlur, WaveConstant, WaveGreedy
from scipy.signal import correlate

from engine.job import Job
from engine.options import Keep, Options, Stereo
from engine.sound.audio import read
from engine.sound.core import Part, pieces, pieces_of
from engine.sound.masks import Competition, Rule, competed, shared, sharpened, steered
from engine.sound.mixture import ArrayMixture
from engine.sound.separate import separate
from engine.sound.team import Member, Team

PAIR = Competition(((1,), (0,)))


def masks_of(seed, sounds, *, turned):
    rng = np.random.default_rng(seed)
    masks = rng.uniform(0, 1, (sounds, 3, 50)).astype(np.float32)
    masks[rng.uniform(size=masks.shape) < 0.2] = 0
    masks[rng.uniform(size=masks.shape) < 0.2] = 1
    if turned:
        return (masks * np.exp(1j * rng.uniform(-3, 3, masks.shape))).astype(np.complex64)
    return masks


@given(st.integers(0, 99), st.integers(1, 4), st.booleans(), st.sampled_from([0.5, 1.0, 2.0]))
@settings(deadline=None)
def test_without_a_rival_nothing_changes(seed, sounds, turned, sharpness):
    masks = masks_of(seed, sounds, turned=turned)
    ours = steered(masks, Competition.none(sounds), sharpness)
    assert ours.tobytes() == shared(sharpened(masks, sharpness)).tobytes()


@given(st.integers(0, 99), st.integers(2, 5), st.booleans(), st.sampled_from([0, 0.5, 0.75, 1]))
@settings(deadline=None)
def test_nothing_is_claimed_twice_and_phases_stay(seed, sounds, turned, weight):
    masks = masks_of(seed, sounds, turned=turned)
    queries = sounds - 1
    rivals = tuple(tuple(o for o in range(sounds) if o != q) for q in range(queries))
    out = steered(masks, Competition(rivals, rule=Rule(weight)), 1.0)
    assert out.shape == (queries, 3, 50)
    assert (np.abs(out).sum(axis=0) <= 1 + 1e-6).all()
    if turned:
        kept = (np.abs(out) > 1e-6) & (np.abs(masks[:queries]) > 1e-6)
        assert np.abs(np.angle(out[kept] * masks[:queries][kept].conj())).max() < 1e-3


def test_the_stronger_wins_more_than_its_share():
    masks = np.array([[0.8, 0.4, 0.0, 1.0], [0.4, 0.8, 0.0, 1.0]], np.float32)
    first, second = competed(masks, replace(PAIR, rule=Rule(1)))
    assert first.tolist() == pytest.approx([0.8, 0.2, 0.0, 0.5])
    assert (first + second).tolist() == pytest.approx([1, 1, 0, 1])
    none = competed(masks, replace(PAIR, rule=Rule(0)))
    assert none.tobytes() == masks.tobytes()
    both = competed(masks, PAIR)
    assert (np.abs(both - first) <= np.abs(masks - [first, second]) + 1e-6)[0].all()


def test_a_sound_that_is_asked_for_again_has_the_mean_of_both():
    masks = np.array([[0.2], [0.0], [0.6]], np.float32)
    again = Competition(((),)).with_rest(1)
    assert (again.rivals, again.again) == (((1,),), (2,))
    np.testing.assert_allclose(competed(masks, again), [[0.4**0.5]], rtol=1e-6)
    louder = masks + np.array([[0], [0.4], [0]], np.float32)
    np.testing.assert_allclose(competed(louder, again), [[0.4**0.5 * 0.5**0.5]], rtol=1e-6)
    assert again.idle(3) == frozenset()
    beside = replace(again, rivals=((2,),), again=(3,))
    assert beside.without(beside.idle(4)) == again


def test_what_is_part_of_a_query_and_not_wanted_is_taken_out():
    masks = np.array([[1.0, 1.0, 0.5], [1.0, 0.0, 0.5]], np.float32)
    out = competed(masks, Competition(((),), ((1,),)))
    assert out.tolist() == [[0.0, 1.0, 0.25]]


def test_what_holds_a_query_and_is_not_wanted_shares_with_it():
    masks = np.array([[1.0, 0.5, 0.25], [1.0, 0.5, 0.0]], np.float32)
    assert competed(masks, Competition(((),), (), ((1,),))).tolist() == [[0.5, 0.5, 0.25]]


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_a_rule_has_limits(weight):
    with pytest.raises(ValueError, match="weight"):
        Rule(weight)


# Several models.


def parts_of(x, rate, *models):
    return tuple(
        Part(
            model,
            ArrayMixture(x, rate, model.frame_grid.sample_rate),
            model.embed(query)[None],
            (place,),
        )
        for place, (model, query) in enumerate(models)
    )


def targets_of(parts, competition, **options):
    found = list(pieces_of(parts, competition, **options))
    return np.concatenate([piece.targets for piece in found], axis=-1)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, 96_000])
def test_models_of_other_rates_answer_on_one_grid(rate, rng):
    x = (0.3 * rng.standard_normal((2, rate + 77))).astype(np.float32)
    silent = (Constant(0.0), "a")
    parts = parts_of(x, rate, silent, (WaveConstant(value=1.0), "b"))
    none, whole = targets_of(parts, Competition.none(2))
    assert not none.any()
    error = 10 * np.log10(np.sum((whole - x) ** 2) / np.sum(x**2))
    assert error < -90  # the mask is 1 in every bin, at any rate


@pytest.mark.parametrize("rate", [16_000, 44_100, 96_000])
def test_no_model_shifts_anything(rate, rng):
    x = (0.3 * rng.standard_normal((2, rate + 5))).astype(np.float32)
    parts = parts_of(x, rate, (Blur(), "one"), (WaveBlur(), "far"), (WaveBlur(channels=1), "near"))
    for target in targets_of(parts, Competition.none(3)):
        around = correlate(target[0], x[0], method="fft")
        assert np.argmax(around) == x.shape[1] - 1


def test_they_compete_whichever_model_answers(rng):
    x = (0.3 * rng.standard_normal((1, 40_000))).astype(np.float32)
    parts = parts_of(x, 32_000, (Greedy(), "0.5"), (WaveGreedy(), "1.0"))
    half, _ = targets_of(parts, Competition(((1,), (0,)), rule=Rule(1)))
    inside = slice(2_000, -2_000)
    np.testing.assert_allclose(half[0, inside], x[0, inside] * 0.2, rtol=0, atol=1e-3)


def test_a_second_model_with_masks_needs_the_same_grid(rng):
    x = np.zeros((1, 1000), np.float32)
    other = Constant(frame_grid=replace(GRID, hop=512))
    with pytest.raises(ValueError, match="frame grid"):
        list(pieces_of(parts_of(x, 32_000, (Blur(), "a"), (other, "b")), Competition.none(2)))


def test_what_is_not_wanted_gets_no_clip_and_stays_in_the_rest(rng, wav, tmp_path):
    x = (0.3 * rng.standard_normal((2, 30_000))).astype(np.float32)
    job = Job("job-1", wav(x, 44_100), ("1.0",), Options(keep=Keep.BOTH), nots=("0.5",))
    model = Greedy()
    team = Team(job.sounds, (Member(model, (0, 1)),), Competition(((1,),), rule=Rule(1)))
    target, rest = (read(clip.path)[0] for clip in separate(job, team, tmp_path / "out"))
    assert target == pytest.approx(0.8 * x, abs=1e-5)
    assert np.abs(target.astype(float) + rest - x).max() <= 2**-22


@pytest.mark.parametrize("stereo", Stereo)
def test_a_job_of_several_models_that_is_killed_ends_in_the_same_bytes(stereo, rng, wav, tmp_path):
    x = (0.3 * rng.standard_normal((2, 200_000))).astype(np.float32)
    job = Job("job-1", wav(x, 44_100), ("one", "far"), Options(stereo=stereo), nots=("four",))

    def team():
        members = (Member(Blur(), (0, 2)), Member(WaveBlur(), (1,)))
        return Team(job.sounds, members, Competition(((1, 2), (0, 2))))

    whole = [clip.path.read_bytes() for clip in separate(job, team(), tmp_path / "whole")]

    class KilledError(BaseException):
        pass

    def dies(share):
        if share > 0.6:
            raise KilledError

    with pytest.raises(KilledError):
        separate(job, team(), tmp_path / "killed", on_progress=dies)
    resumed = separate(job, team(), tmp_path / "killed")
    assert [clip.path.read_bytes() for clip in resumed] == whole


def test_segments_of_several_models_equal_the_whole(rng):
    x = (0.3 * rng.standard_normal((2, 90_000))).astype(np.float32)
    cut = parts_of(x, 44_100, (Blur(), "one"), (WaveBlur(), "far"))
    long = Blur(frame_grid=replace(GRID, core=1 << 20))
    whole = parts_of(x, 44_100, (long, "one"), (WaveBlur(), "far"))
    ours, theirs = targets_of(cut, PAIR), targets_of(whole, PAIR)
    assert np.abs(ours - theirs).max() <= 1e-6 * np.abs(x).max()


def test_one_model_can_be_told_what_is_not_wanted(rng):
    x = (0.3 * rng.standard_normal((1, 20_000))).astype(np.float32)
    mixture = ArrayMixture(x, 32_000, 32_000)
    vectors = np.array([[0.5], [0.5]], np.float32)
    found = pieces(mixture, Greedy(), vectors, competition=Competition(((1,),), rule=Rule(1)))
    target = np.concatenate([piece.targets for piece in found], axis=-1)
    assert target.shape == (1, *x.shape)
    np.testing.assert_allclose(target[0], 0.5 * x, rtol=0, atol=1e-6)
