"""Exact decimals: float64 and integer ticks to fixed-point columns and back, without a loop over rows.

A float is written as its shortest decimal (the text that Python prints), which is the venue's own number for
every quantity that was parsed exactly. Two widths exist: :data:`NARROW` wherever all values of a column fit,
:data:`WIDE` where one does not. A value that fits neither is a DataError, so float -> decimal -> float is the
identity for everything that is accepted (negative zero becomes zero).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

from marketprism.core.errors import DataError, IntegrityError

__all__ = [
    "NARROW",
    "WIDE",
    "DecimalWidth",
    "decimals_to_floats",
    "decimals_to_ticks",
    "floats_to_decimals",
    "multiply_decimals",
    "narrow_if_possible",
    "ticks_to_decimals",
]


class DecimalWidth(NamedTuple):
    """Precision (all digits) and scale (digits after the point) of a decimal column."""

    precision: int
    scale: int


NARROW = DecimalWidth(18, 8)
"""The store's ``Decimal(18,8)``: up to 9,999,999,999.99999999."""
WIDE = DecimalWidth(38, 18)
"""``Decimal(38,18)``, used where a venue's numbers do not fit :data:`NARROW`."""

_EXACT = float(2**53)
_UNIQUE = 1e15
_LIMIT = 10**NARROW.precision
_WIDE_LIMIT = 10.0 ** (WIDE.precision - WIDE.scale)
_WIDE_STEP = 10.0**-WIDE.scale
_SCALE = 10.0**NARROW.scale


def _pack(units: np.ndarray, width: DecimalWidth, null: np.ndarray | None) -> Any:
    """Return an Arrow decimal array of the integers ``units`` (int64, in steps of 10**-scale)."""
    import pyarrow as pa

    words = np.empty((len(units), 2), np.int64)
    words[:, 0], words[:, 1] = units, units >> 63
    valid = None
    if null is not None and null.any():
        valid = pa.py_buffer(np.packbits(~null, bitorder="little").tobytes())
    return pa.Array.from_buffers(pa.decimal128(*width), len(units), [valid, pa.py_buffer(words)])


def _words(column: Any) -> np.ndarray:
    """Return the 128-bit integers behind an Arrow decimal array as int64 pairs, low word first (nulls are junk)."""
    raw = np.frombuffer(column.buffers()[1], np.int64)
    return raw.reshape(-1, 2)[column.offset : column.offset + len(column)]


def _nulls(column: Any) -> np.ndarray | None:
    if column.null_count == 0:
        return None
    result: np.ndarray = column.is_null().to_numpy(zero_copy_only=False)
    return result


def floats_to_decimals(values: np.ndarray, what: str) -> Any:
    """Return float64 ``values`` as an Arrow decimal array, :data:`NARROW` if all fit, else :data:`WIDE`; NaN is null.

    Parameters
    ----------
    values : float64 ndarray, shape (n,)
        Values; NaN means null.
    what : str
        Name of the column, for the error.

    Returns
    -------
    pyarrow.Decimal128Array, shape (n,)
        The shortest decimals that read back as the same floats.

    Raises
    ------
    DataError
        A value is infinite, 1e20 or larger, or needs more than 18 decimals.

    Examples
    --------
    >>> floats_to_decimals(np.array([0.1, 2.5]), "quantity").type
    Decimal128Type(decimal128(18, 8))
    >>> floats_to_decimals(np.array([1e-12]), "quantity").type
    Decimal128Type(decimal128(38, 18))
    """
    null = np.isnan(values)
    if np.isinf(values).any():
        raise DataError(f"{what} was infinite", hint="sources must reject such a record")
    filled = np.where(null, 0.0, values)
    with np.errstate(over="ignore"):
        units = np.rint(filled * _SCALE)
    # Up to 15 digits the division is the correctly rounded value of the decimal and no other decimal of that
    # length reads back as the same float: equality proves that this is the shortest one.
    exact = (np.abs(units) < _UNIQUE) & (units / _SCALE == filled)
    if exact.all():
        return _pack(units.astype(np.int64), NARROW, null)
    whole = (filled == np.rint(filled)) & (np.abs(filled) < _LIMIT / _SCALE)
    if (exact | whole).all():
        steps = np.where(whole, filled, 0.0).astype(np.int64) * int(_SCALE)
        return _pack(np.where(whole, steps, np.where(exact, units, 0.0).astype(np.int64)), NARROW, null)
    return _by_text(values, null, what)


