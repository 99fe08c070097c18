"""Phrases as people write them, brought into one form to be compared."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["folded", "numbers"]

_ARTICLE = re.compile(r"^(?:a|an|the|some|my) ")


def folded(text: str) -> str:
    """Return lower-case words without punctuation and a leading article."""
    words = " ".join(re.findall(r"[^\W_]+", text.casefold()))
    return words if words in ("a cappella", "a capella") else _ARTICLE.sub("", words)


def numbers(words: str) -> Iterator[str]:
    """Yield a folded phrase and what may be its singular or plural."""
    yield words
    for ending, other in (("ies", "y"), ("es", ""), ("s", "")):
        if words.endswith(ending) and len(words) > len(ending) + 2:
            yield words.removesuffix(ending) + other
    yield f"{words}s"
