"""Whether drafts gain from 8 bits on this processor, with this checkpoint: tried, and remembered.

What a plan costs in quality depends on the weights, and what it gains on the processor, so both are
measured: on the recordings that come with Tweeze, of which a part chooses what is in 8 bits and
another says how far the draft's answers are from the exact ones. Less than 30 dB, or no gain over
the draft without 8 bits, and there is none.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from engine.errors import ModelBroken
from engine.models import int8
from engine.models.audiosep import runtimes
from engine.models.audiosep.fast import FastForm
from engine.models.audiosep.network import BINS, N_FFT, complex_mask
from engine.models.base import ComplexArray, FloatArray
from engine.models.openvino import openvino
from engine.models.runtime_choice import openvino as version
from engine.options import Precision

__all__ = ["Trial", "plan_of", "settled"]

WANTED = 30.0
"""dB between exact answers and what a draft changes in them, at least."""
GAIN = 1.1
"""How much faster than without 8 bits a draft has to be, at least, for 8 bits to be worth it."""
_FAINT = 1e-3  # of a recording's power: an answer below it is measured as if it were this loud
_HOP, _RATE = 320, 32_000
_FRAMES = 128  # of a stretch
_COSTS = {"f32": {int8.EIGHT: 0.3, int8.SIXTEEN: 0.6}, "bf16": {int8.EIGHT: 0.6}}
_LOG = logging.getLogger("tweeze.worker")
_DEMO = Path(__file__).parents[2] / "demo"


@dataclass(frozen=True)
class _Stretch:
    """Where in which bundled recording, in seconds, and what is asked for."""

    file: str
    start: float
    query: str


_CHOOSING = (
    _Stretch("mixture.flac", 0.5, "guitar"),
    _Stretch("interview.flac", 1.0, "speech"),
    _Stretch("mixture.flac", 2.4, "flowing water"),
    _Stretch("interview.flac", 2.3, "rain"),
)
_COMPARING = 2  # of these are enough to compare one part of the network with another
_CHECKING = (
    _Stretch("mixture.flac", 4.4, "birds chirping"),
    _Stretch("mixture.flac", 7.0, "guitar"),
    _Stretch("interview.flac", 3.7, "rain"),
    _Stretch("interview.flac", 5.2, "speech"),
)


@dataclass(frozen=True)
class _Case:
    """A stretch as the network sees it, and its answer in float32."""

    spectrum: ComplexArray
    inputs: Sequence[FloatArray]
    exact: ComplexArray

    def noise(self, answer: ComplexArray) -> float:
        """Return the power of what an answer lacks, as a share of the exact one's."""
        whole = max(_power(self.exact), _FAINT * _power(self.spectrum))
        return _power(answer - self.exact) / max(whole, 1e-30)


class Trial:
    """Measures drafts on the bundled recordings.

    Parameters
    ----------
    graph
        The network in float, as OpenVINO reads it.
    normalised, shifts_of
        What the network sees of magnitudes `(frames, 1025)`; the shift vector of a query.

    """

    def __init__(
        self,
        graph: Path,
        normalised: Callable[[FloatArray], FloatArray],
        shifts_of: Callable[[str], FloatArray],
    ) -> None:
        self._graph = graph
        self._normalised = normalised
        self._shifts_of = shifts_of
        self.rest = "bf16" if runtimes.has_bf16() else "f32"

    def made(self) -> tuple[int8.Plan | None, dict[str, object]]:
        """Return the plan for drafts, if one is worth it, and what was measured, or why none is."""
        exact = runtimes.OpenVino(self._graph, Precision.EXACT)
        choosing = [self._case(stretch, exact) for stretch in _CHOOSING]
        checking = [self._case(stretch, exact) for stretch in _CHECKING]
        del exact

        def noise(plan: int8.Plan, cases: Sequence[_Case]) -> list[float]:
            runtime = runtimes.OpenVino(self._graph, Precision.DRAFT, plan)
            return [case.noise(_answer(runtime, case)) for case in cases]

        read = openvino().Core().read_model
        inputs = [case.inputs for case in choosing]
        candidates = int8.sites(read(self._graph), inputs[0])
        plan = int8.find(
            candidates,
            int8.observe(read(self._graph), inputs),
            int8.fitted(read(self._graph), candidates, inputs),
            _COSTS[self.rest],
            lambda plan: float(np.mean(noise(plan, choosing[:_COMPARING]))),
            lambda plan: max(noise(plan, checking)),
            10 ** (-WANTED / 10),
        )
        if plan is None:
            return None, {"why": f"parts in 8 bits are less than {WANTED:.0f} dB from exact"}
        found = int8.decibels(max(noise(plan, checking)))
        plain = runtimes.OpenVino(self._graph, Precision.DRAFT)
        rounded = runtimes.OpenVino(self._graph, Precision.DRAFT, plan)
        seconds = fastest([plain, rounded], checking[0].inputs)
        facts: dict[str, object] = {
            "decibels": round(found, 1),
            "seconds_without": round(seconds[0], 4),
            "seconds_with": round(seconds[1], 4),
        }
        if seconds[1] * GAIN > seconds[0]:
            return None, {**facts, "why": "drafts are hardly faster with parts in 8 bits"}
        return plan, {**facts, "plan": plan.record()}

    def _case(self, stretch: _Stretch, exact: runtimes.Runtime) -> _Case:
        spectrum = _spectrum(stretch)
        seen = self._normalised(np.abs(spectrum))[None, None]
        keep = np.array((0, _FRAMES))
        case = _Case(
            spectrum[:, :BINS],
            (seen, self._shifts_of(stretch.query), keep),
            np.zeros((0, BINS), np.complex64),
        )
        return _Case(case.spectrum, case.inputs, _answer(exact, case))


