from __future__ import annotations

import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadInput, BadJob, BadQuery
from engine.file_names import file_name
from engine.job import QUERY_LIMIT, Job, Placement, Task, clean_query, new_id
from engine.options import Bandwidth, Context, Keep, Memory, Options, Precision, Stereo
from engine.request import Request
from engine.status import Certainty, Clip, ClipKind, Event, Heard, JobState, Status
from engine.text_form import one_line, parse_lines

# Everything that is no control character, line break or lone surrogate.
texts = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=60)
words = texts.map(lambda text: " ".join(text.split())).filter(bool)
ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True)
paths = texts.map(lambda text: Path("/music") / text.replace("/", "_"))


WORDS = tuple(f"sound {number}" for number in range(18))


@st.composite
def queries(draw: st.DrawFn) -> str:
    try:
        return clean_query(draw(words))
    except BadQuery:  # composed to nothing or to something longer
        return "dog barking"


placements = st.builds(
    Placement,
    host=st.sampled_from(["audacity", "reaper"]),
    project=texts,
    track=texts,
    start=st.integers(0, 10**11),
    rate=st.integers(1000, 768_000),
    mute=st.booleans(),
)
options = st.builds(
    Options,
    model=texts,
    keep=st.sampled_from(Keep),
    stereo=st.sampled_from(Stereo),
    bandwidth=st.sampled_from(Bandwidth),
    sharpness=st.integers(10, 1000).map(lambda n: n / 100),
    precision=st.sampled_from(Precision),
    context=st.sampled_from(Context),
    memory=st.sampled_from(Memory),
)
jobs = st.builds(
    Job,
    id=ids,
    mixture=paths,
    queries=st.lists(queries(), min_size=1, max_size=4).map(tuple),
    options=options,
    title=texts,
    placement=st.none() | placements,
    client=texts,
    runtime=st.sampled_from(["", "torch", "openvino"]),
)
clips = st.builds(Clip, path=paths, kind=st.sampled_from(ClipKind), query=texts, name=texts)
hundredths = st.integers(0, 10**9).map(lambda n: n / 100)
shares = st.integers(0, 100).map(lambda n: n / 100)
events = st.builds(Event, start=hundredths, stop=hundredths, probability=shares)
heard = st.builds(
    Heard,
    name=texts,
    probability=shares,
    events=st.lists(events, max_size=3).map(tuple),
    label=texts,
)
certainties = st.builds(
    Certainty,
    step=st.integers(1, 10**9).map(lambda n: n / 10**6),
    values=st.lists(st.integers(0, 99).map(lambda n: n / 100), max_size=9).map(tuple),
)
statuses = st.builds(
    Status,
    id=ids,
    state=st.sampled_from(JobState),
    progress=st.integers(0, 10_000).map(lambda n: n / 10_000),
    message=texts,
    clips=st.lists(clips, max_size=3).map(tuple),
    seconds=st.integers(0, 10**8).map(lambda n: n / 1000),
    loading=st.integers(0, 10**8).map(lambda n: n / 1000),
    notes=st.lists(texts, max_size=2).map(tuple),
    bad_input=st.booleans(),
    presence=st.lists(st.integers(0, 100).map(lambda n: n / 100), max_size=3).map(tuple),
    heard=st.lists(heard, max_size=2).map(tuple),
    certainty=st.lists(certainties, max_size=2).map(tuple),
)


@given(jobs)
def test_a_job_comes_back_from_its_text(job: Job) -> None:
    assert Job.from_text(job.to_text()) == job


@given(jobs)
def test_windows_line_ends_change_nothing(job: Job) -> None:
    assert Job.from_text(job.to_text().replace("\n", "\r\n")) == job


@given(ids, paths, options)
def test_a_listening_job_comes_back_from_its_text(id_: str, path: Path, options: Options) -> None:
    job = Job(id_, path, (), options, task=Task.LISTEN)
    assert Job.from_text(job.to_text()) == job


