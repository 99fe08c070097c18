"""The panel's door: what its page gets to see and hear, and what it can have done."""

from __future__ import annotations

import asyncio
import io
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile
import standins
from panels import Link, Page

from bridge import launch
from bridge.doors.panel import door, tiles
from bridge.doors.panel.access import Access
from bridge.doors.panel.loudness import loudness
from bridge.doors.panel.overview import NotYet, Overview
from bridge.doors.panel.samples import Decoding, Samples, clip_samples
from bridge.doors.panel.tile_cache import TileCache
from bridge.requests import Requests
from engine.errors import Failure
from engine.folders import Folders
from engine.job import new_id
from engine.queue.journal import Journal
from engine.queue.limits import Limits
from engine.queue.lock import holder
from engine.queue.service import Service
from engine.request import Request
from engine.sound.audio import AudioInfo, FrameWriter
from engine.sound.rest import LONGEST
from engine.status import JobState, Status

RATE = 16_000


def opened(home: Any, *arguments: str | Path) -> Page:
    done = home.tweeze("panel", *arguments, "--no-browser")
    assert done.returncode == 0, done.stderr
    return Page.opened(done.stdout.strip())


@pytest.fixture(scope="module")
def page(home: Any, short_wav: Path) -> Page:
    return opened(home, short_wav)


def tile(answer: Any) -> np.ndarray:
    """The tile's picture, its lowest row first."""
    return np.frombuffer(answer.body, np.uint8).reshape(tiles.ROWS, tiles.COLUMNS)


# What a page gets.


def test_a_file_is_opened_and_all_of_it_can_be_had(page: Page, short_wav: Path) -> None:
    samples, rate = soundfile.read(short_wav, dtype="float32", always_2d=True)
    state = page.get("/api/state").json
    source = next(one for one in state["sources"] if one["id"] == page.source)
    assert source["title"] == "street"
    assert (source["rate"], source["channels"], source["frames"]) == (rate, 2, len(samples))
    assert source["host"] == ""
    there = page.get(f"/api/sources/{page.source}/audio?start=100&stop=1500")
    assert there.floats.reshape(-1, 2) == pytest.approx(samples[100:1500], abs=0)
    peaks = page.get(f"/api/sources/{page.source}/peaks?start=0&stop=16000&count=100")
    found = peaks.floats.reshape(2, 100, 2)
    cut = samples.reshape(100, 160, 2)
    assert found[:, :, 0] == pytest.approx(cut.min(axis=1).T, abs=0)
    assert found[:, :, 1] == pytest.approx(cut.max(axis=1).T, abs=0)
    picture = page.get(f"/api/sources/{page.source}/tile?channel=left&zoom=0&index=0")
    assert len(picture.body) == 1 << 16
    assert picture.headers["cache-control"] == "private, max-age=86400, immutable"
    assert picture.headers["content-type"] == "application/octet-stream"
    loud = page.get(f"/api/sources/{page.source}/loudness").json["integrated"]
    assert -25 < loud < -10


def test_the_state_says_what_can_be_asked(page: Page) -> None:
    state = page.get("/api/state").json
    assert set(state) == {"version", "engine", "library", "models", "options", "sources"}
    assert set(state["engine"]) == {"state", "running", "queue"}
    names = {model["name"]: model["general"] for model in state["models"]}
    assert names["auto"]
    assert names["compact"]
    options = {option["name"]: option for option in state["options"]}
    assert options["sharpness"]["kind"] == "number"
    assert (options["sharpness"]["least"], options["sharpness"]["most"]) == (0.1, 10)
    assert options["keep"]["words"]["residual"] == "everything else"
    assert {option["kind"] for option in state["options"]} == {
        "choice", "flag", "number", "text", "places"
    }  # fmt: skip


