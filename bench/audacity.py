"""From a menu command of Audacity to the new track, beside Audacity's own export and import.

    python -m bench.audacity [--seconds 10 300] [--rounds 10] [--against /tmp/before]

A real Audacity on a virtual screen and a warm engine; the command is *Tweeze Again*, by its key.
Printed are medians of rounds: the whole, the parts of it, and each command that goes through
Audacity's pipe, with its time; as a ratio, what stands beside it in the same rounds: Audacity's own
export and import of the same range. With `--against` an engine of another checkout takes turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import soundfile

HERE = Path(__file__).resolve().parent.parent
PLUGIN = "tweeze-again.ny"
CONNECT = "(connection)"
PARTS = ("capture", "submit", "insert")  # of a round, beside the commands
LOST = 10.0  # seconds after which a key has not reached Audacity
PAUSE = 0.5  # seconds between two rounds
KEY = "ctrl+alt+shift+y"


def tell(what: str, began: float, **more: object) -> None:
    """Write an event of this engine for the bench to read."""
    said = {"what": what, "began": began, "ended": time.perf_counter(), **more}
    print(json.dumps(said), flush=True)


async def serve(root: Path) -> None:
    """Be an engine that tells what it does, and when."""
    import audacity.insertion
    import audacity.pipe
    import audacity.timeline
    from audacity.host import AudacityHost
    from audacity.stamping import plugin
    from bridge.app import serve
    from engine.folders import Folders
    from engine.queue.lock import ProcessLock
    from engine.queue.service import Service
    from engine.request import OPTIONS

    def told(owner: Any, name: str, what: str = "") -> None:
        plain = getattr(owner, name)

        def telling(*words: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return plain(*words, **named)
            finally:
                tell(what or words[1].partition(":")[0], began)

        setattr(owner, name, telling)

    told(audacity.pipe, "_connect", CONNECT)
    told(audacity.pipe.Pipe, "_greet", "(greeting)")
    told(audacity.pipe.Pipe, "do")
    told(audacity.timeline, "capture", "capture")
    told(audacity.insertion.Inserter, "_insert", "insert")
    submit = Service.submit

    async def submitted(self: Service, job: Any, **named: Any) -> Any:
        tell("submit", time.perf_counter())
        return await submit(self, job, **named)

    Service.submit = submitted  # type: ignore[method-assign]
    folders = Folders(root)
    folders.make()
    last = json.dumps([["query", "dog barking"], ["model", "compact"]])
    (root / "audacity-last.json").write_text(last)
    tell("plugin", 0.0, text=plugin(PLUGIN, folders, OPTIONS, ["auto"]))
    lock = ProcessLock(folders.lock)
    assert lock.take()
    await serve(folders, [AudacityHost()], lock)


class Engine:
    """An engine of a checkout, in a process of its own."""

    def __init__(self, checkout: Path, root: Path) -> None:
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        source = Path(__file__).read_text(encoding="utf-8")
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                source.replace("__file__", repr(__file__)),
                "--serve",
                str(root),
            ],
            cwd=checkout,
            env=os.environ | {"PYTHONPATH": str(checkout), "TWEEZE_HOME": str(root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()
        self.plugin: str = self._events.get(timeout=60)["text"]

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._events.put(json.loads(line))

    def until_inserted(self, press: Callable[[], None]) -> Round:
        """Press the command's key, wait for the end of the insertion, and return what happened.

        A key that goes nowhere, as happens where the window was not in front yet, is pressed again.
        """
        pressed = 0.0
        found: list[dict[str, Any]] = []
        while not found or found[-1]["what"] != "insert":
            if not found:
                pressed = time.perf_counter()
                press()
            try:
                found.append(self._events.get(timeout=120 if found else LOST))
            except queue.Empty:
                if found:
                    raise
        return Round(pressed, found)

    def end(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=60)


class Round:
    """One command of the menu, from the key to the track."""

    def __init__(self, pressed: float, events: list[dict[str, Any]]) -> None:
        first = {one["what"]: one for one in reversed(events)}
        connected, submit, insert = first[CONNECT], first["submit"], first["insert"]
        self.commands = [
            (one["what"], one["ended"] - one["began"]) for one in events if one["what"] not in PARTS
        ]
        self.parts = {
            "whole": insert["ended"] - pressed,
            "bridge": (submit["began"] - connected["began"]) + (insert["ended"] - insert["began"]),
            "to the engine": connected["began"] - pressed,
            "capture": submit["began"] - connected["began"],
            "separation": insert["began"] - submit["began"],
            "insertion": insert["ended"] - insert["began"],
        }


def own_work(editor: Any, folder: Path, seconds: float) -> float:
    """Take the track back; return the seconds that Audacity's own export and import take."""
    from audacity.pipe import Pipe, command

    file = folder / "own.wav"
    with Pipe() as pipe:
        pipe.do("Undo:")
        began = time.perf_counter()
        pipe.do(command("Export2", Filename=file, NumChannels=2), timeout=120)
        pipe.do(command("Import2", Filename=file), timeout=120)
        took = time.perf_counter() - began
        pipe.do("Undo:")
        mark(pipe, seconds)
    return took


