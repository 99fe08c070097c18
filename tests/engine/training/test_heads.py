"""The heads learn what the network heard, and are measured by what is known."""

from __future__ import annotations

import numpy as np
import torch

from engine.models.compact.heads import Heads
from engine.models.compact.network import VECTOR
from engine.taxonomy.classes import load_taxonomy
from engine.training.heads import Heard, area_under_curve, figures, labels_of, train


def test_area_under_the_curve() -> None:
    truth = np.array([True, True, False, False])
    assert area_under_curve(np.float32([0.9, 0.8, 0.2, 0.1]), truth) == 1.0
    assert area_under_curve(np.float32([0.1, 0.2, 0.8, 0.9]), truth) == 0.0
    assert area_under_curve(np.float32([0.5, 0.5, 0.5, 0.5]), truth) == 0.5
    assert np.isnan(area_under_curve(np.float32([0.5]), np.array([True])))


def test_labels_hold_what_is_above_a_class() -> None:
    labels = labels_of(["dog", "rain"], load_taxonomy())
    assert {"dog", "rain", "animal", "pet", "water"} >= set(labels) >= {"dog", "rain", "animal"}


def sounds(count: int, seed: int) -> Heard:
    """Return toy activations: channel 0 of any block says that the sound of the query is there."""
    generator = torch.Generator().manual_seed(seed)
    present = (torch.rand(count, generator=generator) > 0.5).float()
    asked = torch.randn(count, 5, 12, generator=generator)
    asked[torch.arange(count), torch.randint(5, (count,), generator=generator), 0] += 12 * present
    tags = (torch.rand(count // 2, 2, generator=generator) > 0.5).float()
    free = torch.randn(count // 2, 5, 12, generator=generator)
    free[:, 2, :2] += 12 * tags
    return Heard(
        asked.half(),
        torch.zeros(count, 5, 2),
        torch.zeros(count, VECTOR),
        present,
        free.half(),
        tags,
    )


def test_they_learn() -> None:
    torch.manual_seed(1)
    heads = Heads(6, VECTOR, ["a", "b"], width=16)
    before = figures(heads, sounds(400, 7))
    train(heads, sounds(6000, 3))
    after = figures(heads, sounds(400, 7))
    assert before["presence AUC"] < 0.8
    assert after["presence AUC"] > 0.95
    assert after["tags AUC, mean of labels"] > 0.95
    assert after["absent called present (p > 0.5) %"] < 20
