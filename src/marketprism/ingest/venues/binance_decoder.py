"""Binance messages to event blocks: the guarded parser for ordinary lines, the slow path for all others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import cast

import numpy as np
from numba import njit

from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError, DataError
from marketprism.core.instrument import Instrument
from marketprism.core.rows import ROW_DTYPE
from marketprism.core.state import pack_state, unpack_state
from marketprism.core.timebase import scale_to_ns
from marketprism.ingest.frames_lines import ReceiveClock, Reject, readable, refuse
from marketprism.ingest.venues.binance_kernel import PARAM, SCRATCH_FLOATS, SCRATCH_INTS, decode_lines
from marketprism.ingest.venues.binance_messages import NOTE_CHANNEL, NOTE_SECOND_TRADE, NOTE_SYMBOL, MessageReader
from marketprism.ingest.venues.binance_slow_kinds import PayloadEvent
from marketprism.ingest.venues.binance_symbols import MARKETS, SymbolTable, channel_mask

__all__ = ["BinanceDecoder", "fill_event_times"]

# The shortest text that makes a row is a level, ["1","2"] and a comma.
_BYTES_A_ROW = 10
_UNIT_RANGES = {
    "s": (10**8, 2**63 // 10**9),
    "ms": (10**11, 2**63 // 10**6),
    "us": (10**14, 2**63 // 10**3),
    "ns": (10**17, 2**63 - 1),
}


@njit(cache=True)
def fill_event_times(rows, clock):  # type: ignore[no-untyped-def]
    """Give rows without an exchange time (``ts_event`` 0) the latest one seen of their instrument.

    Spot bookTicker and REST snapshots carry no time. The latest exchange time already received is a lower bound
    that never runs ahead of the exchange and never backwards, whatever the receive clock does; a row before any
    such time gets its ``ts_recv``.

    Parameters
    ----------
    rows : ndarray of ROW_DTYPE
        Rows in stream order; changed in place.
    clock : int64 ndarray, shape (instruments,)
        Latest exchange time of each instrument, ns, 0 before the first; carried from call to call.
    """
    for j in range(len(rows)):
        row = rows[j]
        i = row["instrument"]
        if row["ts_event"] == 0:
            row["ts_event"] = clock[i] if clock[i] > 0 else row["ts_recv"]
        elif row["ts_event"] > clock[i]:
            clock[i] = row["ts_event"]


def _silent(what: str, n: int) -> None:
    del what, n


class BinanceDecoder:
    """Decodes raw Binance messages of one market, recorded or live, in any chunks.

    Both ways of feeding give the same rows: :meth:`decode` takes recorded lines (``RECEIVE_TIME JSON``, many at
    a time), :meth:`push` takes one message. Ordinary depth diffs, bookTickers, trades and aggTrades are parsed
    from bytes by a kernel; whatever is not exactly as expected is decided by msgspec instead.

    Parameters
    ----------
    instruments : sequence of Instrument
        What the rows' ``instrument`` indexes; matched by ``raw_symbol``.
    market : {"spot", "linear", "inverse"}, optional
        Market of the connection; by default that of the first instrument.
    others : iterable of str, optional
        Venue symbols that the connection carries and nobody wants.
    channels : str, optional
        Comma-separated channel names; all by default.
    lenient : bool, default False
        Leave unknown symbols out rather than reject them.
    nameless : str, optional
        Venue symbol that snapshots without one are about; by default the only symbol there is, if it is one.
    reject : callable, optional
        Told about unusable messages (``reason, where, value``); raises DataError by default.
    note : callable, optional
        Told about messages left out on purpose (``what, how many``).
    name : str, default "message"
        Names the file or connection in reports.
    event_clock : bool, default True
        Fill missing exchange times (:func:`fill_event_times`); False leaves them 0 for a caller who merges first.
    guarded : bool, default True
        Use the kernel; False sends everything down the slow path (for checks).

    Notes
    -----
    ``ts_event`` is T (transaction time) where a message has it, else E (event time). Prices off the tick,
    non-positive or out of range reject the whole message: a diff that is half applied would corrupt the book,
    a missing one is noticed by its sequence. An instrument's trades come from ``trade`` or ``aggTrade``,
    whichever is seen first, never from both.

    Examples
    --------
    >>> from decimal import Decimal
    >>> btc = Instrument(exchange="binance", market_type="spot", symbol="BTC-USDT", raw_symbol="BTCUSDT",
    ...                  tick_size=Decimal("0.01"))
    >>> line = b'1723161254087891268 {"u":7,"s":"BTCUSDT","b":"61837.63","B":"3.5","a":"61837.64","A":"1.25"}'
    >>> BinanceDecoder((btc,)).push(line).rows[["price", "quantity"]].tolist()
    [(6183763, 3.5), (6183764, 1.25)]
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        market: str = "",
        *,
        others: Iterable[str] = (),
        channels: str = "",
        lenient: bool = False,
        nameless: str | None = None,
        reject: Reject = refuse,
        note: Callable[[str, int], None] | None = None,
        name: str = "message",
        event_clock: bool = True,
        guarded: bool = True,
    ) -> None:
        self.instruments = tuple(instruments)
        market = market or (self.instruments[0].market_type if self.instruments else "")
        if market not in MARKETS:
            raise ConfigError(f"market was {market!r}", hint=f"one of {', '.join(MARKETS)}")
        self.table = SymbolTable(self.instruments, MARKETS[market], others)
        self.name = name
        self._channels = channel_mask(channels)
        self._reject = reject
        self._note = note or _silent
        if nameless is None:
            nameless = next(iter(self.table.rows)) if len(self.table.rows) == 1 else ""
        self._reader = MessageReader(
            self.table, self._channels, lambda what: self._note(what, 1), lenient=lenient, nameless=nameless
        )
        self._clock = ReceiveClock(name)
        self._unit = np.array([1, 1, 0], np.int64)  # an empty range: the slow path learns the unit
        self._event_times = np.zeros(max(1, len(self.instruments)), np.int64)
        self._event_clock = event_clock
        self._guarded = guarded
        self._counts = np.zeros(4, np.int64)
        self._ints = np.zeros(SCRATCH_INTS, np.int64)
        self._floats = np.zeros(SCRATCH_FLOATS)
        self._payloads: dict[int, list[np.ndarray]] = {}

    @property
    def unit(self) -> str:
        """Unit of the recorded receive times, empty before the first."""
        return self._clock.unit

    def decode(self, buffer: bytes, line: int | Sequence[int] = 1) -> EventBlock:
        """Return the events of recorded lines.

        Parameters
        ----------
        buffer : bytes
            Whole lines ``RECEIVE_TIME JSON``.
        line : int or sequence of int
            Number of the first line, or of each, for messages.

        Raises
        ------
        DataError
            Receive times in two units; and unusable messages, unless ``reject`` takes them.
        """
        data = buffer if buffer.endswith(b"\n") else buffer + b"\n"
        view = np.frombuffer(data, np.uint8)
        rows = np.zeros(len(data) // _BYTES_A_ROW + 4, ROW_DTYPE)
        before = self._counts.copy()
        pos = n = 0
        self._peek(data, line if isinstance(line, int) else next(iter(line), 1))
        while True:
            if self._guarded:
                pos, n = self._kernel(view, pos, 0, rows, n)
            if pos >= len(data):
                break
            end = data.index(b"\n", pos)
            k = int(self._counts[3] - before[3])
            where = line + k if isinstance(line, int) else (line[k] if k < len(line) else line[-1])
            n = self._slow_line(data[pos:end], where, rows, n)
            self._counts[3] += 1
            pos = end + 1
        self._tell(before)
        return self._block(rows[:n])

    def push(self, message: bytes, ts_recv: int | None = None, *, url: str = "", where: str = "") -> EventBlock:
        """Return the events of one message.

        Parameters
        ----------
        message : bytes
            The raw JSON; or, without ``ts_recv``, a recorded line that begins with its receive time.
        ts_recv : int, optional
            Receive time, ns UTC.
        url : str, optional
            URL of a REST answer: some answers name neither their symbol nor what they are.
        where : str, optional
            Place for messages, such as ``file:line``.
        """
        rows = np.zeros(len(message) // _BYTES_A_ROW + 4, ROW_DTYPE)
        pos = n = 0
        if self._guarded and not url and b"\n" not in message:
            if ts_recv is None:
                self._peek(message, 1)
            view = np.frombuffer(message + b"\n", np.uint8)
            pos, n = self._kernel(view, 0, ts_recv or 0, rows, 0)
        if pos == 0 and message:
            self._counts[3] += 1
            if ts_recv is None:
                n = self._slow_line(message, int(self._counts[3]), rows, 0)
            else:
                n = self._slow(message, ts_recv, url, where or f"{self.name}:{self._counts[3]}", rows, 0)
        return self._block(rows[:n])

    def left_out(self) -> dict[str, int]:
        """Return how many messages the kernel has left out on purpose so far, by reason."""
        reasons = (NOTE_SYMBOL, NOTE_CHANNEL, NOTE_SECOND_TRADE)
        return {reason: int(n) for reason, n in zip(reasons, self._counts, strict=False) if n}

    @property
    def lines(self) -> int:
        """Lines and messages read so far."""
        return int(self._counts[3])

    def save(self) -> bytes:
        """Return the state: exchange clock, chosen trade channels, unit, newest polled entries."""
        newest = [[index, what, ts] for (index, what), ts in self._reader.newest.items()]
        state = {
            "event_times": self._event_times,
            "trade_channels": self.table.params[:, PARAM.TRADE_CHANNEL],
            "symbols": list(self.table.rows),
            "counts": self._counts,
            "unit": self._clock.unit,
            "newest": newest,
        }
        return pack_state("binance-decoder", 1, state)

    def restore(self, blob: bytes) -> None:
        """Continue from :meth:`save`; the instruments must be the same.

        Raises
        ------
        StateError
            The bytes are torn or of something else.
        ConfigError
            They belong to other symbols.
        """
        state = unpack_state(blob, "binance-decoder", 1)
        if state["symbols"] != list(self.table.rows):
            raise ConfigError(f"state is of symbols {state['symbols']}", hint="use the same instruments and others")
        self._event_times[:] = state["event_times"]
        self.table.params[:, PARAM.TRADE_CHANNEL] = state["trade_channels"]
        self._counts[:] = state["counts"]
        self._reader.newest = {(index, what): ts for index, what, ts in state["newest"]}
        if state["unit"]:
            self._clock.unit = state["unit"]
            self._learn_unit()

    def _kernel(self, view: np.ndarray, pos: int, ts_recv: int, rows: np.ndarray, n: int) -> tuple[int, int]:
        table = self.table
        result = decode_lines(
            view,
            pos,
            ts_recv,
            self._unit,
            rows,
            n,
            table.params,
            table.multipliers,
            table.symbols,
            self._channels,
            self._counts,
            self._ints,
            self._floats,
        )
        return cast("tuple[int, int]", result)

    def _slow_line(self, text: bytes, line: int, rows: np.ndarray, n: int) -> int:
        where = f"{self.name}:{line}"
        stamp, _, message = text.strip().partition(b" ")
        if not stamp:
            return n
        try:
            ts_recv = self._clock.to_ns(stamp, line)
        except ValueError:
            self._reject("no receive time", where, readable(text))
            return n
        self._learn_unit()
        return self._slow(message, ts_recv, "", where, rows, n)

    def _peek(self, data: bytes, line: int) -> None:
        """Learn the unit from the first receive time, so that its line need not go the slow way."""
        if not self._clock.unit:
            with suppress(ValueError):
                self._clock.to_ns(data[:32].partition(b" ")[0], line)
                self._learn_unit()

    def _learn_unit(self) -> None:
        if self._unit[2] == 0:
            self._unit[:] = (scale_to_ns(self._clock.unit), *_UNIT_RANGES[self._clock.unit])

    def _slow(self, message: bytes, ts_recv: int, url: str, where: str, rows: np.ndarray, n: int) -> int:
        try:
            found, events = self._reader.read(message, ts_recv, url)
        except DataError as error:
            self._refuse(error, where, message)
            return n
        for dropped in self._reader.dropped:
            self._refuse(dropped, where, dropped.context.get("value"))
        if found:
            rows[n : n + len(found)] = np.array(found, ROW_DTYPE)
            n += len(found)
        for event in events:
            n = self._payload(event, rows, n)
        return n

    def _refuse(self, error: DataError, where: str, value: object) -> None:
        shown = readable(value) if isinstance(value, bytes) else value
        self._reject(str(error.context.get("reason", "unusable message")), where, shown, hint=error.hint)

    def _payload(self, event: PayloadEvent, rows: np.ndarray, n: int) -> int:
        row, record = event
        records = self._payloads.setdefault(int(row["kind"][0]), [])
        row["payload"] = len(records)
        records.append(record)
        rows[n : n + 1] = row
        return n + 1

    def _tell(self, before: np.ndarray) -> None:
        for reason, n in zip((NOTE_SYMBOL, NOTE_CHANNEL, NOTE_SECOND_TRADE), self._counts - before, strict=False):
            if n:
                self._note(reason, int(n))

    def _block(self, rows: np.ndarray) -> EventBlock:
        if self._event_clock:
            fill_event_times(rows, self._event_times)
        if not self._payloads:
            return EventBlock(rows, self.instruments)
        payloads = {kind: np.concatenate(records) for kind, records in self._payloads.items()}
        self._payloads = {}
        return EventBlock(rows, self.instruments, payloads)
