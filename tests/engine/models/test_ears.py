"""The listener's network and interface; what it has learned is measured, not tested."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import ModelBroken
from engine.models import ears
from engine.models.ears.listener import GRID, Ears
from engine.models.ears.network import REACH, VECTOR
from engine.models.ears.spectra import FRAME, HOP, magnitudes
from engine.models.ears.weights import load_labels, network_from, new_network, save_weights
from engine.taxonomy.ontology import load_ontology


@pytest.fixture(scope="module")
def listener() -> Ears:
    torch.manual_seed(0)
    net = new_network()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # statistics that are not those of a new net
            module.running_mean.uniform_(-0.2, 0.2)  # type: ignore[union-attr, operator]
    return Ears(net)


def noise(windows: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    size = GRID.window + (windows - 1) * GRID.hop + 2 * GRID.context
    rng = np.random.default_rng(seed)
    loudness = np.interp(np.arange(size), np.linspace(0, size, 9), rng.uniform(0, 0.3, 9))
    return (rng.standard_normal((channels, size)) * loudness).astype(np.float32)


def test_it_is_small_and_looks_no_further_than_it_says() -> None:
    net = new_network()
    assert sum(p.numel() for p in net.parameters()) <= 2_000_000
    assert GRID.context >= REACH * HOP + FRAME - HOP
    assert GRID.context % GRID.hop % (16 * HOP) == 0


def test_shapes(listener: Ears) -> None:
    scores, vectors = listener.both(noise(5, channels=2))
    assert scores.shape == (5, 521)
    assert vectors.shape == (5, VECTOR)
    assert ((scores >= 0) & (scores <= 1)).all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert set(listener.labels) <= set(load_ontology())


@pytest.mark.parametrize("missing", [1, GRID.window])
def test_less_than_a_window_gives_none(listener: Ears, missing: int) -> None:
    scores, vectors = listener.both(noise(1)[:, missing:])
    assert scores.shape == (0, 521)
    assert vectors.shape == (0, VECTOR)


def test_a_long_clip_is_heard_the_same_in_pieces(listener: Ears) -> None:
    clip = noise(70)
    whole = listener.both(clip)
    for first, last in ((0, 9), (9, 41), (41, 70)):
        end = (last - 1) * GRID.hop + GRID.window + 2 * GRID.context
        for found, wanted in zip(
            listener.both(clip[:, first * GRID.hop : end]), whole, strict=True
        ):
            np.testing.assert_allclose(found, wanted[first:last], atol=2e-5)
    np.testing.assert_array_equal(listener.hear(clip), whole[0])


def test_what_lies_beyond_the_context_does_not_matter(listener: Ears) -> None:
    clip = noise(12)
    other = noise(12, seed=1)
    start = 5 * GRID.hop
    end = start + GRID.window + 2 * GRID.context
    other[:, start:end] = clip[:, start:end]
    np.testing.assert_allclose(listener.hear(other)[5], listener.hear(clip)[5], atol=2e-5)


def test_channels_in_opposite_phase_do_not_vanish(listener: Ears) -> None:
    mono = noise(3)
    scores = listener.hear(np.concatenate([mono, -mono]))
    np.testing.assert_allclose(scores, listener.hear(mono), atol=2e-4)
    assert magnitudes(np.concatenate([mono, -mono])).max() > 0.1


@pytest.mark.parametrize("samples", [400, 16000, 50000])
def test_an_example_is_one_unit_vector(listener: Ears, samples: int) -> None:
    sound = noise(5)[:, :samples]
    vector = listener.example(sound)
    assert vector.shape == (VECTOR,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_quiet_stretches_do_not_count_in_an_example(listener: Ears) -> None:
    sound = 0.1 * np.random.default_rng(0).standard_normal((1, 32000)).astype(np.float32)
    longer = np.pad(sound, ((0, 0), (0, 160000)))
    assert float(listener.example(longer) @ listener.example(sound)) > 0.95
    assert not listener.example(np.zeros((1, 32000), np.float32)).any()


def test_an_example_is_heard_to_its_end(listener: Ears) -> None:
    late = np.zeros((1, GRID.window + GRID.hop // 2), np.float32)
    late[0, GRID.window :] = np.random.default_rng(0).standard_normal(GRID.hop // 2)
    assert np.linalg.norm(listener.example(late)) == pytest.approx(1, abs=1e-5)


def test_weights_are_kept_in_half_precision(tmp_path: Path) -> None:
    net = new_network()
    save_weights(net.state_dict(), tmp_path / "weights.safetensors")
    assert (tmp_path / "weights.safetensors").stat().st_size <= 4_000_000
    again = ears.from_file(tmp_path / "weights.safetensors")
    np.testing.assert_array_equal(
        again.net.tags.weight.detach().numpy(), net.tags.weight.detach().half().float().numpy()
    )


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    state = new_network().state_dict()
    del state["tags.bias"]
    save_weights(state, tmp_path / "weights.safetensors")
    with pytest.raises(ModelBroken, match=r"lacks the weight tags\.bias"):
        ears.from_file(tmp_path / "weights.safetensors")
    with pytest.raises(ModelBroken, match="not a whole safetensors file"):
        network_from(b"nothing", "here")


def test_the_bundled_weights_tell_beeps_from_silence() -> None:
    listener = ears.load()
    clip = np.zeros((1, 2 * GRID.context + 80000), np.float32)
    time = np.arange(24000) / GRID.sample_rate
    beeps = np.sin(2 * np.pi * 1000 * time) * (time % 0.5 < 0.25)
    clip[0, GRID.context + 56000 :][:24000] = 0.3 * beeps
    likeliest = [listener.labels[i] for i in listener.hear(clip).argmax(axis=1)]
    assert likeliest[0] == "Silence"
    assert likeliest[-1] == "Beep, bleep"


def test_the_labels_are_audiosets() -> None:
    labels = load_labels()
    assert len(labels) == len(set(labels)) == 521


def test_importing_it_does_not_load_torch() -> None:
    code = "import engine.models.ears, sys; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(ears.__file__).parents[3])}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0
