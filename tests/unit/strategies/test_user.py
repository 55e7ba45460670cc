"""Own strategies: a class and a compiled function with the same rule send the same orders."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from marketprism.backtest.config import MarketConfig
from marketprism.backtest.engine import Engine
from marketprism.backtest.signals import SignalTape
from marketprism.backtest.strategy import Desk, Fill, Strategy, run_strategies
from marketprism.backtest.tape import Tape
from marketprism.core.errors import ConfigError, DataError
from marketprism.strategies import user
from marketprism.strategies.runner import simulate
from marketprism.strategies.user import load_strategy

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "own-strategy.md"
CLASS, COMPILED = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[:2]


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "plain.py").write_text(CLASS)
    (tmp_path / "compiled.py").write_text(COMPILED)
    return f"{tmp_path / 'plain.py'}:Joiner", f"{tmp_path / 'compiled.py'}:joiner"


@pytest.mark.slow
def test_a_class_and_a_compiled_function_send_the_same_orders(files: tuple[str, str], tape: Tape) -> None:
    start = int(tape.events["local_ts"][0])
    lean = SignalTape(start + np.arange(24) * 10_000_000_000, np.resize([1.0, -1.0, np.nan], (24, 1)), ("lean",))
    loaded = [load_strategy(path) for path in files]
    for signals in (None, lean):
        settings = [{"quantity": "0.5"}, {"most": 2}]
        one, two = (simulate([tape], strategy, settings, signals=signals) for strategy in loaded)
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


def test_lanes_of_a_class_run_until_the_last_answer(files: tuple[str, str], tape: Tape) -> None:
    start = int(tape.events["local_ts"][0])
    late = SignalTape(np.array([start + 60_000_000_000]), np.ones((1, 1)), ("lean",))
    far = MarketConfig(entry_latency_ms=150.0, response_latency_ms=150.0)
    settings = [{"quantity": "0.5"}, {"most": 2}]
    engine = simulate([tape], files[0], settings, signals=late, markets=[far], mode="compat")
    buys = engine.responses().filter((pl.col("side") > 0) & (pl.col("status") == "new"))
    assert buys["ts"].min() > start + 60_000_000_000
    assert engine.accounts["trades"].min() > 10
    assert (np.abs(engine.accounts["position"]) <= 5).all()


def test_what_a_compiled_function_is_given(files: tuple[str, str], tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[object, ...]] = []
    monkeypatch.setattr(user, "drive_decide", lambda _e, *arguments: given.append(arguments) or 0)
    mine = load_strategy(files[1])
    lean = SignalTape(np.arange(2), np.ones((2, 3)), ("a", "b", "c"))
    simulate([tape, tape], mine, [{"most": 2}, {"quantity": "0.5"}], agents=1, interval_ms=20.0, signals=lean)
    simulate([tape], mine.what)
    (function, interval, parameters, state, at, ts, values), bare = given
    assert function is mine.what
    assert interval == 20_000_000
    assert parameters.tolist() == [[1.0, 2.0], [0.5, 5.0]]
    assert state.shape == (4, 2)
    assert at.tolist() == [-1]
    assert (ts.tolist(), values.shape) == ([0, 1], (2, 3))
    assert (bare[2].shape, bare[3].shape, bare[6].shape) == ((1, 0), (1, 16), (0, 0))


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
