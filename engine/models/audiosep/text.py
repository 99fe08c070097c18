"""AudioSep's text encoder: the text branch of CLAP (RoBERTa base), without the padding.

The published code pads each query to 512 tokens and encodes it twice; neither changes the result.
Here a query is as long as it is, and is encoded once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor
from torch.nn import functional

from engine.errors import ModelBroken
from engine.models.base import FloatArray

__all__ = [
    "MERGES",
    "VOCABULARY",
    "EmbeddingCache",
    "TextEncoder",
    "renamed",
    "shapes",
    "tokenizer",
]

VOCABULARY = "vocab.json"
MERGES = "merges.txt"
_TOKENS = 512  # at most, with the two around the text
_VOCABULARY_SIZE, _START, _PAD, _END = 50265, 0, 1, 2  # of roberta-base
_POSITIONS = 514
_LAYERS = 12
_WIDTH = 768
_FEED_FORWARD = 3072
_EMBEDDING = 512


def shapes() -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of CLAP's tensors that a text query needs."""
    found: dict[str, tuple[int, ...]] = {
        "text_branch.embeddings.word_embeddings.weight": (_VOCABULARY_SIZE, _WIDTH),
        "text_branch.embeddings.position_embeddings.weight": (_POSITIONS, _WIDTH),
        "text_branch.embeddings.token_type_embeddings.weight": (1, _WIDTH),
    }

    def linear(name: str, inputs: int, outputs: int) -> None:
        found[f"{name}.weight"] = (outputs, inputs)
        found[f"{name}.bias"] = (outputs,)

    def norm(name: str) -> None:
        found[f"{name}.weight"] = found[f"{name}.bias"] = (_WIDTH,)

    norm("text_branch.embeddings.LayerNorm")
    for number in range(_LAYERS):
        layer = f"text_branch.encoder.layer.{number}"
        for part in ("query", "key", "value"):
            linear(f"{layer}.attention.self.{part}", _WIDTH, _WIDTH)
        linear(f"{layer}.attention.output.dense", _WIDTH, _WIDTH)
        norm(f"{layer}.attention.output.LayerNorm")
        linear(f"{layer}.intermediate.dense", _WIDTH, _FEED_FORWARD)
        linear(f"{layer}.output.dense", _FEED_FORWARD, _WIDTH)
        norm(f"{layer}.output.LayerNorm")
    linear("text_branch.pooler.dense", _WIDTH, _WIDTH)
    linear("text_projection.0", _WIDTH, _EMBEDDING)
    linear("text_projection.2", _EMBEDDING, _EMBEDDING)
    return found


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return CLAP's tensors in float32 under the names that transformers has for them."""
    pairs = (
        ("text_branch.", "text_model."),
        ("text_projection.0.", "text_projection.linear1."),
        ("text_projection.2.", "text_projection.linear2."),
    )
    found = {}
    for name, tensor in tensors.items():
        theirs, ours = next(pair for pair in pairs if name.startswith(pair[0]))
        found[ours + name.removeprefix(theirs)] = tensor.float().contiguous()
    return found


def tokenizer(folder: Path) -> Tokenizer:
    """Return RoBERTa's tokenizer from its two files in `folder`.

    Raises
    ------
    ModelBroken
        A file is missing or damaged.

    """
    vocabulary, merges = folder / VOCABULARY, folder / MERGES
    for file in (vocabulary, merges):
        if not file.is_file():
            raise ModelBroken(
                f"{file} is missing: AudioSep needs the two files of RoBERTa's tokenizer, "
                f"'{VOCABULARY}' and '{MERGES}' of roberta-base."
            )
    try:
        byte_pairs = models.BPE.from_file(str(vocabulary), str(merges))
    except Exception as error:  # the library raises bare Exception
        raise ModelBroken(f"The tokenizer in {folder} is damaged: {error}.") from error
    tokens = Tokenizer(byte_pairs)
    marks = [tokens.token_to_id(mark) for mark in ("<s>", "</s>")]
    if marks != [_START, _END] or tokens.get_vocab_size() != _VOCABULARY_SIZE:
        raise ModelBroken(f"The tokenizer in {folder} is not that of roberta-base.")
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.post_processor = processors.RobertaProcessing(
        ("</s>", _END), ("<s>", _START), trim_offsets=False, add_prefix_space=False
    )
    tokens.enable_truncation(_TOKENS)
    return tokens


class TextEncoder:
    """Turns a query into the vector that steers AudioSep."""

    def __init__(self, state: Mapping[str, Tensor], tokens: Tokenizer) -> None:
        # transformers takes two seconds to import; a query whose embedding is kept needs none
        from transformers import ClapTextConfig, ClapTextModelWithProjection

        config = ClapTextConfig(
            vocab_size=_VOCABULARY_SIZE,
            hidden_size=_WIDTH,
            num_hidden_layers=_LAYERS,
            num_attention_heads=12,
            intermediate_size=_FEED_FORWARD,
            hidden_act="gelu",
            max_position_embeddings=_POSITIONS,
            type_vocab_size=1,
            projection_dim=_EMBEDDING,
            projection_hidden_act="relu",
            layer_norm_eps=1e-5,  # as in roberta-base; this class's own default is 1e-12
            pad_token_id=_PAD,
            bos_token_id=_START,
            eos_token_id=_END,
        )
        with torch.device("meta"):
            model = ClapTextModelWithProjection(config)
        # Index tables that checkpoints need not hold, and that have no values yet.
        tables = {
            "text_model.embeddings.position_ids": torch.arange(_POSITIONS)[None],
            "text_model.embeddings.token_type_ids": torch.zeros(1, _POSITIONS, dtype=torch.long),
        }
        for name, table in tables.items():
            owner, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(owner), leaf, table)
        wanted = model.state_dict().keys() - tables.keys()
        if wanted != state.keys():
            stray = sorted(wanted ^ state.keys())
            raise ModelBroken(
                f"The text encoder and its weights differ at '{stray[0]}': install the version of "
                "transformers that Tweeze asks for."
            )
        model.load_state_dict(dict(state), strict=False, assign=True)
        model.requires_grad_(False)
        model.train(False)
        self.model: Any = model
        self._tokens = tokens

    def token_ids(self, query: str) -> list[int]:
        """Return the ids of a query's tokens, with the two around the text."""
        return list(self._tokens.encode(query).ids)

    def embed(self, query: str) -> FloatArray:
        """Return the embedding of a query: shape `(512,)`, length 1."""
        with torch.inference_mode():
            ids = torch.tensor([self.token_ids(query)])
            vector = functional.normalize(self.model(input_ids=ids).text_embeds, dim=-1)[0]
        embedding: FloatArray = vector.numpy()
        return embedding


class EmbeddingCache:
    """Embeddings on disk, a file a query. What is damaged counts as absent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, query: str) -> FloatArray | None:
        """Return the kept embedding of `query`, or None."""
        try:
            vector: FloatArray = np.load(self._path(query), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        usable = vector.shape == (_EMBEDDING,) and vector.dtype == np.float32
        return vector if usable and bool(np.isfinite(vector).all()) else None

    def put(self, query: str, vector: FloatArray) -> None:
        """Keep an embedding. Where that fails, the query is encoded anew the next time."""
        path = self._path(query)
        temporary = path.with_suffix(f".{os.getpid()}.part")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                np.save(file, vector)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)

    def _path(self, query: str) -> Path:
        return self._folder / f"{hashlib.sha256(query.encode()).hexdigest()}.npy"
