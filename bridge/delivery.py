"""Brings clips from the engine to the folder the user named: whole, overwriting nothing."""

from __future__ import annotations

import contextlib
import errno
import itertools
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from engine.errors import BadInput, Failure
from engine.files import make_usual, name_anew, sync, sync_folder
from engine.status import Clip

__all__ = ["Destination"]

_OF_FILES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aif", ".aiff"})


class Destination:
    """The folder that clips are to go to; made if it is not there.

    Raises
    ------
    BadInput
        It cannot be made, or nothing can be written there; or it would be called like a file.

    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        if folder.suffix.lower() in _OF_FILES and not folder.is_dir():
            raise BadInput(
                f"'{folder}' looks like a file, and --out names a folder, in which each clip gets "
                "a name of its own: name a folder, or '-' for one clip to standard output."
            )
        self._made: list[Path] = []
        self._placed: list[tuple[Path, Path]] = []  # where a clip lay, and where it lies now
        self._drafts: dict[str, Path] = {}  # by the clip's file name, where its draft lies
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

    def draft(self, clips: Sequence[Clip]) -> tuple[Path, ...]:
        """Bring drafts here; `deliver` replaces them by clips of the same names.

        Without an error where that fails, since the clips themselves follow.
        """
        for clip in clips:
            with contextlib.suppress(OSError):
                copy = self.folder / f".tweeze-{secrets.token_hex(4)}.part"
                shutil.copyfile(clip.path, copy)
                self._name(copy, clip.path.stem, clip.path)
                copy.unlink(missing_ok=True)
                self._drafts[clip.path.name] = self._placed.pop()[1]
        return tuple(self._drafts.values())

    def deliver(self, clips: Sequence[Clip]) -> tuple[Path, ...]:
        """Move the clips here under their names, with a number where a name is taken.

        Raises
        ------
        Failure
            The disk refuses. The clips lie where they lay, and the sentence says where.

        """
        try:
            for clip in clips:
                draft = self._drafts.pop(clip.path.name, None)
                if draft is None:
                    self._place(clip.path, clip.path.stem)
                else:
                    self._replace(clip.path, draft)
            sync_folder(self.folder)
        except OSError as error:
            lie = self._give_back(clips)
            raise Failure(
                f"The clips could not be moved to {self.folder} ({_reason(error)}): name another "
                f"folder with --out, or make room there. {lie}"
            ) from error
        for clip in clips:
            with contextlib.suppress(OSError):
                clip.path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                clip.path.parent.rmdir()
        return tuple(path for _, path in self._placed)

    def withdraw(self) -> None:
        """Leave nothing: remove what was delivered, and the folder if it was made."""
        for path in (*(path for _, path in self._placed), *self._drafts.values()):
            with contextlib.suppress(OSError):
                path.unlink()
        self._remove_made()

    def _give_back(self, clips: Sequence[Clip]) -> str:
        """Let the clips lie where they lay, and return a sentence that says where."""
        placed = dict(self._placed)
        for clip, path in placed.items():
            with contextlib.suppress(OSError):
                if clip.exists():
                    path.unlink()
                else:
                    path.rename(clip)
        self._remove_made()
        places = [(clip.path, placed.get(clip.path, clip.path)) for clip in clips]
        lie = [next((path for path in pair if path.exists()), None) for pair in places]
        folders = " and ".join(sorted({str(path.parent) for path in lie if path}))
        said = [f"The clips are in {folders}."] if folders else []
        if None in lie:
            said.append(f"{lie.count(None)} of {len(clips)} clips are no longer there.")
        return " ".join(said)

    def _remove_made(self) -> None:
        for folder in reversed(self._made):
            with contextlib.suppress(OSError):
                folder.rmdir()
        self._placed, self._made = [], []

    def _place(self, clip: Path, stem: str) -> None:
        """Give a clip a name here; it keeps its old one where both are possible."""
        try:
            self._name(clip, stem, clip)
            return
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        # Another disk: the copy has a name of its own until it is whole.
        copy = self.folder / f".tweeze-{secrets.token_hex(4)}.part"
        try:
            with clip.open("rb") as source, copy.open("xb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
                target.flush()
                sync(target.fileno())
            self._name(copy, stem, clip)
        finally:
            with contextlib.suppress(OSError):
                copy.unlink()

    def _replace(self, clip: Path, draft: Path) -> None:
        """Put a clip in the place of its draft, in one step."""
        copy = self.folder / f".tweeze-{secrets.token_hex(4)}.part"
        try:
            shutil.copyfile(clip, copy)
            with copy.open("r+b") as file:
                sync(file.fileno())
            make_usual(copy)
            copy.replace(draft)
        finally:
            with contextlib.suppress(OSError):
                copy.unlink()
        self._placed.append((clip, draft))

    def _name(self, file: Path, stem: str, clip: Path) -> None:
        """Give a file of this disk the first free name here."""
        for number in itertools.count(1):
            path = self.folder / (f"{stem}.wav" if number == 1 else f"{stem} ({number}).wav")
            try:
                name_anew(file, path)
            except FileExistsError:
                continue
            self._placed.append((clip, path))
            make_usual(path)
            return


def _reason(error: OSError) -> str:
    if error.errno in (errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG):
        return f"it does not allow the name '{Path(str(error.filename2 or error.filename)).name}'"
    return error.strerror or str(error)
