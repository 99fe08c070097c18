"""Spans, bands, rectangles and amounts: what is limited, and that nothing is lost by it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_models import BLUR, CONSTANT

from engine.errors import BadInput
from engine.options import Keep, Options
from engine.places import Band, Rectangle, Span
from engine.sound.audio import read
from engine.sound.core import Part, pieces_of
from engine.sound.masks import Competition
from engine.sound.mixture import ArrayMixture
from engine.sound.region import FADE, Region, check_inside
from engine.sound.separate import separate

RATE = 32_000


def separated(x, rate, model, options, queries=("one", "four")):
    mixture = ArrayMixture(x, rate, model.frame_grid.sample_rate)
    vectors = np.stack([model.embed(query) for query in queries])
    part = Part(model, mixture, vectors, tuple(range(len(queries))))
    region = Region.of_options(options, len(queries))
    found = list(
        pieces_of((part,), Competition.none(len(queries)), region=region, merge=options.merge)
    )
    targets = np.concatenate([piece.targets for piece in found], axis=-1)
    return targets, np.concatenate([piece.residual for piece in found], axis=-1)


def noise(rng, seconds=3.0, rate=RATE, channels=2):
    return (0.3 * rng.standard_normal((channels, int(rate * seconds)))).astype(np.float32)


@pytest.mark.parametrize("kind", BLUR)
def test_outside_a_span_nothing_and_well_inside_everything(kind, rng):
    x = noise(rng)
    whole, _ = separated(x, RATE, BLUR[kind](), Options())
    part, rest = separated(
        x, RATE, BLUR[kind](), Options(at=(Span(0.5, 2.0),), never=(Span(1.0, 1.25),))
    )
    second = RATE
    assert not part[..., : second // 2 + 1].any()
    assert not part[..., second : second + second // 4].any()
    assert not part[..., 2 * second :].any()
    fade = int(FADE * RATE) + 1
    for start, stop in ((second // 2, second), (second + second // 4, 2 * second)):
        inside = slice(start + fade, stop - fade)
        assert part[..., inside].tobytes() == whole[..., inside].tobytes()
    assert rest[:, : second // 2].tobytes() == x[:, : second // 2].tobytes()
    assert np.abs(part.sum(axis=0, dtype=float) + rest - x).max() <= 2**-22


def test_a_fade_is_smooth_and_thirty_milliseconds_long(rng):
    x = np.ones((1, 2 * RATE), np.float32)
    (y,), _ = separated(x, RATE, CONSTANT["mask"](1.0), Options(at=(Span(0.5, 1.5),)), ("a",))
    rising = y[0, RATE // 2 : RATE // 2 + int(FADE * RATE) + 2]
    assert rising[0] == 0
    assert rising[-1] == pytest.approx(1, abs=1e-6)
    assert (np.diff(rising) >= -1e-6).all()
    assert np.diff(rising).max() < 2 * np.pi / 2 / (FADE * RATE)


def test_at_the_ends_of_the_recording_nothing_fades(rng):
    x = noise(rng)
    for span in (Span(0, 3), Span(0, 99), Span(0)):
        y, _ = separated(x, RATE, CONSTANT["mask"](1.0), Options(at=(span,)), ("a",))
        whole, _ = separated(x, RATE, CONSTANT["mask"](1.0), Options(), ("a",))
        assert y.tobytes() == whole.tobytes()


@pytest.mark.parametrize("kind", CONSTANT)
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_band_holds_its_own_frequencies_alone(kind, rate, rng):
    seconds = np.arange(2 * rate) / rate
    tones = {hz: np.sin(2 * np.pi * hz * seconds) for hz in (300, 1500, 5000)}
    x = sum(tones.values())[None].astype(np.float32) / 4
    (y,), rest = separated(x, rate, CONSTANT[kind](1.0), Options(band=(Band(1000, 2500),)), ("a",))
    middle = slice(rate // 2, -rate // 2)

    def level(samples, hz):
        return abs(np.mean(samples[0, middle] * np.exp(-2j * np.pi * hz * seconds[middle]))) * 8

    assert level(y, 1500) == pytest.approx(1, abs=0.01)
    assert level(y, 300) < 1e-3
    assert level(y, 5000) < 1e-3
    assert np.abs(y.astype(float) + rest - x).max() <= 2**-22


def test_a_rectangle_is_limited_in_both_directions(rng):
    x = noise(rng, channels=1)
    options = Options(rect=(Rectangle(Span(1.0, 2.0), Band(4000, 8000)),))
    (y,), rest = separated(x, RATE, CONSTANT["mask"](1.0), options, ("a",))
    assert not y[:, :RATE].any()
    assert not y[:, 2 * RATE :].any()
    inside = slice(int(1.2 * RATE), int(1.8 * RATE))
    power = np.abs(np.fft.rfft(y[0, inside] * np.hanning(inside.stop - inside.start))) ** 2
    hertz = np.fft.rfftfreq(inside.stop - inside.start, 1 / RATE)
    there = power[(hertz > 4800) & (hertz < 7000)].mean()
    assert power[(hertz < 3800) | (hertz > 8200)].max() < 1e-6 * there
    assert np.abs(y.astype(float) + rest - x).max() <= 2**-22


def test_rectangles_add_up_and_spans_cut_them(rng):
    x = noise(rng, channels=1)
    low, high = Rectangle(Span(0.5, 1.5), Band(0, 2000)), Rectangle(Span(1.0, 2.5), Band(6000))
    model = CONSTANT["mask"](1.0)
    (y,), _ = separated(x, RATE, model, Options(rect=(low, high), never=(Span(1.2, 1.3),)), ("a",))
    assert not y[:, int(1.2 * RATE) : int(1.3 * RATE)].any()
    assert y[:, int(0.8 * RATE) : int(0.9 * RATE)].any()
    assert y[:, int(2.0 * RATE) : int(2.4 * RATE)].any()
    assert not y[:, : RATE // 2].any()


@pytest.mark.parametrize("kind", BLUR)
@pytest.mark.parametrize("amount", [0.0, 35.0, 100.0])
def test_an_amount_stays_in_the_rest(kind, amount, rng):
    x = noise(rng)
    whole, _ = separated(x, RATE, BLUR[kind](), Options())
    part, rest = separated(x, RATE, BLUR[kind](), Options(amount=amount))
    assert np.abs(part - whole * amount / 100).max() <= 1e-7
    assert np.abs(part.sum(axis=0, dtype=float) + rest - x).max() <= 2**-22
    if not amount:
        assert rest.tobytes() == x.tobytes()


@settings(max_examples=25, deadline=None)
@given(
    starts=st.lists(st.integers(0, 250), min_size=1, max_size=4),
    lengths=st.lists(st.integers(1, 150), min_size=4, max_size=4),
    low=st.integers(0, 10_000),
    width=st.integers(1, 12_000),
    amount=st.integers(0, 100),
    merge=st.booleans(),
    kind=st.sampled_from(sorted(BLUR)),
    rate=st.sampled_from([8_000, 24_000, 44_100]),
)
def test_whatever_is_limited_nothing_is_lost(
    starts, lengths, low, width, amount, merge, kind, rate
):
    rng = np.random.default_rng(7)
    x = noise(rng, 2.5, rate)
    spans = tuple(Span(a / 100, (a + b) / 100) for a, b in zip(starts, lengths, strict=False))
    options = Options(
        at=spans[:2],
        never=spans[2:3],
        rect=tuple(Rectangle(span, Band(low, low + width)) for span in spans[3:]),
        band=(Band(low / 2, low + 2 * width),),
        amount=float(amount),
        merge=merge,
    )
    targets, rest = separated(x, rate, BLUR[kind](), options)
    assert len(targets) == (1 if merge else 2)
    assert np.isfinite(targets).all()
    total = targets.sum(axis=0, dtype=float)
    assert np.abs(total + rest - x).max() <= 2**-21
    gaps = Region.of_options(options, 1).spans[0]
    for frame in range(0, x.shape[1], rate // 50):
        if not any(span.start <= frame / rate < span.stop for span in gaps):
            assert not targets[..., frame].any()


def test_merged_targets_are_one_clip_and_exact(rng, wav, make_job, tmp_path):
    x = noise(rng, rate=44_100)
    model = BLUR["mask"]()
    queries = ("one", "four")
    apart = separate(make_job(wav(x, 44_100), *queries), model, tmp_path / "a")
    job = make_job(wav(x, 44_100), *queries, keep=Keep.BOTH, merge=True)
    both, rest = separate(job, model, tmp_path / "b")
    assert both.name.endswith("one, four")
    total = sum(read(clip.path)[0].astype(float) for clip in apart)
    merged = read(both.path)[0]
    assert np.abs(merged - total).max() <= 2**-23
    assert np.abs(merged.astype(float) + read(rest.path)[0] - x).max() <= 2**-22


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(at=(Span(5, 6),)), r"--at 5-6 lies behind the end: the recording lasts 3\.000 s"),
        (Options(never=(Span(3, 6),)), "--never 3-6 lies behind the end"),
        (Options(rect=(Rectangle(Span(4, 6), Band(1, 2)),)), "--rect 4-6 lies behind the end"),
        (Options(band=(Band(16_000, 20_000),)), "--band 16000-20000 Hz lies above all"),
        (Options(rect=(Rectangle(Span(0, 1), Band(17_000)),)), "--rect 17000- Hz lies above all"),
        (Options(at=(Span(0, 1),), never=(Span(0, 2),)), "leave no time"),
        (Options(never=(Span(0, 3),)), "leave no time"),
    ],
)
def test_places_that_the_recording_does_not_have(options, said, rng, wav, make_job, tmp_path):
    with pytest.raises(BadInput, match=said):
        check_inside(options, 3.0, RATE)
    job = make_job(wav(noise(rng), RATE), "one")
    job = type(job)(job.id, job.mixture, job.queries, options)
    with pytest.raises(BadInput, match=said):
        separate(job, BLUR["mask"](), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_reaches_over_the_end_is_cut_off(rng):
    check_inside(Options(at=(Span(2, 99),), band=(Band(100, 99_000),)), 3.0, RATE)
