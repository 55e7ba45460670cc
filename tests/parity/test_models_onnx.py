"""The ONNX form predicts what the native pipeline predicts, missing values included."""

from __future__ import annotations

import numpy as np
import pytest

from marketprism.models import (
    Manifest,
    ModelConfig,
    build_model,
    factor_signature,
    fit_model,
    pack_artefact,
    predict_classes,
    unpack_artefact,
)

FACTORS = ("tiny", "grid", "price", "plain", "holes", "never")


def problem(n=3000):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 6))
    y = (X[:, 1] + rng.normal(size=n) > 0.5).astype(np.int8) - (X[:, 3] + rng.normal(size=n) < -0.8).astype(np.int8)
    X[:, 0] *= 1e-7
    X[:, 1] = np.round(X[:, 1], 1)  # values that are split thresholds, too
    X[:, 2] = 60_000 + X[:, 2]
    X[rng.random(n) < 0.2, 4] = np.nan
    X[:, 5] = np.nan
    return X, y, rng


@pytest.mark.parametrize("missing_class", [False, True])
@pytest.mark.parametrize("panel", [False, True])
@pytest.mark.parametrize("kind", ["logistic", "lightgbm"])
def test_onnx_equals_native(kind, panel, missing_class):
    X, y, rng = problem()
    series = ("a", "b", "c") if panel else ()
    if panel:
        X = np.column_stack((X, rng.integers(0, 4, len(X))))
    if missing_class:
        y = np.where(y == 0, np.int8(1), y)
    model = fit_model(build_model(ModelConfig(kind=kind, leaves=15), by_series=panel), X, y)
    manifest = Manifest(
        name=kind, factors=FACTORS, factor_hash=factor_signature(FACTORS), label_scheme="raw", label_hash="h",
        horizon="1_buckets", series=series,
    )  # fmt: skip
    files = pack_artefact(model, manifest)
    assert files == pack_artefact(model, manifest)
    loaded = unpack_artefact(files)
    new = X.copy()
    new[:, :6][rng.random((len(X), 6)) < 0.3] = np.nan
    new[:5, 3] = [np.inf, -np.inf, 1e300, -1e300, 0.0]
    if panel:
        new[:9, 6] = 17.0  # a series never seen
    new[9, :6] = np.nan
    for rows in (X, new, new[:1]):
        native, served = predict_classes(model, rows), loaded.predict_proba(rows)
        assert np.abs(native - served).max() <= 1e-5


def test_neighbouring_float32_values_take_the_same_branch():
    """A threshold between two neighbours must not be rounded onto the upper one."""
    step = 2.0**-23
    low, high = 1 + step, 1 + 2 * step  # their midpoint rounds to the upper one
    X = np.tile([[low], [high]], (200, 1))
    y = np.tile(np.array([-1, 1], np.int8), 200)
    model = build_model(ModelConfig(kind="lightgbm", trees=3, min_leaf_rows=1, column_share=1.0))
    # A scaler that changes nothing, so that the trees see the values themselves.
    model.set_params(scale__limit=10.0)
    model.named_steps["scale"].fit([[-1.349], [0.0], [1.349]])
    scale = model.named_steps["scale"]
    scale.center_[:], scale.scale_[:] = 0.0, 1.0
    model.named_steps["model"].fit(scale.transform(X).astype(np.float32), y)
    manifest = Manifest(
        name="x", factors=("x",), factor_hash="", label_scheme="raw", label_hash="", horizon="1_buckets"
    )
    served = unpack_artefact(pack_artefact(model, manifest)).predict_proba(X[:2])
    native = predict_classes(model, X[:2])
    assert native[0, 2] < 0.5 < native[1, 2]
    assert np.abs(native - served).max() <= 1e-5
