"""Every factor against slow plain Python that looks at the whole past, on a simulated tape and on real data."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from marketprism.book.book import Book
from marketprism.book.config import BookConfig
from marketprism.book.views import ViewStatus
from marketprism.buckets.clock import BucketClock
from marketprism.buckets.config import BucketConfig
from marketprism.core.block import EventBlock, concat
from marketprism.core.kinds import EventKind, Flag
from marketprism.factors.config import EngineConfig
from marketprism.factors.engine import FactorEngine
from marketprism.testing.tapes import market_tape

NS = 10**9
NAN = math.nan
WINDOWS = (1, 5, 20)
POLICIES = {
    "event": BucketConfig(policy="event", target_updates=15),
    "time": BucketConfig(policy="time", t_target_s=3.0),
    "count": BucketConfig(policy="count", target_trades=10),
}


class Reference:
    """The tape as lists, and every factor as a sum over them."""

    def __init__(self, block: EventBlock, config: EngineConfig) -> None:
        instrument = block.instrument
        self.tick, self.rows = instrument.tick, block.rows
        views = Book(instrument, config.book).push(block.rows)
        clock = BucketClock(instrument, config.buckets)
        cuts, buckets = clock.push(block.rows, views)
        self.buckets = np.concatenate([buckets, clock.flush()])
        ends = []
        for i in np.flatnonzero(cuts).tolist():
            ends += [i] * (cuts[i] & 1) + [i + 1] * (cuts[i] >> 1 & 1)
        ends += [len(block)] * (len(self.buckets) - len(ends))
        self.top, self.price, self.quantity = views
        self.time = np.maximum.accumulate(block.rows["ts_event"]).tolist()
        status = self.top["status"]
        self.valid = ((status & ViewStatus.VALID) != 0).tolist()
        synced = (status & ViewStatus.SYNCED) != 0
        resets = block.rows["kind"] == EventKind.GAP
        resets[1:] |= synced[:-1] & ~synced[1:]
        reset_at = np.maximum.accumulate(np.where(resets, np.arange(len(block)), 0)).tolist()
        # A bucket is the rows [start, end); its segment the rows [segment, end).
        self.spans, previous = [], 0
        for end in ends:
            segment = reset_at[end - 1]
            self.spans.append((max(previous, segment), end, segment))
            previous = end
        self.mid2 = [
            int(b + a) if v else 0 for b, a, v in zip(self.top["bid"], self.top["ask"], self.valid, strict=True)
        ]
        self._events()

    def _events(self) -> None:
        """List the flows at every row where the quotes changed, the mid moves, and the trades."""
        top, rows = self.top, self.rows
        quotes = list(
            zip(*(top[n].tolist() for n in ("bid", "ask", "bid_quantity", "ask_quantity", "status")), strict=True)
        )
        self.flows: dict[int, tuple[float, float]] = {}
        for i in range(1, len(rows)):
            if quotes[i] != quotes[i - 1] and self.valid[i] and self.valid[i - 1]:
                b, a, qb, qa, _ = quotes[i]
                b0, a0, qb0, qa0, _ = quotes[i - 1]
                e = (b >= b0) * qb - (b <= b0) * qb0 - (a <= a0) * qa + (a >= a0) * qa0
                bid = qb if b > b0 else qb0 - qb if b < b0 else qb - qb0
                ask = qa if a < a0 else qa0 - qa if a > a0 else qa - qa0
                self.flows[i] = (e, bid - ask)
        trade = (rows["kind"] == EventKind.TRADE) & ((rows["flags"] & Flag.AUCTION) == 0)
        self.trades = [
            (i, self.time[i], int(rows["price"][i]), float(rows["quantity"][i]), int(rows["side"][i]))
            for i in np.flatnonzero(trade).tolist()
        ]

    def moves(self, start: int, end: int, segment: int) -> list[tuple[int, float]]:
        """Log returns (row, r) at rows [start, end) between consecutive valid mids of the segment."""
        key = segment
        if getattr(self, "_moves_key", None) != key:
            self._moves_key, self._moves_list, self._moves_upto, self._moves_mid = key, [], segment, 0
        for i in range(self._moves_upto, end):
            m = self.mid2[i]
            if m and m != self._moves_mid:
                if self._moves_mid:
                    self._moves_list.append((i, math.log(m / self._moves_mid)))
                self._moves_mid = m
        self._moves_upto = max(self._moves_upto, end)
        return [item for item in self._moves_list if start <= item[0] < end]

    def first_valid(self, segment: int, end: int) -> int | None:
        return next((i for i in range(segment, end) if self.valid[i]), None)

    def window(self, k: int, n: int) -> list[int] | None:
        """Indices of the last n buckets of the segment, None where there are fewer."""
        segment = self.spans[k][2]
        window = [j for j in range(max(0, k - n + 1), k + 1) if self.spans[j][2] == segment]
        return window if len(window) == n else None

    def row(self, k: int) -> dict[str, float]:
        out: dict[str, float] = {}
        for part in (self.level1, self.ofi, self.returns, self.flow, self.flow_forms, self.depth, self.sweeps):
            out.update(part(k))
        return out

    def held(self, k: int) -> list[tuple[int, float]]:
        """(row whose view holds or -1, ns) over the bucket."""
        start, end, _ = self.spans[k]
        now, result, at = int(self.buckets["ts_start"][k]), [], start - 1
        for i in range(start, end):
            result.append((at, max(self.time[i] - now, 0)))
            now, at = max(now, self.time[i]), i
        result.append((at, max(int(self.buckets["ts_end"][k]) - now, 0)))
        return result

    def level1(self, k: int) -> dict[str, float]:
        names = ("spread_ticks", "spread_bps", "relative_spread", "queue_imbalance", "microprice")
        names += ("microprice_deviation", "micro_mid_spread")
        end = self.spans[k][1]
        out = dict.fromkeys(names, NAN)

        def imbalance(i: int) -> float:
            qb, qa = self.top["bid_quantity"][i], self.top["ask_quantity"][i]
            return (qb - qa) / (qb + qa)

        if self.valid[end - 1]:
            v = self.top[end - 1]
            b, a, qb, qa = int(v["bid"]), int(v["ask"]), float(v["bid_quantity"]), float(v["ask_quantity"])
            micro = (Fraction(qb) * a + Fraction(qa) * b) / (Fraction(qb) + Fraction(qa))
            mid = Fraction(a + b, 2)
            out.update(
                spread_ticks=a - b,
                spread_bps=float(10_000 * (a - b) / mid),
                relative_spread=(a - b) / (a + b),
                queue_imbalance=(qb - qa) / (qb + qa),
                microprice=float(micro * Fraction(self.tick)),
                microprice_deviation=float((micro - mid) / (a - b)) if a > b else NAN,
                micro_mid_spread=float(micro - mid),
            )
        held = [(i, dt) for i, dt in self.held(k) if i >= 0 and self.valid[i] and dt > 0]
        total = sum(dt for _, dt in held)
        spread = sum((self.top["ask"][i] - self.top["bid"][i]) * dt for i, dt in held)
        out["spread_ticks_mean"] = spread / total if total else out["spread_ticks"]
        weighted = sum(imbalance(i) * dt for i, dt in held)
        out["queue_imbalance_mean"] = weighted / total if total else out["queue_imbalance"]
        return out

    def ofi(self, k: int) -> dict[str, float]:
        out: dict[str, float] = {}
        _, end, segment = self.spans[k]
        ts_end = int(self.buckets["ts_end"][k])
        ok = self.valid[end - 1]
        for which, name in enumerate(("ofi", "book_pressure")):
            for n in WINDOWS:
                window = self.window(k, n)
                value = NAN
                if window and all(self.valid[self.spans[j][1] - 1] for j in window):
                    rows = [
                        i for j in window for i in range(self.spans[j][0], self.spans[j][1]) if i > self.spans[j][2]
                    ]
                    value = sum(self.flows[i][which] for i in rows if i in self.flows)
                out[name if n == 1 else f"{name}_{n}_buckets"] = value
        rows = [i for i in range(segment + 1, end) if i in self.flows]
        out["ofi_100_events"] = sum(self.flows[i][0] for i in rows[-100:]) if ok and len(rows) >= 100 else NAN
        first = self.first_valid(segment, end)
        for h, label in ((10, "10s"), (60, "1m")):
            filled = ok and first is not None and ts_end - self.time[first] >= h * NS
            out[f"ofi_halflife_{label}"] = (
                sum(self.flows[i][0] * 2.0 ** (-(ts_end - self.time[i]) / (h * NS)) for i in rows) if filled else NAN
            )
        out["strong_event"] = self.strong(k, rows) if ok else NAN
        return out

    def strong(self, k: int, rows: list[int]) -> float:
        pressures: list[float] = []
        pressure, last = 0.0, 0.0
        for i in rows:
            pressure += self.flows[i][1]
            move = self.mid2[i] - self.mid2[i - 1]
            if move:
                if len(pressures) >= 100:
                    limit = sorted(pressures[-100:])[math.ceil(0.9 * 100) - 1]
                    if math.copysign(1, move) * pressure > limit and i >= self.spans[k][0]:
                        last = math.copysign(1, move)
                pressures.append(abs(pressure))
                pressure = 0.0
        return last if len(pressures) >= 100 else NAN

    def returns(self, k: int) -> dict[str, float]:
        _, end, segment = self.spans[k]
        ts_end = int(self.buckets["ts_end"][k])
        mid = self.mid2[end - 1]
        out: dict[str, float] = {}
        moves = self.moves(segment, end, segment)
        for n in WINDOWS:
            suffix = "" if n == 1 else f"_{n}_buckets"
            window, before = self.window(k, n), self.window(k, n + 1)
            past = self.mid2[self.spans[before[0]][1] - 1] if before else 0
            out["mid_return" + suffix] = math.log(mid / past) if mid and past else NAN
            filled = window and all(self.mid2[self.spans[j][1] - 1] for j in window)
            first = self.spans[window[0]][0] if window else 0
            out["realised_vol" + suffix] = math.sqrt(sum(r * r for i, r in moves if i >= first)) if filled else NAN
        for w, label in ((1, "1s"), (5, "5s"), (10, "10s"), (30, "30s"), (60, "1m"), (300, "5m")):
            known = [i for i in range(segment, end) if self.time[i] <= ts_end - w * NS]
            past = self.mid2[known[-1]] if known else 0
            out[f"momentum_{label}"] = math.log(mid / past) if mid and past else NAN
            if w >= 60:
                inside = [r * r for i, r in moves if self.time[i] > ts_end - w * NS]
                out[f"realised_vol_{label}"] = math.sqrt(sum(inside)) if mid and past else NAN
        first_row = self.first_valid(segment, end)
        for h, label in ((10, "10s"), (60, "1m"), (300, "5m")):
            value = NAN
            if mid and first_row is not None and ts_end - self.time[first_row] >= h * NS:
                elapsed = (ts_end - self.time[first_row]) / NS
                weight = h / math.log(2) * (1 - 2.0 ** (-elapsed / h))
                value = math.sqrt(sum(r * r * 2.0 ** (-(ts_end - self.time[i]) / (h * NS)) for i, r in moves) / weight)
            out[f"realised_vol_halflife_{label}"] = value
        return out

    def flow(self, k: int) -> dict[str, float]:
        out: dict[str, float] = {}
        end, segment = self.spans[k][1:]
        for n in WINDOWS:
            window = self.window(k, n)
            row = dict.fromkeys(
                (
                    *("traded_volume", "signed_volume", "flow_imbalance", "trade_count", "mean_trade_size"),
                    *("sign_persistence", "sign_autocorrelation", "inter_trade_time", "aggressive_share"),
                    *("trade_intensity", "vwap_deviation"),
                ),
                NAN
            )  # fmt: skip
            if window:
                first = self.spans[window[0]][0]
                trades = [t for t in self.trades if first <= t[0] < end]
                row.update(self.flow_window(trades, first, end, segment))
                row["trade_intensity"] = len(trades) / sum(int(self.buckets["duration_ns"][j]) for j in window) * NS
                opened = self.window(k, n + 1)
                before = self.mid2[self.spans[opened[0]][1] - 1] / 2 if opened else 0
                spread = int(self.top["ask"][end - 1]) - int(self.top["bid"][end - 1])
                if trades and before and self.valid[end - 1] and spread > 0:
                    vwap = sum(t[2] * t[3] for t in trades) / sum(t[3] for t in trades)
                    row["vwap_deviation"] = (vwap - before) / spread
            out.update({name if n == 1 else f"{name}_{n}_buckets": value for name, value in row.items()})
        return out

    def flow_window(self, trades: list, first: int, end: int, segment: int) -> dict[str, float]:
        volume = sum(t[3] for t in trades)
        signed = sum(t[3] * t[4] for t in trades)
        known = sum(t[3] for t in trades if t[4])
        out = {"traded_volume": volume, "signed_volume": signed, "trade_count": len(trades)}
        if known:
            out["flow_imbalance"] = signed / known
        if trades:
            out["mean_trade_size"] = volume / len(trades)
        signs = [t[4] for t in trades if t[4]]
        if len(signs) >= 2:
            out["sign_persistence"] = float(np.mean(np.multiply(signs[1:], signs[:-1])))
        if len(signs) >= 3 and len(set(signs)) == 2:
            x = np.array(signs) - np.mean(signs)
            out["sign_autocorrelation"] = float(np.sum(x[1:] * x[:-1]) / np.sum(x * x))
        all_times = [(t[0], t[1]) for t in self.trades if segment <= t[0] < end]
        waits = [b[1] - a[1] for a, b in pairwise(all_times) if b[0] >= first]
        if waits:
            out["inter_trade_time"] = sum(waits) / len(waits) / NS
        quoted = [t for t in trades if t[4] and t[0] > 0 and self.valid[t[0] - 1]]
        if quoted:
            crossing = 0.0
            for i, _, price, quantity, side in quoted:
                quote = self.top[i - 1]
                crossing += quantity if (price >= quote["ask"] if side > 0 else price <= quote["bid"]) else 0.0
            out["aggressive_share"] = crossing / sum(t[3] for t in quoted)
        return out

    def flow_forms(self, k: int) -> dict[str, float]:
        _, end, segment = self.spans[k]
        ts_end = int(self.buckets["ts_end"][k])
        trades = [t for t in self.trades if segment <= t[0] < end]
        signs = [t[4] for t in trades if t[4]]
        run = 0
        while run < len(signs) and signs[-1 - run] == signs[-1]:
            run += 1
        out = {"sign_run_length": run * signs[-1] if signs else NAN}
        for n in (20, 100):
            last = trades[-n:] if len(trades) >= n else []
            known = sum(t[3] for t in last if t[4])
            out[f"flow_imbalance_{n}_trades"] = sum(t[3] * t[4] for t in last) / known if known else NAN
            lasted = ts_end - last[0][1] if last else 0
            out[f"trade_intensity_{n}_trades"] = n / lasted * NS if lasted > 0 else NAN
        for h, label in ((10, "10s"), (60, "1m")):
            left = [2.0 ** (-(ts_end - t[1]) / (h * NS)) for t in trades]
            filled = bool(trades) and ts_end - trades[0][1] >= h * NS
            signed = sum(t[3] * t[4] * w for t, w in zip(trades, left, strict=True))
            known = sum(t[3] * w for t, w in zip(trades, left, strict=True) if t[4])
            out[f"signed_volume_halflife_{label}"] = signed if filled else NAN
            out[f"flow_imbalance_halflife_{label}"] = signed / known if filled and known else NAN
            weight = h / math.log(2) * (1 - 2.0 ** (-(ts_end - trades[0][1]) / (h * NS))) if filled else NAN
            out[f"trade_intensity_halflife_{label}"] = sum(left) / weight
        return out

    def depth_at(self, i: int) -> tuple[np.ndarray, np.ndarray] | None:
        if i < 0 or not self.top["status"][i] & ViewStatus.DEPTH_VALID:
            return None
        record = int(self.top["depth"][i])
        return self.price[record], self.quantity[record]

    def depth(self, k: int) -> dict[str, float]:
        start, end, segment = self.spans[k]
        out: dict[str, float] = {}
        now = self.depth_at(end - 1)
        for n in (m for m in (5, 10, 20) if m <= self.price.shape[2]):
            names = ("imbalance_{}_exponential", "imbalance_{}_distance", "log_ratio_{}")
            names += ("bid_{}", "ask_{}", "slope_bid_{}", "slope_ask_{}", "imbalance_{}")
            row = dict.fromkeys([f"depth_{name.format(n)}" for name in names], NAN)
            row |= {f"book_centroid_{side}_{n}": NAN for side in ("bid", "ask")}
            if now is not None and (now[1][:, :n] > 0).all() and now[1].shape[1] >= n:
                price, quantity = now[0][:, :n].astype(float), now[1][:, :n]
                d = np.abs(price - (price[0, 0] + price[1, 0]) / 2)
                total = quantity.sum(axis=1)
                near = (quantity * np.exp(-0.5 * np.arange(n))).sum(axis=1)
                slope = (d * quantity.cumsum(axis=1)).sum(axis=1) / (d * d).sum(axis=1)
                centroid = (quantity * d).sum(axis=1) / total
                row[f"depth_imbalance_{n}"] = (total[0] - total[1]) / total.sum()
                row[f"depth_imbalance_{n}_exponential"] = (near[0] - near[1]) / near.sum()
                if (d > 0).all():
                    close = (quantity / d).sum(axis=1)
                    row[f"depth_imbalance_{n}_distance"] = (close[0] - close[1]) / close.sum()
                row[f"depth_log_ratio_{n}"] = math.log(total[0] / total[1])
                for s, side in enumerate(("bid", "ask")):
                    row[f"depth_{side}_{n}"], row[f"depth_slope_{side}_{n}"] = total[s], slope[s]
                    row[f"book_centroid_{side}_{n}"] = centroid[s]
            held = []
            for i, dt in self.held(k):
                book = self.depth_at(i)
                if dt > 0 and book is not None and (book[1][:, :n] > 0).all():
                    total = book[1][:, :n].sum(axis=1)
                    held.append(((total[0] - total[1]) / total.sum(), dt))
            weight = sum(dt for _, dt in held)
            row[f"depth_imbalance_{n}_mean"] = (
                sum(x * dt for x, dt in held) / weight if weight else row[f"depth_imbalance_{n}"]
            )
            out |= row
        for level in (1, 2, 3, 4, 5, 10):
            total = 0.0
            for i in range(max(start, segment + 1), end):
                old, new = self.depth_at(i - 1), self.depth_at(i)
                if old is None or new is None or (self.top["depth"][i] == self.top["depth"][i - 1]):
                    continue
                (b0, a0), (b, a) = old[0][:, level - 1], new[0][:, level - 1]
                (qb0, qa0), (qb, qa) = old[1][:, level - 1], new[1][:, level - 1]
                if min(qb0, qa0, qb, qa) > 0:
                    total += (b >= b0) * qb - (b <= b0) * qb0 - (a <= a0) * qa + (a >= a0) * qa0
            there = now is not None and (now[1][:, level - 1] > 0).all()
            out[f"ofi_level_{level}"] = total if there else NAN
        return out

    def sweeps(self, k: int) -> dict[str, float]:
        _, end, segment = self.spans[k]
        sizes = [t[3] for t in self.trades if segment <= t[0] < end]
        weights = [2.0 ** (-(len(sizes) - 1 - j) / 200) for j in range(len(sizes))]
        book = self.depth_at(end - 1)
        out: dict[str, float] = {}
        for multiple in (10, 50):
            costs = [NAN, NAN]
            for side in (0, 1) if book is not None and len(sizes) >= 20 else ():
                left = size = multiple * float(np.dot(sizes, weights)) / sum(weights)
                mid, paid = (book[0][0, 0] + book[0][1, 0]) / 2, 0.0
                for price, quantity in zip(book[0][side], book[1][side], strict=True):
                    paid += min(left, quantity) * abs(price - mid)
                    left -= min(left, quantity)
                if left <= 0:
                    costs[side] = 1e4 * paid / (size * mid)
            out[f"sweep_cost_sell_{multiple}x_bps"], out[f"sweep_cost_buy_{multiple}x_bps"] = costs
            out[f"sweep_cost_difference_{multiple}x_bps"] = costs[1] - costs[0]
        return out


def compare(block: EventBlock, config: EngineConfig) -> tuple[dict[str, str], int]:
    """Return where factors differ from the reference, by name, and how many factors have a value at all."""
    engine = FactorEngine(config, instrument=block.instruments)
    rows = pl.concat([engine.push(block), engine.flush()])
    reference = Reference(block, config)
    assert rows.height == len(reference.buckets) > 5
    expected = [reference.row(k) for k in range(rows.height)]
    assert sorted(expected[0]) == sorted(engine.factor_names)
    wrong: dict[str, str] = {}
    for name in engine.factor_names:
        was = rows[name].cast(pl.Float64).fill_null(NAN).to_numpy()
        wanted = np.array([float(row[name]) for row in expected])
        # Differences of sums keep the rounding of their terms: an absolute floor at the column's size.
        floor = 1e-10 * max(1e-3, float(np.nanmax(np.abs(wanted), initial=0.0)))
        far = np.flatnonzero(~np.isclose(was, wanted, rtol=1e-9, atol=floor, equal_nan=True))
        if far.size:
            wrong[name] = f"{far.size} rows, the first {far[0]}: {was[far[0]]} instead of {wanted[far[0]]}"
    return wrong, sum(rows[name].null_count() < rows.height for name in engine.factor_names)


@pytest.mark.parametrize("policy", POLICIES)
def test_simulated_tape(policy: str) -> None:
    config = EngineConfig(book=BookConfig(depth_levels=20), buckets=POLICIES[policy])
    wrong, alive = compare(market_tape(2500), config)
    assert wrong == {}
    assert alive >= (115 if policy == "count" else 121)


def _file(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        pytest.skip(f"no {pattern} in {folder}")
    return found[0]


def _head(spec: str, rows: int) -> EventBlock:
    from marketprism.ingest.registry import open_source

    parts, n = [], 0
    for block in open_source(spec):
        parts.append(block[: rows - n])
        n += len(parts[-1])
        if n >= rows:
            break
    return concat(parts)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["time", "count"])
def test_lobster(data_dir: Path, policy: str) -> None:
    block = _head(f"lobster:{_file(data_dir, 'lobster/*GOOG*')}", 12_000)
    wrong, alive = compare(block, EngineConfig(buckets=POLICIES[policy]))
    assert wrong == {}
    assert alive >= 90


@pytest.mark.slow
def test_binance(data_dir: Path) -> None:
    block = _head(f"binance-ws:{_file(data_dir, 'binance_ws_20240808/usdm_btc*')}", 40_000)
    config = EngineConfig(buckets=BucketConfig(policy="time", t_target_s=5.0), book=BookConfig(start="first_update"))
    wrong, alive = compare(block, config)
    assert wrong == {}
    assert alive >= 80
