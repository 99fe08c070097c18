"""Which commands there are, and the modules that hold them.

A module is imported when one of its commands is wanted, so that no command waits for what others
need. A command of a new module has a row here; the module has a function `add_to`.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_group

from bridge import usage

__all__ = ["COMMANDS", "Command", "Commands"]


class Command(NamedTuple):
    """Where a command is: a module of this package's. What it does, for the list of commands."""

    module: str
    does: str


# In order of use: what one wants first leads.
COMMANDS = {
    "separate": Command("jobs_cli", "Pull the sounds that you describe out of recordings."),
    "adjust": Command("steering_cli", "Give another answer from what a job found before."),
    "compare": Command("steering_cli", "Ask for one sound in several words, and compare."),
    "listen": Command("advice_cli", "Say which sounds are in a recording, and when."),
    "suggest": Command("advice_cli", "Name broader and related words for a sound."),
    "presets": Command("presets_cli", "Sounds and options under a name: list, save, remove."),
    "panel": Command("panel_cli", "Open the panel: see, ask and hear in the browser."),
    "demo": Command("jobs_cli", "Separate the bundled recordings, and say how well that went."),
    "batch": Command("library_cli", "Separate whole folders of recordings."),
    "watch": Command("library_cli", "Separate each recording that comes into a folder."),
    "index": Command("index_cli", "Listen to whole folders, so that sounds can be found in them."),
    "find": Command("index_cli", "Find the moments of a library that hold a sound."),
    "install": Command("hosts_cli", "Put Tweeze's commands into an editor."),
    "uninstall": Command("hosts_cli", "Take Tweeze's commands out of an editor."),
    "trigger": Command("hosts_cli", "Do what the editor's menu command does."),
    "insert": Command("hosts_cli", "Insert clips that were kept into the project in front."),
    "osc": Command("hosts_cli", "Show where the engine listens for OSC, and the secret for it."),
    "models": Command(
        "models_cli", "The models that can be used: list, pull, add, verify, remove."
    ),
    "evaluate": Command(
        "training_cli", "Measure how well a model separates sounds that are known."
    ),
    "finetune": Command("training_cli", "Teach a model your own sounds."),
    "train": Command("training_cli", "Train compact's network on a corpus."),
    "history": Command("history_cli", "List the jobs whose clips are kept."),
    "forget": Command("history_cli", "Remove what is kept of a job."),
    "status": Command("engine_cli", "Say what the engine does, or where a job stands."),
    "cancel": Command("engine_cli", "Cancel a job that waits or runs."),
    "start": Command("engine_cli", "Start the engine, if it does not run."),
    "stop": Command("engine_cli", "End the engine; a running job goes on at the next start."),
    "log": Command("engine_cli", "Show the end of the engine's log."),
    "doctor": Command("engine_cli", "Check the installation and say what to do about faults."),
}


class Commands(TyperGroup):
    """Lists the commands without their modules, and takes files like '-take.wav'."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names, what one wants first leading."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of a name, or None if there is none."""
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            holder = typer.Typer(rich_markup_mode=None)
            importlib.import_module(f"bridge.{COMMANDS[cmd_name].module}").add_to(holder)
            self.commands[cmd_name] = get_group(holder).commands[cmd_name]
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.does) for name, command in COMMANDS.items()])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return a command's name, the command, and its arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command, usage.with_dashed_files(command, rest) if command else rest
