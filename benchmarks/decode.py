"""Raw Binance lines to event rows, against a bare msgspec typed decode of the same lines.

``python benchmarks/decode.py`` prints the table. Decompression is excluded on both sides. The peer is given the
lines already split and without their receive times, and its objects are thrown away; ours starts from the bytes of
the whole file and ends in rows (ticks, quantities, ids, two clocks).
"""

from __future__ import annotations

import gc
import io
import os
import statistics
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from marketprism.core.instrument import Instrument
from marketprism.ingest.files_io import open_binary
from marketprism.ingest.frames_lines import refuse, whole_lines
from marketprism.ingest.venues.binance_decoder import BinanceDecoder

REPEATS = 7
FILE = "binance_ws_20240808/usdm_btcusdt_20240808.gz"
LONE_LINES = 20_000


class _Body(msgspec.Struct, gc=False):
    e: str = ""
    E: int = 0
    T: int = 0
    s: str = ""
    U: int = 0
    u: int = 0
    pu: int = 0
    t: int = 0
    p: str = ""
    q: str = ""
    m: bool = False
    b: str | list[tuple[str, str]] = ""
    B: str = ""
    a: str | list[tuple[str, str]] = ""
    A: str = ""


class _Wrapped(msgspec.Struct, gc=False):
    stream: str = ""
    data: _Body | None = None
    lastUpdateId: int = 0  # noqa: N815 (the venue's spelling)
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []


def _data() -> bytes | None:
    root = Path(os.environ.get("MARKETPRISM_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    path = root / FILE
    if not path.is_file():
        print(f"decode: skipped, no {path} (set MARKETPRISM_DATA)", file=sys.stderr)
        return None
    with open_binary(path) as stream:
        return stream.read()


def _decoder(*, guarded: bool = True) -> BinanceDecoder:
    btc = Instrument(
        exchange="binance", market_type="linear", symbol="BTC-USDT", raw_symbol="BTCUSDT", tick_size=Decimal("0.1")
    )
    return BinanceDecoder((btc,), guarded=guarded)


def _ours(data: bytes) -> int:
    decoder = _decoder()
    return sum(len(decoder.decode(chunk, line)) for chunk, line in whole_lines(io.BytesIO(data), "file", refuse))


def _timed(function: Any, *arguments: Any) -> float:
    gc.collect()
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def _bare(payloads: list[bytes]) -> None:
    decode = msgspec.json.Decoder(_Wrapped).decode
    for payload in payloads:
        decode(payload)


def _lone(lines: list[bytes]) -> list[float]:
    decoder = _decoder()
    times = []
    for line in lines:
        start = time.perf_counter_ns()
        decoder.push(line)
        times.append((time.perf_counter_ns() - start) / 1000)
    return sorted(times)


def measure() -> list[dict[str, Any]]:
    """Return the decode times of the BTC USDT-M file, alternating with the peer in one run."""
    data = _data()
    if data is None:
        return []
    lines = data.splitlines()
    payloads = [line.split(b" ", 1)[1] for line in lines]
    rows = _ours(data)
    ours, bare = [], []
    for _ in range(REPEATS):
        bare.append(_timed(_bare, payloads))
        ours.append(_timed(_ours, data))
    times = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
    lone = _lone(lines[:LONE_LINES])
    return [
        {
            "case": f"{len(lines)} messages to {rows} rows",
            "value": statistics.median(ours) * 1000,
            "unit": "ms",
            "spread": [min(ours) * 1000, max(ours) * 1000],
            "ratio": 1 / statistics.median(times),
            "target": "ratio 0.667",
            "peer": f"bare msgspec {statistics.median(bare) * 1000:.0f} ms; ours takes {statistics.median(times):.2f} "
            f"({min(times):.2f} to {max(times):.2f}) of it",
        },
        {
            "case": "a level row",
            "value": statistics.median(ours) / rows * 1e9,
            "unit": "ns",
            "spread": [min(ours) / rows * 1e9, max(ours) / rows * 1e9],
        },
        {
            "case": "one line pushed alone, median",
            "value": lone[len(lone) // 2],
            "unit": "us",
            "spread": [lone[0], lone[int(len(lone) * 0.99)]],
            "peer": "spread is fastest to p99",
        },
    ]


def main() -> None:
    """Print the table."""
    for row in measure():
        low, high = row.get("spread", [0.0, 0.0])
        ratio = f"{row['ratio']:.1f} times the peer's speed" if "ratio" in row else ""
        print(f"{row['case']:40} {row['value']:9.3g} {row['unit']:3} ({low:.3g} to {high:.3g}) {ratio}")
        if "peer" in row:
            print(f"{'':40} {row['peer']}")


if __name__ == "__main__":
    main()