def test_a_job_from_the_question_to_the_wav(home: Any, page: Page, short_wav: Path) -> None:
    with page.events() as socket:
        job = page.job(["dog; cat - rain"], nots=["wind"], options={"keep": "both"})
        heard: list[dict[str, Any]] = []
        while not any(n.get("job", {}).get("state") == "done" for n in heard):
            heard.append(json.loads(socket.recv(90)))
    assert {"job", "engine"} <= {next(iter(one)) for one in heard}
    assert job["state"] == "done"
    assert job["queries"] == ["dog", "cat"]
    assert job["nots"] == ["wind", "rain"]
    assert [clip["kind"] for clip in job["clips"]] == ["target", "target", "residual"]
    assert job["options"] == {"keep": "both"}
    assert job["presence"] == [0.93, 0.93]
    assert len(job["certainty"]) == 2
    # what can be copied does the same
    words = shlex.split(job["command"])
    assert words == [
        "tweeze", "separate", str(short_wav), "dog", "cat",
        "--not", "wind", "--not", "rain", "--keep", "both",
    ]  # fmt: skip
    samples, _ = soundfile.read(short_wav, dtype="float32", always_2d=True)
    clips = [
        page.get(f"/api/jobs/{job['id']}/clips/{n}/audio?start=0&stop=16000").floats
        for n in range(3)
    ]
    assert np.abs(sum(clips) - samples.ravel()).max() < 1e-6
    float_, pcm = (
        page.get(f"/api/jobs/{job['id']}/clips/0/wav?format={form}") for form in ("float", "pcm24")
    )
    assert float_.headers["content-type"] == "audio/wav"
    assert "attachment" in float_.headers["content-disposition"]
    for answer, subtype, exact in ((float_, "FLOAT", 0), (pcm, "PCM_24", 2**-23)):
        with soundfile.SoundFile(io.BytesIO(answer.body)) as file:
            assert file.subtype == subtype
            assert file.samplerate == RATE
            read = file.read(dtype="float32")
        assert read.ravel() == pytest.approx(clips[0], abs=exact)
    picture = page.get(f"/api/jobs/{job['id']}/clips/2/tile?zoom=0&index=1")
    assert tile(picture).shape == (256, 256)
    assert len(page.get(f"/api/jobs/{job['id']}/clips/2/peaks?start=0&stop=99&count=99").body) == (
        99 * 2 * 2 * 4
    )
    deadline = time.monotonic() + 60
    while any(clip["loudness"] is None for clip in job["clips"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
        job = page.get(f"/api/jobs/{job['id']}").json
    # Nothing is put anywhere unasked, and only an editor's own goes back there.
    sent = page.ask("POST", f"/api/jobs/{job['id']}/send", {"editor": "audacity"})
    assert sent.status == 400
    assert "did not come from Audacity" in sent.error


def test_a_job_is_adjusted_from_its_masks(page: Page) -> None:
    first = page.job(["dog"], options={"keep": "both"})
    again = page.job(["dog"], options={"keep": "both", "amount": "50"}, base=first["id"])
    assert again["base"] == first["id"]
    assert not any("anew" in note for note in again["notes"])
    whole, half = (
        page.get(f"/api/jobs/{job['id']}/clips/0/audio?start=0&stop=9000").floats
        for job in (first, again)
    )
    assert half == pytest.approx(whole / 2, abs=1e-5)
    other = page.job(["dog"], options={"model": "compact"}, base=first["id"])
    assert other["base"] == ""  # another model answers: from the beginning
    wrong = page.ask(
        "POST", f"/api/sources/{page.source}/jobs", {"queries": ["dog"], "base": new_id()}
    )
    assert wrong.status == 404


def test_a_waiting_job_is_cancelled(home: Any, page: Page, long_wav: Path) -> None:
    source = opened(home, long_wav).source
    (home.root / "hold").touch()
    try:
        path = f"/api/sources/{source}/jobs"
        running = page.ask("POST", path, {"queries": ["dog hold"]}).json["id"]
        waiting = page.ask("POST", path, {"queries": ["cat"]}).json["id"]
        assert page.ask("DELETE", f"/api/jobs/{waiting}").json["state"] == "cancelled"
        early = page.ask("POST", f"/api/jobs/{running}/send", {"editor": "audacity"})
        assert early.status == 409
        page.ask("DELETE", f"/api/jobs/{running}")
    finally:
        (home.root / "hold").unlink()
    assert page.ended(running)["state"] == "cancelled"
    assert page.ask("DELETE", f"/api/sources/{source}").status == 200
    assert page.ask("GET", f"/api/jobs/{running}").status == 404


def test_what_is_heard_can_be_asked_for(page: Page, until: Callable[..., None]) -> None:
    path = f"/api/sources/{page.source}/heard"
    until(lambda: page.get(path).json["state"] == "done")
    said = page.get(path).json
    assert said["heard"][0]["name"] == "dog barking"
    assert said["heard"][0]["events"] == [[0.0, 1.0, 0.88]]
    # a separation does not wait for it, and it is not lost
    other = page.ask("POST", "/api/sources?name=b.wav", wav_bytes(np.ones(RATE) * 0.1)).json["id"]
    page.ask("GET", f"/api/sources/{other}/heard")
    assert page.job(["dog"], source=other)["state"] == "done"
    until(lambda: page.get(f"/api/sources/{other}/heard").json["state"] == "done")
    page.ask("DELETE", f"/api/sources/{other}")


def test_suggestions_come_as_one_types(page: Page) -> None:
    said = page.get("/api/suggest?q=do").json["terms"]
    assert said[0] == {"term": "dog", "relation": "completion", "gain": said[0]["gain"]}
    assert said[0]["gain"] > 3
    terms = page.get("/api/suggest?q=dog%20bark").json["terms"]
    assert "dog barking" in {one["term"] for one in terms if one["relation"] == "completion"}
    relations = {one["relation"] for one in page.get("/api/suggest?q=pheasant").json["terms"]}
    assert "broader" in relations
    assert page.get("/api/suggest?q=%20").json == {"terms": [], "note": ""}
    assert "English" in page.get("/api/suggest?q=hundegebell").json["note"]


def wav_bytes(samples: np.ndarray, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples.astype(np.float32), rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def test_a_dropped_file_becomes_a_recording(home: Any, page: Page) -> None:
    with page.events() as socket:
        answer = page.ask("POST", "/api/sources?name=Take%207.wav", wav_bytes(np.zeros(RATE * 2)))
        assert answer.status == 201, answer.body
        source = answer.json
        heard: list[dict[str, Any]] = [{}]
        while heard[-1].get("source", {}).get("id") != source["id"]:
            heard.append(json.loads(socket.recv(90)))
        assert (source["title"], source["frames"], source["channels"]) == ("Take 7", 2 * RATE, 1)
        # silence has no loudness, and shows as nothing
        assert page.get(f"/api/sources/{source['id']}/loudness").json == {"integrated": None}
        assert not tile(page.get(f"/api/sources/{source['id']}/tile?zoom=1&index=0")).any()
        assert page.ask("DELETE", f"/api/sources/{source['id']}").json == {"gone": source["id"]}
        while heard[-1] != {"gone": source["id"]}:
            heard.append(json.loads(socket.recv(90)))
    assert not (home.folders.panel / "sources" / source["id"]).exists()
    bad = page.ask("POST", "/api/sources?name=notes.txt", b"no sound at all" * 100)
    assert bad.status == 400
    assert "notes.txt" in bad.error
    assert page.ask("POST", "/api/sources?name=a.wav", b"").status == 400


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("sources/{}/tile?zoom=0", 400, "'index' must be a whole number"),
        ("sources/{}/tile?zoom=25&index=0", 400, "'zoom' must be a whole number from 0 to 24."),
        ("sources/{}/tile?zoom=-1&index=0", 400, "'zoom' must be"),
        ("sources/{}/tile?zoom=0&index=0&channel=rear", 400, "must be mix, left, right"),
        ("sources/{}/audio?start=0&stop=16001", 416, "'stop' must be a whole number from 0 to"),
        ("sources/{}/audio?start=9&stop=9", 416, "Frames 9 to 9 are none"),
        ("sources/{}/peaks?start=0&stop=9&count=5000", 400, "from 1 to 4096"),
        ("sources/none/audio?start=0&stop=9", 404, "not open in the panel"),
        ("jobs/none", 404, "no such job"),
        ("jobs/none/clips/0/wav", 404, "no such job"),
        ("nothing", 404, "nothing at this address"),
    ],
)
def test_what_cannot_be_had_is_said(page: Page, path: str, status: int, said: str) -> None:
    answer = page.ask("GET", "/api/" + path.format(page.source))
    assert answer.status == status
    assert said in answer.error


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"queries": []}, "The query is empty"),
        ({"queries": ["dog"], "nots": ["dog"]}, "both wanted and not wanted"),
        ({"queries": "dog"}, "'queries' must be a list of texts"),
        ({"queries": ["dog"], "options": {"keep": "all"}}, "'keep' must be target, residual"),
        ({"queries": ["dog"], "options": {"keep": 3}}, "must be an object of texts"),
        ({"queries": ["dog"], "options": {"volume": "3"}}, "There is no option 'volume'"),
        ({"queries": ["do\x1bg"]}, "control character"),
        ({"queries": ["dog"], "options": {"like": "/etc/passwd@0-1"}}, "open in the panel"),
        ({"queries": [str(n) for n in range(17)]}, "16 is the most"),
        ([], "not a JSON object"),
        (b"{", "not JSON"),
    ],
)
def test_what_cannot_be_asked_is_said(page: Page, body: Any, said: str) -> None:
    answer = page.ask("POST", f"/api/sources/{page.source}/jobs", body)
    assert answer.status == 400
    assert said in answer.error


