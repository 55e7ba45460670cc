"""Arrays as a tape: factor functions written for NumPy get arrays, or a dict of them, as they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import DataError
from marketprism.evaluate.tapes import FrameTape

__all__ = ["ArrayTape"]

_Ints = npt.NDArray[np.int64]
_Columns = dict[str, npt.NDArray[Any]]


class ArrayTape(FrameTape):
    """Tape of arrays whose rows lie in the order of receipt.

    Parameters
    ----------
    tape : ndarray of shape (n,) or (n, F), structured ndarray of shape (n,), or mapping of str to ndarray
        Not changed. Fields and entries have names, so that their times can be found; plain arrays are all content.
    event, received : str, optional
        Names of the event and the receive time.
    """

    def __init__(
        self, tape: npt.NDArray[Any] | Mapping[str, npt.ArrayLike], event: str | None, received: str | None
    ) -> None:
        import polars as pl

        columns, self._rebuild = _opened(tape)
        sizes = {name: len(values) if values.ndim else -1 for name, values in columns.items()}
        if len(set(sizes.values())) != 1 or -1 in sizes.values():
            raise DataError(f"the arrays of the tape had {sizes} rows", hint="pass arrays of one length")
        self._columns = columns
        super().__init__(pl.DataFrame({name: pl.Series(values) for name, values in columns.items()}), event, received)

    def cut(self, n: int) -> Any:
        """Return the first ``n`` rows."""
        return self._rebuild({name: values[:n].copy() for name, values in self._columns.items()})

    def rearranged(self, index: _Ints) -> Any:
        """Return the tape with row i holding the contents of row ``index[i]``; times stay."""
        return self._rebuild(
            {name: values.copy() if name in self._fixed else values[index] for name, values in self._columns.items()}
        )

    def backfilled(self, row: int, source: int) -> Any | None:
        """Return the tape with a late row behind ``row``; None where there can be none."""
        event, received = self._event, self._received
        if event is None or received is None or event == received:
            return None
        index = np.insert(np.arange(len(self)), row + 1, source)
        late = {name: values[index] for name, values in self._columns.items()}
        late[event][row + 1] = self._columns[event][max(0, row - 3) : row + 1].min()
        late[received][row + 1] = self._columns[received][row + 1]
        return self._rebuild(late)


def _opened(tape: Any) -> tuple[_Columns, Callable[[_Columns], Any]]:
    """Columns of the tape by name, and how to make such a tape of them again."""
    if isinstance(tape, Mapping):
        if not tape:
            raise DataError("the tape was an empty mapping", hint="pass at least one array")
        return {str(name): np.asarray(values) for name, values in tape.items()}, dict
    if tape.dtype.names is None:
        return {"values": tape}, lambda columns: columns["values"]

    def rebuild(columns: _Columns) -> npt.NDArray[Any]:
        rows = np.empty(len(next(iter(columns.values()))), tape.dtype)
        for name, values in columns.items():
            rows[name] = values
        return rows

    return {name: tape[name] for name in tape.dtype.names}, rebuild
