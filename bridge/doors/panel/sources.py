"""The recordings that were opened in the panel: files, uploads and selections of editors.

Each has a folder of its own, with its samples and what is drawn of them, and a note of what it is
and which jobs came of it. So they are there again after the engine has ended, however it did.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from bridge.doors.panel.answers import Refused
from bridge.doors.panel.overview import Overview
from bridge.doors.panel.samples import Decoding, Samples
from engine.display import shown
from engine.errors import BadAudio, BadInput, Failure
from engine.file_names import file_name
from engine.files import read_small, replace_text
from engine.folders import Folders
from engine.job import Placement, check_id, new_id
from engine.settings import Settings
from engine.sound.audio import AudioInfo, frame_bytes
from engine.text_form import one_line
from engine.waiting import aside, within

__all__ = ["MOST", "Source", "Sources", "in_thread"]

MOST = 20
"""Sources at once."""
LARGEST = 2 << 30
"""Bytes of an upload."""
_TITLE = 200  # characters
_RESERVE = 256 << 20  # bytes that stay free on the disk
_ANSWER = 30.0  # seconds that the disk gets to answer
_NOTE, _SAMPLES = "source.json", "samples.f32"
_LOG = logging.getLogger("tweeze.panel")
_T = TypeVar("_T")


async def in_thread(work: Callable[[], _T], *, name: str = "panel") -> _T:
    """Have `work` done in a thread; Failure where that takes longer than a disk should."""
    try:
        return await within(_ANSWER, aside(work, name=name))
    except asyncio.TimeoutError:
        raise Failure(
            f"The disk gave no answer within {_ANSWER:.0f} s: a network share does not answer, "
            "perhaps. Try again."
        ) from None


class Source:
    """One recording.

    Attributes
    ----------
    id, title
        What it is called, by programs and by people.
    recording
        The audio file that jobs read.
    placement
        Where clips belong in the editor that it came from, if it came from one.
    folder
        What is kept of it.
    jobs
        Ids of the jobs that came of it, in order.
    instead
        Ids of jobs that take the place of earlier ones, with the ids of these.
    origin
        The file of which it is a copy that was kept, if it is one: what jobs were done of.
    listening
        Id of the job that listened to it, or ''.
    loud
        What was measured of it and of its clips, in LUFS, by their names here; None of silence.
    overview
        What is drawn of it; None until its rate and length are known.

    """

    def __init__(
        self, folder: Path, title: str, recording: Path, placement: Placement | None = None
    ) -> None:
        self.id = folder.name
        self.folder = folder
        self.title = title
        self.recording = recording
        self.placement = placement
        self.jobs: list[str] = []
        self.instead: dict[str, str] = {}
        self.origin: Path | None = None
        self.listening = ""
        self.loud: dict[str, float | None] = {}
        self.overview: Overview | None = None
        self.error = ""
        self.opened = time.time()
        self._info: AudioInfo | None = None  # of what an earlier engine decoded
        self._decoding: Decoding | None = None
        self._guard = threading.Lock()

    @property
    def samples(self) -> Samples:
        """Its samples.

        Raises
        ------
        Failure
            Decoding broke off, for the reason that is said.

        """
        if self.overview is None:
            raise Failure(self.error or f"'{self.title}' is not open yet: try again.")
        return self.overview.samples

    @property
    def is_own(self) -> bool:
        """Whether its audio file lies in its folder, and goes with it."""
        return self.folder in self.recording.parents

    def decode(self, on_news: Callable[[Source], None]) -> None:
        """Begin to decode, unless that was done; `on_news` is called in other threads."""
        path = self.folder / _SAMPLES
        if self._info is not None and _size(path) == _bytes(self._info):
            samples = Samples(path, self._info, ready=self._info.frames)
            self.overview = Overview(samples, self.folder, lambda: on_news(self))
            self.overview.begin()
            return

        def news() -> None:
            samples = decoding.samples
            if samples is not None and self.overview is None:
                self.overview = Overview(samples, self.folder, lambda: on_news(self))
                self.overview.begin()
            if decoding.error:
                self.error = decoding.error
            elif samples is not None and samples.whole:
                self._info = samples.info
                self.save()
            on_news(self)

        decoding = self._decoding = Decoding(self.recording, path, news)
        threading.Thread(target=decoding.run, name="panel-decode", daemon=True).start()

    def close(self) -> None:
        """End what works on it."""
        if self._decoding is not None:
            self._decoding.stop()
        if self.overview is not None:
            self.overview.close()

    def save(self) -> None:
        """Write down what it is; blocking."""
        with self._guard:
            said = {
                "title": self.title,
                "recording": str(self.recording),
                "placement": asdict(self.placement) if self.placement else None,
                "jobs": self.jobs,
                "instead": self.instead,
                "origin": str(self.origin or ""),
                "listening": self.listening,
                "loud": self.loud,
                "opened": self.opened,
                "info": asdict(self._info) if self._info else None,
            }
            try:
                replace_text(self.folder / _NOTE, json.dumps(said))
            except OSError as error:
                _LOG.warning("What '%s' is cannot be written down: %s", ascii(self.title), error)

    @classmethod
    def kept(cls, folder: Path) -> Source | None:
        """Return what an earlier engine wrote down, if it can be used."""
        try:
            said: dict[str, Any] = json.loads(read_small(folder / _NOTE))
            place = said["placement"]
            source = cls(
                folder,
                one_line(str(said["title"])),
                Path(str(said["recording"])),
                Placement(**place) if place else None,
            )
            source.jobs = [check_id(str(job)) for job in said["jobs"]]
            instead = said.get("instead", {}).items()  # older notes have none
            source.instead = {check_id(str(new)): check_id(str(old)) for new, old in instead}
            source.origin = Path(said["origin"]) if said.get("origin") else None
            source.listening = check_id(str(said["listening"])) if said["listening"] else ""
            source.loud = {str(name): value for name, value in said["loud"].items()}
            source.opened = float(said["opened"])
            source._info = AudioInfo(**said["info"]) if said["info"] else None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, BadInput):
            return None
        whole = source._info is not None and _size(folder / _SAMPLES) == _bytes(source._info)
        return source if whole or source.recording.is_file() else None


class Sources:
    """The open recordings, by id. `on_news` is called in the event loop with one that changed."""

    def __init__(self, folders: Folders, on_news: Callable[[Source], None]) -> None:
        self._folders = folders
        self._place = folders.panel / "sources"
        self._on_news = on_news
        self._loop = asyncio.get_running_loop()
        self._all: dict[str, Source] = {}
        self._coming = 0  # uploads under way

    def __iter__(self) -> Iterator[Source]:
        return iter(list(self._all.values()))

    async def open(self) -> None:
        """Find what earlier engines kept, and remove what is too old or cannot be used."""
        oldest = time.time() - Settings.of_environment().keep_days * 24 * 3600

        def find() -> list[Source]:
            self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
            found: list[Source] = []
            for folder in sorted(self._place.iterdir()):
                source = Source.kept(folder)
                if source is not None and source.opened > oldest and len(found) < MOST:
                    found.append(source)
                else:
                    shutil.rmtree(folder, ignore_errors=True)
            return found

        for source in await in_thread(find):
            self._all[source.id] = source
            await in_thread(lambda source=source: source.decode(self._hear))  # type: ignore[misc]

    def close(self) -> None:
        """End what works on them; their files stay."""
        for source in self._all.values():
            source.close()
        self._all.clear()

    def get(self, id_: str) -> Source:
        """Return a source; Refused if there is none of that id."""
        if id_ not in self._all:
            raise Refused(404, "That recording is not open in the panel: open it again.")
        return self._all[id_]

    async def add(
        self, path: Path, title: str, placement: Placement | None = None, *, move: bool = False
    ) -> Source:
        """Open an audio file; one to `move` becomes the panel's own.

        Raises
        ------
        Refused
            There are too many.
        BadAudio
            It is not audio, or cannot be separated.
        Failure
            The disk has no room, or does not answer.

        """
        self._check_room()
        folder = await self._new_folder()
        try:
            recording = path
            if move:
                recording = folder / "recording" / _safe(title or path.name, path)
                await in_thread(lambda: _moved(path, recording))
            return await self._begin(Source(folder, _titled(title, path), recording, placement))
        except BaseException:
            await in_thread(lambda: shutil.rmtree(folder, ignore_errors=True))
            raise

    async def receive(self, name: str, body: AsyncIterator[bytes], length: int) -> Source:
        """Open an upload. `length` is how many bytes are announced, 0 where nobody says.

        Raises
        ------
        Refused
            It is too long, there are too many, or the disk is full.
        BadAudio
            It is not audio, or cannot be separated.

        """
        self._check_room()
        self._check_size(length)
        folder = await self._new_folder()
        self._coming += 1
        try:
            recording = folder / "recording" / _safe(name, Path("recording"))
            await self._write(recording, body)
            return await self._begin(Source(folder, _titled(Path(name).stem, recording), recording))
        except BaseException:
            await in_thread(lambda: shutil.rmtree(folder, ignore_errors=True))
            raise
        finally:
            self._coming -= 1

    async def remove(self, id_: str) -> Source:
        """Close a recording and remove what is kept of it; Refused if there is none."""
        source = self.get(id_)
        del self._all[id_]
        source.close()
        await in_thread(lambda: shutil.rmtree(source.folder, ignore_errors=True))
        return source

    def save(self, source: Source) -> None:
        """Write down what a source is, in a thread."""
        aside(source.save, name="panel-note").add_done_callback(lambda done: done.exception())

    def _check_room(self) -> None:
        if len(self._all) + self._coming >= MOST:
            raise Refused(413, f"{MOST} recordings are open, which is the most: close some first.")

    def _check_size(self, size: int) -> None:
        if size > LARGEST:
            raise Refused(
                413,
                f"The file is larger than {LARGEST >> 30} GB: open it with 'tweeze panel FILE', "
                "which needs no copy.",
            )
        free = shutil.disk_usage(self._place).free
        if free < size + _RESERVE:
            raise Refused(
                507, f"The disk that holds {self._place} is nearly full: free some space."
            )

    async def _new_folder(self) -> Path:
        folder = self._place / new_id()
        await in_thread(lambda: (folder / "recording").mkdir(mode=0o700, parents=True))
        return folder

    async def _write(self, path: Path, body: AsyncIterator[bytes]) -> None:
        file: BinaryIO = await in_thread(lambda: path.open("xb"))
        size, waiting = 0, bytearray()
        try:
            async for part in body:
                waiting += part
                size += len(part)
                if len(waiting) >= 1 << 20:
                    self._check_size(size)
                    block, waiting = bytes(waiting), bytearray()
                    await in_thread(lambda block=block: file.write(block))  # type: ignore[misc]
            self._check_size(size)
            await in_thread(lambda: file.write(waiting))
        except OSError as error:
            raise Refused(507, f"The file could not be written ({error.strerror}).") from error
        finally:
            with contextlib.suppress(OSError):
                await in_thread(file.close)
        if not size:
            raise BadAudio("The file is empty: choose another.")

    async def _begin(self, source: Source) -> Source:
        """Decode a source, and return when its rate and length are known."""
        first = asyncio.Event()

        def news(one: Source) -> None:
            self._loop.call_soon_threadsafe(first.set)
            self._hear(one)

        await in_thread(lambda: source.decode(news))
        try:
            while source.overview is None and not source.error:
                await first.wait()
                first.clear()
            if source.error:
                raise BadAudio(source.error)
            needed = _bytes(source.samples.info)
            free = shutil.disk_usage(source.folder).free
            if not source.samples.whole and free < needed + _RESERVE:
                raise Refused(
                    507,
                    f"The samples of '{source.title}' need {needed / 1e9:.1f} GB, and the disk "
                    f"that holds {self._folders.root} has {free / 1e9:.1f} GB left: free some "
                    "space.",
                )
            if len(self._all) >= MOST:  # others may have come meanwhile
                self._check_room()
        except BaseException:
            source.close()
            raise
        self._all[source.id] = source
        await in_thread(source.save)
        return source

    def _hear(self, source: Source) -> None:
        """Pass on, from any thread, that a source has changed."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._pass_on, source)

    def _pass_on(self, source: Source) -> None:
        if source.id in self._all:
            self._on_news(source)


def _titled(title: str, path: Path) -> str:
    return shown(one_line(title) or one_line(path.stem))[:_TITLE] or "recording"


def _safe(name: str, path: Path) -> str:
    """Return a name for the file itself, with which sentences about it can be read."""
    plain = file_name(Path(one_line(name)).name)
    return plain if Path(plain).suffix else f"{plain}{path.suffix[:8] if path.suffix else ''}"


def _moved(path: Path, to: Path) -> None:
    try:
        path.replace(to)
    except OSError:
        if path.is_symlink():
            raise
        shutil.copyfile(path, to)
        with contextlib.suppress(OSError):
            path.unlink()
    with contextlib.suppress(OSError):
        os.chmod(to, 0o600)  # noqa: PTH101


def _bytes(info: AudioInfo) -> int:
    return info.frames * frame_bytes(info.channels)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