def test_thirty_seconds_of_samples_are_the_most(home: Any, page: Page, long_wav: Path) -> None:
    source = opened(home, long_wav).source
    page.get(f"/api/sources/{source}/audio?start=0&stop={30 * RATE}")
    answer = page.ask("GET", f"/api/sources/{source}/audio?start=0&stop={30 * RATE + 1}")
    assert answer.status == 416
    assert "At most 30 s" in answer.error
    page.ask("DELETE", f"/api/sources/{source}")


# Opening and closing.


def test_an_engine_without_a_panel_is_what_it_was(fresh_home: Any) -> None:
    code = (
        "import sys, bridge.app, bridge.cli; "
        "print([n for n in ('starlette', 'uvicorn', 'websockets', 'pyloudnorm', 'h11') "
        "if n in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout == "[]\n"


def test_the_port_is_there_while_it_is_wanted(home: Any, short_wav: Path) -> None:
    page = opened(home)
    assert page.source == ""
    engine = psutil.Process(home.beat().pid)
    found = {
        connection.laddr
        for connection in engine.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert found == {("127.0.0.1", page.port)}


def test_recordings_and_jobs_outlive_the_engine(
    fresh_home: Any, short_wav: Path, until: Callable[..., None]
) -> None:
    home = type(fresh_home)(fresh_home.root, standin=True)
    assert home.tweeze("start").returncode == 0
    try:
        page = opened(home, short_wav)
        job = page.job(["dog"])
        before = page.get(f"/api/sources/{page.source}/tile?zoom=1&index=0").body
        psutil.Process(home.beat().pid).kill()
        until(lambda: holder(home.folders.lock) is None)
        assert home.tweeze("start").returncode == 0
        again = opened(home)
        assert again.ask("GET", "/api/state", headers={}).status == 200
        assert Page(again.port, page.token).ask("GET", "/api/state").status == 401
        (source,) = again.get("/api/state").json["sources"]
        assert source["id"] == page.source
        assert [one["id"] for one in source["jobs"]] == [job["id"]]
        assert again.get(f"/api/sources/{page.source}/tile?zoom=1&index=0").body == before
        clip = f"/api/jobs/{job['id']}/clips/0/audio?start=0&stop=99"
        assert len(again.get(clip).floats) == 198
    finally:
        launch.stop(home.folders)


def test_the_panel_closes_when_it_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_wav: Path
) -> None:
    monkeypatch.setattr(door, "_LOOK", 0.02)
    folders = Folders(tmp_path / "home")
    folders.make()

    async def say(sentence: str) -> None:
        raise AssertionError(sentence)

    async def scenario() -> None:
        service = Service(
            folders, Journal(folders.journal), limits=Limits(), worker_main=standins.main
        )
        requests = Requests(service, {})
        opening = door.PanelDoor(service, requests, {}, say)
        requests.offer(door.PANEL, opening.handle)
        await service.start()
        ended: asyncio.Future[Status] = asyncio.get_running_loop().create_future()
        fields = (("action", "panel"), ("file", str(short_wav)))
        requests.submit(
            Request(new_id(), "", fields),
            lambda status: ended.set_result(status) if status.state.final else None,
        )
        status = await ended
        assert status.state is JobState.DONE, status.message
        loop = asyncio.get_running_loop()
        page = await loop.run_in_executor(None, Page.opened, status.message)
        with await loop.run_in_executor(None, page.events) as socket:
            assert opening._panel is not None
            while not len(opening._panel.events):
                await asyncio.sleep(0.01)
            monkeypatch.setattr(door, "IDLE", 0.0)
            seen = opening._panel.used
            while opening._panel.used == seen:  # it looks, and somebody is there
                await asyncio.sleep(0.01)
            assert opening.port == page.port
            await loop.run_in_executor(None, socket.close)
        while opening.port:
            await asyncio.sleep(0.02)
        with pytest.raises(ConnectionRefusedError):
            await loop.run_in_executor(None, page.ask, "GET", "/api/state")
        assert not list(folders.panel.glob("*.html"))
        await requests.close()
        await service.stop()

    asyncio.run(scenario())


def test_the_command_starts_a_browser_with_a_file_alone(
    home: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import webbrowser

    started: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: bool(started.append(url)) or True)
    done = home.tweeze("panel")
    assert done.returncode == 0
    path = Path(done.stdout.strip())
    assert started == [path.as_uri()]
    assert path.stat().st_mode & 0o777 == 0o600
    assert Link.read(path).code not in started[0]
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    assert home.tweeze("panel").stderr == (
        "No browser could be started: open that file in yours.\n"
    )


def test_the_command_says_what_is_wrong(home: Any, tmp_path: Path) -> None:
    gone = home.tweeze("panel", tmp_path / "gone.wav")
    assert gone.returncode == 2
    assert "does not exist" in gone.stderr
    (tmp_path / "notes.wav").write_text("no sound")
    bad = home.tweeze("panel", tmp_path / "notes.wav", "--no-browser")
    assert bad.returncode == 2
    assert bad.stderr.count("\n") == 1


def test_standard_input_is_opened_too(home: Any, short_wav: Path) -> None:
    done = home.piped(short_wav.read_bytes(), "panel", "-", "--no-browser")
    assert done.returncode == 0, done.stderr
    page = Page.opened(done.stdout.decode().strip())
    assert page.job(["dog"])["state"] == "done"
    assert not list(home.folders.mixtures.iterdir())
    page.ask("DELETE", f"/api/sources/{page.source}")


# Pictures.


def drawn(
    samples: np.ndarray, folder: Path, rate: int, *, ready: int | None = None
) -> tuple[Overview, Samples]:
    folder.mkdir(exist_ok=True)
    path = folder / "samples.f32"
    channels, frames = samples.shape
    samples.T.astype("<f4").tofile(path)
    made = Samples(
        path, AudioInfo(rate, channels, frames), ready=frames if ready is None else ready
    )
    return Overview(made, folder), made


def settled(work: Callable[[], bytes]) -> bytes:
    deadline = time.monotonic() + 60
    while True:
        try:
            return work()
        except NotYet:  # noqa: PERF203
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
@pytest.mark.parametrize("zoom", [0, 2, 5, 8])
def test_a_tone_stands_in_its_row_at_its_level(tmp_path: Path, rate: int, zoom: int) -> None:
    frames = 300 * tiles.hop(zoom)
    tone = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(frames) / rate)
    overview, _ = drawn(np.stack([tone, -tone]), tmp_path, rate)
    picture = np.frombuffer(settled(lambda: overview.tile("left", zoom, 0)), np.uint8)
    picture = picture.reshape(256, 256)
    row = round(256 * np.log(1000 / 50) / np.log(rate / 2 / 50))
    column = picture[:, 128]
    assert abs(int(np.argmax(column)) - row) <= (3 if zoom else 12)
    assert column.max() == pytest.approx(80 / 100 * 255, abs=4)  # -20 dBFS
    # in the sum both channels are gone
    assert not np.frombuffer(settled(lambda: overview.tile("mix", zoom, 0)), np.uint8).any()
    second = np.frombuffer(settled(lambda: overview.tile("right", zoom, 1)), np.uint8)
    second = second.reshape(256, 256)
    assert second[:, :40].max() > 100
    assert not second[:, 44:].any()  # beyond the end
    overview.close()


