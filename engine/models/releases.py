"""Published checkpoints that Tweeze knows where to get, and getting them.

This is the only place that goes to the network, and only when the user says so
(`tweeze models pull`). A file counts only with the digest that is written here.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.errors import BadInput, Failure
from engine.folders import Folders
from engine.models import catalogue

__all__ = ["RELEASES", "Release", "RemoteFile", "pull", "release"]

_MIT = """\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or
substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT
OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""
_ANSWER = 20.0  # seconds that the hub has for its first answer
_CONVERTING = 700_000_000  # bytes on disk that the fast form takes beside the checkpoint


@dataclass(frozen=True)
class RemoteFile:
    """A file in a repository of the Hugging Face hub, at a revision that cannot change.

    `kind` is `model` or `space`.
    """

    repository: str
    revision: str
    path: str
    size: int
    sha256: str
    kind: str = "model"

    @property
    def page(self) -> str:
        """Address of the repository at that revision, for people to look at."""
        folder = "spaces/" if self.kind == "space" else ""
        return f"https://huggingface.co/{folder}{self.repository}/tree/{self.revision}"


@dataclass(frozen=True)
class Release:
    """A published model: its checkpoint, its tokenizer, and the terms it comes under.

    `terms` is the text to be shown before anything is downloaded.
    """

    name: str
    title: str
    checkpoint: RemoteFile
    tokenizer: tuple[RemoteFile, ...]
    licence: str
    terms: str

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        """All files to download."""
        return (*self.tokenizer, self.checkpoint)

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(file.size for file in self.files)


_ROBERTA = "e2da8e2f811d1448a5b465c236feacd80ffbac7b"
_TOKENIZER = (
    RemoteFile(
        "FacebookAI/roberta-base",
        _ROBERTA,
        "vocab.json",
        898_823,
        "9e7f63c2d15d666b52e21d250d2e513b87c9b713cfa6987a82ed89e5e6e50655",
    ),
    RemoteFile(
        "FacebookAI/roberta-base",
        _ROBERTA,
        "merges.txt",
        456_318,
        "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
    ),
)
_TOKENIZER_TERMS = "The tokenizer of roberta-base (Facebook AI) is under the MIT licence as well."

RELEASES: tuple[Release, ...] = (
    Release(
        name="audiosep",
        title="AudioSep, the official checkpoint (audiosep_base_4M_steps)",
        checkpoint=RemoteFile(
            "Audio-AGI/AudioSep",
            "5638854dccfaea5c5fa4f634c00fe74fbb119244",
            "checkpoint/audiosep_base_4M_steps.ckpt",
            1_264_844_076,
            "f8cda01bfd0ebd141eef45d41db7a3ada23a56568465840d3cff04b8010ce82c",
            kind="space",
        ),
        tokenizer=_TOKENIZER,
        licence="MIT",
        terms=f"MIT License\n\nCopyright (c) Xubo Liu\n\n{_MIT}\n\n{_TOKENIZER_TERMS}",
    ),
    Release(
        name="audiosep-hive",
        title="AudioSep-hive: the same network, trained on the Hive data set",
        checkpoint=RemoteFile(
            "AlayaLab/AudioSep-hive",
            "113d2e4399a4f19b6a0d567bbde38f2fe1b11794",
            "audiosep_hive.ckpt",
            1_264_846_755,
            "a13fff5fa4ece1a8bc13e42e1c7b8d90e21603075302ca89e4339c9471973300",
        ),
        tokenizer=_TOKENIZER,
        licence="Apache-2.0",
        terms=(
            "Apache License 2.0, as its publishers (Shanda AI Research Tokyo) declare; the text: "
            "https://www.apache.org/licenses/LICENSE-2.0\n\n"
            "The tokenizer of roberta-base (Facebook AI) is under the MIT licence."
        ),
    ),
)


def release(name: str) -> Release:
    """Return the known release of that name; BadInput if there is none."""
    for found in RELEASES:
        if found.name == name:
            return found
    names = ", ".join(found.name for found in RELEASES)
    raise BadInput(
        f"Tweeze does not know where to get {name[:40]!r}; it can pull: {names}. "
        "A checkpoint that you have is added with 'tweeze models add FILE'."
    )


