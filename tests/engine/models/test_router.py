"""Which model answers which sound, by a table of figures and by what is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import BadInput, Failure, UnknownModel
from engine.folders import Folders
from engine.job import Job, Task
from engine.models import catalogue, kinds, router, runtime_choice
from engine.models.records import Entry
from engine.options import Options
from engine.taxonomy.families import FAMILIES

TABLE = """\
family,model,gain,count,from
speech,compact,3.3,24,here
speech,talker,11.1,24,here
vocals,talker,1.0,9,here
vocals,singer,9.0,9,here
drums,singer,2.0,9,here
drums,compact,4.0,9,here
"""


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    """A home with two specialists and another model for any sound, beside the bundled one."""
    made = Folders(tmp_path / "home")
    made.make()
    real = catalogue.entries
    more = (
        Entry("talker", tmp_path, "talking"),
        Entry("singer", tmp_path, "singing"),
        Entry("wide", tmp_path, "audiosep"),
    )
    alone = (one for one in real(made) if one.kind not in kinds.SPECIALISTS)
    there = (*alone, *more)
    monkeypatch.setattr(kinds, "SPECIALISTS", {"talking": "speech", "singing": "vocals"})
    monkeypatch.setattr(catalogue, "entries", lambda _: there)
    monkeypatch.setattr(
        catalogue, "entry", lambda name, _: next(one for one in there if one.name == name)
    )
    router.routes_file(made).write_text(TABLE)
    return made


def resolved(folders: Folders, *queries: str, nots: tuple[str, ...] = (), **options: object) -> Job:
    job = Job("job-1", Path("/tmp/a.wav"), queries, Options(**options), nots=nots)  # type: ignore[arg-type]
    return router.resolve(job, folders)


def test_each_sound_goes_to_the_best(folders):
    job = resolved(folders, "people talking", "the vocals", "dog", nots=("drums", "speech"))
    assert job.answers == ("talker", "singer", "compact", "compact", "talker")
    assert job.beside == ""  # speech is named already


def test_a_model_that_is_named_answers(folders):
    assert resolved(folders, "speech", "dog", model="wide").answers == ("wide", "wide")
    job = resolved(folders, "speech", nots=("dog", "vocals"), model="talker")
    assert job.answers == ("talker", "compact", "singer")
    assert job.beside == ""


def test_another_model_for_any_sound(folders):
    assert router.general(folders) == "compact"
    router.use("wide", folders)
    assert router.general(folders) == "wide"
    job = resolved(folders, "dog", "drums", "speech")
    assert job.answers == ("wide", "singer", "talker")  # nothing is known of wide's drums
    with pytest.raises(BadInput, match=r"'talker' is a specialist, .*speech"):
        router.use("talker", folders)
    (folders.models / "general.txt").write_text("gone\n")
    assert router.general(folders) == "compact"


def test_speech_competes_unasked_only_where_it_may(folders):
    assert resolved(folders, "dog").beside == "talker"
    assert resolved(folders, "crowd", "dog").beside == "talker"
    assert resolved(folders, "crowd").beside == ""
    assert resolved(folders, "dog", auto=False).beside == ""
    assert resolved(folders, "dog", compete=False).beside == ""
    assert resolved(folders, "dog", model="compact").beside == ""


def test_what_is_resolved_stays(folders):
    job = resolved(folders, "speech")
    router.routes_file(folders).write_text("family,model,gain,count,from\nspeech,compact,99,1,x\n")
    assert router.resolve(job, folders) is job
    assert router.resolve(job.unresolved, folders).answers == ("compact",)
    again = Job.from_text(job.to_text())
    assert again == job


def test_the_runtime_is_noted_when_a_job_is_submitted(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime_choice, "find_spec", lambda _: None)
    job = resolved(folders, "dog", model="wide")
    assert job.runtime == "torch"  # there is nothing else
    assert resolved(folders, "dog").runtime == ""  # compact has no choice
    installed = {"openvino": "7"}
    monkeypatch.setattr(runtime_choice, "find_spec", lambda _: "there")
    monkeypatch.setattr(runtime_choice, "version", lambda name: installed[name])
    assert router.resolve(job, folders) is job
    assert resolved(folders, "dog", model="wide").runtime == ""  # it must be tried first
    record = tmp_path / "fast" / "form.json"
    record.parent.mkdir()
    for text, chosen in (
        ('{"graph": {"openvino": "7", "seconds_openvino": 1, "seconds_torch": 2}}', "openvino"),
        ('{"graph": {"openvino": "7", "seconds_openvino": 3, "seconds_torch": 2}}', "torch"),
        ('{"graph": {"openvino": "6", "seconds_openvino": 3, "seconds_torch": 2}}', ""),
        ('{"graph": {"openvino": "7"}}', ""),
        ('{"graph": 3}', ""),
        ("[]", ""),
        ("not JSON", ""),
    ):
        record.write_text(text)
        assert resolved(folders, "dog", "speech", model="wide").runtime == chosen
    adjusted = Job("job-2", Path("/tmp/a.wav"), ("dog", "rain"), Options("wide"), base="job-1")
    assert router.resolve(adjusted, folders, job).runtime == "torch"  # as the job that it adjusts
    asked = Job("job-1", Path("/tmp/a.wav"), ("dog",), Options("wide"), runtime="openvino")
    assert router.resolve(asked, folders).runtime == "openvino"


def test_an_example_goes_to_the_model_for_any_sound(folders):
    assert resolved(folders, "speech", like="/tmp/a.wav").answers == ("compact",)


def test_listening_is_for_the_listener(folders):
    job = Job("job-1", Path("/tmp/a.wav"), (), task=Task.LISTEN)
    assert router.models_of(router.resolve(job, folders)) == (kinds.LISTENER.name,)


def test_the_table_says_who_takes_what(folders):
    takes = router.who_takes(folders)
    assert list(takes) == list(FAMILIES)
    assert (takes["speech"], takes["vocals"], takes["drums"]) == ("talker", "singer", "compact")
    said = [router.specialist_for(query, folders) for query in ("talking", "drums", "dog")]
    assert said == ["talker", "", ""]


def test_measured_rows_take_the_place_of_older_ones(folders, tmp_path):
    path = router.routes_file(folders)
    router.write_routes(path, [router.Route("speech", "compact", 12.0, 5, "mine")])
    assert resolved(folders, "speech").answers == ("compact",)
    assert path.read_text().count("\n") == TABLE.count("\n")
    (tmp_path / "a folder").write_text("in the way")
    with pytest.raises(Failure, match="Writing to"):
        router.write_routes(tmp_path / "a folder" / "routes.csv", [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("family,model\nspeech,a\n", "line 2: the columns must be family, model, gain"),
        (f"{TABLE}speech,a,loud,3,x\n", "line 8: 'gain' must be a number"),
        (f"{TABLE}speech,a,nan,3,x\n", "line 8: 'gain' must be a number"),
        (f"{TABLE}speech,a,1.0,some,x\n", "line 8: 'gain' must be a number"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_damaged_table_of_the_user_is_named(folders, text, message):
    path = router.routes_file(folders)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadInput, match=message) as raised:
        resolved(folders, "speech")
    assert str(path) in str(raised.value)


def test_what_the_users_table_names_in_vain_is_said(folders):
    path = router.routes_file(folders)
    assert router.unknown_in_routes(folders) == ""
    path.write_text(f"{TABLE}drums,htdemucs,9.0,0,known though not here\n")
    assert router.unknown_in_routes(folders) == ""
    path.write_text(f"{TABLE}drums,singr,9.0,3,x\nbirds,compact,9.0,3,x\n")
    assert router.unknown_in_routes(folders) == (
        f"{path} names models that are not known ('singr') and families that there are not "
        f"('birds'; there are: {', '.join(FAMILIES)}): those rows count for nothing; correct or "
        "remove them."
    )
    assert resolved(folders, "speech", "birds").answers == ("talker", "compact")
    path.write_text(TABLE + "".join(f"drums,{name},9.0,3,x\n" for name in "abcde"))
    assert "('a', 'b', 'c' and 2 more)" in router.unknown_in_routes(folders)
    path.unlink()
    assert router.unknown_in_routes(folders) == ""


def test_the_bundled_table_can_be_read(tmp_path):
    plain = Folders(tmp_path / "plain")
    plain.make()
    rows = router.load_routes(plain)
    assert {row.family for row in rows} <= set(FAMILIES)
    with pytest.raises(UnknownModel, match="no model named 'nobody'"):
        router.use("nobody", plain)