def test_a_click_is_seen_from_any_distance(tmp_path: Path) -> None:
    rate, frames = 16_000, 16_000 * 120
    samples = np.zeros((1, frames))
    samples[0, 1_000_003] = 1.0
    overview, _ = drawn(samples, tmp_path, rate)
    for zoom in range(14):
        column = 1_000_003 // tiles.hop(zoom)
        index, at = divmod(column, 256)
        picture = settled(lambda zoom=zoom, index=index: overview.tile("mix", zoom, index))
        seen = np.frombuffer(picture, np.uint8).reshape(256, 256)[:, at]
        assert seen.max() > 60, zoom
    # and in the waveform, read from the samples or from the kept extremes
    for start, stop, count in ((1_000_000, 1_000_010, 10), (0, frames, 500), (0, frames, 3)):
        peaks = np.frombuffer(
            settled(lambda s=start, e=stop, n=count: overview.peaks(s, e, n)), "<f4"
        ).reshape(1, count, 2)
        assert peaks.max() == 1.0
        assert np.argmax(peaks[0, :, 1]) == (1_000_003 - start) * count // (stop - start)
    overview.close()


def test_kept_pictures_are_those_of_the_samples(tmp_path: Path) -> None:
    rate = 8_000
    noise = np.random.default_rng(1).standard_normal((2, rate * 40)) * 0.1
    overview, samples = drawn(noise, tmp_path, rate)
    base = tiles.Scale(rate).base
    far = settled(lambda: overview.tile("mix", base + 4, 0))
    whole = tiles.columns(
        lambda a, b: tiles.view(samples.read(a, b), "mix"),
        samples.info.frames, rate, base, 0, 256 * 16,
    )  # fmt: skip
    wanted = whole.reshape(256, 16, 256).max(axis=1).T
    assert (np.frombuffer(far, np.uint8).reshape(256, 256) == wanted).all()
    kept, _ = drawn(noise, tmp_path, rate)  # another engine finds the files
    assert settled(lambda: kept.tile("mix", base + 4, 0)) == far
    overview.close()
    kept.close()


