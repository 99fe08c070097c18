"""Packs the loudest moments of a corpus's clips into one small file, for a machine far away.

    python -m engine.training.pack STORE FILE --mebibytes 36

``FILE`` is a ZIP archive of ``clips.csv`` (as in a store, see `engine.training.corpus`) and reels:
Ogg Opus at 48 kHz, each of many excerpts with pauses between them, since an Ogg file of its own
costs as much as a quarter of a second of sound. Where the store has ``places.npy`` (see
`engine.training.shown`), so has the archive, in float16. What comes first is what differs most, so
whatever the size, all that fits is as diverse as can be.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass, fields, replace
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import soundfile
import soxr

from engine.errors import BadInput
from engine.training.corpus import HELD_OUT, OUTSIDE, SAMPLE_RATE, TRAIN, Clip, read_clips
from engine.training.shown import PLACES, agreed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["PackOptions", "by_diversity", "loudest", "pack", "packed_places", "unpack"]

OPUS_RATE = 48000
REEL = 32
"""Excerpts a reel."""
PAUSE = SAMPLE_RATE // 50
"""Samples of silence after an excerpt: one frame of Opus."""
FADE = SAMPLE_RATE // 200
"""Samples over which an excerpt fades where its clip goes on."""
_HOP = SAMPLE_RATE // 100
_ENTRY = 128  # bytes of a reel's two headers in a ZIP archive, at most
_SLOWEST, _FASTEST = 6000, 256000  # bits a second; libsndfile spreads its levels between them
_DATE = (1980, 1, 1, 0, 0, 0)
_Item = TypeVar("_Item")
_COLUMNS = tuple(field.name for field in fields(Clip))


@dataclass(frozen=True)
class PackOptions:
    """What becomes of the clips."""

    mebibytes: float = 36.0
    seconds: float = 2.5
    """Of a clip, at most."""
    kilobits: float = 22.0
    """A second."""
    validation: int = 200
    """Clips of each split that is watched (held-out, outside)."""


def by_diversity(clips: Iterable[Clip]) -> list[Clip]:
    """Order clips so that any number of the first ones differ as much as can be.

    One of each class comes first, then another of each, and so on. A class gives one clip of each
    recording before it gives a second of any, and turns to another source after each recording.
    """
    classes: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        classes[clip.name].append(clip)
    return _in_turn(_recordings_in_turn(classes[name]) for name in sorted(classes))


def _recordings_in_turn(clips: Sequence[Clip]) -> list[Clip]:
    sources: dict[str, dict[str, list[Clip]]] = defaultdict(dict)
    home: dict[str, str] = {}
    for clip in clips:
        source = home.setdefault(clip.group, clip.source)
        sources[source].setdefault(clip.group, []).append(clip)
    recordings = _in_turn(found.values() for found in sources.values())
    return _in_turn(recordings)


def _in_turn(queues: Iterable[Iterable[_Item]]) -> list[_Item]:
    """Return the first of each queue, then the second of each, until all are empty."""
    return [item for row in zip_longest(*queues) for item in row if item is not None]


def loudest(audio: NDArray[np.int16], samples: int) -> NDArray[np.float32]:
    """Return the loudest stretch of ``(n,)``, at most ``samples`` long, faded where it was cut."""
    whole = np.asarray(audio / np.float32(32768), np.float32)
    if whole.size <= samples:
        return whole
    energy = np.concatenate([[0.0], np.cumsum(np.square(whole, dtype=np.float64))])
    starts = np.append(np.arange(0, whole.size - samples, _HOP), whole.size - samples)
    start = int(starts[np.argmax(energy[starts + samples] - energy[starts])])
    part = np.array(whole[start : start + samples], np.float32)
    ramp = np.linspace(0, 1, FADE, dtype=np.float32)
    if start > 0:
        part[:FADE] *= ramp
    if start + samples < whole.size:
        part[-FADE:] *= ramp[::-1]
    return part


@dataclass(frozen=True)
class _Reel:
    clips: tuple[Clip, ...]
    """Their starts count from the reel's first sample."""
    length: int
    data: bytes


