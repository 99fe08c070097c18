"""REAPER, as the rest of Tweeze sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.host import Check, Notify, Option, Resident

if TYPE_CHECKING:
    from engine.folders import Folders
    from engine.queue.service import Service

__all__ = ["ReaperHost"]


class ReaperHost:
    """REAPER, whose actions are Lua scripts that send jobs and insert clips themselves."""

    name = "reaper"
    title = "REAPER"
    options = (
        Option("--resource", Path, "REAPER's resource folder, if it is not the usual one."),
        Option("--osc", bool, "REAPER listens to OSC, on EVERY network interface."),
    )
    first_steps = (
        "In REAPER: select items, then Ctrl+Alt+Y, or Actions > 'Tweeze - separate selection'."
    )

    def install(self, folders: Folders, options: Mapping[str, Any]) -> list[str]:
        """Put the actions in; BadInput while REAPER runs, HostError if there is none."""
        from reaper.install import find, install

        return install(find(options["resource"]), folders, osc=options["osc"])

    def uninstall(self, folders: Folders) -> list[str]:
        """Take the actions out; BadInput while REAPER runs."""
        from reaper.install import uninstall

        return uninstall(folders)

    def installed(self, folders: Folders) -> bool:
        """Return whether the actions were put in."""
        from reaper.install import installed

        return installed(folders) is not None

    def check(self, folders: Folders) -> Iterator[Check]:
        """Examine the scripts and REAPER's list of actions."""
        from reaper.install import faults, installed

        wrong = faults(folders)
        said = " ".join(wrong) or str(installed(folders))
        remedy = "Close REAPER and run 'tweeze install reaper' again."
        yield Check("REAPER's actions", not wrong, said, remedy)

    def attach(self, service: Service, notify: Notify) -> Resident:
        """Return what hands requests to the script that listens in REAPER."""
        from reaper.resident import ReaperResident

        return ReaperResident(service, notify)
