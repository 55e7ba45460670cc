"""Binance symbols: canonical names, contracts, channels, and the table that both parsers share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from marketprism.core.errors import ConfigError, did_you_mean
from marketprism.core.instrument import Instrument, Sequencing
from marketprism.ingest.venues.binance_kernel import PARAM

__all__ = [
    "CHANNELS",
    "MARKETS",
    "Market",
    "SymbolTable",
    "canonical_symbol",
    "channel_mask",
    "contract_multiplier",
    "sequencing_of",
]

Market = Literal["spot", "linear", "inverse"]

MARKETS: dict[str, Market] = {
    "spot": "spot",
    "linear": "linear",
    "usdm": "linear",
    "inverse": "inverse",
    "coinm": "inverse",
    "cm": "inverse",
}
"""Spellings of the ``market`` option."""

CHANNELS = {
    "depth": 1,
    "bookTicker": 2,
    "trade": 4,
    "aggTrade": 8,
    "markPrice": 16,
    "forceOrder": 32,
    "openInterest": 64,
    "ratio": 128,
}
"""Channel name -> bit of the mask; ``depth`` covers the REST snapshots too."""

_QUOTES = (
    "FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USDP", "USDS", "IDRT", "BIDR", "BVND", "BKRW", "BTC",
    "ETH", "BNB", "EUR", "GBP", "TRY", "BRL", "AUD", "RUB", "UAH", "NGN", "ZAR", "JPY",
    "MXN", "PLN", "RON", "ARS", "CZK", "COP", "DAI", "PAX", "VAI", "XRP", "TRX", "DOGE",
    "DOT", "USD",
)  # fmt: skip
_LONGEST_SYMBOL = 32
_LOOSE_PLACES = 8


def canonical_symbol(raw: str, market: Market) -> str:
    """Return the canonical symbol of a venue symbol; perpetuals carry no ending, dated futures their date.

    Examples
    --------
    >>> canonical_symbol("BTCUSDT", "spot"), canonical_symbol("BTCUSD_PERP", "inverse")
    ('BTC-USDT', 'BTC-USD')
    >>> canonical_symbol("ETHUSD_210924", "inverse"), canonical_symbol("ODD", "spot")
    ('ETH-USD-210924', 'ODD')
    """
    pair, _, ending = raw.partition("_")
    if market == "inverse" and pair.endswith("USD"):
        name = f"{pair[:-3]}-USD"
    else:
        quotes = [quote for quote in _QUOTES if pair.endswith(quote) and len(pair) > len(quote)]
        quote = max(quotes, key=len, default="")
        name = f"{pair[: -len(quote)]}-{quote}" if quote else pair
    return f"{name}-{ending}" if re.fullmatch(r"\d{6}", ending) else name


def contract_multiplier(raw: str, market: Market) -> int:
    """Return what one contract is worth: 100 USD for BTC inverse contracts, 10 USD for the others, else 1 coin.

    Examples
    --------
    >>> contract_multiplier("BTCUSD_PERP", "inverse"), contract_multiplier("ETHUSD_PERP", "inverse")
    (100, 10)
    """
    if market != "inverse":
        return 1
    return 100 if raw.startswith("BTCUSD_") else 10


def sequencing_of(market: Market) -> Sequencing:
    """Return the update-id rule of a market."""
    return "binance_spot" if market == "spot" else "binance_futures"


def channel_mask(text: str) -> int:
    """Return the mask of a comma-separated channel list; empty means all.

    Examples
    --------
    >>> channel_mask("depth,trade"), channel_mask("")
    (5, 255)
    """
    mask = 0
    for name in filter(None, text.split(",")):
        if name not in CHANNELS:
            raise ConfigError(f"channel was {name!r}", hint=did_you_mean(name, CHANNELS))
        mask |= CHANNELS[name]
    return mask or sum(CHANNELS.values())


class SymbolTable:
    """Venue symbols of one market with what is needed to read their numbers.

    Parameters
    ----------
    instruments : sequence of Instrument
        The stream's instruments; those of ``market`` are matched by ``raw_symbol``.
    market : {"spot", "linear", "inverse"}
        Market of the connection: spot and perpetuals spell their symbols alike.
    others : iterable of str, optional
        Symbols known to be on the connection and not wanted.

    Attributes
    ----------
    rows : dict of str to int
        Symbol -> row of the arrays.
    params, multipliers, symbols : ndarrays
        The kernel's instrument table.
    """

    def __init__(self, instruments: Sequence[Instrument], market: Market, others: Iterable[str] = ()) -> None:
        self.market = market
        wanted = {
            (instrument.raw_symbol or instrument.symbol): index
            for index, instrument in enumerate(instruments)
            if instrument.market_type == market
        }
        names = [*wanted, *sorted(set(others) - set(wanted))]
        for name in names:
            if not (name.isascii() and 0 < len(name) <= _LONGEST_SYMBOL):
                raise ConfigError(f"symbol was {name!r}", hint=f"1 to {_LONGEST_SYMBOL} ASCII characters")
        self.rows = {name: row for row, name in enumerate(names)}
        self.instruments: list[Instrument | None] = [
            instruments[wanted[name]] if name in wanted else None for name in names
        ]
        self.params = np.zeros((len(names), PARAM.COUNT), np.int64)
        self.multipliers = np.ones(len(names))
        self.symbols = np.zeros((len(names), _LONGEST_SYMBOL), np.uint8)
        for row, name in enumerate(names):
            self.symbols[row, : len(name)] = np.frombuffer(name.encode(), np.uint8)
            self._fill(row, name, wanted.get(name, -1))

    def _fill(self, row: int, name: str, index: int) -> None:
        instrument = self.instruments[row]
        param = self.params[row]
        param[PARAM.SYMBOL_LENGTH] = len(name)
        param[PARAM.INSTRUMENT] = index
        param[PARAM.PLACES], param[PARAM.STEP] = _LOOSE_PLACES, 1
        if instrument is not None:
            tick = instrument.tick_size.normalize()
            places = max(0, -int(tick.as_tuple().exponent))
            param[PARAM.PLACES], param[PARAM.STEP] = places, int(tick.scaleb(places))
            param[PARAM.INVERSE] = instrument.market_type == "inverse"
            self.multipliers[row] = float(instrument.contract_multiplier)
