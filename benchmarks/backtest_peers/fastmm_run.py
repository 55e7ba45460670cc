"""Runs under FastMM's own Python: ``python fastmm_run.py EVENTS.npy`` replays the stream with its own C++ maker."""

from __future__ import annotations

import json
import sys
import time

import fastmm
import numpy as np

SCALE = 100_000_000


def main():
    events = np.load(sys.argv[1])
    columns = {
        "ts": events["local_ts"].astype(np.int64),
        "type": np.where(events["ev"] & 0xFF == 1, 1, 2).astype(np.uint8),
        "inst": np.zeros(len(events), np.uint32),
        "side": np.where(events["ev"] & (1 << 29), 0, 1).astype(np.int8),
        "price": np.rint(events["px"] * 10).astype(np.int64) * (SCALE // 10),
        "qty": np.rint(events["qty"] * 1000).astype(np.int64) * (SCALE // 1000),
        "seq": np.arange(len(events), dtype=np.uint64),
    }
    columns["type"][:40] = 0  # the first levels are its snapshot
    columns["ts"][:40] = columns["ts"][0]
    config = fastmm.BacktestConfig.single_instrument("BTCUSDT", "0.1", "0.001")
    config.fill_model = "l2_queue"
    config.latency_fixed_us = 1000
    parameters = {"half_spread_bps": 0.05, "quote_qty": 0.5, "max_inventory": 50.0, "skew_bps_per_unit": 0.0}
    times, result = [], None
    for _ in range(3):
        begin = time.process_time()
        result = fastmm.run_backtest(config, data=columns, strategy="basic_mm", params=parameters)
        times.append(time.process_time() - begin)
    told = repr(result)
    print(json.dumps({"case": "basic_mm, C++", "seconds": min(times), "events": len(events), "told": told}))


main()
