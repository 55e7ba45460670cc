"""Whatever is traded at whatever prices: the parts of the profit sum to the whole exactly, at every time."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from marketprism.backtest._mids import Mids
from marketprism.backtest.accounting import MarketAccount, pnl_at, split_pnl

TICK, LOT = Decimal("0.01"), Decimal("0.001")
PATH = st.lists(st.integers(2, 4_000_000), min_size=1, max_size=20)
FILL = st.tuples(st.integers(0, 100), st.sampled_from([-1, 1]), st.integers(1, 2_000_000), st.integers(1, 10**7))


@settings(deadline=None, max_examples=60)
@given(PATH, st.lists(FILL, max_size=20), st.integers(0, 60), st.booleans())
def test_parts_sum_to_the_whole(path, rows, horizon, inverse) -> None:
    ts = np.sort(np.random.default_rng(len(path)).choice(100, len(path), replace=False)).astype(np.int64)
    none = np.zeros(0, np.int64)
    mids = Mids(ts, np.array(path, np.int64), np.ones(len(ts), bool), none, int(ts[0]), 100, np.zeros(0))
    at, side, tick, lots = (np.array([row[i] for row in rows], np.int64) for i in range(4))
    account = MarketAccount.build(
        mids,
        ts=at,
        side=side,
        tick=tick,
        quantity=lots * float(LOT),
        maker=np.ones(len(rows), bool),
        mid_half_ticks=mids.before(at),
        fee=np.zeros(len(rows)),
        tick_size=TICK,
        lot_size=LOT,
        inverse=inverse,
    )
    split = split_pnl(account, horizon)
    assert split.spread_capture + split.adverse_selection + split.inventory_pnl == split.total
    tick_size, end = Fraction(TICK), Fraction(path[-1], 2)

    def worth(price: Fraction) -> Fraction:
        return -1 / (price * tick_size) if inverse else price * tick_size

    hand = sum((s * n * Fraction(LOT) * (worth(end) - worth(Fraction(t))) for _, s, t, n in rows), Fraction(0))
    if inverse:
        volume = sum((n * Fraction(LOT) for *_, n in rows), Fraction(0))
        assert abs(split.total - hand) <= volume * 2 / tick_size / 2**61
    else:
        assert split.total == hand
    times = np.array([*range(-5, 101)], np.int64)
    curve = pnl_at(account, times, horizon)
    for name in ("spread_capture", "adverse_selection", "inventory_pnl"):
        expected = float(getattr(split, name))
        assert abs(curve[name][-1] - expected) <= 1e-12 * max(1.0, abs(expected))
    assert all((curve[name][times < min(at, default=101)] == 0.0).all() for name in ("position", "spread_capture"))
