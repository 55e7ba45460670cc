"""Checks of the machine that MarketPrism runs on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Check", "examine"]

_LIBRARIES = (
    "numpy",
    "numba",
    "polars",
    "pyarrow",
    "scikit-learn",
    "lightgbm",
    "onnxruntime",
    "chdb",
    "clickhouse-connect",
)
_MIN_FREE_GIB = 1.0
# In a process of its own: chDB holds one data directory a process, and a crash there must not end the doctor.
_STORE_PROBE = """
import sys
from marketprism.store import Store
store = Store.open("chdb://" + sys.argv[1])
store.close()
"""
# In a process of its own, beside the main job: the first time on a machine, compiling the simulator takes minutes.
_SIMULATOR_PROBE = """
import sys
from pathlib import Path
from marketprism.pipelines.backtest import backtest
from marketprism.pipelines.sources import open_source
result = backtest(open_source("sim:?seed=1&minutes=2"), "avellaneda_stoikov", Path(sys.argv[1]))
print(result.summary["trades"])
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: what was looked at, what was found, whether it is well, and what to do otherwise."""

    name: str
    found: str
    ok: bool
    remedy: str = ""


def _library(name: str) -> Check:
    try:
        return Check(name, importlib.metadata.version(name), ok=True)
    except importlib.metadata.PackageNotFoundError:
        return Check(name, "missing", ok=False, remedy="reinstall: pip install marketprism")


def _main_job() -> Check:
    """Judge twelve simulated minutes; the first time on a machine, this compiles every kernel."""
    from marketprism.pipelines.run import run
    from marketprism.pipelines.run_config import load_run_config
    from marketprism.pipelines.sources import open_source

    config = load_run_config(settings=["judge.replications=100", "judge.control_repeats=3"])
    with tempfile.TemporaryDirectory(prefix="marketprism-doctor-") as folder:
        result = run(open_source("sim:?seed=1&minutes=12"), Path(folder), config)
    found = f"{result.summary['buckets']['count']} buckets, {result.summary['factors']} factors"
    return Check(
        "main job",
        f"{found} judged in {result.seconds['total']:.1f} s",
        ok=bool(result.judgement.models),
        remedy="reinstall numba, llvmlite and lightgbm",
    )


def _simulator(process: subprocess.Popen[str]) -> Check:
    """Say what the probe of the exchange simulator found."""
    out, err = process.communicate()
    ok = process.returncode == 0
    found = f"a market maker traded {out.strip()} times" if ok else (err.strip().splitlines() or ["crashed"])[-1]
    return Check("exchange simulator", found, ok=ok, remedy="reinstall numba and llvmlite")


def _store() -> Check:
    with tempfile.TemporaryDirectory(prefix="marketprism-doctor-") as folder:
        done = subprocess.run(  # noqa: S603 - our own interpreter and our own text
            [sys.executable, "-c", _STORE_PROBE, folder], capture_output=True, text=True, timeout=120, check=False
        )
    found = "opens and closes" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["crashed"])[-1]
    return Check(
        "embedded store", found, ok=done.returncode == 0, remedy="reinstall chdb, or use --store with a server"
    )


def examine() -> list[Check]:
    """Return every check, in the order a person would want them."""
    with tempfile.TemporaryDirectory(prefix="marketprism-doctor-") as folder:
        command = [sys.executable, "-c", _SIMULATOR_PROBE, folder]
        with subprocess.Popen(  # noqa: S603 - our own interpreter and our own text
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as simulator:
            jobs = [_main_job(), _simulator(simulator)]
    free = shutil.disk_usage(tempfile.gettempdir()).free / 2**30
    policy = os.environ.get("OMP_WAIT_POLICY", "unset")
    return [
        Check(
            "python", platform.python_version(), ok=sys.version_info >= (3, 11), remedy="install Python 3.11 or newer"
        ),
        *map(_library, _LIBRARIES),
        Check("processors", str(os.cpu_count()), ok=True),
        Check(
            "OMP_WAIT_POLICY",
            policy,
            ok=policy.upper() == "PASSIVE",
            remedy="export OMP_WAIT_POLICY=PASSIVE: training is several times slower without it",
        ),
        Check(
            "free disk",
            f"{free:.1f} GiB in {tempfile.gettempdir()}",
            ok=free >= _MIN_FREE_GIB,
            remedy="free some space",
        ),
        *jobs,
        _store(),
    ]
