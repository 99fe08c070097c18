"""The OSC door and REAPER's host, over real sockets, with the script that listens in REAPER."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from bridge.client import Client
from bridge.doors.osc import Access
from engine.job import new_id
from engine.options import Keep, Options
from engine.presets import Preset
from engine.queue.heartbeat import Heartbeat
from engine.queue.preset_file import PresetFile
from engine.request import Request
from engine.status import JobState
from reaper.wake import Waker
from tests.hosts.reaper.studio import (
    DEADLINE,
    Engine,
    Studio,
    copy_scripts,
    engine,
    environment,
    until,
)


class Controller:
    """A Stream Deck, say: sends verbs, and hears what comes back."""

    def __init__(self, running: Engine) -> None:
        access = Access.read(running.folders)
        assert access is not None
        assert access.port
        self.secret = access.secret
        self.engine = ("127.0.0.1", access.port)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.heard: list[tuple[str, list[Any]]] = []

    def send(self, verb: str, *arguments: Any, secret: str | None = None) -> None:
        builder = OscMessageBuilder(f"/tweeze/{verb}")
        for value in (self.secret if secret is None else secret, *arguments):
            builder.add_arg(value)
        self.socket.sendto(builder.build().dgram, self.engine)

    def listen(self) -> None:
        while True:
            try:
                message = OscMessage(self.socket.recv(65536))
            except BlockingIOError:
                return
            self.heard.append((message.address, message.params))

    def hears(self, address: str, *first: Any) -> Callable[[], bool]:
        def heard() -> bool:
            self.listen()
            return any(a == address and p[: len(first)] == list(first) for a, p in self.heard)

        return heard

    def said(self, address: str) -> list[list[Any]]:
        self.listen()
        return [values for heard, values in self.heard if heard == address]


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def at_port(port: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TWEEZE_OSC_PORT", str(port))
        yield


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with at_port(free_port()), engine(tmp_path_factory.mktemp("osc") / "home", "stand-in") as door:
        until(lambda: (door.folders.spool / "reaper" / "offer").exists())
        yield door


@pytest.fixture(scope="module")
def subscriber(door: Engine) -> Iterator[Controller]:
    """One for all tests: the door takes only so many."""
    until(lambda: Access.read(door.folders))
    made = Controller(door)
    made.send("subscribe")
    until(made.hears("/tweeze/engine"))
    yield made
    made.socket.close()


@pytest.fixture
def controller(subscriber: Controller) -> Controller:
    subscriber.listen()
    subscriber.heard.clear()
    return subscriber


@pytest.fixture
def desk(tmp_path: Path, door: Engine) -> Iterator[Studio]:
    scripts = copy_scripts(tmp_path / "scripts")
    made = Studio(tmp_path, door.folders, scripts, start=door.command)
    (door.folders.spool / "reaper" / "alive").unlink(missing_ok=True)
    yield made
    made.reaper.quit()


def listening(desk: Studio) -> None:
    desk.begin("listen")
    alive = desk.folders.spool / "reaper" / "alive"
    desk.cycle_until(alive.exists)


def test_separate_again_and_feedback(desk: Studio, controller: Controller) -> None:
    desk.item(desk.wav(0.25))
    listening(desk)
    controller.send("separate", "dog; rain", "reaper", "both")
    desk.cycle_until(lambda: len(desk.project.undo) == 1, "the insertion")
    assert desk.names() == ["Take 1", "Take 1 - dog", "Take 1 - rain", "Take 1 - without dog, rain"]
    until(controller.hears("/tweeze/job/done"))
    (done,) = controller.said("/tweeze/job/done")
    assert done[1:] == ["Take 1 - dog", "Take 1 - rain", "Take 1 - without dog, rain"]
    assert any(values[0] == done[0] for values in controller.said("/tweeze/job/progress"))
    # The editor that is meant is the one that asked last.
    controller.send("again")
    desk.cycle_until(lambda: len(desk.project.undo) == 2, "the second insertion")
    assert len(desk.names()) == 7
    assert desk.reaper.boxes == []
    assert len(desk.reaper.scripts) == 1
    desk.nothing_is_left()


def test_any_option_can_be_named(desk: Studio, controller: Controller) -> None:
    desk.item(desk.wav(0.25))
    listening(desk)
    controller.send("separate", "dog", "reaper", "stereo=linked", "keep=both", "sharpness=1.5")
    desk.cycle_until(lambda: len(desk.project.undo) == 1, "the insertion")
    assert desk.names() == ["Take 1", "Take 1 - dog", "Take 1 - without dog"]
    settings = desk.reaper.settings
    assert settings["Tweeze", "options"][0] == "stereo=linked;sharpness=1.50"
    assert settings["Tweeze", "keep"][0] == "both"
    # With another sound they are named anew; asked again, they are as they were.
    controller.send("again")
    desk.cycle_until(lambda: len(desk.project.undo) == 2, "the second insertion")
    assert settings["Tweeze", "options"][0] == "stereo=linked;sharpness=1.50"
    controller.send("separate", "rain")
    desk.cycle_until(lambda: len(desk.project.undo) == 3, "the third insertion")
    assert settings["Tweeze", "options"][0] == ""
    assert {"Take 1 - rain", "Take 1 - without rain"} < set(desk.names())


def test_named_spans_reach_the_job_and_come_before_regions(
    desk: Studio, controller: Controller
) -> None:
    desk.item(desk.wav(0.5), 1.0)
    desk.project.markers = [(1.2, 1.3, "+ dog")]
    listening(desk)
    controller.send("separate", "dog", "reaper", "at=0-0.2,0.3-", "band=300-3400")
    desk.cycle_until(lambda: len(desk.project.undo) == 1, "the insertion")
    controller.send("again")
    desk.cycle_until(lambda: len(desk.project.undo) == 2, "the second insertion")
    controller.send("separate", "dog", "band=500-")
    desk.cycle_until(lambda: len(desk.project.undo) == 3, "the third insertion")
    options = [job.options for job in desk.jobs()]
    assert [[span.text for span in one.at] for one in options] == [
        *[["0-0.2", "0.3-"]] * 2,
        ["0.2-0.3"],
    ]
    assert [one.band[0].text for one in options] == ["300-3400"] * 2 + ["500-"]


def test_what_is_not_wanted_reaches_the_job(desk: Studio, controller: Controller) -> None:
    desk.item(desk.wav(0.25))
    listening(desk)
    nots = ("not=rain; wind", "keep=both", "not=car horn")
    controller.send("separate", "dog; hi-hat - speech", "reaper", *nots)
    desk.cycle_until(lambda: len(desk.project.undo) == 1, "the insertion")
    assert desk.names()[-1] == "Take 1 - without dog, hi-hat"
    controller.send("again")
    desk.cycle_until(lambda: len(desk.project.undo) == 2, "the second insertion")
    controller.send("separate", "bird")  # with another sound, what is not wanted is named anew
    desk.cycle_until(lambda: len(desk.project.undo) == 3, "the third insertion")
    unwanted = ("speech", "rain", "wind", "car horn")
    assert [(job.queries, job.nots) for job in desk.jobs()] == [
        *[(("dog", "hi-hat"), unwanted)] * 2,
        (("bird",), ()),
    ]


@pytest.fixture
def presets(door: Engine) -> Iterator[PresetFile]:
    file = PresetFile(door.folders)
    options = (("sharpness", "2"), ("keep", "both"))
    file.save(Preset("Birds", ("bird song",), ("wind",), options))
    file.save(Preset("half", options=(("amount", "50"),)))
    yield file
    door.folders.presets.unlink()


def test_presets_are_named(desk: Studio, controller: Controller, presets: PresetFile) -> None:
    desk.item(desk.wav(0.25))
    listening(desk)
    sent = (
        ("separate", "preset=birds", "reaper"),
        ("again", "preset=HALF"),
        ("separate", "dog - rain", "reaper", "preset=birds", "keep=target", "sharpness=1"),
        ("separate", "", "reaper", "preset=birds"),  # whatever was asked for last
        ("again", "reaper", "preset=half", "sharpness=3"),
        ("separate", "@birds; cow", "reaper", "amount=20"),
    )
    for number, (verb, *arguments) in enumerate(sent, start=1):
        controller.send(verb, *arguments)
        desk.cycle_until(lambda number=number: len(desk.project.undo) == number, "an insertion")
    birds, both = ("bird song",), Keep.BOTH
    assert [(job.queries, job.nots, job.options) for job in desk.jobs()] == [
        (birds, ("wind",), Options(keep=both, sharpness=2)),
        (birds, ("wind",), Options(keep=both, sharpness=2, amount=50)),
        (("dog",), ("rain",), Options()),
        (birds, ("wind",), Options(keep=both, sharpness=2)),
        (birds, ("wind",), Options(keep=both, sharpness=3, amount=50)),
        (("bird song", "cow"), ("wind",), Options(keep=both, sharpness=2, amount=20)),
    ]


def test_the_window_is_told_of_presets(door: Engine, presets: PresetFile) -> None:
    fields = (("action", "suggest"), ("query", "@h"))
    status = Client(door.folders).request(Request(new_id(), "reaper", fields))
    assert status.message == "@half"


def test_a_job_is_adjusted(desk: Studio, controller: Controller) -> None:
    desk.item(desk.wav(0.25))
    listening(desk)
    controller.send("separate", "dog", "reaper", "keep=both")
    desk.cycle_until(lambda: len(desk.project.undo) == 1, "the insertion")
    until(controller.hears("/tweeze/job/done"))
    controller.send("adjust", "last", "amount=50", "not=rain; wind", "at=0-0.2")
    desk.cycle_until(lambda: len(controller.said("/tweeze/job/done")) == 2, "the second clips")
    first, second = desk.jobs()
    assert (second.base, second.nots, second.options.amount) == (first.id, ("rain", "wind"), 50.0)
    assert [span.text for span in second.options.at] == ["0-0.2"]
    desk.cycle_until(lambda: len(desk.project.undo) == 2, "the second insertion")
    assert second.placement == first.placement
    assert desk.names()[1] == "Take 1 - dog"
    controller.send("adjust", "no-such-job", "amount=50")
    until(controller.hears("/tweeze/job/failed"))
    assert "knows of no job 'no-such-job'" in controller.said("/tweeze/job/failed")[-1][1]
    controller.send("adjust", "last", "model=other")
    until(lambda: len(controller.said("/tweeze/job/failed")) == 2)
    assert "'model' cannot be adjusted" in controller.said("/tweeze/job/failed")[-1][1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stereo=mono"], "'stereo' must be independent or linked, not 'mono'."),
        (["tempo=3"], "There is no option 'tempo'; there are: model, keep, stereo"),
        (["everything"], "'keep' must be target, residual or both, not 'everything'."),
        (["both", "maybe"], "'mute' must be yes or no, not 'maybe'."),
        (["both", 1, "mute=no"], "'mute' is named twice"),
    ],
)
def test_a_wrong_option_is_an_error(
    controller: Controller, arguments: list[str | int], said: str
) -> None:
    controller.send("separate", "dog", "reaper", *arguments)
    until(controller.hears("/tweeze/error"))
    assert controller.said("/tweeze/error")[0][0].startswith(said)


def test_what_the_script_refuses_is_heard(desk: Studio, controller: Controller) -> None:
    listening(desk)
    controller.send("separate", "dog", "reaper")
    desk.cycle_until(controller.hears("/tweeze/job/failed"), "the refusal")
    assert "Nothing is selected" in controller.said("/tweeze/job/failed")[0][1]
    assert desk.reaper.boxes == []


def test_cancel(desk: Studio, controller: Controller) -> None:
    (desk.folders.root / "hold").touch()
    desk.item(desk.wav(2.0))
    listening(desk)
    controller.send("separate", "hold", "reaper")
    desk.cycle_until(lambda: any(s.state is JobState.RUNNING for s in desk.recent()))
    controller.send("cancel")
    (desk.folders.root / "hold").unlink()
    desk.cycle_until(controller.hears("/tweeze/job/failed"), "the cancelling")
    pending = desk.reaper.resource / "Data/Tweeze/pending"
    desk.cycle_until(lambda: not list(pending.glob("*")))
    assert not desk.project.undo
    assert controller.said("/tweeze/job/failed")[0][1].startswith("Cancelled: ")


def test_cancel_while_it_reads(desk: Studio, controller: Controller) -> None:
    desk.reaper.accessor_cost = 0.014
    desk.item(desk.wav(20.0))
    listening(desk)
    controller.send("separate", "dog", "reaper")
    desk.cycle_until(lambda: desk.reaper.accessors)
    controller.send("cancel")
    desk.cycle_until(lambda: not desk.reaper.accessors[0].alive)
    assert not list(desk.folders.mixtures.glob("[!.]*"))
    assert not desk.project.undo


def asked(
    desk: Studio,
    *arguments: str,
    meanwhile: Callable[[subprocess.Popen[str]], None] = lambda process: None,
) -> subprocess.CompletedProcess[str]:
    """Run `tweeze` in a terminal while REAPER goes on."""
    with subprocess.Popen(
        [sys.executable, "-m", "bridge.cli", *arguments, "--host", "reaper"],
        env=environment(desk.folders),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        meanwhile(process)
        desk.cycle_until(lambda: process.poll() is not None, f"the end of {arguments}")
        out, err = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@contextlib.contextmanager
def held(desk: Studio) -> Iterator[None]:
    """Have the engine stand still from when the script begins to read."""
    desk.reaper.accessor_cost = 0.014  # a little at a time
    desk.cycle_until(lambda: desk.reaper.accessors, "the reading")
    beat = Heartbeat.of_living(desk.folders)
    assert beat is not None
    running = psutil.Process(beat.pid)
    running.suspend()
    try:
        yield
    finally:
        running.resume()


def test_a_job_that_is_refused_is_no_success(desk: Studio) -> None:
    desk.item(desk.wav(0.25))
    listening(desk)
    answers = desk.folders.spool / "reaper" / "answers"
    known = set(answers.glob("[!.]*"))

    def sent(process: subprocess.Popen[str]) -> None:
        """REAPER says that it has sent the job, and nothing more until the command has ended."""
        with held(desk):
            desk.cycle_until(lambda: set(answers.glob("[!.]*")) - known, "the sending")
        until(lambda: process.poll() is not None, "the end of the command")

    done = asked(desk, "trigger", "dog", "--model", "nope", meanwhile=sent)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert "There is no model named 'nope'" in done.stderr
    assert done.stderr.count("\n") == 1
    pending = desk.reaper.resource / "Data/Tweeze/pending"
    desk.cycle_until(lambda: not list(pending.glob("*")), "the script's own end of it")
    assert not desk.project.undo
    desk.nothing_is_left()


def test_a_refused_job_is_heard_over_osc(desk: Studio, controller: Controller) -> None:
    """Also where the engine never took it for a job."""
    desk.item(desk.wav(0.25))
    listening(desk)
    controller.send("separate", "x" * 1000, "reaper")
    desk.cycle_until(controller.hears("/tweeze/job/failed"), "the refusal")
    assert "The query has 1,000 characters" in controller.said("/tweeze/job/failed")[0][1]


def test_one_of_two_jobs_is_refused(desk: Studio) -> None:
    """The one is told, the other goes in."""
    desk.item(desk.wav(0.5))
    desk.item(desk.wav(0.25, name="b.wav"))
    listening(desk)

    def damage(process: object) -> None:
        with held(desk):
            jobs = desk.folders.jobs
            desk.cycle_until(lambda: len(list(jobs.glob("[!.]*"))) == 2, "the jobs")
            (second,) = desk.folders.mixtures.glob("*-2.wav")
            second.write_bytes(b"no audio")

    done = asked(desk, "trigger", "dog", meanwhile=damage)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert "-2.wav" in done.stderr
    assert "The others go on: job " in done.stderr
    desk.cycle_until(lambda: len(desk.project.undo) == 1, "the insertion")
    assert desk.names() == ["Take 1", "Take 1 - dog", "Take 2"]
    desk.nothing_is_left()


def test_insert_answers_when_the_clips_are_in(desk: Studio) -> None:
    desk.item(desk.wav(0.25))
    script = desk.separate()
    pending = desk.reaper.resource / "Data/Tweeze/pending"
    desk.cycle_until(lambda: list(pending.glob("*")))
    script.end()
    until(lambda: any(s.state is JobState.DONE for s in desk.recent()))
    desk.reaper.answers = [7]  # not now: the terminal is to do it
    listening(desk)
    desk.project.folder.write_bytes(b"no folder")
    failed = asked(desk, "insert")
    assert (failed.returncode, failed.stdout) == (2, ""), failed
    assert failed.stderr.startswith("0 inserted. The clips could not be put into")
    desk.project.folder.unlink()
    done = asked(desk, "insert")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 inserted.\n", "")
    assert desk.names() == ["Take 1", "Take 1 - dog"]
    nothing = asked(desk, "insert")
    assert (nothing.returncode, nothing.stdout) == (0, "0 inserted.\n")


def test_an_editor_must_be_known(tmp_path: Path) -> None:
    with at_port(free_port()), engine(tmp_path / "home", "stand-in") as fresh:
        until(lambda: Access.read(fresh.folders))
        made = Controller(fresh)
        for named in ("", "cubase"):
            made.heard.clear()
            made.send("separate", "dog", named)
            until(made.hears("/tweeze/error"))
            assert "reaper" in made.said("/tweeze/error")[0][0]
            assert not list(fresh.folders.request_status.iterdir())
        made.socket.close()


def bundle(*elements: bytes, due: int = 1) -> bytes:
    """Return a bundle; `due` is its time tag, of which 1 means immediately."""
    sized = (len(element).to_bytes(4, "big") + element for element in elements)
    return b"#bundle\0" + due.to_bytes(8, "big") + b"".join(sized)


def message(controller: Controller, verb: str, *arguments: tuple[str, Any]) -> bytes:
    """Return a message with the secret, and arguments of given OSC types."""
    builder = OscMessageBuilder(f"/tweeze/{verb}")
    builder.add_arg(controller.secret)
    for kind, value in arguments:
        builder.add_arg(value, kind)
    return builder.build().dgram


def test_a_bundle_is_taken_apart(desk: Studio, controller: Controller) -> None:
    """Also within a bundle, and where its time has come; what is without the secret is not."""
    desk.item(desk.wav(0.25))
    listening(desk)
    separate = message(controller, "separate", ("s", "dog"), ("s", "reaper"))
    stranger = separate.replace(controller.secret.encode(), b"0" * 32).replace(b"dog", b"cat")
    past = (time.time_ns() // 10**9 + 2_208_988_800 - 1) << 32
    status = message(controller, "status")
    controller.heard.clear()
    packet = bundle(stranger, bundle(separate, due=past), status)
    controller.socket.sendto(packet, controller.engine)
    desk.cycle_until(lambda: len(desk.project.undo) == 1, "the insertion")
    assert desk.names() == ["Take 1", "Take 1 - dog"]
    until(controller.hears("/tweeze/engine"))
    assert not controller.said("/tweeze/error")


def test_other_types_are_understood(desk: Studio, controller: Controller) -> None:
    """Doubles and 64-bit integers are numbers; nil is an argument that is left out."""
    desk.item(desk.wav(0.25))
    listening(desk)
    nil = ("N", None)
    arguments = (("s", "dog"), ("s", "reaper"), nil, ("d", 1.0))
    controller.socket.sendto(message(controller, "separate", *arguments), controller.engine)
    desk.cycle_until(lambda: len(desk.project.undo) == 1, "the insertion")
    assert desk.project.items[0].values["B_MUTE"] == 1.0
    controller.socket.sendto(message(controller, "again", nil), controller.engine)
    desk.cycle_until(lambda: len(desk.project.undo) == 2, "the second insertion")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other.settimeout(DEADLINE)
        for kind, value in (("h", int), ("d", float)):
            port = (kind, value(other.getsockname()[1]))
            controller.socket.sendto(message(controller, "subscribe", port), controller.engine)
            assert OscMessage(other.recv(4096)).address == "/tweeze/engine"
    controller.heard.clear()
    controller.socket.sendto(message(controller, "subscribe", nil), controller.engine)
    until(controller.hears("/tweeze/engine"))
    assert not controller.said("/tweeze/error")


@pytest.mark.fault(
    "a controller that knows the secret sends what OSC allows and Tweeze cannot use",
    promise="a sentence says why, to the controller and in the log; nothing is carried out",
)
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda c: message(c, "separate", ("s", "dog"), ("b", b"x")), "OSC type 'b' means nothing"),
        (lambda c: message(c, "cancel", ("m", (0, 0, 0, 0))), "OSC type 'm' means nothing"),
        (lambda c: message(c, "separate", ("s", "dog"))[:-4], "is the packet cut short?"),
        (lambda c: message(c, "separate", ("s", "dog")) + b"x", "is the packet cut short?"),
        (lambda c: bundle(message(c, "separate", ("s", "dog")))[:-4], "is the packet cut short?"),
        (lambda c: bundle(message(c, "cancel"), due=(1 << 64) - 1), "A bundle for later"),
        (lambda c: message(c, "cancel", ("s", "x" * 5000)), "and 4,096 is the most"),
        (lambda c: bundle(message(c, "cancel"), bytes(5000)), "and 4,096 is the most"),
        (lambda c: message(c, "play"), "There is no message '/tweeze/play'; there are: /tweeze/"),
        (lambda c: message(c, "separate", *[("s", "dog")] * 4), "not 'dog'"),
        (
            lambda c: message(c, "separate", ("s", "dog"), *[("N", None)] * 2, ("d", 0.5)),
            "'mute' must be yes or no, not '0.5'",
        ),
    ],
)
def test_what_cannot_be_used_is_answered(
    controller: Controller, door: Engine, make: Callable[[Controller], bytes], sentence: str
) -> None:
    controller.heard.clear()
    controller.socket.sendto(make(controller), controller.engine)
    until(controller.hears("/tweeze/error"), sentence)
    ((said,),) = controller.said("/tweeze/error")
    assert sentence in said
    log = door.folders.log.read_text("utf-8")
    assert said[:150] in log
    assert controller.secret not in log
    # The same without the secret: no word.
    controller.heard.clear()
    wrong = make(controller).replace(controller.secret.encode(), b"0" * 32)
    controller.socket.sendto(wrong, controller.engine)
    controller.send("status")  # comes after it
    until(controller.hears("/tweeze/engine"))
    assert not controller.said("/tweeze/error")


def test_a_request_is_cancelled_before_it_begins(desk: Studio, controller: Controller) -> None:
    """In one bundle with its cancelling: it ends, and says so."""
    desk.item(desk.wav(0.25))
    listening(desk)
    separate = message(controller, "separate", ("s", "dog"), ("s", "reaper"))
    controller.socket.sendto(bundle(separate, message(controller, "cancel")), controller.engine)
    until(controller.hears("/tweeze/job/failed"))
    assert controller.said("/tweeze/job/failed")[0][1] == "Cancelled: 'dog'."
    until(lambda: (beat := Heartbeat.of_living(desk.folders)) and beat.requests == 0)
    desk.reaper.cycle()
    assert not desk.recent()


def test_requests_over_osc_need_no_file(desk: Studio, controller: Controller) -> None:
    known = set(desk.folders.request_status.iterdir())
    desk.item(desk.wav(0.25))
    listening(desk)
    controller.send("separate", "dog", "reaper")
    desk.cycle_until(lambda: len(desk.project.undo) == 1, "the insertion")
    assert set(desk.folders.request_status.iterdir()) == known


def test_wrong_arguments_are_errors(desk: Studio, controller: Controller) -> None:
    for verb, arguments in (
        ("separate", ()),
        ("separate", (" ; ", "reaper")),
        ("separate", ("- dog", "reaper")),
        ("separate", ("dog", "reaper", "everything")),
        ("separate", ("dog\nend", "reaper")),
        ("separate", ("x" * 1000, "reaper")),
        ("cancel", ("../../etc/passwd",)),
        ("cancel", ("no-such-job",)),
        ("subscribe", (80,)),
        ("subscribe", ("port",)),
    ):
        controller.heard.clear()
        controller.send(verb, *arguments)
        address = "/tweeze/job/failed" if arguments[:1] == ("x" * 1000,) else "/tweeze/error"
        if address == "/tweeze/job/failed":
            listening(desk)
            desk.cycle_until(controller.hears(address), f"{verb} {arguments}")
        else:
            until(controller.hears(address), f"{verb} {arguments}")


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("not=", "'not=' names no sound: write 'not=rain', or leave it out."),
        ("not= ; ", "'not=' names no sound: write 'not=rain', or leave it out."),
        ("not=rain;DOG", "'dog' is both wanted and not wanted: leave one of them out."),
        (f"not={'x' * 301}", "The query has 301 characters, and 300 is the most"),
    ],
)
def test_what_cannot_be_unwanted_is_an_error(
    controller: Controller, argument: str, said: str
) -> None:
    controller.send("separate", "dog", "reaper", argument)
    until(controller.hears("/tweeze/error"))
    assert controller.said("/tweeze/error")[0][0].startswith(said)


def test_reaper_is_woken(desk: Studio, controller: Controller, tmp_path: Path) -> None:
    """`reaper -nonewinst script`, where the script does not listen yet; else a sentence."""
    desk.item(desk.wav(0.25))
    controller.send("separate", "dog", "reaper")
    until(controller.hears("/tweeze/job/failed"))
    assert "Tweeze - listen" in controller.said("/tweeze/job/failed")[0][1]
    woken = tmp_path / "woken"
    program = tmp_path / f"reaper-{os.getpid()}"
    program.write_text(
        # Without arguments it is REAPER, which runs until it is asked for something.
        f"#!/bin/sh\nif [ $# = 0 ]; then while [ ! -e '{woken}' ]; do sleep 0.05; done; exit; fi\n"
        f"printf '%s\\n' \"$@\" > '{woken}.part' && mv '{woken}.part' '{woken}'\n"
    )
    program.chmod(0o755)
    Waker(str(program), str(desk.scripts / "Tweeze - listen.lua")).write(desk.folders)
    controller.heard.clear()
    controller.send("separate", "dog", "reaper")
    until(controller.hears("/tweeze/job/failed"))
    assert "REAPER does not run" in controller.said("/tweeze/job/failed")[0][1]
    # With the program running, it is asked to start the script.
    running = subprocess.Popen([str(program)])
    try:
        controller.send("separate", "dog", "reaper")
        until(woken.exists)
        script = str(desk.scripts / "Tweeze - listen.lua")
        assert woken.read_text().splitlines() == ["-nonewinst", script]
        running.wait(DEADLINE)
    finally:
        running.kill()
    desk.begin("listen")
    desk.cycle_until(lambda: len(desk.project.undo) == 1, "the insertion")
    Waker.path(desk.folders).unlink()


def test_reaper_is_woken_over_its_own_osc(desk: Studio, controller: Controller) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as surface:
        surface.bind(("127.0.0.1", 0))
        surface.settimeout(DEADLINE)
        Waker(action="_RS123", port=surface.getsockname()[1]).write(desk.folders)
        desk.item(desk.wav(0.25))
        controller.send("separate", "dog", "reaper")
        message = OscMessage(surface.recv(1024))
        assert (message.address, message.params) == ("/action/str", ["_RS123"])
        desk.begin("listen")
        desk.cycle_until(lambda: len(desk.project.undo) == 1, "the insertion")
        Waker.path(desk.folders).unlink()


def test_there_is_one_listener(desk: Studio) -> None:
    listening(desk)
    desk.begin("listen")
    desk.reaper.cycle()
    assert len(desk.reaper.scripts) == 1


def test_what_became_ready_is_offered(desk: Studio) -> None:
    """By the script that listens, when the project comes to the front."""
    project = desk.project
    project.file = str(desk.folder / "song.rpp")
    desk.item(desk.wav(0.25))
    desk.separate()
    desk.cycle_until(lambda: list(desk.reaper.resource.glob("Data/Tweeze/pending/*")))
    desk.reaper.quit()
    until(lambda: any(s.state is JobState.DONE for s in desk.recent()))
    listening(desk)
    assert desk.reaper.boxes == []
    desk.reaper.answers = [6]
    desk.reaper.open(project.reopened())
    desk.cycle_until(lambda: len(desk.project.undo) == 1, "the insertion")
    assert desk.names() == ["Take 1", "Take 1 - dog"]
    assert "is ready for this project" in desk.reaper.boxes[0]
    desk.nothing_is_left()


def test_the_secret_is_for_the_user_alone(door: Engine) -> None:
    about = Access.path(door.folders).stat()
    assert stat.S_IMODE(about.st_mode) == 0o600
    access = Access.read(door.folders)
    assert access is not None
    assert len(access.secret) == 32


def test_without_the_secret_nothing_happens(desk: Studio, controller: Controller) -> None:
    stranger = Controller.__new__(Controller)
    stranger.__dict__.update(controller.__dict__, heard=[])
    stranger.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stranger.socket.bind(("127.0.0.1", 0))
    stranger.socket.setblocking(False)
    wrong = controller.secret[:-1] + ("0" if controller.secret[-1] != "0" else "1")
    for secret in ("", wrong, controller.secret.upper() + "x", "é" * 16):
        for verb in ("separate", "again", "cancel", "status", "subscribe"):
            stranger.send(verb, "dog", "reaper", secret=secret)
    controller.heard.clear()
    controller.send("status")  # comes after them
    until(controller.hears("/tweeze/engine"))
    stranger.listen()
    assert stranger.heard == []
    assert desk.recent() == []
    assert not list(desk.folders.requests.iterdir())
    stranger.socket.close()


def malformed(rng: random.Random, secret: str) -> bytes:
    """Noise, halves of messages, wrong types and sizes, bundles that would loop, nest or wait."""
    good = OscMessageBuilder("/tweeze/separate")
    good.add_arg(secret)
    good.add_arg("dog")
    packet = good.build().dgram
    kind = rng.randrange(9)
    if kind == 0:
        return rng.randbytes(rng.randrange(200))
    if kind == 1:
        return packet[: rng.randrange(1, len(packet) - 4)]
    if kind == 2:
        return packet.replace(b",ss", bytes([44, *rng.choices(b"bhtdrm[]NI", k=2)]))
    if kind == 3:
        return b"#bundle\0" + bytes(8) + rng.choice([b"\xff\xff\xff\xfc", b"\0\0\0\0"]) + packet
    if kind == 4:
        return b"#bundle\0\xff" + bytes(7) + len(packet).to_bytes(4, "big") + packet
    if kind == 5:
        inner = b"#bundle\0" + bytes(8)
        for _ in range(60):
            inner = b"#bundle\0" + bytes(8) + len(inner).to_bytes(4, "big") + inner
        return inner
    if kind == 6:
        return packet.replace(
            b"separate", rng.choice([b"Separate", b"sep\0rate", b"*\0\0\0\0\0\0\0"])
        )
    if kind == 7:
        return b"/tweeze/status\0\0,s\0\0" + rng.randbytes(rng.choice([3, 64, 9000]))
    return packet.replace(secret[:4].encode(), rng.randbytes(4))


@pytest.mark.fault(
    "50,000 malformed packets arrive over OSC",
    promise="none is carried out, the log stays small, and the engine answers",
)
def test_50000_malformed_packets(door: Engine, controller: Controller) -> None:
    """The engine stays up, its memory flat, its queue empty."""
    rng = random.Random(6)
    process = psutil.Process(Heartbeat.of_living(door.folders).pid)  # type: ignore[union-attr]
    folders = (door.folders.status, door.folders.request_status)
    known = {path for folder in folders for path in folder.iterdir()}
    packets = [malformed(rng, controller.secret) for _ in range(5_000)]

    def send_all() -> None:
        for number, packet in enumerate(packets):
            controller.socket.sendto(packet, controller.engine)
            if number % 100 == 0:  # not faster than they are read: each is to arrive
                controller.heard.clear()
                controller.send("status")
                until(controller.hears("/tweeze/engine"))

    send_all()
    before = process.memory_info().rss
    log = door.folders.log.stat().st_size
    for _ in range(9):
        send_all()
    assert process.is_running()
    assert process.memory_info().rss - before < 2 << 20
    assert door.folders.log.stat().st_size - log < 4096, "a flood fills the log"
    beat = Heartbeat.of_living(door.folders)
    assert beat is not None
    assert (beat.queue, beat.running) == (0, "")
    assert {path for folder in folders for path in folder.iterdir()} == known
    assert not list(door.folders.requests.iterdir())


@pytest.mark.fault(
    "another program has the OSC port",
    promise="the door stays shut, that is logged, and the engine works",
)
def test_a_taken_port_keeps_the_door_shut_and_the_engine_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        with at_port(port), engine(tmp_path / "home", "stand-in") as running:
            until(lambda: Access.read(running.folders))
            access = Access.read(running.folders)
            assert access is not None
            assert access.port == 0


def test_the_command_shows_it(
    door: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bridge import cli

    monkeypatch.setenv("TWEEZE_HOME", str(door.folders.root))
    assert cli.run(["osc"]) == 0
    access = Access.read(door.folders)
    assert access is not None
    shown = capsys.readouterr().out
    assert str(access.port) in shown
    assert access.secret in shown


def test_trigger_from_a_terminal(
    desk: Studio,
    door: Engine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`tweeze trigger --host reaper`, for a hotkey of the desktop."""
    from bridge import cli

    monkeypatch.setenv("TWEEZE_HOME", str(door.folders.root))
    desk.item(desk.wav(0.25))
    desk.project.markers = [(0.1, 0.2, "- rain")]
    listening(desk)
    codes: list[int] = []
    command = ["trigger", "dog", "--host", "reaper", "--mute", "--not", "rain", "--not", "wind"]
    thread = threading.Thread(target=lambda: codes.append(cli.run(command)))
    thread.start()
    desk.cycle_until(lambda: len(desk.project.undo) == 1, "the insertion")
    thread.join()
    assert codes == [0]
    assert desk.project.items[0].values["B_MUTE"] == 1.0
    (job,) = desk.jobs()
    assert job.nots == ("rain", "wind")
    assert [span.text for span in job.options.never] == ["0.1-0.2"]
    assert capsys.readouterr().out == f"Jobs: {job.id}. 'Take 1': not at 1 marked span.\n"


# At the end, since the log takes only so many different answers in a minute.
@pytest.mark.parametrize(
    ("verb", "arguments", "said"),
    [
        ("separate", ["preset=x"], "There is no preset 'x'; there are: 'Birds', 'half'."),
        ("separate", ["preset="], "The preset has no name"),
        ("separate", ["preset=half"], "The preset 'half' names no sound"),
        ("separate", ["dog", "reaper", "preset=x", "preset=y"], "There are two presets"),
        ("again", ["reaper", "preset=x"], "There is no preset 'x'"),
        ("again", ["tempo=3"], "There is no option 'tempo'"),
        ("adjust", ["last", "preset=birds"], "There is no option 'preset'"),
    ],
)
def test_a_wrong_preset_is_an_error(
    controller: Controller, presets: PresetFile, verb: str, arguments: list[str], said: str
) -> None:
    controller.send(verb, *arguments)
    until(controller.hears("/tweeze/error"))
    assert controller.said("/tweeze/error")[0][0].startswith(said)
