"""Exactness, with masks that are known and with `compact`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate

from engine.errors import BadAudio, Cancelled, Failure
from engine.folders import Folders
from engine.job import Job
from engine.models import load
from engine.models.base import FrameGrid
from engine.options import Bandwidth, Keep, Options, Stereo
from engine.sound.separate import plan, separate
from engine.status import ClipKind

RATES = (8_000, 11_025, 22_050, 32_000, 37_123, 44_100, 48_000, 88_200, 96_000, 192_000)
GRID = FrameGrid(32_000, 2048, 640, block=16, context=32, core=48)


@dataclass(frozen=True)
class Constant:
    """A model whose mask has one value everywhere."""

    value: float = 1.0
    frame_grid: FrameGrid = GRID
    name: str = "constant"

    def embed(self, query):
        return np.zeros(1, np.float32)

    def mask(self, magnitude, vectors, rms, keep):
        return np.full((len(vectors), *magnitude.shape), self.value, np.float32)


@dataclass(frozen=True)
class Blur:
    """A model whose mask depends on `context` frames on either side, and on the query."""

    frame_grid: FrameGrid = GRID
    name: str = "blur"
    turning: bool = False

    def embed(self, query):
        return np.array([len(query)], np.float32)

    def mask(self, magnitude, vectors, rms, keep):
        reach = self.frame_grid.context
        around = np.pad(np.log1p(magnitude / max(rms, 1e-9)), ((0, 0), (reach, reach), (0, 0)))
        total = np.cumsum(around, axis=1, dtype=np.float64)
        total = np.pad(total, ((0, 0), (1, 0), (0, 0)))
        mean = (total[:, 2 * reach + 1 :] - total[:, : -2 * reach - 1]) / (2 * reach + 1)
        mask = np.stack([np.cos(mean * v[0]) ** 2 for v in vectors]).astype(np.float32)
        return mask * np.exp(1j * mask).astype(np.complex64) if self.turning else mask


@pytest.fixture(scope="module")
def compact(tmp_path_factory):
    return load("compact", Folders(tmp_path_factory.mktemp("home")))


def clips_of(clips):
    out = {}
    for clip in clips:
        samples, rate = soundfile.read(clip.path, dtype="float32", always_2d=True)
        out[clip.query or "residual"] = samples.T, rate
    return out


def db(error, reference):
    return 10 * np.log10(np.sum(error.astype(float) ** 2) / np.sum(reference.astype(float) ** 2))


def below(x, rate, hz):
    """Keep what lies below `hz`; faded at the ends, whose corners would ring through all bands."""
    X = np.fft.rfft(x * np.hanning(x.shape[-1]))
    X[..., np.fft.rfftfreq(x.shape[-1], 1 / rate) > hz] = 0
    return np.fft.irfft(X, x.shape[-1])


def noise(rng, rate, seconds=1.3, channels=2):
    return (0.3 * rng.standard_normal((channels, int(rate * seconds)))).astype(np.float32)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("bandwidth", Bandwidth)
def test_ones_mask_returns_the_mixture(rate, bandwidth, rng, wav, make_job, tmp_path):
    x = noise(rng, rate)
    job = make_job(wav(x, rate), keep=Keep.BOTH, bandwidth=bandwidth)
    got = clips_of(separate(job, Constant(1.0), tmp_path / "out"))
    y, out_rate = got["a dog"]
    assert (out_rate, y.shape, y.dtype) == (rate, x.shape, np.float32)
    edge = min(0.45 * 32_000, rate / 2)
    assert db(below(y - x, rate, edge), x) < -90
    if bandwidth is Bandwidth.FULL:
        assert db(y - x, x) < -120


@pytest.mark.parametrize("rate", RATES)
def test_zeros_mask_leaves_the_mixture_bit_by_bit(rate, rng, wav, make_job, tmp_path):
    x = noise(rng, rate)
    x[0, 5:9] = [-0.0, 0.0, 1e-42, -1.5]
    job = make_job(wav(x, rate), keep=Keep.BOTH)
    got = clips_of(separate(job, Constant(0.0), tmp_path / "out"))
    assert not got["a dog"][0].any()
    assert got["residual"][0].tobytes() == x.tobytes()


@pytest.mark.parametrize("rate", [8_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000])
@pytest.mark.parametrize("stereo", Stereo)
def test_no_shift_and_targets_add_up(rate, stereo, rng, wav, make_job, tmp_path):
    x = noise(rng, rate)
    job = make_job(wav(x, rate), "one", "three", keep=Keep.BOTH, stereo=stereo)
    got = clips_of(separate(job, Blur(turning=False), tmp_path / "out"))
    one, three, rest = (got[k][0] for k in ("one", "three", "residual"))
    for y in (one, three):
        centre = x.shape[1] - 1
        for channel in range(2):
            around = correlate(y[channel], x[channel], method="fft")[centre - 50 : centre + 51]
            assert np.argmax(around) == 50
    targets = one.astype(float) + three
    error = np.abs(targets + rest - x)
    assert (error <= 2.0**-22 * np.maximum(np.abs(x), np.abs(targets))).all()


@settings(max_examples=25, deadline=None)
@given(
    frames=st.integers(1, 60_000),
    rate=st.sampled_from([8_000, 32_000, 44_100]),
    turning=st.booleans(),
)
def test_segments_equal_the_whole(frames, rate, turning, tmp_path_factory):
    folder = tmp_path_factory.mktemp("segments")
    rng = np.random.default_rng(frames)
    x = (rng.standard_normal((2, frames)) * np.linspace(0, 1, frames)).astype(np.float32)
    soundfile.write(folder / "x.wav", x.T, rate, subtype="FLOAT")
    job = _job(folder / "x.wav")
    whole = Blur(replace(GRID, core=1 << 20), turning=turning)
    a = clips_of(separate(job, Blur(turning=turning), folder / "a"))
    b = clips_of(separate(job, whole, folder / "b"))
    for key, (y, _) in b.items():
        assert y.shape == x.shape
        assert np.abs(a[key][0] - y).max() <= 1e-6 * max(np.abs(x).max(), 1e-9)


def test_too_little_context_shows(rng, wav, make_job, tmp_path):
    """The test above can fail: a model that declares less than it needs is told from the whole."""
    x = noise(rng, 32_000, 4)
    job = make_job(wav(x, 32_000))

    class Liar(Blur):
        def mask(self, magnitude, vectors, rms, keep):
            return Blur().mask(magnitude, vectors, rms, keep)

    honest = clips_of(separate(job, Blur(), tmp_path / "a"))["a dog"][0]
    lying = clips_of(separate(job, Liar(replace(GRID, context=16)), tmp_path / "b"))["a dog"][0]
    assert np.abs(honest - lying).max() > 1e-4


def _job(path, *queries, **options):
    return Job("job-1", path, queries or ("a dog",), Options(keep=Keep.BOTH, **options))


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


def test_linked_stereo_keeps_what_is_in_antiphase(rng, wav, make_job, tmp_path):
    x = noise(rng, 44_100, channels=1)
    x = np.concatenate([x, -x])
    job = make_job(wav(x, 44_100), stereo=Stereo.LINKED)
    y = clips_of(separate(job, Blur(), tmp_path / "out"))["a dog"][0]
    assert np.array_equal(y[0], -y[1])
    assert db(y, x) > -20  # a mono downmix would have heard nothing at all


def test_a_job_goes_on_where_it_was_killed(rng, wav, make_job, tmp_path):
    job = make_job(wav(noise(rng, 44_100, 12), 44_100), "one", "three", keep=Keep.BOTH)
    calm = separate(job, Blur(), tmp_path / "calm")
    expected = {c.path.name: c.path.read_bytes() for c in calm}
    assert len(expected) == 3

    for death in (1, 5, 9):
        folder = tmp_path / f"killed-{death}"
        mortal = Mortal(death)
        with pytest.raises(KilledError):
            separate(job, mortal, folder)
        assert (folder / "work").is_dir()
        assert not list(folder.glob("*.wav"))
        heir = Mortal(0)
        separate(job, heir, folder)
        assert {p.name: p.read_bytes() for p in folder.iterdir()} == expected
        steps = 2 * len(plan(601, GRID))
        # only what the dead one had not finished is done again: at most one segment's channels
        assert steps <= len(mortal.calls) + len(heir.calls) <= steps + 2


class KilledError(BaseException):
    """Ends the process as far as `separate` can see: nothing is tidied up."""


class Mortal(Blur):
    def __init__(self, death):
        super().__init__()
        object.__setattr__(self, "death", death)
        object.__setattr__(self, "calls", [])

    def mask(self, magnitude, vectors, rms, keep):
        self.calls.append(1)
        if len(self.calls) == self.death:
            raise KilledError
        return super().mask(magnitude, vectors, rms, keep)


@dataclass(frozen=True)
class Present(Blur):
    """Finds each query as present as the loudest sample it was shown; forgets to look at others."""

    wrong: object = None

    def mask_with_presence(self, magnitude, vectors, rms, keep):
        peak = np.float32(min(1.0, magnitude[:, keep].max() / 512))  # a full-scale sine gives 1
        presence = np.array([peak / (1 + i) for i in range(len(vectors))], np.float32)
        if self.wrong is not None:
            presence = self.wrong
        return super().mask(magnitude, vectors, rms, keep), presence


def tone_at(second, seconds, *, channels=2):
    """Silence with a quarter of a second of a tone, in the last channel only."""
    t = np.arange(int(seconds * 32_000)) / 32_000
    x = np.zeros((channels, len(t)), np.float32)
    x[-1] = 0.5 * np.sin(2 * np.pi * 1000 * t) * ((t >= second) & (t < second + 0.25))
    return x


@pytest.mark.parametrize("stereo", list(Stereo))
def test_a_sound_is_as_present_as_in_its_best_segment(wav, make_job, tmp_path, stereo):
    told = []
    job = make_job(wav(tone_at(7, 12), 32_000), "one", "two", stereo=stereo)
    separate(job, Present(), tmp_path / "out", present=told.append)
    ((one, two),) = told
    level = 0.5 if stereo is Stereo.INDEPENDENT else 0.5 / math.sqrt(2)
    assert one == pytest.approx(level, rel=0.02)
    assert two == pytest.approx(level / 2, rel=0.02)


def test_presence_survives_a_crash(wav, make_job, tmp_path):
    class MortalPresent(Present):
        calls = 0

        def mask_with_presence(self, *arguments):
            type(self).calls += 1
            if type(self).calls == 20:
                raise KilledError
            return super().mask_with_presence(*arguments)

    job = make_job(wav(tone_at(1, 12), 32_000))  # what the second process sees is silence
    calm = []
    separate(job, Present(), tmp_path / "calm", present=calm.append)
    with pytest.raises(KilledError):
        separate(job, MortalPresent(), tmp_path / "killed")
    told = []
    separate(job, Present(), tmp_path / "killed", present=told.append)
    assert told == calm
    assert told[0][0] > 0.4


def test_a_model_that_knows_no_presence_says_nothing(wav, make_job, tmp_path):
    told = []
    separate(make_job(wav(tone_at(1, 2), 32_000)), Blur(), tmp_path / "out", present=told.append)
    assert told == []


@pytest.mark.parametrize(
    "wrong", [np.array([np.nan]), np.array([1.5]), np.array([-0.1]), np.array([0.5, 0.5])]
)
def test_what_is_no_presence_is_a_failure(wav, make_job, tmp_path, wrong):
    with pytest.raises(Failure, match="no presence"):
        separate(make_job(wav(tone_at(1, 2), 32_000)), Present(wrong=wrong), tmp_path / "out")


def test_cancel_leaves_nothing(rng, wav, make_job, tmp_path):
    job = make_job(wav(noise(rng, 44_100, 6), 44_100))
    seen = []

    def cancelled():
        return len(seen) > 4

    with pytest.raises(Cancelled):
        separate(job, Blur(), tmp_path / "out", progress=seen.append, cancelled=cancelled)
    assert not (tmp_path / "out").exists()
    assert seen == sorted(seen)


def test_a_broken_model_is_named(rng, wav, make_job, tmp_path):
    job = make_job(wav(noise(rng, 44_100), 44_100))
    with pytest.raises(Failure, match="constant"):
        separate(job, Constant(np.nan), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_clips_have_names_of_their_own(rng, wav, make_job, tmp_path):
    job = make_job(wav(noise(rng, 8_000), 8_000), "a/b", "a:b", keep=Keep.BOTH, title="Track 1")
    clips = separate(job, Constant(), tmp_path / "out")
    assert [c.path.name for c in clips] == [
        "Track 1 - a_b.wav",
        "Track 1 - a_b (2).wav",
        "Track 1 - without a_b, a_b.wav",
    ]
    assert [c.kind for c in clips] == [ClipKind.TARGET, ClipKind.TARGET, ClipKind.RESIDUAL]
    assert clips[0].name == "Track 1 - a/b"


@pytest.mark.parametrize("frames", [1, 2, 3, 100, 1023, 1024, 1025])
@pytest.mark.parametrize("rate", [1_000, 32_000, 768_000])
def test_short_clips_at_any_rate(frames, rate, rng, wav, make_job, tmp_path):
    x = noise(rng, frames, 1, channels=1)
    got = clips_of(separate(make_job(wav(x, rate)), Constant(1.0), tmp_path / "out"))
    y, out_rate = got["a dog"]
    assert (y.shape, out_rate) == (x.shape, rate)
    assert np.abs(y - x).max() < 1e-5


def test_silence_stays_silent(wav, make_job, tmp_path, compact):
    x = np.zeros((2, 44_100), np.float32)
    got = clips_of(separate(make_job(wav(x, 44_100), keep=Keep.BOTH), compact, tmp_path / "out"))
    assert not got["a dog"][0].any()
    assert not got["residual"][0].any()


def test_removed_hiss_is_removed_above_the_models_band(rng, wav, make_job, tmp_path):
    x = noise(rng, 96_000)

    class Top(Constant):
        def mask(self, magnitude, vectors, rms, keep):
            mask = super().mask(magnitude, vectors, rms, keep)
            mask[..., 512:] = 0.25
            return mask

    y = clips_of(separate(make_job(wav(x, 96_000)), Top(), tmp_path / "a"))["a dog"][0]
    spectrum = np.abs(np.fft.rfft(y)) / np.abs(np.fft.rfft(x))
    hz = np.fft.rfftfreq(x.shape[1], 1 / 96_000)
    assert np.median(spectrum[:, hz > 17_000]) == pytest.approx(0.25, rel=0.01)
    model = make_job(wav(x, 96_000), bandwidth=Bandwidth.MODEL)
    y = clips_of(separate(model, Top(), tmp_path / "b"))["a dog"][0]
    fade = np.hanning(x.shape[1])
    assert db(y * fade - below(y, 96_000, 16_100), x) < -90


@pytest.mark.parametrize("rate", [22_050, 44_100, 96_000])
def test_compact_is_exact_too(rate, rng, wav, make_job, tmp_path, compact):
    x = noise(rng, rate, 3)
    job = make_job(wav(x, rate), "dog barking", keep=Keep.BOTH)
    got = clips_of(separate(job, compact, tmp_path / "out"))
    y, rest = got["dog barking"][0], got["residual"][0]
    assert y.shape == x.shape
    error = np.abs(y.astype(float) + rest - x)
    assert (error <= 2.0**-22 * np.maximum(np.abs(x), np.abs(y))).all()


def test_compact_in_segments_equals_compact_as_a_whole(rng, wav, make_job, tmp_path, compact):
    x = noise(rng, 44_100, 11, channels=1)
    x *= (np.sin(np.arange(x.shape[1]) / 9_000) ** 2).astype(np.float32)
    job = make_job(wav(x, 44_100), "rain", keep=Keep.BOTH)
    a = clips_of(separate(job, _with_core(compact, compact.frame_grid.block * 4), tmp_path / "a"))
    b = clips_of(separate(job, _with_core(compact, 1 << 20), tmp_path / "b"))
    assert np.abs(a["rain"][0] - b["rain"][0]).max() <= 1e-6 * np.abs(x).max()


def _with_core(model, core):
    class Cut:
        name = model.name
        frame_grid = replace(model.frame_grid, core=core)
        embed = staticmethod(model.embed)
        mask = staticmethod(model.mask)

    return Cut()


def test_a_file_that_vanishes_is_named(make_job, tmp_path):
    with pytest.raises(BadAudio, match="does not exist"):
        separate(make_job(tmp_path / "gone.wav"), Constant(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
