"""``compact``: exact in segments, strict about its weights, unimpressed by any query."""

import time
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.errors import ModelBroken
from engine.models import compact
from engine.models.compact import network
from engine.models.compact.weights import network_from, new_network, save_weights
from engine.models.resunet import ResUNet
from engine.sound.audio import read
from engine.sound.mixture import ArrayMixture, model_magnitudes
from engine.sound.segments import plan
from engine.taxonomy import text

EVERYTHING = slice(None)


@pytest.fixture(scope="module")
def model() -> compact.Compact:
    return compact.load()


def random_model(table: text.TextTable) -> compact.Compact:
    """Untrained, and more sensitive to its surroundings than a trained one."""
    torch.manual_seed(5)
    net = new_network()
    with torch.no_grad():
        for key, value in net.state_dict().items():
            if "conv" in key or "up.weight" in key:
                value.mul_(1.5)
    return compact.Compact(net, table)


def masks_in_segments(
    model: compact.Compact, magnitude: np.ndarray, vectors: np.ndarray, context: int, core: int
) -> np.ndarray:
    frames = magnitude.shape[1]
    out = np.zeros((len(vectors), *magnitude.shape), np.float32)
    for start in range(0, frames, core):
        stop = min(start + core, frames)
        first, last = max(0, start - context), min(stop + context, frames)
        got = model.mask(magnitude[:, first:last], vectors, 0.1, EVERYTHING)
        out[:, :, start:stop] = got[:, :, start - first : stop - first]
    return out


def test_segments_with_their_context_give_the_mask_of_the_whole(model: compact.Compact) -> None:
    tested = random_model(model.table)
    frame_grid = tested.frame_grid
    rng = np.random.default_rng(0)
    magnitude = rng.exponential(1.0, (1, 301, frame_grid.bins)).astype(np.float32)
    vectors = tested.embed("a dog")[None]
    whole = tested.mask(magnitude, vectors, 0.1, EVERYTHING)
    assert whole.std() > 0.01
    core = 18 * frame_grid.block
    exact = masks_in_segments(tested, magnitude, vectors, frame_grid.context, core)
    assert np.abs(exact - whole).max() < 1e-6
    none = masks_in_segments(tested, magnitude, vectors, 0, core)
    assert np.abs(none - whole).max() > 1e-3


