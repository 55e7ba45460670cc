"""What a venue does not say: the tick size, told from a prefix of the prices."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from math import gcd

from marketprism.core.errors import ConfigError, SourceError

__all__ = ["infer_tick", "parse_tick"]

_MIN_DISTINCT = 50
_STEPS = (1, 2, 5, 10, 20, 25, 50)


def parse_tick(text: str) -> Decimal:
    """Return the tick size of option ``tick``.

    Examples
    --------
    >>> parse_tick("0.5")
    Decimal('0.5')
    """
    try:
        tick = Decimal(text)
    except InvalidOperation as error:
        raise ConfigError(f"tick was {text!r}", hint="write a number such as 0.01") from error
    if not (tick.is_finite() and tick > 0):
        raise ConfigError(f"tick was {text!r}", hint="it must be finite and positive")
    return tick


def infer_tick(texts: Iterable[str], where: str) -> Decimal:
    """Return the tick size that a prefix of prices shows.

    The decimals written are the first guess. With 50 or more distinct prices it is coarsened to their greatest
    common divisor, as far as that is 1, 2, 5, 10, 20, 25 or 50 times a power of ten; with fewer, the prices may
    share a divisor by chance, and the finer grid is the safe one.

    Parameters
    ----------
    texts : iterable of str
        Prices as written; what is no positive number below 1e15 is passed over.
    where : str
        What was looked at, for the error.

    Raises
    ------
    SourceError
        There was no usable price.

    Examples
    --------
    >>> infer_tick(["8531.5", "8532"], "a.csv")
    Decimal('0.1')
    >>> infer_tick([f"{n}.50" for n in range(1, 99)] + ["7.00"], "a.csv")
    Decimal('0.5')
    """
    prices: set[Decimal] = set()
    for text in sorted(set(texts)):
        try:
            price = Decimal(text)
        except InvalidOperation:
            continue
        if price.is_finite() and 0 < price < 10**15 and len(text) <= 30:
            prices.add(price)
    if not prices:
        raise SourceError(f"{where}: no price to tell the tick size from", hint="give ?tick=...")
    decimals = max(max(0, -int(price.as_tuple().exponent)) for price in prices)
    if len(prices) < _MIN_DISTINCT:
        return Decimal(1).scaleb(-decimals)
    common = gcd(*(int(price.scaleb(decimals)) for price in prices))
    power = 1
    while common % (power * 10) == 0:
        power *= 10
    step = max(step * power for step in _STEPS if common % (step * power) == 0)
    return Decimal(step).scaleb(-decimals).normalize()
