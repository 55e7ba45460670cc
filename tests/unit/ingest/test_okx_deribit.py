"""OKX and Deribit messages to rows: units, ids, slow kinds, and what is refused."""

# ruff: noqa: E501 - messages as the venues send them

from __future__ import annotations

import json
import math

import pytest

from marketprism.book import Book, ViewStatus
from marketprism.core.block import concat
from marketprism.core.errors import DataError, SourceError
from marketprism.core.kinds import EventKind, GapReason
from marketprism.ingest.registry import open_source
from marketprism.ingest.venues.okx_checksum import ChecksumBook

T = 1_700_000_000_000

OKX_INSTRUMENTS = {
    "code": "0",
    "data": [
        {"instType": "SPOT", "instId": "BTC-USDT", "tickSz": "0.1", "lotSz": "0.0001"},
        {
            "instType": "SWAP",
            "instId": "BTC-USDT-SWAP",
            "tickSz": "0.1",
            "ctVal": "0.01",
            "ctMult": "1",
            "ctType": "linear",
        },
        {
            "instType": "SWAP",
            "instId": "BTC-USD-SWAP",
            "tickSz": "0.1",
            "ctVal": "100",
            "ctMult": "1",
            "ctType": "inverse",
        },
        {"instType": "OPTION", "instId": "BTC-USD-231229-40000-C", "tickSz": "0.0005", "ctVal": "1", "ctMult": "0.1"},
    ],
}


@pytest.fixture
def record(tmp_path):
    """Write a capture: URLs with REST answers, texts without; return its path."""

    def write(*frames, name="capture.txt"):
        lines = ["wss://venue <-> 1700000000.0"]
        for i, frame in enumerate(frames):
            url, body = frame if isinstance(frame, tuple) else ("", frame)
            text = body if isinstance(body, str) else json.dumps(body)
            lines.append(f"{url + ' -> ' if url else ''}1700000001.{i:06d}: {text}")
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


OKX_LIST = ("https://www.okx.com/api/v5/public/instruments?instType=ALL", OKX_INSTRUMENTS)


def okx(channel, name, entry, action=None):
    body = {"arg": {"channel": channel, "instId": name}, "data": [entry]}
    return body if action is None else body | {"action": action}


def okx_book(name, bids, asks, seq=None, prev=None, action="snapshot", channel="books", **more):
    entry = {"bids": bids, "asks": asks, "ts": str(T), **more}
    if seq is not None:
        entry |= {"seqId": seq, "prevSeqId": prev}
    return okx(channel, name, entry, action)


def read(path, scheme="okx-ws", options=""):
    source = open_source(f"{scheme}:{path}{options}")
    return source, concat(list(source))


def test_okx_contracts_become_base_units(record):
    trade = {"px": "40000.5", "sz": "3", "side": "sell", "ts": str(T), "tradeId": "77"}
    path = record(
        OKX_LIST,
        okx("trades", "BTC-USDT", trade),
        okx("trades", "BTC-USDT-SWAP", trade),
        okx("trades", "BTC-USD-SWAP", trade),
        okx("trades", "BTC-USD-231229-40000-C", trade | {"px": "0.0345"}),
    )
    source, block = read(path)
    found = {source.instruments[row["instrument"]].key: row for row in block.rows}
    assert {key: float(row["quantity"]) for key, row in found.items()} == {
        "okx:spot:BTC-USDT": 3.0,
        "okx:linear:BTC-USDT": 0.03,
        "okx:inverse:BTC-USD": round(300 / 40000.5, 8),
        "okx:option:BTC-USD-231229-40000-C": 0.3,
    }
    swap = found["okx:linear:BTC-USDT"]
    assert (swap["price"], swap["side"], swap["event_id"], swap["kind"]) == (400_005, -1, 77, EventKind.TRADE)
    assert swap["ts_event"] == T * 10**6
    assert swap["ts_recv"] == 1_700_000_001_000_002_000


