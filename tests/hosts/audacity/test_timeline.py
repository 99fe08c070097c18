from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audacity.marks import Marks
from audacity.pipe import Blocked, Gone, Pipe, command
from audacity.timeline import Captured, NothingSelected, OtherProject, Place, capture
from audacity.view import Seen, View
from engine.errors import BadInput, HostError
from engine.job import Placement
from engine.places import Band
from engine.status import Clip, ClipKind
from tests.hosts.audacity.editor import Editor, version

Sound = Callable[..., Path]
PREFERENCE = "/FileFormats/ExportFormat_SF1_Type/WAV_10000"


@pytest.fixture
def mixtures(tmp_path: Path) -> Path:
    # Too long for a command together with a file's name, with quotes and other letters.
    folder = tmp_path / ('a "quoted" ö ' + "x" * 200) / ("y" * 250) / ("z" * 250)
    folder.mkdir(parents=True)
    return folder


def take(editor: Editor, mixtures: Path) -> list[Captured]:
    with editor.pipe() as pipe:
        return capture(pipe, mixtures, keepsake=mixtures / "keepsake")


def read(path: Path) -> np.ndarray:
    return np.asarray(soundfile.read(path, dtype="float32", always_2d=True)[0])


def placement(captured: Captured, *, mute: bool = False) -> Placement:
    return Placement(
        "audacity", captured.project, captured.track, captured.start, captured.rate, mute
    )


def clip(captured: Captured, name: str = "dog barking") -> Clip:
    """A made-up result for a captured mixture: its samples, halved and turned around."""
    path = captured.path.with_name(f"clip-{name[:20].replace('/', '_')}.wav")
    soundfile.write(path, -0.5 * read(captured.path), captured.rate, subtype="FLOAT")
    return Clip(path, ClipKind.TARGET, name, name)


def put(
    editor: Editor, captured: Captured, *clips: Clip, mute: bool = False, known: bool = False
) -> None:
    assert captured.sight is not None or not known
    sight = captured.sight if known else None
    with editor.pipe() as pipe, Place(pipe, placement(captured), known=sight) as place:
        for number, one in enumerate(clips):
            place.insert(one, mute=mute and number == 0)


def export(editor: Editor, track: int, start: float, end: float, path: Path) -> np.ndarray:
    channels = editor.tracks()[track]["channels"]
    editor.do(
        command("SelectTracks", Track=track, TrackCount=1, Mode="Set"),
        command("SelectTime", Start=start, End=end),
        command("Export2", Filename=path, NumChannels=channels),
    )
    return read(path)


def selection(editor: Editor, path: Path) -> tuple[list[bool], str]:
    """Which tracks are selected, and the times to the last digit (a range must be marked)."""
    path.unlink(missing_ok=True)
    editor.do(
        f'NyquistPrompt: Version=4 Command="(let ((fp (open \\"{path}\\" :direction :output)))'
        ' (setf *float-format* \\"%.17g\\") (format fp \\"~a ~a\\"'
        " (get (quote *selection*) (quote start)) (get (quote *selection*) (quote end)))"
        ' (close fp) \\"\\")"'
    )
    return [bool(track["selected"]) for track in editor.tracks()], path.read_text()


def load(editor: Editor, *files: Path) -> None:
    editor.do(*(command("Import2", Filename=file) for file in files))


def mark(editor: Editor, tracks: Sequence[int], start: float, end: float) -> None:
    lines = [command("SelectTime", Start=f"{start:.12f}", End=f"{end:.12f}")]
    for number, track in enumerate(tracks):
        mode = "Add" if number else "Set"
        lines.append(command("SelectTracks", Track=track, TrackCount=1, Mode=mode))
    editor.do(*lines)


RANGES = {
    "between samples": (1.2345678901, 3.1000226757, 82267),
    "past the end": (4.5, 5.5, 22050),
    "from the origin": (0.0, 1.0, 44100),
}


