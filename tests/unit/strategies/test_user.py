"""Own strategies: a class and a compiled function with the same rule send the same orders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from marketprism.backtest.engine import Engine
from marketprism.backtest.signals import SignalTape
from marketprism.backtest.strategy import Desk, Fill, Strategy, run_strategies
from marketprism.backtest.tape import Tape
from marketprism.core.errors import ConfigError, DataError
from marketprism.strategies.runner import simulate
from marketprism.strategies.user import load_strategy

CLASS = '''
"""Joins the best prices, less where a signal says so."""
from marketprism.backtest.strategy import Strategy

class Joiner(Strategy):
    """One order a side at the best price."""
    quantity: float = 1.0
    most: float = 5.0

    def on_wake(self, desk):
        if desk.bid is None or desk.ask is None:
            return
        lean = desk.signals.get("lean", 0.0)
        wanted = {1: desk.bid if lean == lean and lean >= 0 else 0.0, -1: desk.ask}
        have = {1: 0, -1: 0}
        for order in desk.orders:
            have[order.side] += 1
            if order.price != wanted[order.side]:
                desk.cancel(order.id)
        for side in (1, -1):
            if not have[side] and wanted[side] > 0 and side * desk.position < self.most:
                desk.submit(side, wanted[side], self.quantity)
'''
COMPILED = '''
"""Joins the best prices, less where a signal says so."""
from numba import njit
from marketprism.backtest import actions, look

PARAMETERS = {"quantity": 1.0, "most": 5.0}
STATE = 2

@njit
def joiner(e, account, market, parameters, state, signals):
    bid, ask = look.best_bid(e, market), look.best_ask(e, market)
    if bid == look.NO_BID or ask == look.NO_ASK:
        return
    state[0] += 1
    buy = len(signals) == 0 or signals[0] >= 0
    buys = sells = 0
    handle = look.first_order(e, account, market)
    while handle >= 0:
        order = look.order(e, handle)
        following = look.next_order(e, handle)
        if order.side > 0:
            buys += 1
            if order.tick != bid or not buy:
                actions.cancel(e, handle)
        else:
            sells += 1
            if order.tick != ask:
                actions.cancel(e, handle)
        handle = following
    position = look.position(e, account, market)
    if buys == 0 and buy and position < parameters[1]:
        actions.submit(e, account, market, 1, bid, parameters[0], 0, 1)
    if sells == 0 and -position < parameters[1]:
        actions.submit(e, account, market, -1, ask, parameters[0], 0, 1)
'''


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "plain.py").write_text(CLASS)
    (tmp_path / "compiled.py").write_text(COMPILED)
    return f"{tmp_path / 'plain.py'}:Joiner", f"{tmp_path / 'compiled.py'}:joiner"


def test_a_class_and_a_compiled_function_send_the_same_orders(files: tuple[str, str], tape: Tape) -> None:
    start = int(tape.events["local_ts"][0])
    lean = SignalTape(start + np.arange(24) * 10_000_000_000, np.resize([1.0, -1.0, np.nan], (24, 1)), ("lean",))
    for signals in (None, lean):
        settings = [{"quantity": "0.5"}, {"most": 2}]
        one, two = (simulate([tape], path, settings, signals=signals) for path in files)
        assert one.accounts["trades"].min() > 20
        assert one.responses().equals(two.responses())


def test_the_desk_tells_what_was_heard(tape: Tape) -> None:
    seen: list[object] = []

    class Once(Strategy):
        """Buys one at once, moves an order, and looks."""

        def on_start(self, desk: Desk) -> None:
            assert desk.submit(1, 0.0, 1.0, kind="market", time_in_force="ioc") > 0
            self.order = desk.submit(1, desk.bid - desk.tick_size, 1.0)

        def on_wake(self, desk: Desk) -> None:
            if len(seen) == 1:
                (order,) = desk.orders
                assert (order.id, order.side, order.leaves, order.in_flight) == (self.order, 1, 1.0, False)
                assert desk.depth(1, 2) == [(desk.bid, 5.0), (desk.bid - desk.tick_size, 5.0)]
                assert desk.depth(-1, 1) == [(desk.ask, 5.0)]
                assert len(desk.depth(-1, 50)) == 5
                assert desk.market(0).position == desk.position == 1.0
                assert desk.cash < 0 == desk.fees
                assert desk.lot_size == 0.1
                assert desk.modify(order.id, order.price - desk.tick_size, 2.0)
                assert not desk.cancel(10**6)
                seen.append("moved")

        def on_fill(self, desk: Desk, fill: Fill) -> None:
            seen.append(fill)

    engine = simulate([tape], Once)
    fill = seen[0]
    assert isinstance(fill, Fill)
    assert (fill.side, fill.quantity, fill.maker) == (1, 1.0, False)
    assert "modified" in engine.responses()["status"].to_list()
    with pytest.raises(ConfigError, match="0 strategies for 1 accounts"):
        run_strategies(engine, [], interval_ns=1)


def test_an_empty_book_and_wrong_orders(tape: Tape) -> None:
    desk = Desk(Engine([tape]), 0)
    assert desk.bid is None
    assert desk.ask is None
    assert desk.depth(1) == []
    assert desk.signals == {}
    for wrong in ({"side": 2}, {"kind": "stop"}, {"time_in_force": "day"}, {"price": np.nan}):
        with pytest.raises(DataError):
            desk.submit(**{"side": 1, "price": 1.0, "quantity": 1.0, **wrong})


def test_wrong_files_names_and_values_are_named(files: tuple[str, str], tape: Tape, tmp_path: Path) -> None:
    plain, compiled = files
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "text.txt").write_text("nothing\n")
    (tmp_path / "untyped.py").write_text(COMPILED.replace("state[0] += 1", "state[0] += nothing_like_it"))
    for spec, said in (
        ("none.py:Name", "there is no file 'none.py'"),
        (f"{tmp_path / 'broken.py'}:Name", "ZeroDivisionError"),
        (f"{tmp_path / 'text.txt'}:Name", "not a Python file"),
        (plain.replace("Joiner", "Joinr"), "did you mean 'Joiner'"),
    ):
        with pytest.raises(ConfigError, match=said):
            load_strategy(spec)
    for what, settings, said in (
        (plain, {"quantiti": 1}, "did you mean 'quantity'"),
        (plain, {"quantity": "much"}, "the default is 1.0"),
        (compiled, {"quantiti": 1}, "did you mean 'quantity'"),
        (compiled, {"quantity": "much"}, "a finite number"),
        ([plain, compiled], {}, "all classes, or all one function"),
        (f"{tmp_path / 'untyped.py'}:joiner", {}, "did not compile"),
        (int, {}, "a Strategy class or an njit function"),
    ):
        with pytest.raises(ConfigError, match=said):
            simulate([tape], what, settings)
