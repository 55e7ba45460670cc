"""What is predicted on the mid, the micro-price and the trade price: a skill that only trade prices show is bounce."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError
from marketprism.evaluate.bootstrap import block_length, interval, plan_blocks
from marketprism.evaluate.case import Case
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.metrics import measured
from marketprism.evaluate.paired import paired_information
from marketprism.labels.forward import SERIES_KEY
from marketprism.labels.targets import TARGET_COLUMNS, price_targets
from marketprism.models.scaler import FactorScaler

__all__ = ["PriceTargets", "PriceTargetsConfig", "TargetSkill", "compare_targets"]

_Floats = npt.NDArray[np.float64]
_NAN = math.nan
_KEYS = [*SERIES_KEY, "bucket_id"]
_ABSENT = {
    "micro": "no micro-price: the frame has no column 'microprice' (a factor of the level-1 family)",
    "trade": "no trade price: the frame has no trades (column 'close', last trade of the bucket)",
}


class PriceTargetsConfig(Config, frozen=True):
    """Factors to show.

    Parameters
    ----------
    strongest : int
        Factors with the largest absolute IC on the mid.
    bounciest : int
        Further factors whose IC on the trade price exceeds that on the mid by most.
    """

    strongest: int = 5
    bounciest: int = 5

    def __post_init__(self) -> None:
        for name in ("strongest", "bounciest"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must not be negative")


@dataclass(frozen=True)
class TargetSkill:
    """ICs of one model or factor on every target, over the same rows.

    Attributes
    ----------
    name : str
        Model or factor.
    kind : {"model", "factor"}
        Scores of models are out of sample, factors are described over the whole sample.
    information : dict of str to Metric
        IC by target.
    excess : Metric
        How much larger the IC on the trade price is than that on the mid, in the direction of the former; NaN without
        trades. Significantly positive: skill that is bounce, not there to be earned.
    """

    name: str
    kind: Literal["model", "factor"]
    information: dict[str, Metric]
    excess: Metric

    @property
    def bounce(self) -> bool:
        """Whether it predicts trade prices, and better than mids, both beyond chance."""
        return self.excess.star and self.information["trade"].significant


@dataclass(frozen=True)
class PriceTargets:
    """Result of :func:`compare_targets`.

    Attributes
    ----------
    targets : tuple of str
        Those at hand, of ``mid``, ``micro``, ``trade``.
    moves : dict of str to dict of str to Metric
        By target, of its one-bucket log returns: ``rms_bps``, ``autocorrelation`` (first; clearly negative means
        bounce), ``bounce_spread_bps`` (Roll's ``2 sqrt(-covariance)``: the spread that would make such a bounce; 0
        where the covariance is positive).
    skills : tuple of TargetSkill
        Models, then factors.
    shared : float
        Share of labelled rows on which every target is known.
    notes : tuple of str
        What to know when reading it.

    References
    ----------
    Roll (1984), "A simple implicit measure of the effective bid-ask spread in an efficient market", Journal of Finance
    39(4).
    """

    targets: tuple[str, ...]
    moves: dict[str, dict[str, Metric]]
    skills: tuple[TargetSkill, ...]
    shared: float
    notes: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """Plain data for ``summary.json``."""
        return {
            "targets": {
                name: {key: metric.to_mapping() for key, metric in found.items()} for name, found in self.moves.items()
            },
            "skills": [
                {
                    "name": skill.name,
                    "kind": skill.kind,
                    "ic": {name: metric.to_mapping() for name, metric in skill.information.items()},
                    "excess": skill.excess.to_mapping(),
                    "bounce": skill.bounce,
                }
                for skill in self.skills
            ],
            "shared": self.shared if math.isfinite(self.shared) else None,
            "notes": list(self.notes),
        }


def compare_targets(case: Case, config: PriceTargetsConfig | None = None) -> PriceTargets:
    """Correlate model scores and factors with the next return of the mid, the micro-price and the last trade price.

    A trade price jumps between bid and ask while nothing happens. Whatever knows the side of the last trade
    "predicts" that jump, which nobody can earn: it would have to buy at the bid and sell at the ask.

    Parameters
    ----------
    case : Case
        The frame needs ``mid_last``; ``microprice`` and ``close`` for the other targets.
    config : PriceTargetsConfig, optional
        How many factors to show.

    Returns
    -------
    PriceTargets
        Every IC over the rows on which all targets at hand are known; excluded rows (outages, jumps) are left out.
        In a panel returns are divided by their past-only threshold.

    Notes
    -----
    Takes about .2 s on 700 buckets and 114 factors: every factor is correlated, ten are resampled.
    """
    config = config or PriceTargetsConfig()
    targets, returns, notes = _returns(case)
    moves = {name: _moves(case, TARGET_COLUMNS[name]) for name in targets}
    known = np.asarray(np.isfinite(returns).all(axis=1))
    labelled = np.asarray(np.isfinite(returns[:, 0]))
    shared = float(known[labelled].mean()) if labelled.any() else _NAN
    skills = []
    for name in case.names:
        table = case.predictions(name)
        found = table.select(_KEYS).join(case.frame.select(_KEYS).with_row_index("_row"), on=_KEYS, how="left")
        score = table["score"].fill_null(_NAN).to_numpy()
        score = np.where(table["excluded"].to_numpy(), _NAN, score)
        skills.append(_skill(case, name, "model", score, returns[found["_row"].to_numpy()], targets))
    scaled, ordered = _factors(case, returns)
    skills += [
        _skill(case, case.judgement.factors[place], "factor", scaled[:, place], ordered, targets)
        for place in _chosen(scaled, ordered, targets, config)
    ]
    if not case.names:
        notes.append("no model was judged: " + ("; ".join(case.judgement.notes) or "too few rows"))
    if "trade" in targets and shared < 0.9:
        notes.append(f"only {shared:.0%} of the labelled rows have every target: the rest had no trade to price them")
    return PriceTargets(targets, moves, tuple(skills), shared, tuple(notes))


def _returns(case: Case) -> tuple[tuple[str, ...], _Floats, list[str]]:
    """Names of the targets at hand and their returns, shape (rows of the frame, targets)."""
    import polars as pl

    notes = []
    frame = case.frame
    absent = [
        name
        for name, column in TARGET_COLUMNS.items()
        if name != "mid" and (column not in frame.columns or not frame[column].cast(pl.Float64).is_finite().any())
    ]
    notes += [_ABSENT[name] for name in absent]
    horizon = case.judgement.labels.view(case.judgement.primary).horizon
    made = case.judgement.labels.config
    ours = made.replace(
        bucket_horizons=[int(horizon.length)] if horizon.kind == "buckets" else [],
        time_horizons_s=[horizon.length] if horizon.kind == "seconds" else [],
    )
    if horizon.kind == "seconds":
        notes.append("here the horizon ends on the last bucket end in it, for every target, not on the mid series")
    sets = price_targets(frame.drop([TARGET_COLUMNS[name] for name in absent], strict=False), ours)
    views = {name: labels.view(horizon.name) for name, labels in sets.items()}
    columns = []
    for view in views.values():
        threshold = np.where(view.threshold > 0, view.threshold, np.nan) if case.problem.series else 1.0
        columns.append(view.returns / threshold)
    return tuple(views), np.column_stack(columns), notes


def _factors(case: Case, returns: _Floats) -> tuple[_Floats, _Floats]:
    """Clipped z-scores of the factors, NaN where missing, by time, and the returns in that order."""
    problem = case.problem
    width = len(problem.factors)
    place = problem.rows.select(_KEYS).join(case.frame.select(_KEYS).with_row_index("_row"), on=_KEYS, how="left")
    scaled = FactorScaler(by_series=bool(problem.series)).fit_transform(problem.X)[:, :width]
    scaled = np.where(np.isfinite(problem.X[:, :width]) & problem.tradable[:, None], scaled, np.nan)
    ordered = returns[place["_row"].to_numpy()]
    return scaled, np.where(problem.excluded[:, None], np.nan, ordered)


def _chosen(scaled: _Floats, returns: _Floats, targets: tuple[str, ...], config: PriceTargetsConfig) -> list[int]:
    """Factors with the largest IC on the mid, then those that trade prices flatter most."""
    rows = np.isfinite(returns).all(axis=1)
    if rows.sum() < 3:
        return []
    x, y = scaled[rows], returns[rows]
    ic = np.array([_plain(x, y[:, target]) for target in range(y.shape[1])])
    strongest = np.argsort(-np.nan_to_num(np.abs(ic[0])), kind="stable")[: config.strongest].tolist()
    if "trade" not in targets:
        return [place for place in strongest if np.isfinite(ic[0, place])]
    trade = ic[targets.index("trade")]
    excess = np.nan_to_num(np.sign(trade) * (trade - ic[0]), nan=-np.inf)
    further = [place for place in np.argsort(-excess, kind="stable").tolist() if place not in strongest]
    return [place for place in (*strongest, *further[: config.bounciest]) if np.isfinite(ic[0, place])]


def _plain(x: _Floats, y: _Floats) -> _Floats:
    """Correlation of every column of x with y over the rows where it is known; NaN where it is constant."""
    weight = np.isfinite(x)
    n = weight.sum(axis=0)
    known = np.where(weight, x, 0.0)
    safe = np.maximum(n, 1)
    dx = np.where(weight, x - known.sum(axis=0) / safe, 0.0)
    dy = np.where(weight, y[:, None] - (weight * y[:, None]).sum(axis=0) / safe, 0.0)
    variance = (dx * dx).sum(axis=0) * (dy * dy).sum(axis=0)
    flat = (n < 3) | (variance <= 1e-24 * (known * known).sum(axis=0) * float(y @ y))
    return np.where(flat, np.nan, (dx * dy).sum(axis=0) / np.sqrt(np.where(flat, 1.0, variance)))


def _skill(
    case: Case,
    name: str,
    kind: Literal["model", "factor"],
    score: _Floats,
    returns: _Floats,
    targets: tuple[str, ...],
) -> TargetSkill:
    config = case.judgement.config
    keep = np.isfinite(score) & np.isfinite(returns).all(axis=1)
    n = int(keep.sum())
    if n < 3:
        none = Metric(value=_NAN, low=_NAN, high=_NAN, n=n, null=0.0, note=f"few samples: {n} rows")
        return TargetSkill(name, kind, dict.fromkeys(targets, none), none)
    plan = plan_blocks(n, block_length(n, case.overlap, case.series_count), config.replications, config.seed)
    found = paired_information(score[keep], returns[keep], plan, config.level)
    excess = Metric(value=_NAN, low=_NAN, high=_NAN, n=n, null=0.0, note="no trade prices")
    if "trade" in targets:
        trade, mid = targets.index("trade"), targets.index("mid")
        sign = 1.0 if not found.values[trade] < 0 else -1.0
        value = sign * float(found.values[trade] - found.values[mid])
        low, high = interval(value, sign * (found.samples[:, trade] - found.samples[:, mid]), plan.blocks, config.level)
        note = found.metrics[trade].note
        excess = Metric(value=value, low=low, high=high, n=n, blocks=plan.blocks, null=0.0, note=note)
    return TargetSkill(name, kind, dict(zip(targets, found.metrics, strict=True)), excess)


def _moves(case: Case, column: str) -> dict[str, Metric]:
    """Size and first autocorrelation of the one-bucket log returns of a price."""
    import polars as pl

    config = case.judgement.config
    group = [*SERIES_KEY, "segment"]
    price = pl.when(pl.col(column) > 0).then(pl.col(column).cast(pl.Float64))
    table = (
        case.frame.sort(*SERIES_KEY, "bucket_id")
        .with_columns(price.log().fill_nan(None).alias("_log"))
        .with_columns(
            pl.when(pl.col("bucket_id").diff().over(group) == 1).then(pl.col("_log").diff().over(group)).alias("_move")
        )
        .with_columns(pl.col("_move").shift(-1).over(group).alias("_next"))
        .sort("ts_known", *SERIES_KEY, "bucket_id")
        .select("_move", "_next")
    )
    single = 1e4 * table["_move"].drop_nulls().to_numpy()
    pairs = 1e4 * table.drop_nulls().to_numpy()
    names = ("rms_bps", "autocorrelation", "bounce_spread_bps")
    if len(pairs) < 3 or min(pairs.std(axis=0)) == 0:
        none = Metric(value=_NAN, low=_NAN, high=_NAN, n=len(pairs), note=f"{len(pairs)} moves, or none that differ")
        return dict.fromkeys(names, none)

    def plan_of(n: int) -> Any:
        return plan_blocks(n, block_length(n, 1, case.series_count), config.replications, config.seed)

    def autocorrelation(sums: _Floats) -> _Floats:
        n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
        variance = (xx - x * x / n) * (yy - y * y / n)
        return np.where(variance > 0, (xy - x * y / n) / np.sqrt(np.where(variance > 0, variance, 1.0)), np.nan)

    def spread(sums: _Floats) -> _Floats:
        n, x, y, xy = (sums[..., place] for place in (0, 1, 2, 5))
        return np.asarray(2 * np.sqrt(np.maximum(0.0, -(xy - x * y / n) / n)))

    x, y = pairs.T
    columns, plan = np.column_stack((np.ones_like(x), x, y, x * x, y * y, x * y)), plan_of(len(pairs))
    return {
        "rms_bps": measured(
            np.column_stack((np.ones_like(single), single * single)),
            lambda sums: np.sqrt(sums[..., 1] / sums[..., 0]),
            plan_of(single.size),
            config.level,
        ),
        "autocorrelation": measured(columns, autocorrelation, plan, config.level, null=0.0),
        "bounce_spread_bps": measured(columns, spread, plan, config.level),
    }
