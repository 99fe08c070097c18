"""A blind listening page: `python -m bench.listening STORE OUT`.

Mixtures of two recordings from sources that no training saw, each answered twice: with Tweeze's
defaults, where the sound beside is named as not wanted and competes, and as it was without, by the
general model alone. Which answer is A and which is B was drawn by lot; the page keeps what is
chosen in the browser, and `key.csv`, to be opened afterwards (in the page, which then counts, or in
a table), says which was which: `competing` or `alone`, and how many dB each gained. Another version
of Tweeze can be the second: `--before 'path/to/other/.venv/bin/tweeze separate'`; then the key says
`this version` or `the other version`.
"""

from __future__ import annotations

import argparse
import csv
import html
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile

from engine.models.base import FloatArray
from engine.taxonomy.classes import load_taxonomy
from engine.training.corpus import OUTSIDE
from engine.training.figures import score
from engine.training.scenes import Scene, draw, load_stores

_PLAIN = ("--no-compete", "--no-auto")
_PAGE = Path(__file__).with_suffix(".html")
_MIXTURES = "<!-- mixtures -->"
_ROW = """<fieldset data-number="{number}">
<legend>{number}. Wanted: <strong>{query}</strong>; not wanted: {other}</legend>
<div class="sounds">{sounds}</div>
<div class="choices" role="radiogroup" aria-label="Mixture {number}: which is nearer?">
<label><input type="radio" name="{number}" value="A"> A</label>
<label><input type="radio" name="{number}" value="B"> B</label>
<label><input type="radio" name="{number}" value="="> no difference</label>
</div>
<p class="truth" aria-live="polite"></p>
</fieldset>
"""
_SOUND = (
    '<span>{name}</span><audio controls preload="metadata" data-key="{key}" '
    'aria-label="{name} of number {number}" src="{number:02}-{file}.flac"></audio>'
)
_SOUNDS = (("Mixture", "M", "mixture"), ("A", "A", "A"), ("B", "B", "B"))
_NAMES = ("competing", "alone")
_VERSIONS = ("this version", "the other version")


def separated(command: list[str], mixture: Path, query: str, more: list[str]) -> FloatArray:
    """Have a Tweeze separate a file; returns the samples of the clip, `(frames,)`."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*command, str(mixture), "--query", query, "--out", folder, *more]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, timeout=600)
        (clip,) = Path(folder).glob("*.wav")
        samples, _ = soundfile.read(clip, dtype="float32", always_2d=True)
    return np.asarray(samples[:, 0], np.float32)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path, help="folder written by engine.training.corpus")
    parser.add_argument("out", type=Path, help="folder for the page; must not exist")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--before", help="the command of another version, up to 'separate'")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True)
    now = ["tweeze", "separate"]
    before = shlex.split(arguments.before) if arguments.before else now
    names = _VERSIONS if arguments.before else _NAMES
    plain = [] if arguments.before else ["--model", "compact", *_PLAIN]
    store = load_stores(arguments.store, OUTSIDE)
    scenes = islice(draw(store, store, load_taxonomy(), arguments.seed), arguments.count)
    rng = np.random.default_rng(arguments.seed)
    rows: list[str] = []
    key: list[dict[str, object]] = []
    for number, scene in enumerate(scenes, start=1):
        rows.append(_answered(arguments.out, number, scene, (now, before, plain), names, rng, key))
        print(f"{number} of {arguments.count}", flush=True)
    write(arguments.out, rows, key)
    print(arguments.out / "index.html")


def write(out: Path, rows: Sequence[str], key: Sequence[Mapping[str, object]]) -> None:
    """Write the page of some mixtures, and the key that lies beside it."""
    page = _PAGE.read_text(encoding="utf-8").replace(_MIXTURES, "".join(rows))
    (out / "index.html").write_text(page, encoding="utf-8")
    with (out / "key.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(key[0]))
        table.writeheader()
        table.writerows(key)


def _answered(
    out: Path,
    number: int,
    scene: Scene,
    how: tuple[list[str], list[str], list[str]],
    names: tuple[str, str],
    rng: np.random.Generator,
    key: list[dict[str, object]],
) -> str:
    """Write one mixture and both answers; returns its part of the page."""
    now, before, plain = how
    asked = scene.questions[0]
    mixture = out / f"{number:02}-mixture.flac"
    soundfile.write(mixture, scene.mixture[0], scene.rate, subtype="PCM_24")
    first, second = names
    answers = {
        first: separated(now, mixture, asked.caption, ["--not", asked.wrong]),
        second: separated(before, mixture, asked.caption, plain),
    }
    drawn = names if rng.random() < 0.5 else (second, first)
    truth, base = asked.truth[0], score(asked.truth[0], scene.mixture[0])
    row: dict[str, object] = {"number": number, "query": asked.caption, "not": asked.wrong}
    for letter, name in zip("AB", drawn, strict=True):
        soundfile.write(out / f"{number:02}-{letter}.flac", answers[name], scene.rate, "PCM_24")
        row[letter] = name
        row[f"{letter} SI-SDRi"] = round(score(truth, answers[name]) - base, 2)
    key.append(row)
    sounds = "\n".join(
        _SOUND.format(name=name, key=letter, file=file, number=number)
        for name, letter, file in _SOUNDS
    )
    query, other = html.escape(asked.caption), html.escape(asked.wrong)
    return _ROW.format(number=number, query=query, other=other, sounds=sounds)


if __name__ == "__main__":
    main()
