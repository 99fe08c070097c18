"""The bundled recording is what it says, has been kept from training, and `compact` can do it."""

import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.models import compact
from engine.sound.measure import si_sdr
from engine.taxonomy.classes import load_taxonomy
from engine.training.corpus import load_sources
from engine.training.demo import RECORDINGS
from engine.training.evaluate import separate
from engine.training.labels import label, load_rules

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = files("engine") / "demo"
FACTS: dict[str, Any] = tomllib.loads((FOLDER / "demo.toml").read_text(encoding="utf-8"))
MARGIN_DB = 3.0
"""What each query has to gain over the mixture, and over the words for another sound."""


def samples(name: str) -> np.ndarray:
    with (FOLDER / name).open("rb") as file:
        audio, rate = soundfile.read(file, dtype="int32")
    assert rate == 44100
    return np.asarray(audio.T, np.int64)


def parts_of(facts: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the sounds of a recording by query; one without a file is what the others leave."""
    mixture = samples(facts["mixture"])
    parts = {one["query"]: samples(one["truth"]) for one in facts["sound"] if "truth" in one}
    rest = mixture - sum(parts.values())
    return {one["query"]: parts.get(one["query"], rest) for one in facts["sound"]}


@pytest.mark.parametrize(
    ("facts", "frames", "level"), [(FACTS, 441_000, -29.0), (FACTS["together"], 308_700, -29.0)]
)
def test_what_is_left_without_the_other_parts_is_the_last(
    facts: dict[str, Any], frames: int, level: float
) -> None:
    """It is at its own level, in dB, and holds nothing of the others."""
    assert ["truth" in one for one in facts["sound"]][-2:] == [True, False]
    assert samples(facts["mixture"]).shape == (2, frames)
    *others, last = (part / 2.0**31 for part in parts_of(facts).values())
    assert abs(20 * np.log10(np.sqrt(np.mean(last**2))) - level) < 0.01
    for other in others:
        assert abs(np.corrcoef(other.ravel(), last.ravel())[0, 1]) < 0.02


def test_sounds_overlap() -> None:
    parts = [part / 2.0**31 for part in parts_of(FACTS).values()]
    loud = [np.sqrt(np.mean(part.reshape(2, 20, -1) ** 2, axis=(0, 2))) > 0.003 for part in parts]
    assert np.mean(np.sum(loud, axis=0) >= 3) > 0.5


def test_recordings_are_left_out_of_training() -> None:
    rules = load_rules(load_taxonomy())
    for facts, recording in zip((FACTS, FACTS["together"]), RECORDINGS, strict=True):
        assert facts["mixture"] == f"{recording.name}.flac"
        made = [(part.source, part.path) for part in recording.parts]
        assert [(sound["source"], sound["path"]) for sound in facts["sound"]] == made
    outside = {source.name for source in load_sources() if source.outside}
    assert {sound["source"] for sound in FACTS["together"]["sound"]} <= outside
    for sound in FACTS["sound"]:
        assert label(rules, sound["source"], sound["path"]) is None


def test_attribution_names_every_file() -> None:
    text = (FOLDER / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for sound in (*FACTS["sound"], *FACTS["together"]["sound"]):
        assert sound.get("truth", "") in text
        assert Path(sound["path"]).stem in text
    assert "CC0" in text
    assert "CC BY 4.0" in text


@pytest.fixture(scope="module")
def scores() -> dict[tuple[str, str], float]:
    """SI-SDR of (truth, query), at the model's rate, one channel."""
    import soxr

    model = compact.load()

    def mono(audio: np.ndarray) -> np.ndarray:
        left = audio[0] / 2.0**31
        return np.asarray(soxr.resample(left, 44100, 32000), np.float32)

    sounds = FACTS["sound"]
    mixture = mono(samples(FACTS["mixture"]))
    vectors = np.stack([model.embed(sound["query"]) for sound in sounds])
    estimates = separate(model.net, mixture, vectors)
    truths = {query: mono(part) for query, part in parts_of(FACTS).items()}
    table = {(query, "mixture"): si_sdr(truth, mixture) for query, truth in truths.items()}
    for query, truth in truths.items():
        for sound, estimate in zip(sounds, estimates, strict=True):
            table[query, sound["query"]] = si_sdr(truth, estimate)
    return table


@pytest.mark.parametrize("query", [sound["query"] for sound in FACTS["sound"]])
def test_compact_separates_it(scores: dict[tuple[str, str], float], query: str) -> None:
    assert scores[query, query] > scores[query, "mixture"] + MARGIN_DB
    for sound in FACTS["sound"]:
        if sound["query"] != query:
            assert scores[query, query] > scores[query, sound["query"]] + MARGIN_DB