def test_a_listening_job_has_no_queries_and_any_other_has() -> None:
    with pytest.raises(BadJob, match="takes no queries"):
        Job("j1", Path("/a.wav"), ("dog",), task=Task.LISTEN)
    with pytest.raises(BadQuery, match="There is no query"):
        Job("j1", Path("/a.wav"), ())


@pytest.mark.parametrize(
    ("said", "changed"),
    [
        ("17 sounds, wanted or not, and 16 is the most", {"nots": WORDS[2:]}),
        ("18 sounds, and 16 is the most", {"queries": WORDS, "nots": ()}),
        ("is not absolute", {"mixture": Path("a.wav")}),
        ("takes no queries", {"task": Task.LISTEN, "nots": ()}),
        ("There is no query", {"queries": (), "nots": ()}),
        ("only what is not wanted", {"task": Task.LISTEN, "queries": ()}),
        ("'a  dog' has stray white space", {"queries": ("a  dog",)}),
        ("names 1 models for 2 sounds", {"answers": ("compact",)}),
    ],
)
def test_a_job_that_is_refused_is_not_named_by_its_id(said: str, changed: dict[str, Any]) -> None:
    id_ = "20250102-030405-678-abcdef"
    job = Job(id_, Path("/a.wav"), ("a dog",), nots=("rain",))
    with pytest.raises(BadInput, match=said) as refused:
        replace(job, **changed)
    assert id_ not in str(refused.value)


def test_a_job_says_no_runtime_that_it_does_not_have() -> None:
    job = Job("j1", Path("/a.wav"), ("dog",))
    assert "runtime" not in job.to_text()  # an older reader goes on
    named = replace(job, answers=("audiosep",), runtime="torch")
    assert "runtime=torch\n" in named.to_text()
    assert named.unresolved == job


def test_what_a_status_does_not_know_is_not_in_its_text() -> None:
    # an older reader refuses keys that it has never heard of
    text = Status("j1", JobState.DONE).to_text()
    assert "presence" not in text
    assert "heard" not in text
    assert "certainty" not in text
    assert "label" not in text
    assert "task" not in Job("j1", Path("/a.wav"), ("dog",)).to_text()


@pytest.mark.parametrize(
    "value", ["", "0.9 dog", "2.00 0.0-1.0 dog", "0.90 0.0-1 dog", "0.90 x dog"]
)
def test_what_was_heard_has_its_form(value: str) -> None:
    with pytest.raises(BadJob, match="'heard' of the status"):
        Heard.from_value(value)


def test_what_earlier_versions_wrote_of_what_was_heard_is_read() -> None:
    text = Status("j1", JobState.DONE).to_text().replace("end\n", "heard=0.93 0.0-2.5 dog\nend\n")
    (dog,) = Status.from_text(text).heard
    assert dog == Heard("dog", 0.93, (Event(0.0, 2.5, 0.93),))
    assert dog.times == ((0.0, 2.5),)
    with pytest.raises(BadJob, match="without AudioSet's name"):
        Status.from_text(text.replace("end\n", "label=Dog\nlabel=Cat\nend\n"))


@pytest.mark.parametrize("value", ["", "0.16 0102", "0.160000 010", "0.160000 0a", "x 01"])
def test_certainty_has_its_form(value: str) -> None:
    with pytest.raises(BadJob, match="'certainty' of the status"):
        Certainty.from_value(value)


def test_certainty_is_written_in_hundredths() -> None:
    made = Certainty.rounded(0.16, np.array([0.0, 0.004, 0.006, 0.5, 0.999, 1.0], np.float32))
    assert made.values == (0.0, 0.0, 0.01, 0.5, 0.99, 0.99)
    assert Certainty.from_value(made.to_value()) == made


@given(statuses)
def test_a_status_comes_back_from_its_text(status: Status) -> None:
    assert Status.from_text(status.to_text()) == status