def settled(form: FastForm, trial: Trial) -> dict[str, object]:
    """Make the trial of a fast form, and note what it found; returns that, or `why` there is none.

    Raises
    ------
    OSError
        What it found cannot be noted; nothing has changed then.

    """
    plan: int8.Plan | None = None
    try:
        plan, facts = trial.made()
    except (RuntimeError, MemoryError, LookupError, ModelBroken, np.linalg.LinAlgError) as error:
        facts = {"why": f"the trial failed: {error}"[:200]}
    kept = {n: plan.weights[n] for n in plan.forms if n in plan.weights} if plan else None
    form.note_draft({"openvino": version(), "rest": trial.rest, **facts}, kept)
    _LOG.info("Drafts in 8 bits: %s", {k: v for k, v in facts.items() if k != "plan"})
    return facts


def plan_of(form: FastForm) -> int8.Plan | None:
    """Return the plan that a trial found, if it was one with this OpenVINO on such a processor."""
    facts = form.draft_facts()
    if facts.get("openvino") != version():
        return None
    if facts.get("rest") != ("bf16" if runtimes.has_bf16() else "f32"):
        return None
    return int8.Plan.of_record(facts.get("plan"), form.draft_weights())


def fastest(
    kinds: Sequence[runtimes.Runtime], inputs: Sequence[FloatArray], rounds: int = 4
) -> list[float]:
    """Return each runtime's shortest time, in processors' seconds, of some rounds in turn.

    By the clock other programs would decide. A first round, which finds memory, does not count.
    """
    seconds: list[list[float]] = [[] for _ in kinds]
    for _ in range(rounds + 1):
        for runtime, times in zip(kinds, seconds, strict=True):
            started = time.process_time()
            _logits(runtime, inputs)
            times.append(time.process_time() - started)
    return [min(times[1:]) for times in seconds]


def _answer(runtime: runtimes.Runtime, case: _Case) -> ComplexArray:
    answer: ComplexArray = complex_mask(_logits(runtime, case.inputs)) * case.spectrum
    return answer


def _logits(runtime: runtimes.Runtime, inputs: Sequence[FloatArray]) -> FloatArray:
    seen, shifts, keep = inputs
    return runtime.logits(seen[0, 0], shifts, (int(keep[0]), int(keep[1])))


def _spectrum(stretch: _Stretch) -> ComplexArray:
    """Return the left channel's frames, `(frames, 1025)`."""
    with soundfile.SoundFile(_DEMO / stretch.file) as file:
        file.seek(round(stretch.start * file.samplerate))
        seconds = (_FRAMES * _HOP + N_FFT) / _RATE + 0.1
        left = file.read(round(seconds * file.samplerate), dtype="float32", always_2d=True)[:, 0]
        x = soxr.resample(left, file.samplerate, _RATE)
    frames = np.lib.stride_tricks.sliding_window_view(x, N_FFT)[::_HOP][:_FRAMES]
    window = np.hanning(N_FFT + 1)[:-1].astype(np.float32)
    spectrum: ComplexArray = np.fft.rfft(frames * window).astype(np.complex64)
    return spectrum


def _power(values: ComplexArray) -> float:
    return float((np.abs(values).astype(np.float64) ** 2).sum())
