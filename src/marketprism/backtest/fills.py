"""Executions of a run, with the mid price just before each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from marketprism.backtest._mids import Mids, replay_mids
from marketprism.backtest.engine import Engine

if TYPE_CHECKING:
    import polars as pl

__all__ = ["fills"]


def fills(engine: Engine) -> pl.DataFrame:
    """Return one row for each execution, in the order in which the accounts heard of them.

    Parameters
    ----------
    engine : Engine
        That has run.

    Returns
    -------
    polars.DataFrame
        ``market, lane, agent, id, side`` (1 bought, -1 sold), ``ts`` (heard, local clock, ns), ``exchange_ts``
        (happened, exchange clock, ns), ``tick``, ``price`` (quote currency), ``quantity`` (base units or contracts),
        ``maker``, ``fee`` (paid; negative is a rebate), ``mid`` (quote currency), ``mid_half_ticks`` (the same,
        exactly), ``reason`` (``liquidation``, or ``none``).

    Notes
    -----
    ``mid`` is the market's mid on the exchange's clock just before the event that filled: for a maker's fill before
    all events of that time, for a taker's when the order arrived. While a side is empty or the market is not observed
    it is the last mid known; before the first one, that one. Own orders do not move it.
    """
    return frame_of_fills(
        engine, [replay_mids(t, c, engine.mode) for t, c in zip(engine.tapes, engine.configs, strict=True)]
    )


def frame_of_fills(engine: Engine, mids: Sequence[Mids]) -> pl.DataFrame:
    """Return :func:`fills` with mids that are known already."""
    import polars as pl

    frame = engine.responses().filter(pl.col("executed") > 0)
    market, maker = frame["market"].to_numpy(), frame["maker"].to_numpy()
    ts, tick, side = frame["exchange_ts"].to_numpy(), frame["executed_tick"].to_numpy(), frame["side"].to_numpy()
    half_ticks = np.zeros(len(frame), np.int64)
    tick_size = engine.markets["tick_size"][market]
    fee = frame["fee"].to_numpy().copy()
    for index, of_market in enumerate(mids):
        mine = market == index
        half_ticks[mine & maker] = of_market.before(ts[mine & maker])
        half_ticks[mine & ~maker] = of_market.at(ts[mine & ~maker])
    if engine.mode == "compat":
        fee = values(engine, market, tick, frame["executed"].to_numpy())
        fee *= np.where(maker, engine.markets["maker_fee"][market], engine.markets["taker_fee"][market])
    return pl.DataFrame(
        {
            "market": market,
            "lane": frame["lane"],
            "agent": frame["agent"],
            "id": frame["id"],
            "side": side,
            "ts": frame["ts"],
            "exchange_ts": ts,
            "tick": tick,
            "price": tick * tick_size,
            "quantity": frame["executed"],
            "maker": maker,
            "fee": fee,
            "mid": 0.5 * half_ticks * tick_size,
            "mid_half_ticks": half_ticks,
            "reason": frame["reason"],
        }
    )


def values(engine: Engine, market: np.ndarray, tick: np.ndarray, quantity: np.ndarray) -> np.ndarray:
    """Return the value of executions: quote currency of linear contracts, base currency of inverse ones."""
    markets = engine.markets[market]
    price = tick * markets["tick_size"]
    with np.errstate(divide="ignore"):
        inverse: np.ndarray = markets["multiplier"] * quantity / price
    if engine.mode == "compat":
        linear: np.ndarray = markets["multiplier"] * price * quantity
    else:
        linear = markets["multiplier"] * quantity * price
    return np.where(markets["inverse"] != 0, inverse, linear)
