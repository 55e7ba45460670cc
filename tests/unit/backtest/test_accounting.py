"""Profit and its parts by hand: scenes of a few events, in ticks of 0.5 and lots of 1."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from tests.unit.backtest.scene import BOOK, END, MS, START, Scene, tape

import marketprism as mp
from marketprism.backtest import _mids
from marketprism.backtest._mids import Mids, replay_mids
from marketprism.backtest.accounting import MarketAccount, split_pnl
from marketprism.backtest.actions import submit
from marketprism.backtest.config import MarketConfig
from marketprism.backtest.engine import Engine
from marketprism.backtest.fills import fills
from marketprism.backtest.markouts import markout_table
from marketprism.backtest.result import AccountReport, summarize
from marketprism.backtest.tape_builder import tape_from_source
from marketprism.core.errors import ConfigError, DataError
from marketprism.strategies.runner import simulate

NONE = np.zeros(0, np.int64)
DROP = [(60, "BID", 97, 5.0), (60, "NO_BID", 99, 0.0), (60, "NO_BID", 98, 0.0)]


def check(play: Scene, report: AccountReport, lane: int = 0, market: int = 0) -> None:
    """The parts sum to the whole exactly, and the whole is what the engine's accounts say."""
    split = report.split
    assert split.spread_capture + split.adverse_selection + split.inventory_pnl == split.total
    parts = (report.spread_capture, report.inventory_pnl, report.adverse_selection)
    assert report.pnl == sum(parts) - report.fees + report.funding
    engine = play.engine
    account, config = engine.accounts[market, lane], engine.configs[market]
    mid = report.equity["mid"][-1]
    worth = -config.multiplier / mid if config.inverse else config.multiplier * mid
    assert float(split.total) == pytest.approx(account["cash"] + account["position"] * worth, rel=1e-12, abs=1e-12)
    assert report.fees == account["fees"]
    assert report.trades == account["trades"]
    assert report.volume == account["volume"]
    assert report.value == pytest.approx(account["value"], rel=1e-15)
    last = report.equity.row(-1, named=True)
    assert last["position"] == account["position"]
    assert last["equity"] == pytest.approx(report.pnl, rel=1e-12, abs=1e-12)
    if engine.mode == "strict":
        ledger = engine.ledgers[market, lane]
        assert last["position"] == ledger["held"]
        assert report.fees == pytest.approx(ledger["fees"], rel=1e-15)
        assert report.funding == ledger["funding"]
        assert last["funding"] == pytest.approx(ledger["funding"], rel=1e-12)


@pytest.mark.parametrize("mode", ["strict", "compat"])
def test_two_makers_fills_and_a_taker(mode: str) -> None:
    # The bid of 6 stands behind 5: 7 sold fill 2 (compat: all 6) at 99 with the mid at 100. The bids fall to 97, the
    # mid to 99: the ask of 3 is bought at 101. A market buy of 1 pays 101 with the mid at 99. At the end 97 and 100.
    rows = [(50, "SELL_TRADE", 99, 7.0), *DROP, (80, "BUY_TRADE", 101, 20.0), (300, "ASK", 100, 5.0)]
    play = Scene(*rows, mode=mode, maker_fee_bps=1.0, taker_fee_bps=4.0)
    play.send(1, 99, 6.0)
    play.send(-1, 101, 3.0)
    play.to(200)
    play.send(1, 103, 1.0)
    play.finish()
    (report,) = summarize(play.engine)
    check(play, report)
    first = 2 if mode == "strict" else 6
    found = fills(play.engine)
    assert found.select("side", "tick", "quantity", "maker", "mid").rows() == [
        (1, 99, first, True, 50.0),
        (-1, 101, 3.0, True, 49.5),
        (1, 101, 1.0, False, 49.5),
    ]
    assert (found["exchange_ts"] - START).to_list() == [50 * MS, 80 * MS, 201 * MS]
    assert (found["ts"] - START).to_list() == [51 * MS, 81 * MS, 202 * MS]
    assert found["price"].to_list() == [49.5, 50.5, 50.5]
    assert found["fee"].sum() == pytest.approx((first * 49.5 + 3 * 50.5) * 1e-4 + 50.5 * 4e-4)
    assert report.spread_capture == first * 0.5 + 3 * 1.0 - 1.0
    assert report.adverse_selection == first * (49.25 - 50.0) - 3 * (49.25 - 49.5) + (49.25 - 49.5)
    assert report.inventory_pnl == 0.0
    assert report.orders == 3
    assert report.fill_rate == 1.0
    assert report.order_to_trade == 1.0
    assert report.queue["ahead_mean"] == 5.0
    assert report.queue["seconds_to_fill_mean"] == pytest.approx(0.064)
    assert report.queue["quantity_filled_share"] == (first + 4) / 10


