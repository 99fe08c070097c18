"""Checkpoints on disk: where a separation goes on after its process ended."""

from __future__ import annotations

import hashlib
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

from engine.job import Job
from engine.models.base import FloatArray, Separator, WaveformSeparator
from engine.sound import core
from engine.sound.certainty import CertaintyGrid
from engine.sound.core import Checkpoint
from engine.sound.mixture import DecodedMixture

__all__ = ["load", "save", "signature"]


def save(path: Path, checkpoint: Checkpoint, signature: str) -> None:
    """Write a checkpoint; the one before it stays until this one is whole."""
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez(
            file,
            signature=np.array(signature),
            done=np.array(checkpoint.done),
            base=np.array(checkpoint.base),
            sums=checkpoint.sums,
            weights=checkpoint.weights,
            certainty=checkpoint.certainty,
        )
    temporary.replace(path)


def load(path: Path, signature: str, certainties: CertaintyGrid) -> Checkpoint | None:
    """Return the checkpoint at `path`; None if there is none, of this signature, that is whole.

    Of an older one, which holds presence only, the certainty up to there is its maximum.
    """
    try:
        with np.load(path, allow_pickle=False) as kept:
            if str(kept["signature"]) != signature:
                return None
            done = int(kept["done"])
            certainty = (
                kept["certainty"]
                if "certainty" in kept
                else certainties.of_maximum(kept["presence"], done)
            )
            return Checkpoint(done, int(kept["base"]), kept["sums"], kept["weights"], certainty)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def signature(job: Job, separator: Separator, vectors: FloatArray, mixture: DecodedMixture) -> str:
    """Return a digest of all that the result depends on, to tell whose checkpoint one is."""
    digest = hashlib.sha256()
    parts = [version("tweeze"), str(core.METHOD), job.to_text(), repr(separator.frame_grid)]
    if isinstance(separator, WaveformSeparator):
        chunks = separator.chunk_grid
        parts.append(repr((chunks.hop, chunks.context, chunks.latency, separator.channels)))
        digest.update(chunks.window.tobytes())
    for part in (*parts, repr(mixture.info)):
        digest.update(part.encode() + b"\0")
    digest.update(vectors.tobytes())
    digest.update(repr(mixture.rms).encode())
    return digest.hexdigest()
