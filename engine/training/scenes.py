"""What a model is measured on: mixtures of which the parts are known, and what to ask for.

Drawn from a corpus's clips that were kept from training, or read from a folder of a user's own
mixtures. A draw depends on the clips and the seed alone.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import BadInput
from engine.job import QUERIES_LIMIT, clean_query
from engine.sound.audio import read
from engine.taxonomy.families import FAMILIES, SPEECH, family
from engine.training.corpus import (
    HELD_OUT,
    OUTSIDE,
    SAMPLE_RATE,
    TEST,
    UNSEEN,
    load_sources,
    read_clips,
)
from engine.training.mixing import LEVEL, ClipStore, Mixer, MixingOptions, class_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from engine.taxonomy.classes import Taxonomy
    from engine.training.corpus import Clip

__all__ = [
    "Question",
    "Scene",
    "SceneSet",
    "corpus_sets",
    "draw",
    "family_sets",
    "load_stores",
    "triples",
]

SECONDS = 5
TRIPLES = "triples.csv"
_COLUMNS = ("mixture", "target", "caption")
_TRIES = 2000  # in a row without a scene: captions that all fit one another


@dataclass(frozen=True)
class Question:
    """A requested sound of a mixture."""

    name: str
    """Its class; the caption where classes are not known."""
    caption: str
    truth: NDArray[np.float32]
    """``(channels, frames)``"""
    other: str = ""
    """Class of another sound of the mixture."""
    wrong: str = ""
    """A caption of that sound, which does not fit this one; empty if there is none."""


@dataclass(frozen=True)
class Scene:
    """A mixture, the requested sounds that it contains, and requests for sounds that it lacks."""

    mixture: NDArray[np.float32]
    """``(channels, frames)``"""
    rate: int
    """Hz"""
    questions: tuple[Question, ...]
    absent: tuple[tuple[str, bool], ...] = ()
    """Captions that fit nothing there, and whether a sound of a neighbouring class is there."""

    @property
    def captions(self) -> tuple[str, ...]:
        """Everything that is to be asked, once."""
        right = [question.caption for question in self.questions]
        wrong = [question.wrong for question in self.questions if question.wrong]
        return tuple(dict.fromkeys([*right, *wrong, *(caption for caption, _ in self.absent)]))


@dataclass(frozen=True)
class SceneSet:
    """Mixtures of one kind."""

    key: str
    title: str
    count: int
    """How many there are."""
    scenes: Callable[[], Iterator[Scene]]


def load_stores(folder: Path, split: str) -> ClipStore:
    """Open the clips of one split of a corpus."""
    return _store(folder, [clip for clip in read_clips(folder) if clip.split == split])


def corpus_sets(folder: Path, taxonomy: Taxonomy, count: int, seed: int) -> tuple[SceneSet, ...]:
    """Return the sets of mixtures that a corpus serves to measure models on.

    Two recordings of sources that no training sees at 0 dB; two held-out sounds at 0 dB; a
    held-out sound 5 dB below the sum of two others; a sound of ESC-10's fold 5, or of a class that
    was never trained on, against a held-out one at 0 dB (for ESC-10 one that somebody recorded: no
    game and no synthesizer).

    Raises
    ------
    BadInput
        The folder is not a corpus, or all its clips are for training.

    """
    if not (folder / "clips.csv").is_file() or not (folder / "audio.i16").is_file():
        raise BadInput(
            f"{folder} is not a corpus: 'clips.csv' or 'audio.i16' is missing; "
            "'python -m engine.training.corpus build' writes both."
        )
    clips = read_clips(folder)
    parts = {
        split: _store(folder, [clip for clip in clips if clip.split == split])
        for split in (HELD_OUT, TEST, UNSEEN, OUTSIDE)
    }
    recorded = {source.name for source in load_sources() if source.kind == "folder"}
    held_out = parts[HELD_OUT]
    real = _store(folder, [c for c in clips if c.split == HELD_OUT and c.source in recorded])
    outside = parts[OUTSIDE]
    plans: list[tuple[str, str, ClipStore, ClipStore, int, float]] = [
        ("outside", "recordings from sources never trained on, two at 0 dB", outside, outside, 1,
         0.0),
        ("heldout", "held-out recordings, two sounds at 0 dB", held_out, held_out, 1, 0.0),
        ("three", "held-out recordings, the target 5 dB below two others", held_out, held_out, 2,
         -5.0),
        ("esc10", "ESC-10 fold 5 against other recordings at 0 dB", parts[TEST], real, 1, 0.0),
        ("unseen", "classes never trained on, against held-out sounds at 0 dB", parts[UNSEEN],
         held_out, 1, 0.0),
    ]  # fmt: skip
    sets = []
    for key, title, targets, others, interferers, snr in plans:
        if not targets.names or len(others.names) <= interferers:
            continue

        def scenes(
            targets: ClipStore = targets,
            others: ClipStore = others,
            interferers: int = interferers,
            snr: float = snr,
        ) -> Iterator[Scene]:
            endless = draw(targets, others, taxonomy, seed, interferers=interferers, snr=snr)
            return islice(endless, count)

        sets.append(SceneSet(key, title, count, scenes))
    if not sets:
        raise BadInput(f"{folder} holds no clips that were kept from training: build it anew.")
    return tuple(sets)


def family_sets(
    folder: Path, taxonomy: Taxonomy, count: int, seed: int
) -> tuple[tuple[str, SceneSet], ...]:
    """Return for each family of sounds mixtures in which it is asked for as a whole.

    A family's sounds are those of classes one of whose captions asks for it; the accompaniment's
    are all instruments. Speech is mixed with anything else at 0 dB, the parts of a song with
    instruments and voices. Families of which the corpus holds nothing are left out.
    """
    clips = [c for c in read_clips(folder) if c.split in (HELD_OUT, OUTSIDE)]
    of: dict[str, set[str]] = {name: set() for name in FAMILIES}
    for name, item in taxonomy.classes.items():
        for asked in {family(caption) for caption in item.captions} - {""}:
            of[asked].add(name)
    music = {name for name in taxonomy.classes if taxonomy.lineage(name) & {"music", "instrument"}}
    of["no speech"] = {n for n in taxonomy.classes if "voice" not in taxonomy.lineage(n)}
    of["accompaniment"] = music - of["vocals"] - {"music"}
    found = []
    for name, query in FAMILIES.items():
        mine = [clip for clip in clips if clip.name in of[name]]
        rest = [clip for clip in clips if clip.name not in of[name]]
        if name == SPEECH:
            rest = [clip for clip in rest if "voice" not in taxonomy.lineage(clip.name)]
        elif name == "no speech":
            rest = [clip for clip in rest if clip.name in of[SPEECH]]
        else:
            rest = [clip for clip in rest if clip.name in music]
        if name == "accompaniment":
            rest = [clip for clip in rest if clip.name in of["vocals"]]
        if not mine or not rest:
            continue

        def scenes(
            mine: Sequence[Clip] = mine, rest: Sequence[Clip] = rest, query: str = query
        ) -> Iterator[Scene]:
            drawn = draw(_store(folder, mine), _store(folder, rest), taxonomy, seed)
            for scene in islice(drawn, count):
                (asked,) = scene.questions
                yield replace(
                    scene, questions=(replace(asked, caption=query, wrong=""),), absent=()
                )

        title = f"'{query}' out of mixtures with another sound at 0 dB"
        found.append((name, SceneSet(name, title, count, scenes)))
    return tuple(found)


def draw(
    targets: ClipStore,
    others: ClipStore,
    taxonomy: Taxonomy,
    seed: int,
    *,
    interferers: int = 1,
    snr: float = 0.0,
) -> Iterator[Scene]:
    """Draw mixtures of sounds of which no caption fits another, without end.

    Where both sounds come from the same store, both are asked for. Each mixture is also asked for
    two sounds that are not there: one of a neighbouring class (an ancestor is shared), if there
    is one, and one of a class that is no relative of any.

    Parameters
    ----------
    targets, others
        Where the requested sound, and those beside it, come from.
    taxonomy
        Of the clips' classes.
    seed
        Decides everything that is random.
    interferers
        How many sounds beside the target, all equally loud.
    snr
        dB; level of the target relative to the sum of the others.

    """
    options = MixingOptions(samples=SECONDS * SAMPLE_RATE, augment=0.0)
    asked_mixer, other_mixer = (Mixer(store, taxonomy, options) for store in (targets, others))
    asked_weights, other_weights = (_weights(store) for store in (targets, others))
    rng = np.random.default_rng(seed)
    failed = 0
    while True:
        names = [str(rng.choice(targets.names, p=asked_weights))]
        drawn = rng.choice(others.names, interferers, p=other_weights)
        names += [str(name) for name in drawn]
        captions = [_any(taxonomy.classes[name].captions, rng) for name in names]
        if any(
            taxonomy.fits(caption, name)
            for i, caption in enumerate(captions)
            for j, name in enumerate(names)
            if i != j
        ):
            failed += 1
            if failed > _TRIES:
                raise BadInput("The corpus holds no two sounds of which no caption fits both.")
            continue
        failed = 0
        sources = [asked_mixer.source(names[0], rng)]
        sources += [other_mixer.source(name, rng) for name in names[1:]]
        sources = [source * np.float32(LEVEL / _rms(source)) for source in sources]
        rest = np.asarray(np.sum(sources[1:], axis=0), np.float32)
        gain = np.float32(LEVEL * 10 ** (-snr / 20) / _rms(rest))
        sources[1:] = [source * gain for source in sources[1:]]
        asked = range(2 if targets is others and interferers == 1 else 1)
        questions = tuple(
            Question(names[i], captions[i], sources[i][None], names[1 - i], captions[1 - i])
            for i in asked
        )
        absent = _absent(names, others.names, taxonomy, rng)
        mixture = np.asarray(np.sum(sources, axis=0), np.float32)
        yield Scene(mixture[None], SAMPLE_RATE, questions, absent)


def triples(folder: Path) -> SceneSet:
    """Return the mixtures of a folder that holds ``triples.csv``.

    Its columns are ``mixture`` and ``target`` (audio files, relative to the folder) and
    ``caption``. Rows with the same mixture are asked together, and the caption of another row of
    it is the wrong one. A silent target says that the sound is absent.

    Raises
    ------
    BadInput
        The table is missing, damaged or empty, or names a file that is missing; says which line.
        A file that is not audio, or does not fit its mixture, raises an error when its turn comes.

    """
    table = folder / TRIPLES
    if not folder.is_dir():
        raise BadInput(f"There is no folder {folder}.")
    if not table.is_file():
        raise BadInput(
            f"{folder} holds no '{TRIPLES}': write one with the columns {', '.join(_COLUMNS)}."
        )
    by_mixture: dict[str, list[tuple[str, str]]] = {}
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise BadInput(
                    f"{table} has no column '{missing[0]}': its first line must be "
                    f"'{','.join(_COLUMNS)}'."
                )
            for row in reader:
                mixture, target, caption = _triple(table, reader.line_num, row)
                by_mixture.setdefault(mixture, []).append((target, caption))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{table} cannot be read ({error}): write it as CSV in UTF-8.") from error
    if not by_mixture:
        raise BadInput(f"{table} names no mixture: add a line for each, below the first.")
    limit = QUERIES_LIMIT
    groups = [
        (mixture, rows[start : start + limit])
        for mixture, rows in by_mixture.items()
        for start in range(0, len(rows), limit)
    ]

    def scenes() -> Iterator[Scene]:
        for mixture, rows in groups:
            yield _scene(folder, mixture, rows)

    return SceneSet("triples", f"mixtures of {folder.absolute().name}", len(groups), scenes)


def _triple(table: Path, line: int, row: Mapping[str, str | None]) -> tuple[str, str, str]:
    mixture, target, caption = ((row.get(name) or "").strip() for name in _COLUMNS)
    where = f"{table}, line {line}"
    for name, value in (("mixture", mixture), ("target", target), ("caption", caption)):
        if not value:
            raise BadInput(f"{where}: there is no {name}; fill it in, or take the line out.")
    for value in (mixture, target):
        if not (table.parent / value).is_file():
            raise BadInput(f"{where}: there is no file {table.parent / value}; correct its path.")
    try:
        return mixture, target, clean_query(caption)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error


def _scene(folder: Path, mixture: str, rows: Sequence[tuple[str, str]]) -> Scene:
    whole, rate = read(folder / mixture)
    questions, absent = [], []
    for target, caption in rows:
        truth, other_rate = read(folder / target)
        if (truth.shape, other_rate) != (whole.shape, rate):
            raise BadInput(
                f"{folder / target} does not fit its mixture {mixture}: {_form(truth, other_rate)} "
                f"against {_form(whole, rate)}; export both alike."
            )
        if truth.any():
            wrong = next((c for t, c in rows if t != target and c != caption), "")
            questions.append(Question(caption, caption, truth, wrong, wrong))
        else:
            absent.append((caption, False))
    return Scene(whole, rate, tuple(questions), tuple(absent))


def _form(audio: NDArray[np.float32], rate: int) -> str:
    return f"{audio.shape[0]} channel(s) of {audio.shape[1]} samples at {rate} Hz"


def _absent(
    names: Sequence[str], known: Sequence[str], taxonomy: Taxonomy, rng: np.random.Generator
) -> tuple[tuple[str, bool], ...]:
    """Return a caption of a neighbouring class, if there is one, and one of no relative."""
    lineages = [taxonomy.lineage(name) for name in names]
    near, far = [], []
    for other in known:
        line = taxonomy.lineage(other)
        if any(name in line for name in names) or any(other in of for of in lineages):
            continue
        if line & lineages[0]:
            near.append(other)
        elif not any(line & of for of in lineages[1:]):
            far.append(other)
    found = []
    for is_near, candidates in ((True, near), (False, far)):
        for _ in range(20 if candidates else 0):
            caption = _any(taxonomy.classes[_any(candidates, rng)].captions, rng)
            if not any(taxonomy.fits(caption, name) for name in names):
                found.append((caption, is_near))
                break
    return tuple(found)


def _any(items: Sequence[str], rng: np.random.Generator) -> str:
    return items[int(rng.integers(len(items)))]


def _weights(store: ClipStore) -> NDArray[np.float64]:
    counts = {name: len(clips) for name, clips in store.by_class.items()}
    return class_weights(store.names, counts)


def _store(folder: Path, clips: Sequence[Clip]) -> ClipStore:
    return ClipStore(np.memmap(folder / "audio.i16", dtype="<i2", mode="r"), clips)


def _rms(audio: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(audio), dtype=np.float64))) + 1e-9
