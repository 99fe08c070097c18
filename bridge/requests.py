"""What a request comes to, alike for every editor's part of Tweeze."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import BadInput, Failure
from engine.status import Status

__all__ = ["raise_refused"]


def raise_refused(refused: Sequence[Status], going: Sequence[str]) -> None:
    """Raise what the engine says of a request's jobs that failed as soon as they were sent.

    `going` says, a text each, which jobs of the request go on all the same.

    Raises
    ------
    BadInput
        What was asked for is wrong.
    Failure
        Something else, a full disk for instance.

    """
    if not refused:
        return
    said = " ".join(dict.fromkeys(status.message for status in refused))
    if going:
        said += f" The others go on: {'; '.join(going)}."
    raise BadInput(said) if all(status.bad_input for status in refused) else Failure(said)
