"""Calibrate any generator on any market."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from marketprism.core.errors import ConfigError, did_you_mean
from marketprism.simulate.calibrate_agents import calibrate_agents
from marketprism.simulate.calibrate_hawkes import calibrate_hawkes
from marketprism.simulate.calibrate_queues import (
    Calibration,
    calibrate_cont_de_larrard,
    calibrate_cst,
    calibrate_imbalance_reactive,
)
from marketprism.simulate.calibrate_reactive import calibrate_queue_reactive
from marketprism.simulate.flow import OrderFlow

__all__ = ["CALIBRATIONS", "calibrate"]

CALIBRATIONS: Mapping[str, Callable[..., Calibration]] = {
    "cst": calibrate_cst,
    "cont_de_larrard": calibrate_cont_de_larrard,
    "queue_reactive": calibrate_queue_reactive,
    "imbalance_reactive": calibrate_imbalance_reactive,
    "hawkes": calibrate_hawkes,
    "agents": calibrate_agents,
}
"""How each generator is calibrated, by name."""


def calibrate(model: str, flow: OrderFlow, *, seed: int = 1) -> Calibration:
    """Calibrate a generator on the order flow of a market.

    Parameters
    ----------
    model : str
        One of :data:`CALIBRATIONS`.
    flow : OrderFlow
        A market; see :func:`~marketprism.simulate.flow.order_flow`.
    seed : int, default 1
        Seed of the calibrated market.

    Returns
    -------
    Calibration
        Its ``config`` opens with :func:`~marketprism.simulate.open_market`, and as ``sim:?model=..&config=..``.

    Raises
    ------
    ConfigError
        Unknown name.
    DataError
        The market lacks what the model needs.

    Examples
    --------
    >>> from marketprism.simulate import market_config, open_market, order_flow, record_market
    >>> truth = open_market("cst", market_config("cst", {"duration_s": 600.0}))
    >>> found = calibrate("cst", order_flow(record_market(truth)))
    >>> abs(found.config.rates.market - truth.config.rates.market) < 0.15
    True
    """
    if model not in CALIBRATIONS:
        raise ConfigError(f"model was {model!r}", hint=did_you_mean(model, CALIBRATIONS))
    return CALIBRATIONS[model](flow, seed=seed)
