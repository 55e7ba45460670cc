"""The factor engine: blocks of events in, one row of factors for each closed bucket out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import msgspec
import numpy as np

from marketprism.buckets.record import BUCKET_DTYPE, Trigger
from marketprism.core.block import EventBlock
from marketprism.core.errors import DataError
from marketprism.core.instrument import Instrument
from marketprism.core.state import pack_state, unpack_state
from marketprism.factors.base import Factor
from marketprism.factors.chain import Chain, ChainRows, Observer
from marketprism.factors.config import EngineConfig, Signature
from marketprism.factors.registry import factor_hash, factors

if TYPE_CHECKING:
    import polars as pl

    from marketprism.book.book import Book

__all__ = ["FactorEngine"]

_TAG, _VERSION = "factor-engine", 1
_TRIGGERS = {int(t): t.name.lower() for t in Trigger}


class FactorEngine:
    """Compute all configured factors of one instrument or of a panel, chunk invariantly.

    Feeding one row at a time, blocks of any size or the whole stream gives bit-identical rows; so does saving in
    mid-stream and continuing from the bytes.

    Parameters
    ----------
    config : EngineConfig, optional
        Book, buckets, families and their parameters.
    instrument : Instrument or tuple of Instrument
        What the blocks hold. A panel has its own book and buckets for each instrument.

    Raises
    ------
    ConfigError
        Unknown family or parameter, or factors of one name.

    Examples
    --------
    >>> from decimal import Decimal
    >>> from marketprism.core.rows import empty_rows
    >>> btc = Instrument(exchange="sim", market_type="spot", symbol="BTC-USDT", tick_size=Decimal("0.01"))
    >>> engine = FactorEngine(EngineConfig(families=("level1",)), instrument=btc)
    >>> engine.push(EventBlock(empty_rows(0), (btc,))).height
    0
    >>> engine.factor_names[0]
    'spread_ticks'
    """

    def __init__(self, config: EngineConfig | None = None, *, instrument: Instrument | tuple[Instrument, ...]) -> None:
        self.config = config if config is not None else EngineConfig()
        self.instruments = (instrument,) if isinstance(instrument, Instrument) else tuple(instrument)
        if not self.instruments:
            raise DataError("the engine has no instrument", hint="pass source.instruments")
        depth_levels = self.config.book.depth_levels
        self.factors: tuple[Factor, ...] = factors(self.config.families, self.config.params, depth_levels)
        self.factor_names = tuple(item.name for item in self.factors)
        self._chains = [Chain(self.config, item) for item in self.instruments]
        self._only = self._chains[0] if len(self._chains) == 1 else None
        self._known = self.instruments
        self._mapping: np.ndarray | None = None
        self._empty: pl.DataFrame | None = None

    @property
    def signature(self) -> Signature:
        """Hashes of the configuration and of the factors: equal signatures and data give equal rows."""
        config = self.config
        return Signature(config.hash, factor_hash(config.families, config.params, config.book.depth_levels))

    @property
    def books(self) -> tuple[Book, ...]:
        """The books, one for each instrument: counters and the gaps that they noticed."""
        return tuple(chain.book for chain in self._chains)

    def observe(self, observers: Sequence[Observer]) -> None:
        """Call ``observers[i]`` with rows, views and bucket cuts of instrument ``i`` at every step from now on.

        Observers only look: they are no part of the saved state.
        """
        for chain, observer in zip(self._chains, observers, strict=True):
            chain.observer = observer

    def push(self, block: EventBlock) -> pl.DataFrame:
        """Take the next block of the stream.

        Returns
        -------
        polars.DataFrame
            One row for each bucket that closed, in the order in which they could be known: exchange,
            market_type, symbol, the columns of ``BUCKET_DTYPE`` (trigger as text), then the factors (Float64, null
            where undefined). Often empty.

        Raises
        ------
        DataError
            The block holds an instrument that the engine was not built for.
        """
        if block.instruments is not self._known:
            self._adopt(block.instruments)
        if self._only is not None:
            rows = self._only.push(block.rows)
            return self._no_rows if rows is None else self._frame(rows.buckets, rows.values)
        return self._push_panel(block.rows)

    def flush(self) -> pl.DataFrame:
        """Close the open buckets (trigger ``end``) and return their rows; the engine can go on."""
        parts = [(index, rows) for index, chain in enumerate(self._chains) if (rows := chain.flush()) is not None]
        return self._join(parts)

    def _adopt(self, instruments: tuple[Instrument, ...]) -> None:
        if instruments == self.instruments:
            self._mapping = None
        else:
            try:
                self._mapping = np.array([self.instruments.index(item) for item in instruments], np.int64)
            except ValueError:
                unknown = [item.key for item in instruments if item not in self.instruments]
                raise DataError(
                    f"the block holds {', '.join(unknown)}, unknown to the engine",
                    hint="build the engine with instrument=source.instruments",
                ) from None
            if self._only is not None:
                self._mapping = None
        self._known = instruments

    def _push_panel(self, rows: np.ndarray) -> pl.DataFrame:
        index = rows["instrument"]
        if self._mapping is not None:
            index = self._mapping[index]
        if len(rows) == 1:
            present = index
        else:
            present = np.unique(index)
        parts = []
        for which in present.tolist():
            own = np.flatnonzero(index == which)
            closed = self._chains[which].push(rows if len(own) == len(rows) else rows[own])
            if closed is not None:
                parts.append((which, closed._replace(closing=own[closed.closing])))
        return self._join(parts)

    def _join(self, parts: list[tuple[int, ChainRows]]) -> pl.DataFrame:
        if not parts:
            return self._no_rows
        closing = np.concatenate([rows.closing for _, rows in parts])
        order = np.argsort(closing, kind="stable")
        which = np.repeat([index for index, _ in parts], [len(rows.buckets) for _, rows in parts])
        return self._frame(
            np.concatenate([rows.buckets for _, rows in parts])[order],
            np.concatenate([rows.values for _, rows in parts])[order],
            which[order],
        )

    @property
    def _no_rows(self) -> pl.DataFrame:
        if self._empty is None:
            self._empty = self._frame(np.zeros(0, BUCKET_DTYPE), np.zeros((0, len(self.factors))))
        return self._empty

    def _frame(self, buckets: np.ndarray, values: np.ndarray, which: np.ndarray | None = None) -> pl.DataFrame:
        import polars as pl

        series = [self.instruments[i] for i in (which.tolist() if which is not None else [0] * len(buckets))]
        columns = [
            pl.Series(name, [getattr(item, name) for item in series], dtype=pl.String)
            for name in ("exchange", "market_type", "symbol")
        ]
        for name in BUCKET_DTYPE.names or ():
            if name == "trigger":
                columns.append(pl.Series(name, [_TRIGGERS[t] for t in buckets[name].tolist()], dtype=pl.String))
            else:
                columns.append(pl.Series(name, np.ascontiguousarray(buckets[name]), nan_to_null=True))
        by_factor = np.ascontiguousarray(values.T)
        columns += [
            pl.Series(name, by_factor[j], dtype=pl.Float64, nan_to_null=True)
            for j, name in enumerate(self.factor_names)
        ]
        return pl.DataFrame(columns)

    def save(self) -> bytes:
        """Return configuration and state; :meth:`load` continues bit-identically."""
        return pack_state(
            _TAG,
            _VERSION,
            {
                "config": self.config.to_mapping(),
                "instruments": [msgspec.to_builtins(item) for item in self.instruments],
                "factors": self.signature.factors,
                "chains": [chain.save() for chain in self._chains],
            },
        )

    @classmethod
    def load(cls, blob: bytes) -> Self:
        """Return the engine that :meth:`save` described.

        Raises
        ------
        StateError
            The bytes are torn, are not an engine's, or were saved by other factor code.
        """
        saved: dict[str, Any] = unpack_state(blob, _TAG, _VERSION)
        instruments = tuple(msgspec.convert(item, Instrument) for item in saved["instruments"])
        engine = cls(EngineConfig.from_mapping(saved["config"]), instrument=instruments)
        _check_factors(saved["factors"], engine.signature.factors)
        for chain, state in zip(engine._chains, saved["chains"], strict=True):
            chain.restore(state)
        return engine


def _check_factors(saved: str, present: str) -> None:
    from marketprism.core.errors import StateError

    if saved != present:
        raise StateError(
            f"the state was saved by factors {saved}, these are {present}",
            hint="use the version that saved it, or rebuild from raw events",
        )
