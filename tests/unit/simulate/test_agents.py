"""The market of agents: what each kind earns, what spoofers do, and that nothing is lost between them."""

from __future__ import annotations

import numpy as np
import pytest

from marketprism.core.block import concat
from marketprism.core.errors import ConfigError
from marketprism.core.kinds import EventKind, Flag
from marketprism.simulate.agents import AgentMarket, AgentMarketConfig, agent_accounts
from marketprism.simulate.agents_kernel import DOWN

HOUR = AgentMarketConfig(duration_s=3600.0)


def _labelled(config, size=65_536):
    blocks = list(AgentMarket(config).labelled_blocks(size))
    return concat(block for block, _ in blocks).rows, np.concatenate([labels for _, labels in blocks])


def _roles(config, agents):
    return np.array([*config.roles, "nobody"])[agents]


def _profit_by_role(config):
    accounts = agent_accounts(AgentMarket(config))
    return {role: frame["profit"].sum() for (role,), frame in accounts.group_by("role", maintain_order=True)}


def test_informed_traders_earn_and_makers_lose_only_to_them():
    """Over six markets: informed traders earn in each; makers earn among noise alone and lose among the informed."""
    informed, poisoned, alone = [], [], []
    for seed in range(6):
        config = HOUR.replace(seed=seed, spoofers=0)
        profit = _profit_by_role(config)
        informed.append(profit["informed"])
        poisoned.append(profit["maker"])
        alone.append(_profit_by_role(config.replace(informed_traders=0))["maker"])
    assert min(informed) > 0
    assert np.mean(alone) > 2 * np.std(alone, ddof=1) / 6**0.5 > 0
    assert np.mean(poisoned) < 0


def test_price_follows_the_value_that_informed_traders_know():
    """The distance of mid and value stays small, and without informed traders it grows like a random walk's."""
    gaps = []
    for informed in (2, 0):
        market = AgentMarket(HOUR.replace(informed_traders=informed, spoofers=0))
        gap = [
            abs(0.5 * (state["bid"] + state["ask"]) - state["value"])
            for book, _ in market._passes(512)
            for state in book.state
        ]
        gaps.append(np.mean(gap))
    assert gaps[0] < 4
    assert gaps[1] > 2.5 * gaps[0]


def test_profits_and_positions_sum_to_zero_and_volumes_agree_with_the_tape():
    accounts = agent_accounts(AgentMarket(HOUR))
    assert accounts["profit"].sum() == pytest.approx(0, abs=1e-6)
    assert accounts["position"].sum() == pytest.approx(0, abs=1e-6)
    rows, labels = _labelled(HOUR)
    trades = rows["kind"] == EventKind.TRADE
    assert accounts["bought"].sum() == pytest.approx(rows["quantity"][trades].sum())
    assert accounts["sold"].sum() == pytest.approx(rows["quantity"][trades].sum())
    assert (labels[trades] >= 0).all()
    assert (labels[~trades, 1] == -1).all()
    roles = dict(zip(accounts["role"], accounts["as_maker"], strict=True))
    assert roles["informed"] == 0
    assert roles["maker"] == pytest.approx(1)
    assert roles["spoofer"] == pytest.approx(1)


def test_inventories_and_lots_of_the_pool_are_those_of_the_book():
    market = AgentMarket(HOUR.replace(duration_s=600.0))
    for book, _ in market._passes(2048):
        floor, state = book._floor, book.state[0]
        assert floor.agents["inventory"].sum() == 0
        live = {}
        for s, side in enumerate((floor.bid, floor.ask)):
            for at in np.flatnonzero(floor.head[s] >= 0):
                k, lots, previous = floor.head[s, at], 0, -1
                while k >= 0:
                    order = floor.orders[k]
                    assert order["previous"] == previous
                    assert order["lots"] > 0
                    lots, previous, k = lots + order["lots"], k, order["next"]
                    live[int(previous)] = order
                assert lots == side[at]
                assert floor.tail[s, at] == previous
        assert len(live) == len(floor.orders) - state["free"]
        noise = set(floor.noise[: state["noise_orders"]].tolist())
        assert noise == {k for k, order in live.items() if order["owner"] < market.config.noise_traders}
        standing = floor.agents["orders"][floor.agents["orders"] >= 0]
        assert set(standing.tolist()) | noise == set(live)


def test_labels_stay_with_their_rows_whatever_the_block_size():
    config = HOUR.replace(duration_s=300.0)
    rows, labels = _labelled(config)
    for size in (AgentMarket.max_event_rows, 777):
        other_rows, other_labels = _labelled(config, size)
        np.testing.assert_array_equal(rows, other_rows)
        np.testing.assert_array_equal(labels, other_labels)
    assert {"noise", "informed", "maker", "spoofer"} <= set(_roles(config, labels[:, 0]))


