"""Framings of raw recordings: what each line becomes, and what is refused."""

from __future__ import annotations

import gzip
import json

import pytest
import zstandard

from marketprism.core.errors import DataError, SourceError
from marketprism.ingest import frames_lines
from marketprism.ingest.frames import framing_of, read_frames


class _Rejects:
    def __init__(self):
        self.seen = []

    def __call__(self, reason, where, value, *, hint=""):
        self.seen.append((reason, where))


@pytest.mark.parametrize(
    ("stamp", "ns"),
    [
        ("1723161255030314667", 1723161255030314667),
        ("1723161255030314", 1723161255030314000),
        ("1723161255030", 1723161255030000000),
        ("1723161255.5", 1723161255500000000),
    ],
)
def test_plain_units_are_told_by_magnitude(tmp_path, stamp, ns):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(f'{stamp} {{"x":1}}\r\n\n{stamp} {{}}'.encode()))
    frames = list(read_frames(path))
    assert [(f.ts_recv, f.direction, f.data, f.line) for f in frames] == [
        (ns, "recv", b'{"x":1}', 1),
        (ns, "recv", b"{}", 3),
    ]


def test_mixed_units_are_refused_with_line_and_both_units(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("1723161255030314667 {}\n1723161255030 {}\n")
    with pytest.raises(DataError, match=r"a\.txt:2: .* is in ms, line 1 is in ns"):
        list(read_frames(path, reject=_Rejects()))


def test_capture_lines(tmp_path):
    path = tmp_path / "c.txt"
    path.write_text(
        'configuration: {"a":1}\n'
        "wss://host/ws <-> 1617644856.505972\n"
        'wss://host/ws <- 1617644856.8063161: {"op":1}\n'
        '1617644856.899453: {"r": "a: b"}\n'
        'https://host/depth?symbol=A -> 1617644857.1: {"d":2}\n'
        "nonsense\n"
        "1617644858\n"
    )
    rejects = _Rejects()
    frames = [tuple(frame) for frame in read_frames(path, reject=rejects)]
    assert frames == [
        (1617644856505972000, "connect", "wss://host/ws", "wss://host/ws", b"", 2),
        (1617644856806316100, "send", "wss://host/ws", "wss://host/ws", b'{"op":1}', 3),
        (1617644856899453000, "recv", "wss://host/ws", "", b'{"r": "a: b"}', 4),
        (1617644857100000000, "http", "https://host/depth?symbol=A", "https://host/depth?symbol=A", b'{"d":2}', 5),
    ]
    assert rejects.seen == [("malformed line", "c.txt:6"), ("malformed line", "c.txt:7")]


def test_jsonl_connections_are_merged_by_receive_time(tmp_path):
    records = [
        {"t": "header", "format": 2, "exchange": "X"},
        {"t": "http", "conn": "h", "ts": 1617644856.5, "url": "https://u", "data": "{}"},
        {"t": "http", "conn": "h", "ts": 1617644858.5, "url": "https://u", "data": "{}"},
        {"t": "connect", "conn": "w", "ts": 1617644855.25, "addr": "wss://a"},
        {"t": "send", "conn": "w", "ts": 1617644856.0, "addr": "wss://a", "data": "sub"},
        {"t": "recv", "conn": "w", "ts": 1617644857.0, "data": '{"é":1}'},
        {"t": "what", "conn": "w", "ts": 1617644857.0},
    ]
    path = tmp_path / "r.jsonl.zst"
    body = "\n".join(json.dumps(r, separators=(",", ":")) for r in records)
    path.write_bytes(zstandard.ZstdCompressor().compress(body.encode()))
    rejects = _Rejects()
    frames = list(read_frames(path, reject=rejects))
    assert [(f.line, f.direction, f.connection, f.url) for f in frames] == [
        (4, "connect", "w", "wss://a"),
        (5, "send", "w", "wss://a"),
        (2, "http", "h", "https://u"),
        (6, "recv", "w", ""),
        (3, "http", "h", "https://u"),
    ]
    assert frames[3].data == '{"é":1}'.encode()
    assert rejects.seen == [("malformed line", "r.jsonl.zst:7")]


def test_jsonl_in_order_is_read_as_it_stands(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text('{"t":"recv","conn":"a","ts":1617644857.1,"data":"x"}\n{"t":"recv","conn":"b","ts":1617644857.1}\n')
    assert [(f.connection, f.data, f.ts_recv) for f in read_frames(path)] == [
        ("a", b"x", 1617644857100000000),
        ("b", b"", 1617644857100000000),
    ]


def test_oversized_line_is_quarantined_and_the_next_survives(tmp_path, monkeypatch):
    monkeypatch.setattr(frames_lines, "MAX_MESSAGE_BYTES", 1000)
    monkeypatch.setattr(frames_lines, "CHUNK_BYTES", 300)
    path = tmp_path / "big.txt"
    path.write_bytes(b"1723161255030 a\n1723161255031 " + b"x" * 5000 + b"\n1723161255032 b\n")
    rejects = _Rejects()
    assert [(f.data, f.line) for f in read_frames(path, reject=rejects)] == [(b"a", 1), (b"b", 3)]
    assert rejects.seen == [("message too large", "big.txt:2")]


def test_oversized_line_inside_one_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(frames_lines, "MAX_MESSAGE_BYTES", 100)
    path = tmp_path / "big.txt"
    path.write_bytes(b"1723161255030 a\n1723161255031 " + b"x" * 500 + b"\n1723161255032 b")
    rejects = _Rejects()
    assert [f.data for f in read_frames(path, reject=rejects)] == [b"a", b"b"]
    assert rejects.seen == [("message too large", "big.txt:2")]


def test_lines_without_a_time_are_rejected_and_refused_by_default(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("1723161255030 {}\nhello {}\n17 {}\n")
    rejects = _Rejects()
    assert len(list(read_frames(path, reject=rejects))) == 1
    assert [reason for reason, _ in rejects.seen] == ["no receive time"] * 2
    with pytest.raises(DataError, match=r"a\.txt:2: no receive time"):
        list(read_frames(path))


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("time,price\n1,2\n")
    with pytest.raises(SourceError, match="no raw recording"):
        framing_of(path)


def test_every_capture_reads_without_a_rejection(data_dir):
    total = 0
    for path in sorted((data_dir / "venue_captures").iterdir()):
        last = 0
        for frame in read_frames(path):
            assert frame.ts_recv >= last
            last = frame.ts_recv
            total += 1
    assert total == 121_781