def test_okx_book_ids_and_heartbeat(record):
    path = record(
        OKX_LIST,
        okx_book("BTC-USDT", [["100.1", "1", "0", "1"]], [["100.3", "2", "0", "1"]], 5, -1),
        okx_book("BTC-USDT", [["100.2", "1", "0", "1"], ["100.1", "0", "0", "0"]], [], 9, 5, "update"),
        okx_book("BTC-USDT", [], [], 9, 9, "update"),
        okx_book("BTC-USDT", [], [["100.4", "1", "0", "1"]], 12, 10, "update"),
    )
    source, block = read(path)
    rows = block.rows
    assert rows["kind"].tolist() == [1, 1, 2, 2, 2, 2]
    assert rows["event_id"].tolist() == [5, 5, 9, 9, 9, 12]
    assert rows["previous_id"].tolist() == [-1, -1, 5, 5, 9, 10]
    assert rows["side"].tolist() == [1, -1, 1, 1, 0, -1]
    assert rows["flags"].tolist() == [1, 2, 1, 2, 3, 3]
    book = Book(source.instrument)
    views = book.push(rows)
    assert views.top["bid"].tolist() == [0, 1001, 1001, 1002, 1002, 0]
    assert book.drain_gaps()["reason"].tolist() == [GapReason.SEQUENCE]


def test_okx_rest_snapshot_joins_held_updates(record):
    rest = {"code": "0", "data": [{"bids": [["99", "1"]], "asks": [["101", "1"]], "ts": str(T), "seqId": 9}]}
    path = record(
        OKX_LIST,
        okx_book("BTC-USDT", [["98", "1"]], [], 7, 5, "update"),
        okx_book("BTC-USDT", [["97", "1"]], [], 9, 7, "update"),
        okx_book("BTC-USDT", [["96", "1"]], [], 11, 9, "update"),
        ("https://www.okx.com/api/v5/market/books?instId=BTC-USDT&sz=400&source=0", rest),
    )
    # REST books have no channel of that name on the websocket: the path names it.
    source, block = read(path)
    book = Book(source.instrument)
    assert book.push(block.rows).top["status"][-1] & ViewStatus.VALID
    assert book.levels(1)[0].tolist() == [990, 960]


def checksum_of(bids, asks):
    book = ChecksumBook()
    book.apply(bids, asks)
    return book.checksum()


def test_okx_checksum_mismatch_is_a_gap_until_the_next_snapshot(record):
    bids, asks = [["100.1", "1.50", "0", "1"]], [["100.3", "2", "0", "1"]]
    good = checksum_of(bids, asks)
    snapshot = okx_book("BTC-USDT", bids, asks, checksum=good)
    path = record(
        OKX_LIST,
        snapshot,
        okx_book("BTC-USDT", [["100", "1"]], [], action="update", checksum=good),
        okx_book("BTC-USDT", [["99", "1"]], [], action="update", checksum=1),
        snapshot,
        okx_book("BTC-USDT", [["98", "1"]], [], action="update", checksum=0),
    )
    source, block = read(path)
    assert source.report.notes["checksum mismatches"] == 1
    assert source.report.notes["checksums verified"] == 3
    assert block.counts()["gap"] == 1
    views = Book(source.instrument).push(block.rows)
    ends = views.top["status"][(block.rows["flags"] & 2) != 0] & ViewStatus.VALID != 0
    assert ends.tolist() == [True, True, False, False, True, True]


def test_checksum_text_goes_on_with_the_longer_side():
    book = ChecksumBook()
    book.apply([["3366.1", "7"]], [["3366.8", "9"], ["3368", "8"], ["3372", "8"]])
    assert book.text() == "3366.1:7:3366.8:9:3368:8:3372:8"
    book.apply([], [["3366.8", "0"], ["9999", "0"]])
    assert book.text() == "3366.1:7:3368:8:3372:8"
    for i in range(40):
        book.apply([[str(3000 + i), "1"]], [])
    assert len(book.text().split(":")) == 2 * (25 + 2)


