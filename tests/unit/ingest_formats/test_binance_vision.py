"""Binance's public dumps, written by hand after the published layouts."""

from __future__ import annotations

import hashlib
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from marketprism.core.block import concat
from marketprism.core.errors import DataError, IntegrityError, SourceError
from marketprism.core.kinds import EventKind
from marketprism.ingest.files.binance_vision import VisionSource, read_book_depth
from marketprism.ingest.registry import parse_spec

_MS = 1_704_153_600_000
_SPOT = f"1,94000.01,0.5,47000.005,{_MS}123,True,True\n2,94000.02,0.1,9400.002,{_MS}124,False,True\n"
_UM = (
    "id,price,qty,quote_qty,time,is_buyer_maker\n"
    f"5,42000.1,0.5,21000.05,{_MS},true\n6,42000.2,0.1,4200.02,{_MS + 5},false\n"
)
_CM = _UM.replace("quote_qty", "base_qty")
_AGG = (
    "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
    f"7,42000.1,0.5,10,12,{_MS},true\n"
)
_TICKER = (
    "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time\n"
    f"7,42000.1,0.5,42000.2,12,{_MS},{_MS + 3}\n8,42000.1,0.6,42000.2,12,{_MS + 1},{_MS + 4}\n"
)
_METRICS = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio\n"
    '2024-01-02 00:05:00,{symbol},80000.5,3360000000.1,1.5,"",1.25,0.8\n'
)
_FUNDING = f"calc_time,funding_interval_hours,last_funding_rate\n{_MS},8,0.0001\n"
_FORCED = (
    "time,side,order_type,time_in_force,original_quantity,price,average_price,order_status,last_fill_quantity,"
    "accumulated_fill_quantity\n" + f"{_MS},SELL,LIMIT,IOC,12,42000.1,42100.3,FILLED,12,12\n" * 2
)


def _file(tmp_path, name, text):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name.rpartition("/")[2].replace(".zip", ".csv"), text)
    else:
        path.write_text(text)
    return str(path)


def _read(spec, **options):
    source = VisionSource(parse_spec(f"binance-vision:{spec}"), **options)
    return source, concat(source)


@pytest.mark.parametrize(
    ("name", "text", "key", "counts", "unit"),
    [
        ("BTCUSDT-trades-2025-01-02.zip", _SPOT, "binance:spot:BTC-USDT", {"trade": 2}, "us"),
        ("BTCUSDT-trades-2024-01-02.zip", _UM, "binance:linear:BTC-USDT", {"trade": 2}, "ms"),
        ("BTCUSDT-aggTrades-2024-01-02.csv", _AGG, "binance:linear:BTC-USDT", {"trade": 1}, "ms"),
        ("BTCUSDT-bookTicker-2024-01-02.csv", _TICKER, "binance:linear:BTC-USDT", {"quote": 2}, "ms"),
        ("BTCUSDT-fundingRate-2024-01.csv", _FUNDING, "binance:linear:BTC-USDT", {"funding_rate": 1}, "ms"),
        ("BTCUSD_PERP-fundingRate-2024-01.csv", _FUNDING, "binance:inverse:BTC-USD", {"funding_rate": 1}, "ms"),
        ("ETHUSD_210924-trades-2021-01-02.csv", _CM, "binance:inverse:ETH-USD-210924", {"trade": 2}, "ms"),
    ],
)  # fmt: skip
def test_types_markets_and_units_are_told(tmp_path, name, text, key, counts, unit):
    source, block = _read(_file(tmp_path, name, text))
    assert source.instrument.key == key
    assert block.counts() == counts
    assert unit in {fact for what, fact in source.report.facts.items() if what.startswith("time unit")}


def test_the_folder_tells_the_market(tmp_path):
    headerless = _UM.split("\n", 1)[1]
    assert _read(_file(tmp_path, "cm/daily/X-trades-2024.csv", headerless))[0].instrument.market_type == "inverse"
    assert _read(_file(tmp_path, "spot/daily/BTCUSDT-trades-2024.csv", headerless))[0].instrument.market_type == "spot"
    path = _file(tmp_path, "BTCUSDT-trades-2024.csv", headerless)
    assert _read(path + "?market_type=spot")[0].instrument.market_type == "spot"
    with pytest.raises(SourceError, match="did you mean 'spot'"):
        _read(path + "?market_type=spott")


