"""The label set: one row per bucket, one group of columns per horizon, one scheme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from marketprism.core.config import config_hash
from marketprism.core.errors import ConfigError, did_you_mean
from marketprism.labels.config import Horizon, LabelConfig, Scheme

if TYPE_CHECKING:
    import polars as pl

__all__ = ["NO_CLASS", "LabelSet", "LabelView"]

NO_CLASS = -128
"""Class code of an unlabelled row in :class:`LabelView` (null in the frame)."""


class LabelView(NamedTuple):
    """Columns of one horizon as arrays, aligned with the rows of the label set."""

    horizon: Horizon
    scheme: Scheme
    returns: npt.NDArray[np.float64]
    """Log return (raw) or log return per second; NaN where undefined."""
    classes: npt.NDArray[np.int8]
    """-1 down, 0 flat, 1 up, NO_CLASS where undefined."""
    threshold: npt.NDArray[np.float64]
    """Class threshold in the unit of ``returns``; NaN where too few past moves were known."""
    label_end_ts: npt.NDArray[np.int64]
    """Event-clock end of the label, ns UTC; -1 where undefined."""
    label_known_ts: npt.NDArray[np.int64]
    """Receive-clock time from which the label could be known, ns UTC; -1 where undefined."""


@dataclass(frozen=True)
class LabelSet:
    """Labels of one scheme.

    Attributes
    ----------
    frame : polars.DataFrame
        Row for row as the bucket frame: series key, ``bucket_id``, ``segment``, ``ts_end``, ``ts_known``, and for
        each horizon H ``return_H`` (Float64), ``class_H`` (Int8, -1/0/1), ``threshold_H`` (Float64),
        ``label_end_ts_H`` and ``label_known_ts_H`` (Int64 ns); null where undefined.
    config : LabelConfig
        The definition.
    mid_source : str
        ``bucket_ends`` or ``mid_series``: where the mids of fixed-time labels came from.
    stale_share : dict of str to float
        For fixed-time horizons: share of labels whose end mid is the start mid because no newer one was known
        (large when bucket ends are coarse for the horizon: supply a mid series).
    """

    frame: pl.DataFrame
    config: LabelConfig
    mid_source: str
    stale_share: dict[str, float]

    @property
    def scheme(self) -> Scheme:
        """The scheme of every return in this set."""
        return self.config.scheme

    @property
    def horizons(self) -> tuple[Horizon, ...]:
        """Horizons in column order."""
        return self.config.horizons

    @property
    def hash(self) -> str:
        """Hash of the label definition; a model trained on one refuses another."""
        return config_hash({"config": self.config.to_mapping(), "mid_source": self.mid_source})

    def view(self, horizon: str) -> LabelView:
        """Return the columns of ``horizon`` (its name) as arrays.

        Raises
        ------
        ConfigError
            The set has no such horizon.
        """
        chosen = {item.name: item for item in self.horizons}.get(horizon)
        if chosen is None:
            names = [item.name for item in self.horizons]
            raise ConfigError(f"label set has no horizon {horizon!r}", hint=did_you_mean(horizon, names))
        frame = self.frame
        return LabelView(
            chosen,
            self.scheme,
            frame[f"return_{horizon}"].fill_null(float("nan")).to_numpy(),
            frame[f"class_{horizon}"].fill_null(NO_CLASS).to_numpy(),
            frame[f"threshold_{horizon}"].fill_null(float("nan")).to_numpy(),
            frame[f"label_end_ts_{horizon}"].fill_null(-1).to_numpy(),
            frame[f"label_known_ts_{horizon}"].fill_null(-1).to_numpy(),
        )
