"""The arrays of the maker loop, from configurations and signals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from marketprism.backtest.codes import TapeFlag
from marketprism.backtest.tape import Tape
from marketprism.core.errors import ConfigError, did_you_mean
from marketprism.core.kernels import address
from marketprism.strategies._formulas import TABLE, exact_table
from marketprism.strategies._orders import HIGH, LOW
from marketprism.strategies._plan import FLOW_DTYPE, MAKER_DTYPE, MOST_SIGNALS, STATE_DTYPE
from marketprism.strategies.config import MakerConfig, SignalSkewConfig
from marketprism.strategies.order_size import median_trade

if TYPE_CHECKING:
    from marketprism.backtest.signals import SignalTape

__all__ = ["MakerArrays"]

_NS = 1_000_000_000
_MOST_LOTS = 2.0**52
_EXACT = 3
"""Kind whose distances are read off a table."""


class MakerArrays:
    """Everything that :func:`~marketprism.strategies._maker.drive` takes besides the engine; rows by account.

    Parameters
    ----------
    tapes : sequence of Tape
        One for each market.
    configs : sequence of MakerConfig
        One for each account of a market, ``lane * agents + agent``.
    signals : SignalTape, optional
        Read in all markets.

    Raises
    ------
    ConfigError
        A signal is not on the tape, or weights and signals disagree; a warm-up is longer than a tape.
    """

    def __init__(self, tapes: Sequence[Tape], configs: Sequence[MakerConfig], signals: SignalTape | None) -> None:
        width = len(configs)
        accounts = len(tapes) * width
        self.plans = np.zeros(accounts, MAKER_DTYPE)
        self.states = np.zeros(accounts, STATE_DTYPE)
        self.flows = np.zeros(len(tapes), FLOW_DTYPE)
        columns = _columns(configs, signals)
        self.weights = np.zeros((accounts, max(len(columns), 1)))
        self.stats = np.zeros((accounts, 3, max(len(columns), 1)))
        for m, tape in enumerate(tapes):
            for n, config in enumerate(configs):
                self._fill(m * width + n, tape, config, columns)
        bounds = self.plans["bound"][self.plans["kind"] == 3]
        self.tables = np.zeros((accounts, 2 * round(bounds.max()) if bounds.size else 0))
        self.states["buys_high"], self.states["sells_low"] = LOW, HIGH
        for name in ("table_k", "table_rate", "table_sigma", "table_gamma"):
            self.states[name] = np.finfo(np.float64).tiny
        self.flows["mid"] = self.flows["sample_mid"] = np.nan
        self.signal_ts, self.signal_values = np.zeros(0, np.int64), np.zeros((0, 1))
        if signals is not None and columns:
            at = [signals.names.index(name) for name in columns]
            self.signal_ts = np.ascontiguousarray(signals.ts, np.int64)
            self.signal_values = np.ascontiguousarray(signals.values[:, at], np.float64)
        self.flows["signal_end"] = len(self.signal_ts)
        events = 0
        for flow, tape in zip(self.flows, tapes, strict=True):
            flow["event_at"] = events
            events += len(tape)

    def _fill(self, row: int, tape: Tape, config: MakerConfig, columns: Sequence[str]) -> None:
        heard = tape.events["local_ts"][(tape.events["kind"] & TapeFlag.LOCAL) != 0]
        if not heard.size or heard[-1] - heard[0] <= config.warmup_s * _NS:
            lasts = (heard[-1] - heard[0]) / _NS if heard.size else 0.0
            raise ConfigError(
                f"warmup_s was {config.warmup_s:g}, the tape of {tape.key or 'a market'} lasts {lasts:g} s",
                hint="nothing would be quoted: shorten the warm-up, or give a longer source",
            )
        lot = float(tape.lot_size)
        quantity = config.order_quantity or median_trade(tape, config.warmup_s)
        if abs(quantity / lot - round(quantity / lot)) > 1e-6 or not 0.5 < quantity / lot < _MOST_LOTS:
            raise ConfigError(f"order_quantity was {quantity:g}", hint=f"a multiple of the lot, {tape.lot_size}")
        for name, value in config.plan(quantity).items():
            self.plans[row][name] = value
        if self.plans[row]["kind"] == _EXACT:
            self.plans[row]["table_function"] = address(exact_table, TABLE)
        if isinstance(config, SignalSkewConfig):
            names = config.signals or tuple(columns)
            weights = config.weights or (1.0 / len(names),) * len(names)
            if len(weights) != len(names):
                raise ConfigError(
                    f"{len(weights)} weights for {len(names)} signals ({', '.join(names)})", hint="one for each"
                )
            self.plans[row]["signals"] = len(columns)
            for name, weight in zip(names, weights, strict=True):
                self.weights[row, columns.index(name)] = weight

    @property
    def arguments(self) -> tuple[np.ndarray, ...]:
        """What ``drive`` takes after the interval, in its order."""
        return (
            self.plans,
            self.states,
            self.flows,
            self.tables,
            self.signal_ts,
            self.signal_values,
            self.weights,
            self.stats,
        )


def _columns(configs: Sequence[MakerConfig], signals: SignalTape | None) -> list[str]:
    """Return the signals that any of the accounts reads, in the order of the tape."""
    wanted: set[str] = set()
    for config in configs:
        if isinstance(config, SignalSkewConfig):
            if signals is None:
                raise ConfigError(
                    "signal_skew was not given any signals",
                    hint="pass signals=SignalTape(...); on the command line --signal FACTOR",
                )
            for name in config.signals:
                if name not in signals.names:
                    raise ConfigError(f"there is no signal {name!r}", hint=did_you_mean(name, signals.names))
            wanted.update(config.signals or signals.names)
    if len(wanted) > MOST_SIGNALS:
        raise ConfigError(f"{len(wanted)} signals would be read", hint=f"name at most {MOST_SIGNALS}: signals=...")
    return [name for name in signals.names if name in wanted] if signals is not None else []
