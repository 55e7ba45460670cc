"""The LOBSTER samples, checked against an independent reading of the same files."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import marketprism.ingest.tabular as tabular
from marketprism.core.block import EventBlock, concat
from marketprism.core.kinds import EventKind, Flag
from marketprism.ingest.registry import open_source

MIDNIGHT = 1_340_251_200_000_000_000  # 2012-06-21 00:00 in New York
GOOG = "lobster/LOBSTER_SampleFile_GOOG_2012-06-21_10.zip"
AAPL = "lobster/AAPL_first998rows_{}_10.csv.gz"


@pytest.fixture(scope="module")
def goog(data_dir: Path) -> EventBlock:
    return concat(open_source(f"lobster:{data_dir / GOOG}"))


@pytest.fixture(scope="module")
def goog_files(data_dir: Path) -> tuple[pl.DataFrame, np.ndarray]:
    with zipfile.ZipFile(data_dir / GOOG) as archive:
        read = {name.split("_")[4]: archive.read(name) for name in archive.namelist() if name.endswith(".csv")}
    names = ["time", "type", "order_id", "size", "price", "direction"]
    messages = pl.read_csv(io.BytesIO(read["message"]), has_header=False, new_columns=names)
    return messages, pl.read_csv(io.BytesIO(read["orderbook"]), has_header=False).to_numpy()


def _states(lines: np.ndarray) -> list[frozenset[tuple[int, int, int]]]:
    """Distinct successive books of the order-book file, as sets of (side, ticks, size)."""
    result: list[frozenset[tuple[int, int, int]]] = []
    for line in lines.tolist():
        levels = [
            (-1 if i % 4 == 0 else 1, line[i] // 100, line[i + 1])
            for i in range(0, len(line), 2)
            if abs(line[i]) != 9_999_999_999
        ]
        state = frozenset(levels)
        if not result or state != result[-1]:
            result.append(state)
    return result


def _rebuilt(block: EventBlock) -> list[frozenset[tuple[int, int, int]]]:
    book: dict[tuple[int, int], int] = {}
    result = []
    rows = block.rows[np.isin(block.rows["kind"], [EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA])]
    for kind, side, price, size, flags in rows[["kind", "side", "price", "quantity", "flags"]].tolist():
        if kind == EventKind.BOOK_SNAPSHOT and flags & Flag.FIRST:
            book.clear()
        if size:
            book[side, price] = int(size)
        else:
            del book[side, price]
        if flags & Flag.LAST:
            result.append(frozenset((s, p, q) for (s, p), q in book.items()))
    return result


@pytest.mark.slow
def test_goog_book_equals_every_line_of_the_file(goog: EventBlock, goog_files: tuple) -> None:
    expected = _states(goog_files[1])
    assert len(expected) > 140_000
    assert _rebuilt(goog) == expected


def test_goog_counts_trades_and_clock(goog: EventBlock, goog_files: tuple) -> None:
    messages, _ = goog_files
    assert len(messages) == 147_916
    assert goog.counts() == {"orderbook_delta": 144_002, "orderbook_snapshot": 1, "trade": 11_678}
    traded = messages.filter(pl.col("type").is_in([4, 5]))
    rows = goog.rows[goog.rows["kind"] == EventKind.TRADE]
    assert rows["quantity"].sum() == traded["size"].sum() == 706_125
    assert (rows["side"] == -traded["direction"].to_numpy()).all()
    assert ((rows["flags"] & Flag.HIDDEN) != 0).sum() == 3_913
    assert (np.abs(rows["price"] * 100 - traded["price"].to_numpy()) <= 50).all()
    ns = [int(t.split(".")[0]) * 10**9 + int(t.split(".")[1].ljust(9, "0")) for t in _times(traded)]
    assert (rows["ts_event"] - MIDNIGHT == np.array(ns)).all()
    assert (goog.rows["ts_recv"] == goog.rows["ts_event"]).all()
    assert (np.diff(goog.rows["ts_recv"]) >= 0).all()


def _times(frame: pl.DataFrame) -> list[str]:
    return [f"{t:.9f}" for t in frame["time"].to_list()]


def test_goog_is_a_small_tick_stock(goog_files: tuple) -> None:
    spread = (goog_files[1][:, 0] - goog_files[1][:, 2]) // 100
    states = Counter(np.minimum(spread, 3).tolist())
    share = {state: round(100 * n / len(spread), 1) for state, n in states.items()}
    assert share == {1: 0.1, 2: 0.2, 3: 99.6}


def test_goog_facts_notes_and_instrument(data_dir: Path) -> None:
    source = open_source(f"lobster:{data_dir / GOOG}?levels=2&latency=1ms")
    block = concat(source)
    assert (block.rows["ts_recv"] - block.rows["ts_event"] == 1_000_000).all()
    assert source.instrument.key == "nasdaq:equity:GOOG"
    assert str(source.instrument.tick_size) == "0.01"
    assert source.report.records == 2 * 147_916
    assert source.report.rejected == {}
    assert source.report.notes == {"trades between ticks, rounded to the nearest": 50}
    assert source.report.facts["levels"] == "2 of 10"
    assert source.files == (str(data_dir / GOOG),)


def test_two_levels_are_the_top_two_of_the_file(data_dir: Path) -> None:
    message, book = (str(data_dir / AAPL.format(what)) for what in ("message", "orderbook"))
    block = concat(open_source(f"lobster:{message}?date=2012-06-21&levels=2"))
    with gzip.open(book) as lines:
        table = np.array([[int(cell) for cell in line.split(b",")] for line in lines])
    assert len(table) == 999
    assert _rebuilt(block) == _states(table[:, :8])


@pytest.mark.parametrize("lines", [7, 37, 4096])
def test_aapl_does_not_depend_on_batches(data_dir: Path, lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = f"lobster:{data_dir / AAPL.format('message')}?date=2012-06-21"
    whole = concat(open_source(spec))
    monkeypatch.setattr(tabular, "BATCH_LINES", lines)
    parts = concat(open_source(spec.replace("message", "orderbook")))
    assert np.array_equal(whole.rows, parts.rows)
    assert whole.counts() == {"orderbook_delta": 937, "orderbook_snapshot": 1, "trade": 159}