def _reel(store: Path, clips: Sequence[Clip], options: PackOptions) -> _Reel:
    """Cut and encode some clips of a store."""
    samples = np.memmap(store / "audio.i16", dtype="<i2", mode="r")
    parts, placed, position = [], [], 0
    for clip in clips:
        whole = samples[clip.start : clip.start + clip.length]
        part = loudest(whole, round(options.seconds * SAMPLE_RATE))
        pause = PAUSE + part.size % 2  # even, so that it comes back from 48 kHz as long as it was
        placed.append(replace(clip, start=position, length=part.size))
        parts += [part, np.zeros(pause, np.float32)]
        position += part.size + pause
    return _Reel(tuple(placed), position, _encode(np.concatenate(parts), options.kilobits))


def _encode(audio: NDArray[np.float32], kilobits: float) -> bytes:
    file = io.BytesIO()
    level = 1 - (1000 * kilobits - _SLOWEST) / (_FASTEST - _SLOWEST)
    soundfile.write(
        file,
        soxr.resample(audio, SAMPLE_RATE, OPUS_RATE),
        OPUS_RATE,
        format="OGG",
        subtype="OPUS",
        compression_level=min(max(level, 0.0), 1.0),
    )
    # libsndfile takes the number of an Ogg stream from the clock
    return _numbered(file.getvalue(), 1)


def _decode(data: bytes) -> NDArray[np.int16]:
    audio, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    heard = soxr.resample(audio, rate, SAMPLE_RATE)
    return np.asarray(np.clip(np.round(heard * 32768), -32768, 32767), "<i2")


def pack(
    store: Path, file: Path, options: PackOptions | None = None, processes: int = 1
) -> list[Clip]:
    """Write what fits of a store's clips to ``file``; return them, as `unpack` does.

    The same store and options give the same bytes, however many processes encode.
    """
    options = options or PackOptions()
    trained, places = agreed(store)
    clips = [*trained, *(clip for clip in read_clips(store) if clip.split != TRAIN)]
    rows = {(clip.start, clip.length): row for row, clip in enumerate(trained)}
    place_bytes = 0 if places is None else 2 * places.shape[1]
    split = {
        key: by_diversity(clip for clip in clips if clip.split == key)
        for key in (HELD_OUT, OUTSIDE, TRAIN)
    }
    wanted = [*split[HELD_OUT][: options.validation], *split[OUTSIDE][: options.validation]]
    wanted += split[TRAIN]
    lots = [wanted[start : start + REEL] for start in range(0, len(wanted), REEL)]
    left = round(options.mebibytes * 2**20) - 6 * _ENTRY
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(_COLUMNS)
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed: list[Clip] = []
    chosen: list[int] = []
    """Rows of the clips for training that are packed."""
    position = number = 0
    partly = file.with_name(file.name + ".part")
    with zipfile.ZipFile(partly, "w", zipfile.ZIP_STORED) as archive:
        for lot, reel in zip(lots, _reels(store, lots, options, processes), strict=False):
            own = [rows[clip.start, clip.length] for clip in lot if clip.split == TRAIN]
            placed = [replace(clip, start=clip.start + position) for clip in reel.clips]
            begun = table.tell()
            writer.writerows(astuple(clip) for clip in placed)
            written = table.getvalue()[begun:].encode()
            written = squeezer.compress(written) + squeezer.flush(zlib.Z_SYNC_FLUSH)
            left -= len(reel.data) + len(written) + _ENTRY + place_bytes * len(own)
            if left < 0:
                table.truncate(begun)
                break
            archive.writestr(zipfile.ZipInfo(f"{number:04}.opus", _DATE), reel.data)
            packed += placed
            chosen += own
            position += reel.length
            number += 1
        if not packed:
            raise BadInput(f"{options.mebibytes} MiB hold nothing: allow more.")
        info = zipfile.ZipInfo("clips.csv", _DATE)
        info.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(info, table.getvalue(), compresslevel=9)
        if places is not None:
            file_ = io.BytesIO()
            np.save(file_, places[chosen].astype("<f2"))
            archive.writestr(zipfile.ZipInfo(PLACES, _DATE), file_.getvalue())
    partly.replace(file)
    return packed


def _reels(
    store: Path, lots: Sequence[Sequence[Clip]], options: PackOptions, processes: int
) -> Iterator[_Reel]:
    """Encode lots in turn, some of them ahead."""
    if processes == 1:
        yield from (_reel(store, lot, options) for lot in lots)
        return
    with ProcessPoolExecutor(processes) as pool:
        later = iter(lots)
        ahead = [pool.submit(_reel, store, lot, options) for lot in islice(later, 2 * processes)]
        try:
            while ahead:
                yield ahead.pop(0).result()
                ahead += [pool.submit(_reel, store, lot, options) for lot in islice(later, 1)]
        finally:
            for waiting in ahead:
                waiting.cancel()


