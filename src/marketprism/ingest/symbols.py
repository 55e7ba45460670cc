"""Canonical symbols: ``BTC-USDT`` for a pair, with the venue's spelling kept beside it.

===================  ======================  =========================================
venue spelling       canonical               rule
===================  ======================  =========================================
BTCUSDT, btcusdt     BTC-USDT                cut before a known quote currency
BTC/USDT, BTC_USDT   BTC-USDT                any separator
XBTUSD, XBT/USD      BTC-USD                 XBT is BTC, XDG is DOGE
BTCUSD_PERP          BTC-USD                 perpetual endings go: the market type says it
BTC-PERPETUAL        BTC-USD                 Deribit: USD unless another quote is named
BTC-USDT-SWAP        BTC-USDT                OKX
PI_XBTUSD            BTC-USD                 Crypto Facilities: product prefix goes
BTCUSD_210326        BTC-USD-210326          dated futures keep the date
BTC-26MAR21          BTC-USD-26MAR21         likewise
BTC-26MAR21-50000-C  unchanged               options keep the venue's name
===================  ======================  =========================================
"""

from __future__ import annotations

import re

__all__ = ["canonical_symbol"]

_QUOTES = (
    "FDUSD", "USDT", "USDC", "BUSD", "TUSD", "DAI", "USD", "EUR", "GBP", "JPY", "KRW", "TRY", "BRL",
    "AUD", "CHF", "CAD", "UST", "BTC", "ETH", "BNB",
)  # fmt: skip
_ALIASES = {"XBT": "BTC", "XDG": "DOGE", "UST": "USDT"}
_ENDS_LIKE_A_QUOTE = {"BLAST", "SHIB"}
_PERPETUAL = {"PERP", "PERPETUAL", "SWAP"}
_PRODUCT = re.compile(r"^(PI|PF|FI|FF|PV)_")
_DATE = re.compile(r"^(\d{6}|\d{8}|\d{1,2}[A-Z]{3}\d{2}|[FGHJKMNQUVXZ]\d{2}|\d{4})$")
_OPTION = re.compile(r"-[CP]$")


def canonical_symbol(raw: str) -> str:
    """Return the canonical symbol of a venue's spelling; what no rule knows comes back in upper case.

    Examples
    --------
    >>> [canonical_symbol(raw) for raw in ("BTCUSDT", "XBTUSD", "BTC-PERPETUAL", "BTC-USDT-SWAP", "trxusd_perp")]
    ['BTC-USDT', 'BTC-USD', 'BTC-USD', 'BTC-USDT', 'TRX-USD']
    >>> canonical_symbol("BTCUSD_210326"), canonical_symbol("ETH_USDC-PERPETUAL"), canonical_symbol("GOOG")
    ('BTC-USD-210326', 'ETH-USDC', 'GOOG')
    """
    text = raw.strip().upper()
    if _OPTION.search(text):
        return text
    parts = [part for part in re.split(r"[-_/: ]", _PRODUCT.sub("", text)) if part]
    perpetual = any(part in _PERPETUAL for part in parts)
    dates = [part for part in parts[1:] if _DATE.match(part)]
    names = [part for part in parts if part not in _PERPETUAL and part not in dates]
    if len(names) == 1:
        names = _split(re.sub("^(XBT|XDG)", lambda match: _ALIASES[match[0]], names[0]), named=perpetual or bool(dates))
    return "-".join([*(_ALIASES.get(name, name) for name in names), *dates])


def _split(name: str, *, named: bool) -> list[str]:
    """Split a run-together pair; a lone base of a derivative is quoted in USD."""
    for quote in _QUOTES:
        base = name.removesuffix(quote)
        # DOTUSD is no DO-TUSD, and SHIBUSD no SHI-BUSD.
        stolen = quote in {"TUSD", "BUSD"} and (len(base) < 3 or base + quote[0] in _ENDS_LIKE_A_QUOTE)
        if base != name and len(base) > 1 and not stolen:
            return [base, quote]
    return [name, "USD"] if named else [name]
