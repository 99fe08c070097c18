"""Names of clips' files: what tells them apart is kept, and nothing is cut inside a character."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from engine.file_names import file_name
from engine.models.base import FrameGrid
from engine.options import Keep
from engine.sound.separate import separate

LIMIT = 120  # bytes, without a number and '.wav': together fewer than any file system's 143
FAMILY = "👩\u200d👩\u200d👧\u200d👦"
JAMO = "\u1112\u1161\u11ab"  # one Hangul syllable of three
CHARACTERS = [FAMILY, JAMO, "e\u0301\u0323", "🇩🇪", "👍🏽", "犬", "é", "a", " ", "नि", "☕\ufe0f"]


@pytest.mark.parametrize("character", [c for c in CHARACTERS if c != " "])
@pytest.mark.parametrize("label", ["犬の鳴き声", "dog barking", ""])
def test_only_whole_characters_are_kept_of_a_long_title(character, label):
    name = file_name(character * 150, label)
    assert len(name.encode()) <= LIMIT
    title = name.removesuffix(f" - {label}") if label else name
    assert title != name or not label
    assert title.endswith("…")
    assert set(regex.findall(r"\X", title[:-1])) <= {character}


@given(st.lists(st.sampled_from(CHARACTERS)).map("".join), st.sampled_from(CHARACTERS))
def test_a_query_is_kept_whole_as_long_as_it_fits(title, character):
    label = f"b{character}b"
    while len(label.encode()) <= 100:
        name = file_name(title, label)
        assert name == label or name.endswith(f" - {label}")
        assert len(name.encode()) <= LIMIT
        label += label


@given(st.text(), st.text())
def test_any_title_and_label_make_a_name(title, label):
    name = file_name(title, label)
    assert 0 < len(name.encode()) <= LIMIT + 1
    assert name == name.strip(" .")
    assert not set(name) & set('/\\:*?"<>|\0\n')
    assert file_name(name) == name


def test_a_query_that_no_name_holds_is_cut_too():
    name = file_name("street", "犬" * 300)
    assert regex.fullmatch("犬{20,40}…", name)


def test_a_character_longer_than_a_name_is_cut_somewhere():
    name = file_name("e" + "\u0301" * 500, "dog")
    assert unicodedata.normalize("NFD", name).startswith("e\u0301")
    assert name.endswith("… - dog")


class Silent:
    name = "silent"
    frame_grid = FrameGrid(32_000, 2048, 640, block=16, context=32, core=48)

    def embed(self, query):
        return np.zeros(1, np.float32)

    def mask(self, magnitude, vectors, rms, keep):
        return np.zeros((len(vectors), *magnitude.shape), np.float32)


def test_clips_of_a_job_with_long_names_have_names_of_their_own(wav, make_job, tmp_path):
    title = "街の音、夏の夕方、" * 20
    long = "a very long description of a sound " * 8
    queries = ("犬の鳴き声", "鳥", f"{long}A", f"{long}B", "x" * 300)
    job = make_job(
        wav(np.zeros((1, 800), np.float32), 8_000), *queries, title=title, keep=Keep.BOTH
    )
    clips = separate(job, Silent(), tmp_path / "out")
    names = [clip.path.stem for clip in clips]
    assert names[0].startswith("街の音、")
    assert names[0].endswith("… - 犬の鳴き声")
    assert names[1].endswith("… - 鳥")
    assert names[3] == f"{names[2]} (2)"
    assert names[5].startswith("without 犬の鳴き声, 鳥, a very long")
    assert len(set(names)) == len(clips) == 6
    assert all(len(clip.path.name.encode()) < 143 for clip in clips)
    assert [clip.name for clip in clips[:2]] == [f"{title} - 犬の鳴き声", f"{title} - 鳥"]
