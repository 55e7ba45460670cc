"""Every verb of the command line, in-process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from marketprism.cli.main import cli
from marketprism.core.errors import ConfigError, SourceError

SIM = "sim:?seed=1&minutes=3"


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), catch_exceptions=False)


def test_help_lists_every_verb_without_importing_one() -> None:
    text = call("--help").output
    for verb in (
        "run",
        "inspect",
        "convert",
        "verify",
        "sources",
        "factors",
        "config",
        "doctor",
        "selfcheck",
        "ledger",
        "gate",
        "check-leaks",
    ):
        assert f"\n  {verb}" in text


def test_sources_lists_every_format_with_an_example() -> None:
    found = json.loads(call("sources", "--json").output)
    assert {
        "sim", "binance-ws", "lobster", "us-l1", "ashare-snapshot", "ashare-orders", "bitstamp-l3", "tardis",
        "binance-vision", "hftbacktest", "parquet", "csv", "store",
    } <= set(found)  # fmt: skip
    for name, entry in found.items():
        assert entry["example"].startswith(f"{name}:")
        assert entry["description"]
    table = call("sources", "--options").output
    assert "?symbol=" in table


def test_factors_list_and_explain() -> None:
    entries = json.loads(call("factors", "list", "--json").output)
    assert len(entries) > 100
    assert all(entry["unit"] and entry["formula"] and entry["null"] and entry["known"] for entry in entries)
    level1 = json.loads(call("factors", "list", "--family", "level1", "--json").output)
    assert {entry["family"] for entry in level1} == {"level1"}
    assert "queue_imbalance" in call("factors", "list").output
    explained = json.loads(call("factors", "explain", "queue_imbalance", "--json").output)
    assert explained["name"] == "queue_imbalance"
    assert "formula" in call("factors", "explain", "ofi").output
    with pytest.raises(ConfigError, match="did you mean 'queue_imbalance'"):
        call("factors", "explain", "queue_imbalanc")


def test_config_show_and_schema(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("seed: 5\nengine:\n  buckets:\n    policy: time\n")
    found = json.loads(call("config", "show", "--config", str(file), "--set", "judge.folds=3", "--json").output)
    assert (found["seed"], found["judge"]["seed"], found["judge"]["folds"]) == (5, 5, 3)
    assert found["engine"]["buckets"]["policy"] == "time"
    again = tmp_path / "again.yaml"
    again.write_text(call("config", "show", "--config", str(file)).output)
    assert json.loads(call("config", "show", "--config", str(again), "--json").output)["engine"] == found["engine"]
    schema = json.loads(call("config", "schema").output)
    assert "RunConfig" in json.dumps(schema)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["seeed=1"], "did you mean 'seed'"),
        (["seed"], "key=value"),
        (["judge.folds=none"], "folds"),
        (["wanted_buckets=0"], "0"),
    ],
)
def test_bad_settings_are_refused(settings: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        call("config", "show", *[part for s in settings for part in ("--set", s)])


def test_config_of_a_backtest_and_of_a_study(tmp_path: Path) -> None:
    settings = ("--set", "market.maker_fee_bps=0.2", "--json")
    shown = json.loads(call("config", "show", "--of", "backtest", "--set", "gamma=0.1", *settings).output)
    assert (shown["market"]["maker_fee_bps"], shown["strategy"]) == (0.2, {"gamma": 0.1})
    assert "strategy" not in json.loads(call("config", "show", "--of", "backtest", *settings).output)
    study = json.loads(call("config", "show", "--of", "study", "--set", "tape.levels=5", *settings).output)
    assert (study["market"]["maker_fee_bps"], study["tape"]["levels"]) == (0.2, 5)
    for what, key in (("backtest", "interval_ms"), ("study", "skews"), ("run", "judge")):
        assert key in call("config", "schema", "--of", what).output
    (tmp_path / "run.yaml").write_text("{}")
    with pytest.raises(ConfigError, match="a file configures a run"):
        call("config", "show", "--of", "backtest", "--config", str(tmp_path / "run.yaml"))


def test_bad_config_files_are_refused(tmp_path: Path) -> None:
    for text, said in (("- 1\n", "list"), ("a: [", "YAML|flow")):
        file = tmp_path / "bad.yaml"
        file.write_text(text)
        with pytest.raises(ConfigError, match=said):
            call("config", "show", "--config", str(file))


def test_inspect_tells_the_same_in_both_forms() -> None:
    found = json.loads(call("inspect", SIM, "--json").output)
    assert found["gaps"] == 0
    assert found["events"]["trade"] > 100
    assert found["records"] >= sum(found["events"].values()) > 1000
    assert found["clock_skew_ms"] > 0
    text = call("inspect", SIM).output
    assert f"{found['events']['trade']:,}" in text
    assert found["instrument"]["key"] in text


def test_convert_verify_and_read_back(tmp_path: Path) -> None:
    out = tmp_path / "data"
    assert json.loads(call("convert", SIM, "--out", str(out), "--json").output)["rows"] > 0
    assert call("verify", str(out)).exit_code == 0
    whole, back = (json.loads(call("inspect", spec, "--json").output) for spec in (SIM, f"parquet:{out}"))
    assert back["events"] == whole["events"]
    assert back["spread_states"] == whole["spread_states"]
    victim = next(out.rglob("*.parquet"))
    victim.write_bytes(victim.read_bytes()[:-20])
    bad = call("verify", str(out), "--json")
    assert bad.exit_code == 1
    assert victim.name in bad.output


def test_an_empty_source_is_an_error(tmp_path: Path) -> None:
    empty = tmp_path / "x.csv.gz"
    empty.write_bytes(b"")
    with pytest.raises(SourceError, match=r"x\.csv\.gz"):
        call("inspect", f"tardis:{empty}")


@pytest.mark.slow
def test_selfcheck_passes_and_prints_a_table() -> None:
    done = call("selfcheck", "--json")
    results = json.loads(done.output)
    assert done.exit_code == 0
    assert len(results) >= 33
    assert all(result["passed"] for result in results)
    assert {"piece", "published", "ours", "tolerance", "source"} <= set(results[0])
    assert "reproduced" in call("selfcheck").output


@pytest.mark.slow
def test_doctor_finds_this_machine_fit() -> None:
    done = call("doctor", "--json")
    assert [check for check in json.loads(done.output) if not check["ok"]] == []
    assert done.exit_code == 0