@pytest.mark.parametrize(
    ("channels", "span"),
    [(1, RANGES["between samples"]), *((2, span) for span in RANGES.values())],
    ids=["mono, between samples", *RANGES],
)
def test_a_clip_comes_back_where_its_mixture_was_sample_for_sample(
    editor: Editor,
    sound: Sound,
    mixtures: Path,
    tmp_path: Path,
    channels: int,
    span: tuple[float, float, int],
) -> None:
    source = sound("source", channels=channels)
    start, end, frames = span
    load(editor, source)
    mark(editor, [0], start, end)
    before = selection(editor, tmp_path / "seen")
    mark(editor, [0], start, end)

    (captured,) = take(editor, mixtures)
    assert (captured.rate, captured.channels, captured.track) == (44100, channels, "source")
    assert captured.frames == frames
    assert captured.start == round(start * 44100)
    original = read(source)
    assert np.array_equal(
        read(captured.path), original[captured.start : captured.start + captured.frames]
    )

    made = clip(captured)
    put(editor, captured, made)
    assert selection(editor, tmp_path / "seen") == ([True, False], before[1])
    names = [(t["name"], t["channels"], t["mute"]) for t in editor.tracks()]
    assert names == [("source", channels, 0), ("dog barking", channels, 0)]

    first = captured.start / captured.rate
    back = export(editor, 1, first, first + frames / 44100, tmp_path / "back.wav")
    assert np.array_equal(back, read(made.path))
    assert len(export(editor, 1, 0, 60, tmp_path / "all.wav")) <= captured.start + frames
    assert np.array_equal(export(editor, 0, 0, 60, tmp_path / "original.wav"), original)


def test_one_undo_step_a_clip_with_the_mute_in_the_first(
    editor: Editor, sound: Sound, mixtures: Path, tmp_path: Path
) -> None:
    load(editor, sound("source"))
    mark(editor, [0], 1.25, 2.5)
    (captured,) = take(editor, mixtures)
    names = ['the "big" dog', "a/b\\c: everything else"]
    put(editor, captured, *(clip(captured, name) for name in names), mute=True)

    def rows() -> list[tuple[str, float, int, int]]:
        return [(t["name"], t["start"], t["mute"], t["selected"]) for t in editor.tracks()]

    untouched = ("source", 0.0, 0, 1)
    muted = ("source", 0.0, 1, 1)
    first, second = (names[0], 1.25, 0, 0), ("a/b/c: everything else", 1.25, 0, 0)
    assert rows() == [muted, first, second]
    for command_, expected in [
        ("Undo:", [muted, first]),
        ("Undo:", [untouched]),
        ("Redo:", [muted, first]),
        ("Redo:", [muted, first, second]),
    ]:
        editor.do(command_)
        assert rows() == expected
    assert selection(editor, tmp_path / "seen")[1] == "1.25 2.5"


@pytest.mark.parametrize("known", [False, True], ids=["asked", "known"])
@pytest.mark.parametrize(
    ("tracks", "span"),
    [([1], (0.5, 4.0)), ([], (2.0, 3.0)), ([0, 1], (3.0, 3.0)), ([0], (0.0, 0.0)), ([0], (0.0, 2))],
    ids=["another range", "no track", "a cursor", "the cursor at 0", "from 0"],
)
def test_the_selection_of_the_moment_stays(
    editor: Editor,
    sound: Sound,
    mixtures: Path,
    tmp_path: Path,
    tracks: list[int],
    span: tuple[float, float],
    known: bool,
) -> None:
    load(editor, sound("one"), sound("two"))
    mark(editor, [0], 1.0, 2.0)
    (captured,) = take(editor, mixtures)
    mark(editor, tracks, *span)
    if not tracks:
        editor.do(command("SelectTracks", Track=0, TrackCount=9, Mode="Remove"))
    put(editor, captured, clip(captured), known=known)
    for step in ("", "Undo:", "Redo:"):
        if step:
            editor.do(step)
        rows = editor.tracks()
        assert [i for i, row in enumerate(rows) if row["selected"]] == tracks
        # A second after the selection's end, and a second before its start, name both.
    seen = []
    for edge, second in (("SelectionEnd", -1), ("SelectionStart", 1)):
        editor.do("SelSave:", command("SelectTime", Start=0, End=second, RelativeTo=edge))
        editor.do(command("SelectTracks", Track=0, TrackCount=1, Mode="Set"))
        seen.append(float(selection(editor, tmp_path / "seen")[1].split()[0]))
        if span != (0.0, 0.0):
            editor.do("SelRestore:")
        else:
            editor.do("CursProjectStart:")
    assert seen == [span[1], span[0]]


