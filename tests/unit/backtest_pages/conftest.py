"""Replays made up by hand: pages need no engine."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl
import pytest

from marketprism.backtest.accounting import PnlSplit
from marketprism.backtest.codes import TapeFlag, TapeKind
from marketprism.backtest.evidence import track_records
from marketprism.backtest.result import AccountReport
from marketprism.backtest.tape import EVENT_DTYPE, Tape
from marketprism.backtest.tape_builder import TapeReport
from marketprism.core.instrument import Instrument
from marketprism.evaluate.trials import Trials
from marketprism.ingest.source import IngestReport
from marketprism.pipelines.backtest_config import BacktestConfig
from marketprism.pipelines.backtest_replay import Replay, increments_of
from marketprism.pipelines.market_tape import MarketTape

START = 1_700_000_000_000_000_000
BARS = 600


def make_account(
    lane: int = 0, agent: int = 0, *, drift: float = 0.02, trades: int = 400, seed: int = 0, wander: bool = False
) -> AccountReport:
    rng = np.random.default_rng(seed + 100 * lane + agent)
    ts = START + np.arange(BARS) * 10**9
    steps = rng.normal(0, 1, BARS)
    position = np.cumsum(steps) if wander else 3 * steps
    position = np.round(position, 3) if trades else np.zeros(BARS)
    spread = np.cumsum(rng.exponential(0.05, BARS)) if trades else np.zeros(BARS)
    adverse = -0.6 * spread
    noise = np.cumsum(rng.normal(drift, 0.05, BARS)) if trades else np.zeros(BARS)
    fees = 0.1 * spread
    equity = spread + adverse + noise - fees
    frame = pl.DataFrame(
        {
            "ts": ts,
            "mid": 100 + np.cumsum(rng.normal(0, 0.01, BARS)),
            "position": position,
            "equity": equity,
            "spread_capture": spread,
            "inventory_pnl": noise,
            "adverse_selection": adverse,
            "fees": fees,
            "funding": np.zeros(BARS),
        }
    )
    horizons = (0.1, 1.0, 5.0, 30.0)
    nothing = float("nan")
    markouts = pl.DataFrame(
        {
            "horizon_s": [*horizons, *horizons],
            "maker": [True] * 4 + [False] * 4,
            "n": [trades] * 4 + [0] * 4,
            "mean_ticks": [-0.1, -0.2, -0.3, -0.1, *[nothing] * 4],
            "stderr": [0.02, 0.03, 0.05, 0.3, *[nothing] * 4],
            "edge_ticks": [0.5] * 4 + [nothing] * 4,
        }
    )
    return AccountReport(
        lane=lane,
        agent=agent,
        pnl=float(equity[-1]),
        spread_capture=float(spread[-1]),
        inventory_pnl=float(noise[-1]),
        adverse_selection=float(adverse[-1]),
        fees=float(fees[-1]),
        funding=0.0,
        split=PnlSplit(*map(Fraction, (0, 0, 0, 0))),
        trades=trades,
        volume=float(trades),
        value=100.0 * trades,
        orders=5 * trades + 10,
        fill_rate=0.2 if trades else 0.0,
        order_to_trade=5.0 if trades else float("nan"),
        max_drawdown=0.7 if trades else 0.0,
        sharpe={"1 s": 3.0, "1 min": 2.5, "trade": float("nan")},
        markouts=markouts,
        equity=frame,
        queue={
            "rested": 100.0,
            "filled_share": 0.2,
            "seconds_to_fill_mean": 1.5,
            "ahead_mean": 2.0,
            "requests": 5.0 * trades + 20,
        },
    )


def make_market(**report: Any) -> MarketTape:
    events = np.zeros(4, EVENT_DTYPE)
    events["exchange_ts"] = events["local_ts"] = START + np.arange(4) * 10**9
    events["kind"] = TapeKind.BID | TapeFlag.EXCHANGE | TapeFlag.LOCAL
    events["tick"], events["quantity"] = 10_000, 1.0
    tape = Tape(events, Decimal("0.01"), Decimal("0.001"), "sim:spot:SIM-USDT")
    told = TapeReport(rows=4, events=4, trades=2, **report)
    instrument = Instrument(exchange="sim", market_type="spot", symbol="SIM-USDT", tick_size=Decimal("0.01"))
    return MarketTape(instrument, tape, told, "ab" * 32)


def make_orders(rows: list[tuple[int, str, str]]) -> pl.DataFrame:
    lanes, status, reason = zip(*rows, strict=True) if rows else ((), (), ())
    return pl.DataFrame(
        {"lane": lanes, "agent": [0] * len(rows), "status": status, "reason": reason},
        schema={"lane": pl.Int64, "agent": pl.Int64, "status": pl.String, "reason": pl.String},
    )


@pytest.fixture(scope="session")
def account() -> Callable[..., AccountReport]:
    return make_account


@pytest.fixture(scope="session")
def market() -> Callable[..., MarketTape]:
    return make_market


@pytest.fixture(scope="session")
def replay() -> Callable[..., Replay]:
    def build(
        accounts: list[AccountReport] | None = None,
        *,
        orders: list[tuple[int, str, str]] | None = None,
        trials: int = 0,
        ledger: bool = False,
        config: BacktestConfig | None = None,
        ingest: IngestReport | None = None,
        **report: Any,
    ) -> Replay:
        accounts = accounts or [make_account()]
        config = config or BacktestConfig(replications=100)
        records = track_records(
            [increments_of(one) for one in accounts], trials=trials or None, replications=config.replications
        )
        told = [(0, "new", "none"), (0, "filled", "none")] if orders is None else orders
        lanes = [{"gamma": 0.1 * (place + 1)} for place in range(len(accounts))]
        count = Trials(max(trials, len(accounts)), float("nan"), len(accounts), from_ledger=ledger)
        return Replay(
            "glft", lanes, config, "sim:?seed=1", make_market(**report), ingest or IngestReport(), accounts, records,
            make_orders(told), pl.DataFrame(), count,
        )  # fmt: skip

    return build
