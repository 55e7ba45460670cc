"""Exact decimal text to ticks and quantities, with the range guards that keep bad numbers out of a book."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Context, Decimal
from math import gcd

from marketprism.core.errors import Action, DataError

__all__ = ["MAX_QUANTITY", "MAX_TICKS", "infer_tick", "parse_decimal", "parse_quantity", "parse_ticks"]

MAX_TICKS = 2**53
"""Prices are below this many ticks: they stay exact as floats, and no kernel overflows."""

MAX_QUANTITY = 1e15
"""Quantities are below this many base units."""

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,3})?", re.ASCII)
_LONGEST = 64
_EXACT = Context(prec=1200)
_ENOUGH_PRICES = 20


def parse_decimal(text: str, what: str = "number") -> Decimal:
    """Return the exact value of a decimal number.

    Parameters
    ----------
    text : str
        Digits, an optional fraction and exponent; no spaces, separators, ``NaN`` or ``inf``.
    what : str, default "number"
        Begins the reason of a rejection: ``price not a number``.

    Raises
    ------
    DataError
        ``error.context["reason"]`` is the stable reason.

    Examples
    --------
    >>> parse_decimal("61496.50")
    Decimal('61496.50')
    """
    if len(text) > _LONGEST:
        raise _bad(f"{what} out of range", text[:_LONGEST], f"at most {_LONGEST} characters")
    if _NUMBER.fullmatch(text) is None:
        raise _bad(f"{what} not a number", text, "expected digits with an optional fraction")
    return Decimal(text)


def parse_ticks(text: str, tick: Decimal) -> int:
    """Return a price in ticks, exactly; zero is allowed (an empty quote side), callers refuse it elsewhere.

    Raises
    ------
    DataError
        No number, negative, at or above :data:`MAX_TICKS` ticks, or not a multiple of the tick.

    Examples
    --------
    >>> parse_ticks("61496.50", Decimal("0.1"))
    614965
    """
    value = parse_decimal(text, "price")
    if value < 0:
        raise _bad("price not positive", text, "a price is above zero")
    if value >= tick * MAX_TICKS:
        raise _bad("price out of range", text, f"prices are below 2^53 ticks of {tick}")
    ticks, rest = _EXACT.divmod(value, tick)
    if rest:
        raise _bad("price off tick", text, f"the tick is {tick}; set another with ?tick=")
    return int(ticks)


def parse_quantity(text: str) -> float:
    """Return the float nearest to a decimal quantity.

    Raises
    ------
    DataError
        No number, negative, or at or above :data:`MAX_QUANTITY`.

    Examples
    --------
    >>> parse_quantity("0.02000000") == parse_quantity("0.02") == 0.02
    True
    """
    value = parse_decimal(text, "quantity")
    if value < 0:
        raise _bad("quantity negative", text, "0 removes a level; less is no quantity")
    number = abs(float(value))
    if number >= MAX_QUANTITY:
        raise _bad("quantity out of range", text, f"quantities are below {MAX_QUANTITY:g} base units")
    return number


def infer_tick(prices: Iterable[str | Decimal]) -> Decimal:
    """Return the coarsest grid that holds the given prices.

    Twenty distinct prices or more: their greatest common divisor. Fewer say little about the grid, so the
    answer is then the last decimal place that any of them uses.

    Raises
    ------
    DataError
        There was no positive price.

    Examples
    --------
    >>> infer_tick(["61496.50", "61510.90", "61641.50"])
    Decimal('0.1')
    """
    parsed = (price if isinstance(price, Decimal) else parse_decimal(price, "price") for price in prices)
    values = {value.normalize() for value in parsed if value > 0}
    if not values:
        raise DataError("there was no positive price to infer a tick from", hint="set it with ?tick=")
    places = max(_places(value) for value in values)
    if len(values) < _ENOUGH_PRICES:
        return Decimal(1).scaleb(-places)
    return Decimal(gcd(*(int(v.scaleb(places)) for v in values))).scaleb(-places)


def _places(value: Decimal) -> int:
    return max(0, -int(value.as_tuple().exponent))


def _bad(reason: str, value: str, hint: str) -> DataError:
    return DataError(f"{reason}: was {value!r}", hint=hint, action=Action.SKIP, reason=reason, value=value)
