"""A backtest end to end, through the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

from marketprism.cli.main import cli
from marketprism.core.errors import ConfigError, MarketPrismError, SourceError
from marketprism.pipelines.files import write_files

SIM = "sim:?seed=2&minutes=4"
FAST = ("--set", "warmup_s=20", "--set", "replications=100", "--no-ledger")
pytestmark = pytest.mark.xdist_group("backtest")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), catch_exceptions=False)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backtest") / "out"
    done = call("backtest", "symmetric", "--source", SIM, "--out", str(folder), *FAST)
    assert done.exit_code == 0
    assert "report.html" in done.output
    return folder


@pytest.fixture(scope="module")
def summary(out: Path) -> dict[str, Any]:
    return json.loads((out / "summary.json").read_text())


def test_files_agree_with_each_other(out: Path, summary: dict[str, Any]) -> None:
    orders, fills = (pl.read_parquet(out / f"{name}.parquet") for name in ("orders", "fills"))
    assert fills.height == summary["trades"] > 20
    assert (orders["executed"] > 0).sum() == fills.height
    assert fills["fee"].sum() == pytest.approx(summary["fees"])
    assert summary["volume"] == pytest.approx(fills["quantity"].sum())
    parts = summary["spread_capture"] + summary["inventory_pnl"] + summary["adverse_selection"]
    assert summary["pnl"] == pytest.approx(parts - summary["fees"] + summary["funding"], abs=1e-12)
    html = (out / "report.html").read_text()
    for title in ("P&amp;L", "Inventory", "Mark-outs", "Orders and queues", "Assumptions", "Definitions"):
        assert f">{title}" in html
    assert not re.search(r'(?:src|href)="(?!#)[^"]*"', re.sub(r"xlink:href|xmlns(:\w+)?=\"[^\"]*\"", "", html))


def test_keys_of_the_summary_are_documented(summary: dict[str, Any]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "backtest-summary.md").read_text()
    assert [key for key in summary if f"`{key}`" not in page] == []


def test_the_same_input_gives_the_same_bytes(out: Path, tmp_path: Path) -> None:
    assert call("backtest", "symmetric", "--source", SIM, "--out", str(tmp_path), *FAST).exit_code == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == ["fills.parquet", "orders.parquet", "report.html", "summary.json"]
    assert [name for name in names if (out / name).read_bytes() != (tmp_path / name).read_bytes()] == []


def test_lanes_with_a_factor_and_the_ledger(tmp_path: Path) -> None:
    lanes = tmp_path / "lanes.csv"
    lanes.write_text("gamma,strategy\n0.01,avellaneda_stoikov\n0.05,signal_skew\n")
    done = call(
        "backtest", "avellaneda_stoikov", "--source", SIM, "--out", str(tmp_path / "o"), "--lanes", str(lanes),
        "--signal", "ofi", "--set", "warmup_s=20", "--set", "replications=100", "--set", "engine.families=[level1,ofi]",
        "--ledger", str(tmp_path / "ledger.db"), "--json",
    )  # fmt: skip
    found = json.loads(done.output)
    assert [lane["parameters"]["gamma"] for lane in found["lanes"]] == [0.01, 0.05]
    assert found["trials"] == {**found["trials"], "count": 2, "from_ledger": True}
    assert found["signals"] == ["ofi"]
    listed = call("ledger", "--ledger", str(tmp_path / "ledger.db"), "--json").output
    assert json.loads(listed)["data_sets"][0]["trials"] == 2
    assert ">Lanes" in (tmp_path / "o" / "report.html").read_text()


def test_nothing_traded_is_said_loudly(tmp_path: Path) -> None:
    done = call(
        "backtest", "symmetric", "--source", SIM, "--out", str(tmp_path), *FAST, "--set", "half_spread_ticks=40"
    )
    assert done.exit_code == 1
    assert re.search(r"NOTHING TRADED: \d+ orders sent( \(\d+ ended by \w+\))?, no execution", done.output)
    found = json.loads((tmp_path / "summary.json").read_text())
    assert found["nothing_traded"]
    assert found["trades"] == 0
    assert "Nothing traded" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("symetric",), "did you mean 'symmetric'"),
        (("symmetric", "--set", "half_spread=1"), "half_spread"),
        (("symmetric", "--set", "market.maker_fee=1"), "did you mean 'maker_fee_bps'"),
        (("symmetric", "--set", "half_spread_ticks"), "key=value"),
        (("symmetric", "--signal", "ofi", "--signals", "x"), "one of the two"),
        (("symmetric", "--signals", "no-such-run"), "no-such-run"),
        (("symmetric", "--lanes", "no-such-file.yaml"), "no-such-file"),
        (("symmetric", "--set", "tape.lot=x"), "lot was 'x'"),
    ],
)
def test_what_cannot_be_used_is_refused(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    with pytest.raises(MarketPrismError, match=re.escape(said)):
        call("backtest", *arguments, "--source", "sim:?seed=2&minutes=1.5", "--out", str(tmp_path), "--no-ledger")


def test_unknown_factors_and_short_sources_are_refused(tmp_path: Path) -> None:
    where = ("--out", str(tmp_path), "--no-ledger")
    with pytest.raises(ConfigError, match="did you mean 'ofi'"):
        call("backtest", "signal_skew", "--source", SIM, "--signal", "ofii", "--set", "engine.families=[ofi]", *where)
    with pytest.raises(SourceError, match=r"none\.zip"):
        call("backtest", "symmetric", "--source", "lobster:none.zip", *where)


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(MarketPrismError, match="could not be written"):
        write_files(file / "out", {"a": "b"})


def test_strategies_are_listed_and_shown() -> None:
    listed = json.loads(call("strategies", "list", "--json").output)
    assert {"symmetric", "avellaneda_stoikov", "glft", "signal_skew", "inventory"} <= {one["name"] for one in listed}
    assert "symmetric" in call("strategies", "list").output
    for one in listed:
        shown = json.loads(call("strategies", "show", one["name"], "--json").output)
        assert shown["about"]
        assert [p["name"] for p in shown["parameters"] if not p["meaning"]] == []
    assert "half_spread_ticks" in call("strategies", "show", "symmetric").output
    with pytest.raises(ConfigError, match="did you mean 'glft'"):
        call("strategies", "show", "glf")


_MINE = '''
"""Joins the best prices."""
from marketprism.backtest.strategy import Strategy


class Joiner(Strategy):
    """One order a side."""
    quantity: float = 0.1

    def on_wake(self, desk):
        if desk.bid is None or desk.ask is None or desk.orders:
            return
        desk.submit(1, desk.bid, self.quantity)
        desk.submit(-1, desk.ask, self.quantity)
'''


def test_an_own_strategy_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(_MINE)
    done = call(
        "backtest", f"{file}:Joiner", "--source", "sim:?seed=2&minutes=2", "--out", str(tmp_path / "o"), "--no-ledger",
        "--set", "quantity=0.2", "--set", "interval_ms=500", "--json",
    )  # fmt: skip
    found = json.loads(done.output)
    assert found["trades"] > 3
    assert found["lanes"][0]["parameters"] == {"quantity": 0.2}
    assert "mine.py:Joiner on SIM-USDT" in (tmp_path / "o" / "report.html").read_text()
    with pytest.raises(ConfigError, match=r"nowhere\.py"):
        call("backtest", "nowhere.py:Joiner", "--source", SIM, "--out", str(tmp_path), "--no-ledger")
