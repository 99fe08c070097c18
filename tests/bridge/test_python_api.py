"""`import tweeze`: its page's examples, what it refuses, and that it leaves everything alone."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tweeze
from known_models import GREEDY, WaveGreedy

from engine.advice.examples import Example, embedding, placed
from engine.folders import Folders
from engine.job import Job
from engine.options import Keep, Options, Stereo
from engine.queue.teams import assemble
from engine.sound.audio import read
from engine.sound.separate import separate

ROOT = Path(__file__).parents[2]
DEMO = files("engine") / "demo" / "mixture.flac"


def noise(channels=2, frames=9_000):
    return 0.1 * np.random.default_rng(4).standard_normal((channels, frames)).astype(np.float32)


def test_the_examples_of_the_page_hold(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    assert len(blocks) >= 7
    soundfile.write(tmp_path / "street.wav", noise(2, 132_300).T, 44_100, subtype="FLOAT")
    monkeypatch.chdir(tmp_path)
    examples = doctest.DocTestParser().get_doctest("".join(blocks), {}, "python.md", None, 0)
    said: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples, out=said.append)
    assert result.failed == 0, "".join(said)
    assert result.attempted >= 20


def test_every_public_name_has_a_docstring_and_is_on_the_page():
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    for name in tweeze.__all__:
        assert getattr(tweeze, name).__doc__
    for name in ("load", "separate", "stream", "suggest", "listen", "TweezeError", "BadInput"):
        assert name in page


@pytest.mark.parametrize("stereo", ["independent", "linked"])
def test_the_samples_are_those_of_a_job(stereo, tmp_path):
    model = tweeze.load()
    x, rate = soundfile.read(DEMO, 5 * 44_100, dtype="float32", always_2d=True)
    soundfile.write(tmp_path / "mixture.wav", x, rate, subtype="FLOAT")
    options = Options(keep=Keep.BOTH, stereo=Stereo(stereo), sharpness=1.3)
    job = Job(
        "job-1", tmp_path / "mixture.wav", ("guitar", "rain"), options, answers=("compact",) * 2
    )
    team = assemble(job, {"compact": model}).team
    clips = [read(clip.path)[0] for clip in separate(job, team, tmp_path / "out")]
    arguments = {"model": model, "stereo": stereo, "sharpness": np.float32(1.3)}
    result = tweeze.separate(x.T, rate, ["guitar", "rain"], **arguments)
    for got, wanted in zip((*result.targets, result.residual), clips, strict=True):
        assert got.dtype == np.float32
        assert got.tobytes() == wanted.tobytes()
    pieces = list(
        tweeze.stream(np.array_split(x.T, 7, axis=1), rate, ["guitar", "rain"], **arguments)
    )
    assert (
        np.concatenate([p.targets for p in pieces], axis=-1).tobytes() == result.targets.tobytes()
    )
    assert pieces[-1].start + pieces[-1].residual.shape[-1] == len(x)


def test_a_second_answer_is_that_of_a_job(tmp_path):
    model, ears = tweeze.load(), tweeze.load_listener()
    x, rate = soundfile.read(DEMO, 4 * 44_100, dtype="float32", always_2d=True)
    soundfile.write(tmp_path / "mixture.wav", x, rate, subtype="FLOAT")
    job = Job("job-1", tmp_path / "mixture.wav", ("birds chirping",), answers=("compact",))
    team = assemble(job, {"compact": model}).team
    shares: list[float] = []
    arguments = {"model": model, "listener": ears}
    result = tweeze.separate(
        x.T, rate, "birds chirping", twice=True, on_progress=shares.append, **arguments
    )
    (clip,) = separate(job, team, tmp_path / "out", hearer=lambda: ears)
    assert read(clip.path)[0].tobytes() == result.targets[0].tobytes()
    assert shares == sorted(shares)
    (plain,) = separate(job, team, tmp_path / "plain")
    alone = tweeze.separate(x.T, rate, "birds chirping", **arguments)
    assert read(plain.path)[0].tobytes() == alone.targets[0].tobytes()
    assert np.abs(alone.targets - result.targets).max() > 0.01
    np.testing.assert_allclose(result.targets[0] + result.residual, x.T, rtol=0, atol=1e-6)


def test_a_sound_that_is_shown_gives_the_samples_of_a_job(tmp_path):
    model, ears = tweeze.load(), tweeze.load_listener()
    x, rate = soundfile.read(DEMO, 3 * 44_100, dtype="float32", always_2d=True)
    shown = tmp_path / "shown.wav"
    soundfile.write(shown, x, rate, subtype="FLOAT")
    example = Example(shown, 1.0, 2.0)
    embed = embedding(model, example, placed(example, ears), ["rain"])
    usual = {"nots": "rain", "model": model, "listener": ears}
    stretch = (x[rate : 2 * rate].T, rate)
    for queries, given in (((), "like shown"), ("guitar", "guitar")):
        job = Job(
            "job-1", shown, (given,), Options(keep=Keep.BOTH, like=example.text), nots=("rain",),
            answers=("compact",) * 2,
        )  # fmt: skip
        team = assemble(job, {"compact": model}, embed=embed).team
        clips = [read(clip.path)[0] for clip in separate(job, team, tmp_path / given)]
        result = tweeze.separate(x.T, rate, queries, like=f"{shown}@1-2", **usual)
        for got, wanted in zip((*result.targets, result.residual), clips, strict=True):
            assert got.tobytes() == wanted.tobytes()
        in_memory = tweeze.separate(x.T, rate, queries, like=stretch, **usual)
        np.testing.assert_allclose(in_memory.targets, result.targets, atol=1e-4)
        pieces = tweeze.stream([x.T], rate, queries, like=stretch, **usual)
        streamed = np.concatenate([piece.targets for piece in pieces], axis=-1)
        assert streamed.tobytes() == in_memory.targets.tobytes()
    words = tweeze.separate(x.T, rate, "guitar", nots="rain", model=model)
    assert not np.allclose(words.targets, result.targets, atol=1e-3)  # the example says something


@pytest.mark.parametrize("kind", GREEDY)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_model_and_floating_type(kind, dtype):
    x = noise(1)[0].astype(dtype)
    shares: list[float] = []
    result = tweeze.separate(x, 8_000, "0.5", model=GREEDY[kind](), on_progress=shares.append)
    assert result.targets.shape == (1, 1, 9_000)
    np.testing.assert_allclose(result.targets[0, 0], 0.5 * x.astype(np.float32), atol=1e-5)
    assert result.presence == ()
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"array": noise(3)}, tweeze.BadAudio, r"shape \(3, 9000\), which is 3 channels"),
        ({"array": noise().T}, tweeze.BadAudio, r"transpose it: array\.T"),
        ({"array": np.zeros((1, 2, 3))}, tweeze.BadAudio, r"shape \(1, 2, 3\)"),
        ({"array": np.zeros(0)}, tweeze.BadAudio, r"shape \(0,\)"),
        ({"array": np.zeros(9, np.int16)}, tweeze.BadAudio, "type int16"),
        ({"array": "x.wav"}, tweeze.BadAudio, "type <U5"),
        ({"array": np.array([0, np.nan])}, tweeze.BadAudio, "frame 1 of channel 0 is nan"),
        ({"array": np.array([0, 1e9])}, tweeze.BadAudio, "is 1000000000.0"),
        ({"rate": 44_100.5}, tweeze.BadAudio, r"44100\.5: give a whole number"),
        ({"rate": 10}, tweeze.BadAudio, "10 Hz"),
        ({"queries": []}, tweeze.BadQuery, "0 queries"),
        ({"queries": ["a"] * 17}, tweeze.BadQuery, "17 queries"),
        ({"queries": ["dog", 3]}, tweeze.BadQuery, "query 3 is not a text"),
        ({"queries": " "}, tweeze.BadQuery, "is empty"),
        ({"stereo": "both"}, tweeze.BadInput, "stereo is 'both': take 'independent' or 'linked'"),
        ({"bandwidth": None}, tweeze.BadInput, "bandwidth is None: take 'full' or 'model'"),
        ({"sharpness": 0}, tweeze.BadInput, "'sharpness' must be a number from 0.1 to 10"),
        ({"sharpness": "2"}, tweeze.BadInput, "sharpness is '2'"),
        ({"like": 3}, tweeze.BadInput, r"like is of type int: give a file"),
        ({"like": b"a.wav"}, tweeze.BadInput, "like is of type bytes"),
        (
            {"like": noise()},
            tweeze.BadInput,
            r"type ndarray: .* rate: \(samples, rate\)",
        ),
        ({"like": (noise(3), 8_000)}, tweeze.BadAudio, "3 channels"),
        ({"like": (noise(), 8.5)}, tweeze.BadAudio, r"8\.5: give a whole number"),
        ({"like": "none.wav@1-2"}, tweeze.BadInput, r"no file none\.wav: name an example"),
        ({"like": Path("none.wav@1-2")}, tweeze.BadInput, r"no file none\.wav@1-2"),
        ({"like": "dog.wav@2-1"}, tweeze.BadInput, "ends before it has begun"),
        ({"like": (0 * noise(), 8_000)}, tweeze.BadInput, "The example is silent"),
        ({"like": (noise(1, 300), 8_000)}, tweeze.BadInput, r"lasts 0\.04 s: give 0\.05 to 30 s"),
        ({"like": (noise(1, 31 * 4_000), 4_000)}, tweeze.BadInput, r"lasts 31\.00 s"),
        ({"like": (noise(), 8_000)}, tweeze.BadInput, "understands words only"),
        ({"like": (noise(), 8_000), "listener": WaveGreedy()}, tweeze.BadInput, "cannot say what"),
        ({"like": (noise(), 8_000), "queries": " "}, tweeze.BadQuery, "is empty"),
        ({"model": "none"}, tweeze.UnknownModel, "no model named 'none'"),
    ],
)
def test_an_error_names_the_value(arguments, error, said, tmp_path, monkeypatch):
    monkeypatch.setenv("TWEEZE_HOME", str(tmp_path / "home"))
    usual = {"array": noise(), "rate": 8_000, "queries": "0.5", "model": WaveGreedy()}
    given = {**usual, **arguments}
    with pytest.raises(error, match=said) as raised:
        tweeze.separate(**given)
    assert isinstance(raised.value, tweeze.TweezeError)
    if "array" in arguments:
        with pytest.raises(error, match=said):
            list(tweeze.stream([given.pop("array")], **given))


def test_blocks_that_do_not_fit_together_are_refused():
    with pytest.raises(tweeze.BadAudio, match="Block 1 has 2 channels, and those before it 1"):
        list(tweeze.stream([noise(1), noise(2)], 8_000, "0.5", model=WaveGreedy()))
    with pytest.raises(tweeze.BadAudio, match="no blocks"):
        list(tweeze.stream([], 8_000, "0.5", model=WaveGreedy()))


def test_a_stream_that_is_left_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pieces = tweeze.stream([noise(2, 90_000)], 8_000, "0.5", model=WaveGreedy())
    next(pieces)
    assert list(tmp_path.iterdir())
    pieces.close()
    assert not list(tmp_path.iterdir())


def test_what_on_progress_raises_ends_the_separation():
    class StopError(Exception):
        pass

    def stop(fraction):
        raise StopError

    with pytest.raises(StopError):
        tweeze.separate(noise(), 8_000, "0.5", model=WaveGreedy(), on_progress=stop)


def test_nothing_is_started_and_nothing_written(tmp_path):
    code = (
        "import numpy, psutil, tweeze; x = 0.1 * numpy.ones((2, 8000)); "
        "tweeze.separate(x, 8000, 'rain'); tweeze.listen(x, 8000); tweeze.suggest('pheasant'); "
        "list(tweeze.stream([x], 8000, 'rain')); print(len(psutil.Process().children()))"
    )
    home = Folders(tmp_path / "home").root
    environment = {"TWEEZE_HOME": str(home), "HOME": str(tmp_path), "PATH": ""}
    environment["OMP_WAIT_POLICY"] = os.environ["OMP_WAIT_POLICY"]  # as tests/conftest.py has it
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
    assert not list(tmp_path.iterdir())
