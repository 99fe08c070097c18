"""How runs end early: Cancel, a project or an engine that goes, answers that are odd."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from engine.folders import Folders
from engine.status import JobState
from tests.hosts.audacity4.desk import Desk, Engine, until
from tests.hosts.audacity4.fake import Run
from tests.hosts.audacity4.scenarios import MANY, Make, holding, refused, scenario

# Cancel.


def nothing_came(desk: Desk, run: Run, before: Any, hold: Path | None = None) -> None:
    """After a run that was given up: nothing is changed, and the engine does nothing for it.

    A model that waits as long as there is the file `hold` obeys nobody: it is let go once the jobs
    have ended, or the engine would take its time to end it by force.
    """
    assert not run.went
    assert desk.project.state() == before
    until(lambda: all(status.state.final for status in desk.recent()), "the end of the jobs")
    if hold is not None:
        hold.unlink()
    desk.nothing_is_left()


def _cancelled_at(
    desks: Make, call: str, number: int = 1, hold: Path | None = None, **given: Any
) -> Desk:
    """Cancel in the middle of a native call, whose answer comes when all is over."""
    desk = desks()
    desk.track(4.0, channels=2)
    desk.track(4.0)
    desk.select(0.0, 4.0)
    before = desk.project.state()
    run = desk.begin(**{"query": "dog", **given})
    polls: list[int] = []

    def cancel() -> None:
        run.cancel()
        polls.append(run.polls)
        desk.host.holding = True

    desk.on(call, cancel, number=number)
    desk.finish(run)
    assert polls, f"there was no call {number} of {call}"
    assert run.polls - polls[0] < 20, "the window waits for what was cancelled"
    nothing_came(desk, run, before, hold)
    assert all(status.state is not JobState.DONE or call == "fetch" for status in desk.recent())
    return desk


@scenario
def cancel_at_the_start(desks: Make, engine: Engine) -> None:
    _cancelled_at(desks, "begin")
    for late in (True, False):
        desk = desks()
        desk.track(1.0)
        desk.select(0.0, 1.0)
        before = desk.project.state()
        run = desk.begin(query="dog")
        run.cancel()
        desk.host.holding = late
        desk.finish(run)
        nothing_came(desk, run, before)
        # Audacity tells of the button a moment later: what has answered by then may be sent.
        assert {status.state for status in desk.recent()} <= {JobState.CANCELLED}
        assert not late or desk.recent() == []


@scenario
def cancel_while_it_reads(desks: Make, engine: Engine) -> None:
    for number in (1, 2, 4):
        _cancelled_at(desks, "put", number)


@scenario
def cancel_while_it_submits(desks: Make, engine: Engine) -> None:
    hold = engine.folders.root / "hold"
    try:
        for number in (1, 2) if MANY else (2,):
            hold.touch()
            desk = _cancelled_at(desks, "submit", number, hold, query="hold submit")
            assert {status.state for status in desk.recent()} <= {JobState.CANCELLED}
    finally:
        hold.unlink(missing_ok=True)


@scenario
def cancel_while_it_separates(desks: Make, engine: Engine) -> None:
    desk = desks()
    desk.track(6.0)
    desk.track(6.0)
    desk.select(0.0, 6.0)
    before = desk.project.state()
    with holding(desk, "separate") as run:
        desk.step_until(lambda: len(desk.recent()) == 2, "the second job", run)
        run.cancel()
        desk.finish(run)
    nothing_came(desk, run, before)
    assert [status.state for status in desk.recent()] == [JobState.CANCELLED] * 2


@scenario
def cancel_while_it_inserts(desks: Make, engine: Engine) -> None:
    for number in (1, 3, 6):
        _cancelled_at(desks, "fetch", number)


@scenario
def audacity_gives_up(desks: Make, engine: Engine) -> None:
    """The effect is closed in the middle, and nobody polls any more: its job is cancelled."""
    desk = desks()
    desk.track(6.0)
    desk.select(0.0, 6.0)
    with holding(desk, "destroyed") as run:
        run.instance.close()
        desk.settle(run.instance)
    until(lambda: desk.recent()[0].state is JobState.CANCELLED, "the job's end")


@scenario
def the_job_is_cancelled_elsewhere(desks: Make, engine: Engine) -> None:
    desk = desks()
    desk.track(6.0)
    desk.select(0.0, 6.0)
    with holding(desk, "elsewhere") as run:
        (desk.folders.cancel / desk.recent()[0].id).write_text("end\n")
    assert desk.finish(run).text == "The separation was cancelled outside Audacity."


# The project.


@scenario
def the_project_is_gone(desks: Make, engine: Engine) -> None:
    for gone in ("at once", "at the commit"):
        for call in ("begin", "put", "submit", "fetch"):
            desk = desks(gone=gone)
            desk.track(2.0)
            desk.select(0.0, 2.0)
            before = desk.project.state()
            run = desk.begin(query="dog")

            def close(desk: Desk = desk) -> None:
                desk.project.closed = True

            desk.on(call, close)
            outcome = desk.finish(run)
            assert not outcome.went
            assert "project is not the current one" in outcome.text
            nothing_came(desk, run, before)

    desk = desks()
    desk.track(2.0)
    desk.select(0.0, 2.0)
    desk.project.closed = True
    refused(desk, "No project is open")


# The engine.


@scenario
def no_engine(desks: Make, engine: Engine) -> None:
    desk = desks()
    desk.track(1.0)
    desk.select(0.0, 0.5)
    engine.stop()
    try:
        refused(desk, "The Tweeze engine is not running: run 'tweeze start'")
        assert not list(desk.folders.mixtures.iterdir())
        outcome = desk.do("selftest")
        assert "FAIL the engine is running" in outcome.text
    finally:
        engine.start()


@scenario
def an_engine_that_was_never_there(desks: Make, engine: Engine) -> None:
    desk = desks(home=desks().folder / "nowhere")
    desk.track(1.0)
    desk.select(0.0, 0.5)
    refused(desk, "The Tweeze engine is not running: run 'tweeze start'")


@scenario
def the_engine_is_killed_and_started_again(desks: Make, engine: Engine) -> None:
    desk = desks()
    desk.track(6.0)
    desk.select(0.0, 6.0)
    with holding(desk, "killed") as run:
        engine.kill()
    desk.step_until(
        lambda: run.task.reports and "Waiting" in run.task.reports[-1][1], "the waiting", run
    )
    engine.start()
    outcome = desk.finish(run)
    desk.check_clips(outcome, 0.0)
    desk.nothing_is_left()


@scenario
def the_engine_is_killed(desks: Make, engine: Engine) -> None:
    desk = desks(patience=1.0)
    desk.track(6.0)
    desk.select(0.0, 6.0)
    before = desk.project.state()
    with holding(desk, "ended") as run:
        engine.kill()
    try:
        outcome = desk.finish(run)
        assert "has not come back" in outcome.text
    finally:
        engine.start()
    nothing_came(desk, run, before)
    assert desk.recent()[0].state is JobState.CANCELLED, "it is cancelled at the next start"


@scenario
def the_engine_ends_before_it_takes_the_job(desks: Make, engine: Engine) -> None:
    """Nobody will: the job is taken back, and its recording removed."""
    desk = desks(patience=1.0)
    desk.track(1.0)
    desk.select(0.0, 1.0)
    run = desk.begin(query="dog")
    desk.on("begin", engine.stop)
    try:
        outcome = desk.finish(run)
        assert "has not come back" in outcome.text
        assert not list(desk.folders.jobs.iterdir())
        assert not list(desk.folders.mixtures.iterdir())
    finally:
        engine.start()
    assert desk.recent() == []


class _Puppet:
    """The folder of an engine that is nobody's: what it says is written here."""

    def __init__(self, desks: Make) -> None:
        self.folders = Folders(desks().folder / "puppet")
        self.folders.make()
        self.desk = desks(home=self.folders.root, patience=0.5)
        self.desk.track(1.0)
        self.desk.select(0.0, 1.0)
        self.beats = True
        self.jobs: list[Path] = []
        self._beaten = 0

    def turn(self) -> None:
        now = int(time.time())
        if self.beats and now != self._beaten:
            self._beaten = now
            part = self.folders.spool / ".engine"
            part.write_text(f"tweeze=1\ntime={now}\nend\n")
            part.replace(self.folders.heartbeat)
        for job in self.folders.jobs.glob("[!.]*"):
            assert job.stat().st_mode & 0o777 == 0o600
            self.jobs.append(job)

    def say(self, text: str) -> None:
        id_ = self.jobs[0].name
        (self.folders.status / id_).write_text(text.replace("ID", id_))

    def run(self, do: Callable[[], object]) -> str:
        """Separate; `do` comes once the job is there; return the sentence at the end."""
        self.turn()
        run = self.desk.begin(query="dog")
        self.desk.step_until(lambda: self.jobs, "the job", run, self.turn)
        do()
        outcome = self.desk.finish(run, self.turn)
        assert not outcome.went
        assert self.desk.project.undo == []
        return outcome.text


