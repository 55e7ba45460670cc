"""Trend states on series whose true states are known."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from marketprism.core.errors import ConfigError, DataError, StateError
from marketprism.core.state import pack_state
from marketprism.labels import NO_STATE, StateFilter, StateGates, TrendStates, transforms

N = 900


def tape(seed=0, n=N, drifts=(0.6, -0.6), dwell=60):
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.resize(drifts, -(-n // dwell)), dwell)[:n]
    returns = truth + rng.normal(size=n)
    X = np.column_stack(
        [transforms.ewma(returns, 10), transforms.ewma(returns, 20), rng.normal(size=n), rng.normal(size=n)]
    )
    return X, returns, np.sign(truth).astype(int)


@pytest.mark.parametrize("method", ["jump", "sparse_jump", "hmm", "rules"])
def test_finds_the_states_and_passes_its_gates(method):
    X, returns, _ = tape()
    model = TrendStates(method, 2, 10.0, 2.0).fit(X, returns)
    assert (model.method_, model.refused_, model.quality_scope_) == (method, (), "walk_forward")
    assert model.quality_.flips_per_100 < 5
    assert model.quality_.mean_ic > 0.1
    fresh, _, fresh_truth = tape(seed=9)
    states = model.predict_online(fresh)
    assert set(states.tolist()) <= {-1, 0, 1}
    known = states != 0
    assert known.mean() > 0.6
    assert (states[known] == fresh_truth[known]).mean() > (0.65 if method == "rules" else 0.8)
    assert model.margin_online(fresh)[known] @ states[known] > 0


@pytest.mark.parametrize("method", ["jump", "hmm"])
def test_three_states(method):
    X, returns, truth = tape(drifts=(1.0, 0.0, -1.0, 0.0))
    model = TrendStates(method, 3, 3.0, refuse=False).fit(X, returns)
    means = [moments[0] for moments in model.moments_.values()]
    assert list(model.moments_) == ["down", "neutral", "up"]
    assert means == sorted(means)
    states = model.predict_online(X)
    assert (states == truth).mean() > 0.55


@pytest.mark.parametrize("method", ["jump", "sparse_jump", "hmm"])
def test_names_do_not_swap_between_refits(method):
    X, returns, truth = tape(n=1200)
    for seed in range(4):
        start = 60 * seed + 13
        model = TrendStates(method, 2, 10.0, seed=seed, refuse=False).fit(X[start:], returns[start:])
        assert model.moments_["down"][0] < -0.2 < 0.2 < model.moments_["up"][0]
        states = model.predict_online(X)
        assert np.corrcoef(states, truth)[0, 1] > 0.5


def test_states_of_equal_mean_are_named_by_volatility():
    rng = np.random.default_rng(0)
    sigma = np.repeat(np.resize([0.5, 2.0], 10), 60)
    returns = sigma * np.tile([1.0, -1.0], 300) + 0.05 * (sigma > 1)  # half a standard error: chance
    X = np.abs(returns)[:, None] + 0.1 * rng.normal(size=(600, 1))
    moments = TrendStates("jump", 2, 5.0, refuse=False).fit(X, returns).moments_
    assert moments["down"][1] > 1.5 > 1.0 > moments["up"][1]


def test_noise_is_refused_and_the_rules_take_over():
    rng = np.random.default_rng(3)
    X, returns = rng.normal(size=(N, 2)), rng.normal(size=N)
    model = TrendStates("jump", jump_penalty=1.0).fit(X, returns)
    assert model.method_ == "rules"
    assert model.refused_
    assert model.refused_quality_ is not None
    assert "jump was refused: " in model.describe()
    rules = TrendStates("rules").fit(X, returns)
    assert np.array_equal(model.predict_online(X), rules.predict_online(X))
    kept = TrendStates("jump", jump_penalty=1.0, refuse=False).fit(X, returns)
    assert (kept.method_, kept.refused_) == ("jump", ())
    assert kept.failures_
    assert "gates failed by jump" in kept.describe()


def test_unused_states_are_refused_with_the_reason():
    X, returns, _ = tape(n=300)
    model = TrendStates("jump", 2, 1e9, n_init=1).fit(X, returns)
    assert model.method_ == "rules"
    assert "only 1 of 2 states" in model.refused_[0]
    assert model.refused_quality_ is None


def test_penalty_is_tuned_by_walk_forward():
    X, returns, _ = tape()
    model = TrendStates("jump", 2, "auto", penalty_grid=(0.0, 10.0, 1e9), n_init=1).fit(X, returns)
    assert model.jump_penalty_ == 10.0
    assert list(model.trials_) == [0.0, 10.0]  # the third could not be fitted
    assert model.trials_[0.0].flips_per_100 > model.trials_[10.0].flips_per_100
    assert model.quality_ is model.trials_[10.0]
    assert "jump penalty 10" in model.describe()
    hopeless = TrendStates("jump", 2, "auto", penalty_grid=(1e9,), n_init=1).fit(X, returns)
    assert hopeless.method_ == "rules"


def test_gates_are_configurable():
    X, returns, _ = tape()
    model = TrendStates("rules", gates=StateGates(min_forward_ic=0.99)).fit(X, returns)
    assert model.method_ == "rules"
    assert any("forward IC" in text for text in model.failures_)


def test_few_rows_are_judged_in_sample_and_too_few_refused():
    X, returns, _ = tape(n=120)
    assert TrendStates("rules").fit(X, returns).quality_scope_ == "in_sample"
    with pytest.raises(DataError, match="29 rows of X were complete"):
        TrendStates("rules").fit(X[:29], returns[:29])


def test_full_window_filter_equals_the_library():
    from jumpmodels.jump import JumpModel

    X, returns, _ = tape(n=400)
    model = TrendStates("jump", 2, 10.0, filter_window=None, neutral_gate=0.0, refuse=False, seed=1).fit(X, returns)
    scaled = np.clip((X - X.mean(0)) / X.std(0), -3, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = JumpModel(2, 10.0, random_state=1).fit(scaled, ret_ser=returns, sort_by="ret")
        online, looking_ahead = library.predict_online(scaled), library.predict(scaled)
    states = model.predict_online(X)
    assert np.array_equal(states, np.where(np.asarray(online) == 0, 1, -1))
    assert not np.array_equal(online, looking_ahead)  # the library's predict uses the future: never used here


def test_sparse_filter_equals_the_library_and_drops_noise():
    from jumpmodels.sparse_jump import SparseJumpModel

    from marketprism.labels.state_models import fit_jump

    X, returns, _ = tape(n=400)
    named = fit_jump(X, returns, 2, 10.0, max_features=2.0, window=0, seed=5)
    scaled = np.clip((X - X.mean(0)) / X.std(0), -3, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = SparseJumpModel(2, 2.0, 10.0, random_state=5, n_init_jm=3, max_iter=10)
        library.fit(scaled, ret_ser=returns, sort_by="ret")
        online = library.predict_online(scaled)
    states = StateFilter(named.model, 0.0, 1.0).push(X)
    assert np.array_equal(states, np.where(np.asarray(online) == 0, 1, -1))
    assert named.weights[:2].min() > 5 * named.weights[2:].max()


def test_hmm_filter_is_the_forward_recursion():
    from scipy.special import logsumexp
    from scipy.stats import norm

    from marketprism.labels.state_models import fit_hmm

    X, returns, _ = tape(n=300)
    model = fit_hmm(X, returns, 2, window=0).model
    scaled = np.clip((X - model.mean) / model.spread, -3, 3)
    density = np.stack(
        [norm.logpdf(scaled, c, p**-0.5).sum(axis=1) for c, p in zip(model.centres, model.precision, strict=True)], 1
    )
    log_alpha = np.empty((300, 2))
    log_alpha[0] = density[0] - model.start
    for t in range(1, 300):
        log_alpha[t] = density[t] + logsumexp(log_alpha[t - 1][:, None] - model.cost, axis=0)
    _, margin = StateFilter(model, 0.0, 1.0).push_with_margin(X)
    np.testing.assert_allclose(margin, log_alpha[:, 1] - log_alpha[:, 0], atol=1e-8)


def test_delay_is_one_row():
    X, returns, _ = tape(n=300)
    now = TrendStates("rules").fit(X, returns).predict_online(X, np.arange(300) >= 150)
    later = TrendStates("rules", delay=1).fit(X, returns).predict_online(X, np.arange(300) >= 150)
    assert np.array_equal(later[1:150], now[:149])
    assert later[0] == later[150] == NO_STATE
    assert np.array_equal(later[151:], now[150:-1])


def test_rules_hold_their_states():
    X, returns, _ = tape(drifts=(0.3, -0.3), dwell=7)
    model = TrendStates("rules", dwell=15, neutral_gate=0.0).fit(X, returns)
    states = model.predict_online(X)
    changes = np.flatnonzero(np.diff(states))
    assert changes.size > 5
    assert np.diff(changes).min() >= 15
    quick = TrendStates("rules", dwell=0, neutral_gate=0.0).fit(X, returns).predict_online(X)
    assert np.diff(np.flatnonzero(np.diff(quick))).min() < 15


def test_rules_follow_the_sign_of_their_column():
    X, returns, truth = tape()
    for inputs in (returns[:, None], 50 - 7 * returns[:, None]):
        states = TrendStates("rules").fit(inputs, returns).predict_online(inputs)
        assert np.corrcoef(states, truth)[0, 1] > 0.35
    chosen = TrendStates("rules", rule_column=2).fit(X, returns)
    assert chosen.online().model.column == 2


def test_missing_rows_bring_no_evidence():
    X, returns, _ = tape(n=300)
    model = TrendStates("jump", 2, 5.0, filter_window=30, refuse=False, n_init=1).fit(X, returns)
    holes = X.copy()
    holes[100:160, 1] = np.nan
    states = model.predict_online(holes)
    assert NO_STATE not in states[:129].tolist()
    assert set(states[129:160].tolist()) == {NO_STATE}
    assert np.isnan(model.margin_online(holes)[129:160]).all()
    assert NO_STATE not in states[160:].tolist()
    whole = TrendStates("jump", 2, 5.0, filter_window=None, refuse=False, n_init=1).fit(X, returns)
    assert NO_STATE not in whole.predict_online(holes).tolist()


def test_frames_clones_and_seeds():
    X, returns, _ = tape(n=300)
    model = TrendStates("jump", 2, 5.0, n_init=2, gates=StateGates(min_forward_ic=0.0))
    first = clone(model).fit(X, returns).predict_online(X)
    for frame in (pl.DataFrame(X), pd.DataFrame(X)):
        assert np.array_equal(clone(model).fit(frame, list(returns)).predict_online(frame), first)
    one_column = TrendStates("rules").fit(X[:, 0], returns)
    assert one_column.n_features_in_ == 1


def test_constant_inputs_and_identical_inputs():
    X, returns, _ = tape(n=300)
    for inputs in (np.column_stack([X[:, 0], np.ones(300)]), X[:, [0, 0]]):
        model = TrendStates("sparse_jump", 2, 5.0, n_init=1).fit(inputs, returns)
        assert set(model.predict_online(inputs).tolist()) <= {-1, 0, 1}
    flat = TrendStates("hmm").fit(np.ones((100, 1)), np.zeros(100))
    assert flat.method_ == "rules"
    assert set(flat.predict_online(np.ones((100, 1))).tolist()) == {0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "jmp"}, "did you mean 'jump'"),
        ({"n_states": 4}, "n_states was 4"),
        ({"jump_penalty": -1.0}, "jump_penalty was -1"),
        ({"jump_penalty": "best"}, "jump_penalty was 'best'"),
        ({"filter_window": 10}, "filter_window was 10 .expected 30 to 60"),
        ({"fast": 20}, "fast was 20"),
        ({"clip": 0.0}, "clip was 0"),
        ({"jump_penalty": "auto", "penalty_grid": ()}, "penalty_grid was empty"),
        ({"method": "rules", "rule_column": 9}, "rule_column was 9"),
    ],
)
def test_bad_parameters(change, message):
    X, returns, _ = tape(n=100)
    with pytest.raises(ConfigError, match=message):
        TrendStates(**change).fit(X, returns)


def test_what_a_library_cannot_fit_is_said():
    from marketprism import labels
    from marketprism.labels.state_models import fit_hmm

    with pytest.raises(DataError, match="HMM could not be fitted"):
        fit_hmm(np.full((40, 1), np.nan), np.zeros(40), 2)
    with pytest.raises(AttributeError, match="no attribute 'TrendState'"):
        labels.TrendState  # noqa: B018


def test_bad_data():
    X, returns, _ = tape(n=100)
    model = TrendStates("jump", 2, 5.0, n_init=1, refuse=False)
    with pytest.raises(NotFittedError):
        model.predict_online(X)
    with pytest.raises(DataError, match="one return for each"):
        model.fit(X, returns[:-1])
    with pytest.raises(DataError, match="segments had shape"):
        model.fit(X, returns, [0])
    with pytest.raises(DataError, match="read as numbers"):
        model.fit(np.array([["a"]]), [0.0])
    with pytest.raises(DataError, match="X had shape"):
        model.fit(np.zeros((2, 2, 2)), [0.0, 0.0])
    X, returns, _ = tape(n=300)
    fitted = model.fit(X, returns)
    with pytest.raises(DataError, match="fitted on 4"):
        fitted.online().push(X[:, :2])
    with pytest.raises(DataError, match="fitted on 4"):
        fitted.predict_online(X[:, :2])
    with pytest.raises(DataError, match="one segment for each row"):
        fitted.online().push(X, np.zeros(3, np.int64))
    with pytest.raises(DataError, match="the rules read column 2"):
        TrendStates("rules", rule_column=2).fit(X, returns).online().push(X[:, :2])
    with pytest.raises(StateError, match="'Other'"):
        StateFilter.load(pack_state("state_filter", 1, {"kind": "Other"}))
