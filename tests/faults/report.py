"""`make reliability`: writes docs/reliability.md from what tests, soak and fuzzer found.

    python -m tests.faults.report

reads `build/faults.json` (the marked tests of the last run), `build/many.json` (those that
`make soak` ran many times), `build/soak.json` and `build/fuzz.json`; what is not there is said to
be missing, never made up.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
PAGE = ROOT / "docs" / "reliability.md"
GROUPS = {  # folder or file of the tests -> heading, in this order
    "test_crashes.py": "Crashes",
    "test_memory.py": "Memory",
    "test_stuck.py": "Time",
    "test_load.py": "Load",
    "test_disk.py": "Disk",
    "test_delivery.py": "Disk",
    "test_hanging_share.py": "Network shares",
    "decoders": "Audio files",
    "test_reader.py": "Audio files",
    "test_stuck_queue.py": "Audio files",
    "test_bad_input.py": "Audio files",
    "test_homes.py": "Tweeze's folder",
    "test_clocks.py": "Tweeze's folder",
    "test_watching.py": "Tweeze's folder",
    "test_settings.py": "Tweeze's folder",
    "test_cleaning.py": "Clean-up",
    "test_insertion.py": "Hosts",
    "audacity": "Hosts",
    "reaper": "Hosts",
    "library": "Libraries of recordings",
    "test_index_cli.py": "Libraries of recordings",
    "security": "Security",
}
OTHER = "Others"


def main() -> int:
    found, many = read("faults.json"), read("many.json")
    if found is None:
        print("There are no results yet: run 'make reliability'.", file=sys.stderr)
        return 1
    rows = gather(found, many or {})
    soak, fuzz = read("soak.json"), read("fuzz.json")
    PAGE.write_text(page(rows, soak, fuzz), "utf-8")
    broken = sum(row["broken"] for row in rows)
    print(f"{PAGE.relative_to(ROOT)}: {len(rows)} faults, {broken} promises broken.")
    return 1 if broken else 0


def read(name: str) -> Any:
    try:
        return json.loads((BUILD / name).read_text("utf-8"))
    except FileNotFoundError:
        return None


def gather(found: dict[str, Any], many: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each test; the cases of a parametrised one are put together."""
    rows: dict[str, dict[str, Any]] = {}
    for source in (found, many):
        for nodeid, fact in source.items():
            test = nodeid.split("[")[0]
            row = rows.setdefault(
                test,
                {
                    "test": test,
                    "fault": fact["fault"],
                    "promise": fact["promise"],
                    "tries": 0,
                    "broken": 0,
                    "skipped": 0,
                    "reason": "",
                },
            )
            if fact["outcome"] == "skipped":
                row["skipped"] += 1
                row["reason"] = fact.get("reason", "")
                continue
            row["tries"] += fact["tries"]
            row["broken"] += fact["outcome"] == "broken"
    return sorted(rows.values(), key=lambda row: (place(row["test"]), row["test"]))


def heading(test: str) -> str:
    path = Path(test.split("::")[0])
    for name in (path.name, *reversed(path.parts[:-1])):
        if name in GROUPS:
            return GROUPS[name]
    return OTHER


def place(test: str) -> int:
    order = [*dict.fromkeys(GROUPS.values()), OTHER]
    return order.index(heading(test))


def outcome(row: dict[str, Any]) -> str:
    if row["broken"]:
        return f"**broken** ({row['broken']})"
    if not row["tries"]:
        return f"not tried here: {row['reason']}"
    return "held" + (f" ({row['skipped']} not tried: {row['reason']})" if row["skipped"] else "")


def cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def page(rows: list[dict[str, Any]], soak: Any, fuzz: Any) -> str:
    lines = [
        "# What Tweeze survives, and how that is known",
        "",
        "Every fault here is provoked for real (processes are killed and stopped, disks are full,",
        "folders are removed). `make reliability` runs the tests and writes this page anew from",
        "their results; nothing of the tables is written by hand. *Tried* counts how often the",
        "fault was provoked. A row's command repeats it; with `TWEEZE_MANY=1` before it, it is",
        "tried more often, as `make soak` does.",
    ]
    title = ""
    for row in rows:
        if heading(row["test"]) != title:
            title = heading(row["test"])
            lines += ["", f"## {title}", "", "| fault | promise | tried | outcome | command |"]
            lines += ["| --- | --- | --: | --- | --- |"]
        command = f"`.venv/bin/python -m pytest {row['test']}`"
        cells = (row["fault"], row["promise"], f"{row['tries']:,}", outcome(row), command)
        lines.append("| " + " | ".join(map(cell, cells)) + " |")
    return "\n".join([*lines, *soaked(soak), *fuzzed(fuzz)]) + "\n"


def soaked(soak: Any) -> list[str]:
    lines = ["", "## Soak", ""]
    if soak is None:
        return [*lines, "Not run yet: `make soak`."]
    ended = soak["ended"]
    outcomes = "; ".join(soak["broken"]) or "held"
    lines += [
        f"`make soak` ({soak['minutes']} minutes; again with `python -m tests.faults.soak "
        f"--seed {soak['seed']}`): **{outcomes}**.",
        "",
        "| what | figure |",
        "| --- | --- |",
        f"| jobs | {soak['jobs']:,}: {ended['done']:,} done, {ended['failed']} failed, "
        f"{ended['cancelled']} cancelled |",
        f"| kills in between | {ended['worker_kills']} of the worker, {ended['engine_kills']} of "
        "the engine |",
        f"| wrong, unfinished, half-written | {soak['wrong_results']}, {soak['unfinished']}, "
        f"{soak['half_written']} |",
        f"| answer to a status over OSC while the model runs | "
        f"{soak['status_over_osc_median_ms']} ms (median) |",
        f"| files in the spool | {soak['spool_files_most']} at most, {soak['spool_files_left']} "
        f"left, {soak['status_files']} statuses |",
    ]
    for name, growth in soak["growth"].items():
        if growth:
            most = soak["most"][name]
            lines.append(
                f"| growth of the {name} | {growth['descriptors']:g} descriptors, "
                f"{growth['threads']:g} threads, {growth['rss_mib']:g} MiB (most: "
                f"{most['descriptors']:g}, {most['threads']:g}, {most['rss_mib']:g} MiB) |"
            )
    return lines


def fuzzed(fuzz: Any) -> list[str]:
    lines = ["", "## Bad input in bulk", ""]
    if fuzz is None:
        return [*lines, "Not run yet: `make fuzz`."]
    lines += [
        f"`make fuzz` ({fuzz['minutes']} minutes): no crash, hang or traceback is allowed.",
        "",
        "| what is fuzzed | cases | failures | command |",
        "| --- | --: | --: | --- |",
    ]
    for target in fuzz["targets"]:
        lines.append(
            f"| {cell(target['name'])} | {target['cases']:,} | {target['failures']} | "
            f"`.venv/bin/python -m tests.fuzz --target {target['name']}` |"
        )
    return lines


if __name__ == "__main__":
    sys.exit(main())
