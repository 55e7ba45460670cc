"""Stylised facts on markets whose facts are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from marketprism.core.errors import DataError
from marketprism.core.timebase import NS
from marketprism.simulate.facts import FACTS, _foretold, facts_table, mid_returns, stylised_facts
from marketprism.simulate.flow import order_flow
from marketprism.simulate.flow_kernel import NONE
from marketprism.simulate.hawkes import HawkesParameters
from marketprism.simulate.models import market_config, open_market
from marketprism.simulate.recording import record_market


def _flow(model, **values):
    return order_flow(record_market(open_market(model, market_config(model, values))))


@pytest.fixture(scope="module")
def race():
    return _flow("cont_de_larrard", seed=3, duration_s=7200.0, limit=1.5, market=1.0, cancel=1.0)


@pytest.fixture(scope="module")
def race_facts(race):
    return stylised_facts(race)


def test_queue_race_has_the_facts_of_its_definition(race_facts):
    facts = {name: fact.value for name, fact in race_facts.facts.items()}
    assert set(facts) == set(FACTS)
    assert facts["spread, ticks"] == 1.0
    assert facts["share at one tick"] == 1.0
    assert facts["market orders a second"] == pytest.approx(2.0, rel=0.03)
    # Poisson market orders with signs of their own.
    assert facts["arrival variation"] == pytest.approx(1.0, abs=0.03)
    assert facts["count dispersion"] == pytest.approx(1.0, abs=0.15)
    assert abs(facts["sign autocorrelation, lag 1"]) < 0.03
    assert facts["imbalance foretells the move"] > 0.65


def test_curves_of_the_queue_race(race_facts):
    curves = race_facts.curves
    x, y = curves["arrivals"]
    np.testing.assert_allclose(y[x < 4], np.exp(-x[x < 4]), atol=0.02)
    x, y = curves["imbalance"]
    known = np.isfinite(y)
    assert np.corrcoef(x[known], y[known])[0, 1] > 0.9
    np.testing.assert_allclose(y[known] + y[::-1][known], 1.0, atol=0.2)
    assert curves["spread"][1].tolist() == pytest.approx([1.0, 0.0, 0.0])
    assert curves["shape"][1][1:].max() == 0.0
    x, y = curves["queue"]
    assert y[0] == pytest.approx(1.0)
    assert (np.diff(y) <= 0).all()
    # The mean is the area under the survival function.
    assert np.trapezoid(y, x) == pytest.approx(1.0, abs=0.1)
    assert len(curves["absolute returns"][0]) == len(curves["signs"][0]) == 9


def test_errors_are_those_of_the_mean(race_facts):
    """Of Poisson counts: sqrt(rate / T)."""
    error = race_facts.facts["market orders a second"].error
    assert error == pytest.approx(np.sqrt(2.0 / 7200), rel=0.6)
    assert np.isnan(stylised_facts(_flow("cst", seed=1, duration_s=60.0)).facts["excess kurtosis, 60 s"].error)


def test_hawkes_orders_cluster_and_keep_their_sign():
    children = np.zeros((4, 4))
    children[0, 0] = children[1, 1] = 0.6
    flow = HawkesParameters.from_arrays([0.3, 0.3, 6.0, 6.0], children * 4.0, np.full((4, 4), 4.0))
    facts = stylised_facts(_flow("hawkes", seed=2, duration_s=2400.0, flow=flow.to_mapping())).facts
    assert facts["sign autocorrelation, lag 1"].value > 0.25
    assert facts["arrival variation"].value > 1.3
    # Counts of one type over long windows: 1 / (1 - n)^2.
    assert 3.5 < facts["count dispersion"].value < 8.0


def test_returns_of_a_reverting_market_have_a_falling_signature():
    """Independent flow bounces; the autocorrelation and the ratio say so."""
    facts = stylised_facts(_flow("imbalance_reactive", seed=2, duration_s=3600.0))
    assert facts.facts["return autocorrelation"].value < -0.1
    assert facts.facts["signature ratio"].value > 1.2
    x, y = facts.curves["signature"]
    assert y[x == 0.1] > 1.5 * y[x == 30.0]


def test_informed_trading_leaves_permanent_impact():
    values = {"seed": 2, "duration_s": 3600.0, "makers": 0, "spoofers": 0, "herding": 0.0}
    informed = stylised_facts(_flow("agents", informed_traders=3, news=0.2, **values)).facts
    noise = stylised_facts(_flow("agents", informed_traders=0, **values)).facts
    assert informed["impact after 10 s, ticks"].value > 1.5 * max(noise["impact after 10 s, ticks"].value, 0.05)
    assert informed["sign autocorrelation, lag 1"].value > noise["sign autocorrelation, lag 1"].value + 0.1


def test_mid_returns_are_those_of_the_quotes(race):
    returns = mid_returns(race, 10.0)
    mid = 0.5 * (race.quotes["bid"] + race.quotes["ask"])
    end = race.quotes["ts"][0] + len(returns) * 10_000_000_000
    last = np.searchsorted(race.quotes["ts"], end, "right") - 1
    assert len(returns) == 719
    assert returns.sum() == pytest.approx(mid[last] - mid[0])


def test_table_sets_markets_side_by_side(race_facts):
    other = stylised_facts(_flow("cst", seed=1, duration_s=900.0))
    same = stylised_facts(_flow("cst", seed=2, duration_s=900.0))
    table = facts_table({"a": other, "b": same, "race": race_facts})
    assert table.columns == ["fact", "a", "a error", "b", "b error", "b z", "race", "race error", "race z"]
    assert table["fact"].to_list() == list(FACTS)
    assert table["b z"].abs().median() < 1.5
    assert table["race z"].abs().median() > 4
    row = table.row(2, named=True)
    assert row["race z"] == pytest.approx((row["race"] - row["a"]) / np.hypot(row["race error"], row["a error"]))
    assert table["a"].is_nan().sum() == 0


def test_parts_without_a_book_do_not_count(race):
    """A book that is lost for a while: rates are per second of known book, and no return crosses the hole."""
    quotes = race.quotes.copy()
    start = quotes["ts"][0]
    hole = (quotes["ts"] > start + 2000 * NS) & (quotes["ts"] < start + 4000 * NS)
    quotes["bid"][hole] = quotes["ask"][hole] = NONE
    outside = (race.orders["ts"] < start + 2000 * NS) | (race.orders["ts"] > start + 4000 * NS)
    found = stylised_facts(dataclasses.replace(race, quotes=quotes, orders=race.orders[outside]))
    assert found.span_s == pytest.approx(race.span_s - 2000, abs=5)
    rate = stylised_facts(race).facts["market orders a second"].value
    assert found.facts["market orders a second"].value == pytest.approx(rate, rel=0.05)
    assert np.isfinite(found.facts["spread, ticks"].error)
    assert len(mid_returns(dataclasses.replace(race, quotes=quotes), 10.0)) == pytest.approx(519, abs=2)
    nothing = dataclasses.replace(race, quotes=quotes[hole], end_ns=int(quotes["ts"][hole][-1]))
    assert np.isnan(_foretold(nothing, np.full(hole.sum(), np.nan))[0])


def test_too_few_trades_are_refused():
    with pytest.raises(DataError, match="facts need 20 at least"):
        stylised_facts(_flow("queue_reactive", seed=1, duration_s=15.0))
