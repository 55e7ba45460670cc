"""The exclusion list: what is found, when it was known, what it costs, and that it is applied and judged apart."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError
from marketprism.core.timebase import NS, format_ns
from marketprism.evaluate import ExclusionConfig, JudgeConfig, find_exclusions, judge
from marketprism.evaluate.walkforward import prepare
from marketprism.labels import LabelConfig, make_labels
from marketprism.models import ModelConfig

_OFF = {"enabled": False}


def jumped(tape: pl.DataFrame, at: int, size: float = 0.05) -> pl.DataFrame:
    """Every mid from the close of bucket ``at`` on is higher."""
    after = pl.int_range(pl.len()) >= at
    mid = pl.when(after).then(pl.col("mid_last") * (1 + size)).otherwise(pl.col("mid_last"))
    return tape.with_columns(mid_last=mid).with_columns(
        mid_open=pl.col("mid_last").shift(1).fill_null(pl.col("mid_last"))
    )


def late(tape: pl.DataFrame, at: int, seconds: float) -> pl.DataFrame:
    """Bucket ``at`` ends, and everything after happens, later."""
    step = round(seconds * NS) * (np.arange(tape.height) >= at)
    return tape.with_columns(
        pl.col("ts_end", "ts_known") + pl.Series(step), pl.col("ts_start") + pl.Series(np.r_[0, step[:-1]])
    )


def one_segment(tape: pl.DataFrame) -> pl.DataFrame:
    return tape.with_columns(segment=pl.lit(0, pl.Int64))


def reasons(found) -> dict[str, int]:
    return {reason: one["spans"] for reason, one in found.by_reason().items()}


def test_ordinary_buckets_lose_nothing(make_tape):
    found = find_exclusions(one_segment(make_tape(1200)))
    assert found.spans.is_empty()
    assert found.notes() == []
    assert found.summary()["reasons"] == {}


def test_a_gap_is_a_span_from_segment_to_segment(make_tape):
    tape = make_tape(300)
    found = find_exclusions(tape, ExclusionConfig(settle_s=30))
    first = tape.filter(pl.col("segment") == 1).row(0, named=True)
    assert reasons(found) == {"gap": 2}
    row = found.spans.row(0, named=True)
    assert (row["start_ts"], row["end_ts"]) == (tape["ts_end"][99], first["ts_start"] + 30 * NS)
    assert row["known_ts"] == first["ts_known"]


def test_a_jump_is_found_with_the_rows_that_see_it(make_tape):
    tape = jumped(one_segment(make_tape(600)), 300)
    labels = make_labels(tape, LabelConfig(bucket_horizons=(1, 4)))
    found = find_exclusions(tape)
    assert reasons(found) == {"jump": 1}
    for horizon, rows in (("1_buckets", [299]), ("4_buckets", [296, 297, 298, 299])):
        problem = prepare(tape, labels, horizon, None, found)
        assert np.flatnonzero(problem.excluded).tolist() == rows
        # A label that spans the jump is known when the jumped bucket is, or later: none of them trains.
        assert np.flatnonzero(problem.barred).tolist() == rows
        assert problem.labelled.sum() - problem.trainable.sum() == len(rows)
    counted = found.counted(problem.rows, problem.label_end, problem.label_known, problem.labelled)
    assert (counted.rows, counted.spans["rows"].to_list(), counted.spans["barred"].to_list()) == (4, [4], [4])
    assert "jump 1 (4 rows)" in counted.notes()[0]


def test_a_small_jump_spoils_short_labels_only(make_tape):
    tape = one_segment(make_tape(900))
    tape = jumped(tape, 500, 45 * 3e-4)
    labels = make_labels(tape, LabelConfig(bucket_horizons=(1, 20)))
    found = find_exclusions(tape)
    assert prepare(tape, labels, "1_buckets", None, found).excluded.sum() == 1
    assert prepare(tape, labels, "20_buckets", None, found).excluded.sum() == 0


@pytest.mark.parametrize("cut", [301, 302, 340, 450])
def test_a_longer_tape_changes_no_earlier_part(make_tape, cut):
    tape = late(jumped(jumped(one_segment(make_tape(600)), 300), 301, -0.2), 400, 4000.0)
    whole, part = (find_exclusions(one) for one in (tape, tape.head(cut)))
    known = whole.parts.filter(pl.col("known_ts") <= tape["ts_known"][cut - 1]).drop("span")
    assert known.height > 0
    assert part.parts.drop("span").equals(known)


def test_barring_waits_until_the_span_is_known(make_tape):
    """A fixed-time label that ends before the jumped bucket closes could not know of the jump: it trains."""
    tape = jumped(one_segment(make_tape(600)), 300)
    labels = make_labels(tape, LabelConfig(bucket_horizons=(), time_horizons_s=(120.0,)))
    problem = prepare(tape, labels, "120_s", None, find_exclusions(tape))
    touched = np.flatnonzero(problem.excluded)
    known = tape["ts_known"][300]
    early = touched[problem.label_known[touched] < known]
    assert touched.size > 1
    assert np.array_equal(np.flatnonzero(problem.barred), np.setdiff1d(touched, early))
    # With bucket ends only, a label is known with the bucket that completes it; shift the knowledge to see the rule.
    masks = find_exclusions(tape).masks(problem.rows, problem.label_end, np.full(600, known - 1))
    assert masks.excluded.sum() == touched.size
    assert not masks.barred.any()


def test_silence_and_invalid_book(make_tape):
    tape = late(one_segment(make_tape(400)), 200, 3600.0)
    tape = tape.with_columns(mid_last=pl.when(pl.col("bucket_id").is_in([250, 251])).then(None).otherwise("mid_last"))
    found = find_exclusions(tape)
    assert reasons(found) == {"silence": 1, "invalid_book": 1}
    silence, invalid = found.spans.rows(named=True)
    assert (silence["start_ts"], silence["end_ts"]) == (tape["ts_end"][199], tape["ts_end"][200])
    assert (invalid["start_ts"], invalid["end_ts"]) == (tape["ts_end"][249], tape["ts_end"][251])
    assert find_exclusions(tape, ExclusionConfig(silence_floor_s=4000)).by_reason().keys() == {"invalid_book"}
    assert find_exclusions(tape, ExclusionConfig(silence_multiple=1e4)).by_reason().keys() == {"invalid_book"}
    problem = prepare(tape, make_labels(tape, LabelConfig(bucket_horizons=(5,))), "5_buckets", None, found)
    assert problem.excluded[195:200].all()
    assert not problem.excluded[200]


def test_a_mid_series_shows_invalid_stretches_between_bucket_ends(make_tape):
    tape = one_segment(make_tape(100))
    start = int(tape["ts_end"][50])
    ts = start + np.array([0, 1, 7, 8, 9, 10]) * NS
    mids = pl.DataFrame(
        {
            "exchange": "binance", "market_type": "linear", "symbol": "BTC-USDT", "ts_event": ts,
            "ts_recv": ts + 5, "mid": [6e4, None, 6e4, None, 6e4, None],
        }
    )  # fmt: skip
    found = find_exclusions(tape, mids=mids)
    assert found.spans.select("reason", "start_ts", "end_ts", "known_ts").rows() == [
        ("invalid_book", ts[1], ts[2], ts[2] + 5)
    ]
    assert find_exclusions(tape, mids=mids.with_columns(symbol=pl.lit("ETH-USDT"))).spans.is_empty()


def test_given_spans_in_text_and_ns(make_tape):
    tape = one_segment(make_tape(300))
    start, end = int(tape["ts_end"][100]), int(tape["ts_end"][110])
    text = datetime.fromtimestamp(end // NS, UTC).isoformat()
    config = ExclusionConfig.from_mapping({"spans": [[start, end], [format_ns(start + NS), text]]})
    found = find_exclusions(tape, config)
    assert found.spans.height == 1
    assert found.spans.row(0, named=True)["start_ts"] == start
    problem = prepare(tape, make_labels(tape, LabelConfig(bucket_horizons=(1,))), "1_buckets", None, found)
    assert np.flatnonzero(problem.excluded).tolist() == list(range(100, 110))
    assert np.array_equal(problem.excluded, problem.barred)
    assert find_exclusions(tape, config.replace(enabled=False)).spans.is_empty()


def test_a_jump_of_one_instrument_touches_no_other(make_tape):
    two = pl.concat([jumped(one_segment(make_tape(400)), 200), one_segment(make_tape(400, seed=1, symbol="ETH-USDT"))])
    problem = prepare(two, make_labels(two, LabelConfig(bucket_horizons=(1,))), "1_buckets", None, find_exclusions(two))
    hit = problem.rows.filter(pl.Series(problem.excluded))
    assert hit.select("symbol", "bucket_id").rows() == [("BTC-USDT", 199)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"settle_s": -1.0}, {"silence_multiple": 0.5}, {"jump_window": 5}, {"jump_significance": 0.0},
        {"jump_deviations": float("nan")}, {"spans": [["2024-01-02", "2024-01-01"]]}, {"spanz": []},
    ],
)  # fmt: skip
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        ExclusionConfig.from_mapping(wrong)


CONFIG = JudgeConfig(
    labels=LabelConfig(bucket_horizons=(2,)), models={"logistic": ModelConfig()}, folds=3, replications=100,
    control_repeats=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def tape(make_tape):
    return jumped(jumped(one_segment(make_tape(800, ic=0.6)), 150, 0.05), 700, -0.05)


@pytest.fixture(scope="module")
def judged(tape, instruments):
    return judge(tape, CONFIG, instruments=instruments)


@pytest.fixture(scope="module")
def plain(tape, instruments):
    return judge(tape, CONFIG.replace(exclusions=_OFF), instruments=instruments)


def test_applied_counted_and_judged_apart(judged, plain):
    part, other = (one.models["logistic"].horizons["2_buckets"] for one in (judged, plain))
    assert judged.exclusions.rows == 4
    assert judged.predictions.filter("excluded")["bucket_id"].to_list() == [698, 699]
    assert part.metrics["ic"].n == other.metrics["ic"].n - 2 == part.included["ic"].n - 2
    assert part.excluded["hit_rate"].n <= 2
    # A fall of 5 % among moves of .03 % is all that the IC with it sees.
    assert part.metrics["ic"].value > 0.1
    assert abs(part.included["ic"].value - part.metrics["ic"].value) > 0.05
    assert part.calibration["n"].sum() == part.metrics["ic"].n
    assert [fold.excluded for fold in judged.folds] == [2, 2, 2]
    assert all(a.train_rows == b.train_rows - 2 for a, b in zip(judged.folds, plain.folds, strict=True))
    assert [fold.purged for fold in judged.folds] == [fold.purged for fold in plain.folds]
    assert judged.factor_table["n"].max() == plain.factor_table["n"].max() - 4


def test_profit_and_loss_includes_everything(judged):
    part = judged.models["logistic"].horizons["2_buckets"]
    assert part.equity.height == judged.predictions.height


def test_said_in_summary_and_notes(judged, plain):
    summary = judged.summary()["exclusions"]
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["reasons"]["jump"] == {"spans": 2, "seconds": pytest.approx(60, abs=60), "rows": 4}
    assert [span["barred"] for span in summary["spans"]] == [2, 2]
    assert set(summary["models"]["logistic"]) == {"excluded", "included"}
    assert any("4 of" in note and "profit and loss includes everything" in note for note in judged.notes)
    quiet = plain.summary()["exclusions"]
    assert (quiet["enabled"], quiet["rows"], quiet["models"]) == (False, 0, {})
    assert not plain.predictions["excluded"].any()
    assert plain.models["logistic"].horizons["2_buckets"].excluded == {}


def test_jobs_change_nothing(tape, judged, instruments):
    parallel = judge(tape, CONFIG.replace(jobs=2), instruments=instruments)
    assert parallel.predictions.equals(judged.predictions)
    assert parallel.folds == judged.folds
    assert {**parallel.summary(), "config": 0} == {**judged.summary(), "config": 0}
