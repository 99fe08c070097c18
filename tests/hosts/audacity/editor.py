"""A real Audacity on a virtual screen, with a home of its own.

Which Audacity: `audacity`, or what TWEEZE_TEST_AUDACITY names (a command line, split at blanks).
Only one at a time runs per user, since mod-script-pipe's FIFOs are per user: see `only_one`.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from audacity.pipe import Blocked, Busy, Gone, NotRunning, Pipe, command

MODULE = Path("/usr/lib/audacity/modules/mod-script-pipe.so")
COMMAND = shlex.split(os.environ.get("TWEEZE_TEST_AUDACITY", "audacity"))
ROOT = Path(os.environ.get("TWEEZE_TEST_AUDACITY_ROOT", "/"))  # where that Audacity's files lie
# Where nothing else keeps FFmpeg loaded, Audacity 3.2 loads it anew, all its hundred libraries, for
# each command.
FFMPEG = " ".join(path.name for path in ROOT.glob("usr/lib/*/libavformat.so.??"))
TOOLS = ("Xvfb", "openbox", "xdotool", "import", COMMAND[0])
TO, FROM = (Path(f"/tmp/audacity_script_pipe.{end}.{os.getuid()}") for end in ("to", "from"))
EMPTY = (
    "SelectAll:",
    "RemoveTracks:",
    command("SelectTime", Start=0, End=0),
    command("SetProject", Rate=44100),
)
_T = TypeVar("_T")


def missing_tools() -> list[str]:
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def wait_for(
    condition: Callable[[], _T], what: str, seconds: float = 20.0, *, every: float = 0.02
) -> _T:
    """Return the first true value of `condition`; fail where none comes in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {seconds:.0f} s in vain for {what}.")
        time.sleep(every)


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Hold the lock that keeps two test runs of one user from sharing the FIFOs.

    Those that `apart` started have FIFOs of their own each.
    """
    way = fcntl.LOCK_SH if "TWEEZE_TEST_APART" in os.environ else fcntl.LOCK_EX
    with Path(f"/tmp/tweeze-test-audacity.{os.getuid()}.lock").open("a") as lock:
        fcntl.flock(lock, way)
        yield


class Screen:
    """A virtual screen with a window manager, which menus and dialogs need."""

    def __init__(self) -> None:
        self.editor: Editor | None = None  # the one that runs on it
        # Processes that start at one moment each have numbers of their own to look through.
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        for number in range(90 + 20 * worker, 110 + 20 * worker):
            if Path(f"/tmp/.X11-unix/X{number}").exists():
                continue
            self.display = f":{number}"
            # Without -noreset the server starts anew when the first look has gone, and throws
            # out whoever connects in that moment.
            self._xvfb = _quiet(["Xvfb", self.display, "-screen", "0", "1280x900x24", "-noreset"])
            self.environment = {**os.environ, "DISPLAY": self.display}
            with contextlib.suppress(AssertionError):
                wait_for(self._answers, "Xvfb", 10)
                break
            _end(self._xvfb)
        else:
            raise AssertionError("No display number is free.")
        self._openbox = _quiet(["openbox"], self.environment)
        wait_for(self._is_managed, "openbox", 10)

    def _answers(self) -> bool:
        assert self._xvfb.poll() is None
        return self.xdotool("getmouselocation", check=False).returncode == 0

    def _is_managed(self) -> bool:
        done = self.xdotool("get_num_desktops", check=False)
        return done.returncode == 0

    def stop_editor(self) -> None:
        if self.editor is not None:
            self.editor.stop()

    def close(self) -> None:
        self.stop_editor()
        _end(self._openbox)
        _end(self._xvfb)

    def xdotool(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["xdotool", *words],
            env=self.environment,
            check=check,
            capture_output=True,
            text=True,
            timeout=20,
        )

    def windows(self, title: str) -> list[str]:
        """Return the ids of the visible windows whose title matches (a regular expression)."""
        found = self.xdotool("search", "--onlyvisible", "--name", title, check=False)
        return found.stdout.split()

    def window(self, title: str, seconds: float = 15.0) -> str:
        return wait_for(lambda: self.windows(title), f"a window {title!r}", seconds)[0]

    def title(self, window: str) -> str:
        return self.xdotool("getwindowname", window, check=False).stdout.strip()

    def focus(self, window: str) -> None:
        self.xdotool("windowactivate", "--sync", window)

    def key(self, *keys: str) -> None:
        self.xdotool("key", "--clearmodifiers", *keys)

    def type(self, text: str) -> None:
        self.xdotool("type", "--clearmodifiers", "--delay", "15", text)

    def geometry(self, window: str) -> tuple[int, int, int, int]:
        said = self.xdotool("getwindowgeometry", "--shell", window).stdout
        found = dict(line.split("=") for line in said.split() if "=" in line)
        return tuple(int(found[k]) for k in ("X", "Y", "WIDTH", "HEIGHT"))  # type: ignore[return-value]

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        self.xdotool("mousemove", str(start[0]), str(start[1]), "mousedown", "1")
        steps = 8
        for step in range(1, steps + 1):
            x, y = (round(a + (b - a) * step / steps) for a, b in zip(start, end, strict=True))
            self.xdotool("mousemove", str(x), str(y), "sleep", "0.02")
        self.xdotool("mouseup", "1")

    def click(self, x: int, y: int) -> None:
        # Audacity overlooks a press and a release at the same moment.
        self.xdotool(
            "mousemove", str(x), str(y), "sleep", "0.05", "mousedown", "1", "sleep", "0.1",
            "mouseup", "1",
        )  # fmt: skip

    def picture(self, path: Path, *options: str) -> None:
        subprocess.run(
            ["import", "-window", "root", *options, str(path)],
            env=self.environment,
            check=True,
            timeout=30,
        )


class Editor:
    """One Audacity; `start` it. It is stopped when another starts, or with its screen."""

    def __init__(self, screen: Screen, home: Path) -> None:
        self.screen = screen
        self.home = home
        (self.home / "tmp").mkdir(parents=True, exist_ok=True)
        kept = {k: v for k, v in screen.environment.items() if not k.startswith("XDG_")}
        self.environment = {
            **kept,
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "TMPDIR": str(home / "tmp"),
            "NO_AT_BRIDGE": "1",
            "GTK_A11Y": "none",
            "XDG_RUNTIME_DIR": str(home),
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> Path:
        return self.home / ".config/audacity/audacity.cfg"

    @property
    def plugins(self) -> Path:
        return self.home / ".local/share/audacity/Plug-Ins"

    def prepare(self, extra: str = "", *, float_export: bool = True) -> None:
        """Write the smallest settings with which this Audacity starts without a question."""
        module = ROOT / MODULE.relative_to("/")
        changed = datetime.datetime.fromtimestamp(int(module.stat().st_mtime))  # noqa: DTZ006
        scratch = self.home / "scratch"
        scratch.mkdir(exist_ok=True)
        self.settings.parent.mkdir(parents=True, exist_ok=True)
        major, minor, micro = version()
        self.settings.write_text(
            f"[Version]\nMajor={major}\nMinor={minor}\nMicro={micro}\n"
            "[GUI]\nShowSplashScreen=0\n"
            f"[Directories]\nTempDir={scratch}\n"
            f"[Module]\nmod-script-pipe=1\n[ModulePath]\nmod-script-pipe={MODULE}\n"
            f"[ModuleDateTime]\nmod-script-pipe={changed.isoformat()}\n"
            + ("[FileFormats/ExportFormat_SF1_Type]\nWAV_10000=6\n" if float_export else "")
            + extra
        )

    def start(self, *, ready: bool = True) -> Editor:
        """Start it, after the end of any other on this screen: they would share the FIFOs."""
        self.screen.stop_editor()
        self.screen.editor = self
        for fifo in (TO, FROM):
            fifo.unlink(missing_ok=True)
        with (self.home / "output").open("wb") as output:
            self.process = subprocess.Popen(
                COMMAND,
                env={**self.environment, "LD_PRELOAD": FFMPEG},
                stdout=output,
                stderr=output,
                cwd="/",
            )
        if ready:
            self.wait_until_ready()
        return self

    def reset(self) -> Editor:
        """Empty the project; where that fails, or nothing runs, start Audacity anew."""
        if self.running():
            with contextlib.suppress(NotRunning, Gone, Blocked, Busy), self.pipe() as pipe:
                for line in EMPTY:
                    pipe.do(line)
                return self
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)
        (self.home / "tmp").mkdir(parents=True)
        self.prepare()
        return self.start()

    def project_window(self) -> str:
        """Id of the project's window, whose title is the project's name."""

        def projects() -> list[str]:
            found = self.screen.windows(".+")
            return [window for window in found if self.screen.title(window) not in ("", "Openbox")]

        return wait_for(projects, "the project window")[0]

    def wait_until_ready(self) -> None:
        """Connect at the first moment and stay until the project window answers.

        An Audacity that finds new plug-ins starts a child which takes the FIFOs away from it (see
        `audacity.startup`); who is connected before that keeps Audacity's ear.
        """

        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, (self.home / "output").read_text()
            with contextlib.suppress(NotRunning, Gone), Pipe(patience=30):
                return True
            return False

        wait_for(TO.exists, "Audacity's FIFO", 30)
        wait_for(answers, "Audacity's project window", 60)

    def pipe(self) -> Pipe:
        return Pipe(timeout=20)

    def do(self, *lines: str) -> str:
        """Send commands on a connection of their own, and return the last one's message."""
        said = ""
        with self.pipe() as pipe:
            for line in lines:
                said = pipe.do(line)
        return said

    def tracks(self) -> list[dict[str, Any]]:
        import json

        rows: list[dict[str, Any]] = json.loads(
            self.do("GetInfo: Type=Tracks Format=JSON"), strict=False
        )
        return rows

    def pid(self) -> int:
        """Process id of Audacity itself, where the command is a wrapper around it."""
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if folder.name.isdigit() and (folder / "comm").read_text().strip() == "audacity":
                    given = (folder / "environ").read_bytes().split(b"\0")
                    if f"HOME={self.home}".encode() in given:
                        return int(folder.name)
        raise AssertionError("Audacity does not run.")

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self, how: int = signal.SIGKILL) -> None:
        os.kill(self.pid(), how)
        assert self.process is not None
        self.process.wait(20)

    def stop(self) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            with contextlib.suppress(AssertionError, ProcessLookupError):
                os.kill(self.pid(), signal.SIGTERM)
        _end(self.process)
        self.process = None
        self.screen.editor = None


def version() -> tuple[str, str, str]:
    """Version of the Audacity that is tested, as its Debian package tells it."""
    said = subprocess.run(
        ["dpkg-query", f"--admindir={ROOT}/var/lib/dpkg", "-W", "-f", "${Version}", "audacity"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    major, minor, micro = said.split("+")[0].split("-")[0].split(".")[:3]
    return major, minor, micro


def _quiet(
    command: list[str], environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait(10)
