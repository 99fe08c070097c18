"""What was measured of a model, for people: lines of text, and charts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from engine.training.figures import Findings, by_class, rows, summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from engine.taxonomy.classes import Taxonomy

__all__ = ["draw_chart", "facts", "lines"]

FEWEST = 40
"""A group of fewer sounds says little, and is left out of the printed figures."""
_CLASSES_SHOWN = 90  # in the chart of classes; the table has them all


def facts(findings: Findings, taxonomy: Taxonomy) -> dict[str, object]:
    """Return the figures of a set as JSON holds them: in all, by group and by class."""
    return {
        "set": findings.key,
        "title": findings.title,
        "n": len(findings.scores),
        "figures": _known(findings.figures()),
        "groups": {
            name: {"n": len(members), **_known(summary(members))}
            for name, members in rows(findings.scores, taxonomy).items()
            if name != "all"
        },
        "classes": {
            name: {"n": len(members), **_known(summary(members))}
            for name, members in by_class(findings.scores).items()
        },
    }


def lines(findings: Findings, taxonomy: Taxonomy) -> Iterator[str]:
    """Yield the figures of a set as text: a row a group, then what is measured in all."""
    yield findings.title
    head = summary(findings.scores)
    yield " ".join([f"{'':10} {'n':>5}", *(f"{key:>16}" for key in head)])
    for name, members in rows(findings.scores, taxonomy).items():
        if name != "all" and len(members) < FEWEST:
            continue
        figures = summary(members).values()
        cells = (" " * 15 + "-" if math.isnan(value) else f"{value:16.2f}" for value in figures)
        yield " ".join([f"{name:10} {len(members):5}", *cells])
    for name, value in findings.figures().items():
        if name not in head and not math.isnan(value):
            yield f"{name}: {value:.2f}" + ("" if "AUC" in name else " dB")


def draw_chart(folder: Path, model: str, found: Sequence[Findings], taxonomy: Taxonomy) -> None:
    """Write ``chart.png`` (sets and groups) and ``classes.png`` (each class) into a folder."""
    from matplotlib.figure import Figure

    measured = [findings for findings in found if findings.scores]
    if not measured:
        return
    bars = [
        (f"{findings.key}: {name}  ({len(members)})", summary(members))
        for findings in measured
        for name, members in rows(findings.scores, taxonomy).items()
    ]
    figure = Figure(figsize=(12, 1.5 + 0.24 * max(len(bars), 12)), layout="constrained")
    figure.suptitle(f"{model}: SI-SDR improvement")
    left, right = figure.subplots(1, 2)
    places = np.arange(len(bars))
    left.barh(places, [figures["SI-SDRi mean"] for _, figures in bars], label="mean")
    medians = [figures["SI-SDRi median"] for _, figures in bars]
    left.plot(medians, places, "k|", markersize=9, label="median")
    left.set_yticks(places, [label for label, _ in bars], fontsize=7)
    left.invert_yaxis()
    left.set_xlabel("dB")
    left.axvline(0, color="0.4", linewidth=0.8)
    left.legend(fontsize=8)
    for findings in measured:
        gains = np.sort([item.improvement for item in findings.scores])
        share = (np.arange(gains.size) + 0.5) * 100 / gains.size
        right.plot(gains, share, label=findings.key)
    right.set(xlabel="dB", ylabel="% of the sounds that gain at most this")
    right.axvline(0, color="0.4", linewidth=0.8)
    right.grid(alpha=0.3)
    right.legend(fontsize=8)
    figure.savefig(folder / "chart.png", dpi=110)
    _draw_classes(folder / "classes.png", model, measured)


def _draw_classes(path: Path, model: str, found: Sequence[Findings]) -> None:
    from matplotlib.figure import Figure

    scores = [item for findings in found for item in findings.scores]
    classes = by_class(scores)
    # the best known first: a class with one score says little
    often = sorted(classes, key=lambda name: -len(classes[name]))[:_CLASSES_SHOWN]
    often.sort(key=lambda name: summary(classes[name])["SI-SDRi median"])
    figure = Figure(figsize=(8, 1 + 0.17 * len(often)), layout="constrained")
    axis = figure.subplots()
    gains = [[item.improvement for item in classes[name]] for name in often]
    for place, values in enumerate(gains):
        axis.plot(values, [place] * len(values), ".", color="0.65", markersize=4)
    axis.plot([float(np.median(values)) for values in gains], range(len(gains)), "k|")
    axis.set_yticks(
        range(len(often)), [f"{name}  ({len(classes[name])})" for name in often], fontsize=7
    )
    axis.axvline(0, color="0.4", linewidth=0.8)
    axis.set_ylim(-1, len(often))
    axis.set(xlabel="dB", title=f"{model}: SI-SDR improvement by class, with the median")
    figure.savefig(path, dpi=100)


def _known(figures: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(x) else round(x, 4) for name, x in figures.items()}
