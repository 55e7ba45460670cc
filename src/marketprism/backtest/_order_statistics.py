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

    Columns ``market, lane, agent, id, side, quantity`` (as sent), ``tick`` (where it first rested, else 0),
    ``rested_ts`` (exchange time at which it joined a queue, null if it never did), ``filled_ts`` (of its first
    execution as maker), ``executed, cancelled, expired, rejected``, ``too_late`` (cancellations and modifications
    that came when the order was gone).
    """
    import polars as pl

    log = engine.responses().filter(pl.col("reason") != "liquidation").sort("exchange_ts", maintain_order=True)
    status, request, ts = pl.col("status"), pl.col("request"), pl.col("exchange_ts")
    made = pl.col("maker") & (pl.col("executed") > 0)
    took = (status == "partially_filled") & ~pl.col("maker")
    orders = log.group_by("id", maintain_order=True).agg(
        pl.col("market", "lane", "agent", "side", "quantity").first(),
        pl.col("tick").filter((status == "new") | took).first().fill_null(0),
        ts.filter(status == "new").first().alias("acknowledged_ts"),
        ts.filter(took).first().alias("took_ts"),
        ts.filter(status == "expired").first().alias("expired_ts"),
        ts.filter(made).first().alias("filled_ts"),
        pl.col("executed").sum(),
        (status == "cancelled").any().alias("cancelled"),
        ((status == "rejected") | ((request == "rejected") & (status == "none"))).any().alias("rejected"),
        ((request == "rejected") & (status != "none")).sum().alias("too_late"),
    )
    waits = pl.when(pl.col("took_ts").ne_missing(pl.col("expired_ts"))).then(pl.col("took_ts"))
    return orders.with_columns(
        pl.min_horizontal("acknowledged_ts", waits).alias("rested_ts"),
        pl.col("expired_ts").is_not_null().alias("expired"),
    ).drop("acknowledged_ts", "took_ts", "expired_ts")


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
        on joining it, of all and of those filled), ``expired`` and ``rejected`` (orders), ``too_late`` (cancellations
        and modifications that came when the order was gone), ``quantity_filled_share`` (of all quantity sent). NaN
        where there is nothing to count.
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
        "too_late": float(orders["too_late"].sum()),
        "quantity_filled_share": float(orders["executed"].sum()) / sent if sent > 0 else math.nan,
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