class Listed(Pipe):
    """A connection that lists the commands that go through it."""

    def __init__(self) -> None:
        super().__init__(timeout=20.0)
        self.names: list[str] = []

    def do(self, line: str, *, timeout: float | None = None) -> str:
        self.names.append(line.partition(":")[0])
        return super().do(line, timeout=timeout)


def test_the_usual_way_there_and_back_takes_few_commands(
    editor: Editor, sound: Sound, mixtures: Path
) -> None:
    load(editor, sound("source"))
    mark(editor, [0], 1.0, 2.0)
    seen = Seen(time.time(), (0,), View(1.0, 2.0, 44100, "source"))
    with Listed() as pipe:
        (captured,) = capture(pipe, mixtures, keepsake=mixtures / "keepsake", seen=seen)
    facts, kept, back = ["GetInfo", "GetInfo"], ["SelSave"], ["CursSelStart", "SelRestore"]
    assert pipe.names == [*facts, *kept, "SelectTime", "Export2", "SelRestore"]
    made = clip(captured, "dog")
    with Listed() as pipe, Place(pipe, placement(captured), known=captured.sight) as place:
        place.insert(Clip(made.path, made.kind, made.query, made.path.stem))
    own = ["Import2", "SetClip", "SelectTracks"]
    assert pipe.names == [*facts, *kept, *back, *own, *back]


def test_what_a_menu_command_saw_is_captured_whatever_is_selected_since(
    editor: Editor, sound: Sound, mixtures: Path, tmp_path: Path
) -> None:
    load(editor, sound("source"), sound("other"))
    view = View(1.0, 2.0, 44100, "source")
    mark(editor, [0], 3.0, 3.5)
    for seen, expected in [
        (Seen(time.time(), (0,), view), (44100, 44100)),
        (Seen(time.time() - 3, (0,), view), (132300, 22050)),  # too long ago
        (Seen(time.time(), (1,), view), (132300, 22050)),  # another track by now
    ]:
        with editor.pipe() as pipe:
            (one,) = capture(pipe, mixtures, keepsake=mixtures / "keepsake", seen=seen)
        assert (one.start, one.frames) == expected
        assert one.project == take(editor, mixtures)[0].project
        assert selection(editor, tmp_path / "seen") == ([True, False], "3 3.5")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("9.5 1.0 2.5 44100.0 NIL NIL (1 3) a (b)", ((0, 2), View(1.0, 2.5, 44100, "a (b)"))),
        ("9.5 1.0 2.5 44100.0 NIL NIL (2) NIL", ((1,), View(1.0, 2.5, 44100, ""))),
        ("9.5 1.0 2.5 44100.0 500.0 4000.0 (2) a", None),  # it depends on the track's view
        ("9.5 1.0 2.5 44100.0 NIL NIL NIL a", None),
        ("9.5 1.0 nan 44100.0 NIL NIL (1) a", None),
        (f"9.5 1.0 2.5 44100.0 NIL NIL ({'9' * 5000}) a", None),
        ("", None),
    ],
)
def test_what_a_menu_command_saw_is_read(
    text: str, seen: tuple[tuple[int, ...], View] | None
) -> None:
    assert Seen.from_text(text) == (None if seen is None else Seen(9.5, *seen))


def test_each_selected_track_is_captured_alone(
    editor: Editor, sound: Sound, mixtures: Path, tmp_path: Path
) -> None:
    left, right, other = sound("left"), sound("right", channels=1), sound("other")
    load(editor, left, other, right)
    mark(editor, [0, 2], 1.0, 2.0)
    first, second = take(editor, mixtures)
    assert [c.track for c in (first, second)] == ["left", "right"]
    assert np.array_equal(read(first.path), read(left)[44100:88200])
    assert np.array_equal(read(second.path), read(right)[44100:88200])
    # The clips of the first job do not make the second one's project another.
    put(editor, first, clip(first, "left: dog"), mute=True)
    put(editor, second, clip(second, "right: dog"), mute=True)
    rows = [(t["name"], t["channels"], t["mute"], t["selected"]) for t in editor.tracks()]
    assert rows == [
        ("left", 2, 1, 1),
        ("other", 2, 0, 0),
        ("right", 1, 1, 1),
        ("left: dog", 2, 0, 0),
        ("right: dog", 1, 0, 0),
    ]


