"""The study of market making, and the tutorial that ends with it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from marketprism.cli.main import cli
from marketprism.core.errors import ConfigError, DataError

PAGES = ("symmetric", "optimal", "signals", "inventory", "competition")
TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial-market-making.md"
SMALL = (
    "--source", "sim:?seed=5&minutes=4", "--set", "warmup_s=20", "--set", "replications=100",
    "--set", "skews=[0.2, 1.0]", "--set", "half_spreads=[1.0]", "--set", "latencies_ms=[1.0, 50.0]",
)  # fmt: skip
pytestmark = pytest.mark.xdist_group("backtest")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), catch_exceptions=False)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "out"
    done = call("study", "making", "--out", str(folder), *SMALL)
    assert done.exit_code == 0
    assert "index.html" in done.output
    return folder


@pytest.fixture(scope="module")
def found(out: Path) -> dict[str, Any]:
    return json.loads((out / "summary.json").read_text())["studies"]


def test_five_pages_and_an_index_that_links_them(out: Path, found: dict[str, Any]) -> None:
    assert tuple(found) == PAGES
    index = (out / "index.html").read_text()
    for name in PAGES:
        assert f'href="{name}.html"' in index
        html = (out / f"{name}.html").read_text()
        for title in ("Assumptions", "Definitions"):
            assert f">{title}" in html
        assert not re.search(r'(?:src|href)="(?!#)[^"]*"', re.sub(r"xlink:href|xmlns(:\w+)?=\"[^\"]*\"", "", html))


def test_the_parts_of_every_lane_add_up(found: dict[str, Any]) -> None:
    for study in found.values():
        assert study["headline"]
        assert any(lane["trades"] for lane in study["lanes"])
        for lane in study["lanes"]:
            parts = lane["spread_capture"] + lane["inventory_pnl"] + lane["adverse_selection"]
            assert lane["pnl"] == pytest.approx(parts - lane["fees"] + lane["funding"], abs=1e-12)


def test_limits_hold_and_makers_in_one_queue_share_the_trades(out: Path, found: dict[str, Any]) -> None:
    quantity = json.loads((out / "summary.json").read_text())["order_quantity"]
    limited = [lane for study in found.values() for lane in study["lanes"] if "max_inventory" in lane["parameters"]]
    assert len(limited) > 10
    assert max(lane["position_largest"] for lane in limited) <= 10 * quantity + 1e-9
    together, alone = found["competition"]["lanes"], found["competition"]["alone"]
    assert [one["name"] for one in together] == [one["name"] for one in alone]
    assert sum(one["volume"] for one in together) < sum(one["volume"] for one in alone)
    assert sum(found["competition"]["spread_shares"]) == pytest.approx(1)
    assert found["optimal"]["fit"]["k"] > 0


def test_latency_decides_who_stands_first(out: Path, found: dict[str, Any]) -> None:
    twins = found["competition"]["twins"]
    equal, slower = twins["duels"]
    assert (equal["latencies_ms"], slower["latencies_ms"]) == ([1.0, 1.0], [1.0, 50.0])
    assert equal["twin_share"]["low"] < 0.5 < equal["twin_share"]["high"]
    assert slower["twin_share"]["high"] < 0.5 < slower["first_ahead"]
    for duel in twins["duels"]:
        assert duel["first"]["volume"] + duel["twin"]["volume"] < 2 * twins["alone"]["volume"]
    for race in ("slow_among_fast", "fast_among_slow"):
        assert len(found["competition"][race]) == 10
        assert all(0 < one["pnl_more"]["p_corrected"] <= 1 for one in found["competition"][race][1::2])
    assert json.loads((out / "summary.json").read_text())["distances_ticks"] == [1.0]
    html = (out / "competition.html").read_text()
    assert "Two of a kind" in html
    assert "One slow among fast ones" in html


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(out: Path, tmp_path: Path) -> None:
    assert call("study", "making", "--out", str(tmp_path), *SMALL).exit_code == 0
    names = sorted(path.name for path in out.iterdir())
    assert [name for name in names if (out / name).read_bytes() != (tmp_path / name).read_bytes()] == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [(["skews=[0]"], "skews"), (["warmup=3"], "did you mean 'warmup_s'"), (["tape.lot=x"], "lot was 'x'")],
)
def test_settings_that_cannot_be_used(settings: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        call("study", "making", "--out", str(tmp_path), *(part for one in settings for part in ("--set", one)))


@pytest.mark.slow
def test_a_source_too_short_to_weight_signals(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="rows in the calibration"):
        call(
            "study", "making", "--out", str(tmp_path), "--source", "sim:?seed=5&minutes=1.5", "--set", "warmup_s=10",
            "--set", "skews=[0.2]", "--set", "half_spreads=[1.0]", "--set", "replications=20",
        )  # fmt: skip


@pytest.mark.slow
def test_the_tutorial_works_command_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARKETPRISM_LEDGER", str(tmp_path / "ledger.db"))
    text = TUTORIAL.read_text()
    (tmp_path / "lanes.yaml").write_text(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[0])
    commands = re.findall(r"^\$ marketprism (.+)$", text, re.MULTILINE)
    assert len(commands) >= 8
    for command in commands:
        done = call(*shlex.split(command))
        assert done.exit_code == 0, (command, done.output)
    pages = (
        "signal/judgement.html",
        "plain/report.html",
        "skewed/report.html",
        "lanes/report.html",
        "study/index.html",
    )
    for page in pages:
        assert (tmp_path / page).stat().st_size > 5_000
    summary = json.loads((tmp_path / "lanes" / "summary.json").read_text())
    assert len(summary["lanes"]) == 6
    assert summary["trials"]["from_ledger"]
    study = json.loads((tmp_path / "study" / "summary.json").read_text())["studies"]["signals"]
    assert [one["name"] for one in study["against_plain"]][-1] == "prediction of logistic"
