"""What is measured of a model: scores of sounds, levels of absent ones, and their summaries."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.sound.frames import spectrum, window
from engine.sound.measure import si_sdr
from engine.training.knowledge import knowledge_of, write_knowledge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from engine.taxonomy.classes import Taxonomy

__all__ = [
    "Absent",
    "Findings",
    "Score",
    "area_under_curve",
    "by_class",
    "group_of",
    "leakage",
    "level",
    "rows",
    "score",
    "summary",
    "write_tables",
]

FLOOR_DB = -30.0
"""Scores are not followed below this: the answer is wrong, and how wrong says nothing."""
SILENCE_DB = -80.0
"""Levels are not followed below this: nobody hears it."""
GROUPS = ("voice", "animal", "music", "vehicle", "water", "footsteps", "weapon", "tool")
"""Classes for which figures are printed together; the rest is "other"."""
SUBGROUPS = ("instrument", "speech")
"""Classes that get a row of their own beside that of their group."""
_WIDTH = 2048
_UNKNOWN = math.nan


@dataclass(frozen=True)
class Score:
    """How one sound of one mixture was separated; dB. NaN is what there is no figure for."""

    name: str
    """Its class; the caption where classes are not known."""
    before: float
    """SI-SDR of the mixture."""
    right: float
    """SI-SDR with the sound's own caption."""
    wrong: float
    """SI-SDR with the caption of another sound of the mixture."""
    caption: str = ""
    other: str = ""
    """The other sound's class."""
    wrong_caption: str = ""
    leakage: float = _UNKNOWN
    """What the target holds of the rest of the mixture, relative to that rest."""
    presence: float = _UNKNOWN
    """How likely the model thinks that the sound is there, 0 to 1."""
    kept: float = _UNKNOWN
    """How loud the sound comes out, relative to what it is in the mixture."""
    told: float = _UNKNOWN
    """SI-SDR where the other sound is named as not wanted."""

    @property
    def improvement(self) -> float:
        """What separation gained."""
        return self.right - self.before

    @property
    def margin(self) -> float:
        """What the right words gained over the wrong ones."""
        return self.right - self.wrong


@dataclass(frozen=True)
class Absent:
    """What came out for a caption of a sound that is not in the mixture."""

    caption: str
    near: bool
    """Whether a sound of a neighbouring class is there."""
    level: float
    """dB; energy of what came out, relative to the mixture."""
    presence: float = _UNKNOWN


@dataclass(frozen=True)
class Findings:
    """All that was measured on one set of mixtures."""

    key: str
    title: str
    scores: tuple[Score, ...]
    absent: tuple[Absent, ...] = ()

    def figures(self) -> dict[str, float]:
        """Return the summary of the scores, and of what is absent."""
        found = {**summary(self.scores), "leakage mean": _mean([s.leakage for s in self.scores])}
        levels = [item.level for item in self.absent]
        there = [s.presence for s in self.scores]
        near = [item.presence for item in self.absent if item.near]
        far = [item.presence for item in self.absent if not item.near]
        found["absent level mean"] = _mean(levels)
        found["absent level median"] = float(np.median(levels)) if levels else _UNKNOWN
        found["presence AUC near"] = area_under_curve(there, near)
        found["presence AUC far"] = area_under_curve(there, far)
        found["presence AUC"] = area_under_curve(there, near + far)
        return found


def score(truth: NDArray[np.float32], estimate: NDArray[np.float32]) -> float:
    """Return the SI-SDR in dB, at least ``FLOOR_DB``; both arrays have the same shape."""
    return max(FLOOR_DB, si_sdr(truth, estimate)) if estimate.any() else FLOOR_DB


def kept(truth: NDArray[np.float32], estimate: NDArray[np.float32]) -> float:
    """Return how loud ``truth`` is in an estimate of it, in dB, at least ``SILENCE_DB``.

    The SI-SDR does not say: a model that makes everything silent by halves loses nothing there.
    """
    share = abs(float(np.vdot(estimate, truth))) / max(_energy(truth), 1e-30)
    return max(SILENCE_DB, 20 * math.log10(max(share, 1e-30)))


def level(part: NDArray[np.float32], whole: NDArray[np.float32]) -> float:
    """Return the energy of a part relative to the whole in dB, at least ``SILENCE_DB``."""
    share = _energy(part) / max(_energy(whole), 1e-30)
    return max(SILENCE_DB, 10 * math.log10(max(share, 1e-30)))