def test_okx_slow_kinds(record):
    funding = {"fundingRate": "0.0001", "fundingTime": str(T), "nextFundingTime": str(T + 28_800_000), "ts": str(T - 5)}
    details = [{"side": "sell", "bkPx": "40000", "sz": "5", "ts": str(T)}]
    path = record(
        OKX_LIST,
        okx("trades", "BTC-USD-SWAP", {"px": "40000", "sz": "1", "side": "buy", "ts": str(T), "tradeId": "1"}),
        okx("funding-rate", "BTC-USD-SWAP", funding),
        ("https://www.okx.com/api/v5/public/open-interest?instType=SWAP", {"data": [{"instId": "BTC-USD-SWAP", "oi": "200", "oiCcy": "0.5", "ts": str(T)}]}),
        {"arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "data": [{"instId": "BTC-USD-SWAP", "details": details}]},
        okx("bbo-tbt", "BTC-USD-SWAP", {"bids": [["39999", "1"]], "asks": [], "ts": str(T), "seqId": 4}),
        okx("tickers", "BTC-USD-SWAP", {}),
        {"event": "subscribe", "arg": {"channel": "books", "instId": "X"}},
        "pong",
    )  # fmt: skip
    source, block = read(path)
    assert block.counts() == {"trade": 1, "funding_rate": 1, "open_interest": 1, "liquidation": 1, "quote": 1}
    rate = block.payload(EventKind.FUNDING_RATE)[0]
    assert (rate["rate"], rate["interval_s"], bool(rate["predicted"])) == (0.0001, 28_800, True)
    interest = block.payload(EventKind.OPEN_INTEREST)[0]
    assert (interest["contracts"], interest["base_quantity"], interest["quote_value"]) == (200.0, 0.5, 20_000.0)
    forced = block.rows[block.rows["kind"] == EventKind.LIQUIDATION][0]
    assert (forced["side"], forced["price"], forced["quantity"]) == (-1, 400_000, 0.0125)
    quote = block.rows[block.rows["kind"] == EventKind.QUOTE]
    assert quote["quantity"].tolist() == [0.00250006, 0.0]
    assert source.report.notes == {"channel left out: tickers": 1}


def test_okx_derivative_without_an_instrument_list_is_left_out(record):
    trade = {"px": "40000", "sz": "1", "side": "buy", "ts": str(T), "tradeId": "1"}
    path = record(okx("trades", "BTC-USD-SWAP", trade))
    with pytest.raises(SourceError, match="instrument list"):
        open_source(f"okx-ws:{path}")
    source, block = read(record(okx("trades", "BTC-USDT", trade), okx("trades", "BTC-USD-SWAP", trade)))
    assert [instrument.key for instrument in source.instruments] == ["okx:spot:BTC-USDT"]
    assert len(block) == 1


def test_symbol_option_chooses(record):
    trade = {"px": "40000", "sz": "1", "side": "buy", "ts": str(T), "tradeId": "1"}
    path = record(okx("trades", "BTC-USDT", trade), okx("trades", "ETH-USDT", trade))
    source, block = read(path, options="?symbol=ETH-USDT")
    assert (source.instrument.symbol, len(block), source.files) == ("ETH-USDT", 1, (str(path),))
    with pytest.raises(SourceError, match="ETH-USDT"):
        open_source(f"okx-ws:{path}?symbol=ETH-USD")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"px": "0"}, "price not positive"),
        ({"px": "NaN"}, "price not a number"),
        ({"px": "40000.05"}, "price off tick"),
        ({"sz": "-1"}, "quantity negative"),
        ({"sz": "0"}, "trade quantity not positive"),
        ({"sz": "1e308"}, "quantity out of range"),
        ({"side": "banana"}, "side unknown"),
        ({"ts": "x"}, "exchange time not a number"),
        ({"ts": "5"}, "exchange time out of range"),
        ({"tradeId": []}, "malformed message (TypeError)"),
    ],
)
def test_bad_okx_trades_are_refused(record, change, reason):
    trade = {"px": "40000", "sz": "1", "side": "buy", "ts": str(T), "tradeId": "1"}
    path = record(OKX_LIST, okx("trades", "BTC-USDT", trade), okx("trades", "BTC-USDT", trade | change))
    source, block = read(path)
    assert len(block) == 1
    assert {name: rejection.count for name, rejection in source.report.rejected.items()} == {reason: 1}
    with pytest.raises(DataError, match=r"capture\.txt"):
        list(open_source(f"okx-ws:{path}?strict=1"))


def test_what_is_not_a_message_is_refused(record):
    trade = {"px": "40000", "sz": "1", "side": "buy", "ts": str(T), "tradeId": "1"}
    path = record(OKX_LIST, okx("trades", "BTC-USDT", trade), "{broken", "[1, 2]", {"x": 1})
    source, _ = read(path)
    assert {name: r.count for name, r in source.report.rejected.items()} == {"not JSON": 1, "unknown message": 1}
    assert source.report.notes == {"channel left out: unknown": 1}
    assert source.report.records == 5