def test_headerless_files_with_foreign_names_are_told_by_their_first_line(tmp_path):
    agg = _AGG.split("\n", 1)[1]
    for text, kind in (
        (agg, "trade"),
        (_SPOT, "trade"),
        (_UM.split("\n", 1)[1], "trade"),
        (_TICKER.split("\n", 1)[1], "quote"),
    ):
        _, block = _read(_file(tmp_path, "mine.csv", text) + "?symbol=BTCUSDT&tick=0.01")
        assert set(block.counts()) == {kind}
    assert block.rows["event_id"].tolist() == [7, 7, 8, 8]
    with pytest.raises(SourceError, match="does not name its symbol"):
        _read(_file(tmp_path, "mine.csv", agg))
    with pytest.raises(SourceError, match="type cannot be told"):
        _read(_file(tmp_path, "mine.csv", "1,2,3\n") + "?symbol=BTCUSDT")


def test_trades(tmp_path):
    _, block = _read(_file(tmp_path, "BTCUSDT-trades-2025-01-02.csv", _SPOT) + "?latency=2ms")
    rows = block.rows
    assert rows["price"].tolist() == [9400001, 9400002]
    assert rows["side"].tolist() == [-1, 1]
    assert rows["event_id"].tolist() == [1, 2]
    assert rows["ts_event"][0] == (_MS * 1000 + 123) * 1000
    assert (rows["ts_recv"] - rows["ts_event"]).tolist() == [2_000_000] * 2
    _, block = _read(_file(tmp_path, "BTCUSDT-aggTrades-2024-01-02.csv", _AGG))
    assert (block.rows["event_id"][0], block.rows["first_id"][0]) == (7, 10)


def test_book_ticker_is_known_when_sent(tmp_path):
    _, block = _read(_file(tmp_path, "BTCUSDT-bookTicker-2024-01-02.csv", _TICKER))
    assert (block.rows["ts_recv"] - block.rows["ts_event"]).tolist() == [3_000_000] * 4
    assert block.rows["price"].tolist() == [420001, 420002] * 2


@pytest.mark.parametrize("symbol", ["BTCUSDT", "BTCUSD_PERP"])
def test_metrics(tmp_path, symbol):
    path = _file(tmp_path, f"{symbol}-metrics-2024-01-02.csv", _METRICS.format(symbol=symbol))
    source, block = _read(path)
    ratios = block.payload(EventKind.LONG_SHORT_RATIO)
    assert ratios["ratio_kind"].tolist() == [b"top_accounts", b"all_accounts", b"taker_volume"]
    assert ratios["ratio"].tolist() == [1.5, 1.25, 0.8]
    assert ratios["long_share"][0] == 0.6
    interest = block.payload(EventKind.OPEN_INTEREST)[0]
    if symbol == "BTCUSDT":
        assert (interest["base_quantity"], interest["quote_value"]) == (80000.5, 3360000000.1)
    else:
        assert (interest["contracts"], interest["base_quantity"], interest["quote_value"]) == (
            80000.5,
            3360000000.1,
            8000050,
        )
    assert "nominal" in next(fact for what, fact in source.report.facts.items() if what.startswith("tick size"))
    foreign = _file(tmp_path, f"{symbol}-metrics-2024-01-03.csv", _METRICS.format(symbol="ETHUSDT"))
    with pytest.raises(SourceError, match="symbol is not the file's"):
        _read(foreign)


def test_funding_and_liquidations(tmp_path):
    _, block = _read(_file(tmp_path, "BTCUSDT-fundingRate-2024-01.csv", _FUNDING))
    own = block.payload(EventKind.FUNDING_RATE)[0]
    assert (own["rate"], own["interval_s"], own["funding_time"], bool(own["predicted"])) == (
        0.0001,
        28800,
        _MS * 10**6,
        False,
    )
    for size in (1, 4096):
        source, block = _read(
            _file(tmp_path, "BTCUSD_PERP-liquidationSnapshot-2024-01-02.csv", _FORCED), batch_bytes=size
        )
        assert block.counts() == {"liquidation": 1}
        assert source.report.notes == {"liquidation lines that repeat the line before": 1}
    own = block.payload(EventKind.LIQUIDATION)[0]
    assert own["sampled"]
    assert own["average_price"] == 42100.3
    assert block.rows["quantity"][0] == round(1200 / 42000.1, 8)


def test_klines_are_refused(tmp_path):
    bar = f"{_MS},1,2,0.5,1.5,100,{_MS + 59999},150,10,50,75,0\n"
    header = "open_time,open,high,low,close,volume,close_time,quote_volume,count,a,b,ignore\n"
    for name, text in (("BTCUSDT-1m-2024-01-02.csv", bar), ("x.csv", bar), ("y.csv", header + bar)):
        with pytest.raises(SourceError, match=r"klines.*take trades"):
            _read(_file(tmp_path, name, text))


