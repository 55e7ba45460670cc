"""Event blocks: any number of consecutive rows of one stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from marketprism.core.errors import DataError
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import PAYLOAD_KINDS, ROW_DTYPE, empty_rows
from marketprism.core.schema import event_type_of, payload_dtype

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

__all__ = ["EventBlock", "concat", "payload_event"]

Payloads = Mapping[int, np.ndarray]


class EventBlock:
    """Consecutive rows of a time-ordered stream, with the instruments and payloads they refer to.

    A message (one websocket update, one file line) is one or more rows, the first flagged FIRST and the last
    LAST. A block may begin and end anywhere, also inside a message: everything that consumes blocks carries
    what is open over to the next one.

    Parameters
    ----------
    rows : ndarray of ROW_DTYPE, shape (n,)
        The rows, ordered by ``ts_recv``.
    instruments : tuple of Instrument
        What ``rows["instrument"]`` indexes.
    payloads : mapping of EventKind to record arrays, optional
        Own columns of the slow kinds; ``rows["payload"]`` indexes the table of the row's kind.

    Examples
    --------
    >>> import numpy as np
    >>> from decimal import Decimal
    >>> from marketprism.core.rows import empty_rows
    >>> btc = Instrument(exchange="sim", market_type="spot", symbol="BTC-USDT", tick_size=Decimal("0.01"))
    >>> block = EventBlock(empty_rows(3), (btc,))
    >>> len(block), len(block[1:])
    (3, 2)
    """

    __slots__ = ("instruments", "payloads", "rows")

    def __init__(self, rows: np.ndarray, instruments: tuple[Instrument, ...], payloads: Payloads | None = None) -> None:
        if rows.dtype != ROW_DTYPE:
            raise DataError(f"rows had dtype {rows.dtype}", hint="build rows with marketprism.core.rows.empty_rows")
        self.rows = rows
        self.instruments = instruments
        self.payloads: Payloads = payloads if payloads is not None else {}

    @property
    def instrument(self) -> Instrument:
        """The only instrument; an error on a panel."""
        if len(self.instruments) != 1:
            raise DataError(
                f"the block holds {len(self.instruments)} instruments", hint="use .instruments or .only(index)"
            )
        return self.instruments[0]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: slice) -> EventBlock:
        if not isinstance(index, slice):
            raise TypeError(f"a block takes slices, was {index!r}: block[i:i + 1] is one row, block.rows[i] its record")
        return EventBlock(self.rows[index], self.instruments, self.payloads)

    def __repr__(self) -> str:
        keys = ", ".join(instrument.key for instrument in self.instruments[:3])
        return f"EventBlock({len(self)} rows of {keys}{', ...' if len(self.instruments) > 3 else ''})"

    def chunks(self, size: int) -> Iterator[EventBlock]:
        """Yield consecutive slices of at most ``size`` rows."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def only(self, index: int) -> EventBlock:
        """Return the rows of instrument ``index`` alone, as a single-instrument block."""
        if len(self.instruments) == 1:
            return self
        rows = self.rows[self.rows["instrument"] == index].copy()
        rows["instrument"] = 0
        return EventBlock(rows, (self.instruments[index],), self.payloads)

    def counts(self) -> dict[str, int]:
        """Return messages (not rows) by event type name, counted at their last row."""
        ends = self.rows["kind"][(self.rows["flags"] & Flag.LAST) != 0]
        result: dict[str, int] = {}
        for kind, n in zip(*np.unique(ends, return_counts=True), strict=True):
            name = event_type_of(int(kind)).name
            result[name] = result.get(name, 0) + int(n)
        return result

    def payload(self, kind: EventKind) -> np.ndarray:
        """Return the payload records of this block's rows of ``kind``, in stream order."""
        index = self.rows["payload"][(self.rows["kind"] == kind) & (self.rows["payload"] >= 0)]
        table = self.payloads.get(int(kind))
        return table[index] if table is not None else np.zeros(0, payload_dtype(kind))

    def to_polars(self) -> pl.DataFrame:
        """Return the rows as a flat table: key columns, kind by name, price in quote currency.

        Prices are null where the kind has none. The typed tables, one for each event type, come from
        :func:`marketprism.core.tables.block_to_tables`.
        """
        import polars as pl

        rows = self.rows
        keys = [instrument.key for instrument in self.instruments]
        ticks = np.array([instrument.tick for instrument in self.instruments])
        price = rows["price"] * ticks[rows["instrument"]]
        names = {int(kind): kind.name.lower() for kind in EventKind}
        priceless = [int(k) for k in PAYLOAD_KINDS if k != EventKind.LIQUIDATION]
        frame = pl.DataFrame(
            {
                "series": pl.Series([keys[i] for i in rows["instrument"].tolist()], dtype=pl.String),
                "kind": pl.Series([names[k] for k in rows["kind"].tolist()], dtype=pl.String),
                "price": price,
                "price_ticks": rows["price"].copy(),
            }
            | {
                name: rows[name].copy()
                for name in ROW_DTYPE.names or ()
                if name not in {"price", "kind", "instrument", "payload"}
            }
        )
        has_price = pl.Series(~np.isin(rows["kind"], priceless))
        return frame.with_columns(pl.when(has_price).then(pl.col("price")).alias("price")).with_columns(
            pl.col("ts_event", "ts_recv").cast(pl.Datetime("ns", "UTC"))
        )

    def to_arrow(self) -> pa.Table:
        """Return :meth:`to_polars` as an Arrow table."""
        return self.to_polars().to_arrow()


