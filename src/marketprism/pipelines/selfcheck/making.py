"""Market making and execution: Avellaneda-Stoikov, Gueant-Lehalle-Fernandez-Tapia, Almgren-Chriss."""

from __future__ import annotations

from functools import cache, partial
from typing import Literal

from marketprism.pipelines.selfcheck.registry import Oracle
from marketprism.strategies.almgren_chriss import ExecutionPlan, almgren_chriss
from marketprism.strategies.avellaneda_stoikov import DealerRuns, simulate_dealer
from marketprism.strategies.glft import closed_form_distances, exact_distances

__all__ = ["ORACLES"]

_AS = "Avellaneda and Stoikov (2008), section 3.3, at 60,000 paths"
_AS_SETUP = "s = 100, T = 1, sigma = 2, dt = .005, k = 1.5, A = 140, seed 0"
# The reference has as many paths and the same errors. The profit of the symmetric dealer has a kurtosis of 4 to 6: its
# standard deviation has a standard error of .35 to .45 %, so two runs differ by .5 to .6 %, and pass within twice that.
_BAND, _WIDE = 0.005, 0.0125
_TABLE: dict[tuple[float, Literal["inventory", "symmetric"]], tuple[float, float, float]] = {
    (0.1, "inventory"): (64.92, 6.56, 2.92),
    (0.1, "symmetric"): (68.24, 13.48, 8.38),
    (0.01, "inventory"): (68.38, 8.97, 5.24),
    (0.01, "symmetric"): (68.71, 13.76, 8.73),
    (1.0, "inventory"): (31.46, 4.83, 1.65),
    (1.0, "symmetric"): (43.73, 10.83, 5.18),
}
_GLFT = "Gueant, Lehalle and Fernandez-Tapia (2013); computed from the definition"
_GLFT_SETUP = "sigma = .3, A = .9, k = .3, gamma = .01, Q = 30"
_AC = "Almgren and Chriss (2000), discrete kappa"
_AC_SETUP = "X = 1e6, T = N = 5, sigma = .95, eps = .0625, gamma = 2.5e-7, eta = 2.5e-6"


@cache
def _runs(gamma: float, strategy: Literal["inventory", "symmetric"]) -> DealerRuns:
    return simulate_dealer(strategy, gamma=gamma)


def _dealer(gamma: float, strategy: Literal["inventory", "symmetric"], place: int) -> float:
    runs = _runs(gamma, strategy)
    return float((runs.profit.mean(), runs.profit.std(), runs.inventory.std())[place])


def _exact(q: int) -> float:
    return float(exact_distances(gamma=0.01, sigma=0.3, k=0.3, A=0.9, bound=30)[0][30 + q])


def _closed(q: int) -> float:
    return closed_form_distances(q, gamma=0.01, sigma=0.3, k=0.3, A=0.9)[0]


@cache
def _plan(risk_aversion: float) -> ExecutionPlan:
    market = {"sigma": 0.95, "fixed_cost": 0.0625, "permanent": 2.5e-7, "temporary": 2.5e-6}
    return almgren_chriss(1e6, horizon=5.0, steps=5, risk_aversion=risk_aversion, **market)


def _kappa(risk_aversion: float) -> float:
    return _plan(risk_aversion).kappa


def _cost(risk_aversion: float) -> float:
    return _plan(risk_aversion).cost


def _deviation(risk_aversion: float) -> float:
    return _plan(risk_aversion).deviation


def _held(step: int) -> float:
    return float(_plan(1e-6).holdings[step]) / 1000


ORACLES = (
    *(
        Oracle(
            f"Avellaneda-Stoikov, {strategy}, gamma {gamma:g}: {name}",
            _AS_SETUP,
            value,
            partial(_dealer, gamma, strategy, place),
            (_WIDE if strategy == "symmetric" and place == 1 else _BAND) * value + 0.005,
            _AS,
        )
        for (gamma, strategy), values in _TABLE.items()
        for place, (name, value) in enumerate(zip(("profit", "sd(profit)", "sd(q)"), values, strict=True))
    ),
    *(
        Oracle(f"GLFT bid distance, exact, q = {q}", _GLFT_SETUP, value, partial(_exact, q), 1e-4, _GLFT)
        for q, value in ((0, 3.3130), (5, 3.6535), (20, 4.6655))
    ),
    *(
        Oracle(f"GLFT bid distance, closed form, q = {q}", _GLFT_SETUP, value, partial(_closed, q), 1e-4, _GLFT)
        for q, value in ((0, 3.3129), (5, 3.6522), (20, 4.6702))
    ),
    *(
        Oracle(f"Almgren-Chriss {name}, lambda {aversion:g}", _AC_SETUP, value, partial(ours, aversion), width, _AC)
        for aversion, values in (
            (1e-6, (0.60708, 911227.0, 603431.0)),
            (2e-6, (0.84630, 1140715.0, 449368.0)),
            (0.0, (0.0, 662500.0, 1040673.0)),
        )
        for name, value, ours, width in zip(
            ("kappa", "E", "sd"), values, (_kappa, _cost, _deviation), (5e-6, 0.5, 0.5), strict=True
        )
    ),
    *(
        Oracle(
            f"Almgren-Chriss holdings (thousand) after {step}",
            f"{_AC_SETUP}, lambda = 1e-6",
            value,
            partial(_held, step),
            0.05,
            _AC,
        )
        for step, value in enumerate((1000.0, 542.0, 289.9, 147.9, 62.1, 0.0))
    ),
)
