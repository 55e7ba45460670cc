"""Tardis CSV tables to event rows: one decoder for each data type, told from the header.

Column layouts: https://docs.tardis.dev/downloadable-csv-files (2026-11). All times are microseconds UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from marketprism.core.errors import SourceError
from marketprism.core.kinds import EventKind
from marketprism.ingest.level_tables import SnapshotRuns, WideLevels
from marketprism.ingest.merge import Chunk
from marketprism.ingest.row_builders import (
    MessageGrouper,
    ReceiveOrder,
    base_units,
    build_rows,
    interleave,
    payload_rows,
    quote_rows,
)
from marketprism.ingest.source import Source
from marketprism.ingest.tardis_venues import Contract
from marketprism.ingest.text_columns import Checks, Clock, PriceGrid, integers, numbers, quantities, sides
from marketprism.ingest.text_table import TextBatch, TextTable, check_columns

__all__ = ["KEYS", "Market", "TardisDecoder", "price_columns", "type_of"]

KEYS = ("exchange", "symbol", "timestamp", "local_timestamp")
_TYPES = {
    "incremental_book_L2": ("is_snapshot", "side", "price", "amount"),
    "trades": ("id", "side", "price", "amount"),
    "liquidations": ("id", "side", "price", "amount"),
    "quotes": ("ask_amount", "ask_price", "bid_price", "bid_amount"),
    "derivative_ticker": (
        "funding_timestamp", "funding_rate", "predicted_funding_rate", "open_interest", "last_price", "index_price",
        "mark_price",
    ),
}  # fmt: skip
_SIDES = {"bid": 1, "ask": -1}
_AGGRESSORS = {"buy": 1, "sell": -1, "unknown": 0}
_FLAGS = {"true": 1, "false": 0}
_LEVEL = re.compile(r"^(asks|bids)\[(\d+)\]\.(price|amount)$")
_BLANKS = {"funding_timestamp", "predicted_funding_rate"}


def type_of(table: TextTable, asked: str = "") -> str:
    """Return the data type of a file: told by its columns, trades and liquidations by the file name.

    Raises
    ------
    SourceError
        The columns are those of no type, or not of the type that was asked for.
    """
    own = set(table.columns) - set(KEYS)
    if any(_LEVEL.match(column) for column in own):
        found = "book_snapshot"
    else:
        found = max(_TYPES, key=lambda name: len(own.intersection(_TYPES[name])))
        if found == "trades" and ("liquidations" in table.name or asked == "liquidations"):
            found = "liquidations"
        if not own.intersection(_TYPES[found]) or "local_timestamp" not in table.columns:
            raise SourceError(
                f"{table.name}:{table.first_line} is no Tardis header: {table.first_text[:120]!r}",
                hint="the first line must name the columns (exchange,symbol,timestamp,local_timestamp,...)",
            )
        check_columns(
            table.name, table.columns, [*KEYS, *(c for c in _TYPES[found] if c not in _BLANKS)], _TYPES[found]
        )
    if asked and not found.startswith(asked.removesuffix("_25").removesuffix("_5")):
        raise SourceError(f"{table.name} holds {found}, not {asked}", hint="leave ?type= out")
    if found == "book_snapshot":
        _check_levels(table)
    return found


def _check_levels(table: TextTable) -> None:
    count = 1 + max(int(m[2]) for m in map(_LEVEL.match, table.columns) if m)
    check_columns(table.name, table.columns, [*KEYS, *_level_names(table.columns, count)])


def _level_names(columns: Sequence[str], count: int = 0) -> list[str]:
    count = count or 1 + max(int(m[2]) for m in map(_LEVEL.match, columns) if m)
    return [f"{side}[{i}].{field}" for side in ("bids", "asks") for i in range(count) for field in ("price", "amount")]


def price_columns(kind: str, columns: Sequence[str]) -> list[str]:
    """Return the columns whose prices are on the tick grid."""
    if kind == "book_snapshot":
        return [name for name in _level_names(columns) if name.endswith(".price")]
    if kind == "quotes":
        return ["ask_price", "bid_price"]
    return ["last_price"] if kind == "derivative_ticker" else ["price"]


@dataclass(frozen=True, slots=True)
class Market:
    """What the rows of a source refer to.

    Attributes
    ----------
    index : mapping of (exchange, symbol) to int
        Instrument of a row, by the venue's names.
    contracts : sequence of Contract
        Contract of each instrument.
    grid : PriceGrid
        Their ticks.
    only : bool
        Rows of other symbols are passed over (else they are refused).
    """

    index: Mapping[tuple[str, str], int]
    contracts: Sequence[Contract]
    grid: PriceGrid
    only: bool

    def base(self, amount: np.ndarray, price: np.ndarray, instrument: np.ndarray) -> np.ndarray:
        """Return amounts in base units."""
        result = amount.copy()
        for index in np.unique(instrument).tolist():
            contract, mine = self.contracts[index], instrument == index
            result[mine] = base_units(amount[mine], price[mine], contract.multiplier, inverse=contract.inverse)
        return result


class TardisDecoder:
    """One stream of files of one data type, decoded batch by batch; rows come whole messages at a time."""

    def __init__(self, source: Source, kind: str, name: str, market: Market) -> None:
        self._source = source
        self._kind = kind
        self._market = market
        self._order = ReceiveOrder(source, name)
        self._grouper = MessageGrouper()
        self._runs = SnapshotRuns(source)
        self._clocks: dict[str, Clock] = {}
        self._decode: Callable[[TextBatch], Chunk] = {
            "incremental_book_L2": self._incremental,
            "trades": self._trades,
            "liquidations": self._liquidations,
            "quotes": self._quotes,
            "book_snapshot": self._book_snapshot,
            "derivative_ticker": self._derivative_ticker,
        }[kind]

    def begin(self, table: TextTable) -> None:
        """Start on the next file."""
        self._clocks = {name: Clock(table.name, name, "us") for name in ("timestamp", "local_timestamp")}
        self._runs.begin()
        self._table = table

    def push(self, batch: TextBatch) -> Chunk:
        """Return the messages that ``batch`` completes."""
        return self._decode(batch)

    def flush(self) -> Chunk:
        """Return what is left at the end of the last file."""
        return self._grouper.flush()

    def _keys(self, batch: TextBatch) -> tuple[Checks, np.ndarray, np.ndarray, np.ndarray]:
        """Return (checks, instrument, ts_event, ts_recv)."""
        import polars as pl

        skip = ~self._table.content_mask(batch).to_numpy()
        keys = pl.concat_str("exchange", pl.lit("\n"), "symbol")
        words = {f"{exchange}\n{symbol}": index for (exchange, symbol), index in self._market.index.items()}
        found = batch.frame.select(
            keys.replace_strict(list(words), list(words.values()), default=-1, return_dtype=pl.Int16)
        ).to_series()
        instrument = found.fill_null(-1).to_numpy()
        if self._market.only:
            named = batch.frame.select(pl.all_horizontal(pl.col(KEYS).is_not_null())).to_series().to_numpy()
            skip |= (instrument < 0) & named
        checks = Checks(batch, skip)
        checks.fail(instrument < 0, "symbol is not in the head of the file", hint="name it with ?symbol=...")
        ts_event = self._clocks["timestamp"].times(checks)
        ts_recv = self._clocks["local_timestamp"].times(checks)
        return checks, np.maximum(instrument, 0), ts_event, ts_recv

    def _priced(
        self, batch: TextBatch, words: Mapping[str, int], *, positive: bool, snapshots: bool = False
    ) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
        """Return (good mask, columns of its rows, snapshot marks) of a table with one price, amount and side."""
        checks, instrument, ts_event, ts_recv = self._keys(batch)
        marked = sides(checks, "is_snapshot", _FLAGS) == 1 if snapshots else np.zeros(len(batch), np.bool_)
        side = sides(checks, "side", words)
        ticks, price = self._market.grid.ticks(checks, "price", instrument)
        amount = quantities(checks, "amount", positive=positive)
        good = checks.report(self._source)
        columns = {
            "instrument": instrument[good],
            "ts_event": ts_event[good],
            "ts_recv": self._order.raise_times(ts_recv[good]),
            "side": side[good],
            "price": ticks[good],
            "quantity": self._market.base(amount[good], price[good], instrument[good]),
        }
        return good, columns, marked[good]

    def _incremental(self, batch: TextBatch) -> Chunk:
        good, columns, snapshot = self._priced(batch, _SIDES, positive=False, snapshots=True)
        rows = build_rows(EventKind.BOOK_DELTA, int(good.sum()), **columns)
        return self._grouper.push(self._runs.apply(rows, snapshot))

    def _trades(self, batch: TextBatch) -> Chunk:
        good, columns, _ = self._priced(batch, _AGGRESSORS, positive=True)
        ids = integers(Checks(batch, ~good), "id", strict=False)[good]
        return Chunk(build_rows(EventKind.TRADE, int(good.sum()), event_id=ids, **columns))

    def _liquidations(self, batch: TextBatch) -> Chunk:
        _, columns, _ = self._priced(batch, _AGGRESSORS, positive=True)
        ts_event, ts_recv, instrument = (columns.pop(name) for name in ("ts_event", "ts_recv", "instrument"))
        sampled = np.array([contract.sampled for contract in self._market.contracts])[instrument]
        own = {"liquidation_time": ts_event, "sampled": sampled}
        return payload_rows(EventKind.LIQUIDATION, ts_event, ts_recv, instrument, own, columns)

    def _quotes(self, batch: TextBatch) -> Chunk:
        checks, instrument, ts_event, ts_recv = self._keys(batch)
        parsed = []
        for side in ("bid", "ask"):
            ticks, price = self._market.grid.ticks(checks, f"{side}_price", instrument, required=False)
            parsed.append((ticks, price, quantities(checks, f"{side}_amount", required=False)))
        checks.fail(np.isnan(parsed[0][1]) & np.isnan(parsed[1][1]), "both sides are blank")
        good = checks.report(self._source)
        bid, ask = (
            (ticks[good], self._market.base(amount[good], price[good], instrument[good]))
            for ticks, price, amount in parsed
        )
        times = self._order.raise_times(ts_recv[good])
        return Chunk(quote_rows(ts_event[good], times, instrument[good], bid, ask))

    def _book_snapshot(self, batch: TextBatch) -> Chunk:
        names = _level_names(self._table.columns)
        pairs = list(zip(names[::2], names[1::2], strict=True))
        wide = WideLevels(pairs[: len(pairs) // 2], pairs[len(pairs) // 2 :])
        checks, instrument, ts_event, ts_recv = self._keys(batch)
        levels = wide.check(checks, self._market.grid, instrument)
        good = checks.report(self._source)
        times = self._order.raise_times(ts_recv[good])
        return Chunk(wide.rows(levels, good, instrument, self._market.base, ts_event=ts_event[good], ts_recv=times))

    def _derivative_ticker(self, batch: TextBatch) -> Chunk:
        checks, instrument, ts_event, ts_recv = self._keys(batch)
        rate = numbers(checks, "funding_rate", required=False)
        mark, index = (numbers(checks, f"{name}_price", required=False) for name in ("mark", "index"))
        interest = quantities(checks, "open_interest", required=False)
        checks.fail((mark <= 0) | (index <= 0), "mark_price or index_price is not positive")
        due = np.full(len(batch), -1)
        if "funding_timestamp" in self._table.columns:
            due = integers(checks, "funding_timestamp")
            checks.fail((due != -1) & ((due < 10**14) | (due >= 10**17)), "funding_timestamp is not in us")
        has_funding = np.isfinite(rate) | np.isfinite(mark) | np.isfinite(index) | (due > 0)
        checks.fail(~has_funding & np.isnan(interest), "no value")
        good = checks.report(self._source)
        times = np.zeros(len(batch), np.int64)
        times[good] = self._order.raise_times(ts_recv[good])
        f, o = good & has_funding, good & np.isfinite(interest)
        funding_time = np.where(due > 0, due * 1000, 0)
        own = {"rate": rate[f], "funding_time": funding_time[f], "mark_price": mark[f], "index_price": index[f]}
        own["predicted"] = funding_time[f] > ts_event[f]
        funding = payload_rows(EventKind.FUNDING_RATE, ts_event[f], times[f], instrument[f], own)
        own = self._interest(interest[o], mark[o], instrument[o])
        open_interest = payload_rows(EventKind.OPEN_INTEREST, ts_event[o], times[o], instrument[o], own)
        return interleave([funding, open_interest], [np.flatnonzero(f), np.flatnonzero(o)])

    def _interest(self, amount: np.ndarray, mark: np.ndarray, instrument: np.ndarray) -> dict[str, np.ndarray]:
        """Return open interest in contracts, base and quote units; base needs a mark price where it is inverse."""
        inverse = np.array([contract.inverse for contract in self._market.contracts])[instrument]
        size = np.array([float(contract.multiplier) for contract in self._market.contracts])[instrument]
        base = self._market.base(amount, mark, instrument)
        base[inverse & np.isnan(mark)] = np.nan
        return {
            "contracts": np.where(inverse | (size != 1), amount, np.nan),
            "base_quantity": base,
            "quote_value": np.where(inverse, amount * size, base * mark),
        }
