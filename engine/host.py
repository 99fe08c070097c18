"""What an editor must bring so that Tweeze can serve it.

An editor has a package of its own, beside `audacity` and `reaper`, with a class that has the
attributes and methods of `Host` (there is nothing to inherit). Three steps add one:

1. Write the package. It may import `engine`, and nothing of `bridge`.
2. Name the class in the registry, `bridge/hosts.py`. The command line, `tweeze doctor` and every
   door find it there.
3. Write its page in `docs`.

The command line imports every `Host` at each start, so its module imports what it needs inside the
methods.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from engine.folders import Folders
    from engine.job import Placement
    from engine.queue.service import Service
    from engine.request import Request
    from engine.status import Status

__all__ = ["Check", "Host", "Notify", "Option", "Report", "Resident", "Selected"]

Report = Callable[["Status"], None]
"""Called with each new status of a request."""

Notify = Callable[[str], Coroutine[Any, Any, None]]
"""Shows a sentence on the user's desktop."""


@dataclass(frozen=True)
class Check:
    """The result of one examination: what was found, and what to do where that is wrong."""

    name: str
    ok: bool
    said: str
    remedy: str = ""


@dataclass(frozen=True)
class Option:
    """An option of `tweeze install` for one editor alone.

    Attributes
    ----------
    flag
        As it is typed: `--resource`.
    kind
        `bool` for a switch; else the type of its value, `pathlib.Path` for instance.
    help
        One sentence for `--help`.

    """

    flag: str
    kind: type
    help: str

    @property
    def name(self) -> str:
        """The key under which `Host.install` gets the value: `resource`."""
        return self.flag.lstrip("-").replace("-", "_")

    @property
    def default(self) -> Any:
        """The value where the option is left out: False for a switch, else None."""
        return False if self.kind is bool else None


@dataclass(frozen=True)
class Selected:
    """A recording that somebody chose to open.

    Attributes
    ----------
    path
        The audio file; one among `Folders.mixtures` goes to whoever asked for it.
    title
        What it is called: the track's name, say.
    placement
        Where clips of it belong, if it came from an editor.

    """

    path: Path
    title: str = ""
    placement: Placement | None = None


class Resident(Protocol):
    """An editor's part of the resident process.

    All methods run in the engine's event loop and must not block it. Some editors have more:

    - An attribute `inserts` that is true says that `run` inserts the clips of each job that it
      attends to, and `handle` those of one job: by the action `insert`, with the `job`, and `again`
      where they may be in already.
    - A method `selection` hands out what a request has selected, without a job: it takes the
      request, returns a list of `Selected`, and raises as `handle` does.
    - An attribute `collects` that is true says that the editor itself fetches the clips of the jobs
      whose client it is: until then they stay.
    - An attribute `marks` says what `handle` puts, by the action `events`, at each `event` (as
      `0.5-2`, in seconds) of the recording of a `job`, called `name`: a `label`, say.
    - An attribute `tells` that is true says that the editor itself shows what became of a request.
    """

    async def run(self) -> None:
        """Do what needs no request (insert the clips of finished jobs) until cancelled.

        Where it raises, it is called again after a pause.
        """

    async def handle(self, request: Request, report: Report) -> None:
        """Carry out a request: capture the selection and submit the jobs that come of it.

        `report` sets the request's status; a request that was handled without a final report
        counts as done. A cancelled request is cancelled here, as a task is.

        Raises
        ------
        TweezeError
            It cannot be done; the sentence becomes the request's status.

        """


class Host(Protocol):
    """An editor that Tweeze can be put into."""

    @property
    def name(self) -> str:
        """The name on the command line and in requests: `audacity`."""

    @property
    def title(self) -> str:
        """The editor's own name, for sentences: `Audacity`."""

    @property
    def options(self) -> tuple[Option, ...]:
        """The options of `tweeze install` that only this editor understands."""

    @property
    def first_steps(self) -> str:
        """The sentence after an installation that tells the user how to begin."""

    def install(self, folders: Folders, options: Mapping[str, Any]) -> list[str]:
        """Put Tweeze's commands into the editor; return what was done, a sentence each.

        `options` holds a value for each of `Host.options`, by its name. Installing again does no
        harm.

        Raises
        ------
        TweezeError
            It cannot be done: the editor runs, or is not there.

        """

    def uninstall(self, folders: Folders) -> list[str]:
        """Take out what `install` put in; return what was done, a sentence each.

        Raises
        ------
        TweezeError
            It cannot be done: the editor runs, for instance.

        """

    def installed(self, folders: Folders) -> bool:
        """Return whether `install` was run and not undone."""

    def check(self, folders: Folders) -> Iterator[Check]:
        """Examine an installation, for `tweeze doctor`; called only where there is one."""

    def attach(self, service: Service, notify: Notify) -> Resident:
        """Return the editor's part of the resident process; called once, at its start."""
