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
WITH changes AS (
    SELECT i, k, t, bid, ask, bid_quantity qb, ask_quantity qa,
        lagInFrame(bid) OVER w pb, lagInFrame(ask) OVER w pa,
        lagInFrame(bid_quantity) OVER w pqb, lagInFrame(ask_quantity) OVER w pqa
    FROM messages WHERE valid WINDOW w AS (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
), quotes AS (
    SELECT *, ask - bid spread, (qb - qa) / (qb + qa) imbalance, bid + ask mid2,
        if(pb = 0, 0, (bid >= pb) * qb - (bid <= pb) * pqb - (ask <= pa) * qa + (ask >= pa) * pqa) flow,
        if(pb = 0, 0, multiIf(bid > pb, qb, bid < pb, pqb - qb, qb - pqb)
            - multiIf(ask < pa, qa, ask > pa, pqa - qa, qa - pqa)) pressure,
        if(pb = 0, 0, pow(log((bid + ask) / (pb + pa)), 2)) square
    FROM changes WHERE (bid, ask, qb, qa) != (pb, pa, pqb, pqa)
), states AS (
    SELECT *, sum(square) OVER w variance,
        sum(flow) OVER (ORDER BY i ROWS BETWEEN 99 PRECEDING AND CURRENT ROW) last_100,
        t - lagInFrame(t, 1, t) OVER w lasted, lagInFrame(spread) OVER w old_spread,
        lagInFrame(imbalance) OVER w old_imbalance
    FROM quotes WINDOW w AS (ORDER BY i ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
), held AS (
    SELECT *, sum(old_spread * lasted) OVER w spread_time, sum(old_imbalance * lasted) OVER w imbalance_time
    FROM states WINDOW w AS (ORDER BY i ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
), last_states AS (
    SELECT k, argMax((t, spread, imbalance, mid2, variance, last_100, spread_time, imbalance_time), i) s,
        sum(flow) flow, sum(pressure) pressure, sum(square) square
    FROM held GROUP BY k
), trades AS (
    SELECT *, side * lagInFrame(side) OVER w pair, t - lagInFrame(t, 1, t) OVER w wait
    FROM messages WHERE trade WINDOW w AS (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
), by_trades AS (
    SELECT k, sum(quantity) volume, sum(quantity * side) signed, sum(quantity * abs(side)) known, count() n,
        sum(price * quantity) cost, sum(pair) pairs, argMin(pair, i) first_pair, sum(wait) waited,
        sumIf(quantity, valid) quoted,
        sumIf(quantity, valid AND ((side > 0 AND price >= ask) OR (side < 0 AND price <= bid))) crossing
    FROM trades GROUP BY k
), closes AS (
    SELECT b.k k, b.start start, b.end end, s.2 spread_ticks, s.3 queue_imbalance, s.4 mid2, s.5 variance,
        s.6 ofi_100_events, s.7 + s.2 * (end - s.1) spread_until, s.8 + s.3 * (end - s.1) imbalance_until,
        l.flow flow, l.pressure pressure, l.square square, volume, signed, known, n, cost, pairs, first_pair, waited,
        quoted, crossing
    FROM buckets b LEFT JOIN last_states l ON b.k = l.k LEFT JOIN by_trades y ON b.k = y.k
)
SELECT k, spread_ticks, 2e4 * spread_ticks / mid2 spread_bps, spread_ticks / mid2 relative_spread, queue_imbalance,
    (mid2 + spread_ticks * queue_imbalance) / 20 microprice, queue_imbalance / 2 microprice_deviation,
    spread_ticks * queue_imbalance / 2 micro_mid_spread, ofi_100_events,
    (spread_until - lagInFrame(spread_until) OVER w20) / (end - start) spread_ticks_mean,
    (imbalance_until - lagInFrame(imbalance_until) OVER w20) / (end - start) queue_imbalance_mean,
    WINDOWED
    MOMENTUM
FROM closes ASOFS
WINDOW w1 AS (ORDER BY closes.k ROWS BETWEEN CURRENT ROW AND CURRENT ROW),
    w5 AS (ORDER BY closes.k ROWS BETWEEN 4 PRECEDING AND CURRENT ROW),
    w20 AS (ORDER BY closes.k ROWS BETWEEN 19 PRECEDING AND CURRENT ROW),
    b1 AS (ORDER BY closes.k ROWS BETWEEN 1 PRECEDING AND CURRENT ROW),
    b5 AS (ORDER BY closes.k ROWS BETWEEN 5 PRECEDING AND CURRENT ROW),
    b20 AS (ORDER BY closes.k ROWS BETWEEN 20 PRECEDING AND CURRENT ROW)
ORDER BY k SETTINGS max_threads = 1
"""
_BY_WINDOW = (
    "log(mid2 / lagInFrame(mid2, {n}) OVER b{n}) mid_return{s}, sum(flow) OVER w{n} ofi{s}, "
    "sum(pressure) OVER w{n} book_pressure{s}, sqrt(sum(square) OVER w{n}) realised_vol{s}, "
    "sum(volume) OVER w{n} traded_volume{s}, sum(signed) OVER w{n} signed_volume{s}, "
    "sum(signed) OVER w{n} / sum(known) OVER w{n} flow_imbalance{s}, sum(n) OVER w{n} trade_count{s}, "
    "sum(volume) OVER w{n} / sum(n) OVER w{n} mean_trade_size{s}, "
    "sum(waited) OVER w{n} / sum(n) OVER w{n} / 1e9 inter_trade_time{s}, "
    "sum(crossing) OVER w{n} / sum(quoted) OVER w{n} aggressive_share{s}, "
    "sum(n) OVER w{n} / sum(end - start) OVER w{n} * 1e9 trade_intensity{s}, "
    "(sum(pairs) OVER w{n} - first_value(first_pair) OVER w{n}) / (sum(n) OVER w{n} - 1) sign_persistence{s}, "
    "(sum(cost) OVER w{n} / sum(volume) OVER w{n} - lagInFrame(mid2, {n}) OVER b{n} / 2) / spread_ticks "
    "vwap_deviation{s},"
)


def clickhouse_query() -> str:
    """Return the SQL of all level-1, flow and volatility columns."""
    windowed = " ".join(_BY_WINDOW.format(n=n, s="" if n == 1 else f"_{n}_buckets") for n in WINDOWS)
    momentum, joins = [], []
    for label, seconds in SECONDS.items():
        momentum.append(f"log(mid2 / past_mid_{label}) momentum_{label}")
        if label.endswith("m"):
            momentum.append(f"sqrt(variance - past_variance_{label}) realised_vol_{label}")
        # A WITH clause is evaluated wherever it is named: the mids alone come from the table itself.
        past = (
            f"mid2 past_mid_{label}, variance past_variance_{label} FROM states"
            if label.endswith("m")
            else f"bid + ask past_mid_{label} FROM messages WHERE valid"
        )
        joins.append(
            f"ASOF LEFT JOIN (SELECT 1 one_{label}, t + {seconds * NS} at_{label}, {past}) m{label} "
            f"ON one_{label} = closes.one AND closes.end >= at_{label}"
        )
    query = CLICKHOUSE_QUERY.replace("WINDOWED", windowed).replace("MOMENTUM", ", ".join(momentum))
    return query.replace("ASOFS", " ".join(joins)).replace("SELECT b.k k,", "SELECT 1 one, b.k k,")


class ClickHouse:
    """The level-1, flow and volatility columns by SQL over tables in memory."""

    def __init__(self, tables: dict[str, pl.DataFrame]) -> None:
        from chdb import session

        self._session: Any = session.Session()
        self._query = clickhouse_query()
        for name in ("messages", "buckets"):
            table = tables[name].with_row_index("i").to_arrow()  # noqa: F841 - the query reads it by its name
            self._session.query(f"CREATE TABLE {name} ENGINE = Memory AS SELECT * FROM Python(table)")

    def run(self) -> Any:
        """Return the result in Arrow."""
        return self._session.query(self._query, "ArrowTable")
