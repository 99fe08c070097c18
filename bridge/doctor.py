"""What is installed, what is wrong, and what to do about it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata

from bridge.doors.osc import Access
from bridge.private import check_private
from engine import models, processes
from engine.display import shown
from engine.errors import BadInput, TweezeError
from engine.folders import Folders
from engine.host import Check
from engine.queue.heartbeat import STALLED, Heartbeat
from engine.queue.lock import holder
from engine.settings import Settings

__all__ = ["EXAMINATIONS", "examine"]

_ROOM = 1 << 30  # bytes; an hour of stereo at 48 kHz needs 1.4 GB a clip
_LOADING = 300.0  # seconds that a model may take to load
_KILLED = 5.0  # seconds that a killed process gets to end


def examine(folders: Folders) -> Iterator[Check]:
    """Look at everything, one check after the other."""
    for examination in EXAMINATIONS:
        yield from examination(folders)


def _python(folders: Folders) -> Iterator[Check]:
    said = f"{sys.version.split()[0]} at {sys.executable}"
    yield Check("python", sys.version_info >= (3, 10), said, "Install Python 3.10 or newer.")


def _packages(folders: Folders) -> Iterator[Check]:
    missing = []
    names = []
    for requirement in metadata.requires("tweeze") or ():
        name = re.match(r"[\w.-]+", requirement)
        if name is None or "extra ==" in requirement or "python_version" in requirement:
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
        yield Check("folders", False, str(error), "Do what the sentence says.")
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
        yield from _queue(beat)
        yield from _osc(folders)
    elif holder(folders.lock) is not None:
        remedy = "Run 'tweeze stop' and try again; 'tweeze log' may say why."
        yield Check("engine", False, "it runs, but does not answer", remedy)
    else:
        yield Check("engine", True, "not running; the next command that needs it starts it")


def _queue(beat: Heartbeat) -> Iterator[Check]:
    """Say whether what is under way comes on."""
    if beat.running or beat.queue:
        ok = beat.stalled < STALLED
        came = f"no job has come on for {beat.stalled} s" if beat.stalled >= 2 else "jobs come on"
        doing = f"job {beat.running}" if beat.running else "a file is being looked at"
        remedy = (
            "A long piece of work on a slow machine can take that long. 'tweeze cancel JOB' ends a "
            "job within half a minute, and the others go on; 'tweeze log' may say more."
        )
        yield Check("queue", ok, f"{came}: {doing}, {beat.queue} waiting", remedy)


def _osc(folders: Folders) -> Iterator[Check]:
    """Look whether the engine that runs got the port that is asked for."""
    access = Access.read(folders)
    with contextlib.suppress(BadInput):  # what is wrong with the setting is another check's
        port = Settings.of_environment().osc_port
        if access is not None and port and not access.port:
            said = f"the engine hears none: it could not have port {port} when it started"
            remedy = (
                "End the program that has the port, or name another with TWEEZE_OSC_PORT (0 for "
                "none); then run 'tweeze stop' and 'tweeze start'."
            )
            yield Check("OSC", False, said, remedy)


def _settings(folders: Folders) -> Iterator[Check]:
    try:
        settings = Settings.of_environment()
    except BadInput as error:
        yield Check("settings", False, str(error), "Do what the sentence says.")
    else:
        usual = settings == Settings()
        yield Check("settings", True, "the usual ones" if usual else "some are your own")


def _models(folders: Folders) -> Iterator[Check]:
    """Load every model, in a process of its own: a broken build may crash who imports it."""
    process = subprocess.Popen(
        processes.command("bridge.doctor"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=processes.environment({**os.environ, "TWEEZE_HOME": str(folders.root)}),
    )
    try:
        out, words = process.communicate(timeout=_LOADING)
    except subprocess.TimeoutExpired:
        process.kill()
        try:
            out, words = process.communicate(timeout=_KILLED)
        except subprocess.TimeoutExpired as error:
            out, words = error.output or b"", b"a disk that it reads does not answer, perhaps"
    said = [json.loads(line) for line in out.decode().splitlines()]
    yield from (Check(**facts) for facts in said)
    if process.returncode != 0:
        last = words.decode("utf-8", "replace").strip().rpartition("\n")[2]
        ended = "does not end" if process.returncode is None else f"ended with {process.returncode}"
        yield Check(
            "torch" if not said else "models",
            False,
            f"the process that loads them {ended}: {last}",
            "Install torch again; the README says which build.",
        )


Examination = Callable[[Folders], Iterator[Check]]

EXAMINATIONS: tuple[Examination, ...] = (
    _python,
    _packages,
    _settings,
    _folders,
    _engine,
    _models,
)


def _load_all(folders: Folders) -> Iterator[Check]:
    import torch

    device = "CUDA" if torch.cuda.is_available() else "CPU"
    said = f"{torch.__version__}, {device}, {torch.get_num_threads()} threads"
    yield Check("torch", True, said)
    for name in models.names(folders):
        started = time.perf_counter()
        try:
            models.load(name, folders)
        except TweezeError as error:
            yield Check(f"model {name}", False, str(error), "Do what the sentence says.")
        else:
            yield Check(f"model {name}", True, f"loads in {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    for found in _load_all(Folders.of_user()):
        print(json.dumps(vars(found)), flush=True)
