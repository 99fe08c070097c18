"""Published models that Tweeze knows where to get, and what their kinds need of them.

A file counts only with the digest that is written here; where its publisher names none, with that
of its first pull (`engine.models.pins`). `engine.models.pulling` gets them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.errors import BadInput

__all__ = ["RELEASES", "Release", "RemoteFile", "release"]

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


@dataclass(frozen=True)
class RemoteFile:
    """A file in a repository of the Hugging Face hub, at a revision that cannot change.

    `repo_type` is `model` or `space`. `mirrors` are other repositories of that type which hold the
    same file, at the same revision. With a `url` it is a file of another server, at that address;
    repository and revision are empty then. Without a `sha256` it is not pinned: `size` is about
    right then, and the revision may be a branch.
    """

    repository: str
    revision: str
    path: str
    size: int
    sha256: str
    repo_type: str = "model"
    url: str = ""
    mirrors: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the file is called among all, whatever its revision."""
        return self.url or f"{self.repository}/{self.path}"

    @property
    def page(self) -> str:
        """Address of the repository at that revision, or of the file, for people to look at."""
        if self.url:
            return self.url
        folder = "spaces/" if self.repo_type == "space" else ""
        return f"https://huggingface.co/{folder}{self.repository}/tree/{self.revision}"


@dataclass(frozen=True)
class Release:
    """A published model: what its kind needs, and the terms it comes under.

    Attributes
    ----------
    name, title
        What the model is called, and what it is.
    kind
        Its kind in `engine.models.kinds`.
    main
        The main file.
    also
        What else the kind's `add` takes, by role; several files are a folder that holds them.
    room
        Bytes on disk that adding it takes beside the download.
    licence
        Name of its licence.
    terms
        The text to be shown before anything is downloaded.
    elsewhere
        The same model as others published it, in other files or under other terms.

    """

    name: str
    title: str
    kind: str
    main: RemoteFile
    also: Mapping[str, RemoteFile | tuple[RemoteFile, ...]]
    room: int
    licence: str
    terms: str
    elsewhere: tuple[Release, ...] = ()

    @property
    def files(self) -> tuple[tuple[str, RemoteFile], ...]:
        """All files to download, small ones first, each with its folder in the model's own."""
        found = [("", self.main)]
        for role, part in self.also.items():
            if isinstance(part, RemoteFile):
                found.append(("", part))
            else:
                found += [(role, file) for file in part]
        return tuple(sorted(found, key=lambda item: item[1].size))

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(file.size for _, file in self.files)


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
_FAST_FORM = 700_000_000  # bytes that what is made of an AudioSep checkpoint takes
_TOKENIZER_TERMS = "The tokenizer of roberta-base (Facebook AI) is under the MIT licence as well."

_APACHE = (
    "Apache License 2.0, as its {publisher} declare{s}; the text: "
    "https://www.apache.org/licenses/LICENSE-2.0\n\n"
    "The tokenizer of roberta-base (Facebook AI) is under the MIT licence."
)

RELEASES: tuple[Release, ...] = (
    Release(
        name="audiosep",
        title="AudioSep, the official checkpoint (audiosep_base_4M_steps)",
        kind="audiosep",
        main=RemoteFile(
            "Audio-AGI/AudioSep",
            "5638854dccfaea5c5fa4f634c00fe74fbb119244",
            "checkpoint/audiosep_base_4M_steps.ckpt",
            1_264_844_076,
            "f8cda01bfd0ebd141eef45d41db7a3ada23a56568465840d3cff04b8010ce82c",
            repo_type="space",
            mirrors=("badayvedat/AudioSep",),  # of the same history, so of the same revision
        ),
        also={"tokenizer": _TOKENIZER},
        room=_FAST_FORM,
        licence="MIT",
        terms=f"MIT License\n\nCopyright (c) Xubo Liu\n\n{_MIT}\n\n{_TOKENIZER_TERMS}",
        elsewhere=(
            Release(
                name="audiosep",
                title="AudioSep, the network and CLAP alone, as nielsr published them",
                kind="audiosep",
                main=RemoteFile(
                    "nielsr/audiosep-demo", "main", "pytorch_model.bin", 957_000_000, sha256=""
                ),
                also={"tokenizer": _TOKENIZER},
                room=_FAST_FORM,
                licence="Apache-2.0",
                terms=_APACHE.format(publisher="publisher (nielsr)", s="s"),
            ),
        ),
    ),
    Release(
        name="audiosep-hive",
        title="AudioSep-hive: the same network, trained on the Hive data set",
        kind="audiosep",
        main=RemoteFile(
            "AlayaLab/AudioSep-hive",
            "113d2e4399a4f19b6a0d567bbde38f2fe1b11794",
            "audiosep_hive.ckpt",
            1_264_846_755,
            "a13fff5fa4ece1a8bc13e42e1c7b8d90e21603075302ca89e4339c9471973300",
        ),
        also={"tokenizer": _TOKENIZER},
        room=_FAST_FORM,
        licence="Apache-2.0",
        terms=_APACHE.format(publisher="publishers (Shanda AI Research Tokyo)", s=""),
    ),
    Release(
        name="htdemucs",
        title="Hybrid Transformer Demucs: drums, bass, other and vocals of a song",
        kind="demucs",
        main=RemoteFile(
            "",
            "",
            "955717e8-8726e21a.th",
            84_141_911,
            "8726e21a993978c7ba086d3872e7608d7d5bfca646ca4aca459ffda844faa8b4",
            url="https://dl.fbaipublicfiles.com/demucs/hybrid_transformer/955717e8-8726e21a.th",
        ),
        also={},
        room=85_000_000,
        licence="MIT",
        terms=(
            f"MIT License\n\nCopyright (c) Meta Platforms, Inc. and affiliates.\n\n{_MIT}\n\n"
            "This is the licence of the code; the publisher states no other for the weights."
        ),
    ),
)


def release(name: str, repository: str = "") -> Release:
    """Return the known release of that name; with a repository, as it is published there.

    BadInput if there is none.
    """
    for found in RELEASES:
        if found.name == name:
            return _published_in(found, repository) if repository else found
    names = ", ".join(found.name for found in RELEASES)
    raise BadInput(
        f"Tweeze does not know where to get {name[:40]!r}; it can pull: {names}. "
        "A checkpoint that you have is added with 'tweeze models add FILE'."
    )


def _published_in(found: Release, repository: str) -> Release:
    places = {one.main.repository: one for one in (found, *found.elsewhere)}
    places |= {
        mirror: replace(one, main=replace(one.main, repository=mirror, mirrors=()))
        for one in places.values()
        for mirror in one.main.mirrors
    }
    if repository in places:
        return places[repository]
    raise BadInput(
        f"'{found.name}' is not known to be in {repository[:60]!r}; it can be pulled from: "
        f"{', '.join(filter(None, places)) or found.main.page}."
    )
