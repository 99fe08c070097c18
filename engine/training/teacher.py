"""YAMNet as a teacher: what it hears in clips and mixtures, and which labels it contradicts.

    python -m engine.training.teacher STORE FOLDER

``FOLDER`` holds the network as TensorFlow Lite (``yamnet_spectra_in.tflite``) with its
``yamnet_class_map.csv``; nothing of it becomes part of what is shipped. ``STORE`` gets
``teacher.npz`` (what it hears in every clip) and ``contradicted.csv`` (clips whose label it
contradicts, what it hears in them instead, and what is to become of them). Where ``teacher.npz``
is there, only the table is written.
"""

from __future__ import annotations

import argparse
import csv
import warnings
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soxr

from engine.errors import BadInput
from engine.models.ears.spectra import BANDS, FRAME, HOP, SAMPLE_RATE, magnitudes
from engine.taxonomy.classes import LabelError, load_taxonomy
from engine.taxonomy.ontology import load_ontology, synonyms
from engine.taxonomy.phrases import folded
from engine.training.corpus import SAMPLE_RATE as STORED_RATE
from engine.training.corpus import TRAIN, UNSEEN_CLASSES, read_clips

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from engine.training.corpus import Clip

__all__ = [
    "DROP",
    "KEEP",
    "PATCH",
    "PATCH_HOP",
    "RELABEL",
    "Meaning",
    "Teacher",
    "active",
    "ancestors",
    "corrected",
    "load_meanings",
    "log_mel",
    "patches_of",
    "verdict",
]

PATCH, PATCH_HOP = 96, 48
"""Frames of a patch, and from one to the next: 0.96 s and 0.48 s."""
_OFFSET = 0.001
_ACTIVE_DB = 30.0
"""Patches that are this much quieter than a clip's loudest say nothing about it."""
DROP, RELABEL, KEEP = "drop", "relabel", "keep"
"""What becomes of a clip."""


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return YAMNet's logarithms of ``(samples,)`` at 16 kHz: ``(frames, 64)``."""
    return np.asarray(np.log(magnitudes(samples[None]) + np.float32(_OFFSET)), np.float32)


