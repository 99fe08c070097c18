"""How well a listener names single sounds and mixtures of two, next to its teacher.

    python -m engine.training.naming STORE [WEIGHTS] --teacher FOLDER

The rule. A clip's scores are the means over its active windows (not 30 dB quieter than the
loudest); of a mixture's scores, the mean of that mean and the highest. Names of rooms, of silence
and of recordings are left out. Going down from the likeliest, a name is listed unless it stands
above or below one that is listed; where one of the names below it scores at least two fifths of
it, that one is listed in its place. So "Animal, Dog, Bark" takes one place, not three. A listed
name is right where it is one of the class's own names, or stands below one of them (``strict``),
or, with what a user would let pass, is named as related in ``audioset_classes.csv`` too, or stands
right above one of the class's own names.

What ``tweeze listen`` shows of the same scores (`engine.advice.events`) is measured, too: it names
what is likely, not always five.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr
import torch

from engine.advice.events import Scores, sounds
from engine.models.ears import from_file, load
from engine.models.ears.listener import GRID
from engine.models.ears.spectra import SAMPLE_RATE
from engine.taxonomy.classes import load_taxonomy
from engine.taxonomy.ontology import load_ontology
from engine.taxonomy.text import load_text_table
from engine.training.corpus import HELD_OUT, TEST, TRAIN, read_clips
from engine.training.corpus import SAMPLE_RATE as STORED_RATE
from engine.training.lessons import kept_back
from engine.training.teacher import Meaning, Teacher, active, ancestors, corrected, load_meanings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from engine.models.ears.listener import Ears
    from engine.training.corpus import Clip

__all__ = ["Tally", "clip_scores", "listed", "right_names"]

OUTSIDE = "outside"
BELIEF = (0.2, 0.4, 0.6, 0.8, 1.01)
"""Scores between which names are counted together."""
_PEERS = 0.4
_OF_A_CLASS = 4
_SURROUNDINGS = frozenset(
    {
        "Silence",
        "Inside, small room",
        "Inside, large room or hall",
        "Inside, public space",
        "Outside, urban or manmade",
        "Outside, rural or natural",
        "Reverberation",
        "Echo",
        "Noise",
        "Environmental noise",
        "Sound effect",
        "Field recording",
        "Sidetone",
        "Cacophony",
    }
)
_TOP = frozenset({"Animal", "Music", "Sounds of things", "Human sounds", "Natural sounds"})
"""Never a right answer for what is below them: they say too little."""


def listed(scores: NDArray[np.float32], labels: Sequence[str], count: int) -> list[str]:
    """Return the first names of a list that shows specific names before their parents."""
    found: list[str] = []
    by_name = dict(zip(labels, scores.tolist(), strict=True))
    left = {name: score for name, score in by_name.items() if name not in _SURROUNDINGS}
    while left and len(found) < count:
        best = max(left, key=left.__getitem__)
        while True:
            below = {n: s for n, s in left.items() if best in ancestors(n)}
            child = max(below, key=below.__getitem__, default=None)
            if child is None or below[child] < _PEERS * left[best]:
                break
            best = child
        found.append(best)
        gone = {best} | ancestors(best) | {n for n in left if best in ancestors(n)}
        left = {n: s for n, s in left.items() if n not in gone}
    return found


_ontology = cache(load_ontology)


@cache
def right_names(meaning: Meaning, *, strict: bool) -> frozenset[str]:
    """Return the names that count as right for a class."""
    own = set(meaning.names) - _TOP or set(meaning.names)
    own -= {a for name in own for a in ancestors(name)}  # "Rain", not the "Water" beside it
    below = {name for name in _ontology() if own & ancestors(name)}
    if strict and own:
        return frozenset(own | below)
    above = {parent for name in own for parent in _ontology()[name]} - _TOP
    return frozenset(own | below | above | set(meaning.related))


def clip_scores(
    heard: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    audio: NDArray[np.float32],
    *,
    peaks: bool = False,
) -> NDArray[np.float32]:
    """Return ``(labels,)`` for ``(samples,)`` at 16 kHz, from the scores of its windows."""
    scores = heard(audio)
    scores = scores[active(audio, len(scores))]
    mean = scores.mean(axis=0)
    return np.asarray((mean + scores.max(axis=0)) / 2 if peaks else mean)


def shown(
    heard: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    audio: NDArray[np.float32],
    labels: Sequence[str],
) -> list[str]:
    """Return the labels that ``tweeze listen`` names of ``(samples,)`` at 16 kHz."""
    scores = Scores(labels)
    scores.add(heard(audio))
    return [sound.label for sound in sounds(scores, GRID, audio.size / SAMPLE_RATE)]


@dataclass
class Tally:
    """How often a right name was first, among three and among five."""

    total: int = 0
    first: int = 0
    three: int = 0
    five: int = 0

    def add(self, names: Sequence[str], right: frozenset[str]) -> None:
        """Count one list of names."""
        self.total += 1
        self.first += bool(right & set(names[:1]))
        self.three += bool(right & set(names[:3]))
        self.five += bool(right & set(names[:5]))

    def __str__(self) -> str:
        if not self.total:
            return "no clips"
        shares = [100 * n / self.total for n in (self.first, self.three, self.five)]
        return "first {:5.1f} %  among three {:5.1f} %  among five {:5.1f} %".format(*shares)


def ears_hearing(ears: Ears) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Return what gives ``(windows, labels)`` of ``(samples,)``."""

    def heard(audio: NDArray[np.float32]) -> NDArray[np.float32]:
        short = max(0, GRID.window - audio.size)
        padded = np.pad(audio, (GRID.context, GRID.context + short))
        return ears.hear(padded[None])

    return heard


