"""`tweeze doctor --report`: one block of text for an issue form, with nothing private in it.

What users write (queries, names of files and tracks) may stand anywhere in a sentence of the log,
so a sentence is kept only up to where such text can begin, and from where it must have ended.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import platform
import re
import socket
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Protocol

import psutil

from bridge.doors.osc import Access
from engine import models
from engine.errors import TweezeError
from engine.folders import Folders
from engine.queue.heartbeat import VERSION
from engine.settings import Settings

__all__ = ["Redaction", "report"]

_LINES = 40  # of the log
_PACKAGES = ("numpy", "soundfile", "soxr", "transformers", "openvino", "av", "typer")
_VARIABLE = re.compile(r"TWEEZE_[A-Z_]+|(?:HTTPS?|ALL|NO)_PROXY|HF_ENDPOINT|OMP_NUM_THREADS", re.I)
_TOKEN = re.compile(r"\b[0-9A-Fa-f]{24,}\b|\b[A-Za-z0-9_-]{40,}\b")  # a key or a secret
_RECORD = re.compile(r"(\d{4}-\d\d-\d\d [\d:,]+ [A-Z]+ [\w.]+: )(.*)")
_WORKS_ON = re.compile(r"(Job \S+: [\w-]+, )(\(.*\)\.)")
_QUOTES = "'\"`´‘’“”"
_PRIVATE = re.compile(rf"[{_QUOTES}]|(?:(?<=\s)|^)\S*[/\\~]")  # where a name or a path can begin
_FRAME = re.compile(r'\s+File "(.*)", line (\d+), in ([\w<>.]+)')
_ERROR = re.compile(r"\s*((?:\w+\.)*\w*(?:Error|Exception|Warning|Exit|Interrupt))\b")
_CHAINED = ("Traceback (most recent call last):", "The above exception", "During handling of the")
_COMMANDS = re.compile(r"'(tweeze (?:cancel JOB|doctor|log|models|start|status|stop))'")


class Finding(Protocol):
    """What `bridge.doctor` found."""

    @property
    def name(self) -> str:
        """What was looked at."""

    @property
    def ok(self) -> bool:
        """Whether it is as it should be."""

    @property
    def said(self) -> str:
        """What was found."""


class Redaction:
    """Takes out of texts what is the user's own.

    The same text gets the same placeholder (`<file 1>`, `<query 1>`) each time.
    """

    def __init__(self, folders: Folders) -> None:
        self._places: dict[tuple[str, str], str] = {}
        self._root = str(folders.root)
        access = Access.read(folders)
        self._parts = [(access.secret, "<secret>")] if access else []
        self._words = [(socket.gethostname(), "<host>")]
        with contextlib.suppress(OSError, RuntimeError):  # a user without a home
            home = Path.home()
            self._parts += [(str(home.resolve()), "~"), (str(home), "~")]
            self._words.append((home.name, "<user>"))
        with contextlib.suppress(OSError, KeyError):  # a user without an entry among the users
            self._words.append((getpass.getuser(), "<user>"))

    def text(self, text: str) -> str:
        """Return a text of Tweeze's own without the user's home, name, machine and secrets."""
        for private, placeholder in self._parts:
            if len(private) > 1:
                text = text.replace(private, placeholder)
        text = _TOKEN.sub("<token>", text)
        for word, placeholder in self._words:
            if word:
                text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", placeholder, text, flags=re.I)
        return text

    def log(self, lines: Sequence[str]) -> list[str]:
        """Return lines of the log without queries and names of files."""
        kept = []
        frame = False  # whether the line before was a traceback's, so that this one is source code
        for line in lines:
            record = _RECORD.fullmatch(line)
            if record:
                kept.append(record[1] + self._sentence(record[2]))
            elif found := _FRAME.fullmatch(line):
                kept.append(f'    File "{_module(found[1])}", line {found[2]}, in {found[3]}')
            elif frame or line.strip().startswith(_CHAINED) or not line.strip(" ^~"):
                kept.append(line)
            else:
                error = _ERROR.match(line)
                kept.append(f"    {error[1]}: …" if error else "    …")
            frame = bool(_FRAME.fullmatch(line))
        return [self.text(line) for line in kept]

    def _sentence(self, sentence: str) -> str:
        """Return a sentence with all that may be the user's replaced."""
        sentence = _COMMANDS.sub(r"«\1»", sentence).replace(self._root, "TWEEZE_HOME")
        work = _WORKS_ON.fullmatch(sentence)
        if work:
            return f"{work[1]}{self._placeholder('query', work[2])}."
        begin = _PRIVATE.search(sentence)
        if begin:
            start, rest = begin.start(), sentence[begin.start() :]
            if sentence[start] in _QUOTES:
                # Names hold quotes themselves: only what follows the last one is surely Tweeze's.
                end = max(rest.rfind(quote) for quote in _QUOTES) + 1
                end = end if end > 1 else len(rest)  # it is never closed
                private, tail = rest[:end], rest[end:]
                path = _PRIVATE.search(tail)
                tail = f"{tail[: path.start()]}…" if path else tail
            else:
                private, tail = rest, ""  # nobody can tell where a path ends
            kind = "file" if re.search(r"[/\\]|\.\w{2,4}\W*$", private) else "text"
            sentence = f"{sentence[:start]}{self._placeholder(kind, private)}{tail}"
        return sentence.replace("«", "'").replace("»", "'")

    def _placeholder(self, kind: str, private: str) -> str:
        number = 1 + sum(known == kind for known, _ in self._places)
        return self._places.setdefault((kind, private), f"<{kind} {number}>")


