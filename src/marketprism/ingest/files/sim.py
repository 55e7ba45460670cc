"""``sim:`` the built-in simulated markets, for a fresh machine without data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError, SourceError, did_you_mean
from marketprism.core.kinds import Flag
from marketprism.core.timebase import parse_time
from marketprism.ingest.registry import SourceFormat, SourceSpec
from marketprism.ingest.source import BLOCK_ROWS, IngestReport, Source
from marketprism.ingest.text_columns import duration_ns
from marketprism.simulate.config import FlowConfig
from marketprism.simulate.feed import FeedConfig
from marketprism.simulate.models import MODELS, market_config, open_market

__all__ = ["FORMAT", "SimSource"]

_FLOWS: dict[str, Callable[[], FlowConfig]] = {"correlated": FlowConfig, "independent": FlowConfig.independent}
_DEFAULT, _DEFAULT_TITLE = "markov", "Markov queue book (Cont, Stoikov and Talreja 2010)"
_READ: dict[str, tuple[str, Callable[[str], Any]]] = {
    "seed": ("seed", int),
    "minutes": ("duration_s", lambda text: 60 * float(text)),
    "rate": ("rate_scale", float),
    "symbol": ("symbol", str),
    "tick": ("tick_size", lambda text: str(Decimal(text))),
    "price": ("initial_price", lambda text: str(Decimal(text))),
    "depth": ("depth", int),
    "latency": ("latency_ms", lambda text: duration_ns(text) / 1e6),
    "start": ("start_ns", parse_time),
}
"""Option -> key of the configuration, and how its text is read."""


class SimSource(Source):
    """A seeded market generator; by default a Markov queue book (Cont, Stoikov and Talreja 2010) with correlated flow.

    Times run from a fixed date, never from the wall clock: the same text gives the same rows.

    Parameters
    ----------
    spec : SourceSpec
        ``sim:?seed=1&minutes=60``; see ``FORMAT.options``.

    Raises
    ------
    ConfigError
        An option is no number, out of range, or none of the model.
    SourceError
        A path was given, or the configuration file cannot be read.
    """

    def __init__(self, spec: SourceSpec) -> None:
        if spec.paths:
            raise SourceError(f"{spec.text} names {spec.paths[0]!r}", hint="sim reads no file: write sim:?seed=1")
        self.model = spec.option("model") or _DEFAULT
        self.config = _config(spec, self.model)
        self._market = open_market(self.model, self.config)
        super().__init__(spec.text, (self._market.instrument,), strict=spec.flag("strict"))

    def _blocks(self) -> Iterator[EventBlock]:
        title = MODELS[self.model].title if self.model != _DEFAULT else _DEFAULT_TITLE
        self.report = IngestReport(
            facts={"seed": str(self.config.seed), "model": f"{title}, simulated: not market data"}
        )
        for block in self._market.blocks(BLOCK_ROWS):
            self.report.records += int(np.count_nonzero(block.rows["flags"] & Flag.LAST))
            yield block


def _config(spec: SourceSpec, model: str) -> FeedConfig:
    if model not in MODELS:
        raise ConfigError(f"model was {model!r}", hint=did_you_mean(model, MODELS))
    known = {field.name for field in msgspec.structs.fields(MODELS[model].config)}
    values = _read_file(spec.option("config")) if spec.option("config") else {}
    for option, (key, read) in _READ.items():
        text = spec.option(option)
        if not text:
            continue
        if key not in known:
            raise ConfigError(f"the model {model} has no {option}", hint="leave the option out")
        try:
            values[key] = read(text)
        except (ValueError, InvalidOperation) as error:
            raise ConfigError(f"{option} was {text!r}", hint=f"give a number: {FORMAT.options[option]}") from error
    flow = spec.option("flow")
    if flow:
        if model != _DEFAULT:
            raise ConfigError(f"the model {model} has no flow", hint=f"flow is an option of {_DEFAULT}")
        if flow not in _FLOWS:
            raise ConfigError(f"flow was {flow!r}", hint=did_you_mean(flow, _FLOWS))
        values["flow"] = _FLOWS[flow]().to_mapping()
    return market_config(model, values)


def _read_file(path: str) -> dict[str, Any]:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise SourceError(f"config {path!r} cannot be read: {error}", hint="give a file of the model's keys") from error
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise SourceError(
            f"config {path!r} is no JSON object: {error}", hint="give a file of the model's keys"
        ) from error


FORMAT = SourceFormat(
    name="sim",
    example="sim:?seed=1&minutes=60",
    description="built-in simulated markets: Markov queue book with correlated order flow, or model=NAME",
    open=SimSource,
    options={
        "model": f"market generator: {', '.join(MODELS)} (default {_DEFAULT})",
        "config": "JSON file of the model's configuration, such as one that calibration wrote; options go over it",
        "seed": "integer that everything random derives from (default 1)",
        "minutes": "length in simulated minutes (default 240)",
        "rate": "multiplies the speed of everything (default 1, about 65 rows a second)",
        "symbol": "canonical symbol (default SIM-USDT)",
        "tick": "price step (default 0.01)",
        "price": "initial price, a multiple of the tick (default 100)",
        "depth": "farthest new limit orders, in ticks (default 20; of markov, cst, hawkes and imbalance_reactive)",
        "latency": "least ts_recv - ts_event, such as 20ms (default 1.5ms)",
        "start": "exchange time of the opening (default 2026-01-01)",
        "flow": "correlated (default), or independent for the pure queue model; of markov",
    },
    needs_path=False,
)
