"""Calibration: each generator's own parameters are found again in what it generated, within standard errors."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.core.timebase import NS
from marketprism.simulate import calibrate_agents, calibrate_hawkes, hawkes_fit
from marketprism.simulate.agents import AgentMarketConfig
from marketprism.simulate.calibrate import CALIBRATIONS, calibrate
from marketprism.simulate.calibrate_agents import agent_moments
from marketprism.simulate.calibrate_hawkes import flow_events, hawkes_errors
from marketprism.simulate.calibrate_queues import feed_values
from marketprism.simulate.calibrate_reactive import _make_stable, _nearest, reference_prices
from marketprism.simulate.flow import order_flow
from marketprism.simulate.flow_kernel import NONE, QUOTE_DTYPE
from marketprism.simulate.hawkes import HawkesParameters, simulate_hawkes
from marketprism.simulate.hawkes_fit import fit_hawkes, hawkes_log_likelihood
from marketprism.simulate.hawkes_market import FLOW_TYPES
from marketprism.simulate.models import market_config, open_market
from marketprism.simulate.recording import What, record_market


def _flow(model, **values):
    return order_flow(record_market(open_market(model, market_config(model, values))))


def _place(name):
    head, _, rest = name.partition("[")
    return head, tuple(int(k) for k in rest.rstrip("]").split(",")) if rest else ()


def _check(found, truth, fewest=20, skip=()):
    """Standardised errors of all estimates behind which there are enough orders: as if standard normal."""
    z = []
    for estimate in found.estimates:
        head, place = _place(estimate.name)
        if estimate.orders >= fewest and (head, place) not in skip:
            z.append((estimate.value - truth(head, place)) / estimate.error)
    z = np.array(z)
    assert np.isfinite(z).all()
    assert np.abs(z).max() < 4.0
    assert 0.5 < np.sqrt(np.mean(z**2)) < 1.4
    return len(z)


def test_cst_rates_are_found_again():
    rates = market_config("cst").rates

    def truth(head, place):
        if head == "market":
            return rates.market
        return rates.limit_at(place[0]) if head == "limit" else rates.cancel_at(place[0])

    found = calibrate("cst", _flow("cst", seed=3, duration_s=3600.0))
    assert _check(found, truth) == 41
    assert found.config.rates.tail_exponent == pytest.approx(rates.tail_exponent, abs=0.05)
    assert found.config.rates.limit_at(15) == pytest.approx(rates.limit_at(15), rel=0.03)


def test_geometric_orders_are_counted_in_mean_orders():
    """Sizes of five lots on average change no rate: a unit is a mean market order (a cancellation finds fewer)."""
    flow = {**market_config("cst").flow.to_mapping(), "order_lots": 5.0}
    found = calibrate("cst", _flow("cst", seed=3, duration_s=3600.0, flow=flow))
    assert found.config.rates.market == pytest.approx(0.94, rel=0.05)
    assert found.config.rates.limit[0] == pytest.approx(1.85, rel=0.06)
    assert found.config.rates.cancel[1] == pytest.approx(0.81, rel=0.12)


def test_queue_race_is_found_again():
    values = {"limit": 1.5, "market": 0.7, "cancel": 0.9, "advancing_mean": 3.0, "retreating_mean": 5.0}
    found = calibrate("cont_de_larrard", _flow("cont_de_larrard", seed=3, duration_s=20_000.0, **values))
    assert _check(found, lambda head, _: values[head]) == 5
    assert found.notes == ()


def test_imbalance_rates_are_found_again():
    rates = market_config("imbalance_reactive").rates

    def truth(head, place):
        table = getattr(rates, head)
        return table[place[0] - 1][place[1] - 1] if place else table

    found = calibrate("imbalance_reactive", _flow("imbalance_reactive", seed=3, duration_s=7200.0))
    assert _check(found, truth) > 35
    assert any("seen for less than a second" in note for note in found.notes)


def test_queue_reactive_rates_are_found_again():
    config = market_config("queue_reactive")
    limit, cancel, market = config.rates.padded()
    tables = {"limit": limit, "cancel": cancel}

    def truth(head, place):
        if head in tables:
            return tables[head][place[0] - 1][place[1]]
        return market[place[0]] if head == "market" else getattr(config, head)

    found = calibrate("queue_reactive", _flow("queue_reactive", seed=3, duration_s=30_000.0))
    # Queues that enter at the far edge of the window when the reference moves were never seen to arrive.
    assert _check(found, truth, fewest=50, skip={("limit", (5, 0)), ("renew", ())}) > 100
    assert found.config.follow == pytest.approx(0.7, abs=0.03)
    assert found.config.renew == pytest.approx(0.15, abs=0.03)


@pytest.mark.slow
def test_hawkes_flow_is_found_again():
    truth = market_config("hawkes").flow
    flow = _flow("hawkes", seed=3, duration_s=1200.0)
    found = calibrate("hawkes", flow)
    z = []
    for name, values in zip(("base", "impact", "decay"), truth.pairs(), strict=True):
        for place, value in np.ndenumerate(values):
            text = f"{name}[{' to '.join(FLOW_TYPES[k] for k in place)}]"
            estimate = next(e for e in found.estimates if e.name == text)
            if np.isfinite(estimate.error) and estimate.error < 0.5 * value:
                z.append((estimate.value - value) / estimate.error)
    assert len(z) > 15
    assert np.abs(z).max() < 4
    assert np.sqrt(np.mean(np.square(z))) < 1.5
    assert found.config.flow.branching_ratio == pytest.approx(truth.branching_ratio, abs=0.1)
    assert found.config.order_lots == 1.0


@pytest.mark.slow
def test_state_dependent_flow_is_found_again():
    """Limit orders that leave the book bid-heavy call for buys, those that leave it ask-heavy for sells."""
    impact = np.zeros((4, 2, 4))
    impact[2:, 1, 0] = impact[2:, 0, 1] = 0.4
    flow = HawkesParameters.from_arrays([0.3, 0.3, 4.0, 4.0], impact, np.full((4, 2, 4), 4.0), np.full((2, 4, 2), 0.5))
    market = _flow("hawkes", seed=4, duration_s=900.0, flow=flow.to_mapping())
    found = calibrate_hawkes.calibrate_hawkes(market, states=2)
    assert found.config.flow.states == 2
    values = {estimate.name: estimate for estimate in found.estimates}
    children = np.array(found.config.flow.impact) / np.array(found.config.flow.decay)
    # Children that buy: a tenth of an order after a bid-heavy book, none after an ask-heavy one.
    np.testing.assert_allclose(children[2:, 1, 0], 0.1, atol=0.04)
    np.testing.assert_allclose(children[2:, 0, 1], 0.1, atol=0.04)
    assert children[2:, 0, 0].max() < 0.04
    assert children[2:, 1, 1].max() < 0.04
    jump = values["impact[limit bid at 2 to market buy]"]
    assert abs(jump.value - 0.4) < 4 * jump.error
    assert len(_flow("hawkes", **found.config.replace(duration_s=60.0).to_mapping()).orders) > 300


def test_state_of_an_order_is_the_imbalance_that_it_leaves():
    flow = _flow("hawkes", seed=4, duration_s=60.0)
    events = flow_events(flow, states=3)
    assert set(events.states.tolist()) == {0, 1, 2}
    k = int(np.searchsorted(flow.quotes["ts"], flow.orders["ts"][flow.orders["what"] == 2][0], "right")) - 1
    bid, ask = flow.quotes["bid_quantity"][k], flow.quotes["ask_quantity"][k]
    assert events.states[events.types < 2][0] == min(int(3 * bid / (bid + ask)), 2)
    assert set(flow_events(flow).states.tolist()) == {0}


def test_errors_of_a_poisson_process_have_a_closed_form():
    """Without impact the variance of the rate of n events is n / T^2."""
    events = simulate_hawkes(HawkesParameters.from_arrays([2.0], [[0.0]], [[1.0]]), 2000.0, seed=1)
    parameters = HawkesParameters.from_arrays([len(events.times) / 2000.0], [[0.0]], [[1.0]])
    base, impact, decay = hawkes_errors(parameters, events)
    assert base[0] == pytest.approx(np.sqrt(len(events.times)) / 2000.0, rel=1e-4)
    assert np.isnan(impact).all()
    assert np.isnan(decay).all()


def test_errors_cover_the_truth_over_many_samples():
    truth = HawkesParameters.from_arrays([0.8], [[1.2]], [[3.0]])
    z = []
    for seed in range(12):
        events = simulate_hawkes(truth, 1500.0, seed=seed)
        fit = fit_hawkes(events, 1, starts=1)
        assert fit.log_likelihood >= hawkes_log_likelihood(truth, events)
        errors = hawkes_errors(fit.parameters, events)
        for ours, theirs, error in zip(fit.parameters.pairs(), truth.pairs(), errors, strict=True):
            z.append(((ours - theirs) / error).item())
    assert 0.7 < np.std(z) < 1.35


def test_simultaneous_orders_are_told_apart():
    flow = _flow("agents", seed=1, duration_s=120.0)
    flow.orders["ts"] //= 1_000_000_000
    flow.orders["ts"] *= 1_000_000_000
    events = flow_events(flow, most=300)
    assert len(events.times) == 300
    assert (np.diff(events.times) > 0).all()
    assert events.times[-1] <= events.horizon


def test_doubts_about_a_hawkes_fit_are_said(monkeypatch):
    fit = calibrate_hawkes.fit_hawkes

    def unfinished(*arguments, **options):
        return fit(*arguments, **options)._replace(converged=False)

    monkeypatch.setattr(calibrate_hawkes, "fit_hawkes", unfinished)
    monkeypatch.setattr(calibrate_hawkes, "_MOST_EVENTS", 400)
    notes = calibrate("hawkes", _flow("hawkes", seed=3, duration_s=300.0)).notes
    assert any("did not converge" in note for note in notes)
    assert any("fitted to the first 400 orders" in note for note in notes)


def test_a_fit_at_the_edge_of_stability_is_shrunk(monkeypatch):
    events = simulate_hawkes(HawkesParameters.from_arrays([0.8], [[1.2]], [[3.0]]), 500.0, seed=1)
    whole = fit_hawkes(events, 1, starts=1).parameters
    monkeypatch.setattr(hawkes_fit, "_LARGEST_BRANCHING", 0.2)
    shrunk = fit_hawkes(events, 1, starts=1).parameters
    assert whole.branching_ratio > 0.3
    assert shrunk.branching_ratio == pytest.approx(0.2)
    assert shrunk.decay == whole.decay


def test_queues_that_were_hardly_seen_are_made_stable():
    """Where a level filled and never emptied, or was never seen empty, the calibrated market still runs."""
    values = {
        "limit": np.array([[0.0, 1.0, 1.0], [0.5, 0.5, 0.9]]),
        "cancel": np.array([[0.3, 0.0, 2.0], [0.0, 0.2, 0.1]]),
        "market": np.array([0.4, 0.3, 0.2]),
    }
    notes = _make_stable(values)
    assert [note.split(" ")[0] for note in notes] == ["1", "the"]
    assert values["limit"][0, 0] == pytest.approx(2 / 3)
    assert values["cancel"][:, 0].tolist() == [0, 0]
    assert values["cancel"][0, 1] > 0
    assert values["cancel"][1, -1] > values["limit"][1, -1]
    rates = {name: table.tolist() for name, table in values.items()}
    assert len(_flow("queue_reactive", duration_s=60.0, rates=rates, follow=0.0).orders) > 50
    assert _nearest(np.array([1.0, 2.0]), np.zeros(2)).tolist() == [0, 0]
    assert _nearest(np.array([1.0, np.nan, 3.0, 9.0]), np.array([9.0, 9.0, 9.0, 1.0])).tolist() == [1, 1, 3, 3]


def test_agents_reach_the_moments_of_their_market():
    truth = {
        "noise_market": 2.0, "noise_limit": 10.0, "noise_cancel": 0.05, "noise_distance": 4.0, "news_ticks": 3.0,
        "maker_half_spread": 1.5,
    }  # fmt: skip
    flow = _flow("agents", seed=3, duration_s=1800.0, spoofers=0, **truth)
    found = calibrate("agents", flow, seed=7)
    assert found.notes == ()
    errors = {estimate.name: estimate.error / estimate.value for estimate in found.estimates}
    assert all(0.003 < errors[name] < 0.2 for name in ("noise_market", "noise_limit", "noise_cancel", "noise_distance"))
    # Quotes of the makers are often inside those of the noise traders: their half-spread is told least.
    assert 0.1 < errors["maker_half_spread"] < 5
    assert np.isnan(errors["spread, ticks: reached"])
    ours = agent_moments(_flow("agents", **found.config.replace(seed=5).to_mapping()))
    for name, value in agent_moments(flow).items():
        assert ours[name] == pytest.approx(value, rel=0.2), name
    for name in ("noise_market", "noise_limit", "noise_cancel", "noise_distance"):
        assert getattr(found.config, name) == pytest.approx(truth[name], rel=0.25), name
    far = _flow("agents", seed=3, duration_s=600.0, maker_half_spread=30.0, news_ticks=200.0, noise_limit=0.2)
    assert calibrate("agents", far).notes


@pytest.mark.slow
def test_errors_of_agents_cover_their_truth():
    """The truth lies within two standard errors about as often as it should, and the errors are not too wide either."""
    truth = {"noise_market": 2.0, "noise_limit": 10.0, "noise_cancel": 0.05, "noise_distance": 4.0}
    z = []
    for seed in range(100, 112):
        flow = _flow(
            "agents", seed=seed, duration_s=900.0, spoofers=0, news_ticks=3.0, maker_half_spread=1.5, **truth
        )  # fmt: skip
        found = {one.name: one for one in calibrate("agents", flow, seed=50 * seed).estimates}
        z.append([(found[name].value - true) / found[name].error for name, true in truth.items()])
    z = np.array(z)
    assert (np.abs(z) < 2).mean() > 0.85
    assert 0.5 < np.sqrt((z**2).mean()) < 1.5


def test_errors_of_agents_where_there_is_nothing_to_tell(monkeypatch):
    short, still = (_flow("agents", seed=1, duration_s=seconds) for seconds in (100.0, 300.0))
    assert np.isnan(_errors_of(short))
    fixed = _flow("cont_de_larrard", seed=1, duration_s=150.0, limit=9.0, market=0.5, cancel=0.5)
    assert calibrate_agents._source_covariance(fixed) is None  # its price never moves
    records = still.recording.records
    start = records["ts"][0]
    lost = records[(records["ts"] < start + 80 * NS) | (records["ts"] > start + 180 * NS)].copy()
    lost["what"][np.searchsorted(lost["ts"], start + 80 * NS)] = What.LOST
    after = np.searchsorted(lost["ts"], start + 180 * NS)
    lost["what"][after + 1] = What.CLEAR
    lost["ts"][after] = start + 80 * NS
    parted = calibrate_agents._source_covariance(
        order_flow(still.recording._replace(records=np.sort(lost, order="ts")))
    )
    assert parted is not None
    assert (np.linalg.eigvalsh(parted) > -1e-12).all()
    assert _errors_of(still) > 0
    start = agent_moments(still)
    monkeypatch.setattr(calibrate_agents, "agent_moments", lambda _: dict(start))
    assert np.isnan(_errors_of(still))
    monkeypatch.setattr(calibrate_agents, "_source_covariance", lambda _: np.eye(6))
    assert np.isnan(_errors_of(still))

    def none(_):
        raise DataError("no market")

    monkeypatch.setattr(calibrate_agents, "AgentMarket", none)
    assert np.isnan(_errors_of(still))


def _errors_of(flow):
    """Smallest standard error of the logarithmic parameters at the defaults."""
    base = AgentMarketConfig(spoofers=0, duration_s=120.0)
    errors = calibrate_agents._errors(flow, base, {name: getattr(base, name) for name in calibrate_agents._LIMITS})
    return errors.min()


@pytest.mark.parametrize("model", list(CALIBRATIONS))
def test_calibrated_markets_stream_and_survive_a_file(model):
    flow = _flow("markov", seed=3, duration_s=300.0)
    found = calibrate(model, flow, seed=11)
    assert found.model == model
    assert found.config.seed == 11
    assert found.config.tick_size == flow.recording.tick_size
    assert found.config.duration_s == pytest.approx(300, abs=2)
    assert type(found.config).from_mapping(msgspec.json.decode(msgspec.json.encode(found.config))) == found.config
    again = order_flow(record_market(open_market(model, found.config)))
    rate, target = (len(f.market_orders()) / f.span_s for f in (again, flow))
    assert rate == pytest.approx(target, rel=0.3)


def test_price_and_lot_are_those_of_the_source():
    flow = _flow("cst", seed=3, duration_s=60.0, initial_price="0.05", tick_size="0.0001", lots_per_unit=1000)
    values = feed_values(flow)
    assert values["lots_per_unit"] == 1000
    assert float(values["initial_price"]) == pytest.approx(0.05, abs=0.002)
    assert feed_values(flow, ticks=10_000)["initial_price"] == "1.0000"


def test_reference_is_where_the_next_orders_come():
    quotes = np.zeros(7, QUOTE_DTYPE)
    quotes["bid"] = [100, 100, 101, 100, NONE, 99, 99]
    quotes["ask"] = [101, 102, 102, 102, 102, 102, 104]
    assert reference_prices(quotes).tolist() == [100, 101, 101, 100, NONE, 100, 101]


def test_what_a_market_lacks_is_said():
    wide = _flow("cst", seed=1, duration_s=60.0)
    wide.quotes["ask"] += 1
    with pytest.raises(DataError, match=r"had a spread of one tick for 0.0 of"):
        calibrate("cont_de_larrard", wide)
    assert any("seldom one tick" in note for note in calibrate("queue_reactive", wide).notes)
    seldom = _flow("markov", seed=1, duration_s=60.0)
    seldom.quotes["ask"][100:] += 1
    assert any("of the time, and the model's always is" in note for note in calibrate("cont_de_larrard", seldom).notes)
    still = _flow("cont_de_larrard", seed=1, duration_s=30.0, limit=9.0, market=0.5, cancel=0.5)
    with pytest.raises(DataError, match="never moved"):
        calibrate("cont_de_larrard", still)
    with pytest.raises(DataError, match="orders by type were"):
        calibrate("hawkes", _flow("queue_reactive", seed=1, duration_s=12.0))
    growing = _flow("cont_de_larrard", seed=1, duration_s=600.0, limit=2.6, market=1.0, cancel=1.0)
    assert any("outrun removals" in note for note in calibrate("cont_de_larrard", growing).notes)
    assert any("nothing was seen behind" in note for note in calibrate("imbalance_reactive", growing).notes)
    with pytest.raises(ConfigError, match="did you mean 'hawkes'"):
        calibrate("hawks", growing)
