"""AudioSep with formula weights: a checkpoint as it is published, and the model made of it.

A conftest that imports the fixtures shares them with its tests.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest
import torch

from engine.folders import Folders
from engine.models import catalogue
from engine.models.audiosep import AudioSep, FastForm, network, separator, text
from engine.models.audiosep.kind import fast_form
from engine.models.records import Entry

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
# The tokenizer is not part of this repository (nor of a checkpoint): see docs/models.md.
TOKENIZERS = (
    Path(__file__).parents[1] / "data" / "roberta-base",
    Path(__file__).parents[3] / "shared" / "data" / "roberta-base",
)


def _formula() -> ModuleType:
    spec = importlib.util.spec_from_file_location("formula", GOLDEN / "formula.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def golden() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def formula() -> ModuleType:
    return _formula()


@pytest.fixture(scope="session")
def roberta() -> Path:
    for folder in TOKENIZERS:
        if all((folder / name).is_file() for name in (text.VOCABULARY, text.MERGES)):
            return folder
    message = (
        "NOT TESTED: AudioSep's text encoder and everything behind it, for want of RoBERTa's "
        f"tokenizer. Put vocab.json and merges.txt of roberta-base into {TOKENIZERS[0]}."
    )
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.warn(message, stacklevel=1)
    pytest.skip(message)


@pytest.fixture(scope="session")
def separator_state(formula: ModuleType) -> dict[str, torch.Tensor]:
    """The published separation network's tensors, by the formula."""
    state = formula.state(network.shapes())
    return {name: torch.from_numpy(array) for name, array in state.items()}


@pytest.fixture(scope="session")
def folded(separator_state: dict[str, torch.Tensor]) -> network.Network:
    return network.Network.from_state(network.fold(separator_state))


@pytest.fixture(scope="session")
def official(separator_state: dict[str, torch.Tensor], formula: ModuleType, room: Path) -> Path:
    """A whole checkpoint as Lightning saves it, with formula weights where they are read."""
    state = {f"ss_model.{name}": tensor for name, tensor in separator_state.items()}
    for name, shape in json.loads((GOLDEN / "clap_keys_shapes.json").read_text()).items():
        read = name.startswith(("text_branch.", "text_projection."))
        values = torch.from_numpy(formula.tensor(name, tuple(shape))) if read else hollow(shape)
        state[f"query_encoder.model.{name}"] = values
    path = room / "audiosep_base_4M_steps.ckpt"
    torch.save(lightning(state), path)
    return path


@pytest.fixture(scope="session")
def room() -> Iterator[Path]:
    """A folder for large files that goes away with the session."""
    with tempfile.TemporaryDirectory(prefix="tweeze-models-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def hollow_state() -> dict[str, torch.Tensor]:
    """All tensors of an official checkpoint, by name: zeros that take no room."""
    separator = json.loads((GOLDEN / "keys_shapes.json").read_text())
    clap = json.loads((GOLDEN / "clap_keys_shapes.json").read_text())
    state = {f"ss_model.{name}": hollow(shape, name) for name, shape in separator.items()}
    return state | {f"query_encoder.model.{name}": hollow(shape) for name, shape in clap.items()}


def hollow(shape: Sequence[int], name: str = "") -> torch.Tensor:
    kind = torch.int64 if name.endswith("num_batches_tracked") else torch.float32
    return torch.zeros((), dtype=kind).expand(tuple(shape))


def lightning(state: dict[str, torch.Tensor]) -> dict[str, object]:
    return {
        "epoch": 27,
        "global_step": 4_000_000,
        "pytorch-lightning_version": "2.0.0",
        "state_dict": state,
        "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {},
        "optimizer_states": [{"state": {}, "param_groups": [{"lr": 1e-3, "amsgrad": True}]}],
        "lr_schedulers": [{"last_epoch": 4_000_000, "_last_lr": [1e-3]}],
    }


@pytest.fixture(scope="session")
def folders(room: Path) -> Folders:
    made = Folders(room / "home")
    made.make()
    return made


@pytest.fixture(scope="session")
def entry(folders: Folders, official: Path, roberta: Path) -> Entry:
    """The official checkpoint with formula weights, added to the catalogue."""
    return catalogue.add(
        folders, "formula", "audiosep", official, also={"tokenizer": roberta}, licence="none"
    )


@pytest.fixture(scope="session")
def measured(entry: Entry) -> FastForm:
    """The fast form after its first use, for which both runtimes were made and measured."""
    form = fast_form(entry)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(separator, "_TRIAL", network.BLOCK)  # which is faster is not the point
        AudioSep(entry.name, form).runtime  # noqa: B018 - makes and measures
    return form


@pytest.fixture(scope="session", params=["torch", "openvino"])
def audiosep(request: pytest.FixtureRequest, entry: Entry, measured: FastForm) -> AudioSep:
    """The model, once in each runtime."""
    return AudioSep(entry.name, measured, runtime=request.param)
