"""Repair of probabilities: isotonic, Platt and beta calibration of down, flat and up, kept as plain data."""

from __future__ import annotations

from itertools import product
from typing import Any, Literal, Self, get_args

import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError, DataError, did_you_mean
from marketprism.models.baselines import CLASSES

__all__ = ["CalibrationMap", "CalibrationMethod", "CalibratorState", "ProbabilityCalibrator"]

CalibrationMethod = Literal["isotonic", "platt", "beta"]
"""Ways to calibrate, see :class:`ProbabilityCalibrator`."""

_Floats = npt.NDArray[np.float64]
_TINY = 1e-9
"""Probabilities are kept this far from 0 and 1 before a logarithm is taken."""
_STEPS, _SMALLEST_STEP = 100, 1e-9


class CalibrationMap(Config, frozen=True):
    """Monotone map of one class's probability, before the three are made to add up to 1.

    With knots: the line through ``(knots, values)``, constant outside. Without: ``1 / (1 + exp(-z))`` with
    ``z = slope_low ln(p) - slope_high ln(1 - p) + shift``; the slopes are not negative. The default is the identity.

    Parameters
    ----------
    slope_low, slope_high, shift : float
        Beta calibration; Platt's has equal slopes.
    knots, values : tuple of float
        Isotonic calibration; both non-decreasing.
    """

    slope_low: float = 1.0
    slope_high: float = 1.0
    shift: float = 0.0
    knots: tuple[float, ...] = ()
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        numbers = np.array((self.slope_low, self.slope_high, self.shift, *self.knots, *self.values))
        if not np.isfinite(numbers).all() or min(self.slope_low, self.slope_high) < 0:
            raise ConfigError("a calibration map had a negative slope or a number that is not finite")
        if len(self.knots) != len(self.values) or any(
            np.any(np.diff(part) < 0) for part in (self.knots, self.values) if part
        ):
            raise ConfigError(f"{len(self.knots)} knots came with {len(self.values)} values, or did not rise")

    def __call__(self, p: _Floats) -> _Floats:
        """Return mapped probabilities; NaN stays NaN."""
        if self.knots:
            return np.interp(p, self.knots, self.values)
        from scipy.special import expit

        low, high = _logs(p)
        return np.asarray(expit(self.slope_low * low + self.slope_high * high + self.shift), np.float64)


class CalibratorState(Config, frozen=True):
    """All that a fitted :class:`ProbabilityCalibrator` knows, as plain data that JSON can carry.

    Parameters
    ----------
    method : {"isotonic", "platt", "beta"}
        How it was fitted.
    rows : int
        Rows that it was fitted on.
    shares : tuple of float
        Smoothed class shares of those rows, for rows whose three mapped probabilities are all 0.
    maps : tuple of CalibrationMap
        Of down, flat and up.
    """

    method: CalibrationMethod
    rows: int
    shares: tuple[float, float, float]
    maps: tuple[CalibrationMap, CalibrationMap, CalibrationMap]


