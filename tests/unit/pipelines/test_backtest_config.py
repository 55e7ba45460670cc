"""Settings and lanes of a backtest from the command line and from files."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from marketprism.core.errors import ConfigError
from marketprism.pipelines.backtest_config import BacktestConfig, load_lanes, split_settings
from marketprism.pipelines.backtest_sections.words import lane_names
from marketprism.pipelines.market_tape import TapeConfig
from marketprism.pipelines.sources import open_source
from marketprism.pipelines.study import load_study_config


def test_keys_go_where_they_belong() -> None:
    config, parameters = split_settings(
        ["market.queue=power", "engine.buckets.t_target_s=2", "strategy.seed=3", "gamma=0.1", "risk.max_position=5"], 7
    )
    assert config.market.queue == "power"
    assert config.engine.buckets.t_target_s == 2
    assert config.engine.buckets.policy == "time"
    assert config.risk.max_position == 5
    assert (config.seed, config.market.seed) == (7, 7)
    assert parameters == {"seed": 3, "gamma": 0.1}
    assert split_settings(["market.seed=1"], 7)[0].market.seed == 1
    assert split_settings([])[0] == BacktestConfig()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("interval_ms=-1", "interval_ms"),
        ("bar_s=0", "bar_s"),
        ("markout_s=[]", "markout_s"),
        ("markout_s=[-1]", "markout_s"),
        ("replications=0", "replications"),
        ("confidence=0.3", "confidence"),
        ("market.queeue=log", "did you mean 'queue'"),
        ("gamma=[1", "gamma=.1, line 1, column 3: expected"),
        ("gamma=nan", "no setting can be NaN"),
        ("weights=[1, .nan]", "no setting can be NaN"),
        ("market={seed: .nan}", "no setting can be NaN"),
        ("markout_s=[.inf]", "markout_s"),
        ("interval_ms=1e12", "a day"),
        ("bar_s=1e-9", "bar_s was 1e-09"),
        ("seed=-1", "seed was -1"),
        ("market.seed=99999999999999999999", "seed was 9"),
        ("market.entry_latency_ms=1e300", "a day"),
        ("tape.base_latency_ms=.inf", "tape.base_latency_ms was inf"),
        ("strategy=glft", "the command's argument"),
        ("=3", "key=value"),
    ],
)
def test_settings_that_cannot_be_used(setting: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        split_settings([setting])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "gamma,levels\n0.1,1\n0.2,1\n0.1,2\n0.2,2\n"),
        (
            "a.yaml",
            "\n".join(f"- {{gamma: {g}, levels: {n}}}" for n in (1, 2) for g in (0.1, 0.2)),
        ),
        ("a.json", '{"levels": [1, 2], "gamma": [0.1, 0.2]}'),
    ],
)
def test_lanes_from_files(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    lanes = load_lanes(file)
    assert lanes == [{"gamma": g, "levels": n} for n in (1, 2) for g in (0.1, 0.2)]
    assert lane_names(lanes)[1] == "gamma 0.2, levels 1" if name != "a.json" else "levels 1, gamma 0.2"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.yaml", "[]", "no parameter set"),
        ("a.yaml", "gamma: 0.1", "gamma has no list of values"),
        ("a.yaml", "- gamma: 1\n- 3", "lane 2, was 3"),
        ("a.yaml", "3", "a.yaml holds 3"),
        ("a.yaml", "a: [1,\nb", "a.yaml, line 2, column 2"),
        ("a.yaml", "- {gamma: .nan}", "no setting can be NaN"),
        ("a.yaml", "- {1: 2}", "lane 1: keys were"),
        ("a.yaml", " \n", "a.yaml is empty"),
        ("a.csv", "", "a.csv is empty"),
        ("a.csv", "gamma,gamma\n1,2\n", "line 1: columns were"),
        ("a.csv", "gamma,levels\n1,2\n\n1,2,3\n", "line 4: 3 cells in 2 columns"),
        ("a.csv", "gamma\n[1\n", "line 2, gamma, line 1"),
        ("a.csv", "gamma\n", "no parameter set"),
        ("a.json", '{"a": [' + ",".join("1" * 1) + "]" + ', "b": [' + ",".join(["1"] * 1001) + "]}", "1,001"),
        ("a.bin", "\udcff", "codec"),
    ],
)
def test_lanes_that_cannot_be_used(tmp_path: Path, name: str, text: str, said: str) -> None:
    file = tmp_path / name
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError, match=said) as caught:
        load_lanes(file)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="none"):
        load_lanes(tmp_path / "none.yaml")


def test_lanes_alike_are_numbered() -> None:
    assert lane_names([{"a": 1}, {"a": 1}]) == ["lane 1", "lane 2"]
    assert lane_names([{"a": 1}, {"a": 2}, {"a": 1}]) == ["1: a 1", "2: a 2", "3: a 1"]


def test_settings_of_the_study() -> None:
    config, tape = load_study_config(["market.maker_fee_bps=0.2", "tape.levels=5"], 3)
    assert (config.market.maker_fee_bps, config.seed, tape) == (0.2, 3, TapeConfig(levels=5))
    with pytest.raises(ConfigError, match="did you mean 'skews'"):
        load_study_config(["skew=[1]"])
    for wrong, said in (("tape=3", "tape was 3"), ("seed=-1", "seed was -1")):
        with pytest.raises(ConfigError, match=said):
            load_study_config([wrong])


def test_an_empty_cell_leaves_the_default(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("gamma, levels\n0.1,\n,2\n")
    assert load_lanes(tmp_path / "a.csv") == [{"gamma": 0.1}, {"levels": 2}]


def test_a_lot_is_written_as_a_number_or_a_text() -> None:
    instrument = open_source("sim:?seed=1").instrument
    for lot in ("0.001", "'0.001'"):
        (config, _) = split_settings([f"tape.lot={lot}"])
        assert config.tape.builder(instrument)._lot == Decimal("0.001")
