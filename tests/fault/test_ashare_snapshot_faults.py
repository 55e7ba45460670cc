"""A-share snapshots made by hand: the second layout, sessions, halts, and malformed rows."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from marketprism.core.block import EventBlock, concat
from marketprism.core.errors import DataError, MarketPrismError, SourceError
from marketprism.core.kinds import EventKind, Flag, GapReason
from marketprism.ingest.registry import open_source

MIDNIGHT = 1_638_288_000_000_000_000  # 2021-12-01 in China
FIRST = ["SecurityID", "DateTime", "LastPx", "TotalVolumeTrade", "TotalValueTrade", "InstrumentStatus"]
FIRST += [f"{name}{i}" for i in range(10) for name in ("BidPrice", "BidOrderQty", "OfferPrice", "OfferOrderQty")]
SECOND = ["MDDate", "MDTime", "SecurityID", "PreClosePx", "LastPx", "NumTrades", "TotalVolumeTrade", "TotalValueTrade"]
SECOND += ["TradingPhaseCode"]
SECOND += [f"{name}{i}" for name in ("BuyPrice", "BuyOrderQty", "SellPrice", "SellOrderQty") for i in range(1, 11)]


def _row(
    clock: str,
    volume: float = 0,
    value: float = 0.0,
    *,
    symbol: str = "600000",
    status: str = "TRADE",
    bid: float = 10.0,
    ask: float = 10.01,
    day: str = "2021.12.01",
    **other: object,
) -> dict[str, object]:
    levels = {f"BidPrice{i}": round(bid - i / 100, 3) if bid else 0 for i in range(3)}
    levels |= {f"OfferPrice{i}": round(ask + i / 100, 3) if ask else 0 for i in range(3)}
    levels |= {f"{name}OrderQty{i}": 100 * (i + 1) for i in range(3) for name in ("Bid", "Offer")}
    row = {"SecurityID": symbol, "DateTime": f'"{day}T{clock}"', "LastPx": bid, "InstrumentStatus": f'"{status}"'}
    return row | levels | {"TotalVolumeTrade": volume, "TotalValueTrade": value} | other


def _text(rows: list[dict[str, object]], columns: list[str] = FIRST) -> str:
    lines = [",".join(columns)] + [",".join(str(row.get(name, 0)) for name in columns) for row in rows]
    return "\n".join(lines) + "\n"


def _write(folder: Path, rows: list[dict[str, object]], columns: list[str] = FIRST, name: str = "a.csv") -> str:
    (folder / name).write_text(_text(rows, columns))
    return f"ashare-snapshot:{folder / name}"


def _events(block: EventBlock) -> list[tuple]:
    """Return ("book", HHMMSS), ("trade", HHMMSS, price, size, side, auction) and ("gap", HHMMSS, reason)."""
    result: list[tuple] = []
    gaps = iter(block.payload(EventKind.GAP))
    for row in block.rows[(block.rows["flags"] & Flag.LAST) != 0]:
        seconds = int(row["ts_event"] - MIDNIGHT) // 10**9 % 86_400
        clock = seconds // 3600 * 10_000 + seconds // 60 % 60 * 100 + seconds % 60
        if row["kind"] == EventKind.TRADE:
            auction = bool(row["flags"] & Flag.AUCTION)
            result.append(("trade", clock, int(row["price"]), float(row["quantity"]), int(row["side"]), auction))
        elif row["kind"] == EventKind.GAP:
            result.append(("gap", clock, GapReason(next(gaps)["reason"]).name))
        else:
            result.append(("book", clock))
    return result


DAY = [
    _row("09:15:00.000", status="OCALL", ask=10.0),
    _row("09:25:01.000", 1000, 10_000.0),
    _row("09:30:03.000", 1000, 10_000.0),
    _row("09:30:06.000", 1100, 11_001.0),
    _row("09:30:09.000", 1300, 13_001.0),
    _row("11:30:00.000", 1500, 15_002.0),
    _row("11:30:03.000", 1500, 15_002.0, status="BREAK"),
    _row("13:00:02.000", 1600, 16_002.0),
    _row("14:57:01.000", 1600, 16_002.0, status="CCALL"),
    _row("15:00:05.000", 2600, 26_022.0, status="CLOSE"),
]
EXPECTED = [
    ("trade", 92501, 1000, 1000.0, 0, True),
    ("book", 93003),
    ("trade", 93006, 1001, 100.0, 1, False),
    ("book", 93006),
    ("trade", 93009, 1000, 200.0, -1, False),
    ("book", 93009),
    ("trade", 113000, 1001, 200.0, 0, False),  # exactly at the mid; halves round up
    ("book", 113000),
    ("gap", 113003, "SESSION_BREAK"),
    ("trade", 130002, 1000, 100.0, 0, False),
    ("book", 130002),
    ("gap", 145701, "SESSION_BREAK"),
    ("trade", 150005, 1002, 1000.0, 0, True),
]


def test_a_day_of_sessions(tmp_path: Path) -> None:
    source = open_source(_write(tmp_path, DAY))
    block = concat(source)
    assert _events(block) == EXPECTED
    assert source.report.notes == {"snapshots outside continuous trading": 5}
    assert source.report.rejected == {}
    gap = block.payload(EventKind.GAP)[0]
    assert gap["gap_to"] - gap["gap_from"] == 3 * 10**9
    assert (block.rows[block.rows["kind"] == EventKind.GAP]["first_id"] == -1).all()


def _second(row: dict[str, object], symbol: str, clock: str, phase: str) -> dict[str, object]:
    names = {"Bid": "Buy", "Offer": "Sell"}
    result: dict[str, object] = {}
    for key, value in row.items():
        for old, new in names.items():
            if key.startswith((f"{old}Price", f"{old}OrderQty")):
                result[f"{new}{key[len(old) : -1]}{int(key[-1]) + 1}"] = value
    result |= {"TotalVolumeTrade": f"{row['TotalVolumeTrade']}.0", "TotalValueTrade": row["TotalValueTrade"]}
    return result | {"MDDate": "20211201", "MDTime": clock, "SecurityID": f'"{symbol}"', "TradingPhaseCode": phase}


CLOCKS = [
    "91500000",
    "92501000",
    "93003000",
    "93006000",
    "093009000",
    "113000000",
    "113003000",
    "130002000",
    "145701000",
    "150005000",
]


@pytest.mark.parametrize(
    "phases",
    ["O T T T T T B T C E", "1 3 3 3 3 3 4 3 5 6", "C111 T111 T111 T111 T111 T111 S000 T111 U110 E000"],
)
def test_the_second_layout_reads_the_same(tmp_path: Path, phases: str) -> None:
    given = [_second(r, "000001.SZ", c, p) for r, c, p in zip(DAY, CLOCKS, phases.split(), strict=True)]
    source = open_source(_write(tmp_path, given, SECOND))
    assert _events(concat(source)) == EXPECTED
    assert source.instrument.key == "szse:equity:000001"
    assert source.instrument.raw_symbol == "000001.SZ"


def test_the_second_layout_without_phases_goes_by_the_clock(tmp_path: Path) -> None:
    given = [_second(r, "000001.SZ", c, "") for r, c in zip(DAY, CLOCKS, strict=True)]
    columns = [name for name in SECOND if name != "TradingPhaseCode"]
    for spec in (_write(tmp_path, given, columns), _write(tmp_path, given, SECOND)):
        assert _events(concat(open_source(spec))) == EXPECTED


def test_scaled_prices_fewer_levels_and_empty_cells(tmp_path: Path) -> None:
    columns = [name for name in SECOND if not name.endswith(("4", "5", "6", "7", "8", "9", "10"))]
    given = [_second(r, "600000.SH", c, "T") for r, c in zip(DAY[2:5], CLOCKS[2:5], strict=True)]
    expected = concat(open_source(_write(tmp_path, given, columns)))
    for row in given:
        for key in row:
            if "Price" in key:
                row[key] = round(float(row[key]) * 10_000)
    assert np.array_equal(
        concat(open_source(_write(tmp_path, given, columns) + "?price_scale=10000")).rows, expected.rows
    )
    text = (tmp_path / "a.csv").read_text()
    lines = [",".join("" if cell == "0" else cell for cell in line.split(",")) for line in text.splitlines()]
    (tmp_path / "b.csv").write_text("\n".join(lines) + "\n")
    spec = f"ashare-snapshot:{tmp_path / 'b.csv'}?price_scale=10000"
    assert np.array_equal(concat(open_source(spec)).rows, expected.rows)


def test_lunch_and_night_without_rows_are_gaps(tmp_path: Path) -> None:
    rows = [
        DAY[3],
        DAY[7],
        _row("09:31:00.000", 500, 5000.0, day="2021.12.02"),
        _row("09:31:03.000", 700, 7000.0, day="2021.12.02"),
    ]
    source = open_source(_write(tmp_path, rows))
    assert _events(concat(source)) == [
        ("book", 93006),
        ("gap", 130002, "SESSION_BREAK"),
        ("trade", 130002, 1000, 500.0, 0, False),
        ("book", 130002),
        ("gap", 93100, "SESSION_BREAK"),
        ("book", 93100),
        ("trade", 93103, 1000, 200.0, -1, False),
        ("book", 93103),
    ]
    assert source.report.notes == {"days that begin with volume": 2}


def test_a_halt_says_so(tmp_path: Path) -> None:
    rows = [DAY[3], _row("09:40:00.000", 1100, 11_001.0, status="SUSP"), _row("09:50:00.000", 1100, 11_001.0)]
    block = concat(open_source(_write(tmp_path, rows)))
    assert _events(block) == [("book", 93006), ("gap", 94000, "HALT"), ("book", 95000)]
    assert block.payload(EventKind.GAP)["gap_to"][0] == 0


def test_shanghai_had_no_closing_call_before_2018_08_20(tmp_path: Path) -> None:
    columns = [name for name in FIRST if name != "InstrumentStatus"]
    for symbol, day, open_ in (("600000", "2018.08.17", 2), ("600000", "2018.08.20", 1), ("000001", "2018.08.17", 1)):
        rows = [_row(c, symbol=symbol, day=day) for c in ("14:56:57", "14:59:57")]
        assert concat(open_source(_write(tmp_path, rows, columns))).counts()["orderbook_snapshot"] == open_


def test_one_sided_and_empty_books(tmp_path: Path) -> None:
    rows = [
        DAY[2],
        _row("09:31:00", 1000, 10_000.0, ask=0),
        _row("09:31:03", 1100, 11_000.0, ask=0),
        _row("09:31:06", 1100, 11_000.0, bid=0, ask=0),
    ]
    block = concat(open_source(_write(tmp_path, rows)))
    assert _events(block) == [
        ("book", 93003),
        ("book", 93100),
        ("trade", 93103, 1000, 100.0, 0, False),
        ("book", 93103),
    ]


BAD = [
    ({"BidPrice0": -1}, "price negative"),
    ({"BidPrice0": "nan"}, "BidPrice0 is no number"),
    ({"BidPrice0": "inf"}, "BidPrice0 is out of range"),
    ({"BidPrice0": "1e308"}, "BidPrice0 is out of range"),
    ({"BidPrice0": "9" * 40}, "BidPrice0 is out of range"),
    ({"BidPrice0": 2**63}, "BidPrice0 is out of range"),
    ({"OfferPrice9": 10**9}, "price out of range"),
    ({"BidPrice0": 10.005}, "price off tick 0.01"),
    ({"BidPrice0": 9.98}, "levels out of order"),
    ({"OfferPrice0": 0}, "levels out of order"),
    ({"BidOrderQty0": -100}, "quantity negative"),
    ({"BidOrderQty0": 2**54}, "quantity out of range"),
    ({"BidOrderQty0": "many"}, "BidOrderQty0 is no number"),
    ({"TotalVolumeTrade": -1}, "volume negative or out of range"),
    ({"TotalVolumeTrade": 999}, "cumulative volume goes back"),
    ({"TotalValueTrade": -1}, "turnover negative or out of range"),
    ({"TotalValueTrade": "1e13"}, "turnover negative or out of range"),
    ({"TotalValueTrade": "1e300"}, "TotalValueTrade is out of range"),
    ({"DateTime": "yesterday"}, "no date and time"),
    ({"DateTime": "2021.12.01T25:00:00"}, "no date and time"),
    ({"DateTime": "2021.12.01T09:30:02"}, "time goes back"),
    ({"SecurityID": "banana"}, "SecurityID is no security id"),
    ({"SecurityID": "600000.NY"}, "SecurityID is no security id"),
    ({"LastPx": "1,2"}, "not 46 fields"),
]


@pytest.mark.parametrize(("change", "reason"), BAD)
def test_a_bad_row_costs_only_itself(tmp_path: Path, change: dict, reason: str) -> None:
    bad = DAY[3] | change
    source = open_source(_write(tmp_path, [DAY[2], bad, DAY[4]]))
    expected = concat(open_source(_write(tmp_path, [DAY[2], DAY[4]], name="b.csv")))
    assert np.array_equal(concat(source).rows, expected.rows)
    assert {name: r.count for name, r in source.report.rejected.items()} == {reason: 1}
    assert source.report.rejected[reason].examples[0].startswith("a.csv:3: ")
    with pytest.raises(DataError, match=r"a\.csv:3: "):
        list(open_source(source.spec + "?strict=1"))


def test_turnover_without_a_price_is_counted(tmp_path: Path) -> None:
    source = open_source(_write(tmp_path, [DAY[2], _row("09:31:00", 1100, 10_000.0)]))
    assert _events(concat(source)) == [("book", 93003), ("book", 93100)]
    assert source.report.notes == {"days that begin with volume": 1, "turnover without a price": 1}


def test_binary_float_noise_is_forgiven(tmp_path: Path) -> None:
    rows = [DAY[2], DAY[3] | {"BidPrice0": "9.99999999999999999", "OfferPrice0": "10.00999999999999979"}]
    expected = concat(open_source(_write(tmp_path, DAY[2:4])))
    assert np.array_equal(concat(open_source(_write(tmp_path, rows))).rows, expected.rows)


def test_panels_are_ordered_by_time_and_files_join(tmp_path: Path) -> None:
    other = [row | {"SecurityID": "510300"} for row in DAY]
    source = open_source(_write(tmp_path, [*DAY, *other]))
    block = concat(source)
    assert [(i.symbol, str(i.tick_size)) for i in source.instruments] == [("510300", "0.001"), ("600000", "0.01")]
    assert (np.diff(block.rows["ts_recv"]) >= 0).all()
    assert _events(block.only(1)) == EXPECTED
    assert len(block.payload(EventKind.GAP)) == 4
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("x/b.csv", _text(DAY))
        archive.writestr("x/c.csv", _text(other))
        archive.writestr("readme.md", "hello")
    again = open_source(f"ashare-snapshot:{tmp_path / 'two.zip'}")
    assert np.array_equal(concat(again).rows, block.rows)
    assert again.files == (str(tmp_path / "two.zip"),)
    both = open_source(f"{source.spec}?symbol=510300,600000.SH")
    assert len(both.instruments) == 2
    one = open_source(f"{source.spec}?symbol=600000")
    assert _events(concat(one)) == EXPECTED
    assert one.report.notes["rows of other instruments"] == 10


def test_refused_files(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"begins with 'a,b'"):
        open_source(_write(tmp_path, [], ["a", "b"]))
    with pytest.raises(SourceError, match="no column 'TotalVolumeTrade'"):
        open_source(_write(tmp_path, DAY, [name for name in FIRST if name != "TotalVolumeTrade"]))
    with pytest.raises(SourceError, match="no column 'DateTime'"):
        open_source(_write(tmp_path, DAY, [name for name in FIRST if name != "DateTime"]))
    with pytest.raises(SourceError, match="no row names a security id"):
        open_source(_write(tmp_path, []))
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(SourceError, match="is empty"):
        open_source(f"ashare-snapshot:{tmp_path / 'a.csv'}")
    with pytest.raises(SourceError, match="file not found"):
        open_source(f"ashare-snapshot:{tmp_path / 'none.csv'}")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.md", "hello")
    with pytest.raises(SourceError, match="holds no csv"):
        open_source(f"ashare-snapshot:{tmp_path / 'a.zip'}")
    headless = "\n".join(_text(DAY).splitlines()[1:])
    (tmp_path / "a.csv").write_text(headless)
    with pytest.raises(SourceError, match=r"begins with|twice"):
        open_source(f"ashare-snapshot:{tmp_path / 'a.csv'}")
    with pytest.raises(SourceError, match="none accepted"):
        list(open_source(_write(tmp_path, [DAY[2] | {"BidPrice0": -1}])))


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("symbol=600001", "no instrument '600001'.*did you mean '600000'"),
        ("symbol=x", "security id was 'x'"),
        ("symbol=600000.SZ", "no instrument '600000.SZ'"),
        ("price_scale=7", "price_scale was '7'"),
        ("tick=x", "tick was 'x'"),
        ("tick=0", "tick was '0'"),
        ("from=25:00", "from was '25:00'"),
        ("to=soon", "time was 'soon'"),
    ],
)
def test_bad_options(tmp_path: Path, query: str, error: str) -> None:
    with pytest.raises(MarketPrismError, match=error):
        open_source(f"{_write(tmp_path, DAY)}?{query}")


def test_a_given_tick_wins(tmp_path: Path) -> None:
    block = concat(open_source(_write(tmp_path, DAY[2:4]) + "?tick=0.001"))
    assert block.rows["price"][0] == 10_000


def test_volume_of_the_opening_cross_in_the_first_continuous_row(tmp_path: Path) -> None:
    rows = [DAY[0], _row("09:30:03.000", 1000, 10_000.0), _row("09:30:06.000", 1100, 11_001.0)]
    assert _events(concat(open_source(_write(tmp_path, rows)))) == [
        ("trade", 93003, 1000, 1000.0, 0, True),
        ("book", 93003),
        ("trade", 93006, 1001, 100.0, 1, False),
        ("book", 93006),
    ]
