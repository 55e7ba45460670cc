"""Binance lines as the venue writes them, and instruments that read them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from marketprism.core.instrument import Instrument


class Recorder:
    """Collects what a decoder rejects and notes."""

    def __init__(self):
        self.rejected = []
        self.notes = {}

    def reject(self, reason, where, value, *, hint=""):
        self.rejected.append((reason, where))

    def note(self, what, n=1):
        self.notes[what] = self.notes.get(what, 0) + n

    @property
    def reasons(self):
        return [reason for reason, _ in self.rejected]


@pytest.fixture
def recorder():
    return Recorder()


def instrument(market="linear", tick="0.1", symbol="BTC-USDT", raw="BTCUSDT", multiplier=1):
    return Instrument(
        exchange="binance",
        market_type=market,
        symbol=symbol,
        raw_symbol=raw,
        tick_size=Decimal(tick),
        contract_multiplier=Decimal(multiplier),
    )


@pytest.fixture
def linear():
    return instrument()


@pytest.fixture
def spot():
    return instrument("spot", "0.01")


@pytest.fixture
def inverse():
    return instrument("inverse", "0.1", "BTC-USD", "BTCUSD_PERP", 100)
