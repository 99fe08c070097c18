"""Measures where the text table places words that no caption holds, and what is suggested for them.

    python -m engine.training.words [--table FOLDER]

``unseen.csv`` was written before anything was measured: a query, and the classes it may land on.
A query's classes are ranked by their nearest caption. The table decides what ``compact`` hears in
a word that training never used, so this is the measure for a change of the table.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.advice.suggestions import Adviser
from engine.models.knowledge import SEPARATES_WELL, load_knowledge
from engine.taxonomy.classes import LabelError, load_taxonomy
from engine.taxonomy.ontology import load_ontology
from engine.taxonomy.text import load_text_table, read_text_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from engine.taxonomy.classes import Taxonomy

    Embed = Callable[[str], NDArray[np.float32]]


@dataclass(frozen=True)
class Unseen:
    """A query outside the captions, the classes it may land on, and the group it is counted in."""

    query: str
    classes: tuple[str, ...]
    group: str


@dataclass(frozen=True)
class Landing:
    """Where a query landed: all classes, nearest first, with the cosine to their best caption."""

    unseen: Unseen
    ranked: tuple[tuple[str, float], ...]

    @property
    def rank(self) -> int:
        """Place of the first acceptable class, counted from 1."""
        names = [name for name, _ in self.ranked]
        return 1 + min(names.index(name) for name in self.unseen.classes)


def load_unseen(taxonomy: Taxonomy) -> tuple[Unseen, ...]:
    """Read ``unseen.csv``; a caption among the queries or an unknown class is an error."""
    text = (files(__package__) / "unseen.csv").read_text(encoding="utf-8")
    found = []
    for number, row in enumerate(csv.DictReader(text.splitlines()), start=2):
        item = Unseen(row["query"], tuple(row["classes"].split("|")), row["group"])
        if item.query in taxonomy.captions:
            raise LabelError(f"unseen.csv line {number}: {item.query!r} is a caption")
        for name in item.classes:
            if name not in taxonomy.classes:
                raise LabelError(f"unseen.csv line {number}: unknown class {name!r}")
        found.append(item)
    return tuple(found)


def land(
    items: Sequence[Unseen], classes: Mapping[str, Sequence[str]], embed: Embed
) -> tuple[Landing, ...]:
    """Rank the classes (name to captions) for each query by cosine to their nearest caption."""
    names = list(classes)
    captions = [caption for name in names for caption in classes[name]]
    starts = np.cumsum([0, *(len(classes[name]) for name in names)])[:-1]
    known = np.stack([embed(caption) for caption in captions])
    found = []
    for item in items:
        best = np.maximum.reduceat(known @ embed(item.query), starts)
        order = np.argsort(-best, kind="stable")
        found.append(Landing(item, tuple((names[i], float(best[i])) for i in order)))
    return tuple(found)


def share_within(landings: Sequence[Landing], places: int) -> float:
    """Return the share of queries with an acceptable class among the first ``places``."""
    return sum(landing.rank <= places for landing in landings) / len(landings)


def report(landings: Sequence[Landing]) -> list[str]:
    """Return lines: top-1 and top-3 in all and per group, then the misses, worst first."""
    groups: dict[str, list[Landing]] = {}
    for landing in landings:
        groups.setdefault(landing.unseen.group, []).append(landing)
    lines = []
    for name, members in [("all", list(landings)), *groups.items()]:
        first, third = (100 * share_within(members, places) for places in (1, 3))
        lines.append(f"{name:12} {len(members):4}  top-1 {first:5.1f} %  top-3 {third:5.1f} %")
    misses = sorted((x for x in landings if x.rank > 3), key=lambda landing: -landing.rank)
    for landing in misses:
        nearest = ", ".join(f"{name} {cosine:.2f}" for name, cosine in landing.ranked[:3])
        lines.append(f"place {landing.rank:3}  {landing.unseen.query}: {nearest}")
    return lines


def suggestion_report(items: Sequence[Unseen], adviser: Adviser) -> list[str]:
    """Return lines: how often what is suggested is right, and is what the model separates well.

    Right is a term of an acceptable class, or of one above it. A query without any good term is
    named with what was suggested.
    """
    right = good = both = 0
    measured = bool(adviser.knowledge)
    missed = []
    for item in items:
        found = adviser.suggest(item.query)
        wanted = frozenset().union(*(adviser.taxonomy.lineage(name) for name in item.classes))
        fitting = [one for one in found if one.name in wanted]
        right += bool(fitting)
        good += any(one.separates_well for one in found)
        helped = any(one.separates_well for one in fitting)
        both += helped
        if not (helped if measured else fitting):
            terms = [f"{one.term} {_decibels(one.gain)}" for one in found]
            missed.append(f"not helped  {item.query}: {', '.join(terms) or 'nothing'}")

    def share(count: int) -> str:
        return f"{100 * count / len(items):5.1f} %"

    lines = [f"among up to 5 suggestions a right term               {share(right)}"]
    if measured:
        lines += [
            f"... one whose class is separated by >= {SEPARATES_WELL:.0f} dB         {share(good)}",
            f"... a right one whose class is separated by >= {SEPARATES_WELL:.0f} dB {share(both)}",
        ]
    else:
        lines.append("no knowledge.csv: what the model separates well is not known")
    return [*lines, *missed]


def _decibels(gain: float | None) -> str:
    return "(?)" if gain is None else f"({gain:+.1f} dB)"


def main() -> None:
    """Print the figures of the bundled table, or of one in another folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--table", type=Path, help="folder with words.txt and words.safetensors")
    arguments = parser.parse_args()
    table = read_text_table(arguments.table) if arguments.table else load_text_table()
    taxonomy = load_taxonomy()
    classes = {name: item.captions for name, item in taxonomy.classes.items()}
    unseen = load_unseen(taxonomy)
    adviser = Adviser(taxonomy, table, load_knowledge(), load_ontology())
    lines = report(land(unseen, classes, table.embed))
    for line in [*lines, "", *suggestion_report(unseen, adviser)]:
        print(line)


if __name__ == "__main__":
    main()