def unpack(file: Path, processes: int | None = None) -> tuple[NDArray[np.int16], list[Clip]]:
    """Decode a file that `pack` wrote.

    Returns the samples of all clips, ``(samples,)`` at 32 kHz, and the clips in it.

    Raises
    ------
    BadInput
        The file is no pack, or is damaged.

    """
    try:
        with zipfile.ZipFile(file) as archive:
            names = sorted(name for name in archive.namelist() if name.endswith(".opus"))
            reels = [archive.read(name) for name in names]
            table = archive.read("clips.csv").decode()
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise BadInput(f"{file} is not a pack of clips ({error}): pack the corpus anew.") from error
    count = processes or os.cpu_count() or 1
    if count == 1:
        parts = [_decode(reel) for reel in reels]
    else:
        with ProcessPoolExecutor(count) as pool:
            parts = list(pool.map(_decode, reels, chunksize=max(1, len(reels) // (4 * count))))
    samples = np.concatenate(parts)
    clips = [
        Clip(**{**row, "start": int(row["start"]), "length": int(row["length"])})  # type: ignore[arg-type]
        for row in csv.DictReader(io.StringIO(table, newline=""))
    ]
    if clips[-1].start + clips[-1].length > samples.size:
        raise BadInput(f"{file} holds less sound than its table says: pack the corpus anew.")
    return samples, clips


def packed_places(file: Path) -> NDArray[np.float16] | None:
    """Return where the listener places a pack's clips for training, ``(clips, dim)``, if known."""
    with zipfile.ZipFile(file) as archive:
        if PLACES not in archive.namelist():
            return None
        found: NDArray[np.float16] = np.load(io.BytesIO(archive.read(PLACES)), allow_pickle=False)
        return found


def _numbered(data: bytes, serial: int) -> bytes:
    """Give the pages of an Ogg stream a serial number, and the checksums that follow from it."""
    out = bytearray(data)
    page = 0
    while page < len(out):
        segments = out[page + 26]
        size = 27 + segments + sum(out[page + 27 : page + 27 + segments])
        out[page + 14 : page + 18] = serial.to_bytes(4, "little")
        out[page + 22 : page + 26] = bytes(4)
        out[page + 22 : page + 26] = _checksum(out[page : page + size]).to_bytes(4, "little")
        page += size
    return bytes(out)


def _table() -> tuple[int, ...]:
    found = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)
        found.append(value & 0xFFFFFFFF)
    return tuple(found)


_CRC = _table()


def _checksum(page: bytearray) -> int:
    """Return a page's CRC-32 (RFC 3533, section 6): polynomial 0x04c11db7, nothing reflected."""
    value = 0
    for byte in page:
        value = ((value << 8) & 0xFFFFFFFF) ^ _CRC[(value >> 24) ^ byte]
    return value


def main() -> None:
    """Pack a corpus from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path, help="folder written by engine.training.corpus")
    parser.add_argument("file", type=Path)
    standard = PackOptions()
    parser.add_argument("--mebibytes", type=float, default=standard.mebibytes)
    parser.add_argument("--seconds", type=float, default=standard.seconds, help="of a clip")
    parser.add_argument("--kilobits", type=float, default=standard.kilobits, help="a second")
    parser.add_argument(
        "--validation", type=int, default=standard.validation, help="clips of each watched split"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    options = PackOptions(
        arguments.mebibytes, arguments.seconds, arguments.kilobits, arguments.validation
    )
    packed = pack(arguments.store, arguments.file, options, arguments.processes)
    train = [clip for clip in packed if clip.split == TRAIN]
    print(
        f"{arguments.file.stat().st_size / 2**20:.2f} MiB: {len(train)} clips for training, "
        f"{sum(clip.length for clip in train) / SAMPLE_RATE / 60:.0f} minutes, "
        f"{len({clip.name for clip in train})} classes, "
        f"{len({clip.group for clip in train})} recordings, "
        f"{len({clip.source for clip in train})} sources; {len(packed) - len(train)} to watch"
    )


if __name__ == "__main__":
    main()
