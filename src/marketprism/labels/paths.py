"""Labels of the path ahead: smoothed changes, triple barriers with meta-labels, and the shape of the path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import ConfigError, DataError
from marketprism.labels._assemble import Span, Tape, end_columns, tapes, to_label_set
from marketprism.labels._path_kernels import first_touch, path_shape, smoothed_change
from marketprism.labels.forward import SERIES_KEY
from marketprism.labels.labelset import LabelSet
from marketprism.labels.transforms import ewma

if TYPE_CHECKING:
    import polars as pl

__all__ = ["PATH_NAMES", "meta_labels", "past_volatility", "path_labels", "smoothed_labels", "triple_barrier_labels"]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]

PATH_NAMES = {-2: "inverted_v", -1: "monotone_down", 0: "oscillating", 1: "monotone_up", 2: "v"}
"""Codes of :func:`path_labels`; a path without any move is oscillating."""


def smoothed_labels(
    frame: pl.DataFrame, steps: int = 10, threshold: float = 1e-4, *, past: int | None = None, price: str = "mid_last"
) -> LabelSet:
    """Three classes from smoothed prices, as in DeepLOB: mean of the next k mids against the mean of the last k.

    ``change = log(mean(m_{t+1..t+k}) / mean(m_{t-p+1..t}))``; up above ``threshold``, down below minus it, else flat.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket rows, any number of series.
    steps : int
        k, in buckets.
    threshold : float
        Relative change, positive.
    past : int, optional
        p: ``steps`` by default (Zhang, Zohren and Roberts 2019); 1 compares with the mid itself (Ntakaris et al.).
    price : str
        Column of the price.

    Returns
    -------
    LabelSet
        Scheme ``raw``, horizon ``{steps}_buckets``; the label ends with its last bucket. Undefined where a mid of
        either window is missing or lies beyond a gap.

    Notes
    -----
    The change contains past moves: a model that only repeats the recent trend scores on it. Judge P&L on
    :func:`~marketprism.labels.make_labels` returns.
    """
    past = steps if past is None else past
    _positive(steps=steps, past=past, threshold=threshold)
    span = Span.empty(frame.height)
    for tape in tapes(frame, price):
        change = np.asarray(smoothed_change(np.exp(tape.logs), tape.stretch, steps, past))
        target = np.where(np.isfinite(change), np.arange(change.size) + steps, -1)
        classes = (change > threshold).astype(np.int64) - (change < -threshold)
        span.put(tape, target, change, classes, np.full(change.size, threshold))
    return to_label_set(frame, span, steps, f"smoothed:{price}:{past}:{threshold!r}")


def past_volatility(frame: pl.DataFrame, span: int = 100, least: int = 20, price: str = "mid_last") -> _Floats:
    """Exponentially weighted root-mean-square one-bucket log return, from moves up to the row's own.

    Returns
    -------
    ndarray of shape (n,)
        NaN until ``least`` moves of the stretch are known.
    """
    _positive(span=span, least=least)
    result = np.full(frame.height, np.nan)
    for tape in tapes(frame, price):
        moves = np.append(np.nan, np.diff(tape.logs))
        moves[1:][np.diff(tape.stretch) != 0] = np.nan
        known = np.isfinite(moves)
        before = np.cumsum(known)
        starts = np.flatnonzero(np.append(True, np.diff(tape.stretch) != 0))
        base = np.repeat(before[starts] - known[starts], np.diff(np.append(starts, moves.size)))
        scale = np.sqrt(ewma(moves**2, span, tape.stretch))
        result[tape.rows] = np.where(before - base >= least, scale, np.nan)
    return result


def triple_barrier_labels(
    frame: pl.DataFrame,
    steps: int = 10,
    upper: float = 1.0,
    lower: float = 1.0,
    *,
    volatility: npt.ArrayLike | None = None,
    price: str = "mid_last",
) -> LabelSet:
    """Which barrier the price meets first: profit (1), loss (-1) or the time limit (0).

    The barriers of a row lie ``upper`` and ``lower`` times ``volatility * sqrt(steps)`` above and below its log price;
    touches are seen at bucket ends only.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket rows, any number of series.
    steps : int
        Time limit in buckets.
    upper, lower : float
        Barrier distances, positive.
    volatility : array-like of shape (n,), optional
        One-bucket volatility known at each row; :func:`past_volatility` by default.
    price : str
        Column of the price.

    Returns
    -------
    LabelSet
        Scheme ``raw``, horizon ``{steps}_buckets``; ``return_`` is the log return to the touch, ``threshold_`` the
        upper distance, and the label ends with the bucket that touched. Undefined where the stretch ends first.

    Notes
    -----
    Lopez de Prado (2018), chapter 3.
    """
    _positive(steps=steps, upper=upper, lower=lower)
    span, scale = Span.empty(frame.height), _volatility(frame, volatility, price)
    for tape in tapes(frame, price):
        distance = scale[tape.rows] * np.sqrt(steps)
        target, side, returns = _touch(tape, distance * upper, distance * lower, steps)
        span.put(tape, target, returns, side, distance * upper)
    kind = "own" if volatility is None else "given"
    return to_label_set(frame, span, steps, f"triple_barrier:{price}:{upper!r}:{lower!r}:{kind}")


def meta_labels(
    frame: pl.DataFrame,
    side: npt.ArrayLike,
    steps: int = 10,
    profit: float = 1.0,
    loss: float = 1.0,
    *,
    cost: float = 0.0,
    volatility: npt.ArrayLike | None = None,
    price: str = "mid_last",
) -> LabelSet:
    """Whether following a primary signal would have paid: 1 if its trade earns more than ``cost``, else 0.

    The trade of a row ends at its profit barrier, its loss barrier (both on its own side) or the time limit.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket rows, any number of series.
    side : array-like of shape (n,)
        1 long, -1 short, 0 or NaN no trade: no label.
    steps : int
        Time limit in buckets.
    profit, loss : float
        Barrier distances in units of ``volatility * sqrt(steps)``, positive.
    cost : float
        Round-trip cost as a log return.
    volatility, price
        As in :func:`triple_barrier_labels`.

    Returns
    -------
    LabelSet
        ``return_`` is the log return of the trade before cost, ``class_`` 0 or 1, ``threshold_`` the cost.

    Raises
    ------
    DataError
        ``side`` has another length or other values.
    """
    _positive(steps=steps, profit=profit, loss=loss)
    sides = np.nan_to_num(np.asarray(side, np.float64))
    if sides.shape != (frame.height,) or not np.isin(sides, (-1, 0, 1)).all():
        raise DataError(f"side had shape {sides.shape}", hint="pass -1, 0 or 1 for each row")
    span, scale = Span.empty(frame.height), _volatility(frame, volatility, price)
    for tape in tapes(frame, price):
        distance, signs = scale[tape.rows] * np.sqrt(steps), sides[tape.rows]
        up = np.where(signs > 0, profit, loss) * np.where(signs == 0, np.nan, distance)
        down = np.where(signs > 0, loss, profit) * distance
        target, _, moves = _touch(tape, up, down, steps)
        returns = signs * moves
        span.put(tape, target, returns, (returns > cost).astype(np.int64), np.full(signs.size, cost))
    kind = "own" if volatility is None else "given"
    return to_label_set(frame, span, steps, f"meta:{price}:{profit!r}:{loss!r}:{cost!r}:{kind}")


def path_labels(frame: pl.DataFrame, steps: int = 10, share: float = 0.6, *, price: str = "mid_last") -> pl.DataFrame:
    """Shape of the path over the next buckets: monotone up or down, V, inverted V, or oscillating.

    With T the sum of absolute moves: monotone where the net move is at least ``share * T``; else V (inverted V) where
    the way down to the lowest and up again (up to the highest and down again) is; else oscillating.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket rows, any number of series.
    steps : int
        Buckets ahead, at least 2.
    share : float
        Share of all movement that the shape must explain, above 0 and at most 1.
    price : str
        Column of the price.

    Returns
    -------
    polars.DataFrame
        Row for row as ``frame``: series key, ``bucket_id``, ``segment``, ``ts_end``, ``ts_known``, ``path_H`` (codes
        of ``PATH_NAMES``), ``path_share_H``, ``label_end_ts_H``, ``label_known_ts_H``; null where a price is missing
        or the stretch ends first.
    """
    import polars as pl

    if steps < 2:
        raise ConfigError(f"steps was {steps}", hint="a shape needs at least 2 moves")
    if not 0 < share <= 1:
        raise ConfigError(f"share was {share}", hint="it must be above 0 and at most 1")
    span = Span.empty(frame.height)
    for tape in tapes(frame, price):
        shape, explained = path_shape(tape.logs, tape.stretch, steps, share)
        target = np.where(shape > -128, np.arange(shape.size) + steps, -1)
        span.put(tape, target, explained, shape, np.zeros(shape.size))
    name = f"{steps}_buckets"
    return frame.select(*SERIES_KEY, "bucket_id", "segment", "ts_end", "ts_known").with_columns(
        **{
            f"path_{name}": pl.Series(span.classes.astype(np.int8)).replace(-128, None),
            f"path_share_{name}": pl.Series(span.returns).fill_nan(None),
            **end_columns(name, span.end, span.known),
        }
    )


def _touch(tape: Tape, above: _Floats, below: _Floats, steps: int) -> tuple[_Ints, _Ints, _Floats]:
    target, side = first_touch(tape.logs, tape.stretch, above, below, steps)
    return target, side, np.where(target >= 0, tape.logs[target] - tape.logs, np.nan)


def _volatility(frame: pl.DataFrame, given: npt.ArrayLike | None, price: str) -> _Floats:
    if given is None:
        return past_volatility(frame, price=price)
    values = np.array(given, np.float64)
    if values.shape != (frame.height,):
        raise DataError(f"volatility had shape {values.shape}", hint=f"the frame has {frame.height} rows")
    return np.where(values > 0, values, np.nan)


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ConfigError(f"{name} was {value}", hint="it must be positive")
