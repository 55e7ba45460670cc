"""Malformed LOBSTER files: every fault is rejected by name, or refused."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest

from marketprism.core.block import EventBlock, concat
from marketprism.core.errors import DataError, MarketPrismError, SourceError
from marketprism.core.kinds import EventKind, Flag, GapReason
from marketprism.ingest.registry import open_source

MESSAGES = [
    "34200.1,1,11,100,1000000,1",
    "34200.2,1,12,50,1000200,-1",
    "34200.3,4,11,30,1000000,1",
    "34200.4,5,0,10,1000150,-1",
    "34200.5,2,11,20,1000000,1",
    "34200.6,3,11,50,1000000,1",
]
BOOKS = [
    "9999999999,0,1000000,100,9999999999,0,-9999999999,0",
    "1000200,50,1000000,100,9999999999,0,-9999999999,0",
    "1000200,50,1000000,70,9999999999,0,999900,5",
    "1000200,50,1000000,70,9999999999,0,999900,5",
    "1000200,50,1000000,50,9999999999,0,999900,5",
    "1000200,50,999900,5,9999999999,0,-9999999999,0",
]
NAME = "TEST_2012-06-21_34200000_57600000_{}_2.csv"


def _write(folder: Path, messages: list[str] = MESSAGES, books: list[str] = BOOKS, name: str = NAME) -> str:
    (folder / name.format("message")).write_text("\n".join(messages) + "\n")
    (folder / name.format("orderbook")).write_text("\n".join(books) + "\n")
    return f"lobster:{folder / name.format('message')}"


def _kinds(block: EventBlock) -> list[str]:
    ends = block.rows[(block.rows["flags"] & Flag.LAST) != 0]
    return [EventKind(kind).name for kind in ends["kind"].tolist()]


def _replaced(lines: list[str], index: int, line: str) -> list[str]:
    return [*lines[:index], line, *lines[index + 1 :]]


def test_the_good_pair_reads_as_expected(tmp_path: Path) -> None:
    source = open_source(_write(tmp_path))
    block = concat(source)
    assert source.report.rejected == {}
    rows = block.rows[["kind", "side", "price", "quantity", "flags"]].tolist()
    first, last, both = Flag.FIRST, Flag.LAST, Flag.FIRST | Flag.LAST
    assert rows == [
        (EventKind.BOOK_SNAPSHOT, 1, 10_000, 100.0, both),
        (EventKind.BOOK_DELTA, -1, 10_002, 50.0, both),
        (EventKind.TRADE, -1, 10_000, 30.0, both),
        (EventKind.BOOK_DELTA, 1, 10_000, 70.0, first),
        (EventKind.BOOK_DELTA, 1, 9_999, 5.0, last),
        (EventKind.TRADE, 1, 10_002, 10.0, both | Flag.HIDDEN),
        (EventKind.BOOK_DELTA, 1, 10_000, 50.0, both),
        (EventKind.BOOK_DELTA, 1, 10_000, 0.0, both),
    ]
    assert block.rows["previous_id"].tolist() == [-1, -1, 11, -1, -1, -1, -1, -1]
    assert source.report.notes == {"trades between ticks, rounded to the nearest": 1}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("34200.3,4,11,30,0,1", "price not positive"),
        ("34200.3,4,11,30,-5,1", "price not positive"),
        ("34200.3,4,11,30,nan,1", "price is no number"),
        ("34200.3,4,11,30,inf,1", "price is out of range"),
        ("34200.3,4,11,30,1e308,1", "price is out of range"),
        ("34200.3,4,11,30,9223372036854775807,1", "price out of range"),
        ("34200.3,4,11,30,9223372036854775808,1", "price is out of range"),
        ("34200.3,4,11,30," + "9" * 40 + ",1", "price is out of range"),
        ("34200.3,4,11,-30,1000000,1", "size not positive"),
        ("34200.3,4,11,9007199254740993,1000000,1", "size out of range"),
        ("34200.3,4,11,30,1000000,banana", "direction is no number"),
        ("34200.3,4,11,30,1000000,0", "direction is neither 1 nor -1"),
        ("34200.3,9,11,30,1000000,1", "unknown message type"),
        ("86400,4,11,30,1000000,1", "time outside the day"),
        ("34200.15,4,11,30,1000000,1", "time goes back"),
        ("34200.3,4,11,30,1000000", "not 6 fields"),
        ("\x00garbage", "not 6 fields"),
    ],
)
def test_a_bad_message_costs_only_itself(tmp_path: Path, line: str, reason: str) -> None:
    spec = _write(tmp_path, _replaced(MESSAGES, 2, line))
    source = open_source(spec)
    block = concat(source)
    assert {name: r.count for name, r in source.report.rejected.items()} == {reason: 1}
    assert ":3: " in source.report.rejected[reason].examples[0]
    assert _kinds(block) == ["BOOK_SNAPSHOT", "BOOK_DELTA", "TRADE", "BOOK_DELTA", "BOOK_DELTA", "BOOK_DELTA"]
    with pytest.raises(DataError, match=f"{NAME.format('message')}:3: "):
        list(open_source(spec + "?strict=1"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1000200,50,-3,70,9999999999,0,999900,5", "book price not positive"),
        ("1000200,50,1000000,-70,9999999999,0,999900,5", "book size not positive"),
        ("1000200,50,1000000,0,9999999999,0,999900,5", "book size not positive"),
        ("99999999999,50,1000000,70,9999999999,0,999900,5", "book price out of range"),
        ("1000200,50,1000000,9007199254740993,9999999999,0,999900,5", "book size out of range"),
        ("1000250,50,1000000,70,9999999999,0,999900,5", "book price off tick 0.01"),
        ("1000200,50,999900,5,9999999999,0,1000000,70", "book levels out of order"),
        ("9999999999,0,1000000,70,1000200,50,999900,5", "book levels out of order"),
        ("1000200,50,1000000,70", "not 8 fields"),
    ],
)
def test_a_bad_book_line_costs_only_itself(tmp_path: Path, line: str, reason: str) -> None:
    spec = _write(tmp_path, books=_replaced(BOOKS, 2, line)) + "?tick=0.01"
    source = open_source(spec)
    block = concat(source)
    assert {name: r.count for name, r in source.report.rejected.items()} == {reason: 1}
    last = block.rows[block.rows["ts_event"] == block.rows["ts_event"][-1]]
    assert last[["side", "price", "quantity"]].tolist() == [(1, 10_000, 0.0)]  # the book is exact again
    with pytest.raises(DataError, match=f"{NAME.format('orderbook')}:3: "):
        list(open_source(spec + "&strict=1"))


def test_a_halt_is_a_gap_and_trading_resumes_with_a_snapshot(tmp_path: Path) -> None:
    halt = ["34201,7,0,0,-1,-1", "34202,1,20,5,999800,1", "34203,7,0,0,0,-1", "34204,6,-1,500,1000100,-1"]
    resume = ["34205,7,0,0,1,-1", "34206,1,21,5,999700,1"]
    spec = _write(tmp_path, MESSAGES + halt + resume, BOOKS + [BOOKS[0]] * 4 + [BOOKS[1]] * 2)
    block = concat(open_source(spec))
    assert _kinds(block)[-3:] == ["GAP", "TRADE", "BOOK_SNAPSHOT"]
    (gap,) = block.payload(EventKind.GAP)
    assert gap["reason"] == GapReason.HALT
    assert gap["gap_to"] == 0
    marks = block.rows[block.rows["kind"] == EventKind.GAP]
    assert marks["ts_event"][0] - gap["gap_from"] == 400_000_000
    assert marks[["first_id", "previous_id", "payload"]].tolist() == [(-1, -1, 0)]
    cross = block.rows[(block.rows["flags"] & Flag.AUCTION) != 0]
    assert cross[["kind", "side", "price", "quantity"]].tolist() == [(EventKind.TRADE, 0, 10_001, 500.0)]


def test_an_execution_ends_a_halt_that_nobody_lifted(tmp_path: Path) -> None:
    more = ["34201,7,0,0,-1,-1", "34201.5,7,0,0,-1,-1", "34202,4,12,5,1000200,-1"]
    block = concat(open_source(_write(tmp_path, MESSAGES + more, [*BOOKS, BOOKS[5], BOOKS[5], BOOKS[1]])))
    assert _kinds(block)[-3:] == ["GAP", "TRADE", "BOOK_SNAPSHOT"]


def test_days_are_sorted_and_joined_by_session_breaks(tmp_path: Path) -> None:
    first = _write(tmp_path)
    second = _write(tmp_path, name=NAME.replace("06-21", "06-22"))
    block = concat(open_source(f"{second},{first.removeprefix('lobster:')}"))
    assert _kinds(block)[7:9] == ["GAP", "BOOK_SNAPSHOT"]
    (gap,) = block.payload(EventKind.GAP)
    assert gap["reason"] == GapReason.SESSION_BREAK
    assert gap["gap_to"] - gap["gap_from"] == 86_400 * 10**9 - 500_000_000
    assert (np.diff(block.rows["ts_recv"]) >= 0).all()
    with pytest.raises(SourceError, match="both of 2012-06-21"):
        open_source(f"{first},{_write(tmp_path, name=NAME.replace('_2.csv', '_3.csv')).removeprefix('lobster:')}")
    with pytest.raises(SourceError, match="mixes OTHER, TEST"):
        open_source(f"{second},{_write(tmp_path, name=NAME.replace('TEST', 'OTHER')).removeprefix('lobster:')}")


def test_pairs_are_found_by_name(tmp_path: Path) -> None:
    expected = concat(open_source(_write(tmp_path)))
    for what in ("message", "orderbook"):
        path = tmp_path / NAME.format(what)
        (tmp_path / (NAME.format(what) + ".gz")).write_bytes(gzip.compress(path.read_bytes()))
    with zipfile.ZipFile(tmp_path / "day.zip", "w") as archive:
        for what in ("orderbook", "message"):
            archive.write(tmp_path / NAME.format(what), f"sub/{NAME.format(what)}")
    files = [NAME.format("orderbook"), NAME.format("message") + ".gz", "day.zip"]
    files.append(f"{NAME.format('orderbook')},{tmp_path / NAME.format('message')}")
    for file in files:
        source = open_source(f"lobster:{tmp_path / file}")
        assert np.array_equal(concat(source).rows, expected.rows)
        assert source.instrument.symbol == "TEST"


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    for messages, books in ((MESSAGES, BOOKS[:4]), (MESSAGES[:4], BOOKS)):
        with pytest.raises(SourceError, match=r"has [46] lines and"):
            list(open_source(_write(tmp_path, messages, books)))


def test_longer_book_file_is_noticed_beyond_the_last_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marketprism.ingest.tabular.BATCH_LINES", 2)
    for messages, books in ((MESSAGES, BOOKS[:4]), (MESSAGES[:4], BOOKS)):
        with pytest.raises(SourceError, match="lines and"):
            list(open_source(_write(tmp_path, messages, books)))


def test_missing_empty_and_foreign_files(tmp_path: Path) -> None:
    spec = _write(tmp_path)
    (tmp_path / NAME.format("orderbook")).unlink()
    with pytest.raises(SourceError, match="file not found"):
        open_source(spec)
    (tmp_path / NAME.format("orderbook")).write_text("")
    with pytest.raises(SourceError, match="is empty"):
        open_source(spec)
    (tmp_path / NAME.format("orderbook")).write_text("ask,ask_size,bid,bid_size\n")
    with pytest.raises(SourceError, match="without a header"):
        open_source(spec)
    with pytest.raises(SourceError, match="names neither 'message' nor 'orderbook'"):
        open_source(f"lobster:{tmp_path / 'x.csv'}")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.csv", "1")
    with pytest.raises(SourceError, match="no order-book file"):
        open_source(f"lobster:{tmp_path / 'a.zip'}")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(NAME.format("orderbook"), "1")
    with pytest.raises(SourceError, match=r"holds no 'TEST_.*message"):
        open_source(f"lobster:{tmp_path / 'a.zip'}")


def test_no_accepted_row_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="none accepted"):
        list(open_source(_write(tmp_path, ["x"] * 6)))
    with pytest.raises(SourceError, match=r"none accepted.*book price off tick"):
        list(open_source(_write(tmp_path, books=["1000250,5,1000000,7,9999999999,0,999900,5"] * 6) + "?tick=0.01"))


def test_a_cut_gzip_is_refused(tmp_path: Path) -> None:
    spec = _write(tmp_path, MESSAGES[:1] * 5000, BOOKS[:1] * 5000)
    for what in ("message", "orderbook"):
        path = tmp_path / NAME.format(what)
        (tmp_path / (NAME.format(what) + ".gz")).write_bytes(
            gzip.compress(path.read_bytes())[: -9 if what == "message" else None]
        )
    with pytest.raises(SourceError, match=r"message_2.csv.gz is (truncated|corrupt)"):
        list(open_source(spec + ".gz"))


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("levels=0", "levels was '0'"),
        ("levels=3", "levels was '3'"),
        ("levels=x", "levels was 'x'"),
        ("tick=x", "tick was 'x'"),
        ("tick=0", "tick was '0'"),
        ("tick=0.00003", "tick was '0.00003'"),
        ("latency=fast", "latency was 'fast'"),
        ("date=someday", "date was 'someday'"),
        ("level=3", "did you mean 'levels'"),
    ],
)
def test_bad_options(tmp_path: Path, query: str, error: str) -> None:
    with pytest.raises(MarketPrismError, match=error):
        open_source(f"{_write(tmp_path)}?{query}")


def test_the_day_and_the_tick_can_be_given(tmp_path: Path) -> None:
    bare = NAME.replace("_2012-06-21", "")
    spec = _write(tmp_path, name=bare)
    with pytest.raises(SourceError, match=r"names no day.*date=2012-06-21"):
        open_source(spec)
    source = open_source(spec + "?date=20120621&tick=0.0001&symbol=ABC")
    assert concat(source).rows["price"][0] == 1_000_000
    assert source.report.facts["tick"] == "0.0001 from the option"
    assert source.instrument.symbol == "ABC"


def test_a_finer_book_tells_its_tick(tmp_path: Path) -> None:
    books = [line.replace("1000200", "1000250") for line in BOOKS]
    source = open_source(_write(tmp_path, books=books))
    concat(source)
    assert source.instrument.tick == 0.0001
    assert source.report.facts["tick"].startswith("0.0001: 5 of 14 prices are finer")
