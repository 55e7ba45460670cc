"""Almgren and Chriss, "Optimal execution of portfolio transactions", Journal of Risk 3, 2000."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from marketprism.core.errors import ConfigError

__all__ = ["ExecutionPlan", "almgren_chriss"]


@dataclass(frozen=True)
class ExecutionPlan:
    """How to sell a position.

    Attributes
    ----------
    kappa : float
        Urgency, a unit of time; 0: equal pieces.
    holdings : ndarray, shape (steps + 1,)
        Still held, from all to nothing.
    trades : ndarray, shape (steps,)
        Sold in each step.
    cost : float
        Expected shortfall, currency.
    deviation : float
        Standard deviation of the shortfall, currency.
    """

    kappa: float
    holdings: np.ndarray
    trades: np.ndarray
    cost: float
    deviation: float


def almgren_chriss(
    quantity: float,
    *,
    horizon: float,
    steps: int,
    sigma: float,
    fixed_cost: float,
    permanent: float,
    temporary: float,
    risk_aversion: float,
) -> ExecutionPlan:
    """Return the plan that minimises expected shortfall plus ``risk_aversion`` times its variance.

    With the step ``tau`` and ``eta' = temporary - permanent tau / 2``, ``cosh(kappa tau) = 1 + tau^2 risk_aversion
    sigma^2 / (2 eta')``; holdings are ``quantity sinh(kappa (T - t)) / sinh(kappa T)``; the shortfall's mean is
    ``permanent X^2 / 2 + fixed_cost X + eta' sum(n^2) / tau`` and its variance ``sigma^2 tau sum(x^2)``.

    Parameters
    ----------
    quantity : float
        To sell.
    horizon, steps
        Time to the end, and into how many steps it is cut.
    sigma : float
        Of the price, currency a root unit of time.
    fixed_cost : float
        A unit sold, currency: half the spread and fees.
    permanent : float
        Impact that stays, currency a unit, for each unit sold.
    temporary : float
        Impact while selling, currency a unit, for a speed of one unit a unit of time.
    risk_aversion : float
        A unit of currency.

    Examples
    --------
    >>> market = {"sigma": 0.95, "fixed_cost": 0.0625, "permanent": 2.5e-7, "temporary": 2.5e-6}
    >>> plan = almgren_chriss(1e6, horizon=5, steps=5, risk_aversion=1e-6, **market)
    >>> [round(x / 1000, 1) for x in plan.holdings.tolist()]
    [1000.0, 542.0, 289.9, 147.9, 62.1, 0.0]
    """
    for name, value, least in (
        ("quantity", quantity, True),
        ("horizon", horizon, True),
        ("steps", steps, True),
        ("temporary", temporary, True),
        ("sigma", sigma, False),
        ("fixed_cost", fixed_cost, False),
        ("permanent", permanent, False),
        ("risk_aversion", risk_aversion, False),
    ):
        if not (0 < value < math.inf or (value == 0 and not least)):
            raise ConfigError(f"{name} was {value}", hint="finite and positive" if least else "finite, 0 or more")
    tau = horizon / steps
    eta = temporary - 0.5 * permanent * tau
    if eta <= 0:
        raise ConfigError(
            f"temporary impact {temporary} was no more than half the permanent one a step, {0.5 * permanent * tau}",
            hint="use more steps",
        )
    kappa = math.acosh(1.0 + 0.5 * tau * tau * risk_aversion * sigma * sigma / eta) / tau
    left = horizon - tau * np.arange(steps + 1)
    if kappa * horizon > 0:
        # sinh(a) / sinh(b) without overflow.
        shares = np.exp(kappa * (left - horizon)) * np.expm1(-2 * kappa * left) / math.expm1(-2 * kappa * horizon)
    else:
        shares = left / horizon
    holdings = quantity * shares
    holdings[-1] = 0.0
    trades = -np.diff(holdings)
    cost = 0.5 * permanent * quantity**2 + fixed_cost * quantity + eta / tau * float(np.sum(trades**2))
    return ExecutionPlan(kappa, holdings, trades, cost, sigma * math.sqrt(tau * float(np.sum(holdings[1:] ** 2))))
