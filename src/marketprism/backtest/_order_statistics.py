"""What became of the orders of a run: how many filled, how long they waited, how much stood ahead of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from marketprism.backtest.engine import Engine

if TYPE_CHECKING:
    import polars as pl

__all__ = ["order_table", "queue_statistics"]

_NS = 1e9


def order_table(engine: Engine) -> pl.DataFrame:
    """Return one row for each order an account sent, liquidations left out.

    Columns ``market, lane, agent, id, side, tick, quantity`` (as sent), ``rested_ts`` (exchange time at which it joined
    a queue, null if it never did), ``filled_ts`` (of its first execution as maker), ``executed, cancelled, expired,
    rejected``.
    """
    import polars as pl

    log = engine.responses().filter(pl.col("reason") != "liquidation")
    status, maker, executed = pl.col("status"), pl.col("maker"), pl.col("executed")
    ended = pl.col("exchange_ts").filter(status == "expired").min().over("id")
    log = log.with_columns(ended=ended.fill_null(0))
    rests = (status == "new") | ((status == "partially_filled") & ~maker & (pl.col("exchange_ts") != pl.col("ended")))
    return (
        log.group_by("id", maintain_order=True)
        .agg(
            pl.col("market", "lane", "agent", "side").first(),
            pl.col("tick").sort_by("exchange_ts").filter(rests.sort_by("exchange_ts")).first(),
            pl.col("quantity").sort_by("exchange_ts").first(),
            pl.col("exchange_ts").filter(rests).min().alias("rested_ts"),
            pl.col("exchange_ts").filter((executed > 0) & maker).min().alias("filled_ts"),
            executed.sum(),
            (status == "cancelled").any().alias("cancelled"),
            (status == "expired").any().alias("expired"),
            ((status == "rejected") | ((pl.col("request") == "rejected") & (executed == 0))).any().alias("rejected"),
        )
        .with_columns(pl.col("tick").fill_null(0))
    )


def queue_statistics(orders: pl.DataFrame) -> dict[str, float]:
    """Return what became of the orders of one account.

    Parameters
    ----------
    orders : polars.DataFrame
        Rows of :func:`order_table` with the column ``ahead`` (base units; NaN for orders that never rested).

    Returns
    -------
    dict of str to float
        ``rested`` (orders that joined a queue), of those ``filled_share`` (at least in part, as maker) and
        ``cancelled_share`` (with something left), ``seconds_to_fill_mean`` and ``seconds_to_fill_median`` (from joining
        to the first execution, exchange clock), ``ahead_mean`` and ``ahead_filled_mean`` (market quantity at the level
        on joining it, of all and of those filled), ``expired``, ``rejected`` (orders), ``quantity_filled_share`` (of
        all quantity sent). NaN where there is nothing to count.
    """
    rested = orders.filter(orders["rested_ts"].is_not_null())
    filled = rested.filter(rested["filled_ts"].is_not_null())
    waited = (filled["filled_ts"] - filled["rested_ts"]).to_numpy() / _NS
    sent = float(orders["quantity"].sum())
    return {
        "rested": float(len(rested)),
        "filled_share": _share(len(filled), len(rested)),
        "cancelled_share": _share(int(rested["cancelled"].sum()), len(rested)),
        "seconds_to_fill_mean": float(waited.mean()) if len(waited) else math.nan,
        "seconds_to_fill_median": float(np.median(waited)) if len(waited) else math.nan,
        "ahead_mean": float(rested["ahead"].to_numpy().mean()) if len(rested) else math.nan,
        "ahead_filled_mean": float(filled["ahead"].to_numpy().mean()) if len(filled) else math.nan,
        "expired": float(orders["expired"].sum()),
        "rejected": float(orders["rejected"].sum()),
        "quantity_filled_share": float(orders["executed"].sum()) / sent if sent > 0 else math.nan,
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
