"""Exactness of the core, with models of every kind whose answers are known."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_models import BLUR, CHUNKS, CONSTANT, GREEDY, GRID, Blur, Constant, WaveBlur, with_core
from scipy.signal import correlate

from engine.errors import Failure
from engine.models.base import ChunkGrid, FrameGrid
from engine.options import Bandwidth, Keep, Stereo
from engine.sound.audio import AudioInfo, read
from engine.sound.core import pieces
from engine.sound.mixture import ArrayMixture
from engine.sound.segments import plan
from engine.sound.separate import separate

RATES = (8_000, 11_025, 22_050, 24_000, 32_000, 37_123, 44_100, 48_000, 88_200, 96_000, 192_000)


def noise(rng, rate, seconds=1.3, channels=2):
    return (0.3 * rng.standard_normal((channels, int(rate * seconds)))).astype(np.float32)


def separated(x, rate, model, *queries, resume=None, **options):
    """Return the targets `(queries, channels, frames)` and the residual of all pieces."""
    mixture = ArrayMixture(x, rate, model.frame_grid.sample_rate)
    vectors = np.stack([model.embed(query) for query in queries or ("a dog",)])
    found = list(pieces(mixture, model, vectors, resume=resume, **options))
    ends = np.cumsum([piece.targets.shape[-1] for piece in found]) + found[0].start
    assert [piece.start for piece in found] == [found[0].start, *ends[:-1]]
    assert ends[-1] == x.shape[-1]
    assert found[-1].checkpoint is not None
    targets = np.concatenate([piece.targets for piece in found], axis=-1)
    return targets, np.concatenate([piece.residual for piece in found], axis=-1)


def db(error, reference):
    return 10 * np.log10(np.sum(error.astype(float) ** 2) / np.sum(reference.astype(float) ** 2))


def below(x, rate, hz):
    """Keep what lies below `hz`; faded at the ends, whose corners would ring through all bands."""
    X = np.fft.rfft(x * np.hanning(x.shape[-1]))
    X[..., np.fft.rfftfreq(x.shape[-1], 1 / rate) > hz] = 0
    return np.fft.irfft(X, x.shape[-1])


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("bandwidth", Bandwidth)
@pytest.mark.parametrize("kind", CONSTANT)
def test_ones_mask_returns_the_mixture(kind, bandwidth, rate, rng):
    x = noise(rng, rate)
    model = CONSTANT[kind](1.0)
    (y,), _ = separated(x, rate, model, bandwidth=bandwidth)
    assert (y.shape, y.dtype) == (x.shape, np.float32)
    edge = min(0.45 * model.frame_grid.sample_rate, rate / 2)
    assert db(below(y - x, rate, edge), x) < -90
    if bandwidth is Bandwidth.FULL:
        assert db(y - x, x) < -120


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("kind", CONSTANT)
def test_zeros_mask_leaves_the_mixture_bit_by_bit(kind, rate, rng):
    x = noise(rng, rate)
    x[0, 5:9] = [-0.0, 0.0, 1e-42, -1.5]
    (y,), rest = separated(x, rate, CONSTANT[kind](0.0))
    assert not y.any()
    assert rest.tobytes() == x.tobytes()


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("stereo", Stereo)
@pytest.mark.parametrize("kind", BLUR)
def test_no_shift_and_targets_add_up(kind, stereo, rate, rng):
    x = noise(rng, rate)
    targets, rest = separated(x, rate, BLUR[kind](), "one", "four", stereo=stereo)
    for y in targets:
        centre = x.shape[1] - 1
        for channel in range(2):
            around = correlate(y[channel], x[channel], method="fft")[centre - 50 : centre + 51]
            assert np.argmax(around) == 50
    total = targets.sum(axis=0, dtype=float)
    error = np.abs(total + rest - x)
    assert (error <= 2.0**-22 * np.maximum(np.abs(x), np.abs(total))).all()


@settings(max_examples=40, deadline=None)
@given(
    frames=st.integers(1, 60_000),
    rate=st.sampled_from([8_000, 24_000, 32_000, 44_100]),
    channels=st.integers(1, 2),
    kind=st.sampled_from(list(BLUR)),
    stereo=st.sampled_from(list(Stereo)),
)
def test_segments_equal_the_whole(frames, rate, channels, kind, stereo):
    rng = np.random.default_rng(frames)
    x = rng.standard_normal((channels, frames)) * np.linspace(0, 1, frames)
    x = x.astype(np.float32)
    model = BLUR[kind]()
    cut, rest = separated(x, rate, model, stereo=stereo)
    whole, whole_rest = separated(x, rate, with_core(model, 1 << 20), stereo=stereo)
    assert cut.shape == (1, *x.shape) == (1, *rest.shape)
    for got, wanted in ((cut, whole), (rest, whole_rest)):
        assert np.abs(got - wanted).max() <= 1e-6 * max(np.abs(x).max(), 1e-9)


def test_too_little_context_shows(rng):
    """The test above can fail: a model that declares less than it needs is told from the whole."""
    x = noise(rng, 32_000, 4)

    class Liar(Blur):
        def mask(self, magnitude, vectors, rms, keep):
            return Blur().mask(magnitude, vectors, rms, keep)

    honest, _ = separated(x, 32_000, Blur())
    lying, _ = separated(x, 32_000, Liar(replace(GRID, context=16)))
    assert np.abs(honest - lying).max() > 1e-4


def test_too_little_context_of_a_waveform_model_shows(rng):
    x = noise(rng, 32_000, 4)
    honest, _ = separated(x, 32_000, WaveBlur())
    chunks = ChunkGrid(CHUNKS.window, CHUNKS.hop, CHUNKS.context // 2, CHUNKS.latency)
    lying, _ = separated(x, 32_000, WaveBlur(chunk_grid=chunks))
    assert np.abs(honest - lying).max() > 1e-3


@pytest.mark.parametrize("change", [{"latency": 312}, {"window": np.ones(5_001, np.float32)}])
def test_latency_and_window_are_the_models_own(change, rng):
    x = noise(rng, 24_000, 2)
    here = {"window": CHUNKS.window, "latency": CHUNKS.latency, **change}

    class Fixed(WaveBlur):
        def sources_of(self, samples, rms):
            return WaveBlur().sources_of(samples[..., : CHUNKS.length], rms)

    class Other(Fixed):
        def sources_of(self, samples, rms):
            answer = super().sources_of(samples, rms)
            return np.pad(answer, ((0, 0), (0, 0), (0, samples.shape[-1] - answer.shape[-1])))

    chunks = ChunkGrid(here["window"], CHUNKS.hop, CHUNKS.context, here["latency"])
    right, _ = separated(x, 24_000, Fixed())
    wrong, _ = separated(x, 24_000, Other(chunk_grid=chunks))
    assert np.abs(right - wrong).max() > 1e-3


@pytest.mark.parametrize("rate", [8_000, 44_100])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", BLUR)
def test_going_on_from_any_checkpoint_gives_the_same_bytes(kind, channels, rate, rng):
    x = noise(rng, rate, 4, channels=channels)
    model = BLUR[kind]()
    mixture = ArrayMixture(x, rate, model.frame_grid.sample_rate)
    vectors = np.stack([model.embed(query) for query in ("one", "four")])
    whole = list(pieces(mixture, model, vectors))
    usual = len(model.calls)
    ends = [number for number, piece in enumerate(whole) if piece.checkpoint]
    assert len(ends) > 3
    for end in (ends[0], ends[-2]):
        model.calls.clear()
        rest = list(pieces(mixture, model, vectors, resume=whole[end].checkpoint))
        assert [piece.start for piece in rest] == [piece.start for piece in whole[end + 1 :]]
        for piece, wanted in zip(rest, whole[end + 1 :], strict=True):
            assert piece.targets.tobytes() == wanted.targets.tobytes()
            assert piece.residual.tobytes() == wanted.residual.tobytes()
        again = len(model.calls)
    assert again < usual / 2


@pytest.mark.parametrize("kind", BLUR)
def test_shorter_segments_give_the_same_sound(kind, rng):
    x = noise(rng, 44_100, 3)
    usual, _ = separated(x, 44_100, BLUR[kind](), "one", "four")
    shorter, _ = separated(x, 44_100, BLUR[kind](), "one", "four", reduction=1)
    assert np.abs(usual - shorter).max() <= 1e-6


@pytest.mark.parametrize("kind", BLUR)
def test_linked_stereo_keeps_what_is_in_antiphase(kind, rng):
    x = noise(rng, 44_100, channels=1)
    x = np.concatenate([x, -x])
    (y,), _ = separated(x, 44_100, BLUR[kind](), stereo=Stereo.LINKED)
    assert np.array_equal(y[0], -y[1])
    assert db(y, x) > -20  # a mono downmix would have heard nothing at all


@pytest.mark.parametrize("kind", BLUR)
@pytest.mark.parametrize("stereo", Stereo)
def test_linked_channels_share_a_mask_and_independent_ones_do_not(stereo, kind, rng):
    """What is in one channel only: the other's silence stays, and the mask does or does not."""
    x = noise(rng, 32_000)
    x[1] = 0.5 * np.roll(x[0], 3_000)
    (y,), _ = separated(x, 32_000, BLUR[kind](), stereo=stereo)
    other = x.copy()
    other[1] = noise(rng, 32_000, channels=1)
    (z,), _ = separated(other, 32_000, BLUR[kind](), stereo=stereo)
    same = np.abs(y[0] - z[0]).max() < 1e-6
    # A mask of magnitudes also depends on the RMS of the whole clip.
    if "mask" not in kind:
        assert same == (stereo is Stereo.INDEPENDENT)
    elif stereo is Stereo.LINKED:
        assert not same


