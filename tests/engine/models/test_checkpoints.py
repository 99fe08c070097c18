"""Checkpoints are read strictly, in every published layout, and never run."""

from __future__ import annotations

import json
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import ModelBroken
from engine.models.audiosep import checkpoint, network, text

State = dict[str, torch.Tensor]
PREFIX = "query_encoder.model."


def lightning(state: State, path: Path) -> None:
    torch.save({"epoch": 27, "global_step": 4_000_000, "state_dict": state, "callbacks": {}}, path)


def flat(state: State, path: Path) -> None:
    torch.save(state, path)


def old_format(state: State, path: Path) -> None:
    torch.save({"state_dict": state}, path, _use_new_zipfile_serialization=False)


def safetensors(state: State, path: Path) -> None:
    """Write zeros, as a file with holes: the format without 700 MB on disk."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in state.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        kind = {torch.float32: "F32", torch.int64: "I64"}[tensor.dtype]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [start, end]}
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        file.truncate(8 + len(head) + end)


def clap(state: State, path: Path) -> None:
    """Write the separate text encoder's layout: wrapped names, NumPy numbers, an index table."""
    inner = {
        f"module.{name.removeprefix(PREFIX)}": tensor
        for name, tensor in state.items()
        if name.startswith(PREFIX)
    }
    inner["module.text_branch.embeddings.position_ids"] = torch.arange(514)[None]
    metrics = {"best": np.float64(0.8998), "epoch": np.int64(15)}
    torch.save({"epoch": 15, "metrics": metrics, "state_dict": inner}, path)


def separator_only(state: State, path: Path) -> None:
    torch.save({name: t for name, t in state.items() if name.startswith("ss_model.")}, path)


LAYOUTS = [lightning, flat, safetensors, clap, separator_only]
Write = Callable[[State, Path], None]


@pytest.fixture(params=LAYOUTS, ids=lambda write: write.__name__)
def write(request: pytest.FixtureRequest) -> Write:
    layout: Write = request.param
    return layout


def victim(write: Write) -> str:
    """Return a tensor that the layout holds and that is read."""
    if write is clap:
        return f"{PREFIX}text_branch.encoder.layer.7.output.dense.weight"
    return "ss_model.film.decoder_block4->conv_block2->beta1.weight"


def test_each_layout_is_read(write, hollow_state, tmp_path):
    write(hollow_state, tmp_path / "model")
    found = checkpoint.read(tmp_path / "model")
    assert found.separator.keys() == (set() if write is clap else network.shapes().keys())
    assert found.text.keys() == (set() if write is separator_only else text.shapes().keys())


def test_the_format_before_torch_1_6_is_read(hollow_state, tmp_path):
    state = {name: t for name, t in hollow_state.items() if name.startswith("ss_model.")}
    old_format(state, tmp_path / "model")
    assert checkpoint.read(tmp_path / "model").separator.keys() == network.shapes().keys()


def test_a_missing_tensor_is_named(write, hollow_state, tmp_path):
    name = victim(write)
    del (state := dict(hollow_state))[name]
    write(state, tmp_path / "model")
    with pytest.raises(ModelBroken, match=f"lacks .*{re.escape(name.removeprefix(PREFIX))}"):
        checkpoint.read(tmp_path / "model")


@pytest.mark.parametrize("unused", ["base.decoder_block2.bn2.weight", "base.stft.conv_real.weight"])
def test_a_missing_tensor_is_named_even_if_inference_needs_none(unused, hollow_state, tmp_path):
    del (state := dict(hollow_state))[f"ss_model.{unused}"]
    lightning(state, tmp_path / "model")
    with pytest.raises(ModelBroken, match=re.escape(unused)):
        checkpoint.read(tmp_path / "model")


@pytest.mark.parametrize("end", [".weight2", ""])
def test_an_unexpected_tensor_is_named(write, hollow_state, tmp_path, end):
    name = victim(write) + end if end else f"{PREFIX}another_branch.weight"
    if write is separator_only and not end:
        name = "ss_model.another.weight"
    write({**hollow_state, name: torch.zeros(())}, tmp_path / "model")
    bare = re.escape(name.removeprefix(PREFIX))
    with pytest.raises(ModelBroken, match=f"unexpected .*{bare}"):
        checkpoint.read(tmp_path / "model")


