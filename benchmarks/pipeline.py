"""Where the time of a whole run goes, and that streaming memory does not grow with the input."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

DATA = Path(os.environ.get("MARKETPRISM_DATA", Path(__file__).parents[2] / "shared" / "data"))
STAGES = ("span", "source", "hash", "engine", "quality", "judge", "report")

# In a process of its own: peak memory is a property of the process.
_PEAK = r"""
import re, sys
from marketprism.pipelines.collect import StreamHash
from marketprism.pipelines.sources import open_source
import marketprism as mp
source = open_source(sys.argv[1])
engine = mp.FactorEngine(mp.EngineConfig(), instrument=source.instruments)
seen, digest, buckets = 0, StreamHash(), 0
for block in source:
    seen += len(block)
    digest.update(block)
    buckets += engine.push(block).height
# Not ru_maxrss: it survives exec and would tell the parent's peak.
print(seen, int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024)
"""


def _source() -> str:
    folder = DATA / "binance_ws_20240808"
    files = sorted(str(path) for path in folder.glob("*.gz")) if folder.is_dir() else []
    return f"binance-ws:{','.join(files)}" if files else "sim:?seed=1"


def _stages() -> list[dict[str, Any]]:
    from marketprism.pipelines.run import run
    from marketprism.pipelines.sources import open_source

    spec = _source()
    with tempfile.TemporaryDirectory() as folder:
        run(open_source("sim:?seed=1&minutes=10"), Path(folder) / "warm")
        seconds = run(open_source(spec), Path(folder) / "run").seconds
    return [
        {
            "case": f"run, {spec.split(':')[0]}: {stage}",
            "value": seconds[stage],
            "unit": "s",
            "peer": f"{seconds[stage] / seconds['total']:.1%} of {seconds['total']:.1f} s",
        }
        for stage in STAGES
    ]


def _memory() -> list[dict[str, Any]]:
    rows = []
    first = None
    for minutes in (30, 60, 120, 240):
        done = subprocess.run(
            [sys.executable, "-c", _PEAK, f"sim:?seed=1&minutes={minutes}"], capture_output=True, text=True, check=True
        )
        events, peak = done.stdout.split()
        first = first or float(peak)
        rows.append(
            {
                "case": f"peak memory, stream of {int(events):,} rows",
                "value": float(peak),
                "unit": "MiB",
                "peer": f"{float(peak) / first:.2f} times the shortest",
                "target": "flat",
            }
        )
    return rows


def measure() -> list[dict[str, Any]]:
    """Return the share of each stage of one run, and peak memory of the streaming stages by length of input."""
    return _stages() + _memory()
