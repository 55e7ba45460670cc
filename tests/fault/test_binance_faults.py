"""FAULTS 15 to 20 for ``binance-ws:``; each has its control: the same file without the fault passes."""

from __future__ import annotations

import gzip

import pytest

from marketprism.core.block import concat
from marketprism.core.errors import DataError, SourceError
from marketprism.ingest import frames_lines
from marketprism.ingest.files.binance_ws import FORMAT
from marketprism.ingest.registry import parse_spec

T0 = 1723161255030314667
GOOD = (
    '{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161254000,"T":1723161254000,"s":"BTCUSDT","t":1,'
    '"p":"61800.10","q":"0.5","X":"MARKET","m":true}}'
)
DIFF = (
    '{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161254000,"T":1723161254000,"s":"BTCUSDT","U":1,'
    '"u":2,"pu":0,"b":[["61800.10","0.5"],["PRICE","QUANTITY"]],"a":[["61800.20","1"]]}}'
)


def write(path, *messages):
    lines = [message if isinstance(message, bytes) else message.encode() for message in messages]
    path.write_bytes(b"".join(b"%d %b\n" % (T0 + i, line) for i, line in enumerate(lines)))
    return path


def open_source(path, query="?tick=0.1"):
    return FORMAT.open(parse_spec(f"binance-ws:{path}{query}"))


def read(path, query="?tick=0.1"):
    source = open_source(path, query)
    return source, concat(list(source)).rows


def reasons(source):
    return {reason: rejection.count for reason, rejection in source.report.rejected.items()}


def test_16_mixed_units_are_refused_even_when_not_strict(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(f"{T0} {GOOD}\n{T0 // 1000} {GOOD}\n")
    with pytest.raises(DataError, match=r"a\.txt:2: receive time 1723161255030314 is in us, line 1 is in ns"):
        read(path)
    path.write_text(f"{T0} {GOOD}\n{T0} {GOOD}\n")
    assert len(read(path)[1]) == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (b'{"e":"trade"', "malformed JSON"),
        (b"{" + GOOD.encode()[1:-3], "malformed JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"x":' + b"[" * 200_000, "nested too deeply"),
        (GOOD.encode().replace(b"BTCUSDT", b"BTC\xff"), "invalid UTF-8"),
        (b"\x00\x01\x02", "malformed JSON"),
        (b"17", "malformed message (Expected `object`, got `int`)"),
        (GOOD.encode().replace(b'"t":1', b'"t":"x"'), "malformed message (Expected `int`, got `str` - at `$.t`)"),
        (GOOD.encode().replace(b'"t":1', b'"t":-1'), "malformed message (Expected `int` >= n - at `$.t`)"),
        (
            GOOD.encode().replace(b'"t":1', b'"t":9223372036854775808'),
            "malformed message (Expected `int` <= n - at `$.t`)",
        ),
    ],
)
def test_17_malformed_messages_are_quarantined_and_the_loop_survives(tmp_path, fault, reason):
    path = write(tmp_path / "a.txt", GOOD, fault, GOOD)
    source, rows = read(path)
    assert len(rows) == 2
    assert reasons(source) == {reason: 1}
    assert source.report.rejected[reason].examples[0].startswith(f"a.txt:2: {reason}: was")
    with pytest.raises(DataError, match=r"a\.txt:2"):
        read(path, "?tick=0.1&strict=1")


def test_17_oversized_messages_are_quarantined(tmp_path):
    huge = b'{"x":"' + b"y" * (10 << 20) + b'"}'
    source, rows = read(write(tmp_path / "a.txt", GOOD, huge, GOOD))
    assert len(rows) == 2
    assert reasons(source) == {"message too large": 1}
    assert len(huge) > frames_lines.MAX_MESSAGE_BYTES


def test_17_a_torn_archive_is_named(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(f"{T0} {GOOD}\n".encode() * 5000)[:-20])
    with pytest.raises(SourceError, match=r"a\.gz is truncated"):
        read(path)


def test_18_nothing_usable_is_an_error(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("")
    with pytest.raises(SourceError, match=r"a\.txt is empty"):
        open_source(path)
    path.write_text("time,price\n1,2\n")
    with pytest.raises(SourceError, match="no raw recording"):
        open_source(path)
    with pytest.raises(SourceError, match="file not found"):
        open_source(tmp_path / "none.gz")
    write(path, GOOD.replace("61800.10", "-1"), GOOD.replace("61800.10", "61800.15"))
    with pytest.raises(SourceError, match="2 records read, none accepted"):
        read(path)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("61800.10", "NaN", "price not a number"),
        ("61800.10", "inf", "price not a number"),
        ("61800.10", "banana", "price not a number"),
        ("61800.10", "-5", "price not positive"),
        ("61800.10", "0.0", "price not positive"),
        ("61800.10", "1e308", "price out of range"),
        ("61800.10", "9223372036854775808", "price out of range"),
        ("61800.10", "1" * 40, "price out of range"),
        ("61800.10", "61800.15", "price off tick"),
        ('"0.5"', '"-0.5"', "quantity negative"),
        ('"0.5"', '"0.000"', "trade quantity not positive"),
        ('"0.5"', '"NaN"', "quantity not a number"),
        ('"0.5"', '"1e308"', "quantity out of range"),
        ('"0.5"', f'"{"9" * 40}"', "quantity out of range"),
        ("1723161254000", "17", "exchange time out of range"),
        ("1723161254000", "9223372036854775807", "exchange time out of range"),
    ],
)
def test_19_20_bad_numbers_are_rejected_with_their_reason(tmp_path, field, value, reason):
    path = write(tmp_path / "a.txt", GOOD, GOOD.replace(field, value), GOOD)
    source, rows = read(path)
    assert len(rows) == 2
    assert reasons(source) == {reason: 1}
    with pytest.raises(DataError, match=reason):
        read(path, "?tick=0.1&strict=1")