def test_adverse_selection_ends_and_inventory_begins_at_the_horizon() -> None:
    # Bought 2 at 99, mid 100. Mid 99 after 10 ms, 98.5 after 60 ms.
    rows = [(50, "SELL_TRADE", 99, 7.0), *DROP, (110, "BID", 96, 5.0), (110, "NO_BID", 97, 0.0)]
    play = Scene(*rows)
    play.send(1, 99, 2.0)
    play.finish()
    for adverse_s, parts in ((0.0, (0.0, -1.5)), (0.01, (-1.0, -0.5)), (0.059, (-1.0, -0.5)), (0.06, (-1.5, 0.0))):
        (report,) = summarize(play.engine, adverse_s=adverse_s)
        assert (report.adverse_selection, report.inventory_pnl) == parts
        assert report.spread_capture == 1.0
        check(play, report)


def test_the_curve_at_every_bar_is_the_sum_of_its_parts() -> None:
    rows = [(50, "SELL_TRADE", 99, 7.0), *DROP, (110, "BID", 96, 5.0), (110, "NO_BID", 97, 0.0)]
    play = Scene(*rows)
    play.send(1, 99, 2.0)
    play.finish()
    (report,) = summarize(play.engine, bar_s=0.02, adverse_s=0.05)
    curve = report.equity.with_columns(ms=(pl.col("ts") - START) // MS)
    seen = {row["ms"]: row for row in curve.rows(named=True)}
    assert seen[40]["equity"] == 0.0
    assert [seen[ms]["position"] for ms in (40, 60, 120)] == [0.0, 2.0, 2.0]
    assert [seen[ms]["mid"] for ms in (40, 60, 100, 120)] == [50.0, 49.5, 49.5, 49.25]
    assert [seen[ms]["equity"] for ms in (60, 80, 120)] == [0.0, 0.0, -0.5]
    assert [seen[ms]["adverse_selection"] for ms in (60, 100, 120)] == [-1.0, -1.0, -1.0]
    assert [seen[ms]["inventory_pnl"] for ms in (60, 100, 120)] == [0.0, 0.0, -0.5]
    parts = curve["spread_capture"] + curve["inventory_pnl"] + curve["adverse_selection"]
    assert (curve["equity"] == parts - curve["fees"] + curve["funding"]).all()
    assert report.max_drawdown == 1.5  # from 1.0 at the fill to -0.5


def test_sharpe_by_three_clocks() -> None:
    rows = [(ms, "ASK" if ms % 20 else "NO_ASK", 100, 5.0 * (ms % 20 > 0)) for ms in range(110, 3000, 10)]
    play = Scene((50, "SELL_TRADE", 99, 7.0), *rows, (130_000, "BID", 51, 1.0), end=False)
    play.send(1, 99, 2.0)
    play.to(60)
    play.send(-1, 98, 1.0)
    play.finish()
    (report,) = summarize(play.engine, bar_s=0.01, year_s=100.0)
    assert list(report.sharpe) == ["0.01 s", "1 min", "trade"]
    bars = np.diff(report.equity["equity"].to_numpy())
    assert report.sharpe["0.01 s"] == pytest.approx(bars.mean() / bars.std(ddof=1) * math.sqrt(100.0 / 0.01))
    assert math.isnan(report.sharpe["1 min"])
    assert math.isnan(report.sharpe["trade"])


def test_mid_of_an_empty_side_and_of_a_gap_is_the_last_one_known() -> None:
    rows = [
        *((20, "NO_ASK", tick, 0.0) for tick in (101, 102, 103)),
        (30, "SELL_TRADE", 99, 7.0),  # no ask: the mid stays at 100
        (40, "GAP", 0, 0.0),
        *((60, *level[1:]) for level in [(0, "CLEAR", 0, 0.0), (0, "BID", 89, 5.0), (0, "ASK", 93, 5.0)]),
    ]
    play = Scene(*rows)
    play.send(1, 99, 2.0)
    play.finish()
    (report,) = summarize(play.engine, bar_s=0.01)
    assert fills(play.engine)["mid"].to_list() == [50.0]
    curve = dict(zip(((report.equity["ts"] - START) // MS).to_list(), report.equity["mid"].to_list(), strict=True))
    assert [curve[ms] for ms in (10, 20, 50, 60)] == [50.0, 50.0, 50.0, 45.5]
    check(play, report)
    assert set(report.markouts["n"].to_list()) == {0}  # every horizon meets the gap
    mids = replay_mids(play.engine.tapes[0])
    assert (mids.gaps - START).tolist() == [40 * MS]
    assert ((mids.ts - START) // MS).tolist() == [0, 20, 60, 10_000][: len(mids.ts)]
    assert mids.known.tolist()[:3] == [True, False, True]


def test_a_gap_keeps_the_mid_and_funding_is_paid_at_it() -> None:
    rows = [(50, "SELL_TRADE", 99, 7.0), (60, "GAP", 0, 0.0), (70, "FUNDING", 0, 0.01)]
    rows += [(80, "CLEAR", 0, 0.0), (80, "BID", 89, 5.0), (80, "ASK", 93, 5.0)]
    play = Scene(*rows)
    play.send(1, 99, 2.0)
    play.finish()
    (report,) = summarize(play.engine, bar_s=0.01)
    assert report.funding == pytest.approx(-2 * 50.0 * 0.01)
    check(play, report)


def test_drawdown_is_from_the_highest_point_before() -> None:
    # A market buy of 1 loses half the spread, 0.5; then the mid rises by 2, falls by 0.25 and rises again.
    rows = [(50, "NO_ASK", 101, 0.0), (50, "NO_ASK", 102, 0.0), (60, "NO_ASK", 103, 0.0), (60, "ASK", 109, 5.0)]
    rows += [(70, "NO_BID", 99, 0.0), (80, "BID", 105, 5.0)]
    play = Scene(*rows)
    play.send(1, 103, 1.0)
    play.finish()
    (report,) = summarize(play.engine, bar_s=0.005)
    equity = report.equity["equity"]
    assert (equity.min(), equity.max()) == (-0.5, 3.0)
    assert report.max_drawdown == 0.5


def test_sharpe_by_minutes() -> None:
    rows = [(20_000 * i, "ASK" if i % 2 else "NO_ASK", 100, 5.0 * (i % 2)) for i in range(1, 20)]
    rows += [(401_000, "ASK", 100, 5.0), (500_000, "BID", 50, 1.0)]
    play = Scene((50, "SELL_TRADE", 99, 7.0), *rows, end=False)
    play.send(1, 99, 2.0)
    play.finish()
    (report,) = summarize(play.engine, bar_s=60.0, year_s=6000.0)
    changes = np.diff(report.equity["equity"].to_numpy()[:-1])  # the last row is the end of the tape
    assert len(changes) == 7
    assert report.sharpe["1 min"] == pytest.approx(changes.mean() / changes.std(ddof=1) * 10.0)


def test_before_the_first_mid_the_first_one_stands() -> None:
    book = [(0, "ASK", 101, 5.0), (50, "BID", 99, 5.0)]
    play = Scene(book=book)
    play.send(1, 101, 1.0)
    play.finish()
    assert fills(play.engine)["mid"].to_list() == [50.0]
    with pytest.raises(DataError, match="never had two sides"):
        replay_mids(tape([(0, "BID", 99, 1.0), (5, "BID", 98, 1.0)]))


def test_inverse_contracts_are_counted_in_base_currency() -> None:
    play = Scene((50, "SELL_TRADE", 99, 7.0), *DROP, (80, "BUY_TRADE", 101, 20.0), inverse=True, multiplier=100.0)
    play.send(1, 99, 2.0)
    play.send(-1, 101, 3.0)
    play.finish()
    (report,) = summarize(play.engine)
    check(play, report)
    hand = 2 * 100 * (1 / 49.5 - 1 / 50.0) + 3 * 100 * (1 / 49.5 - 1 / 50.5)
    assert report.spread_capture == pytest.approx(hand, rel=1e-10)
    assert report.adverse_selection == pytest.approx(200 * (1 / 50.0 - 1 / 49.5), rel=1e-10)


def test_funding_is_part_of_the_profit() -> None:
    rows = [(50, "SELL_TRADE", 99, 7.0), (90, "FUNDING", 100, 0.01), (120, "FUNDING", 0, -0.02)]
    play = Scene(*rows)
    play.send(1, 99, 2.0)
    play.finish()
    (report,) = summarize(play.engine, bar_s=0.01)
    assert report.funding == pytest.approx(2 * 50.0 * 0.01)  # pays one, receives twice as much
    assert report.pnl == report.spread_capture + report.funding
    check(play, report)
    curve = dict(zip(((report.equity["ts"] - START) // MS).to_list(), report.equity["funding"].to_list(), strict=True))
    assert [round(curve[ms], 9) for ms in (80, 90, 120)] == [0.0, -1.0, 1.0]


def test_the_mid_of_a_fill_is_not_the_one_its_event_made() -> None:
    # The trade of 50 ms takes the bid of that time away with it; a market order arrives with the change of 70 ms.
    rows = [(50, "SELL_TRADE", 99, 7.0), (50, "NO_BID", 99, 0.0), (70, "ASK", 100, 5.0)]
    play = Scene(*rows)
    play.send(1, 99, 2.0)
    play.to(69)
    play.send(1, 103, 1.0)
    play.finish()
    found = fills(play.engine)
    assert (found["exchange_ts"] - START).to_list() == [50 * MS, 70 * MS]
    assert found["tick"].to_list() == [99, 100]
    assert found["mid_half_ticks"].to_list() == [200, 198]  # 99 and 101 before; 98 and 100 when it arrived


def test_funding_meets_fills_of_its_own_time() -> None:
    # At 90 ms a trade fills 2, funding falls due, and then a market order of 1 arrives.
    play = Scene((90, "SELL_TRADE", 99, 7.0), (90, "FUNDING", 100, 0.01))
    play.send(1, 99, 2.0)
    play.to(89)
    play.send(1, 103, 1.0)
    play.finish()
    (report,) = summarize(play.engine)
    assert report.trades == 2
    assert report.funding == pytest.approx(-2 * 50.0 * 0.01)
    check(play, report)


def test_agents_that_trade_with_each_other_earn_what_the_other_loses() -> None:
    play = Scene(agents=2, lanes=2)
    play.send(1, 100, 3.0, lane=2)
    play.to(10)
    play.send(-1, 100, 3.0, lane=3)
    play.finish()
    reports = summarize(play.engine)
    assert [(r.lane, r.agent, r.trades) for r in reports] == [(0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 1, 1)]
    assert reports[2].pnl == -reports[3].pnl
    assert reports[2].markouts.filter(pl.col("n") > 0)["maker"].unique().to_list() == [True]
    idle = reports[0]
    assert (idle.pnl, idle.orders, idle.volume, idle.max_drawdown) == (0.0, 0, 0.0, 0.0)
    assert all(math.isnan(x) for x in (idle.fill_rate, idle.order_to_trade, idle.queue["cancelled_share"]))
    assert all(math.isnan(x) for x in idle.sharpe.values())
    for lane in (2, 3):
        check(play, reports[lane], lane)


def test_several_markets_add_up() -> None:
    trades = [(50, "SELL_TRADE", 99, 7.0), (80, "BUY_TRADE", 101, 9.0), END]
    engine = Engine([tape([*BOOK, *trades]), tape([*BOOK, *trades])], [MarketConfig(queue="risk_averse")] * 2)
    play = Scene.__new__(Scene)
    play.engine = engine
    play.to(0)
    submit(engine.pointer, 0, 0, 1, 99, 2.0, 0, 0)
    submit(engine.pointer, 0, 1, -1, 101, 4.0, 0, 0)
    play.finish()
    (both,) = summarize(engine)
    (first,) = summarize(engine, markets=[0])
    (second,) = summarize(engine, markets=[1])
    assert (first.volume, second.volume, both.volume) == (2.0, 4.0, 6.0)
    assert both.split.total == first.split.total + second.split.total
    assert (first.orders, second.orders, both.orders) == (1, 1, 2)
    assert both.equity["position"].to_list() == first.equity["position"].to_list()
    assert both.equity["position_1"].to_list() == second.equity["position"].to_list()
    assert both.equity["equity"][-1] == both.pnl
    check(play, second, market=1)


def test_what_became_of_the_orders() -> None:
    play = Scene((50, "SELL_TRADE", 99, 6.0), (400, "NO_BID", 99, 0.0))
    cancelled = play.send(1, 98, 2.0)
    play.send(1, 99, 2.0)
    play.send(1, 101, 2.0, force=1)  # post-only, would take
    play.send(1, 100, 0.5)  # half a lot
    play.send(1, 101, 6.0)  # takes 5, the rest waits
    play.send(-1, 99, 6.0)  # takes the rest of that and 4 more, then meets its owner and ends
    play.to(200)
    play.cancel(cancelled)
    play.send(1, 102, 9.0, force=3)  # takes 5 and ends
    play.finish()
    (report,) = summarize(play.engine)
    queue = report.queue
    assert report.orders == 7
    assert queue["requests"] == 8.0
    assert (queue["rested"], queue["expired"], queue["rejected"]) == (3.0, 3.0, 1.0)
    assert queue["cancelled_share"] == pytest.approx(1 / 3)
    assert report.fill_rate == len(fills(play.engine)["id"].unique()) / 7
    check(play, report)


@pytest.mark.parametrize("mode", ["strict", "compat"])
def test_refused_orders_and_requests_that_come_too_late(mode: str) -> None:
    play = Scene((50, "SELL_TRADE", 99, 20.0), mode=mode)
    slot = play.send(1, 99, 2.0)
    play.to(50.5)
    play.cancel(slot)
    play.finish()
    (report,) = summarize(play.engine)
    assert (report.queue["too_late"], report.queue["rejected"], report.fill_rate) == (1.0, 0.0, 1.0)
    deaf = Scene(mode=mode, entry_latency_ms=-1.0)
    deaf.send(1, 99, 2.0)
    deaf.finish()
    (report,) = summarize(deaf.engine)
    assert (report.queue["rejected"], report.queue["rested"], report.trades) == (1.0, 0.0, 0)


def test_mids_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(10 * i, "ASK" if i % 2 else "NO_ASK", 100, 5.0 * (i % 2)) for i in range(1, 30)]
    whole = replay_mids(tape([*BOOK, *rows, END]))
    monkeypatch.setattr(_mids, "_ROOM", 3)
    pieces = replay_mids(tape([*BOOK, *rows, END]))
    assert len(whole.ts) == 30
    for name in ("ts", "half_ticks", "known"):
        assert np.array_equal(getattr(whole, name), getattr(pieces, name))


def mids_of(*values: int, every: int = 100) -> Mids:
    """Twice the mid in ticks, ``every`` ns from 0; over at the last."""
    ts = np.arange(len(values), dtype=np.int64) * every
    half_ticks = np.array(values, np.int64)
    return Mids(ts, half_ticks, np.ones(len(ts), bool), NONE, 0, int(ts[-1]), np.zeros(0))


def account(mids: Mids, *rows: tuple[int, int, int, float, bool], lot: str = "1", inverse: bool = False):
    """Fills ``(ts, side, tick, quantity, maker)``."""
    ts, side, tick, quantity, maker = (np.array(column) for column in zip(*rows, strict=True))
    half_ticks = np.where(maker, mids.before(ts), mids.at(ts))
    given = {"ts": ts, "side": side, "tick": tick, "quantity": quantity.astype(float), "maker": maker.astype(bool)}
    return MarketAccount.build(
        mids,
        **given,
        mid_half_ticks=half_ticks,
        fee=np.zeros(len(ts)),
        tick_size=Decimal("0.5"),
        lot_size=Decimal(lot),
        inverse=inverse,
    )


def test_markouts_by_hand() -> None:
    mids = mids_of(200, 202, 204, 196, 200)
    fills_of_it = account(mids, (110, 1, 100, 1, True), (150, -1, 101, 5, True), (250, 1, 103, 1, False))
    table = markout_table([fills_of_it], [0.0, 1e-7, 2e-7])
    makers = table.filter(pl.col("maker"))
    # Fills at twice-mids 202, 202; after 100 ns 204, 204; after 200 ns 196, 196.
    assert makers["n"].to_list() == [2, 2, 2]
    assert makers["mean_ticks"].to_list() == [0.0, 0.0, 0.0]
    assert makers["edge_ticks"].to_list() == [0.5, 0.5, 0.5]
    assert makers["stderr"].to_list()[0] == 0.0
    assert math.isnan(makers["stderr"][1])  # both in one cluster
    taker = table.filter(~pl.col("maker"))
    assert taker["n"].to_list() == [1, 1, 0]
    assert taker["mean_ticks"].to_list()[:2] == [0.0, -4.0]
    assert taker["edge_ticks"].to_list()[:2] == [-1.0, -1.0]
    assert taker["mean_bps"][1] == pytest.approx(-4.0 / 102.0 * 1e4)
    with pytest.raises(ConfigError, match="horizon"):
        markout_table([fills_of_it], [-1.0])


def test_standard_errors_count_clusters() -> None:
    mids = mids_of(200, 202, 200, 204, 200, 200, 200)
    # Horizon 100 ns: mark-outs 1, 1 (one cluster), then 2 at 250 and -2 at 350.
    of_it = account(mids, *((ts, 1, 99, 1, True) for ts in (10, 20, 250, 350)))
    row = markout_table([of_it], [1e-7]).filter(pl.col("maker")).row(0, named=True)
    assert row["mean_ticks"] == 0.5
    clusters = [0.5 + 0.5, 1.5, -2.5]
    assert row["stderr"] == pytest.approx(math.sqrt(3 / 2 * sum(c * c for c in clusters)) / 4)


def test_parts_of_a_lot_and_large_numbers_are_exact() -> None:
    mids = mids_of(200, 202, 190)
    tiny = account(mids, (50, 1, 99, 0.25, True), (60, 1, 99, 0.001, True))
    assert tiny.lot == Fraction(1, 1000)
    assert split_pnl(tiny, 10).total == Fraction(251, 1000) * Fraction(190 - 198, 4)
    huge = mids_of(2 * 2_000_000_000, 2 * 1_000_000_000)
    many = account(huge, *((50, 1, 2_000_000_000, 1000.0, True),) * 20, lot="0.00000001")
    assert many.lots.dtype == object
    assert split_pnl(many, 10).total == -20_000 * Fraction(1_000_000_000) / 2


def test_refused() -> None:
    mids = mids_of(200, 202)
    with pytest.raises(DataError, match="side was empty"):
        account(mids, (50, 1, 2**62, 1.0, False))
    with pytest.raises(DataError, match="not countable"):
        account(mids, (50, 1, 99, 1 / 3, False))
    with pytest.raises(DataError, match="positive prices"):
        account(mids, (50, 1, 0, 1.0, False), inverse=True)
    play = Scene().finish()
    for wrong in ({"bar_s": 0.0}, {"adverse_s": -1.0}, {"year_s": math.nan}, {"markets": [1]}, {"markets": []}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            summarize(play.engine, **wrong)
    books = [tape([*BOOK, END]), tape([*BOOK, END])]
    with pytest.raises(ConfigError, match="different currencies"):
        summarize(Engine(books, [MarketConfig(), MarketConfig(inverse=True)]))


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "agents"), [("strict", 2), ("compat", 1)])
def test_makers_on_a_simulated_market(mode: str, agents: int) -> None:
    market = tape_from_source(mp.open_source("sim:?minutes=3&seed=3"))
    lanes = [{"half_spread_ticks": 1, "warmup_s": 5.0}, {"half_spread_ticks": 3, "warmup_s": 5.0}]
    config = MarketConfig(maker_fee_bps=0.5, taker_fee_bps=2.0)
    engine = simulate([market], "symmetric", lanes, markets=[config], agents=agents, mode=mode)
    lot, trades = float(market.lot_size), 0
    for which, report in enumerate(summarize(engine)):
        account, split = engine.accounts[0, which], report.split
        assert split.spread_capture + split.adverse_selection + split.inventory_pnl == split.total
        cash = account["cash"] + account["position"] * report.equity["mid"][-1]
        assert float(split.total) == pytest.approx(cash, abs=1e-9 * account["value"])
        assert report.fees == account["fees"]
        assert round(report.equity["position"][-1] / lot) == round(account["position"] / lot)
        assert (report.trades, report.orders <= account["orders"]) == (account["trades"], True)
        assert report.equity["equity"][-1] == pytest.approx(report.pnl, abs=1e-9)
        if mode == "strict":
            assert round(engine.ledgers[0, which]["held"] / lot) == round(account["position"] / lot)
        trades += report.trades
    assert trades > 50