def test_nothing_of_the_venue_is_an_error(record):
    with pytest.raises(SourceError, match="recording of this venue"):
        open_source(f"okx-ws:{record({'x': 1})}")


DERIBIT_LIST = (
    "https://www.deribit.com/api/v2/public/get_instruments?currency=BTC",
    {
        "result": [
            {"instrument_name": "BTC-PERPETUAL", "kind": "future", "tick_size": 0.5, "quote_currency": "USD", "base_currency": "BTC"},
            {"instrument_name": "BTC_USDC-PERPETUAL", "kind": "future", "future_type": "linear", "tick_size": 0.5, "quote_currency": "USDC", "base_currency": "BTC"},
            {"instrument_name": "BTC_USDC", "kind": "spot", "tick_size": 1, "quote_currency": "USDC", "base_currency": "BTC"},
            {"instrument_name": "BTC-29DEC23-40000-C", "kind": "option", "tick_size": 0.0005, "quote_currency": "BTC", "base_currency": "BTC"},
        ]
    },
)  # fmt: skip


def deribit(channel, data):
    return {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}}


def deribit_book(name, change, previous, bids, asks, kind=None):
    data = {"timestamp": T, "instrument_name": name, "change_id": change, "bids": bids, "asks": asks}
    data |= {} if previous is None else {"prev_change_id": previous}
    return deribit(f"book.{name}.raw", data | ({} if kind is None else {"type": kind}))


@pytest.mark.parametrize("typed", [True, False])
def test_deribit_amounts_and_actions(record, typed):
    kinds = ("snapshot", "change") if typed else (None, None)
    path = record(
        DERIBIT_LIST,
        deribit_book("BTC-PERPETUAL", 5, None, [["new", 40000.0, 100.0]], [["new", 40000.5, 10.0]], kinds[0]),
        deribit_book("BTC-PERPETUAL", 8, 5, [["delete", 40000.0, 0.0], ["new", 39999.5, 50.0]], [], kinds[1]),
        deribit_book("BTC-29DEC23-40000-C", 1, None, [["new", 0.0345, 2.5]], [["new", 0.035, 1.0]], kinds[0]),
        deribit_book("BTC_USDC-PERPETUAL", 1, None, [["new", 40000, 0.25]], [], kinds[0]),
    )
    source, block = read(path, "deribit-ws")
    keys = [instrument.key for instrument in source.instruments]
    rows = block.rows
    perpetual = rows[rows["instrument"] == keys.index("deribit:inverse:BTC-USD")]
    assert perpetual["price"].tolist() == [80_000, 80_001, 80_000, 79_999]
    assert perpetual["quantity"].tolist() == [0.0025, round(10 / 40000.5, 8), 0.0, round(50 / 39999.5, 8)]
    assert perpetual["kind"].tolist() == [1, 1, 2, 2]
    book = Book(source.instruments[keys.index("deribit:inverse:BTC-USD")])
    assert book.push(perpetual).top["bid"][-1] == 79_999
    option = rows[rows["instrument"] == keys.index("deribit:option:BTC-29DEC23-40000-C")]
    assert option["quantity"].tolist() == [2.5, 1.0]
    assert option["price"].tolist() == [69, 70]
    linear = rows[rows["instrument"] == keys.index("deribit:linear:BTC-USDC")]
    assert linear["quantity"].tolist() == [0.25]