def test_what_is_still_read_is_not_drawn_yet(tmp_path: Path) -> None:
    rate = 8_000
    overview, samples = drawn(np.ones((1, rate * 60)), tmp_path, rate, ready=rate)
    with pytest.raises(NotYet):
        overview.tile("mix", 3, 2)
    with pytest.raises(NotYet):
        overview.peaks(0, rate * 60, 10)
    with samples.grown:
        samples.ready, samples.whole = rate * 60, True
        samples.grown.notify_all()
    assert settled(lambda: overview.tile("mix", 3, 2))
    assert settled(lambda: overview.peaks(0, rate * 60, 10))
    samples.path.unlink()
    with pytest.raises(Failure, match="no longer kept"):
        overview.tile("right", 0, 0)
    overview.close()


def test_decoding_gives_the_samples_of_the_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).uniform(-0.5, 0.5, (70_000, 2))
    soundfile.write(tmp_path / "a.flac", noise, 22_050, subtype="PCM_24")
    news: list[int] = []
    decoding = Decoding(tmp_path / "a.flac", tmp_path / "a.f32", lambda: news.append(1))
    decoding.run()
    assert decoding.samples is not None
    assert decoding.samples.whole
    assert decoding.samples.info == AudioInfo(22_050, 2, 70_000)
    read = soundfile.read(tmp_path / "a.flac", dtype="float32")[0]
    assert (decoding.samples.interleaved(0, 70_000) == read).all()
    assert len(news) >= 2
    bad = Decoding(tmp_path / "none.wav", tmp_path / "b.f32")
    bad.run()
    assert "none.wav" in bad.error


