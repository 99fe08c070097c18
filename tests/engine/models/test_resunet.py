"""The shared U-Net is local in time, and knows how far it looks."""

import pytest
import torch

from engine.models import resunet
from engine.models.resunet import Bottom, Level, ResUNet, ResUNetConfig

SMALL = ResUNetConfig(
    inputs=2,
    outputs=1,
    condition=5,
    levels=(Level(4, (2, 2)), Level(6, (2, 2)), Level(8, (1, 2))),
    bottom=(Bottom(8, 1), Bottom(8, 2)),
)
SHIFT_ONLY = ResUNetConfig(
    inputs=1,
    outputs=3,
    condition=5,
    levels=(Level(4, (2, 2)), Level(6, (2, 2))),
    bottom=(Bottom(8),),
    gain=False,
)


def scrambled(config: ResUNetConfig) -> ResUNet:
    """A network all of whose weights and statistics matter."""
    torch.manual_seed(3)
    net = ResUNet(config).double().eval()
    with torch.no_grad():
        for key, value in net.state_dict().items():
            if key.endswith("running_var"):
                value.uniform_(0.5, 2)
            elif value.dtype.is_floating_point:
                value.add_(torch.randn_like(value) * 0.2)
    return net


@pytest.mark.parametrize("config", [SMALL, SHIFT_ONLY])
def test_a_change_reaches_as_far_as_declared_and_no_further(config: ResUNetConfig) -> None:
    net = scrambled(config)
    block, reach = config.time_block, config.reach()
    at = 40 * block
    x = torch.randn(1, config.inputs, 80 * block, config.band_block * 2, dtype=torch.double)
    condition = torch.randn(1, config.condition, dtype=torch.double)
    changed = x.clone()
    changed[:, :, at : at + 1] += 10.0
    with torch.inference_mode():
        difference = (net(changed, condition) - net(x, condition)).abs().amax((0, 1, 3))
    touched = torch.nonzero(difference > 0).ravel()
    first, last = int(touched[0]), int(touched[-1])
    blocks_before = at // block - first // block
    blocks_after = last // block - at // block
    assert max(blocks_before, blocks_after) * block <= reach + block - 1
    assert max(blocks_before, blocks_after) * block > reach - block


def test_folded_statistics_are_those_of_the_unfolded_layers() -> None:
    net = scrambled(SMALL)
    film = net.encoder[1].film1
    x = torch.randn(2, 4, 8, 8, dtype=torch.double)
    condition = torch.randn(2, 5, dtype=torch.double)
    gain = 1 + film.gain(condition)[:, :, None, None]
    shift = film.shift(condition)[:, :, None, None]
    plain = torch.nn.functional.leaky_relu(film.norm(x) * gain + shift, 0.01)
    torch.testing.assert_close(film(x, condition), plain)


def test_the_condition_matters() -> None:
    net = scrambled(SHIFT_ONLY)
    x = torch.randn(1, 1, 8, 8, dtype=torch.double)
    one, other = torch.randn(2, 1, 5, dtype=torch.double)
    with torch.inference_mode():
        assert not torch.allclose(net(x, one), net(x, other))


@pytest.mark.parametrize("tile", [1, 37, 200, 1 << 20])
@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("config", [SMALL, SHIFT_ONLY])
def test_tiles_of_any_size_give_what_the_layers_give_at_once(
    config: ResUNetConfig, tile: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resunet, "TILE", tile)
    monkeypatch.setattr(resunet, "may_be_refused", lambda: refused)
    net = scrambled(config)
    frames = 12 * config.time_block
    x = torch.randn(1, config.inputs, frames, config.band_block * 2, dtype=torch.double)
    condition = torch.randn(1, config.condition, dtype=torch.double)
    at_once = net(x, condition)  # with gradients: nothing is tiled
    assert at_once.requires_grad
    with torch.inference_mode():
        torch.testing.assert_close(net(x, condition), at_once.detach())
        for first, last in ((0, 5), (3, 4), (17, frames - 2), (frames - 9, frames)):
            found = net.decode(*net.encode(x, condition), condition, (first, last))
            torch.testing.assert_close(found, at_once.detach()[:, :, first:last])
