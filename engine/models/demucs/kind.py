"""htdemucs as a kind of model: a checkpoint, converted once into a file without code in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from engine.errors import ModelBroken
from engine.models.demucs import checkpoint
from engine.models.demucs.separator import Demucs
from engine.models.records import Entry, Finding, Progress, check_source, source_of
from engine.models.weights import check

__all__ = ["ROLES", "add", "load", "verify"]

WEIGHTS = "weights"
ROLES = {WEIGHTS: "the checkpoint"}


def add(entry: Entry, files: Mapping[str, Path], progress: Progress) -> Entry:
    """Check a checkpoint in every tensor and convert it; see `engine.models.kinds.Kind`.

    A checkpoint in the model's own folder, as a pull leaves it, goes when it is converted.
    """
    path = files[WEIGHTS]
    state = checkpoint.read(path)
    target = entry.folder / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in state.items()}, target)
    del state  # mapped from the file, which some systems do not let go before
    if path.is_relative_to(entry.folder):
        path.unlink()
    return replace(entry, sources=(source_of(WEIGHTS, target, entry.folder, progress),))


def load(entry: Entry) -> Demucs:
    """Load the network from what `add` wrote; see `engine.models.kinds.Kind`."""
    for found in verify(entry, lambda _: None):
        if found.problem:
            raise ModelBroken(
                f"The model {entry.name} cannot be loaded: {found.path} {found.problem}; remove "
                f"it ('tweeze models remove {entry.name}') and get it anew."
            )
    try:
        weights = load_file(entry.main)
    except (SafetensorError, OSError) as error:
        raise ModelBroken(f"{entry.main} is damaged: {error}.") from error
    check(entry.main, weights, checkpoint.shapes())
    return Demucs(entry.name, weights)


def verify(entry: Entry, progress: Progress) -> tuple[Finding, ...]:
    """Compare the converted weights with their record."""
    return tuple(check_source(entry, source, progress) for source in entry.sources)