def payload_event(
    kind: EventKind,
    *,
    ts_event: int,
    ts_recv: int,
    instrument: int = 0,
    side: int = 0,
    price: int = 0,
    quantity: float = 0.0,
    **own: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Return one row and its one payload record; own columns that are not named are null.

    Examples
    --------
    >>> row, own = payload_event(EventKind.OPEN_INTEREST, ts_event=1, ts_recv=2, base_quantity=3.5)
    >>> float(own["base_quantity"][0]), bool(np.isnan(own["contracts"][0]))
    (3.5, True)
    """
    rows = empty_rows(1)
    rows["ts_event"], rows["ts_recv"] = ts_event, ts_recv
    rows["instrument"], rows["side"], rows["price"], rows["quantity"] = instrument, side, price, quantity
    rows["kind"], rows["flags"], rows["payload"] = kind, Flag.FIRST | Flag.LAST, 0
    record = np.zeros(1, payload_dtype(kind))
    for field in event_type_of(kind).payload_fields:
        if field.name in own:
            record[field.name] = own.pop(field.name)
        elif field.type in {"decimal", "float"}:
            record[field.name] = np.nan
        elif field.type == "int":
            record[field.name] = -1
    if own:
        raise DataError(f"{kind.name} has no column {sorted(own)}")
    return rows, record


def concat(blocks: Iterable[EventBlock]) -> EventBlock:
    """Join blocks of one stream into one block; payload indices are shifted, instruments must agree.

    Examples
    --------
    >>> concat([])
    Traceback (most recent call last):
        ...
    marketprism.core.errors.DataError: there was no block to join
    """
    parts = list(blocks)
    if not parts:
        raise DataError("there was no block to join")
    if len(parts) == 1:
        return parts[0]
    instruments = parts[0].instruments
    payloads: dict[int, list[np.ndarray]] = {}
    offsets: dict[int, int] = {}
    seen: dict[tuple[int, int], int] = {}
    rows = np.concatenate([part.rows for part in parts])
    start = 0
    for part in parts:
        if part.instruments != instruments:
            raise DataError("blocks of different streams were joined", hint="instruments must be equal")
        piece = rows[start : start + len(part)]
        for kind, table in part.payloads.items():
            if (kind, id(table)) not in seen:
                seen[kind, id(table)] = offsets.get(kind, 0)
                payloads.setdefault(kind, []).append(table)
                offsets[kind] = offsets.get(kind, 0) + len(table)
            mask = (piece["kind"] == kind) & (piece["payload"] >= 0)
            piece["payload"][mask] += seen[kind, id(table)]
        start += len(part)
    return EventBlock(rows, instruments, {kind: np.concatenate(tables) for kind, tables in payloads.items()})
