"""Instruments: the key of a series, its price grid and its contract."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, get_args

import msgspec

from marketprism.core.errors import ConfigError, did_you_mean

__all__ = ["Instrument", "MarketType", "Sequencing"]

MarketType = Literal["spot", "linear", "inverse", "option", "equity", "future"]
Sequencing = Literal["none", "binance_spot", "binance_futures", "okx", "deribit"]


class Instrument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One series: what is traded, where, and in which units.

    Parameters
    ----------
    exchange : str
        Venue in lower case, such as ``binance``.
    market_type : {"spot", "linear", "inverse", "option", "equity", "future"}
        Kind of market: spot and perpetual of one symbol are different instruments.
    symbol : str
        Canonical symbol, ``BTC-USDT`` for pairs, the ticker for equities.
    tick_size : Decimal
        Price step in quote currency; a price in ticks times ``tick_size`` is the price.
    lot_size : Decimal, default 0.00000001
        Smallest quantity step in base units (venue contracts already converted).
    contract_multiplier : Decimal, default 1
        Linear: base units a contract. Inverse: quote value of a contract (100 USD for BTCUSD_PERP).
    sequencing : str, default "none"
        Which update-id rule the venue's book follows.
    raw_symbol : str
        The venue's own spelling; empty where it equals ``symbol``.
    """

    exchange: str
    market_type: MarketType
    symbol: str
    tick_size: Decimal
    lot_size: Decimal = Decimal("0.00000001")
    contract_multiplier: Decimal = Decimal(1)
    sequencing: Sequencing = "none"
    raw_symbol: str = ""

    def __post_init__(self) -> None:
        if self.market_type not in get_args(MarketType):
            raise ConfigError(
                f"market_type was {self.market_type!r}", hint=did_you_mean(self.market_type, get_args(MarketType))
            )
        for name in ("tick_size", "lot_size", "contract_multiplier"):
            value = getattr(self, name)
            if not (value.is_finite() and value > 0):
                raise ConfigError(f"{name} of {self.symbol} was {value}", hint="it must be finite and positive")

    @property
    def key(self) -> str:
        """Series key ``exchange:market_type:symbol``, unique across venues and markets."""
        return f"{self.exchange}:{self.market_type}:{self.symbol}"

    @property
    def tick(self) -> float:
        """Tick size as a float, for the edge only."""
        return float(self.tick_size)
