"""The preprocessing step: what it learns and what it does with missing values."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator

from marketprism.models.scaler import FactorScaler


def test_median_and_iqr_of_the_training_rows_only():
    X = np.random.default_rng(0).normal(3, 2, (5000, 1))
    scaler = FactorScaler().fit(X)
    assert scaler.center_[0, 0] == np.median(X)
    assert scaler.scale_[0, 0] == pytest.approx(2, rel=0.05)
    assert scaler.transform([[1000.0]])[0, 0] == 5.0
    assert scaler.transform([[-1000.0]])[0, 0] == -5.0


def test_missing_is_the_median_with_an_indicator_only_where_training_had_gaps():
    X = np.array([[1.0, 5.0], [2.0, 6.0], [np.nan, 7.0], [3.0, 8.0]])
    scaler = FactorScaler().fit(X)
    assert scaler.indicators_.tolist() == [0]
    out = scaler.transform([[np.nan, np.nan], [np.inf, 6.5]])
    assert out.tolist() == [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]


def test_constant_empty_and_two_valued_columns():
    X = np.column_stack((np.full(100, 0.1 + 0.2), np.full(100, np.nan), np.r_[np.zeros(90), np.ones(10)]))
    scaler = FactorScaler().fit(X)
    assert scaler.scale_[0].tolist() == [1.0, 1.0, pytest.approx(0.3)]
    assert np.isfinite(scaler.transform(X)).all()


def test_each_series_has_its_own_scale_and_unknown_ones_the_pooled():
    rng = np.random.default_rng(0)
    X = np.column_stack((np.r_[rng.normal(0, 1, 500), rng.normal(100, 10, 500)], np.repeat([1.0, 2.0], 500)))
    X = np.vstack((X, [[7.0, 3.0]]))  # one row of a third series
    scaler = FactorScaler(by_series=True).fit(X)
    assert scaler.center_[:, 0] == pytest.approx([scaler.center_[0, 0], 0, 100, scaler.center_[0, 0]], abs=1)
    out = scaler.transform([[0.0, 1.0], [100.0, 2.0], [0.0, 9.0], [0.0, 0.0]])
    assert out[:2, 0] == pytest.approx([0, 0], abs=0.2)
    assert out[2, 0] == out[3, 0] != out[0, 0]


def test_output_holds_float32_values():
    X = np.random.default_rng(0).normal(size=(50, 2))
    wide, narrow = (FactorScaler(dtype=dtype).fit_transform(X) for dtype in ("float64", "float32"))
    assert wide.dtype == np.float64
    assert narrow.dtype == np.float32
    assert (wide == narrow).all()


def test_unfitted_is_refused():
    with pytest.raises(NotFittedError):
        FactorScaler().transform([[1.0]])


@pytest.mark.filterwarnings("ignore")
def test_sklearn_conventions():
    check_estimator(FactorScaler())
