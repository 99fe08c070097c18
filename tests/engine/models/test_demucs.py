"""htdemucs: its checkpoint, the pull, its chunks, and its network beside the published one."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from scipy.signal import correlate

from bridge.cli import run
from engine import models
from engine.errors import BadQuery, Failure, ModelBroken
from engine.folders import Folders
from engine.models import catalogue, pulling, releases
from engine.models.demucs import checkpoint
from engine.models.demucs.network import SAMPLES, SOURCES, HTDemucs
from engine.models.demucs.separator import Demucs
from engine.sound.core import pieces
from engine.sound.mixture import ArrayMixture

KWARGS = {
    "sources": list(SOURCES),
    "bottom_channels": 512,
    "dconv_mode": 3,
    "samplerate": 44_100,
    "segment": Fraction(39, 5),
    "t_dropout": 0.02,
}


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    found = HTDemucs().state_dict()
    # As a trained network's, the branches have a say, and the norms do something.
    return {key: 0.3 * value if "scale" in key else value.half() for key, value in found.items()}


@pytest.fixture(scope="module", autouse=True)
def published_class() -> Iterator[type]:
    """A class by the name that the checkpoint has for its network; nothing may make one."""
    module = types.ModuleType("demucs.htdemucs")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the checkpoint's class was called")

    module.HTDemucs = type(
        "HTDemucs", (), {"__module__": "demucs.htdemucs", "__new__": refuse, "__init__": refuse}
    )
    before = {name: sys.modules.get(name) for name in ("demucs", "demucs.htdemucs")}
    sys.modules |= {"demucs": types.ModuleType("demucs"), "demucs.htdemucs": module}
    yield module.HTDemucs
    for name, old in before.items():
        del sys.modules[name]
        if old is not None:
            sys.modules[name] = old


@pytest.fixture
def save(tmp_path, state, published_class):
    def write(**change: object) -> Path:
        content = {"klass": published_class, "args": (), "kwargs": KWARGS, "state": state}
        path = tmp_path / "955717e8-8726e21a.th"
        torch.save(content | change, path)
        return path

    return write


@pytest.fixture
def home(tmp_path, monkeypatch) -> Folders:
    monkeypatch.setenv("TWEEZE_HOME", str(tmp_path / "home"))
    made = Folders(tmp_path / "home")
    made.make()
    return made


class Echoes(torch.nn.Module):
    """Stands for the network, quickly: sources that depend on what is far away, and on the place.

    It has what the published `apply_model` asks of a network.
    """

    samplerate, segment = 44_100, Fraction(39, 5)
    sources = SOURCES

    def valid_length(self, length: int) -> int:
        return SAMPLES

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        far = x.roll(20_000, dims=-1)
        place = torch.linspace(0, 1, x.shape[-1])
        return torch.stack((0.4 * x, 0.1 * far, 0.2 * x * place, 0.4 * x - 0.1 * far), dim=1)


@pytest.fixture(scope="module")
def loaded(state) -> Demucs:
    return Demucs("htdemucs", state)


@pytest.fixture
def quick(loaded, monkeypatch) -> Demucs:
    monkeypatch.setattr(loaded, "_net", Echoes())
    monkeypatch.setattr(loaded, "frame_grid", replace(Demucs.frame_grid, core=128), raising=False)
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
    ("query", "wanted"),
    [
        ("drums", [1, 0, 0, 0]),
        ("the bass line", [0, 1, 0, 0]),
        ("other instruments", [0, 0, 1, 0]),
        ("the singer", [0, 0, 0, 1]),
        ("music without vocals", [1, 1, 1, 0]),
    ],
)
def test_words_choose_stems(quick, query, wanted):
    assert quick.embed(query).tolist() == wanted


def test_other_sounds_are_refused_with_what_there_is(quick):
    with pytest.raises(BadQuery, match="'drums', 'bass', 'other', 'vocals' and 'accompaniment'"):
        quick.embed("a dog")


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_nothing_is_shifted(quick, rate, channels):
    x = noise(rate, 1.3, channels)
    (drums, *_), _ = separated(quick, x, rate)
    assert drums.shape == x.shape
    for channel in range(channels):
        around = correlate(drums[channel], x[channel], method="fft")
        assert np.argmax(around) == x.shape[1] - 1


def test_segments_equal_the_whole(quick, monkeypatch):
    x = noise(44_100, 14)
    usual, found = separated(quick, x, 44_100, "other")
    assert len([piece for piece in found if piece.checkpoint]) > 2
    monkeypatch.setattr(quick, "frame_grid", replace(quick.frame_grid, core=1 << 20))
    whole, _ = separated(quick, x, 44_100, "other")
    assert np.abs(usual - whole).max() <= 1e-6 * np.abs(x).max()


def test_going_on_gives_the_same_bytes(quick):
    x = noise(48_000, 14)
    whole, found = separated(quick, x, 48_000, "bass", "other")
    middle = next(piece for piece in found[len(found) // 2 :] if piece.checkpoint)
    rest, again = separated(quick, x, 48_000, "bass", "other", resume=middle.checkpoint)
    assert 0 < again[0].start < x.shape[1]
    assert rest.tobytes() == whole[..., again[0].start :].tobytes()


@pytest.mark.parametrize("frames", [1, 2, 100, 1025])
def test_very_short_clips_and_silence(quick, frames):
    targets, _ = separated(quick, noise(frames, 1), 44_100)
    assert targets.shape == (4, 2, frames)
    targets, _ = separated(quick, np.zeros((1, frames), np.float32), 44_100)
    assert not targets.any()


def test_a_quiet_song_is_separated_as_a_loud_one(quick):
    x = noise(44_100, 1)
    loud, _ = separated(quick, x, 44_100)
    quiet, _ = separated(quick, 0.01 * x, 44_100)
    assert np.abs(100 * quiet - loud).max() < 1e-5


def test_a_checkpoint_is_added_converted_and_loaded(save, home, state):
    path = save()
    assert run(["models", "add", str(path), "--kind", "demucs", "--name", "mine"]) == 0
    assert path.exists()
    assert run(["models", "verify", "mine"]) == 0
    found = models.load("mine", home)._net.state_dict()
    assert all(torch.equal(found[key], value.float()) for key, value in state.items())
    (kept,) = (home.models / "mine").glob("*.safetensors")
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(ModelBroken, match="was changed; remove it"):
        models.load("mine", home)


class Command:
    def __reduce__(self):
        return os.mkdir, ("was-run",)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"kwargs": {**KWARGS, "t_layers": 3}},
            "another Demucs than htdemucs: its 't_layers' is 3",
        ),
        ({"kwargs": {**KWARGS, "sources": ["a", "b"]}}, "its 'sources' is"),
        ({"kwargs": {k: v for k, v in KWARGS.items() if k != "segment"}}, "its 'segment' is None"),
        ({"klass": "HTDemucs"}, "it names no such network"),
        ({"state": {}}, "lacks the tensor"),
        ({"state": [1.0]}, "it holds no weights"),
        ({"more": Command()}, r"it asks to run '\w+\.mkdir'"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_named(save, change, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelBroken, match=said):
        checkpoint.read(save(**change))
    assert not Path("was-run").exists()


def test_settings_may_come_as_arguments(save, state):
    kwargs = {key: value for key, value in KWARGS.items() if key != "sources"}
    found = checkpoint.read(save(args=(list(SOURCES),), kwargs=kwargs))
    assert found.keys() == state.keys()


@pytest.fixture
def server(save) -> Iterator[tuple[ThreadingHTTPServer, bytes]]:
    """Serves the checkpoint, and hangs up in the middle the first time."""
    content = save().read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.answer(200, len(content))

        def do_GET(self):
            asked = self.headers.get("Range", "")
            self.server.asked.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-") or 0)
            self.answer(206 if start else 200, len(content) - start)
            end = len(content) // 2 if len(self.server.asked) == 1 else len(content)
            self.wfile.write(content[start:end] + self.server.more)

        def answer(self, status, length):
            self.send_response(status)
            self.send_header("Content-Length", str(length + len(self.server.more)))
            self.end_headers()

        def log_message(self, *_):
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.asked, made.more = [], b""
    thread = Thread(target=made.serve_forever)
    thread.start()
    yield made, content
    made.shutdown()
    thread.join()
    made.server_close()


def release_at(server, content: bytes) -> releases.Release:
    known = releases.release("htdemucs")
    url = f"http://127.0.0.1:{server.server_port}/{known.main.path}"
    digest = hashlib.sha256(content).hexdigest()
    return replace(known, main=replace(known.main, url=url, size=len(content), sha256=digest))


def test_a_pull_goes_on_where_it_broke_off(server, home):
    running, content = server
    release = release_at(running, content)
    with pytest.raises(Failure, match=r"broke after \d+ of \d+ bytes\. Pull again later; the down"):
        pulling.pull(release, home)
    made = pulling.pull(release, home)
    assert running.asked == ["", f"bytes={len(content) // 2}-"]
    assert made.origin == release.main.url
    assert sorted(path.name for path in made.folder.iterdir()) == [
        "LICENCE.txt",
        "model.json",
        "weights.safetensors",
    ]
    assert isinstance(catalogue.load(made), Demucs)


def test_a_pull_takes_only_the_published_file(server, home):
    running, content = server
    running.asked.append("")  # no hanging up
    release = release_at(running, content[:-1] + b"!")
    with pytest.raises(Failure, match="is not the published file"):
        pulling.pull(release, home)
    running.more = b"and more"
    with pytest.raises(Failure, match="sends more than the"):
        pulling.pull(release_at(running, content), home)
    assert "htdemucs" not in models.names(home)


def test_a_server_that_is_away_is_named(home):
    known = releases.release("htdemucs")
    away = replace(known, main=replace(known.main, url="http://127.0.0.1:9/x.th"))
    with pytest.raises(Failure, match="the server cannot be reached"):
        pulling.pull(away, home)


def test_the_release_is_the_published_one():
    """The file's name ends in the first digits of its SHA-256; that is how its publisher checks."""
    known = releases.release("htdemucs").main
    assert known.path == "955717e8-8726e21a.th"
    assert known.sha256.startswith("8726e21a")
    assert known.url.startswith("https://dl.fbaipublicfiles.com/demucs/")


