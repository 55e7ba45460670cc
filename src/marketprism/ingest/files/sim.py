"""``sim:`` the built-in simulated market, for a fresh machine without data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from typing import TypeVar

import numpy as np

from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError, SourceError, did_you_mean
from marketprism.core.kinds import Flag
from marketprism.core.timebase import parse_time
from marketprism.ingest.registry import SourceFormat, SourceSpec
from marketprism.ingest.source import BLOCK_ROWS, IngestReport, Source
from marketprism.ingest.text_columns import duration_ns
from marketprism.simulate.config import FlowConfig, MarketConfig
from marketprism.simulate.market import MarkovMarket

__all__ = ["FORMAT", "SimSource"]

_FLOWS: dict[str, Callable[[], FlowConfig]] = {"correlated": FlowConfig, "independent": FlowConfig.independent}

T = TypeVar("T")


class SimSource(Source):
    """A seeded Markov queue book (Cont, Stoikov and Talreja 2010) with correlated order flow.

    Times run from a fixed date, never from the wall clock: the same text gives the same rows.

    Parameters
    ----------
    spec : SourceSpec
        ``sim:?seed=1&minutes=60``; see ``FORMAT.options``.

    Raises
    ------
    ConfigError
        An option is no number, or out of range.
    SourceError
        A path was given.
    """

    def __init__(self, spec: SourceSpec) -> None:
        if spec.paths:
            raise SourceError(f"{spec.text} names {spec.paths[0]!r}", hint="sim reads no file: write sim:?seed=1")
        self.config = _config(spec)
        self._market = MarkovMarket(self.config)
        super().__init__(spec.text, (self._market.instrument,), strict=spec.flag("strict"))

    def _blocks(self) -> Iterator[EventBlock]:
        facts = {
            "seed": str(self.config.seed),
            "model": "Markov queue book (Cont, Stoikov and Talreja 2010), simulated: not market data",
        }
        self.report = IngestReport(facts=facts)
        for block in self._market.blocks(BLOCK_ROWS):
            self.report.records += int(np.count_nonzero(block.rows["flags"] & Flag.LAST))
            yield block


def _config(spec: SourceSpec) -> MarketConfig:
    flow = spec.option("flow", "correlated")
    if flow not in _FLOWS:
        raise ConfigError(f"flow was {flow!r}", hint=did_you_mean(flow, _FLOWS))
    default = MarketConfig()
    return MarketConfig(
        seed=_value(spec, "seed", int, default.seed),
        duration_s=60 * _value(spec, "minutes", float, default.duration_s / 60),
        rate_scale=_value(spec, "rate", float, default.rate_scale),
        symbol=spec.option("symbol", default.symbol),
        tick_size=_value(spec, "tick", Decimal, default.tick_size),
        initial_price=_value(spec, "price", Decimal, default.initial_price),
        depth=_value(spec, "depth", int, default.depth),
        latency_ms=duration_ns(spec.option("latency", f"{default.latency_ms}ms")) / 1e6,
        start_ns=_value(spec, "start", parse_time, default.start_ns),
        flow=_FLOWS[flow](),
    )


def _value(spec: SourceSpec, name: str, read: Callable[[str], T], default: T) -> T:
    text = spec.option(name)
    if not text:
        return default
    try:
        return read(text)
    except (ValueError, InvalidOperation) as error:
        raise ConfigError(f"{name} was {text!r}", hint=f"give a number: {FORMAT.options[name]}") from error


FORMAT = SourceFormat(
    name="sim",
    example="sim:?seed=1&minutes=60",
    description="built-in simulated market: Markov queue book with correlated order flow",
    open=SimSource,
    options={
        "seed": "integer that everything random derives from (default 1)",
        "minutes": "length in simulated minutes (default 240)",
        "rate": "multiplies the speed of everything (default 1, about 65 rows a second)",
        "symbol": "canonical symbol (default SIM-USDT)",
        "tick": "price step (default 0.01)",
        "price": "initial price, a multiple of the tick (default 100)",
        "depth": "farthest new limit orders, in ticks (default 20)",
        "latency": "least ts_recv - ts_event, such as 20ms (default 1.5ms)",
        "start": "exchange time of the opening (default 2026-01-01)",
        "flow": "correlated (default), or independent for the pure queue model",
    },
    needs_path=False,
)
