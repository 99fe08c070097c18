"""What a command loads before it does anything: a start is heard as much as a separation."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_group

import bridge
from bridge.cli import run
from bridge.commands import COMMANDS
from engine.job import Job, new_id

# Each of them takes longer than all that these commands do.
HEAVY = {
    *("numpy", "scipy", "soundfile", "soxr", "torch", "openvino", "transformers", "tokenizers"),
    *("safetensors", "huggingface_hub", "matplotlib", "starlette", "uvicorn", "websockets"),
    *("watchdog", "pythonosc", "desktop_notifier", "rich", "asyncio", "ray", "av", "pyloudnorm"),
}
HELD = ("engine.models", "engine.sound", "engine.queue.service", "bridge.app", "bridge.doors")
SCRIPT = """
import sys
from bridge.cli import run
code = run(sys.argv[3:])
print(sorted(name for name in sys.modules if name in sys.argv[1].split()), file=sys.stderr)
sys.exit(0 if code == int(sys.argv[2]) else f"It ended with {code}.")
"""


def loaded(home: Any, code: int, *words: str) -> str:
    """The names among `HEAVY` and `HELD` of what a command loads."""
    names = " ".join(sorted({*HEAVY, *HELD}))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, names, str(code), *words],
        env=home.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        ([], 0),
        (["--version"], 0),
        (["statsu"], 2),
        (["status"], 0),
        (["status", "--json"], 0),
        (["status", "none"], 2),
        (["cancel", "none"], 2),
        (["cancel", "--help"], 0),
        (["find", "--help"], 0),
        (["log"], 0),
    ],
)
def test_what_answers_at_once_loads_nothing_heavy(home: Any, words: list[str], code: int) -> None:
    assert loaded(home, code, *words) == "[]"


def test_nor_does_cancelling_a_job_that_runs(home: Any, long_wav: Path) -> None:
    job = Job(new_id(), long_wav, ("hold",))
    home.client.submit(job)
    assert loaded(home, 0, "cancel", job.id) == "[]"


def test_no_command_loads_a_runtime_of_models_to_say_its_options() -> None:
    code = (
        "import sys; from bridge.cli import run; from bridge.commands import COMMANDS;"
        "codes = [run([name, '--help']) for name in COMMANDS];"
        "found = {'torch', 'openvino', 'transformers', 'scipy', 'matplotlib'} & set(sys.modules);"
        "sys.exit(str(found or codes) if found or any(codes) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_each_command_of_each_module_has_its_row() -> None:
    """A command without a row could not be called, and one without a module not carried out."""
    found = {}
    for _, name, _ in pkgutil.iter_modules(bridge.__path__):
        if name.endswith("_cli"):
            holder = typer.Typer()
            importlib.import_module(f"bridge.{name}").add_to(holder)
            found |= dict.fromkeys(get_group(holder).commands, name)
    assert found == {name: command.module for name, command in COMMANDS.items()}


def test_a_row_of_the_list_is_a_sentence_that_fits(capsys: pytest.CaptureFixture[str]) -> None:
    widest = max(map(len, COMMANDS))
    for command in COMMANDS.values():
        assert command.does.endswith(".")
        assert len(command.does) + widest + 4 <= 80
    assert run([]) == 0
    said = capsys.readouterr().out
    assert all(f"{name} " in said and command.does in said for name, command in COMMANDS.items())
