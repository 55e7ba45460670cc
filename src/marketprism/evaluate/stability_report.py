"""Is it steady? IC by period, drift of inputs and score against chance, and what choosing the best factor is worth."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError, DataError
from marketprism.core.random import child_seed
from marketprism.evaluate.backtest_paths import BacktestPaths, backtest_paths
from marketprism.evaluate.bootstrap import block_length
from marketprism.evaluate.case import Case
from marketprism.evaluate.drift import drift_test
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.metrics import information_ratio
from marketprism.evaluate.multiple import holm
from marketprism.evaluate.overfitting import BacktestOverfitting, backtest_overfitting
from marketprism.evaluate.slices import DAY_NS, WEEK_NS, information_by, periodic_information, stability
from marketprism.evaluate.slicing import scored_rows

if TYPE_CHECKING:
    import polars as pl

__all__ = ["StabilityConfig", "StabilityReport", "assess_stability"]

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]
_LEAST = 8
"""Rows of a period below which it has no IC."""
_LEAST_PERIODS = 4
_MEMORY = 40
"""Buckets after which most factors have forgotten: blocks that keep together when samples are shuffled."""
_LEAST_DEALS = 50
_STATISTICS: tuple[Literal["psi", "ks"], ...] = ("psi", "ks")


class StabilityConfig(Config, frozen=True):
    """How steadiness is measured, and what is capped.

    Parameters
    ----------
    runs : int
        Equal runs of rows that stand for periods where the span holds fewer than 4 days; even, 4 to 16.
    top_factors : int
        Factors, strongest first, whose drift is tested.
    replications : int
        Permutations behind each drift test.
    path_groups, path_tested : int
        N and k of the combinatorial purged cross-validation.
    path_rows : int
        Most recent labelled rows that it uses.
    """

    runs: int = 8
    top_factors: int = 5
    replications: int = 1000
    path_groups: int = 6
    path_tested: int = 2
    path_rows: int = 3000

    def __post_init__(self) -> None:
        if self.runs % 2 or not _LEAST_PERIODS <= self.runs <= 16:
            raise ConfigError(f"runs was {self.runs}", hint="use an even number from 4 to 16")
        for name, low in (("top_factors", 1), ("replications", 50), ("path_tested", 1), ("path_rows", 60)):
            if getattr(self, name) < low:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint=f"it must be at least {low}")
        if self.path_groups <= self.path_tested:
            raise ConfigError(
                f"path_groups was {self.path_groups}, path_tested {self.path_tested}", hint="leave some to train on"
            )


@dataclass(frozen=True)
class StabilityReport:
    """How steady the best model and its inputs are.

    Attributes
    ----------
    model, horizon : str
        What was examined; empty without a judged model.
    period_name : str
        ``week``, ``day`` or ``run`` (equal runs of rows).
    periods : polars.DataFrame
        ``period``, ``start``, ``end`` (ns UTC), ``n``, ``ic``, ``low``, ``high`` and ``note`` of the best model's
        out-of-sample score.
    ratio : Metric
        IC_IR: mean over standard deviation of the periods' ICs.
    across : Metric
        Correlation between all factors' ICs in one period and in the next: do the factors that worked go on working?
    positive_share, positive_p : float
        Share of periods with an IC above 0, and the chance of at least as many by coin tossing.
    drift : polars.DataFrame
        ``name`` (``score`` or a factor), ``comparison``, ``n``, ``m`` (rows on both sides), and for ``psi`` and
        ``ks`` the value, ``_null`` (95 % quantile without drift), ``_p`` and, of both together, ``p_holm``.
    overfitting : BacktestOverfitting, optional
        Of the choice of the best factor by IC; None with too few rows or factors.
    paths : BacktestPaths, optional
        Of the first model; None with too few rows.
    notes : tuple of str
        What was capped or left out.
    """

    model: str
    horizon: str
    period_name: str
    periods: pl.DataFrame
    ratio: Metric
    across: Metric
    positive_share: float
    positive_p: float
    drift: pl.DataFrame
    overfitting: BacktestOverfitting | None
    paths: BacktestPaths | None
    notes: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Plain data: periods, persistence, drift, overfitting and paths."""
        drifted = self.drift.filter(self.drift["p_holm"] <= 0.05) if self.drift.height else self.drift
        return {
            "model": self.model,
            "horizon": self.horizon,
            "period": self.period_name,
            "ic_by_period": self.periods["ic"].to_list(),
            "ic_ir": self.ratio.to_mapping(),
            "period_to_period": self.across.to_mapping(),
            "positive_share": _plain(self.positive_share),
            "positive_p": _plain(self.positive_p),
            "drift": self.drift.to_dicts(),
            "drifted": sorted(drifted["name"].unique().to_list()),
            "overfitting": None if self.overfitting is None else self.overfitting._asdict(),
            "paths": None
            if self.paths is None
            else {
                "model": self.paths.model,
                "splits": self.paths.splits,
                "rows": self.paths.rows,
                "negative_share": self.paths.negative_share,
                "paths": self.paths.paths.to_dicts(),
            },
            "notes": list(self.notes),
        }