class ProbabilityCalibrator(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Calibrate the probabilities of down, flat and up, each against the rest, and make them add up to 1 again.

    * ``isotonic``: the non-decreasing step function of least squares (pool adjacent violators), kept within
      ``1/(n+2)`` of 0 and 1: no finite sample shows that something never happens.
    * ``platt``: ``logit q = a logit p + c`` with a >= 0 (Platt's sigmoid on the log-odds, which contains the identity).
    * ``beta``: ``logit q = a ln p - b ln(1 - p) + c`` with a, b >= 0 (Kull, Silva Filho and Flach): also repairs maps
      that err on one side only, and contains the identity too.

    Platt and beta use Platt's smoothed targets and a weak ridge (``strength``) on the slopes towards the identity, so
    they are defined with few rows, a class that never occurs and scores that never vary, and do little there. With
    fewer than ``min_rows`` rows the maps are the identity. Each map is monotone; after renormalisation the ORDER of
    two rows in one class may still change, because the other classes changed too.

    Parameters
    ----------
    method : {"isotonic", "platt", "beta"}
        See above.
    strength : float, default 1
        Weight of the ridge, in units of the log-likelihood of one row; 0 gives the unpenalised fit.
    min_rows : int, default 30
        Rows needed to fit anything.

    Attributes
    ----------
    state_ : CalibratorState
        The fitted maps.

    References
    ----------
    Platt (1999), "Probabilistic outputs for support vector machines". Zadrozny and Elkan (2002), "Transforming
    classifier scores into accurate multiclass probability estimates", KDD. Kull, Silva Filho and Flach (2017), "Beta
    calibration: a well-founded and easily implemented improvement on logistic calibration", AISTATS.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> true = rng.uniform(0.2, 0.8, 4000)
    >>> y = np.where(rng.random(4000) < true, 1, -1)
    >>> loud = true**3 / (true**3 + (1 - true) ** 3)  # three times too sure
    >>> P = np.column_stack((1 - loud, np.zeros(4000), loud))
    >>> repaired = ProbabilityCalibrator("beta").fit(P, y).transform(P)[:, 2]
    >>> bool(abs(repaired - true).mean() < 0.02 < abs(loud - true).mean())
    True
    """

    def __init__(self, method: CalibrationMethod = "isotonic", *, strength: float = 1.0, min_rows: int = 30) -> None:
        self.method = method
        self.strength = strength
        self.min_rows = min_rows

    def fit(self, P: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Learn the maps.

        Parameters
        ----------
        P : array of float, shape (n, 3)
            Probabilities of down, flat, up; rows with NaN are left out.
        y : array of int, shape (n,)
            What happened: -1, 0, 1; other values are refused.

        Raises
        ------
        ConfigError
            Unknown method.
        DataError
            Shapes differ, a probability is outside [0, 1], or a class is unknown.
        """
        if self.method not in get_args(CalibrationMethod):
            raise ConfigError(
                f"method was {self.method!r}", hint=did_you_mean(str(self.method), get_args(CalibrationMethod))
            )
        given, truth = _probabilities(P), np.asarray(y)
        if truth.shape != (len(given),):
            raise DataError(f"{len(given)} rows came with classes of shape {truth.shape}", hint="one class per row")
        usable = np.isfinite(given).all(axis=1)
        given, truth = given[usable], truth[usable]
        strange = ~np.isin(truth, CLASSES)
        if strange.any():
            raise DataError(f"class was {truth[strange][0]!r}", hint="expected -1, 0 or 1; drop rows without a label")
        hits = np.column_stack([truth == label for label in CLASSES])
        shares = (hits.sum(axis=0) + 1.0) / (len(hits) + 3.0)
        maps = [CalibrationMap()] * 3
        if len(given) >= max(2, self.min_rows):
            maps = [self._one(given[:, column], hits[:, column]) for column in range(3)]
        self.state_ = CalibratorState(
            method=self.method,
            rows=len(given),
            shares=(float(shares[0]), float(shares[1]), float(shares[2])),
            maps=(maps[0], maps[1], maps[2]),
        )
        return self

    def transform(self, P: npt.ArrayLike) -> _Floats:
        """Return calibrated probabilities ``float64[n, 3]``, rows adding up to 1; rows with NaN become NaN."""
        check_is_fitted(self)
        given = _probabilities(P)
        mapped = np.column_stack([one(given[:, column]) for column, one in enumerate(self.state_.maps)])
        total = mapped.sum(axis=1, keepdims=True)
        result = np.where(total > 0, mapped / np.where(total > 0, total, 1.0), np.array(self.state_.shares))
        result[~np.isfinite(given).all(axis=1)] = np.nan
        return np.asarray(result, np.float64)

    def to_mapping(self) -> dict[str, Any]:
        """Return the fitted maps as plain data (numbers, texts, lists), for an artefact."""
        check_is_fitted(self)
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self.state_))
        return plain

    @classmethod
    def from_mapping(cls, values: dict[str, Any]) -> Self:
        """Return the calibrator that :meth:`to_mapping` described; it transforms to the same bits.

        Raises
        ------
        ConfigError
            The data describe no calibrator.
        """
        state = CalibratorState.from_mapping(values)
        result = cls(state.method)
        result.state_ = state
        return result

    def _one(self, p: _Floats, hit: npt.NDArray[np.bool_]) -> CalibrationMap:
        if self.method == "isotonic":
            return _isotonic(p, hit)
        return _logistic(p, hit, self.strength, tied=self.method == "platt")


