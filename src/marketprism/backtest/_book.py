"""Rare moves of the exchange's book: a new best, a best that is gone, levels cleared.

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
    market.bid = next_bid(view.depth(e), 2 * market.offset, market.low, start, market.lowest_bid)
    if market.bid == _NO_BID:
        market.bottom_bid = min(market.bottom_bid, market.lowest_bid)
        market.lowest_bid = _NO_ASK


@inner
def ask_gone(e: Any, market: Any, start: int) -> None:
    """Find the best ask above ``start``."""
    asks, high = 2 * market.offset + market.size, market.low + market.size - 1
    market.ask = next_ask(view.depth(e), asks, high, market.low, start, market.highest_ask)
    if market.ask == _NO_ASK:
        market.top_ask = max(market.top_ask, market.highest_ask)
        market.highest_ask = _NO_BID


@inner
def bid_up(e: Any, market: Any, tick: int) -> None:
    """Raise the best bid to ``tick``; the asks up to there are pushed out of sight."""
    market.bid = tick
    market.top_bid = max(market.top_bid, tick)
    if tick >= market.ask:
        asks, high = 2 * market.offset + market.size, market.low + market.size - 1
        market.ask = next_ask(view.depth(e), asks, high, market.low, tick, market.highest_ask)


@inner
def ask_down(e: Any, market: Any, tick: int) -> None:
    """Lower the best ask to ``tick``; the bids down to there are pushed out of sight."""
    market.ask = tick
    market.bottom_ask = min(market.bottom_ask, tick)
    if tick <= market.bid:
        market.bid = next_bid(view.depth(e), 2 * market.offset, market.low, tick, market.lowest_bid)


@inner
def _clear_bids(e: Any, market: Any, tick: int, whole: bool) -> None:
    bids, high = 2 * market.offset, market.low + market.size - 1
    if whole:
        bottom = min(market.bottom_bid, market.lowest_bid)
        wipe(view.depth(e), bids, market.low, max(bottom, market.low), min(market.top_bid, high))
        market.bid, market.lowest_bid = _NO_BID, _NO_ASK
        market.bottom_bid, market.top_bid = _NO_ASK, _NO_BID
    else:
        if market.bid != _NO_BID:
            wipe(view.depth(e), bids, market.low, max(tick, market.low), market.bid)
        skipped = 0 if view.clock(e).strict else 1
        bid_gone(e, market, min(tick - skipped, high + 1))


@inner
def _clear_asks(e: Any, market: Any, tick: int, whole: bool) -> None:
    asks, high = 2 * market.offset + market.size, market.low + market.size - 1
    if whole:
        top = max(market.top_ask, market.highest_ask)
        wipe(view.depth(e), asks, market.low, max(market.bottom_ask, market.low), min(top, high))
        market.ask, market.highest_ask = _NO_ASK, _NO_BID
        market.bottom_ask, market.top_ask = _NO_ASK, _NO_BID
    else:
        if market.ask != _NO_ASK:
            wipe(view.depth(e), asks, market.low, market.ask, min(tick, high))
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
