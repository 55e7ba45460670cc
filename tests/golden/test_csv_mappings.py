"""The example mappings on the data they were written for: numbers counted once by hand with awk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from marketprism.core.block import concat
from marketprism.ingest.files.csv_mapped import CsvSource
from marketprism.ingest.registry import open_source, parse_spec

_EXAMPLES = Path(__file__).parents[2] / "examples" / "mappings"


def _spec(data_dir, pattern, mapping):
    paths = sorted(str(path) for path in data_dir.glob(pattern))
    assert paths
    return f"csv:{','.join(paths)}?mapping={_EXAMPLES / mapping}"


def _read(data_dir, pattern, mapping):
    source = open_source(_spec(data_dir, pattern, mapping))
    return source, concat(source)


def test_trx_on_three_markets(data_dir):
    source, block = _read(data_dir, "binance_trx_3market_20250304/test*trx*", "binance_trx.yaml")
    assert [i.key for i in source.instruments] == [
        "binance:spot:TRX-USDT", "binance:linear:TRX-USDT", "binance:inverse:TRX-USD",
    ]  # fmt: skip
    assert block.counts() == {"orderbook_delta": 4581, "trade": 29_999}
    assert source.report.records == 60_000
    rejected = {reason: rejection.count for reason, rejection in source.report.rejected.items()}
    # One trade of price 0 (an insurance-fund fill), and the made-up last rows of two depth files.
    assert rejected == {"Price is not positive": 1, "time jump that no later record confirms": 2}
    assert block.rows["ts_recv"].max() < 1741132796000 * 10**6
    units = {name.rpartition("_futures_")[0] or "spot": unit for name, unit in source.report.facts.items()}
    assert units["spot"] == "us"
    assert {unit for name, unit in source.report.facts.items() if "futures" in name} == {"ms"}
    last = block.rows[-1]
    assert (last["event_id"], last["price"], last["quantity"]) == (39615681, 23127, round(370 / 0.23127, 8))


def test_trx_snapshot_diffs_and_trades_in_one_file(data_dir):
    source, block = _read(data_dir, "binance_trx_3market_20250304/merged*", "binance_trx_merged.yaml")
    assert block.counts() == {"orderbook_snapshot": 1, "orderbook_delta": 155, "trade": 199}
    assert len(block) == 2000 + 2136 + 199
    assert source.report.rejected == {}
    deltas = block.rows[block.rows["kind"] == 2]
    first = deltas[(deltas["flags"] & 1) != 0]
    assert (first["previous_id"][1:] == first["event_id"][:-1]).all()  # the futures chain is whole


def test_btc_snapshots(data_dir):
    _, block = _read(data_dir, "binance_trx_3market_20250304/*snapshot_spot*", "binance_depth_snapshot.yaml")
    assert block.counts() == {"orderbook_snapshot": 2}
    assert len(block) == 20_000
    assert sorted(set(block.rows["event_id"].tolist())) == [66711751276, 66813971942]


def test_binance_historical_depth(data_dir):
    _, block = _read(data_dir, "format_samples/btcusdt-depth-*.csv", "binance_historical_depth.yaml")
    assert block.counts() == {"orderbook_snapshot": 1, "orderbook_delta": 1}
    assert block.rows["price"][0] == 203770
    assert (block.rows["ts_recv"] - block.rows["ts_event"] == 10_000_000).all()


def test_fx_quotes_of_two_venues(data_dir):
    source, block = _read(data_dir, "fx_two_venue_201405/*.zip", "fx_quotes.yaml")
    assert block.counts() == {"quote": 230_866}
    assert source.report.rejected == {}
    by_venue = np.bincount(block.rows["instrument"]) // 2
    assert by_venue.tolist() == [160_825, 70_041]
    rows = block.rows
    spread = rows["price"][1::2] - rows["price"][::2]
    assert (spread == 0).sum() > 0  # locked and crossed quotes are passed on
    assert str(block.to_polars()["ts_event"][0]) == "2014-05-05 00:00:03.074000+00:00"


def test_last_prices_of_two_venues(data_dir):
    _, block = _read(data_dir, "btcjpy_two_venue_20180812/*.gz", "last_prices.yaml")
    assert block.counts() == {"trade": 17_507 + 10_516}
    assert np.bincount(block.rows["instrument"]).tolist() == [17_507, 10_516]
    assert block.rows["price"][0] == 681_475
    assert (block.rows["quantity"] == 0).all()


def test_wide_mapping_equals_the_tardis_source(data_dir):
    path = f"{data_dir}/format_samples/binance-futures_book_snapshot_25_BTCUSDT.csv"
    _, mapped = _read(data_dir, "format_samples/binance-futures_book*", "tardis_like_wide.yaml")
    own = concat(open_source(f"tardis:{path}"))
    assert len(own) == 500
    assert (own.rows == mapped.rows).all()


@pytest.mark.parametrize("batch_bytes", [19_997, 262_144])
@pytest.mark.parametrize(
    ("pattern", "mapping"),
    [
        ("binance_trx_3market_20250304/test*difference_depth*", "binance_trx.yaml"),
        ("binance_trx_3market_20250304/merged*", "binance_trx_merged.yaml"),
        ("format_samples/btcusdt-depth-*.csv", "binance_historical_depth.yaml"),
    ],
)
def test_batches_do_not_matter(data_dir, pattern, mapping, batch_bytes):
    spec = parse_spec(_spec(data_dir, pattern, mapping))
    whole = concat(CsvSource(spec))
    cut = concat(CsvSource(spec, batch_bytes=batch_bytes, block_rows=37))
    assert len(whole) == len(cut) > 100
    assert (whole.rows == cut.rows).all()
