"""Getting published models: download, check, and add to the catalogue.

This is the only place that goes to the network, and only when the user says so
(`tweeze models pull`).
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.error import HTTPError, URLError

from engine.errors import BadInput, Failure
from engine.folders import Folders
from engine.models import catalogue, downloads, pins
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
    origin = wanted.main
    for sub, file in wanted.files:
        instead = _elsewhere(wanted) if file is wanted.main else ""
        came, digest = _download(file, folder / sub, endpoint, say, instead)
        if not file.sha256 and pins.hold(file, digest, folders):
            say(
                f"{file.name} is taken on trust, for its publisher names no SHA-256: that of what "
                f"came is noted ({digest}), and later pulls are held to it."
            )
        if file is wanted.main:
            origin = came
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
        origin=origin.page,
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
    return path.is_file() and (not file.sha256 or path.stat().st_size == file.size)


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


def _download(
    file: RemoteFile,
    folder: Path,
    endpoint: str | None,
    say: Callable[[str], None],
    instead: str,
) -> tuple[RemoteFile, str]:
    """Download a file unless it is there, and check it; return where it came from, and its digest.

    `instead` says what else to do where it cannot be had.
    """
    path = folder / file.path
    came = file if _is_there(file, folder) else _fetched(file, folder, endpoint, say, instead)
    found = sha256(path)
    if came.sha256 and found != came.sha256:
        path.unlink()
        raise Failure(
            f"{file.path} is not the published file (its SHA-256 is {found}, and not "
            f"{came.sha256}), and was removed: pull again."
        )
    return came, found


def _fetched(
    file: RemoteFile,
    folder: Path,
    endpoint: str | None,
    say: Callable[[str], None],
    instead: str,
) -> RemoteFile:
    """Download a file, from a mirror where the first place does not have it; return it as there."""
    places = [file, *(replace(file, repository=mirror, mirrors=()) for mirror in file.mirrors)]
    while True:
        place = places.pop(0)
        try:
            if place.url:
                downloads.fetch(place.url, folder / place.path, place.size)
                return place
            if not place.sha256:
                place = _as_it_is(place, endpoint)
            _download_from_hub(place, folder, endpoint)
            return place
        except Exception as error:  # of a network library, and of what a proxy's name makes of it
            reason = _reason(error)
            if not places or not _is_answer(reason):
                raise _failed(place, reason, instead) from error
            say(f"{place.page} does not have it ({_first(reason)}) Trying {places[0].page}.")


def _as_it_is(file: RemoteFile, endpoint: str | None) -> RemoteFile:
    """Return a file that is not pinned as the hub has it now: its revision, size and digest."""
    from huggingface_hub import get_hf_file_metadata

    url = _hub_address(file, endpoint)
    there = get_hf_file_metadata(url, token=False, timeout=_ANSWER / 2)
    digest = there.etag if there.etag and re.fullmatch("[0-9a-f]{64}", there.etag) else ""
    return replace(
        file,
        revision=there.commit_hash or file.revision,
        size=there.size or file.size,
        sha256=digest,
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


def _elsewhere(wanted: Release) -> str:
    """Return a sentence that says where else a release can be had; '' if it cannot."""
    if not wanted.elsewhere:
        return ""
    where = wanted.elsewhere[0].main.repository
    return (
        f" Or take it from another place: 'tweeze models pull {wanted.name} --from {where}' shows "
        "its terms."
    )


def _reason(error: Exception) -> Exception:
    """Return what the hub answered, where its client says only that no file came of it."""
    cause = error.__cause__
    return cause if isinstance(cause, Exception) and _is_answer(cause) else error


def _is_answer(error: Exception) -> bool:
    """Return whether it is what the hub answered: that it has no such file, say."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    return isinstance(error, HfHubHTTPError) and not isinstance(error, LocalEntryNotFoundError)


def _is_away(error: Exception) -> bool:
    """Return whether no server answered."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    away = isinstance(error, (TimeoutError, LocalEntryNotFoundError))
    away = away or (isinstance(error, URLError) and not isinstance(error, HTTPError))
    # The hub's client before 1.0 has requests' errors, each of which is an OSError.
    away = away or any(
        one.__module__.startswith("requests.") and one.__name__ in ("ConnectionError", "Timeout")
        for one in type(error).__mro__
    )
    return away or not isinstance(error, (HfHubHTTPError, OSError))


def _failed(file: RemoteFile, error: Exception, instead: str = "") -> Failure:
    """Return what to say of a download that failed."""
    if not _is_away(error):
        return Failure(
            f"Downloading {file.path} from {file.page} failed: {_first(error)} "
            f"Pull again later; the download continues where it stopped.{instead}"
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
