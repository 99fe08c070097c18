"""Models that the user added: what is recorded of each, adding, checking and removing them.

Each has a folder of its own under the user's `models`, with a record (`model.json`), its
tokenizer, the fast form that loading makes of its checkpoint, and the checkpoint itself if Tweeze
downloaded it. A checkpoint that was added stays where it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import BadInput, Failure, ModelBroken, UnknownModel
from engine.folders import Folders

if TYPE_CHECKING:
    from engine.models.audiosep import AudioSep
    from engine.models.compact import Compact

__all__ = [
    "BUNDLED",
    "Entry",
    "Finding",
    "Source",
    "add",
    "add_compact",
    "check_name",
    "entries",
    "entry",
    "load",
    "remove",
    "tokenizer_folder",
    "verify",
]

BUNDLED = "compact"
_COMPACT = "compact"
_HEADS = "heads"
TOKENIZER_FILES = ("vocab.json", "merges.txt")
_TOKENIZER_REPOSITORIES = ("FacebookAI/roberta-base", "roberta-base")
_RECORD = "model.json"
_FORM = 1
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")

Progress = Callable[[int], None]


def _no_progress(count: int) -> None:
    del count


@dataclass(frozen=True)
class Source:
    """A checkpoint file that a model was made from.

    `role` is `separator` (which mostly holds the text encoder too) or `text`; or `compact`, for
    other weights of the bundled network, which goes with the bundled text table; beside that there
    may be `heads`, which estimate presence.
    """

    role: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Entry:
    """A model that the user added.

    `origin` says where its checkpoint came from, `licence` under which licence; either may be
    empty. A source's path is relative to `folder` if the file lies there.
    """

    name: str
    folder: Path
    sources: tuple[Source, ...]
    licence: str = ""
    origin: str = ""

    @property
    def is_compact(self) -> bool:
        """Whether this is the bundled network with other weights; else it is an AudioSep."""
        return any(source.role == _COMPACT for source in self.sources)

    @property
    def digest(self) -> str:
        """Names the checkpoint for good, whatever its files are called."""
        parts = [f"{source.role}:{source.sha256}" for source in self.sources]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def tokenizer(self) -> Path:
        """Folder of the tokenizer's files."""
        return self.folder / "tokenizer"

    @property
    def fast(self) -> Path:
        """Folder of the fast form."""
        return self.folder / "fast"

    def source(self, role: str) -> Path:
        """Return the path of the source with this role; the separator's where there is none."""
        named = [s for s in self.sources if s.role == role]
        named += [s for s in self.sources if s.role in ("separator", _COMPACT)]
        return self.folder / named[0].path  # an absolute path stays what it is

    @property
    def size(self) -> int:
        """Bytes that the model's folder takes on disk."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


@dataclass(frozen=True)
class Finding:
    """What `verify` found of one file; `problem` is empty if it is well."""

    path: Path
    problem: str


def check_name(name: str) -> str:
    """Return `name` if a model can be called that, else raise BadInput."""
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"{name[:60]!r} is no name for a model: 1 to 40 small letters, digits or '-', "
            "the first a letter or digit."
        )
    if name == BUNDLED:
        raise BadInput(f"'{BUNDLED}' is the bundled model's name: choose another with --name.")
    return name


def entries(folders: Folders) -> tuple[Entry, ...]:
    """Return the models that the user added, by name."""
    found = (_read(record) for record in sorted(folders.models.glob(f"*/{_RECORD}")))
    return tuple(entry for entry in found if entry is not None)


def entry(name: str, folders: Folders) -> Entry:
    """Return the model of that name; UnknownModel if the user added none."""
    for found in entries(folders):
        if found.name == name:
            return found
    names = ", ".join(found.name for found in entries(folders)) or "none yet"
    raise UnknownModel(f"There is no added model named {name[:40]!r}; added: {names}.")


def add(
    folders: Folders,
    name: str,
    checkpoint: Path,
    *,
    clap: Path | None = None,
    tokenizer: Path | None = None,
    licence: str = "",
    origin: str = "",
    progress: Progress = _no_progress,
) -> Entry:
    """Check a checkpoint in every tensor, convert it, and record it as the model `name`.

    Parameters
    ----------
    folders
        The user's.
    name
        What the model is to be called.
    checkpoint
        The file with the separation network.
    clap
        The file with the text encoder, if `checkpoint` holds none.
    tokenizer
        The folder that holds `vocab.json` and `merges.txt` of roberta-base; without it they are
        looked for where they may lie already.
    licence, origin
        What to record.
    progress
        Is told how many bytes of the checkpoint were read since it was last told.

    Raises
    ------
    BadInput
        The name is taken or impossible, a file does not exist, or the tokenizer is not found.
    ModelBroken
        A file does not hold what it should; the message names the tensor.
    Failure
        The disk has no room.

    """
    from engine.models import audiosep

    check_name(name)
    folders.make()
    folder = folders.models / name
    _check_free(folder)
    files = [("separator", checkpoint)] + ([("text", clap)] if clap is not None else [])
    for _, path in files:
        if not path.is_file():
            raise BadInput(f"There is no file {path}.")
    found = tokenizer or tokenizer_folder(folders)
    if found is None:
        raise BadInput(
            "AudioSep needs RoBERTa's tokenizer, which no checkpoint holds and which is not on "
            "this computer: get 'vocab.json' and 'merges.txt' of "
            "https://huggingface.co/FacebookAI/roberta-base and name their folder with "
            "--tokenizer FOLDER."
        )
    sources = tuple(
        Source(
            role,
            str(path.relative_to(folder) if path.is_relative_to(folder) else path.absolute()),
            path.stat().st_size,
            audiosep.digest(path, progress),
        )
        for role, path in files
    )
    made = Entry(name, folder, sources, licence, origin)
    kept = folder.is_dir() and any(folder.iterdir())  # what was downloaded for it
    try:
        _make_fast(made, found)
        made.tokenizer.mkdir(exist_ok=True)
        for file in TOKENIZER_FILES:
            if (found / file).absolute() != (made.tokenizer / file).absolute():
                shutil.copyfile(found / file, made.tokenizer / file)
        _write(made)
    except BaseException as error:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise Failure(f"Writing to {folder} failed: {error.strerror or error}.") from error
        raise
    return made


def add_compact(
    folders: Folders,
    name: str,
    weights: Path,
    *,
    heads: Path | None = None,
    licence: str = "",
    origin: str = "",
) -> Entry:
    """Record weights of the bundled network, and heads if there are any, as the model `name`.

    The files are copied.

    Raises
    ------
    BadInput
        The name is taken or impossible.
    ModelBroken
        A file does not hold what it should; the message names the tensor where it can.
    Failure
        The disk has no room.

    """
    from engine.models import audiosep, compact

    check_name(name)
    folders.make()
    folder = folders.models / name
    _check_free(folder)
    net = compact.load_network(weights)
    files = {_COMPACT: weights}
    if heads is not None:
        compact.heads_from(heads.read_bytes(), str(heads), compact.trunk_channels(net))
        files[_HEADS] = heads
    sources = []
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        for role, file in files.items():
            target = folder / file.name
            if file.absolute() != target.absolute():
                shutil.copyfile(file, target)
            size = target.stat().st_size
            sources.append(Source(role, target.name, size, audiosep.digest(target)))
        made = Entry(name, folder, tuple(sources), licence, origin)
        _write(made)
    except OSError as error:
        raise Failure(f"Writing to {folder} failed: {error.strerror or error}.") from error
    return made


def _check_free(folder: Path) -> None:
    if (folder / _RECORD).exists():
        raise BadInput(
            f"There is a model named '{folder.name}': remove it ('tweeze models remove "
            f"{folder.name}') or choose another name with --name."
        )


def load(found: Entry) -> AudioSep | Compact:
    """Load a model; converts its checkpoint first where there is no usable fast form.

    Raises
    ------
    ModelBroken
        The fast form has to be made, and the checkpoint is gone or was changed; or `compact`'s
        weights are.

    """
    from engine.models import audiosep

    if found.is_compact:
        return _load_compact(found)
    form = audiosep.FastForm(found.fast)
    if not form.is_made_from(found.digest):
        for source in found.sources:
            problem = _problem(found.folder / source.path, source)
            if problem:
                raise ModelBroken(
                    f"The model {found.name} has to be converted again, but its checkpoint "
                    f"{found.folder / source.path} {problem}: add it anew."
                )
        _make_fast(found, found.tokenizer)
    return audiosep.AudioSep(found.name, form)


def verify(found: Entry, progress: Progress = _no_progress) -> tuple[Finding, ...]:
    """Read all of a model's files and compare them with what was recorded of them."""
    from engine.models import audiosep

    findings = []
    for source in found.sources:
        path = found.folder / source.path
        problem = _problem(path, source, progress)
        if problem and not path.is_relative_to(found.folder) and not path.exists():
            problem = "is gone; the model works without it, but could not be converted again"
        findings.append(Finding(path, problem))
    if found.is_compact:
        return tuple(findings)
    form = audiosep.FastForm(found.fast)
    if not form.is_made_from(found.digest):
        return (*findings, Finding(found.fast, "was not made from this checkpoint"))
    damaged = form.damaged(progress)
    findings += [Finding(path, "is not as it was written") for path in damaged]
    if not damaged:
        findings.append(Finding(found.fast, ""))
    return tuple(findings)