def test_a_mono_track_gives_its_pan_to_the_clips_track(
    editor: Editor, sound: Sound, mixtures: Path, tmp_path: Path
) -> None:
    source = sound("voice", channels=1)
    load(editor, source)
    mark(editor, [0], 1.0, 2.0)
    gain = "Volume" if int(version()[1]) > 5 else "Gain"  # its name since Audacity 3.6
    editor.do(command("SetTrackAudio", **{"Pan": -40, gain: -6.0206}))
    (captured,) = take(editor, mixtures)
    assert captured.channels == 1
    np.testing.assert_allclose(read(captured.path), 0.5 * read(source)[44100:88200], rtol=2e-5)
    put(editor, captured, clip(captured))
    assert [round(t["pan"], 3) for t in editor.tracks()] == [-0.4, -0.4]
    editor.do("Undo:", "Redo:")
    assert [round(t["pan"], 3) for t in editor.tracks()] == [-0.4, -0.4]


def test_a_48_khz_track_is_captured_at_the_projects_rate(
    editor: Editor, sound: Sound, mixtures: Path, tmp_path: Path
) -> None:
    load(editor, sound("at44"), sound("at48", 48000))
    mark(editor, [1], 1.00001, 2.0)
    (captured,) = take(editor, mixtures)
    assert captured.rate == 44100
    made = clip(captured)
    put(editor, captured, made)
    first = captured.start / 44100
    back = export(editor, 2, first, first + captured.frames / 44100, tmp_path / "back.wav")
    assert np.array_equal(back, read(made.path))


def write(editor: Editor, *labels: tuple[float, float, str]) -> None:
    """Add labels in the order of their times, and clear the selection."""
    for number, (start, end, text) in enumerate(labels):
        editor.do(command("SelectTime", Start=start, End=end), "AddLabel:")
        editor.do(command("SetLabel", Label=number, Text=text))
    editor.do("SelectNone:")


class Counting(Pipe):
    """A connection that notes the kinds of commands."""

    def __init__(self) -> None:
        super().__init__(timeout=20.0)
        self.sent: list[str] = []

    def do(self, line: str, *, timeout: float | None = None) -> str:
        self.sent.append(line)
        return super().do(line, timeout=timeout)


def test_labels_with_a_sign_come_along(editor: Editor, sound: Sound, mixtures: Path) -> None:
    load(editor, sound("one"), sound("short", seconds=2.5))
    write(
        editor,
        (0.5, 1.25, "+ dog here"),
        (1.5, 2, "a remark"),
        (2, 2.25, '- rain, "hard" ö'),
        (2.75, 2.75, "+ now"),
        (2.8, 4.5, "+"),
        (4.5, 4.75, "- not selected"),
    )
    mark(editor, [0, 1], 1.0, 3.0)
    first, second = take(editor, mixtures)
    assert [span.text for span in first.marks.at] == ["0-0.25", "1.8-"]
    assert [span.text for span in second.marks.at] == ["0-0.25"]  # it ends before the second one
    assert [[s.text for s in one.marks.never] for one in (first, second)] == [["1-1.25"]] * 2
    assert first.marks.points == ("+ now",)
    assert first.marks.band is None
    mark(editor, [1], 2.0, 2.2)
    with pytest.raises(BadInput, match="leave no time of 'short'"):
        take(editor, mixtures)
    assert set(mixtures.iterdir()) == {first.path, second.path}


