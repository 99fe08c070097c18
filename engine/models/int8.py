"""Part of a network in 8 bits: the few lines of arithmetic behind a plan, and how one is found.

The convolutions over more than one bin are where the time goes. OpenVINO computes one in 8 bits if
its inputs and weights went through a `FakeQuantize`; nothing else is needed, no other package. A
site is in one of three forms:

* float, as it was;
* 8 bits: inputs in 256 steps over the range that was observed, weights in 255 a channel;
* 16 bits: two convolutions in 8 bits, one of the inputs' 256 steps and one of what those leave. It
  takes twice as long and is still faster than float32, though not than bfloat16.

Weights of the convolutions with few inputs, which are the ones at the finest resolution, are not
rounded to the nearest step one by one: what a weight loses the others make up for, as far as their
inputs go together in what was heard (Frantar et al., "GPTQ", 2023), which neighbouring bins do.

Noise of sites that are rounded each on its own adds up, nearly. So each is measured alone, forms
are dealt out that save the most work for a given noise, and the whole is then measured on sounds
that had no part in that. A plan is small, and the graph stays the one in float.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from engine.models.base import FloatArray
from engine.models.openvino import openvino

__all__ = [
    "EIGHT",
    "FORMS",
    "SIXTEEN",
    "Form",
    "Plan",
    "Range",
    "Ranges",
    "Site",
    "Weights",
    "apply",
    "decibels",
    "find",
    "fitted",
    "observe",
    "sites",
]

LEVELS = 256
_SMALLEST = 0.01  # the share of all work below which a site is left as it is
_AUDIBLE = 0.03  # the share of the noise that is wanted below which a site's own is small
_BITS = 12  # of a step's mantissa: the bounds that are multiples of it are exact in float32
_FITTED = 1200  # inputs of a convolution's output, at most, to fit its weights to them
_PATCHES = 20_000  # drawn from each recording for that
_DAMPING = 0.01
_STRENGTHS = np.geomspace(1e-3, 1e6, 181)  # of noise against work; finer than plans differ

Form = str
EIGHT, SIXTEEN = "8", "16"
FORMS = (EIGHT, SIXTEEN)


@dataclass(frozen=True)
class Range:
    """256 equal steps over what a site's inputs were observed to be; `zero` of them lie below 0."""

    step: float
    zero: int

    @classmethod
    def over(cls, low: float, high: float) -> Range:
        """Return the steps over a range. Zero, with which convolutions pad, is one of them."""
        low, high = min(low, 0.0), max(high, 0.0)
        step = _short(max(high - low, 1e-6) / (LEVELS - 2))
        return cls(step, round(-low / step))

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest value; exact in float32, as OpenVINO divides them again."""
        return -self.zero * self.step, (LEVELS - 1 - self.zero) * self.step


Ranges = Mapping[str, Range]
Steps: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.int8]]"
Weights: TypeAlias = Mapping[str, Steps]


@dataclass(frozen=True)
class Site:
    """A convolution that could be put in 8 bits: its name, and its share of the work of all."""

    name: str
    share: float


@dataclass(frozen=True)
class Plan:
    """Which sites are in 8 or in 16 bits, over which range, and their weights where not rounded."""

    forms: Mapping[str, Form]
    ranges: Ranges
    weights: Weights

    def record(self) -> dict[str, object]:
        """Return what `of_record` reads, as JSON has it."""
        return {
            name: [form, self.ranges[name].step, self.ranges[name].zero]
            for name, form in sorted(self.forms.items())
        }

    @classmethod
    def of_record(cls, record: object, weights: Weights) -> Plan | None:
        """Return the plan in a record; None where that is none, or damaged."""
        if not isinstance(record, dict) or not record:
            return None
        forms, ranges = {}, {}
        for name, values in record.items():
            if not (isinstance(values, list) and len(values) == 3):
                return None
            form, step, zero = values
            number = type(step) is float and 1e-30 < step < 1e30 and step == _short(step)
            if form not in FORMS or not number or type(zero) is not int or not 0 <= zero < LEVELS:
                return None
            forms[name], ranges[name] = form, Range(step, zero)
        return cls(forms, ranges, weights)


def sites(model: Any, inputs: Sequence[FloatArray]) -> list[Site]:
    """Return the convolutions of a graph, as `openvino` reads it, that are worth 8 bits."""
    found = _convolutions(model)
    outputs = [openvino().opset13.shape_of(node.output(0)).output(0) for node in found.values()]
    shapes = _also(model, outputs)(inputs)
    work = {
        name: float(np.prod(shape)) * float(np.prod(_weights(node).shape[1:]))
        for (name, node), shape in zip(found.items(), shapes, strict=True)
    }
    total = sum(work.values())
    return [
        Site(name, value / total)
        for name, value in work.items()
        if value >= _SMALLEST * total and _weights(found[name]).shape[2:] != (1, 1)
    ]


def observe(model: Any, samples: Iterable[Sequence[FloatArray]]) -> Ranges:
    """Return what the inputs of a graph's convolutions range over, for some inputs of the graph.

    The graph is changed: read it anew for something else.
    """
    op = openvino().opset13
    found = _convolutions(model)
    ends = []
    for node in found.values():
        source, axes = node.input(0).get_source_output(), op.constant(np.arange(4))
        ends += [op.reduce_min(source, axes).output(0), op.reduce_max(source, axes).output(0)]
    run = _also(model, ends)
    values = np.stack([np.array(run(sample)) for sample in samples])
    low, high = values[:, ::2].min(axis=0), values[:, 1::2].max(axis=0)
    return {name: Range.over(low[i], high[i]) for i, name in enumerate(found)}


def apply(model: Any, plan: Plan) -> Any:
    """Put a graph's sites in the forms of a plan; returns the same graph.

    Raises
    ------
    LookupError
        The graph has no such site, or one of another shape.

    """
    found = _convolutions(model)
    for name, form in plan.forms.items():
        _round(found[name], plan.ranges[name], form, plan.weights.get(name))
    model.validate_nodes_and_infer_types()
    return model


def fitted(
    model: Any, candidates: Iterable[Site], samples: Iterable[Sequence[FloatArray]]
) -> Weights:
    """Return weights in steps of the largest / 127 a channel, fitted to what they are used with.

    Sites with too many inputs for that are left out. The graph is changed, as by `observe`.
    """
    found = _convolutions(model)
    found = {site.name: found[site.name] for site in candidates}
    found = {n: node for n, node in found.items() if _weights(node)[0].size <= _FITTED}
    run = _also(model, [node.input(0).get_source_output() for node in found.values()])
    products = [np.zeros((_weights(node)[0].size,) * 2) for node in found.values()]
    rng = np.random.default_rng(0)
    for sample in samples:
        for node, product, x in zip(found.values(), products, run(sample), strict=True):
            patches = _patches(node, x[0], rng)
            product += patches @ patches.T / max(float(np.square(patches).mean()), 1e-30)
    return {
        name: _fit(_weights(node), product)
        for (name, node), product in zip(found.items(), products, strict=True)
    }


def find(
    candidates: Sequence[Site],
    ranges: Ranges,
    weights: Weights,
    costs: Mapping[Form, float],
    noise_of: Callable[[Plan], float],
    verified: Callable[[Plan], float],
    wanted: float,
    rounds: int = 5,
) -> Plan | None:
    """Return the plan that saves the most work at the noise that is wanted; None if there is none.

    Parameters
    ----------
    candidates, ranges, weights
        What `sites`, `observe` and `fitted` return.
    costs
        The forms to use, and the work of each as a share of that in float.
    noise_of
        The power of a plan's noise, as a share of the power of what the network answers, on the
        sounds that sites are compared with. It is asked once for no site, and for each alone.
    verified
        The same, in the worst case, on sounds that have no part in the choice.
    wanted
        The noise that `verified` may find at most.
    rounds
        How often a plan may be tried, with less noise to spend each time.

    """
    base = noise_of(Plan({}, ranges, weights))
    noise: dict[tuple[str, Form], float] = {}
    for site in candidates:
        least = math.inf
        for form in costs:
            if least > wanted * _AUDIBLE:  # else more bits would not be worth their time
                least = max(noise_of(Plan({site.name: form}, ranges, weights)) - base, 1e-12)
            noise[site.name, form] = least
    budget, tried = wanted - base, set()
    for _ in range(rounds):
        forms = _dealt(candidates, costs, noise, budget)
        if not forms:
            return None
        told = tuple(sorted(forms.items()))
        if told not in tried:
            plan = Plan(forms, ranges, weights)
            found = verified(plan)
            if found <= wanted:
                return plan
            tried.add(told)
        budget *= min(0.8, 0.9 * wanted / found)
    return None


def decibels(noise: float) -> float:
    """Return how far noise lies below what it is measured against."""
    return math.inf if noise <= 0 else -10 * math.log10(noise)


def _dealt(
    candidates: Sequence[Site],
    costs: Mapping[Form, float],
    noise: Mapping[tuple[str, Form], float],
    budget: float,
) -> dict[str, Form]:
    """Return the forms that save the most within a budget of noise, after Lagrange."""
    for strength in _STRENGTHS:
        forms, spent = {}, 0.0
        for site in candidates:
            best, least = "", site.share
            for form, cost in costs.items():
                price = site.share * cost + strength * noise[site.name, form]
                if price < least:
                    best, least = form, price
            if best:
                forms[site.name] = best
                spent += noise[site.name, best]
        if spent <= budget:
            return forms
    return {}


def _round(node: Any, steps: Range, form: Form, fitting: Steps | None) -> None:
    op = openvino().opset13
    source = node.input(0).get_source_output()
    weights = _weights(node)
    most = _most(weights)
    if fitting is not None:
        if fitting.shape != weights.shape:
            raise LookupError(f"{node.get_friendly_name()} has another shape")
        weights = fitting * (most / np.float32(127))
    bounds = op.constant(-most), op.constant(most)
    rounded = op.fake_quantize(op.constant(weights), *bounds, *bounds, LEVELS - 1)
    coarse = _stepped(source, steps)
    if form == EIGHT:
        node.input(0).replace_source_output(coarse.output(0))
        node.input(1).replace_source_output(rounded.output(0))
        return
    readers = list(node.output(0).get_target_inputs())
    fine = Range(_short(steps.step / LEVELS * 1.02), LEVELS // 2)
    rest = _stepped(op.subtract(source, coarse).output(0), fine)
    both = op.add(_like(node, coarse, rounded), _like(node, rest, rounded))
    for reader in readers:
        reader.replace_source_output(both.output(0))


def _stepped(source: Any, steps: Range) -> Any:
    op = openvino().opset13
    low, high = (op.constant(np.full((1, 1, 1, 1), end, np.float32)) for end in steps.bounds)
    return op.fake_quantize(source, low, high, low, high, LEVELS)


def _like(node: Any, source: Any, weights: Any) -> Any:
    """Return the same convolution of something else."""
    facts = node.get_attributes()
    return openvino().opset13.convolution(
        source,
        weights,
        facts["strides"],
        facts["pads_begin"],
        facts["pads_end"],
        facts["dilations"],
        facts.get("auto_pad", "explicit"),
    )


def _most(weights: FloatArray) -> FloatArray:
    most: FloatArray = np.abs(weights).max(axis=(1, 2, 3), keepdims=True) + np.float32(1e-12)
    return most


def _patches(node: Any, x: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return inputs of some of a convolution's outputs, `(inputs, outputs)`, drawn by chance."""
    height, width = _weights(node).shape[2:]
    facts = node.get_attributes()
    pads = zip(facts["pads_begin"], facts["pads_end"], strict=True)
    x = np.pad(x, ((0, 0), *pads))
    deep, wide = facts["dilations"]
    rows = rng.integers(0, x.shape[1] - (height - 1) * deep, _PATCHES)
    columns = rng.integers(0, x.shape[2] - (width - 1) * wide, _PATCHES)
    parts = [x[:, rows + i * deep, columns + j * wide] for i in range(height) for j in range(width)]
    patches: FloatArray = np.stack(parts, axis=1).reshape(-1, _PATCHES)
    return patches