def test_one_block_less_of_context_is_too_little() -> None:
    net = ResUNet(network.DEFAULT_NET).double().eval()
    with torch.no_grad():  # nothing cancels, nothing is added: what arrives is seen
        for key, value in net.state_dict().items():
            if value.dtype.is_floating_point and "running" not in key:
                value.fill_(0.0 if "bias" in key or "film" in key else 0.05)
            if key.endswith(("norm.weight", "running_var")):
                value.fill_(1.0)
    block, reach = net.config.time_block, net.config.reach()
    context = -(-reach // block) * block
    condition = torch.zeros(1, net.config.condition, dtype=torch.double)
    for frame in (-reach, reach + block - 1, -reach - 1, reach + block):
        x = torch.zeros(1, 2, 2 * context + 3 * block, net.config.band_block, dtype=torch.double)
        start = context + block
        x[:, :, start + frame] = 1.0
        with torch.inference_mode():
            whole = net(x, condition)[:, :, start : start + block]
            less = slice(2 * block, 2 * context + block)
            got = net(x[:, :, less], condition)[:, :, context - block : context]
        within = -reach <= frame < reach + block
        assert bool(whole.any()) == within, frame
        assert bool((got != whole).any()) == within, frame


def test_declared_geometry_is_usable(model: compact.Compact) -> None:
    frame_grid = model.frame_grid
    assert frame_grid.sample_rate == 32000
    assert frame_grid.context / 50 <= 4.0, "seconds on either side"
    assert plan(3000, frame_grid)[-1].stop == 3000


def test_masks_have_the_promised_shape_and_range(model: compact.Compact) -> None:
    rng = np.random.default_rng(1)
    magnitude = rng.exponential(1.0, (2, 37, model.frame_grid.bins)).astype(np.float32)
    vectors = np.stack([model.embed("rain"), model.embed("a violin"), model.embed("")])
    masks = model.mask(magnitude, vectors, 0.05, EVERYTHING)
    assert masks.shape == (3, 2, 37, model.frame_grid.bins)
    assert masks.dtype == np.float32
    assert masks.min() >= 0
    assert masks.max() <= 1 + 1e-6
    again = model.mask(magnitude, vectors, 0.05, EVERYTHING)
    np.testing.assert_array_equal(masks, again)


@pytest.mark.parametrize("rms", [0.0, 1e-30, 1e6])
def test_silence_and_extremes_give_finite_masks(model: compact.Compact, rms: float) -> None:
    for scale in (0.0, 1e-20, 1e9):
        magnitude = np.full((1, 9, model.frame_grid.bins), scale, np.float32)
        masks = model.mask(magnitude, model.embed("wind")[None], rms, EVERYTHING)
        assert np.isfinite(masks).all()


def test_level_of_the_clip_does_not_matter(model: compact.Compact) -> None:
    rng = np.random.default_rng(2)
    magnitude = rng.exponential(1.0, (1, 40, model.frame_grid.bins)).astype(np.float32)
    vectors = model.embed("dog barking")[None]
    loud = model.mask(magnitude, vectors, 0.1, EVERYTHING)
    quiet = model.mask(magnitude / 64, vectors, 0.1 / 64, EVERYTHING)
    np.testing.assert_allclose(loud, quiet, atol=1e-4)


def test_bands_share_out_every_bin() -> None:
    matrix = network.band_matrix()
    np.testing.assert_allclose(matrix.sum(axis=0), 1, rtol=1e-6)
    assert (matrix.sum(axis=1) > 0).all()
    assert (np.diff(matrix.argmax(axis=1)) > 0).all()


def test_bundle_is_small() -> None:
    folder = Path(compact.__file__).parent
    bundled = [*folder.glob("*.safetensors"), *folder.glob("*.txt")]
    assert sum(file.stat().st_size for file in bundled) <= 12_000_000


class TestStrictWeights:
    @pytest.fixture
    def state(self, tmp_path: Path) -> tuple[Path, dict[str, torch.Tensor]]:
        path = tmp_path / "weights.safetensors"
        save_weights(new_network().state_dict(), path)
        return path, load_file(path)

    def test_round_trip(self, state: tuple[Path, dict[str, torch.Tensor]]) -> None:
        path, tensors = state
        net = compact.load_network(path)
        for key, value in tensors.items():
            torch.testing.assert_close(net.state_dict()[key], value.float())

    def test_missing(self, state: tuple[Path, dict[str, torch.Tensor]]) -> None:
        path, tensors = state
        del tensors["unet.last.weight"]
        save_file(tensors, path)
        with pytest.raises(ModelBroken, match=r"lacks the weight unet\.last\.weight"):
            compact.load_network(path)

    def test_unexpected(self, state: tuple[Path, dict[str, torch.Tensor]]) -> None:
        path, tensors = state
        save_file({**tensors, "unet.extra": torch.zeros(2)}, path)
        with pytest.raises(ModelBroken, match=r"unet\.extra"):
            compact.load_network(path)

    def test_misshapen(self, state: tuple[Path, dict[str, torch.Tensor]]) -> None:
        path, tensors = state
        save_file({**tensors, "unet.last.bias": torch.zeros(2)}, path)
        with pytest.raises(ModelBroken, match=r"unet\.last\.bias has shape \(2,\), not \(1,\)"):
            compact.load_network(path)

    def test_not_finite(self, state: tuple[Path, dict[str, torch.Tensor]]) -> None:
        path, tensors = state
        save_file({**tensors, "unet.last.bias": torch.tensor([torch.nan])}, path)
        with pytest.raises(ModelBroken, match=r"unet\.last\.bias is not finite"):
            compact.load_network(path)

    def test_damaged(self) -> None:
        with pytest.raises(ModelBroken, match="not a whole safetensors file"):
            network_from(b"\x10\x00\x00\x00\x00\x00\x00\x00 no json here", "a test")


class TestEmbed:
    @pytest.mark.parametrize(
        "query",
        [
            "",
            " \t\n",
            "犬の鳴き声",
            "🐕🐕",
            "\x00\x1b[31m",
            "'; DROP TABLE",
            "Übergröße",
            "ß" * 900,
        ],
    )
    def test_any_text_gives_a_vector(self, model: compact.Compact, query: str) -> None:
        vector = model.embed(query)
        assert vector.shape == (model.table.dim,)
        assert vector.dtype == np.float32
        length = float(np.linalg.norm(vector))
        assert length == 0 or length == pytest.approx(1, abs=1e-5)

    def test_same_query_same_bytes(self, model: compact.Compact) -> None:
        first = model.embed("a dog barking in the distance")
        assert first.tobytes() == model.embed("a dog barking in the distance").tobytes()
        assert first.tobytes() == compact.load().embed("a dog barking in the distance").tobytes()

    def test_case_accents_and_punctuation_do_not_matter(self, model: compact.Compact) -> None:
        np.testing.assert_array_equal(model.embed("Café, NOISE!"), model.embed("cafe noise"))

    def test_long_queries_are_cut(self, model: compact.Compact) -> None:
        start = time.process_time()
        vector = model.embed("barking dog " * 10_000)
        assert time.process_time() - start < 1
        np.testing.assert_allclose(vector, model.embed("barking dog"), atol=0.05)

    def test_endings_and_unknown_words(self, model: compact.Compact) -> None:
        assert model.embed("chainsaws") @ model.embed("chainsaw") > 0.8
        assert np.linalg.norm(model.embed("zzyzxqq")) == pytest.approx(1, abs=1e-5)

    @pytest.mark.parametrize(
        ("word", "near", "far"),
        [
            ("puppy", "dog", "violin"),
            ("pheasant", "bird", "car engine"),
            ("thunderstorm", "rain", "trumpet"),
            ("motorbike", "engine", "cat"),
            ("fiddle", "violin", "hammer"),
        ],
    )
    def test_meaning(self, model: compact.Compact, word: str, near: str, far: str) -> None:
        vector = model.embed(word)
        assert vector @ model.embed(near) > vector @ model.embed(far)


def test_what_else_is_there_is_told_to_the_network_that_learned_it() -> None:
    model = compact.load()
    with as_file(files("engine") / "demo" / "mixture.flac") as file:
        samples, rate = read(file)
    mixture = ArrayMixture(samples, rate, model.frame_grid.sample_rate)
    magnitude = model_magnitudes(mixture, model.frame_grid, 0, 64, slice(0, 1), 1)

    def mask(vector: np.ndarray) -> np.ndarray:
        return model.mask(magnitude, vector[None], mixture.rms, slice(0, 64))

    plain = mask(model.embed("dog"))
    dog, rain, guitar = map(model.embed, ("dog", "rain", "guitar"))
    alone = model.beside(dog, ())
    assert alone.shape == (2 * model.table.dim,)
    assert mask(alone).tobytes() == plain.tobytes()
    told = mask(model.beside(dog, (rain,)))
    assert np.abs(told - plain).max() > 0.01
    assert np.abs(told - mask(model.beside(dog, (guitar,)))).max() > 0.01
    both = model.beside(dog, (rain, guitar))
    assert np.array_equal(both, model.beside(dog, (guitar, rain)))
    assert np.linalg.norm(both[model.table.dim :]) == pytest.approx(1, abs=1e-5)