def _probabilities(P: npt.ArrayLike) -> _Floats:
    values = np.asarray(P, np.float64)
    if values.ndim != 2 or values.shape[1] != len(CLASSES):
        raise DataError(f"probabilities had shape {values.shape}", hint="expected (n, 3): down, flat, up")
    wrong = (values < 0) | (values > 1)
    if wrong.any():
        raise DataError(f"probability was {values[wrong][0]}", hint="expected numbers in [0, 1]")
    return values


def _logs(p: _Floats) -> tuple[_Floats, _Floats]:
    """``ln(p)`` and ``-ln(1 - p)``: both rise with p."""
    inside = np.clip(p, _TINY, 1 - _TINY)
    return np.log(inside), -np.log1p(-inside)


def _isotonic(p: _Floats, hit: npt.NDArray[np.bool_]) -> CalibrationMap:
    from sklearn.isotonic import IsotonicRegression

    edge = 1.0 / (p.size + 2.0)
    fitted = IsotonicRegression(y_min=edge, y_max=1.0 - edge, out_of_bounds="clip").fit(p, hit.astype(np.float64))
    knots, values = (np.asarray(part, np.float64) for part in (fitted.X_thresholds_, fitted.y_thresholds_))
    return CalibrationMap(knots=tuple(knots.tolist()), values=tuple(np.maximum.accumulate(values).tolist()))


def _logistic(p: _Floats, hit: npt.NDArray[np.bool_], strength: float, *, tied: bool) -> CalibrationMap:
    """Penalised maximum likelihood of (slope_low, slope_high, shift) with slopes >= 0; equal slopes where tied.

    The loss is convex: where the free fit has a negative slope, the best fit with one or both of them 0 is taken.
    """
    ups = int(hit.sum())
    target = np.where(hit, (ups + 1.0) / (ups + 2.0), 1.0 / (p.size - ups + 2.0))
    low, high = _logs(p)
    columns = (low + high,) if tied else (low, high)
    best, loss = _newton(columns, target, strength, (True,) * len(columns))
    if (best[:-1] < 0).any():
        loss = np.inf
        for free in product((True, False), repeat=len(columns)):
            found, value = _newton(columns, target, strength, free)
            if (found[:-1] >= 0).all() and value < loss:
                best, loss = found, value
    slopes = (best[0], best[0]) if tied else (best[0], best[1])
    return CalibrationMap(slope_low=float(slopes[0]), slope_high=float(slopes[1]), shift=float(best[-1]))


def _newton(
    slopes: tuple[_Floats, ...], target: _Floats, strength: float, free: tuple[bool, ...]
) -> tuple[_Floats, float]:
    """Slopes and shift of least penalised log-loss by damped Newton steps, and that loss; slopes not free are 0."""
    from scipy.special import expit

    used = np.flatnonzero([*free, True])
    columns = np.column_stack((*slopes, np.ones_like(target)))
    prior = np.array([1.0] * len(slopes) + [0.0])
    # A trace of a ridge keeps the equations solvable where scores never vary and strength is 0.
    weight = np.array([max(strength, 1e-9 * target.size)] * len(slopes) + [0.0])
    theta = np.where([*free, True], prior, 0.0)

    def margin(at: _Floats) -> _Floats:
        # Column by column: a matrix product would let the number of BLAS threads into the last bits.
        return np.asarray(sum(columns[:, k] * at[k] for k in used))

    def loss(at: _Floats, z: _Floats) -> float:
        return float((np.logaddexp(0.0, z) - target * z).sum() + 0.5 * (weight * (at - prior) ** 2).sum())

    z = margin(theta)
    value = loss(theta, z)
    for _ in range(_STEPS):
        q = expit(z)
        slope = np.array([float((columns[:, k] * (q - target)).sum()) for k in used]) + (weight * (theta - prior))[used]
        bend = np.array([[float((columns[:, j] * columns[:, k] * q * (1 - q)).sum()) for j in used] for k in used])
        move = np.linalg.solve(bend + np.diag(weight[used]) + 1e-12 * np.eye(used.size), slope)
        size = 1.0
        while size > _SMALLEST_STEP:
            trial = theta.copy()
            trial[used] -= size * move
            z = margin(trial)
            if (now := loss(trial, z)) <= value:
                break
            size *= 0.5
        else:
            break
        theta, gained, value = trial, value - now, now
        if gained <= 1e-12 * max(1.0, value):
            break
    return theta, value