@pytest.mark.parametrize("frames", [1, 2, 3, 100, 1023, 1024, 1025])
@pytest.mark.parametrize("rate", [1_000, 24_000, 32_000, 768_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", CONSTANT)
def test_short_clips_at_any_rate(kind, channels, rate, frames, rng):
    x = noise(rng, frames, 1, channels=channels)
    model = CONSTANT[kind](1.0)
    (y,), rest = separated(x, rate, model)
    assert y.shape == x.shape
    heard = ArrayMixture(x, rate, model.frame_grid.sample_rate).resampled(0, 1 << 10)
    if heard.any() or "mask" in kind:
        assert np.abs(y - x).max() < 1e-5
    else:  # some microseconds of which nothing is left at the model's rate
        assert frames <= 3
        assert not y.any()
        assert rest.tobytes() == x.tobytes()


@pytest.mark.parametrize("rate", [8_000, 24_000, 32_000, 44_100, 96_000])
@pytest.mark.parametrize("stereo", Stereo)
@pytest.mark.parametrize("sharpness", [1.0, 0.5])
@pytest.mark.parametrize("kind", GREEDY)
def test_targets_share_at_every_rate(kind, sharpness, stereo, rate, rng):
    x = noise(rng, rate, 1)
    queries = ("1.0", "0.5", "0.25")
    options = {"stereo": stereo, "sharpness": sharpness}
    targets, rest = separated(x, rate, GREEDY[kind](), *queries, **options)
    total = sum(float(query) ** sharpness for query in queries)
    for query, target in zip(queries, targets, strict=True):
        np.testing.assert_allclose(target, float(query) ** sharpness / total * x, atol=1e-5)
    assert np.abs(rest).max() < 1e-5


def test_a_waveform_models_query_can_be_several_sources(rng):
    class Halves(WaveBlur):
        def embed(self, query):
            return np.ones(2, np.float32) if query == "both" else super().embed(query)

        def separated(self, samples):
            near, _ = super().separated(samples)
            return np.stack([near, samples - near])

    x = noise(rng, 24_000, 2)
    (one,), _ = separated(x, 24_000, Halves(), "four")
    (both,), _ = separated(x, 24_000, Halves(), "both")
    assert db(both - x, x) < -90
    assert -10 < db(one - x, x) < -2


@dataclass(frozen=True)
class Endless:
    """A mixture that is nowhere: tones and noise are made where they are read."""

    frames: int
    rate: int
    model_rate: int
    rms: float = 0.2

    @property
    def info(self):
        return AudioInfo(self.rate, 2, self.frames)

    @property
    def model_samples(self):
        return -(-self.frames * self.model_rate // self.rate)

    def _made(self, start, stop, rate):
        t = np.arange(start, stop) / rate
        return np.stack([np.sin(2 * np.pi * (220 + 5 * np.sin(t)) * t), np.cos(900 * t)]).astype(
            np.float32
        )

    def samples(self, start, stop):
        return self._made(start, stop, self.rate)

    def resampled(self, start, stop):
        return self._made(start, stop, self.model_rate)


@pytest.mark.parametrize("kind", BLUR)
def test_memory_does_not_grow_with_length(kind):
    model = BLUR[kind]()
    vectors = np.stack([model.embed(query) for query in ("one", "four")])

    def peak(seconds):
        mixture = Endless(seconds * 44_100, 44_100, model.frame_grid.sample_rate)
        tracemalloc.start()
        done = sum(piece.targets.shape[-1] for piece in pieces(mixture, model, vectors))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert done == mixture.frames
        return most

    # Four times the length. What threads hold at once, where several do, depends on their turns.
    if "shared" in kind:
        assert min(peak(20) for _ in range(3)) <= 1.3 * min(peak(5) for _ in range(3))
    else:
        assert peak(20) <= 1.05 * peak(5)


@pytest.mark.parametrize("kind", BLUR)
def test_a_job_with_files_gives_what_the_core_gives(kind, rng, wav, make_job, tmp_path):
    x = noise(rng, 44_100, 4)
    job = make_job(wav(x, 44_100), "one", "four", keep=Keep.BOTH)
    clips = separate(job, BLUR[kind](), tmp_path / "out")
    targets, rest = separated(x, 44_100, BLUR[kind](), "one", "four")
    for clip, wanted in zip(clips, (*targets, rest), strict=True):
        assert read(clip.path)[0].tobytes() == wanted.tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", CONSTANT)
def test_a_broken_model_is_named(kind, value, rng):
    with pytest.raises(Failure, match="The model constant returned"):
        separated(noise(rng, 44_100), 44_100, CONSTANT[kind](value))


def test_removed_hiss_is_removed_above_the_models_band(rng):
    x = noise(rng, 96_000)

    class Top(Constant):
        def mask(self, magnitude, vectors, rms, keep):
            mask = super().mask(magnitude, vectors, rms, keep)
            mask[..., 512:] = 0.25
            return mask

    (y,), _ = separated(x, 96_000, Top())
    spectrum = np.abs(np.fft.rfft(y)) / np.abs(np.fft.rfft(x))
    hz = np.fft.rfftfreq(x.shape[1], 1 / 96_000)
    assert np.median(spectrum[:, hz > 17_000]) == pytest.approx(0.25, rel=0.01)
    (y,), _ = separated(x, 96_000, Top(), bandwidth=Bandwidth.MODEL)
    fade = np.hanning(x.shape[1])
    assert db(y * fade - below(y, 96_000, 16_100), x) < -90


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(1, 8), st.integers(0, 4), st.integers(1, 40))
def test_plan_covers_each_frame_once(frames, block, context, core):
    frame_grid = FrameGrid(32_000, 2048, 640, block, context * block, core * block)
    segments = plan(frames, frame_grid)
    assert [s.start for s in segments] == [0, *(s.stop for s in segments[:-1])]
    assert segments[-1].stop == frames
    length = math.ceil(segments[0].stop / block) * block
    for s in segments:
        assert 0 < s.stop - s.start <= frame_grid.core
        assert s.start % block == 0 == s.first % block
        assert s.first == max(0, s.start - frame_grid.context)
        assert s.last == min(frames, s.start + length + frame_grid.context)


@pytest.mark.parametrize(
    "wrong",
    [
        {"window": np.zeros(8, np.float32)},
        {"window": np.ones((2, 4), np.float32)},
        {"hop": 9},
        {"hop": 0},
        {"latency": -1},
        {"context": -1},
    ],
)
def test_what_cannot_be_a_chunk_grid_is_refused(wrong):
    with pytest.raises(ValueError, match=r"window|hop|latency"):
        ChunkGrid(**{"window": np.ones(8, np.float32), "hop": 4, **wrong})
