"""Audacity, as the rest of Tweeze sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from engine.host import Check, Notify, Option, Resident

if TYPE_CHECKING:
    from engine.folders import Folders
    from engine.queue.service import Service

__all__ = ["AudacityHost"]


class AudacityHost:
    """Audacity 3, whose menu commands are Nyquist plug-ins and whose pipe the engine talks to."""

    name = "audacity"
    title = "Audacity"
    options: tuple[Option, ...] = ()
    first_steps = "In Audacity: select audio, then Tools > Tweeze > Tweeze... (or Ctrl+Alt+Y)."

    def install(self, folders: Folders, options: Mapping[str, Any]) -> list[str]:
        """Put the menu commands in; BadInput while Audacity runs, HostError if there is none."""
        from audacity.install import find, install
        from engine import models
        from engine.options import AUTO

        return install(find(), folders, (AUTO, *models.names(folders)))

    def uninstall(self, folders: Folders) -> list[str]:
        """Take the menu commands out; BadInput while Audacity runs."""
        from audacity.install import uninstall

        return uninstall(folders)

    def installed(self, folders: Folders) -> bool:
        """Return whether the menu commands were put in."""
        from audacity.install import installed

        return installed(folders)

    def check(self, folders: Folders) -> Iterator[Check]:
        """Examine the menu commands and what they need in Audacity's settings."""
        from audacity.install import check

        return check(folders)

    def attach(self, service: Service, notify: Notify) -> Resident:
        """Return what carries out requests and inserts clips."""
        from audacity.resident import AudacityResident

        return AudacityResident(service, notify)
