"""The main job end to end, through the command line, on the simulated market."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

SOURCE = "sim:?seed=3&minutes=25"
pytestmark = pytest.mark.xdist_group("run")


def marketprism(*arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:marketprism", "-m", "marketprism", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        timeout=500,
        check=False,
    )


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "out"
    done = marketprism("run", "--source", SOURCE, "--out", str(folder), "--ledger", str(folder.parent / "ledger.db"))
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout
    return folder


@pytest.fixture(scope="module")
def summary(out: Path) -> dict[str, Any]:
    return json.loads((out / "summary.json").read_text())


@pytest.mark.slow
def test_every_file_is_there_and_consistent(out: Path, summary: dict[str, Any]) -> None:
    frame = pl.read_parquet(out / "factors.parquet")
    predictions = pl.read_parquet(out / "predictions.parquet")
    assert frame.height == summary["buckets"]["count"] > 100
    assert predictions.height > 0
    assert {path.parent.name for path in out.glob("model/*/model.onnx")} == set(summary["models"])
    assert set(json.loads((out / "timings.json").read_text())) >= {"source", "engine", "judge", "report", "total"}
    assert "Fifteen questions" in (out / "judgement.html").read_text()
    verified = marketprism("verify", str(out))
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.slow
def test_summary_has_the_public_keys_and_they_are_documented(summary: dict[str, Any]) -> None:
    for key in (
        "source",
        "instrument",
        "events",
        "gaps",
        "clock_skew_ms",
        "spread_states",
        "buckets",
        "factors",
        "folds",
        "models",
        "controls",
        "hashes",
    ):
        assert key in summary
    assert set(summary["spread_states"]) == {"1", "2", "3+"}
    assert sum(summary["spread_states"].values()) == pytest.approx(1)
    assert {"count", "p50_s", "p90_s"} <= set(summary["buckets"])
    for metrics in summary["models"].values():
        for metric in metrics.values():
            assert {"value", "low", "high"} <= set(metric)
    assert all(control["passed"] for control in summary["controls"].values())
    assert len(summary["questions"]) == 15
    assert summary["evidence"]["significance"]["trials"] == {
        **summary["evidence"]["significance"]["trials"],
        "count": 10,
        "from_ledger": True,
    }
    page = (Path(__file__).parents[2] / "docs" / "reference" / "summary.md").read_text()
    assert [key for key in summary if f"`{key}`" not in page] == []


@pytest.mark.slow
def test_same_input_and_seed_give_the_same_bytes_in_another_process(out: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    ledger = str(tmp_path / "ledger.db")
    done = marketprism("run", "--source", SOURCE, "--out", str(again), "--ledger", ledger, hash_seed="7")
    assert done.returncode == 0, done.stderr
    files = sorted(p.relative_to(out) for p in out.rglob("*") if p.is_file() and p.name != "timings.json")
    assert files == sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file() and p.name != "timings.json")
    differing = [str(name) for name in files if (out / name).read_bytes() != (again / name).read_bytes()]
    assert differing == []


@pytest.mark.slow
def test_json_prints_the_summary_alone_and_another_seed_changes_it(summary: dict[str, Any], tmp_path: Path) -> None:
    done = marketprism(
        "run",
        "--source",
        SOURCE,
        "--out",
        str(tmp_path / "o"),
        "--json",
        "--set",
        "seed=1",
        "--set",
        "judge.replications=200",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["seed"] == 1
    assert found["hashes"]["data"] == summary["hashes"]["data"]
    assert found["hashes"]["config"] != summary["hashes"]["config"]


@pytest.mark.slow
def test_report_opens_in_a_browser_without_errors_or_requests(out: Path, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine: install Debian's chromium to look at the report")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    flags += "--disable-component-update --disable-sync --enable-logging=stderr --v=0 --window-size=1240,2000"
    picture = tmp_path / "report.png"
    done = subprocess.run(
        [browser, *flags.split(), f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}",
         (out / "report.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert picture.stat().st_size > 50_000, done.stderr
    assert "CONSOLE" not in done.stderr
    html = (out / "report.html").read_text()
    assert not re.search(r'(?:src|href)="(?!#)[^"]*"', re.sub(r"xlink:href|xmlns(:\w+)?=\"[^\"]*\"", "", html))
    for title in ("Data quality", "Book and buckets", "Time of day", "Factors", "Models", "Controls", "Assumptions"):
        assert f">{title}" in html


def test_errors_are_one_clear_line() -> None:
    done = marketprism("run", "--source", "lobstre:x.zip", "--out", "/nonexistent/x")
    assert done.returncode == 1
    assert done.stderr.strip() == "error: format was 'lobstre' (did you mean 'lobster'?)"
    assert done.stdout == ""


def test_unknown_setting_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    done = marketprism("run", "--out", str(tmp_path), "--set", "engine.buckets.polcy=time")
    assert done.returncode == 1
    assert "polcy" in done.stderr
