"""All factors of the engine on real data, against Polars and ClickHouse; one raw line through everything.

``python benchmarks/factors.py`` prints the table. Ours and the peers start from the same rebuilt book and bucket
cuts and use one thread each (POLARS_MAX_THREADS=1, max_threads = 1); columns that a peer computes too are compared.
Ours computes more columns than the peers (strong events, sign autocorrelation, run lengths), which is not deducted.
The families are timed in the running chain, each block right after its book was rebuilt; peers get whole tables.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

FILE = "binance_ws_20240808/usdm_btcusdt_20240808.gz"
REPEATS = 5
LONE_LINES = 20_000
LONE_PASSES = 5
WARM_LINES = 5_000


def _path() -> Path:
    root = Path(os.environ.get("MARKETPRISM_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    return root / FILE


def _load() -> Any:
    from marketprism.core.block import concat
    from marketprism.ingest.registry import open_source
    from marketprism.testing.tapes import market_tape

    return concat(list(open_source(f"binance-ws:{_path()}"))) if _path().is_file() else market_tape(20_000)


def _best(call: Callable[[], Any]) -> list[float]:
    times = []
    for _ in range(REPEATS):
        start = time.thread_time()
        call()
        times.append(time.thread_time() - start)
    return sorted(times)


def _best_of_process(call: Callable[[], Any]) -> list[float]:
    """Return CPU seconds of the whole process: peers work in threads of their own."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return sorted(times)


def _ours(config: Any, block: Any) -> tuple[list[Any], float]:
    """Return what the families give and their seconds alone, each block right after its book, as the engine runs."""
    from marketprism.factors.chain import CHAIN_ROWS, Chain

    chain = Chain(config, block.instrument)
    results, seconds = [], 0.0
    for part in block.chunks(CHAIN_ROWS):
        views = chain.book.push(part.rows)
        cuts, buckets = chain.clock.push(part.rows, views)
        start = time.thread_time()
        results.append(chain.compute(part.rows, views, cuts, buckets))
        seconds += time.thread_time() - start
    return results, seconds


def _our_times(config: Any, block: Any) -> list[float]:
    _ours(config, block)
    return sorted(_ours(config, block)[1] for _ in range(REPEATS))


def _row(case: str, times: list[float], n: int, **more: Any) -> dict[str, Any]:
    spread = [times[0] / n * 1e9, times[-1] / n * 1e9]
    return {"case": case, "value": spread[0], "unit": "ns a row", "spread": spread, **more}


def _compare(names: tuple[str, ...], ours: list[Any], theirs: Any, columns: list[str]) -> None:
    import numpy as np

    values = np.concatenate([part.values for part in ours if part is not None])
    for column in columns:
        mine = values[30:, names.index(column)]
        peer = np.asarray(theirs[column], float)[30 : 30 + len(mine)]
        both = ~np.isnan(mine) & ~np.isnan(peer)
        if both.sum() < 20 or not np.allclose(mine[both], peer[both], rtol=1e-6, atol=1e-6):
            raise RuntimeError(f"{column} differs: {mine[both][:4]} and {peer[both][:4]}")


def _peers(block: Any) -> list[dict[str, Any]]:
    from factor_peers import ClickHouse, frames, polars_columns
    from marketprism.book.book import Book
    from marketprism.book.config import BookConfig
    from marketprism.buckets.clock import BucketClock
    from marketprism.buckets.config import BucketConfig
    from marketprism.factors.config import EngineConfig
    from marketprism.factors.registry import factors

    none: dict[str, dict[str, Any]] = {
        "ofi": {"half_lives_s": []},
        "returns": {"half_lives_s": []},
        "flow": {"half_lives_s": [], "trades": []},
        "depth": {"sweep_multiples": []},
    }
    buckets = BucketConfig(policy="time", t_target_s=1.0)
    config = EngineConfig(book=BookConfig(depth_levels=10), buckets=buckets, params=none)
    instrument, n = block.instrument, len(block)
    names = tuple(item.name for item in factors(None, none, 10))
    ours, _ = _ours(config, block)
    views = Book(instrument, config.book).push(block.rows)
    tables = frames(block.rows, views, *BucketClock(instrument, buckets).push(block.rows, views))
    theirs = polars_columns(tables)
    shared = [name for name in theirs.columns if name in names]
    if instrument.exchange != "sim":
        _compare(names, ours, theirs, shared)
    mine = _our_times(config, block)
    polars = _best_of_process(lambda: polars_columns(tables))
    simple = ("level1", "ofi", "returns", "flow")
    small = EngineConfig(book=config.book, buckets=buckets, families=simple, params={k: none[k] for k in simple[1:]})
    mine_small = _our_times(small, block)
    house = ClickHouse(tables)
    result = house.run()
    small_names = tuple(item.name for item in factors(simple, small.params, 10))
    sql_names = [name for name in result.column_names if name in small_names]
    if instrument.exchange != "sim":
        table = {name: result.column(name).to_numpy(zero_copy_only=False) for name in sql_names}
        _compare(small_names, _ours(small, block)[0], table, sql_names)
    sql = _best_of_process(house.run)
    ratios = polars[0] / mine[0], sql[0] / mine_small[0]
    return [
        _row(f"{len(names)} factors from the book", mine, n),
        _row(f"{len(shared)} of them by Polars", polars, n, ratio=ratios[0], target="2.5 times", peer="Polars, lazy"),
        _row(f"level 1, flow, volatility: {len(small_names)} factors", mine_small, n),
        _row(f"{len(sql_names)} of them by SQL", sql, n, ratio=ratios[1], target="10 times", peer="ClickHouse"),
    ]


