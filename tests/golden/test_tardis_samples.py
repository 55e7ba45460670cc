"""Tardis' own sample files."""

from __future__ import annotations

from marketprism.core.block import concat
from marketprism.ingest.registry import open_source


def _read(data_dir, name, options=""):
    source = open_source(f"tardis:{data_dir}/format_samples/{name}{options}")
    return source, concat(source)


def test_deribit_book(data_dir):
    source, block = _read(data_dir, "deribit_incremental_book_L2_BTC-PERPETUAL.csv", "?tick=0.5")
    assert source.instrument.key == "deribit:inverse:BTC-USD"
    assert block.counts() == {"orderbook_snapshot": 1}
    assert len(block) == 15
    first = block.rows[0]
    assert (first["price"], first["quantity"], first["side"]) == (12843, round(18640 / 6421.5, 8), -1)
    assert first["ts_event"] == 1585699200245000000
    assert first["ts_recv"] == 1585699200355684000


def test_bitmex_trades(data_dir):
    source, block = _read(data_dir, "bitmex_trades_XBTUSD.csv", "?tick=0.5")
    assert source.instrument.key == "bitmex:inverse:BTC-USD"
    assert block.rows["quantity"].tolist() == [round(2152 / 8531.5, 8)] + [round(1 / 8531.5, 8)] * 9
    assert set(block.rows["side"].tolist()) == {-1}
    assert set(block.rows["price"].tolist()) == {17063}


def test_huobi_quotes(data_dir):
    source, block = _read(data_dir, "huobi-dm-swap_quotes_BTC-USD.csv")
    assert source.instrument.key == "huobi:inverse:BTC-USD"
    assert block.counts() == {"quote": 10}
    assert block.rows["price"][:2].tolist() == [86292, 86293]
    assert block.rows["quantity"][:2].tolist() == [round(80600 / 8629.2, 8), round(549400 / 8629.3, 8)]


def test_binance_snapshots(data_dir):
    source, block = _read(data_dir, "binance-futures_book_snapshot_25_BTCUSDT.csv")
    assert source.instrument.key == "binance:linear:BTC-USDT"
    assert str(source.instrument.tick_size) == "0.01"
    assert block.counts() == {"orderbook_snapshot": 10}
    assert len(block) == 500
    first = block.rows[:50]
    assert (first["side"] == [1] * 25 + [-1] * 25).all()
    assert (first["price"][:24] > first["price"][1:25]).all()
    assert (first["price"][25:49] < first["price"][26:50]).all()
    assert first["price"][0] < first["price"][25]
    assert source.report.rejected == {}
