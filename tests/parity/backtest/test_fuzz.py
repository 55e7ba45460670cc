"""Compat mode against hftbacktest 2.4.4, order by order, over random configurations.

Each case draws a feed (calm, crossed, gapped, cleared, one side emptied, many equal times; with clocks that agree or
not), latencies (constant, zero, slow, negative, recorded, recorded with refusals), one of the six queue models, one or
two markets, linear or inverse contracts, the peer's array or hash book, a way of waiting (time, feed, feed and
responses) and a strategy: random orders of all kinds with modifications and cancellations, a grid, or a quoter at the
touch. Compared are every state of every order that the strategy sees (id, status, request, price, quantity, what is
left, what was executed at what price, maker, exchange time, time of the request) and, at every wake, the time, the best
prices with their quantities, trades, position, cash, fees, volume and value.

Left out: asks cleared up to a price on the peer's array book, which keeps their quantities where it empties bids; feeds
that are cleared run on its hash book, which empties both.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.xdist_group("hftbacktest")

FEW = (*range(42), 1035)
"""In the last one an order is passed by the best when levels are cleared: rare."""
MANY = range(42, 600)
EXACT = ("order_rows", "order_floats", "wake_rows", "ended")
"""Logs without sums: these must be equal. Fills of one instant are summed in any order by the peer's hash maps."""


def _play(helpers: dict[str, ModuleType], peer: Path, folder: Path, numbers: Iterable[int]) -> dict[int, Any]:
    """Return case, our logs and the peer's, by number."""
    cases, data = helpers["cases"].make_cases(numbers)
    np.savez(folder / "cases.npz", cases=np.array(json.dumps(cases)), **data)
    driver = Path(__file__).with_name("peer_driver.py")
    subprocess.run([str(peer), str(driver), str(folder / "cases.npz"), str(folder / "results.npz")], check=True)
    results = dict(np.load(folder / "results.npz"))
    played = {}
    for case in cases:
        ours = helpers["play"].Player(helpers["ours"].Ours(case, data), case, data).run()
        played[case["number"]] = (case, ours, {name: results[f"{name}{case['number']}"] for name in ours})
    return played


def _difference(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> str | None:
    """Return the first place where two logs differ."""
    for name, mine in ours.items():
        other = theirs[name]
        rows = min(len(mine), len(other))
        if name in EXACT:
            same = mine[:rows] == other[:rows]
        else:
            same = np.isclose(mine[:rows], other[:rows], rtol=1e-12, atol=1e-9)
        wrong = np.flatnonzero([not row.all() for row in same])
        if wrong.size:
            return f"{name}[{wrong[0]}]: ours {mine[wrong[0]].tolist()}, peer {other[wrong[0]].tolist()}"
        if len(mine) != len(other):
            return f"{name}: {len(mine)} rows, peer {len(other)}"
    return None


def _name(case: dict[str, Any]) -> str:
    told = ("feed", "latency", "strategy", "queue", "way", "assets", "inverse", "hashed")
    return f"case {case['number']} ({', '.join(f'{name} {case[name]}' for name in told)})"


@pytest.fixture(scope="module")
def few(helpers: dict[str, ModuleType], peer: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Any]:
    return _play(helpers, peer, tmp_path_factory.mktemp("few"), FEW)


@pytest.mark.parametrize("number", FEW)
def test_same_orders(few: dict[int, Any], number: int) -> None:
    case, ours, theirs = few[number]
    assert _difference(ours, theirs) is None, _name(case)


def test_cases_are_not_empty(few: dict[int, Any], helpers: dict[str, ModuleType]) -> None:
    """Every kind of setting and of outcome occurs among the few, so that agreement means something."""
    play, cases = helpers["play"], helpers["cases"]
    drawn = {name: {case[name] for case, *_ in few.values()} for name in ("feed", "latency", "queue", "assets", "way")}
    assert drawn["feed"] == set(cases.FEEDS)
    assert drawn["latency"] == set(cases.LATENCIES)
    assert drawn["queue"] == set(range(6))
    assert (drawn["assets"], drawn["way"]) == ({1, 2}, {0, 1, 2})
    seen: Counter[str] = Counter()
    for _, ours, _ in few.values():
        rows = ours["order_rows"][:, 2:]
        filled = rows[:, play.STATUS] == 3
        seen["maker"] += int((rows[filled, play.MAKER] == 1).sum())
        seen["taker"] += int((rows[filled, play.MAKER] == 0).sum())
        expired = rows[:, play.STATUS] == 2
        seen["refused"] += int((expired & (rows[:, play.EXCHANGE_TS] == 0)).sum())
        seen["expired"] += int((expired & (rows[:, play.EXCHANGE_TS] != 0)).sum())
        seen["cancelled"] += int((rows[:, play.STATUS] == 4).sum())
        seen["modifying"] += int((rows[:, play.REQUEST] == 6).sum())
    assert min(seen[name] for name in ("maker", "taker", "refused", "expired", "cancelled", "modifying")) > 100, seen


@pytest.mark.slow
def test_same_orders_in_many_cases(helpers: dict[str, ModuleType], peer: Path, tmp_path: Path) -> None:
    played = _play(helpers, peer, tmp_path, MANY)
    differences = {_name(case): _difference(ours, theirs) for case, ours, theirs in played.values()}
    assert {name: what for name, what in differences.items() if what} == {}
    assert len(differences) + len(FEW) >= 500
