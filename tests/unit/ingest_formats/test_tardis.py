"""Tardis files, written by hand after the documented layouts."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from marketprism.core.block import concat
from marketprism.core.errors import ConfigError, SourceError
from marketprism.core.kinds import EventKind, Flag, GapReason
from marketprism.ingest.files.tardis import TardisSource
from marketprism.ingest.registry import open_source, parse_spec
from marketprism.ingest.tardis_venues import contract_of

_T = 1_700_000_000_000_000
_BOOK = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
_TRADES = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"
_QUOTES = "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount"
_TICKER = (
    "exchange,symbol,timestamp,local_timestamp,funding_timestamp,funding_rate,predicted_funding_rate,"
    "open_interest,last_price,index_price,mark_price"
)
_KEY = "binance-futures,BTCUSDT"


def _file(tmp_path, name, header, *rows, key=_KEY):
    path = tmp_path / name
    text = "\n".join([header, *[f"{key},{row}" for row in rows]]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return str(path)


def _book(tmp_path, name="b_incremental_book_L2.csv.gz", start=_T):
    return _file(
        tmp_path, name, _BOOK,
        f"{start},{start + 10},true,bid,100.0,1", f"{start},{start + 10},true,ask,100.5,2",
        f"{start},{start + 12},true,ask,101.0,3",
        f"{start + 20},{start + 30},false,bid,100.0,0", f"{start + 20},{start + 30},false,bid,99.5,4",
        f"{start + 20},{start + 40},false,ask,100.5,5",
        f"{start + 60},{start + 70},true,bid,98.0,6", f"{start + 60},{start + 70},true,ask,98.5,7",
    )  # fmt: skip


def _read(spec, **options):
    source = TardisSource(parse_spec(spec), **options)
    return source, concat(source)


def test_incremental_book_messages_snapshots_and_resync(tmp_path):
    source, block = _read(f"tardis:{_book(tmp_path)}?tick=0.5")
    rows = block.rows
    kinds = [EventKind(kind).name for kind in rows["kind"]]
    assert kinds == [
        "BOOK_SNAPSHOT", "BOOK_SNAPSHOT", "BOOK_DELTA", "BOOK_DELTA", "BOOK_DELTA", "BOOK_DELTA",
        "GAP", "BOOK_SNAPSHOT", "BOOK_SNAPSHOT",
    ]  # fmt: skip
    assert rows["flags"].tolist() == [1, 2, 3, 1, 2, 3, 3, 1, 2]
    assert rows["price"].tolist() == [200, 201, 202, 200, 199, 201, 0, 196, 197]
    assert rows["quantity"].tolist() == [1, 2, 3, 0, 4, 5, 0, 6, 7]
    assert rows["side"].tolist() == [1, -1, -1, 1, 1, -1, 0, 1, -1]
    gap = block.payload(EventKind.GAP)[0]
    assert (gap["gap_from"], gap["gap_to"]) == ((_T + 40) * 1000, (_T + 70) * 1000)
    assert gap["reason"] == GapReason.DISCONNECT
    assert source.instrument.key == "binance:linear:BTC-USDT"
    assert source.instrument.raw_symbol == "BTCUSDT"
    assert source.report.records == 8
    assert source.report.rejected == {}


@pytest.mark.parametrize("size", [1, 37, 150, 4096])
def test_batches_and_blocks_do_not_matter(tmp_path, size):
    trades = _file(
        tmp_path, "t_trades.csv", _TRADES, *[f"{_T + 5 * i},{_T + 7 * i},{i},buy,100.5,{i + 1}" for i in range(20)]
    )
    spec = f"tardis:{trades},{_book(tmp_path)}?tick=0.5"
    _, whole = _read(spec)
    _, cut = _read(spec, batch_bytes=size, block_rows=1 + size % 7)
    assert len(cut) == len(whole) > 20
    assert (cut.rows == whole.rows).all()
    assert (cut.payload(EventKind.GAP) == whole.payload(EventKind.GAP)).all()
    assert (np.diff(whole.rows["ts_recv"]) >= 0).all()


def test_next_day_continues_and_a_missing_day_is_a_gap(tmp_path):
    first = _book(tmp_path, "d1.csv")
    near = _book(tmp_path, "d2.csv", _T + 1_000)
    far = _book(tmp_path, "d3.csv", _T + 90_000_000)
    _, block = _read(f"tardis:{near},{first}?tick=0.5")
    assert block.counts()["gap"] == 2  # one inside each file, none between them
    _, block = _read(f"tardis:{far},{first}?tick=0.5")
    assert block.counts()["gap"] == 3
    assert block.payload(EventKind.GAP)[1]["gap_from"] == (_T + 70) * 1000


def test_inverse_amounts_become_base_units(tmp_path):
    path = _file(
        tmp_path, "t.csv", _TRADES, f"{_T},{_T},a-b-c,sell,8531.5,2152", f"{_T},{_T},7,unknown,8531.5,1",
        key="bitmex,XBTUSD",
    )  # fmt: skip
    source, block = _read(f"tardis:{path}")
    assert source.instrument.key == "bitmex:inverse:BTC-USD"
    assert block.rows["quantity"].tolist() == [round(2152 / 8531.5, 8), round(1 / 8531.5, 8)]
    assert block.rows["side"].tolist() == [-1, 0]
    assert block.rows["event_id"].tolist() == [-1, 7]


def test_quotes_have_two_sides_and_may_lack_one(tmp_path):
    path = _file(
        tmp_path, "q.csv", _QUOTES, f"{_T},{_T},2,100.5,100.0,1", f"{_T},{_T + 1},,,100.0,3", f"{_T},{_T + 2},,,,"
    )
    source, block = _read(f"tardis:{path}?tick=0.5")
    assert block.rows["price"].tolist() == [200, 201, 200, 0]
    assert block.rows["quantity"].tolist() == [1, 2, 3, 0]
    assert block.rows["flags"].tolist() == [1, 2, 1, 2]
    assert source.report.rejected["both sides are blank"].count == 1


def test_book_snapshots_are_one_message_a_line(tmp_path):
    columns = ",".join(
        f"{side}[{i}].{field}" for i in range(2) for side in ("asks", "bids") for field in ("price", "amount")
    )
    path = _file(
        tmp_path, "s.csv", f"exchange,symbol,timestamp,local_timestamp,{columns}",
        f"{_T},{_T},100.5,1,100.0,2,101.0,3,99.5,4", f"{_T},{_T + 1},100.5,1,100.0,2,,,,", f"{_T},{_T + 2},,,,,,,,",
        f"{_T},{_T + 3},100.5,1,100.0,,101.0,3,99.5,4",
    )  # fmt: skip
    source, block = _read(f"tardis:{path}?tick=0.5")
    assert block.rows["price"].tolist() == [200, 199, 201, 202, 200, 201]
    assert block.rows["quantity"].tolist() == [2, 4, 1, 3, 2, 1]
    assert block.rows["flags"].tolist() == [1, 0, 0, 2, 1, 2]
    assert {reason: r.count for reason, r in source.report.rejected.items()} == {
        "no level": 1,
        "bids[0].amount is blank": 1,
    }


def test_derivative_ticker(tmp_path):
    path = _file(
        tmp_path, "d.csv", _TICKER,
        f"{_T},{_T},{_T + 9},0.0001,,1000,50000.0,50001,50002",
        f"{_T},{_T + 1},,,,2000,50000.5,,",
        f"{_T},{_T + 2},,,,,50000.0,,",
        key="deribit,BTC-PERPETUAL",
    )  # fmt: skip
    source, block = _read(f"tardis:{path}")
    assert [EventKind(kind).name for kind in block.rows["kind"]] == ["FUNDING_RATE", "OPEN_INTEREST", "OPEN_INTEREST"]
    funding = block.payload(EventKind.FUNDING_RATE)[0]
    assert (funding["rate"], funding["funding_time"], funding["mark_price"]) == (0.0001, (_T + 9) * 1000, 50002)
    assert funding["predicted"]
    interest = block.payload(EventKind.OPEN_INTEREST)
    assert interest["contracts"].tolist() == [1000, 2000]
    assert interest["quote_value"].tolist() == [1000, 2000]
    assert interest["base_quantity"][0] == round(1000 / 50002, 8)
    assert source.report.rejected["no value"].count == 1


def test_inverse_open_interest_without_a_mark_has_no_base(tmp_path):
    path = _file(tmp_path, "d.csv", _TICKER, f"{_T},{_T},,,,2000,50000.5,,", key="deribit,BTC-PERPETUAL")
    _, block = _read(f"tardis:{path}")
    assert np.isnan(block.payload(EventKind.OPEN_INTEREST)["base_quantity"][0])


def test_liquidations_are_told_by_name_or_option(tmp_path):
    row = f"{_T},{_T},1,sell,100.5,2"
    named = _file(tmp_path, "binance-futures_liquidations_2024.csv", _TRADES, row)
    plain = _file(tmp_path, "x.csv", _TRADES, row)
    for spec in (f"tardis:{named}", f"tardis:{plain}?type=liquidations"):
        _, block = _read(spec)
        assert block.counts() == {"liquidation": 1}
        own = block.payload(EventKind.LIQUIDATION)[0]
        assert own["sampled"]
        assert own["liquidation_time"] == _T * 1000
        assert (block.rows["side"][0], block.rows["quantity"][0]) == (-1, 2.0)
    assert _read(f"tardis:{plain}")[1].counts() == {"trade": 1}


def test_a_panel_and_its_selection(tmp_path):
    path = tmp_path / "p.csv"
    rows = [
        f"binance-futures,{s},{_T},{_T + i},{i},buy,{100 + i}.5,1" for i, s in enumerate(["BTCUSDT", "ETHUSDT"] * 3)
    ]
    path.write_text("\n".join([_TRADES, *rows]) + "\n")
    source, block = _read(f"tardis:{path}")
    assert [i.symbol for i in source.instruments] == ["BTC-USDT", "ETH-USDT"]
    assert block.rows["instrument"].tolist() == [0, 1] * 3
    source, block = _read(f"tardis:{path}?symbol=ETH-USDT")
    assert source.instrument.raw_symbol == "ETHUSDT"
    assert len(block) == 3
    assert source.report.records == 3
    with pytest.raises(SourceError, match="symbol was 'SOLUSDT'"):
        _read(f"tardis:{path}?symbol=SOLUSDT")


def test_window_starts_with_the_book_that_was_there(tmp_path):
    path = _book(tmp_path)
    source, block = _read(f"tardis:{path}?tick=0.5&from={_T + 35}&to={_T + 41}")
    rows = block.rows
    assert [EventKind(kind).name for kind in rows["kind"]] == ["BOOK_SNAPSHOT"] * 3 + ["BOOK_DELTA"]
    assert sorted(zip(rows["side"].tolist(), rows["price"].tolist(), rows["quantity"].tolist(), strict=True)) == [
        (-1, 201, 2.0), (-1, 201, 5.0), (-1, 202, 3.0), (1, 199, 4.0),
    ]  # fmt: skip
    assert (rows["flags"][:3] & Flag.DERIVED).all()
    assert rows["ts_recv"][0] == (_T + 35) * 1000
    assert source.report.notes["rows before from"] == 5
    for size in (1, 100):
        _, again = _read(f"tardis:{path}?tick=0.5&from={_T + 35}&to={_T + 41}", batch_bytes=size)
        assert len(again) == 4
        assert (again.rows == rows).all()
    with pytest.raises(ConfigError, match="from must be before to"):
        _read(f"tardis:{path}?from={_T + 5}&to={_T + 5}")


def test_window_after_a_gap_has_no_book(tmp_path):
    path = _file(
        tmp_path, "b.csv", _BOOK, f"{_T},{_T},false,bid,100.0,1", f"{_T},{_T + 50},false,bid,100.0,2",
    )  # fmt: skip
    _, block = _read(f"tardis:{path}?from={_T + 10}")
    assert block.rows["kind"].tolist() == [EventKind.BOOK_DELTA]


@pytest.mark.parametrize(
    ("venue", "symbol", "expected"),
    [
        ("binance", "BTCUSDT", ("binance", "spot", "BTC-USDT", False, 1)),
        ("binance-delivery", "BTCUSD_PERP", ("binance", "inverse", "BTC-USD", True, 100)),
        ("binance-delivery", "TRXUSD_PERP", ("binance", "inverse", "TRX-USD", True, 10)),
        ("deribit", "BTC-26MAR21", ("deribit", "future", "BTC-USD-26MAR21", True, 1)),
        ("deribit", "ETH_USDC-PERPETUAL", ("deribit", "linear", "ETH-USDC", False, 1)),
        ("deribit", "BTC-26MAR21-50000-C", ("deribit", "option", "BTC-26MAR21-50000-C", False, 1)),
        ("okex-swap", "BTC-USDT-SWAP", ("okx", "linear", "BTC-USDT", False, 0)),
        ("okex-swap", "BTC-USD-SWAP", ("okx", "inverse", "BTC-USD", True, 100)),
        ("huobi-dm-swap", "ETH-USD", ("huobi", "inverse", "ETH-USD", True, 10)),
        ("bybit", "BTCUSDT", ("bybit", "linear", "BTC-USDT", False, 1)),
        ("cryptofacilities", "PI_XBTUSD", ("cryptofacilities", "inverse", "BTC-USD", True, 1)),
        ("coinbase", "BTC-USD", ("coinbase", "spot", "BTC-USD", False, 1)),
        ("ftx", "BTC-PERP", ("ftx", "linear", "BTC-USD", False, 1)),
    ],
)
def test_contracts(venue, symbol, expected):
    contract = contract_of(venue, symbol)
    assert (*contract[:4], int(contract.multiplier)) == expected


def test_unknown_venues_and_contract_sizes_ask():
    with pytest.raises(SourceError, match=r"not known.*market_type"):
        contract_of("atlantis", "BTCUSD")
    with pytest.raises(SourceError, match="contract=SIZE"):
        contract_of("okex-swap", "DOGE-USDT-SWAP")
    assert contract_of("okex-swap", "DOGE-USDT-SWAP", multiplier="1000").multiplier == 1000
    assert contract_of("atlantis", "BTCUSD", "inverse", "1").inverse


def test_registry_opens_it_and_checks_options(tmp_path):
    source = open_source(f"tardis:{_book(tmp_path)}?tick=0.5")
    assert len(source.files) == 1
    with pytest.raises(ConfigError, match="did you mean 'linear'"):
        open_source(f"tardis:{_book(tmp_path)}?market_type=lineer")