@scenario
def an_engine_that_says_nothing(desks: Make, engine: Engine) -> None:
    puppet = _Puppet(desks)
    assert "does not know of this separation" in puppet.run(lambda: puppet.jobs[0].unlink())
    (cancelled,) = puppet.folders.cancel.iterdir()
    assert cancelled.name == puppet.jobs[0].name


@scenario
def what_the_engine_says_is_shown(desks: Make, engine: Engine) -> None:
    puppet = _Puppet(desks)
    puppet.turn()
    run = puppet.desk.begin(query="dog")
    puppet.desk.step_until(lambda: puppet.jobs, "the job", run, puppet.turn)
    puppet.jobs[0].unlink()
    puppet.say("id=ID\nstate=running\nprogress=0.5000\nmessage=Größe\nend\n")
    puppet.desk.step_until(
        lambda: run.task.reports[-1:] == [(0.5, "Größe")], "its progress", run, puppet.turn
    )
    run.cancel()
    puppet.desk.finish(run, puppet.turn)
    (cancelled,) = puppet.folders.cancel.iterdir()
    assert cancelled.name == puppet.jobs[0].name


@scenario
def an_engine_that_says_nonsense(desks: Make, engine: Engine) -> None:
    for said in (
        "state=done\nclip=x\nend\n",
        "state=running\n",
        "end\n",
        "tweeze=1\nid=another\nstate=done\nend\n",
        "state=d\x07one\nend\n",
        "\xff",
    ):
        puppet = _Puppet(desks)

        def do(puppet: _Puppet = puppet, said: str = said) -> None:
            puppet.jobs[0].unlink()
            puppet.say(said)

        assert "cannot read what its engine says" in puppet.run(do), said