# Loudness.


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 2), (48_000, 2)])
def test_loudness_is_what_pyloudnorm_says_of_the_whole(
    tmp_path: Path, rate: int, channels: int
) -> None:
    from pyloudnorm import Meter

    random = np.random.default_rng(3)
    frames = int(rate * 17.37)
    noise = random.standard_normal((frames, channels)) * 0.1
    noise *= (np.sin(np.arange(frames) / rate) > 0)[:, None] * 0.999 + 0.001  # the gates count
    _, samples = drawn(noise.T.astype(np.float32), tmp_path, rate)
    wanted = Meter(rate).integrated_loudness(noise.astype(np.float32).astype(np.float64))
    assert loudness(samples) == pytest.approx(wanted, abs=0.01)


def test_what_is_short_is_measured_by_its_rms(tmp_path: Path) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 500 * np.arange(3200) / 16_000)
    _, samples = drawn(tone[None], tmp_path / "a", 16_000)
    assert loudness(samples) == pytest.approx(10 * np.log10(0.125) - 0.691, abs=0.01)
    for seconds in (0.1, 2.0):
        silent = np.zeros((2, int(16_000 * seconds)))
        _, samples = drawn(silent, tmp_path / f"b{seconds}", 16_000)
        assert loudness(samples) is None


# Small parts.


