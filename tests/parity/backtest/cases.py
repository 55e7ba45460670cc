"""Random cases for the parity of compat mode: feeds, latencies, scripts, as plain arrays that both sides read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

START = 1_700_000_000_000_000_000
BUY, SELL, EXCHANGE, LOCAL = 1 << 29, 1 << 28, 1 << 31, 1 << 30
DEPTH, TRADE, CLEAR, SNAPSHOT = 1, 2, 3, 4
FEEDS = ("calm", "crossed", "gapped", "cleared", "empty_sided", "equal_times")
LATENCIES = ("constant", "zero", "negative", "slow", "recorded", "refused")
STRATEGIES = ("script", "grid", "touch")
EVENT = np.dtype(
    [
        ("ev", "u8"),
        ("exch_ts", "i8"),
        ("local_ts", "i8"),
        ("px", "f8"),
        ("qty", "f8"),
        ("order_id", "u8"),
        ("ival", "i8"),
        ("fval", "f8"),
    ],
    align=True,
)
LATENCY = np.dtype([("req_ts", "i8"), ("exch_ts", "i8"), ("resp_ts", "i8"), ("_padding", "i8")], align=True)
_ROOM = 400
"""Ticks between the anchor and either end of the peer's ladder."""


class _Book:
    """What a feed has shown so far, so that what follows mostly makes sense."""

    def __init__(self, rng: np.random.Generator, anchor: int, lots: int) -> None:
        self.rng, self.bid, self.ask, self.lots = rng, anchor, anchor + 1, lots
        self.levels: dict[tuple[int, int], int] = {}

    def size(self) -> int:
        return 1 + int(self.rng.integers(0, self.lots))

    def move(self, side: int) -> tuple[int, int]:
        """Return the tick and lots of one level of a side that stays uncrossed."""
        rng = self.rng
        away = int(rng.geometric(0.35)) - 1
        best, step = (self.bid, -1) if side > 0 else (self.ask, 1)
        if away == 0 and self.ask - self.bid > 1 and rng.random() < 0.6:
            tick = best - step
        else:
            tick = best + step * away
        gone = (side, tick) in self.levels and rng.random() < 0.35
        lots = 0 if gone else self.size()
        if lots:
            self.levels[side, tick] = lots
        else:
            self.levels.pop((side, tick), None)
        shown = [t for s, t in self.levels if s == side]
        if shown:
            if side > 0:
                self.bid = min(max(shown), self.ask - 1)
            else:
                self.ask = max(min(shown), self.bid + 1)
        return tick, lots


def _rows(rng: np.random.Generator, feed: str, anchor: int, count: int) -> Iterator[tuple[int, float, int]]:
    """Yield kind and side, tick and lots of each event of a feed."""
    book = _Book(rng, anchor, 12)
    lost = 0
    for k in range(count):
        side = 1 if rng.random() < 0.5 else -1
        flag, chance = (BUY if side > 0 else SELL), rng.random()
        if feed == "gapped" and rng.random() < 0.01:
            lost = 25
            book.bid += int(rng.integers(-6, 7))
            book.ask = book.bid + 1 + int(rng.integers(0, 3))
        if feed == "cleared" and chance < 0.02:
            whole = rng.random()
            if whole < 0.4:
                yield CLEAR, 0, 0
            elif whole < 0.6:
                yield CLEAR | flag, np.inf if side < 0 else -np.inf, 0
            else:
                yield CLEAR | flag, (book.bid if side > 0 else book.ask) - side * int(rng.integers(-6, 6)), 0
            book.levels.clear()
            continue
        if feed == "empty_sided" and chance < 0.03:
            for tick in sorted(t for s, t in book.levels if s == side):
                yield DEPTH | flag, tick, 0
            book.levels = {at: lots for at, lots in book.levels.items() if at[0] != side}
            continue
        if chance < 0.25:
            tick = (book.ask if side > 0 else book.bid) + side * int(rng.integers(0, 5) == 4)
            tick -= side * int(rng.integers(0, 12) == 11)
            yield TRADE | (0 if rng.random() < 0.02 else flag), tick, book.size()
            resting = (-side, tick)
            if resting in book.levels and rng.random() < 0.8:
                book.levels[resting] = int(rng.integers(0, book.levels[resting] + 1))
                yield DEPTH | (SELL if side > 0 else BUY), tick, book.levels[resting]
                if not book.levels[resting]:
                    del book.levels[resting]
            continue
        if feed in ("crossed", "cleared") and chance < 0.31:
            tick = (book.ask if side > 0 else book.bid) + side * int(rng.integers(0, 4))
            yield DEPTH | flag, tick, book.size()
            if rng.random() < 0.7:
                yield DEPTH | flag, tick, 0
            continue
        tick, lots = book.move(side)
        lost -= 1
        if lost < 0:
            yield (SNAPSHOT if k < 20 else DEPTH) | flag, tick, lots


