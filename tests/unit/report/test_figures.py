"""Figures are valid SVG, deterministic, and show what they are given."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from marketprism.report.figures import backtest, judgement, market, studies

_N = 60
_RNG = np.random.Generator(np.random.PCG64(1))
_TS = (1_723_161_255 * 10**9 + np.cumsum(_RNG.integers(1, 40, _N)) * 10**9).astype(np.int64)
_MID = 100 + np.cumsum(_RNG.normal(0, 0.1, _N))
_TICKS = np.rint(_MID * 10).astype(np.int64)[:, None, None] + np.array([-1, 1])[:, None] * np.arange(1, 6)
_QUANTITY = _RNG.exponential(1.0, (_N, 2, 5))
_COUNTS = np.zeros((1440, 6), np.int64)
_COUNTS[600:630] = 7
_IMBALANCE = np.zeros((1440, 20), np.int64)
_IMBALANCE[600:630] = 3

DRAWINGS = {
    "spread_states": lambda: market.spread_states({"one": (0.9, 0.06, 0.04), "two": (0.2, 0.3, 0.5)}),
    "price_and_buckets": lambda: market.price_and_buckets(_TS, _MID, ["volume"] * 30 + ["time"] * 30),
    "book_heatmap": lambda: market.book_heatmap(_TS, _TICKS, _QUANTITY, _MID, 0.1),
    "book_shape": lambda: market.book_shape(_TICKS, _QUANTITY),
    "bucket_durations": lambda: market.bucket_durations(_RNG.exponential(9, 50) * 0 + np.arange(50), 12.0, 40.0),
    "spread_by_time": lambda: market.spread_by_time(_COUNTS),
    "imbalance_by_time": lambda: market.imbalance_by_time(_IMBALANCE),
    "interval_bars": lambda: judgement.interval_bars(
        ["a", "b"], np.array([0.1, -0.02]), np.array([0.05, -0.1]), np.array([0.2, 0.06]), "IC"
    ),
    "fold_ic": lambda: judgement.fold_ic({"logistic": [(0.1, 0.0, 0.2), (0.2, 0.1, 0.3)]}),
    "calibration": lambda: judgement.calibration(
        {"logistic": (np.array([0.4, 0.6]), np.array([0.45, 0.55]), np.array([10, 20]))}
    ),
    "equity": lambda: judgement.equity(
        _TS, {"logistic": (_MID - _MID[0], _MID - _MID[0] - 0.01 * np.arange(_N))}, "bps"
    ),
    "equity_and_drawdown": lambda: backtest.equity_and_drawdown(
        _TS, _MID - _MID[0], {"spread": np.arange(_N) * 0.1, "inventory": -np.arange(_N) * 0.1}, "USDT"
    ),
    "lane_equity": lambda: backtest.lane_equity(_TS, {"a": _MID - _MID[0], "b": _MID[0] - _MID}, "b", "USDT"),
    "inventory_path": lambda: backtest.inventory_path(_TS, np.sin(np.arange(_N) / 5), _MID, "BTC"),
    "inventory_shares": lambda: backtest.inventory_shares({"one": np.arange(_N) * 1.0, "two": np.zeros(_N)}, "BTC"),
    "inventory_flat": lambda: backtest.inventory_shares({"one": np.zeros(_N)}, "BTC", wide=True),
    "markouts": lambda: backtest.markouts({"maker": [(0.1, -0.1, 0.01), (1.0, -0.2, 0.02)]}, "ticks"),
    "split_bars": lambda: studies.split_bars(["a", "b"], {"spread": [1.0, 2.0], "inventory": [-1.5, 0.5]}, "USDT"),
    "frontier": lambda: studies.frontier({"a": [(1, 2), (0.5, 1)]}, "risk", "return", [(2.0, 1.0, "1 tick")]),
    "intensity": lambda: studies.intensity(np.array([0.5, 1.5]), np.array([0.4, 0.1]), 0.7, 1.2),
    "quotes": lambda: studies.quotes({"a": (np.arange(-3, 4), -np.ones(7), np.ones(7))}),
    "curves_by": lambda: studies.curves_by([0.1, 1, 10], {"a": [0.1, 0.2, 0.3]}, "latency", "share", percent=True),
    "curves_from_zero": lambda: studies.curves_by([0, 1, 10], {"a": [0.1, 0.2, 0.3]}, "latency", "share"),
    "panels": lambda: studies.panels(
        [0, 1, 10],
        [
            studies.Panel("share", {"a": [0.1, 0.2, 0.3], "b": [0.3, 0.2, 0.1]}, percent=True),
            studies.Panel("P&L", {"a": [0.0, 1.0, 2.0]}, {"a": [(float("nan"), float("nan")), (0.5, 1.5), (1.0, 3.0)]}),
            studies.Panel("fills", {"a": [3.0, 2.0, 1.0]}),
            studies.Panel("more", {"a": [3.0, 2.0, 1.0]}),
        ],
        "latency",
    ),
    "stacked_volumes": lambda: studies.stacked_volumes(["a", "b"], {"one": [1.0, 2.0], "two": [0, 1]}, 1.0, "BTC"),
    "paths": lambda: studies.paths(_TS, {"a": _MID - _MID[0]}, "position", (-1.0, 1.0)),
}


@pytest.mark.parametrize("name", sorted(DRAWINGS))
def test_drawing_is_svg_that_scales_and_repeats(name: str) -> None:
    svg = DRAWINGS[name]()
    root = ET.fromstring(svg)
    assert root.tag.endswith("svg")
    assert "viewBox" in root.attrib
    assert "width" not in root.attrib
    assert len(list(root.iter())) > 30
    assert svg == DRAWINGS[name]()


@pytest.mark.parametrize("lots", [1, 3, 11, 40])
def test_positions_in_thirds_of_an_order_draw_no_comb(lots: int) -> None:
    positions = np.tile(np.arange(-10 * lots, 10 * lots + 1) / lots, 3)
    edges = backtest.level_bins(positions)
    counts = np.histogram(positions, edges)[0]
    assert len(counts) <= 41
    assert counts.sum() == len(positions)
    # All bins hold the same number of levels but the last one, which may hold fewer.
    assert len(set(counts[:-1].tolist())) == 1
    assert counts[-1] <= counts[0]


def test_bins_of_values_that_are_all_different() -> None:
    values = np.random.default_rng(1).normal(size=5000)
    counts = np.histogram(values, backtest.level_bins(values))[0]
    assert counts.sum() == 5000
    assert 35 <= len(counts) <= 41


@pytest.mark.parametrize(
    ("seconds", "times", "no_time"),
    [
        (345.0, ["23:55<", "23:56<", "23:59<", "00:00<"], "23:54"),
        (50.0, ["23:54:20", "23:54:30", "23:55:00"], "23:54:17"),
        (23_400.0, ["00:00<", "01:00<", "06:00<"], "23:54"),
        (3 * 86_400.0, ["08-09 00:00", "08-09 12:00", "08-11 12:00"], "23:54"),
        (30 * 86_400.0, ["08-10", "08-20", "09-04"], "23:54"),
        (2e8, ["08-08"], "23:54"),
    ],
)
def test_times_on_an_axis_are_round(seconds: float, times: list[str], no_time: str) -> None:
    first = 1_723_161_256_313_000_000  # 2024-08-08 23:54:16.313
    ts = first + np.linspace(0, seconds * 1e9, 50).astype(np.int64)
    svg = studies.paths(ts, {"a": np.arange(50.0)}, "position")
    assert [time for time in times if time not in svg] == []
    assert no_time not in svg


def test_same_bytes_in_another_process() -> None:
    code = (
        "from marketprism.report.figures.market import spread_states as f;"
        "import hashlib;print(hashlib.sha256(f({'x': (.5, .3, .2)}).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_spread_shares_are_written_on_the_bars() -> None:
    svg = market.spread_states({"x": (0.9, 0.1, 0.0)})
    assert "90%" in svg
    assert "10%" in svg
