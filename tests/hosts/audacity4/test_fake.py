"""The fake Audacity 4 is strict: what the real one would refuse, or suffer from, is a fault."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.folders import Folders
from tests.hosts.audacity4.api import kinds
from tests.hosts.audacity4.desk import Desk, bundle, library
from tests.hosts.audacity4.fake import Run
from tests.hosts.audacity4.kinds import (
    INTERNAL,
    AddedLabelTrack,
    AudioChunk,
    AudioReader,
    AudioTrackOf,
    AudioWriter,
    ByteBuffer,
    Edit,
    Native,
    NativeLibrary,
    Project,
    Selection,
    Task,
)

MODELLED = (
    *(AddedLabelTrack, AudioChunk, AudioReader, AudioTrackOf, AudioWriter, ByteBuffer),
    *(Edit, Native, NativeLibrary, Project, Selection, Task),
)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folders = Folders(tmp_path / "home")
    folders.make()
    extension = bundle(tmp_path / "extension", folders.root, library())
    (extension / "odd.js").write_text("module.exports = { createEffect: function() {} }\n")
    made = Desk(tmp_path, folders, extension=extension)
    made.track(1.0)
    made.select(0.0, 1.0)
    return made


def run(desk: Desk, process: str, poll: str = "") -> Run:
    """Run an effect that is nothing but these pieces of JavaScript."""
    (desk.extension / "separate.js").write_text(
        "var project = require('Audacity.Project'), native = require('MuseApi.Native')\n"
        "var edit, kept\n"
        "module.exports = { createEffect: function() { return {\n"
        "  parameters: function() { return [] },\n"
        f"  process: function(settings, session, task) {{ kept = session; {process} }},\n"
        f"  poll: function(task) {{ {poll} }}\n"
        "} } }\n"
    )
    made = Run(desk.host.open("separate"), {}, desk.host.ranges()[0])
    desk.step_until(lambda: made.over, "the end", made)
    return made


BEGIN = "edit = project.beginEdit('x', session); "
READER = (
    BEGIN + "var t = edit.selection.audioTracks[0], r = t.openReader({start: 0, end: 1, "
    "channelCount: 1, sampleRate: 48000}); "
)
WRITER = BEGIN + "var w = edit.createAudioWriter({channelCount: 1, sampleRate: 48000}); "
CHUNK = WRITER + "var c = w.createChunk(10); "


def test_the_api_is_whole() -> None:
    known = kinds()
    assert len(known) == 21
    assert [one.name for one in known["AudioWriter"].methods["addTrack"]] == ["name", "start"]
    assert known["AudioReader"].methods["read"][0].optional


def test_what_is_modelled_is_the_apis() -> None:
    for modelled in MODELLED:
        name = {"AudioTrackOf": "AudioTrack"}.get(modelled.__name__, modelled.__name__)
        own = {
            one for one in vars(modelled) if callable(getattr(modelled, one)) and one[0] != "_"
        } - {"check", "idle", "samples", *INTERNAL}
        assert own <= set(kinds()[name].methods), (name, own)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("project.startEdit()", "Project has no startEdit"),
        ("require('MuseInternal.Dispatcher')", "is required"),
        ("require('api.process')", "is required"),
        ("project.beginEdit('x')", "outside of process and poll, or without"),
        ("project.beginEdit()", "0 arguments"),
        ("project.beginEdit('x', session, 1)", "3 arguments"),
        ("project.beginEdit('x', 'session')", "is no the second argument"),
        ("project.beginEdit(1, session)", "is no string"),
        (BEGIN + "edit.selection.start = 1", "to write to"),
        (BEGIN + "edit.selection.tracks", "Selection has no tracks"),
        (BEGIN, "begun and not committed"),
        (BEGIN + "edit.commit(); edit.commit()", "after its commit"),
        (BEGIN + "edit.createAudioWriter({channelCount: 3, sampleRate: 48000})", "bad format"),
        (BEGIN + "edit.createAudioWriter({channelCount: 1, sampleRate: 0.5})", "bad format"),
        (BEGIN + "edit.createAudioWriter({channelCount: 1})", "members"),
        (BEGIN + "edit.createAudioWriter({channelCount: 1, sampleRate: 1, bits: 8})", "members"),
        (READER + "r.read(65537)", "asked for"),
        (READER + "r.read(0)", "asked for"),
        (READER + "r.read(0.5)", "is no uint"),
        (READER + "r.read('10')", "is no uint"),
        (READER + "r.read(10); r.read(10)", "was not released"),
        (READER + "var c = r.read(10); c.release(); c.channels", "after its release"),
        (
            READER + "t.openReader({start: 1, end: 0, channelCount: 1, sampleRate: 48000})",
            "bad times",
        ),
        (READER + "t.openReader({start: 0, end: 1, channelCount: 2, sampleRate: 48000})", "mixer"),
        (READER + "t.openReader({start: 0, end: 1, channelCount: 1, sampleRate: 44100})", "mixer"),
        (
            READER + "t.openReader({start: 0, end: 48000, channelCount: 1, sampleRate: 48000})",
            "samples for seconds",
        ),
        (CHUNK + "w.write(c); w.addTrack('x', 24000)", "samples for seconds"),
        (WRITER + "w.createChunk(65537)", "a chunk of"),
        (WRITER + "edit.commit()", "neither replaced nor added"),
        (WRITER + "w.addTrack('x', 0)", "without samples"),
        (CHUNK + "c.release(); w.write(c)", "released chunk"),
        (CHUNK + "w.write(c); w.addTrack('x', -1)", "before the project's start"),
        (CHUNK + "w.write(c); w.addTrack('x', NaN)", "is no number"),
        (CHUNK + "w.write(c); w.addTrack('x', 0); w.addTrack('x', 0)", "added twice"),
        (CHUNK + "w.write(c); w.addTrack('x', 0); w.write(c)", "after its track was added"),
        (CHUNK + "w.write(w)", "is no AudioChunk"),
        (CHUNK + "c.channels[0].copyFromArrayBuffer(new ArrayBuffer(4))", "for a buffer of 40"),
        (BEGIN + "edit.createLabelTrack('x').addLabel(1, 0, 'x')", "a label from"),
        (BEGIN + "edit.createLabelTrack()", "0 arguments"),
        ("native.open('tweeze').bind('alive')({})", "nothing that a native call takes"),
        ("native.open('tweeze').bind('alive')(function() {})", "a function is given"),
        ("task.report(1.5, '')", "a progress of"),
        ("task.report(NaN, '')", "is no number"),
    ],
)
def test_a_fault(desk: Desk, code: str, words: str) -> None:
    """It counts even where the script catches what is thrown at it."""
    run(desk, f"try {{ {code} }} catch (error) {{}} return true")
    assert any(words in fault for fault in desk.host.faults), desk.host.faults


def test_what_is_well_is_no_fault(desk: Desk) -> None:
    made = run(desk, CHUNK + "w.write(c); w.addTrack('x', 0.5); edit.commit(); return true")
    assert (made.went, desk.host.faults) == (True, [])
    assert made.edit is not None
    (track,) = made.edit.order
    assert track.clips[0].start == 24000


def test_an_edit_begins_in_process_or_poll_only(desk: Desk) -> None:
    late = "return Promise.resolve().then(function() { project.beginEdit('x', kept) })"
    made = run(desk, late)
    assert not made.went
    assert "outside of process and poll" in desk.host.faults[0]


def test_a_promise_that_outlives_cancel_is_a_fault(desk: Desk) -> None:
    (desk.extension / "separate.js").write_text(
        "module.exports = { createEffect: function() { return { parameters: function() { return []"
        "}, process: function() { return new Promise(function() {}) }, poll: function() {} } } }\n"
    )
    made = Run(desk.host.open("separate"), {}, desk.host.ranges()[0])
    made.cancel()
    desk.step_until(lambda: made.over, "the end", made)
    assert desk.host.faults == ["nothing came of Cancel for 100 polls"]


def test_a_buffer_belongs_to_the_call_that_has_it(desk: Desk) -> None:
    code = (
        CHUNK + "var l = native.open('tweeze'), p = l.bindWorker('put')(1, 10, c.channels[0]); "
        "try { w.write(c) } catch (e) {} return p"
    )
    run(desk, code)
    assert desk.host.faults[0] == "a buffer is touched while a native call has it"


def test_all_files_share_one_exports(desk: Desk) -> None:
    """As in Audacity: what is exported before a `require` is gone after it."""
    (desk.extension / "odd.js").write_text("exports.odd = 1\n")
    (desk.extension / "separate.js").write_text(
        "exports.createEffect = function() { return { parameters: function() { return "
        "[{id: Object.keys(seen).join(), defaultValue: 0}] } } }\nvar seen = require('odd')\n"
    )
    assert desk.host.open("separate").parameters()[0]["id"] == "createEffect,odd"


def test_a_file_that_ends_in_a_comment_is_none(desk: Desk) -> None:
    (desk.extension / "odd.js").write_text("module.exports = {} // the end")
    run(desk, "return require('odd') === undefined")
    assert "odd.js" in desk.host.faults[0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("uri", "extension://extensions/dev/tweeze"),
        ("uri", "extension://tweeze_separate?x=1"),
        ("version", ""),
        ("vendor", ""),
        ("actions", None),
    ],
)
def test_a_manifest_with_a_trap(desk: Desk, field: str, value: str | None) -> None:
    path = desk.extension / "manifest.json"
    about = json.loads(path.read_text())
    about[field] = value
    path.write_text(json.dumps(about))
    with pytest.raises(AssertionError):
        Desk(desk.folder, desk.folders, extension=desk.extension)
