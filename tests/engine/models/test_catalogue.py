"""The catalogue: adding, finding, checking and removing models."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine import models
from engine.errors import BadInput, Failure, ModelBroken, UnknownModel
from engine.folders import Folders
from engine.models import catalogue, pulling, releases
from engine.models.audiosep import AudioSep, FastForm, fast
from engine.models.audiosep import kind as audiosep

UNREAD = "query_encoder.model.audio_branch"
RECORD = '{"form": 2, "kind": "%s", "licence": "", "origin": "", "sources": %s}'
pytestmark = pytest.mark.usefixtures("no_specialists")
INFINITE = '{"form": 1, "sources": [{"role": "text", "path": "", "size": Infinity, "sha256": ""}]}'


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


def save(state: dict[str, torch.Tensor], path: Path, *prefixes: str) -> Path:
    torch.save({name: t for name, t in state.items() if name.startswith(prefixes)}, path)
    return path


def test_an_added_model_is_listed_and_loads(entry, folders):
    assert models.names(folders) == ("compact", "formula")
    assert catalogue.entry("formula", folders) == entry
    loaded = models.load("formula", folders)
    assert isinstance(loaded, AudioSep)
    assert loaded.name == "formula"
    assert entry.licence == "none"
    assert 600e6 < entry.size < 800e6  # the checkpoint itself lies where it was


def test_unknown_models_are_refused_with_a_way_out(home):
    assert models.names(home) == ("compact",)
    with pytest.raises(
        UnknownModel, match=r"'audiosep' is not installed: run 'tweeze models pull audiosep'\."
    ):
        models.load("audiosep", home)
    with pytest.raises(UnknownModel, match="there are: compact"):
        models.load("demucs", home)


def test_a_model_is_well_until_a_byte_changes(entry):
    assert [finding.problem for finding in catalogue.verify(entry)] == ["", ""]
    for name in ("separator.safetensors", "merges.txt"):
        path = audiosep.fast_form(entry).folder / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        found = {f.path: f.problem for f in catalogue.verify(entry) if f.problem}
        assert found == {path: "is not as it was written"}
        path.write_bytes(whole)
    assert not any(finding.problem for finding in catalogue.verify(entry))


def test_a_model_works_without_its_checkpoint_but_says_so(entry, official):
    away = official.with_suffix(".away")
    official.rename(away)
    try:
        assert isinstance(catalogue.load(entry), AudioSep)
        problems = [finding for finding in catalogue.verify(entry) if finding.problem]
        assert [finding.path for finding in problems] == [official]
        assert "gone" in problems[0].problem
    finally:
        away.rename(official)


def test_a_fast_form_of_an_older_tweeze_is_made_anew(entry, monkeypatch):
    made = []
    monkeypatch.setattr(fast, "FORM", fast.FORM + 1)
    monkeypatch.setattr(audiosep, "_convert", lambda *arguments: made.append(arguments))
    catalogue.load(entry)
    assert made == [(entry, audiosep.tokenizer_of(entry))]
    changed = replace(entry, sources=(replace(entry.sources[0], sha256="0" * 64),))
    with pytest.raises(ModelBroken, match="was changed: add it anew"):
        catalogue.load(changed)
    gone = replace(entry, sources=(replace(entry.sources[0], path="/nowhere"),))
    unread = replace(entry, sources=(replace(entry.sources[0], path="x" * 300),))
    with pytest.raises(ModelBroken, match=r"cannot be read \(File name too long\): add it anew"):
        catalogue.load(unread)
    with pytest.raises(ModelBroken, match="is gone: add it anew"):
        catalogue.load(gone)


def test_a_broken_fast_form_is_no_traceback(entry, tmp_path):
    copy = tmp_path / "fast"
    copy.mkdir()
    for name in ("form.json", "vocab.json", "merges.txt"):
        shutil.copy(audiosep.fast_form(entry).folder / name, copy)
    (copy / "separator.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ModelBroken, match="damaged"):
        FastForm(copy).network()
    with pytest.raises(ModelBroken, match="damaged"):
        FastForm(copy).encoder()
    (copy / "merges.txt").write_text("nonsense\n" * 3)
    with pytest.raises(ModelBroken, match="tokenizer"):
        fast.text.tokenizer(copy)


@pytest.mark.parametrize("name", ["", "Big", "a/b", "..", "-a", "a" * 41, "compact", "ä", "a b"])
def test_a_name_that_cannot_be_is_refused(name, home, tmp_path):
    with pytest.raises(BadInput):
        catalogue.add(home, name, "audiosep", tmp_path / "x", also={"tokenizer": tmp_path})
    assert not list(home.models.iterdir())


def test_a_taken_name_is_refused(entry, folders, official):
    with pytest.raises(BadInput, match="tweeze models remove formula"):
        catalogue.add(folders, "formula", "audiosep", official)


def test_a_missing_file_is_named(home, tmp_path):
    with pytest.raises(BadInput, match=r"There is no file .*nothing"):
        catalogue.add(home, "mine", "audiosep", tmp_path / "nothing")


def test_without_a_tokenizer_it_says_where_to_get_one(home, tmp_path, no_cache):
    (tmp_path / "x.ckpt").write_bytes(b"x")
    with pytest.raises(BadInput, match="--tokenizer FOLDER"):
        catalogue.add(home, "mine", "audiosep", tmp_path / "x.ckpt")


def test_the_tokenizer_is_found_in_the_cache(home, tmp_path, roberta, hollow_state, monkeypatch):
    import huggingface_hub

    def cached(repository: str, file: str) -> str | None:
        return str(roberta / file) if repository == "roberta-base" else None

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cached)
    assert audiosep.find_tokenizer(home.models) == roberta


def test_the_tokenizer_of_another_model_serves(entry, folders, no_cache):
    assert audiosep.find_tokenizer(folders.models) == audiosep.tokenizer_of(entry)


def test_another_tokenizer_is_refused(home, tmp_path, hollow_state):
    path = save(hollow_state, tmp_path / "whole.ckpt", "")
    (tmp_path / "vocab.json").write_text('{"<s>": 0, "<pad>": 1, "</s>": 2, "a": 3}')
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    with pytest.raises(ModelBroken, match="not that of roberta-base"):
        catalogue.add(home, "mine", "audiosep", path, also={"tokenizer": tmp_path})
    assert not list(home.models.iterdir())


def test_a_checkpoint_without_text_encoder_asks_for_one(home, tmp_path, roberta, hollow_state):
    separator = save(hollow_state, tmp_path / "separator.ckpt", "ss_model.")
    clap = save(hollow_state, tmp_path / "clap.pt", "query_encoder.")
    with pytest.raises(ModelBroken, match="--clap"):
        catalogue.add(home, "mine", "audiosep", separator, also={"tokenizer": roberta})
    with pytest.raises(ModelBroken, match="holds no separation network"):
        catalogue.add(home, "mine", "audiosep", clap, also={"tokenizer": roberta})
    with pytest.raises(ModelBroken, match="holds no text encoder"):
        catalogue.add(
            home, "mine", "audiosep", separator, also={"text": separator, "tokenizer": roberta}
        )
    assert not list(home.models.iterdir())


def test_a_separate_text_encoder_is_taken(home, tmp_path, roberta, hollow_state):
    separator = save(hollow_state, tmp_path / "separator.ckpt", "ss_model.")
    clap = save(hollow_state, tmp_path / "clap.pt", "query_encoder.")
    made = catalogue.add(
        home, "mine", "audiosep", separator, also={"text": clap, "tokenizer": roberta}
    )
    assert [source.role for source in made.sources] == ["separator", "text"]
    assert not any(finding.problem for finding in catalogue.verify(made))
    assert catalogue.added(home) == (made,)
    catalogue.remove(made.name, home)
    assert catalogue.added(home) == ()
    assert not list(home.models.iterdir())
    assert separator.exists()
    assert clap.exists()


def test_a_full_disk_is_told_before_anything_is_written(
    home, tmp_path, roberta, hollow_state, monkeypatch
):
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    path = save(hollow_state, tmp_path / "whole.ckpt", "")
    with pytest.raises(Failure, match="make room"):
        catalogue.add(home, "mine", "audiosep", path, also={"tokenizer": roberta})
    with pytest.raises(Failure, match=r"needs 2\.0 GB"):
        pulling.pull(releases.release("audiosep"), home)


def test_a_record_that_cannot_be_used_is_no_model_but_can_be_removed(home):
    records = {
        "damaged": (
            "{",
            "[]",
            '{"form": 1}',
            RECORD % ("compact", "[]"),
            "[" * 100_000,
            INFINITE,
        ),
        "form 99 is unknown": ('{"form": 99}',),
    }
    records["kind 'harp' is unknown"] = (
        RECORD % ("harp", '[{"role": "a", "path": "a", "size": 1, "sha256": "a"}]'),
    )
    for said, contents in records.items():
        for content in contents:
            (home.models / "odd").mkdir()
            (home.models / "odd" / "model.json").write_text(content)
            assert models.names(home) == ("compact",)
            (found,) = catalogue.added(home)
            assert said in found.problem
            assert "'tweeze models remove odd'" in found.problem
            with pytest.raises(UnknownModel, match="The model 'odd' cannot be used: its "):
                models.load("odd", home)
            with pytest.raises(BadInput, match="There is a model named 'odd'"):
                catalogue.check_free("odd", home)
            catalogue.remove("odd", home)
            assert catalogue.added(home) == ()


def test_records_of_form_1_are_read(home):
    """Written before records named the kind; as they were written then."""
    source = '{"role": "%s", "path": "w.safetensors", "size": 5, "sha256": "%s"}'
    for role, others, kind in (
        ("compact", "heads", "compact"),
        ("separator", "text", "audiosep"),
        ("separator", "", "audiosep"),
    ):
        sources = [source % (one, "0" * 64) for one in (role, others) if one]
        folder = home.models / "old"
        folder.mkdir()
        (folder / "model.json").write_text(
            '{\n "form": 1,\n "licence": "MIT",\n "origin": "here",\n "sources": [\n'
            + ",\n".join(sources)
            + "\n ]\n}"
        )
        found = catalogue.entry("old", home)
        assert (found.kind, found.licence, found.origin) == (kind, "MIT", "here")
        assert [one.role for one in found.sources] == [one for one in (role, others) if one]
        assert catalogue.verify(found)[0].problem == "is gone"
        with pytest.raises(ModelBroken, match="is gone"):
            models.load("old", home)
        catalogue.remove("old", home)


def test_the_bundled_model_is_an_entry(home):
    bundled = catalogue.entry("compact", home)
    assert bundled.bundled
    assert catalogue.entries(home) == (bundled,)
    assert [finding.problem for finding in catalogue.verify(bundled)] == [""]
    with pytest.raises(BadInput, match="part of Tweeze"):
        catalogue.remove("compact", home)
    assert bundled.folder.is_dir()
