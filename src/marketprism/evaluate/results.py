"""From out-of-sample predictions to the numbers and curves of one model at one horizon."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from marketprism.core.timebase import NS
from marketprism.evaluate import metrics as measure
from marketprism.evaluate.bootstrap import BlockPlan, block_length, plan_blocks
from marketprism.evaluate.config import JudgeConfig
from marketprism.evaluate.economics import Execution, pool, trade, trading_metrics
from marketprism.evaluate.factor_table import overlap_rows
from marketprism.evaluate.judgement import HorizonResult
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.walkforward import Fold, Problem
from marketprism.labels.forward import SERIES_KEY, series_rows

if TYPE_CHECKING:
    import polars as pl

__all__ = ["calibration_curve", "forecast_metrics", "horizon_result", "latency_ic"]

_DAY_NS = 86_400 * NS
_MIN_DAYS = 10


def horizon_result(
    problem: Problem,
    predictions: pl.DataFrame,
    folds: tuple[Fold, ...],
    executions: dict[str, Execution],
    config: JudgeConfig,
) -> HorizonResult:
    """Measure one model at one horizon, pooled and (in a panel) per instrument.

    Forecast metrics, folds and calibration leave out excluded rows, which are also measured apart and together with
    the rest; trading includes them all, for nobody can skip a jump.
    """
    import polars as pl

    overlap = overlap_rows(problem)
    series = len(problem.series)
    trades = trade(predictions, executions, config.costs)
    book = pool(trades)
    everything, predictions = predictions, predictions.filter(~pl.col("excluded"))

    def forecasts(rows: pl.DataFrame) -> dict[str, Metric]:
        found = forecast_metrics(rows, config, overlap, max(1, series), scaled=series > 0)
        found["ic_after_latency"] = latency_ic(rows, executions, config, overlap, max(1, series), scaled=series > 0)
        return found

    metrics = forecasts(predictions)
    apart = predictions.height < everything.height
    metrics |= trading_metrics(book, config.replications, config.level, config.seed)
    by_series: dict[str, dict[str, Metric]] = {}
    if series:
        key = pl.concat_str([pl.col(name).cast(pl.String) for name in SERIES_KEY], separator=":")
        for name in problem.series:
            part = predictions.filter(key == name)
            if part.is_empty():
                continue
            by_series[name] = forecast_metrics(part, config, overlap, 1, scaled=False)
            by_series[name]["ic_after_latency"] = latency_ic(part, executions, config, overlap, 1, scaled=False)
            by_series[name] |= trading_metrics(trades[name], config.replications, config.level, config.seed)
    return HorizonResult(
        horizon=problem.horizon,
        metrics=metrics,
        by_series=by_series,
        calibration=calibration_curve(predictions),
        fold_ic=_fold_table(predictions, folds, config, overlap, max(1, series), scaled=series > 0),
        equity=book.equity(),
        equity_by_series={name: result.equity() for name, result in trades.items()} if series else {},
        excluded=forecasts(everything.filter(pl.col("excluded"))) if apart else {},
        included=forecasts(everything) if apart else {},
    )


def _targets(predictions: pl.DataFrame, *, scaled: bool) -> pl.DataFrame:
    """Rows with a score and a class, and the column ``_target`` that scores are correlated with."""
    import polars as pl

    target = pl.col("return") / pl.col("threshold") if scaled else pl.col("return")
    return predictions.with_columns(target.alias("_target")).filter(
        pl.col("score").is_not_null() & pl.col("class").is_not_null() & pl.col("_target").is_finite()
    )


def forecast_metrics(
    predictions: pl.DataFrame, config: JudgeConfig, overlap: int, series: int, *, scaled: bool
) -> dict[str, Metric]:
    """Every forecast metric of a prediction table, rows by time.

    Parameters
    ----------
    predictions : polars.DataFrame
        As in :class:`~marketprism.evaluate.WalkForward`.
    overlap : int
        Decisions of one series inside a label: blocks are at least twice as long.
    series : int
        Instruments per time: blocks hold all of them.
    scaled : bool
        Correlate with returns over their past-only threshold (panels).
    """
    rows = _targets(predictions, scaled=scaled)
    n = rows.height
    names = ("ic", "ic_ir", "rank_ic", "auc", "average_precision", "brier_skill", "log_loss_skill", "ece", "hit_rate")
    if n < 3:
        nan = math.nan
        return {name: Metric(value=nan, low=nan, high=nan, n=n, note=f"few samples: {n} rows") for name in names}

    def plan_of(count: int) -> BlockPlan:
        return plan_blocks(count, block_length(count, overlap, series), config.replications, config.seed)

    plan, level = plan_of(n), config.level
    score, target = rows["score"].to_numpy(), rows["_target"].to_numpy()
    classes = rows["class"].to_numpy()
    probabilities, base = (rows.select(f"{p}_down", f"{p}_flat", f"{p}_up").to_numpy() for p in ("p", "base"))
    period, period_name = _periods(rows["ts_known"].to_numpy(), overlap * series)
    return {
        "ic": measure.information_coefficient(score, target, plan, level),
        "ic_ir": measure.information_ratio(score, target, period, config.seed, level, config.replications, period_name),
        "rank_ic": measure.rank_information_coefficient(score, target, plan, level),
        "auc": measure.area_under_curve(score, classes, plan_of, level),
        "average_precision": measure.average_precision(score, classes, plan, level),
        "brier_skill": measure.brier_skill(probabilities, base, classes, plan, level),
        "log_loss_skill": measure.log_loss_skill(probabilities, base, classes, plan, level),
        "ece": measure.calibration_error(probabilities[:, 2], classes > 0, plan, level),
        "hit_rate": measure.hit_rate(score, target, plan, level),
    }


def latency_ic(
    predictions: pl.DataFrame,
    executions: dict[str, Execution],
    config: JudgeConfig,
    overlap: int,
    series: int,
    *,
    scaled: bool,
) -> Metric:
    """IC of the score with the log return from the fill mid, after latency, to the label's end.

    What the plain IC earns from moves that come before anyone could act is left out; rows that cannot be filled, or
    whose label ends by the time of the fill, are too.
    """
    n = predictions.height
    moved, fill_ts = np.full(n, np.nan), np.zeros(n, np.int64)
    for key, rows in series_rows(predictions).items():
        one = executions[":".join(key)]
        at = np.searchsorted(one.bucket_id, predictions["bucket_id"].to_numpy()[rows])
        with np.errstate(divide="ignore", invalid="ignore"):
            moved[rows] = np.log(one.fill_mid[at] / one.mid_last[at])
        fill_ts[rows] = one.fill_ts[at]
    end = predictions["label_end_ts"].fill_null(-1).to_numpy()
    returns, threshold, score = (
        predictions[name].fill_null(float("nan")).to_numpy() for name in ("return", "threshold", "score")
    )
    if predictions["scheme"].eq("per_second").any():
        seconds = (end - predictions["ts_end"].to_numpy()) / NS
        returns, threshold = returns * seconds, threshold * seconds
    with np.errstate(divide="ignore", invalid="ignore"):
        target = (returns - moved) / (threshold if scaled else 1.0)
    keep = np.isfinite(target) & np.isfinite(score) & (end > fill_ts)
    count = int(keep.sum())
    if count < 3:
        nan = math.nan
        return Metric(value=nan, low=nan, high=nan, n=count, null=0.0, note=f"few samples: {count} rows")
    plan = plan_blocks(count, block_length(count, overlap, series), config.replications, config.seed)
    return measure.information_coefficient(score[keep], target[keep], plan, config.level)


def _periods(known: npt.NDArray[np.int64], overlap: int) -> tuple[npt.NDArray[np.int64], str]:
    """UTC days where there are at least ten, else runs of rows of equal count (at least 30, about 20 runs)."""
    days = known // _DAY_NS
    if np.unique(days).size >= _MIN_DAYS:
        return days, "daily"
    size = max(30, 4 * overlap, -(-known.size // 20))
    return np.arange(known.size, dtype=np.int64) // size, f"{size}-row"


def calibration_curve(predictions: pl.DataFrame, bins: int = 10) -> pl.DataFrame:
    """P(up) against the observed share of up, in bins of equal count, with Wilson 95 % intervals."""
    import polars as pl

    rows = predictions.filter(pl.col("p_up").is_not_null() & pl.col("class").is_not_null())
    order = np.argsort(rows["p_up"].to_numpy(), kind="stable")
    parts = [part for part in np.array_split(order, bins) if part.size]
    p, up = rows["p_up"].to_numpy(), (rows["class"] == 1).to_numpy()
    predicted, observed, n = (
        np.array([p[part].mean() for part in parts]),
        np.array([up[part].mean() for part in parts]),
        np.array([part.size for part in parts], np.int64),
    )
    z2 = 1.959963984540054**2
    centre = (observed + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (observed * (1 - observed) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return pl.DataFrame(
        {"predicted": predicted, "observed": observed, "low": centre - half, "high": centre + half, "n": n},
        schema={"predicted": pl.Float64, "observed": pl.Float64, "low": pl.Float64, "high": pl.Float64, "n": pl.Int64},
    )


def _fold_table(
    predictions: pl.DataFrame, folds: tuple[Fold, ...], config: JudgeConfig, overlap: int, series: int, *, scaled: bool
) -> pl.DataFrame:
    import polars as pl

    rows = _targets(predictions, scaled=scaled)
    records = []
    for fold in folds:
        part = rows.filter(pl.col("fold") == fold.number)
        record: dict[str, float | str | None] = {
            "fold": fold.number,
            "test_start": fold.test_start,
            "test_end": fold.test_end,
            "train_rows": fold.train_rows,
            "test_rows": fold.test_rows,
            "purged": fold.purged,
            "ic": None,
            "low": None,
            "high": None,
            "rank_ic": None,
            "note": fold.note,
        }
        if part.height >= 3:
            plan = plan_blocks(
                part.height, block_length(part.height, overlap, series), config.replications, config.seed
            )
            score, target = part["score"].to_numpy(), part["_target"].to_numpy()
            ic = measure.information_coefficient(score, target, plan, config.level)
            rank = measure.rank_information_coefficient(score, target, plan, config.level)
            found = {"ic": ic.value, "low": ic.low, "high": ic.high, "rank_ic": rank.value}
            record |= {name: value if math.isfinite(value) else None for name, value in found.items()}
            record["note"] = "; ".join(filter(None, (fold.note, ic.note)))
        records.append(record)
    floats = dict.fromkeys(("ic", "low", "high", "rank_ic"), pl.Float64)
    whole = dict.fromkeys(("fold", "test_start", "test_end", "train_rows", "test_rows", "purged"), pl.Int64)
    return pl.DataFrame(records, schema={**whole, **floats, "note": pl.String}, orient="row")