def report(folders: Folders, findings: Iterable[Finding], editors: Iterable[Finding]) -> str:
    """Return the block: versions, editors, models, settings, checks, and the end of the log."""
    redaction = Redaction(folders)
    checks, hosts = list(findings), list(editors)
    memory = psutil.virtual_memory().total / 2**30
    about = [
        f"Tweeze     {VERSION}",
        f"Python     {platform.python_version()} ({platform.python_implementation()})",
        f"System     {platform.platform()}",
        f"Processor  {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory",
        f"Packages   {', '.join(_versions())}",
        f"Models     {_models(folders)}",
        f"Settings   {_settings()}",
        f"Variables  {', '.join(sorted(filter(_VARIABLE.fullmatch, os.environ))) or 'none set'}",
        f"Folder     {folders.root}",
    ]
    found = [_line(one) for one in checks]
    in_editors = [_line(one) for one in hosts] or ["nothing installed"]
    blocks = [*about, "", "Checks", *found, "", "Editors", *in_editors]
    text = redaction.text("\n".join(blocks))
    return "\n".join([text, "", f"Log, the last {_LINES} lines", *redaction.log(_end(folders))])


def _line(one: Finding) -> str:
    return f"{'ok   ' if one.ok else 'WRONG'}  {one.name}: {one.said}"


def _versions() -> list[str]:
    return [f"{name} {_version(name)}" for name in _PACKAGES]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def _models(folders: Folders) -> str:
    try:
        return ", ".join(models.names(folders))
    except (TweezeError, OSError) as error:
        return str(error)


def _settings() -> str:
    try:
        settings = Settings.of_environment()
    except TweezeError as error:
        return str(error)
    return ", ".join(f"{name} {value:g}" for name, value in vars(settings).items())


def _end(folders: Folders) -> list[str]:
    try:
        text = folders.log.read_text("utf-8", "replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        return [f"cannot be read: {error.strerror}"]
    return text.removesuffix("\n").split("\n")[-_LINES:]


def _module(path: str) -> str:
    """Return the part of a source file's path that is the same on every machine."""
    parts = Path(path.replace("\\", "/")).parts
    for folder in ("site-packages", "engine", "bridge", "audacity", "reaper"):
        if folder in parts[:-1]:
            at = len(parts) - 1 - parts[::-1].index(folder)
            return "/".join(parts[at:])
    return parts[-1] if parts else ""
