"""Order and trade tapes made by hand: the exchange's rules one by one, and malformed rows."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from marketprism.core.block import EventBlock, concat
from marketprism.core.errors import DataError, MarketPrismError, SourceError
from marketprism.core.kinds import EventKind, Flag
from marketprism.ingest.registry import open_source

MIDNIGHT = 1_675_180_800_000_000_000  # 2023-02-01 in China
ORDERS = "SecurityID,OrderTime,OrderType,OrderNO,OrderPrice,Balance,OrderBSFlag,BizIndex,LocalTime"
TRADES = "SecurityID,TradTime,TradeIndex,TradPrice,TradVolume,TradeBuyNo,TradeSellNo,TradeBSFlag,BizIndex,LocalTime"


def _order(
    clock: str, kind: str, number: int, price: object, left: object, side: str, biz: object, **other: str
) -> dict:
    row = {"SecurityID": "600519", "OrderTime": clock, "OrderType": kind, "OrderNO": number, "OrderPrice": price}
    return row | {"Balance": left, "OrderBSFlag": side, "BizIndex": biz, "LocalTime": clock} | other


def _trade(
    clock: str, number: int, price: object, size: object, buy: int, sell: int, flag: str, biz: int, **other: str
) -> dict:
    row = {"SecurityID": "600519", "TradTime": clock, "TradeIndex": number, "TradPrice": price, "TradVolume": size}
    row |= {"TradeBuyNo": buy, "TradeSellNo": sell, "TradeBSFlag": flag, "BizIndex": biz, "LocalTime": clock}
    return row | other


DAY_ORDERS = [
    _order("09:15:00.000", "A", 1, 10.02, 300, "B", 1),
    _order("09:15:01.000", "A", 2, 10.00, 500, "S", 2),
    _order("09:15:02.000", "A", 3, 10.05, 100, "S", 3),
    _order("09:15:03.000", "A", 4, 9.99, 700, "B", 4),
    _order("09:15:04.000", "D", 4, 9.99, 700, "B", 5),
    _order("09:15:04.500", "D", 99, 9.99, 700, "B", 6),
    _order("09:30:00.000", "A", 5, 9.98, 200, "B", 10),
    _order("10:00:00.020", "A", 6, "10.000000000000018", 50, "B", 23),  # what is left of a buyer
    _order("13:00:00.000", "D", 5, 9.98, 200, "B", 30),
    _order("14:57:00.000", "A", 7, 9.90, 100, "S", 40),
]
DAY_TRADES = [
    _trade("09:25:00.000", 1, 10.01, 300, 1, 2, "N", 8, LocalTime="09:25:03.000"),
    _trade("10:00:00.010", 2, 10.00, 120, 6, 2, "B", 20),
    _trade("10:00:00.015", 3, 10.00, 80, 6, 2, "B", 21),
    _trade("10:00:01.000", 4, 10.00, 30, 6, 8, "S", 25),
    _trade("15:00:00.000", 5, 9.90, 20, 6, 7, "N", 50),
]


def _text(header: str, rows: list[dict]) -> str:
    return "\n".join([header, *(",".join(str(row[name]) for name in header.split(",")) for row in rows)]) + "\n"


def _write(folder: Path, orders: list[dict] = DAY_ORDERS, trades: list[dict] = DAY_TRADES) -> str:
    folder = folder / "20230201"
    folder.mkdir(exist_ok=True)
    (folder / "entrust_20230201.csv").write_text(_text(ORDERS, orders))
    (folder / "trade_20230201.csv").write_text(_text(TRADES, trades))
    return f"ashare-orders:{folder / 'entrust_20230201.csv'},{folder / 'trade_20230201.csv'}"


def _events(block: EventBlock) -> list[tuple]:
    names = ["kind", "event_id", "side", "price", "quantity"]
    return [(EventKind(row[0]).name.removeprefix("ORDER_"), *row[1:]) for row in block.rows[names].tolist()]


EXPECTED = [
    ("TRADE", 1, 0, 1001, 300.0),
    ("ADD", 2, -1, 1000, 200.0),  # what the opening cross left
    ("ADD", 3, -1, 1005, 100.0),
    ("ADD", 5, 1, 998, 200.0),
    ("TRADE", 2, 1, 1000, 120.0),
    ("EXECUTE", 2, -1, 1000, 120.0),
    ("TRADE", 3, 1, 1000, 80.0),
    ("EXECUTE", 2, -1, 1000, 80.0),
    ("ADD", 6, 1, 1000, 50.0),
    ("TRADE", 4, -1, 1000, 30.0),
    ("EXECUTE", 6, 1, 1000, 30.0),
    ("GAP", -1, 0, 0, 0.0),  # lunch
    ("DELETE", 5, 1, 998, 200.0),
    ("GAP", -1, 0, 0, 0.0),  # closing call
    ("TRADE", 5, 0, 990, 20.0),
]


def test_a_day(tmp_path: Path) -> None:
    source = open_source(_write(tmp_path))
    block = concat(source)
    assert _events(block) == EXPECTED
    assert source.report.notes == {
        "order rows of call auctions, not shown as a book": 6 + 2 + 1 + 2,
        "removals of unknown orders in the opening call": 1,
    }
    assert source.report.rejected == {}
    rows = block.rows
    assert (rows["first_id"][rows["kind"] != EventKind.GAP] == [8, 2, 3, 10, 20, 20, 21, 21, 23, 25, 25, 30, 50]).all()
    assert rows["previous_id"][rows["kind"] == EventKind.TRADE].tolist() == [-1, 6, 6, 8, -1]
    auction = (rows["flags"] & Flag.AUCTION) != 0
    assert np.flatnonzero(auction).tolist() == [0, 14]
    first, last = (rows["flags"] & Flag.FIRST) != 0, (rows["flags"] & Flag.LAST) != 0
    assert np.flatnonzero(~first).tolist() == [2]
    assert np.flatnonzero(~last).tolist() == [1]
    assert rows["ts_recv"][0] - MIDNIGHT == (9 * 3600 + 25 * 60 + 3) * 10**9
    gaps = block.payload(EventKind.GAP)
    assert gaps["gap_to"].tolist() == [MIDNIGHT + 46_800 * 10**9, 0]
    assert gaps["gap_from"].tolist() == [MIDNIGHT + 36_001 * 10**9, MIDNIGHT + 46_800 * 10**9]


def test_nothing_is_known_before_its_predecessors(tmp_path: Path) -> None:
    orders = [_order("09:31:00.000", "A", 1, 10, 100, "B", 1, LocalTime="09:31:05.000"), DAY_ORDERS[7]]
    trades = [_trade("09:31:01.000", 1, 10, 10, 1, 2, "S", 2, LocalTime="09:31:01.100"), DAY_TRADES[3]]
    block = concat(open_source(_write(tmp_path, orders, trades)))
    assert ((block.rows["ts_recv"][:3] - MIDNIGHT) == (9 * 3600 + 31 * 60 + 5) * 10**9).all()
    assert block.rows["ts_event"][1] - MIDNIGHT == (9 * 3600 + 31 * 60 + 1) * 10**9
    again = concat(open_source(_write(tmp_path, orders, trades) + "?latency=1ms"))
    assert (again.rows["ts_recv"] - again.rows["ts_event"] == 1_000_000).all()


def test_tapes_without_a_receive_clock(tmp_path: Path) -> None:
    spec = _write(tmp_path)
    for path in spec.removeprefix("ashare-orders:").split(","):
        lines = [line.rpartition(",")[0] for line in Path(path).read_text().splitlines()]
        Path(path).write_text("\n".join(lines) + "\n")
    source = open_source(spec)
    block = concat(source)
    assert _events(block) == EXPECTED
    assert (block.rows["ts_recv"] == block.rows["ts_event"]).all()
    _write(tmp_path)
    path = Path(spec.rpartition(",")[2])
    path.write_text("\n".join(line.rpartition(",")[0] for line in path.read_text().splitlines()))
    with pytest.raises(SourceError, match="only one tape has a LocalTime"):
        open_source(spec)


BAD_ORDERS = [
    ({"OrderPrice": 0}, "price not positive"),
    ({"OrderPrice": -1}, "price not positive"),
    ({"OrderPrice": "nan"}, "OrderPrice is no number"),
    ({"OrderPrice": "inf"}, "OrderPrice is out of range"),
    ({"OrderPrice": "1e308"}, "OrderPrice is out of range"),
    ({"OrderPrice": 10**9}, "price out of range"),
    ({"OrderPrice": "9.985"}, "price off tick 0.01"),
    ({"Balance": 0}, "quantity not positive"),
    ({"Balance": -5}, "quantity not positive"),
    ({"Balance": 2**60}, "quantity out of range"),
    ({"Balance": "9" * 40}, "Balance is out of range"),
    ({"OrderType": "X"}, "OrderType is neither A nor D"),
    ({"OrderBSFlag": "banana"}, "OrderBSFlag is neither B nor S"),
    ({"OrderNO": 0}, "OrderNO not positive"),
    ({"OrderTime": "noon"}, "no time of day"),
    ({"LocalTime": "25:00:00.000"}, "no time of day"),
    ({"BizIndex": 23}, "BizIndex goes back or repeats"),
    ({"BizIndex": 3}, "BizIndex goes back or repeats"),
    ({"Balance": "1,2"}, "not 9 fields"),
]


@pytest.mark.parametrize(("change", "reason"), BAD_ORDERS)
def test_a_bad_order_costs_only_itself(tmp_path: Path, change: dict, reason: str) -> None:
    bad = _order("10:00:02.000", "A", 9, 9.97, 100, "B", 26) | change
    source = open_source(_write(tmp_path, [*DAY_ORDERS[:8], bad, *DAY_ORDERS[8:]]))
    assert _events(concat(source)) == EXPECTED
    assert {name: r.count for name, r in source.report.rejected.items()} == {reason: 1}
    assert source.report.rejected[reason].examples[0].startswith("entrust_20230201.csv:10: ")
    with pytest.raises(DataError, match=r"entrust_20230201\.csv:10: "):
        list(open_source(source.spec + "?strict=1"))


BAD_TRADES = [
    ({"TradPrice": 0}, "price not positive"),
    ({"TradPrice": "10.005"}, "price off tick 0.01"),
    ({"TradVolume": 0}, "quantity not positive"),
    ({"TradeBSFlag": "?"}, "TradeBSFlag is none of B, S, N"),
    ({"TradeSellNo": -1}, "TradeSellNo not positive"),
    ({"TradeIndex": "x"}, "TradeIndex is no number"),
    ({"BizIndex": 25}, "BizIndex goes back or repeats"),
]


@pytest.mark.parametrize(("change", "reason"), BAD_TRADES)
def test_a_bad_trade_costs_only_itself(tmp_path: Path, change: dict, reason: str) -> None:
    bad = _trade("10:00:02.000", 9, 9.97, 100, 5, 9, "S", 26) | change
    source = open_source(_write(tmp_path, trades=[*DAY_TRADES[:4], bad, *DAY_TRADES[4:]]))
    assert _events(concat(source)) == EXPECTED
    assert {name: r.count for name, r in source.report.rejected.items()} == {reason: 1}


def test_other_stocks_in_the_tapes(tmp_path: Path) -> None:
    mixed = [_order("09:31:00.000", "A", 7, 10, 1, "B", 9, SecurityID="600000"), *DAY_ORDERS[6:]]
    spec = _write(tmp_path, [*DAY_ORDERS[:6], *mixed])
    with pytest.raises(SourceError, match="holds 600000, 600519"):
        open_source(spec)
    with pytest.raises(SourceError, match="holds 600000, 600519"):
        open_source(spec + "?symbol=600001")
    source = open_source(spec + "?symbol=600519.SH")
    assert _events(concat(source)) == EXPECTED
    assert source.report.notes["rows of other instruments"] == 1


def test_old_days_have_no_closing_call(tmp_path: Path) -> None:
    block = concat(open_source(_write(tmp_path) + "?date=2018-08-17"))
    assert _events(block)[13:15] == [("ADD", 7, -1, 990, 100.0), ("GAP", -1, 0, 0, 0.0)]


def test_refused_sets_of_files(tmp_path: Path) -> None:
    spec = _write(tmp_path)
    first, second = spec.removeprefix("ashare-orders:").split(",")
    with pytest.raises(SourceError, match="1 order tapes and 0 trade tapes"):
        open_source(f"ashare-orders:{first}")
    with pytest.raises(SourceError, match="2 order tapes and 1 trade tapes"):
        open_source(f"{spec},{first}")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(first, "a/entrust.csv")
        archive.write(second, "a/trade.csv")
        archive.writestr("a/snapshot.csv", "UpdateTime,SecurityID\n")
    with pytest.raises(SourceError, match=r"names the day.*date=2023-02-01"):
        open_source(f"ashare-orders:{tmp_path / 'x.zip'}")
    assert _events(concat(open_source(f"ashare-orders:{tmp_path / 'x.zip'}?date=20230201"))) == EXPECTED
    Path(first).write_text(Path(first).read_text().replace("Balance", "Rest"))
    with pytest.raises(SourceError, match="no column 'Balance'"):
        open_source(spec)
    Path(first).write_text("")
    with pytest.raises(SourceError, match="is empty"):
        open_source(spec)
    with pytest.raises(SourceError, match="file not found"):
        open_source(f"ashare-orders:{tmp_path / 'none.csv'}")
    with pytest.raises(SourceError, match="no row with a security id"):
        open_source(_write(tmp_path, [], []))
    with pytest.raises(SourceError, match="none accepted"):
        list(open_source(_write(tmp_path, [DAY_ORDERS[0] | {"OrderPrice": 0}], [])))


@pytest.mark.parametrize(("query", "error"), [("latency=x", "latency was 'x'"), ("date=x", "date was 'x'")])
def test_bad_options(tmp_path: Path, query: str, error: str) -> None:
    with pytest.raises(MarketPrismError, match=error):
        open_source(f"{_write(tmp_path)}?{query}")


def test_an_unreadable_security_id_is_another_instrument(tmp_path: Path) -> None:
    source = open_source(_write(tmp_path, [DAY_ORDERS[0] | {"SecurityID": "banana"}, *DAY_ORDERS]))
    assert _events(concat(source)) == EXPECTED
    assert source.report.notes["rows of other instruments"] == 1