def assess_stability(case: Case, config: StabilityConfig | None = None) -> StabilityReport:
    """Measure how steady the signal is over time.

    Parameters
    ----------
    case : Case
        Judged frame.
    config : StabilityConfig, optional
        Periods and caps.

    Returns
    -------
    StabilityReport
        What cannot be measured is null or None, and ``notes`` say why.

    Notes
    -----
    Periods are weeks from 4 weeks on, days from 4 days on, else equal runs of rows. Drift is tested between the rows
    before the first test and the tested ones (factors), and between the first and the second half of the tested ones
    (score and factors); blocks of neighbouring rows stay together in the permutations, since slow factors drift by
    chance. Missing factor values count as the factor's median in the periods' ICs. Cost: the backtest paths fit the
    first model ``C(N, k)`` times on at most ``path_rows`` rows.
    """
    config = config or StabilityConfig()
    if not case.names:
        return _nothing("no model was judged, so there is nothing to be steady")
    notes: list[str] = []
    rows = scored_rows(case, case.best)
    score, target = rows["score"].to_numpy(), rows["target"].to_numpy()
    known = rows["ts_known"].to_numpy().astype(np.int64)
    number, name = _periods(known, config.runs)
    periods = _period_table(case, score, target, known, number)
    ratio = information_ratio(
        score,
        target,
        number,
        child_seed(case.judgement.config.seed, "stability"),
        case.judgement.config.level,
        case.judgement.config.replications,
        name,
    )
    ics = periods["ic"].drop_nulls().to_numpy()
    share, p = _coin(ics)
    return StabilityReport(
        case.best,
        case.judgement.primary,
        name,
        periods,
        ratio,
        _across(case, config),
        share,
        p,
        _drift(case, config, rows, notes),
        _overfitting(case, config, notes),
        _paths(case, config, notes),
        tuple(notes),
    )


def _periods(known: _Ints, runs: int) -> tuple[_Ints, str]:
    """Period of each row, by time, and what a period is."""
    for length, name in ((WEEK_NS, "week"), (DAY_NS, "day")):
        # Weeks start on Monday; the epoch was a Thursday.
        number = (known - 4 * DAY_NS) // length
        counts = np.unique(number, return_counts=True)[1]
        if (counts >= 30).sum() >= _LEAST_PERIODS:
            return number, name
    return np.arange(known.size) * runs // max(1, known.size), "run"


def _period_table(case: Case, score: _Floats, target: _Floats, known: _Ints, number: _Ints) -> pl.DataFrame:
    import polars as pl

    settings = case.judgement.config
    found = information_by(
        score,
        target,
        number,
        overlap=case.overlap * case.series_count,
        replications=settings.replications,
        level=settings.level,
        seed=child_seed(settings.seed, "stability", "periods"),
    )
    bounds = (
        pl.DataFrame({"slice": number, "ts": known})
        .group_by("slice")
        .agg(pl.col("ts").min().alias("start"), pl.col("ts").max().alias("end"))
    )
    table = found.with_columns(pl.col("slice").cast(pl.Int64)).join(bounds, on="slice", how="left").sort("slice")
    table = table.with_columns(
        pl.when(pl.col("n") >= _LEAST).then(pl.col(name)).alias(name) for name in ("ic", "low", "high")
    )
    return table.with_columns(pl.int_range(pl.len()).alias("period")).select(
        "period", "start", "end", "n", "ic", "low", "high", "note"
    )


