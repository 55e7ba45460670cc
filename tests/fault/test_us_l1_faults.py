"""Malformed and unusual US level-1 files, and the rules of consolidation on hand-made rows."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from marketprism.core.block import EventBlock, concat
from marketprism.core.errors import DataError, MarketPrismError, SourceError
from marketprism.core.kinds import EventKind, Flag
from marketprism.ingest.registry import open_source

NINE = 36_000_000  # 10:00 in ms
QUOTES = [
    f"{NINE},100000,300,0,0,N,1,0",
    f"{NINE},0,0,100100,200,Q,1,0",
    f"{NINE + 5},100000,400,0,0,N,1,0",
    f"{NINE + 5},0,0,100100,200,Q,1,0",
]
TRADES = [f"{NINE + 5},100000,50,N,1,0", f"{NINE + 9},100100,70,P,20000020,0"]


def _write(folder: Path, quotes: list[str] | None = None, trades: list[str] | None = None) -> str:
    paths = []
    for name, lines in (
        ("quote", QUOTES if quotes is None else quotes),
        ("trade", TRADES if trades is None else trades),
    ):
        if lines:
            path = folder / f"20131007_xyz_{name}.csv"
            path.write_text("\n".join(lines) + "\n")
            paths.append(str(path))
    return f"us-l1:{','.join(paths)}"


def _events(block: EventBlock) -> list[tuple]:
    """Return quotes as ("q", ms after NINE, bid, size, ask, size) and trades as ("t", ms, price, size)."""
    result: list[tuple] = []
    start = 1_381_118_400_000_000_000 + NINE * 1_000_000
    for row in block.rows:
        ms = int(row["ts_event"] - start) // 1_000_000
        pair = (int(row["price"]), float(row["quantity"]))
        if row["kind"] == EventKind.TRADE:
            result.append(("t", ms, *pair))
        elif row["side"] == 1:
            result.append(("q", ms, *pair))
        elif row["side"] == -1:
            result[-1] += pair
    return result


def test_two_rows_are_one_quote_and_trades_follow_quotes(tmp_path: Path) -> None:
    source = open_source(_write(tmp_path))
    block = concat(source)
    assert _events(block) == [
        ("q", 0, 1000, 300.0, 1001, 200.0),
        ("q", 5, 1000, 400.0, 1001, 200.0),
        ("t", 5, 1000, 50.0),
        ("t", 9, 1001, 70.0),
    ]
    assert source.report.records == 6
    assert (source.instrument.symbol, source.instrument.tick) == ("XYZ", 0.01)
    assert concat(open_source(_write(tmp_path) + "?latency=2us")).rows["ts_recv"][0] % 1_000_000 == 2_000


def test_lone_sides_unchanged_quotes_and_empty_sides(tmp_path: Path) -> None:
    quotes = [
        f"{NINE},0,0,100100,200,Q,1,0",  # no bid yet
        f"{NINE + 1},100000,300,0,0,N,1,0",
        f"{NINE + 2},100000,300,0,0,N,1,0",  # the earlier bid goes alone, this one repeats it
        f"{NINE + 3},100000,300,100100,200,N,1,0",  # both sides in one row, nothing new
        f"{NINE + 4},0,0,100100,0,N,1,0",  # size 0: the side is gone
        f"{NINE + 5},0,0,0,0,N,1,0",  # nothing left at all
        f"{NINE + 6},100000,100,0,0,N,1,0",
        f"{NINE + 6},0,0,0,0,Q,1,0",  # the ask half of a pair without an ask
        f"{NINE + 7},100000,900,0,0,N,1,0",  # last row, alone
    ]
    source = open_source(_write(tmp_path, quotes, []))
    assert _events(concat(source)) == [
        ("q", 0, 0, 0.0, 1001, 200.0),
        ("q", 1, 1000, 300.0, 1001, 200.0),
        ("q", 4, 1000, 300.0, 0, 0.0),
        ("q", 5, 0, 0.0, 0, 0.0),
        ("q", 6, 1000, 100.0, 0, 0.0),
        ("q", 7, 1000, 900.0, 0, 0.0),
    ]
    assert source.report.notes == {"quotes that changed nothing": 2}


def test_venues_are_consolidated_on_request(tmp_path: Path) -> None:
    quotes = [
        f"{NINE},100000,300,0,0,N,1,0",
        f"{NINE},0,0,100200,200,N,1,0",
        f"{NINE + 1},100000,100,0,0,P,1,0",  # same price elsewhere: sizes add up
        f"{NINE + 1},0,0,100100,500,P,1,0",  # a better ask
        f"{NINE + 2},0,0,100100,0,P,1,0",  # which goes away
        f"{NINE + 3},0,0,0,0,N,1,0",  # N leaves altogether
    ]
    spec = _write(tmp_path, quotes, [])
    assert _events(concat(open_source(spec + "?quotes=venue"))) == [
        ("q", 0, 1000, 300.0, 1002, 200.0),
        ("q", 1, 1000, 400.0, 1001, 500.0),
        ("q", 2, 1000, 400.0, 1002, 200.0),
        ("q", 3, 1000, 100.0, 0, 0.0),
    ]


def test_session_conditions_and_suspicion(tmp_path: Path) -> None:
    quotes = [
        QUOTES[0].replace(str(NINE), "34199999"),
        *QUOTES,
        "57600000,100000,1,0,0,N,1,0",
        "57600001,0,0,100,1,N,8,1",
    ]
    trades = [
        "34199999,100000,1,N,1,0",
        "34200000,100000,2,N,40,0",  # opening print
        f"{NINE},100000,3,N,4000000,0",  # official open: repeats a price
        f"{NINE},100050,4,N,0,0",
        f"{NINE},100000,5,N,1,1",
        "57600000,100000,6,N,80,0",
    ]
    spec = _write(tmp_path, quotes, trades)
    source = open_source(spec)
    block = concat(source)
    rows = block.rows[block.rows["kind"] == EventKind.TRADE]
    assert rows["quantity"].tolist() == [2, 4]
    assert rows["price"].tolist() == [1000, 1001]  # half a cent is rounded up
    assert ((rows["flags"] & Flag.AUCTION) != 0).tolist() == [True, False]
    assert source.report.notes == {
        "quotes outside the session": 2,
        "suspicious rows left out": 2,
        "trades between ticks, rounded to the nearest": 1,
        "trades not priced at their time": 1,
        "trades outside the session": 2,
    }
    everything = concat(open_source(spec + "?session=all&conditions=all&suspicious=keep&tick=0.0001"))
    assert everything.rows[everything.rows["kind"] == EventKind.TRADE]["quantity"].tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"{NINE},-100000,300,0,0,N,1,0", "bid negative"),
        (f"{NINE},nan,300,0,0,N,1,0", "bid is no number"),
        (f"{NINE},inf,300,0,0,N,1,0", "bid is out of range"),
        (f"{NINE},1e308,300,0,0,N,1,0", "bid is out of range"),
        (f"{NINE},9223372036854775807,300,0,0,N,1,0", "bid out of range"),
        (f"{NINE}," + "9" * 40 + ",300,0,0,N,1,0", "bid is out of range"),
        (f"{NINE},100000,-3,0,0,N,1,0", "bid_size negative"),
        (f"{NINE},100000,9007199254740993,0,0,N,1,0", "bid_size out of range"),
        (f"{NINE},100050,300,0,0,N,1,0", "price off tick 0.01"),
        (f"{NINE},100000,300,0,0,n,1,0", "venue is no letter A to Z"),
        (f"{NINE},100000,300,0,0,NQ,1,0", "venue is no letter A to Z"),
        (f"{NINE},100000,300,0,0,,1,0", "venue is empty"),
        (f"{NINE},100000,300,0,0,N,1,7", "suspicious is neither 0 nor 1"),
        ("86400000,100000,300,0,0,N,1,0", "time outside the day"),
        (f"{NINE},100000,300,0,0,N,1", "not 8 fields"),
    ],
)
def test_a_bad_quote_costs_only_itself(tmp_path: Path, line: str, reason: str) -> None:
    spec = _write(tmp_path, [*QUOTES[:2], line, *QUOTES[2:]]) + "?tick=0.01"
    source = open_source(spec)
    assert len(_events(concat(source))) == 4
    assert {name: r.count for name, r in source.report.rejected.items()} == {reason: 1}
    assert source.report.rejected[reason].examples[0].startswith("20131007_xyz_quote.csv:3: ")
    with pytest.raises(DataError, match=r"20131007_xyz_quote\.csv:3: "):
        list(open_source(spec + "&strict=1"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"{NINE + 6},0,50,N,1,0", "price not positive"),
        (f"{NINE + 6},1000000000000,50,N,1,0", "price out of range"),
        (f"{NINE + 6},100000,0,N,1,0", "size not positive"),
        (f"{NINE + 6},100000,-1,N,1,0", "size negative"),
        (f"{NINE + 6},100000,50,N,banana,0", "condition is not hexadecimal"),
        (f"{NINE + 6},100000,50,N,ffffffffffffffff,0", "condition is not hexadecimal"),
        (f"{NINE - 6},100000,50,N,1,0", "time goes back"),
    ],
)
def test_a_bad_trade_costs_only_itself(tmp_path: Path, line: str, reason: str) -> None:
    spec = _write(tmp_path, None, [TRADES[0], line, TRADES[1]])
    source = open_source(spec)
    assert len(_events(concat(source))) == 4
    assert {name: r.count for name, r in source.report.rejected.items()} == {reason: 1}
    with pytest.raises(DataError, match=r"trade\.csv:2: "):
        list(open_source(spec + "?strict=1"))


def test_files_are_told_by_content_and_sorted_by_day(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "xyz.zip", "w") as archive:
        archive.writestr("20131008_xyz_b.csv", "\n".join(TRADES))
        archive.writestr("20131007_xyz_a.csv", "\n".join(QUOTES))
    block = concat(open_source(f"us-l1:{tmp_path / 'xyz.zip'}"))
    kinds = [EventKind(k).name for k in block.rows["kind"].tolist()]
    assert kinds == ["QUOTE"] * 4 + ["GAP"] + ["TRADE"] * 2


def test_refused_sets_of_files(tmp_path: Path) -> None:
    spec = _write(tmp_path)
    (tmp_path / "20131007_xyz_quote_again.csv").write_text("\n".join(QUOTES))
    with pytest.raises(SourceError, match="same day and kind"):
        open_source(f"{spec},{tmp_path / '20131007_xyz_quote_again.csv'}")
    (tmp_path / "20131008_abc.csv").write_text("\n".join(QUOTES))
    with pytest.raises(SourceError, match=r"mixes ABC .*XYZ"):
        open_source(f"{spec},{tmp_path / '20131008_abc.csv'}")
    for name, error in (("20131007.csv", "names no ticker"), ("xyz_quote.csv", "names no day")):
        (tmp_path / name).write_text("\n".join(QUOTES))
        with pytest.raises(SourceError, match=error):
            open_source(f"us-l1:{tmp_path / name}")
    source = open_source(f"us-l1:{tmp_path / '20131007.csv'}?symbol=xyz&date=2013-10-07")
    assert source.instrument.symbol == "XYZ"
    (tmp_path / "20131007_xyz.csv").write_text("ms,bid,ask\n1,2,3\n")
    with pytest.raises(SourceError, match="quote row has 8 fields"):
        open_source(f"us-l1:{tmp_path / '20131007_xyz.csv'}")
    (tmp_path / "20131007_xyz.csv").write_text("")
    with pytest.raises(SourceError, match="is empty"):
        open_source(f"us-l1:{tmp_path / '20131007_xyz.csv'}")
    with pytest.raises(SourceError, match="file not found"):
        open_source(f"us-l1:{tmp_path / 'none_20131007.csv'}")


def test_nothing_accepted_is_no_success(tmp_path: Path) -> None:
    header = "ms,bid,bid_size,ask,ask_size,venue,condition,suspicious"
    with pytest.raises(SourceError, match=r"none accepted.*ms is no number"):
        list(open_source(_write(tmp_path, [header], [])))


def test_a_cut_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "20131007_xyz_quote.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("20131007_xyz_quote.csv", "\n".join(QUOTES))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SourceError, match="is corrupt"):
        open_source(f"us-l1:{path}")


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("session=night", "session was 'night'"),
        ("quotes=bests", "did you mean 'best'"),
        ("suspicious=1", "suspicious was '1'"),
        ("conditions=x", "conditions was 'x'"),
        ("date=x", "date was 'x'"),
        ("tick=-1", "tick was '-1'"),
    ],
)
def test_bad_options(tmp_path: Path, query: str, error: str) -> None:
    with pytest.raises(MarketPrismError, match=error):
        open_source(f"{_write(tmp_path)}?{query}")


def test_finer_quotes_tell_their_tick(tmp_path: Path) -> None:
    source = open_source(_write(tmp_path, [q.replace("100100", "100133") for q in QUOTES], []))
    assert source.instrument.tick == 0.0001
    assert concat(source).rows["price"].tolist() == [100_000, 100_133] * 2


def test_a_stray_finer_price_is_off_tick(tmp_path: Path) -> None:
    source = open_source(_write(tmp_path, [*QUOTES[:2] * 100, f"{NINE},100033,300,0,0,N,1,0"], []))
    assert source.instrument.tick == 0.01
    assert concat(source).rows["price"].max() == 1001
    assert "price off tick 0.01" in source.report.rejected


def test_halves_of_different_times_are_two_quotes(tmp_path: Path) -> None:
    quotes = [f"{NINE},100000,300,0,0,N,1,0", f"{NINE + 1},0,0,100100,200,Q,1,0"]
    assert _events(concat(open_source(_write(tmp_path, quotes, [])))) == [
        ("q", 0, 1000, 300.0, 0, 0.0),
        ("q", 1, 1000, 300.0, 1001, 200.0),
    ]
