"""Parts of a network in 8 bits: how much they change, and how a plan is found."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from engine.models import int8
from engine.models.openvino import openvino


@pytest.fixture
def graph(tmp_path):
    """Return what reads a small trained-like network: two convolutions and one over single bins."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(8, 32, 3, padding=1),
        nn.LeakyReLU(0.01),
        nn.Conv2d(32, 32, 3, padding=2, dilation=2),
        nn.LeakyReLU(0.01),
        nn.Conv2d(32, 4, 1),
    ).eval()
    shape = [1, 8, -1, 64]
    made = openvino().convert_model(net, example_input=torch.zeros(1, 8, 16, 64), input=[shape])
    openvino().save_model(made, tmp_path / "net.xml", compress_to_fp16=False)
    return lambda: openvino().Core().read_model(tmp_path / "net.xml")


def sound(seed: int) -> list[np.ndarray]:
    """Return inputs as a spectrum's are: neighbours go together, a few are loud."""
    rng = np.random.default_rng(seed)
    rough = rng.standard_normal((1, 8, 20, 68)) * np.exp(0.7 * rng.standard_normal((1, 1, 20, 68)))
    smooth = sum(rough[:, :, i : i + 16, j : j + 64] for i in range(4) for j in range(4))
    return [np.asarray(smooth, np.float32)]


def answer(model, inputs) -> np.ndarray:
    hint = {"INFERENCE_PRECISION_HINT": "f32"}
    request = openvino().Core().compile_model(model, "CPU", hint).create_infer_request()
    request.infer(dict(enumerate(inputs)))
    return np.array(request.get_output_tensor(0).data)


def noise(graph, plan: int8.Plan, inputs) -> float:
    exact = answer(graph(), inputs)
    error = answer(int8.apply(graph(), plan), inputs) - exact
    return float((error**2).sum() / (exact**2).sum())


def test_the_sites_are_what_takes_the_time(graph):
    first, second = int8.sites(graph(), sound(0))
    assert second.share == pytest.approx(4 * first.share)
    assert 0.95 < first.share + second.share < 1  # the rest is over single bins


@pytest.mark.parametrize(
    ("low", "high"), [(-0.731, 49.9), (-77.3, 38.2), (0, 3e-4), (0, 0), (1, 2)]
)
def test_zero_is_a_step_and_bounds_survive_float32(low, high):
    steps = int8.Range.over(low, high)
    bottom, top = steps.bounds
    assert bottom <= min(low, 0) + steps.step / 2
    assert top >= max(high, 0) - steps.step / 2
    assert (np.float32(bottom), np.float32(top)) == (bottom, top)
    assert -np.float32(bottom) / ((np.float32(top) - np.float32(bottom)) / 255) == steps.zero


def test_sixteen_bits_are_finer_than_eight(graph):
    candidates = int8.sites(graph(), sound(0))
    ranges = int8.observe(graph(), [sound(0), sound(1)])
    weights = int8.fitted(graph(), candidates, [sound(0), sound(1)])
    by_form = {}
    for form in int8.FORMS:
        plan = int8.Plan({site.name: form for site in candidates}, ranges, weights)
        by_form[form] = int8.decibels(noise(graph, plan, sound(2)))
    assert by_form[int8.EIGHT] > 20
    assert by_form[int8.SIXTEEN] > by_form[int8.EIGHT] + 6


def test_fitted_weights_lose_less_than_rounded_ones(graph):
    candidates = int8.sites(graph(), sound(0))
    ranges = int8.observe(graph(), [sound(0)])
    forms = {site.name: int8.SIXTEEN for site in candidates}
    fitted = int8.fitted(graph(), candidates, [sound(0), sound(1), sound(3)])
    assert set(fitted) == set(forms)
    rounded = noise(graph, int8.Plan(forms, ranges, {}), sound(2))
    assert noise(graph, int8.Plan(forms, ranges, fitted), sound(2)) < rounded / 2


def test_a_plan_says_what_it_does_not_fit(graph):
    steps = int8.Range.over(-1, 1)
    with pytest.raises(LookupError):
        int8.apply(graph(), int8.Plan({"no such": int8.EIGHT}, {"no such": steps}, {}))
    name = int8.sites(graph(), sound(0))[0].name
    odd = {name: np.zeros((1, 2, 3, 3), np.int8)}
    with pytest.raises(LookupError, match="another shape"):
        int8.apply(graph(), int8.Plan({name: int8.EIGHT}, {name: steps}, odd))


def test_a_record_holds_a_plan():
    plan = int8.Plan({"a": "8", "b": "16"}, {n: int8.Range.over(-0.3, 7) for n in "ab"}, {})
    assert int8.Plan.of_record(json.loads(json.dumps(plan.record())), {}) == plan


@pytest.mark.parametrize(
    "record",
    [
        None,
        {},
        [],
        {"a": 3},
        {"a": ["8", 0.5]},
        {"a": ["4", 0.5, 3]},
        {"a": [[], 0.5, 3]},
        {"a": ["8", float("nan"), 3]},
        {"a": ["8", -0.5, 3]},
        {"a": ["8", 0.0, 3]},
        {"a": ["8", 0.1, 3]},
        {"a": ["8", 5e-324, 3]},
        {"a": ["8", 0.5, 256]},
        {"a": ["8", 0.5, True]},
        {"a": ["8", 0.5, 3], "b": None},
    ],
)
def test_a_damaged_record_holds_none(record):
    assert int8.Plan.of_record(record, {}) is None


class Sounds:
    """Noise of forms that adds up, and is told `worse` times higher by other sounds."""

    def __init__(self, alone: dict[tuple[str, str], float], worse: float = 1) -> None:
        self.alone, self.worse = alone, worse
        self.verified: list[int8.Plan] = []

    def noise(self, plan: int8.Plan) -> float:
        return sum(self.alone[item] for item in plan.forms.items())

    def verify(self, plan: int8.Plan) -> float:
        self.verified.append(plan)
        return self.worse * self.noise(plan)


COSTS = {int8.EIGHT: 0.3, int8.SIXTEEN: 0.6}
SITES = [int8.Site("large", 0.5), int8.Site("loud", 0.3), int8.Site("small", 0.2)]
ALONE = {
    ("large", "8"): 4e-4, ("loud", "8"): 9e-4, ("small", "8"): 1e-4,
    ("large", "16"): 1e-5, ("loud", "16"): 2e-4, ("small", "16"): 1e-5,
}  # fmt: skip


def found(sounds: Sounds, wanted: float = 1e-3) -> int8.Plan | None:
    return int8.find(SITES, {}, {}, COSTS, sounds.noise, sounds.verify, wanted)


def test_the_plan_saves_the_most_within_the_noise():
    plan = found(Sounds(ALONE))
    assert plan is not None
    assert plan.forms == {"large": "8", "loud": "16", "small": "8"}


def test_a_plan_that_other_sounds_find_too_rough_is_made_finer():
    sounds = Sounds(ALONE, worse=3)
    plan = found(sounds)
    assert plan is not None
    assert sounds.verify(plan) <= 1e-3
    assert len(sounds.verified) > 2
    assert plan.forms  # something is in 8 bits nevertheless


def test_no_plan_is_better_than_a_rough_one():
    assert found(Sounds(ALONE, worse=1e6)) is None
    assert found(Sounds(dict.fromkeys(ALONE, 1e-2))) is None
