"""Regimes of a bucket frame: causal states that gate experts and slice evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import ConfigError, DataError, did_you_mean
from marketprism.labels.forward import SERIES_KEY, require_columns, series_rows
from marketprism.labels.past_quantiles import past_levels
from marketprism.labels.state_inputs import bucket_returns, stretches
from marketprism.labels.transforms import rolling_mean

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "Regime",
    "funding_open_interest_regime",
    "jump_share",
    "jump_share_regime",
    "spread_regime",
    "volatility_intensity_regime",
]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]
_HALF = (0.5,)
_THIRDS = (1 / 3, 2 / 3)


@dataclass(frozen=True)
class Regime:
    """A state for each row of a bucket frame, known with the row.

    Attributes
    ----------
    name : str
        What it is a regime of.
    states : tuple of str
        Names of the states; code k is ``states[k]``.
    codes : ndarray of int64, shape (n,)
        State of each row, -1 where unknown.
    """

    name: str
    states: tuple[str, ...]
    codes: _Ints

    def mask(self, state: str) -> npt.NDArray[np.bool_]:
        """Return where the state holds: a gate for an expert, or a slice of an evaluation. Unknown is False.

        Raises
        ------
        ConfigError
            The regime has no such state.
        """
        if state not in self.states:
            raise ConfigError(f"regime {self.name} has no state {state!r}", hint=did_you_mean(state, self.states))
        return np.asarray(self.codes == self.states.index(state))

    def masks(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Return the mask of every state, and ``unknown`` where rows are unknown: together each row exactly once."""
        result = {state: self.mask(state) for state in self.states}
        if (self.codes < 0).any():
            result["unknown"] = self.codes < 0
        return result

    def names(self) -> list[str | None]:
        """Return the state name of each row, None where unknown."""
        return [self.states[code] if code >= 0 else None for code in self.codes.tolist()]

    def cross(self, other: Regime) -> Regime:
        """Return the regime of both at once: ``a/b``; unknown where either is.

        Raises
        ------
        DataError
            They have different numbers of rows.
        """
        if self.codes.shape != other.codes.shape:
            raise DataError(f"regimes had {self.codes.size} and {other.codes.size} rows", hint="use one frame")
        states = tuple(f"{one}/{two}" for one in self.states for two in other.states)
        both = (self.codes >= 0) & (other.codes >= 0)
        codes = np.where(both, self.codes * len(other.states) + other.codes, -1)
        return Regime(f"{self.name} x {other.name}", states, codes)


def volatility_intensity_regime(
    frame: pl.DataFrame,
    volatility: str = "realised_vol_20_buckets",
    intensity: str = "trade_intensity_20_buckets",
    window: int = 2000,
    least: int = 50,
) -> Regime:
    """Calm or volatile, slow or busy: each against the median of its own past.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket rows with the two columns.
    volatility, intensity : str
        Columns, any unit.
    window, least : int
        Earlier values behind the median, at most and at least, series by series.
    """
    one = _against_past("volatility", frame, volatility, ("calm", "volatile"), _HALF, window, least)
    return one.cross(_against_past("intensity", frame, intensity, ("slow", "busy"), _HALF, window, least))


def spread_regime(frame: pl.DataFrame, window: int = 2000, least: int = 50) -> Regime:
    """State of the spread at the end of the bucket: one tick, usual, or wide against its past thirds.

    ``one_tick`` needs no history; above it, ``wide`` is above the upper third of the past spreads, else ``usual``.
    Unknown where the book was invalid.
    """
    require_columns(frame, (*SERIES_KEY, "bucket_id", "spread_last_ticks"))
    ticks = frame["spread_last_ticks"].fill_null(-1).to_numpy().astype(np.float64)
    levels = _levels(frame, np.where(ticks > 0, ticks, np.nan), _THIRDS[1:], window, least)
    codes = np.where(ticks == 1, 0.0, 1.0 + levels)
    return Regime("spread", ("one_tick", "usual", "wide"), _codes(np.where(ticks > 0, codes, np.nan)))


