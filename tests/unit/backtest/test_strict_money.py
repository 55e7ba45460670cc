"""Fees, tiers and rebates, funding, linear and inverse contracts, margin and liquidation."""

from __future__ import annotations

from typing import Any

import pytest

from marketprism.backtest.codes import TimeInForce
from marketprism.backtest.config import MarketConfig
from marketprism.backtest.fees import FeeTier
from marketprism.backtest.models import MarketModels
from marketprism.core.errors import ConfigError

IOC = TimeInForce.IOC
BASIS = 1e-4


def money(play: Any, *names: str, lane: int = 0) -> list[float]:
    return [float(play.engine.ledgers[0, lane][name]) for name in names]


@pytest.mark.parametrize("mode", ["strict", "compat"])
def test_makers_get_a_rebate_and_takers_pay(scene: type, mode: str) -> None:
    play = scene((20, "SELL_TRADE", 99, 9.0), mode=mode, maker_fee_bps=-1.0, taker_fee_bps=5.0)
    play.send(1, 101, 2.0, force=IOC)
    play.send(1, 99, 4.0)
    play.to(30)
    account = play.engine.accounts[0, 0]
    assert account["position"] == 6.0
    assert account["cash"] == -(2 * 50.5 + 4 * 49.5)
    assert account["fees"] == pytest.approx(2 * 50.5 * 5 * BASIS - 4 * 49.5 * BASIS)
    if mode == "strict":
        assert play.log("fee", "maker")[1:] == [(0.0, False), (pytest.approx(-4 * 49.5 * BASIS), True)]
        assert money(play, "held", "cash", "fees") == [account[name] for name in ("position", "cash", "fees")]


def test_tiers_hold_from_their_value_on(scene: type) -> None:
    tiers = (
        FeeTier(value=1000.0, maker_fee_bps=0.5, taker_fee_bps=4.0),
        FeeTier(value=1200.0, maker_fee_bps=0.0, taker_fee_bps=3.0),
    )

    def fees(traded: float, mode: str = "strict") -> list[float]:
        play = scene(
            (20, "ASK", 101, 5.0),
            (30, "ASK", 101, 5.0),
            mode=mode,
            taker_fee_bps=5.0,
            fee_tiers=tiers,
            traded_value=traded,
        )
        paid = []
        for ms in (1, 21, 31):
            play.to(ms)
            before = play.engine.accounts[0, 0]["fees"]
            play.send(1, 101, 2.0, force=IOC)
            play.to(ms + 5)
            paid.append(round((play.engine.accounts[0, 0]["fees"] - before) / (101 * BASIS), 9))
        return paid

    assert fees(0.0) == [5.0, 5.0, 5.0]
    assert fees(950.0) == [5.0, 4.0, 4.0]
    assert fees(1100.0) == [4.0, 3.0, 3.0]
    assert fees(1100.0, "compat") == [5.0, 5.0, 5.0], "no tiers there"


def test_a_users_fee_function_is_asked(scene: type) -> None:
    def fee(value: float, quantity: float, price: float, maker: int, traded: float) -> float:
        return quantity if maker else price + 0.001 * traded

    play = scene((20, "SELL_TRADE", 99, 9.0), models=MarketModels(fee=fee))
    play.send(1, 101, 2.0, force=IOC)
    play.send(1, 99, 4.0)
    play.to(30)
    assert [cost for (cost,) in play.log("fee") if cost] == [50.5, 4.0]


def test_fee_tiers_are_checked() -> None:
    tier = FeeTier(value=10.0, maker_fee_bps=0.0, taker_fee_bps=0.0)
    with pytest.raises(ConfigError, match="not in order"):
        MarketConfig(fee_tiers=(tier, FeeTier(value=1.0, maker_fee_bps=0.0, taker_fee_bps=0.0)))
    with pytest.raises(ConfigError, match="negative"):
        FeeTier(value=-1.0, maker_fee_bps=0.0, taker_fee_bps=0.0)
    with pytest.raises(ConfigError, match="finite"):
        FeeTier(value=1.0, maker_fee_bps=float("nan"), taker_fee_bps=0.0)


