"""How long the command line takes to say what it can do, against a bare interpreter."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any

REPEATS = 9


def _seconds(command: list[str]) -> list[float]:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return times


def measure() -> list[dict[str, Any]]:
    """Return the median wall time of ``marketprism --help`` and its multiple of an empty Python program."""
    bare = _seconds([sys.executable, "-c", "pass"])
    rows = []
    for case, arguments in (("--help", ["--help"]), ("sources", ["sources"])):
        times = _seconds([sys.executable, "-m", "marketprism", *arguments])
        median = statistics.median(times)
        rows.append(
            {
                "case": f"marketprism {case}",
                "value": median,
                "unit": "s",
                "spread": [min(times), max(times)],
                "peer": f"{median / statistics.median(bare):.1f} times `python -c pass`",
                "target": "0.3 s" if case == "--help" else "",
            }
        )
    return rows
