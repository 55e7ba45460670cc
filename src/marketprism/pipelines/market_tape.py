"""One pass over a source for a backtest: the tape, the hash of the data, and what a strategy may know besides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Literal

from marketprism.backtest.codes import TapeKind
from marketprism.backtest.signals import SignalTape, signal_tape
from marketprism.backtest.tape import Tape
from marketprism.backtest.tape_builder import TapeBuilder, TapeReport
from marketprism.book.config import BookConfig
from marketprism.core.config import Config
from marketprism.core.errors import ConfigError, DataError, SourceError, did_you_mean
from marketprism.core.instrument import Instrument
from marketprism.factors.config import EngineConfig
from marketprism.factors.engine import FactorEngine
from marketprism.factors.registry import factors
from marketprism.ingest.source import Source
from marketprism.pipelines.collect import StreamHash
from marketprism.pipelines.gate_side import Side
from marketprism.pipelines.runtime import Say, silent

if TYPE_CHECKING:
    import polars as pl

__all__ = ["MarketTape", "TapeConfig", "check_market", "factor_signals", "prediction_signals", "read_market"]

_NS_PER_MS = 1_000_000
_KIND = 63
_DAY_MS = 86_400_000.0
_CURRENCIES = {"nasdaq": "USD", "us": "USD", "sse": "CNY", "szse": "CNY"}
"""Quote currencies of equities, whose symbols do not name any, by exchange."""


class TapeConfig(Config, frozen=True):
    """How a source becomes a tape.

    Parameters
    ----------
    feed_latency_ms : float, optional
        Receive times are exchange times plus this, whatever the source says; None: as received.
    base_latency_ms : float
        Where the receive clock is behind the exchange clock, all receive times are moved so that the fastest event
        took this long.
    lot : str or float, optional
        Lot size, a decimal; None: that of the instrument, or the smallest step of the quantities seen.
    levels : int, optional
        Best levels of each side to keep; None: all.
    start : {"snapshot", "first_update"}
        Where the book begins; "first_update" is for recordings without a snapshot.
    """

    feed_latency_ms: float | None = None
    base_latency_ms: float = 1.0
    lot: str | float | None = None
    levels: int | None = None
    start: Literal["snapshot", "first_update"] = "snapshot"

    def __post_init__(self) -> None:
        for name in ("feed_latency_ms", "base_latency_ms"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= _DAY_MS:
                raise ConfigError(f"tape.{name} was {value:g}", hint=f"from 0 to {_DAY_MS:g}, a day")

    def builder(self, instrument: Instrument) -> TapeBuilder:
        """Return the builder that it describes.

        Raises
        ------
        ConfigError
            A value is out of range, or ``lot`` is no decimal.
        """
        try:
            lot = None if self.lot is None else Decimal(str(self.lot))
        except InvalidOperation as error:
            raise ConfigError(f"lot was {self.lot!r}", hint="write a decimal, such as 0.001") from error
        feed = self.feed_latency_ms
        return TapeBuilder(
            instrument,
            lot=lot,
            latency_ns=None if feed is None else round(feed * _NS_PER_MS),
            negative_latency="shift",
            base_latency_ns=round(self.base_latency_ms * _NS_PER_MS),
            levels=self.levels,
            book=BookConfig(start=self.start),
        )


@dataclass(frozen=True)
class MarketTape:
    """What one pass over a source gave.

    Attributes
    ----------
    instrument : Instrument
        The market.
    tape : Tape
        Its events.
    report : TapeReport
        What the builder saw and did.
    data_hash : str
        SHA-256 of the event stream, the same as that of ``run``.
    frame : polars.DataFrame, optional
        Rows of the factor engine, where factors were asked for.
    """

    instrument: Instrument
    tape: Tape
    report: TapeReport
    data_hash: str
    frame: pl.DataFrame | None = None

    def span(self) -> tuple[int, int]:
        """Return the exchange times of the first and the last event, ns UTC."""
        times = self.tape.events["exchange_ts"]
        return int(times.min()), int(times.max())

    def currency(self, *, inverse: bool) -> str:
        """Return the currency of a P&L: the quote currency, or the base currency of an inverse contract."""
        base, _, quote = self.instrument.symbol.partition("-")
        if inverse:
            return base
        return quote.partition("-")[0] or _CURRENCIES.get(self.instrument.exchange, "quote currency")


def read_market(
    source: Source, config: TapeConfig | None = None, engine: EngineConfig | None = None, say: Say = silent
) -> MarketTape:
    """Read a source once, packing its tape; with ``engine`` its factor rows are computed as well.

    Raises
    ------
    SourceError
        It holds several instruments, or nothing usable.
    DataError
        No book begins in it.
    """
    import polars as pl

    instrument = source.instrument
    config = config or TapeConfig()
    builder, digest = config.builder(instrument), StreamHash()
    chain = FactorEngine(engine, instrument=source.instruments) if engine is not None else None
    frames: list[pl.DataFrame] = []
    say("source")
    for block in source:
        builder.push(block)
        digest.update(block)
        if chain is not None:
            frames.append(chain.push(block))
        say("source", None, f"{builder.report.rows:,} rows")
    frame = pl.concat([*frames, chain.flush()]) if chain is not None else None
    try:
        tape, report = builder.finish(), builder.report
    except DataError as error:
        raise DataError(f"{source.spec}: {error}") from error
    return MarketTape(instrument, tape, report, digest.hexdigest(), frame)


def check_market(market: MarketTape, source: str, *, trades: bool = True) -> None:
    """Refuse a market that nobody can make.

    Parameters
    ----------
    market : MarketTape
        What was read.
    source : str
        Its text, for the message.
    trades : bool, default True
        Trades are needed; not where the other side's best fills resting orders, nor by those who take.

    Raises
    ------
    DataError
        Its book has one side only, or it has no trades.
    """
    kinds = market.tape.events["kind"] & _KIND
    for kind, name in ((TapeKind.BID, "bid"), (TapeKind.ASK, "ask")):
        if not (kinds == kind).any():
            raise DataError(f"{source} holds no {name}", hint="a market needs both sides: name the book data too")
    if trades and not market.report.trades:
        left = ", ".join(f"{n:,} {why}" for why, n in sorted(market.report.left_out.items())) or "nothing"
        raise DataError(
            f"{source} holds no trade that a tape can use (left out: {left})",
            hint="trades fill resting orders: name the file of trades too (or see market.fill_on_cross)",
        )


def factor_signals(market: MarketTape, columns: Sequence[str]) -> SignalTape:
    """Return factors of the market's own rows as signals.

    Raises
    ------
    ConfigError
        Unknown factor.
    SourceError
        The source is too short for a single row.
    """
    frame = market.frame
    if frame is None or not frame.height:
        raise SourceError("no bucket was closed: there is no factor to trade on", hint="give a longer source")
    known = [factor.name for factor in factors() if factor.name in frame.columns]
    for name in columns:
        if name not in known:
            raise ConfigError(f"factor was {name!r}", hint=did_you_mean(name, known))
    return signal_tape(frame, columns, shift_ns=market.tape.shift_ns)


def prediction_signals(market: MarketTape, side: Side) -> SignalTape:
    """Return the out-of-sample predictions of a run folder as a signal.

    Parameters
    ----------
    market : MarketTape
        Made from the same events as the run.
    side : Side
        A judged model of the run, see :func:`~marketprism.pipelines.gate_side.open_side`.

    Raises
    ------
    ConfigError
        It was made from other data.
    """
    theirs = side.summary["hashes"]["data"]
    if theirs != market.data_hash:
        raise ConfigError(
            f"{side.folder} was made from data {theirs[:12]}, the source is {market.data_hash[:12]}",
            hint="backtest on the source that the run read",
        )
    scores = side.predictions.rename({"score": side.model})
    return signal_tape(scores, [side.model], shift_ns=market.tape.shift_ns)
