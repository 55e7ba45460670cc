"""Arrays of the engine: records for events, orders, messages, markets, accounts and the clock."""

from __future__ import annotations

import numpy as np

__all__ = [
    "ACCOUNT_DTYPE",
    "CLOCK_DTYPE",
    "ENGINE_DTYPE",
    "EVENT_DTYPE",
    "LOG_DTYPE",
    "MARKET_DTYPE",
    "MESSAGE_DTYPE",
    "NEVER",
    "NO_ASK",
    "NO_BID",
    "ORDER_DTYPE",
]

NEVER = np.iinfo(np.int64).max
"""A time that does not come."""
NO_BID = np.iinfo(np.int64).min
"""Best bid of an empty side, ticks."""
NO_ASK = np.iinfo(np.int64).max
"""Best ask of an empty side, ticks."""

ORDER_DTYPE = np.dtype(
    [
        ("front", np.float64),  # market quantity ahead in the queue
        ("traded", np.float64),  # traded at the level since its last depth update
        ("leaves", np.float64),  # at the exchange
        ("shelf", np.int64),  # tick it rests at: the local side learns of a change later
        ("tick", np.int64),  # local view
        ("next", np.int32),  # queue at the exchange
        ("previous", np.int32),
        ("local_next", np.int32),  # orders of the account
        ("account", np.int32),
        ("side", np.int8),
        ("kind", np.uint8),
        ("time_in_force", np.uint8),
        ("resting", np.uint8),  # in a queue at the exchange
        ("status", np.uint8),  # local view
        ("request", np.uint8),  # local view
        ("maker", np.uint8),  # of the last execution known locally
        ("filled", np.uint8),  # "executed" and "executed_tick" are not zero
        ("shelf_quantity", np.float64),  # quantity as the exchange has it
        ("quantity", np.float64),  # local view
        ("known_leaves", np.float64),  # local view
        ("sent_ts", np.int64),  # local clock of the last request
        ("known_ts", np.int64),  # exchange time of what the local side knows
        ("id", np.int64),
        ("local_previous", np.int32),
        ("market", np.int32),
        ("references", np.int32),  # local list, exchange queue, messages in flight
        ("executed", np.float64),  # last execution known locally
        ("executed_tick", np.int64),
        ("spare", np.int64, (6,)),
    ],
    align=True,
)
"""An order in three cache lines: what looks at all orders needs in the first, messages in the second, fills behind."""

MESSAGE_DTYPE = np.dtype(
    [
        ("ts", np.int64),
        ("exchange_ts", np.int64),
        ("sent_ts", np.int64),
        ("tick", np.int64),
        ("quantity", np.float64),
        ("leaves", np.float64),
        ("order", np.int32),
        ("next", np.int32),
        ("status", np.uint8),
        ("request", np.uint8),
        ("maker", np.uint8),
        ("reason", np.uint8),
        ("fill", np.uint8),  # the fields below hold: the status is FILLED or PARTIALLY_FILLED
        ("executed", np.float64),
        ("executed_tick", np.int64),
        ("fee", np.float64),
        ("spare", np.int64, (13,)),
    ],
    align=True,
)
"""A request or a response in three cache lines, so that the first ones spread over a cache; an execution is behind."""

MARKET_DTYPE = np.dtype(
    [
        ("begin", np.int64),  # events of this market
        ("end", np.int64),
        ("exchange_at", np.int64),  # next event of the exchange
        ("local_at", np.int64),  # next event of the local side
        ("low", np.int64),  # first tick of the ladder
        ("size", np.int64),  # ticks of the ladder
        ("offset", np.int64),  # of the ladder in the shared arrays
        ("bid", np.int64),  # exchange book
        ("ask", np.int64),
        ("lowest_bid", np.int64),
        ("highest_ask", np.int64),
        ("known_bid", np.int64),  # local book
        ("known_ask", np.int64),
        ("known_lowest_bid", np.int64),
        ("known_highest_ask", np.int64),
        ("buys", np.int64),  # own orders resting
        ("sells", np.int64),
        ("shadows", np.int64),  # strict mode: levels that takers took from
        ("bottom_bid", np.int64),  # all levels ever set, exchange book
        ("top_bid", np.int64),
        ("bottom_ask", np.int64),
        ("top_ask", np.int64),
        ("known_bottom_bid", np.int64),
        ("known_top_bid", np.int64),
        ("known_bottom_ask", np.int64),
        ("known_top_ask", np.int64),
        ("own_low_buy", np.int64),
        ("own_high_buy", np.int64),
        ("own_low_sell", np.int64),
        ("own_high_sell", np.int64),
        ("request_ts", np.int64),  # earliest message on its way to the exchange
        ("response_ts", np.int64),  # earliest message on its way back
        ("feed_exchange_ts", np.int64),
        ("feed_local_ts", np.int64),
        ("trade_ts", np.int64),
        ("trade_tick", np.int64),
        ("trade_quantity", np.float64),
        ("tick_size", np.float64),
        ("lot_size", np.float64),
        ("multiplier", np.float64),
        ("maker_fee", np.float64),
        ("taker_fee", np.float64),
        ("entry_latency", np.int64),
        ("response_latency", np.int64),
        ("queue_parameter", np.float64),
        ("queue_model", np.int64),
        ("inverse", np.int64),
        ("trade_side", np.int64),
        ("delays_at", np.int64),  # recorded latencies, and those in use in compat mode
        ("delays_size", np.int64),
        ("entry_at", np.int64),
        ("response_at", np.int64),
    ],
    align=True,
)

