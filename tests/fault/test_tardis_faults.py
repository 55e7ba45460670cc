"""Bad Tardis files: FAULTS 16 to 20."""

from __future__ import annotations

import gzip

import pytest

from marketprism.core.block import concat
from marketprism.core.errors import DataError, SourceError
from marketprism.ingest.registry import open_source

_HEADER = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
_T = 1_700_000_000_000_000
_GOOD = f"binance-futures,BTCUSDT,{_T},{_T},true,bid,100.5,1"


def _open(tmp_path, *lines, header=_HEADER, options="tick=0.5"):
    path = tmp_path / "x.csv"
    path.write_bytes("\n".join([header, *lines]).encode() + b"\n")
    return open_source(f"tardis:{path}?{options}")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        (2, "banana", "timestamp is no time"),
        (2, "0", "timestamp is no epoch time"),
        (3, "", "local_timestamp is blank"),
        (4, "maybe", "is_snapshot is none of false, true"),
        (5, "banana", "side is none of ask, bid"),
        (6, "nan", "price is not a number"),
        (6, "inf", "price is not finite"),
        (6, "0", "price is not positive"),
        (6, "-1", "price is not positive"),
        (6, "100.25", "price is off tick 0.5"),
        (6, "1e308", "price is out of range"),
        (6, "9223372036854775808", "price is out of range"),
        (6, "1" * 41, "price has too many digits"),
        (7, "-1", "amount is negative"),
        (7, "1e308", "amount is out of range"),
        (7, "", "amount is blank"),
        (7, "1,surplus", "more fields than columns"),
        (1, "ETHUSDT", None),
    ],
)
def test_one_bad_row_is_rejected_with_its_reason_and_strict_stops(tmp_path, field, value, reason):
    cells = _GOOD.split(",")
    cells[field] = value
    bad = ",".join(cells)
    source = _open(tmp_path, _GOOD, bad, _GOOD.replace("bid,100.5", "ask,101"))
    block = concat(source)
    if reason is None:  # another symbol in the head is a panel, not an error
        assert len(source.instruments) == 2
        return
    assert block.rows["price"].tolist() == [201, 202]
    assert {name: r.count for name, r in source.report.rejected.items()} == {reason: 1}
    (example,) = source.report.rejected[reason].examples
    assert example.startswith("x.csv:3:")
    assert source.report.records == 3
    with pytest.raises(DataError, match=r"x\.csv:3"):
        concat(_open(tmp_path, _GOOD, bad, options="tick=0.5&strict=1"))


def test_times_in_another_unit_are_refused_naming_line_and_units(tmp_path):
    with pytest.raises(DataError, match=r"x\.csv:3: local_timestamp was 1700000000000, in ms; .* says us"):
        concat(_open(tmp_path, _GOOD, _GOOD.replace(f",{_T},true", ",1700000000000,true")))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (_GOOD, "name occurs twice.*must name the columns"),
        ("time,price", "no Tardis header"),
        (_HEADER + ",surprise", "unknown column 'surprise'"),
        (_HEADER.replace("amount", "amonut"), "no column 'amount'.*did you mean 'amonut'"),
        ("exchange,symbol,timestamp,local_timestamp,asks[0].price,bids[0].price", r"no column 'bids\[0\].amount'"),
    ],
)
def test_headers_must_be_right(tmp_path, header, message):
    with pytest.raises(SourceError, match=message):
        _open(tmp_path, _GOOD, header=header)


def test_empty_truncated_and_all_bad_files_are_errors(tmp_path):
    with pytest.raises(SourceError, match="header and no rows"):
        _open(tmp_path)
    with pytest.raises(SourceError, match=r"none accepted.*side is none"):
        concat(_open(tmp_path, _GOOD.replace("bid", "banana")))
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress("\n".join([_HEADER, *[f"{_GOOD}{i}" for i in range(9999)]]).encode())[:-50])
    with pytest.raises(SourceError, match=r"cut\.csv\.gz is truncated"):
        concat(open_source(f"tardis:{cut}?tick=0.5"))
    with pytest.raises(SourceError, match="file not found"):
        open_source(f"tardis:{tmp_path}/none.csv")
    with pytest.raises(SourceError, match="holds incremental_book_L2, not trades"):
        _open(tmp_path, _GOOD, options="type=trades")


def test_a_symbol_that_appears_late_is_refused_or_passed_over(tmp_path):
    path = tmp_path / "x.csv"
    late = _GOOD.replace("BTCUSDT", "ETHUSDT")
    path.write_text("\n".join([_HEADER, *[_GOOD] * 90_000, late]) + "\n")
    source = open_source(f"tardis:{path}?tick=0.5")
    assert len(concat(source)) == 90_000
    assert source.report.rejected["symbol is not in the head of the file"].count == 1
    source = open_source(f"tardis:{path}?tick=0.5&symbol=BTCUSDT")
    concat(source)
    assert source.report.rejected == {}


def test_garbage_bytes_spoil_their_own_line_only(tmp_path):
    path = tmp_path / "x.csv"
    lines = [
        _HEADER.encode(),
        _GOOD.encode(),
        b'"\xff\xfe,"quote',
        b"\x00" * 100,
        _GOOD.replace("bid,100.5", "ask,101").encode(),
    ]
    path.write_bytes(b"\n".join(lines) + b"\n")
    source = open_source(f"tardis:{path}?tick=0.5")
    assert len(concat(source)) == 2
    assert source.report.rejected_count == 2


def test_a_receive_clock_that_steps_back_is_raised_and_told(tmp_path):
    lines = [_GOOD.replace(f"{_T},true", f"{_T + step},false") for step in (0, 3_600_000_000, 1, 2)]
    source = _open(tmp_path, *lines)
    block = concat(source)
    assert len(block) == 4
    assert (block.rows["ts_recv"][1:] == (_T + 3_600_000_000) * 1000).all()
    assert source.report.notes == {"receive time ran backwards (raised to the latest seen)": 2}
    assert source.report.facts["largest step back of receive time in x.csv"] == "3599999999000 ns"