def test_a_misshapen_tensor_is_named(write, hollow_state, tmp_path):
    name = victim(write)
    shape = tuple(hollow_state[name].shape)
    write({**hollow_state, name: torch.zeros(()).expand(shape[::-1])}, tmp_path / "model")
    with pytest.raises(ModelBroken, match=re.escape(name.removeprefix(PREFIX))) as caught:
        checkpoint.read(tmp_path / "model")
    assert str(shape) in str(caught.value)
    assert str(shape[::-1]) in str(caught.value)


@pytest.mark.parametrize(("window", "said"), [(1024, "for 16 kHz"), (512, "512 samples and not")])
def test_a_network_for_another_rate_is_refused_for_what_it_is(
    write, hollow_state, tmp_path, window, said
):
    """The baseline of DCASE 2024: the same network at 16 kHz, window 1024, hop 160."""
    ours, theirs = (network.N_FFT, network.N_FFT // 2 + 1), (window, window // 2 + 1)
    sizes = dict(zip(ours, theirs, strict=True))
    state = {
        name: torch.zeros((), dtype=t.dtype).expand([sizes.get(n, n) for n in t.shape])
        if name.startswith("ss_model.")
        else t
        for name, t in hollow_state.items()
    }
    assert state["ss_model.base.stft.conv_real.weight"].shape == (theirs[1], 1, window)
    write(state, tmp_path / "model")
    if write is clap:  # it has no network
        checkpoint.read(tmp_path / "model")
        return
    with pytest.raises(ModelBroken, match=said) as caught:
        checkpoint.read(tmp_path / "model")
    assert str(caught.value).count("\n") == 0
    assert "Tweeze takes those for 32 kHz" in str(caught.value)


def test_a_number_that_is_none_is_named(hollow_state, tmp_path):
    name = "ss_model.base.encoder_block4.conv_block1.bn2.running_var"
    state = {n: t for n, t in hollow_state.items() if n.startswith("ss_model.")}
    state[name] = torch.full((256,), float("nan"))
    lightning(state, tmp_path / "model")
    with pytest.raises(ModelBroken, match=re.escape(name)):
        checkpoint.read(tmp_path / "model")


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("place", ["state", "beside", "whole", "bare"])
def test_code_in_a_checkpoint_does_not_run(place, hollow_state, tmp_path):
    mark = tmp_path / "was here"
    trap = Trap(f"touch '{mark}'")
    path = tmp_path / "model.ckpt"
    if place == "bare":
        path.write_bytes(pickle.dumps(trap))
    else:
        state = {n: t for n, t in hollow_state.items() if n.startswith("ss_model.")}
        holder = {
            "state": {"state_dict": {**state, "x": trap}},
            "beside": {"state_dict": state, "hyper_parameters": trap},
            "whole": trap,
        }[place]
        torch.save(holder, path)
    with pytest.raises(ModelBroken, match=r"not loaded|damaged"):
        checkpoint.read(path)
    assert not mark.exists()
    pickle.loads(pickle.dumps(trap))  # the trap itself works
    assert mark.exists()


def test_the_message_names_what_a_checkpoint_asks_to_run(tmp_path):
    torch.save({"state_dict": {}, "x": Trap("true")}, tmp_path / "model")
    with pytest.raises(ModelBroken, match=r"asks to run '(posix|nt)\.system'"):
        checkpoint.read(tmp_path / "model")


@pytest.mark.parametrize("kept", [0, 5, 100, 20_000])
def test_a_cut_file_is_damaged(write, hollow_state, tmp_path, kept):
    path = tmp_path / "model"
    write(hollow_state, path)
    with path.open("r+b") as file:
        file.truncate(kept)
    with pytest.raises(ModelBroken, match=r"damaged|not a checkpoint"):
        checkpoint.read(path)


def test_other_files_are_no_checkpoint(tmp_path):
    path = tmp_path / "model"
    for content in (b"RIFF....WAVE", b"{}", json.dumps({"a": 1}).encode() * 9, bytes(4096)):
        path.write_bytes(content)
        with pytest.raises(ModelBroken):
            checkpoint.read(path)
    for value in (3, [1, 2], {"weights": torch.zeros(2)}, {"state_dict": {"ss_model.x": 3}}):
        torch.save(value, path)
        with pytest.raises(ModelBroken):
            checkpoint.read(path)
    with pytest.raises(ModelBroken, match="Cannot read"):
        checkpoint.read(tmp_path / "nothing")