ACCOUNT_DTYPE = np.dtype(
    [
        ("position", np.float64),  # as the local side knows it
        ("cash", np.float64),
        ("fees", np.float64),
        ("volume", np.float64),
        ("value", np.float64),
        ("trades", np.int64),
        ("orders", np.int64),  # requests sent
        ("first", np.int32),  # own orders, as the local side knows them
        ("last", np.int32),
        ("request_first", np.int32),  # messages to the exchange, in the order of arrival
        ("request_last", np.int32),
        ("response_first", np.int32),
        ("response_last", np.int32),
        ("active", np.int64),
    ],
    align=True,
)

CLOCK_DTYPE = np.dtype(
    [
        ("now", np.int64),
        ("next_id", np.int64),
        ("free_order", np.int64),
        ("free_message", np.int64),
        ("orders_free", np.int64),
        ("messages_free", np.int64),
        ("logged", np.int64),
        ("markets", np.int64),
        ("lanes", np.int64),  # accounts of a market
        ("strict", np.int64),
        ("overflow", np.int64),
        ("started", np.int64),
        ("stamp", np.int64),
        ("pending", np.int64),  # strict mode: where an interrupted step was going
        ("short", np.int64),  # strict mode: a pool does not hold what comes next
        ("limited", np.int64),  # some account has risk limits
        ("logs", np.int64),  # responses are written into the log
    ],
    align=True,
)

LOG_DTYPE = np.dtype(
    [
        ("id", np.int64),
        ("ts", np.int64),  # when the local side heard
        ("exchange_ts", np.int64),
        ("sent_ts", np.int64),
        ("tick", np.int64),
        ("quantity", np.float64),
        ("executed", np.float64),
        ("executed_tick", np.int64),
        ("leaves", np.float64),
        ("fee", np.float64),
        ("account", np.int32),
        ("market", np.int32),
        ("side", np.int8),
        ("status", np.uint8),
        ("request", np.uint8),
        ("maker", np.uint8),
        ("reason", np.uint8),
    ],
    align=True,
)


EVENT_DTYPE = np.dtype(
    [
        ("exchange_ts", np.int64),
        ("local_ts", np.int64),
        ("quantity", np.float64),  # base units; the rate of funding
        ("tick", np.int32),
        ("kind", np.uint8),  # TapeKind and TapeFlag
        ("flags", np.uint8),
        ("slot", np.uint16),
    ],
    align=True,
)
"""One event of a tape: 32 bytes."""

ENGINE_DTYPE = np.dtype(
    [
        (name, np.int64)
        for name in (
            "events",
            "depth",
            "known",
            "heads",
            "orders",
            "messages",
            "markets",
            "accounts",
            "clock",
            "log",
            "rules",
            "ledgers",
            "worlds",
            "delays",
            "tiers",
            "slots",
            "limits",
            "events_size",
            "ladder_size",
            "orders_size",
            "messages_size",
            "markets_size",
            "accounts_size",
            "log_size",
            "worlds_size",
            "delays_size",
            "tiers_size",
            "slots_size",
            "step",
            "step_to_feed",
            "exchange",
            "local",
            "serve",
            "liquidate",
            "execute",
            "reply",
            "watch",
            "order",
            "cancel",
            "modify",
            "stop_lane",
        )
    ]
)
"""Addresses and lengths of the arrays, and addresses of the entries of compiled code."""