def funding_open_interest_regime(
    frame: pl.DataFrame,
    funding: str = "funding_rate",
    open_interest: str = "open_interest",
    steps: int = 20,
    window: int = 2000,
    least: int = 50,
) -> Regime:
    """Funding (low, middle or high third of its past) crossed with open interest falling or rising.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket rows with the two columns, as last known at each row.
    funding, open_interest : str
        Columns.
    steps : int
        Buckets over which open interest is compared, inside a stretch.
    window, least : int
        As in :func:`volatility_intensity_regime`.
    """
    if steps < 1:
        raise ConfigError(f"steps was {steps}", hint="it must be at least 1")
    thirds = ("funding_low", "funding_middle", "funding_high")
    one = _against_past("funding", frame, funding, thirds, _THIRDS, window, least)
    held, numbers, change = _column(frame, open_interest), stretches(frame), np.full(frame.height, np.nan)
    for rows in series_rows(frame).values():
        before, after = rows[:-steps], rows[steps:]
        change[after] = np.where(numbers[before] == numbers[after], held[after] - held[before], np.nan)
    rising = np.where(np.isnan(change), np.nan, (change > 0).astype(np.float64))
    return one.cross(Regime("open interest", ("oi_falling", "oi_rising"), _codes(rising)))


def jump_share(frame: pl.DataFrame, window: int = 50) -> _Floats:
    """Share of realised variance that came from jumps, over the last buckets of the stretch.

    ``max(0, 1 - (pi/2) w/(w-1) sum |r_i| |r_{i-1}| / sum r_i^2)`` over ``window`` one-bucket log returns
    (Barndorff-Nielsen and Shephard 2004, bipower variation).

    Returns
    -------
    ndarray of shape (n,)
        0 to 1; 0 where nothing moved; NaN until the window is full.
    """
    if window < 3:
        raise ConfigError(f"window was {window}", hint="it must be at least 3")
    returns, numbers, result = bucket_returns(frame, "raw"), stretches(frame), np.full(frame.height, np.nan)
    for rows in series_rows(frame).values():
        size = np.abs(returns[rows])
        pairs = np.append(np.nan, size[1:] * size[:-1])
        bipower = 0.5 * np.pi * rolling_mean(pairs, window - 1, numbers[rows])
        variance = rolling_mean(size**2, window, numbers[rows])
        smooth = np.divide(bipower, variance, out=np.ones(size.size), where=variance > 0)
        result[rows] = np.where(np.isfinite(variance), np.clip(1.0 - smooth, 0.0, 1.0), np.nan)
    return result


def jump_share_regime(
    frame: pl.DataFrame, window: int = 50, threshold: float | None = None, past: int = 2000, least: int = 50
) -> Regime:
    """Return where jumps dominate: ``jump_share`` above ``threshold``, or above the upper third of its past.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket rows.
    window : int
        Buckets behind the share.
    threshold : float, optional
        Fixed share instead of the past's.
    past, least : int
        Earlier values behind the upper third, at most and at least.
    """
    share = jump_share(frame, window)
    if threshold is None:
        levels = _levels(frame, share, _THIRDS[1:], past, least)
    else:
        levels = np.where(np.isnan(share), np.nan, (share > threshold).astype(np.float64))
    return Regime("jump share", ("smooth", "jumpy"), _codes(levels))


def _against_past(
    name: str,
    frame: pl.DataFrame,
    column: str,
    states: tuple[str, ...],
    shares: Sequence[float],
    window: int,
    least: int,
) -> Regime:
    return Regime(name, states, _codes(_levels(frame, _column(frame, column), shares, window, least)))


def _column(frame: pl.DataFrame, column: str) -> _Floats:
    require_columns(frame, (*SERIES_KEY, "bucket_id", column))
    return frame[column].cast(float).fill_null(float("nan")).to_numpy()


def _levels(frame: pl.DataFrame, values: _Floats, shares: Sequence[float], window: int, least: int) -> _Floats:
    result = np.full(frame.height, np.nan)
    for rows in series_rows(frame).values():
        result[rows] = past_levels(values[rows], shares, window, least)
    return result


def _codes(levels: _Floats) -> _Ints:
    return np.where(np.isnan(levels), -1, np.nan_to_num(levels)).astype(np.int64)
