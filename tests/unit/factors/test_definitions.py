"""Definitions on hand-made quotes: what differs between ofi and book_pressure, and when factors are null."""

from __future__ import annotations

from decimal import Decimal

import pytest

from marketprism.buckets.config import BucketConfig
from marketprism.core.block import EventBlock
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import empty_rows
from marketprism.factors.config import EngineConfig
from marketprism.factors.engine import FactorEngine
from marketprism.factors.marks import Mark, mark_rows, new_marker

X = Instrument(exchange="sim", market_type="equity", symbol="X", tick_size=Decimal("0.5"))
START = 1_700_000_000_000_000_000


def quotes(*states: tuple[int, float, int, float]) -> EventBlock:
    """Two-sided quotes (bid, qb, ask, qa), one a second."""
    rows = empty_rows(2 * len(states))
    rows["kind"] = EventKind.QUOTE
    rows["side"] = [1, -1] * len(states)
    rows["price"] = [p for bid, _, ask, _ in states for p in (bid, ask)]
    rows["quantity"] = [q for _, qb, _, qa in states for q in (qb, qa)]
    rows["flags"] = [Flag.FIRST, Flag.LAST] * len(states)
    rows["ts_event"] = [START + n // 2 * 10**9 for n in range(2 * len(states))]
    rows["ts_recv"] = rows["ts_event"]
    return EventBlock(rows, (X,))


def last(block: EventBlock, *families: str) -> dict[str, float | None]:
    config = EngineConfig(buckets=BucketConfig(policy="time", t_target_s=3600.0), families=families)
    engine = FactorEngine(config, instrument=X)
    engine.push(block)
    return engine.flush().row(0, named=True)


@pytest.mark.parametrize(
    ("after", "ofi", "pressure"),
    [
        ((100, 7.0, 102, 4.0), 2.0, 2.0),  # bid size grows
        ((100, 5.0, 102, 1.0), 3.0, 3.0),  # ask size shrinks
        ((101, 2.0, 102, 4.0), 2.0, 2.0),  # bid improves: all of it is new
        ((99, 9.0, 102, 4.0), -5.0, -4.0),  # bid worsens: the old queue is gone; minus the size change
        ((100, 5.0, 101, 6.0), -6.0, -6.0),  # ask improves
        ((100, 5.0, 103, 1.0), 4.0, -3.0),  # ask worsens: 4 are gone; the popular form says -(-(1 - 4))
    ],
)
def test_ofi_and_book_pressure(after: tuple[int, float, int, float], ofi: float, pressure: float) -> None:
    row = last(quotes((100, 5.0, 102, 4.0), after), "ofi")
    assert row["ofi"] == ofi
    assert row["book_pressure"] == pressure


def test_level1_of_one_quote() -> None:
    row = last(quotes((100, 3.0, 102, 1.0)), "level1")
    assert row["spread_ticks"] == 2
    assert row["spread_bps"] == pytest.approx(2 / 101 * 1e4)
    assert row["relative_spread"] == 2 / 202
    assert row["queue_imbalance"] == 0.5
    assert row["microprice"] == 101.5 * 0.5
    assert row["micro_mid_spread"] == 0.5
    assert row["microprice_deviation"] == 0.25


def test_means_weigh_states_by_time() -> None:
    row = last(quotes((100, 1.0, 102, 1.0), (100, 3.0, 106, 1.0), (100, 3.0, 106, 1.0), (99, 1.0, 100, 1.0)), "level1")
    assert row["spread_ticks_mean"] == pytest.approx((2 + 6 + 6) / 3, rel=1e-6)
    assert row["queue_imbalance_mean"] == pytest.approx((0 + 0.5 + 0.5) / 3, rel=1e-6)


def test_one_sided_book_is_null_and_adds_nothing() -> None:
    row = last(quotes((100, 5.0, 102, 4.0), (100, 6.0, 102, 4.0), (0, 0.0, 102, 4.0)), "level1", "ofi", "returns")
    assert [row[name] for name in ("spread_ticks", "queue_imbalance", "microprice", "ofi", "realised_vol")] == [
        None
    ] * 5
    assert row["spread_ticks_mean"] == 2
    back = last(quotes((100, 5.0, 102, 4.0), (0, 0.0, 102, 4.0), (100, 9.0, 102, 4.0)), "ofi")
    assert back["ofi"] == 0.0


def test_marks() -> None:
    block = quotes((100, 5.0, 102, 4.0), (100, 5.0, 102, 4.0))
    engine = FactorEngine(EngineConfig(families=()), instrument=X)
    views = engine.books[0].push(block.rows)
    marks, clock = views.top["status"].copy(), block.rows["ts_event"].copy()
    state = new_marker()
    rows = block.rows.copy()
    rows["kind"][2], rows["flags"][2] = EventKind.TRADE, Flag.AUCTION
    rows["kind"][3], rows["ts_event"][3] = EventKind.GAP, 5
    found = mark_rows(rows, views.top, marks * 0 + 3, state["view"], state["now"], marks, clock)
    both = Mark.BEFORE | Mark.AFTER
    assert [Mark(int(m)) for m in marks] == [both, both | Mark.TOP, both, both | Mark.RESET]
    assert Mark(found) == both | Mark.TOP | Mark.RESET
    assert clock[3] == clock[2] == state["now"][0]