def _fit(weights: FloatArray, product: Any) -> Steps:
    """Round weights one input after the other, each time making up for it in those that follow."""
    flat = weights.reshape(len(weights), -1).astype(np.float64)
    step = (_most(weights) / np.float32(127)).reshape(-1, 1).astype(np.float64)
    order = np.argsort(-np.diag(product))
    flat, product = flat[:, order], product[np.ix_(order, order)].copy()
    product[np.diag_indices_from(product)] += _DAMPING * np.diag(product).mean() + 1e-12
    factor = np.linalg.cholesky(np.linalg.inv(product)).T
    steps = np.empty_like(flat)
    count = flat.shape[1]
    for first in range(0, count, 64):
        last = min(first + 64, count)
        errors = np.empty((len(flat), last - first))
        for i in range(first, last):
            steps[:, i] = np.clip(np.round(flat[:, i] / step[:, 0]), -127, 127)
            errors[:, i - first] = (flat[:, i] - steps[:, i] * step[:, 0]) / factor[i, i]
            flat[:, i:last] -= np.outer(errors[:, i - first], factor[i, i:last])
        flat[:, last:] -= errors @ factor[first:last, last:]
    back = np.argsort(order)
    found: Steps = steps[:, back].astype(np.int8).reshape(weights.shape)
    return found


def _convolutions(model: Any) -> dict[str, Any]:
    return {
        node.get_friendly_name(): node
        for node in model.get_ordered_ops()
        if node.get_type_name() == "Convolution"
    }


def _weights(node: Any) -> FloatArray:
    source = node.input(1).get_source_output().get_node()
    while source.get_type_name() != "Constant":
        source = source.input(0).get_source_output().get_node()
    weights: FloatArray = source.get_data().astype(np.float32)
    return weights


def _also(model: Any, outputs: Sequence[Any]) -> Callable[[Sequence[FloatArray]], list[FloatArray]]:
    """Return what computes outputs in the middle of a graph, in float."""
    count = len(model.outputs)
    model.add_outputs(list(outputs))
    compiled = openvino().Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()

    def run(inputs: Sequence[FloatArray]) -> list[FloatArray]:
        request.infer(dict(enumerate(inputs)), share_inputs=True)
        return [np.array(request.get_output_tensor(count + i).data) for i in range(len(outputs))]

    return run


def _short(step: float) -> float:
    """Return a step, rounded up to a mantissa of few bits."""
    unit = 2.0 ** (math.floor(math.log2(step)) - _BITS + 1)
    return math.ceil(step / unit) * unit
