"""Where a signal works: IC and P&L by hour, session, instrument and regime, and what so many looks cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError, DataError
from marketprism.core.random import child_seed
from marketprism.evaluate.bootstrap import block_length, plan_blocks
from marketprism.evaluate.case import Case
from marketprism.evaluate.economics import trade
from marketprism.evaluate.metrics import measured
from marketprism.evaluate.multiple import holm
from marketprism.evaluate.slices import hour_of_day, information_by
from marketprism.labels.forward import SERIES_KEY, series_rows
from marketprism.labels.jumps import jump_regime
from marketprism.labels.regimes import (
    Regime,
    funding_open_interest_regime,
    jump_share_regime,
    spread_regime,
    volatility_intensity_regime,
)
from marketprism.labels.sessions import session_regime

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Slices", "SlicingConfig", "assess_slices", "frame_regimes", "scored_rows"]

_Floats = npt.NDArray[np.float64]


class SlicingConfig(Config, frozen=True):
    """How slices are made.

    Parameters
    ----------
    past_rows, least_past : int
        Earlier buckets whose quantiles divide a regime's states, at most and at least.
    min_rows : int
        A slice with fewer rows is listed without numbers.
    trend_states : bool
        Slice by the causal state machine's trend state too.
    max_slices : int
        Of one dimension; further ones (most rows first) are left out, and the dimension's row says so.
    """

    past_rows: int = 2000
    least_past: int = 50
    min_rows: int = 30
    trend_states: bool = True
    max_slices: int = 50

    def __post_init__(self) -> None:
        if not 1 <= self.least_past <= self.past_rows:
            raise ConfigError(
                f"least_past was {self.least_past}, past_rows {self.past_rows}", hint="1 <= least_past <= past_rows"
            )
        for name, low in (("min_rows", 3), ("max_slices", 2)):
            if getattr(self, name) < low:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint=f"it must be at least {low}")


@dataclass(frozen=True)
class Slices:
    """Where the best model works.

    Attributes
    ----------
    model, horizon : str
        What was sliced; empty without a judged model.
    table : polars.DataFrame
        One row per slice: ``dimension``, ``slice``, ``n``, ``ic``, ``low``, ``high``, ``p`` (two-sided, IC is 0),
        ``p_holm`` (adjusted for all slices of the table), ``net_bps`` (mean net P&L of a decision, bps of notional),
        ``net_low``, ``net_high``, ``total_bps`` and ``note``; null with few rows.
    dimensions : polars.DataFrame
        One row per dimension: ``dimension``, ``slices``, ``known`` (share of the rows that have a slice), ``p_equal``
        (chance of ICs as different as these if all slices had the same), ``p_equal_holm`` and ``note``.
    missing : dict of str to str
        Dimensions that could not be made, and why.
    overall_ic : float
        IC over all rows.
    tests : int
        Slices tested, over which ``p_holm`` is adjusted.
    notes : tuple of str
        What to be warned of.
    """

    model: str
    horizon: str
    table: pl.DataFrame
    dimensions: pl.DataFrame
    missing: dict[str, str]
    overall_ic: float
    tests: int
    notes: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Plain data: dimensions, and every slice with its IC, interval, adjusted p and P&L."""
        columns = ("dimension", "slice", "n", "ic", "low", "high", "p_holm", "net_bps", "total_bps")
        return {
            "model": self.model,
            "horizon": self.horizon,
            "overall_ic": self.overall_ic if math.isfinite(self.overall_ic) else None,
            "tests": self.tests,
            "dimensions": self.dimensions.drop("note").to_dicts(),
            "slices": self.table.select(columns).to_dicts(),
            "missing": dict(self.missing),
            "notes": list(self.notes),
        }


def scored_rows(case: Case, model: str) -> pl.DataFrame:
    """Out-of-sample rows of a model that count in its IC, by ``ts_known``.

    Returns
    -------
    polars.DataFrame
        The prediction columns, with ``target``: the return, in a panel over its past-only threshold. Rows without
        score, class or target, and excluded ones, are left out.
    """
    import polars as pl

    rows = case.predictions(model)
    if "excluded" in rows.columns:
        rows = rows.filter(~pl.col("excluded"))
    target = pl.col("return") / pl.col("threshold") if case.problem.series else pl.col("return")
    return rows.with_columns(target=target).filter(
        pl.col("score").is_not_null() & pl.col("class").is_not_null() & pl.col("target").is_finite()
    )


