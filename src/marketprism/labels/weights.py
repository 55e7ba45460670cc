"""Sample weights and soft classes: label smoothing, confidence, uniqueness of overlapping labels, and costs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import ConfigError, DataError
from marketprism.labels.labelset import NO_CLASS

__all__ = [
    "average_uniqueness",
    "combine_weights",
    "confidence_weights",
    "cost_aware_classes",
    "cost_aware_weights",
    "smooth_classes",
]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


def smooth_classes(classes: npt.ArrayLike, amount: float = 0.1, *, ordinal: bool = False) -> _Floats:
    """Turn classes into soft targets: ``1 - amount`` on the class, the rest spread over the others.

    Parameters
    ----------
    classes : array-like of int, shape (n,)
        -1, 0, 1; ``NO_CLASS`` gives NaN.
    amount : float
        Mass taken off the class, 0 to below 1.
    ordinal : bool
        Give it to neighbouring classes only: a rise is rather flat than a fall.

    Returns
    -------
    ndarray of shape (n, 3)
        Probabilities of down, flat and up.

    Examples
    --------
    >>> smooth_classes([1], 0.2).tolist()
    [[0.1, 0.1, 0.8]]
    >>> smooth_classes([1], 0.2, ordinal=True).tolist()
    [[0.0, 0.2, 0.8]]
    """
    if not 0 <= amount < 1:
        raise ConfigError(f"amount was {amount}", hint="it must be at least 0 and below 1")
    codes = np.asarray(classes, np.int64)
    known = codes != NO_CLASS
    if (known & (np.abs(codes) > 1)).any():
        raise DataError("classes held other values than -1, 0, 1", hint="pass the classes of a label set")
    half = amount / 2
    down = [1 - amount, amount, 0.0] if ordinal else [1 - amount, half, half]
    table = np.array([down, [half, 1 - amount, half], down[::-1]])
    return np.where(known[:, None], table[np.where(known, codes, 0) + 1], np.nan)


def confidence_weights(
    returns: npt.ArrayLike, threshold: npt.ArrayLike, *, floor: float = 0.1, cap: float = 1.0
) -> _Floats:
    """Weigh labels by how far their return lies from the class boundary: ``clip(||r| - h| / h, floor, cap)``.

    Parameters
    ----------
    returns, threshold : array-like of shape (n,)
        Of one horizon of a label set.
    floor, cap : float
        Bounds of the weight.

    Returns
    -------
    ndarray of shape (n,)
        NaN where the return or a positive threshold is missing.

    Examples
    --------
    >>> confidence_weights([0.0, 1.0, 1.5, 9.0], [1.0] * 4).tolist()
    [1.0, 0.1, 0.5, 1.0]
    """
    if not 0 <= floor <= cap:
        raise ConfigError(f"floor was {floor} and cap {cap}", hint="0 <= floor <= cap")
    moves, bound = np.asarray(returns, np.float64), np.asarray(threshold, np.float64)
    bound = np.where(bound > 0, bound, np.nan)
    return np.asarray(np.clip(np.abs(np.abs(moves) - bound) / bound, floor, cap))


def average_uniqueness(start: npt.ArrayLike, end: npt.ArrayLike, series: npt.ArrayLike | None = None) -> _Floats:
    """Mean over each label's span of one over the number of labels open at the time.

    Parameters
    ----------
    start, end : array-like of int, shape (n,)
        Span of each label, ns: it is open from ``start`` to before ``end``; -1 as end for no label.
    series : array-like, optional
        Labels of different series do not overlap.

    Returns
    -------
    ndarray of shape (n,)
        In (0, 1]; 1 for a label of no length; NaN without a label.

    Notes
    -----
    Lopez de Prado (2018), chapter 4, on the event clock instead of bars.

    Examples
    --------
    >>> average_uniqueness([0, 0, 10], [2, 4, 11]).tolist()
    [0.5, 0.75, 1.0]
    """
    first, last = np.asarray(start, np.int64), np.asarray(end, np.int64)
    names = np.zeros(first.size, np.int64) if series is None else np.unique(np.asarray(series), return_inverse=True)[1]
    if not first.shape == last.shape == names.shape:
        raise DataError(
            f"start, end and series had sizes {first.size}, {last.size}, {names.size}", hint="one per label"
        )
    wrong = (last != -1) & (last < first)
    if wrong.any():
        raise DataError(f"a label ended at {last[wrong][0]}, before its start", hint="pass starts and ends in order")
    result = np.full(first.size, np.nan)
    for name in range(int(names.max()) + 1 if names.size else 0):
        rows = np.flatnonzero((names == name) & (last != -1))
        result[rows] = _uniqueness(first[rows], last[rows])
    return result


def _uniqueness(first: _Ints, last: _Ints) -> _Floats:
    times = np.unique(np.concatenate((first, last)))
    opened = np.bincount(np.searchsorted(times, first), minlength=times.size)
    closed = np.bincount(np.searchsorted(times, last), minlength=times.size)
    alive = np.cumsum(opened - closed)[:-1]
    pieces = np.diff(times) * np.divide(1.0, alive, out=np.zeros(alive.size), where=alive > 0)
    area = np.append(0.0, np.cumsum(pieces))
    length = (last - first).astype(np.float64)
    shared = area[np.searchsorted(times, last)] - area[np.searchsorted(times, first)]
    return np.asarray(np.divide(shared, length, out=np.ones(length.size), where=length > 0))


def cost_aware_classes(returns: npt.ArrayLike, cost: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """Classes that pay: up above the round-trip cost, down below minus it, else flat; ``NO_CLASS`` where undefined.

    Examples
    --------
    >>> cost_aware_classes([0.3, -0.3, 0.1], 0.2).tolist()
    [1, -1, 0]
    """
    moves, charge = _with_cost(returns, cost)
    known = np.isfinite(moves) & np.isfinite(charge)
    codes = np.where(known, (moves > charge).astype(np.int8) - (moves < -charge).astype(np.int8), NO_CLASS)
    return codes.astype(np.int8)


def cost_aware_weights(returns: npt.ArrayLike, cost: npt.ArrayLike, *, floor: float = 0.1) -> _Floats:
    """Weigh labels by what a right (or wrong) trade earns (or loses) beyond its cost.

    ``w = floor + ||r| - cost| / mean(||r| - cost|)``: moves near the cost matter least, whatever their class.

    Parameters
    ----------
    returns : array-like of shape (n,)
        Raw log returns.
    cost : float or array-like of shape (n,)
        Round-trip cost as a log return: fees, spread, slippage.
    floor : float
        Weight of a move that just pays its cost.

    Returns
    -------
    ndarray of shape (n,)
        NaN where the return or cost is. The mean is over all rows given: pass training rows only.
    """
    if floor < 0:
        raise ConfigError(f"floor was {floor}", hint="it must be at least 0")
    moves, charge = _with_cost(returns, cost)
    stake = np.abs(np.abs(moves) - charge)
    known = np.isfinite(stake)
    mean = float(stake[known].mean()) if known.any() else 0.0
    return floor + (stake / mean if mean > 0 else np.where(known, 1.0, np.nan))


def combine_weights(*weights: npt.ArrayLike) -> _Floats:
    """Multiply weights and scale them to mean 1 over the rows where all are known; 0 elsewhere.

    Raises
    ------
    DataError
        A weight is negative, none is given, or all are zero.

    Examples
    --------
    >>> combine_weights([1.0, 3.0, float("nan")], [1.0, 1.0, 1.0]).tolist()
    [0.5, 1.5, 0.0]
    """
    if not weights:
        raise DataError("no weights were given", hint="pass at least one vector")
    product = np.ones(())
    for weight in weights:
        product = product * np.asarray(weight, np.float64)
    known = np.isfinite(product)
    if (product[known] < 0).any() or not product[known].sum() > 0:
        raise DataError("weights were negative or all zero", hint="pass weights of at least 0")
    return np.where(known, product / product[known].mean(), 0.0)


def _with_cost(returns: npt.ArrayLike, cost: npt.ArrayLike) -> tuple[_Floats, _Floats]:
    moves = np.asarray(returns, np.float64)
    charge = np.broadcast_to(np.asarray(cost, np.float64), moves.shape)
    if (charge < 0).any():
        raise DataError(f"a cost was {charge.min()}", hint="costs are at least 0")
    return moves, charge
