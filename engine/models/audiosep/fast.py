"""The fast form of a checkpoint: what loads at once, made once, in a folder of its own.

`separator.safetensors` holds the folded network, `text.safetensors` the text encoder, `vocab.json`
and `merges.txt` the tokenizer, `graph.xml` and `graph.bin` what OpenVINO reads, `draft.safetensors`
weights in 8 bits for drafts, if these gain by them, `embeddings` those of earlier queries.
`form.json` says what the rest was made from, and the digest of each file.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.numpy
import safetensors.torch
from torch import Tensor

from engine.errors import Failure, ModelBroken
from engine.models.audiosep import checkpoint, network, text
from engine.models.int8 import Weights
from engine.models.records import Progress, ignore, sha256
from engine.models.runtime_choice import RECORD

__all__ = ["FORM", "FastForm", "write"]

FORM = 1  # raised when what `network.fold` or the text encoder expect changes
_SEPARATOR = "separator.safetensors"
_TEXT = "text.safetensors"
_DRAFT = "draft.safetensors"
_ROOM = 700_000_000  # bytes that a fast form takes, with some to spare


def write(folder: Path, separator: Path, words: Path, tokenizer: Path, origin: str) -> FastForm:
    """Convert a checkpoint into `folder`, which is made, or replaced when all is well.

    Parameters
    ----------
    folder
        Of the fast form.
    separator, words
        The checkpoint files that hold the separation network and the text branch; often the same.
    tokenizer
        Folder with the tokenizer's two files.
    origin
        What names the checkpoint for good: its digest.

    Raises
    ------
    ModelBroken
        A file does not hold what it should.
    Failure
        The disk has no room.

    """
    text.tokenizer(tokenizer)
    found = checkpoint.read(separator)
    if not found.separator:
        raise ModelBroken(
            f"{separator} holds no separation network ('ss_model.*'): it is a text encoder, "
            "which goes with a separator's checkpoint (--clap)."
        )
    encoder = found.text if words == separator else checkpoint.read(words).text
    if not encoder:
        raise ModelBroken(
            f"{words} holds no text encoder: give the CLAP checkpoint that belongs to it "
            "(--clap music_speech_audioset_epoch_15_esc_89.98.pt)."
        )
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    if free < _ROOM:
        raise Failure(
            f"Converting the model needs {_ROOM / 1e9:.1f} GB in {folder.parent}, "
            f"and {free / 1e9:.1f} GB are free: make room and try again."
        )
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(mode=0o700)
        safetensors.torch.save_file(network.fold(found.separator), part / _SEPARATOR)
        safetensors.torch.save_file(text.renamed(encoder), part / _TEXT)
        for name in (text.VOCABULARY, text.MERGES):
            shutil.copyfile(tokenizer / name, part / name)
        files = (_SEPARATOR, _TEXT, text.VOCABULARY, text.MERGES)
        record = {
            "form": FORM,
            "origin": origin,
            "files": {name: sha256(part / name) for name in files},
        }
        (part / RECORD).write_text(json.dumps(record, indent=1))
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
    except OSError as error:
        raise Failure(f"Writing {part} failed: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return FastForm(folder)


@dataclass(frozen=True)
class FastForm:
    """A fast form on disk."""

    folder: Path

    def is_made_from(self, origin: str) -> bool:
        """Whether this is the fast form, as this Tweeze expects it, of that checkpoint."""
        record = self._record()
        return record.get("form") == FORM and record.get("origin") == origin

    def network(self) -> network.Network:
        """Return the folded network, mapped from disk."""
        state = self._tensors(_SEPARATOR)
        try:
            return network.Network.from_state(state)
        except RuntimeError as error:
            raise self._broken(_SEPARATOR) from error

    def encoder(self) -> text.TextEncoder:
        """Return the text encoder, mapped from disk."""
        return text.TextEncoder(self._tensors(_TEXT), text.tokenizer(self.folder))

    @property
    def embeddings(self) -> text.EmbeddingCache:
        """The embeddings of earlier queries."""
        return text.EmbeddingCache(self.folder / "embeddings")

    @property
    def graph(self) -> Path:
        """OpenVINO's graph, once it is made; `graph.bin` lies beside it."""
        return self.folder / "graph.xml"

    def has_graph(self) -> bool:
        """Whether the graph lies there as it was written; OpenVINO is given no other to read."""
        files = self._files()
        return all(
            _is_as_written(path, files.get(path.name))
            for path in (self.graph, self.graph.with_suffix(".bin"))
        )

    def note_graph(self, facts: Mapping[str, object]) -> None:
        """Record that the graph was made, and what was measured with it."""
        record = self._record()
        graph = {path.name: sha256(path) for path in (self.graph, self.graph.with_suffix(".bin"))}
        record["files"] = {**self._files(), **graph}
        record["graph"] = dict(facts)
        self._write(record)

    def graph_facts(self) -> Mapping[str, object]:
        """Return what `note_graph` was told; empty if there is no graph."""
        facts = self._record().get("graph")
        return facts if isinstance(facts, dict) and self.graph.is_file() else {}

    def note_draft(self, facts: Mapping[str, object], weights: Weights | None = None) -> None:
        """Record what the trial of drafts in 8 bits found, and keep the weights that go with it."""
        path = self.folder / _DRAFT
        files = {name: digest for name, digest in self._files().items() if name != _DRAFT}
        if weights:
            part = path.with_name(f"{_DRAFT}.{os.getpid()}.part")
            try:
                safetensors.numpy.save_file(dict(weights), part)
                part.replace(path)
            except safetensors.SafetensorError as error:  # how it says that the disk is full
                raise OSError(f"Writing {part} failed: {error}") from error
            finally:
                part.unlink(missing_ok=True)
            files[_DRAFT] = sha256(path)
        else:
            path.unlink(missing_ok=True)
        self._write({**self._record(), "files": files, "int8": dict(facts)})

    def draft_facts(self) -> Mapping[str, object]:
        """Return what `note_draft` was told; empty where its weights are not as they were."""
        facts = self._record().get("int8")
        if not isinstance(facts, dict):
            return {}
        digest = self._files().get(_DRAFT)
        whole = digest is None or _is_as_written(self.folder / _DRAFT, digest)
        return facts if whole else {}

    def draft_weights(self) -> Weights:
        """Return the weights that `note_draft` was given."""
        if _DRAFT not in self._files():
            return {}
        try:
            found: Weights = safetensors.numpy.load_file(self.folder / _DRAFT)
        except (OSError, safetensors.SafetensorError) as error:
            raise self._broken(_DRAFT) from error
        return found

    def damaged(self, progress: Progress = ignore) -> tuple[Path, ...]:
        """Return the files that are missing or not as they were written."""
        found = []
        files = self._files()
        for name, expected in files.items():
            path = self.folder / name
            if not _is_as_written(path, expected, progress):
                found.append(path)
        return tuple(found) if files else (self.folder / RECORD,)

    def _files(self) -> dict[str, str]:
        files = self._record().get("files")
        return files if isinstance(files, dict) else {}

    def _write(self, record: Mapping[str, object]) -> None:
        temporary = self.folder / f"{RECORD}.{os.getpid()}.part"
        try:
            temporary.write_text(json.dumps(record, indent=1))
            temporary.replace(self.folder / RECORD)
        finally:
            temporary.unlink(missing_ok=True)

    def _record(self) -> dict[str, object]:
        try:
            record = json.loads((self.folder / RECORD).read_text())
        except (OSError, ValueError, RecursionError):
            return {}
        return record if isinstance(record, dict) else {}

    def _tensors(self, name: str) -> dict[str, Tensor]:
        try:
            return safetensors.torch.load_file(self.folder / name)
        except (OSError, safetensors.SafetensorError) as error:
            raise self._broken(name) from error

    def _broken(self, name: str) -> ModelBroken:
        return ModelBroken(
            f"{self.folder / name} is damaged: remove the folder {self.folder}, "
            "and the next use makes it anew from the checkpoint."
        )


def _is_as_written(path: Path, expected: str | None, progress: Progress = ignore) -> bool:
    try:
        return path.is_file() and sha256(path, progress) == expected
    except OSError:  # a name that cannot be one, or nothing that can be read
        return False