def patches_of(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut ``(frames, 64)`` into ``(patches, 96, 64)``; what is shorter is filled with silence."""
    if len(frames) < PATCH:
        silence = np.full((PATCH - len(frames), BANDS), np.log(_OFFSET), np.float32)
        frames = np.concatenate([frames, silence])
    view = np.lib.stride_tricks.sliding_window_view(frames, PATCH, axis=0)[::PATCH_HOP]
    return np.ascontiguousarray(view.transpose(0, 2, 1))


def active(samples: NDArray[np.float32], count: int) -> NDArray[np.bool_]:
    """Say which of the first ``count`` patches of ``(samples,)`` are loud enough to be judged."""
    ends = [
        (w * PATCH_HOP * HOP, (w * PATCH_HOP + PATCH) * HOP + FRAME - HOP) for w in range(count)
    ]
    power = np.array([np.square(samples[a:b], dtype=np.float64).sum() for a, b in ends])
    return np.asarray(power >= power.max(initial=0.0) * 10 ** (-_ACTIVE_DB / 10))


class Teacher:
    """YAMNet from a folder; one core.

    Raises
    ------
    BadInput
        The folder lacks a file, or ``ai-edge-litert`` is not installed.
    """

    def __init__(self, folder: Path) -> None:
        network, names = folder / "yamnet_spectra_in.tflite", folder / "yamnet_class_map.csv"
        for file in (network, names):
            if not file.is_file():
                raise BadInput(f"{folder} is not a teacher's folder: {file.name} is missing.")
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise BadInput(
                "The teacher needs ai-edge-litert: pip install 'tweeze[training]'."
            ) from error
        with names.open(encoding="utf-8", newline="") as table:
            self.labels = tuple(row["display_name"] for row in csv.DictReader(table))
        with warnings.catch_warnings():  # that all tensors are kept is meant for debugging, it says
            warnings.simplefilter("ignore")
            self._network: Any = Interpreter(
                str(network), num_threads=1, experimental_preserve_all_tensors=True
            )
        self._network.allocate_tensors()
        self._input = self._network.get_input_details()[0]["index"]
        self._output = self._network.get_output_details()[0]["index"]
        (self._inside,) = (
            detail
            for detail in self._network.get_tensor_details()
            if detail["name"].endswith("reduce_mean") and list(detail["shape"]) == [1, 1, 1, 1024]
        )

    def scores(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``(patches, 521)`` probabilities for ``(samples,)`` at 16 kHz."""
        return self.judge(patches_of(log_mel(samples)))[0]

    def embeddings(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``(patches, 1024)``: what the scores are computed from, 0 to 6."""
        return self.judge(patches_of(log_mel(samples)))[1]

    def judge(
        self, patches: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return scores and embeddings of ``(patches, 96, 64)`` logarithms."""
        scores = np.empty((len(patches), len(self.labels)), np.float32)
        inside = np.empty((len(patches), 1024), np.float32)
        scale, zero = self._inside["quantization"]
        for number, patch in enumerate(patches):
            self._network.set_tensor(self._input, patch[None])
            self._network.invoke()
            scores[number] = self._network.get_tensor(self._output)[0]
            raw = self._network.get_tensor(self._inside["index"]).reshape(-1)
            inside[number] = (raw.astype(np.float32) - zero) * scale
        return scores, inside


@dataclass(frozen=True)
class Meaning:
    """What a class of ours is called in AudioSet."""

    names: tuple[str, ...]
    """True of nearly every clip of the class; may be empty."""
    related: tuple[str, ...]
    """What a listener may call it as well."""

    @property
    def agreeing(self) -> frozenset[str]:
        """All names that do not contradict the class: these, what is above the names and below."""
        known = _ontology()
        above = {a for name in self.names for a in ancestors(name)}
        below = {name for name in known if set(self.names) & ancestors(name)}
        return frozenset({*self.names, *self.related, *above, *below})


_ontology, _taxonomy = cache(load_ontology), cache(load_taxonomy)


@cache
def ancestors(name: str) -> frozenset[str]:
    """Return everything above a name of AudioSet."""
    ontology = _ontology()
    found: set[str] = set()
    left = list(ontology[name])
    while left:
        parent = left.pop()
        if parent not in found:
            found.add(parent)
            left += ontology[parent]
    return frozenset(found)


def load_meanings() -> dict[str, Meaning]:
    """Read ``audioset_classes.csv``: every class of the taxonomy, in AudioSet's words.

    Raises
    ------
    LabelError
        A class is missing or unknown, or a name is not AudioSet's.
    """
    text = (files(__package__) / "audioset_classes.csv").read_text(encoding="utf-8")
    known, classes = load_ontology(), load_taxonomy().classes
    meanings = {}
    for row in csv.DictReader(text.splitlines()):
        names, related = (
            tuple(part for part in row[key].split("|") if part) for key in ("names", "related")
        )
        for name in (*names, *related):
            if name not in known:
                raise LabelError(f"audioset_classes.csv: {row['class']}: unknown name {name!r}")
        if row["class"] not in classes:
            raise LabelError(f"audioset_classes.csv: unknown class {row['class']!r}")
        meanings[row["class"]] = Meaning(names, related)
    for name in classes:
        if name not in meanings:
            raise LabelError(f"audioset_classes.csv lacks the class {name!r}")
    return meanings


_SURE_KINDS = frozenset({"speech", "music"})
"""Classes whose labels come from the source, with all that is below them."""
_UNHEARD, _BARELY, _LOUD_AND_CLEAR = 0.02, 0.1, 0.6
_FEW = 3


def verdict(
    clip: Clip, agreement: float, instead: str, score: float, known_as: Mapping[str, str]
) -> tuple[str, str]:
    """Decide what becomes of a clip; returns ``KEEP``, ``DROP`` or ``RELABEL`` and its class.

    A clip is kept if it is not for training (the yardsticks are frozen), if it is speech or music
    or an instrument (what those sources hold is certain), or if the teacher gives any name that
    agrees with its label 0.02 or more. What is left is called something else if the teacher is
    sure (0.6) of a name that stands for exactly one other class, and dropped if it is sure of
    anything else. A teacher who is sure of nothing decides nothing.

    Parameters
    ----------
    clip
        The clip with its label.
    agreement
        The highest score, over the clip's active patches, of a name that agrees with its label.
    instead, score
        The likeliest name that does not agree, and its mean score over the active patches.
    known_as
        Names that stand for exactly one class, and that class.

    """
    lineage = _taxonomy().lineage(clip.name)
    certain = clip.split != TRAIN or bool(lineage & _SURE_KINDS)
    if certain or agreement >= _UNHEARD or score < _LOUD_AND_CLEAR:
        return KEEP, clip.name
    other = known_as.get(instead)
    if other is not None and other != clip.name and other not in UNSEEN_CLASSES:
        return RELABEL, other
    return DROP, clip.name


def sole_classes(meanings: Mapping[str, Meaning]) -> dict[str, str]:
    """Return the names that stand for one class, which people call the same.

    Such a name is the only specific one of the class and of no other. It is none of a class with
    many below: a drone that passes for music is not to teach what music is.
    """
    classes = load_taxonomy().classes
    below = Counter(parent for item in classes.values() for parent in item.parents)
    uses: dict[str, list[str]] = {}
    for name, meaning in meanings.items():
        specific = set(meaning.names).difference(*(ancestors(other) for other in meaning.names))
        if len(specific) == 1:
            uses.setdefault(specific.pop(), []).append(name)
    alone = {
        known: names[0]
        for known, names in uses.items()
        if len(names) == 1 and below[names[0]] <= _FEW
    }
    called = {name: {folded(caption) for caption in classes[name].captions} for name in classes}
    return {known: name for known, name in alone.items() if called[name] & set(synonyms(known))}


def judged(store: Path, teacher: Teacher) -> Iterator[tuple[Clip, NDArray[np.float32]]]:
    """Yield each clip of a store with its scores ``(active patches, 521)``."""
    samples = np.memmap(store / "audio.i16", dtype="<i2", mode="r")
    for clip in read_clips(store):
        audio = samples[clip.start : clip.start + clip.length] / np.float32(32768)
        heard = np.asarray(soxr.resample(audio, STORED_RATE, SAMPLE_RATE), np.float32)
        patches = patches_of(log_mel(heard))
        yield clip, teacher.judge(patches[active(heard, len(patches))])[0]


def write_scores(store: Path, teacher: Teacher) -> None:
    """Write ``teacher.npz``: what the teacher hears in each clip, in the order of ``clips.csv``.

    It holds ``mean`` and ``maximum``, each ``(clips, 521)``; ``patches`` ``(all patches, 521)``,
    those of clip ``i`` from ``offsets[i]`` to ``offsets[i + 1]``, active ones alone; all float16;
    and ``labels``.
    """
    patches = [scores.astype(np.float16) for _, scores in judged(store, teacher)]
    np.savez(
        store / "teacher.npz",
        mean=np.stack([part.mean(axis=0, dtype=np.float32) for part in patches]).astype(np.float16),
        maximum=np.stack([part.max(axis=0) for part in patches]),
        patches=np.concatenate(patches),
        offsets=np.cumsum([0, *(len(part) for part in patches)]),
        labels=np.array(teacher.labels),
    )


def write_verdicts(store: Path) -> list[tuple[Clip, str, str]]:
    """Write ``contradicted.csv`` from ``teacher.npz``; returns the clips that are not kept.

    The table also holds what is kept although the teacher hears hardly anything (below 0.1) that
    agrees with its label.
    """
    meanings = load_meanings()
    known_as = sole_classes(meanings)
    with np.load(store / "teacher.npz", allow_pickle=False) as heard:
        labels = [str(label) for label in heard["labels"]]
        means, peaks = heard["mean"].astype(np.float32), heard["maximum"].astype(np.float32)
    agreeing = {
        name: np.array([label in meaning.agreeing for label in labels])
        for name, meaning in meanings.items()
    }
    rows, gone = [], []
    for number, clip in enumerate(read_clips(store)):
        fits = agreeing[clip.name]
        agreement = float(peaks[number][fits].max(initial=0.0))
        best = int(np.argmax(np.where(fits, 0.0, means[number])))
        instead, score = labels[best], float(means[number][best])
        decision, name = verdict(clip, agreement, instead, score, known_as)
        if decision != KEEP:
            gone.append((clip, decision, name))
        if agreement < _BARELY and score > agreement:
            rows.append(
                (number, clip.name, clip.source, clip.path, clip.split, clip.start,
                 f"{agreement:.3f}", instead, f"{score:.3f}", decision, name)
            )  # fmt: skip
    with (store / "contradicted.csv").open("w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(
            ("clip", "name", "source", "path", "split", "start", "agreement", "instead", "score",
             "decision", "class")
        )  # fmt: skip
        writer.writerows(rows)
    return gone


def corrected(store: Path, clips: Sequence[Clip]) -> list[Clip]:
    """Return clips without those that ``contradicted.csv`` drops, others with their new class.

    Without that file they are returned as they are.
    """
    path = store / "contradicted.csv"
    if not path.is_file():
        return list(clips)
    with path.open(encoding="utf-8", newline="") as table:
        decisions = {
            int(row["start"]): (row["decision"], row["class"]) for row in csv.DictReader(table)
        }
    found = []
    for clip in clips:
        decision, name = decisions.get(clip.start, (KEEP, clip.name))
        if decision != DROP:
            found.append(replace(clip, name=name))
    return found


def _report(gone: Sequence[tuple[Clip, str, str]]) -> None:
    for clip, decision, name in gone:
        print(
            f"{decision}: {clip.source} {clip.path}: {clip.name}"
            + f" -> {name}" * (name != clip.name)
        )
    print(f"{len(gone)} clips are not what they are called")


def main() -> None:
    """Score a store from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("folder", type=Path, help="folder with the teacher's network")
    arguments = parser.parse_args()
    if not (arguments.store / "teacher.npz").is_file():
        write_scores(arguments.store, Teacher(arguments.folder))
    _report(write_verdicts(arguments.store))


if __name__ == "__main__":
    main()