def remove(found: Entry) -> None:
    """Remove a model and all that Tweeze keeps of it; a checkpoint that was added stays."""
    try:
        (found.folder / _RECORD).unlink(missing_ok=True)  # first, so that no half model is seen
        shutil.rmtree(found.folder)
    except OSError as error:
        raise Failure(
            f"Removing {found.folder} failed: {error.strerror or error}; "
            "stop the engine ('tweeze stop') and try again."
        ) from error


def tokenizer_folder(folders: Folders) -> Path | None:
    """Return where RoBERTa's tokenizer lies already: another model's, or the hub's cache."""
    candidates = [found.tokenizer for found in entries(folders)]
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        pass
    else:
        for repository in _TOKENIZER_REPOSITORIES:
            cached = try_to_load_from_cache(repository, TOKENIZER_FILES[0])
            if isinstance(cached, str):
                candidates.append(Path(cached).parent)
    for folder in candidates:
        if all((folder / file).is_file() for file in TOKENIZER_FILES):
            return folder
    return None


def _load_compact(found: Entry) -> Compact:
    from engine.models import compact
    from engine.taxonomy.text import load_text_table

    paths = {source.role: found.folder / source.path for source in found.sources}
    for source in found.sources:
        problem = _problem(paths[source.role], source)
        if problem:
            raise ModelBroken(
                f"The model {found.name} cannot be loaded: {paths[source.role]} {problem}; remove "
                f"it ('tweeze models remove {found.name}') and train it anew."
            )
    net, table = compact.load_network(paths[_COMPACT]), load_text_table()
    model = compact.Compact(net, table)
    if _HEADS in paths:
        file = paths[_HEADS]
        heads = compact.heads_from(file.read_bytes(), str(file), compact.trunk_channels(net))
        model = compact.HearingCompact(net, table, heads)
    model.name = found.name
    return model


def _make_fast(found: Entry, tokenizer: Path) -> None:
    from engine.models import audiosep

    separator, words = found.source("separator"), found.source("text")
    audiosep.write(found.fast, separator, words, tokenizer, found.digest)


def _problem(path: Path, source: Source, progress: Progress = _no_progress) -> str:
    from engine.models import audiosep

    try:
        if not path.is_file():
            return "is gone"
        if path.stat().st_size != source.size or audiosep.digest(path, progress) != source.sha256:
            return "was changed"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    return ""


def _read(record: Path) -> Entry | None:
    """Return what a record says, or None if it is damaged or of a form unknown here."""
    try:
        facts: Mapping[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        if facts["form"] != _FORM:
            return None
        return Entry(
            name=record.parent.name,
            folder=record.parent,
            sources=tuple(Source(**source) for source in facts["sources"]),
            licence=str(facts["licence"]),
            origin=str(facts["origin"]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _write(made: Entry) -> None:
    facts = {
        "form": _FORM,
        "licence": made.licence,
        "origin": made.origin,
        "sources": [asdict(source) for source in made.sources],
    }
    temporary = made.folder / f"{_RECORD}.{os.getpid()}.part"
    temporary.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    temporary.replace(made.folder / _RECORD)
