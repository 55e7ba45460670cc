"""Order flow read off recordings: a market by hand, generators against their own rows, and what is refused."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from marketprism.core.errors import DataError
from marketprism.simulate.flow import Order, order_flow
from marketprism.simulate.flow_kernel import NONE
from marketprism.simulate.models import MODELS, market_config, open_market
from marketprism.simulate.recording import RECORD_DTYPE, Recording, What, record_market

S = 1_000_000_000
TICK = Decimal("0.01")


def _recording(*records):
    rows = np.zeros(len(records), RECORD_DTYPE)
    for row, (second, what, tick, quantity) in zip(rows, records, strict=True):
        row["ts"], row["what"], row["tick"], row["quantity"] = second * S, what, tick, quantity
    return Recording(rows, TICK, "sim:spot:HAND")


BOOK = (
    (0, What.CLEAR, 0, 0.0),
    (0, What.BID, 100, 5.0),
    (0, What.BID, 98, 2.0),
    (0, What.ASK, 101, 3.0),
    (0, What.ASK, 103, 4.0),
)
HAND = _recording(
    *BOOK,
    (1, What.BID, 100, 7.0),  # a bid joins
    (2, What.BUY, 101, 3.0),  # a buy of 4 takes both asks' first 3 and 1
    (2, What.BUY, 103, 1.0),
    (2, What.ASK, 101, 0.0),
    (2, What.ASK, 103, 3.0),
    (4, What.ASK, 102, 1.0),  # an ask improves
    (5, What.BID, 98, 0.5),  # 1.5 is cancelled behind
    (6, What.SELL, 100, 2.0),
    (6, What.BID, 100, 4.0),  # 2 were sold, 1 cancelled
    (10, What.LOST, 0, 0.0),
    (12, What.BID, 100, 9.0),  # nobody knows what this is
    (14, What.CLEAR, 0, 0.0),
    (14, What.BID, 99, 1.0),
    (14, What.ASK, 100, 1.0),
    (15, What.ASK, 100, 2.0),
)


def test_orders_of_a_market_by_hand():
    flow = order_flow(HAND)
    orders = [
        (o["ts"] // S, Order(o["what"]).name, int(o["side"]), int(o["tick"]), float(o["quantity"]), float(o["level"]))
        for o in flow.orders
    ]
    assert orders == [
        (1, "LIMIT", 1, 100, 2.0, 5.0),
        (2, "MARKET", -1, 101, 4.0, 3.0),
        (4, "LIMIT", -1, 102, 1.0, 0.0),
        (5, "CANCEL", 1, 98, 1.5, 2.0),
        (6, "MARKET", 1, 100, 2.0, 7.0),
        (6, "CANCEL", 1, 100, 1.0, 7.0),
        (15, "LIMIT", -1, 100, 1.0, 1.0),
    ]
    assert flow.unit == 3.0
    np.testing.assert_array_equal(flow.behind_opposite(flow.orders[:3]), [1, 1, 2])


def test_quotes_of_a_market_by_hand():
    flow = order_flow(HAND)
    quotes = [tuple(int(q[k]) for k in ("bid", "ask")) for q in flow.quotes]
    times = (flow.quotes["ts"] // S).tolist()
    assert dict(zip(times, quotes, strict=True)) == {
        0: (100, 101), 1: (100, 101), 2: (100, 103), 4: (100, 102), 5: (100, 102), 6: (100, 102),
        10: (NONE, NONE), 12: (NONE, NONE), 14: (99, 100), 15: (99, 100),
    }  # fmt: skip
    assert flow.span_s == 11.0
    part = flow.between(3 * S, 8 * S)
    assert part.span_s == 5.0
    assert part.orders["ts"].tolist() == [4 * S, 5 * S, 6 * S, 6 * S]


def test_exposure_of_a_market_by_hand():
    """Bids at 100 were 5 for one second, 7 for five and 4 for four; the unit is 3."""
    flow = order_flow(HAND)
    seconds, units = flow.exposure("opposite", 3, sizes=4)
    # Seen from the opposite quote: to the time 2 bids at distance 1, from 2 to 4 at distance 3, then at 2.
    assert units[0] == pytest.approx((5 + 7 + 3 + 3) / 3 + 2 / 3)
    np.testing.assert_allclose(seconds.sum(axis=1), 22.0)
    assert seconds[0, 2] == 1.0  # 5 in units of 3, rounded up
    assert seconds[0, 3] == 1.0
    _, behind = flow.exposure("behind", 2)
    # Two behind the best: bids at 98, 2 for five seconds and then .5; asks at 103, 4 for the two seconds of 101.
    assert behind[1] == pytest.approx((2 * 5 + 0.5 * 5 + 4 * 2) / 3)
    assert behind[0] == pytest.approx(3 * 6 / 3)
    reference = np.full(len(flow.quotes), 100)
    seconds, _ = flow.exposure("reference", 1, sizes=4, reference=reference)
    assert seconds[0, 3] == 5.0


@pytest.mark.parametrize("model", [name for name in MODELS if name != "cont_de_larrard"])
def test_flow_agrees_with_the_rows_it_came_from(model):
    market = open_market(model, market_config(model, {"seed": 2, "duration_s": 200.0}))
    recording = record_market(market)
    flow = order_flow(recording)
    trades = recording.records["what"] >= What.BUY
    orders = flow.market_orders()
    assert orders["quantity"].sum() == pytest.approx(recording.records["quantity"][trades].sum())
    assert len(np.unique(recording.records["ts"][trades])) == len(orders)
    # Volume is conserved: what came less what went is what stands.
    placed = flow.orders["quantity"] * np.where(flow.orders["what"] == Order.LIMIT, 1, -1)
    first, last = _standing(recording, True), _standing(recording, False)
    assert placed.sum() == pytest.approx(last - first, abs=1e-6)
    assert flow.span_s == pytest.approx(200, abs=1.5)


def _standing(recording, opening):
    records = recording.records[1:]
    if opening:
        records = records[records["ts"] == records["ts"][0]]
    book = {(int(r["what"]), int(r["tick"])): float(r["quantity"]) for r in records if r["what"] <= What.ASK}
    return sum(book.values())


@pytest.mark.parametrize(
    ("recording", "message"),
    [
        (_recording(), "holds no book"),
        (_recording((0, What.CLEAR, 0, 0.0), (1, What.BUY, 100, 1.0)), "holds no book"),
        (_recording(*BOOK, (1, What.BID, 100, 6.0)), "holds no trade"),
        (_recording(*BOOK, (0, What.BUY, 101, 1.0)), "has no valid book"),
        (_recording(*BOOK, (1, What.ASK, 10_000_000, 1.0)), "span 9,999,902 ticks"),
    ],
)
def test_what_cannot_be_read_is_refused(recording, message):
    with pytest.raises(DataError, match=message):
        order_flow(recording)


def test_a_market_without_time_is_refused():
    assert _recording().span_s == 0.0
    assert HAND.span_s == 15.0
