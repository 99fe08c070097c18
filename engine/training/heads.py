"""Trains the heads of ``compact`` (presence and tags) on a network that stays as it is.

`engine.training.train` trains them together with the network; this is for other heads on a network
that is finished, and says how well they do.

    python -m engine.training.heads STORE FOLDER [--weights FILE] [--mixtures 12000]
    python -m engine.training.heads STORE FOLDER [--weights FILE] --measure HEADS

The network hears each mixture once a query and once without; what its coarsest layer says is kept
in ``FOLDER`` (in parts, so that an interrupted run goes on), and two small perceptrons are trained
on that. ``FOLDER`` also gets ``heads.safetensors`` and the figures on held-out recordings.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.multiprocessing as multiprocessing
from scipy.stats import rankdata

from engine import processes
from engine.models.compact import load_network, trunk_channels
from engine.models.compact.heads import Heads, evidence, heads_from, save_heads, summarised
from engine.models.compact.network import VECTOR
from engine.taxonomy.classes import load_taxonomy
from engine.taxonomy.text import load_text_table
from engine.training.corpus import HELD_OUT, TRAIN
from engine.training.losses import presence_loss, tag_loss
from engine.training.mixing import Mixer, MixingOptions, phrase
from engine.training.scenes import load_stores
from engine.training.transform import precision, stft

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from engine.models.compact.network import CompactNet
    from engine.taxonomy.classes import Taxonomy

QUERIES = 4
PART = 500
"""Mixtures that are kept in one file."""
ABSENT = 0.5
"""Share of queries for what is not there, half of them for a neighbour of what is."""
PRESENCE_EPOCHS = 8
TAG_EPOCHS = 40
BATCH = 128
RATE = 3e-3
"""Peak learning rate."""
BUNDLED = Path(__file__).parents[1] / "models" / "compact" / "weights.safetensors"


@dataclass(frozen=True)
class Heard:
    """What the network heard in some mixtures, and the truth; float16 where it is large."""

    asked: Tensor
    """``(queries, blocks, 2 channels)``: activations of the passes with a query."""
    passed: Tensor
    """``(queries, blocks, 2)``: see :func:`engine.models.compact.heads.evidence`."""
    vectors: Tensor
    """``(queries, VECTOR)``"""
    present: Tensor
    """``(queries,)``: 1 where the sound is in the mixture."""
    free: Tensor
    """``(mixtures, blocks, 2 channels)``: activations of the pass without a query."""
    tags: Tensor
    """``(mixtures, labels)``: 1 for each class that is in the mixture, or has a kind in it."""


def labels_of(names: Sequence[str], taxonomy: Taxonomy) -> tuple[str, ...]:
    """Return the classes that clips of these classes can be tagged with, sorted."""
    return tuple(sorted({above for name in names for above in taxonomy.lineage(name)}))


def tags_of(names: Sequence[str], labels: Sequence[str], taxonomy: Taxonomy) -> NDArray[np.float32]:
    """Return 1 for each label that a sound of these classes has or is a kind of, else 0."""
    true = frozenset(above for name in names for above in taxonomy.lineage(name))
    return np.array([label in true for label in labels], np.float32)


def hear(
    net: CompactNet, mixer: Mixer, labels: Sequence[str], seed: tuple[int, ...], mixtures: int
) -> Heard:
    """Draw mixtures, let the network hear them, and write down what is in them."""
    rng = np.random.default_rng(seed)
    table, taxonomy = load_text_table(), load_taxonomy()
    block = net.config.net.time_block
    parts: dict[str, list[Tensor]] = {field.name: [] for field in fields(Heard)}
    with torch.inference_mode(), precision():
        for _ in range(mixtures):
            example = mixer.example(rng, QUERIES)
            vectors = np.stack([table.embed(phrase(c, rng)) for c in example.captions])
            magnitude = stft(torch.from_numpy(example.mixture)[None]).abs()
            rms = magnitude.new_full((1,), float(np.sqrt(np.mean(example.mixture**2))))
            asked = torch.from_numpy(vectors)
            every = magnitude.expand(QUERIES, -1, -1)
            mask, inside = net.analyse(every, asked, rms.expand(QUERIES))
            tags = torch.from_numpy(tags_of(example.names, labels, taxonomy))
            parts["asked"].append(summarised(inside).half())
            parts["passed"].append(evidence(mask.float(), every, block))
            parts["vectors"].append(asked)
            parts["present"].append(torch.from_numpy(example.targets.any(axis=1)).float())
            parts["free"].append(summarised(net.listen(magnitude, rms)).half())
            parts["tags"].append(tags[None])
    return Heard(**{name: torch.cat(tensors) for name, tensors in parts.items()})


def gather(
    store: Path, folder: Path, weights: Path, split: str, mixtures: int, worker: tuple[int, int]
) -> None:
    """Write this worker's share (``number``, ``of``) of the parts of a split."""
    torch.set_num_threads(1)
    net = load_network(weights).eval()
    taxonomy = load_taxonomy()
    labels = labels_of(load_stores(store, TRAIN).names, taxonomy)
    clips = load_stores(store, split)
    options = MixingOptions(absent=ABSENT, unknown=0.0)
    if split != TRAIN:
        options = MixingOptions(absent=ABSENT, unknown=0.0, augment=0.0)
    mixer = Mixer(clips, taxonomy, options)
    for part in range(worker[0], -(-mixtures // PART), worker[1]):
        path = folder / f"{split}-{part:03}.pt"
        if path.exists():
            continue
        heard = hear(net, mixer, labels, (91, part, len(split)), min(PART, mixtures - part * PART))
        draft = path.with_suffix(".tmp")
        torch.save({f.name: getattr(heard, f.name) for f in fields(Heard)}, draft)
        draft.replace(path)


def read(folder: Path, split: str) -> Heard:
    """Read the parts of a split together."""
    parts = [torch.load(p, weights_only=True) for p in sorted(folder.glob(f"{split}-*.pt"))]
    return Heard(**{f.name: torch.cat([part[f.name] for part in parts]) for f in fields(Heard)})


def train(heads: Heads, heard: Heard, seed: int = 0) -> None:
    """Train both heads on the likeliest block of each stretch."""

    def presence(rows: Tensor) -> Tensor:
        return presence_loss(
            heads,
            heard.asked[rows].float(),
            heard.passed[rows],
            heard.vectors[rows],
            heard.present[rows],
        )

    def tags(rows: Tensor) -> Tensor:
        return tag_loss(heads, heard.free[rows].float(), heard.tags[rows])

    generator = torch.Generator().manual_seed(seed)
    heads.train()
    _fit(heads.presence, presence, len(heard.present), PRESENCE_EPOCHS, generator)
    _fit(heads.tags, tags, len(heard.tags), TAG_EPOCHS, generator)
    heads.eval()


def _fit(
    layers: torch.nn.Module,
    loss_of: Callable[[Tensor], Tensor],
    count: int,
    epochs: int,
    generator: torch.Generator,
) -> None:
    """Minimise the loss over ``count`` examples that are named by their numbers."""
    optimizer = torch.optim.AdamW(layers.parameters(), weight_decay=3e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, epochs * -(-count // BATCH))
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(count, generator=generator), BATCH):
            loss = loss_of(rows)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()


def area_under_curve(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve: how often a true one scores above a false one."""
    ranks = rankdata(scores)
    positive = int(truth.sum())
    negative = len(truth) - positive
    if not positive or not negative:
        return float("nan")
    return float((ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * negative))


def figures(heads: Heads, heard: Heard) -> dict[str, float]:
    """Return how well the heads do on mixtures."""
    with torch.inference_mode():
        present = heads.present(heard.asked.float(), heard.passed, heard.vectors).amax(1)
        tagged = heads.tagged(heard.free.float()).amax(1)
    truth = heard.present.numpy() > 0.5
    probability = torch.sigmoid(present).numpy()
    best = tagged.topk(min(5, tagged.shape[1]), dim=1).indices
    hits = heard.tags.gather(1, best)
    areas = [
        area_under_curve(tagged[:, label].numpy(), heard.tags[:, label].numpy() > 0.5)
        for label in range(tagged.shape[1])
    ]
    return {
        "presence AUC": area_under_curve(probability, truth),
        "absent called present (p > 0.5) %": 100 * float((probability[~truth] > 0.5).mean()),
        "present called absent (p < 0.25) %": 100 * float((probability[truth] < 0.25).mean()),
        "absent below 0.25 %": 100 * float((probability[~truth] < 0.25).mean()),
        "tags AUC, mean of labels": float(np.nanmean(areas)),
        "tags, best one true %": 100 * float(hits[:, 0].mean()),
        "tags, best five true %": 100 * float(hits.mean()),
    }


def main() -> None:
    """Train the heads from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path, help="folder written by engine.training.corpus")
    parser.add_argument("folder", type=Path, help="folder of this run; an existing one goes on")
    parser.add_argument("--weights", type=Path, default=BUNDLED, help="of the network")
    parser.add_argument("--mixtures", type=int, default=12000, help="to learn from")
    parser.add_argument("--held-out", type=int, default=1000, help="mixtures to measure on")
    parser.add_argument("--processes", type=int, default=2, help="one a core")
    parser.add_argument("--measure", type=Path, help="heads to measure; nothing is trained then")
    arguments = parser.parse_args()
    for file in (arguments.weights, arguments.measure, arguments.store / "clips.csv"):
        if file is not None and not file.is_file():
            parser.error(f"there is no file {file}")
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    splits = {HELD_OUT: arguments.held_out}
    if arguments.measure is None:
        splits[TRAIN] = arguments.mixtures
    for split, count in splits.items():
        team = [
            context.Process(
                target=gather,
                args=(
                    arguments.store,
                    folder,
                    arguments.weights,
                    split,
                    count,
                    (number, arguments.processes),
                ),
            )
            for number in range(arguments.processes)
        ]
        with processes.isolated():
            for process in team:
                process.start()
        for process in team:
            process.join()
    channels = trunk_channels(load_network(arguments.weights))
    if arguments.measure is None:
        torch.manual_seed(0)
        labels = labels_of(load_stores(arguments.store, TRAIN).names, load_taxonomy())
        heads = Heads(channels, VECTOR, labels)
        train(heads, read(folder, TRAIN))
        save_heads(heads, folder / "heads.safetensors")
    else:
        heads = heads_from(arguments.measure.read_bytes(), str(arguments.measure), channels)
    for split in reversed(splits):
        print(split)
        for name, value in figures(heads, read(folder, split)).items():
            print(f"  {name:40} {value:8.2f}")


if __name__ == "__main__":
    main()
