"""The same command in two processes, with other hash seeds, writes the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("backtest")]

_RUN = "from marketprism.cli.main import main; main()"
_LANES = "gamma,strategy\n0.01,avellaneda_stoikov\n0.05,glft\n,symmetric\n"
_COMMANDS = {
    "backtest": (
        "backtest", "avellaneda_stoikov", "--source", "sim:?seed=2&minutes=4", "--lanes", "lanes.csv", "--no-ledger",
        "--set", "warmup_s=20", "--set", "replications=100", "--set", "market.jitter_ms=2", "--seed", "3",
    ),
    "study": (
        "study", "making", "--source", "sim:?seed=5&minutes=4", "--set", "warmup_s=20", "--set", "replications=100",
        "--set", "skews=[0.2, 1.0]", "--set", "half_spreads=[1.0]", "--set", "latencies_ms=[1.0, 50.0]",
    ),
}  # fmt: skip


def run(name: str, folder: Path, seed: int) -> Path:
    """Run a command in a process of its own; no time, path or thread of it may show in what it writes."""
    folder.mkdir()
    (folder / "lanes.csv").write_text(_LANES)
    subprocess.run(
        [sys.executable, "-c", _RUN, *_COMMANDS[name], "--out", "out"],
        cwd=folder,
        env={**os.environ, "PYTHONHASHSEED": str(seed), "POLARS_MAX_THREADS": str(seed), "TZ": f"Etc/GMT+{seed}"},
        check=True,
        capture_output=True,
    )
    return folder / "out"


@pytest.mark.parametrize("name", _COMMANDS)
def test_two_processes_write_the_same_bytes(name: str, tmp_path: Path) -> None:
    one, two = (run(name, tmp_path / str(seed), seed) for seed in (1, 2))
    files = sorted(path.name for path in one.iterdir())
    assert files == sorted(path.name for path in two.iterdir())
    assert {"summary.json", "report.html" if name == "backtest" else "index.html"} <= set(files)
    for file in (file for file in files if file.endswith(".parquet")):
        frame = pl.read_parquet(one / file)
        assert frame.height > 20
        assert frame.equals(pl.read_parquet(two / file))
    assert [file for file in files if (one / file).read_bytes() != (two / file).read_bytes()] == []