def test_labels_are_asked_for_only_where_they_may_count(
    editor: Editor, sound: Sound, mixtures: Path
) -> None:
    load(editor, sound("source"))
    mark(editor, [0], 1.0, 2.0)
    with Counting() as pipe:
        capture(pipe, mixtures, keepsake=mixtures / "keepsake")
    assert not [line for line in pipe.sent if "Labels" in line]
    write(editor, (1, 2, "- rain"))
    mark(editor, [0], 1.0, 2.0)
    with Counting() as pipe:
        (captured,) = capture(pipe, mixtures, keepsake=mixtures / "keepsake", labels=False)
    assert not [line for line in pipe.sent if "Labels" in line]
    assert captured.marks == Marks()


def test_selected_frequencies_come_along_where_the_track_shows_them(
    editor: Editor, sound: Sound, mixtures: Path, tmp_path: Path
) -> None:
    load(editor, sound("source"))
    mark(editor, [0], 1.0, 2.0)

    def band() -> Band | None:
        (captured,) = take(editor, mixtures)
        return captured.marks.band

    spectrum = command("SetTrackVisuals", Display="Spectrogram", SpectralSel=1)
    editor.do(spectrum)
    assert band() is None
    for low, high, expected in [
        (500, 4000, Band(500, 4000)),
        (0, 440.26, Band(0, 440.3)),
        (20000, 30000, Band(20000)),  # up to all that the project's rate holds
        (1000, 1000, None),
        (2243, 2310, None),  # what a level drag of the mouse leaves
        (1000, 1250, None),
        (1000, 1270, Band(1000, 1270)),
    ]:
        editor.do(command("SelectFrequencies", High=high, Low=low))
        assert band() == expected
    editor.do(command("SelectFrequencies", High=4000, Low=500))
    assert band() == band() == Band(500, 4000)  # it stays selected
    for display, enabled, expected in [
        ("Spectrogram", 0, None),
        ("Waveform", 1, None),  # left from a spectrogram, and not to be seen
        ("Multiview", 1, Band(500, 4000)),
    ]:
        editor.do(command("SetTrackVisuals", Display=display, SpectralSel=enabled))
        assert band() == expected


def test_each_track_has_its_own_view(editor: Editor, sound: Sound, mixtures: Path) -> None:
    """Also with a track of labels, and one that is silent there, between them."""
    load(editor, sound("wave"), sound("short", seconds=1))
    editor.do("NewLabelTrack:")
    load(editor, sound("spectrum"), sound("other"))
    assert [track["kind"] for track in editor.tracks()] == ["wave", "wave", "label", "wave", "wave"]
    mark(editor, [3], 1.5, 2.5)
    editor.do(command("SetTrackVisuals", Display="Spectrogram", SpectralSel=1))
    editor.do(command("SelectFrequencies", High=4000, Low=500))
    mark(editor, [0, 1, 2, 3, 4], 1.5, 2.5)
    captured = take(editor, mixtures)
    assert [(one.track, one.marks.band) for one in captured] == [
        ("wave", None),
        ("spectrum", Band(500, 4000)),
        ("other", None),
    ]
    assert {one.start for one in captured} == {66150}
    assert all(track["selected"] for track in editor.tracks())


def nothing(editor: Editor) -> None:
    editor.do("SelectNone:")


def point(editor: Editor) -> None:
    mark(editor, [0], 2.0, 2.0)


def beyond(editor: Editor) -> None:
    mark(editor, [0], 30.0, 31.0)


def muted(editor: Editor) -> None:
    mark(editor, [0], 1.0, 2.0)
    editor.do(command("SetTrackAudio", Mute=1))


def soloed(editor: Editor) -> None:
    mark(editor, [1], 1.0, 2.0)
    editor.do(command("SetTrackAudio", Solo=1))
    mark(editor, [0], 1.0, 2.0)


def label(editor: Editor) -> None:
    mark(editor, [0], 1.0, 2.0)
    editor.do("NewLabelTrack:", command("SelectTracks", Track=2, TrackCount=1, Mode="Set"))


