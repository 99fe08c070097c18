"""Presets, as they are used: on the command line, and by the panel's page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from panels import Page

from engine.job import Job
from engine.options import Options, Stereo
from engine.places import Span
from engine.presets import Preset
from engine.queue.journal import Journal
from engine.queue.preset_file import PresetFile


@pytest.fixture
def presets(home: Any) -> Iterator[PresetFile]:
    """The presets of a home, which are gone after the test."""
    file = PresetFile(home.folders)
    yield file
    home.folders.presets.unlink(missing_ok=True)


@pytest.fixture
def birds(presets: PresetFile) -> Preset:
    options = (("sharpness", "2.00"), ("stereo", "linked"))
    return presets.save(Preset("Birds", ("bird song", "cow"), ("wind",), options))[0]


def job_of(home: Any, id_: str) -> Job:
    with closing(Journal(home.folders.journal)) as journal:
        entry = journal.get(id_)
        assert entry is not None
        return entry.job


def separated(home: Any, *arguments: str | Path) -> Job:
    done = home.tweeze("separate", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return job_of(home, json.loads(done.stdout)["id"])


def refused(home: Any, *arguments: str | Path) -> str:
    done = home.tweeze(*arguments)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.count("\n") == 1
    return str(done.stderr)


# The command line.


def test_they_are_saved_listed_and_removed(home: Any, presets: PresetFile) -> None:
    none = home.tweeze("presets")
    assert none.stdout.startswith("There are no presets: save one with 'tweeze presets save NAME")
    words = ("bird song", "cow", "--not", "wind", "--sharpness", "2", "--no-auto")
    saved = home.tweeze("presets", "save", " Birds ", *words)
    holds = "bird song; cow; not wind; sharpness: 2; speech beside it: leave it alone"
    assert (saved.returncode, saved.stdout) == (0, f"'Birds' was saved: {holds}.\n")
    assert home.tweeze("presets").stdout == f"Birds\t{holds}\n"
    (said,) = json.loads(home.tweeze("presets", "list", "--json").stdout)
    assert said == {
        "name": "Birds",
        "queries": ["bird song", "cow"],
        "nots": ["wind"],
        "options": {"sharpness": "2.00", "auto": "no"},
    }
    again = home.tweeze("presets", "save", "BIRDS", "--draft")
    assert again.stdout == "'BIRDS' was replaced: draft first: a draft first.\n"
    gone = home.tweeze("presets", "remove", "birds")
    assert gone.stdout.startswith("'BIRDS' was removed: it held draft first")
    assert presets.all() == []


def test_one_is_enough_to_separate(
    home: Any, birds: Preset, short_wav: Path, tmp_path: Path
) -> None:
    out = ("--out", tmp_path)
    job = separated(home, short_wav, "--preset", "birds", *out)
    assert (job.queries, job.nots) == (("bird song", "cow"), ("wind",))
    assert job.options == Options(sharpness=2, stereo=Stereo.LINKED)
    # What is typed counts first, also where it is as usual.
    typed = ("--sharpness", "1", "--not", "rain", "--at", "0.1-0.5")
    job = separated(home, short_wav, "dog", "--preset", "BIRDS", *typed, *out)
    assert (job.queries, job.nots) == (("dog",), ("rain",))
    assert job.options == Options(stereo=Stereo.LINKED, at=(Span(0.1, 0.5),))
    assert separated(home, short_wav, "--preset", "birds", "--not", "", *out).nots == ()
    # Among the sounds it stands for its own.
    job = separated(home, short_wav, "dog", "@birds", "--stereo", "independent", *out)
    assert (job.queries, job.nots) == (("dog", "bird song", "cow"), ("wind",))
    assert job.options == Options(sharpness=2)


def test_a_job_names_no_preset(home: Any, birds: Preset, short_wav: Path, tmp_path: Path) -> None:
    job = separated(home, short_wav, "--preset", "birds", "--out", tmp_path)
    home.tweeze("presets", "remove", "birds")
    done = home.tweeze("adjust", job.id, "--amount", "50", "--json", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert job_of(home, json.loads(done.stdout)["id"]).options.sharpness == 2


def test_a_preset_is_made_of_a_job(home: Any, presets: PresetFile, short_wav: Path) -> None:
    options = ("--not", "rain", "--amount", "50", "--at", "0-0.5", "--stereo", "linked")
    job = separated(home, short_wav, "dog", *options, "--out", short_wav.parent)
    saved = home.tweeze("presets", "save", "a", "--from", job.id)
    assert saved.stdout == (
        "'a' was saved: dog; not rain; channels: with one mask; amount: 50. What belongs to one "
        "recording was left out: at.\n"
    )
    options = ("cat", "--not", "", "--stereo", "independent", "--keep", "both")
    saved = home.tweeze("presets", "save", "b", *options, "--from", "last")
    assert saved.returncode == 0, saved.stderr
    assert presets.get("b") == Preset(
        "b", ("cat",), (), (("stereo", "independent"), ("amount", "50.00"), ("keep", "both"))
    )
    said = refused(home, "presets", "save", "c", "--from", "no-such-job")
    assert said.startswith("The engine knows of no job 'no-such-job' to make a preset of: see")
    listening = json.loads(home.tweeze("listen", short_wav, "--json").stdout)["id"]
    said = refused(home, "presets", "save", "c", "--from", listening)
    assert said.startswith(f"Job {listening} only listened: there is nothing to make a preset of")
    assert [one.name for one in presets.all()] == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--preset", "x"), "There is no preset 'x'; there are: 'Birds', 'gone', 'quick'."),
        (("@x",), "There is no preset 'x'; there are: 'Birds', 'gone', 'quick'."),
        (("@birds", "--preset", "birds"), "--preset and @NAME are two presets: name one"),
        (("@birds", "@quick"), "@birds and @quick are two presets: name one at a time."),
        (("dog", "--not", "@birds"), "@birds is a preset, not a sound"),
        (("--preset", "quick"), "No sound is named: describe one after the files"),
        (("@quick",), "The preset 'quick' names no sound: name one beside it"),
        (("--preset", "birds", "wind"), "'wind' is both wanted and not wanted"),
        (("--preset", "gone"), "There is no model named 'nix'; there are:"),
        (("--preset", "birds", "--try"), "--try is for one sound alone"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    home: Any,
    birds: Preset,
    presets: PresetFile,
    short_wav: Path,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    presets.save(Preset("quick", options=(("draft", "yes"),)))
    presets.save(Preset("gone", ("dog",), options=(("model", "nix"),)))
    assert refused(home, "separate", short_wav, *arguments).startswith(said)


def test_other_commands_say_that_they_take_none(home: Any, birds: Preset, short_wav: Path) -> None:
    assert refused(home, "compare", short_wav, "@birds").startswith("@birds is a preset, which")
    separated(home, short_wav, "dog", "--out", short_wav.parent)
    said = refused(home, "adjust", "last", "--query", "@birds")
    assert said.startswith("@Birds is a preset, and does not adjust a job")
    said = refused(home, "presets", "save", "x", "@birds")
    assert said.startswith("A preset cannot name another one")
    assert refused(home, "presets", "remove", "x").startswith("There is no preset 'x'")


def test_an_unreadable_file_is_one_sentence(
    home: Any, presets: PresetFile, short_wav: Path
) -> None:
    home.folders.presets.write_text("{", "utf-8")
    for arguments in (("presets",), ("presets", "save", "x", "dog"), ("presets", "remove", "x")):
        assert "cannot be read, and were left as they are" in refused(home, *arguments)
    assert "cannot be read" in refused(home, "separate", short_wav, "--preset", "x")
    # Who names no preset does not need the file.
    assert home.tweeze("separate", short_wav, "dog", "--out", short_wav.parent).returncode == 0
    assert home.folders.presets.read_text("utf-8") == "{"


def test_a_request_from_the_terminal_is_refused_in_a_sentence(home: Any, birds: Preset) -> None:
    said = refused(home, "trigger", "--preset", "x")
    assert said.startswith("There is no preset 'x'; there are: 'Birds'.")
    assert refused(home, "trigger", "--again", "--preset", "x").startswith("There is no preset")
    assert refused(home, "trigger", "dog", "--again", "--preset", "birds").startswith("Name a sou")


# The panel.


@pytest.fixture(scope="module")
def page(home: Any, short_wav: Path) -> Page:
    done = home.tweeze("panel", short_wav, "--no-browser")
    assert done.returncode == 0, done.stderr
    return Page.opened(done.stdout.strip())


def news(socket: Any) -> list[dict[str, Any]]:
    """The next that is told of presets."""
    while True:
        said = json.loads(socket.recv(60))
        if "presets" in said:
            return list(said["presets"])


def test_a_page_lists_saves_and_removes_them(page: Page, presets: PresetFile) -> None:
    assert page.get("/api/presets").json == {"presets": []}
    said = {"queries": ["bird song"], "nots": ["wind"], "options": {"sharpness": "2"}}
    kept = {"name": "My Birds", **said, "options": {"sharpness": "2.00"}}
    made = page.ask("PUT", "/api/presets/My%20Birds", said)
    assert (made.status, made.json) == (201, kept)
    assert page.get("/api/presets").json == {"presets": [kept]}
    other = {"queries": ["hen"], "nots": [], "options": {}}
    made = page.ask("PUT", "/api/presets/my%20birds", {"name": "MY BIRDS", **other})
    assert (made.status, made.json) == (200, {"name": "MY BIRDS", **other})
    assert presets.all() == [Preset("MY BIRDS", ("hen",))]
    gone = page.ask("DELETE", "/api/presets/my%20birds")
    assert (gone.status, gone.json) == (200, {"gone": "MY BIRDS"})
    assert page.ask("DELETE", "/api/presets/my%20birds").status == 404
    # A name may hold what an address parts words by.
    assert page.ask("PUT", "/api/presets/a%2Fb%3F%25", other).json["name"] == "a/b?%"
    assert page.ask("DELETE", "/api/presets/a%2Fb%3F%25").json == {"gone": "a/b?%"}


def test_every_page_hears_of_changes_whoever_makes_them(
    home: Any, page: Page, presets: PresetFile
) -> None:
    with page.events() as socket:
        page.get("/api/presets")
        page.ask("PUT", "/api/presets/a", {"queries": ["dog"]})
        assert [one["name"] for one in news(socket)] == ["a"]
        assert home.tweeze("presets", "save", "b", "cat").returncode == 0
        while [one["name"] for one in news(socket)] != ["a", "b"]:
            pass
        page.ask("DELETE", "/api/presets/a")
        while [one["name"] for one in news(socket)] != ["b"]:
            pass


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({}, "The preset 'a' would hold nothing"),
        ({"queries": "dog"}, "'queries' must be a list of texts."),
        ({"nots": [1]}, "'nots' must be a list of texts."),
        ({"queries": ["a"] * 17}, "'queries' has 17 texts; 16 is the most."),
        ({"queries": ["a" * 301]}, "The query has 301 characters"),
        ({"options": []}, "'options' must be an object of texts."),
        ({"options": {"amount": 50}}, "'options' must be an object of texts."),
        ({"options": {"amount": "500"}}, "'amount' of the preset 'a' must be a number from 0 to"),
        ({"options": {"like": "/etc/passwd"}}, "A preset cannot hold 'like'"),
        ({"options": {"x": "1"}}, "The preset 'a' has the option 'x', which this Tweeze does not"),
        ({"options": {f"x{n}": "" for n in range(40)}}, "'options' names 40; "),
        ({"queries": ["dog"], "spans": []}, "A preset has no 'spans': it has queries, nots and"),
        ({"queries": ["dog"], "name": "b"}, "The preset's name is not the one in the address."),
    ],
)
def test_what_a_page_cannot_save_is_a_sentence(
    page: Page, presets: PresetFile, said: dict[str, Any], sentence: str
) -> None:
    answer = page.ask("PUT", "/api/presets/a", said)
    assert answer.status == 400
    assert answer.json["error"].startswith(sentence)
    assert presets.all() == []


def test_names_sizes_and_a_broken_file(home: Any, page: Page, presets: PresetFile) -> None:
    dog = {"queries": ["dog"]}
    for name, sentence in (("%20", "no name"), ("a" * 61, "61 characters"), ("%07", "U+0007")):
        answer = page.ask("PUT", f"/api/presets/{name}", dog)
        assert answer.status == 400
        assert sentence in answer.json["error"]
    answer = page.ask("PUT", "/api/presets/a", {"queries": ["x" * 70_000]})
    assert answer.status == 413
    home.folders.presets.write_text("[]", "utf-8")
    for method, path in (("GET", "/api/presets"), ("PUT", "/api/presets/a")):
        answer = page.ask(method, path, dog if method == "PUT" else None)
        assert answer.status == 400
        assert "cannot be read, and were left as they are" in answer.json["error"]
    assert home.folders.presets.read_text("utf-8") == "[]"


def test_a_page_asks_by_a_preset(page: Page, birds: Preset) -> None:
    job = page.job(["@birds", "dog"], options={"amount": "50"})
    assert (job["queries"], job["nots"]) == (["bird song", "cow", "dog"], ["wind"])
    assert job["options"] == {"amount": "50.00", "sharpness": "2.00", "stereo": "linked"}
    answer = page.ask("POST", f"/api/sources/{page.source}/jobs", {"queries": ["@x"]})
    assert answer.status == 400
    assert answer.json["error"].startswith("There is no preset 'x'; there are: 'Birds'.")


def test_a_job_file_of_another_program_is_answered(
    home: Any, birds: Preset, short_wav: Path
) -> None:
    status = home.client.separate(Job("preset-1", short_wav, ("@birds",)))
    assert [clip.query for clip in status.clips] == ["bird song", "cow"]
    status = home.client.separate(Job("preset-2", short_wav, ("@nope",)))
    assert status.bad_input
    assert status.message.startswith("There is no preset 'nope'")
