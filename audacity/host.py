"""Audacity, as the rest of Tweeze sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.host import Check, Notify, Option, Resident

if TYPE_CHECKING:
    from engine.folders import Folders
    from engine.queue.service import Service

__all__ = ["AudacityHost"]


class AudacityHost:
    """Audacity 3, whose pipe the engine talks to, and Audacity 4, whose extension asks the engine.

    The menu commands of Audacity 3 are Nyquist plug-ins, which only send requests.
    """

    name = "audacity"
    title = "Audacity"
    options: tuple[Option, ...] = (
        Option("--audacity4", bool, "Prepare Audacity 4, though none is found."),
        Option("--nyquist", bool, "For Audacity 4: two Nyquist plug-ins, no extension."),
        Option("--portable", Path, "The folder of a portable Audacity (Windows)."),
    )
    first_steps = (
        "In Audacity 3: select audio, then Tools > Tweeze > Tweeze... (or Ctrl+Alt+Y). In Audacity "
        "4: start it anew, select audio, then look for Tweeze in the Effect menu."
    )

    def install(self, folders: Folders, options: Mapping[str, Any]) -> list[str]:
        """Put the commands into each Audacity; BadInput while one runs, HostError without any."""
        from audacity.both import install
        from engine import models
        from engine.options import AUTO

        return install(
            folders,
            (AUTO, *models.names(folders)),
            portable=options.get("portable"),
            unseen=bool(options.get("audacity4")),
            nyquist=bool(options.get("nyquist")),
        )

    def uninstall(self, folders: Folders) -> list[str]:
        """Take the commands out; BadInput while Audacity runs."""
        from audacity.both import uninstall

        return uninstall(folders)

    def installed(self, folders: Folders) -> bool:
        """Return whether the commands were put into an Audacity."""
        from audacity import extending, install

        return install.installed(folders) or extending.installed(folders)

    def check(self, folders: Folders) -> Iterator[Check]:
        """Examine the commands, and what they need in Audacity's settings."""
        from audacity.both import check

        return check(folders)

    def attach(self, service: Service, notify: Notify) -> Resident:
        """Return what carries out requests and inserts clips."""
        from audacity.resident import AudacityResident

        return AudacityResident(service, notify)