def empty(editor: Editor) -> None:
    editor.do("SelectAll:", "RemoveTracks:")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (nothing, "Nothing is selected"),
        (point, "Nothing is selected: mark a range"),
        (beyond, "Nothing is selected: mark a range"),
        (muted, "'one' is muted"),
        (soloed, "'two' plays solo"),
        (label, "Only a track without audio"),
        (empty, "holds no audio track"),
    ],
)
def test_what_cannot_be_captured_is_one_sentence(
    editor: Editor,
    sound: Sound,
    mixtures: Path,
    spoil: Callable[[Editor], None],
    sentence: str,
) -> None:
    load(editor, sound("one"), sound("two"))
    spoil(editor)
    with pytest.raises(NothingSelected, match=sentence) as caught:
        take(editor, mixtures)
    assert str(caught.value).count(".") == 1
    assert list(mixtures.iterdir()) == []
    empty(editor)
    load(editor, sound("three"))
    mark(editor, [0], 1.0, 2.0)
    assert take(editor, mixtures)[0].frames == 44100


@pytest.mark.fault(
    "another project is in front, or the tracks are others, when a clip is to go in",
    promise="nothing goes in",
)
def test_another_project_gets_nothing(editor: Editor, sound: Sound, mixtures: Path) -> None:
    source = sound("source")
    load(editor, source)
    mark(editor, [0], 1.0, 2.0)
    (captured,) = take(editor, mixtures)
    made = clip(captured)

    def refused() -> None:
        before = editor.tracks()
        with pytest.raises(OtherProject, match="tweeze insert"):
            put(editor, captured, made)
        assert editor.tracks() == before

    editor.do(command("SelectTime", Start=0, End=0.5), "Delete:")  # the source itself was cut
    refused()
    editor.do("Undo:")
    put(editor, captured, made)
    editor.do("Undo:", command("SetTrackStatus", Name="renamed"))
    refused()
    empty(editor)
    refused()
    load(editor, sound("another"))
    refused()


@pytest.mark.fault(
    "a second project window with the same tracks is in front",
    promise="it counts as another project: nothing goes in",
)
def test_a_second_window_with_the_same_tracks_is_another_project(
    own_editor: Editor, sound: Sound, mixtures: Path, tmp_path: Path
) -> None:
    editor = own_editor
    source = sound("source")
    load(editor, source)
    mark(editor, [0], 1.0, 2.0)
    editor.do(command("SaveProject2", Filename=tmp_path / "first.aup3"))
    (captured,) = take(editor, mixtures)
    editor.do("New:")
    load(editor, source)
    before = editor.tracks()
    for known in (False, True):
        with pytest.raises(OtherProject):
            put(editor, captured, clip(captured), known=known)
    assert editor.tracks() == before
    assert take(editor, mixtures)[0].sight is None  # of two, neither is told from outside


@pytest.mark.parametrize("own", ["2", "4"])
def test_the_users_export_setting_is_put_back(
    editor: Editor, sound: Sound, mixtures: Path, request: pytest.FixtureRequest, own: str
) -> None:
    setting = command("GetPreference", Name=PREFERENCE)
    before = command("SetPreference", Name=PREFERENCE, Value=editor.do(setting).strip())
    request.addfinalizer(lambda: editor.do(before))
    load(editor, sound("source"))
    mark(editor, [0], 1.0, 2.0)
    editor.do(command("SetPreference", Name=PREFERENCE, Value=own))
    assert take(editor, mixtures)[0].frames == 44100
    assert editor.do(setting).strip() == own
    point(editor)
    with pytest.raises(NothingSelected):
        take(editor, mixtures)
    assert editor.do(setting).strip() == own
    # Cut short: what the user had is known to the next call.
    editor.do(command("SetPreference", Name=PREFERENCE, Value="6"))
    (mixtures / "keepsake").write_text(own)
    mark(editor, [0], 1.0, 2.0)
    assert take(editor, mixtures)[0].frames == 44100
    assert editor.do(setting).strip() == own
    assert not (mixtures / "keepsake").exists()


class Stumbling(Pipe):
    """A connection on which one command is preceded by a mishap; `patience` is for what follows."""

    def __init__(self, at: str, mishap: Callable[[], None], *, patience: float = 20.0) -> None:
        super().__init__(timeout=20.0)
        self._at = at
        self._mishap = mishap
        self._patience = patience

    def do(self, line: str, *, timeout: float | None = None) -> str:
        if line.startswith(self._at):
            self._at = "never again"
            self._mishap()
        waits = self._at == "never again"
        return super().do(line, timeout=self._patience if waits else 20.0)