def _walls(config):
    """Return for each update message of a spoofer: time, near imbalance before and after, and largest layer told."""
    rows, labels = _labelled(config)
    spoofer = config.roles.index("spoofer")
    book = {1: {}, -1: {}}
    found, before = [], 0.0

    def imbalance():
        bid, ask = max(book[1]), min(book[-1])
        q = sum(book[1].get(bid - i, 0) for i in range(5))
        p = sum(book[-1].get(ask + i, 0) for i in range(5))
        return (q - p) / (q + p)

    change = []
    for row, (actor, _) in zip(rows.tolist(), labels.tolist(), strict=True):
        named = dict(zip(rows.dtype.names, row, strict=True))
        if named["kind"] == EventKind.TRADE:
            continue
        side, price = named["side"], named["price"]
        change.append(named["quantity"] - book[side].get(price, 0.0))
        if named["quantity"]:
            book[side][price] = named["quantity"]
        else:
            book[side].pop(price, None)
        if named["flags"] & Flag.LAST:
            now = imbalance()
            if actor == spoofer:
                found.append((named["ts_event"], before, now, max(change, key=abs)))
            before, change = now, []
    return np.array(found), rows


def test_spoofer_puts_up_a_wall_moves_the_imbalance_and_takes_it_down():
    config = HOUR.replace(duration_s=1800.0)
    walls, _ = _walls(config)
    up = walls[:, 3] > 0
    assert up.sum() > 100
    assert abs(int(up.sum()) - int((~up).sum())) <= 1
    # Each wall comes down before the next one goes up, within the time it is held and one more look.
    assert (np.diff(up.astype(int)) != 0).all()
    held = np.diff(walls[:, 0])[up[:-1]] / 1e9
    assert np.median(held) < config.spoof_hold_s + 2
    assert np.abs(walls[up, 2] - walls[up, 1]).mean() > 0.3
    assert np.abs(walls[~up, 2]).mean() < np.abs(walls[~up, 1]).mean() - 0.1


def test_spoofer_is_filled_sooner_than_it_would_be_without_its_wall():
    """The share of its small orders that is filled rises with the wall, since noise traders follow the imbalance."""
    bought = {}
    for lots in (1, 40):
        total = 0.0
        for seed in range(3):
            config = HOUR.replace(seed=seed, spoof_lots=lots, informed_traders=0, herding=1.0, makers=0)
            accounts = agent_accounts(AgentMarket(config))
            total += accounts.filter(accounts["role"] == "spoofer")["bought"].sum()
        bought[lots] = total
    assert bought[40] > 1.2 * bought[1]


def test_walls_are_down_at_first_and_the_book_does_not_fill_with_them():
    market = AgentMarket(HOUR.replace(spoof_hold_s=1.0, duration_s=900.0))
    first = market.start()
    assert first._floor.agents["since_ns"].max() == DOWN
    layers = market.config.spoof_layers * market.config.spoof_lots
    resting = [int(book.state["bid_lots"][0] + book.state["ask_lots"][0]) for book, _ in market._passes(2048)]
    assert max(resting) < 600 + layers


def test_makers_keep_to_their_limit_and_lean_against_inventory():
    config = HOUR.replace(maker_limit=20, maker_skew=0.0)
    market = AgentMarket(config)
    roles = np.array(config.roles)
    seen = np.array([book._floor.agents["inventory"][roles == "maker"] for book, _ in market._passes(512)])
    assert np.abs(seen).max() <= config.maker_limit + config.maker_lots - 1
    assert np.abs(seen).max() > config.maker_lots
    leaning = AgentMarket(config.replace(maker_limit=1000, maker_skew=0.2))
    skewed = np.array([book._floor.agents["inventory"][roles == "maker"] for book, _ in leaning._passes(512)])
    drifting = AgentMarket(config.replace(maker_limit=1000))
    plain = np.array([book._floor.agents["inventory"][roles == "maker"] for book, _ in drifting._passes(512)])
    assert skewed.std() < 0.6 * plain.std()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"herding": 1.5}, "herding was 1.5"),
        ({"noise_traders": 0}, "noise_traders was 0"),
        ({"spoof_layers": 9}, "spoof_layers was 9"),
        ({"spoof_distance": 0}, "spoof_distance 0"),
        ({"noise_traders": 2000}, "there were 2006 agents"),
        ({"noise_cancel": 1e-5}, "resting orders"),
        ({"maker_tilt": -1.0}, "maker_tilt was -1.0"),
        ({"news": float("nan")}, "news was nan"),
    ],
)
def test_wrong_agents_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        AgentMarketConfig(**values)
