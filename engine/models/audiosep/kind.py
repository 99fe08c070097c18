"""AudioSep as a kind of model: checkpoints that stay where they are, and their fast form."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from engine.errors import BadInput, ModelBroken
from engine.models.audiosep import fast, text
from engine.models.audiosep.separator import AudioSep
from engine.models.records import Entry, Finding, Progress, check_source, source_of
from engine.models.runtime_choice import FAST

__all__ = [
    "ROLES",
    "add",
    "fast_form",
    "find_tokenizer",
    "load",
    "text_source",
    "tokenizer_of",
    "verify",
]

SEPARATOR, TEXT, TOKENIZER = "separator", "text", "tokenizer"
ROLES = {
    SEPARATOR: "the checkpoint",
    TEXT: "CLAP's checkpoint, if the other holds no text encoder",
    TOKENIZER: "the folder with RoBERTa's vocab.json and merges.txt",
}
_FILES = (text.VOCABULARY, text.MERGES)
_REPOSITORIES = ("FacebookAI/roberta-base", "roberta-base")


def add(entry: Entry, files: Mapping[str, Path], progress: Progress) -> Entry:
    """Check a checkpoint in every tensor and convert it; see `engine.models.kinds.Kind`.

    Without a tokenizer among the files it is looked for where it may lie already.
    """
    roles = [role for role in (SEPARATOR, TEXT) if role in files]
    for role in roles:
        if not files[role].is_file():
            raise BadInput(f"There is no file {files[role]}.")
    tokenizer = files.get(TOKENIZER) or find_tokenizer(entry.folder.parent)
    if tokenizer is None:
        raise BadInput(
            "AudioSep needs RoBERTa's tokenizer, which no checkpoint holds and which is not on "
            "this computer: get 'vocab.json' and 'merges.txt' of "
            "https://huggingface.co/FacebookAI/roberta-base and name their folder with "
            "--tokenizer FOLDER."
        )
    sources = [source_of(role, files[role], entry.folder, progress) for role in roles]
    made = replace(entry, sources=tuple(sources))
    _convert(made, tokenizer)
    kept = tokenizer_of(made)
    kept.mkdir(exist_ok=True)
    for file in _FILES:
        if (tokenizer / file).absolute() != (kept / file).absolute():
            shutil.copyfile(tokenizer / file, kept / file)
    return made


def load(entry: Entry) -> AudioSep:
    """Load from the fast form; converts the checkpoint first where there is no usable one."""
    form = fast_form(entry)
    if not form.is_made_from(entry.digest):
        for source in entry.sources:
            found = check_source(entry, source)
            if found.problem:
                raise ModelBroken(
                    f"The model {entry.name} has to be converted again, but its checkpoint "
                    f"{found.path} {found.problem}: add it anew."
                )
        _convert(entry, tokenizer_of(entry))
    return AudioSep(entry.name, form)


def verify(entry: Entry, progress: Progress) -> tuple[Finding, ...]:
    """Compare the checkpoint with its record, and the fast form with its own."""
    findings = []
    for source in entry.sources:
        found = check_source(entry, source, progress)
        if not found.path.exists() and not found.path.is_relative_to(entry.folder):
            said = "is gone; the model works without it, but could not be converted again"
            found = replace(found, problem=said)
        findings.append(found)
    form = fast_form(entry)
    if not form.is_made_from(entry.digest):
        return (*findings, Finding(form.folder, "was not made from this checkpoint"))
    damaged = form.damaged(progress)
    findings += [Finding(path, "is not as it was written") for path in damaged]
    if not damaged:
        findings.append(Finding(form.folder, ""))
    return tuple(findings)


def fast_form(entry: Entry) -> fast.FastForm:
    """Return the fast form of a model, made or not."""
    return fast.FastForm(entry.folder / FAST)


def tokenizer_of(entry: Entry) -> Path:
    """Return the folder of a model's tokenizer."""
    return entry.folder / TOKENIZER


def text_source(entry: Entry) -> Path:
    """Return the file that holds a model's text encoder."""
    return entry.path(TEXT) or entry.main


def find_tokenizer(models: Path) -> Path | None:
    """Return where RoBERTa's tokenizer lies already: another model's, or the hub's cache."""
    candidates = sorted(models.glob(f"*/{TOKENIZER}"))
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        pass
    else:
        for repository in _REPOSITORIES:
            cached = try_to_load_from_cache(repository, _FILES[0])
            if isinstance(cached, str):
                candidates.append(Path(cached).parent)
    for folder in candidates:
        if all((folder / file).is_file() for file in _FILES):
            return folder
    return None


def _convert(entry: Entry, tokenizer: Path) -> None:
    folder = fast_form(entry).folder
    fast.write(folder, entry.main, text_source(entry), tokenizer, entry.digest)
