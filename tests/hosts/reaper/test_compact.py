"""From selection to tracks with the bundled model: slower than a stand-in, so fewer scenarios."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hosts.reaper import scenarios
from tests.hosts.reaper.studio import Engine, Studio, copy_scripts

CHOSEN = (
    "one_item_with_offset_and_trims",
    "clips_are_the_engines",
    "reversed_and_section_and_looped",
    "fractional_positions",
    "gain_and_fades_null",
    "several_items_over_two_tracks",
    "a_time_selection_over_gaps",
    "mono_stays_mono",
    "a_96k_project_with_a_44k_source",
    "cancel_while_it_reads",
    "cancel_while_it_separates",
    "a_failed_job",
    "no_engine",
    "project_closed_in_the_middle",
)


@pytest.mark.parametrize("name", CHOSEN)
def test_scenario(name: str, tmp_path: Path, compact: Engine) -> None:
    scripts = copy_scripts(tmp_path / "scripts")
    studio = Studio(tmp_path, compact.folders, scripts, start=compact.command)
    scenarios.ALL[name](studio, compact)
