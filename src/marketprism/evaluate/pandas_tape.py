"""A pandas frame as a tape: factor functions written for pandas get pandas, index and all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from marketprism.evaluate.tapes import FrameTape
from marketprism.evaluate.user_columns import as_polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["PandasTape", "SeriesTape"]

_Ints = npt.NDArray[np.int64]


class PandasTape(FrameTape):
    """Tape of a pandas frame whose rows lie in the order of receipt; its index counts as times and stays.

    Parameters
    ----------
    frame : pandas.DataFrame
        Not changed.
    event, received : str, optional
        Columns, or names of index levels, with the event and the receive time.
    """

    def __init__(self, frame: Any, event: str | None, received: str | None) -> None:
        self._native = frame
        index = [str(name) for name in frame.index.names if name is not None]
        table: pl.DataFrame = as_polars(frame, index[0] if index else None)
        super().__init__(table, event, received)
        self._staying = [name for name in self._fixed if name in frame.columns]

    def cut(self, n: int) -> Any:
        """Return the first ``n`` rows."""
        return self._native.iloc[:n].copy()

    def rearranged(self, index: _Ints) -> Any:
        """Return the tape with row i holding the contents of row ``index[i]``; times and index stay."""
        moved = self._native.iloc[index].set_axis(self._native.index, axis=0)
        return moved.assign(**{name: self._native[name] for name in self._staying})

    def backfilled(self, row: int, source: int) -> Any | None:
        """Return the tape with a late row behind ``row``; None where there can be none (no times, or in the index)."""
        import pandas as pd

        event, received = self._event, self._received
        if event is None or received is None or event == received:
            return None
        if event not in self._staying or received not in self._staying:
            return None
        frame = self._native
        first = frame[event].iloc[max(0, row - 3) : row + 1].min()
        late = frame.iloc[source : source + 1].assign(
            **{event: [first], received: frame[received].iloc[row + 1 : row + 2].array}
        )
        late = late.astype(frame.dtypes).set_axis(frame.index[row + 1 : row + 2], axis=0)
        joined = pd.concat([frame.iloc[: row + 1], late, frame.iloc[row + 1 :]])
        return joined.reset_index(drop=True) if isinstance(frame.index, pd.RangeIndex) else joined


class SeriesTape(PandasTape):
    """Tape of a pandas series; the function gets series."""

    def __init__(self, series: Any, event: str | None, received: str | None) -> None:
        self._name = series.name
        super().__init__(series.to_frame("values"), event, received)

    def cut(self, n: int) -> Any:
        """Return the first ``n`` rows."""
        return super().cut(n)["values"].rename(self._name)

    def rearranged(self, index: _Ints) -> Any:
        """Return the tape with row i holding the contents of row ``index[i]``; the index stays."""
        return super().rearranged(index)["values"].rename(self._name)
