"""A user's own latency, queue and fee models, as functions or recordings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from marketprism.backtest.latency import RecordedLatency

__all__ = ["MarketModels"]


@dataclass(frozen=True)
class MarketModels:
    """What replaces the models that ``MarketConfig`` names, strict mode only.

    Functions are plain Python or njit; each is compiled once and called by address, which costs an indirect call.

    Parameters
    ----------
    latency : RecordedLatency or callable, optional
        ``latency(now, request, number, uniform) -> int``: ns. ``request`` is 1 for a new order, 4 for a cancellation,
        6 for a modification, 0 for a response; ``number`` counts the messages of the account that way; ``uniform`` in
        (0, 1) comes from the market's seed. A negative entry latency refuses the request.
    queue : callable, optional
        ``queue(front, before, after, traded, exponent) -> float``: the market's quantity ahead of an order, once the
        level went from ``before`` to ``after``; ``traded`` is what trades took since its last update, base units.
    fee : callable, optional
        ``fee(value, quantity, price, maker, traded_value) -> float``: what an execution pays, negative for a rebate.

    Examples
    --------
    >>> MarketModels(fee=lambda value, quantity, price, maker, traded: 0.25 * quantity).latency is None
    True
    """

    latency: RecordedLatency | Callable[[int, int, int, float], int] | None = None
    queue: Callable[[float, float, float, float, float], float] | None = None
    fee: Callable[[float, float, float, int, float], float] | None = None
