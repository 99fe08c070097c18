"""What computes the folded network: torch everywhere, OpenVINO where it is installed.

Both take one channel and one query at a time: a batch would cost memory and saves no time.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from engine.errors import ModelBroken
from engine.models import int8
from engine.models.audiosep.network import BINS, BLOCK, Network
from engine.models.base import FloatArray
from engine.models.device import device
from engine.models.openvino import openvino
from engine.models.torch_threads import torch_threads
from engine.options import Precision

__all__ = ["OpenVino", "Runtime", "Torch", "device", "has_bf16", "write_graph"]


Keep = tuple[int, int]


class Runtime(Protocol):
    """A network that is ready to run."""

    def logits(self, spectrum: FloatArray, shifts: FloatArray, keep: Keep) -> FloatArray:
        """Return the mask's logits, `(3, stop - start, 1024)`, of one channel for one query.

        Parameters
        ----------
        spectrum
            `(frames, 1024)`: normalised magnitudes; `frames` is a multiple of 32.
        shifts
            `(8256,)`: the query's shift vector.
        keep
            The frames `(start, stop)` which are wanted, multiples of 32.

        """


class Torch:
    """The network in torch, in the memory layout that its convolutions are fastest in."""

    def __init__(self, network: Network, precision: Precision, where: torch.device) -> None:
        self.precision = precision if _torch_has_bf16(where) else Precision.EXACT
        self._type = torch.bfloat16 if self.precision is Precision.DRAFT else torch.float32
        self._device = where
        # A copy of its own: the network's arrays may be mapped from disk, and others use them.
        state = {
            name: tensor.to(where, self._type, copy=True).contiguous(memory_format=_layout(tensor))
            for name, tensor in network.state_dict().items()
            if not name.startswith("film.")
        }
        state |= {k: v for k, v in network.state_dict().items() if k.startswith("film.")}
        self._network = Network.from_state(state)

    def logits(self, spectrum: FloatArray, shifts: FloatArray, keep: Keep) -> FloatArray:
        """See `Runtime.logits`."""
        with torch.inference_mode(), torch_threads():
            x = torch.from_numpy(spectrum)[None, None].to(self._device, self._type)
            shift = torch.from_numpy(shifts).to(self._device, self._type)
            x = x.contiguous(memory_format=torch.channels_last)
            logits = self._network(x, shift, torch.tensor(keep))[0]
            result: FloatArray = logits.float().contiguous().cpu().numpy()
        return result


def _layout(tensor: torch.Tensor) -> torch.memory_format:
    return torch.channels_last if tensor.dim() == 4 else torch.contiguous_format


def _torch_has_bf16(where: torch.device) -> bool:
    if where.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if where.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return False


class OpenVino:
    """The network compiled by OpenVINO for this processor; with a plan, parts of it in 8 bits."""

    def __init__(self, graph: Path, precision: Precision, plan: int8.Plan | None = None) -> None:
        core = openvino().Core()
        self.precision = precision if has_bf16() or plan is not None else Precision.EXACT
        rest = "bf16" if self.precision is Precision.DRAFT and has_bf16() else "f32"
        try:
            model = core.read_model(graph)
            if plan is not None:
                int8.apply(model, plan)
            self._compiled = core.compile_model(
                model,
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": rest,
                    "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                    "NUM_STREAMS": 1,
                    "PERFORMANCE_HINT": "LATENCY",
                },
            )
        except (RuntimeError, LookupError) as error:
            raise ModelBroken(f"OpenVINO cannot read {graph}: {error}") from error
        self._request = self._compiled.create_infer_request()

    def logits(self, spectrum: FloatArray, shifts: FloatArray, keep: Keep) -> FloatArray:
        """See `Runtime.logits`."""
        inputs = {0: spectrum[None, None], 1: shifts, 2: np.array(keep)}
        self._request.infer(inputs, share_inputs=True)
        result: FloatArray = np.array(self._request.get_output_tensor(0).data[0])
        return result


def write_graph(network: Network, path: Path) -> None:
    """Write the network as OpenVINO's graph, in float32: `path` (`.xml`) and a `.bin` beside it."""
    count = len(network.norm_shift)
    example = (
        torch.zeros(1, 1, 3 * BLOCK, BINS),
        torch.zeros(count),
        torch.tensor((BLOCK, 2 * BLOCK)),
    )
    graph = openvino().convert_model(
        network, example_input=example, input=[[1, 1, -1, BINS], [count], [2]]
    )
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.part.xml")
    try:
        openvino().save_model(graph, temporary, compress_to_fp16=False)
        temporary.with_suffix(".bin").replace(path.with_suffix(".bin"))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        temporary.with_suffix(".bin").unlink(missing_ok=True)


def has_bf16() -> bool:
    """Whether OpenVINO computes in bfloat16 here, and not only says that it does."""
    return "BF16" in openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
