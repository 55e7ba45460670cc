"""Sorting by time with bounded memory, merging by sequence, and the orders of a call auction."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketprism.core.kinds import EventKind, Flag, GapReason
from marketprism.core.rows import empty_rows
from marketprism.ingest.call_auction import CallAuction
from marketprism.ingest.external_sort import TimeSorter
from marketprism.ingest.merge import Chunk, join
from marketprism.ingest.sequence_merge import merge_by_sequence
from marketprism.ingest.sessions import gap_records, gap_rows


def _rows(times: list[int], start: int = 0) -> np.ndarray:
    rows = empty_rows(len(times))
    rows["ts_recv"] = times
    rows["event_id"] = np.arange(start, start + len(times))
    rows["flags"] = Flag.FIRST | Flag.LAST
    return rows


@given(st.lists(st.integers(0, 20), max_size=60), st.integers(1, 20), st.integers(1, 7))
def test_sorting_is_stable_whatever_the_runs(times: list[int], run_rows: int, step: int) -> None:
    rows = _rows(times)
    with TimeSorter(run_rows) as sorter:
        for start in range(0, len(rows), step):
            sorter.push(Chunk(rows[start : start + step]))
        parts = list(sorter.chunks())
    found = join(parts).rows if parts else rows[:0]
    expected = rows[np.argsort(rows["ts_recv"], kind="stable")]
    assert found["event_id"].tolist() == expected["event_id"].tolist()


@pytest.mark.parametrize("run_rows", [2, 100])
def test_gaps_keep_their_records(run_rows: int) -> None:
    with TimeSorter(run_rows) as sorter:
        for ts in (50, 30, 40, 10):
            sorter.push(Chunk(gap_rows(ts), {int(EventKind.GAP): gap_records([(ts - 1, ts, GapReason.HALT)])}))
            sorter.push(Chunk(_rows([ts + 5])))
        sorter.push(Chunk(_rows([])))
        whole = join(list(sorter.chunks()))
    gaps = whole.rows[whole.rows["kind"] == EventKind.GAP]
    table = whole.payloads[int(EventKind.GAP)]
    assert gaps["ts_recv"].tolist() == [10, 30, 40, 50]
    assert table["gap_to"][gaps["payload"]].tolist() == [10, 30, 40, 50]


def test_long_streams_go_to_disk_and_memory_stays_bounded() -> None:
    import tracemalloc

    rng = np.random.default_rng(0)
    tracemalloc.start()
    with TimeSorter(20_000) as sorter:
        for _ in range(60):
            sorter.push(Chunk(_rows(rng.integers(0, 10**9, 5_000).tolist())))
        before = tracemalloc.get_traced_memory()[1]
        last, count = -1, 0
        for chunk in sorter.chunks():
            assert chunk.rows["ts_recv"][0] >= last
            assert (np.diff(chunk.rows["ts_recv"]) >= 0).all()
            last, count = int(chunk.rows["ts_recv"][-1]), count + len(chunk)
    tracemalloc.stop()
    assert count == 300_000
    assert before < 8_000_000 < 300_000 * empty_rows(1).itemsize


@given(st.lists(st.integers(0, 30), max_size=25), st.lists(st.integers(0, 30), max_size=25), st.integers(1, 6))
def test_sequence_merge(one: list[int], two: list[int], step: int) -> None:
    def stream(numbers: list[int], mark: int) -> Iterator[np.ndarray]:
        rows = _rows([0] * len(numbers), mark)
        rows["first_id"] = sorted(numbers)
        for start in range(0, len(rows), step):
            yield rows[start : start + step]

    parts = list(merge_by_sequence(stream(one, 0), stream(two, 1000)))
    found = [tuple(row) for part in parts for row in part[["first_id", "event_id"]].tolist()]
    marked = [(n, i) for i, n in enumerate(sorted(one))] + [(n, 1000 + i) for i, n in enumerate(sorted(two))]
    assert found == sorted(marked, key=lambda item: item[0])  # stable: the first stream's rows come first


def test_call_auction_nets_out() -> None:
    def row(kind: EventKind, order_id: int, side: int, price: int, quantity: float, sequence: int) -> np.ndarray:
        rows = empty_rows(1)
        rows["kind"], rows["event_id"], rows["side"], rows["price"] = kind, order_id, side, price
        rows["quantity"], rows["first_id"] = quantity, sequence
        return rows

    auction = CallAuction()
    assert len(auction.resting(1, 2)) == 0
    auction.take(
        np.concatenate(
            [
                row(EventKind.ORDER_ADD, 9, 1, 100, 5.0, 1),
                row(EventKind.ORDER_ADD, 4, -1, 99, 5.0, 2),
                row(EventKind.ORDER_ADD, 7, -1, 101, 1.0, 3),
                row(EventKind.ORDER_EXECUTE, 9, 1, 100, 3.0, 4),
                row(EventKind.ORDER_EXECUTE, 4, -1, 100, 5.0, 4),
                row(EventKind.ORDER_DELETE, 8, -1, 100, 5.0, 5),
            ]
        )
    )
    assert (len(auction), auction.unknown) == (2, 1)
    rows = auction.resting(10, 20)
    assert rows[["event_id", "side", "price", "quantity", "first_id"]].tolist() == [
        (9, 1, 100, 2.0, 1),
        (7, -1, 101, 1.0, 3),
    ]
    assert rows["flags"].tolist() == [Flag.FIRST, Flag.LAST]
    assert set(rows["ts_recv"].tolist()) == {20}
    assert len(auction) == 0
