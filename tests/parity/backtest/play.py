"""The strategies of the parity cases, and the logs that they leave: one code for both sides.

A venue has ``step``, ``now``, ``best``, ``totals``, ``orders``, ``submit``, ``cancel``, ``modify`` and ``forget``.
Runs under the peer's Python too: it knows neither package.
"""

from __future__ import annotations

from typing import Any

import numpy as np

ID, STATUS, REQUEST, TICK, EXCHANGE_TS, SENT_TS, EXECUTED_TICK, MAKER, SIDE = range(9)
"""Columns of whole numbers of an order; floats are quantity, leaves and executed."""
_EMPTY_BID, _EMPTY_ASK = 0, 10**9


class Player:
    """Plays one case on a venue and keeps the logs."""

    def __init__(self, venue: Any, case: dict[str, Any], data: dict[str, np.ndarray]) -> None:
        number = case["number"]
        self.venue, self.case = venue, case
        self.pauses = data[f"pauses{number}"].tolist()
        self.script = data[f"script{number}"].tolist()
        self.home: list[int] = [-1]
        self.wake = 0
        self.told: dict[int, tuple[tuple[int, ...], tuple[float, ...]]] = {}
        self.order_rows: list[tuple[int, ...]] = []
        self.order_floats: list[tuple[float, ...]] = []
        self.wake_rows: list[tuple[int, ...]] = []
        self.wake_floats: list[tuple[float, ...]] = []

    def run(self) -> dict[str, np.ndarray]:
        """Play to the end of the pauses or of the data; return the logs as arrays."""
        act = self._script if self.case["strategy"] == 0 else self._make
        ended = 0
        for wake, pause in enumerate(self.pauses):
            self.wake = wake
            if self.venue.step(self.case["way"], pause):
                ended = 1
                break
            self._look(wakes=True)
            act()
            self._look(wakes=False)
        return {
            "order_rows": np.array(self.order_rows, np.int64).reshape(-1, 11),
            "order_floats": np.array(self.order_floats, float).reshape(-1, 3),
            "wake_rows": np.array(self.wake_rows, np.int64).reshape(-1, 6),
            "wake_floats": np.array(self.wake_floats, float).reshape(-1, 7),
            "ended": np.array([ended, len(self.home) - 1]),
        }

    def _look(self, *, wakes: bool) -> None:
        for asset in range(self.case["assets"]):
            for number, order in sorted(self.venue.orders(asset).items()):
                if self.told.get(number) != order:
                    self.told[number] = order
                    self.order_rows.append((self.wake, asset, *order[0]))
                    self.order_floats.append(order[1])
            if wakes:
                bid, ask, *quantities = self.venue.best(asset)
                trades, *totals = self.venue.totals(asset)
                self.wake_rows.append((self.wake, asset, self.venue.now(), bid, ask, trades))
                self.wake_floats.append((*quantities, *totals))

    def _send(self, asset: int, side: int, tick: int, lots: int, kind: int, force: int) -> None:
        if len(self.home) < self.case["max_orders"]:
            self.home.append(asset)
            self.venue.submit(asset, len(self.home) - 1, side, tick, lots * self.case["lot_size"], kind, force)

    def _script(self) -> None:
        for verb, asset, side, offset, lots, kind, force, reference in self.script[self.wake]:
            if verb == 1:
                bid, ask, *_ = self.venue.best(asset)
                base = bid if side > 0 else ask
                if base < _EMPTY_BID or base > _EMPTY_ASK:
                    base = self.case["anchor"]
                self._send(asset, side, base - side * offset, lots, kind, force)
            elif verb == 4:
                self.venue.forget(asset)
            elif verb >= 2 and len(self.home) > 1:
                number = 1 + reference % (len(self.home) - 1)
                order = self.venue.orders(self.home[number]).get(number)
                if order is None or order[0][STATUS] not in (1, 5) or order[0][REQUEST] != 0:
                    continue
                if verb == 2:
                    self.venue.cancel(self.home[number], number)
                else:
                    quantity = lots * self.case["lot_size"]
                    self.venue.modify(self.home[number], number, order[0][TICK] + offset, quantity)

    def _make(self) -> None:
        levels, most = self.case["levels"], 40 * self.case["lot_size"]
        for asset in range(self.case["assets"]):
            self.venue.forget(asset)
            bid, ask, *_ = self.venue.best(asset)
            if bid < _EMPTY_BID or ask > _EMPTY_ASK:
                continue
            have = set()
            for number, (order, _) in sorted(self.venue.orders(asset).items()):
                side = order[SIDE]
                away = bid - order[TICK] if side == 1 else order[TICK] - ask
                if 0 <= away < levels:
                    have.add((side, away))
                elif order[STATUS] in (1, 5) and order[REQUEST] == 0:
                    self.venue.cancel(asset, number)
            position = self.venue.totals(asset)[1]
            for away in range(levels):
                if position < most and (1, away) not in have:
                    self._send(asset, 1, bid - away, 5, 0, 1)
                if position > -most and (-1, away) not in have:
                    self._send(asset, -1, ask + away, 5, 0, 1)
