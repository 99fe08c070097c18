"""Getting published models: download, check, and add to the catalogue.

This is the only place that goes to the network, and only when the user says so
(`tweeze models pull`).
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError, URLError

from engine.errors import BadInput, Failure
from engine.folders import Folders
from engine.models import catalogue, downloads
from engine.models.records import Entry, Progress, ignore, sha256
from engine.models.releases import Release, RemoteFile

__all__ = ["pull"]

_ANSWER = 20.0  # seconds that the hub has for its first answer


def pull(
    wanted: Release,
    folders: Folders,
    *,
    name: str = "",
    endpoint: str | None = None,
    progress: Progress = ignore,
    say: Callable[[str], None] = lambda _: None,
) -> Entry:
    """Download a release, check it, and add it to the catalogue.

    What was downloaded is kept if the connection breaks; the next pull goes on from there.

    Parameters
    ----------
    wanted
        The release.
    folders
        The user's.
    name
        Name for the model; the release's name if empty.
    endpoint
        Another hub than the usual one (`HF_ENDPOINT` names one as well).
    progress
        Called with the number of bytes checked since the last call.
    say
        Called with a sentence before something that takes a while without another sign.

    Raises
    ------
    BadInput
        There is a model of that name.
    Failure
        The hub does not answer, the disk has no room, the download failed, or a file is not the
        published one.

    """
    name = name or wanted.name
    catalogue.check_free(name, folders)
    folder = folders.models / name
    hub = endpoint or os.environ.get("HF_ENDPOINT", "")
    if hub and not hub.startswith(("http://", "https://")):
        raise BadInput(f"HF_ENDPOINT is not a web address ({hub}): begin it with 'https://'.")
    missing = [file for sub, file in wanted.files if not _is_there(file, folder / sub)]
    _check_room(wanted, folder)
    if missing:
        _knock(missing[0], endpoint, say)
    folders.make()
    folder.mkdir(mode=0o700, exist_ok=True)
    for sub, file in wanted.files:
        _download(file, folder / sub, endpoint)
    made = catalogue.add(
        folders,
        name,
        wanted.kind,
        folder / wanted.main.path,
        also={
            role: folder / (part.path if isinstance(part, RemoteFile) else role)
            for role, part in wanted.also.items()
        },
        licence=wanted.licence,
        origin=wanted.main.page,
        progress=progress,
    )
    (folder / "LICENCE.txt").write_text(f"{wanted.title}\n\n{wanted.terms}\n", encoding="utf-8")
    return made


def _check_room(wanted: Release, folder: Path) -> None:
    present = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    needed = max(0, wanted.size - present) + wanted.room
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
    """See whether the server answers: the hub's downloads try again for minutes, in silence."""
    url = file.url or _hub_address(file, endpoint)
    host = url.split("/")[2]
    say(f"Waiting for {host}, {_ANSWER:.0f} seconds at most.")

    def ask() -> None:
        if file.url:
            downloads.ask(url, _ANSWER / 2)
        else:
            from huggingface_hub import get_hf_file_metadata

            get_hf_file_metadata(url, token=False, timeout=_ANSWER / 2)

    # Each step of the connection has a limit of its own, and there can be several of them.
    asking = threading.Thread(target=lambda: outcome.append(_error_of(ask)), daemon=True)
    outcome: list[Exception | None] = []
    asking.start()
    asking.join(_ANSWER)
    error = outcome[0] if outcome else TimeoutError(f"{host} does not answer")
    if error is not None:
        raise _failed(file, error) from error


def _hub_address(file: RemoteFile, endpoint: str | None) -> str:
    from huggingface_hub import hf_hub_url

    logging.getLogger("huggingface_hub").setLevel(
        logging.ERROR
    )  # what goes wrong is said here, in one sentence
    return hf_hub_url(
        file.repository,
        file.path,
        repo_type=file.repo_type,
        revision=file.revision,
        endpoint=endpoint,
    )


def _error_of(work: Callable[[], object]) -> Exception | None:
    try:
        work()
    except Exception as error:
        return error
    return None


def _download(file: RemoteFile, folder: Path, endpoint: str | None) -> None:
    """Download a file unless it is there, and check its digest."""
    path = folder / file.path
    if not _is_there(file, folder):
        try:
            if file.url:
                downloads.fetch(file.url, path, file.size)
            else:
                _download_from_hub(file, folder, endpoint)
        except Exception as error:  # of a network library, and of what a proxy's name makes of it
            raise _failed(file, error) from error
    found = sha256(path)
    if found != file.sha256:
        path.unlink()
        raise Failure(
            f"{file.path} is not the published file (its SHA-256 is {found}, and not "
            f"{file.sha256}), and was removed: pull again."
        )


def _download_from_hub(file: RemoteFile, folder: Path, endpoint: str | None) -> None:
    from huggingface_hub import hf_hub_download

    hf_hub_download(
        file.repository,
        file.path,
        repo_type=file.repo_type,
        revision=file.revision,
        local_dir=folder,
        endpoint=endpoint,
        token=False,  # all of these are public
    )


def _failed(file: RemoteFile, error: Exception) -> Failure:
    """Return what to say of a download that failed."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    away = isinstance(error, (TimeoutError, LocalEntryNotFoundError))
    away = away or (isinstance(error, URLError) and not isinstance(error, HTTPError))
    if isinstance(error, (HfHubHTTPError, OSError)) and not away:
        return Failure(
            f"Downloading {file.path} from {file.page} failed: {_first(error)} "
            "Pull again later; the download continues where it stopped."
        )
    where = "server" if file.url else "hub"
    why = f"{_first(error)}{_proxies()}"
    return Failure(
        f"Downloading {file.path} failed, the {where} cannot be reached: {why} "
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