def _by_text(values: np.ndarray, null: np.ndarray, what: str) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.cast(pa.array(values, mask=null), pa.string())
    try:
        # Checked here because Arrow wraps silently when a text is far beyond 128 bits.
        size = np.abs(values[~null & (values != 0)])
        if ((size >= _WIDE_LIMIT) | (size < _WIDE_STEP)).any():
            raise pa.ArrowInvalid("out of range")
        wide = pc.cast(texts, pa.decimal128(*WIDE))
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{what} was {_first_misfit(texts)}",
            hint=f"the store holds numbers below 1e20 with at most {WIDE.scale} decimals",
        ) from error
    return narrow_if_possible(wide)


def _first_misfit(texts: Any) -> str:
    limit = Decimal(10) ** (WIDE.precision - WIDE.scale)
    return next(
        str(text)
        for text in filter(None, texts.to_pylist())
        if abs(Decimal(text)) >= limit or -int(Decimal(text).normalize().as_tuple().exponent) > WIDE.scale
    )


def decimals_to_floats(column: Any) -> np.ndarray:
    """Return an Arrow decimal array as the nearest float64 values; null is NaN.

    Examples
    --------
    >>> decimals_to_floats(floats_to_decimals(np.array([0.1, np.nan]), "x")).tolist()
    [0.1, nan]
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    null = _nulls(column)
    if (column.type.precision, column.type.scale) == NARROW:
        units = _words(column)[:, 0]
        if null is not None:
            units = np.where(null, 0, units)
        if (np.abs(units) <= int(_EXACT)).all():
            result: np.ndarray = units / _SCALE
            if null is not None:
                result[null] = np.nan
            return result
    texts = pc.cast(column, pa.string())
    result = pc.cast(texts, pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
    return result


def _grid(tick_size: Decimal) -> tuple[int, int]:
    """Return ``(step, scale)`` with ``tick_size == step / 10**scale`` and ``scale >= 0``."""
    _, digits, exponent = tick_size.normalize().as_tuple()
    power = int(exponent)
    step = int("".join(map(str, digits))) * 10 ** max(power, 0)
    return step, max(-power, 0)


def _narrow_factors(tick_sizes: Sequence[Decimal]) -> np.ndarray | None:
    """Return narrow units a tick for each instrument, or None where a tick has more than 8 decimals."""
    factors = []
    for step, scale in map(_grid, tick_sizes):
        if scale > NARROW.scale or step * 10 ** (NARROW.scale - scale) >= _LIMIT:
            return None
        factors.append(step * 10 ** (NARROW.scale - scale))
    return np.array(factors, np.int64)


def _scatter(pieces: list[tuple[np.ndarray, Any]]) -> Any:
    """Join Arrow arrays whose elements belong at the paired positions."""
    import pyarrow as pa

    order = np.argsort(np.concatenate([where for where, _ in pieces]), kind="stable")
    return pa.concat_arrays([piece for _, piece in pieces]).take(pa.array(order))


def ticks_to_decimals(ticks: np.ndarray, instrument: np.ndarray, tick_sizes: Sequence[Decimal], what: str) -> Any:
    """Return prices in ticks as an Arrow decimal array, :data:`NARROW` if all fit, else :data:`WIDE`.

    Parameters
    ----------
    ticks : int64 ndarray, shape (n,)
        Prices in ticks.
    instrument : int ndarray, shape (n,)
        Index into ``tick_sizes``.
    tick_sizes : sequence of Decimal
        Tick size of each instrument.
    what : str
        Name of the column, for the error.

    Raises
    ------
    DataError
        A price is 1e20 or larger, or a tick size has more than 18 decimals.

    Examples
    --------
    >>> ticks_to_decimals(np.array([150]), np.array([0]), [Decimal("0.01")], "price")[0].as_py()
    Decimal('1.50000000')
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    factors = _narrow_factors(tick_sizes)
    if len(ticks) == 0:
        return _pack(ticks, NARROW, None)
    if factors is not None:
        factor = factors[instrument]
        if (np.abs(ticks) <= (_LIMIT - 1) // factor).all():
            return _pack(ticks * factor, NARROW, None)
    pieces = []
    for index in np.unique(instrument).tolist():
        step, scale = _grid(tick_sizes[index])
        where = np.flatnonzero(instrument == index)
        mine = ticks[where]
        try:
            if scale > WIDE.precision or (np.abs(mine) > (2**63 - 1) // step).any():
                raise pa.ArrowInvalid("more digits than 64 bits hold")
            units = _pack(mine * step, DecimalWidth(WIDE.precision, scale), None)
            pieces.append((where, pc.cast(units, pa.decimal128(*WIDE))))
        except pa.ArrowInvalid as error:
            worst = int(mine[np.argmax(np.abs(mine))])
            raise DataError(
                f"{what} was {worst} ticks of {tick_sizes[index]}",
                hint=f"the store holds prices below 1e20 with at most {WIDE.scale} decimals",
            ) from error
    return _scatter(pieces)


def decimals_to_ticks(column: Any, instrument: np.ndarray, tick_sizes: Sequence[Decimal], what: str) -> np.ndarray:
    """Return an Arrow decimal array of prices as int64 ticks.

    Parameters
    ----------
    column : pyarrow.Decimal128Array, shape (n,)
        Prices without nulls.
    instrument : int ndarray, shape (n,)
        Index into ``tick_sizes``.
    tick_sizes : sequence of Decimal
        Tick size of each instrument.
    what : str
        Name of the column, for the error.

    Raises
    ------
    IntegrityError
        A price is off the grid of its instrument, or null.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.null_count:
        raise IntegrityError(f"{what} was null", hint="the table was not written by this version")
    factors = _narrow_factors(tick_sizes)
    if factors is not None and (column.type.precision, column.type.scale) == NARROW:
        ticks, rest = np.divmod(_words(column)[:, 0], factors[instrument])
        _check_grid(rest != 0, column, instrument, tick_sizes, what)
        return np.ascontiguousarray(ticks)
    result = np.empty(len(column), np.int64)
    for index in np.unique(instrument).tolist():
        step, scale = _grid(tick_sizes[index])
        where = np.flatnonzero(instrument == index)
        mine = column.take(pa.array(where))
        try:
            words = _words(pc.cast(mine, pa.decimal128(WIDE.precision, scale)))
        except pa.ArrowInvalid as error:
            raise IntegrityError(
                f"{what} is off the grid of {tick_sizes[index]}: {error}", hint="the tick size is not that of the data"
            ) from error
        result[where], rest = np.divmod(words[:, 0], step)
        off = (rest != 0) | (words[:, 1] != words[:, 0] >> 63)
        _check_grid(off, mine, instrument[where], tick_sizes, what)
    return result


def _check_grid(off: np.ndarray, column: Any, instrument: np.ndarray, tick_sizes: Sequence[Decimal], what: str) -> None:
    if off.any():
        i = int(np.argmax(off))
        raise IntegrityError(
            f"{what} was {column[i].as_py()}, off the grid of {tick_sizes[int(instrument[i])]}",
            hint="the tick size is not that of the data",
        )


def multiply_decimals(left: Any, right: Any) -> Any:
    """Return the product of two Arrow decimal arrays rounded half-even to 8 decimals, as narrow as it fits.

    Raises
    ------
    DataError
        A product is 1e20 or larger.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if left.type.precision == right.type.precision == NARROW.precision:
        product = pc.round(pc.multiply(left, right), NARROW.scale, "half_to_even")
        try:
            return pc.cast(product, pa.decimal128(*NARROW))
        except pa.ArrowInvalid:
            pass  # the wide way below tells too large from merely large
    # 37 digits a factor keep the product within the 76 of decimal256.
    big = pa.decimal256(37, WIDE.scale)
    try:
        product = pc.round(pc.multiply(pc.cast(left, big), pc.cast(right, big)), NARROW.scale, "half_to_even")
        wide = pc.cast(pc.cast(product, pa.decimal256(76, WIDE.scale)), pa.decimal128(*WIDE))
    except pa.ArrowInvalid as error:
        raise DataError(f"a product of price and quantity does not fit: {error}") from error
    return narrow_if_possible(wide)


def narrow_if_possible(column: Any) -> Any:
    """Return ``column`` as :data:`NARROW` where every value fits, else unchanged."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return pc.cast(column, pa.decimal128(*NARROW))
    except pa.ArrowInvalid:
        return column
