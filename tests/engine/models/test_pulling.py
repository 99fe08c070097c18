"""Published models are pulled from the hub, from a mirror, and from elsewhere."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import torch

from engine import models
from engine.errors import BadInput, Failure
from engine.folders import Folders
from engine.models import catalogue, kinds, pins, pulling, releases
from engine.models.audiosep import AudioSep
from tests.support.hub import hub

UNREAD = "query_encoder.model.audio_branch"
pytestmark = pytest.mark.usefixtures("no_specialists")
Published = tuple[releases.Release, dict[str, bytes]]


@pytest.fixture
def home(tmp_path: Path) -> Folders:
    made = Folders(tmp_path / "home")
    made.make()
    return made


@pytest.fixture
def no_cache(monkeypatch) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)


@pytest.fixture
def stub(monkeypatch) -> None:
    """Spare a test the conversion of half a gigabyte of zeros."""

    def write(folder: Path, *_: object) -> None:
        folder.mkdir(parents=True)

    monkeypatch.setattr("engine.models.audiosep.fast.write", write)


@pytest.fixture
def published(hollow_state, roberta, tmp_path) -> Published:
    """A small release, and the files of the hub that has it."""
    # Large enough for the hub's client to write what it has of it, which is 10 MiB at a time.
    state = {**hollow_state, f"{UNREAD}.filler": torch.zeros(4 << 20)}
    torch.save(state, tmp_path / "published.ckpt")
    checkpoint = (tmp_path / "published.ckpt").read_bytes()
    known = releases.release("audiosep")
    files, remote = {}, []
    for _, file in known.files:
        content = checkpoint if file is known.main else (roberta / file.path).read_bytes()
        folder = "/spaces" if file.repo_type == "space" else ""
        files[f"{folder}/{file.repository}/resolve/{file.revision}/{file.path}"] = content
        digest = hashlib.sha256(content).hexdigest()
        remote.append(replace(file, size=len(content), sha256=digest))
    *tokenizer, main = remote
    return replace(known, main=main, also={"tokenizer": tuple(tokenizer)}), files


def test_a_published_model_is_pulled(published, home, no_cache):
    """The transfer breaks in the middle of the checkpoint, and goes on from there."""
    release, files = published
    with hub(files, cut=12 << 20) as (address, seen):
        if int(huggingface_hub.__version__.split(".")[0]) < 1:
            # Its client goes on only when it is asked again.
            with pytest.raises(Failure, match="continues where it stopped"):
                pulling.pull(release, home, endpoint=address)
        made = pulling.pull(release, home, endpoint=address)
    assert [asked for asked in seen.ranges if asked] == [f"bytes={10 << 20}-"]
    assert made.licence == "MIT"
    assert "spaces/Audio-AGI/AudioSep" in made.origin
    assert made.main.is_relative_to(made.folder)
    assert "Copyright (c) Xubo Liu" in (made.folder / "LICENCE.txt").read_text()
    assert not any(finding.problem for finding in catalogue.verify(made))
    assert isinstance(models.load("audiosep", home), AudioSep)
    with pytest.raises(BadInput, match="There is a model named 'audiosep'"):
        pulling.pull(release, home)
    catalogue.remove(made.name, home)
    assert not made.folder.exists()


def test_another_file_than_the_published_one_is_refused(published, home, stub):
    release, files = published
    path = next(path for path in files if path.endswith(".ckpt"))
    with (
        hub({**files, path: files[path][:-1] + b"!"}) as (address, _),
        pytest.raises(Failure, match="not the published file"),
    ):
        pulling.pull(release, home, endpoint=address)
    assert catalogue.added(home) == ()
    with hub(files) as (address, seen):  # and the next pull fetches that file alone
        assert pulling.pull(release, home, endpoint=address).name == "audiosep"
    assert len(seen.ranges) == 1


def test_a_hub_that_lacks_the_file_or_is_away(published, home, monkeypatch):
    release, _ = published
    monkeypatch.setattr("time.sleep", lambda _: None)  # the hub's client waits between tries
    with hub({}) as (address, _), pytest.raises(Failure, match=r"Downloading merges\.txt"):
        pulling.pull(release, home, endpoint=address)
    with pytest.raises(Failure, match="cannot be reached"):
        pulling.pull(release, home, endpoint=address)


def checkpoint_of(files: dict[str, bytes]) -> str:
    return next(path for path in files if path.endswith(".ckpt"))


@pytest.mark.parametrize("says", ["EntryNotFound", "RepoNotFound", "RevisionNotFound", ""])
def test_a_mirror_has_what_the_first_place_lacks(published, home, stub, says):
    """The mirror's file is the same one: the digest is that of the release."""
    release, files = published
    first = checkpoint_of(files)
    content = files.pop(first)
    mirrored = {**files, first.replace("Audio-AGI", "badayvedat"): content}
    said: list[str] = []
    with hub(mirrored, says=says) as (address, _):
        made = pulling.pull(release, home, endpoint=address, say=said.append)
    assert made.sources[0].sha256 == release.main.sha256
    assert "spaces/badayvedat/AudioSep" in made.origin
    (sentence,) = [one for one in said if "does not have it" in one]
    assert "spaces/Audio-AGI/AudioSep" in sentence
    assert "Trying https://huggingface.co/spaces/badayvedat/AudioSep" in sentence
    catalogue.remove(made.name, home)
    other = {
        path: content[:-1] + b"!" if content in (one,) else one for path, one in mirrored.items()
    }
    with hub(other) as (address, _), pytest.raises(Failure, match="not the published file"):
        pulling.pull(release, home, endpoint=address)


