"""``marketprism check-leaks`` from the command line, on simulated and on real data."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from marketprism.cli.main import cli

SIM = "sim:?seed=1&minutes=3"


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), catch_exceptions=False)


def test_engine_factors_from_the_command_line() -> None:
    found = call("check-leaks", "--source", SIM, "--events", "1500", "--samples", "4", "--factor", "ofi")
    assert found.exit_code == 0, found.output
    assert "clean: none of 1 factors looks ahead" in found.output
    assert "a planted look-ahead was caught" in found.output


def test_a_planted_leak_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import pandas as pd\n\ndef factors(df: pd.DataFrame):\n"
        "    return pd.DataFrame({'good': df.x.diff(), 'bad': df.x.shift(-1)})\n"
    )
    pl.DataFrame({"x": [float(i * i % 17) for i in range(50)]}).write_parquet(tmp_path / "tape.parquet")
    found = call("check-leaks", f"{tmp_path}/mine.py:factors", "--tape", str(tmp_path / "tape.parquet"))
    assert found.exit_code == 1
    assert "1 of 2 factors look ahead" in found.output
    as_json = call("check-leaks", f"{tmp_path}/mine.py:factors", "--tape", str(tmp_path / "tape.parquet"), "--json")
    summary = json.loads(as_json.output)
    assert (as_json.exit_code, summary["clean"], summary["factors_checked"]) == (1, False, 2)
    assert [(leak["factor"], leak["rows_ahead"]) for leak in summary["leaks"]] == [("bad", 1)]
    assert summary["control"]["rows_ahead"] == 1
    good = call(
        "check-leaks", f"{tmp_path}/mine.py:factors", "--tape", str(tmp_path / "tape.parquet"), "--factor", "good"
    )
    assert good.exit_code == 0


@pytest.mark.parametrize("arguments", [(), ("--tape", "a.parquet"), ("--source", SIM, "--tape", "a.parquet")])
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert call("check-leaks", *arguments).exit_code == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [
        "lobster:{}/lobster/LOBSTER_SampleFile_GOOG_2012-06-21_10.zip",
        "binance-ws:{}/binance_ws_20240808/usdm_btcusdt_20240808.gz",
    ],
)
def test_real_data(data_dir: Path, spec: str) -> None:
    found = call("check-leaks", "--source", spec.format(data_dir), "--samples", "4", "--json")
    summary = json.loads(found.output)
    assert found.exit_code == 0, summary["leaks"]
    assert summary["factors_checked"] >= 100
    assert summary["factors_checked"] + len(summary["not_exercised"]) == 114
    assert summary["control"]["rows_ahead"] >= 1
