"""From a bucket frame to a feature matrix: which columns are factors, in which order, and their signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from marketprism.buckets.record import BUCKET_DTYPE
from marketprism.core.config import config_hash
from marketprism.core.errors import DataError, did_you_mean
from marketprism.labels.forward import SERIES_KEY

if TYPE_CHECKING:
    import polars as pl

__all__ = ["QUOTED_SPREAD", "factor_names", "factor_signature", "feature_matrix", "series_names"]

QUOTED_SPREAD = "quoted_spread_bps"
"""Column of a user's frame that tells the spread, for costs only: it is no factor."""


def factor_names(frame: pl.DataFrame) -> tuple[str, ...]:
    """Names of the factor columns, in frame order: floats that are neither key nor bucket columns.

    Raises
    ------
    DataError
        There is none.
    """
    reserved = {*SERIES_KEY, *(BUCKET_DTYPE.names or ()), "policy_hash", QUOTED_SPREAD}
    names = tuple(name for name, dtype in frame.schema.items() if name not in reserved and dtype.is_float())
    if not names:
        raise DataError(f"frame has no factor column among {frame.columns}", hint="run the factor engine first")
    return names


def factor_signature(factors: Sequence[str], definitions: Mapping[str, str] | None = None) -> str:
    """Hash of the factor names in order, with the hash of each definition where given.

    Examples
    --------
    >>> factor_signature(["a", "b"]) == factor_signature(["b", "a"])
    False
    """
    known = definitions or {}
    return config_hash([[name, known.get(name, "")] for name in factors])


def series_names(frame: pl.DataFrame) -> tuple[str, ...]:
    """Sorted series keys ``exchange:market_type:symbol`` present in the frame."""
    keys = frame.select(SERIES_KEY).unique().rows()
    return tuple(sorted(":".join(map(str, key)) for key in keys))


def feature_matrix(frame: pl.DataFrame, factors: Sequence[str], series: Sequence[str] = ()) -> npt.NDArray[np.float64]:
    """Return factors as ``float64[n, F]``, NaN where null, in the order given.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket rows with factor columns.
    factors : sequence of str
        Columns to take.
    series : sequence of str, optional
        Known series keys of a panel. Where given, a last column holds the series code: 1 + its place in
        ``series``, 0 for a series not listed; ``FactorScaler`` then standardises each series by itself.

    Raises
    ------
    DataError
        A factor is missing.
    """
    import polars as pl

    for name in factors:
        if name not in frame.columns:
            raise DataError(f"frame has no factor {name!r}", hint=did_you_mean(name, frame.columns))
    columns = [pl.col(name).cast(pl.Float64).fill_null(float("nan")) for name in factors]
    if series:
        code = {key: position + 1.0 for position, key in enumerate(series)}
        key_text = pl.concat_str([pl.col(name).cast(pl.String) for name in SERIES_KEY], separator=":")
        columns.append(key_text.replace_strict(code, default=0.0, return_dtype=pl.Float64).alias("_series"))
    return np.ascontiguousarray(frame.select(columns).to_numpy(), dtype=np.float64)