@pytest.mark.parametrize("mode", ["strict", "compat"])
def test_inverse_contracts_are_worth_one_over_the_price(scene: type, mode: str) -> None:
    play = scene((20, "SELL_TRADE", 99, 9.0), mode=mode, inverse=True, multiplier=10.0, taker_fee_bps=5.0)
    play.send(1, 101, 2.0, force=IOC)
    play.send(1, 99, 4.0)
    play.to(30)
    account = play.engine.accounts[0, 0]
    assert account["cash"] == pytest.approx(10 * 2 / 50.5 + 10 * 4 / 49.5)
    assert account["fees"] == pytest.approx(10 * 2 / 50.5 * 5 * BASIS)
    assert account["value"] == pytest.approx(10 * 2 / 50.5 + 10 * 4 / 49.5)


@pytest.mark.parametrize(
    ("side", "inverse", "mark", "expected"),
    [
        (1, False, 110, -0.01 * 2 * 55.0),
        (-1, False, 110, 0.01 * 2 * 55.0),
        (1, False, 0, -0.01 * 2 * 50.0),
        (1, True, 110, -0.01 * 2 / 55.0),
    ],
)
def test_longs_pay_funding_to_shorts(scene: type, side: int, inverse: bool, mark: int, expected: float) -> None:
    play = scene((20, "FUNDING", mark, 0.01), inverse=inverse)
    play.send(side, 101 if side > 0 else 99, 2.0, force=IOC)
    play.to(30)
    assert money(play, "funding", "funding_known") == [pytest.approx(expected)] * 2
    assert int(play.engine.rules[0]["fundings"]) == 1
    old = scene((20, "FUNDING", mark, 0.01), inverse=inverse, mode="compat")
    old.send(side, 101 if side > 0 else 99, 2.0, force=IOC)
    old.to(30)
    assert money(old, "funding") == [0.0], "the peer pays none"


def test_funding_without_a_mark_needs_a_mid(scene: type) -> None:
    gone = [(10, "NO_ASK", tick, 0.0) for tick in (101, 102, 103)]
    play = scene(*gone, (20, "FUNDING", 0, 0.01))
    play.send(1, 101, 2.0, force=IOC)
    play.to(30)
    assert money(play, "funding") == [0.0]
    assert int(play.engine.rules[0]["fundings"]) == 0


DROP = ((20, "BID", 90, 1.0), (20, "NO_BID", 99, 0.0), (20, "NO_BID", 98, 0.0))
FALL = ((20, "BID", 80, 50.0), (20, "BID", 88, 3.0), *DROP)


def leveraged(scene: type, *rows: tuple[object, ...], capital: float = 30.0, **config: Any) -> Any:
    """Buy 5 at 50.5; the bid then falls to 45, 44 and 40."""
    play = scene(
        *rows, capital=capital, maintenance_margin=0.05, liquidation_fee_bps=100.0, taker_fee_bps=10.0, **config
    )
    play.send(1, 101, 5.0, force=IOC)
    play.send(1, 70, 1.0)
    play.to(10)
    return play


def test_an_account_below_its_maintenance_margin_is_liquidated_at_what_the_book_shows(scene: type) -> None:
    play = leveraged(scene, *FALL)
    # 30 - 5 * 50.5 - fee + 5 p = 0.05 * 5 p
    owned = 30.0 - 5 * 50.5 * (1 + 10 * BASIS)
    assert money(play, "trigger") == [pytest.approx(-owned / (5 * 0.95) / 0.5)]
    play.to(30)
    assert play.log("status", "executed", "executed_tick", "reason")[2:] == [
        ("cancelled", 0.0, 0, "liquidation"),
        ("partially_filled", 1.0, 90, "liquidation"),
        ("partially_filled", 3.0, 88, "liquidation"),
        ("filled", 1.0, 80, "liquidation"),
    ]
    assert money(play, "held", "liquidations", "bankrupt") == [0.0, 1.0, 1.0]
    sold = 45.0 + 3 * 44.0 + 40.0
    assert money(play, "fees") == [pytest.approx(5 * 50.5 * 10 * BASIS + sold * 110 * BASIS)]
    assert play.position() == 0.0
    play.send(1, 80, 1.0)
    play.to(40)
    assert play.log("status", "reason")[-1] == ("rejected", "bankrupt")
    old = leveraged(scene, *FALL, mode="compat")
    old.to(40)
    assert old.position() == 5.0, "the peer lets it stand"


