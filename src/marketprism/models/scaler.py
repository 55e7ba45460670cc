"""The preprocessing of every baseline: impute, standardise robustly, clip, mark what was missing."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["FactorScaler"]

_NORMAL_IQR = 1.3489795003921634
"""Interquartile range of the standard normal: makes the robust scale comparable with a standard deviation."""


class FactorScaler(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Centre by the median, scale by the interquartile range, clip, and impute with the median plus an indicator.

    ``z = clip((x - median) / (IQR / 1.349), -limit, limit)``, rounded to float32 so that the ONNX form computes the
    same bits. Missing values (NaN, and infinities, which are treated as missing) become 0, the training median;
    factors with a missing value in training get an indicator column (1 where missing). A factor whose IQR is 0 uses
    its standard deviation, a constant or empty one 1. Everything is learnt in ``fit``: never from test rows.

    Parameters
    ----------
    limit : float, default 5
        Clip at this many robust standard deviations (winsorising in-fold).
    by_series : bool, default False
        The last column of X is a series code (see ``feature_matrix``): each series gets its own median and scale;
        code 0, unknown codes and series with fewer than ``min_rows`` training rows use the pooled ones.
    min_rows : int, default 50
        See ``by_series``.
    dtype : {"float64", "float32"}
        Type of the output (the values are float32 in both).

    Attributes
    ----------
    center_, scale_ : ndarray of shape (1 + n_series, F)
        Row 0 is pooled, row c belongs to series code c.
    indicators_ : ndarray of int
        Positions of the factors that get an indicator.

    Examples
    --------
    >>> FactorScaler().fit_transform(np.array([[1.0], [2.0], [3.0], [np.nan]])).tolist()
    [[-1.348..., 0.0], [0.0, 0.0], [1.348..., 0.0], [0.0, 1.0]]
    """

    def __init__(
        self, limit: float = 5.0, *, by_series: bool = False, min_rows: int = 50, dtype: str = "float64"
    ) -> None:
        self.limit = limit
        self.by_series = by_series
        self.min_rows = min_rows
        self.dtype = dtype

    def fit(self, X: npt.ArrayLike, y: Any = None) -> Self:  # noqa: ARG002
        """Learn medians, scales and which factors are ever missing; ``y`` is ignored."""
        values, codes = self._split(X, reset=True)
        self.indicators_ = np.flatnonzero(np.isnan(values).any(axis=0))
        series = int(codes.max(initial=0)) if self.by_series else 0
        center, scale = _robust(values, np.zeros(values.shape[1]), np.ones(values.shape[1]))
        self.center_ = np.tile(center, (series + 1, 1))
        self.scale_ = np.tile(scale, (series + 1, 1))
        for code in range(1, series + 1):
            rows = codes == code
            if rows.sum() >= self.min_rows:
                self.center_[code], self.scale_[code] = _robust(values[rows], center, scale)
        return self

    def transform(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return ``[n, F + indicators]``, finite everywhere."""
        check_is_fitted(self)
        values, codes = self._split(X, reset=False)
        known = np.where(codes < len(self.center_), codes, 0)
        scaled = np.clip((values - self.center_[known]) / self.scale_[known], -self.limit, self.limit)
        missing = np.isnan(values)
        result = np.empty((len(values), values.shape[1] + len(self.indicators_)), self.dtype)
        result[:, : values.shape[1]] = np.where(missing, 0.0, scaled).astype(np.float32)
        result[:, values.shape[1] :] = missing[:, self.indicators_]
        return result

    def _split(self, X: npt.ArrayLike, *, reset: bool) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        data = validate_data(self, X, dtype=np.float64, ensure_all_finite=False, reset=reset)
        codes = np.zeros(len(data), np.int64)
        if self.by_series:
            codes = data[:, -1].astype(np.int64)
            data = data[:, :-1]
        return np.where(np.isfinite(data), data, np.nan), codes

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _robust(
    values: npt.NDArray[np.float64], center: npt.NDArray[np.float64], scale: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Median and IQR / 1.349 of each column; the given ones where a column is empty, sensible ones where constant."""
    ordered = np.sort(values, axis=0)  # NaN sorts last
    counts = np.count_nonzero(~np.isnan(values), axis=0)
    some = counts > 0
    columns = np.arange(values.shape[1])

    def quantile(share: float) -> npt.NDArray[np.float64]:
        place = share * np.maximum(counts - 1, 0)
        below = np.floor(place).astype(np.int64)
        low, high = ordered[below, columns], ordered[np.minimum(below + 1, np.maximum(counts - 1, 0)), columns]
        return np.asarray(low + (place - below) * (high - low))

    with np.errstate(over="ignore", invalid="ignore"):
        middle, spread = quantile(0.5), (quantile(0.75) - quantile(0.25)) / _NORMAL_IQR
        for column in np.flatnonzero(some & ~(spread > 0)):
            spread[column] = ordered[: counts[column], column].std()
        # Below the rounding noise of the values themselves a column is constant.
        usable = np.isfinite(spread) & (spread > 1e-12 * np.abs(middle)) & (spread > 1e-300)
    return np.where(some, middle, center), np.where(some, np.where(usable, spread, 1.0), scale)