def leakage(
    mixture: NDArray[np.float32], truth: NDArray[np.float32], estimate: NDArray[np.float32]
) -> float:
    """Return how much of the other sounds is left in an estimate of ``truth``, in dB.

    0 is all of them, ``SILENCE_DB`` the least that is told. The estimate is taken for a gain on
    the mixture in each spot of time and frequency (of 2048 samples), which it is in every model
    here; the same gain on the rest of the mixture gives what is left of it.

    Parameters
    ----------
    mixture, truth, estimate
        ``(channels, frames)``; a single channel may be ``(frames,)``.

    """
    shape = np.atleast_2d(mixture).shape
    parts = [np.asarray(part, np.float32).reshape(shape) for part in (mixture, truth, estimate)]
    hann = window(_WIDTH)
    left = whole = 0.0
    step = _WIDTH // 4
    stretch = 400 * step
    padded = [np.pad(part, ((0, 0), (_WIDTH // 2, _WIDTH))) for part in parts]
    for start in range(0, shape[1] + 1, stretch):
        heard, known, answer = (
            _frames(part[:, start : start + stretch + _WIDTH - step], step, hann) for part in padded
        )
        if not heard.size:
            break
        rest = np.abs(heard - known) ** 2
        gain = np.minimum(np.abs(answer) / np.maximum(np.abs(heard), 1e-12), 1.0) ** 2
        left += float(np.sum(gain * rest, dtype=np.float64))
        whole += float(np.sum(rest, dtype=np.float64))
    if whole <= 1e-12:
        return _UNKNOWN
    return max(SILENCE_DB, 10 * math.log10(max(left / whole, 1e-30)))


def _frames(
    part: NDArray[np.float32], step: int, hann: NDArray[np.float32]
) -> NDArray[np.complex64]:
    if part.shape[1] < _WIDTH:
        return np.zeros((0, 0), np.complex64)
    cut = np.lib.stride_tricks.sliding_window_view(part, _WIDTH, axis=1)[:, ::step]
    return spectrum(cut, hann)


def area_under_curve(there: Sequence[float], absent: Sequence[float]) -> float:
    """Return how often what is there gets a higher figure than what is absent (ties: half).

    The area under the ROC curve (Hanley and McNeil 1982). NaN without figures on either side.

    >>> area_under_curve([0.9, 0.5], [0.5, 0.1])
    0.875
    """
    yes, no = (np.array([x for x in part if not math.isnan(x)]) for part in (there, absent))
    if not yes.size or not no.size:
        return _UNKNOWN
    ranked = np.sort(no)
    below = np.searchsorted(ranked, yes, side="left")
    up_to = np.searchsorted(ranked, yes, side="right")
    return float((below + up_to).mean() / (2 * no.size))


def summary(scores: Sequence[Score]) -> dict[str, float]:
    """Return mean and median figures, in dB."""
    gains = np.array([score.improvement for score in scores])
    margins = [s.margin for s in scores if not math.isnan(s.margin)]
    held = [s.kept for s in scores if not math.isnan(s.kept)]
    told = [s.told - s.before for s in scores if not math.isnan(s.told)]
    more = {"told mean": _mean(told), "told median": float(np.median(told))} if told else {}
    return {
        "SI-SDRi mean": _mean(gains),
        "SI-SDRi median": float(np.median(gains)) if gains.size else _UNKNOWN,
        "wrong query mean": _mean([score.wrong - score.before for score in scores]),
        "margin mean": _mean(margins),
        "margin median": float(np.median(margins)) if margins else _UNKNOWN,
        "improved %": 100 * _mean(gains > 0),
        "kept median": float(np.median(held)) if held else _UNKNOWN,
        **more,
    }


def group_of(name: str, taxonomy: Taxonomy) -> str:
    """Return the printed group of a class."""
    if name not in taxonomy.classes:
        return "other"
    lineage = taxonomy.lineage(name)
    return next((group for group in GROUPS if group in lineage), "other")


def rows(scores: Sequence[Score], taxonomy: Taxonomy) -> dict[str, list[Score]]:
    """Return all scores, those of each group, and those of each subgroup, by name."""
    groups: dict[str, list[Score]] = defaultdict(list)
    for item in scores:
        groups[group_of(item.name, taxonomy)].append(item)
        if item.name in taxonomy.classes:
            for special in taxonomy.lineage(item.name) & set(SUBGROUPS):
                groups[special].append(item)
    order = [name for name in (*sorted({*GROUPS, "other"}), *SUBGROUPS) if name in groups]
    return {"all": list(scores), **{name: groups[name] for name in order}}


def by_class(scores: Sequence[Score]) -> dict[str, list[Score]]:
    """Return the scores of each class, by name."""
    classes: dict[str, list[Score]] = defaultdict(list)
    for item in scores:
        classes[item.name].append(item)
    return {name: classes[name] for name in sorted(classes)}


def write_tables(folder: Path, found: Sequence[Findings]) -> None:
    """Write ``clips.csv`` (a row a score), ``absent.csv`` and ``classes.csv`` into a folder.

    And ``knowledge.csv``, what suggestions use of it: see :mod:`engine.training.knowledge`.
    """
    clips, absent, classes = [], [], []
    for findings in found:
        clips += [_row(findings.key, item) for item in findings.scores]
        for name, members in by_class(findings.scores).items():
            leaks = _mean([item.leakage for item in members])
            figures = {**summary(members), "leakage mean": leaks}
            classes.append({"set": findings.key, "class": name, "n": len(members), **figures})
        absent += [
            {
                "set": findings.key,
                "caption": item.caption,
                "near": "yes" if item.near else "no",
                "level": item.level,
                "presence": item.presence,
            }
            for item in findings.absent
        ]
    for name, lines in (("clips", clips), ("absent", absent), ("classes", classes)):
        _write(folder / f"{name}.csv", lines)
    gains = ((item.name, item.improvement) for findings in found for item in findings.scores)
    write_knowledge(folder / "knowledge.csv", knowledge_of(gains))


def _row(key: str, item: Score) -> dict[str, object]:
    return {
        "set": key,
        "class": item.name,
        "caption": item.caption,
        "other": item.other,
        "wrong_caption": item.wrong_caption,
        "before": item.before,
        "right": item.right,
        "wrong": item.wrong,
        "improvement": item.improvement,
        "margin": item.margin,
        "leakage": item.leakage,
        "presence": item.presence,
        "kept": item.kept,
    }


def _write(path: Path, lines: Sequence[Mapping[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as table:
        if not lines:
            return
        writer = csv.writer(table)
        writer.writerow(lines[0])
        writer.writerows([_cell(value) for value in line.values()] for line in lines)


def _cell(value: object) -> object:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4f}"
    return value


def _mean(values: Sequence[float] | NDArray[np.float64] | NDArray[np.bool_]) -> float:
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    return float(known.mean()) if known.size else _UNKNOWN


def _energy(part: NDArray[np.float32]) -> float:
    return float(np.sum(np.square(part, dtype=np.float64)))
