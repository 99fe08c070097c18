"""Compares weights of ``compact`` with each other, sound by sound, before any is measured whole.

    python -m engine.training.versus STORE RUN/weights.safetensors engine/models/compact
    python -m engine.training.versus STORE FIRST SECOND --mean 0.5 --plain

Each candidate is a weight file, or a folder that holds ``weights.safetensors``; ``--mean`` adds the
mean of the first two, weight by weight, with that share of the first. The networks alone answer,
without competition, in whole clips, mixtures of other seeds than those that the model card quotes.
Printed for each set of mixtures: mean and median SI-SDR improvement in dB, how loud the sound
comes out (``kept``, dB, median), and the mean difference from the last candidate named, with its
standard error over the same sounds. Where ``captions.txt`` lies beside the weights, queries are
drawn towards them; ``--plain`` adds each candidate without that.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from engine.errors import BadInput
from engine.models.compact import Compact, from_files, load_network, trunk_channels
from engine.models.compact.heads import heads_from, save_heads
from engine.models.compact.learned import CAPTIONS, captions_text, read_captions
from engine.models.compact.weights import save_weights
from engine.taxonomy.classes import load_taxonomy
from engine.training.evaluate import separate
from engine.training.figures import kept, score
from engine.training.scenes import corpus_sets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from engine.training.scenes import Scene, SceneSet

__all__ = ["candidates", "compare", "keep_mean", "mean_of", "table"]

SEED = 5
"""Of the mixtures; the model card's are 2026."""
WEIGHTS, HEADS = "weights.safetensors", "heads.safetensors"


def weight_file(place: Path) -> Path:
    """Return a candidate's weight file; BadInput where there is none."""
    file = place / WEIGHTS if place.is_dir() else place
    if not file.is_file():
        raise BadInput(f"There is no file {file}: name weights, or a folder that holds {WEIGHTS}.")
    return file


def candidates(
    places: Sequence[Path], mean: float | None = None, *, plain: bool = False
) -> dict[str, Compact]:
    """Load the networks by what they are called in the table.

    Parameters
    ----------
    places
        Weight files, or folders with one.
    mean
        Adds the mean of the first two, with that share of the first.
    plain
        Adds each one that has captions without them.

    Raises
    ------
    BadInput
        A file is missing, or there are no two to take the mean of.
    ModelBroken
        A file does not fit.

    """
    found: dict[str, Compact] = {}
    for place in places:
        file = weight_file(place)
        listed = file.with_name(CAPTIONS)
        found[str(place)] = from_files(file, None, listed if listed.is_file() else None)
    if mean is not None:
        if len(found) < 2:
            raise BadInput("A mean takes two candidates: name another one.")
        first, second = list(found.values())[:2]
        captions = second.learned.captions if second.learned is not None else None
        name = f"{mean:g} of the first, {1 - mean:g} of the second"
        found = {
            name: Compact(mean_of(first.net, second.net, mean), first.table, captions),
            **found,
        }
    if plain:
        for name, model in list(found.items()):
            if model.learned is not None:
                found = {f"{name}, queries as they are": Compact(model.net, model.table), **found}
    return found


Module = TypeVar("Module", bound=torch.nn.Module)


def mean_of(first: Module, second: Module, share: float) -> Module:
    """Return a module whose weights are ``share`` of the first one's, and the rest the other's."""
    mean = copy.deepcopy(first)
    one, other = first.state_dict(), second.state_dict()
    mean.load_state_dict(
        {
            key: value.lerp(one[key], share) if value.dtype.is_floating_point else one[key]
            for key, value in other.items()
        }
    )
    return mean


def keep_mean(first: Path, second: Path, share: float, folder: Path) -> None:
    """Write the mean of two candidates to a folder: weights, and where both have them, heads.

    Its captions are those that either has learned from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [weight_file(place) for place in (first, second)]
    one, other = (load_network(file) for file in files)
    save_weights(mean_of(one, other, share).state_dict(), folder / WEIGHTS)
    heads = [file.with_name(HEADS) for file in files]
    if all(file.is_file() for file in heads):
        channels = trunk_channels(one)
        mine, theirs = (heads_from(file.read_bytes(), str(file), channels) for file in heads)
        save_heads(mean_of(mine, theirs, share), folder / HEADS)
    listed = [file.with_name(CAPTIONS) for file in files]
    captions = {text for f in listed if f.is_file() for text in read_captions(f.read_bytes(), f)}
    if captions:
        text = captions_text(sorted(captions))
        (folder / CAPTIONS).write_text(text, encoding="utf-8", newline="\n")


def compare(
    models: Mapping[str, Compact], sets: Sequence[SceneSet]
) -> dict[str, NDArray[np.float64]]:
    """Separate every requested sound of each set with every model.

    Returns by the set's key ``(models, sounds, 2)``: SI-SDR improvement and ``kept``, in dB.
    """
    return {
        each.key: np.concatenate([_answered(models, scene) for scene in each.scenes()], axis=1)
        for each in sets
    }


def _answered(models: Mapping[str, Compact], scene: Scene) -> NDArray[np.float64]:
    """Return ``(models, questions, 2)``."""
    mixture = scene.mixture[0]
    found = np.zeros((len(models), len(scene.questions), 2))
    for row, model in zip(found, models.values(), strict=True):
        vectors = np.stack([model.embed(question.caption) for question in scene.questions])
        answers = separate(model.net, mixture, vectors)
        for cell, question, answer in zip(row, scene.questions, answers, strict=True):
            truth = question.truth[0]
            cell[:] = score(truth, answer) - score(truth, mixture), kept(truth, answer)
    return found


def table(names: Sequence[str], found: Mapping[str, NDArray[np.float64]]) -> str:
    """Return what `compare` found as text; differences are from the last name."""
    lines = []
    for key, figures in found.items():
        gains = figures[..., 0]
        lines.append(f"{key}, {gains.shape[1]} sounds")
        for name, row, loud in zip(names, gains, figures[..., 1], strict=True):
            apart = row - gains[-1]
            error = apart.std(ddof=1) / np.sqrt(apart.size) if apart.size > 1 else np.nan
            lines.append(
                f"    mean {row.mean():6.2f}  median {np.median(row):6.2f}  kept "
                f"{np.median(loud):6.2f}  difference {apart.mean():+6.2f} +- {error:.2f}  {name}"
            )
    return "\n".join(lines)


def main() -> None:
    """Compare from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path, help="folder written by engine.training.corpus")
    parser.add_argument("candidates", type=Path, nargs="+", help="weight files, or their folders")
    parser.add_argument("--mean", type=float, metavar="SHARE", help="add the mean of the first two")
    parser.add_argument("--plain", action="store_true", help="and queries that are not drawn")
    parser.add_argument("--pairs", type=int, default=60, help="mixtures of each set")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--sets", help="some of them, by their keys, with commas between")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write the mean there")
    arguments = parser.parse_args()
    if arguments.keep is not None and arguments.mean is None:
        parser.error("--keep writes the mean of the first two: say its share with --mean.")
    torch.set_num_threads(1)
    models = candidates(arguments.candidates, arguments.mean, plain=arguments.plain)
    if arguments.keep is not None:
        first, second = arguments.candidates[:2]
        keep_mean(first, second, arguments.mean, arguments.keep)
    sets = corpus_sets(arguments.store, load_taxonomy(), arguments.pairs, arguments.seed)
    if arguments.sets:
        sets = tuple(each for each in sets if each.key in arguments.sets.split(","))
    for each in sets:
        print(table(list(models), compare(models, [each])), flush=True)


if __name__ == "__main__":
    main()