@scenario
def an_engine_that_has_no_clips(desks: Make, engine: Engine) -> None:
    """An edit without a track would be an undo step for nothing."""
    puppet = _Puppet(desks)

    def do() -> None:
        puppet.jobs[0].unlink()
        puppet.say("id=ID\nstate=done\nprogress=1.0000\nend\n")

    assert puppet.run(do) == "There is nothing of that in the selection: try other words."


@scenario
def clips_that_are_not_right(desks: Make, engine: Engine) -> None:
    noise = np.zeros((48000, 1), np.float32)
    for samples, rate, subtype, words in (
        (None, 48000, "FLOAT", "is not there any more"),
        (noise[:-1], 48000, "FLOAT", "does not fit the selection"),
        (np.zeros((48001, 1), np.float32), 48000, "FLOAT", "does not fit the selection"),
        (noise, 44100, "FLOAT", "does not fit the selection"),
        (np.zeros((48000, 2), np.float32), 48000, "FLOAT", "does not fit the selection"),
        (noise, 48000, "PCM_32", "does not fit the selection"),
        (np.full_like(noise, np.nan), 48000, "FLOAT", "not finite"),
    ):
        puppet = _Puppet(desks)

        def do(
            puppet: _Puppet = puppet,
            samples: Any = samples,
            rate: int = rate,
            subtype: str = subtype,
        ) -> None:
            puppet.jobs[0].unlink()
            folder = puppet.folders.clips / puppet.jobs[0].name
            folder.mkdir()
            if samples is not None:
                soundfile.write(folder / "clip.wav", samples, rate, subtype=subtype)
            puppet.say(
                "tweeze=1\nid=ID\nstate=done\nprogress=1.0\nclip=/etc/../clip.wav\nkind=target\n"
                "query=dog\nname=dog\nend\n"
            )

        assert words in puppet.run(do), (rate, subtype, words)


@scenario
def a_folder_that_takes_nothing(desks: Make, engine: Engine) -> None:
    puppet = _Puppet(desks)
    puppet.folders.mixtures.rmdir()
    puppet.turn()
    outcome = puppet.desk.do(query="dog")
    assert "Tweeze cannot write to its folder" in outcome.text
    puppet = _Puppet(desks)
    puppet.folders.jobs.rmdir()
    puppet.turn()
    outcome = puppet.desk.do(query="dog")
    assert "Tweeze cannot write to its folder" in outcome.text
    assert not list(puppet.folders.mixtures.iterdir())
