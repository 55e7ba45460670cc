"""The same factor columns by Polars (lazy) and by ClickHouse SQL, from the same rebuilt book.

Both get one row a message (not one a level row, as our kernels do), with the bucket number already on it, and depth
only where it changed. Neither has to follow gaps or sequences: the capture has none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from marketprism.book.views import BookViews, ViewStatus
from marketprism.core.kinds import EventKind, Flag
from marketprism.factors.marks import BEFORE

WINDOWS = (1, 5, 20)
SECONDS = {"1s": 1, "5s": 5, "10s": 10, "30s": 30, "1m": 60, "5m": 300}
NS = 1_000_000_000


def frames(rows: np.ndarray, views: BookViews, cuts: np.ndarray, buckets: np.ndarray) -> dict[str, pl.DataFrame]:
    """Return the tables ``messages``, ``depth`` and ``buckets``."""
    top = views.top
    clock = np.maximum.accumulate(rows["ts_event"])
    number = np.cumsum((cuts & BEFORE) != 0)
    last = (rows["flags"] & Flag.LAST) != 0
    messages = pl.DataFrame(
        {
            "t": clock[last],
            "k": number[last],
            **{name: top[name][last] for name in ("bid", "ask", "bid_quantity", "ask_quantity")},
            "valid": ((top["status"] & ViewStatus.VALID) != 0)[last],
            "trade": (rows["kind"] == EventKind.TRADE)[last],
            "price": rows["price"][last],
            "quantity": rows["quantity"][last],
            "side": rows["side"][last].astype(np.int64),
        }
    )
    changed = np.flatnonzero(np.diff(top["depth"], prepend=0) != 0)
    changed = changed[(top["status"][changed] & ViewStatus.DEPTH_VALID) != 0]
    at = top["depth"][changed]
    columns: dict[str, np.ndarray] = {"t": clock[changed], "k": number[changed]}
    for side, name in enumerate("ba"):
        for level in range(views.depth_price.shape[2]):
            columns[f"{name}p{level}"] = views.depth_price[at, side, level]
            columns[f"{name}q{level}"] = views.depth_quantity[at, side, level]
    ends = pl.DataFrame({"k": np.arange(len(buckets)), "start": buckets["ts_start"], "end": buckets["ts_end"]})
    return {"messages": messages, "depth": pl.DataFrame(columns), "buckets": ends}


def _flow(b: str, a: str, qb: str, qa: str) -> pl.Expr:
    """Return the order-flow imbalance of a quote change."""
    bid, ask, size_bid, size_ask = pl.col(b), pl.col(a), pl.col(qb), pl.col(qa)
    old_bid, old_ask = bid.shift(1), ask.shift(1)
    return (
        pl.when(bid >= old_bid).then(size_bid).otherwise(0.0)
        - pl.when(bid <= old_bid).then(size_bid.shift(1)).otherwise(0.0)
        - pl.when(ask <= old_ask).then(size_ask).otherwise(0.0)
        + pl.when(ask >= old_ask).then(size_ask.shift(1)).otherwise(0.0)
    )


def _pressure() -> pl.Expr:
    bid, ask, qb, qa = (pl.col(name) for name in ("bid", "ask", "bid_quantity", "ask_quantity"))
    change_bid, change_ask = qb - qb.shift(1), qa - qa.shift(1)
    of_bid = pl.when(bid > bid.shift(1)).then(qb).when(bid < bid.shift(1)).then(-change_bid).otherwise(change_bid)
    of_ask = pl.when(ask < ask.shift(1)).then(qa).when(ask > ask.shift(1)).then(-change_ask).otherwise(change_ask)
    return of_bid - of_ask


def _integral(value: str, name: str) -> pl.Expr:
    return (pl.col(value).shift(1) * pl.col("t").diff()).fill_null(0.0).cum_sum().alias(name)


def _asof(left: pl.LazyFrame, right: pl.LazyFrame, on: str, *, exact: bool = False) -> pl.LazyFrame:
    return left.join_asof(
        right, left_on=on, right_on="t", strategy="backward", allow_exact_matches=exact, check_sortedness=False
    )


def _means(buckets: pl.LazyFrame, states: pl.LazyFrame, values: dict[str, str], out: dict[str, str]) -> pl.LazyFrame:
    """Return time-weighted means over the buckets from running integrals."""
    kept = states.select("t", *values, *values.values())
    first = _asof(buckets.select("k", "start"), kept.with_columns(t0="t"), "start")
    last = _asof(buckets.select("k", "start", "end"), kept.with_columns(t1="t"), "end")
    both = last.join(first, on="k", suffix="_0", maintain_order="left")
    result = {}
    for value, integral in values.items():
        until_end = pl.col(integral) + pl.col(value) * (pl.col("end") - pl.col("t1"))
        until_start = pl.col(f"{integral}_0") + pl.col(f"{value}_0") * (pl.col("start") - pl.col("t0"))
        result[out[value]] = (until_end - until_start) / (pl.col("end") - pl.col("start"))
    return both.select("k", **result)


def _windows(frame: pl.LazyFrame, sums: dict[str, pl.Expr]) -> pl.LazyFrame:
    """Return ``name[_n_buckets]`` for expressions over ``sum(column)``; columns are per-bucket sums."""
    columns = [name for name in frame.collect_schema().names() if name not in {"k", "start", "end"}]
    rolled = [frame.select("k")]
    for n in WINDOWS:
        suffix = "" if n == 1 else f"_{n}_buckets"
        window = frame.select(pl.col(column).rolling_sum(n) if n > 1 else pl.col(column) for column in columns)
        rolled.append(window.select(expr.alias(name + suffix) for name, expr in sums.items()))
    return pl.concat(rolled, how="horizontal")


def polars_level1(tables: dict[str, pl.DataFrame]) -> pl.LazyFrame:
    """Level 1, order-flow imbalance and returns."""
    messages, buckets = tables["messages"].lazy(), tables["buckets"].lazy()
    quote = ("bid", "ask", "bid_quantity", "ask_quantity")
    changed = pl.any_horizontal(pl.col(name) != pl.col(name).shift(1) for name in quote)
    quotes = (
        messages.filter("valid")
        .filter(changed.fill_null(value=True))
        .select(
            "t", "k", *quote,
            mid2=pl.col("bid") + pl.col("ask"),
            spread=(pl.col("ask") - pl.col("bid")).cast(pl.Float64),
            imbalance=(pl.col("bid_quantity") - pl.col("ask_quantity"))
            / (pl.col("bid_quantity") + pl.col("ask_quantity")),
            flow=_flow(*quote).fill_null(0.0),
            pressure=_pressure().fill_null(0.0),
        )
        .with_columns(square=((pl.col("mid2") / pl.col("mid2").shift(1)).log() ** 2).fill_null(0.0))
        .with_columns(
            _integral("spread", "spread_time"), _integral("imbalance", "imbalance_time"),
            variance=pl.col("square").cum_sum(), last_100=pl.col("flow").rolling_sum(100),
        )
    )  # fmt: skip
    close = _asof(buckets, quotes.drop("k", "flow", "pressure", "square"), "end")
    sums = quotes.group_by("k", maintain_order=True).agg(pl.col("flow", "pressure", "square").sum())
    flows = buckets.join(sums, on="k", how="left", maintain_order="left").with_columns(pl.all().fill_null(0.0))
    spread, imbalance, mid2 = pl.col("spread"), pl.col("imbalance"), pl.col("mid2")
    parts = [
        close.select(
            "k", "mid2", "variance", spread_ticks=spread, spread_bps=2e4 * spread / mid2, relative_spread=spread / mid2,
            queue_imbalance=imbalance, microprice=0.5 * (mid2 + spread * imbalance) * 0.1,
            microprice_deviation=imbalance / 2, micro_mid_spread=spread * imbalance / 2, ofi_100_events="last_100",
            mid_return=(mid2 / mid2.shift(1)).log(), mid_return_5_buckets=(mid2 / mid2.shift(5)).log(),
            mid_return_20_buckets=(mid2 / mid2.shift(20)).log(),
        ),
        _means(buckets, quotes, {"spread": "spread_time", "imbalance": "imbalance_time"},
               {"spread": "spread_ticks_mean", "imbalance": "queue_imbalance_mean"}).drop("k"),
        _windows(flows.select("k", "flow", "pressure", "square"), {
            "ofi": pl.col("flow"), "book_pressure": pl.col("pressure"), "realised_vol": pl.col("square").sqrt(),
        }).drop("k"),
    ]  # fmt: skip
    past = quotes.select("t", past="mid2", past_variance="variance")
    for label, seconds in SECONDS.items():
        at = buckets.select("k", at=pl.col("end") - seconds * NS)
        parts.append(
            _asof(at, past, "at", exact=True).select(
                pl.col("past").alias(f"past_{label}"), pl.col("past_variance").alias(f"past_variance_{label}")
            )
        )
    return pl.concat(parts, how="horizontal").with_columns(
        *((mid2 / pl.col(f"past_{label}")).log().alias(f"momentum_{label}") for label in SECONDS),
        *((pl.col("variance") - pl.col(f"past_variance_{w}")).sqrt().alias(f"realised_vol_{w}") for w in ("1m", "5m")),
    )


def polars_flow(tables: dict[str, pl.DataFrame], close: pl.LazyFrame) -> pl.LazyFrame:
    """Trades; ``close`` is what :func:`polars_level1` gives."""
    q, s, price = pl.col("quantity"), pl.col("side"), pl.col("price")
    crossing = ((s > 0) & (price >= pl.col("ask"))) | ((s < 0) & (price <= pl.col("bid")))
    trades = tables["messages"].lazy().filter("trade")
    sums = (
        trades.with_columns(pair=s * s.shift(1), wait=pl.col("t").diff())
        .group_by("k", maintain_order=True)
        .agg(
            volume=q.sum(), signed=(q * s).sum(), known=(q * s.abs()).sum(), count=pl.len().cast(pl.Float64),
            cost=(price * q).sum(), pairs=pl.col("pair").slice(1).sum().cast(pl.Float64),
            first_pair=pl.col("pair").first().fill_null(0).cast(pl.Float64),
            wait=pl.col("wait").sum().cast(pl.Float64), waits=pl.col("wait").count().cast(pl.Float64),
            quoted=(q * s.abs()).filter(pl.col("valid")).sum(),
            crossing=(q * s.abs()).filter(crossing & pl.col("valid")).sum(),
        )
    )  # fmt: skip
    buckets = tables["buckets"].lazy()
    flows = buckets.join(sums, on="k", how="left", maintain_order="left").with_columns(pl.all().fill_null(0.0))
    lasted = (pl.col("end") - pl.col("start")).cast(pl.Float64)
    sums_of = flows.select("k", pl.exclude("k", "start", "end"), lasted=lasted)
    rolled = _windows(sums_of, {
        "traded_volume": pl.col("volume"), "signed_volume": pl.col("signed"),
        "flow_imbalance": pl.col("signed") / pl.col("known"), "trade_count": pl.col("count"),
        "mean_trade_size": pl.col("volume") / pl.col("count"),
        "inter_trade_time": pl.col("wait") / pl.col("waits") / NS,
        "aggressive_share": pl.col("crossing") / pl.col("quoted"),
        "trade_intensity": pl.col("count") / pl.col("lasted") * NS,
        "vwap": pl.col("cost") / pl.col("volume"),
        "pairs": pl.col("pairs") + pl.col("first_pair"),
    })  # fmt: skip
    joined = pl.concat([rolled, close.select("mid2", "spread_ticks"), flows.select("first_pair")], how="horizontal")
    result = []
    for n in WINDOWS:
        suffix = "" if n == 1 else f"_{n}_buckets"
        before = pl.col("mid2").shift(n) / 2
        result += [
            ((pl.col(f"vwap{suffix}") - before) / pl.col("spread_ticks")).alias(f"vwap_deviation{suffix}"),
            ((pl.col(f"pairs{suffix}") - pl.col("first_pair").shift(n - 1)) / (pl.col(f"trade_count{suffix}") - 1))
            .alias(f"sign_persistence{suffix}"),
        ]  # fmt: skip
    return joined.with_columns(result)


def polars_depth(tables: dict[str, pl.DataFrame]) -> pl.LazyFrame:
    """Depth at the close, its mean, and multi-level order-flow imbalance."""
    depth, buckets = tables["depth"].lazy(), tables["buckets"].lazy()

    def total(side: str, n: int) -> pl.Expr:
        return pl.sum_horizontal(f"{side}q{level}" for level in range(n))

    levels = (1, 2, 3, 4, 5, 10)
    states = depth.with_columns(
        **{f"imbalance_{n}": (total("b", n) - total("a", n)) / (total("b", n) + total("a", n)) for n in (5, 10)},
        **{f"flow_{n}": _flow(*(f"{c}{n - 1}" for c in ("bp", "ap", "bq", "aq"))).fill_null(0.0) for n in levels},
    ).with_columns(_integral("imbalance_5", "time_5"), _integral("imbalance_10", "time_10"))
    flows = states.group_by("k", maintain_order=True).agg(pl.col(f"flow_{n}").sum() for n in levels)
    close = _asof(buckets, states.drop("k"), "end")
    twice_mid = pl.col("bp0") + pl.col("ap0")

    def sums(side: str, n: int) -> dict[str, pl.Expr]:
        q = [pl.col(f"{side}q{level}") for level in range(n)]
        d = [0.5 * (2 * pl.col(f"{side}p{level}") - twice_mid).abs() for level in range(n)]
        deep = [pl.sum_horizontal(q[: level + 1]) for level in range(n)]
        return {
            "all": total(side, n),
            "near": pl.sum_horizontal(q[level] * float(np.exp(-0.5 * level)) for level in range(n)),
            "close": pl.sum_horizontal(q[level] / d[level] for level in range(n)),
            "slope": pl.sum_horizontal(d[level] * deep[level] for level in range(n))
            / pl.sum_horizontal(x * x for x in d),
            "centroid": pl.sum_horizontal(q[level] * d[level] for level in range(n)) / total(side, n),
        }

    columns: dict[str, pl.Expr] = {}
    for n in (5, 10):
        bid, ask = sums("b", n), sums("a", n)
        columns[f"depth_imbalance_{n}"] = pl.col(f"imbalance_{n}")
        for name, key in (("exponential", "near"), ("distance", "close")):
            columns[f"depth_imbalance_{n}_{name}"] = (bid[key] - ask[key]) / (bid[key] + ask[key])
        for side, of in (("bid", bid), ("ask", ask)):
            columns[f"depth_{side}_{n}"], columns[f"depth_slope_{side}_{n}"] = of["all"], of["slope"]
            columns[f"book_centroid_{side}_{n}"] = of["centroid"]
        columns[f"depth_log_ratio_{n}"] = (bid["all"] / ask["all"]).log()
    values = {"imbalance_5": "time_5", "imbalance_10": "time_10"}
    names = {"imbalance_5": "depth_imbalance_5_mean", "imbalance_10": "depth_imbalance_10_mean"}
    joined = buckets.join(flows, on="k", how="left", maintain_order="left")
    return pl.concat(
        [
            close.select("k", **columns),
            _means(buckets, states, values, names).drop("k"),
            joined.select(pl.col(f"flow_{n}").fill_null(0.0).alias(f"ofi_level_{n}") for n in levels),
        ],
        how="horizontal",
    )


def polars_columns(tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Return every column that our engine is compared on."""
    level1 = polars_level1(tables)
    plans = [level1, polars_flow(tables, level1), polars_depth(tables)]
    results = pl.collect_all(plans)
    frame = results[0]
    for other in results[1:]:
        frame = frame.hstack([c for c in other.get_columns() if c.name not in frame.columns])
    return frame


