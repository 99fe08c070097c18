"""Homes, folders and networks that are not as usual: a sentence each, and no hang."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.bridge.conftest import Home

DEADLINE = 180.0  # seconds until what must happen counts as not happening
NO_PROXIES = dict.fromkeys(
    ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "all_proxy", "https_proxy",
     "http_proxy", "no_proxy", "HF_ENDPOINT")
)  # fmt: skip
SHORT = "import sys; from bridge.cli import run; sys.exit(run(sys.argv[1:]))"


def tweeze(
    *arguments: str, before: str = "", **variables: str | None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, after `before` was carried out in it."""
    environment = {**os.environ, **{k: v for k, v in variables.items() if v is not None}}
    for name, value in variables.items():
        if value is None:
            environment.pop(name, None)
    return subprocess.run(
        [sys.executable, "-c", f"import os\n{before}\n{SHORT}", *arguments],
        env=environment, capture_output=True, text=True, timeout=DEADLINE, check=False,
        errors="surrogateescape",
    )  # fmt: skip


def check(done: subprocess.CompletedProcess[str], said: str, code: int = 2) -> None:
    assert said in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Unexpected error" not in done.stderr
    assert done.returncode == code


@pytest.mark.fault(
    "TWEEZE_HOME has a line break or no UTF-8 in it", promise="one sentence, no hang"
)
@pytest.mark.parametrize("name", ["a\nb", "a\x1bb", "Zo\udceb", "a\u2028b"])
@pytest.mark.parametrize("command", [("separate", "{wav}", "dog"), ("status",), ("start",)])
def test_a_home_that_no_job_can_name(
    tmp_path: Path, short_wav: Path, name: str, command: tuple[str, ...]
) -> None:
    words = [word.format(wav=short_wav) for word in command]
    check(Home(tmp_path / name).tweeze(*words), "TWEEZE_HOME")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault("the user has no HOME and no entry among the users", promise="one sentence")
@pytest.mark.parametrize("command", [("status",), ("separate", "{wav}", "dog"), ("models",)])
def test_a_user_without_a_home(short_wav: Path, command: tuple[str, ...]) -> None:
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("NOT TESTED: only root can become a user without an entry.")
    words = [word.format(wav=short_wav) for word in command]
    before = (
        "import contextvars, decimal, fractions, zoneinfo, rich.progress, huggingface_hub\n"
        "from bridge import cli, separating\n"
        f"cli.run(['{command[0]}', '--help'])\n"
        "os.setgroups([]); os.setgid(54321); os.setuid(54321)"
    )
    done = tweeze(*words, before=before, HOME=None, TWEEZE_HOME=None, XDG_DATA_HOME=None)
    check(done, "This user has no home folder")


@pytest.mark.fault("the working folder was removed", promise="one sentence")
def test_a_working_folder_that_is_gone(tmp_path: Path, short_wav: Path) -> None:
    folder = str(tmp_path / "w")
    gone = f"os.mkdir({folder!r}); os.chdir({folder!r}); os.rmdir({folder!r})"
    done = tweeze("separate", str(short_wav), "dog", before=gone, TWEEZE_HOME=str(tmp_path / "h"))
    check(done, "The working folder is no longer there")


@pytest.mark.fault(
    "a download goes through a proxy that cannot be, or to no web address",
    promise="one sentence that names the variable",
)
@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("HF_ENDPOINT", "hub.example", 2),
        ("ALL_PROXY", "socks5://127.0.0.1:9", 1),
        ("HTTPS_PROXY", "nonsense://x", 1),
        ("HTTPS_PROXY", "::::", 1),
    ],
)
def test_an_odd_proxy(tmp_path: Path, variable: str, value: str, code: int) -> None:
    settings = {**NO_PROXIES, variable: value, "TWEEZE_HOME": str(tmp_path / "h")}
    done = tweeze("models", "pull", "audiosep", "--yes", **settings)
    last = done.stderr.strip().rpartition("\n")[2]
    assert "Unexpected error" not in done.stderr
    assert "Traceback" not in done.stderr
    assert "failed" in last or variable in last
    assert done.returncode == code


@pytest.mark.fault(
    "the proxy for downloads is away, or takes connections and never answers",
    promise="one sentence within a limit, a line before it, and nothing is left",
)
@pytest.mark.parametrize("answers", [False, True])
def test_a_proxy_that_cannot_be_reached(tmp_path: Path, answers: bool) -> None:
    with socket.socket() as proxy:
        proxy.bind(("127.0.0.1", 0))
        if answers:
            proxy.listen()
        settings = {
            **NO_PROXIES,
            "HTTPS_PROXY": f"http://127.0.0.1:{proxy.getsockname()[1]}",
            "TWEEZE_HOME": str(tmp_path / "h"),
        }
        limit, before = 20, ""
        if answers:  # and then never again
            limit, before = 3, "from engine.models import pulling; pulling._ANSWER = 3.0"
        done = tweeze("models", "pull", "audiosep", "--yes", before=before, **settings)
    waiting, said = done.stderr.splitlines()
    assert waiting == f"Waiting for huggingface.co, {limit} seconds at most."
    assert "the hub cannot be reached: " in said
    assert " Check HTTPS_PROXY" in said
    assert done.returncode == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault("the engine's log belongs to another user", promise="one sentence names it")
@pytest.mark.parametrize("command", [("log",), ("start",)])
def test_a_log_of_another_user(tmp_path: Path, command: tuple[str, ...]) -> None:
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("NOT TESTED: only root can make a file of another user.")
    user = 54321
    with tempfile.TemporaryDirectory(prefix="tweeze-log-", dir="/tmp") as name:
        root = Path(name) / "home"
        Path(name).chmod(0o755)
        root.mkdir(mode=0o700)
        os.chown(root, user, user)
        (root / "engine.log").write_text("")
        (root / "engine.log").chmod(0o600)
        (root / "layout").write_text("tweeze=1\nlayout=1\nend\n")
        (root / "layout").chmod(0o644)
        if command == ("start",):
            ran = "import bridge.app; sys.argv = ['app']; bridge.app.main()"
        else:
            ran = f"from bridge.cli import run; sys.exit(run({list(command)!r}))"
        code = (
            "import os, sys\nimport contextvars, decimal, fractions, zoneinfo\n"
            "import bridge.app\nfrom bridge import cli; cli.run(['--help'])\n"
            f"os.setgroups([]); os.setgid({user}); os.setuid({user})\n{ran}"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "TWEEZE_HOME": str(root), "HOME": name},
            capture_output=True, text=True, timeout=DEADLINE, check=False,
        )  # fmt: skip
    assert f"{root / 'engine.log'} cannot be used (Permission denied): check its" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.returncode == (1 if command == ("start",) else 2)


def test_osc_that_is_switched_off(fresh_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWEEZE_OSC_PORT", "0")
    check(fresh_home.tweeze("osc"), "OSC is switched off (TWEEZE_OSC_PORT is 0)", 1)
