"""Jobs from file to file: names, progress, crashes, what is refused; `compact` is exact."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import soundfile
from known_models import BLUR, Blur, Constant

from engine.errors import BadAudio, Cancelled, Failure
from engine.folders import Folders
from engine.models import load
from engine.models.base import WaveformSeparator
from engine.options import Keep, Stereo
from engine.sound.separate import separate
from engine.status import ClipKind


@pytest.fixture(scope="module")
def compact(tmp_path_factory):
    return load("compact", Folders(tmp_path_factory.mktemp("home")))


def clips_of(clips):
    out = {}
    for clip in clips:
        samples, rate = soundfile.read(clip.path, dtype="float32", always_2d=True)
        out[clip.query or "residual"] = samples.T, rate
    return out


def noise(rng, rate, seconds=1.3, channels=2):
    return (0.3 * rng.standard_normal((channels, int(rate * seconds)))).astype(np.float32)


@pytest.mark.parametrize("kind", BLUR)
def test_a_job_goes_on_where_it_was_killed(kind, rng, wav, make_job, tmp_path):
    job = make_job(wav(noise(rng, 44_100, 12), 44_100), "one", "four", keep=Keep.BOTH)
    quiet = BLUR[kind]()
    calm = separate(job, quiet, tmp_path / "calm")
    expected = {c.path.name: c.path.read_bytes() for c in calm}
    assert len(expected) == 3
    usual = len(quiet.calls)

    for death in (1, usual // 5, usual // 3):
        folder = tmp_path / f"killed-{death}"
        mortal = dying(BLUR[kind](), death)
        with pytest.raises(KilledError):
            separate(job, mortal, folder)
        assert (folder / "work").is_dir()
        assert not list(folder.glob("*.wav"))
        heir = BLUR[kind]()
        separate(job, heir, folder)
        assert {p.name: p.read_bytes() for p in folder.iterdir()} == expected
        # Only what the dead one had not finished is done again: at most one segment's channels,
        # of a waveform model the chunks of one segment and those that reach into it.
        # What was worked out ahead is lost as well: two segments' channels.
        more = 2 if "mask" in kind else 2 * (64 * 384 // 1_700 + 5)
        more += 4 if "shared" in kind else 0
        assert usual <= len(mortal.calls) + len(heir.calls) <= usual + more


class KilledError(BaseException):
    """Ends the process as far as `separate` can see: nothing is tidied up."""


def dying(model, death):
    """Return the model as one whose process ends at its answer of that number."""
    name = "sources_of" if isinstance(model, WaveformSeparator) else "mask"
    answer = getattr(model, name)

    def answered(*arguments):
        if len(model.calls) + 1 == death:
            model.calls.append(1)
            raise KilledError
        return answer(*arguments)

    object.__setattr__(model, name, answered)
    return model


@dataclass(frozen=True)
class Present(Blur):
    """Finds each query as present as the loudest bin of a block that it was shown."""

    wrong: object = None

    def mask_with_presence(self, magnitude, vectors, rms, keep):
        loudest = magnitude[:, keep].max(axis=(0, 2)) / 512  # a full-scale sine gives 1
        starts = np.arange(0, len(loudest), self.frame_grid.block)
        peaks = np.minimum(1, np.maximum.reduceat(loudest, starts))
        presence = np.stack([peaks / (1 + i) for i in range(len(vectors))]).astype(np.float32)
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
    separate(job, Present(), tmp_path / "out", on_certainty=lambda *said: told.append(said))
    ((step, values),) = told
    assert (step, values.shape) == (0.32, (2, 38))
    one, two = values.max(axis=1)
    level = 0.5 if stereo is Stereo.INDEPENDENT else 0.5 / math.sqrt(2)
    assert one == pytest.approx(level, rel=0.02)
    assert two == pytest.approx(level / 2, rel=0.02)
    likely = np.flatnonzero(values[0] > level / 2) * step
    assert 6.6 < likely.min() <= 7  # where it is, to within a block
    assert 7 < likely.max() < 7.4


def test_certainty_survives_a_crash(wav, make_job, tmp_path):
    class MortalPresent(Present):
        calls = 0

        def mask_with_presence(self, *arguments):
            type(self).calls += 1
            if type(self).calls == 20:
                raise KilledError
            return super().mask_with_presence(*arguments)

    job = make_job(wav(tone_at(1, 12), 32_000))  # what the second process sees is silence
    calm = []
    separate(job, Present(), tmp_path / "calm", on_certainty=lambda *said: calm.append(said))
    with pytest.raises(KilledError):
        separate(job, MortalPresent(), tmp_path / "killed")
    told = []
    separate(job, Present(), tmp_path / "killed", on_certainty=lambda *said: told.append(said))
    ((step, values),), ((calm_step, calm_values),) = told, calm
    assert step == calm_step
    assert np.array_equal(values, calm_values)
    assert values.max() > 0.4


def test_a_model_that_knows_no_presence_says_nothing(wav, make_job, tmp_path):
    told = []
    job = make_job(wav(tone_at(1, 2), 32_000))
    separate(job, Blur(), tmp_path / "out", on_certainty=lambda *said: told.append(said))
    assert told == []


@pytest.mark.parametrize(
    "wrong",
    [*(np.full((1, 7), value) for value in (np.nan, 1.5, -0.1)), np.full((1, 6), 0.5), np.ones(1)],
)
def test_what_is_no_presence_is_a_failure(wav, make_job, tmp_path, wrong):
    with pytest.raises(Failure, match="presence values that are not"):
        separate(make_job(wav(tone_at(1, 2), 32_000)), Present(wrong=wrong), tmp_path / "out")


def test_cancel_leaves_nothing(rng, wav, make_job, tmp_path):
    job = make_job(wav(noise(rng, 44_100, 6), 44_100))
    seen = []

    def cancelled():
        return len(seen) > 4

    with pytest.raises(Cancelled):
        separate(job, Blur(), tmp_path / "out", on_progress=seen.append, cancelled=cancelled)
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


@pytest.mark.parametrize(
    ("queries", "name"),
    [
        (["everything but speech"], "speech"),
        (["Everything but the voices!"], "voices"),
        (["no speech"], "speech"),
        (["music without the singer"], "singer"),
        (["everything except for the dog"], "dog"),
        (["everything but speech", "no speech"], "speech"),
        (["everything but speech", "rain"], "speech without rain"),
        (["everything but speech", "Speech"], "the rest"),
        (["everything but speech", "everything but the dog"], "the rest"),
        (["background noise"], "without background noise"),
        (["no dogs"], "without no dogs"),
        (["dog", "rain"], "without dog, rain"),
    ],
)
def test_a_residual_is_called_by_what_it_holds(queries, name, rng, wav, make_job, tmp_path):
    job = make_job(wav(noise(rng, 8_000), 8_000), *queries, keep=Keep.RESIDUAL, title="Talk")
    (clip,) = separate(job, Constant(), tmp_path / "out")
    assert clip.name == f"Talk - {name}"
    assert clip.path.name == f"Talk - {name}.wav"
    assert clip.kind is ClipKind.RESIDUAL


def test_silence_stays_silent(wav, make_job, tmp_path, compact):
    x = np.zeros((2, 44_100), np.float32)
    got = clips_of(separate(make_job(wav(x, 44_100), keep=Keep.BOTH), compact, tmp_path / "out"))
    assert not got["a dog"][0].any()
    assert not got["residual"][0].any()


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
