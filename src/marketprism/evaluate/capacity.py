"""Where the money goes and how much of it there is: cost waterfall, break-even cost, P&L against order size."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError
from marketprism.evaluate.bootstrap import block_length, plan_blocks
from marketprism.evaluate.case import Case
from marketprism.evaluate.economics import COST_PARTS, Execution, Trading, pool, trade
from marketprism.evaluate.impact import IMPACT_SOURCES, impact_scale, traded_notional
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.metrics import measured
from marketprism.labels.forward import series_rows

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Capacity", "CapacityConfig", "assess_capacity"]

_Floats = npt.NDArray[np.float64]
_NAN = math.nan


class CapacityConfig(Config, frozen=True):
    """Sizes to look at.

    Parameters
    ----------
    points : int
        Sizes on the grid.
    least_share, most_share : float
        Smallest and largest size, as shares of the median notional traded in a bucket.
    """

    points: int = 25
    least_share: float = 1e-5
    most_share: float = 1.0

    def __post_init__(self) -> None:
        if self.points < 2:
            raise ConfigError(f"points was {self.points}", hint="it must be at least 2")
        if not 0 < self.least_share < self.most_share < math.inf:
            raise ConfigError(
                f"shares were {self.least_share} to {self.most_share}", hint="expected 0 < least_share < most_share"
            )


@dataclass(frozen=True)
class Capacity:
    """Result of :func:`assess_capacity`.

    Attributes
    ----------
    waterfall : polars.DataFrame
        By model, bps of notional over the whole sample: ``paper_bps`` (every decision filled at the mid it was made
        on), ``latency_bps`` (what was lost until the fill), then ``half_spread_bps, fee_bps, slippage_bps,
        impact_bps`` (negative: paid) and ``net_bps``, their sum; and ``traded``, ``trades``.
    costs : dict of str to dict of str to Metric
        By model: ``break_even_bps`` (cost per unit traded at which nothing is left), ``paid_bps`` (what was paid per
        unit traded), ``turnover`` (notional traded per decision), ``holding_s`` (mean time in a position).
    curve : polars.DataFrame
        By model and size: ``notional`` (quote currency), ``share`` (of the median notional traded in a bucket),
        ``impact_bps`` (mean per unit traded), ``net_pnl_bps, low, high, net_sharpe``, ``net_quote`` (quote currency),
        ``gross_pnl_bps`` (less impact only).
        Empty where the frame does not tell what was traded.
    limits : dict of str to dict of str to Metric
        By model: ``zero_notional`` (size at which net P&L is zero), ``half_notional`` (at which half is left of what
        the smallest size earns), ``best_notional`` (earns most in quote currency); 0 where it is never profitable,
        NaN where there is no curve.
    bucket_notional : float
        Median notional traded in a bucket, quote currency.
    notional : float
        Size that the waterfall's impact was computed for; 0: none.
    notes : tuple of str
        What to know when reading it.
    """

    waterfall: pl.DataFrame
    costs: dict[str, dict[str, Metric]]
    curve: pl.DataFrame
    limits: dict[str, dict[str, Metric]]
    bucket_notional: float
    notional: float
    notes: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """Plain data for ``summary.json``."""
        rows = {row.pop("model"): row for row in self.waterfall.fill_nan(None).iter_rows(named=True)}
        return {
            "models": {
                name: {
                    "waterfall": rows[name],
                    **{key: metric.to_mapping() for key, metric in self.costs[name].items()},
                    **{key: metric.to_mapping() for key, metric in self.limits.get(name, {}).items()},
                }
                for name in self.costs
            },
            "bucket_notional": self.bucket_notional if math.isfinite(self.bucket_notional) else None,
            "notional": self.notional,
            "notes": list(self.notes),
        }


def assess_capacity(case: Case, config: CapacityConfig | None = None) -> Capacity:
    """Break every model's P&L down into what it earned and paid, and follow it as orders grow.

    Positions do not depend on the size: every size trades the same decisions at the primary horizon, and pays the
    square-root impact of :func:`~marketprism.evaluate.impact.square_root_impact` on top of the other costs. Net P&L is
    therefore ``A - B sqrt(N)``, and the limits are exact: zero at ``(A / B)^2``, half at a quarter of that, most money
    at four ninths of it.

    Parameters
    ----------
    case : Case
        Costs are those of its judgement.
    config : CapacityConfig, optional
        Grid of sizes.

    Returns
    -------
    Capacity
        Without judged models, tables with no row and a note.

    Notes
    -----
    Takes about 60 ms a model on 700 buckets. In a panel every instrument is traded with the same size, each in its
    own quote currency.
    """
    config = config or CapacityConfig()
    costs = case.judgement.config.costs
    impact, usual, notes = _impact_per_unit(case)
    waterfall: list[dict[str, Any]] = []
    curve: list[dict[str, Any]] = []
    found, limits = {}, {}
    for name in case.names:
        book = case.trading(name)
        waterfall.append(_waterfall(case, name, book))
        found[name] = _cost_metrics(case, name, book)
        if not impact:
            continue
        # One unit of quote currency: the impact of N units is sqrt(N) times as large, on the same positions.
        one = pool(trade(case.predictions(name), impact, costs))
        if float(one.parts["impact"].sum()) > 0:
            limits[name] = _limits(case, one)
            curve += _curve(case, name, one, usual, config)
    if not case.names:
        notes.append("no model was judged: " + ("; ".join(case.judgement.notes) or "too few rows"))
    still = [name for name in case.names if not float(case.trading(name).traded.sum()) > 0]
    notes += [f"{name} never traded: no score reached {costs.enter:g}" for name in still]
    if limits:
        notes.append(
            "impact is a model, not a measurement: each order is charged the whole move that a square-root law with "
            f"coefficient {costs.impact_coefficient:g} gives it; orders that are a large part of a bucket are beyond it"
        )
    return Capacity(
        waterfall=_frame(waterfall, _WATERFALL),
        costs=found,
        curve=_frame(curve, _CURVE),
        limits=limits,
        bucket_notional=usual,
        notional=costs.notional or 0.0,
        notes=tuple(notes),
    )


_WATERFALL = ("paper_bps", "latency_bps", *(f"{part}_bps" for part in COST_PARTS), "net_bps", "traded", "trades")
_CURVE = ("notional", "share", "impact_bps", "net_pnl_bps", "low", "high", "net_sharpe", "net_quote", "gross_pnl_bps")


def _frame(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> pl.DataFrame:
    import polars as pl

    schema: dict[str, Any] = {"model": pl.String, **dict.fromkeys(columns, pl.Float64)}
    if "trades" in schema:
        schema["trades"] = pl.Int64
    return pl.DataFrame(rows, schema=schema, orient="row")


def _impact_per_unit(case: Case) -> tuple[dict[str, Execution], float, list[str]]:
    """Make executions that pay the impact of one quote unit; also the usual notional of a bucket, and notes."""
    frame, costs = case.frame, case.judgement.config.costs
    if not any(name in frame.columns for name in IMPACT_SOURCES):
        return {}, _NAN, ["the frame does not tell what was traded (no column 'notional' or 'volume'): no capacity"]
    traded = traded_notional(frame)
    seen = traded[np.isfinite(traded)]
    usual = float(np.median(seen)) if seen.size else _NAN
    if not (seen > 0).any():
        return {}, usual, ["the source holds no trades: impact, and with it capacity, cannot be told"]
    if not usual > 0:
        usual = float(np.median(seen[seen > 0]))
    result = {}
    for key, rows in series_rows(frame).items():
        one = case.executions[":".join(key)]
        result[one.key] = replace(one, impact=impact_scale(frame[rows], costs))
    return result, usual, []


def _waterfall(case: Case, name: str, book: Trading) -> dict[str, Any]:
    paper = pool(trade(case.predictions(name), _at_decision(case.executions), case.judgement.config.costs))
    gross = 1e4 * float(paper.gross.sum())
    kept = 1e4 * float(book.gross.sum())
    parts = {f"{part}_bps": -1e4 * float(book.parts[part].sum()) for part in COST_PARTS}
    steps = {"paper_bps": gross, "latency_bps": kept - gross, **parts}
    return {
        "model": name,
        **steps,
        "net_bps": math.fsum(steps.values()),
        "traded": float(book.traded.sum()),
        "trades": int((book.traded > 0).sum()),
    }


def _at_decision(executions: dict[str, Execution]) -> dict[str, Execution]:
    """Every decision filled at once at the closing mid of its bucket, where it could be filled at all."""
    return {
        key: replace(one, fill_mid=np.where(np.isfinite(one.fill_mid), one.mid_last, np.nan))
        for key, one in executions.items()
    }


def _cost_metrics(case: Case, name: str, book: Trading) -> dict[str, Metric]:
    config = case.judgement.config
    n = book.ts.size
    plan = plan_blocks(n, block_length(n), config.replications, config.seed)
    trades = int((book.traded > 0).sum())
    few = f"only {trades} trades, not evidence" if trades < 30 else ""

    def ratio(sums: _Floats) -> _Floats:
        return np.where(sums[..., 1] > 0, sums[..., 0] / np.where(sums[..., 1] > 0, sums[..., 1], 1.0), np.nan)

    def per_unit(values: _Floats, null: float | None, note: str) -> Metric:
        columns = np.column_stack((1e4 * values, book.traded))
        text = "; ".join(filter(None, (few, note)))
        return measured(columns, ratio, plan, config.level, null=None if few else null, note=text)

    held, entries = _holding(case, name)
    holding = held / entries if entries else _NAN
    return {
        "break_even_bps": per_unit(book.gross, 0.0, "cost per unit traded at which nothing is left"),
        "paid_bps": per_unit(book.cost, None, "paid per unit traded"),
        "turnover": measured(book.traded[:, None] / n, lambda s: s[..., 0], plan, config.level, note="per decision"),
        "holding_s": Metric(
            value=holding, low=_NAN, high=_NAN, n=entries, note=f"mean over {entries} positions, no interval"
        ),
    }


def _holding(case: Case, name: str) -> tuple[float, int]:
    """Seconds in a position and number of positions, over all instruments."""
    held, entries = 0.0, 0
    for part in trade(case.predictions(name), case.executions, case.judgement.config.costs).values():
        position = np.sign(part.position)
        before = np.append(0.0, position[:-1])
        entries += int(((position != 0) & (position != before)).sum())
        held += float((np.diff(part.ts) * (position[:-1] != 0)).sum()) * 1e-9
    return held, entries


_LIMITS = (
    ("zero_notional", 1.0, 0),
    ("half_notional", 0.25, 0),
    ("best_notional", 4 / 9, 0),
    ("gross_notional", 1.0, 1),
)
"""Name, share of the size at which nothing is left, and the column that says what was earned without impact."""


def _limits(case: Case, one: Trading) -> dict[str, Metric]:
    """Return the sizes at which ``A - B sqrt(N)`` is zero, half of A, and at which ``N (A - B sqrt(N))`` is largest."""
    config = case.judgement.config
    n = one.ts.size
    before = one.gross - one.cost + one.parts["impact"]
    columns = np.column_stack((before, one.gross, one.parts["impact"]))
    plan = plan_blocks(n, block_length(n), config.replications, config.seed)
    trades = int((one.traded > 0).sum())
    few = f"only {trades} trades, not evidence" if trades < 30 else ""
    result = {}
    for name, share, earned in _LIMITS:

        def size(sums: _Floats, share: float = share, earned: int = earned) -> _Floats:
            paid = sums[..., 2]
            bearable = np.maximum(sums[..., earned], 0.0) / np.where(paid > 0, paid, 1.0)
            return np.where(paid > 0, share * bearable**2, np.nan)

        metric = measured(columns, size, plan, config.level, note=few)
        never = "" if metric.value > 0 else "never profitable, at any size"
        result[name] = Metric(
            value=metric.value,
            low=max(0.0, metric.low),
            high=max(0.0, metric.high),
            n=metric.n,
            blocks=metric.blocks,
            note="; ".join(filter(None, (never, metric.note))),
        )
    return result


def _curve(case: Case, name: str, one: Trading, usual: float, config: CapacityConfig) -> list[dict[str, Any]]:
    judged = case.judgement.config
    n = one.ts.size
    plan = plan_blocks(n, block_length(n), judged.replications, judged.seed)
    before, impact, traded = one.gross - one.cost + one.parts["impact"], one.parts["impact"], float(one.traded.sum())
    annual = math.sqrt(one.periods_per_year) if one.periods_per_year > 0 else _NAN
    rows = []
    for share in np.geomspace(config.least_share, config.most_share, config.points).tolist():
        size = share * usual
        net = before - math.sqrt(size) * impact
        metric = measured(1e4 * net[:, None], lambda sums: sums[..., 0], plan, judged.level)
        spread = float(net.std(ddof=1)) if n > 1 else 0.0
        rows.append(
            {
                "model": name,
                "notional": size,
                "share": share,
                "impact_bps": 1e4 * math.sqrt(size) * float(impact.sum()) / traded,
                "net_pnl_bps": metric.value,
                "low": metric.low,
                "high": metric.high,
                "net_sharpe": annual * float(net.mean()) / spread if spread > 0 else _NAN,
                "net_quote": size * 1e-4 * metric.value,
                "gross_pnl_bps": 1e4 * float((one.gross - math.sqrt(size) * impact).sum()),
            }
        )
    return rows
