"""`tweeze demo`: separates the bundled recordings through the engine, and says how well it went."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bridge import launch, separating
from bridge.patience import waiting
from bridge.picture import draw
from engine.folders import Folders
from engine.options import AUTO, Keep, Options
from engine.sound.audio import read
from engine.sound.measure import null_depth, si_sdr
from engine.status import ClipKind

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["run"]

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Sound:
    """One of the sounds in the recording: how to ask for it, and what it is alone."""

    query: str
    truth: Samples


@dataclass(frozen=True)
class _Row:
    """What came of one query."""

    query: str
    improvement: float  # dB, SI-SDR against the truth, over the mixture's own
    null: float  # dB
    seconds: float
    loading: float  # seconds; 0 where the model was resident
    paths: tuple[Path, ...]
    target: Samples
    residual: Samples


def run(out: Path, *, model: str = AUTO) -> None:
    """Separate each sound of the bundled recordings; print figures, leave clips and a picture.

    Raises
    ------
    TweezeError
        As `bridge.separating.separate`.

    """
    folders = Folders.of_user()
    with as_file(files("engine") / "demo") as folder:
        facts = tomllib.loads((folder / "demo.toml").read_text("utf-8"))
        mixture_file = folder / facts["mixture"]
        mixture, rate = read(mixture_file)
        sounds = _sounds(facts["sound"], mixture, folder)
        seconds = mixture.shape[1] / rate
        print(
            f"The recording: {seconds:.1f} s, {mixture.shape[0]} channels at {rate:,} Hz; in it, "
            f"at once: {', '.join(sound.query for sound in sounds)}."
        )
        started = time.perf_counter()
        with waiting("Starting the engine"):
            beat, fresh = launch.ensure(folders)
        waited = time.perf_counter() - started
        how = f"started in {waited:.1f} s and stays" if fresh else "was running"
        print(f"The engine (process {beat.pid}) {how}.\n")
        print(
            f"{'query':24} {'SI-SDR':>10} {'null':>9} {'separated in':>13} "
            f"{'x real time':>12}  model loaded in"
        )
        rows = []
        for row in _separate_all(mixture_file, mixture, sounds, model, out):
            rows.append(row)
            loading = f"{row.loading:.2f} s" if row.loading else "0 s: it was resident"
            print(
                f"{row.query:24.24} {row.improvement:+7.1f} dB {row.null:6.0f} dB "
                f"{row.seconds:11.2f} s {seconds / row.seconds:12.1f}  {loading}",
                flush=True,
            )
        together = facts["together"]
        file = folder / together["mixture"]
        parts = _sounds(together["sound"], read(file)[0], folder)
        clips = _show_together(together["title"], file, parts, model, out)
    picture = out / "demo.png"
    with waiting("Drawing the spectrograms"):
        draw(
            picture,
            [
                ("mixture", mixture),
                *((row.query, row.target) for row in rows),
                (f"without {rows[0].query} (the residual)", rows[0].residual),
            ],
            rate,
        )
    print("\nClips:")
    for row in rows:
        for path in row.paths:
            print(f"  {path}")
    for path in clips:
        print(f"  {path}")
    print(f"Spectrograms:\n  {picture.absolute()}")
    print(
        "\nSI-SDR: by how much nearer to the true sound the clip is than the mixture (more is "
        "better).\nNull: how far below the mixture lies what is left of it without both clips "
        "(less is better)."
    )
    loading_seconds = sum(row.loading for row in rows)
    if loading_seconds:
        print(f"Run it again: the {loading_seconds:.1f} s for loading the model will be gone.")


def _sounds(facts: list[dict[str, str]], mixture: Samples, folder: Path) -> list[_Sound]:
    """Return the sounds of a recording; the one without a file is what the others leave of it."""
    alone = [read(folder / one["truth"])[0] if "truth" in one else None for one in facts]
    rest = mixture - sum(truth for truth in alone if truth is not None)
    return [
        _Sound(one["query"], rest if truth is None else truth)
        for one, truth in zip(facts, alone, strict=True)
    ]


def _show_together(
    title: str, file: Path, sounds: list[_Sound], model: str, out: Path
) -> tuple[Path, ...]:
    """Ask for the sounds of a recording one by one and together; print what that gains."""
    mixture, rate = read(file)
    queries = tuple(sound.query for sound in sounds)
    print(
        f"\n{title}: {mixture.shape[1] / rate:.1f} s. Each sound by itself, by compact; and all in "
        "one job, where they\ncompete and each goes to the model that is best for it:\n"
    )
    print(f"{'query':24} {'by itself':>10} {'together':>11} {'gained':>10}  answered by")
    alone = Options(model="compact", compete=False, auto=False)
    plain = []
    with tempfile.TemporaryDirectory(prefix="tweeze-") as folder:
        for query in queries:
            result = separating.separate(file, (query,), alone, Path(folder))
            plain.append(read(result.paths[0])[0])
    result = separating.separate(file, queries, Options(model=model, keep=Keep.BOTH), out)
    answers = result.status.answers or (model,) * len(queries)
    for sound, before, path, by in zip(sounds, plain, result.paths, answers, strict=False):
        base = si_sdr(sound.truth, mixture)
        one, other = si_sdr(sound.truth, before) - base, si_sdr(sound.truth, read(path)[0]) - base
        print(
            f"{sound.query:24.24} {one:+7.1f} dB {other:+8.1f} dB {other - one:+7.1f} dB  {by}",
            flush=True,
        )
    return result.paths


def _separate_all(
    mixture_file: Path, mixture: Samples, sounds: list[_Sound], model: str, out: Path
) -> Iterator[_Row]:
    options = Options(model=model, keep=Keep.BOTH)
    for sound in sounds:
        result = separating.separate(mixture_file, (sound.query,), options, out)
        kinds = [clip.kind for clip in result.status.clips]
        target = read(result.paths[kinds.index(ClipKind.TARGET)])[0]
        residual = read(result.paths[kinds.index(ClipKind.RESIDUAL)])[0]
        yield _Row(
            query=sound.query,
            improvement=si_sdr(sound.truth, target) - si_sdr(sound.truth, mixture),
            null=null_depth(mixture, (target, residual)),
            seconds=result.status.seconds,
            loading=result.status.loading,
            paths=result.paths,
            target=target,
            residual=residual,
        )