def test_book_depth_is_no_book(tmp_path):
    text = "timestamp,percentage,depth,notional\n" + "".join(
        f"2024-01-02 00:00:08,{p},{100 * abs(p)},{1000 * abs(p)}\n" for p in (-5, -1, 1, 5)
    )
    path = _file(tmp_path, "BTCUSDT-bookDepth-2024-01-02.zip", text)
    with pytest.raises(SourceError, match="bands, which are no book"):
        _read(path)
    trades = _file(tmp_path, "BTCUSDT-trades-2024-01-02.csv", _UM)
    source, block = _read(f"{path},{trades}")
    assert set(block.counts()) == {"trade"}
    assert any("passed over" in fact for fact in source.report.facts.values())
    frame = read_book_depth(path)
    assert frame["percentage"].to_list() == [-5, -1, 1, 5]
    assert str(frame["ts_event"][0]) == "2024-01-02 00:00:08+00:00"
    with pytest.raises(SourceError, match="no valid line"):
        read_book_depth(_file(tmp_path, "X-bookDepth-2024.csv", "timestamp,percentage,depth,notional\nx,1,1,1\n"))


def test_checksums(tmp_path):
    path = _file(tmp_path, "BTCUSDT-trades-2024-01-02.zip", _UM)
    assert "none beside" in str(_read(path)[0].report.facts)
    with pytest.raises(SourceError, match="checksum file not found"):
        _read(path + "?checksum=require")
    good = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    sidecar = tmp_path / "BTCUSDT-trades-2024-01-02.zip.CHECKSUM"
    sidecar.write_text(f"{good}  BTCUSDT-trades-2024-01-02.zip\n")
    assert f"sha256 {good[:12]} verified" in str(_read(path + "?checksum=require")[0].report.facts)
    sidecar.write_text(f"{'0' * 64}  BTCUSDT-trades-2024-01-02.zip\n")
    with pytest.raises(IntegrityError, match=f"sha256 was {good}"):
        _read(path)
    assert len(_read(path + "?checksum=ignore")[1]) == 2
    sidecar.write_text("not found\n")
    with pytest.raises(IntegrityError, match="holds no sha256"):
        _read(path)
    with pytest.raises(SourceError, match="checksum was 'maybe'"):
        _read(path + "?checksum=maybe")


def test_mixed_units_are_refused(tmp_path):
    text = _SPOT + f"3,94000.02,0.1,9400.002,{_MS},False,True\n"
    with pytest.raises(DataError, match=r"2025-01-02.csv:3: time was 1704153600000, in ms; .*csv:1 says us"):
        _read(_file(tmp_path, "BTCUSDT-trades-2025-01-02.csv", text))


@pytest.mark.parametrize("size", [1, 100, 4096])
def test_types_and_days_are_merged_whatever_the_batch(tmp_path, size):
    names = {
        "BTCUSDT-trades-2024-01-03.csv": _UM.replace(str(_MS), str(_MS + 100)).replace(str(_MS + 5), str(_MS + 105)),
        "BTCUSDT-trades-2024-01-02.csv": _UM,
        "BTCUSDT-bookTicker-2024-01-02.csv": _TICKER,
        "BTCUSDT-metrics-2024-01-02.csv": _METRICS.format(symbol="BTCUSDT"),
        "BTCUSDT-trades-2025-01-02.csv": _SPOT.replace(f"{_MS}", f"{_MS + 1}"),
    }
    names["ETHUSDT-trades-2024-01-02.csv"] = _UM
    paths = ",".join(
        _file(tmp_path, name, text) for name, text in names.items() if not name.startswith("BTCUSDT-trades-2025")
    )
    source, block = _read(f"{paths}?tick=0.1", batch_bytes=size, block_rows=3)
    assert block.counts() == {"trade": 6, "quote": 2, "open_interest": 1, "long_short_ratio": 3}
    assert [i.symbol for i in source.instruments] == ["BTC-USDT", "ETH-USDT"]
    times = block.rows["ts_recv"].tolist()
    assert all(a <= b for a, b in pairwise(times))
    again = _read(f"{paths}?tick=0.1")[1]
    assert len(again) == len(block) == 14
    assert (again.rows["price"] == block.rows["price"]).all()
    assert np.array_equal(
        again.payload(EventKind.OPEN_INTEREST)["base_quantity"], block.payload(EventKind.OPEN_INTEREST)["base_quantity"]
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("BTCUSDT-trades-2024.csv", "id,price\n1,2\n", "no column 'qty'"),
        ("BTCUSDT-trades-2024.csv", "1,2,3\n", "3 fields and no header"),
        ("BTCUSDT-trades-2024.csv", _UM.replace("qty,", "qty,surprise,", 1), "unknown column 'surprise'"),
        ("x.csv", "alpha,beta\n1,2\n", "no type has the columns"),
        ("BTCUSDT-trades-2024.csv", _UM.split("\n", 1)[0] + "\n", "header and no rows"),
    ],
)
def test_wrong_columns(tmp_path, name, text, message):
    with pytest.raises(SourceError, match=message):
        _read(_file(tmp_path, name, text))
