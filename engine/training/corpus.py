"""Gathers recordings into one store of labelled, mono, 32 kHz clips, split by source recording.

    python -m engine.training.corpus fetch RAW            # Debian packages named in sources.toml
    python -m engine.training.corpus build RAW STORE --sounds FOLDER

``RAW`` holds one folder per source with its audio files. ``STORE`` gets ``audio.i16`` (all clips,
one after another, int16) and ``clips.csv`` (what and where each clip is).
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import astuple, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr

from engine.errors import BadAudio
from engine.sound.audio import opened
from engine.taxonomy.classes import load_taxonomy
from engine.training.archives import ARCHIVES, ArchiveError, extract
from engine.training.instruments import instrument_classes
from engine.training.labels import label, load_rules

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

SAMPLE_RATE = 32000
CLIP_SECONDS = 15
SHORTEST_SECONDS = 0.12
_LONGEST = 120 * 96000  # frames of a recording that are looked at
EXCERPTS = 3
"""A recording longer than one clip gives at most this many clips, spread over its length."""
HELD_OUT_SHARE = 0.13
TEST_FOLD = "5"
"""ESC-10's fold that no training ever sees."""

UNSEEN_CLASSES = frozenset(
    {
        "banjo",
        "cello",
        "church bell",
        "cicada",
        "donkey",
        "footsteps sand",
        "glass clink",
        "goat",
        "machine gun",
        "motorcycle",
        "oboe",
        "owl",
        "seagull",
        "tambourine",
        "trombone",
    }
)
"""Classes that are never trained on: how well do words that were never learned work?"""

TRAIN, HELD_OUT, TEST, UNSEEN = "train", "heldout", "test", "unseen"
"""Splits: for training, other recordings of the same classes, ESC-10's fold, unseen classes."""
AUDIO = frozenset({".ogg", ".oga", ".wav", ".flac", ".mp3", ".aiff", ".aif", ".opus"})
"""Suffixes of audio files."""
_SPEECH = frozenset({"speech", "child speech", "shout", "groan"})
_QUIET = 10 ** (-50 / 20)


@dataclass(frozen=True)
class Source:
    """A place that sounds come from, as ``sources.toml`` lists it."""

    name: str
    kind: str
    """``debian`` (a package), ``folder`` (given on the command line) or ``soundfont``."""
    licence: str
    version: str = ""
    cap: int = 0
    """At most this many clips of one class (0: all)."""
    held_out: bool = False
    """Wholly kept for validation."""


@dataclass(frozen=True)
class Clip:
    """A stretch of one recording in the store."""

    name: str
    """The class."""
    source: str
    path: str
    group: str
    """The recording it comes from: clips of one group are never split."""
    split: str
    start: int
    """First sample in ``audio.i16``."""
    length: int
    """Samples."""


@dataclass(frozen=True)
class Recording:
    """An audio file with its class and the recording it belongs to."""

    file: Path
    source: Source
    path: str
    name: str
    group: str


def load_sources() -> tuple[Source, ...]:
    """Read ``sources.toml``."""
    text = (files(__package__) / "sources.toml").read_text(encoding="utf-8")
    return tuple(Source(**entry) for entry in tomllib.loads(text)["source"])


def recording_group(source: str, path: str, name: str) -> str:
    """Name the recording that a file was cut from.

    ESC-10 names say it. Speech is grouped by speaker (language or voice folder). Elsewhere a file
    name without its numbers is taken for the recording, and *across* sources: games pass the same
    recordings around (``default_dig_metal.2.ogg``).
    """
    stem = Path(path).stem.lower()
    if source == "esc-10":
        return f"esc-10/{stem.rsplit('-', 1)[0]}"
    if source in {"FluidR3_GM", "MuseScore_General", "TimGM6mb"}:
        return f"{source}/{stem.split('_')[0]}"
    if name in _SPEECH and not re.search("animal|mobs_mc|sounds_", stem):
        language = re.search(r"_desc_(\w+)$", stem)
        folder = language.group(1) if language else Path(path).parent.as_posix()
        return f"{source}/{folder if language or '/' in folder else ''}"
    if source.startswith("hydrogen"):
        return f"{source}/{Path(path).parent.name}/{name}"
    plain = re.sub(r"(^sounds|^animalworld|^animalia|^mobs_mc|^default)_", "", stem)
    plain = re.sub(r"[\W_]*\d*[a-d]?\d*$", "", plain)
    return re.sub(r"[\W_\d]+", " ", plain).strip() or stem


def find_recordings(folders: Mapping[str, Path], sources: Iterable[Source]) -> list[Recording]:
    """Return every file that has a label, in a stable order."""
    rules = load_rules(load_taxonomy())
    programs = instrument_classes()
    found = []
    for source in sources:
        root = folders.get(source.name)
        if root is None or not root.is_dir():
            continue
        per_class: dict[str, list[Recording]] = defaultdict(list)
        for file in sorted(p for p in root.rglob("*") if p.suffix.lower() in AUDIO):
            path = file.relative_to(root).as_posix()
            if source.kind == "soundfont":
                name: str | None = programs.get(file.stem.split("_")[0])
            else:
                name = label(rules, source.name, path)
            if name is not None:
                group = recording_group(source.name, path, name)
                per_class[name].append(Recording(file, source, path, name, group))
        for items in per_class.values():
            kept = sorted(items, key=lambda r: _hash(r.path))[: source.cap or None]
            found += sorted(kept, key=lambda r: r.path)
    return found


