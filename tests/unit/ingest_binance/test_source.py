"""The ``binance-ws:`` source: what it finds out by itself, its options, and how files are joined."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from marketprism.core.block import EventBlock, concat
from marketprism.core.errors import ConfigError, SourceError
from marketprism.core.rows import empty_rows
from marketprism.ingest import frames_lines, frames_merge
from marketprism.ingest.files import binance_ws
from marketprism.ingest.files.binance_ws import FORMAT
from marketprism.ingest.frames_merge import merge_blocks
from marketprism.ingest.registry import parse_spec
from marketprism.ingest.venues import binance_probe

START = 1723161255000


def open_source(*paths, query=""):
    text = "binance-ws:" + ",".join(map(str, paths)) + query
    return FORMAT.open(parse_spec(text))


def trade(i, symbol="BTCUSDT", price="61800.10", *, t=0, futures=True):
    time = START + (t or i)
    extra = ',"X":"MARKET"' if futures else ',"M":true'
    return (
        f'{{"stream":"{symbol.lower()}@trade","data":{{"e":"trade","E":{time},"T":{time},"s":"{symbol}","t":{i},'
        f'"p":"{price}","q":"0.5"{extra},"m":true}}}}'
    )


def write(path, lines, first=1):
    text = "".join(f"{(START + first + i) * 1_000_000} {line}\n" for i, line in enumerate(lines))
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def rows_of(source):
    return concat(list(source)).rows


def test_market_symbol_tick_and_unit_are_found(tmp_path):
    path = write(tmp_path / "a.gz", [trade(i, price=f"{100 + i / 2}") for i in range(30)])
    source = open_source(path)
    found = source.instrument
    assert (found.exchange, found.market_type, found.symbol, found.raw_symbol) == (
        "binance",
        "linear",
        "BTC-USDT",
        "BTCUSDT",
    )
    assert str(found.tick_size) == "0.5"
    assert found.sequencing == "binance_futures"
    assert source.files == (str(path),)
    assert rows_of(source)["price"].tolist() == list(range(200, 230))
    assert source.report.records == 30
    assert source.report.facts == {
        "market of a.gz": "linear",
        "tick size of binance:linear:BTC-USDT": "0.5 inferred from 30 prices",
        "receive clock of a.gz": "fastest of 30 messages took 1.000 ms",
        "time unit of a.gz": "ns",
    }
    assert source.report.rejected == {}
    assert rows_of(source).tolist() == rows_of(source).tolist()  # iterating again starts again


def test_files_are_merged_by_receive_time_whatever_the_chunk_size(tmp_path, monkeypatch):
    one = write(tmp_path / "one.txt", [trade(i) for i in range(0, 60, 2)])
    two = tmp_path / "two.txt"
    two.write_text("".join(f"{(START + 1 + i // 2) * 1_000_000} {trade(i, 'ETHUSDT', '2000.25')}\n" for i in range(80)))
    three = write(tmp_path / "three.txt", [trade(i) for i in range(100, 110)], first=200)
    source = open_source(one, two, three)
    assert [i.symbol for i in source.instruments] == ["BTC-USDT", "ETH-USDT"]
    whole = rows_of(source)
    assert len(whole) == 30 + 80 + 10
    assert (np.diff(whole["ts_recv"]) >= 0).all()
    assert whole["instrument"][:6].tolist() == [0, 1, 1, 0, 1, 1]
    for size in (200, 1000, 7000):
        monkeypatch.setattr(frames_lines, "CHUNK_BYTES", size)
        assert np.array_equal(rows_of(source), whole)
    with pytest.raises(SourceError, match="holds 2 instruments"):
        _ = source.instrument


def test_symbol_option_takes_either_spelling(tmp_path):
    path = write(tmp_path / "a.txt", [trade(1), trade(2, "ETHUSDT", "2000.25"), trade(3, "XRPUSDT", "0.5")])
    for name in ("ETHUSDT", "ETH-USDT", "eth-usdt"):
        source = open_source(path, query=f"?symbol={name}")
        assert rows_of(source)["event_id"].tolist() == [2]
        assert source.report.notes == {"messages of other symbols": 2}
    with pytest.raises(SourceError, match=r"holds no ETHUSD .*did you mean 'ETHUSDT'"):
        open_source(path, query="?symbol=ETHUSD")


def test_from_and_to_cut_by_receive_time(tmp_path):
    path = write(tmp_path / "a.txt", [trade(i) for i in range(1, 11)])
    cut = open_source(path, query=f"?from={(START + 4) * 1_000_000}&to={(START + 7) * 1_000_000}")
    assert rows_of(cut)["event_id"].tolist() == [4, 5, 6]
    with pytest.raises(SourceError, match="none accepted"):
        list(open_source(path, query="?from=2030-01-01"))


def test_clock_behind_the_exchange_is_reported_and_corrected_on_request(tmp_path):
    path = write(tmp_path / "a.txt", [trade(i, t=i + 1270) for i in range(1, 11)])
    asis = open_source(path)
    rows = rows_of(asis)
    assert (rows["ts_recv"] - rows["ts_event"]).tolist() == [-1_270_000_000] * 10
    assert (
        "the receive clock is behind the exchange; ts_recv is as recorded"
        in asis.report.facts["receive clock of a.txt"]
    )
    corrected = open_source(path, query="?clock=correct")
    shifted = rows_of(corrected)
    assert (shifted["ts_recv"] == shifted["ts_event"]).all()
    assert "ts_recv raised by 1270.000 ms" in corrected.report.facts["receive clock of a.txt"]


def test_files_of_one_clock_are_shifted_alike_and_others_on_their_own(tmp_path):
    paths = [
        write(tmp_path / f"{name}.txt", [trade(i, symbol, t=i + late) for i in range(1, 4)])
        for name, symbol, late in (
            ("a", "BTCUSDT", 1270),
            ("b", "ETHUSDT", 1230),
            ("c", "XRPUSDT", -5),
            ("d", "BNBUSDT", 400),
        )
    ]
    rows = rows_of(open_source(*paths, query="?clock=correct"))
    shift = {
        int(i): int(row["ts_recv"] - (START + row["event_id"]) * 1_000_000) // 1_000_000
        for row in rows
        for i in [row["instrument"]]
    }
    assert shift == {0: 1270, 1: 1270, 2: 0, 3: 400}


def test_receive_times_that_run_backwards_are_raised_and_told(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("".join(f"{(START + t) * 1_000_000} {trade(t)}\n" for t in (5, 6, 3, 7)))
    source = open_source(path)
    rows = rows_of(source)
    assert rows["event_id"].tolist() == [5, 6, 3, 7]
    assert ((rows["ts_recv"] // 1_000_000) - START).tolist() == [5, 6, 6, 7]
    assert source.report.notes == {"receive times that ran backwards, raised to the last one": 1}


def test_capture_with_rest_snapshot_and_exchange_info(tmp_path):
    info = {
        "timezone": "UTC",
        "symbols": [
            {
                "symbol": "ABCUSDT",
                "baseAsset": "ABC",
                "quoteAsset": "USDT",
                "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.00100000"}],
            },
            {"symbol": "NONE", "filters": []},
        ],
    }
    book = '{"lastUpdateId":5,"bids":[["1.0005","1"],["1.001","2"]],"asks":[["1.002","3"]]}'
    lines = [
        f"https://api.binance.com/api/v3/exchangeInfo -> 1617566590.1: {json.dumps(info, separators=(',', ':'))}",
        "wss://stream.binance.com:9443/stream?streams=abcusdt@trade/xyzusdt@trade <-> 1617566590.2",
        "https://api.binance.com/api/v3/depth?symbol=ABCUSDT -> 1617566590.3: " + book,
        "1617566590.4: " + trade(1, "ABCUSDT", "1.002", futures=False),
        '1617566590.5: {"result":null,"id":1}',
    ]
    path = tmp_path / "c.txt"
    path.write_text("\n".join(lines))
    source = open_source(path)
    assert (source.instrument.market_type, str(source.instrument.tick_size)) == ("spot", "0.001")
    assert source.instrument.symbol == "ABC-USDT"
    rows = rows_of(source)
    assert rows["price"].tolist() == [1001, 1002, 1002]
    assert source.report.rejected["price off tick"].count == 1
    assert "c.txt:3" in source.report.rejected["price off tick"].examples[0]
    assert source.report.facts["tick size of binance:spot:ABC-USDT"] == "0.001 from exchangeInfo"
    assert source.report.notes["connections opened"] == 1
    assert source.report.records == 4


def test_capture_batches_are_invisible(tmp_path, monkeypatch):
    path = tmp_path / "c.txt"
    path.write_text("".join(f"1723161255.{i:03}: {trade(i)}\n" for i in range(50)))
    whole = rows_of(open_source(path))
    monkeypatch.setattr(binance_ws, "_BATCH_BYTES", 500)
    source = open_source(path)
    assert len(list(source)) > 10
    assert np.array_equal(rows_of(source), whole)


def test_symbols_that_start_after_the_probe(tmp_path, monkeypatch):
    monkeypatch.setattr(binance_probe, "PROBE_BYTES", 2000)
    path = write(tmp_path / "a.txt", [trade(i) for i in range(50)] + [trade(99, "ETHUSDT")])
    source = open_source(path)
    assert len(rows_of(source)) == 50
    assert source.report.rejected["unknown symbol"].count == 1


def test_bad_options_are_refused(tmp_path):
    path = write(tmp_path / "a.txt", [trade(1), trade(2, "ETHUSDT")])
    for query, message in (
        ("?clock=fix", "clock was 'fix'"),
        ("?market=swap", "market was 'swap'"),
        ("?tick=abc", "tick was 'abc'"),
        ("?tick=-1", "must be positive"),
        ("?tick=0.1", "for 2 instruments"),
        ("?channels=book", "channel was 'book'"),
    ):
        with pytest.raises(ConfigError, match=message):
            open_source(path, query=query)
    assert str(open_source(path, query="?tick=0.05&symbol=BTCUSDT").instrument.tick_size) == "0.05"
    assert open_source(path, query="?market=spot&symbol=BTCUSDT").instrument.market_type == "spot"


def test_mixed_markets_in_one_file_are_refused(tmp_path):
    path = write(tmp_path / "a.txt", [trade(1), trade(2, "BTCUSD_PERP")])
    with pytest.raises(SourceError, match="several markets: inverse, linear"):
        open_source(path)


def test_nameless_snapshots_belong_to_the_only_symbol_of_their_file(tmp_path):
    book = '{"lastUpdateId":5,"bids":[["99.5","1"]],"asks":[["100.5","3"]]}'
    one = write(tmp_path / "one.txt", [book, trade(1)])
    two = write(tmp_path / "two.txt", [trade(2, "ETHUSDT", "100"), book], first=5)
    rows = rows_of(open_source(one, two))
    assert rows["instrument"][rows["kind"] == 1].tolist() == [0, 0, 1, 1]
    both = write(tmp_path / "both.txt", [trade(1), trade(2, "ETHUSDT"), book])
    source = open_source(both)
    assert len(rows_of(source)) == 2
    assert source.report.rejected["snapshot names no symbol"].count == 1


def test_no_price_no_tick(tmp_path):
    path = write(tmp_path / "a.txt", [trade(1, price="banana")])
    with pytest.raises(SourceError, match="no price of BTCUSDT was seen"):
        open_source(path)
    path.write_text(f"{START} {{}}\n")
    with pytest.raises(SourceError, match="no instrument was found"):
        open_source(path)
    odd = write(tmp_path / "b.txt", [trade(1, price="1e300"), trade(2, price="1.5")])
    assert str(open_source(odd).instrument.tick_size) == "0.1"


def test_merge_of_equal_times_keeps_the_order_of_streams(tmp_path):
    def blocks(first_id, times, size):
        rows = empty_rows(len(times))
        rows["ts_recv"], rows["event_id"], rows["flags"] = times, range(first_id, first_id + len(times)), 3
        block = EventBlock(rows, ())
        return iter([EventBlock(rows[:0], ()), *block.chunks(size)])

    expected = None
    for size in (1, 2, 3, 10):
        merged = list(merge_blocks([blocks(0, [1, 2, 2, 2, 3], size), blocks(10, [2, 2, 4], size), blocks(20, [], 1)]))
        ids = np.concatenate([block.rows["event_id"] for block in merged]).tolist()
        expected = expected or ids
        assert ids == expected == [0, 1, 2, 3, 10, 11, 4, 12]
    assert frames_merge.raise_receive_times(empty_rows(0), 5) == (5, 0)
