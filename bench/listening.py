"""A blind listening page: `python -m bench.listening STORE OUT`.

Mixtures of two recordings from sources that no training saw, each answered twice: with Tweeze's
defaults, where the sound beside is named as not wanted and competes, and as it was without, by the
general model alone. Which answer is A and which is B was drawn by lot; the page keeps what is
clicked, and `key.csv`, to be opened afterwards, says which was which. Another version of Tweeze can
be the second: `--before 'path/to/other/.venv/bin/tweeze separate'`.
"""

from __future__ import annotations

import argparse
import csv
import html
import shlex
import subprocess
import tempfile
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile

from engine.taxonomy.classes import load_taxonomy
from engine.training.corpus import OUTSIDE
from engine.training.figures import score
from engine.training.scenes import Scene, draw, load_stores

_PLAIN = ("--no-compete", "--no-auto")
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Tweeze: which is nearer to the sound?</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; }}
fieldset {{ margin: 1.5rem 0; border: 1px solid #999; border-radius: .5rem; }}
audio {{ width: 100%; }} label {{ margin-right: 1.5rem; }}
</style>
<h1>Which is nearer to the sound?</h1>
<p>Listen to the mixture, then to A and B. Choose the one that you would rather have for what is
asked: less of the other sound, and the sound itself whole. Nothing says which is which; open
<code>key.csv</code> when you are through.</p>
<form>{rows}</form>
<p><output id="sum">0 of {count} judged</output></p>
<script>
const form = document.querySelector("form");
form.addEventListener("change", () => {{
  const given = new FormData(form), rows = [...given.entries()];
  document.getElementById("sum").textContent = rows.length + " of {count} judged: " +
    rows.map(([number, choice]) => number + choice).join(" ");
}});
</script>
</html>
"""
_ROW = """<fieldset><legend>{number}. Wanted: <strong>{query}</strong> (not: {other})</legend>
Mixture <audio controls preload="none" src="{number:02}-mixture.flac"></audio>
A <audio controls preload="none" src="{number:02}-A.flac"></audio>
B <audio controls preload="none" src="{number:02}-B.flac"></audio>
<label><input type="radio" name="{number}" value="A"> A</label>
<label><input type="radio" name="{number}" value="B"> B</label>
<label><input type="radio" name="{number}" value="="> no difference</label></fieldset>
"""


def separated(command: list[str], mixture: Path, query: str, more: list[str]) -> np.ndarray:
    """Have a Tweeze separate a file; returns the samples of the clip, `(frames,)`."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*command, str(mixture), "--query", query, "--out", folder, *more]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, timeout=600)
        (clip,) = Path(folder).glob("*.wav")
        samples, _ = soundfile.read(clip, dtype="float32", always_2d=True)
    return samples[:, 0]


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
    plain = [] if arguments.before else ["--model", "compact", *_PLAIN]
    store = load_stores(arguments.store, OUTSIDE)
    scenes = islice(draw(store, store, load_taxonomy(), arguments.seed), arguments.count)
    rng = np.random.default_rng(arguments.seed)
    rows, key = [], []
    for number, scene in enumerate(scenes, start=1):
        rows.append(_answered(arguments.out, number, scene, (now, before, plain), rng, key))
        print(f"{number} of {arguments.count}", flush=True)
    page = _PAGE.format(rows="".join(rows), count=len(rows))
    (arguments.out / "index.html").write_text(page, encoding="utf-8")
    with (arguments.out / "key.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(key[0]))
        table.writeheader()
        table.writerows(key)
    print(arguments.out / "index.html")


def _answered(
    out: Path,
    number: int,
    scene: Scene,
    how: tuple[list[str], list[str], list[str]],
    rng: np.random.Generator,
    key: list[dict[str, object]],
) -> str:
    """Write one mixture and both answers; returns its part of the page."""
    now, before, plain = how
    asked = scene.questions[0]
    mixture = out / f"{number:02}-mixture.flac"
    soundfile.write(mixture, scene.mixture[0], scene.rate, subtype="PCM_24")
    answers = {
        "now": separated(now, mixture, asked.caption, ["--not", asked.wrong]),
        "before": separated(before, mixture, asked.caption, plain),
    }
    names = ["now", "before"] if rng.random() < 0.5 else ["before", "now"]
    truth, base = asked.truth[0], score(asked.truth[0], scene.mixture[0])
    row: dict[str, object] = {"number": number, "query": asked.caption, "not": asked.wrong}
    for letter, name in zip("AB", names, strict=True):
        soundfile.write(out / f"{number:02}-{letter}.flac", answers[name], scene.rate, "PCM_24")
        row[letter] = name
        row[f"{letter} SI-SDRi"] = round(score(truth, answers[name]) - base, 2)
    key.append(row)
    return _ROW.format(
        number=number, query=html.escape(asked.caption), other=html.escape(asked.wrong)
    )


if __name__ == "__main__":
    main()