def _feed(rng: np.random.Generator, feed: str, anchor: int, sizes: tuple[float, float], count: int) -> np.ndarray:
    """Return a feed in the peer's records; where its two clocks disagree an event stands in it twice."""
    rows = list(_rows(rng, feed, anchor, count))
    events = np.zeros(len(rows), EVENT)
    events["ev"] = [row[0] for row in rows]
    events["px"] = np.array([row[1] for row in rows], float) * sizes[0]
    events["qty"] = np.array([row[2] for row in rows], float) * sizes[1]
    same = {"equal_times": 0.7, "gapped": 0.2}.get(feed, 0.15)
    steps = np.where(rng.random(len(rows)) < same, 0, rng.integers(1, 60, len(rows)) * 1_000_000)
    if feed == "gapped":
        steps[rng.random(len(rows)) < 0.01] = 5_000_000_000
    events["exch_ts"] = START + np.cumsum(steps)
    delay = 1_000_000 * rng.integers(0, 4, len(rows)) if rng.random() < 0.5 else 2_000_000
    events["local_ts"] = events["exch_ts"] + delay
    if rng.random() < 0.5:
        events["local_ts"] = np.maximum.accumulate(events["local_ts"])
    if (np.diff(events["local_ts"]) >= 0).all():
        events["ev"] |= EXCHANGE | LOCAL
        return events
    at_exchange, heard = events.copy(), events[np.argsort(events["local_ts"], kind="stable")]
    at_exchange["ev"] |= EXCHANGE
    heard["ev"] |= LOCAL
    both = np.concatenate([at_exchange, heard])
    return both[np.argsort(np.r_[at_exchange["exch_ts"], heard["local_ts"]], kind="stable")]


def _recorded(rng: np.random.Generator, refused: bool) -> np.ndarray:
    """Return recorded latencies; with ``refused``, some requests never reached the exchange."""
    count = int(rng.integers(1, 40))
    rows = np.zeros(count, LATENCY)
    rows["req_ts"] = START + np.cumsum(rng.integers(1, 900, count)) * 1_000_000
    rows["exch_ts"] = rows["req_ts"] + rng.integers(0, 30, count) * 500_000
    rows["exch_ts"] = np.maximum.accumulate(rows["exch_ts"] + np.arange(count))
    rows["resp_ts"] = rows["exch_ts"] + rng.integers(0, 30, count) * 700_000
    if refused and count > 2:
        rows["exch_ts"][1:-1][rng.random(count - 2) < 0.25] = 0
    return rows


def _script(rng: np.random.Generator, wakes: int, assets: int) -> np.ndarray:
    """Return orders, cancellations, modifications and clean-ups for each wake."""
    script = np.zeros((wakes, 3, 8), np.int64)
    verb = rng.choice([0, 1, 2, 3, 4], (wakes, 3), p=[0.3, 0.36, 0.14, 0.14, 0.06])
    script[:, :, 0] = verb
    script[:, :, 1] = rng.integers(0, assets, (wakes, 3))
    script[:, :, 2] = rng.choice([-1, 1], (wakes, 3))
    script[:, :, 3] = rng.integers(-3, 5, (wakes, 3))
    script[:, :, 3][rng.random((wakes, 3)) < 0.02] = 60
    script[:, :, 4] = rng.integers(1, 15, (wakes, 3))
    script[:, :, 5] = rng.random((wakes, 3)) < 0.08
    script[:, :, 6] = rng.choice([0, 1, 2, 3], (wakes, 3), p=[0.45, 0.3, 0.12, 0.13])
    script[:, :, 7] = rng.integers(0, 1 << 30, (wakes, 3))
    return script


def make_case(number: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the settings and the arrays of one case; the first cases walk through all kinds of each setting."""
    rng = np.random.default_rng([20_261_121, number])
    feed, latency = FEEDS[number % 6], LATENCIES[(number // 6 + number) % 6]
    strategy = STRATEGIES[0 if number % 4 < 2 else 1 + (number // 4) % 2]
    assets = 1 + int(number % 5 == 4)
    tick_size = float(rng.choice([0.1, 0.01, 0.5, 0.25, 1.0]))
    lot_size = float(rng.choice([0.001, 0.1, 1.0]))
    anchor = int(rng.integers(500, 1500))
    pause = int(rng.choice([3, 20, 100])) * 1_000_000
    wakes = 120
    way = int(rng.choice([0, 0, 1, 2])) if strategy != "touch" else 1
    entry, response = {
        "constant": (int(rng.integers(1, 30)) * 1_000_000, int(rng.integers(1, 30)) * 1_000_000),
        "zero": (0, 0),
        "negative": (-int(rng.integers(1, 30)) * 1_000_000, 5_000_000),
        "slow": (int(rng.integers(100, 400)) * 1_000_000, int(rng.integers(0, 400)) * 1_000_000),
    }.get(latency, (0, 0))
    case = {
        "number": number,
        "feed": feed,
        "latency": latency,
        "strategy": 0 if strategy == "script" else 1,
        "levels": {"script": 0, "grid": 5, "touch": 1}[strategy],
        "assets": assets,
        "tick_size": tick_size,
        "lot_size": lot_size,
        "anchor": anchor,
        "roi": anchor + _ROOM,
        "hashed": bool(rng.random() < 0.25) or feed == "cleared",
        "way": way,
        "entry": entry,
        "response": response,
        "recorded": latency in ("recorded", "refused"),
        "queue": number % 7 % 6,
        "exponent": float(rng.choice([1.0, 2.0, 3.0, 0.5])),
        "maker_fee": float(rng.choice([-0.00005, 0.0002])),
        "taker_fee": 0.0007,
        "inverse": bool(rng.random() < 0.3),
        "multiplier": float(rng.choice([1.0, 10.0])),
        "max_orders": 400,
    }
    data = {
        f"events{number}_{asset}": _feed(rng, feed, anchor, (tick_size, lot_size), int(rng.integers(250, 500)))
        for asset in range(assets)
    }
    data[f"pauses{number}"] = pause * rng.integers(1, 4, wakes) if way == 0 else np.full(wakes, pause)
    data[f"script{number}"] = _script(rng, wakes, assets)
    if case["recorded"]:
        data[f"latency{number}"] = _recorded(rng, latency == "refused")
    return case, data


def make_cases(numbers: Iterable[int]) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Return the settings and all arrays of several cases."""
    settings: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    for number in numbers:
        case, data = make_case(number)
        settings.append(case)
        arrays.update(data)
    return settings, arrays