def test_where_no_place_has_it_another_publication_is_named(published, home, stub):
    release, files = published
    files.pop(checkpoint_of(files))
    with hub(files) as (address, _), pytest.raises(Failure) as caught:
        pulling.pull(release, home, endpoint=address)
    assert "'tweeze models pull audiosep --from nielsr/audiosep-demo'" in str(caught.value)


@pytest.fixture
def unpinned(published, hollow_state, tmp_path) -> Published:
    """The same model elsewhere: as the hub's mixin saves it, of a digest that nobody names."""
    pinned, files = published
    torch.save(OrderedDict(hollow_state), tmp_path / "pytorch_model.bin")
    content = (tmp_path / "pytorch_model.bin").read_bytes()
    wanted = releases.release("audiosep", "nielsr/audiosep-demo")
    kept = {path: one for path, one in files.items() if not path.endswith(".ckpt")}
    return replace(wanted, also=pinned.also), {**kept, **demo(content)}


def demo(content: bytes) -> dict[str, bytes]:
    """Return a hub's file at the branch, and at the commit that the branch stands for."""
    place = "/nielsr/audiosep-demo/resolve/{}/pytorch_model.bin"
    return {place.format(revision): content for revision in ("main", "0" * 40)}


def test_what_no_digest_pins_is_noted_and_held_to(unpinned, home, stub):
    release, files = unpinned
    content = next(one for path, one in files.items() if path.endswith(".bin"))
    digest = hashlib.sha256(content).hexdigest()
    said: list[str] = []
    with hub(files) as (address, _):
        made = pulling.pull(release, home, endpoint=address, say=said.append)
        assert (made.licence, made.name) == ("Apache-2.0", "audiosep")
        assert made.origin == f"https://huggingface.co/nielsr/audiosep-demo/tree/{'0' * 40}"
        assert made.sources[0].sha256 == digest
        assert [one for one in said if "on trust" in one and digest in one]
        notes = home.models / pins.NOTES
        assert json.loads(notes.read_text()) == {"nielsr/audiosep-demo/pytorch_model.bin": digest}
        catalogue.remove("audiosep", home)
        said.clear()
        pulling.pull(release, home, endpoint=address, say=said.append)  # the same once more
        assert not any("on trust" in one for one in said)
        catalogue.remove("audiosep", home)
    changed = {**files, **demo(content + b"!")}
    with hub(changed) as (address, _):
        with pytest.raises(Failure) as caught:
            pulling.pull(release, home, endpoint=address)
        assert digest in str(caught.value)
        assert str(notes) in str(caught.value)
        assert catalogue.added(home) == ()
        notes.write_text("{")
        with pytest.raises(Failure, match="cannot be read: remove it"):
            pulling.pull(release, home, endpoint=address)
        notes.unlink()
        assert pulling.pull(release, home, endpoint=address).name == "audiosep"


def test_what_is_not_what_the_hub_says_it_is_is_not_noted(unpinned, home, stub):
    """A proxy that alters a file, say: the hub names the digest of what it has."""
    release, files = unpinned
    content = next(one for path, one in files.items() if path.endswith(".bin"))
    promised = demo(content[:-1] + b"!")
    with (
        hub(files, promised=promised) as (address, _),
        pytest.raises(Failure, match="not the published file"),
    ):
        pulling.pull(release, home, endpoint=address)
    assert not (home.models / pins.NOTES).exists()


def test_a_release_is_known_by_its_repositories():
    official = releases.release("audiosep")
    assert releases.release("audiosep", "Audio-AGI/AudioSep") == official
    mirror = releases.release("audiosep", "badayvedat/AudioSep")
    assert mirror.main.sha256 == official.main.sha256
    assert mirror.main.page == official.main.page.replace("Audio-AGI", "badayvedat")
    with pytest.raises(BadInput) as caught:
        releases.release("audiosep", "somebody/AudioSep")
    assert "Audio-AGI/AudioSep, nielsr/audiosep-demo, badayvedat/AudioSep" in str(caught.value)


def test_each_release_is_pinned_or_says_that_it_is_not(home):
    for release in (one for first in releases.RELEASES for one in (first, *first.elsewhere)):
        catalogue.check_free(release.name, home)
        assert release.kind in kinds.KINDS
        assert set(release.also) <= set(kinds.kind(release.kind).ROLES)
        assert release.terms
        for _, file in release.files:
            if file.revision == "main":
                assert (file, file.sha256) == (release.main, "")
                assert release not in releases.RELEASES
                continue
            assert len(file.sha256) == 64
            assert file.url.startswith("https://") if file.url else len(file.revision) == 40
            assert file.size > 0
