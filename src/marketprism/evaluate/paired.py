"""ICs of one score with several returns over the same rows, resampled together so that they can be compared."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import DataError
from marketprism.evaluate.bootstrap import BlockPlan, interval, resample_sums
from marketprism.evaluate.metric import ENOUGH_BLOCKS, ENOUGH_ROWS, Metric

__all__ = ["PairedInformation", "paired_information"]

_Floats = npt.NDArray[np.float64]


class PairedInformation(NamedTuple):
    """ICs with the same replications.

    Attributes
    ----------
    metrics : tuple of Metric
        One a return.
    samples : ndarray of shape (replications, d)
        Resampled ICs; a row is one replication of all of them.
    """

    metrics: tuple[Metric, ...]
    samples: _Floats

    @property
    def values(self) -> _Floats:
        """ICs, shape (d,)."""
        return np.array([metric.value for metric in self.metrics])


def paired_information(score: _Floats, returns: _Floats, plan: BlockPlan, level: float = 0.95) -> PairedInformation:
    """Pearson correlation of a score with each column of ``returns``, by one bootstrap plan.

    Parameters
    ----------
    score : ndarray of shape (n,)
        Finite.
    returns : ndarray of shape (n, d)
        Finite.
    plan : BlockPlan
        Over n rows.
    level : float, default .95
        Coverage of the intervals.

    Returns
    -------
    PairedInformation
        NaN where the score or a return is constant.

    Raises
    ------
    DataError
        Shapes differ.

    Examples
    --------
    >>> from marketprism.evaluate.bootstrap import plan_blocks
    >>> x = np.random.default_rng(0).normal(size=300)
    >>> paired_information(x, np.column_stack((x, -x)), plan_blocks(300, 5, 100, 0)).values.round(6).tolist()
    [1.0, -1.0]
    """
    if returns.ndim != 2 or score.shape != returns.shape[:1] or score.size != plan.n:
        raise DataError(
            f"score had shape {score.shape}, returns {returns.shape}, the plan {plan.n} rows", hint="align the rows"
        )
    x, y, n = _standard(score[:, None]), _standard(returns), plan.n
    columns = np.column_stack((x, x * x, y, y * y, x * y))
    values, samples = _correlations(columns.sum(axis=0), n), _correlations(resample_sums(columns, plan), n)
    few = n < ENOUGH_ROWS or plan.blocks < ENOUGH_BLOCKS
    note = f"few samples: {n} rows in {plan.blocks} blocks, not evidence" if few else ""
    metrics = []
    for value, sample in zip(values.tolist(), samples.T, strict=True):
        low, high = interval(value, sample, plan.blocks, level)
        metrics.append(Metric(value=value, low=low, high=high, n=n, blocks=plan.blocks, null=0.0, note=note))
    return PairedInformation(tuple(metrics), samples)


def _standard(values: _Floats) -> _Floats:
    spread = values.std(axis=0)
    flat = spread <= 1e-12 * np.abs(values).max(axis=0, initial=0.0)
    return np.where(flat, 0.0, (values - values.mean(axis=0)) / np.where(flat, 1.0, spread))


def _correlations(sums: _Floats, n: int) -> _Floats:
    x, xx = sums[..., :1], sums[..., 1:2]
    y, yy, xy = np.split(sums[..., 2:], 3, axis=-1)
    variance = (xx - x * x / n) * (yy - y * y / n)
    safe = variance > 1e-24 * n * n
    return np.where(safe, (xy - x * y / n) / np.sqrt(np.where(safe, variance, 1.0)), np.nan)
