"""AudioSep as the segmenter sees it: an embedding for a query, a complex mask for a spectrum."""

from __future__ import annotations

import time

import numpy as np
import torch

from engine.errors import BadJob, Failure, ModelBroken
from engine.models import int8
from engine.models.audiosep import drafts, runtimes
from engine.models.audiosep.fast import FastForm
from engine.models.audiosep.network import BINS, BLOCK, Network, complex_mask
from engine.models.audiosep.text import TextEncoder
from engine.models.base import ComplexArray, FloatArray, FrameGrid
from engine.models.runtime_choice import (
    INT8,
    OPENVINO,
    RUNTIMES,
    TORCH,
    drafting,
    faster,
    fitting,
    openvino,
)
from engine.options import Context, Memory, Options, Precision

__all__ = ["AudioSep"]

_CONTEXT = {Context.EXACT: 320, Context.SHORT: 192}  # frames; the network reaches 318 frames far
_CORE = {Memory.DEFAULT: 1280, Memory.LOW: 320}  # frames; see docs/models.md for what they cost
_SILENCE = np.float32(1e-5)  # the published transform knows no smaller magnitude
_GROUP = 256  # frames whose logits become a mask at a time
_TRIAL = 4 * BLOCK  # frames; long enough to tell which runtime is faster


