"""What `tweeze install audacity` puts into Audacity 4 runs there, and finds the engine."""

from __future__ import annotations

from pathlib import Path

from audacity import extending
from audacity.places import Editor4
from tests.hosts.audacity4.desk import Desk, Engine, library


def test_what_is_installed_runs(tmp_path: Path, standin: Engine) -> None:
    library()  # skips, loudly, where there is no compiler
    standin.ensure()
    editor = Editor4("the fake", tmp_path / "Zoë's = _ & 犬/extensions", tmp_path / "Plug-Ins")
    extending.install([editor], standin.folders, ["auto"])
    (extension,) = editor.extensions.iterdir()
    assert all(check.ok for check in extending.check(standin.folders))
    desk = Desk(tmp_path / "desk", standin.folders, extension=extension)
    desk.track(0.5, channels=2)
    desk.select(0.1, 0.4)
    desk.check_clips(desk.do(query="dog; rain", keep="both"), 0.1)
    extending.uninstall(standin.folders)