@pytest.mark.parametrize(
    ("price", "quantity", "reason"),
    [
        ("0", "1", "price not positive"),
        ("NaN", "1", "price not a number"),
        ("61800.0", "-1", "quantity negative"),
        ("1e308", "1", "price out of range"),
        ("61800.0", "1e308", "quantity out of range"),
    ],
)
def test_19_a_diff_with_a_bad_level_never_half_reaches_the_book(tmp_path, price, quantity, reason):
    bad = DIFF.replace("PRICE", price).replace("QUANTITY", quantity)
    control = DIFF.replace("PRICE", "61800.0").replace("QUANTITY", "1")
    source, rows = read(write(tmp_path / "a.txt", bad, control))
    assert len(rows) == 3
    assert reasons(source) == {reason: 1}


def test_20_an_off_tick_level_is_dropped_alone_with_the_tick_shown(tmp_path):
    bad = DIFF.replace("PRICE", "61800.05").replace("QUANTITY", "1")
    path = write(tmp_path / "a.txt", bad)
    source, rows = read(path)
    assert rows["price"].tolist() == [618001, 618002]
    assert rows["flags"].tolist() == [1, 2]
    assert reasons(source) == {"price off tick": 1}
    with pytest.raises(DataError, match=r"price off tick: was '61800.05' \(the tick is 0.1"):
        read(path, "?tick=0.1&strict=1")


def test_19_a_quote_with_size_needs_a_price(tmp_path):
    ticker = '{"u":7,"s":"BTCUSDT","b":"0.0","B":"3.5","a":"1.6","A":"1"}'
    source, rows = read(write(tmp_path / "a.txt", GOOD, ticker, ticker.replace('"3.5"', '"0"')))
    assert len(rows) == 3
    assert reasons(source) == {"price not positive": 1}


def test_19_a_liquidation_of_side_banana(tmp_path):
    force = (
        '{"e":"forceOrder","E":1723161254000,"o":{"s":"BTCUSDT","S":"SELL","q":"1","p":"61000.1","ap":"61000.5",'
        '"T":1723161254000}}'
    )
    messages = [force, force.replace("SELL", "banana"), force.replace('"1"', '"0"'), force.replace("61000.5", "1e99")]
    source, rows = read(write(tmp_path / "a.txt", GOOD, *messages))
    assert len(rows) == 2
    assert reasons(source) == {"side unknown": 1, "price or quantity not positive": 1, "price out of range": 1}


def test_15_an_hour_of_clock_step_never_moves_the_stream_backwards(tmp_path):
    path = tmp_path / "a.txt"
    hour = 3600 * 10**9
    path.write_text("".join(f"{T0 + step} {GOOD}\n" for step in (0, hour, 1, 2, hour + 1)))
    source, rows = read(path)
    assert (rows["ts_recv"] - T0).tolist() == [0, hour, hour, hour, hour + 1]
    assert sum(source.report.notes.values()) == 2
