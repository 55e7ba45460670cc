"""BAC and IBM of October 2013, checked against an independent reading of the same files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from marketprism.core.block import EventBlock, concat
from marketprism.core.kinds import EventKind, Flag, GapReason
from marketprism.ingest import tabular
from marketprism.ingest.registry import open_source
from marketprism.ingest.source import Source

FOLDER = "us_equity_l1_201310"
MIDNIGHT = {7: 1_381_118_400_000_000_000, 8: 1_381_204_800_000_000_000}  # 2013-10-07 and 08 in New York
OPEN, CLOSE = 34_200_000, 57_600_000


def _spec(data_dir: Path, symbol: str, days: tuple[int, ...]) -> str:
    paths = [f"{data_dir / FOLDER}/{symbol}_2013100{day}_{kind}.zip" for day in days for kind in ("quote", "trade")]
    return f"us-l1:{','.join(paths)}"


def _table(data_dir: Path, symbol: str, day: int, kind: str) -> pl.DataFrame:
    quote = ["ms", "bid", "bid_size", "ask", "ask_size", "venue", "condition", "suspicious"]
    names = quote if kind == "quote" else ["ms", "price", "size", "venue", "condition", "suspicious"]
    with zipfile.ZipFile(data_dir / FOLDER / f"{symbol}_2013100{day}_{kind}.zip") as archive:
        data = archive.read(archive.namelist()[0])
    frame = pl.read_csv(data, has_header=False, new_columns=names, schema_overrides={"condition": pl.String})
    return frame.with_row_index("row")


def _best(quotes: pl.DataFrame) -> pl.DataFrame:
    """Best quotes of the session, one a pair of rows, repeated ones dropped."""
    q = quotes.filter(pl.col("suspicious") == 0)
    is_bid = (pl.col("bid") > 0) & (pl.col("bid_size") > 0)
    joined = (
        q.with_columns(
            bid=pl.when(is_bid).then("bid").forward_fill(),
            bid_size=pl.when(is_bid).then("bid_size").forward_fill(),
            is_bid=is_bid,
            next_ms=pl.col("ms").shift(-1),
            next_is_bid=is_bid.shift(-1),
        )
        .filter(~(pl.col("is_bid") & ~pl.col("next_is_bid") & (pl.col("ms") == pl.col("next_ms"))))
        .with_columns(pl.when(~pl.col("is_bid")).then(pl.col("ask", "ask_size")).forward_fill())
        .filter(pl.col("ms").is_between(OPEN, CLOSE, closed="left"))
    )
    four = pl.struct("bid", "bid_size", "ask", "ask_size")
    return joined.filter((four != four.shift(1)).fill_null(value=True))


def _quotes(block: EventBlock) -> tuple[np.ndarray, np.ndarray]:
    rows = block.rows[block.rows["kind"] == EventKind.QUOTE]
    bids, asks = rows[rows["side"] == 1], rows[rows["side"] == -1]
    assert (bids["ts_event"] == asks["ts_event"]).all()
    assert ((rows["flags"] & Flag.FIRST != 0) == (rows["side"] == 1)).all()
    return bids, asks


def _spread_states(block: EventBlock) -> dict[int, float]:
    bids, asks = _quotes(block)
    state, count = np.unique(np.clip(asks["price"] - bids["price"], -1, 3), return_counts=True)
    return {int(s): round(100 * n / len(bids), 1) for s, n in zip(state, count, strict=True)}


@pytest.fixture(scope="module")
def ibm(data_dir: Path) -> tuple[Source, EventBlock]:
    source = open_source(_spec(data_dir, "ibm", (7, 8)))
    return source, concat(source)


def test_ibm_quotes_are_the_pairs_of_the_file(data_dir: Path, ibm: tuple[Source, EventBlock]) -> None:
    bids, asks = _quotes(ibm[1])
    total = 0
    for day in (7, 8):
        expected = _best(_table(data_dir, "ibm", day, "quote"))
        mine = (bids["ts_event"] >= MIDNIGHT[day]) & (bids["ts_event"] < MIDNIGHT[day] + 86_400 * 10**9)
        assert (bids["ts_event"][mine] == expected["ms"].to_numpy() * 10**6 + MIDNIGHT[day]).all()
        for rows, side in ((bids, "bid"), (asks, "ask")):
            assert (rows["price"][mine] * 100 == expected[side].to_numpy()).all()
            assert (rows["quantity"][mine] == expected[f"{side}_size"].to_numpy()).all()
        total += len(expected)
    assert total == len(bids) == 97_810


def test_ibm_counts_gap_and_order(ibm: tuple[Source, EventBlock]) -> None:
    source, block = ibm
    assert block.counts() == {"quote": 97_810, "trade": 57_317, "gap": 1}
    assert source.report.records == 109_067 + 125_750 + 24_293 + 33_381
    assert source.report.rejected == {}
    assert source.report.notes["suspicious rows left out"] == 2
    assert source.report.notes["trades not priced at their time"] == 112
    assert source.report.facts["session"] == "9:30 to 16:00"
    assert source.instrument.key == "us:equity:IBM"
    assert len(source.files) == 4
    (gap,) = block.payload(EventKind.GAP)
    assert gap["reason"] == GapReason.SESSION_BREAK
    at = int(np.flatnonzero(block.rows["kind"] == EventKind.GAP)[0])
    assert gap["gap_from"] == block.rows["ts_event"][at - 1]
    assert gap["gap_to"] == block.rows["ts_event"][at + 1] == block.rows["ts_event"][at]
    assert (np.diff(block.rows["ts_recv"]) >= 0).all()
    same = block.rows[:-1][block.rows["ts_recv"][:-1] == block.rows["ts_recv"][1:]]
    later = block.rows[1:][block.rows["ts_recv"][:-1] == block.rows["ts_recv"][1:]]
    assert not ((same["kind"] == EventKind.TRADE) & (later["kind"] == EventKind.QUOTE)).any()


def test_ibm_trades_are_those_of_the_session(data_dir: Path, ibm: tuple[Source, EventBlock]) -> None:
    rows = ibm[1].rows[ibm[1].rows["kind"] == EventKind.TRADE]
    stale = 0x200 | 0x800 | 0x4000 | 0x40000 | 0x100000 | 0x1000000 | 0x2000000 | 0x4000000
    volume = auctions = notional = 0
    for day in (7, 8):
        trades = _table(data_dir, "ibm", day, "trade")
        for ms, price, size, _, condition, suspicious in trades.drop("row").iter_rows():
            bits = int(condition, 16)
            if OPEN <= ms < CLOSE and not suspicious and not bits & stale:
                volume += size
                notional += size * price
                auctions += bits & (0x40 | 0x80 | 0x100 | 0x200000) != 0
    assert rows["quantity"].sum() == volume == 8_868_853
    assert (rows["quantity"] * rows["price"]).sum() * 100 == notional
    assert ((rows["flags"] & Flag.AUCTION) != 0).sum() == auctions
    assert (rows["side"] == 0).all()


def test_spread_states_of_a_small_tick_stock(ibm: tuple[Source, EventBlock]) -> None:
    assert _spread_states(ibm[1]) == {-1: 0.1, 0: 0.8, 1: 14.0, 2: 20.5, 3: 64.6}


def test_spread_states_of_a_large_tick_stock(data_dir: Path) -> None:
    block = concat(open_source(_spec(data_dir, "bac", (7,))))
    assert _spread_states(block) == {0: 1.8, 1: 98.1, 2: 0.1}
    assert block.counts() == {"quote": 235_822, "trade": 86_319}


def test_venue_by_venue_reading_would_be_crossed(data_dir: Path) -> None:
    """The rows are best quotes already: kept as one quote a venue, IBM would be crossed nearly all the time."""
    block = concat(open_source(f"us-l1:{data_dir / FOLDER}/ibm_20131007_quote.zip?quotes=venue"))
    assert _spread_states(block)[-1] > 95


def test_all_hours_keep_more(data_dir: Path, ibm: tuple[Source, EventBlock]) -> None:
    source = open_source(_spec(data_dir, "ibm", (7, 8)) + "?session=all&suspicious=keep&conditions=all")
    counts = concat(source).counts()
    assert counts["trade"] == 24_293 + 33_381
    assert counts["quote"] > ibm[1].counts()["quote"]
    assert "suspicious rows left out" not in source.report.notes


@pytest.mark.parametrize("lines", [101, 5000])
def test_batches_do_not_matter(
    data_dir: Path, ibm: tuple[Source, EventBlock], lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tabular, "BATCH_LINES", lines)
    source = open_source(_spec(data_dir, "ibm", (8, 7)))
    assert np.array_equal(concat(source).rows, ibm[1].rows)
    assert source.report == ibm[0].report
