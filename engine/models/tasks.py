"""What a loaded model can be asked for, and what is said where it is asked for something else."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from engine.errors import BadInput
from engine.models.base import Listener

if TYPE_CHECKING:
    from engine.models.base import Model, Separator

__all__ = ["as_listener", "as_separator", "cannot_listen", "cannot_separate"]


def as_separator(model: Model) -> Separator:
    """Return a model that can separate; BadInput if it cannot."""
    if not hasattr(model, "frame_grid"):
        raise cannot_separate(model.name)
    return cast("Separator", model)


def as_listener(model: Model) -> Listener:
    """Return a model that can listen; BadInput if it cannot."""
    if not isinstance(model, Listener):
        raise cannot_listen(model.name)
    return model


def cannot_separate(name: str) -> BadInput:
    """Return the error for a listener that is asked to separate."""
    return BadInput(
        f"The model {name} names the sounds of a recording and cannot separate them: take one of "
        "the others that 'tweeze models' lists."
    )


def cannot_listen(name: str) -> BadInput:
    """Return the error for a separator that is asked to listen."""
    return BadInput(
        f"The model {name} separates sounds and cannot say what is in a recording: take one that "
        "listens, as 'tweeze models' says."
    )
