"""Many tests at once: p-values adjusted for how many there were."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import DataError
from marketprism.evaluate.arrays import finite_vector

__all__ = ["benjamini_hochberg", "bonferroni", "holm"]

_Floats = npt.NDArray[np.float64]


def _checked(p_values: npt.ArrayLike) -> _Floats:
    p = finite_vector(p_values, "p_values")
    wrong = (p < 0) | (p > 1)
    if wrong.any():
        raise DataError(f"p-value was {p[wrong][0]}", hint="expected numbers in [0, 1]")
    return p


def bonferroni(p_values: npt.ArrayLike) -> _Floats:
    """Bonferroni's p-values ``min(1, m p)``: family-wise error under any dependence.

    Parameters
    ----------
    p_values : array of float, shape (m,)
        All tests that were made, not only those that look good.

    Returns
    -------
    ndarray of shape (m,)
        Reject where at most the wanted level.

    Examples
    --------
    >>> bonferroni([0.01, 0.02, 0.5])
    array([0.03, 0.06, 1.  ])
    """
    p = _checked(p_values)
    return np.minimum(1.0, p.size * p)


def holm(p_values: npt.ArrayLike) -> _Floats:
    """Holm's step-down p-values: family-wise error under any dependence, never weaker than Bonferroni.

    With p sorted, ``max_{j <= i} min(1, (m - j + 1) p_j)``, j from 1.

    References
    ----------
    Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6(2).

    Examples
    --------
    >>> holm([0.01, 0.02, 0.5])
    array([0.03, 0.04, 0.5 ])
    """
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")
    result = np.empty_like(p)
    result[order] = np.maximum.accumulate(np.minimum(1.0, (p.size - np.arange(p.size)) * p[order]))
    return result


def benjamini_hochberg(p_values: npt.ArrayLike, *, dependent: bool = False) -> _Floats:
    """Step-up p-values ("q-values") that bound the share of false discoveries.

    With p sorted, ``min_{j >= i} min(1, m p_j / j)``, j from 1.

    Parameters
    ----------
    p_values : array of float, shape (m,)
        All tests that were made.
    dependent : bool, default False
        Valid under any dependence (Benjamini and Yekutieli): times ``1 + 1/2 + ... + 1/m``. Without it, independent
        or positively dependent tests are assumed.

    References
    ----------
    Benjamini and Hochberg (1995), JRSS B 57(1); Benjamini and Yekutieli (2001), Annals of Statistics 29(4).

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.02, 0.5])
    array([0.03, 0.03, 0.5 ])
    """
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(_checked(p_values), method="by" if dependent else "bh"))
