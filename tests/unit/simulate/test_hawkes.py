"""Hawkes processes: simulation against closed forms, likelihood against the definition, fits against the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from marketprism.core.block import concat
from marketprism.core.errors import ConfigError, DataError
from marketprism.core.kinds import EventKind
from marketprism.simulate import hawkes as module
from marketprism.simulate.hawkes import (
    HawkesEvents,
    HawkesParameters,
    residual_test,
    residuals,
    simulate_hawkes,
)
from marketprism.simulate.hawkes_fit import fit_hawkes, hawkes_log_likelihood
from marketprism.simulate.hawkes_kernel import likelihood
from marketprism.simulate.hawkes_market import HawkesMarket, HawkesMarketConfig

TWO = HawkesParameters.from_arrays([0.6, 0.3], [[1.2, 0.4], [0.2, 2.0]], [[3.0, 2.0], [4.0, 5.0]])
STATES = HawkesParameters.from_arrays(
    [0.5, 0.4],
    [[[1.0, 0.2], [0.3, 1.5]], [[0.1, 0.8], [1.1, 0.0]]],
    [[[4.0, 3.0], [2.0, 6.0]], [[5.0, 4.0], [3.0, 2.0]]],
    [[[0.7, 0.3], [0.2, 0.8]], [[0.6, 0.4], [0.5, 0.5]]],
)


def _rates_by_definition(parameters, events, grid):
    """Sum the kernels of all events before each time of the grid, shape (times, types)."""
    alpha, beta = np.array(parameters.impact), np.array(parameters.decay)
    jump, fade = alpha[events.types, events.states], beta[events.types, events.states]
    age = grid[:, None] - events.times
    kernels = np.where(age[..., None] > 0, jump * np.exp(-fade * np.maximum(age, 0)[..., None]), 0.0)
    return np.array(parameters.base) + kernels.sum(axis=1)


def _areas(parameters, events, end):
    """Integrals of the rates from 0 to each time of a grid that contains the events."""
    grid = np.unique(np.concatenate([np.linspace(0, end, 8001), events.times[events.times <= end]]))
    middle = _rates_by_definition(parameters, events, (grid[1:] + grid[:-1]) / 2)
    return grid, np.concatenate([np.zeros((1, 2)), np.cumsum(middle * np.diff(grid)[:, None], axis=0)])


@pytest.mark.parametrize("parameters", [TWO, STATES])
def test_likelihood_is_its_definition(parameters):
    events = simulate_hawkes(parameters, 30.0, seed=1)
    assert len(events.times) > 20
    rates = _rates_by_definition(parameters, events, events.times)
    logs = np.log(rates[np.arange(len(rates)), events.types]).sum()
    area = _areas(parameters, events, 30.0)[1][-1].sum()
    assert hawkes_log_likelihood(parameters, events) == pytest.approx(logs - area, abs=1e-3)


@pytest.mark.parametrize("parameters", [TWO, STATES])
def test_residuals_are_the_compensator(parameters):
    events = simulate_hawkes(parameters, 30.0, seed=2)
    grid, area = _areas(parameters, events, 30.0)
    for e, ours in enumerate(residuals(parameters, events)):
        own = events.times[events.types == e]
        assert len(own) > 5
        np.testing.assert_allclose(np.cumsum(ours), area[np.searchsorted(grid, own), e], atol=1e-3)


def test_gradient_is_the_slope():
    events = simulate_hawkes(STATES, 60.0, seed=3)
    pair = events.types * 2 + events.states
    base, impact, decay = STATES.pairs()
    point = np.concatenate([base[:1], impact[:, 0] + 0.1, decay[:, 0]])

    def value(x, slope):
        return likelihood(x[0], x[1:5], x[5:], events.times, pair, events.types == 0, 60.0, slope)

    gradient, scratch = np.empty(9), np.empty(9)
    value(point, gradient)
    for k in range(9):
        step = np.zeros(9)
        step[k] = 1e-6
        assert gradient[k] == pytest.approx(
            (value(point + step, scratch) - value(point - step, scratch)) / 2e-6, rel=1e-4, abs=1e-5
        )


def test_mean_rates_are_met():
    """lambda = (I - G^T)^-1 nu; the branching ratio of one type is alpha / beta."""
    events = simulate_hawkes(TWO, 20_000.0, seed=0)
    ours = np.bincount(events.types) / 20_000.0
    np.testing.assert_allclose(ours, TWO.mean_rates(), rtol=0.05)
    children = np.array([[1.2 / 3, 0.4 / 2], [0.2 / 4, 2.0 / 5]])
    assert TWO.branching_ratio == pytest.approx(np.abs(np.linalg.eigvals(children)).max())
    with pytest.raises(ConfigError, match="there were 2 states"):
        STATES.mean_rates()


def test_counts_are_overdispersed_as_in_theory():
    """One type: the variance of long counts over their mean tends to 1 / (1 - n)^2."""
    one = HawkesParameters.from_arrays([1.0], [[1.5]], [[3.0]])
    events = simulate_hawkes(one, 40_000.0, seed=5)
    counts = np.bincount((events.times // 40).astype(int), minlength=1000)
    assert counts.var() / counts.mean() == pytest.approx(4.0, rel=0.2)


def test_seeds_and_rooms(monkeypatch):
    runs = [simulate_hawkes(STATES, 200.0, seed=seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(runs[0].times, runs[1].times)
    assert len(runs[0].times) != len(runs[2].times) or (runs[0].times != runs[2].times).any()
    monkeypatch.setattr(module, "_FIRST_ROOM", 7)
    small = simulate_hawkes(STATES, 200.0, seed=0)
    for name in ("times", "types", "states"):
        np.testing.assert_array_equal(getattr(small, name), getattr(runs[0], name))
    assert simulate_hawkes(STATES, 1e-6, seed=0).times.shape == (0,)


def test_transitions_and_state_of_each_event():
    events = simulate_hawkes(STATES, 8000.0, seed=4)
    before = np.concatenate([[0], events.states[:-1]])
    for x in range(2):
        for e in range(2):
            at = (before == x) & (events.types == e)
            assert events.states[at].mean() == pytest.approx(STATES.transition[x][e][1], abs=0.02)


def test_true_model_passes_and_a_wrong_one_fails():
    events = simulate_hawkes(TWO, 3000.0, seed=6)
    right = residual_test(TWO, events)
    assert min(right.p_values) > 0.01
    assert right.counts == tuple(np.bincount(events.types).tolist())
    poisson = HawkesParameters.from_arrays(TWO.mean_rates(), np.zeros((2, 2)), np.ones((2, 2)))
    assert max(residual_test(poisson, events).p_values) < 1e-4
    nothing = residual_test(TWO, HawkesEvents(np.array([1.0]), np.array([0]), np.array([0]), 2.0))
    assert math.isnan(nothing.p_values[1])


def test_fit_recovers_the_parameters():
    truth = HawkesParameters.from_arrays([0.8, 0.5], [[1.5, 0.9], [0.8, 2.5]], [[4.0, 3.0], [5.0, 6.0]])
    events = simulate_hawkes(truth, 12_000.0, seed=7)
    fit = fit_hawkes(events, 2, starts=1)
    assert fit.converged
    assert fit.log_likelihood >= hawkes_log_likelihood(truth, events)
    assert fit.log_likelihood == pytest.approx(hawkes_log_likelihood(fit.parameters, events), abs=1e-6)
    np.testing.assert_allclose(fit.parameters.base, truth.base, rtol=0.06)
    np.testing.assert_allclose(fit.parameters.impact, truth.impact, rtol=0.2)
    np.testing.assert_allclose(fit.parameters.decay, truth.decay, rtol=0.25)
    assert min(residual_test(fit.parameters, events).p_values) > 0.01


def test_fit_with_one_decay_a_type():
    truth = HawkesParameters.from_arrays([0.8, 0.5], [[1.5, 0.5], [0.8, 2.5]], [[4.0, 6.0], [4.0, 6.0]])
    fit = fit_hawkes(simulate_hawkes(truth, 5000.0, seed=8), 2, starts=1, shared_decay=True)
    decay = np.array(fit.parameters.decay)
    assert decay[0, 0, 0] == decay[1, 0, 0]
    np.testing.assert_allclose(decay[0, 0], [4.0, 6.0], rtol=0.2)


def test_fit_with_states_counts_transitions():
    events = simulate_hawkes(STATES, 3000.0, seed=9)
    fit = fit_hawkes(events, 2, 2, starts=1)
    np.testing.assert_allclose(fit.parameters.transition, STATES.transition, atol=0.04)
    assert min(residual_test(fit.parameters, events).p_values) > 0.01


def test_a_transition_never_seen_is_uniform():
    events = HawkesEvents(np.arange(1, 30) / 3.0, np.arange(29) % 2, np.zeros(29, int), 11.0)
    phi = np.array(fit_hawkes(events, 2, 2, starts=1).parameters.transition)
    np.testing.assert_array_equal(phi[1], 0.5)
    np.testing.assert_array_equal(phi[0, :, 0], 1.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (([1.0], [[2.0]], [[1.0]]), "branching ratio was 2.000"),
        (([-1.0], [[0.5]], [[1.0]]), "base rates were"),
        (([1.0], [[-0.5]], [[1.0]]), "an impact was negative"),
        (([1.0], [[0.5]], [[0.0]]), "decay not positive"),
        (([1.0, 1.0], [[0.5]], [[1.0]]), "shapes were impact"),
        (([1.0], [[0.5]], [[1.0]], [[[0.5]]]), "did not sum to 1"),
    ],
)
def test_wrong_parameters_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        HawkesParameters.from_arrays(*values)


def test_ragged_parameters_are_refused():
    with pytest.raises(ConfigError, match="ragged"):
        HawkesParameters(
            base=(1.0, 1.0), impact=(((0.1, 0.1),), ((0.1,),)), decay=(((1.0,),),), transition=(((1.0,),),)
        )


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (([2.0, 1.0], [0, 0], [0, 0], 3.0), "times fall"),
        (([1.0, 4.0], [0, 0], [0, 0], 3.0), "leave"),
        (([1.0], [2], [0], 3.0), "a type was 2"),
        (([1.0], [0], [1], 3.0), "a state was 1"),
        (([1.0], [0, 0], [0], 3.0), "lengths were"),
    ],
)
def test_wrong_events_are_refused(events, message):
    with pytest.raises(DataError, match=message):
        residuals(TWO, HawkesEvents(*events))


def test_a_type_without_events_cannot_be_fitted():
    with pytest.raises(DataError, match=r"event counts by type were \[2, 0\]"):
        fit_hawkes(HawkesEvents(np.array([1.0, 2.0]), np.zeros(2), np.zeros(2), 3.0), 2)


@pytest.mark.parametrize(("horizon", "state"), [(0.0, 0), (math.inf, 0), (1.0, 2)])
def test_wrong_simulation_is_refused(horizon, state):
    with pytest.raises(ConfigError, match="horizon was"):
        simulate_hawkes(STATES, horizon, seed=0, initial_state=state)


def _flow_counts(config):
    rows = concat(HawkesMarket(config).blocks()).rows
    trades = rows[rows["kind"] == EventKind.TRADE]
    return np.unique(trades["ts_event"]).size / config.duration_s, trades, rows


def test_market_orders_come_at_their_stationary_rate():
    config = HawkesMarketConfig(seed=1, duration_s=3600.0)
    rate, trades, _ = _flow_counts(config)
    assert rate == pytest.approx(config.flow.mean_rates()[:2].sum(), rel=0.06)
    _, first = np.unique(trades["ts_event"], return_index=True)
    sign = trades["side"][first].astype(float)
    assert np.corrcoef(sign[1:], sign[:-1])[0, 1] > 0.15
    fast, _, _ = _flow_counts(config.replace(rate_scale=3.0, duration_s=1200.0))
    assert fast == pytest.approx(3 * rate, rel=0.1)


def test_book_decides_the_state_of_a_state_dependent_flow():
    """Buyers are excited only where the book is bid-heavy: buys then follow a heavy bid."""
    base = np.array([0.2, 0.2, 8.0, 8.0])
    impact = np.zeros((4, 2, 4))
    impact[2:, 1, 0] = impact[2:, 0, 1] = 0.2
    flow = HawkesParameters.from_arrays(base, impact, np.full((4, 2, 4), 4.0), np.full((2, 4, 2), 0.5))
    config = HawkesMarketConfig(seed=2, duration_s=1200.0, flow=flow)
    _, trades, rows = _flow_counts(config)
    book: dict[int, dict[int, float]] = {1: {}, -1: {}}
    heavy = []
    for side, price, quantity, kind in zip(
        *(rows[k].tolist() for k in ("side", "price", "quantity", "kind")), strict=True
    ):
        if kind == EventKind.TRADE:
            q, p = book[1][max(book[1])], book[-1][min(book[-1])]
            heavy.append((side, q > p))
        elif quantity:
            book[side][price] = quantity
        else:
            del book[side][price]
    table = np.array(heavy)
    bought, sold = (table[table[:, 0] == side, 1].mean() for side in (1, -1))
    assert bought > sold + 0.15
    assert len(trades) > 500


@pytest.mark.parametrize(
    ("values", "message"),
    [({"flow": TWO}, "2 event types"), ({"depth": 1}, "depth was 1"), ({"order_lots": 0.5}, "order_lots")],
)
def test_wrong_hawkes_market_is_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        HawkesMarketConfig(**values)
