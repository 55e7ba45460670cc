"""Replays of venue captures through their sequencing rules; OKX checksums verify over the whole recording."""

from __future__ import annotations

import numpy as np
import pytest

from marketprism.book import Book, ViewStatus
from marketprism.core.block import concat
from marketprism.core.errors import SourceError
from marketprism.ingest.registry import open_source

CAPTURES = {
    "okx-ws:OKX.ws.1.0__22e6178.txt.gz,OKX.0__daeff74.txt.gz": (10, 3679, 13_970),
    "okx-ws:OKX.jsonl.zst": (3, 290, 8338),
    "okx-ws:OKX.0__8c0878f.txt.gz,OKX.ws.1.0__c62f742.txt.gz": (3, 290, 8338),
    "okx-ws:OKEX.ws.1.0__88c5acf.txt.gz": (6, 849, 3501),
    "okx-ws:OKEX.ws.2.0__1a0a209.txt.gz": (6, 808, 3440),
    "okx-ws:OKEX.ws.3.0__62cd3f7.txt.gz": (6, 792, 3420),
    "deribit-ws:DERIBIT-5dd9ce.0__8575776.txt.gz": (9, 0, 865),
    "deribit-ws:DERIBIT.jsonl.zst": (10, 0, 328),
    "deribit-ws:DERIBIT.ws.30.0__4f5c375.txt.gz,DERIBIT.0__cc2e7c4.txt.gz": (10, 0, 307),
}


def read(data_dir, text):
    scheme, _, names = text.partition(":")
    folder = data_dir / "venue_captures"
    source = open_source(f"{scheme}:" + ",".join(str(folder / name) for name in names.split(",")))
    return source, concat(list(source))


@pytest.mark.parametrize(("text", "expected"), CAPTURES.items())
def test_captured_books_replay_without_a_gap(data_dir, text, expected):
    source, block = read(data_dir, text)
    instruments, checksums, rows = expected
    assert (len(source.instruments), len(block)) == (instruments, rows)
    assert source.report.notes.get("checksums verified", 0) == checksums
    assert source.report.rejected_count == source.report.notes.get("checksum mismatches", 0) == 0
    valid = 0
    for index, instrument in enumerate(source.instruments):
        book = Book(instrument)
        views = book.push(block.rows[block.rows["instrument"] == index])
        counters = book.counters
        assert counters["snapshots"] >= 1
        assert (counters["gaps"], counters["gap_rows"], counters["before_snapshot"], counters["bad_rows"]) == (
            0,
            0,
            0,
            0,
        )
        valid += bool(views.top["status"][-1] & ViewStatus.VALID)
    assert valid >= instruments // 2


def test_deribit_changes_name_their_predecessor(data_dir):
    source, block = read(data_dir, "deribit-ws:DERIBIT-5dd9ce.0__8575776.txt.gz")
    for index in range(len(source.instruments)):
        rows = block.rows[
            (block.rows["instrument"] == index) & (block.rows["kind"] == 2) & (block.rows["flags"] & 1 != 0)
        ]
        ids = rows["event_id"]
        np.testing.assert_array_equal(rows["previous_id"][1:], ids[:-1])


def test_a_change_taken_out_is_a_gap(data_dir):
    source, block = read(data_dir, "deribit-ws:DERIBIT-5dd9ce.0__8575776.txt.gz")
    busiest = int(np.bincount(block.rows["instrument"][block.rows["kind"] == 2]).argmax())
    rows = block.rows[(block.rows["instrument"] == busiest) & np.isin(block.rows["kind"], (1, 2))]
    ids = np.unique(rows["event_id"])
    holed = rows[rows["event_id"] != ids[len(ids) // 2]].copy()
    book = Book(source.instruments[busiest])
    views = book.push(holed)
    assert len(book.drain_gaps()) == 1
    assert views.top["status"][-1] == 0


def test_a_capture_of_another_venue_is_refused(data_dir):
    path = data_dir / "venue_captures" / "DERIBIT.jsonl.zst"
    with pytest.raises(SourceError, match="no instrument was found"):
        open_source(f"okx-ws:{path}")