def _coin(ics: _Floats) -> tuple[float, float]:
    from scipy.stats import binom

    if not ics.size:
        return math.nan, math.nan
    wins = int((ics > 0).sum())
    return wins / ics.size, float(binom.sf(wins - 1, ics.size, 0.5))


def _clean(case: Case) -> tuple[_Floats, _Floats, _Ints, list[str]]:
    """Factors (missing: their median), scaled returns and times of the labelled rows; constant factors left out."""
    problem = case.problem
    use = problem.labelled & np.isfinite(problem.scaled_returns)
    X = problem.X[use][:, : len(problem.factors)].copy()
    X[~np.isfinite(X)] = np.nan
    seen = np.isfinite(X).any(axis=0)
    X, names = X[:, seen], [problem.factors[place] for place in np.flatnonzero(seen).tolist()]
    if X.size:
        X = np.where(np.isnan(X), np.nanmedian(X, axis=0), X)
    varies = X.std(axis=0) > 1e-12 * np.abs(X).max(axis=0, initial=0.0) if X.size else np.zeros(len(names), bool)
    names = [names[place] for place in np.flatnonzero(varies).tolist()]
    return X[:, varies], problem.scaled_returns[use], problem.known[use], names


def _across(case: Case, config: StabilityConfig) -> Metric:
    X, target, known, names = _clean(case)
    if known.size < _LEAST * _LEAST_PERIODS or len(names) < 3:
        note = f"{known.size} rows and {len(names)} factors: too few"
        return Metric(value=math.nan, low=math.nan, high=math.nan, n=0, null=0.0, note=note)
    number, _ = _periods(known, config.runs)
    # Numbered as days, whatever the periods are.
    _, ics = periodic_information(X, target, (number - number[0]) * DAY_NS + 4 * DAY_NS, DAY_NS, _LEAST)
    settings = case.judgement.config
    return stability(
        ics,
        replications=settings.replications,
        level=settings.level,
        seed=child_seed(settings.seed, "stability", "across"),
    ).across


def _overfitting(case: Case, config: StabilityConfig, notes: list[str]) -> BacktestOverfitting | None:
    X, target, known, names = _clean(case)
    if known.size < 30 * config.runs or len(names) < 2 or np.ptp(target) == 0:
        notes.append(f"overfitting by choice: {known.size} labelled rows and {len(names)} factors are too few")
        return None
    x, y = (X - X.mean(axis=0)) / X.std(axis=0), (target - target.mean()) / target.std()
    gap, edges = case.overlap * case.series_count, np.arange(config.runs + 1) * known.size // config.runs
    # The labels of the last rows of a run reach into the next run.
    means = [
        (x[a : max(a + 1, b - gap)] * y[a : max(a + 1, b - gap), None]).mean(axis=0)
        for a, b in itertools.pairwise(edges.tolist())
    ]
    return backtest_overfitting(np.array(means), either_sign=True)


def _paths(case: Case, config: StabilityConfig, notes: list[str]) -> BacktestPaths | None:
    model, labelled = case.names[0], int(case.problem.labelled.sum())
    if labelled < 30 * config.path_groups:
        notes.append(f"backtest paths: {labelled} labelled rows are too few for {config.path_groups} stretches")
        return None
    if labelled > config.path_rows:
        notes.append(f"backtest paths: the last {config.path_rows:,} of {labelled:,} labelled rows only")
    try:
        return backtest_paths(case, model, config.path_groups, config.path_tested, config.path_rows)
    except DataError as error:
        notes.append(f"backtest paths: {error}")
        return None