@pytest.fixture
def theirs(monkeypatch) -> types.SimpleNamespace:
    """The published code, without what it imports for training and for other networks."""
    for name in ("demucs", "demucs.htdemucs"):
        monkeypatch.delitem(sys.modules, name)
    found = [importlib.util.find_spec(name) for name in ("demucs", "einops", "julius")]
    if not all(found):
        pytest.skip("NOT TESTED: demucs, einops or julius is not installed (see the Makefile).")
    parts = {
        "openunmix": {},
        "openunmix.filtering": {"wiener": None},
        "omegaconf": {"OmegaConf": None},
        "dora": {},
        "dora.log": {"fatal": None},
    }
    for name, content in parts.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    made = types.SimpleNamespace(
        network=importlib.import_module("demucs.htdemucs").HTDemucs,
        apply_model=importlib.import_module("demucs.apply").apply_model,
    )
    for name in [name for name in sys.modules if name.partition(".")[0] == "demucs"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "demucs", types.ModuleType("demucs"))
    monkeypatch.setitem(sys.modules, "demucs.htdemucs", types.ModuleType("demucs.htdemucs"))
    return made


def test_the_network_is_the_published_one(theirs, state):
    kwargs = {**KWARGS, "segment": Fraction(1)}  # a shorter one, for time's sake
    published = theirs.network(**kwargs).eval()
    published.load_state_dict(state)
    ours = HTDemucs().eval()
    ours.load_state_dict(state)
    x = torch.from_numpy(noise(44_100, 1))[None]
    with torch.inference_mode():
        wanted, found = published(x), ours(x)
    assert wanted.shape == found.shape == (1, 4, 2, 44_100)
    assert (wanted - found).abs().max() < 1e-5 * wanted.abs().max()


def test_chunks_are_the_published_ones(theirs, quick):
    """Where chunks are whole; the last of a clip is padded on both sides there, here at its end."""
    whole = 2 * quick.chunk_grid.hop
    x = noise(44_100, 1)[0, :1000]
    x = np.resize(x, (2, quick.chunk_grid.hop + SAMPLES)) * np.linspace(1, 2, 601_965)
    x = x.astype(np.float32)
    network = Echoes()
    with torch.inference_mode():
        wanted = theirs.apply_model(network, torch.from_numpy(x)[None], shifts=0, overlap=0.25)[0]
    window, hop = quick.chunk_grid.window, quick.chunk_grid.hop
    total, weight = np.zeros((4, *x.shape)), np.zeros(x.shape[1])
    for start in (0, hop):
        span = slice(start, start + SAMPLES)
        total[..., span] += quick.sources_of(x[:, span], 1.0) * window
        weight[span] += window
    found = total / weight
    assert np.abs(found[..., :whole] - wanted.numpy()[..., :whole]).max() < 1e-6
