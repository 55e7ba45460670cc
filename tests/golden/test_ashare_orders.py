"""600519 of 2023-02-01, order by order, checked against the exchange's own snapshots of that day."""

from __future__ import annotations

import bisect
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from marketprism.book.book import Book
from marketprism.book.views import ViewStatus
from marketprism.core.block import EventBlock, concat
from marketprism.core.kinds import EventKind, Flag, GapReason
from marketprism.ingest import tabular
from marketprism.ingest.registry import open_source
from marketprism.ingest.source import Source

FILE = "ashare_l2/SH600519_20230201_entrust_trade_snapshot.zip"
MIDNIGHT = 1_675_180_800_000_000_000  # 2023-02-01 00:00 in China
State = tuple[float, int, float, int, float]  # cumulative volume, bid, its quantity, ask, its quantity


@pytest.fixture(scope="module")
def day(data_dir: Path) -> tuple[Source, EventBlock]:
    source = open_source(f"ashare-orders:{data_dir / FILE}")
    return source, concat(source)


def _table(data_dir: Path, name: str) -> pl.DataFrame:
    with zipfile.ZipFile(data_dir / FILE) as archive:
        return pl.read_csv(archive.read(f"20230201/{name}.csv"), infer_schema=False)


def _snapshots(data_dir: Path) -> list[tuple[int, State]]:
    """Snapshots of continuous trading, with their times."""
    frame = _table(data_dir, "snapshot").filter(
        (pl.col("InstruStatus") == "TRADE") & (pl.col("UpdateTime") > "09:30:00.999") & (pl.col("UpdateTime") < "14:57")
    )
    result = []
    for row in frame.iter_rows(named=True):
        hour, minute, second = row["UpdateTime"].split(":")
        ts = MIDNIGHT + (int(hour) * 3600 + int(minute) * 60 + int(float(second))) * 10**9
        bid, ask = (round(float(row[f"{side}Price1"]) * 100) for side in ("Bid", "Ask"))
        result.append((ts, (float(row["TradVolume"]), bid, float(row["BidVolume1"]), ask, float(row["AskVolume1"]))))
    return result


def _reference(block: EventBlock) -> tuple[list[int], list[State]]:
    """Best quotes after each message of continuous trading, from a dictionary of orders."""
    orders: dict[int, list[float]] = {}
    levels: dict[int, dict[float, float]] = {1: {}, -1: {}}
    times, states, volume = [], [], 0.0

    def shift(side: int, price: float, quantity: float) -> None:
        levels[side][price] = levels[side].get(price, 0.0) + quantity
        if levels[side][price] == 0:
            del levels[side][price]

    names = ["kind", "event_id", "side", "price", "quantity", "ts_event", "flags"]
    for kind, order_id, side, price, quantity, ts, flags in block.rows[names].tolist():
        if kind == EventKind.TRADE:
            volume += quantity
        elif kind == EventKind.ORDER_ADD:
            assert order_id not in orders
            orders[order_id] = [side, price, quantity]
            shift(side, price, quantity)
        elif kind != EventKind.GAP:
            own = orders[order_id]  # never unknown
            assert (side, quantity <= own[2]) == (own[0], True)
            assert kind == EventKind.ORDER_EXECUTE or quantity == own[2]
            shift(int(own[0]), own[1], -quantity)
            own[2] -= quantity
            if own[2] == 0:
                del orders[order_id]
        if flags & Flag.LAST and levels[1] and levels[-1]:
            bid, ask = max(levels[1]), min(levels[-1])
            assert bid < ask
            times.append(ts)
            states.append((volume, int(bid), levels[1][bid], int(ask), levels[-1][ask]))
    return times, states


