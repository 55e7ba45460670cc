"""The factor table against direct computation, and its stars against chance."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from marketprism.evaluate import factor_table
from marketprism.evaluate.factor_table import duplicates, overlap_rows, univariate_ic
from marketprism.evaluate.walkforward import prepare
from marketprism.labels import LabelConfig, make_labels


def table(tape, **config):
    labels = make_labels(tape, LabelConfig(**config))
    problems = [prepare(tape, labels, horizon.name) for horizon in labels.horizons]
    return factor_table(problems, replications=300), problems


def test_ic_equals_a_direct_computation(make_tape):
    found, (problem,) = table(make_tape(800), bucket_horizons=(1,))
    for i, name in enumerate(problem.factors):
        x, y = problem.X[:, i], problem.returns
        ok = np.isfinite(x) & np.isfinite(y)
        row = found.filter(pl.col("factor") == name).row(0, named=True)
        # Nothing in the tape is beyond the clip of five robust deviations.
        assert row["ic"] == pytest.approx(np.corrcoef(x[ok], y[ok])[0, 1], abs=1e-6)
        assert row["n"] == ok.sum()
        assert row["coverage"] == pytest.approx(np.isfinite(x).mean())
        assert row["low"] < row["ic"] < row["high"]
    thirds = found.select("ic_third_1", "ic_third_2", "ic_third_3").row(0)
    assert min(thirds) < found["ic"][0] < max(thirds)


def test_duplicates_constants_and_empty_factors(make_tape):
    tape = make_tape(500).with_columns(
        copy=-2 * pl.col("signal"), constant=pl.lit(3.0), empty=pl.lit(None, dtype=pl.Float64)
    )
    found, _ = table(tape, bucket_horizons=(1, 3))
    rows = {row["factor"]: row for row in found.filter(pl.col("horizon") == "3_buckets").iter_rows(named=True)}
    assert rows["copy"]["duplicate_of"] == "signal"
    assert rows["copy"]["duplicate_correlation"] == pytest.approx(-1)
    assert rows["signal"]["duplicate_of"] is None
    for name in ("constant", "empty"):
        assert rows[name]["ic"] is None
        assert not rows[name]["star"]
    assert rows["empty"]["coverage"] == 0
    assert found.height == 14


def test_more_factors_than_are_computed_at_once():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((400, 37)), rng.standard_normal(400)
    found = univariate_ic(x, np.ones_like(x, bool), y, length=7, seed=0)
    assert found["ic"] == pytest.approx([np.corrcoef(x[:, i], y)[0, 1] for i in range(37)])


def test_few_rows(make_tape):
    found, _ = table(make_tape(100, ic=0.9), bucket_horizons=(1,))
    assert found["ic"][0] > 0.7
    assert not found["star"].any()
    assert "few samples: 97 rows" in found["note"][0]
    tiny, _ = table(make_tape(2), bucket_horizons=(1,))
    assert tiny["ic"].null_count() == 4
    assert duplicates(np.zeros((2, 2)), ("a", "b"))[0] == [None, None]


def test_a_factor_with_a_few_values_is_not_tested_and_lends_no_weight_to_others():
    """Two points correlate by 1 or -1: a p-value of 0 that would let others pass Benjamini-Hochberg."""
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((800, 12)), rng.standard_normal(800)
    present = np.ones_like(x, bool)
    whole = univariate_ic(x, present, y, length=7, seed=0)
    present[:, 6:] = False
    present[[100, 400], 6:] = True
    found = univariate_ic(np.where(present, x, 0.0), present, y, length=7, seed=0)
    for name in ("low", "high", "p_value"):
        assert np.isnan(found[name][6:]).all()
        assert found[name][:6] == pytest.approx(whole[name][:6])
    assert found["n"][6] == 2
    assert found["note"][6] == "few samples: 2 rows in 2 blocks"
    assert not found["star"].any()
    # Twenty-eight blocks with a value of a hundred and fifteen: Student's t has 27 degrees of freedom.
    present[:, 6:] = True
    present[196:, 7] = False
    found = univariate_ic(np.where(present, x, 0.0), present, y, length=7, seed=0)
    assert found["note"][7] == "few samples: 196 rows in 28 blocks"
    assert np.isfinite(found["p_value"][7])


def test_overlap_counts_decisions_inside_a_label(make_tape):
    tape = pl.concat([make_tape(200), make_tape(200, seed=1, symbol="ETH-USDT")])
    labels = make_labels(tape, LabelConfig(bucket_horizons=(1, 5)))
    assert overlap_rows(prepare(tape.head(200), make_labels(tape.head(200)), "5_buckets")) == 5
    assert overlap_rows(prepare(tape, labels, "1_buckets")) in (1, 2)
    assert overlap_rows(prepare(tape, labels, "5_buckets")) in (5, 6)


@pytest.mark.slow
def test_stars_are_as_rare_as_they_claim(make_tape):
    """With nothing to find, a horizon shows any star at all in about 5 % of tapes."""
    starred = 0
    for seed in range(120):
        found, _ = table(make_tape(800, ic=0.0, seed=seed), bucket_horizons=(3,))
        starred += bool(found["star"].any())
    assert starred / 120 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)