def _read(
    clips: Sequence[Clip], samples: NDArray[np.int16]
) -> list[tuple[str, NDArray[np.float32]]]:
    found = []
    for clip in clips:
        audio = samples[clip.start : clip.start + clip.length] / np.float32(32768)
        low = np.asarray(soxr.resample(audio, STORED_RATE, SAMPLE_RATE), np.float32)
        found.append((clip.name, low))
    return found


def _pairs(
    sounds: Sequence[tuple[str, NDArray[np.float32]]], count: int, meanings: Mapping[str, Meaning]
) -> list[tuple[tuple[str, str], NDArray[np.float32]]]:
    """Mix five seconds of two sounds at 0 dB, of classes that no one name would be right for.

    None where there are no two such classes.
    """
    strict = {name: right_names(meanings[name], strict=True) for name, _ in sounds}
    if all(one & other for one in strict.values() for other in strict.values()):
        return []
    rng = np.random.default_rng(2026)
    found: list[tuple[tuple[str, str], NDArray[np.float32]]] = []
    size = 5 * SAMPLE_RATE
    while len(found) < count:
        (a, x), (b, y) = (sounds[int(i)] for i in rng.integers(len(sounds), size=2))
        if strict[a] & strict[b]:
            continue
        mixture = np.zeros(size, np.float32)
        for audio in (x, y):
            part = np.resize(audio, size) if audio.size < size else audio[:size]
            mixture += part / np.float32(np.sqrt(np.mean(np.square(part))) + 1e-9)
        found.append(((a, b), mixture * np.float32(0.5 / np.abs(mixture).max())))
    return found


def report(
    store: Path,
    listeners: Mapping[
        str, tuple[Sequence[str], Callable[[NDArray[np.float32]], NDArray[np.float32]]]
    ],
    *,
    pairs: int = 200,
    wrong: bool = False,
) -> None:
    """Print how well each listener names what a store keeps from training."""
    samples = np.memmap(store / "audio.i16", dtype="<i2", mode="r")
    clips = read_clips(store)
    meanings = load_meanings()
    sets = {
        "ESC-10 fold 5": _read([c for c in clips if c.split == TEST], samples),
        "outside sources": _read([c for c in clips if c.split == OUTSIDE], samples),
    }
    everything = [clip for found in sets.values() for clip in found]
    mixed = {"": _pairs(everything, pairs, meanings)}
    for which, some in (
        (" of held-out recordings", [c for c in clips if c.split == HELD_OUT]),
        (" of recordings kept back", _kept_back(store, clips)),
    ):
        if chosen := _balanced(some):
            mixed[which] = _pairs(_read(chosen, samples), pairs, meanings)
    for name, (labels, heard) in listeners.items():
        for title, found in sets.items():
            fair, strict, told = Tally(), Tally(), Tally()
            for kind, audio in found:
                names = listed(clip_scores(heard, audio), labels, 5)
                right = right_names(meanings[kind], strict=False)
                fair.add(names, right)
                strict.add(names, right_names(meanings[kind], strict=True))
                told.add(shown(heard, audio, labels), right)
                if wrong and not right & set(names[:3]):
                    print(f"    {kind}: {', '.join(names)}")
            print(f"{name}: {title}, {fair.total} clips: {fair}")
            print(f"{name}: {title}, strict:   {strict}")
            print(f"{name}: {title}, as shown: {told}")
        for which, mixtures in mixed.items():
            if not mixtures:
                continue
            five = [set(listed(clip_scores(heard, x, peaks=True), labels, 5)) for _, x in mixtures]
            told_five = [set(shown(heard, x, labels)[:5]) for _, x in mixtures]
            begin = f"{name}: {len(mixtures)} mixtures of two at 0 dB{which}"
            print(f"{begin}: both among five {_both(mixtures, five)}")
            print(f"{begin}: as shown, both among five {_both(mixtures, told_five)}")