CLICKHOUSE_QUERY = """
WITH quotes AS (
    SELECT k, t, bid, ask, bid_quantity qb, ask_quantity qa,
        lagInFrame(bid, 1, bid) OVER w pb, lagInFrame(ask, 1, ask) OVER w pa,
        lagInFrame(bid_quantity, 1, bid_quantity) OVER w pqb, lagInFrame(ask_quantity, 1, ask_quantity) OVER w pqa
    FROM messages WHERE valid WINDOW w AS (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
), by_quotes AS (
    SELECT k, argMax(ask - bid, t) spread_ticks, argMax((qb - qa) / (qb + qa), t) queue_imbalance,
        argMax((qb * ask + qa * bid) / (qb + qa), t) microprice,
        sum((bid >= pb) * qb - (bid <= pb) * pqb - (ask <= pa) * qa + (ask >= pa) * pqa) ofi,
        sum(multiIf(bid > pb, qb, bid < pb, pqb - qb, qb - pqb)
            - multiIf(ask < pa, qa, ask > pa, pqa - qa, qa - pqa)) book_pressure,
        sqrt(sum(pow(log((bid + ask) / (pb + pa)), 2))) realised_vol, argMax(bid + ask, t) mid2
    FROM quotes GROUP BY k
), by_trades AS (
    SELECT k, sum(quantity) traded_volume, sum(quantity * side) signed_volume,
        sum(quantity * side) / sum(quantity * abs(side)) flow_imbalance, count() trade_count,
        avg(quantity) mean_trade_size, sum(price * quantity) / sum(quantity) vwap
    FROM messages WHERE trade GROUP BY k
)
SELECT *, log(mid2 / lagInFrame(mid2, 1, mid2) OVER (ORDER BY k ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)) mid_return
FROM by_quotes LEFT JOIN by_trades USING k ORDER BY k SETTINGS max_threads = 1
"""


class ClickHouse:
    """The level-1 and trade columns by SQL over a table in memory."""

    COLUMNS = (
        *("spread_ticks", "queue_imbalance", "ofi", "book_pressure", "realised_vol"),
        *("traded_volume", "signed_volume", "flow_imbalance", "trade_count", "mean_trade_size", "mid_return"),
    )

    def __init__(self, messages: pl.DataFrame) -> None:
        from chdb import session

        self._table: Any = messages.with_row_index("i").to_arrow()
        self._session = session.Session()
        table = self._table  # noqa: F841 - read by its name
        self._session.query("CREATE TABLE messages ENGINE = Memory AS SELECT * FROM Python(table)")

    def run(self) -> Any:
        """Return the result in Arrow."""
        return self._session.query(CLICKHOUSE_QUERY, "ArrowTable")
