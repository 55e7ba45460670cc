"""Records of the maker loop: what an account's strategy is set to, and what it remembers."""

from __future__ import annotations

import numpy as np

__all__ = ["FLOW_DTYPE", "MAKER_DTYPE", "MOST_LEVELS", "MOST_SIGNALS", "STATE_DTYPE"]

MOST_SIGNALS = 8
MOST_LEVELS = 16

MAKER_DTYPE = np.dtype(
    [
        ("kind", np.int64),  # 0 fixed distance, 1 Avellaneda-Stoikov, 2 GLFT closed, 3 GLFT exact, 4 touch, 5 jumper
        ("gamma", np.float64),  # a tick; NaN: from the next
        ("skew_per_order", np.float64),  # in units of 1 / k
        ("k", np.float64),  # a tick; this and the next two: 0 is estimated
        ("rate", np.float64),  # A, a second and side
        ("sigma", np.float64),  # ticks a root second
        ("horizon", np.float64),  # seconds; 0: no end
        ("bound", np.float64),  # largest inventory of the exact and the endless solution, orders
        ("half_spread", np.float64),  # ticks; of the touch kinds: ticks behind the best
        ("quantity", np.float64),
        ("levels", np.int64),
        ("level_step", np.int64),
        ("max_position", np.float64),
        ("soft_position", np.float64),
        ("one_sided", np.int64),
        ("inventory_skew", np.float64),  # ticks an order of inventory
        ("signals", np.int64),
        ("standardize", np.int64),
        ("signal_decay", np.float64),  # a row
        ("signal_warmup", np.int64),
        ("signal_clip", np.float64),
        ("skew_limit", np.float64),
        ("half_life", np.float64),  # of the estimates, seconds
        ("rolling", np.int64),
        ("loss_scale", np.float64),  # drawdown that doubles risk aversion, quote currency; 0: off
        ("volatility_power", np.float64),
        ("aversion_cap", np.float64),
        ("requote_ticks", np.int64),
        ("by_cancel", np.int64),
        ("refresh", np.int64),  # ns
        ("post_only", np.int64),
        ("warmup", np.int64),  # ns
        ("table_function", np.int64),  # address of what fills the table of the exact solution
    ],
    align=True,
)

STATE_DTYPE = np.dtype(
    [
        ("start_ts", np.int64),
        ("hits", np.float64),  # market orders that reached the nearest depth, fading
        ("beyond", np.float64),  # sum of the ticks they went further
        ("seconds", np.float64),
        ("squares", np.float64),  # of changes of the mid, ticks squared
        ("square_seconds", np.float64),
        ("slow_squares", np.float64),  # never fading: the usual volatility
        ("slow_seconds", np.float64),
        ("k", np.float64),  # in use
        ("rate", np.float64),
        ("sigma", np.float64),
        ("gamma", np.float64),
        ("table_k", np.float64),  # those that the table was computed for
        ("table_rate", np.float64),
        ("table_sigma", np.float64),
        ("table_gamma", np.float64),
        ("aversion", np.float64),
        ("peak", np.float64),
        ("skew", np.float64),
        ("signal_rows", np.int64),
        ("buys_low", np.int64),  # ticks between which modifications in flight move orders
        ("buys_high", np.int64),
        ("sells_low", np.int64),
        ("sells_high", np.int64),
        ("quoted", np.int64),  # wakes at which it quoted
    ],
    align=True,
)
"""One for each account."""

FLOW_DTYPE = np.dtype(
    [
        ("event_at", np.int64),  # events walked
        ("mid", np.float64),  # at the last wake, ticks; NaN: none
        ("hits", np.float64),  # since the last wake
        ("beyond", np.float64),
        ("seconds", np.float64),
        ("last_ts", np.int64),
        ("sample_ts", np.int64),
        ("sample_mid", np.float64),
        ("square", np.float64),
        ("square_seconds", np.float64),
        ("signal_from", np.int64),  # rows of signals that are new at this wake
        ("signal_to", np.int64),
        ("signal_end", np.int64),
    ],
    align=True,
)
"""One for each market."""
