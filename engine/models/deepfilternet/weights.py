"""Reads DeepFilterNet3's weights out of its ONNX files.

Only tensors are read from them, by the few fields of ONNX's protocol buffers that hold any; the
graphs are not run. The files are those whose digests `wheel.py` pins, so a name or a shape that
does not fit is a mistake in this module, and is an error all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.errors import ModelBroken
from engine.models.deepfilternet.network import Network

__all__ = ["network_from", "tensors"]

_Array = npt.NDArray[np.float32]
_FLOAT = 1  # TensorProto.DataType
_LENGTH_DELIMITED = 2

_ENCODER = {
    "encoder.bands.0.0.weight": "onnx::Conv_282",
    "encoder.bands.0.0.bias": "onnx::Conv_283",
    "encoder.bands.1.apart.weight": "erb_conv1.0.weight",
    "encoder.bands.1.across.weight": "onnx::Conv_285",
    "encoder.bands.1.across.bias": "onnx::Conv_286",
    "encoder.bands.2.apart.weight": "erb_conv2.0.weight",
    "encoder.bands.2.across.weight": "onnx::Conv_288",
    "encoder.bands.2.across.bias": "onnx::Conv_289",
    "encoder.bands.3.apart.weight": "erb_conv3.0.weight",
    "encoder.bands.3.across.weight": "onnx::Conv_291",
    "encoder.bands.3.across.bias": "onnx::Conv_292",
    "encoder.low.0.apart.weight": "df_conv0.1.weight",
    "encoder.low.0.across.weight": "onnx::Conv_294",
    "encoder.low.0.across.bias": "onnx::Conv_295",
    "encoder.low.1.apart.weight": "df_conv1.0.weight",
    "encoder.low.1.across.weight": "onnx::Conv_297",
    "encoder.low.1.across.bias": "onnx::Conv_298",
    "encoder.low_out.weight": "df_fc_emb.0.weight",
    "encoder.memory.into.weight": "emb_gru.linear_in.0.weight",
    "encoder.out.weight": "emb_gru.linear_out.0.weight",
}
_GAINS = {
    "gains.memory.into.weight": "emb_gru.linear_in.0.weight",
    "gains.out.weight": "emb_gru.linear_out.0.weight",
    "gains.passed.3.weight": "onnx::Conv_288",
    "gains.passed.3.bias": "onnx::Conv_289",
    "gains.deepest.apart.weight": "convt3.0.weight",
    "gains.deepest.across.weight": "onnx::Conv_291",
    "gains.deepest.across.bias": "onnx::Conv_292",
    "gains.passed.2.weight": "onnx::Conv_294",
    "gains.passed.2.bias": "onnx::Conv_295",
    "gains.widening.0.apart.weight": "convt2.0.weight",
    "gains.widening.0.across.weight": "onnx::Conv_297",
    "gains.widening.0.across.bias": "onnx::Conv_298",
    "gains.passed.1.weight": "onnx::Conv_300",
    "gains.passed.1.bias": "onnx::Conv_301",
    "gains.widening.1.apart.weight": "convt1.0.weight",
    "gains.widening.1.across.weight": "onnx::Conv_303",
    "gains.widening.1.across.bias": "onnx::Conv_304",
    "gains.passed.0.weight": "onnx::Conv_306",
    "gains.passed.0.bias": "onnx::Conv_307",
    "gains.last.weight": "onnx::Conv_309",
    "gains.last.bias": "onnx::Conv_310",
}
_FILTERS = {
    "filters.memory.into.weight": "df_gru.linear_in.0.weight",
    "filters.skip.weight": "df_skip.weight",
    "filters.low.weight": "df_convp.1.weight",
    "filters.low_across.weight": "onnx::Conv_268",
    "filters.low_across.bias": "onnx::Conv_269",
    "filters.out.weight": "df_out.0.weight",
}
_UNITS = {
    "enc.onnx": [("encoder.memory.units", 0, "/emb_gru/Constant_{}_output_0", (3, 4, 5))],
    "erb_dec.onnx": [
        ("gains.memory.units", 0, "/emb_gru/Constant_{}_output_0", (3, 4, 5)),
        ("gains.memory.units", 1, "/emb_gru/Constant_{}_output_0", (9, 10, 11)),
    ],
    "df_dec.onnx": [
        ("filters.memory.units", 0, "onnx::GRU_{}", (291, 292, 293)),
        ("filters.memory.units", 1, "onnx::GRU_{}", (311, 312, 313)),
    ],
}
"""Recurrent layers: the module and layer, and what its three tensors are called."""
_NAMED = {"enc.onnx": _ENCODER, "erb_dec.onnx": _GAINS, "df_dec.onnx": _FILTERS}


def network_from(files: Mapping[str, bytes]) -> Network:
    """Build the network from the ONNX files, by name.

    Raises
    ------
    ModelBroken
        A tensor is missing or of another shape; the message names it.

    """
    state: dict[str, Tensor] = {}
    for name, named in _NAMED.items():
        try:
            found = tensors(files[name])
            for ours, theirs in named.items():
                state[ours] = torch.from_numpy(found[theirs])
            for module, layer, theirs, numbers in _UNITS[name]:
                state |= _units(module, layer, [found[theirs.format(n)] for n in numbers])
        except (KeyError, ValueError, IndexError) as error:
            raise ModelBroken(f"DeepFilterNet3's {name} does not hold what it should: {error}.")
    network = Network()
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelBroken(f"DeepFilterNet3's weights do not fit the network: {error}") from error
    return network.eval()


def tensors(data: bytes) -> dict[str, _Array]:
    """Return all float32 tensors of an ONNX file: its initializers, and constants by output."""
    found = {}
    (graph,) = _fields(data, 7)
    for initializer in _fields(graph, 5):
        (name,) = _fields(initializer, 8)
        _put(found, name, initializer)
    for node in _fields(graph, 1):
        if b"Constant" in _fields(node, 4):
            (name,) = _fields(node, 2)
            for attribute in _fields(node, 5):
                for tensor in _fields(attribute, 5):
                    _put(found, name, tensor)
    return found


def _put(found: dict[str, _Array], name: bytes, tensor: bytes) -> None:
    if [kind for number, kind in _read(tensor) if number == 2] != [_FLOAT]:
        return
    shape = [int(size) for number, size in _read(tensor) if number == 1 and isinstance(size, int)]
    (raw,) = _fields(tensor, 9)
    found[name.decode()] = np.frombuffer(raw, "<f4").reshape(shape).astype(np.float32)


def _fields(message: bytes, wanted: int) -> list[bytes]:
    """Return the length-delimited fields of that number."""
    return [v for number, v in _read(message) if number == wanted and isinstance(v, bytes)]


def _read(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a message of protocol buffers: number, and integer or bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, form = key >> 3, key & 7
        if form == 0:
            value, at = _varint(message, at)
            yield number, value
        elif form == _LENGTH_DELIMITED:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("it ends in the middle of a field")
            yield number, message[at : at + length]
            at += length
        elif form in (1, 5):
            at += 8 if form == 1 else 4
        else:
            raise ValueError(f"a field of the unknown form {form}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _units(module: str, layer: int, given: list[_Array]) -> dict[str, Tensor]:
    """Return a layer of gated recurrent units as torch names and orders it.

    ONNX stacks the gates update, reset, new; torch wants reset, update, new.
    """
    (into,), (again,), (biases,) = given
    values = {"weight_ih": into, "weight_hh": again}
    values["bias_ih"], values["bias_hh"] = np.split(biases, 2)
    swapped = {}
    for name, value in values.items():
        update, reset, new = np.split(value, 3)
        swapped[f"{module}.{name}_l{layer}"] = torch.from_numpy(
            np.concatenate([reset, update, new])
        )
    return swapped
