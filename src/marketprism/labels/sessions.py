"""Trading sessions of the day (Asia, Europe, US), and standardisation of factors within them, from the past only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from numba import njit

from marketprism.core.errors import ConfigError
from marketprism.core.timebase import NS
from marketprism.labels.forward import SERIES_KEY, require_columns, series_rows
from marketprism.labels.regimes import Regime

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SESSION_STARTS", "session_regime", "standardise_by_session"]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]

SESSION_STARTS = {"asia": 0.0, "europe": 7.0, "us": 13.5}
"""First UTC hour of each session; each lasts until the next one starts. Summer time is not followed."""


def session_regime(frame: pl.DataFrame, starts: Mapping[str, float] | None = None) -> Regime:
    """Return the session of each bucket, by the time at which it was known.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket rows with ``ts_known`` (ns UTC).
    starts : mapping of str to float, optional
        Session names and their first UTC hours, increasing, 0 to below 24; hours before the first belong to the last.

    Raises
    ------
    ConfigError
        The hours do not increase within a day.
    """
    starts = SESSION_STARTS if starts is None else starts
    hours = np.array(list(starts.values()), np.float64)
    if hours.size == 0 or not ((hours >= 0) & (hours < 24)).all() or (np.diff(hours) <= 0).any():
        raise ConfigError(f"session starts were {dict(starts)}", hint="give increasing hours from 0 to below 24")
    require_columns(frame, ("ts_known",))
    hour = (frame["ts_known"].to_numpy() % (86400 * NS)) / (3600 * NS)
    codes = (np.searchsorted(hours, hour, side="right") - 1) % hours.size
    return Regime("session", tuple(starts), codes.astype(np.int64))


def standardise_by_session(
    frame: pl.DataFrame,
    columns: Sequence[str],
    half_life: float = 500.0,
    least: int = 30,
    starts: Mapping[str, float] | None = None,
) -> pl.DataFrame:
    """Standardise columns by the mean and deviation of earlier rows of the same series and session.

    ``z_t = (x_t - m_{t-1}) / s_{t-1}``, exponentially weighted over the rows of the session before row t, so that a
    busy session is compared with itself.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket rows, any number of series.
    columns : sequence of str
        What to standardise.
    half_life : float
        In rows of the session.
    least : int
        Earlier rows of the session that must be known; at least 2.
    starts : mapping of str to float, optional
        As in :func:`session_regime`.

    Returns
    -------
    polars.DataFrame
        Row for row as ``frame``, the same columns; null where the value is missing, too few rows are known, or they
        were all equal.
    """
    import polars as pl

    if not half_life > 0 or least < 2:
        raise ConfigError(f"half_life was {half_life} and least {least}", hint="half_life above 0, least at least 2")
    require_columns(frame, (*SERIES_KEY, "bucket_id", *columns))
    session = session_regime(frame, starts)
    groups = series_rows(frame)
    result = {}
    for name in columns:
        x = frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        z = np.full(frame.height, np.nan)
        for rows in groups.values():
            z[rows] = _standardise(x[rows], session.codes[rows], len(session.states), 0.5 ** (1.0 / half_life), least)
        result[name] = pl.Series(z).fill_nan(None)
    return pl.DataFrame(result)


@njit(cache=True)
def _standardise(x: _Floats, session: _Ints, sessions: int, decay: float, least: int) -> _Floats:
    result = np.full(x.size, np.nan)
    mean, square, weight = np.zeros(sessions), np.zeros(sessions), np.zeros(sessions)
    count = np.zeros(sessions, np.int64)
    for i in range(x.size):
        s = session[i]
        if not np.isfinite(x[i]):
            continue
        if count[s] >= least and square[s] > 0:
            result[i] = (x[i] - mean[s]) / np.sqrt(square[s] / weight[s])
        # Weighted Welford: no cancellation however large the mean.
        weight[s] = decay * weight[s] + 1.0
        gap = x[i] - mean[s]
        mean[s] += gap / weight[s]
        square[s] = decay * square[s] + gap * (x[i] - mean[s])
        count[s] += 1
    return result