def _drift(case: Case, config: StabilityConfig, rows: pl.DataFrame, notes: list[str]) -> pl.DataFrame:
    import polars as pl

    problem = case.problem
    first = int(rows["ts_known"].min()) if rows.height else np.iinfo(np.int64).max  # type: ignore[arg-type]
    tested = problem.labelled & (problem.known >= first)
    pairs = [("score", "first to second half", *_halves(rows["score"].to_numpy()))]
    for name in _strongest(case)[: config.top_factors]:
        column = problem.X[:, problem.factors.index(name)]
        before, after = column[problem.labelled & ~tested], column[tested]
        before, after = before[np.isfinite(before)], after[np.isfinite(after)]
        pairs += [(name, "train to test", before, after), (name, "first to second half", *_halves(after))]
    blocks = [_drift_block(case, before, after) for _, _, before, after in pairs]
    usable = [(*pair, block) for pair, block in zip(pairs, blocks, strict=True) if block]
    if len(usable) < len(pairs):
        left_out = len(pairs) - len(usable)
        notes.append(f"drift: {left_out} of {len(pairs)} comparisons left out, too few rows to know what chance does")
    table = pl.DataFrame([_compared(case, config, *pair) for pair in usable], schema=_drift_columns())
    # Either statistic may call a drift: twice the smaller p, and then Holm over all comparisons.
    both = np.minimum(1.0, 2 * np.minimum(table["psi_p"].to_numpy(), table["ks_p"].to_numpy()))
    return table.with_columns(p_holm=pl.Series(holm(both) if both.size else both, dtype=pl.Float64))


def _halves(values: _Floats) -> tuple[_Floats, _Floats]:
    half = values.size // 2
    return values[:half], values[values.size - half :]


def _drift_block(case: Case, before: _Floats, after: _Floats) -> int:
    """Rows that keep together; 0 where blocks are too few to be dealt in fifty ways."""
    smallest = min(before.size, after.size)
    block = max(_MEMORY, block_length(max(1, smallest), case.overlap)) * case.series_count
    one, other = before.size // block, after.size // block
    return block if math.comb(one + other, one) >= _LEAST_DEALS else 0


def _compared(
    case: Case, config: StabilityConfig, name: str, comparison: str, before: _Floats, after: _Floats, block: int
) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "comparison": comparison, "n": before.size, "m": after.size}
    for statistic in _STATISTICS:
        found = drift_test(
            before,
            after,
            statistic=statistic,
            block=block,
            replications=config.replications,
            seed=child_seed(case.judgement.config.seed, "stability", name, comparison),
        )
        row |= {statistic: found.statistic, f"{statistic}_null": found.null_high, f"{statistic}_p": found.p_value}
    return row


def _strongest(case: Case) -> list[str]:
    import polars as pl

    table = case.judgement.factor_table.filter(
        (pl.col("horizon") == case.judgement.primary) & pl.col("ic").is_not_null()
    )
    return table.sort([pl.col("ic").abs(), "factor"], descending=[True, False])["factor"].to_list()


def _drift_columns() -> dict[str, Any]:
    import polars as pl

    numbers = ("psi", "psi_null", "psi_p", "ks", "ks_null", "ks_p")
    keys = {"name": pl.String, "comparison": pl.String, "n": pl.Int64, "m": pl.Int64}
    return {**keys, **dict.fromkeys(numbers, pl.Float64)}


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _nothing(note: str) -> StabilityReport:
    import polars as pl

    columns = {"period": pl.Int64, "start": pl.Int64, "end": pl.Int64, "n": pl.Int64}
    periods = pl.DataFrame(
        schema={**columns, "ic": pl.Float64, "low": pl.Float64, "high": pl.Float64, "note": pl.String}
    )
    none = Metric(value=math.nan, low=math.nan, high=math.nan, n=0, null=0.0, note=note)
    drift = pl.DataFrame(schema={**_drift_columns(), "p_holm": pl.Float64})
    return StabilityReport("", "", "", periods, none, none, math.nan, math.nan, drift, None, None, (note,))