def frame_regimes(frame: pl.DataFrame, config: SlicingConfig | None = None) -> tuple[dict[str, Regime], dict[str, str]]:
    """Make every regime that the frame's columns allow.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket rows.
    config : SlicingConfig, optional
        Windows, and whether to make trend states.

    Returns
    -------
    regimes : dict of str to Regime
        Row for row as ``frame``; known with the row.
    missing : dict of str to str
        The others, with the reason in words.
    """
    config = config or SlicingConfig()
    past, least = config.past_rows, config.least_past
    makers: dict[str, Callable[[], Regime]] = {
        "session": lambda: session_regime(frame),
        "volatility x intensity": lambda: volatility_intensity_regime(frame, window=past, least=least),
        "spread state": lambda: spread_regime(frame, past, least),
        "funding x open interest": lambda: funding_open_interest_regime(frame, window=past, least=least),
        "jump share": lambda: jump_share_regime(frame, past=past, least=least),
        "jumps": lambda: jump_regime(frame),
    }
    if config.trend_states:
        makers["trend state"] = lambda: _trend_regime(frame)
    regimes, missing = {}, {}
    for name, make in makers.items():
        try:
            regime = make()
        except DataError as error:
            missing[name] = str(error).removesuffix(f" ({error.hint})")
            continue
        if (regime.codes >= 0).any():
            regimes[name] = regime
        else:
            missing[name] = "unknown at every row: too few earlier buckets, or only missing values"
    return regimes, missing


def _trend_regime(frame: pl.DataFrame) -> Regime:
    from marketprism.labels.state_frames import walk_forward_states
    from marketprism.labels.trend_states import TrendStates

    return walk_forward_states(frame, TrendStates("rules", refuse=False)).regime()


def assess_slices(case: Case, config: SlicingConfig | None = None) -> Slices:
    """Measure the best model's IC and net P&L by hour, session, instrument and regime.

    Parameters
    ----------
    case : Case
        Judged frame.
    config : SlicingConfig, optional
        Regime windows and minimum sizes.

    Returns
    -------
    Slices
        Without rows where no model was judged; ``notes`` then says so.

    Notes
    -----
    All regimes are known with their row. Intervals are block-bootstrap, within the slice. Each slice is one more look
    at the same data: ``p_holm`` counts them all, and ``p_equal`` (Cochran's Q on the slices' ICs) asks first whether
    they differ at all.
    """
    config = config or SlicingConfig()
    if not case.names:
        return _nothing("no model was judged, so nothing is sliced")
    rows = scored_rows(case, case.best)
    if rows.height < config.min_rows:
        return _nothing(f"{case.best} has {rows.height} scored rows: too few to slice")
    regimes, missing = frame_regimes(case.frame, config)
    labels = _row_labels(case, rows, regimes)
    net = _decision_net(case, case.best, rows)
    score, target = rows["score"].to_numpy(), rows["target"].to_numpy()
    tables, equal = [], []
    for name, (states, codes) in labels.items():
        present = np.unique(codes[codes >= 0])
        if present.size < 2:
            only = f"only {states[present[0]]!r}" if present.size else "no known state"
            missing[name] = f"{only} among the scored rows"
            continue
        table, row = _dimension(case, config, name, states, codes, score, target, net)
        tables.append(table)
        equal.append(row)
    return _assembled(case, tables, equal, missing, score, target)


def _row_labels(
    case: Case, rows: pl.DataFrame, regimes: dict[str, Regime]
) -> dict[str, tuple[tuple[str, ...], npt.NDArray[np.int64]]]:
    """For each dimension: names of its slices, and the slice of each scored row (-1 unknown)."""
    import polars as pl

    keys = [*SERIES_KEY, "bucket_id"]
    columns = {f"_{place}": pl.Series(regime.codes) for place, regime in enumerate(regimes.values())}
    joined = rows.select(keys).join(case.frame.select(keys).with_columns(**columns), on=keys, how="left")
    hours = hour_of_day(rows["ts_known"].to_numpy())
    seen = np.unique(hours)
    labels = {"hour (UTC)": (tuple(f"{hour:02d}" for hour in seen.tolist()), np.searchsorted(seen, hours))}
    names = np.array([":".join(key) for key in rows.select(pl.col(SERIES_KEY).cast(pl.String)).iter_rows()])
    found, codes = np.unique(names, return_inverse=True)
    labels["instrument"] = (tuple(found.tolist()), codes.astype(np.int64))
    for place, (name, regime) in enumerate(regimes.items()):
        labels[name] = (regime.states, joined[f"_{place}"].fill_null(-1).to_numpy().astype(np.int64))
    return labels


def _decision_net(case: Case, model: str, rows: pl.DataFrame) -> _Floats:
    """Net P&L of each decision in bps: what its position earned until the next fill, less the cost of entering it."""
    import polars as pl

    predictions = case.predictions(model)
    net = np.full(predictions.height, np.nan)
    trades = trade(predictions, case.executions, case.judgement.config.costs)
    for key, at in series_rows(predictions).items():
        done = trades[":".join(key)]
        net[at] = 1e4 * (np.append(done.gross[1:], 0.0) - done.cost)
    keys = [*SERIES_KEY, "bucket_id"]
    table = predictions.select(keys).with_columns(_net=pl.Series(net))
    return rows.select(keys).join(table, on=keys, how="left")["_net"].to_numpy()


