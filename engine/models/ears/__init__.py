"""``ears``, the bundled listener: what is in a recording, window by window, in AudioSet's words.

See ``MODEL_CARD.md`` beside this file for how good it is and what it learned from. torch is loaded
with the weights, not before.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from engine.models.ears.listener import Ears

__all__ = ["from_file", "load"]


def load() -> Ears:
    """Load the bundled weights.

    Raises
    ------
    ModelBroken
        They are damaged or do not fit the network; the message names the first that does not.
    """
    from engine.models.ears.listener import Ears
    from engine.models.ears.weights import network_from

    data = (files(__package__) / "weights.safetensors").read_bytes()
    return Ears(network_from(data, "the weight file of ears"))


def from_file(weights: Path) -> Ears:
    """Load other weights of the same network, from a training run; raises what `load` does."""
    from engine.models.ears.listener import Ears
    from engine.models.ears.weights import network_from

    return Ears(network_from(weights.read_bytes(), str(weights)))
