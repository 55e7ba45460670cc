"""What a run writes to the ledger, what it reads from it, and the verb that shows it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from marketprism.cli.main import cli
from marketprism.core.errors import ConfigError
from marketprism.evaluate.case import Case
from marketprism.evaluate.judge import judge
from marketprism.evaluate.significance import assess_significance
from marketprism.models.baselines import ModelConfig
from marketprism.pipelines.collect import collect
from marketprism.pipelines.run_config import load_run_config
from marketprism.pipelines.run_ledger import (
    conclude_run,
    matching_data_sets,
    record_run,
    trial_config_hash,
    trials_on,
)
from marketprism.pipelines.sources import open_source
from marketprism.store.ledger import LEDGER_VARIABLE, Ledger

T0 = 1_700_000_000_000_000_000
SETTINGS = [
    "engine.buckets.t_target_s=3", "judge.replications=100", "judge.control_repeats=3",
    "judge.horizons=[1_buckets, 3_buckets]",
]  # fmt: skip
HASHES = {"data": "d" * 64, "config": "c1", "factors": "f1", "code": "0.1.0"}
SOURCE = "lobster:/data/[red]GOOG.zip"


@pytest.fixture(scope="module")
def case() -> Case:
    source = open_source("sim:?seed=2&minutes=15")
    config = load_run_config(settings=SETTINGS)
    collected = collect(source, config.engine)
    settings = msgspec.structs.replace(config.judge, models={"logistic": ModelConfig()})
    judged = judge(collected.frame, settings, instruments=source.instruments, mids=collected.mids)
    return Case(collected.frame, judged, source.instruments, collected.mids)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.db")


def test_a_run_writes_every_model_and_horizon_before_it_is_deflated(case: Case, ledger: Ledger) -> None:
    trials = record_run(ledger, case, HASHES, SOURCE, T0)
    assert (trials.count, trials.since, trials.from_ledger) == (2, T0, True)
    for known in ledger.trials(HASHES["data"]):
        one = known.trial
        metrics = case.judgement.models[one.model].horizons[one.horizon].metrics
        assert (one.model, one.what, one.source, one.n) == ("logistic", "run", SOURCE, metrics["ic"].n)
        assert (one.config_hash, one.factor_hash, one.code_version) == ("c1", "f1", "0.1.0")
        assert one.ic == metrics["ic"].value
        assert one.net_bps == pytest.approx(metrics["net_pnl_bps"].value)
        if math.isfinite(one.sharpe):
            assert one.annual_sharpe == pytest.approx(metrics["net_sharpe"].value)


def test_a_rerun_leaves_the_number_and_another_configuration_adds_to_it(case: Case, ledger: Ledger) -> None:
    first = record_run(ledger, case, HASHES, SOURCE, T0)
    again = record_run(ledger, case, HASHES, SOURCE, T0 + 1)
    assert again == first
    assert assess_significance(case, again).summary() == assess_significance(case, first).summary()
    more = record_run(ledger, case, {**HASHES, "config": "c2"}, SOURCE, T0 + 2)
    assert (more.count, more.measured) == (2 * first.count, 2 * first.measured)
    other = record_run(ledger, case, {**HASHES, "data": "e" * 64}, SOURCE, T0 + 3)
    assert other.count == first.count


def test_the_verdict_is_added_afterwards(case: Case, ledger: Ledger) -> None:
    record_run(ledger, case, HASHES, SOURCE, T0)
    conclude_run(ledger, HASHES, "No evidence of a signal")
    assert {known.trial.verdict for known in ledger.trials()} == {"No evidence of a signal"}


def test_nothing_judged_is_nothing_written(case: Case, ledger: Ledger) -> None:
    empty = Case(case.frame, replace(case.judgement, models={}))
    assert record_run(ledger, empty, HASHES, SOURCE, T0).count == 0
    assert not ledger.path.exists()
    assert trials_on(ledger, "none").count == 0


def test_jobs_do_not_make_another_trial() -> None:
    one, two, other = (
        trial_config_hash(load_run_config(settings=[text])) for text in ("judge.jobs=1", "judge.jobs=2", "seed=3")
    )
    assert one == two
    assert one != other


def test_data_sets_are_found_by_hash_and_source(case: Case, ledger: Ledger) -> None:
    assert matching_data_sets(ledger, "dd", "any") == []
    record_run(ledger, case, HASHES, SOURCE, T0)
    record_run(ledger, case, {**HASHES, "data": "e" * 64}, "sim:", T0)
    assert [one.data_hash[0] for one in matching_data_sets(ledger)] == ["d", "e"]
    assert [one.source for one in matching_data_sets(ledger, source="GOOG")] == [SOURCE]
    with pytest.raises(ConfigError, match="data set was 'dddx'"):
        matching_data_sets(ledger, "dddx")
    with pytest.raises(ConfigError, match="source was 'AAPL'"):
        matching_data_sets(ledger, source="AAPL")


def call(*arguments: str) -> str:
    return CliRunner().invoke(cli, ["ledger", *arguments], catch_exceptions=False).output


def test_the_verb_says_what_to_do_when_there_is_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LEDGER_VARIABLE, str(tmp_path / "none.db"))
    assert (
        call()
        == f"The ledger {tmp_path / 'none.db'} holds no trial yet: every `marketprism run` writes what it evaluated.\n"
    )
    assert json.loads(call("--json")) == {"ledger": str(tmp_path / "none.db"), "data_sets": [], "trials": []}
    assert not (tmp_path / "none.db").exists()


def test_the_verb_lists_data_sets_and_the_trials_of_one(case: Case, ledger: Ledger) -> None:
    record_run(ledger, case, HASHES, SOURCE, T0)
    record_run(ledger, case, {**HASHES, "data": "e" * 64}, "sim:", T0)
    conclude_run(ledger, HASHES, "No evidence")
    path = ("--ledger", str(ledger.path))
    listed = call(*path)
    assert "4 trials in" in listed
    assert "[red]GOOG.zip" in listed  # brackets in a file name are no markup
    assert "dddddddddddd" in listed
    assert "--data HASH" in listed
    for choice in (("--data", "dd"), ("--source", "GOOG")):
        shown = call(*path, *choice)
        assert "Trials on dddddddddddd" in shown
        assert "3_buckets" in shown
        assert "No evidence" in shown
        assert "sim:" not in shown
    found = json.loads(call(*path, "--data", "d", "--json"))
    assert [one["trials"] for one in found["data_sets"]] == [2]
    assert [(one["horizon"], one["times"]) for one in found["trials"]] == [("1_buckets", 1), ("3_buckets", 1)]
    assert found["trials"][0]["first"] == "2023-11-14T22:13:20.000000000Z"
    measured = sum(one["sharpe"] is not None for one in found["trials"])
    assert (found["data_sets"][0]["luckiest_sharpe"] is not None) == (measured > 1)
    assert json.loads(call(*path, "--json"))["trials"] == []


def test_trials_without_numbers_are_shown(ledger: Ledger) -> None:
    from marketprism.store.ledger import Trial

    ledger.record([Trial("d1", "c", "f", "1", "m", "h", what="tuning")], when=T0)
    shown = call("--ledger", str(ledger.path), "--data", "d1")
    assert "tuning" in shown
    assert "nan" not in shown