def decode(file: Path) -> NDArray[np.float32]:
    """Read a file as mono at 32 kHz, quiet ends trimmed, peak at 0.9; shape ``(samples,)``.

    Raises
    ------
    ValueError
        The file holds nothing that can be used: it is broken, silent or too short.
    """
    try:
        with opened(file) as sound:
            rate, blocks, left = sound.rate, [], _LONGEST
            for block in sound.blocks():
                blocks.append(block[:, :left])
                left -= block.shape[1]
                if left <= 0:
                    break
    except BadAudio as error:
        raise ValueError(str(error)) from error
    mono = np.concatenate(blocks, axis=1).mean(axis=0)
    mono = np.asarray(soxr.resample(mono - mono.mean(), rate, SAMPLE_RATE), np.float32)
    peak = float(np.abs(mono).max(initial=0))
    if not np.isfinite(peak) or peak < 1e-3:
        raise ValueError(f"{file}: silent")
    loud = np.flatnonzero(np.abs(mono) > peak * _QUIET)
    mono = mono[loud[0] : loud[-1] + 1]
    if mono.size < SHORTEST_SECONDS * SAMPLE_RATE:
        raise ValueError(f"{file}: too short")
    return np.asarray(mono * np.float32(0.9 / peak), np.float32)


def excerpts(audio: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Yield the clips of a recording: all of it, or stretches spread over a long one."""
    size = CLIP_SECONDS * SAMPLE_RATE
    count = min(EXCERPTS, max(1, audio.size // size))
    for number in range(count):
        start = (audio.size - size) * number // max(count - 1, 1) if count > 1 else 0
        yield audio[start : start + size]


def fingerprint(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 24 bands x 12 stretches of log energy, centred and of unit length."""
    size, hop = 1024, 512
    padded = np.pad(audio, (0, max(0, size + 12 * hop - audio.size)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)) ** 2
    edges = np.unique(np.geomspace(2, size // 2, 26).astype(int))[:25]
    bands = np.add.reduceat(power, edges, axis=1)[:, : len(edges) - 1]
    parts = [part.mean(axis=0) for part in np.array_split(np.log(bands + 1e-7), 12)]
    grid = np.concatenate(parts)
    grid -= grid.mean()
    return np.asarray(grid / (np.linalg.norm(grid) + 1e-9), dtype=np.float32)


def merge_duplicates(
    prints: NDArray[np.float32], lengths: Sequence[int], groups: Sequence[str], names: Sequence[str]
) -> tuple[list[bool], list[str]]:
    """Find clips that are copies of one another.

    Returns which clips to keep (the first of each set of copies), and the groups with those of
    copies joined, so that no recording reaches both sides of the split under two names.
    """
    keep = [True] * len(lengths)
    parent = {group: group for group in groups}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    by_class = defaultdict(list)
    for index, name in enumerate(names):
        by_class[name].append(index)
    for members in by_class.values():
        close = prints[members] @ prints[members].T > 0.985
        for i, first in enumerate(members):
            for j in np.flatnonzero(close[i, i + 1 :]) + i + 1:
                second = members[j]
                if abs(lengths[first] - lengths[second]) <= 0.03 * lengths[first]:
                    parent[root(groups[second])] = root(groups[first])
                    keep[second] = keep[second] and not keep[first]
    return keep, [root(group) for group in groups]


def split_groups(clips: Sequence[Clip], held_out_sources: frozenset[str]) -> dict[str, str]:
    """Decide for each group on which side it is; depends on names only.

    In each class with at least three groups, groups in the order of their hash are held out until
    13 % of its clips are. A group that holds a clip of ESC-10's fold 5 is for testing alone, one
    that holds a clip of an unseen class for measuring such classes. What the weights were trained
    on when the corpus was another (``trained.txt``) is never held out.
    """
    split: dict[str, str] = {}
    by_class: dict[str, Counter[str]] = defaultdict(Counter)
    for clip in clips:
        if clip.name in UNSEEN_CLASSES:
            split[clip.group] = UNSEEN
    for clip in clips:
        if clip.name in UNSEEN_CLASSES:
            continue
        if clip.source == "esc-10" and Path(clip.path).name.startswith(f"{TEST_FOLD}-"):
            split[clip.group] = TEST if split.get(clip.group) != UNSEEN else UNSEEN
        elif clip.source in held_out_sources:
            split.setdefault(clip.group, HELD_OUT)
        by_class[clip.name][clip.group] += 1
    for name in sorted(by_class):
        groups = by_class[name]
        wanted = HELD_OUT_SHARE * groups.total() if len(groups) >= 3 else 0
        held = sum(count for group, count in groups.items() if split.get(group) == HELD_OUT)
        for group in sorted(groups, key=_hash):
            if held < wanted and group not in split and groups[group] <= 0.4 * groups.total():
                split[group] = HELD_OUT
                held += groups[group]
            else:
                split.setdefault(group, TRAIN)
    trained = (files(__package__) / "trained.txt").read_text(encoding="utf-8").splitlines()
    return split | {group: TRAIN for group in trained if split.get(group) == HELD_OUT}


def build(folders: Mapping[str, Path], store: Path) -> list[Clip]:
    """Decode every labelled file into ``store``; return its clips."""
    store.mkdir(parents=True, exist_ok=True)
    sources = load_sources()
    drafts: list[Clip] = []
    prints = []
    position = 0
    with (store / "audio.i16").open("wb") as out:
        for recording in find_recordings(folders, sources):
            try:
                audio = decode(recording.file)
            except ValueError as problem:
                print("left out:", problem, file=sys.stderr)
                continue
            for piece in excerpts(audio):
                out.write(np.round(piece * 32767).astype("<i2").tobytes())
                prints.append(fingerprint(piece))
                drafts.append(
                    Clip(
                        recording.name,
                        recording.source.name,
                        recording.path,
                        recording.group,
                        "",
                        position,
                        piece.size,
                    )
                )
                position += piece.size
    keep, groups = merge_duplicates(
        np.stack(prints),
        [c.length for c in drafts],
        [c.group for c in drafts],
        [c.name for c in drafts],
    )
    joined = [
        Clip(c.name, c.source, c.path, group, "", c.start, c.length)
        for c, group, kept in zip(drafts, groups, keep, strict=True)
        if kept
    ]
    split = split_groups(joined, frozenset(s.name for s in sources if s.held_out))
    clips = [
        Clip(c.name, c.source, c.path, c.group, split[c.group], c.start, c.length) for c in joined
    ]
    with (store / "clips.csv").open("w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(field.name for field in fields(Clip))
        writer.writerows(astuple(clip) for clip in clips)
    return clips


def read_clips(store: Path) -> list[Clip]:
    """Read ``clips.csv``."""
    with (store / "clips.csv").open(encoding="utf-8", newline="") as table:
        return [
            Clip(
                row["name"],
                row["source"],
                row["path"],
                row["group"],
                row["split"],
                int(row["start"]),
                int(row["length"]),
            )
            for row in csv.DictReader(table)
        ]


def fetch(raw: Path) -> None:
    """Download the Debian packages of ``sources.toml`` and unpack their audio below ``raw``."""
    raw.mkdir(parents=True, exist_ok=True)
    patterns = [f"*{suffix}" for suffix in sorted({*AUDIO, *ARCHIVES, ".sf2", ".sf3"})]
    for source in load_sources():
        folder = raw / source.name
        if source.kind != "debian" or folder.exists():
            continue
        pinned = f"{source.name}={source.version}"
        subprocess.run(["apt-get", "download", pinned], cwd=raw, check=True)
        (package,) = raw.glob(f"{source.name}_*.deb")
        folder.mkdir()
        with subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE
        ) as unpack:
            command = ["tar", "-x", "-C", str(folder), "--wildcards", "--no-anchored", *patterns]
            subprocess.run(command, stdin=unpack.stdout, check=False, stderr=subprocess.DEVNULL)
        package.unlink()
        for archive in sorted(p for p in folder.rglob("*") if p.suffix in ARCHIVES):
            try:
                extract(archive, AUDIO)
            except ArchiveError as problem:
                print("left out:", problem, file=sys.stderr)
            archive.unlink()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _report(clips: Sequence[Clip]) -> None:
    splits = Counter(clip.split for clip in clips)
    seconds = sum(clip.length for clip in clips) / SAMPLE_RATE
    classes = Counter(clip.name for clip in clips if clip.split == TRAIN)
    print(f"{len(clips)} clips, {seconds / 3600:.1f} h, {dict(splits)}, {len(classes)} classes")
    missing = sorted(set(load_taxonomy().classes) - set(classes))
    print("classes without a training clip:", ", ".join(missing))


def main() -> None:
    """Fetch sources or build the store, from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    getting = commands.add_parser("fetch")
    getting.add_argument("raw", type=Path)
    building = commands.add_parser("build")
    building.add_argument("raw", type=Path)
    building.add_argument("store", type=Path)
    building.add_argument("--sounds", type=Path, help="folder with the sources of kind 'folder'")
    arguments = parser.parse_args()
    if arguments.command == "fetch":
        fetch(arguments.raw)
        return
    folders = {}
    for source in load_sources():
        place = arguments.sounds if source.kind == "folder" else arguments.raw
        if place is not None:
            within = "soundfonts" if source.kind == "soundfont" else ""
            folders[source.name] = place / within / source.name
    _report(build(folders, arguments.store))


if __name__ == "__main__":
    main()