@given(ids, words, st.lists(st.tuples(st.just("query"), texts), max_size=3))
def test_a_request_comes_back_from_its_text(
    id_: str, host: str, fields: list[tuple[str, str]]
) -> None:
    request = Request(id_, host, tuple(fields))
    assert Request.from_text(request.to_text()) == request


@given(jobs, st.data())
def test_a_job_text_that_is_cut_off_is_never_taken_for_whole(job: Job, data: st.DataObject) -> None:
    text = job.to_text()
    cut = data.draw(st.integers(0, len(text) - len("end\n")))
    with pytest.raises(BadInput):
        Job.from_text(text[:cut])


@given(st.text(max_size=200))
def test_any_text_is_a_job_or_bad_input(text: str) -> None:
    for parse in (Job.from_text, Status.from_text, Request.from_text):
        with pytest.raises(BadInput):
            parse(text)


@given(st.text())
def test_any_message_fits_on_one_line(text: str) -> None:
    line = one_line(text)
    assert parse_lines(f"message={line}\nend\n") == [("message", line)]


@given(st.text())
def test_any_name_becomes_a_name_of_a_file(text: str) -> None:
    name = file_name(text)
    assert name
    assert len(name.encode()) <= 121
    assert not set(name) & set('/\\:*?"<>|\0\n')
    assert name not in (".", "..")


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("  dog \n barking\t", "dog barking"),
        ('"dog" & $(rm -rf /); Exit:', '"dog" & $(rm -rf /); Exit:'),
        ("🐕 barking", "🐕 barking"),
        ("e\u0301cho", "écho"),
        ("dog\u00a0barking", "dog barking"),
    ],
)
def test_white_space_is_folded_and_the_rest_is_text(text: str, query: str) -> None:
    assert clean_query(text) == query


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (" \n ", "is empty"),
        ("a" * 10_000, f"10,000 characters, and {QUERY_LIMIT} is the most"),
        ("dog\x00bark", r"U\+0000"),
        ("dog\x1b[31m", r"U\+001B"),
        ("dog\ud800", r"U\+D800"),
    ],
)
def test_what_is_no_query_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(BadQuery, match=said):
        clean_query(text)


@pytest.mark.parametrize("id_", ["", "../up", "a/b", "-a", ".a", "a" * 65, "a b", "ä", "a\n"])
def test_an_id_cannot_be_a_path(id_: str) -> None:
    with pytest.raises(BadJob, match="not a valid job id"):
        Job(id_, Path("/a.wav"), ("dog",))


def test_ids_are_fresh_and_valid() -> None:
    made = {new_id() for _ in range(1000)}
    assert len(made) == 1000
    assert set("".join(made)) <= set(string.ascii_lowercase + string.digits + "-")


@pytest.mark.parametrize(
    "line",
    [
        "surprise=1",
        "keep=everything",
        "no equals sign",
        "=value",
        "id=twice",
        "sharpness=nan",
        "sharpness=99",
        "host=audacity",
    ],
)
def test_a_line_that_is_not_of_the_form_is_refused(line: str) -> None:
    text = Job("j1", Path("/a.wav"), ("dog",)).to_text().replace("end\n", f"{line}\nend\n")
    with pytest.raises(BadInput):
        Job.from_text(text)


@pytest.mark.parametrize(
    ("query", "unwanted", "said"),
    [
        ("dog", "Dog", "both wanted and not wanted"),
        ("a dog", "dogs", "both wanted and not wanted"),
        ("rain", "everything but rain", "names no sound"),
        ("rain", "all sounds except the rain", "names no sound"),
    ],
)
def test_what_cannot_be_unwanted(query: str, unwanted: str, said: str) -> None:
    with pytest.raises(BadQuery, match=said):
        Job("j1", Path("/a.wav"), (query,), nots=(unwanted,))
    Job("j1", Path("/a.wav"), (query,), nots=("wind in all trees",))