def test_every_snapshot_of_the_exchange_is_a_state_of_the_rebuilt_book(
    data_dir: Path, day: tuple[Source, EventBlock]
) -> None:
    times, states = _reference(day[1])
    snapshots = _snapshots(data_dir)
    assert len(snapshots) == 4_840
    missing = 0
    for ts, state in snapshots:  # a snapshot is stamped in whole seconds: the state is of a moment near it
        start, stop = bisect.bisect_left(times, ts - 10**9), bisect.bisect_right(times, ts + 2 * 10**9)
        missing += state not in states[max(start - 1, 0) : stop]
    assert missing == 0


def test_the_book_module_agrees(day: tuple[Source, EventBlock]) -> None:
    source, block = day
    top = Book(source.instrument).push(block.rows).top
    complete = ((block.rows["flags"] & Flag.LAST) != 0) & (top["status"] & ViewStatus.VALID != 0)
    times, states = _reference(block)
    expected = dict(zip(_complete_rows(block), states, strict=True))
    rows = np.flatnonzero(complete).tolist()
    names = ("bid", "bid_quantity", "ask", "ask_quantity")
    found = list(zip(*(top[name][rows].tolist() for name in names), strict=True))
    assert found == [expected[row][1:] for row in rows]
    clock = block.rows["ts_event"][rows] - MIDNIGHT
    assert clock.min() >= 34_200 * 10**9  # not before 9:30,
    assert clock.max() < 53_820 * 10**9  # nor from 14:57 on
    assert len(rows) > 0.995 * len(times)


def _complete_rows(block: EventBlock) -> list[int]:
    """Rows after which :func:`_reference` records a state: the last ones of messages once both sides exist."""
    last = np.flatnonzero((block.rows["flags"] & Flag.LAST) != 0)
    start = np.flatnonzero(block.rows["kind"] == EventKind.ORDER_ADD)[0]
    return last[last >= start].tolist()


def test_counts_and_totals(data_dir: Path, day: tuple[Source, EventBlock]) -> None:
    source, block = day
    orders, trades = _table(data_dir, "entrust"), _table(data_dir, "trade")
    assert source.report.records == len(orders) + len(trades) == 54_735 + 27_135
    assert source.report.rejected == {}
    rows = block.rows
    traded = rows[rows["kind"] == EventKind.TRADE]
    assert len(traded) == 27_135
    assert traded["quantity"].sum() == trades["TradVolume"].cast(pl.Int64).sum()
    flags = trades["TradeBSFlag"].replace_strict({"B": 1, "S": -1, "N": 0}, return_dtype=pl.Int8).to_numpy()
    assert (traded["side"] == flags).all()
    assert (((traded["flags"] & Flag.AUCTION) != 0) == (flags == 0)).all()
    assert (traded["event_id"] == trades["TradeIndex"].cast(pl.Int64).to_numpy()).all()
    money = (traded["price"] * traded["quantity"]).sum() / 100
    assert money == pytest.approx(trades["TradeMoney"].cast(pl.Float64).sum(), rel=1e-12)
    reasons = [GapReason(reason) for reason in block.payload(EventKind.GAP)["reason"]]
    assert reasons == [GapReason.SESSION_BREAK, GapReason.SESSION_BREAK]
    assert source.instrument.key == "sse:equity:600519"
    assert source.files == (str(data_dir / FILE),)


def test_clocks(day: tuple[Source, EventBlock]) -> None:
    rows = day[1].rows
    assert (np.diff(rows["ts_recv"]) >= 0).all()
    assert (np.diff(rows["ts_event"]) >= 0).all()
    assert (rows["ts_recv"] > rows["ts_event"]).all()
    assert np.median(rows["ts_recv"] - rows["ts_event"]) == 210_000_000


@pytest.mark.parametrize("lines", [777, 4096])
def test_batches_do_not_matter(
    data_dir: Path, day: tuple[Source, EventBlock], lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tabular, "BATCH_LINES", lines)
    source = open_source(f"ashare-orders:{data_dir / FILE}?symbol=600519")
    block = concat(source)
    assert np.array_equal(block.rows, day[1].rows)
    assert source.report == day[0].report
