"""The exchange simulator: replay of market data with own orders, latency, queues and fees.

A :class:`~marketprism.backtest.tape.Tape` holds the events of one market, a
:class:`~marketprism.backtest.config.MarketConfig` says how orders get there and what becomes of them, and the
:class:`~marketprism.backtest.engine.Engine` runs strategies over them; ``actions`` is what strategies call, ``look``
what compiled ones see. The names below load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketprism.core.lazy import exports

if TYPE_CHECKING:
    from marketprism.backtest.accounting import PnlSplit, split_pnl
    from marketprism.backtest.codes import (
        OrderKind,
        QueueModel,
        Reason,
        SelfTrade,
        Status,
        TapeFlag,
        TapeKind,
        TimeInForce,
    )
    from marketprism.backtest.config import MarketConfig
    from marketprism.backtest.engine import Engine
    from marketprism.backtest.evidence import PairedPnl, TrackRecord, paired_pnl, track_records
    from marketprism.backtest.fees import FeeTier
    from marketprism.backtest.latency import RecordedLatency
    from marketprism.backtest.markouts import markout_table
    from marketprism.backtest.models import MarketModels
    from marketprism.backtest.result import AccountReport, summarize
    from marketprism.backtest.risk import RiskLimits
    from marketprism.backtest.signals import SignalTape, latest_signal, signal_tape
    from marketprism.backtest.strategy import Desk, Fill, OpenOrder, Strategy
    from marketprism.backtest.tape import EVENT_DTYPE, Tape
    from marketprism.backtest.tape_builder import TapeBuilder, TapeReport, tape_from_source

__all__ = [
    "EVENT_DTYPE",
    "AccountReport",
    "Desk",
    "Engine",
    "FeeTier",
    "Fill",
    "MarketConfig",
    "MarketModels",
    "OpenOrder",
    "OrderKind",
    "PairedPnl",
    "PnlSplit",
    "QueueModel",
    "Reason",
    "RecordedLatency",
    "RiskLimits",
    "SelfTrade",
    "SignalTape",
    "Status",
    "Strategy",
    "Tape",
    "TapeBuilder",
    "TapeFlag",
    "TapeKind",
    "TapeReport",
    "TimeInForce",
    "TrackRecord",
    "latest_signal",
    "markout_table",
    "paired_pnl",
    "signal_tape",
    "split_pnl",
    "summarize",
    "tape_from_source",
    "track_records",
]

_HOME = {
    "AccountReport": "result",
    "Desk": "strategy",
    "EVENT_DTYPE": "tape",
    "Engine": "engine",
    "FeeTier": "fees",
    "Fill": "strategy",
    "MarketConfig": "config",
    "MarketModels": "models",
    "OpenOrder": "strategy",
    "OrderKind": "codes",
    "PairedPnl": "evidence",
    "PnlSplit": "accounting",
    "QueueModel": "codes",
    "Reason": "codes",
    "RecordedLatency": "latency",
    "RiskLimits": "risk",
    "SelfTrade": "codes",
    "SignalTape": "signals",
    "Status": "codes",
    "Strategy": "strategy",
    "Tape": "tape",
    "TapeBuilder": "tape_builder",
    "TapeFlag": "codes",
    "TapeKind": "codes",
    "TapeReport": "tape_builder",
    "TimeInForce": "codes",
    "TrackRecord": "evidence",
    "latest_signal": "signals",
    "markout_table": "markouts",
    "paired_pnl": "evidence",
    "signal_tape": "signals",
    "split_pnl": "accounting",
    "summarize": "result",
    "tape_from_source": "tape_builder",
    "track_records": "evidence",
}

__getattr__, __dir__ = exports(__name__, _HOME)
