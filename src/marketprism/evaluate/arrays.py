"""Checks of the plain vectors and matrices that the statistics take."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import ConfigError, DataError

__all__ = ["equal_vectors", "finite_matrix", "finite_vector", "in_range"]

_Floats = npt.NDArray[np.float64]


def finite_vector(values: npt.ArrayLike, name: str, least: int = 1) -> _Floats:
    """Return ``values`` as a vector of floats.

    Raises
    ------
    DataError
        It is not one-dimensional, is shorter than ``least``, or holds NaN or infinity.

    Examples
    --------
    >>> finite_vector([1, 2], "returns")
    array([1., 2.])
    """
    return _finite(values, name, 1, least)


def finite_matrix(values: npt.ArrayLike, name: str, least: int = 1) -> _Floats:
    """Return ``values`` as a matrix (rows in time order) of floats; a vector becomes one column.

    Raises
    ------
    DataError
        It is not two-dimensional, has fewer than ``least`` rows or no column, or holds NaN or infinity.
    """
    array = _numbers(values, name)
    return _finite(array[:, None] if array.ndim == 1 else array, name, 2, least)


def equal_vectors(least: int = 1, **named: npt.ArrayLike) -> list[_Floats]:
    """Return the named vectors as floats, checked to be finite and of one length.

    Raises
    ------
    DataError
        As :func:`finite_vector`, or their lengths differ.

    Examples
    --------
    >>> [v.size for v in equal_vectors(score=[1, 2], returns=[0, 1])]
    [2, 2]
    """
    arrays = [finite_vector(values, name, least) for name, values in named.items()]
    lengths = {name: array.size for name, array in zip(named, arrays, strict=True)}
    if len(set(lengths.values())) > 1:
        raise DataError(f"lengths were {lengths}", hint="pass vectors of one length", lengths=lengths)
    return arrays


def in_range(name: str, value: float, low: float, high: float = float("inf")) -> None:
    """Check a parameter against a closed range.

    Raises
    ------
    ConfigError
        The value lies outside, or is NaN.
    """
    if not low <= value <= high:
        raise ConfigError(f"{name} was {value}", hint=f"expected {low:g} to {high:g}", value=value)


def _numbers(values: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} could not be read as numbers: {error}", hint="pass an array of numbers") from error


def _finite(values: npt.ArrayLike, name: str, dimensions: int, least: int) -> _Floats:
    array: _Floats = _numbers(values, name)
    if array.ndim != dimensions or len(array) < least or array.size == 0:
        raise DataError(
            f"{name} had shape {array.shape}", hint=f"pass {dimensions} dimension(s) and at least {least} rows"
        )
    wrong = ~np.isfinite(array)
    if wrong.any():
        place = int(np.flatnonzero(wrong.reshape(len(array), -1).any(axis=1))[0])
        raise DataError(f"{name} was not finite in row {place}", hint="drop or fill missing rows first", row=place)
    return array
