"""Recordings from standard input and clips to standard output: `-`, as users of sox write it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from bridge.patience import counting
from engine.display import shown
from engine.errors import BadAudio, BadInput, BadJob, Failure
from engine.file_names import file_name
from engine.folders import Folders
from engine.job import new_id
from engine.options import Keep
from engine.status import Clip, Status
from engine.text_form import lines

__all__ = ["STANDARD", "Source", "StandardOutput", "check_one_clip", "is_standard_input", "source"]

STANDARD = Path("-")
"""Standard input where a recording is named, standard output where clips go."""
_NAMES = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
_BLOCK = 1 << 20  # bytes


@dataclass(frozen=True)
class Source:
    """A recording: where the engine reads it, and what the user calls it."""

    path: Path
    name: str
    title: str

    def renamed(self, status: Status) -> Status:
        """Return a status whose sentences speak of the recording by the user's name for it."""
        if self.name == str(self.path):
            return status

        def plain(sentence: str) -> str:
            named = sentence.replace(str(self.path), self.name)
            return named.replace(self.path.name, self.title)

        return replace(status, message=plain(status.message), notes=tuple(map(plain, status.notes)))


def is_standard_input(argument: str) -> bool:
    """Return whether an argument names standard input rather than a file."""
    return argument in _NAMES


def check_one_clip(files: int, queries: int, keep: Keep, *, as_json: bool) -> None:
    """Check that a command has one clip for standard output, and nothing else to write there.

    Raises
    ------
    BadInput
        There are several clips, or JSON as well.

    """
    clips = files * {Keep.TARGET: queries, Keep.RESIDUAL: 1, Keep.BOTH: queries + 1}[keep]
    if clips > 1:
        raise BadInput(
            f"'--out -' writes one clip to standard output, and this command makes {clips}: name a "
            "folder with --out."
        )
    if as_json:
        raise BadInput(
            "'--json' and '--out -' both write to standard output: leave one of them out."
        )


@contextlib.contextmanager
def source(file: Path, folders: Folders) -> Iterator[Source]:
    """Yield a recording at a path that the engine can read.

    Standard input, and a file whose name no job can hold (a line break, or bytes in another
    encoding than UTF-8), are copied to Tweeze's own folder for as long as the context lasts.

    Raises
    ------
    BadAudio
        The file does not exist or cannot be opened, or standard input is a terminal or empty.
    Failure
        The copy does not fit on the disk.

    """
    if file == STANDARD:
        if sys.stdin is None or sys.stdin.isatty():
            raise BadAudio(
                "Standard input is a terminal: pipe a recording into it, like "
                "'cat a.wav | tweeze separate - \"dog barking\"'."
            )
        with _copy(sys.stdin.buffer, folders, "Standard input") as path:
            if not path.stat().st_size:
                raise BadAudio("Standard input is empty: check the command in front of the pipe.")
            yield Source(path, "Standard input", "stdin")
        return
    place = _resolved(file)
    title = file_name(place.stem)
    try:
        lines([("mixture", str(place))])
    except BadJob:
        if not place.is_file():  # a pipe would be waited for
            raise BadAudio(
                f"{file} has a name that Tweeze cannot use, and is not a regular file: rename it."
            ) from None
        with _opened(place) as stream, _copy(stream, folders, str(file)) as path:
            yield Source(path, str(file), title)
    else:
        yield Source(place, str(place), title)


class StandardOutput:
    """The place for one clip that goes to standard output as a WAV file.

    Raises
    ------
    BadInput
        Standard output is a terminal.

    """

    def __init__(self) -> None:
        if sys.stdout.isatty():
            raise BadInput(
                "'--out -' writes a WAV file to standard output, which is a terminal: add '> "
                "clip.wav' or a pipe."
            )

    def draft(self, clips: Sequence[Clip]) -> tuple[Path, ...]:
        """Do nothing: what is written to a pipe cannot be replaced."""
        return ()

    def deliver(self, clips: Sequence[Clip]) -> tuple[Path, ...]:
        """Write the clips' bytes, and remove their files.

        Raises
        ------
        BrokenPipeError
            Whoever reads has had enough.
        Failure
            Standard output takes no more: its disk is full, say. The sentence says where the clips
            lie.

        """
        try:
            for clip in clips:
                with clip.path.open("rb") as file:
                    shutil.copyfileobj(file, sys.stdout.buffer, _BLOCK)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            with contextlib.suppress(OSError), Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())  # for what Python writes as it ends
            folders = " and ".join(sorted({str(clip.path.parent) for clip in clips}))
            raise Failure(
                f"The clip could not be written to standard output ({error.strerror}): name a "
                f"folder with --out. The clip is in {folders}."
            ) from error
        for clip in clips:
            shutil.rmtree(clip.path.parent, ignore_errors=True)
        return ()

    def withdraw(self) -> None:
        """Do nothing: what was written stays written."""


def _resolved(file: Path) -> Path:
    """Return where a file really lies: the engine follows no symbolic links."""
    try:
        return file.resolve(strict=True)
    except FileNotFoundError:
        raise BadAudio(f"{file} does not exist: check the path.") from None
    except (OSError, RuntimeError, ValueError) as error:
        raise _not_opened(file, error) from error


def _opened(file: Path) -> IO[bytes]:
    try:
        return file.open("rb")
    except OSError as error:
        raise _not_opened(file, error) from error


def _not_opened(file: Path, error: Exception) -> BadAudio:
    reason = getattr(error, "strerror", None) or str(error)
    return BadAudio(f"{file} cannot be opened ({reason}): check its permissions.")


@contextlib.contextmanager
def _copy(stream: IO[bytes], folders: Folders, name: str) -> Iterator[Path]:
    """Yield a copy of a stream, which lies among the mixtures that the engine cleans up, too."""
    folders.make()
    path = folders.mixtures / new_id()
    try:
        with counting(f"Reading {shown(name)}") as count:
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    for block in _blocks(stream, name):
                        file.write(block)
                        count(len(block))
            except OSError as error:
                raise Failure(
                    f"{name} could not be copied to {folders.mixtures} ({error.strerror}): free "
                    "some space on that disk, or name another folder with TWEEZE_HOME."
                ) from error
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def _blocks(stream: IO[bytes], name: str) -> Iterator[bytes]:
    try:
        while block := stream.read(_BLOCK):
            yield block
    except OSError as error:
        raise BadAudio(f"{name} cannot be read ({error.strerror}): check what it is.") from error
