"""The tick of a US stock from prices in units of 0.0001 dollars, for the sources that write them so."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from marketprism.core.errors import ConfigError

__all__ = ["NO_LEVEL", "PRICE_UNIT", "equity_tick"]

PRICE_UNIT = Decimal("0.0001")
"""What one unit of a price in such files is worth, in dollars."""

NO_LEVEL = 9_999_999_999
"""Price that stands for "no such level", positive or negative."""


def equity_tick(option: str, prices: Iterable[str], where: str) -> tuple[Decimal, str]:
    """Return the tick and a sentence that says how it was found.

    Quotes at or above one dollar stand on whole cents (SEC Rule 612), so the tick is 0.01 unless at least
    1 % of ``prices`` are finer; then it is 0.0001. (A stray one is an error of the data, rejected later.)

    Parameters
    ----------
    option : str
        The user's ``tick=``, empty if not given.
    prices : iterable of str
        Quoted prices in units of 0.0001 dollars, from the beginning of the file; other texts are ignored.
    where : str
        Where the prices are from.

    Raises
    ------
    ConfigError
        The option is no positive multiple of 0.0001.

    Examples
    --------
    >>> equity_tick("", ["1000000", "0"], "a.csv")
    (Decimal('0.01'), '0.01: 0 of 1 prices are finer than 0.01 in a.csv')
    """
    if option:
        try:
            tick = Decimal(option)
        except InvalidOperation as error:
            raise ConfigError(f"tick was {option!r}", hint="write a price such as 0.01") from error
        if not tick.is_finite() or tick <= 0 or tick % PRICE_UNIT:
            raise ConfigError(f"tick was {option!r}", hint=f"it must be a positive multiple of {PRICE_UNIT}")
        return tick, f"{tick} from the option"
    numbers = [int(text) for text in prices if text.isascii() and text.isdigit() and 0 < int(text) < NO_LEVEL]
    finer = sum(number % 100 != 0 for number in numbers)
    tick = PRICE_UNIT if finer and finer * 100 >= len(numbers) else Decimal("0.01")
    return tick, f"{tick}: {finer} of {len(numbers)} prices are finer than 0.01 in {where}"
