"""`tweeze adjust` and `compare`, events, labels and spans, as a user types them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bridge import labels
from bridge.delivery import Destination
from engine.errors import BadInput
from engine.options import Options
from engine.places import Span
from engine.sound.kept import Kept
from engine.status import Certainty, Clip, ClipKind, JobState


def samples(path: str | Path) -> np.ndarray:
    return soundfile.read(path, dtype="float64", always_2d=True)[0]


def separated(home: Any, file: Path, out: Path, *arguments: str) -> dict[str, Any]:
    done = home.tweeze("separate", file, *arguments, "--json", "--out", out)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def adjusted(home: Any, out: Path, *arguments: str) -> dict[str, Any]:
    done = home.tweeze("adjust", *arguments, "--json", "--out", out)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_job_is_adjusted_from_its_masks(home: Any, short_wav: Path, tmp_path: Path) -> None:
    first = separated(home, short_wav, tmp_path / "a", "dog", "--keep", "both")
    assert Kept.open(home.folders.masks / first["id"]) is not None
    again = adjusted(home, tmp_path / "b", first["id"], "--amount", "50", "--at", "0.2-0.8")
    assert again["id"] != first["id"]
    assert not any("anew" in note for note in again["notes"])
    assert again["presence"] == first["presence"]
    assert again["certainty"] == first["certainty"]
    dog, rest = (samples(clip["path"]) for clip in first["clips"])
    half, other = (samples(clip["path"]) for clip in again["clips"])
    assert np.abs(dog + rest - half - other).max() < 1e-6
    inside = slice(4000, 12000)
    np.testing.assert_allclose(half[inside], dog[inside] / 2, rtol=0, atol=1e-5)
    assert not half[:3200].any()

    # what was adjusted can be adjusted once more, and taken back
    back = adjusted(home, tmp_path / "c", "last", "--amount", "100", "--at", "")
    np.testing.assert_allclose(samples(back["clips"][0]["path"]), dog, rtol=0, atol=1e-5)


def test_other_sounds_and_what_is_not_wanted(home: Any, short_wav: Path, tmp_path: Path) -> None:
    first = separated(home, short_wav, tmp_path / "a", "dog", "--not", "wind")
    fresh = separated(home, short_wav, tmp_path / "b", "rain", "--no-compete")
    both = adjusted(home, tmp_path / "c", first["id"], "-q", "rain", "--not", "", "--no-compete")
    assert [clip["query"] for clip in both["clips"]] == ["rain"]
    got, wanted = (samples(job["clips"][0]["path"]) for job in (both, fresh))
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5)
    wrong = home.tweeze("adjust", first["id"], "--not", "dog", "--out", tmp_path)
    assert wrong.returncode == 2
    assert wrong.stderr == "'dog' is both wanted and not wanted: leave one of them out.\n"


def test_without_masks_the_model_is_asked_anew(home: Any, tmp_path: Path, noise: Any) -> None:
    wav = noise(tmp_path / "street.wav", 1.0)
    first = separated(home, wav, tmp_path / "a", "dog", "--no-masks")
    assert not (home.folders.masks / first["id"]).exists()
    again = adjusted(home, tmp_path / "b", first["id"], "--sharpness", "2")
    assert f"Job {first['id']} has no kept masks: the model was asked anew." in again["notes"]
    kept = adjusted(home, tmp_path / "c", again["id"], "--masks", "--sharpness", "2")
    assert samples(kept["clips"][0]["path"]) == pytest.approx(
        samples(again["clips"][0]["path"]), abs=1e-6
    )
    linked = adjusted(home, tmp_path / "d", kept["id"], "--stereo", "linked")
    assert any("was set up otherwise" in note for note in linked["notes"])
    wav.unlink()
    gone = home.tweeze("adjust", first["id"], "--sharpness", "2", "--out", tmp_path / "e")
    assert gone.returncode == 2
    assert "no longer kept, and its recording is gone" in gone.stderr
    assert not (tmp_path / "e").exists()


def test_what_came_through_a_pipe_can_be_adjusted(
    home: Any, short_wav: Path, tmp_path: Path
) -> None:
    done = home.piped(
        short_wav.read_bytes(), "separate", "-", "dog", "--json", "--out", tmp_path / "a"
    )
    assert done.returncode == 0
    assert not list(home.folders.mixtures.iterdir())
    again = adjusted(home, tmp_path / "b", "last", "--sharpness", "1")
    first = json.loads(done.stdout)
    assert samples(again["clips"][0]["path"]) == pytest.approx(
        samples(first["clips"][0]["path"]), abs=1e-5
    )
    # Where masks do not serve, the recording is still there.
    linked = adjusted(home, tmp_path / "c", first["id"], "--stereo", "linked")
    assert any("was set up otherwise" in note for note in linked["notes"])
    fresh = separated(home, short_wav, tmp_path / "d", "dog", "--stereo", "linked")
    assert samples(linked["clips"][0]["path"]) == pytest.approx(
        samples(fresh["clips"][0]["path"]), abs=1e-6
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no-such-job"], "The engine knows of no job 'no-such-job' to adjust"),
        (["last", "--at", "3-1"], "The span 3-1 ends before it begins"),
        (["last", "--at", "x"], "--at must be START-END in seconds"),
        (["last", "--at", "5-6"], "--at 5-6 lies behind the end: the recording lasts 1.000 s."),
        (["last", "--band", "9000-"], "--band 9000- Hz lies above all"),
        (["last", "--sharpness", "99"], "--sharpness must be a number from 0.1 to 10"),
        (["last", "--model", "compact"], "no option '--model'"),
        (["last", "--place"], "did not come from an editor"),
        (["../evil"], "not a valid job id"),
    ],
)
def test_what_cannot_be_adjusted_is_said(
    home: Any, short_wav: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    separated(home, short_wav, tmp_path / "a", "dog")
    done = home.tweeze("adjust", *arguments, "--out", tmp_path / "b")
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "b").exists()


def test_what_only_listened_cannot_be_adjusted(home: Any, short_wav: Path) -> None:
    heard = json.loads(home.tweeze("listen", short_wav, "--json").stdout)
    done = home.tweeze("adjust", heard["id"])
    assert done.returncode == 2
    assert "only listened" in done.stderr


def test_events_become_labels_and_spans(home: Any, tmp_path: Path, noise: Any) -> None:
    wav = noise(tmp_path / "street.wav", 1.0)
    found = tmp_path / "found.txt"
    job = separated(
        home,
        wav,
        tmp_path / "a",
        "dog",
        "gone",
        "--events",
        "--labels",
        str(found),
        "--keep",
        "both",
    )
    # the stand-in hears the dog in its first two blocks, of 0.32 s each
    assert found.read_text() == "0.000000\t0.640000\t+ dog\n"
    dog, gone, rest = (samples(clip["path"]) for clip in job["clips"])
    plain, *_ = (
        samples(c["path"]) for c in separated(home, wav, tmp_path / "b", "dog", "gone")["clips"]
    )
    assert not dog[int(0.64 * 16_000) :].any()
    np.testing.assert_allclose(dog[:9_000], plain[:9_000], rtol=0, atol=1e-4)
    assert not gone.any()
    assert any(
        "'gone' is nowhere likely enough (50%): its clip is silent." in n for n in job["notes"]
    )
    assert np.abs(dog + rest - samples(wav)).max() < 1e-6

    found.write_text(found.read_text().replace("+", "-"))
    other = separated(home, wav, tmp_path / "c", "dog", "gone", "--spans", str(found))
    target, _ = (samples(clip["path"]) for clip in other["clips"])
    assert not target[: int(0.64 * 16_000)].any()
    np.testing.assert_allclose(
        target[int(0.68 * 16_000) :], plain[int(0.68 * 16_000) :], rtol=0, atol=1e-6
    )


def test_a_comparison_writes_a_clip_and_a_line_for_each(
    home: Any, short_wav: Path, tmp_path: Path
) -> None:
    done = home.tweeze(
        *("compare", short_wav, "gone", "--with", "rain", "--with", "owl", "--json"),
        *("--out", tmp_path / "a"),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [one["query"] for one in found] == ["gone", "rain", "owl"]
    assert [one["best"] for one in found] == [False, True, False]
    assert [one["presence"] for one in found] == [0.02, 0.93, 0.93]
    assert found[0]["difference"] is None
    first, second = (samples(one["paths"][0]) for one in found[:2])
    apart = 10 * np.log10(np.sum((second - first) ** 2) / np.sum(first**2))
    assert found[1]["difference"] == pytest.approx(apart, abs=0.1)
    assert found[1]["spans"] == [[0.0, 0.64]]
    plain = separated(home, short_wav, tmp_path / "b", "rain")
    np.testing.assert_allclose(second, samples(plain["clips"][0]["path"]), rtol=0, atol=1e-5)

    picked = home.tweeze(
        *("compare", short_wav, "gone", "--with", "rain", "--with", "owl", "--pick", "2"),
        *("--keep", "both", "--out", tmp_path / "c"),
    )
    paths = picked.stdout.split("\n")[:-1]
    assert [Path(path).name for path in paths] == [
        "street - rain.wav",
        "street - without rain.wav",
    ]
    np.testing.assert_allclose(samples(paths[0]), second, rtol=0, atol=1e-5)
    none = home.tweeze("compare", short_wav, "gone", "--with", "rain", "--pick", "9")
    assert (none.returncode, none.stderr) == (
        2,
        "There is no candidate 9: there are 2, from 1 on.\n",
    )


def test_the_best_word_is_taken_unasked_only_where_that_is_asked_for(
    home: Any, short_wav: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a"
    done = home.tweeze(
        "separate", short_wav, "gone pheasant", "--try", "--keep", "both", "--out", out
    )
    assert done.returncode == 0, done.stderr
    paths = [Path(path) for path in done.stdout.split("\n")[:-1]]
    assert len(paths) == 2
    assert "gone" not in paths[0].name
    taken = paths[0].stem.removeprefix("street - ")
    assert f"'{taken}' was taken for 'gone pheasant', which is likely there (93%)." in done.stderr
    plain = separated(home, short_wav, tmp_path / "b", taken, "--keep", "both")
    for path, clip in zip(paths, plain["clips"], strict=True):
        np.testing.assert_allclose(samples(path), samples(clip["path"]), rtol=0, atol=1e-5)
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in paths)
    both = home.tweeze("separate", short_wav, "dog", "rain", "--try", "--out", tmp_path / "c")
    assert both.returncode == 2
    assert both.stderr.startswith("--try is for one sound alone, described in words")


def test_a_comparison_that_is_interrupted_cancels_what_runs(
    home: Any, long_wav: Path, tmp_path: Path, until: Any
) -> None:
    import signal

    known = {path.name for path in home.folders.status.iterdir()}
    command = ("compare", long_wav, "rain", "--with", "owl", "--out", tmp_path / "a")
    (home.root / "hold").touch()
    with home.start(*command[:2], "rain hold", *command[3:]) as process:
        until((home.root / "held").exists)
        process.send_signal(signal.SIGINT)
        (home.root / "hold").unlink()
        assert process.wait(timeout=60) == 130
    (home.root / "held").unlink()
    (job,) = {path.name for path in home.folders.status.iterdir()} - known
    assert home.client.status(job).state is JobState.CANCELLED
    assert not (tmp_path / "a").exists()


def test_the_lines_of_a_comparison(home: Any, short_wav: Path, tmp_path: Path) -> None:
    done = home.tweeze("compare", short_wav, "gone", "--with", "rain", "--out", tmp_path)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[:4] for row in rows] == [
        ["1", "gone", "compact", "2%"],
        ["2*", "rain", "compact", "93%"],
    ]
    assert Path(rows[1][7]) == tmp_path / "street - rain.wav"


def test_a_picture_shows_what_is_marked(home: Any, short_wav: Path, tmp_path: Path) -> None:
    from matplotlib import image

    def pixels(name: str) -> np.ndarray:
        return image.imread(tmp_path / name)[..., :3]

    asked = ("dog", "--keep", "both", "--out", tmp_path / "a")
    done = home.tweeze("separate", short_wav, *asked, "--picture", tmp_path / "plain.png")
    assert done.returncode == 0, done.stderr
    rect = ("--rect", "0.2-0.6:1000-4000", "--picture", tmp_path / "rect.png")
    done = home.tweeze("adjust", *rect, "--keep", "both", "--out", tmp_path / "b")
    assert done.returncode == 0, done.stderr
    plain, marked = pixels("plain.png"), pixels("rect.png")
    assert plain.shape == marked.shape
    first, second = (slice(int(k / 3 * len(plain)), int((k + 1) / 3 * len(plain))) for k in (0, 1))
    changed = np.abs(plain[first] - marked[first]).max(axis=-1) > 0.1
    assert 0 < changed.mean() < 0.05  # the outline alone
    # outside the rectangle the sound is black
    dark = (marked[second].sum(axis=-1) < 0.2).mean() - (plain[second].sum(axis=-1) < 0.2).mean()
    assert dark > 0.3
    (tmp_path / "folder.png").mkdir()
    bad = {"x.jpg": "writes PNG", "none/x.png": "There is no folder", "folder.png": "is a folder"}
    for name, said in bad.items():
        done = home.tweeze("separate", short_wav, "dog", "--picture", tmp_path / name)
        assert (done.returncode, said in done.stderr) == (2, True)


@pytest.mark.parametrize("seconds", [0.01, 5.0, 120.0])
def test_a_picture_of_any_length_shows_sound_where_it_is(seconds: float) -> None:
    """Long recordings are drawn block by block, several frames a column."""
    from bridge.picture import _decibels

    frames = round(seconds * 44_100)
    sine = 0.1 * np.sin(np.arange(frames) * 2 * np.pi * 1000 / 44_100)
    sine[: frames // 2] = 0
    level = _decibels(sine[np.newaxis].astype(np.float32), 44_100, np.array([200.0, 1000.0]))
    assert level.shape[1] <= 8000
    sounding = level[1] > level[1].max() - 10
    assert sounding.mean() == pytest.approx(0.5, abs=0.5 if seconds < 1 else 0.01)
    assert level[0][sounding].max() < level[1].max() - 20
    assert seconds < 1 or (level[1][: int(0.45 * level.shape[1])] < -100).all()


def test_masks_take_only_so_much_room(fresh_home: Any, short_wav: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    home = replace(fresh_home, standin=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TWEEZE_MASKS_GB", "0")
        assert home.tweeze("start").returncode == 0
        first = separated(home, short_wav, tmp_path / "a", "dog")
        assert not home.folders.masks.exists()
        assert first["clips"]


def test_a_draft_is_replaced_in_one_step(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / "draft").mkdir()
    rough, exact = made / "draft" / "a - dog.wav", made / "a - dog.wav"
    rough.write_bytes(b"rough")
    exact.write_bytes(b"exact")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a - dog.wav").write_bytes(b"the user's own")
    destination = Destination(out)
    (there,) = destination.draft([Clip(rough, ClipKind.TARGET, "dog", "a - dog")])
    assert there.read_bytes() == b"rough"
    assert there.name == "a - dog (2).wav"
    (final,) = destination.deliver([Clip(exact, ClipKind.TARGET, "dog", "a - dog")])
    assert final == there
    assert final.read_bytes() == b"exact"
    assert sorted(path.name for path in out.iterdir()) == ["a - dog (2).wav", "a - dog.wav"]
    assert (out / "a - dog.wav").read_bytes() == b"the user's own"


def test_a_draft_goes_when_the_job_fails(tmp_path: Path) -> None:
    rough = tmp_path / "a.wav"
    rough.write_bytes(b"rough")
    destination = Destination(tmp_path / "out")
    assert destination.draft([Clip(rough, ClipKind.TARGET, "dog", "a")])
    destination.withdraw()
    assert not (tmp_path / "out").exists()
    assert rough.exists()


LABELS = "0.5\t1.5\t+ dog\n2\t3\tnote to self\n4\t4\t+ a point\n5\t6\t- hum\n\\\t100\t200\n"
REGIONS = (
    "#,Name,Start,End,Length\nR1,+ dog,0:00:00.500,0:00:01.500,0:00:01.000\n"
    "M1,+ marker,3,,\nR2,-,1:05,1:06.5,1.5\n"
)


@pytest.mark.parametrize(
    ("text", "at", "never"),
    [
        (LABELS, (Span(0.5, 1.5),), (Span(5, 6),)),
        (REGIONS, (Span(0.5, 1.5),), (Span(65, 66.5),)),
        ("1\t2\ta\n3\t4\tb\n", (Span(1, 2), Span(3, 4)), ()),
        ("1\t2\t- a\r\n", (), (Span(1, 2),)),
    ],
)
def test_marked_labels_are_read(
    tmp_path: Path, text: str, at: tuple[Span, ...], never: tuple[Span, ...]
) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(text)
    found = labels.read(path)
    assert (found.at, found.never) == (at, never)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("text", [LABELS, REGIONS, LABELS.replace(".", ",")])
def test_labels_are_read_as_programs_save_them(
    tmp_path: Path, text: str, encoding: str, ending: str
) -> None:
    path, link = tmp_path / "labels.txt", tmp_path / "link.txt"
    path.write_bytes(text.replace("\n", ending).encode(encoding))
    link.symlink_to(path)
    found = labels.read(link)
    assert found.at == (Span(0.5, 1.5),)
    assert len(found.never) == 1


TWO = "0\t2\t+ dog\n1\t3\t+ Rain\n2\t3\t- rain\n4\t5\t- wind\n6\t7\t+\n"


def test_what_was_heard_limits_a_sound_to_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("0\t1\tdog\n2\t3\train\n")  # as 'tweeze listen --labels' writes it
    assert labels.read(path, ["dog"]).at == (Span(0, 1),)
    assert labels.read(path, ["owl"]).at == (Span(0, 1), Span(2, 3))


@pytest.mark.parametrize(
    ("sounds", "at", "never", "others", "shared"),
    [
        (["dog"], [(0, 2), (6, 7)], [(4, 5)], ("rain",), False),
        (["rain"], [(1, 3), (6, 7)], [(2, 3), (4, 5)], ("dog",), False),
        (["rain", "dog"], [(0, 2), (1, 3), (6, 7)], [(2, 3), (4, 5)], (), True),
        (["owl"], [(0, 2), (1, 3), (6, 7)], [(2, 3), (4, 5)], (), False),
        ([], [(0, 2), (1, 3), (6, 7)], [(2, 3), (4, 5)], (), False),
    ],
)
def test_labels_of_other_sounds_are_left_out(
    tmp_path: Path,
    sounds: list[str],
    at: list[tuple[float, float]],
    never: list[tuple[float, float]],
    others: tuple[str, ...],
    shared: bool,
) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(TWO)
    found = labels.read(path, sounds)
    assert [(span.start, span.stop) for span in found.at] == at
    assert [(span.start, span.stop) for span in found.never] == never
    assert (found.others, found.shared) == (others, shared)


def test_labels_that_no_option_could_hold_are_cut_to_fit(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("3\t99999999999999\t+ dog\n1.00000001\t1.00000002\t+ dog\n")
    (span,) = labels.read(path).at
    assert span == Span(3)
    assert Options(at=(span,)).at == (Span.from_text(span.text),)


def test_the_clips_are_named_where_what_is_beside_them_fails(
    home: Any, short_wav: Path, tmp_path: Path
) -> None:
    command = ("separate", "-", "dog", "--no-masks", "--picture", tmp_path / "a.png")
    done = home.piped(short_wav.read_bytes(), *command, "--out", tmp_path / "a")
    assert done.returncode == 2
    assert "was not kept: it is not drawn." in str(done.stderr)
    (clip,) = (tmp_path / "a").iterdir()
    assert str(clip) in str(done.stdout)


def test_a_recording_that_is_cut_off_is_said_to_be_by_every_command(
    home: Any, short_wav: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.wav"
    cut.write_bytes(short_wav.read_bytes()[:20_000])
    for command in (
        ("separate", cut, "gone pheasant", "--try"),
        ("compare", cut, "dog", "--with", "rain"),
    ):
        done = home.tweeze(*command, "--out", tmp_path / "a")
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("is cut off") == 1


def test_a_word_without_others_is_said_to_be_alone(
    home: Any, short_wav: Path, tmp_path: Path
) -> None:
    done = home.tweeze("compare", short_wav, "xyzzy", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "No other words are known for 'xyzzy': name some with --with." in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\t2\t-dog\n", "'-dog' marks nothing, since its sign has no blank behind it"),
        ("", "holds no label that lasts"),
        ("1\t1\t+ a\n", "holds no label that lasts"),
        ("hello\n", "line 1: no label of this kind"),
        ("3\t1\t+ a\n", "line 1: no label of this kind"),
        ("#,Name,Start,End,Length\nR1,+ a,1.1.00,2.1.00,1\n", "line 2: no label of this kind"),
        ("RIFF\0\0\1", "no label of this kind"),
    ],
)
def test_what_is_no_file_of_labels_is_said(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(text)
    with pytest.raises(BadInput, match=said):
        labels.read(path)
    for other in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(BadInput, match=re.escape(f"{other} cannot be read")):
            labels.read(other)
    path.write_bytes(b"1\t2\t+ gr\xfcn\n")
    with pytest.raises(BadInput, match="no text in UTF-8 or UTF-16"):
        labels.read(path)


def test_what_is_noticed_is_read_back_as_it_was(tmp_path: Path) -> None:
    certainty = (Certainty(0.5, (0.9, 0.1, 0.1, 0.1, 0.6)), Certainty(0.5, (0.0,) * 5))
    heard = labels.noticed_in(("dog", "rain"), certainty, Options())
    assert [one.name for one in heard] == ["+ dog", "+ rain"]
    for name in ("a.txt", "a.csv"):
        labels.write(tmp_path / name, heard)
        assert labels.read(tmp_path / name).at == (Span(0, 0.5), Span(2, 2.5))


def test_nobody_is_left_behind(home: Any) -> None:
    assert not home.leftovers()
    shutil.rmtree(home.folders.masks)
