"""A market made by hand: a mid that walks by ticks, five levels a side, market orders of geometric depth."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from marketprism.backtest.codes import TapeFlag, TapeKind
from marketprism.backtest.tape import EVENT_DTYPE, Tape

START = 1_700_000_000_000_000_000
STEP = 50_000_000
K, RATE, SIGMA = 0.7, 1.2, 1.5


def walk(seconds: float = 240.0, seed: int = 4) -> Tape:
    """Orders reach depth d (from half a tick) at ``RATE exp(-K d)`` a side; the mid moves SIGMA ticks a root second."""
    random = np.random.default_rng(seed)
    rows = [(START, TapeKind.CLEAR, 0, 0.0)]
    mid = 1000
    for i in range(1, 6):
        rows += [(START, TapeKind.BID, mid - i, 5.0), (START, TapeKind.ASK, mid + i, 5.0)]
    arrivals = RATE * np.exp(-K * 0.5) * STEP * 1e-9
    for n in range(1, int(seconds / (STEP * 1e-9))):
        ts = START + n * STEP
        for side in (1, -1):
            if random.random() < arrivals:
                # The mid is whole, so depth 1 is the first that can trade; it stands for the depths .5 to 1.5.
                deepest = random.geometric(1 - np.exp(-K))
                kind = TapeKind.BUY_TRADE if side > 0 else TapeKind.SELL_TRADE
                rows += [(ts, kind, mid + side * d, 2.0) for d in range(1, min(deepest, 5) + 1)]
        if random.random() < SIGMA**2 * STEP * 1e-9:
            step = 1 if random.random() < 0.5 else -1
            near, far = (TapeKind.NO_ASK, TapeKind.BID) if step > 0 else (TapeKind.NO_BID, TapeKind.ASK)
            new, gone = (TapeKind.ASK, TapeKind.NO_BID) if step > 0 else (TapeKind.BID, TapeKind.NO_ASK)
            rows += [(ts, near, mid + step, 0.0), (ts, far, mid, 5.0)]
            rows += [(ts, new, mid + 6 * step, 5.0), (ts, gone, mid - 5 * step, 0.0)]
            mid += step
    events = np.zeros(len(rows), EVENT_DTYPE)
    events["exchange_ts"] = [row[0] for row in rows]
    events["local_ts"] = events["exchange_ts"] + 1_000_000
    events["kind"] = [row[1] | TapeFlag.EXCHANGE | TapeFlag.LOCAL for row in rows]
    events["tick"] = [row[2] for row in rows]
    events["quantity"] = [row[3] for row in rows]
    return Tape(events, Decimal("0.5"), Decimal("0.1"), "sim:spot:WALK-USDT")


@pytest.fixture(scope="session")
def tape() -> Tape:
    return walk()
