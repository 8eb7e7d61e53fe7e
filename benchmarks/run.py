"""The command: measures the chosen groups, prints the table, writes JSON."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import sys
import tempfile
from typing import Any

from benchmarks.groups import GROUPS
from benchmarks.harness import Effort, Lab
from benchmarks.report import Row, render

__all__ = ["main"]

_QUICK = Effort(
    rounds=1, warm_up=False, calls=100, seconds=0.05, memory_calls=120, memory_seconds=3.0, kernel_peers=False
)


def main(argv: list[str] | None = None) -> None:
    """``python -m benchmarks``: see ``--help`` and ``benchmarks/README.md``."""
    about = {name: (group.__doc__ or "").splitlines()[0] for name, group in GROUPS.items()}
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="What it costs to call a notebook as a function, beside other tools, all in one run.",
        epilog="groups:\n" + "\n".join(f"  {name:8} {text}" for name, text in about.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("groups", nargs="*", metavar="GROUP", help="what to measure; everything by default")
    rounds = f"turns of each system that count (default: {Effort.rounds})"
    parser.add_argument("--rounds", type=_positive, help=rounds)
    parser.add_argument("--quick", action="store_true", help="see in under a minute that all of it works")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE", help="write the figures to FILE as JSON")
    options = parser.parse_args(argv)
    unknown = [name for name in options.groups if name not in GROUPS]
    if unknown:
        parser.error(f"unknown group {', '.join(unknown)}. There are: {', '.join(GROUPS)}")
    effort = _QUICK if options.quick else Effort()
    if options.rounds:
        effort = dataclasses.replace(effort, rounds=options.rounds)
    conditions = _conditions(effort)
    rows: dict[str, list[Row]] = {}
    interrupted = False
    try:
        measure(options.groups or list(GROUPS), effort, rows)
    except KeyboardInterrupt:  # what was measured until then took long enough
        interrupted = True
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a console without µ
    print("{python}, {platform}, {cpus} CPUs, {date}\n".format_map(conditions))
    for line in render(row for group in rows.values() for row in group):
        print(line)
    if options.out:
        records = [{"group": name, **row.record()} for name, group in rows.items() for row in group]
        options.out.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"conditions": conditions, "rows": records}, indent=1) + "\n"
        options.out.write_text(text, encoding="utf-8")
    if interrupted:
        sys.exit("interrupted: these are the rows that were measured until then")


def measure(groups: list[str], effort: Effort, rows: dict[str, list[Row]]) -> None:
    """Measure these groups, and put their rows into `rows` as they come.

    Everything that is written is in a temporary folder, gone afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="benchmarks-", ignore_cleanup_errors=True) as folder:
        lab = Lab(pathlib.Path(folder).resolve(), effort, _note)
        for name in groups:
            found = rows[name] = []
            for row in GROUPS[name](lab):
                found.append(row)  # noqa: PERF402 - one by one, since the next may be interrupted


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _conditions(effort: Effort) -> dict[str, Any]:
    """All that a figure depends on and that can be told."""
    distributions = importlib.metadata.distributions()
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "effort": dataclasses.asdict(effort),
        "packages": dict(sorted((found.metadata["Name"], found.version) for found in distributions)),
    }