def test_what_is_left_after_a_liquidation_can_be_traded_with(scene: type) -> None:
    play = leveraged(scene, (20, "NO_BID", 99, 0.0), (20, "NO_BID", 98, 0.0), (20, "BID", 95, 50.0), capital=20.0)
    play.to(30)
    assert money(play, "held", "liquidations", "bankrupt") == [0.0, 1.0, 0.0]
    play.send(1, 80, 1.0)
    play.to(40)
    assert play.log("status")[-1] == ("new",)


def test_a_liquidation_waits_for_somebody_to_trade_with(scene: type) -> None:
    play = leveraged(scene, *DROP, (40, "NO_BID", 90, 0.0), (60, "BID", 85, 2.0), (70, "BID", 86, 9.0))
    play.to(30)
    assert money(play, "held") == [4.0]
    play.to(50)
    assert money(play, "held") == [4.0], "an empty side has no price"
    play.to(65)
    assert money(play, "held") == [2.0]
    play.to(75)
    assert money(play, "held", "liquidations") == [0.0, 3.0]


def test_a_short_is_liquidated_at_the_ask(scene: type) -> None:
    rise = [(20, "NO_ASK", tick, 0.0) for tick in (101, 102, 103)]
    play = scene(*rise, (20, "ASK", 120, 9.0), capital=30.0, maintenance_margin=0.05)
    play.send(-1, 99, 5.0, force=IOC)
    play.to(10)
    owned = 30.0 + 5 * 49.5
    assert money(play, "trigger") == [pytest.approx(owned / (5 * 1.05) / 0.5)]
    play.to(30)
    assert money(play, "held", "cash") == [0.0, pytest.approx(5 * 49.5 - 5 * 60.0)]


@pytest.mark.parametrize(("side", "capital"), [(1, 0.3), (-1, 0.3), (-1, 0.03), (1, 30.0)])
def test_the_price_of_liquidation_of_an_inverse_contract_balances_its_account(
    scene: type, side: int, capital: float
) -> None:
    play = scene(inverse=True, multiplier=10.0, capital=capital, maintenance_margin=0.05)
    play.send(side, 101 if side > 0 else 99, 5.0, force=IOC)
    play.to(10)
    held, cash, trigger = money(play, "held", "cash", "trigger")
    if held and abs(trigger) < 1e9:
        price = trigger * 0.5
        equity = capital + cash - 10 * held / price
        assert equity == pytest.approx(0.05 * 10 * abs(held) / price)
    else:
        assert side < 0, "a short of an inverse contract with more than its worth cannot fall below"


def test_funding_moves_the_price_of_liquidation(scene: type) -> None:
    play = leveraged(scene, (20, "FUNDING", 0, 0.02))
    before = money(play, "trigger")[0]
    play.to(30)
    assert money(play, "trigger")[0] > before


def test_liquidations_of_lanes_are_apart(scene: type) -> None:
    """The second lane's request must not give the first lane's liquidation another chance."""
    rows = (*DROP, (40, "BID", 85, 2.0))

    def held(lanes: int) -> float:
        play = scene(*rows, lanes=lanes, capital=30.0, maintenance_margin=0.05)
        play.send(1, 101, 5.0, force=IOC)
        play.to(50)
        for lane in range(1, lanes):
            play.send(1, 70, 1.0, lane=lane)
        play.to(60)
        return money(play, "held")[0]

    assert held(1) == held(2) == 4.0