def test_a_code_is_worth_one_token_for_a_minute() -> None:
    now = [0.0]
    access = Access(1234, clock=lambda: now[0])
    code, late = access.new_code(), access.new_code()
    token = access.redeem(code)
    assert token is not None
    assert access.knows(token)
    assert not access.knows(code)
    assert access.redeem(code) is None
    now[0] = 61
    assert access.redeem(late) is None
    assert access.knows(token)
    assert not access.knows("")


def test_the_newest_tiles_are_kept() -> None:
    cache = TileCache(size=100)
    for number in range(5):
        cache.put((number,), bytes(25))
        cache.get((0,))
    assert [number for number in range(5) if cache.get((number,)) is not None] == [0, 2, 3, 4]


def test_a_clip_is_read_behind_its_header(tmp_path: Path) -> None:
    info = AudioInfo(RATE, 2, 500)
    samples = np.random.default_rng(5).standard_normal((2, 500)).astype(np.float32)
    writer = FrameWriter(tmp_path / "clip.wav", info)
    writer.write(samples)
    writer.close()
    assert (clip_samples(tmp_path / "clip.wav", info).read(10, 20) == samples[:, 10:20]).all()
    with pytest.raises(Failure, match="not as long"):
        clip_samples(tmp_path / "clip.wav", AudioInfo(RATE, 2, 501))
    with pytest.raises(Failure, match="no longer kept"):
        clip_samples(tmp_path / "gone.wav", info)


def test_the_page_asks_twice_where_the_engine_does() -> None:
    page = (files("bridge") / "panel" / "comparing.js").read_text(encoding="utf-8")
    assert f"const TWICE_SECONDS = {LONGEST:g};" in page
