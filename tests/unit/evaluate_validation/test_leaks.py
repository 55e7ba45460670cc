"""Leak detector: names every factor that looks ahead and how far, and leaves honest ones alone."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from marketprism.core.block import concat
from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate import check_leaks
from marketprism.factors.config import EngineConfig
from marketprism.factors.engine import FactorEngine
from marketprism.simulate.config import MarketConfig
from marketprism.simulate.market import MarkovMarket

X = pl.col("x")


@pytest.fixture(scope="module")
def tape():
    rng = np.random.default_rng(5)
    n = 160
    received = np.cumsum(rng.integers(1, 9, n)) * 1_000
    return pl.DataFrame(
        {
            "ts_event": received - rng.integers(0, 900, n),
            "ts_recv": received,
            "x": 100 + np.cumsum(rng.normal(size=n)),
            "series": [f"s{i % 2}" for i in range(n)],
        }
    )


def found(function, tape, **options):
    return {leak.factor: leak for leak in check_leaks(function, tape, **options)}


def honest(frame):
    return frame.with_columns(
        mean=X.rolling_mean(10),
        deviation=X.rolling_std(7),
        ewm=X.ewm_mean(half_life=5),
        lagged=X.shift(3).diff(),
        total=X.cum_sum(),
        own=X.diff().over("series"),
        nan=pl.lit(float("nan")),
        age=pl.col("ts_recv") - pl.col("ts_event"),
    )


def test_honest_factors_are_left_alone(tape):
    assert check_leaks(honest, tape, samples=1000) == []


def test_pandas_and_numpy_results(tape):
    assert check_leaks(lambda frame: frame.to_pandas()["x"].ewm(span=9).mean(), tape) == []
    assert check_leaks(lambda frame: {"a": np.cumsum(frame["x"].to_numpy())}, tape) == []
    assert list(found(lambda f: f.select(peek=X.shift(-1)).to_pandas(), tape)) == ["peek"]
    assert list(found(lambda f: f.lazy().select(peek=X.shift(-1)), tape)) == ["peek"]

    def pair(frame):
        x = frame["x"].to_numpy()
        return np.column_stack((x, np.append(np.diff(x), 0.0)))

    assert list(found(pair, tape)) == ["pair_1"]
    assert list(found(lambda f: f["x"].shift(-1), tape)) == ["x"]


@pytest.mark.parametrize("steps", [1, 2, 5, 13])
def test_look_ahead_is_measured(tape, steps):
    leaks = found(lambda f: honest(f).with_columns(planted=X.shift(-steps) - X), tape)
    assert list(leaks) == ["planted"]
    leak = leaks["planted"]
    assert (leak.rows_ahead, leak.reach) == (steps, steps)
    assert leak.failed >= 20
    assert leak.sampled == 24
    assert leak.tests[:2] == ("truncation", "shuffled future")
    assert f"planted looks ahead {steps} row" in str(leak)


def test_nearest_and_farthest_row(tape):
    def factors(frame):
        return frame.select(
            centred=X.rolling_mean(11, center=True),
            scaled=(X - X.mean()) / X.std(),
            rows=pl.lit(frame.height, dtype=pl.Int64) + 0 * X.cast(pl.Int64),
            wait=pl.col("ts_recv").diff().shift(-1),
        )

    leaks = found(factors, tape)
    assert (leaks["centred"].rows_ahead, leaks["centred"].reach) == (1, 5)
    assert leaks["scaled"].rows_ahead == 1
    assert leaks["scaled"].reach > 100
    assert leaks["rows"].rows_ahead == 1
    assert (leaks["wait"].rows_ahead, leaks["wait"].reach) == (1, 1)


def test_a_filled_look_ahead_shows_when_the_future_is_shuffled(tape):
    """At the end of a tape it repeats the last value, which constant stretches would hide from truncation."""
    steady = tape.with_columns(x=pl.Series(np.repeat([1.0, 2.0], [80, 80])))
    leaks = found(lambda f: f.select(next=X.shift(-40).fill_null(strategy="forward").fill_null(1.0)), steady)
    assert leaks["next"].rows_ahead <= 40
    assert "shuffled future" in leaks["next"].tests


def test_a_leak_at_few_rows_is_measured_from_its_own_row(tape):
    def factors(frame):
        return frame.select(rare=pl.when(pl.int_range(pl.len()) % 4 == 0).then(X.shift(-6)).otherwise(X))

    assert (found(factors, tape)["rare"].rows_ahead, found(factors, tape)["rare"].reach) == (6, 6)


def test_backfilled_late_rows_must_be_invisible(tape):
    """Ordering by event time is harmless until a row comes late."""
    ordered = tape.with_columns(ts_event=pl.col("ts_recv") - 100)

    def by_event(frame):
        return frame.with_columns(sorted=frame.sort("ts_event")["x"].cum_sum(), honest=X.cum_sum())

    leaks = found(by_event, ordered)
    assert list(leaks) == ["sorted"]
    assert leaks["sorted"].tests == ("late row",)
    assert (leaks["sorted"].rows_ahead, leaks["sorted"].reach) == (1, 1)
    # Without a receive time nothing can come late.
    assert check_leaks(by_event, ordered.drop("ts_recv")) == []
    assert list(found(by_event, ordered.rename({"ts_recv": "seen"}), received="seen")) == ["sorted"]
    temporal = ordered.with_columns(pl.col("ts_event", "ts_recv").cast(pl.Datetime("ns", "UTC")))
    assert list(found(by_event, temporal)) == ["sorted"]


def test_rows_that_appear_too_late_are_leaks(tape):
    """Dropping the rows whose future is missing does not hide a look-ahead."""

    def factors(frame):
        bars = frame.filter(pl.int_range(pl.len()) % 4 == 3)
        return (
            bars.select(ts_known="ts_recv", past=X.diff())
            .with_columns(next=pl.col("past").shift(-1))
            .drop_nulls("next")
        )

    assert "next" in found(factors, tape)
    fewer = found(lambda f: f.filter(pl.int_range(pl.len()) % 4 == 3).select("ts_recv", past=X.diff()), tape)
    assert fewer == {}


@pytest.fixture(scope="module")
def market():
    simulated = MarkovMarket(MarketConfig(duration_s=20.0))
    return concat(list(simulated.blocks()))[:3000]


CONFIG = EngineConfig.from_mapping({"families": ["level1"], "buckets": {"t_target_s": 0.5}})


def engine(block):
    return FactorEngine(CONFIG, instrument=block.instrument).push(block)


def test_engine_factors_are_honest(market):
    assert engine(market).height > 5
    assert check_leaks(engine, market, samples=8) == []


def test_a_leak_planted_into_the_engine_is_named(market):
    leaks = found(lambda b: engine(b).with_columns(planted=pl.col("mid_last").shift(-1)), market, samples=2)
    assert list(leaks) == ["planted"]
    assert leaks["planted"].rows_ahead >= 1


def test_block_rows(market):
    def factors(block):
        quantity = block.rows["quantity"]
        return {"past": np.cumsum(quantity), "peek": np.append(quantity[2:], [0.0, 0.0])[: len(quantity)]}

    leaks = found(factors, market[:400])
    assert list(leaks) == ["peek"]
    assert leaks["peek"].rows_ahead in {1, 2}
    assert leaks["peek"].reach == 2


def test_wrong_use(tape):
    with pytest.raises(DataError, match="at least 3"):
        check_leaks(honest, tape.head(2))
    with pytest.raises(ConfigError, match="samples was 0"):
        check_leaks(honest, tape, samples=0)
    with pytest.raises(DataError, match="the tape was a list"):
        check_leaks(honest, [1, 2, 3])
    with pytest.raises(DataError, match="row 1 was received before row 0"):
        check_leaks(honest, tape.reverse())
    with pytest.raises(DataError, match="no column 'seen'"):
        check_leaks(honest, tape, received="seen")
    with pytest.raises(DataError, match="nulls"):
        check_leaks(honest, tape.with_columns(ts_recv=None))
    with pytest.raises(DataError, match="160 rows of tape gave 159"):
        check_leaks(lambda f: np.diff(f["x"].to_numpy()), tape)
    with pytest.raises(DataError, match="shape"):
        check_leaks(lambda f: np.zeros((2, 2, 2)), tape)
    random = np.random.default_rng(0)
    with pytest.raises(DataError, match="different values"):
        check_leaks(lambda f: random.normal(size=f.height), tape)
    with pytest.raises(DataError, match="failed on the first"):
        check_leaks(lambda f: f["x"] / f["x"].to_list()[99], tape)
    with pytest.raises(DataError, match="the columns were"):
        check_leaks(lambda f: {str(f.height): f["x"]}, tape)
    with pytest.raises(DataError, match="gave 1"):
        check_leaks(lambda f: f["x"] if f.height == 160 else f["x"][:1], tape)