def test_deribit_trades_and_tickers(record):
    trades = [
        {"trade_id": "ETH-17", "trade_seq": 4, "price": 40000.0, "amount": 20.0, "direction": "sell", "timestamp": T},
        {"trade_id": "18", "trade_seq": 5, "price": 40000.5, "amount": 10.0, "direction": "buy", "timestamp": T},
    ]
    greeks = {"delta": 0.5, "gamma": 0.1, "vega": 2.0, "theta": -1.0, "rho": 0.3}
    option = {
        "timestamp": T,
        "instrument_name": "BTC-29DEC23-40000-C",
        "mark_iv": 55.5,
        "bid_iv": 50.0,
        "ask_iv": None,
        "greeks": greeks,
        "underlying_price": 41000.0,
        "open_interest": 7.5,
    }
    perpetual = {
        "timestamp": T,
        "current_funding": 0.0001,
        "mark_price": 40000.1,
        "index_price": 39999.9,
        "open_interest": 5000.0,
    }
    path = record(
        DERIBIT_LIST,
        deribit("trades.BTC-PERPETUAL.raw", trades),
        deribit("ticker.BTC-29DEC23-40000-C.raw", option),
        deribit("ticker.BTC-PERPETUAL.raw", perpetual),
        deribit("quote.BTC-PERPETUAL", {}),
        {"id": 1, "result": []},
    )  # fmt: skip
    source, block = read(path, "deribit-ws")
    assert block.counts() == {"trade": 2, "option_ticker": 1, "open_interest": 2, "funding_rate": 1}
    assert block.rows["event_id"][:2].tolist() == [17, 18]
    assert block.rows["side"][:2].tolist() == [-1, 1]
    assert block.rows["quantity"][0] == 0.0005
    ticker = block.payload(EventKind.OPTION_TICKER)[0]
    assert (ticker["strike"], ticker["option_kind"], ticker["delta"], ticker["mark_iv"]) == (40_000, b"call", 0.5, 55.5)
    assert math.isnan(ticker["ask_iv"])
    assert ticker["expiry"] == 1_703_836_800 * 10**9
    interest = block.payload(EventKind.OPEN_INTEREST)
    assert (interest["base_quantity"][0], interest["quote_value"][1]) == (7.5, 5000.0)
    assert block.payload(EventKind.FUNDING_RATE)["rate"].tolist() == [0.0001]
    assert source.report.notes == {"channel left out: quote": 1}


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (deribit_book("BTC-PERPETUAL", 8, 5, [["jump", 40000.0, 1.0]], []), "action unknown"),
        (deribit_book("BTC-PERPETUAL", 8, 5, [["new", 40000.2, 1.0]], []), "price off tick"),
        (deribit("trades.BTC-PERPETUAL.raw", [{"direction": "up"}]), "side unknown"),
        (
            deribit("trades.BTC-PERPETUAL.raw", [{"direction": "buy", "price": 40000, "amount": 0}]),
            "trade quantity not positive",
        ),
        (deribit("ticker.BTC-29DEC23-40000-C.raw", {"timestamp": T, "instrument_name": "x"}), "option name unknown"),
        (deribit("ticker.BTC-PERPETUAL.raw", {}), "malformed message (KeyError)"),
    ],
)
def test_bad_deribit_messages_are_refused(record, frame, reason):
    option = deribit_book("BTC-29DEC23-40000-C", 1, None, [["new", 0.0345, 2.5]], [])
    good = deribit_book("BTC-PERPETUAL", 5, None, [["new", 40000.0, 100.0]], [])
    source, block = read(record(DERIBIT_LIST, good, option, frame), "deribit-ws")
    assert list(source.report.rejected) == [reason]
    assert len(block) == 2


def test_deribit_without_a_list_infers_ticks_and_leaves_out_what_has_no_price(record):
    path = record(
        deribit_book("BTC-29DEC23-40000-C", 1, None, [["new", 0.0345, 2.5]], []),
        deribit_book("BTC-29DEC23-90000-C", 1, None, [], []),
        deribit_book("BTC_USDC-PERPETUAL", 1, None, [["new", 40000.5, 1.0]], []),
        deribit_book("BTC-PERPETUAL", 1, None, [["new", 40000.5, 1.0]], []),
    )
    source, _ = read(path, "deribit-ws")
    markets = {instrument.market_type: str(instrument.tick_size) for instrument in source.instruments}
    assert markets == {"option": "0.0001", "linear": "0.1", "inverse": "0.1"}
    assert "instrument list" in source.report.facts["left out BTC-29DEC23-90000-C"]


def test_blocks_end_between_messages_and_times_never_run_backwards(record, monkeypatch):
    monkeypatch.setattr("marketprism.ingest.venues.captured.BLOCK_ROWS", 3)
    books = [okx_book("BTC-USDT", [["100", "1"], ["99", "1"]], [["101", "2"]], i, i - 1, "update") for i in range(5)]
    path = record(OKX_LIST, *books)
    lines = path.read_text().splitlines()
    lines[3] = lines[3].replace("1700000001.000002", "1700000000.500000")
    path.write_text("\n".join(lines))
    source = open_source(f"okx-ws:{path}")
    blocks = list(source)
    assert [len(block) for block in blocks] == [3] * 5
    times = concat(blocks).rows["ts_recv"]
    assert (times[1:] >= times[:-1]).all()
    assert source.report.notes["receive times that ran backwards, raised to the last one"] == 1
