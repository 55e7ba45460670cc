"""Bitstamp recordings made by hand: the rules one by one, and malformed messages."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import numpy as np
import pytest

from marketprism.core.block import EventBlock, concat
from marketprism.core.errors import DataError, MarketPrismError, SourceError
from marketprism.core.kinds import EventKind, Flag
from marketprism.ingest.registry import open_source

T0 = 1_430_438_404_000
HEADER = "id,timestamp,exchange.timestamp,price,volume,action,direction"


def _order(ms: int, what: str, number: object, price: str, amount: str, type_: int) -> str:
    body = {"price": price, "amount": amount, "datetime": "1430438404", "id": number, "order_type": type_}
    return f"{T0 + ms} order_{what} {json.dumps(body)}"


def _trade(ms: int, number: int, price: float, amount: float) -> str:
    return f"{T0 + ms} trade {json.dumps({'price': price, 'amount': amount, 'id': number})}"


LINES = [
    _order(0, "created", 10, "236.47", "2.00000000", 1),
    _order(10, "created", 11, "236.40", "1.00000000", 0),
    _order(20, "created", 12, "236.50", "2.50000000", 0),  # buys through 10
    _order(120, "deleted", 10, "236.47", "0.00000000", 1),
    _order(121, "changed", 12, "236.50", "0.50000000", 0),
    _trade(130, 900, 236.47000000000001, 2.0),
    f"{T0 + 150} order_book {json.dumps({'bids': [['236.50', '0.5']], 'asks': []})}",
    _order(200, "changed", 12, "236.45", "0.50000000", 0),
    _order(300, "deleted", 12, "236.45", "0.50000000", 0),
    _order(400, "changed", 11, "236.41", "0.25000000", 0),
    _order(500, "deleted", 7, "240.00", "3.00000000", 1),  # from before the recording
    _order(600, "changed", 12, "236.45", "0.10000000", 0),  # gone already
]
BOTH, FIRST, LAST = Flag.FIRST | Flag.LAST, Flag.FIRST, Flag.LAST
ADD, MODIFY, DELETE, EXECUTE = (
    EventKind.ORDER_ADD,
    EventKind.ORDER_MODIFY,
    EventKind.ORDER_DELETE,
    EventKind.ORDER_EXECUTE,
)
EXPECTED = [
    (0, ADD, 10, -1, 23647, 2.0, BOTH),
    (10, ADD, 11, 1, 23640, 1.0, BOTH),
    (20, ADD, 12, 1, 23650, 2.5, BOTH),
    (120, EXECUTE, 10, -1, 23647, 2.0, BOTH),
    (121, EXECUTE, 12, 1, 23650, 2.0, BOTH),
    (130, EventKind.TRADE, 900, 1, 23647, 2.0, BOTH),
    (200, MODIFY, 12, 1, 23645, 0.5, BOTH),
    (300, DELETE, 12, 1, 23645, 0.5, BOTH),
    (400, EXECUTE, 11, 1, 23640, 0.75, FIRST),
    (400, MODIFY, 11, 1, 23641, 0.25, LAST),
    (500, DELETE, 7, -1, 24000, 3.0, BOTH),
]


def _write(folder: Path, lines: list[str], name: str = "a.log") -> str:
    (folder / name).write_text("\n".join(lines) + "\n")
    return f"bitstamp-l3:{folder / name}"


def _events(block: EventBlock) -> list[tuple]:
    names = ["ts_recv", "kind", "event_id", "side", "price", "quantity", "flags"]
    return [(row[0] // 10**6 - T0, *row[1:]) for row in block.rows[names].tolist()]


def test_the_rules_of_the_log(tmp_path: Path) -> None:
    source = open_source(_write(tmp_path, LINES))
    block = concat(source)
    assert _events(block) == EXPECTED
    assert block.rows["previous_id"].tolist() == [-1] * 5 + [12] + [-1] * 5
    assert source.report.notes == {
        "changes and removals of orders from before the recording": 1,
        "changes of orders already gone, left out": 1,
        "order_book messages, not used": 1,
    }
    assert source.report.rejected == {}


def _table(lines: list[str]) -> list[str]:
    rows = [HEADER]
    for line in lines:
        ms, what, text = line.split(" ", 2)
        if what.startswith("order_") and what != "order_book":
            body = json.loads(text)
            lots = round(float(body["amount"]) * 1e8)
            side = "ask" if body["order_type"] else "bid"
            rows.append(f"{body['id']},{ms},{T0},{body['price']},{lots},{what[6:]},{side}")
    return rows


def test_the_table_reads_the_same_and_derives_the_trade(tmp_path: Path) -> None:
    block = concat(open_source(_write(tmp_path, _table(LINES), "a.csv")))
    trade = (121, EventKind.TRADE, -1, 1, 23647, 2.0, BOTH | Flag.DERIVED)
    assert _events(block) == [*EXPECTED[:5], trade, *EXPECTED[6:]]
    assert block.rows["previous_id"][5] == 12


NINE = _order(0, "created", 9, "236.45", "1.0", 1)
LOW_NINE = _order(0, "created", 9, "236.40", "1.0", 1)
GONE = _order(2, "deleted", 9, "236.45", "0.0", 1)
LOW_GONE = _order(2, "deleted", 9, "236.40", "0.0", 1)
OLD_GONE = _order(1, "deleted", 3, "236.45", "0.0", 0)  # from before the recording


@pytest.mark.parametrize(
    ("lines", "side", "other"),
    [
        ([LOW_NINE, OLD_GONE, LOW_GONE], -1, 9),  # the unknown order was there first
        ([LOW_NINE, LOW_GONE], -1, 9),
        ([NINE, GONE], 1, -1),  # the trade was at the known order's price: it rested
        ([NINE, GONE, _order(4000, "created", 11, "1.00", "1.0", 0)], 0, -1),  # too long ago
        ([NINE.replace('"1.0"', '"1.1"'), GONE], 0, -1),  # another amount
    ],
)
def test_sides_of_trades_with_one_known_order(tmp_path: Path, lines: list[str], side: int, other: int) -> None:
    last = int(lines[-1].split()[0]) - T0
    source = open_source(_write(tmp_path, [*lines, _trade(last + 5, 1, 236.45, 1.0)]))
    trade = concat(source).rows[-1]
    assert (trade["side"], trade["previous_id"]) == (side, other)
    assert source.report.notes.get("trades of which no order is known, side 0", 0) == (side == 0)


def test_an_unknown_counterparty_in_the_table(tmp_path: Path) -> None:
    lines = [_order(0, "created", 9, "236.40", "1.0", 1)]
    for ends in ([(1, 3, "236.45", 0), (2, 9, "236.40", 1)], [(1, 9, "236.40", 1), (2, 3, "236.45", 0)]):
        gone = [_order(ms, "deleted", number, price, "0.0", type_) for ms, number, price, type_ in ends]
        block = concat(open_source(_write(tmp_path, _table(lines + gone), "a.csv")))
        rows = block.rows[block.rows["kind"] == EventKind.TRADE]
        assert rows[["side", "price", "quantity", "previous_id"]].tolist() == [(-1, 23645, 1.0, 9)]


def test_partial_cancel_growth_and_repeated_creation(tmp_path: Path) -> None:
    lines = [
        _order(0, "created", 5, "10.00", "1.0", 0),
        _order(1, "created", 5, "10.00", "2.0", 0),  # announced again, larger
        _order(2, "deleted", 5, "10.00", "0.5", 0),  # 1.5 executed, the rest cancelled
        _order(3, "changed", 6, "11.00", "1.0", 1),  # never announced: known from now on
        _order(4, "changed", 6, "11.00", "1.5", 1),
    ]
    assert [row[1:] for row in _events(concat(open_source(_write(tmp_path, lines))))] == [
        (ADD, 5, 1, 1000, 1.0, BOTH),
        (MODIFY, 5, 1, 1000, 2.0, BOTH),
        (EXECUTE, 5, 1, 1000, 1.5, FIRST),
        (DELETE, 5, 1, 1000, 0.5, LAST),
        (MODIFY, 6, -1, 1100, 1.0, BOTH),
        (MODIFY, 6, -1, 1100, 1.5, BOTH),
    ]


BAD_LINES = [
    ("garbage", "not time, event and JSON"),
    ("\x00\x01\x02", "not time, event and JSON"),
    (f"{T0 + 50} order_created {{", "malformed order"),
    (f"{T0 + 50} order_created " + "[" * 5000, "malformed order"),
    (f"{T0 + 50} order_created \udcff", "malformed order"),
    (f"{T0 + 50} trade {{}}", "malformed trade"),
    (f"{T0 + 50} order_eaten {{}}", "unknown event"),
    (_order(5, "created", 20, "236.40", "1.0", 0), "time goes back"),
    (_order(50, "created", 20, "0.00", "1.0", 0), "price not positive"),
    (_order(50, "created", 20, "-3.00", "1.0", 0), "price not positive"),
    (_order(50, "created", 20, "nan", "1.0", 0), "price is no number"),
    (_order(50, "created", 20, "inf", "1.0", 0), "price is out of range"),
    (_order(50, "created", 20, "1e308", "1.0", 0), "price is out of range"),
    (_order(50, "created", 20, "9" * 40, "1.0", 0), "price is out of range"),
    (_order(50, "created", 20, "236.405", "1.0", 0), "price off tick 0.01"),
    (_order(50, "created", 20, "236.40", "-1.0", 0), "amount negative"),
    (_order(50, "created", 20, "236.40", "0", 0), "amount not positive"),
    (_order(50, "created", 20, "236.40", "90071993", 0), "amount out of range"),
    (_order(50, "created", 20, "236.40", "1.000000001", 0), "amount has more than 8 decimals"),
    (_order(50, "created", 20, "236.40", "many", 0), "amount is no number"),
    (_order(50, "created", 20, "236.40", "1.0", 2), "order_type is neither 0 nor 1"),
    (_order(50, "created", "20", "236.40", "1.0", 1), "malformed order"),
    (_order(50, "created", 0, "236.40", "1.0", 1), "id out of range"),
    (_order(50, "created", 2**63, "236.40", "1.0", 1), "id out of range"),
    (_trade(50, 1, -5.0, 1.0), "price not positive"),
    (_trade(50, 1, 236.4, 0.0), "amount not positive"),
    (f'{T0 + 50} trade {{"id": 1, "price": null, "amount": 1}}', "price is no number"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES)
def test_a_bad_message_costs_only_itself(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "a.log"
    path.write_bytes("\n".join([*LINES[:3], line, "", *LINES[3:]]).encode("utf-8", "surrogateescape"))
    source = open_source(f"bitstamp-l3:{path}")
    assert _events(concat(source)) == EXPECTED
    assert {name: r.count for name, r in source.report.rejected.items()} == {reason: 1}
    assert source.report.rejected[reason].examples[0].startswith("a.log:4: ")
    assert source.report.records == len(LINES) + 1
    with pytest.raises(DataError, match=r"a\.log:4: "):
        list(open_source(source.spec + "?strict=1"))


def test_a_ten_megabyte_message_is_rejected_and_the_rest_survives(tmp_path: Path) -> None:
    huge = f"{T0 + 50} order_created " + "x" * 10_000_000
    source = open_source(_write(tmp_path, [*LINES[:3], huge, *LINES[3:]]))
    assert _events(concat(source)) == EXPECTED
    assert {name: r.count for name, r in source.report.rejected.items()} == {"malformed order": 1}


BAD_ROWS = [
    (f"20,{T0 + 50},0,236.40,100,eaten,bid", "unknown action or direction"),
    (f"20,{T0 + 50},0,236.40,100,created,banana", "unknown action or direction"),
    ("20,50,0,236.40,100,created,bid", "timestamp is no time in ms"),
    (f"20,{T0 + 5},0,236.40,100,created,bid", "time goes back"),
    (f"20,{T0 + 50},0,236.405,100,created,bid", "price off tick 0.01"),
    (f"20,{T0 + 50},0,0,100,created,bid", "price not positive"),
    (f"20,{T0 + 50},0,236.40,-1,created,bid", "amount negative"),
    (f"20,{T0 + 50},0,236.40,0,created,bid", "amount not positive"),
    (f"20,{T0 + 50},0,236.40,1.5,created,bid", "volume is no integer"),
    (f"20,{T0 + 50},0,236.40,100,created", "not 7 fields"),
]


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS)
def test_a_bad_row_costs_only_itself(tmp_path: Path, row: str, reason: str) -> None:
    good = _table(LINES)
    expected = concat(open_source(_write(tmp_path, good, "b.csv")))
    source = open_source(_write(tmp_path, [*good[:4], row, *good[4:]], "a.csv"))
    assert np.array_equal(concat(source).rows, expected.rows)
    assert {name: r.count for name, r in source.report.rejected.items()} == {reason: 1}
    assert source.report.rejected[reason].examples[0].startswith("a.csv:5: ")


def test_recordings_join(tmp_path: Path) -> None:
    first, second = _write(tmp_path, LINES[:4]), _write(tmp_path, LINES[4:], "b.log")
    source = open_source(f"{first},{second.removeprefix('bitstamp-l3:')}?symbol=ETH-USD&tick=0.005")
    block = concat(source)
    assert [row[:3] for row in _events(block)] == [row[:3] for row in EXPECTED]
    assert block.rows["price"][0] == 47_294
    assert source.instrument.symbol == "ETH-USD"
    assert len(source.files) == 2


def test_refused_files(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="the header is id,timestamp"):
        open_source(_write(tmp_path, ["id,price", "1,2"], "a.csv"))
    with pytest.raises(SourceError, match="the header is id,timestamp"):
        open_source(_write(tmp_path, _table(LINES)[1:], "a.csv"))
    with pytest.raises(SourceError, match="none accepted"):
        list(open_source(_write(tmp_path, ["hello", "world"])))
    with pytest.raises(SourceError, match="none accepted"):
        list(open_source(_write(tmp_path, [HEADER], "a.csv")))
    (tmp_path / "a.log").write_text("")
    with pytest.raises(SourceError, match="is empty"):
        open_source(f"bitstamp-l3:{tmp_path / 'a.log'}")
    with pytest.raises(SourceError, match="file not found"):
        open_source(f"bitstamp-l3:{tmp_path / 'none.log'}")
    packed = lzma.compress("\n".join(LINES * 1).encode() * 50)
    (tmp_path / "a.log.xz").write_bytes(packed[:-20])
    with pytest.raises(SourceError, match=r"a\.log\.xz is (truncated|corrupt)"):
        list(open_source(f"bitstamp-l3:{tmp_path / 'a.log.xz'}"))


@pytest.mark.parametrize("tick", ["x", "0", "-1", "1e-9", "nan"])
def test_bad_ticks(tmp_path: Path, tick: str) -> None:
    with pytest.raises(MarketPrismError, match=f"tick was '{tick}'"):
        open_source(f"{_write(tmp_path, LINES)}?tick={tick}")


def test_an_execution_before_anything_known_gives_no_derived_trade(tmp_path: Path) -> None:
    lines = [_order(0, "created", 5, "10.00", "1.0", 0), _order(2, "deleted", 5, "10.00", "0.0", 0)]
    block = concat(open_source(_write(tmp_path, _table(lines), "a.csv")))
    assert [EventKind(kind).name for kind in block.rows["kind"].tolist()] == ["ORDER_ADD", "ORDER_EXECUTE"]
