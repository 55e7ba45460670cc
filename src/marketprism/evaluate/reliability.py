"""Are probabilities true: calibration error with its null, and the best Brier score that an IC allows."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import ConfigError, DataError
from marketprism.core.random import stream
from marketprism.evaluate.arrays import in_range
from marketprism.evaluate.metrics import calibration_columns, calibration_parts

__all__ = ["CalibrationTest", "best_possible_brier", "calibration_test", "expected_calibration_error"]

_Floats = npt.NDArray[np.float64]
_EXACT_ROWS = 400


class CalibrationTest(NamedTuple):
    """Calibration error beside what a perfect model would show.

    Attributes
    ----------
    raw, debiased : float
        ECE as defined, and less what sampling noise adds.
    null_mean, null_high : float
        Mean and 95 % quantile of the raw ECE if every probability were true.
    p_value : float
        Chance of as large a raw ECE if every probability were true.
    """

    raw: float
    debiased: float
    null_mean: float
    null_high: float
    p_value: float


def _checked(probability: npt.ArrayLike, outcome: npt.ArrayLike) -> tuple[_Floats, npt.NDArray[np.bool_]]:
    p, truth = np.asarray(probability, np.float64), np.asarray(outcome, np.float64)
    if truth.shape != p.shape or p.ndim != 1 or p.size == 0:
        raise DataError(f"probabilities had shape {p.shape}, outcomes {truth.shape}", hint="pass two equal vectors")
    if not _binary(truth) and _binary(p):
        p, truth = truth, p
    wrong = ~((p >= 0) & (p <= 1))
    if wrong.any():
        raise DataError(f"probability was {p[wrong][0]}", hint="expected numbers in [0, 1]")
    if not _binary(truth):
        bad = truth[(truth != 0) & (truth != 1)][0]
        raise DataError(f"outcome was {bad}", hint="expected 0 or 1")
    return p, truth.astype(np.bool_)


def _binary(values: _Floats) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def expected_calibration_error(
    probability: npt.ArrayLike, outcome: npt.ArrayLike, bins: int = 15, *, debias: bool = True
) -> float:
    """ECE with equal-width bins: mean over rows of |mean probability - observed share| of the row's bin.

    Even a perfect model has a positive ECE from sampling noise (.032 with 1,000 rows, .010 with 10,000): on average
    ``sqrt(2/pi) s`` a bin, where s is the standard error of the bin's gap g under perfect calibration. ``debias``
    subtracts ``2/sqrt(pi) s exp(-g^2/2s^2)``, which has that mean for a perfect model (it then scores about 0; slightly
    negative values occur) and vanishes for a gap that is many standard errors wide, where noise adds nothing.

    Parameters
    ----------
    probability : array of float, shape (n,)
        What was predicted, in [0, 1].
    outcome : array of bool or 0/1, shape (n,)
        What happened. If only the first vector is all 0 and 1, it is taken as the outcome: sklearn's order works too.
    bins : int, default 15
        Equal-width bins over [0, 1].
    debias : bool, default True
        Subtract what noise adds; False gives the plain definition. :func:`calibration_test` gives both with the null
        distribution.

    Raises
    ------
    DataError
        Sizes differ, nothing was given, a probability lies outside [0, 1], or an outcome is not 0 or 1.

    References
    ----------
    Naeini, Cooper and Hauskrecht (2015), "Obtaining well calibrated probabilities using Bayesian binning", AAAI.

    Examples
    --------
    >>> round(expected_calibration_error([0.9, 0.9, 0.1, 0.1], [1, 1, 0, 0], debias=False), 3)
    0.1
    """
    in_range("bins", bins, 1)
    p, truth = _checked(probability, outcome)
    raw, chance = calibration_parts(calibration_columns(p, truth, bins).sum(0))
    return float(raw - chance) if debias else float(raw)


def calibration_test(
    probability: npt.ArrayLike, outcome: npt.ArrayLike, bins: int = 15, *, replications: int = 1000, seed: int = 0
) -> CalibrationTest:
    """ECE with its distribution under perfect calibration: outcomes drawn from the probabilities themselves.

    A bin's number of hits is drawn exactly where it has at most 400 rows, from the normal distribution with the exact
    mean and variance where it has more. Rows count as independent: with overlapping labels, pass rows that do not
    overlap.

    Parameters
    ----------
    probability, outcome, bins
        As in :func:`expected_calibration_error`.
    replications, seed : int
        Draws from the null.

    Examples
    --------
    >>> p = np.random.default_rng(0).uniform(size=2000)
    >>> test = calibration_test(p, np.random.default_rng(1).uniform(size=2000) < p)
    >>> test.p_value > 0.05, calibration_test(p, np.random.default_rng(1).uniform(size=2000) < p**2).p_value < 0.01
    (True, True)
    """
    in_range("bins", bins, 1)
    in_range("replications", replications, 1)
    p, truth = _checked(probability, outcome)
    raw, chance = calibration_parts(calibration_columns(p, truth, bins).sum(0))
    generator = stream(seed, "calibration", p.size, bins)
    place = np.clip((p * bins).astype(np.int64), 0, bins - 1)
    total = np.zeros(replications)
    for one in range(bins):
        inside = p[place == one]
        if inside.size > _EXACT_ROWS:
            spread = math.sqrt(float((inside * (1 - inside)).sum()))
            total += np.abs(spread * generator.standard_normal(replications))
        elif inside.size:
            hits = (generator.random((replications, inside.size)) < inside).sum(axis=1)
            total += np.abs(hits - inside.sum())
    null = total / p.size
    p_value = (1 + int((null >= raw - 1e-12).sum())) / (1 + replications)
    return CalibrationTest(float(raw), float(raw - chance), float(null.mean()), float(np.quantile(null, 0.95)), p_value)


def best_possible_brier(correlation: float, base_rate: float = 0.5, *, of: str = "outcome") -> float:
    """Lowest Brier score of a two-class forecast with a given information coefficient: gates must be attainable.

    With ``of="outcome"`` the correlation is with the 0/1 outcome of base rate b: ``b (1 - b) (1 - r^2)``, reached by
    the calibrated linear forecast. With ``of="return"`` it is with a return that is jointly normal with the score, and
    the outcome is its sign: ``1/4 - asin(r^2) / (2 pi)``, reached by ``Phi(r s / sqrt(1 - r^2))``.

    Parameters
    ----------
    correlation : float
        In [-1, 1]; the sign does not matter.
    base_rate : float, default .5
        Share of ups; only .5 with ``of="return"``.
    of : {"outcome", "return"}
        What the score was correlated with.

    Raises
    ------
    ConfigError
        A parameter is out of range.

    Examples
    --------
    >>> round(best_possible_brier(0.05), 6), round(best_possible_brier(0.05, of="return"), 6)
    (0.249375, 0.249602)
    """
    in_range("correlation", correlation, -1.0, 1.0)
    in_range("base_rate", base_rate, 0.0, 1.0)
    if of == "outcome":
        return base_rate * (1 - base_rate) * (1 - correlation * correlation)
    if of != "return":
        raise ConfigError(f"of was {of!r}", hint="expected 'outcome' or 'return'")
    in_range("base_rate of a symmetric return", base_rate, 0.5, 0.5)
    return 0.25 - math.asin(correlation * correlation) / (2 * math.pi)
