"""A known miscalibration is repaired, and nothing odd breaks the calibrator."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from marketprism.core.errors import ConfigError, DataError
from marketprism.models.calibration import CalibrationMap, ProbabilityCalibrator

METHODS = ("isotonic", "platt", "beta")


def loud(n: int = 6000, power: float = 3.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True probabilities, the same sharpened by ``power``, and classes drawn from the true ones."""
    rng = np.random.default_rng(seed)
    true = rng.dirichlet((4.0, 5.0, 4.0), n)
    sharp = true**power
    sharp /= sharp.sum(axis=1, keepdims=True)
    y = (rng.random(n)[:, None] > np.cumsum(true, axis=1)).sum(axis=1) - 1
    return true, sharp, y


@pytest.mark.parametrize("method", METHODS)
def test_overconfidence_is_repaired(method: str) -> None:
    true, sharp, y = loud()
    fresh_true, fresh, _ = loud(seed=1)
    repaired = ProbabilityCalibrator(method).fit(sharp, y).transform(fresh)
    before, after = (float(((p - fresh_true) ** 2).mean()) for p in (fresh, repaired))
    assert after < 0.25 * before
    np.testing.assert_allclose(repaired.sum(axis=1), 1.0, atol=1e-12)
    assert true.shape == sharp.shape


@pytest.mark.parametrize("method", METHODS)
def test_true_probabilities_stay_nearly_as_they_are(method: str) -> None:
    true, _, y = loud()
    changed = ProbabilityCalibrator(method).fit(true, y).transform(true)
    assert float(np.abs(changed - true).mean()) < 0.02


def test_platt_without_ridge_is_logistic_regression_on_the_log_odds() -> None:
    _, sharp, y = loud(3000)
    one = ProbabilityCalibrator("platt", strength=0.0).fit(sharp, y).state_.maps[2]
    logit = np.log(sharp[:, 2] / (1 - sharp[:, 2]))[:, None]
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logit, y == 1)
    # Platt's targets are a hair off 0 and 1, hence the tolerance.
    assert one.slope_low == one.slope_high == pytest.approx(reference.coef_[0, 0], rel=5e-3)
    assert one.shift == pytest.approx(reference.intercept_[0], abs=5e-3)


def test_beta_repairs_what_platt_cannot() -> None:
    # One side is exaggerated, the other is not: logit q = 3 ln p - ln(1 - p).
    rng = np.random.default_rng(3)
    p = rng.uniform(0.02, 0.98, 20_000)
    true = 1 / (1 + np.exp(-(3 * np.log(p) - np.log1p(-p))))
    y = np.where(rng.random(p.size) < true, 1, -1)
    P = np.column_stack((1 - p, np.zeros(p.size), p))
    found = ProbabilityCalibrator("beta").fit(P, y).state_.maps[2]
    assert found.slope_low == pytest.approx(3.0, abs=0.25)
    assert found.slope_high == pytest.approx(1.0, abs=0.1)
    gaps = {
        method: np.abs(ProbabilityCalibrator(method).fit(P, y).transform(P)[:, 2] - true).mean()
        for method in ("platt", "beta")
    }
    assert gaps["beta"] < 0.5 * gaps["platt"]


