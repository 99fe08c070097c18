"""What speech that competes unasked gains: `python -m bench.beside STORE`.

Held-out recordings and ones from sources that no training saw: any sound that is no voice, beside
speech at 0 dB, and the same kinds of sound beside each other, where nobody speaks. Each is asked
for with the defaults and with `--no-auto`. SI-SDR improvement in dB; how often the listener was
sure of speech stands beside it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile

from engine import models
from engine.advice.beside import SURE, speech_in
from engine.folders import Folders
from engine.job import Job
from engine.models.base import Separator
from engine.models.router import models_of, resolve
from engine.queue.teams import assemble
from engine.sound.core import Part, pieces_of
from engine.sound.mixture import ArrayMixture
from engine.sound.team import Member
from engine.taxonomy.classes import load_taxonomy
from engine.training.corpus import HELD_OUT, OUTSIDE, TEST, read_clips
from engine.training.figures import group_of, score
from engine.training.mixing import ClipStore
from engine.training.scenes import Scene, draw


class Tweeze:
    """Answers a scene as a job does, in this process."""

    def __init__(self) -> None:
        self.folders = Folders.of_user()
        self.listener = models.load_listener(self.folders)
        self.loaded: dict[str, Separator] = {}

    def separator(self, name: str) -> Separator:
        if name not in self.loaded:
            self.loaded[name] = models.load(name, self.folders)
        return self.loaded[name]

    def answer(self, scene: Scene, query: str) -> tuple[np.ndarray, np.ndarray, bool]:
        """Return the target without and with speech competing, and whether it did."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "mixture.wav"
            soundfile.write(path, scene.mixture.T, scene.rate, subtype="FLOAT")
            job = resolve(Job("bench", path, (query,)), self.folders)
            sure = bool(job.beside) and speech_in(job, self.listener, lambda: None).speech >= SURE
        plain = self._target(job, scene, beside=False)
        return plain, self._target(job, scene, beside=True) if sure else plain, sure

    def _target(self, job: Job, scene: Scene, *, beside: bool) -> np.ndarray:
        separators = {name: self.separator(name) for name in models_of(job)}
        team = assemble(job, separators, beside=beside).team
        parts = []
        for member in team.members:
            assert isinstance(member, Member)
            rate = member.separator.frame_grid.sample_rate
            mixture = ArrayMixture(scene.mixture, scene.rate, rate)
            parts.append(Part(member.separator, mixture, team.vectors(member), member.sounds))
        found = pieces_of(tuple(parts), team.competition)
        return np.concatenate([piece.targets[0] for piece in found], axis=-1)


def scenes(store: Path, seed: int, *, speech: bool) -> Iterator[Scene]:
    """Draw mixtures without end; the sound that is asked for comes first."""
    taxonomy = load_taxonomy()
    clips = [clip for clip in read_clips(store) if clip.split in (HELD_OUT, OUTSIDE, TEST)]
    voices = [clip for clip in clips if clip.name == "speech"]
    others = [
        clip for clip in clips if not taxonomy.lineage(clip.name) & {"voice", "crowd", "speech"}
    ]
    audio = np.memmap(store / "audio.i16", dtype="<i2", mode="r")
    asked = ClipStore(audio, others)
    yield from draw(asked, ClipStore(audio, voices) if speech else asked, taxonomy, seed)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path, help="folder written by engine.training.corpus")
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=2026)
    arguments = parser.parse_args()
    tweeze, taxonomy = Tweeze(), load_taxonomy()
    for speech in (True, False):
        rows: dict[str, list[tuple[float, float, bool]]] = defaultdict(list)
        drawn = scenes(arguments.store, arguments.seed, speech=speech)
        for scene in islice(drawn, arguments.count):
            asked = scene.questions[0]
            base = score(asked.truth, scene.mixture)
            plain, auto, sure = tweeze.answer(scene, asked.caption)
            row = (score(asked.truth, plain) - base, score(asked.truth, auto) - base, sure)
            rows["all"].append(row)
            rows[group_of(asked.name, taxonomy)].append(row)
        print("beside speech" if speech else "without speech")
        for name, found in rows.items():
            before, after, sure = np.array(found).mean(axis=0)
            print(
                f"  {name:10} n {len(found):4}  --no-auto {before:6.2f}  auto {after:6.2f}  "
                f"gained {after - before:+6.2f} dB  speech heard {sure:4.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
