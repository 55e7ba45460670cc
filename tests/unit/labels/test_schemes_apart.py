"""The two schemes of returns are never mixed: a set has one, and a model of one is refused for labels of the other."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import IntegrityError
from marketprism.labels import LabelConfig, make_labels
from marketprism.models.artefact import Manifest, pack_artefact, unpack_artefact
from marketprism.models.baselines import ModelConfig, build_model, fit_model
from marketprism.models.features import factor_signature

NS = 10**9


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    end = np.cumsum(rng.integers(5, 60, 300)) * NS
    return pl.DataFrame(
        {
            "exchange": "x", "market_type": "spot", "symbol": "A", "bucket_id": np.arange(300),
            "segment": np.zeros(300, np.int64), "ts_end": end, "ts_known": end,
            "mid_last": 100 * np.exp(np.cumsum(1e-3 * rng.standard_normal(300))), "signal": rng.standard_normal(300),
        }
    )  # fmt: skip


def test_a_model_of_one_scheme_is_refused_for_the_other(frame):
    raw, paced = (make_labels(frame, LabelConfig(scheme=scheme)) for scheme in ("raw", "per_second"))
    view = raw.view("1_buckets")
    use = view.classes != -128
    model = fit_model(build_model(ModelConfig()), frame.select("signal").to_numpy()[use], view.classes[use])
    factors = ("signal",)
    manifest = Manifest(
        name="m",
        factors=factors,
        factor_hash=factor_signature(factors),
        label_scheme=raw.scheme,
        label_hash=raw.hash,
        horizon="1_buckets",
    )
    files = pack_artefact(model, manifest)
    loaded = unpack_artefact(files, label_scheme=raw.scheme, label_hash=raw.hash)
    assert loaded.predict_proba(np.zeros((1, 1))).sum() == pytest.approx(1)
    with pytest.raises(IntegrityError, match="label scheme is 'per_second', the model's is 'raw'"):
        unpack_artefact(files, label_scheme=paced.scheme)
    with pytest.raises(IntegrityError, match="label definition is"):
        unpack_artefact(files, label_hash=paced.hash)
    # Relabelling the manifest does not help: the graph remembers what it was made for.
    forged = {**files, "manifest.json": files["manifest.json"].replace(b'"raw"', b'"per_second"')}
    with pytest.raises(IntegrityError, match="was made for label_scheme 'raw'"):
        unpack_artefact(forged, label_scheme="per_second")


def test_a_set_has_one_scheme(frame):
    raw, paced = (make_labels(frame, LabelConfig(scheme=scheme)) for scheme in ("raw", "per_second"))
    assert raw.hash != paced.hash
    for steps in (1, 3, 5):
        one, other = raw.view(f"{steps}_buckets"), paced.view(f"{steps}_buckets")
        seconds = (one.label_end_ts - frame["ts_end"].to_numpy()) / NS
        known = np.isfinite(one.returns)
        assert known.sum() == 300 - steps
        assert other.returns[known] == pytest.approx(one.returns[known] / seconds[known])
        assert {one.scheme, other.scheme} == {"raw", "per_second"}


def test_fixed_time_horizons_from_a_second_to_an_hour(frame):
    horizons = (1.0, 10.0, 60.0, 300.0, 900.0, 3600.0)
    labels = make_labels(frame, LabelConfig(bucket_horizons=(), time_horizons_s=horizons))
    assert [horizon.name for horizon in labels.horizons] == ["1_s", "10_s", "60_s", "300_s", "900_s", "3600_s"]
    end = frame["ts_end"].to_numpy()
    for seconds in horizons:
        view = labels.view(f"{seconds:g}_s")
        known = np.isfinite(view.returns)
        assert (known == (end + seconds * NS <= end[-1])).all()
        assert (view.label_end_ts[known] == end[known] + seconds * NS).all()
