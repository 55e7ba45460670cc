"""How Tardis names venues, and what their amounts mean."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, NamedTuple

from marketprism.core.errors import SourceError
from marketprism.core.instrument import MarketType
from marketprism.ingest.symbols import canonical_symbol
from marketprism.ingest.venues.binance_symbols import canonical_symbol as binance_symbol

__all__ = ["Contract", "contract_of"]


class Contract(NamedTuple):
    """What one venue symbol is.

    Attributes
    ----------
    exchange : str
        Our name of the venue (Tardis' ``binance-futures`` is ``binance``: the market type tells them apart).
    market_type : str
        Kind of market.
    symbol : str
        Canonical symbol.
    inverse : bool
        Amounts are quote currency: base units = amount x multiplier / price.
    multiplier : Decimal
        Base units (linear) or quote value (inverse) of one unit of ``amount``.
    sampled : bool
        The venue throttles its liquidation feed.
    """

    exchange: str
    market_type: MarketType
    symbol: str
    inverse: bool
    multiplier: Decimal
    sampled: bool


_SPOT = {
    "binance", "binance-jersey", "binance-us", "bitfinex", "bitflyer", "bitstamp", "bybit-spot", "coinbase",
    "crypto-com", "ftx-us", "gate-io", "gemini", "huobi", "kraken", "kucoin", "okcoin", "okex", "poloniex",
    "serum", "upbit", "bitget", "ascendex",
}  # fmt: skip
_RENAMED = {
    "binance-futures": "binance",
    "binance-delivery": "binance",
    "bitfinex-derivatives": "bitfinex",
    "bitget-futures": "bitget",
    "bybit-spot": "bybit",
    "gate-io-futures": "gate-io",
    "huobi-dm": "huobi",
    "huobi-dm-swap": "huobi",
    "huobi-dm-linear-swap": "huobi",
    "okex": "okx",
    "okex-futures": "okx",
    "okex-swap": "okx",
    "okex-options": "okx",
}
_BINANCE: dict[str, Literal["spot", "linear", "inverse"]] = {
    "binance": "spot",
    "binance-futures": "linear",
    "binance-delivery": "inverse",
}
"""Named as the raw recordings of Binance are, dated futures included, so that the series are the same."""
_LINEAR = {"binance-futures", "bitfinex-derivatives", "dydx", "dydx-v4", "ftx", "hyperliquid"}
"""Derivatives whose amounts are base units."""
_MIXED = {"bitmex", "bybit", "cryptofacilities", "deribit"}
"""USD-quoted contracts are inverse with amounts in USD; Deribit's and Bybit's stablecoin ones are linear in coins."""
_COIN_MARGINED = {"binance-delivery", "huobi-dm", "huobi-dm-swap"}
"""Amounts are contracts of 100 USD (BTC) or 10 USD (the rest)."""
_OKX = {"okex-swap": {"BTC-USDT": "0.01", "ETH-USDT": "0.1"}, "okex-futures": {"BTC-USDT": "0.01", "ETH-USDT": "0.1"}}
"""Contract value in coins; OKX's USD contracts are 100 USD (BTC) or 10 USD."""
_SAMPLED = {"binance-futures", "binance-delivery", "okex-swap", "okex-futures"}


def contract_of(exchange: str, raw: str, market_type: str = "", multiplier: str = "") -> Contract:
    """Return what a Tardis symbol is; options ``market_type`` and ``contract`` decide where the table does not.

    Raises
    ------
    SourceError
        Venue or contract size is not in the table and not given.

    Examples
    --------
    >>> contract_of("bitmex", "XBTUSD")[:4]
    ('bitmex', 'inverse', 'BTC-USD', True)
    >>> contract_of("binance-futures", "BTCUSDT")[:4]
    ('binance', 'linear', 'BTC-USDT', False)
    """
    symbol = binance_symbol(raw, _BINANCE[exchange]) if exchange in _BINANCE else canonical_symbol(raw)
    kind = market_type or _BINANCE.get(exchange) or _market_type(exchange, raw, symbol)
    usd = symbol.split("-")[1:2] == ["USD"]
    inverse = kind == "inverse" or (kind == "future" and usd and exchange not in _LINEAR)
    size = Decimal(multiplier) if multiplier else _multiplier(exchange, symbol, kind, inverse=inverse)
    return Contract(_RENAMED.get(exchange, exchange), kind, symbol, inverse, size, exchange in _SAMPLED)  # type: ignore[arg-type]


def _market_type(exchange: str, raw: str, symbol: str) -> str:
    if exchange in _SPOT:
        return "spot"
    if raw.upper().endswith(("-C", "-P")):
        return "option"
    derivative = exchange in _LINEAR | _MIXED | _COIN_MARGINED | set(_OKX) | {"huobi-dm-linear-swap", "gate-io-futures"}
    if not derivative:
        raise SourceError(
            f"Tardis venue {exchange!r} is not known", hint="give ?market_type=spot, linear, inverse, ..."
        )
    parts = symbol.split("-")
    if len(parts) > 2:
        return "future"
    if exchange in _LINEAR:
        return "linear"
    return "inverse" if parts[-1] == "USD" and not raw.upper().startswith("PF_") else "linear"


def _multiplier(exchange: str, symbol: str, kind: str, *, inverse: bool) -> Decimal:
    if kind in {"spot", "option", "equity"} or exchange in _LINEAR:
        return Decimal(1)
    base, *rest = symbol.split("-")
    if exchange in _MIXED and (inverse or exchange != "bitmex"):
        return Decimal(1)
    if inverse and exchange in _COIN_MARGINED | set(_OKX):
        return Decimal(100 if base == "BTC" else 10)
    if size := _OKX.get(exchange, {}).get("-".join([base, *rest[:1]])):
        return Decimal(size)
    raise SourceError(
        f"Tardis gives {exchange} {symbol} in contracts, and their size is not known",
        hint="give ?contract=SIZE: base units (inverse: quote value) of one contract",
    )
