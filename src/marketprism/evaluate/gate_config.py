"""What the adoption gate asks for: weights of the score, conditions, and thresholds of the success card."""

from __future__ import annotations

import itertools
import math

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError

__all__ = ["AdoptionConfig"]


class AdoptionConfig(Config, frozen=True):
    """Weights, conditions and thresholds of :func:`~marketprism.evaluate.adoption_gate`.

    Parameters
    ----------
    latency_weight, complexity_weight, interpretability_weight : float
        Of the three costs in the score.
    adopt_above : float
        Score above which a candidate may be adopted.
    min_gain : float
        Go-live: relative gain of the IC above this.
    max_latency_ms : float
        Go-live: p99 of one prediction below this; also the unit of the latency cost.
    min_coverage : float
        Go-live: explainability coverage above this.
    require_profit : bool
        Whether the candidate must have earned something after costs.
    ic_floor, sharpe_floor : float
        Least absolute IC and annual net Sharpe ratio that gains are relative to: keeps them defined near zero.
    p_value : float
        Success card: p-value of the candidate's IC below this.
    ic_ir : float
        Success card: mean over standard deviation of its IC by period, at least this.
    week_correlation : float
        Success card: correlation of its inputs' ICs from one week to the next, at least this.
    psi : float
        Success card: population stability index below this.
    monthly_drawdown : float
        Success card: largest drawdown inside a calendar month, share of notional, at most this.
    require_card : bool
        Whether rows of the card that the data are too short for stand in the way of ADOPT.
    brier_limit : float, optional
        An upper limit for the two-class Brier score; ignored, and said so, where no forecast with the observed
        correlation can meet it.
    coverage_inputs : int
        Inputs that the surrogate behind the explainability coverage may see.
    delays_rows : tuple of int
        Delays, in buckets, at which the IC is measured again.
    latencies_ms : tuple of float
        Latencies at which the effective Sharpe ratio is given, besides the measured one.
    level : float
        Coverage of intervals.
    """

    latency_weight: float = 0.5
    complexity_weight: float = 0.3
    interpretability_weight: float = 0.2
    adopt_above: float = 0.15
    min_gain: float = 0.10
    max_latency_ms: float = 100.0
    min_coverage: float = 0.60
    require_profit: bool = True
    ic_floor: float = 0.01
    sharpe_floor: float = 0.1
    p_value: float = 0.01
    ic_ir: float = 0.5
    week_correlation: float = 0.3
    psi: float = 0.25
    monthly_drawdown: float = 0.05
    require_card: bool = False
    brier_limit: float | None = None
    coverage_inputs: int = 10
    delays_rows: tuple[int, ...] = (0, 1, 2, 3, 5, 10, 20)
    latencies_ms: tuple[float, ...] = (1.0, 10.0, 100.0, 1000.0)
    level: float = 0.95

    def __post_init__(self) -> None:
        for name in ("adopt_above", "min_gain", "ic_ir", "week_correlation"):
            if not math.isfinite(getattr(self, name)):
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must be finite")
        for name in ("latency_weight", "complexity_weight", "interpretability_weight", "psi", "monthly_drawdown"):
            self._check(name, low=0.0)
        for name in ("max_latency_ms", "ic_floor", "sharpe_floor", "coverage_inputs"):
            self._check(name, low=0.0, open_low=True)
        for name in ("min_coverage", "p_value", "level"):
            self._check(name, low=0.0, high=1.0)
        if not self.level < 1:
            raise ConfigError(f"level was {self.level}", hint="it must lie below 1")
        if self.brier_limit is not None:
            self._check("brier_limit", low=0.0, high=1.0)
        if (
            not self.delays_rows
            or self.delays_rows[0] != 0
            or any(b <= a for a, b in itertools.pairwise(self.delays_rows))
        ):
            raise ConfigError(f"delays_rows was {self.delays_rows}", hint="start with 0 and increase")
        if not all(math.isfinite(value) and value >= 0 for value in self.latencies_ms):
            raise ConfigError(f"latencies_ms was {self.latencies_ms}", hint="none may be negative")

    def _check(self, name: str, low: float, high: float = math.inf, *, open_low: bool = False) -> None:
        value = getattr(self, name)
        if not (math.isfinite(value) and low <= value <= high and (value > low or not open_low)):
            hint = f"it must be {'above' if open_low else 'at least'} {low:g}"
            raise ConfigError(f"{name} was {value}", hint=hint if math.isinf(high) else f"{hint} and at most {high:g}")
