"""Tests over everything that a judgement holds, adjusted for how many they are: models, forecasts, ICs, factors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from marketprism.evaluate.bootstrap import block_length
from marketprism.evaluate.case import Case
from marketprism.evaluate.compare import diebold_mariano
from marketprism.evaluate.factor_table import univariate_ic
from marketprism.evaluate.metric import ENOUGH_ROWS
from marketprism.evaluate.multiple import benjamini_hochberg, bonferroni, holm
from marketprism.evaluate.superior import reality_check, superior_predictive_ability

if TYPE_CHECKING:
    import polars as pl

__all__ = ["BASE_RATES", "Superiority", "factor_survival", "forecast_tests", "information_tests", "superiority"]

_Floats = npt.NDArray[np.float64]
Loss = Literal["log", "brier"]
BASE_RATES = "base rates"
"""Name of the forecast that always says how frequent each class was in training."""
_MIN_ROWS = 8
_TINY = 1e-6
_SHOWN_FACTORS = 15


class Superiority(NamedTuple):
    """Whether the best of all models beats a benchmark, counting that it was picked.

    Attributes
    ----------
    benchmark : str
        ``"doing nothing"``, or the name of the first model.
    models : tuple of str
        Compared with it.
    best : str
        The one with the largest studentised advantage; empty where none could be tested.
    advantage_bps : float
        Its mean net advantage per period, bps of notional.
    reality_check : float
        White's p-value.
    spa_lower, spa, spa_upper : float
        Hansen's liberal, consistent and conservative p-values.
    note : str
        Why there is no test, or what to know.
    """

    benchmark: str
    models: tuple[str, ...]
    best: str
    advantage_bps: float
    reality_check: float
    spa_lower: float
    spa: float
    spa_upper: float
    note: str


def superiority(case: Case, baseline: str, seed: int) -> Superiority:
    """Test whether the best of all models earns more than nothing, or than the model ``baseline``.

    Parameters
    ----------
    case : Case
        Its models, traded at the primary horizon, net of costs.
    baseline : str
        A model to beat, which then is left out of the others; empty for earning nothing.
    seed : int
        Of the stationary bootstrap.
    """
    nan = math.nan
    names = tuple(name for name in case.names if name != baseline)
    benchmark = baseline or "doing nothing"
    untested = Superiority(benchmark, names, "", nan, nan, nan, nan, nan, "")
    if not names:
        return untested._replace(note="there is no other model to compare" if baseline else "no model was judged")
    returns = np.column_stack([case.trading(name).net for name in names])
    base = case.trading(baseline).net if baseline else np.zeros(len(returns))
    if len(returns) < _MIN_ROWS:
        return untested._replace(note=f"few samples: {len(returns)} periods")
    advantage = returns - base[:, None]
    # A model that never trades (or trades as the benchmark does) can not be studentised; it is no better either.
    differs = advantage.std(axis=0) > 1e-12 * np.abs(advantage).max(axis=0)
    if not differs.any():
        same = f"every model trades as {baseline} does" if baseline else "no model ever traded"
        return untested._replace(note=f"{same}, so that there is nothing to test")
    length = float(block_length(len(returns), case.overlap))
    replications = case.judgement.config.replications
    white = reality_check(advantage, mean_length=length, replications=replications, seed=seed)
    hansen = superior_predictive_ability(
        advantage[:, differs], mean_length=length, replications=replications, seed=seed
    )
    best = int(np.flatnonzero(differs)[hansen.best])
    notes = []
    if len(returns) < ENOUGH_ROWS:
        notes.append(f"few samples: {len(returns)} periods, not evidence")
    if not differs.all():
        alike = ", ".join(name for name, different in zip(names, differs, strict=True) if not different)
        notes.append(f"{alike} earned the same as {benchmark} in every period")
    return Superiority(
        benchmark,
        names,
        names[best],
        1e4 * float(advantage[:, best].mean()),
        white.p_value,
        hansen.lower,
        hansen.consistent,
        hansen.upper,
        "; ".join(notes),
    )


def _losses(rows: pl.DataFrame, prefix: str, loss: Loss) -> _Floats:
    shares = rows.select(f"{prefix}_down", f"{prefix}_flat", f"{prefix}_up").to_numpy()
    column = rows["class"].to_numpy().astype(np.int64) + 1
    if loss == "log":
        return np.asarray(-np.log(np.maximum(shares[np.arange(len(shares)), column], _TINY)))
    return np.asarray(((shares - np.eye(3)[column]) ** 2).sum(axis=1))


def forecast_tests(case: Case, loss: Loss, alpha: float, max_pairs: int) -> tuple[pl.DataFrame, str]:
    """Compare the models' forecasts and the base rates, pair by pair (Diebold-Mariano).

    Excluded rows are left out. Losses of a panel are those of its rows by time, and autocovariances reach over all
    instruments of a label.

    Returns
    -------
    tuple of polars.DataFrame and str
        As ``Significance.forecasts``, and a note where samples are few or pairs were left out.
    """
    import polars as pl

    schema = {
        "first": pl.String, "second": pl.String, "n": pl.Int64, "lags": pl.Int64, "gain": pl.Float64,
        "statistic": pl.Float64, "p_value": pl.Float64, "holm": pl.Float64, "better": pl.String,
    }  # fmt: skip
    losses: dict[str, _Floats] = {}
    for name in case.names:
        # All models are asked about the same rows; null where the mid was invalid, for all of them alike.
        rows = case.predictions(name).filter(
            pl.col("p_up").is_not_null(), pl.col("class").is_not_null(), ~pl.col("excluded")
        )
        losses.setdefault(BASE_RATES, _losses(rows, "base", loss))
        losses[name] = _losses(rows, "p", loss)
    size = len(losses.get(BASE_RATES, ()))
    overlap = case.overlap * case.series_count if case.names else 1
    if size < max(_MIN_ROWS, 2 * overlap):
        note = f"few samples: {size} forecasts with an outcome, too few to compare models" if case.names else ""
        return pl.DataFrame(schema=schema), note
    pairs = list(itertools.combinations(losses, 2))
    note = f"few samples: forecasts were compared on {size} rows only" if size < ENOUGH_ROWS else ""
    if len(pairs) > max_pairs:
        kept = {BASE_RATES, case.names[0]}
        note = "; ".join(filter(None, (note, f"of {len(pairs)} pairs only those with the first model are compared")))
        pairs = [pair for pair in pairs if pair[0] in kept]
    tests = [diebold_mariano(losses[first], losses[second], overlap) for first, second in pairs]
    adjusted = _adjusted(holm, np.array([test.p_value for test in tests]))
    table = pl.DataFrame(
        [
            (first, second, test.n, test.lags, test.mean_difference, test.statistic, test.p_value, p,
             (second if test.statistic > 0 else first) if p <= alpha else "")
            for (first, second), test, p in zip(pairs, tests, adjusted, strict=True)
        ],
        schema=schema,
        orient="row",
    )  # fmt: skip
    return table.with_columns(pl.col(pl.Float64).fill_nan(None)), note


def _adjusted(method: Callable[[_Floats], _Floats], p_values: _Floats) -> _Floats:
    """Adjust the p-values that are known; NaN stays NaN."""
    result = np.full_like(p_values, np.nan)
    known = np.isfinite(p_values)
    if known.any():
        result[known] = method(p_values[known])
    return result


def information_tests(case: Case) -> pl.DataFrame:
    """P-values of the IC of every model and horizon that was evaluated, as factors get them.

    Returns
    -------
    polars.DataFrame
        As ``Significance.information``.
    """
    import polars as pl

    judgement = case.judgement
    found: list[dict[str, Any]] = []
    for name, model in judgement.models.items():
        for horizon in model.horizons:
            target = pl.col("return") / pl.col("threshold") if judgement.series else pl.col("return")
            rows = (
                case.predictions(name, horizon)
                .with_columns(target.alias("_target"))
                .filter(
                    pl.col("score").is_not_null(),
                    pl.col("class").is_not_null(),
                    pl.col("_target").is_finite(),
                    ~pl.col("excluded"),
                )
            )
            score = rows["score"].to_numpy()
            spread = score.std() if score.size else 0.0
            unit = ((score - score.mean()) / spread if spread > 0 else 0.0 * score)[:, None]
            one = univariate_ic(
                unit,
                np.ones_like(unit, bool),
                rows["_target"].to_numpy(),
                length=block_length(len(unit), _overlap(rows, case.series_count), case.series_count),
                seed=judgement.config.seed,
                level=judgement.config.level,
                replications=judgement.config.replications,
            )
            keys = ("ic", "low", "high", "n", "p_value", "note")
            found.append({"model": name, "horizon": horizon, **{key: one[key][0] for key in keys}})
            # Widening for few blocks knows no bounds, a correlation does.
            found[-1]["low"], found[-1]["high"] = np.clip((found[-1]["low"], found[-1]["high"]), -1.0, 1.0)
    floats = ("ic", "low", "high", "p_value", "bonferroni", "holm", "benjamini_hochberg")
    p_values = np.array([row["p_value"] for row in found], np.float64)
    adjusted = {method.__name__: _adjusted(method, p_values) for method in (bonferroni, holm, benjamini_hochberg)}
    columns: dict[str, Any] = {
        "model": [row["model"] for row in found],
        "horizon": [row["horizon"] for row in found],
        **{key: [float(row[key]) for row in found] for key in ("ic", "low", "high")},
        "n": [int(row["n"]) for row in found],
        "p_value": p_values,
        **adjusted,
        "note": [row["note"] for row in found],
    }
    schema = {name: pl.Float64 if name in floats else pl.Int64 if name == "n" else pl.String for name in columns}
    return pl.DataFrame(columns, schema=schema).with_columns(pl.col(floats).fill_nan(None))


def _overlap(rows: pl.DataFrame, series: int) -> int:
    """Median number of decisions of one series inside a label, at least 1."""
    ends = rows["label_end_ts"].fill_null(-1).to_numpy()
    defined = ends >= 0
    if not defined.any():
        return 1
    inside = np.searchsorted(rows["ts_known"].to_numpy(), ends[defined], side="left") - np.flatnonzero(defined)
    return max(1, math.ceil(float(np.median(inside)) / series))


def factor_survival(case: Case, alpha: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Count factors with an adjusted p-value of at most alpha, at each horizon and over all of them.

    Returns
    -------
    tuple of polars.DataFrame
        As ``Significance.factors`` and ``Significance.best_factors``.
    """
    import polars as pl

    table = case.judgement.factor_table.with_columns(pl.col("p_value").fill_null(float("nan")))
    horizons = list(dict.fromkeys(table["horizon"].to_list()))
    counts = {"unadjusted": None, "benjamini_hochberg": benjamini_hochberg, "holm": holm, "bonferroni": bonferroni}
    records: list[dict[str, Any]] = []
    groups = [table.filter(pl.col("horizon") == horizon) for horizon in horizons]
    for horizon, part in zip([*horizons, "all"], [*groups, table], strict=True):
        p, enough = part["p_value"].to_numpy(), (part["note"].fill_null("") == "").to_numpy()
        tested = int(np.isfinite(p).sum())
        record: dict[str, Any] = {"horizon": horizon, "tested": tested, "by_luck": alpha * tested}
        for name, method in counts.items():
            adjusted = p if method is None else _adjusted(method, p)
            record[name] = int(((adjusted <= alpha) & enough).sum())
        if horizon != "all" or len(horizons) > 1:
            records.append(record)
    whole = dict.fromkeys(("tested", *counts), pl.Int64)
    survivors = pl.DataFrame(records, schema={"horizon": pl.String, "by_luck": pl.Float64, **whole})
    p = table["p_value"].to_numpy()
    best = (
        table.select("factor", "horizon", "ic", "n", "p_value", "note")
        .with_columns(
            pl.Series("benjamini_hochberg", _adjusted(benjamini_hochberg, p), pl.Float64),
            pl.Series("holm", _adjusted(holm, p), pl.Float64),
        )
        .filter(pl.col("p_value").is_finite())
        .sort("p_value", "factor", "horizon")
        .head(_SHOWN_FACTORS)
    )
    order = ["horizon", "tested", "by_luck", *counts]
    return survivors.select(order), best
