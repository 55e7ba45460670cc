"""What was tried: the count and spread of all trials on a data set, which a Sharpe ratio must be deflated by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from marketprism.evaluate.case import Case
from marketprism.evaluate.sharpe import expected_maximum_sharpe, sharpe_ratio

__all__ = ["TrialResult", "Trials", "trial_results"]


class TrialResult(NamedTuple):
    """One model at one horizon of a judgement.

    Attributes
    ----------
    model, horizon : str
        Which.
    n : int
        Rows behind the IC.
    ic : float
        Out-of-sample information coefficient; NaN where undefined.
    sharpe : float
        Net Sharpe ratio per period; NaN where nothing was traded.
    periods_per_year : float
        Of those periods.
    net_bps : float
        Net P&L over the sample, bps of notional.
    """

    model: str
    horizon: str
    n: int
    ic: float
    sharpe: float
    periods_per_year: float
    net_bps: float


@dataclass(frozen=True)
class Trials:
    """How much was tried on a data set before the result that is looked at.

    Attributes
    ----------
    count : int
        Distinct trials, those without a trade included.
    sharpe_variance : float
        Variance of their ANNUAL net Sharpe ratios (trials with other bucket lengths then compare); NaN for fewer
        than two trials that traded.
    measured : int
        Trials with a Sharpe ratio.
    since : int, optional
        First of them, ns UTC; not part of :meth:`summary`, which must not depend on the clock.
    from_ledger : bool
        Whether the run ledger counted them, and not this judgement alone.
    """

    count: int
    sharpe_variance: float
    measured: int
    since: int | None = None
    from_ledger: bool = True

    @classmethod
    def of(cls, results: Sequence[TrialResult]) -> Trials:
        """Return what a single judgement tried, where there is no ledger."""
        annual = np.array([one.sharpe * math.sqrt(one.periods_per_year) for one in results if one.periods_per_year > 0])
        annual = annual[np.isfinite(annual)]
        variance = float(annual.var(ddof=1)) if annual.size > 1 else math.nan
        return cls(len(results), variance, annual.size, from_ledger=False)

    def luckiest(self, periods_per_year: float, n: float) -> float:
        """Sharpe ratio per period that the best of these trials would show without any skill.

        Parameters
        ----------
        periods_per_year : float
            Of the strategy that is judged.
        n : float
            Its (effective) number of periods: ``1 / (n - 1)``, the sampling variance of a Sharpe ratio of 0, stands in
            where the variance of the trials is not known.
        """
        variance = self.sharpe_variance / periods_per_year if periods_per_year > 0 else math.nan
        if not math.isfinite(variance):
            variance = 1.0 / max(1.0, n - 1.0)
        return expected_maximum_sharpe(max(1, self.count), variance)

    def summary(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "count": self.count,
            "measured": self.measured,
            "annual_sharpe_variance": self.sharpe_variance if math.isfinite(self.sharpe_variance) else None,
            "from_ledger": self.from_ledger,
        }


def trial_results(case: Case) -> tuple[TrialResult, ...]:
    """Every model at every horizon that a judgement evaluated; empty where none was.

    Examples
    --------
    >>> [(one.model, one.horizon, one.ic) for one in trial_results(case)]  # doctest: +SKIP
    [('logistic', '1_buckets', 0.12), ('lightgbm', '1_buckets', 0.10)]
    """
    results = []
    for name, model in case.judgement.models.items():
        for horizon, part in model.horizons.items():
            trading, ic = case.trading(name, horizon), part.metrics["ic"]
            net = trading.net
            sharpe = sharpe_ratio(net) if net.size > 1 else math.nan
            results.append(
                TrialResult(name, horizon, ic.n, ic.value, sharpe, trading.periods_per_year, 1e4 * float(net.sum()))
            )
    return tuple(results)
