"""Rare moves of the book as the local side knows it: a new best, a best that is gone, levels cleared.

The best of a side is searched from where it was, down to the furthest level set since the side was empty: a level that
a crossing pushed behind the other side's best stays where it is, and is found again only by such a search.
"""

from __future__ import annotations

from typing import Any

from marketprism.backtest import _views as view
from marketprism.backtest._ladder import next_ask, next_bid, wipe
from marketprism.backtest._layout import NO_ASK, NO_BID
from marketprism.core.kernels import inner

__all__ = ["ask_down", "ask_gone", "bid_gone", "bid_up", "clear"]

_NO_BID, _NO_ASK = int(NO_BID), int(NO_ASK)
_WHOLE_BIDS, _WHOLE_ASKS = -(1 << 31), (1 << 31) - 1


@inner
def bid_gone(e: Any, market: Any, start: int) -> None:
    """Find the best bid below ``start``."""
    market.known_bid = next_bid(view.known(e), 2 * market.offset, market.low, start, market.known_lowest_bid)
    if market.known_bid == _NO_BID:
        market.known_bottom_bid = min(market.known_bottom_bid, market.known_lowest_bid)
        market.known_lowest_bid = _NO_ASK


@inner
def ask_gone(e: Any, market: Any, start: int) -> None:
    """Find the best ask above ``start``."""
    asks, high = 2 * market.offset + market.size, market.low + market.size - 1
    market.known_ask = next_ask(view.known(e), asks, high, market.low, start, market.known_highest_ask)
    if market.known_ask == _NO_ASK:
        market.known_top_ask = max(market.known_top_ask, market.known_highest_ask)
        market.known_highest_ask = _NO_BID


@inner
def bid_up(e: Any, market: Any, tick: int) -> None:
    """Raise the best bid to ``tick``; the asks up to there are pushed out of sight."""
    market.known_bid = tick
    market.known_top_bid = max(market.known_top_bid, tick)
    if tick >= market.known_ask:
        asks, high = 2 * market.offset + market.size, market.low + market.size - 1
        market.known_ask = next_ask(view.known(e), asks, high, market.low, tick, market.known_highest_ask)


@inner
def ask_down(e: Any, market: Any, tick: int) -> None:
    """Lower the best ask to ``tick``; the bids down to there are pushed out of sight."""
    market.known_ask = tick
    market.known_bottom_ask = min(market.known_bottom_ask, tick)
    if tick <= market.known_bid:
        market.known_bid = next_bid(view.known(e), 2 * market.offset, market.low, tick, market.known_lowest_bid)


@inner
def _clear_bids(e: Any, market: Any, tick: int, whole: bool) -> None:
    bids, high = 2 * market.offset, market.low + market.size - 1
    if whole:
        bottom = min(market.known_bottom_bid, market.known_lowest_bid)
        wipe(view.known(e), bids, market.low, max(bottom, market.low), min(market.known_top_bid, high))
        market.known_bid, market.known_lowest_bid = _NO_BID, _NO_ASK
        market.known_bottom_bid, market.known_top_bid = _NO_ASK, _NO_BID
    else:
        if market.known_bid != _NO_BID:
            wipe(view.known(e), bids, market.low, max(tick, market.low), market.known_bid)
        skipped = 0 if view.clock(e).strict else 1
        bid_gone(e, market, min(tick - skipped, high + 1))


@inner
def _clear_asks(e: Any, market: Any, tick: int, whole: bool) -> None:
    asks, high = 2 * market.offset + market.size, market.low + market.size - 1
    if whole:
        top = max(market.known_top_ask, market.known_highest_ask)
        wipe(view.known(e), asks, market.low, max(market.known_bottom_ask, market.low), min(top, high))
        market.known_ask, market.known_highest_ask = _NO_ASK, _NO_BID
        market.known_bottom_ask, market.known_top_ask = _NO_ASK, _NO_BID
    else:
        if market.known_ask != _NO_ASK:
            wipe(view.known(e), asks, market.low, market.known_ask, min(tick, high))
        skipped = 0 if view.clock(e).strict else 1
        ask_gone(e, market, max(tick + skipped, market.low - 1))


@inner
def clear(e: Any, market: Any, kind: int, tick: int) -> None:
    """Take away the bids (kind 7) or asks (8) from the best to ``tick``, or all (9, or the furthest tick there is).

    In compat mode the search for the new best leaves out the level right behind ``tick``, as the peer's does.
    """
    if kind != 8:
        _clear_bids(e, market, tick, kind == 9 or tick == _WHOLE_BIDS)
    if kind != 7:
        _clear_asks(e, market, tick, kind == 9 or tick == _WHOLE_ASKS)
