"""How well a sound does as a query, beside words: `tweeze separate --like`.

    python -m engine.training.by_example STORE --pairs 200

Each pair of held-out sounds is separated twice by ``compact``: with captions, and with what the
listener makes of other recordings of the same classes (of another clip where a class has only one
recording).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr

from engine.models import compact, ears
from engine.taxonomy.classes import load_taxonomy
from engine.training.corpus import HELD_OUT, SAMPLE_RATE
from engine.training.evaluate import draw_pairs, separate
from engine.training.figures import score
from engine.training.scenes import load_stores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from engine.models.base import Listener
    from engine.models.compact import Compact
    from engine.training.corpus import Clip
    from engine.training.evaluate import Pair
    from engine.training.mixing import ClipStore

__all__ = ["example_of", "gains"]

SECONDS = 5
_EXAMPLE = 6 * SAMPLE_RATE
"""Samples of an example at most."""


def example_of(
    store: ClipStore, name: str, heard: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32] | None:
    """Return another clip of a class than the one that is ``heard``; None where there is none.

    Both ``(samples,)`` at 32 kHz. Another recording goes first; that a clip is part of ``heard``
    is told by its samples, which a pair holds at some level.
    """
    recordings = store.recordings[name]
    order = rng.permutation(len(recordings))
    candidates: list[Clip] = [clip for i in order for clip in recordings[int(i)]]
    for clip in candidates:
        audio = store.read(clip)[:_EXAMPLE]
        if not _within(audio, heard):
            return audio
    return None


def _within(audio: NDArray[np.float32], heard: NDArray[np.float32]) -> bool:
    """Whether a stretch of ``audio`` is part of ``heard``, at any level and place."""
    size = 1 << (audio.size + heard.size - 1).bit_length()
    cross = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(audio, size)), size)
    norm = float(np.linalg.norm(audio) * np.linalg.norm(heard)) + 1e-9
    return bool(np.abs(cross).max() / norm > 0.3)


def gains(
    model: Compact, listener: Listener, store: ClipStore, pairs: Sequence[Pair], seed: int
) -> NDArray[np.float64]:
    """Return the SI-SDR improvement in dB of each sound with words and by example, ``(n, 2)``."""
    rng = np.random.default_rng(seed)
    rate = listener.hearing_grid.sample_rate
    found = []
    for pair in pairs:
        for mine in (0, 1):
            truth = pair.sources[mine]
            shown = example_of(store, pair.names[mine], truth, rng)
            if shown is None:
                continue
            heard = np.asarray(soxr.resample(shown, SAMPLE_RATE, rate), np.float32)
            shown_vector = model.embed_sound(listener.example(heard[None]), None)
            vectors = np.stack([model.embed(pair.captions[mine]), shown_vector])
            before = score(truth, pair.mixture)
            estimates = separate(model.net, pair.mixture, vectors)
            found.append([score(truth, estimate) - before for estimate in estimates])
    return np.array(found).reshape(-1, 2)


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path, help="folder written by engine.training.corpus")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--split", default=HELD_OUT, help="heldout or outside")
    arguments = parser.parse_args()
    store = load_stores(arguments.store, arguments.split)
    pairs = draw_pairs(store, load_taxonomy(), arguments.pairs, arguments.seed)
    both = gains(compact.load(), ears.load(), store, pairs, arguments.seed)
    words, shown = both.mean(axis=0)
    print(f"{len(both)} sounds; mean and median SI-SDRi, dB")
    print(f"words:   {words:6.2f} {np.median(both[:, 0]):6.2f}")
    print(
        f"example: {shown:6.2f} {np.median(both[:, 1]):6.2f}  ({shown / words:.0%} of the words')"
    )


if __name__ == "__main__":
    main()
