"""Brings clips from the engine to the folder the user named: whole, overwriting nothing."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from bridge.files import sync_folder
from engine.errors import BadInput, Failure
from engine.job import Clip

__all__ = ["Destination"]


class Destination:
    """The folder that clips are to go to; made if it is not there.

    Raises
    ------
    BadInput
        It cannot be made, or nothing can be written there.

    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._made: list[Path] = []
        self._placed: list[Path] = []
        try:
            self._make()
            probe = self.folder / f".tweeze-{secrets.token_hex(4)}"
            probe.touch(exist_ok=False)
            probe.unlink()
        except OSError as error:
            self.withdraw()
            raise BadInput(
                f"Clips cannot be written to {folder} ({error.strerror}): "
                "name another folder with --out."
            ) from error

    def _make(self) -> None:
        missing = [self.folder, *self.folder.parents]
        for folder in reversed([f for f in missing if not f.exists()]):
            folder.mkdir()
            self._made.append(folder)

    def deliver(self, clips: Sequence[Clip]) -> tuple[Path, ...]:
        """Move the clips here under their names, with a number where a name is taken.

        Raises
        ------
        Failure
            The disk refuses. What was delivered is withdrawn.

        """
        try:
            for clip in clips:
                self._place(clip.path, clip.path.stem)
            sync_folder(self.folder)
        except OSError as error:
            self.withdraw()
            raise Failure(
                f"The clips could not be moved to {self.folder} ({error.strerror or error}): "
                "free some space there, or name another folder with --out."
            ) from error
        for folder in {clip.path.parent for clip in clips}:
            with contextlib.suppress(OSError):
                folder.rmdir()
        return tuple(self._placed)

    def withdraw(self) -> None:
        """Leave things as they were: remove what was delivered, and the folder if it was made."""
        for path in self._placed:
            with contextlib.suppress(OSError):
                path.unlink()
        for folder in reversed(self._made):
            with contextlib.suppress(OSError):
                folder.rmdir()
        self._placed, self._made = [], []

    def _place(self, clip: Path, stem: str) -> None:
        if clip.stat().st_dev == self.folder.stat().st_dev:
            self._name(clip, stem)
            return
        # Another disk: the copy has a name of its own until it is whole.
        copy = self.folder / f".tweeze-{secrets.token_hex(4)}.part"
        try:
            with clip.open("rb") as source, copy.open("xb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
                target.flush()
                os.fsync(target.fileno())
            self._name(copy, stem)
        except BaseException:
            with contextlib.suppress(OSError):
                copy.unlink()
            raise
        clip.unlink()

    def _name(self, file: Path, stem: str) -> None:
        """Rename a file of this disk to the first free name."""
        for number in itertools.count(1):
            path = self.folder / (f"{stem}.wav" if number == 1 else f"{stem} ({number}).wav")
            try:
                _rename_new(file, path)
            except FileExistsError:
                continue
            self._placed.append(path)
            path.chmod(0o666 & ~_umask())  # the engine's own files are for its user alone
            return


def _umask() -> int:
    umask = os.umask(0o077)  # there is no way to ask for it without setting it
    os.umask(umask)
    return umask


def _rename_new(file: Path, path: Path) -> None:
    """Rename a file, but never over another: FileExistsError then."""
    try:
        os.link(file, path)  # the one way on POSIX that fails where the name is taken
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):  # a disk without hard links
        if path.exists():
            raise FileExistsError(path) from None
        file.rename(path)
        return
    file.unlink()
