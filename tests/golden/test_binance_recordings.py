"""Golden numbers on real Binance recordings, against counts and values taken with the json module alone."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from decimal import Decimal

import numpy as np
import pytest

from marketprism.core.block import concat
from marketprism.ingest.files.binance_ws import FORMAT
from marketprism.ingest.files_io import open_binary
from marketprism.ingest.frames import read_frames
from marketprism.ingest.registry import parse_spec

NAMES = {"depthUpdate": "orderbook_delta", "bookTicker": "quote", "trade": "trade", "aggTrade": "trade"}
FOLDER = "binance_ws_20240808"
MESSAGES = {
    "cm_btcusd_perp_20240808": 48_270,
    "cm_btcusd_perp_20240809": 50_116,
    "cm_ethusd_perp_20240808": 40_454,
    "cm_ethusd_perp_20240809": 37_860,
    "spot_btcusdt_20240808": 41_249,
    "spot_btcusdt_20240809": 58_325,
    "spot_ethusdt_20240808": 33_618,
    "spot_ethusdt_20240809": 46_126,
    "usdm_btcusdt_20240808": 93_954,
    "usdm_ethusdt_20240808": 74_655,
}


PANEL = ("spot_ethusdt_20240808", "spot_btcusdt_20240808", "cm_ethusd_perp_20240808")


def open_source(*paths, query=""):
    return FORMAT.open(parse_spec("binance-ws:" + ",".join(map(str, paths)) + query))


def counted(source):
    total = Counter()
    for block in source:
        total.update(block.counts())
    return total


def kind_of(message):
    body = message.get("data", message)
    if "lastUpdateId" in body:
        return "orderbook_snapshot"
    return NAMES.get(body.get("e", "bookTicker" if "B" in body else "other"), "other")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_every_message_is_counted_once(data_dir, name):
    path = data_dir / FOLDER / f"{name}.gz"
    with gzip.open(path) as stream:
        expected = Counter(kind_of(json.loads(line.partition(b" ")[2])) for line in stream)
    source = open_source(path)
    assert counted(source) == expected
    assert expected["other"] == 0
    assert source.report.records == sum(expected.values()) == MESSAGES[name]
    assert source.report.rejected == {}
    assert source.report.notes == {}


@pytest.mark.parametrize(
    ("name", "key", "tick"),
    [
        ("cm_btcusd_perp_20240808", "binance:inverse:BTC-USD", "0.1"),
        ("cm_ethusd_perp_20240809", "binance:inverse:ETH-USD", "0.01"),
        ("spot_btcusdt_20240808", "binance:spot:BTC-USDT", "0.01"),
        ("usdm_btcusdt_20240808", "binance:linear:BTC-USDT", "0.1"),
        ("usdm_ethusdt_20240808", "binance:linear:ETH-USDT", "0.01"),
    ],
)
def test_instruments_and_the_clock_that_is_behind(data_dir, name, key, tick):
    source = open_source(data_dir / FOLDER / f"{name}.gz")
    assert source.instrument.key == key
    assert source.instrument.tick_size == Decimal(tick)
    multiplier = {"BTC-USD": 100, "ETH-USD": 10}.get(source.instrument.symbol, 1)
    assert source.instrument.contract_multiplier == multiplier
    next(iter(source))
    fact = source.report.facts[f"receive clock of {name}.gz"]
    assert " took -127" in fact
    assert "behind the exchange" in fact


def test_values_of_the_first_messages(data_dir):
    path = data_dir / FOLDER / "usdm_btcusdt_20240808.gz"
    rows = next(iter(open_source(path))).rows
    n = 0
    with gzip.open(path) as stream:
        for _, line in zip(range(1000), stream, strict=False):
            stamp, _, text = line.partition(b" ")
            body = json.loads(text)
            body = body.get("data", body)
            bids, asks = body.get("bids", body.get("b")), body.get("asks", body.get("a"))
            if "p" in body:
                levels = [(-1 if body["m"] else 1, body["p"], body["q"])]
            elif isinstance(bids, str):
                levels = [(1, bids, body["B"]), (-1, asks, body["A"])]
            else:
                levels = [(1, *level) for level in bids] + [(-1, *level) for level in asks]
            for side, price, quantity in levels:
                row = rows[n]
                assert row["ts_recv"] == int(stamp)
                assert row["ts_event"] == body["T"] * 1_000_000
                assert row["event_id"] == body.get("u", body.get("t", body.get("lastUpdateId")))
                assert (row["first_id"], row["previous_id"]) == (body.get("U", -1), body.get("pu", -1))
                assert (row["side"], row["price"] * Decimal("0.1")) == (side, Decimal(price))
                assert row["quantity"] == float(quantity)
                n += 1
    assert n > 8_000


def test_consecutive_days_join_without_a_gap(data_dir):
    paths = [data_dir / FOLDER / f"cm_ethusd_perp_2024080{day}.gz" for day in (8, 9)]
    source = open_source(*reversed(paths))
    rows = concat(list(source)).rows
    assert len(source.instruments) == 1
    assert (np.diff(rows["ts_recv"]) >= 0).all()
    first = rows[(rows["kind"] == 2) & (rows["flags"] & 1 == 1)]
    assert (first["previous_id"][1:] == first["event_id"][:-1]).all()
    assert len(first) == 22_909 + 16_246


def test_panel_of_markets(data_dir):
    paths = [data_dir / FOLDER / f"{name}.gz" for name in PANEL]
    source = open_source(*paths, query="?to=2024-08-08T23:54:30Z&clock=correct")
    rows = concat(list(source)).rows
    assert [i.key for i in source.instruments] == [
        "binance:spot:ETH-USDT",
        "binance:spot:BTC-USDT",
        "binance:inverse:ETH-USD",
    ]
    assert source.report.rejected == {}
    snapshots = rows["instrument"][(rows["kind"] == 1) & (rows["flags"] & 1 == 1)]
    assert sorted(snapshots.tolist()) == [0, 1, 2]
    assert (np.diff(rows["ts_recv"]) >= 0).all()
    assert (rows["ts_recv"] >= rows["ts_event"]).mean() > 0.999
    # A message stays whole when streams are merged.
    starts = np.flatnonzero(rows["flags"] & 1)
    ends = np.flatnonzero(rows["flags"] & 2)
    assert (rows["instrument"][starts] == rows["instrument"][ends]).all()
    assert (starts[1:] == ends[:-1] + 1).all()


def _captures(data_dir):
    return sorted((data_dir / "venue_captures").glob("BINANCE*"))


def test_every_capture_parses(data_dir):
    parsed = 0
    for path in _captures(data_dir):
        expected = Counter()
        agg = set()
        for frame in read_frames(path):
            if frame.direction in {"recv", "http"}:
                message = json.loads(frame.data)
                expected[kind_of(message)] += 1
                agg.add(message.get("data", message).get("e"))
        assert not {"trade", "aggTrade"} <= agg
        others = expected.pop("other", 0)
        if not expected:
            continue  # exchangeInfo alone
        source = open_source(path)
        assert counted(source) == expected, path.name
        assert source.report.records == sum(expected.values()) + others
        assert set(source.report.rejected) <= {"price off tick"}, path.name
        parsed += 1
    assert parsed == 22


def test_text_and_jsonl_captures_of_one_session_agree(data_dir):
    folder = data_dir / "venue_captures"
    parts = ["BINANCE.0__bb9b80b.txt.gz", "BINANCE.http.0.0__5cf7356.txt.gz", "BINANCE.ws.1.0__3cdb388.txt.gz"]
    text = open_source(*(folder / part for part in parts))
    single = open_source(folder / "BINANCE.jsonl.zst")
    assert {i.key for i in text.instruments} == {i.key for i in single.instruments}
    assert {i.tick_size for i in text.instruments} == {i.tick_size for i in single.instruments}

    def rows(source):
        block = concat(list(source))
        keys = [i.symbol for i in source.instruments]
        named = sorted((keys[row["instrument"]], *row.tolist()[1:7]) for row in block.rows)
        return named

    assert rows(text) == rows(single)


def test_memory_does_not_depend_on_reading_at_once(data_dir):
    with open_binary(data_dir / FOLDER / "usdm_btcusdt_20240808.gz") as stream:
        size = len(stream.read())
    largest = max(len(block) for block in open_source(data_dir / FOLDER / "usdm_btcusdt_20240808.gz"))
    assert largest * 72 < size / 2
