"""Binance dumps to event rows: one decoder for each type."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind
from marketprism.ingest.merge import Chunk
from marketprism.ingest.row_builders import ReceiveOrder, base_units, build_rows, interleave, payload_rows, quote_rows
from marketprism.ingest.source import Source
from marketprism.ingest.text_columns import Checks, Clock, PriceGrid, TimeUnit, integers, numbers, quantities, sides
from marketprism.ingest.text_table import TextBatch, TextTable

__all__ = ["PRICES", "RATIOS", "VisionDecoder"]

PRICES = {
    "trades": ("price",),
    "aggTrades": ("price",),
    "bookTicker": ("best_bid_price", "best_ask_price"),
    "liquidationSnapshot": ("price",),
}
"""Columns on the tick grid."""

RATIOS = {
    "count_toptrader_long_short_ratio": "top_accounts",
    "sum_toptrader_long_short_ratio": "top_positions",
    "count_long_short_ratio": "all_accounts",
    "sum_taker_long_short_vol_ratio": "taker_volume",
}
"""Column of ``metrics`` -> ``ratio_kind``; ``taker_volume`` is bought over sold by takers, not a position."""

_MAKER = {"true": -1, "false": 1, "1": -1, "0": 1}
"""is_buyer_maker -> aggressor."""
_TIMES = {
    "trades": "time",
    "aggTrades": "transact_time",
    "bookTicker": "transaction_time",
    "metrics": "create_time",
    "fundingRate": "calc_time",
    "liquidationSnapshot": "time",
}
_ISO = {"metrics"}


class VisionDecoder:
    """One stream of dumps of one type and instrument.

    Parameters
    ----------
    source : Source
        Whose report counts.
    kind : str
        Type.
    instrument : Instrument
        What is traded.
    index : int
        Its number in the source.
    grid : PriceGrid
        Ticks.
    latency : int
        Receive latency, ns.
    """

    def __init__(
        self, source: Source, kind: str, instrument: Instrument, index: int, grid: PriceGrid, latency: int
    ) -> None:
        self._source = source
        self._kind = kind
        self._traded = instrument
        self._index = index
        self._grid = grid
        self._latency = latency
        self._order = ReceiveOrder(source, f"{instrument.raw_symbol} {kind}")
        self._previous = ""
        self._decode: Callable[[Checks, np.ndarray], Chunk] = {
            "trades": self._trades,
            "aggTrades": self._trades,
            "bookTicker": self._book_ticker,
            "metrics": self._metrics,
            "fundingRate": self._funding,
            "liquidationSnapshot": self._liquidations,
        }[kind]

    def begin(self, table: TextTable) -> None:
        """Start on the next file."""
        unit: TimeUnit = "iso" if self._kind in _ISO else "auto"
        self._table = table
        self._clock = Clock(table.name, _TIMES[self._kind], unit)
        self._sent = Clock(table.name, "event_time")

    def end(self) -> None:
        """Say what was found out about the file."""
        self._source.report.facts[f"time unit of {self._table.name}"] = self._clock.found or "none"

    def push(self, batch: TextBatch) -> Chunk:
        """Return the events of a batch."""
        import polars as pl

        skip = ~self._table.content_mask(batch).to_numpy()
        if "symbol" in self._table.columns and self._table.columns[0] != "symbol":
            other = pl.col("symbol").is_not_null() & (pl.col("symbol") != self._traded.raw_symbol)
            wrong = batch.frame.select(other).to_series().to_numpy()
        else:
            wrong = np.zeros(len(batch), np.bool_)
        checks = Checks(batch, skip)
        checks.fail(wrong, "symbol is not the file's", hint=f"the file is about {self._traded.raw_symbol}")
        return self._decode(checks, self._clock.times(checks))

    def _finish(self, checks: Checks, ts_event: np.ndarray, sent: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
        """Report the batch; return (good mask, ts_event, ts_recv, instrument) of its good rows."""
        good = checks.report(self._source)
        event = ts_event[good]
        recv = self._order.raise_times((event if sent is None else sent[good]) + self._latency)
        return good, event, recv, np.full(len(event), self._index, np.int16)

    def _prices(self, checks: Checks, column: str) -> tuple[np.ndarray, np.ndarray]:
        return self._grid.ticks(checks, column, np.full(len(checks.batch), self._index, np.int16))

    def _base(self, amount: np.ndarray, price: np.ndarray) -> np.ndarray:
        inverse = self._traded.market_type == "inverse"
        return base_units(amount, price, self._traded.contract_multiplier, inverse=inverse)

    def _trades(self, checks: Checks, ts_event: np.ndarray) -> Chunk:
        aggregate = self._kind == "aggTrades"
        ticks, price = self._prices(checks, "price")
        amount = quantities(checks, "quantity" if aggregate else "qty", positive=True)
        side = sides(checks, "is_buyer_maker", _MAKER)
        ids = integers(checks, "agg_trade_id" if aggregate else "id")
        first = integers(checks, "first_trade_id") if aggregate else np.full(len(ids), -1)
        good, event, recv, instrument = self._finish(checks, ts_event)
        columns = {"event_id": ids, "first_id": first, "price": ticks, "side": side}
        own = {name: values[good] for name, values in columns.items()}
        base = self._base(amount[good], price[good])
        rows = build_rows(
            EventKind.TRADE, len(event), ts_event=event, ts_recv=recv, instrument=instrument, quantity=base, **own
        )
        return Chunk(rows)

    def _book_ticker(self, checks: Checks, ts_event: np.ndarray) -> Chunk:
        parsed = []
        for side in ("bid", "ask"):
            ticks, price = self._prices(checks, f"best_{side}_price")
            parsed.append((ticks, price, quantities(checks, f"best_{side}_qty")))
        ids = integers(checks, "update_id")
        sent = self._sent.times(checks)
        good, event, recv, instrument = self._finish(checks, ts_event, sent)
        bid, ask = ((t[good], self._base(a[good], p[good])) for t, p, a in parsed)
        return Chunk(quote_rows(event, recv, instrument, bid, ask, ids[good]))

    def _metrics(self, checks: Checks, ts_event: np.ndarray) -> Chunk:
        interest = quantities(checks, "sum_open_interest", required=False)
        value = quantities(checks, "sum_open_interest_value", required=False)
        ratios = {kind: numbers(checks, column, required=False) for column, kind in RATIOS.items()}
        for column, kind in RATIOS.items():
            checks.fail(ratios[kind] < 0, f"{column} is negative")
        good, event, recv, instrument = self._finish(checks, ts_event)
        interest, value = interest[good], value[good]
        held = np.isfinite(interest) | np.isfinite(value)
        own: dict[str, np.ndarray] = {"base_quantity": interest, "quote_value": value}
        if self._traded.market_type == "inverse":  # contracts, and their worth in coins
            size = float(self._traded.contract_multiplier)
            own = {"contracts": interest, "base_quantity": value, "quote_value": interest * size}
        own = {name: values[held] for name, values in own.items()}
        chunks = [payload_rows(EventKind.OPEN_INTEREST, event[held], recv[held], instrument[held], own)]
        records = [np.flatnonzero(held)]
        for kind, values in ratios.items():
            ratio = values[good]
            there = np.isfinite(ratio)
            ratio = ratio[there]
            share = ratio / (1 + ratio)
            shares = {"ratio": ratio, "long_share": share, "short_share": 1 - share}
            chunks.append(
                payload_rows(
                    EventKind.LONG_SHORT_RATIO,
                    event[there],
                    recv[there],
                    instrument[there],
                    {**shares, "ratio_kind": kind, "period": "5m"},
                )
            )
            records.append(np.flatnonzero(there))
        return interleave(chunks, records)

    def _funding(self, checks: Checks, ts_event: np.ndarray) -> Chunk:
        hours = integers(checks, "funding_interval_hours")
        rate = numbers(checks, "last_funding_rate")
        checks.fail((hours < 1) | (hours > 24), "funding_interval_hours is not in 1 to 24")
        checks.fail(np.abs(rate) > 1, "last_funding_rate is out of range")
        good, event, recv, instrument = self._finish(checks, ts_event)
        own = {"rate": rate[good], "interval_s": hours[good] * 3600, "funding_time": event, "predicted": False}
        return payload_rows(EventKind.FUNDING_RATE, event, recv, instrument, own)

    def _liquidations(self, checks: Checks, ts_event: np.ndarray) -> Chunk:
        ticks, price = self._prices(checks, "price")
        amount = quantities(checks, "original_quantity", positive=True)
        average = numbers(checks, "average_price", required=False)
        side = sides(checks, "side", {"buy": 1, "sell": -1})
        repeated = self._repeated(checks)
        checks.skip |= repeated
        if repeated.any():
            self._source.report.note("liquidation lines that repeat the line before", int(repeated.sum()))
        good, event, recv, instrument = self._finish(checks, ts_event)
        columns = {"price": ticks[good], "quantity": self._base(amount[good], price[good]), "side": side[good]}
        average = np.where(average > 0, average, np.nan)[good]
        own = {"average_price": average, "liquidation_time": event, "sampled": True}
        return payload_rows(EventKind.LIQUIDATION, event, recv, instrument, own, columns)

    def _repeated(self, checks: Checks) -> np.ndarray:
        """Return which records are the same line as the record before: some dumps hold every line twice."""
        import polars as pl

        rows = np.flatnonzero(~checks.skip)
        mask = np.zeros(len(checks.batch), np.bool_)
        if len(rows):
            columns = [pl.col(name).fill_null("") for name in self._table.columns]
            text = checks.batch.frame.select(pl.concat_str(columns, separator=",")).to_series().gather(rows)
            mask[rows] = (text == text.shift(1, fill_value=self._previous)).to_numpy()
            self._previous = str(text[-1])
        return mask
