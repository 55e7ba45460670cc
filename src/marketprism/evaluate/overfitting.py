"""Probability of backtest overfitting: how often the best of many in one half of the data is poor in the other."""

from __future__ import annotations

import math
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate.arrays import finite_matrix

__all__ = ["BacktestOverfitting", "backtest_overfitting"]

_Floats = npt.NDArray[np.float64]


class BacktestOverfitting(NamedTuple):
    """Combinatorially symmetric cross-validation of a choice among trials.

    Attributes
    ----------
    probability : float
        Share of splits in which the trial that was best in sample was below the median out of sample: about .5 where
        no trial is better than another, 0 where the choice carries over.
    in_sample, out_of_sample : float
        Median performance of the chosen trial in the half in which it was chosen, and in the other half.
    loss_share : float
        Share of splits in which the chosen trial's performance out of sample was not positive.
    splits, trials : int
        Ways to halve the stretches, and what was chosen from.
    """

    probability: float
    in_sample: float
    out_of_sample: float
    loss_share: float
    splits: int
    trials: int


def backtest_overfitting(performance: npt.ArrayLike, *, either_sign: bool = False) -> BacktestOverfitting:
    """Choose the best trial on every half of the stretches of time, and rank it on the other half.

    Parameters
    ----------
    performance : array of float, shape (S, m)
        Mean performance (return, IC contribution) of m trials in S successive stretches of equal length; S even, 4 to
        16, m at least 2. Leave out the rows whose labels reach into the next stretch.
    either_sign : bool, default False
        A trial may be turned round: the largest absolute value is best in sample, and its sign there is kept out of
        sample.

    Returns
    -------
    BacktestOverfitting

    Raises
    ------
    ConfigError
        S is odd, below 4 or above 16 (12,870 splits).
    DataError
        Fewer than two trials, or a value is not finite.

    References
    ----------
    Bailey, Borwein, Lopez de Prado and Zhu (2017), "The probability of backtest overfitting", Journal of
    Computational Finance 20.

    Examples
    --------
    >>> skill = np.tile([0.1, 0.0, -0.1], (6, 1)) + np.random.default_rng(0).normal(0, 0.02, (6, 3))
    >>> backtest_overfitting(skill).probability
    0.0
    """
    table = finite_matrix(performance, "performance")
    stretches, trials = table.shape
    if stretches % 2 or not 4 <= stretches <= 16:
        raise ConfigError(f"performance had {stretches} stretches", hint="use an even number from 4 to 16")
    if trials < 2:
        raise DataError(f"performance had {trials} trials", hint="a choice needs at least 2")
    halves = list(combinations(range(stretches), stretches // 2))
    chosen = np.zeros((len(halves), stretches))
    for row, half in enumerate(halves):
        chosen[row, list(half)] = 2 / stretches
    inside, outside = chosen @ table, (2 / stretches - chosen) @ table
    if either_sign:
        outside, inside = outside * np.where(inside < 0, -1.0, 1.0), np.abs(inside)
    place = np.arange(len(halves))
    best = inside.argmax(axis=1)
    won, kept = inside[place, best], outside[place, best]
    # Relative rank of the chosen trial, ties in the middle; below one half it is worse than the median.
    rank = (outside < kept[:, None]).sum(axis=1) + 0.5 * ((outside == kept[:, None]).sum(axis=1) + 1)
    relative = rank / (trials + 1)
    return BacktestOverfitting(
        float((relative < 0.5).mean() + 0.5 * (relative == 0.5).mean()),
        float(np.median(won)),
        float(np.median(kept)),
        float((kept <= 0).mean()),
        math.comb(stretches, stretches // 2),
        trials,
    )
