"""Runs under nautilus_trader's own Python: ``python nautilus_run.py EVENTS.npy`` replays the stream, no strategy."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import BookOrder, OrderBookDelta, TradeTick
from nautilus_trader.model.enums import AccountType, AggressorSide, BookAction, BookType, OmsType, OrderSide
from nautilus_trader.model.identifiers import TradeId, Venue
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.test_kit.providers import TestInstrumentProvider


def read(events, instrument):
    """Return the events as the engine's objects."""
    result = []
    for number, event in enumerate(events.tolist()):
        kind, exchange_ts, local_ts, price, quantity = event[:5]
        buy = bool(kind & (1 << 29))
        at, size = Price(price, instrument.price_precision), Quantity(quantity, instrument.size_precision)
        if kind & 0xFF == 1:
            order = BookOrder(OrderSide.BUY if buy else OrderSide.SELL, at, size, round(price * 10))
            action = BookAction.UPDATE if quantity > 0 else BookAction.DELETE
            result.append(OrderBookDelta(instrument.id, action, order, 128, number, exchange_ts, local_ts))
        elif quantity > 0:
            side = AggressorSide.BUYER if buy else AggressorSide.SELLER
            result.append(TradeTick(instrument.id, at, size, side, TradeId(str(number)), exchange_ts, local_ts))
    return result


def main():
    events = np.load(sys.argv[1])
    instrument = TestInstrumentProvider.btcusdt_perp_binance()
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        Venue("BINANCE"),
        OmsType.NETTING,
        AccountType.MARGIN,
        [Money(1_000_000, USDT)],
        book_type=BookType.L2_MBP,
    )
    engine.add_instrument(instrument)
    data = read(events, instrument)
    engine.add_data(data)
    begin = time.process_time()
    engine.run()
    seconds = time.process_time() - begin
    print(json.dumps({"case": "no strategy", "seconds": seconds, "events": len(data)}))


main()
