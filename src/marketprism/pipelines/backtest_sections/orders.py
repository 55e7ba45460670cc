"""What became of the orders."""

from __future__ import annotations

import math

import polars as pl

from marketprism.pipelines.backtest_replay import Replay
from marketprism.pipelines.backtest_sections.words import seconds_text
from marketprism.pipelines.texts import number, plural, share
from marketprism.report.document import Facts, Item, Note, Section, Table

__all__ = ["orders_section"]

_WHY = {
    "would_take": "a post-only order would have taken",
    "not_all": "a fill-or-kill order could not be filled whole",
    "no_liquidity": "nobody to trade with",
    "self_trade": "it would have traded with an own order",
    "unknown_order": "the order was done already, or not there yet",
    "off_grid": "the price is no multiple of the tick",
    "outside_ladder": "the price is off the recorded ladder",
    "not_lots": "the quantity is no multiple of the lot",
    "too_small": "below the least quantity",
    "rate_limit": "the venue's rate limit",
    "gap": "the market was not observed",
    "end_of_data": "the data were over",
    "liquidation": "liquidated",
    "bankrupt": "the account was bankrupt",
    "reduced": "a modification left nothing",
    "position_limit": "own limit on the position",
    "leverage_limit": "own limit on leverage",
    "trade_loss": "own limit on the loss of a trade",
    "day_loss": "own limit on the loss of a day",
    "order_rate": "own limit on the order rate",
    "volatility": "scaled by volatility, the size was below the least",
    "kill_switch": "the kill switch",
}
_QUEUE = {
    "rested": "orders that joined a queue",
    "filled_share": "of these executed at least in part",
    "cancelled_share": "of these cancelled",
    "quantity_filled_share": "share of their quantity executed",
    "seconds_to_fill_mean": "time in the queue to the first execution, mean",
    "seconds_to_fill_median": "the same, median",
    "ahead_mean": "quantity ahead when joining, mean",
    "ahead_filled_mean": "the same, of orders that were executed",
}


def orders_section(replay: Replay) -> Section:
    """Lay out fill rates, queue statistics and refusals of the best lane."""
    account = replay.accounts[replay.best]
    intro = (
        "Quotes must stand in the queue long enough to be filled, and be gone before the price runs over them. It "
        "would be bad if requests were refused, or if thousands of messages were sent for each trade: venues charge "
        "or throttle those who do."
    )
    orders = replay.orders.filter((pl.col("lane") == account.lane) & (pl.col("agent") == account.agent))
    counts = dict(orders.group_by("status").len().sort("status").iter_rows())
    facts = Facts(
        [
            ("orders sent", f"{account.orders:,}"),
            ("requests sent, changes and cancellations included", number(account.queue.get("requests", math.nan), 0)),
            ("executions", f"{account.trades:,}"),
            ("orders executed at least in part (fill rate)", share(account.fill_rate)),
            ("requests for each execution", number(account.order_to_trade, 1)),
            *(_queue_fact(name, value) for name, value in account.queue.items() if name in _QUEUE),
        ],
        "Fills and queues",
    )
    answers = Table(
        ["answer", "heard"],
        [[status.replace("_", " "), f"{count:,}"] for status, count in counts.items()],
        "Answers of the exchange",
        "An execution in several parts is heard several times.",
        text_columns=["answer"],
    )
    items: list[Item] = [facts, answers]
    refused = orders.filter((pl.col("reason") != "none") & pl.col("status").is_in(["rejected", "expired", "cancelled"]))
    if refused.height:
        reasons = (
            refused.group_by("reason", "status")
            .len()
            .sort(["len", "reason", "status"], descending=[True, False, False])
        )
        rows = [[_WHY.get(why, why.replace("_", " ")), status, f"{n:,}"] for why, status, n in reasons.iter_rows()]
        items.append(Table(["why", "answer", "times"], rows, "Refused, expired or ended for a reason",
                           text_columns=["why", "answer"]))  # fmt: skip
        lost = orders.filter(pl.col("status") == "rejected").height
        sent = max(account.orders, int(account.queue.get("requests", 0)))
        if lost > 0.05 * sent:
            said = f"{plural(lost, 'request')} of {sent:,} were refused: the strategy does not do what it means to."
            items.insert(0, Note(said, "warn"))
    return Section("orders", "Orders and queues", intro, items)


def _queue_fact(name: str, value: float) -> tuple[str, str]:
    if name.startswith("seconds"):
        return _QUEUE[name], seconds_text(value)
    if name.endswith("share"):
        return _QUEUE[name], share(value)
    return _QUEUE[name], number(value, 3 if name.startswith("ahead") else 0)
