"""How good a state labelling is: flips, dwell times, class shares, forward information; and the gates it must pass."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError, DataError

__all__ = ["NO_STATE", "STATE_NAMES", "StateGates", "StateQuality", "state_quality"]

NO_STATE = -128
"""State code of a row about which nothing can be said."""

STATE_NAMES = {-1: "down", 0: "neutral", 1: "up"}
"""State codes and their names; ordered by mean return, so a code means the same after every refit."""

HORIZONS = (1, 2, 3)
"""Horizons, in buckets, of the forward information coefficient."""


class StateGates(Config, frozen=True):
    """What a state labelling must reach to be used.

    Parameters
    ----------
    max_flips_per_100 : float
        Changes of state per 100 buckets must be below it.
    min_mean_dwell, min_p90_dwell : float
        Mean and 90th percentile of the dwell time, in buckets, must be at least these.
    min_forward_ic : float
        Mean forward information coefficient over 1, 2 and 3 buckets must be at least this.
    max_class_share : float
        No state may hold a larger share of the rows.
    """

    max_flips_per_100: float = 5.0
    min_mean_dwell: float = 10.0
    min_p90_dwell: float = 25.0
    min_forward_ic: float = 0.03
    max_class_share: float = 0.8

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if math.isnan(getattr(self, name)):
                raise ConfigError(f"{name} was NaN", hint="give a number")
        if not 0 < self.max_class_share <= 1:
            raise ConfigError(f"max_class_share was {self.max_class_share}", hint="it is a share: above 0, at most 1")


@dataclass(frozen=True)
class StateQuality:
    """Measured quality of a state labelling.

    Attributes
    ----------
    rows : int
        Rows with a state.
    flips_per_100 : float
        Changes of state between neighbouring rows of one segment, per 100 rows with a state.
    mean_dwell, p90_dwell : float
        Dwell times in buckets. Stays cut off by the end of a segment count with the length seen.
    shares : dict of str to float
        Share of each state: ``down``, ``neutral``, ``up``.
    forward_ic : dict of int to float
        Spearman correlation of the state with the summed return of the next 1, 2 and 3 buckets; NaN where either
        is constant or fewer than three rows are known.
    """

    rows: int
    flips_per_100: float
    mean_dwell: float
    p90_dwell: float
    shares: dict[str, float]
    forward_ic: dict[int, float]

    @property
    def mean_ic(self) -> float:
        """Mean of the forward information coefficients that are defined; NaN without any."""
        known = [value for value in self.forward_ic.values() if math.isfinite(value)]
        return float(np.mean(known)) if known else math.nan

    def failures(self, gates: StateGates) -> tuple[str, ...]:
        """Return one sentence for each gate that is not passed; a NaN passes none.

        Examples
        --------
        >>> state_quality([1, -1, 1, -1], [0.0] * 4).failures(StateGates(min_forward_ic=-1.0))[0]
        'flips per 100 buckets were 75, must be below 5'
        """
        largest = max(self.shares.values(), default=math.nan)
        checks = (
            ("flips per 100 buckets were", self.flips_per_100, "below", gates.max_flips_per_100),
            ("mean dwell was", self.mean_dwell, "at least", gates.min_mean_dwell),
            ("p90 dwell was", self.p90_dwell, "at least", gates.min_p90_dwell),
            ("mean forward IC was", self.mean_ic, "at least", gates.min_forward_ic),
            ("largest class share was", largest, "at most", gates.max_class_share),
        )
        passes = {"below": np.less, "at least": np.greater_equal, "at most": np.less_equal}
        return tuple(
            f"{text} {value:.3g}, must be {side} {bound:g}"
            for text, value, side, bound in checks
            if not passes[side](value, bound)
        )


def state_quality(states: npt.ArrayLike, returns: npt.ArrayLike, segments: npt.ArrayLike | None = None) -> StateQuality:
    """Measure a state labelling against the returns of the same rows.

    Parameters
    ----------
    states : array-like of int, shape (n,)
        -1, 0 or 1; ``NO_STATE`` rows are left out, and end a stay.
    returns : array-like of float, shape (n,)
        Return of each bucket, known with its state; only those of later rows enter the forward coefficients.
    segments : array-like of int, optional
        Nothing is compared across a change of it.

    Raises
    ------
    DataError
        Lengths differ, or a state has another code.

    Examples
    --------
    >>> quality = state_quality([1, 1, 1, -1, -1], [0.0, 1.0, 2.0, -1.0, -2.0])
    >>> quality.flips_per_100, quality.mean_dwell, quality.shares["up"]
    (20.0, 2.5, 0.6)
    """
    state, moves = np.asarray(states, np.int64), np.asarray(returns, np.float64)
    segment = np.zeros(state.size, np.int64) if segments is None else np.asarray(segments, np.int64)
    if not state.shape == moves.shape == segment.shape or state.ndim != 1:
        raise DataError(
            f"states, returns and segments had shapes {state.shape}, {moves.shape}, {segment.shape}",
            hint="pass vectors of one length",
        )
    known = state != NO_STATE
    wrong = known & (np.abs(state) > 1)
    if wrong.any():
        raise DataError(f"a state was {state[wrong][0]}", hint="states are -1, 0, 1 or NO_STATE")
    both = known[1:] & known[:-1] & (segment[1:] == segment[:-1])
    flips = both & (state[1:] != state[:-1])
    starts = np.flatnonzero(known & np.append(True, ~both | flips))
    stays = np.diff(np.append(np.cumsum(known)[starts] - 1, known.sum())) if starts.size else np.empty(0)
    rows = int(known.sum())
    return StateQuality(
        rows=rows,
        flips_per_100=100.0 * int(flips.sum()) / rows if rows else math.nan,
        mean_dwell=float(stays.mean()) if rows else math.nan,
        p90_dwell=float(np.quantile(stays, 0.9)) if rows else math.nan,
        shares={name: float((state[known] == code).mean()) for code, name in STATE_NAMES.items()} if rows else {},
        forward_ic={steps: _forward_ic(state, moves, segment, steps) for steps in HORIZONS},
    )


def _forward_ic(
    state: npt.NDArray[np.int64], moves: npt.NDArray[np.float64], segment: npt.NDArray[np.int64], steps: int
) -> float:
    from scipy.stats import rankdata

    n = state.size - steps
    if n < 3:
        return math.nan
    forward = np.zeros(n)
    unbroken = np.ones(n, np.bool_)
    for step in range(1, steps + 1):
        forward += moves[step : step + n]
        unbroken &= segment[step : step + n] == segment[:n]
    use = unbroken & (state[:n] != NO_STATE) & np.isfinite(forward)
    if use.sum() < 3:
        return math.nan
    one, other = rankdata(state[:n][use]), rankdata(forward[use])
    one, other = one - one.mean(), other - other.mean()
    scale = math.sqrt(float(one @ one) * float(other @ other))
    return float(one @ other) / scale if scale > 0 else math.nan
