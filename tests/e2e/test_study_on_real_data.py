"""The study of market making on a fast market of small ticks: what it chooses by itself makes sense there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from marketprism.cli.main import cli

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("backtest")]


@pytest.fixture(scope="module")
def found(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("study") / "out"
    source = f"binance-ws:{data_dir / 'binance_ws_20240808' / 'usdm_btcusdt_20240808.gz'}"
    settings = ("replications=100", "skews=[0.2]", "latencies_ms=[0.1, 200]")
    arguments = ["study", "making", "--out", str(out), "--source", source]
    done = CliRunner().invoke(cli, [*arguments, *(word for one in settings for word in ("--set", one))])
    assert done.exit_code == 0, done.output
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return summary


def test_distances_span_a_price_that_runs_through_hundreds_of_ticks(found: dict[str, Any]) -> None:
    distances = found["distances_ticks"]
    # The spread is one tick nearly always, the mid moves by dozens of them in a second.
    assert distances[0] == 0.5
    assert 4 * found["studies"]["optimal"]["fit"]["sigma"] == pytest.approx(distances[-1], rel=0.5)
    fills = [lane["trades"] for lane in found["studies"]["symmetric"]["lanes"][: len(distances)]]
    assert fills == sorted(fills, reverse=True)
    assert 0 < fills[-1] < 0.1 * fills[0]


def test_skews_that_follow_the_distances_hold_the_position(found: dict[str, Any]) -> None:
    deviation = {lane["name"]: lane["position_deviation"] for lane in found["studies"]["inventory"]["lanes"]}
    assert deviation["strong skew"] < deviation["mean-reverting skew"] < 0.7 * deviation["hard limit 10"]
    assert deviation["hard limit 10"] < deviation["none"]


def test_twins_of_different_latency_share_unequally(found: dict[str, Any]) -> None:
    equal, slower = found["studies"]["competition"]["twins"]["duels"]
    assert 0.45 < equal["twin_share"]["value"] < 0.55
    assert slower["twin_share"]["high"] < 0.45
    assert slower["first_ahead"] > 0.8
