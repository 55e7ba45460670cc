"""``binance-ws:`` raw recorded Binance websocket and REST messages, spot, USDT-M and COIN-M."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

import numpy as np

from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError, SourceError, did_you_mean
from marketprism.core.instrument import Instrument
from marketprism.core.timebase import parse_time
from marketprism.ingest.files_io import display_name, open_binary
from marketprism.ingest.frames import Frame, read_frames
from marketprism.ingest.frames_lines import whole_lines
from marketprism.ingest.frames_merge import merge_blocks, raise_receive_times
from marketprism.ingest.registry import SourceFormat, SourceSpec
from marketprism.ingest.source import Source
from marketprism.ingest.venues.binance_decoder import BinanceDecoder, fill_event_times
from marketprism.ingest.venues.binance_probe import Listing, Probe, build_instrument, probe_file
from marketprism.ingest.venues.binance_symbols import MARKETS, Market, canonical_symbol, channel_mask

__all__ = ["FORMAT", "BinanceWs"]

_BATCH_BYTES = 1 << 20
_SAME_CLOCK_NS = 100_000_000


class BinanceWs(Source):
    """Raw Binance recordings, one or many files, joined in time order.

    Files of consecutive days join without a gap; files of several symbols or markets are a panel. The beginning
    of each file (4 MiB of messages) is looked at when it is opened: framing, market, symbols, price grid, and
    how far the receive clock is behind the exchange. A clock that is behind is reported, and corrected only on
    request; files whose clocks agree within 100 ms are shifted by the same amount, so that their order stays.

    Parameters
    ----------
    spec : SourceSpec
        Paths and options, see :data:`FORMAT`.

    Raises
    ------
    SourceError
        A file cannot be read, is no recording, mixes markets, or nothing tells an instrument's tick.
    ConfigError
        An option has no such value.
    """

    def __init__(self, spec: SourceSpec) -> None:
        market = _market_option(spec)
        self._probes = [probe_file(path, market) for path in spec.paths]
        listings: dict[str, dict[str, Listing]] = {probe.market: {} for probe in self._probes}
        for probe in self._probes:
            listings[probe.market].update(probe.listings)
        self._facts: dict[str, str] = {}
        instruments = self._choose(spec, listings)
        super().__init__(spec.text, instruments, strict=spec.flag("strict"))
        self._channels = spec.option("channels")
        channel_mask(self._channels)
        self._lenient = bool(spec.option("symbol"))
        self._from = parse_time(spec.option("from")) if spec.option("from") else None
        self._to = parse_time(spec.option("to")) if spec.option("to") else None
        self._shifts = self._clock_shifts(spec.option("clock", "asis"))

    @property
    def files(self) -> tuple[str, ...]:
        """Paths that the source reads."""
        return tuple(probe.path for probe in self._probes)

    def _choose(self, spec: SourceSpec, listings: dict[str, dict[str, Listing]]) -> tuple[Instrument, ...]:
        """Return the instruments wanted of those seen, in order of first appearance."""
        prices: dict[tuple[Market, str], set[str]] = {}
        for probe in self._probes:
            self._facts[f"market of {display_name(probe.path)}"] = probe.market or "nothing says"
            for symbol, seen in probe.prices.items():
                if probe.market:
                    prices.setdefault((MARKETS[probe.market], symbol), set()).update(seen)
        wanted = {name.upper() for name in spec.option("symbol").split(",") if name}
        tick = _tick_option(spec)
        chosen: list[Instrument] = []
        matched: set[str] = set()
        for (market, symbol), seen in prices.items():
            listing = listings[market].get(symbol)
            if wanted and not wanted & {symbol, canonical_symbol(symbol, market)}:
                continue
            if not seen and not wanted:
                continue  # subscribed, and silent so far: should it speak later, that is told
            instrument, origin = build_instrument(symbol, market, seen, listing, tick)
            matched |= wanted & {symbol, instrument.symbol}
            self._facts[f"tick size of {instrument.key}"] = origin
            chosen.append(instrument)
        missing = sorted(wanted - matched)
        if missing:
            known = {symbol for _, symbol in prices}
            raise SourceError(f"{spec.text} holds no {', '.join(missing)}", hint=did_you_mean(missing[0], known))
        if not chosen:
            raise SourceError(f"{spec.text}: no instrument was found", hint="is it a Binance recording?")
        if tick is not None and len(chosen) > 1:
            raise ConfigError(f"tick was {tick} for {len(chosen)} instruments", hint="choose one with ?symbol=")
        return tuple(chosen)

    def _clock_shifts(self, mode: str) -> list[int]:
        """Return what is added to each file's receive times, and put what was measured into the facts."""
        if mode not in {"asis", "correct"}:
            raise ConfigError(f"clock was {mode!r}", hint=did_you_mean(mode, ("asis", "correct")))
        behind = [max(0, -probe.fastest_ns) for probe in self._probes]
        shifts = []
        for probe, own in zip(self._probes, behind, strict=True):
            shift = max(other for other in behind if abs(other - own) <= _SAME_CLOCK_NS) if own else 0
            used = shift if mode == "correct" else 0
            shifts.append(used)
            if probe.messages:
                fact = f"fastest of {probe.messages} messages took {probe.fastest_ns / 1e6:.3f} ms"
                if own:
                    fact += ": the receive clock is behind the exchange; "
                    fact += (
                        f"ts_recv raised by {used / 1e6:.3f} ms"
                        if used
                        else "ts_recv is as recorded, ?clock=correct shifts it"
                    )
                self._facts[f"receive clock of {display_name(probe.path)}"] = fact
        return shifts

    def _blocks(self) -> Iterator[EventBlock]:
        self.report.facts.update(self._facts)
        streams = [
            self._file(probe, shift) for probe, shift in zip(self._probes, self._shifts, strict=True) if probe.market
        ]
        clock = np.zeros(len(self.instruments), np.int64)
        for merged in merge_blocks(streams):
            fill_event_times(merged.rows, clock)
            block = self._cut(merged)
            if len(block):
                yield block
            if self._to is not None and merged.rows["ts_recv"][-1] >= self._to:
                break

    def _cut(self, block: EventBlock) -> EventBlock:
        if self._from is None and self._to is None:
            return block
        times = block.rows["ts_recv"]
        first = 0 if self._from is None else int(np.searchsorted(times, self._from))
        last = len(times) if self._to is None else int(np.searchsorted(times, self._to))
        return block[first : max(first, last)]

    def _file(self, probe: Probe, shift: int) -> Iterator[EventBlock]:
        """Yield the blocks of one file, receive times shifted and never running backwards."""
        name = display_name(probe.path)
        decoder = BinanceDecoder(
            self.instruments,
            probe.market,
            others=probe.prices if self._lenient else (),
            channels=self._channels,
            lenient=self._lenient,
            nameless=next(iter(probe.prices)) if len(probe.prices) == 1 else "",
            reject=self.reject,
            note=self.report.note,
            name=name,
            event_clock=False,
        )
        plain = probe.framing == "plain"
        blocks = self._plain(probe.path, name, decoder) if plain else self._framed(probe.path, name, decoder)
        last = 0
        for block in blocks:
            if decoder.unit and plain:
                self.report.facts[f"time unit of {name}"] = decoder.unit
            if len(block):
                block.rows["ts_recv"] += shift
                last, raised = raise_receive_times(block.rows, last)
                if raised:
                    self.report.note("receive times that ran backwards, raised to the last one", int(raised))
                yield block

    def _plain(self, path: str, name: str, decoder: BinanceDecoder) -> Iterator[EventBlock]:
        with open_binary(path) as stream:
            for chunk, line in whole_lines(stream, name, self.reject):
                before = decoder.lines
                block = decoder.decode(chunk, line)
                self.report.records += decoder.lines - before
                yield block

    def _framed(self, path: str, name: str, decoder: BinanceDecoder) -> Iterator[EventBlock]:
        batch: list[Frame] = []
        size = 0
        for frame in read_frames(path, reject=self.reject):
            if frame.direction in {"connect", "send"}:
                self.report.note("connections opened" if frame.direction == "connect" else "messages sent")
                continue
            self.report.records += 1
            if frame.direction == "http":
                yield _decode(decoder, batch)
                batch, size = [], 0
                yield decoder.push(frame.data, frame.ts_recv, url=frame.url, where=f"{name}:{frame.line}")
                continue
            batch.append(frame)
            size += len(frame.data)
            if size > _BATCH_BYTES:
                yield _decode(decoder, batch)
                batch, size = [], 0
        yield _decode(decoder, batch)


