"""The same labels on the mid, the micro-price and the trade price, side by side: bounce shows only in the last."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from marketprism.labels._assemble import tapes
from marketprism.labels.config import LabelConfig
from marketprism.labels.forward import make_labels, require_columns
from marketprism.labels.labelset import LabelSet

if TYPE_CHECKING:
    import polars as pl

__all__ = ["TARGET_COLUMNS", "price_bounce", "price_targets"]

TARGET_COLUMNS = {"mid": "mid_last", "micro": "microprice", "trade": "close"}
"""Targets and the bucket columns that they use: last mid, micro-price, last trade of the bucket."""


def price_targets(frame: pl.DataFrame, config: LabelConfig | None = None) -> dict[str, LabelSet]:
    """Build the label sets of the mid, the micro-price and the last trade price, where their columns are there.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket rows with ``mid_last``; ``microprice`` and ``close`` where wanted.
    config : LabelConfig, optional
        As for :func:`~marketprism.labels.make_labels`; fixed-time horizons use bucket ends.

    Returns
    -------
    dict of str to LabelSet
        ``mid``, ``micro``, ``trade``: same rows and horizons, different hashes, so that no model mixes them up.
    """
    result = {}
    for name, column in TARGET_COLUMNS.items():
        if name == "mid" or column in frame.columns:
            require_columns(frame, (column,))
            labels = make_labels(frame.with_columns(mid_last=column), config)
            result[name] = labels if name == "mid" else dataclasses.replace(labels, mid_source=f"bucket_ends:{column}")
    return result


def price_bounce(frame: pl.DataFrame) -> dict[str, float]:
    """First autocorrelation of the one-bucket log return of each target, within stretches, over all series.

    Clearly negative for ``trade`` alone is bounce between bid and ask: what a model earns on that target is not there
    to be earned.

    Returns
    -------
    dict of str to float
        For each target of the frame; NaN where it has fewer than three neighbouring pairs or is constant.
    """
    result = {}
    for name, column in TARGET_COLUMNS.items():
        if column not in frame.columns:
            continue
        firsts, seconds = [], []
        for tape in tapes(frame, column):
            moves = np.diff(tape.logs)
            moves[np.diff(tape.stretch) != 0] = np.nan
            firsts.append(moves[:-1])
            seconds.append(moves[1:])
        one, two = np.concatenate(firsts), np.concatenate(seconds)
        use = np.isfinite(one) & np.isfinite(two)
        one, two = one[use], two[use]
        varies = one.size >= 3 and one.std() > 0 and two.std() > 0
        result[name] = float(np.corrcoef(one, two)[0, 1]) if varies else float("nan")
    return result