def _dimension(
    case: Case,
    config: SlicingConfig,
    name: str,
    states: tuple[str, ...],
    codes: npt.NDArray[np.int64],
    score: _Floats,
    target: _Floats,
    net: _Floats,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    import polars as pl

    settings = case.judgement.config
    overlap, seed = case.overlap * case.series_count, child_seed(settings.seed, "slices", name)
    counts = np.bincount(codes[codes >= 0], minlength=len(states))
    shown = np.sort(np.argsort(-counts, kind="stable")[: config.max_slices])
    usable = np.isin(codes, shown[counts[shown] >= config.min_rows])
    found = information_by(
        score[usable],
        target[usable],
        codes[usable],
        overlap=overlap,
        replications=settings.replications,
        level=settings.level,
        seed=seed,
    )
    by_code = {int(row["slice"]): row for row in found.iter_rows(named=True)}
    table = []
    for code in shown.tolist():
        if counts[code] == 0:
            continue
        base = {"dimension": name, "slice": states[code], "n": int(counts[code])}
        row = by_code.get(code)
        if row is None:
            table.append({**base, "note": f"fewer than {config.min_rows} rows"})
            continue
        own = net[codes == code]
        mean, low, high = _mean_net(own, overlap, settings.replications, settings.level, seed)
        table.append(
            base
            | {key: row[key] for key in ("ic", "low", "high", "p", "note")}
            | {"net_bps": mean, "net_low": low, "net_high": high, "total_bps": float(own.sum())}
        )
    left_out = int((counts > 0).sum()) - len(table)
    dimension = {
        "dimension": name,
        "slices": len(table),
        "known": float((codes >= 0).mean()),
        "p_equal": _equality(found, settings.level),
        "note": f"{left_out} smaller slices are not shown" if left_out else "",
    }
    return pl.DataFrame(table, schema=_schema()), dimension


def _mean_net(
    net: _Floats, overlap: int, replications: int, level: float, seed: int
) -> tuple[float | None, float | None, float | None]:
    values = np.nan_to_num(net)
    plan = plan_blocks(values.size, block_length(values.size, overlap), replications, seed)
    columns = np.column_stack((np.ones(values.size), values))
    metric = measured(columns, lambda sums: sums[..., 1] / sums[..., 0], plan, level, null=0.0)
    return _known(metric.value), _known(metric.low), _known(metric.high)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _equality(found: pl.DataFrame, level: float) -> float | None:
    """P-value of Cochran's Q: slices weighted by their inverse squared bootstrap errors."""
    from scipy.special import ndtri
    from scipy.stats import chi2

    # Errors are only known where a p-value is: slices with few samples do not enter.
    rows = found.drop_nulls(["p", "low", "high"])
    if rows.height < 2:
        return None
    ic = rows["ic"].to_numpy()
    error = (rows["high"] - rows["low"]).to_numpy() / (2 * float(ndtri(0.5 + level / 2)))
    weight = 1 / error**2
    q = float((weight * (ic - (weight * ic).sum() / weight.sum()) ** 2).sum())
    return float(chi2.sf(q, rows.height - 1))


def _assembled(
    case: Case,
    tables: list[pl.DataFrame],
    equal: list[dict[str, Any]],
    missing: dict[str, str],
    score: _Floats,
    target: _Floats,
) -> Slices:
    import polars as pl

    table = _with_holm(pl.concat([pl.DataFrame(schema=_schema()), *tables]), "p", "p_holm")
    dimensions = _with_holm(pl.DataFrame(equal, schema=_dimension_schema()), "p_equal", "p_equal_holm")
    tests = int(table["p"].is_not_null().sum())
    notes = [f"{name}: {text}" for name, text in zip(*dimensions.select("dimension", "note"), strict=True) if text]
    if tests == 0:
        notes.append("no slice has samples enough for a test: the numbers are descriptions, not evidence")
    constant = np.ptp(score) == 0 or np.ptp(target) == 0
    overall = math.nan if constant else float(np.corrcoef(score, target)[0, 1])
    return Slices(case.best, case.judgement.primary, table, dimensions, missing, overall, tests, tuple(notes))


def _with_holm(table: pl.DataFrame, column: str, name: str) -> pl.DataFrame:
    import polars as pl

    adjusted = np.full(table.height, np.nan)
    known = table[column].is_not_null().to_numpy()
    if known.any():
        adjusted[known] = holm(table[column].drop_nulls().to_numpy())
    return table.insert_column(table.get_column_index(column) + 1, pl.Series(name, adjusted).fill_nan(None))


def _schema() -> dict[str, Any]:
    import polars as pl

    numbers = ("ic", "low", "high", "p", "net_bps", "net_low", "net_high", "total_bps")
    return {
        "dimension": pl.String,
        "slice": pl.String,
        "n": pl.Int64,
        **dict.fromkeys(numbers, pl.Float64),
        "note": pl.String,
    }


def _dimension_schema() -> dict[str, Any]:
    import polars as pl

    return {
        "dimension": pl.String,
        "slices": pl.Int64,
        "known": pl.Float64,
        "p_equal": pl.Float64,
        "note": pl.String,
    }


def _nothing(note: str) -> Slices:
    import polars as pl

    table = _with_holm(pl.DataFrame(schema=_schema()), "p", "p_holm")
    dimensions = _with_holm(pl.DataFrame(schema=_dimension_schema()), "p_equal", "p_equal_holm")
    return Slices("", "", table, dimensions, {}, math.nan, 0, (note,))