def pull(
    wanted: Release,
    folders: Folders,
    *,
    name: str = "",
    endpoint: str | None = None,
    progress: Callable[[int], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> catalogue.Entry:
    """Download a release, check it, and add it to the catalogue.

    What was downloaded is kept if the connection breaks; the next pull goes on from there.

    Parameters
    ----------
    wanted
        The release.
    folders
        The user's.
    name
        What the model is to be called; the release's name if empty.
    endpoint
        Another hub than the usual one (`HF_ENDPOINT` names one as well).
    progress
        Called with the number of bytes of the checkpoint checked since the last call.
    say
        Called with a sentence about each wait that nothing else shows.

    Raises
    ------
    BadInput
        There is a model of that name.
    Failure
        The hub does not answer, the disk has no room, the download failed, or a file is not the
        published one.

    """
    name = catalogue.check_name(name or wanted.name)
    folder = folders.models / name
    if any(found.name == name for found in catalogue.entries(folders)):
        raise BadInput(
            f"There is a model named '{name}': remove it ('tweeze models remove {name}') "
            "or choose another name with --name."
        )
    hub = endpoint or os.environ.get("HF_ENDPOINT", "")
    if hub and not hub.startswith(("http://", "https://")):
        raise BadInput(f"HF_ENDPOINT is not a web address ({hub}): begin it with 'https://'.")
    tokenizer = folder / "tokenizer"
    places = [*((file, tokenizer) for file in wanted.tokenizer), (wanted.checkpoint, folder)]
    missing = [file for file, place in places if not _is_there(file, place)]
    _check_room(wanted, folder)
    if missing:
        _knock(missing[0], endpoint, say)
    folders.make()
    folder.mkdir(mode=0o700, exist_ok=True)
    for file in wanted.tokenizer:
        _download(file, tokenizer, endpoint)
    made = catalogue.add(
        folders,
        name,
        _download(wanted.checkpoint, folder, endpoint),
        tokenizer=tokenizer,
        licence=wanted.licence,
        origin=wanted.checkpoint.page,
        progress=progress,
    )
    (folder / "LICENCE.txt").write_text(f"{wanted.title}\n\n{wanted.terms}\n", encoding="utf-8")
    return made


def _check_room(wanted: Release, folder: Path) -> None:
    present = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    needed = max(0, wanted.size - present) + _CONVERTING
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise Failure(
            f"'{wanted.name}' needs {needed / 1e9:.1f} GB in {folder}, and {free / 1e9:.1f} GB "
            "are free: make room, or set TWEEZE_HOME to a folder on another disk."
        )


def _is_there(file: RemoteFile, folder: Path) -> bool:
    path = folder / file.path
    return path.is_file() and path.stat().st_size == file.size


def _knock(file: RemoteFile, endpoint: str | None, say: Callable[[str], None]) -> None:
    """See whether the hub answers at all: a download tries again for minutes, and says nothing."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    logging.getLogger("huggingface_hub").setLevel(
        logging.ERROR
    )  # what goes wrong is said here, in one sentence
    url = hf_hub_url(
        file.repository,
        file.path,
        repo_type=file.kind,
        revision=file.revision,
        endpoint=endpoint,
    )
    host = url.split("/")[2]
    say(f"Waiting for {host}, {_ANSWER:.0f} seconds at most.")
    # Each step of the connection has a limit of its own, and there can be several of them.
    asking = threading.Thread(
        target=lambda: outcome.append(
            _error_of(lambda: get_hf_file_metadata(url, token=False, timeout=_ANSWER / 2))
        ),
        daemon=True,
    )
    outcome: list[Exception | None] = []
    asking.start()
    asking.join(_ANSWER)
    error = outcome[0] if outcome else TimeoutError(f"{host} does not answer")
    if error is not None:
        raise _failed(file, error) from error


def _error_of(work: Callable[[], object]) -> Exception | None:
    try:
        work()
    except Exception as error:
        return error
    return None


def _download(file: RemoteFile, folder: Path, endpoint: str | None) -> Path:
    """Return the local path of a file, downloaded unless it is there, with the right digest."""
    from huggingface_hub import hf_hub_download

    from engine.models import audiosep

    path = folder / file.path
    if not _is_there(file, folder):
        try:
            hf_hub_download(
                file.repository,
                file.path,
                repo_type=file.kind,
                revision=file.revision,
                local_dir=folder,
                endpoint=endpoint,
                token=False,  # all of these are public
            )
        except Exception as error:  # of a network library, and of what a proxy's name makes of it
            raise _failed(file, error) from error
    found = audiosep.digest(path)
    if found != file.sha256:
        path.unlink()
        raise Failure(
            f"{file.path} is not the published file (its SHA-256 is {found}, and not "
            f"{file.sha256}), and was removed: pull again."
        )
    return path


def _failed(file: RemoteFile, error: Exception) -> Failure:
    """Return what to say of a download that failed."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    away = isinstance(error, (TimeoutError, LocalEntryNotFoundError))
    if isinstance(error, (HfHubHTTPError, OSError)) and not away:
        return Failure(
            f"Downloading {file.path} from {file.page} failed: {_first(error)} "
            "Pull again later; the download continues where it stopped."
        )
    return Failure(
        f"Downloading {file.path} failed, the hub cannot be reached: {_first(error)}{_proxies()} "
        "Then pull again; the download continues where it stopped."
    )


def _proxies() -> str:
    """Return a sentence that names the variables that send a download through a proxy."""
    names = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")
    there = [name for n in names for name in (n, n.lower()) if os.environ.get(name)]
    if not there:
        return " Check the connection."
    return f" Check {', '.join(there)}: Tweeze takes an http proxy, 'http://host:port'."


def _first(error: BaseException) -> str:
    line = next((row.strip() for row in str(error).split("\n") if row.strip()), "")
    return f"{line.rstrip('.')[:200] or type(error).__name__}."