def _kept_back(store: Path, clips: Sequence[Clip]) -> list[Clip]:
    """Return the clips of the recordings for training that no ears learned from."""
    return [c for c in corrected(store, [c for c in clips if c.split == TRAIN]) if kept_back(c)]


def _balanced(clips: Sequence[Clip]) -> list[Clip]:
    """Return up to four clips of each class that last a second."""
    found: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.length >= STORED_RATE:
            found[clip.name].append(clip)
    rng = np.random.default_rng(2026)
    return [
        some[int(number)]
        for some in found.values()
        for number in rng.permutation(len(some))[:_OF_A_CLASS]
    ]


def _both(mixtures: Sequence[tuple[tuple[str, str], object]], lists: Sequence[set[str]]) -> str:
    meanings = load_meanings()
    right = [
        [bool(names & right_names(meanings[kind], strict=False)) for kind in kinds]
        for (kinds, _), names in zip(mixtures, lists, strict=True)
    ]
    both, either = (100 * np.mean([rule(one) for one in right]) for rule in (all, any))
    return f"{both:.1f} %, one at least {either:.1f} %"


def report_examples(store: Path, ears: Ears) -> None:
    """Print how often the caption nearest to a clip's vector is true of the clip."""
    taxonomy, table = load_taxonomy(), load_text_table()
    texts = taxonomy.captions
    vectors = np.stack([table.embed(text) for text in texts])
    samples = np.memmap(store / "audio.i16", dtype="<i2", mode="r")
    for split in (TEST, OUTSIDE):
        sounds = _read([c for c in read_clips(store) if c.split == split], samples)
        ranks = []
        for kind, audio in sounds:
            order = np.argsort(-(vectors @ ears.example(audio[None])))
            ranks.append(next(r for r, i in enumerate(order) if taxonomy.fits(texts[i], kind)))
        found = np.array(ranks)
        print(
            f"examples, {split}, {found.size} clips: a true caption is nearest of {len(texts)} in "
            f"{100 * np.mean(found == 0):.1f} %, among ten in {100 * np.mean(found < 10):.1f} %"
        )


def report_belief(store: Path, ears: Ears) -> None:
    """Print how often names that were listed for other sources agree with the label, by score."""
    samples = np.memmap(store / "audio.i16", dtype="<i2", mode="r")
    meanings, heard = load_meanings(), ears_hearing(ears)
    named: list[tuple[float, bool]] = []
    for kind, audio in _read([c for c in read_clips(store) if c.split == OUTSIDE], samples):
        scores = clip_scores(heard, audio)
        by_name = dict(zip(ears.labels, scores.tolist(), strict=True))
        agreeing = meanings[kind].agreeing
        named += [(by_name[name], name in agreeing) for name in listed(scores, ears.labels, 5)]
    print(f"what is listed, {OUTSIDE}:")
    for low, high in pairwise(BELIEF):
        inside = [one for one in named if low <= one[0] < high]
        if inside:
            score, share = np.mean(inside, axis=0)
            print(f"  score {score:.2f}: {share:4.0%} agree ({len(inside)} names)")


def report_speed(ears: Ears) -> None:
    """Print how much faster than the sound itself a minute is heard, on one core."""
    torch.set_num_threads(1)
    audio = np.random.default_rng(0).standard_normal((1, 60 * SAMPLE_RATE)).astype(np.float32)
    ears.hear(audio)
    began = time.process_time()
    ears.hear(audio)
    print(f"speed: {60 / (time.process_time() - began):.0f} times real time on one core")


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("weights", type=Path, nargs="?", help="of a run; else the bundled ones")
    parser.add_argument("--teacher", type=Path, help="measure the teacher, too")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--wrong", action="store_true", help="show what was not named")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    ears = from_file(arguments.weights) if arguments.weights else load()
    listeners = {"ears": (ears.labels, ears_hearing(ears))}
    if arguments.teacher:
        teacher = Teacher(arguments.teacher)
        listeners["teacher"] = (teacher.labels, teacher.scores)
    report(arguments.store, listeners, pairs=arguments.pairs, wrong=arguments.wrong)
    report_examples(arguments.store, ears)
    report_belief(arguments.store, ears)
    report_speed(ears)


if __name__ == "__main__":
    main()