STEPS_OUT = ["GetInfo", "SelectTime", "Export2", "SelRestore"]
STEPS_IN = ["GetInfo", "NyquistPrompt", "CursSelStart", "Import2", "SetClip"]


@pytest.mark.fault(
    "a dialog opens in Audacity while a clip is inserted, at each step",
    promise="the clip goes in at most once, and can be put in afterwards",
)
@pytest.mark.parametrize("step", ["SelSave", "Import2", "SelRestore"])
def test_a_dialog_while_inserting(editor: Editor, sound: Sound, mixtures: Path, step: str) -> None:
    load(editor, sound("source"))
    mark(editor, [0], 1.0, 2.0)
    (captured,) = take(editor, mixtures)
    made = clip(captured)

    def dialog() -> None:
        editor.screen.focus(editor.project_window())
        editor.screen.key("ctrl+shift+i")  # Import Audio: a file dialog
        editor.screen.window("Select one or more files")

    with (
        Stumbling(step, dialog, patience=1.0) as pipe,
        contextlib.suppress(Blocked),
        Place(pipe, placement(captured)) as place,
    ):
        place.insert(made)
    editor.screen.key("Escape")
    deadline = time.monotonic() + 20
    while True:
        with contextlib.suppress(HostError):
            rows = editor.tracks()
            break
        assert time.monotonic() < deadline
    assert len(rows) in (1, 2)  # a command that was sent may be carried out late, but not twice
    put(editor, captured, made)


# From here on Audacity is killed: what it offers to recover would take the keys of later tests.


@pytest.mark.fault(
    "Audacity is killed (kill -9) while the selection is captured, at each step",
    promise="a sentence, no mixture left behind; after its start it can be captured",
)
@pytest.mark.parametrize("step", STEPS_OUT)
def test_audacity_killed_while_capturing(
    editor: Editor, sound: Sound, mixtures: Path, step: str
) -> None:
    load(editor, sound("source"))
    mark(editor, [0], 1.0, 2.0)
    seen = Seen(time.time(), (0,), View(1.0, 2.0, 44100, "source"))
    with (
        Stumbling(step, editor.kill) as pipe,
        pytest.raises(Gone, match="closed in the middle"),
    ):
        capture(
            pipe,
            mixtures,
            keepsake=mixtures / "keepsake",
            seen=seen if step == "SelectTime" else None,
        )
    assert [path for path in mixtures.iterdir() if path.suffix == ".wav"] == []
    editor.start()
    load(editor, sound("source"))
    mark(editor, [0], 1.0, 2.0)
    assert take(editor, mixtures)[0].frames == 44100


@pytest.mark.fault(
    "Audacity is killed (kill -9) while a clip is inserted, at each step",
    promise="the clip's file stays; after its start it goes in, once",
)
@pytest.mark.parametrize("step", STEPS_IN)
def test_audacity_killed_while_inserting(
    editor: Editor, sound: Sound, mixtures: Path, step: str
) -> None:
    load(editor, sound("source"))
    mark(editor, [0], 1.0, 2.0)
    (captured,) = take(editor, mixtures)
    made = clip(captured)
    with (
        Stumbling(step, editor.kill) as pipe,
        pytest.raises(Gone, match="closed in the middle"),
        Place(
            pipe,
            placement(captured),
            known=captured.sight if step == "CursSelStart" else None,
        ) as place,
    ):
        place.insert(made)
    assert made.path.exists()
    editor.start()
    load(editor, sound("source"))
    put(editor, captured, made)
    assert len(editor.tracks()) == 2


@pytest.mark.fault(
    "Audacity is stopped (SIGSTOP)",
    promise="a sentence after a short time, no thread left behind",
)
def test_a_stopped_audacity_does_not_hold_us_up(editor: Editor) -> None:
    pid = editor.pid()
    threads = set(threading.enumerate())  # earlier tests' libraries may keep some
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(Blocked):
            Pipe(timeout=1)
        assert time.monotonic() - began < 10
    finally:
        os.kill(pid, signal.SIGCONT)
    assert set(threading.enumerate()) <= threads