def _decode(decoder: BinanceDecoder, batch: list[Frame]) -> EventBlock:
    """Decode frames together, as if they were recorded lines."""
    text = b"".join(b"%d %b\n" % (frame.ts_recv, frame.data.replace(b"\n", b" ")) for frame in batch)
    return decoder.decode(text, [frame.line for frame in batch])


def _market_option(spec: SourceSpec) -> Market | str:
    name = spec.option("market")
    if name and name not in MARKETS:
        raise ConfigError(f"market was {name!r}", hint=did_you_mean(name, MARKETS))
    return MARKETS[name] if name else ""


def _tick_option(spec: SourceSpec) -> Decimal | None:
    text = spec.option("tick")
    try:
        tick = Decimal(text) if text else None
    except InvalidOperation as error:
        raise ConfigError(f"tick was {text!r}", hint="write a decimal number such as 0.1") from error
    if tick is not None and not (tick.is_finite() and tick > 0):
        raise ConfigError(f"tick was {text!r}", hint="it must be positive")
    return tick


def _open(spec: SourceSpec) -> BinanceWs:
    return BinanceWs(spec)


FORMAT = SourceFormat(
    name="binance-ws",
    example="binance-ws:usdm_btcusdt_20240808.gz,usdm_btcusdt_20240809.gz?clock=correct",
    description="Raw recorded Binance websocket and REST messages: spot, USDT-M and COIN-M, one or many symbols.",
    open=_open,
    options={
        "symbol": "only these symbols, comma-separated, as the venue or we spell them",
        "market": "spot, linear (usdm) or inverse (coinm); by default told from hosts and messages",
        "channels": "only these: depth, bookTicker, trade, aggTrade, markPrice, forceOrder, openInterest, ratio",
        "from": "first receive time, ISO 8601 or epoch (a book then waits for the next snapshot)",
        "to": "receive time to stop before",
        "tick": "tick size of the one instrument, in place of exchangeInfo or what the prices say",
        "clock": "asis (default) or correct: raise receive times by the measured negative latency",
    },
)