@pytest.mark.parametrize("method", METHODS)
def test_the_gradient_falls_to_zero_and_isotonic_averages_pools(method: str) -> None:
    _, sharp, y = loud(500)
    one = ProbabilityCalibrator(method, strength=0.0).fit(sharp, y).state_.maps[0]
    # Each of the three keeps the mean: fitted probabilities add up to the (smoothed) number of hits.
    assert float(one(sharp[:, 0]).sum()) == pytest.approx(float((y == -1).sum()), abs=1.5)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.sampled_from((-1, 0, 1))), min_size=0, max_size=60),
    st.sampled_from(METHODS),
)
def test_any_rows_give_monotone_maps_and_probabilities(rows: list[tuple[float, float, int]], method: str) -> None:
    down = np.array([min(a, b) for a, b, _ in rows])
    up = np.array([1 - max(a, b) for a, b, _ in rows])
    P = np.column_stack((down, np.clip(1 - down - up, 0, 1), up)).reshape(-1, 3)
    fitted = ProbabilityCalibrator(method, min_rows=2).fit(P, np.array([y for *_, y in rows], dtype=int))
    grid = np.linspace(0, 1, 101)
    for one in fitted.state_.maps:
        mapped = one(grid)
        assert (np.diff(mapped) >= 0).all()
        assert ((mapped >= 0) & (mapped <= 1)).all()
    moved = fitted.transform(P)
    np.testing.assert_allclose(moved.sum(axis=1), 1.0, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_few_rows_keep_the_probabilities(method: str) -> None:
    _, sharp, y = loud(29)
    fitted = ProbabilityCalibrator(method).fit(sharp, y)
    np.testing.assert_allclose(fitted.transform(sharp), sharp, rtol=1e-12)
    assert fitted.state_.maps[0] == CalibrationMap()
    more = loud(30)
    assert ProbabilityCalibrator(method).fit(more[1], more[2]).state_.maps[0] != CalibrationMap()


@pytest.mark.parametrize("method", METHODS)
def test_a_class_that_never_came_is_unlikely_not_impossible(method: str) -> None:
    _, sharp, y = loud(400)
    moved = ProbabilityCalibrator(method).fit(sharp, np.where(y == 0, 1, y)).transform(sharp)
    assert moved[:, 1].mean() < 0.01
    assert (moved[:, 1] > 0).all()
    np.testing.assert_allclose(moved.sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_scores_that_never_vary_become_the_base_rates(method: str) -> None:
    _, _, y = loud(600)
    P = np.full((600, 3), 1 / 3)
    moved = ProbabilityCalibrator(method).fit(P, y).transform(P)
    shares = [(y == label).mean() for label in (-1, 0, 1)]
    np.testing.assert_allclose(moved[0], shares, atol=0.01)


def test_missing_rows_teach_nothing_and_stay_missing() -> None:
    _, sharp, y = loud(300)
    holed = sharp.copy()
    holed[::7, 1] = np.nan
    kept = np.isfinite(holed).all(axis=1)
    one = ProbabilityCalibrator("beta").fit(holed, y)
    other = ProbabilityCalibrator("beta").fit(sharp[kept], y[kept])
    assert one.state_ == other.state_
    moved = one.transform(holed)
    assert np.isnan(moved[::7]).all()
    assert np.isfinite(moved[kept]).all()


def test_zero_everywhere_gives_the_shares() -> None:
    fitted = ProbabilityCalibrator("beta").from_mapping(
        {
            "method": "isotonic",
            "rows": 9,
            "shares": [0.2, 0.3, 0.5],
            "maps": [{"knots": [0.0, 1.0], "values": [0.0, 0.0]}] * 3,
        }
    )
    np.testing.assert_allclose(fitted.transform([[0.1, 0.4, 0.5]]), [[0.2, 0.3, 0.5]])


@pytest.mark.parametrize("method", METHODS)
def test_plain_data_bring_back_the_same_bits(method: str) -> None:
    _, sharp, y = loud(500)
    fitted = ProbabilityCalibrator(method).fit(sharp, y)
    text = json.dumps(fitted.to_mapping())
    again = ProbabilityCalibrator.from_mapping(json.loads(text))
    assert again.transform(sharp).tobytes() == fitted.transform(sharp).tobytes()
    assert again.method == method


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"slope_low": -1.0}, "negative slope"),
        ({"shift": float("nan")}, "finite"),
        ({"knots": [0.0]}, "knots"),
        ({"knots": [0.0, 1.0], "values": [0.5, 0.4]}, "rise"),
        ({"slope": 1.0}, "no key"),
    ],
)
def test_maps_that_fall_are_refused(change: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        CalibrationMap.from_mapping(change)


def test_wrong_input_is_refused() -> None:
    good, y = np.full((40, 3), 1 / 3), np.zeros(40, int)
    with pytest.raises(ConfigError, match="plat"):
        ProbabilityCalibrator("plat").fit(good, y)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="shape"):
        ProbabilityCalibrator().fit(good[:, :2], y)
    with pytest.raises(DataError, match="classes"):
        ProbabilityCalibrator().fit(good, y[:-1])
    with pytest.raises(DataError, match="probability was"):
        ProbabilityCalibrator().fit(good * 4.5, y)
    with pytest.raises(DataError, match="class was"):
        ProbabilityCalibrator().fit(good, y + 2)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("method", ["platt", "beta"])
def test_the_fit_is_the_constrained_optimum(seed: int, method: str) -> None:
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    p = rng.beta(*rng.uniform(0.3, 4.0, 2), 120)
    if seed % 4 == 3:
        p = np.full(120, 0.3)
    hit = rng.random(120) < (p, 1 - p, p**3, p)[seed % 4]  # falling and flat ones hit the bounds
    P = np.column_stack((1 - p, np.zeros(120), p))
    strength = float(seed % 2)
    one = ProbabilityCalibrator(method, strength=strength).fit(P, np.where(hit, 1, -1)).state_.maps[2]
    ups, low, high = int(hit.sum()), np.log(p), -np.log1p(-p)
    target = np.where(hit, (ups + 1) / (ups + 2), 1 / (122 - ups))

    def loss(theta: np.ndarray) -> float:
        a, b, c = (theta[0], theta[0], theta[1]) if method == "platt" else theta
        z = a * low + b * high + c
        pull = (a - 1) ** 2 + (b - 1) ** 2 * (method == "beta")
        return float((np.logaddexp(0, z) - target * z).sum() + 0.5 * strength * pull)

    ours = [one.slope_low, one.shift] if method == "platt" else [one.slope_low, one.slope_high, one.shift]
    start = np.array([1.0, 0.0] if method == "platt" else [1.0, 1.0, 0.0])
    bounds = [(0.0, None)] * (start.size - 1) + [(None, None)]
    reference = minimize(loss, start, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-13})
    assert loss(np.array(ours)) <= reference.fun + 1e-6
