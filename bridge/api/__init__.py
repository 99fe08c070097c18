"""Tweeze from Python: pull the sounds that you describe out of arrays of samples.

This is the package `tweeze`, the only documented Python API; see docs/python.md. It works in the
calling process: no engine is started, and nothing is written to the user's folders.
"""

from engine.advice.suggestions import Suggestion
from engine.errors import (
    BadAudio,
    BadInput,
    BadQuery,
    Failure,
    ModelBroken,
    TweezeError,
    UnknownModel,
)
from engine.status import Certainty, Event, Heard

from .advice import listen, load_listener, suggest
from .separation import Piece, Separation, load, separate, stream

__all__ = [
    "BadAudio",
    "BadInput",
    "BadQuery",
    "Certainty",
    "Event",
    "Failure",
    "Heard",
    "ModelBroken",
    "Piece",
    "Separation",
    "Suggestion",
    "TweezeError",
    "UnknownModel",
    "listen",
    "load",
    "load_listener",
    "separate",
    "stream",
    "suggest",
]