def _families(block: Any) -> list[dict[str, Any]]:
    from marketprism.buckets.config import BucketConfig
    from marketprism.factors.config import EngineConfig
    from marketprism.factors.registry import families

    buckets = BucketConfig(policy="time", t_target_s=1.0)
    marks = _our_times(EngineConfig(buckets=buckets, families=()), block)
    result = [_row("marks and event clock, shared by all", marks, len(block))]
    for name in families():
        times = _our_times(EngineConfig(buckets=buckets, families=(name,)), block)
        result.append(_row(f"family {name}, defaults", [max(t - marks[0], 0.0) for t in times], len(block)))
    return result


def _linear() -> list[dict[str, Any]]:
    """Time growing parts of a tape that is alike all over: a capture's rows change with the hour."""
    from marketprism.factors.chain import Chain
    from marketprism.factors.config import EngineConfig
    from marketprism.testing.tapes import market_tape

    block = market_tape(48_000)
    chains = [Chain(EngineConfig(), block.instrument) for _ in range(4 * REPEATS + 1)]
    chains.pop().push(block.rows)
    result = []
    for share in (8, 4, 2, 1):
        rows = block.rows[: len(block) // share]
        result.append(
            _row(
                f"book, buckets and all factors, {8 // share} times the data",
                _best(lambda rows=rows: chains.pop().push(rows)),
                len(rows),
            )
        )
    return result


def _lone() -> list[dict[str, Any]]:
    from marketprism.core.instrument import Instrument
    from marketprism.factors.engine import FactorEngine
    from marketprism.ingest.files_io import open_binary
    from marketprism.ingest.venues.binance_decoder import BinanceDecoder

    if not _path().is_file():
        print(f"factors: one line alone skipped, no {_path()} (set MARKETPRISM_DATA)", file=sys.stderr)
        return []
    with open_binary(_path()) as stream:
        lines = stream.read().splitlines()[: WARM_LINES + LONE_LINES]
    btc = Instrument(
        exchange="binance", market_type="linear", symbol="BTC-USDT", raw_symbol="BTCUSDT", tick_size=Decimal("0.1"),
        sequencing="binance_futures",
    )  # fmt: skip
    passes = []
    for _ in range(LONE_PASSES):
        decoder, engine = BinanceDecoder((btc,)), FactorEngine(instrument=btc)
        times = []
        for line in lines:
            start = time.perf_counter_ns()
            engine.push(decoder.push(line))
            times.append((time.perf_counter_ns() - start) / 1000)
        passes.append(times[WARM_LINES:])
    # A pass shows what the machine did as well; the fastest of several passes of each line shows what the code does.
    quiet = sorted(min(line) for line in zip(*passes, strict=True))
    times = sorted(passes[-1])
    case = f"one raw line alone through decode, book and {len(engine.factor_names)} factors"
    p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
    least = f"{case}, p99 of each line's fastest of {LONE_PASSES} passes"
    return [
        {
            "case": least,
            "value": quiet[int(len(quiet) * 0.99)],
            "unit": "us",
            "spread": [quiet[0], quiet[-1]],
            "target": "50 us",
        },
        {"case": f"{case}, p50", "value": p50, "unit": "us", "spread": [times[0], times[-1]]},
        {"case": f"{case}, p99", "value": p99, "unit": "us", "spread": [times[0], times[-1]], "target": "50 us"},
    ]


def measure() -> list[dict[str, Any]]:
    """Return the whole table; it is made in a process of its own, so that Polars starts with one thread."""
    environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, "--json"], env=environment, check=True, capture_output=True, text=True
    )
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON alone; POLARS_MAX_THREADS must be set")
    if parser.parse_args().json:
        block = _load()
        print(json.dumps([*_peers(block), *_families(block), *_linear(), *_lone()]))
        return
    for row in measure():
        low, high = row["spread"]
        ratio = f"{row['ratio']:.1f} times ours" if "ratio" in row else ""
        print(f"{row['case']:75} {row['value']:9.3g} {row['unit']:9} ({low:.3g} to {high:.3g}) {ratio}")


if __name__ == "__main__":
    main()