class AudioSep:
    """A `MaskSeparator`, `Tunable`, and `Movable`."""

    def __init__(
        self, name: str, form: FastForm, *, runtime: str = "", options: Options | None = None
    ) -> None:
        """Take the model from its fast form; `runtime` can insist on one of `RUNTIMES`."""
        self.name = name
        self._resident = _Resident(form)
        self._wanted = runtime
        self._set_up(options or Options())

    def _set_up(self, options: Options) -> None:
        self._options = options
        self.frame_grid = FrameGrid(
            sample_rate=32000,
            n_fft=2048,
            hop=320,
            block=BLOCK,
            context=_CONTEXT[options.context],
            core=_CORE[options.memory],
        )

    def tuned(self, options: Options) -> AudioSep:
        """Return the same model with the precision, context and memory that `options` ask."""
        return self._like(self._wanted, options)

    def on(self, runtime: str) -> AudioSep:
        """Return the same model in a runtime of `RUNTIMES`; in the fastest one for ''.

        Raises
        ------
        BadJob
            There is no runtime of that name.
        Failure
            It is not installed.

        """
        if runtime and runtime not in RUNTIMES:
            raise BadJob(
                f"There is no runtime {runtime[:40]!r} for {self.name}: name "
                f"{', '.join(RUNTIMES[:-1])} or {RUNTIMES[-1]}, or none."
            )
        if runtime in (OPENVINO, INT8) and not openvino():
            raise Failure(
                f"{self.name} was to compute with OpenVINO when this was asked for, and OpenVINO "
                "is no longer installed: install it (\"pip install 'tweeze[cpu]'\"), or ask again."
            )
        return self._like(runtime or self._resident.choice(self._options), self._options)

    def try_drafts(self) -> dict[str, object]:
        """Find out whether drafts gain from 8 bits here; see `engine.models.base.TriesDrafts`.

        Raises
        ------
        Failure
            OpenVINO, which computes in 8 bits, is not installed.
        OSError
            What was found cannot be noted.

        """
        if not openvino():
            raise Failure(
                f'Drafts of {self.name} in 8 bits need OpenVINO: install it ("pip install '
                "'tweeze[cpu]'\") and try again."
            )
        return self._resident.try_drafts()

    def _like(self, runtime: str, options: Options) -> AudioSep:
        other = object.__new__(AudioSep)
        other.name = self.name
        other._resident = self._resident
        other._wanted = runtime
        other._set_up(options)
        return other

    @property
    def runtime_name(self) -> str:
        """Name of what computes the network: `torch`, `openvino` or `openvino-int8`."""
        wanted = self._wanted or self._resident.choice(self._options)
        return fitting(wanted, self._options.precision)

    @property
    def runtime(self) -> runtimes.Runtime:
        """What computes the network under the present options."""
        return self._resident.runtime(self._options, self.runtime_name)

    def embed(self, query: str) -> FloatArray:
        """Return the embedding of a query: shape `(512,)`, length 1."""
        return self._resident.embed(query, keep=self._options.memory is not Memory.LOW)

    def mask(
        self, magnitude: FloatArray, vectors: FloatArray, rms: float, keep: slice
    ) -> ComplexArray:
        """Return complex masks; `rms` is not used. See `MaskSeparator.mask`."""
        del rms
        runtime = self.runtime
        start, stop, _ = keep.indices(magnitude.shape[1])
        grid = (start // BLOCK * BLOCK, -(-stop // BLOCK) * BLOCK)
        masks = np.zeros((len(vectors), *magnitude.shape), np.complex64)
        shifts = self._resident.shifts(vectors)
        for channel, heard in enumerate(magnitude):
            spectrum = self._resident.normalised(heard)
            for query, shift in enumerate(shifts):
                logits = runtime.logits(spectrum, shift, grid)
                for first in range(start, stop, _GROUP):
                    last = min(first + _GROUP, stop)
                    part = logits[:, first - grid[0] : last - grid[0]]
                    masks[query, channel, first:last, :BINS] = complex_mask(part)
        return masks


class _Resident:
    """What stays in memory, shared by all that `tuned` and `on` return."""

    def __init__(self, form: FastForm) -> None:
        self._form = form
        self._network: Network = form.network()
        self._encoder: TextEncoder | None = None
        self._embeddings = form.embeddings
        self._runtime: runtimes.Runtime | None = None
        self._runtime_for: tuple[Precision, Memory, str] | None = None
        self._choice = ""

    def embed(self, query: str, *, keep: bool) -> FloatArray:
        vector = self._embeddings.get(query)
        if vector is None:
            encoder = self._encoder or self._form.encoder()
            vector = encoder.embed(query)
            self._embeddings.put(query, vector)
            self._encoder = encoder if keep else None
        return vector

    def shifts(self, vectors: FloatArray) -> list[FloatArray]:
        # One by one: a product of matrices rounds differently with the number of its rows.
        with torch.inference_mode():
            return [self._network.shifts(torch.from_numpy(v)).numpy() for v in vectors]

    def normalised(self, magnitude: FloatArray) -> FloatArray:
        """Return what the network sees of magnitudes `(frames, 1025)`, padded to whole blocks."""
        spectrum = np.zeros((-(-len(magnitude) // BLOCK) * BLOCK, BINS), np.float32)
        heard = spectrum[: len(magnitude)]
        np.maximum(magnitude[:, :BINS], _SILENCE, out=heard)
        heard *= self._network.input_scale.numpy()
        heard += self._network.input_shift.numpy()
        return spectrum

    def runtime(self, options: Options, name: str) -> runtimes.Runtime:
        """Return the runtime for the options; only one is kept, for it holds its work space."""
        wanted = (options.precision, options.memory, name)
        if self._runtime is None or self._runtime_for != wanted:
            self._runtime = None
            if name == TORCH:
                device = runtimes.device()
                self._runtime = runtimes.Torch(self._network, options.precision, device)
            else:
                plan = self._plan() if name == INT8 else None
                self._runtime = self._compiled(options.precision, plan)
            self._runtime_for = wanted
        return self._runtime

    def choice(self, options: Options) -> str:
        """Return the name of the fastest runtime; OpenVINO is one for processors."""
        if not self._choice:
            on_cpu = runtimes.device().type == "cpu"
            if not on_cpu and self._form.graph_facts():
                self._form.note_graph({})  # a trial on the processor says nothing any more
            self._choice = self._faster() if on_cpu and openvino() else TORCH
        if self._choice == OPENVINO and options.precision is Precision.DRAFT:
            known = drafting(self._form.draft_facts())
            # A plan may be damaged, or another kind of processor's.
            return known if known != INT8 or drafts.plan_of(self._form) else OPENVINO
        return self._choice

    def _compiled(self, precision: Precision, plan: int8.Plan | None = None) -> runtimes.OpenVino:
        if not self._form.has_graph():
            self._write_graph()
        try:
            return runtimes.OpenVino(self._form.graph, precision, plan)
        except ModelBroken:  # a cache like any other: once more from the network
            self._write_graph()
            return runtimes.OpenVino(self._form.graph, precision, plan)

    def _plan(self) -> int8.Plan:
        plan = drafts.plan_of(self._form)
        if plan is None:
            raise Failure(
                "A draft was to be computed with parts of the network in 8 bits when it was asked "
                "for, and how is no longer known: ask again."
            )
        return plan

    def try_drafts(self) -> dict[str, object]:
        self._runtime = None  # its work space is wanted
        if not self._form.has_graph():
            self._write_graph()
        trial = drafts.Trial(self._form.graph, self.normalised, self._shifts_of)
        return drafts.settled(self._form, trial)

    def _shifts_of(self, query: str) -> FloatArray:
        return self.shifts(self.embed(query, keep=False)[None])[0]

    def _write_graph(self) -> None:
        runtimes.write_graph(self._network, self._form.graph)
        self._form.note_graph(self._form.graph_facts())

    def _faster(self) -> str:
        """Tell by a trial, once for each version of OpenVINO, which runtime is faster here."""
        found = faster(self._form.graph_facts())
        if not found:
            self._write_graph()
            facts: dict[str, object] = {
                "openvino": openvino(),
                "seconds_openvino": self._trial(self._compiled(Precision.EXACT)),
                "seconds_torch": self._trial(
                    runtimes.Torch(self._network, Precision.EXACT, torch.device("cpu"))
                ),
            }
            self._form.note_graph(facts)
            found = faster(facts)
        return found

    def _trial(self, runtime: runtimes.Runtime) -> float:
        spectrum = np.zeros((_TRIAL, BINS), np.float32)
        shifts = np.zeros(len(self._network.norm_shift), np.float32)
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            runtime.logits(spectrum, shifts, (0, _TRIAL))
            seconds.append(time.perf_counter() - started)
        return round(min(seconds), 4)
