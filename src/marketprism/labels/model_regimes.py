"""Regimes found by a hidden Markov or jump model in any columns: volatility index, funding, ratios, factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from marketprism.core.errors import ConfigError, DataError
from marketprism.labels.regimes import Regime
from marketprism.labels.state_frames import walk_forward_states
from marketprism.labels.state_quality import NO_STATE

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SLOW_INPUTS", "model_regime"]

SLOW_INPUTS = ("volatility_index", "funding_rate", "open_interest", "long_short_ratio", "taker_ratio", "basis_bps")
"""Columns of slow data that :func:`model_regime` takes by default, those that a frame has."""


def model_regime(
    frame: pl.DataFrame,
    columns: Sequence[str] | None = None,
    *,
    method: Literal["jump", "sparse_jump", "hmm"] = "hmm",
    n_states: int = 2,
    jump_penalty: float = 50.0,
    refits: int = 4,
    filter_window: int | None = 60,
    seed: int = 0,
) -> Regime:
    """Split a frame into regimes by a model of any of its columns, each row by a model fitted on earlier rows only.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket rows; each series is fitted by itself. Slow data must stand in it as last known at ``ts_known``.
    columns : sequence of str, optional
        Inputs; by default those of ``SLOW_INPUTS`` that the frame has.
    method : {"jump", "sparse_jump", "hmm"}
        Model, see :class:`~marketprism.labels.TrendStates`; no quality gates: they are made for trends.
    n_states : {2, 3}
        Regimes.
    jump_penalty, filter_window, seed
        As in :class:`~marketprism.labels.TrendStates`.
    refits : int
        Stretches that get regimes; the one before the first is unknown.

    Returns
    -------
    Regime
        States by increasing mean return (by volatility, where the mean returns are alike), so that their names mean
        the same after every refit: ``low`` and ``high``, with ``middle`` between for three. Unknown before the first
        fit and where inputs are missing.

    Raises
    ------
    ConfigError
        A parameter is out of range.
    DataError
        A column is missing, or the frame has none of ``SLOW_INPUTS``.
    """
    from marketprism.labels.trend_states import TrendStates

    if method not in {"jump", "sparse_jump", "hmm"}:
        raise ConfigError(f"method was {method!r}", hint="expected 'jump', 'sparse_jump' or 'hmm'")
    names = tuple(columns) if columns is not None else tuple(name for name in SLOW_INPUTS if name in frame.columns)
    if not names:
        raise DataError("no input columns", hint=f"name some, or add one of {', '.join(SLOW_INPUTS)}")
    model = TrendStates(
        method,
        n_states,
        jump_penalty,
        neutral_gate=0.0,
        filter_window=filter_window,
        refuse=False,
        folds=1,
        n_init=1,
        seed=seed,
    )
    codes = walk_forward_states(frame, model, names, refits=refits).codes
    states = ("low", "high") if n_states == 2 else ("low", "middle", "high")
    place = {-1: 0, 0: 1, 1: len(states) - 1}
    numbers = np.full(codes.size, -1, np.int64)
    for code, number in place.items():
        numbers[codes == code] = number
    # Two states without a gate leave the neutral code to exact ties only.
    unknown = (codes == NO_STATE) | ((codes == 0) & (n_states == 2))
    return Regime(f"{method} of {', '.join(names)}", states, np.where(unknown, -1, numbers))
