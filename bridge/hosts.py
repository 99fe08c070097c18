"""The registry of editors: the one list that the command line, doctor and every door read."""

from __future__ import annotations

from audacity.host import AudacityHost
from engine.errors import BadInput
from engine.host import Host
from reaper.host import ReaperHost

__all__ = ["HOSTS", "named"]

HOSTS: tuple[Host, ...] = (AudacityHost(), ReaperHost())
"""All editors; the first is the one that commands mean where none is named."""


def named(name: str) -> Host:
    """Return the editor of that name.

    Raises
    ------
    BadInput
        There is none.

    """
    for host in HOSTS:
        if host.name == name:
            return host
    names = ", ".join(host.name for host in HOSTS)
    raise BadInput(f"There is no editor '{name[:40]}'; there are: {names}.")
