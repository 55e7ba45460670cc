"""What latency leaves of two signals, and which Brier score their IC allows: the tables beside an adoption verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from marketprism.evaluate.decay import SignalDecay, effective_sharpe, information_by_rows
from marketprism.evaluate.gate_config import AdoptionConfig
from marketprism.evaluate.gate_pairs import Pairs
from marketprism.evaluate.reliability import best_possible_brier

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Attainable", "DecaySide", "attainable_brier", "decay_side"]

_Floats = npt.NDArray[np.float64]


class DecaySide(NamedTuple):
    """How one side's signal dies.

    Attributes
    ----------
    decay : SignalDecay
        IC by delay in rows.
    row_ms : float
        Median time between two decisions, ms.
    lifetime_ms : float
        Time in which the IC falls to ``1 / e``; infinite where it does not fall, NaN without a positive IC.
    at_most : bool
        The IC was gone after one row: the lifetime is an upper bound.
    sharpe : tuple of (latency ms, effective Sharpe)
        Net Sharpe that each extra latency leaves; a Sharpe ratio at or below 0 is left as it is.
    """

    decay: SignalDecay
    row_ms: float
    lifetime_ms: float
    at_most: bool
    sharpe: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Attainable:
    """Two-class Brier score (up against down, flat rows left out) beside the best one that the correlation allows.

    Attributes
    ----------
    n : int
        Rows that moved.
    ic, ic_outcome : float
        Correlation of the score with the return, and of P(up) with the outcome 0 or 1.
    best_return, best_outcome : float
        Lowest Brier score that a forecast of these correlations can have.
    base : float
        Brier score of the base rate.
    observed : float
        Brier score of P(up | moved).
    limit : float, optional
        Gate that was asked for.
    """

    n: int
    ic: float
    ic_outcome: float
    best_return: float
    best_outcome: float
    base: float
    observed: float
    limit: float | None

    @property
    def attainable(self) -> bool | None:
        """Whether a forecast of the observed correlation can meet the limit; None without one."""
        if self.limit is None:
            return None
        return bool(min(self.best_return, self.best_outcome) < self.limit)

    def to_mapping(self) -> dict[str, Any]:
        """Plain data for JSON: NaN becomes None."""
        values = {name: value if value is None or math.isfinite(value) else None for name, value in vars(self).items()}
        return {**values, "attainable": self.attainable}


def decay_side(
    pairs: Pairs,
    score: _Floats,
    sharpe: float,
    latencies_ms: Sequence[float],
    config: AdoptionConfig,
    seed: int,
    replications: int,
) -> DecaySide:
    """Measure IC by delay, lifetime, and the Sharpe ratio by latency."""
    order = np.lexsort((pairs.known, pairs.run))
    run, known = pairs.run[order], pairs.known[order]
    usable = [delay for delay in config.delays_rows if delay < max(1, pairs.n // 4)]
    decay = information_by_rows(
        score[order],
        pairs.target[order],
        usable,
        series=run,
        overlap=pairs.overlap,
        replications=replications,
        level=config.level,
        seed=seed,
    )
    steps = np.diff(known)[run[1:] == run[:-1]]
    row_ms = float(np.median(steps)) / 1e6 if steps.size else math.nan
    lifetime, at_most = _lifetime(decay)
    left = tuple(
        (float(latency), _left(sharpe, float(latency), lifetime * row_ms))
        for latency in latencies_ms
        if math.isfinite(latency)
    )
    return DecaySide(decay, row_ms, lifetime * row_ms, at_most, left)


def _lifetime(decay: SignalDecay) -> tuple[float, bool]:
    values = decay.values
    if not values.size or not values[0] > 0:
        return math.nan, False
    if values.size > 1 and values[1] <= 0.1 * values[0]:
        return float(decay.delays[1]) / math.log(10.0), True
    return decay.lifetime(), False


def _left(sharpe: float, latency: float, lifetime: float) -> float:
    if not sharpe > 0 or latency == 0:
        return sharpe
    return effective_sharpe(sharpe, latency, lifetime) if lifetime > 0 else math.nan


def attainable_brier(predictions: pl.DataFrame, ic: float, limit: float | None) -> Attainable:
    """Compare the Brier score of P(up | moved) with what its correlations allow.

    Parameters
    ----------
    predictions : polars.DataFrame
        Of one model at one horizon.
    ic : float
        Correlation of its score with the return, 0 where it has none.
    limit : float, optional
        Brier score that was asked for.
    """
    known = predictions.drop_nulls(["p_up", "p_down", "class"])
    rows = known.filter(known["class"] != 0)
    up, down = rows["p_up"].to_numpy(), rows["p_down"].to_numpy()
    sure = up + down > 0
    p = np.where(sure, up / np.where(sure, up + down, 1.0), 0.5)
    outcome = (rows["class"].to_numpy() > 0).astype(np.float64)
    nan = math.nan
    best = best_possible_brier(min(1.0, abs(ic)), of="return")
    if p.size < 3:
        return Attainable(p.size, ic, nan, best, nan, nan, nan, limit)
    share = float(outcome.mean())
    varies = p.std() > 1e-12 and outcome.std() > 0
    correlation = float(np.corrcoef(p, outcome)[0, 1]) if varies else 0.0
    return Attainable(
        n=p.size,
        ic=ic,
        ic_outcome=correlation,
        best_return=best,
        best_outcome=best_possible_brier(max(-1.0, min(1.0, correlation)), share),
        base=share * (1 - share),
        observed=float(((p - outcome) ** 2).mean()),
        limit=limit,
    )
