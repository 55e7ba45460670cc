"""Run every benchmark and print one table: ``python benchmarks/run.py [NAME ...] [--json]``.

A benchmark is a module of this folder with ``measure() -> list of dict``; each dict has ``case``, ``value`` and
``unit``, and where there is a peer ``ratio`` (how many times faster than the peer, in the same run), ``target`` and
``spread`` (low and high over the repeats).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
FOLDER = Path(__file__).resolve().parent


def benchmark_names() -> list[str]:
    """Return the modules that define ``measure``."""
    return sorted(p.stem for p in FOLDER.glob("*.py") if "def measure(" in p.read_text() and p.stem != "run")


def load(name: str) -> Any:
    """Import one benchmark by its file."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    if spec is None or spec.loader is None:
        sys.exit(f"no benchmark {name!r}; there are {', '.join(benchmark_names())}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Run the chosen benchmarks (all by default) and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="benchmarks to run")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in arguments.names or benchmark_names():
        rows.extend({"benchmark": name, **row} for row in load(name).measure())
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    machine = platform.processor() or platform.machine()
    table = Table(title=f"{machine}, {os.cpu_count()} processors, Python {platform.python_version()}")
    columns = ("benchmark", "case", "value", "unit", "spread", "ratio", "target", "peer")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        cells = []
        for column in columns:
            value = row.get(column, "")
            if isinstance(value, float):
                value = f"{value:.3g}"
            elif isinstance(value, list | tuple):
                value = " to ".join(f"{x:.3g}" for x in value)
            cells.append(str(value))
        table.add_row(*cells)
    Console(width=None if sys.stdout.isatty() else 150).print(table)


if __name__ == "__main__":
    main()
