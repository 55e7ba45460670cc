"""Raw recordings of venue connections as one stream of frames, whatever their framing.

Three framings are told by their first line:

``plain``
    ``RECEIVE_TIME JSON``: one received message a line.
``capture``
    ``wss://URL <-> EPOCH`` (connected), ``wss://URL <- EPOCH: TEXT`` (sent), ``EPOCH: TEXT`` (received),
    ``URL -> EPOCH: TEXT`` (REST answer), ``configuration: TEXT`` (left out).
``jsonl``
    ``{"t":"header"|"connect"|"send"|"recv"|"http","conn":..,"ts":..,"addr"|"url":..,"data":".."}``.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from marketprism.core.errors import SourceError
from marketprism.ingest.files_io import display_name, open_binary
from marketprism.ingest.frames_lines import ReceiveClock, Reject, numbered_lines, readable, refuse

__all__ = ["Direction", "Frame", "Framing", "framing_of", "read_frames"]

Direction = Literal["recv", "send", "http", "connect"]
Framing = Literal["plain", "capture", "jsonl"]

_PLAIN = re.compile(rb"\d{8,}(\.\d+)? +\S")
_CAPTURE = re.compile(rb"(?:(?P<url>[a-z]+://\S+) (?P<arrow><->|<-|->) )?(?P<ts>\d{8,}(?:\.\d+)?)(?:: ?(?P<data>.*))?")


class Frame(NamedTuple):
    """One thing that happened on a connection.

    Attributes
    ----------
    ts_recv : int
        Local clock, ns UTC, as recorded: it may run backwards.
    direction : {"recv", "send", "http", "connect"}
        Message received, message sent, REST answer, connection opened.
    connection : str
        Name of the connection where the recording has one, else the URL it was opened with, else empty.
    url : str
        URL of a REST answer, of a connect and of a send; empty otherwise.
    data : bytes
        The raw text of the message; empty for a connect.
    line : int
        Line of the file, from 1.
    """

    ts_recv: int
    direction: Direction
    connection: str
    url: str
    data: bytes
    line: int


class _Record(msgspec.Struct, gc=False):
    t: str
    conn: str = ""
    ts: msgspec.Raw = msgspec.Raw(b"")
    url: str = ""
    addr: str = ""
    data: str = ""


class _Stamp(msgspec.Struct, gc=False):
    t: str
    conn: str = ""
    ts: msgspec.Raw = msgspec.Raw(b"")


_decode_record = msgspec.json.Decoder(_Record).decode
_decode_stamp = msgspec.json.Decoder(_Stamp).decode
_JSON_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def framing_of(path: str | Path) -> Framing:
    """Tell the framing of a recording by its first line.

    Raises
    ------
    SourceError
        The file is missing, empty, or begins like none of the three.
    """
    with open_binary(path) as stream:
        head = stream.read(4096).lstrip()
    if head.startswith(b'{"t":'):
        return "jsonl"
    if _PLAIN.match(head):
        return "plain"
    if head.startswith(b"configuration:") or _CAPTURE.match(head):
        return "capture"
    raise SourceError(
        f"{display_name(path)} is no raw recording: it begins with {head[:60]!r}",
        hint="expected lines such as 1723161255030314667 {json}",
    )


def read_frames(path: str | Path, *, reject: Reject = refuse) -> Iterator[Frame]:
    """Yield the frames of a raw recording, in constant memory.

    Frames come in the order of the file. A ``jsonl`` recording whose connections are written one after the
    other is merged by receive time; inside one connection the order is never touched.

    Parameters
    ----------
    path : str or Path
        A recording, plain or compressed.
    reject : callable, optional
        Told about every line that cannot be used (``reason, where, value``); by default it raises DataError.

    Raises
    ------
    SourceError
        The file cannot be read or is no recording.
    DataError
        Receive times of two units in one file.
    """
    framing = framing_of(path)
    if framing == "plain":
        return _plain(path, reject)
    return _capture(path, reject) if framing == "capture" else _jsonl(path, reject)


def _plain(path: str | Path, reject: Reject) -> Iterator[Frame]:
    name = display_name(path)
    clock = ReceiveClock(name)
    with open_binary(path) as stream:
        for line, text in numbered_lines(stream, name, reject):
            stamp, _, data = text.partition(b" ")
            try:
                ts = clock.to_ns(stamp, line)
            except ValueError:
                reject("no receive time", f"{name}:{line}", readable(text))
                continue
            yield Frame(ts, "recv", "", "", data.strip(), line)


def _capture(path: str | Path, reject: Reject) -> Iterator[Frame]:
    name = display_name(path)
    clock = ReceiveClock(name)
    connection = ""
    arrows: dict[bytes, Direction] = {b"<->": "connect", b"<-": "send", b"->": "http"}
    with open_binary(path) as stream:
        for line, text in numbered_lines(stream, name, reject):
            if text.startswith(b"configuration:"):
                continue
            match = _CAPTURE.fullmatch(text)
            try:
                if match is None or (match["data"] is None) != (match["arrow"] == b"<->"):
                    raise ValueError(text)
                ts = clock.to_ns(match["ts"], line)
                url = (match["url"] or b"").decode()
            except ValueError:
                reject("malformed line", f"{name}:{line}", readable(text))
                continue
            direction = arrows[match["arrow"]] if match["arrow"] else "recv"
            if direction == "connect":
                connection = url
            origin = url if direction != "recv" else connection
            yield Frame(ts, direction, origin, url, match["data"] or b"", line)


def _jsonl(path: str | Path, reject: Reject) -> Iterator[Frame]:
    connections, ordered = _survey(path)
    if ordered or len(connections) < 2:
        return _jsonl_pass(path, reject, None)
    # The first pass reports what cannot be read; the others would say the same again.
    passes = [_jsonl_pass(path, reject if not i else _ignore, conn) for i, conn in enumerate(connections)]
    return heapq.merge(*passes, key=lambda frame: frame.ts_recv)


def _ignore(reason: str, where: str, value: object, *, hint: str = "") -> None:
    pass


def _survey(path: str | Path) -> tuple[list[str], bool]:
    """Return the connections of a jsonl recording and whether its times never run backwards."""
    name = display_name(path)
    clock = ReceiveClock(name)
    connections: dict[str, None] = {}
    ordered = True
    last = 0
    with open_binary(path) as stream:
        for line, text in numbered_lines(stream, name, _ignore):
            try:
                record = _decode_stamp(text)
                if record.t == "header":
                    continue
                ts = clock.to_ns(bytes(record.ts), line)
            except (*_JSON_ERRORS, ValueError):
                continue
            connections[record.conn] = None
            ordered = ordered and ts >= last
            last = ts
    return list(connections), ordered


def _jsonl_pass(path: str | Path, reject: Reject, only: str | None) -> Iterator[Frame]:
    name = display_name(path)
    clock = ReceiveClock(name)
    directions: dict[str, Direction] = {"recv": "recv", "send": "send", "http": "http", "connect": "connect"}
    with open_binary(path) as stream:
        for line, text in numbered_lines(stream, name, reject):
            try:
                record = _decode_record(text)
                if record.t == "header":
                    continue
                direction = directions[record.t]
                ts = clock.to_ns(bytes(record.ts), line)
            except (*_JSON_ERRORS, ValueError, KeyError):
                reject("malformed line", f"{name}:{line}", readable(text))
                continue
            if only is None or record.conn == only:
                yield Frame(ts, direction, record.conn, record.url or record.addr, record.data.encode(), line)
