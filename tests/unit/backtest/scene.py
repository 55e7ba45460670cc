"""A market of a few events, in milliseconds, and agents that act on it by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from marketprism.backtest import actions
from marketprism.backtest.codes import TapeFlag, TapeKind
from marketprism.backtest.config import MarketConfig
from marketprism.backtest.engine import Engine
from marketprism.backtest.tape import EVENT_DTYPE, Tape

START = 1_700_000_000_000_000_000
MS = 1_000_000
BOOK = [(0, "BID", 99, 5.0), (0, "BID", 98, 5.0), (0, "ASK", 101, 5.0), (0, "ASK", 102, 5.0), (0, "ASK", 103, 5.0)]
END = (10_000, "BID", 50, 1.0)


def tape(rows: list[tuple[Any, ...]], lot: str = "1") -> Tape:
    """Rows ``(ms, kind, tick, quantity[, flags, slot])``, heard when they happen."""
    events = np.zeros(len(rows), EVENT_DTYPE)
    for event, row in zip(events, rows, strict=True):
        event["exchange_ts"] = event["local_ts"] = START + round(row[0] * MS)
        event["kind"] = TapeKind[row[1]] | TapeFlag.EXCHANGE | TapeFlag.LOCAL
        event["tick"], event["quantity"] = row[2], row[3]
        if len(row) > 4:
            event["flags"], event["slot"] = row[4], row[5]
    return Tape(events, Decimal("0.5"), Decimal(lot))


class Scene:
    """One engine that is driven call by call."""

    def __init__(
        self,
        *rows: tuple[Any, ...],
        book: list[tuple[Any, ...]] = BOOK,
        end: bool = True,
        mode: str = "strict",
        lot: str = "1",
        lanes: int = 1,
        agents: int = 1,
        owners: tuple[int, ...] = (),
        models: Any = None,
        risk: Any = None,
        **config: Any,
    ) -> None:
        config.setdefault("queue", "risk_averse")
        market = MarketConfig(**config)
        events = tape([*book, *rows, *([END] if end else [])], lot)
        extra = {"models": [models]} if models is not None else {}
        if risk is not None:
            extra["risk"] = risk
        self.engine = Engine([events], [market], lanes=lanes, agents=agents, owners=owners, mode=mode, **extra)
        self.to(0)

    def to(self, ms: float) -> int:
        """Go to a time, everything at it included."""
        while True:
            now = int(self.engine.clock["now"][0]) or START
            code = actions.advance(self.engine.pointer, START + round(ms * MS) - now)
            if code != 2:
                return int(code)
            self.engine.grow()

    def finish(self) -> Scene:
        while self.to(20_000 + (int(self.engine.clock["now"][0]) - START) / MS):
            pass
        return self

    def send(self, side: int, tick: int, quantity: float, lane: int = 0, kind: int = 0, force: int = 0) -> int:
        return int(actions.submit(self.engine.pointer, lane, 0, side, tick, quantity, int(kind), int(force)))

    def cancel(self, slot: int) -> bool:
        return bool(actions.cancel(self.engine.pointer, slot))

    def modify(self, slot: int, tick: int, quantity: float) -> bool:
        return bool(actions.modify(self.engine.pointer, slot, tick, quantity))

    def order(self, slot: int) -> Any:
        return self.engine._arrays["orders"][slot]

    def position(self, lane: int = 0) -> float:
        return float(self.engine.accounts[0, lane]["position"])

    def log(self, *columns: str, lane: int | None = None) -> list[tuple[Any, ...]]:
        """Responses heard so far, as tuples."""
        frame = self.engine.responses()
        if lane is not None:
            width = self.engine.agents
            frame = frame.filter((frame["lane"] * width + frame["agent"]) == lane)
        return frame.select(*(columns or ("status", "executed", "executed_tick", "leaves"))).rows()

    def fills(self, lane: int | None = None) -> list[tuple[float, int]]:
        """Quantity and tick of every execution heard so far."""
        return [(q, t) for q, t in self.log("executed", "executed_tick", lane=lane) if q > 0]
