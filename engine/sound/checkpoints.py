"""Checkpoints on disk: where a separation goes on after its process ended."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from engine.job import Job
from engine.models.base import WaveformSeparator
from engine.sound import core
from engine.sound.certainty import CertaintyGrid
from engine.sound.core import Checkpoint, KeptPart, Part
from engine.sound.masks import Competition
from engine.sound.region import Region

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


def signature(
    job: Job, parts: Sequence[Part | KeptPart], competition: Competition, region: Region
) -> str:
    """Return a digest of all that the result depends on, to tell whose checkpoint one is."""
    digest = hashlib.sha256()
    mixture = parts[0].mixture
    said = [version("tweeze"), str(core.METHOD), job.to_text(), repr(competition), repr(region)]
    for part in parts:
        said.append(repr(part.frame_grid))
        separator = part.separator if isinstance(part, Part) else None
        if isinstance(separator, WaveformSeparator):
            chunks = separator.chunk_grid
            said.append(repr((chunks.hop, chunks.context, chunks.latency, separator.channels)))
            digest.update(chunks.window.tobytes())
    for text in (*said, repr(mixture.info)):
        digest.update(text.encode() + b"\0")
    for part in parts:
        vectors = part.vectors.tobytes() if isinstance(part, Part) else b"kept"
        digest.update(repr(part.sounds).encode() + vectors)
        digest.update(repr(part.mixture.rms).encode())
    return digest.hexdigest()