def mark(pipe: Any, seconds: float) -> None:
    """Select that much of the first track."""
    from audacity.pipe import command

    pipe.do(command("SelectTracks", Track=0, TrackCount=1, Mode="Set"))
    pipe.do(command("SelectTime", Start=1.0, End=1.0 + seconds))


def measure(
    editor: Any, engines: dict[str, Engine], plugin: Path, folder: Path, seconds: int, rounds: int
) -> None:
    """Measure a stereo selection of that length, and print."""
    from audacity.pipe import command
    from bench.against import recording

    source = recording(folder / f"{seconds}.wav", seconds + 2)
    assert soundfile.info(str(source)).channels == 2
    editor.do("SelectAll:", "RemoveTracks:")
    with editor.pipe() as pipe:
        pipe.do(command("Import2", Filename=source))
        mark(pipe, seconds)
    found: dict[str, list[Round]] = {name: [] for name in engines}
    bare = []
    window = editor.project_window()
    for turn in range(-1, rounds):  # the first is not counted: it loads the model
        names = list(engines) if turn % 2 else list(engines)[::-1]
        for name in names:
            plugin.write_text(engines[name].plugin)
            time.sleep(PAUSE)
            editor.screen.focus(window)
            one = engines[name].until_inserted(lambda: editor.screen.key(KEY))
            took = own_work(editor, folder, seconds)
            if turn >= 0:
                found[name].append(one)
                bare.append(took)
    own = statistics.median(bare)
    print(f"{seconds} s of stereo, {rounds} rounds; own export + import {own:.3f} s")
    for name, rows in found.items():
        print(f"  {name}")
        for part in rows[0].parts:
            value = statistics.median(row.parts[part] for row in rows)
            print(f"    {part:14} {value:6.3f} s  {value / own:5.2f} x export + import")
        counts = statistics.median(len(row.commands) for row in rows)
        usual = [row.commands for row in rows if len(row.commands) == counts]
        print(f"    {counts:.0f} commands through the pipe:")
        for steps in zip(*usual, strict=True):
            value = statistics.median(took for _, took in steps)
            print(f"      {1000 * value:6.1f} ms  {steps[0][0]}")
    sys.stdout.flush()


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(Path(sys.argv[2])))
        return
    from audacity.install import install
    from audacity.places import Editor as Installation
    from bench.machine import machine
    from engine.folders import Folders
    from tests.hosts.audacity.editor import MODULE, Editor, Screen, only_one

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, nargs="+", default=[10, 300])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--against", type=Path, help="another checkout")
    asked = parser.parse_args()
    checkouts = {"this checkout": HERE}
    if asked.against:
        checkouts = {"the other checkout": asked.against.resolve(), **checkouts}
    print(machine())
    with only_one(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        screen = Screen()
        editor = Editor(screen, folder / "home")
        editor.prepare()
        folders = Folders(folder / "installed")
        folders.make()
        changed = int(MODULE.stat().st_mtime)
        install(Installation(editor.settings, editor.plugins, MODULE, changed), folders, ["auto"])
        engines: dict[str, Engine] = {}
        try:
            for _ in range(3):  # a start that finds new plug-ins does not always take them in
                editor.start()
                if "Tweeze Again" in editor.do("GetInfo: Type=Menus Format=Brief"):
                    break
            else:
                sys.exit("Audacity did not take in Tweeze's plug-ins.")
            for number, (which, checkout) in enumerate(checkouts.items()):
                engines[which] = Engine(checkout, folder / f"engine{number}")
            for seconds in asked.seconds:
                rounds = asked.rounds if seconds < 60 else max(3, asked.rounds // 3)
                plugin = editor.plugins / PLUGIN
                measure(editor, engines, plugin, folder, seconds, rounds)
        finally:
            for engine in engines.values():
                engine.end()
            editor.stop()
            screen.close()


if __name__ == "__main__":
    main()
