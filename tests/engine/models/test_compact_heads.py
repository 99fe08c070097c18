"""compact's heads: what they say does not depend on segments, and broken files are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from engine.errors import ModelBroken
from engine.models import compact
from engine.models.base import Listener, PresenceSeparator
from engine.models.compact.heads import Heads, evidence, heads_from, save_heads, summarised
from engine.models.compact.network import BINS, VECTOR

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def model() -> compact.HearingCompact:
    return compact.load()


def restless(model: compact.HearingCompact) -> compact.HearingCompact:
    """The same network under heads that are untrained and not at all sure."""
    torch.manual_seed(2)
    channels = compact.trunk_channels(model.net)
    return compact.HearingCompact(model.net, model.table, Heads(channels, VECTOR, ["a", "b", "c"]))


def test_it_has_presence_and_no_ears_and_its_fine_tuned_kin_has_none(
    model: compact.HearingCompact,
) -> None:
    assert isinstance(model, PresenceSeparator)
    assert not isinstance(model, Listener)
    plain = compact.Compact(model.net, model.table)
    assert not isinstance(plain, PresenceSeparator)


def test_presence_of_the_whole_is_that_of_its_segments_one_after_the_other(
    model: compact.HearingCompact,
) -> None:
    tested = restless(model)
    frame_grid = tested.frame_grid
    rng = np.random.default_rng(1)
    magnitude = rng.exponential(0.3, (2, 509, BINS)).astype(np.float32)
    magnitude[:, 200:230] *= 20
    vectors = np.stack([tested.embed("dog"), tested.embed("rain")])
    mask, whole = tested.mask_with_presence(magnitude, vectors, 0.1, slice(0, 509))
    assert np.array_equal(mask, tested.mask(magnitude, vectors, 0.1, slice(0, 509)))
    parts = []
    core = 20 * frame_grid.block
    for start in range(0, 509, core):
        stop = min(start + core, 509)
        first = max(0, start - frame_grid.context)
        last = min(509, stop + frame_grid.context)
        kept = slice(start - first, stop - first)
        parts.append(tested.mask_with_presence(magnitude[:, first:last], vectors, 0.1, kept)[1])
    assert whole.shape == (2, 64)  # 0.16 s each
    assert np.ptp(whole, axis=1).max() > 1e-4
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-5)


def test_what_a_mask_lets_through_is_counted_block_by_block() -> None:
    magnitude = torch.ones(1, 12, 5)
    mask = torch.zeros(1, 12, 5)
    mask[:, 8:] = 0.5
    share, mean = evidence(mask, magnitude, 8)[0].unbind(1)
    assert share.tolist() == pytest.approx([-6.0, np.log10(0.25)], abs=1e-3)
    assert mean.tolist() == pytest.approx([0.0, 0.5])


def test_heads_come_back_as_they_were_saved(tmp_path: Path) -> None:
    torch.manual_seed(0)
    heads = Heads(6, VECTOR, ["dog", "gong"], width=8).eval()
    path = tmp_path / "heads.safetensors"
    save_heads(heads, path)
    again = heads_from(path.read_bytes(), str(path), 6)
    heard = summarised(torch.randn(2, 6, 5, 3))
    assert again.labels == ("dog", "gong")
    with torch.inference_mode():
        torch.testing.assert_close(again.tagged(heard), heads.tagged(heard), atol=0.01, rtol=0.01)


def test_heads_need_no_tags(tmp_path: Path) -> None:
    heads = Heads(6, VECTOR, width=8).eval()
    path = tmp_path / "heads.safetensors"
    save_heads(heads, path)
    again = heads_from(path.read_bytes(), str(path), 6)
    assert again.labels == ()
    assert not any(key.startswith("tags") for key in again.state_dict())


def test_broken_heads_are_refused_with_their_name(tmp_path: Path) -> None:
    path = tmp_path / "heads.safetensors"
    save_heads(Heads(6, VECTOR, ["dog"], width=8), path)
    data = path.read_bytes()
    for broken, channels in ((data[:50], 6), (b"", 6), (data, 7), (b"\x80\x04poem" * 9, 6)):
        with pytest.raises(ModelBroken, match=r"the heads of test"):
            heads_from(broken, "the heads of test", channels)
