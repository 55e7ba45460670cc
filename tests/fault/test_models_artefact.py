"""An artefact that differs in anything is refused, with the reason."""

from __future__ import annotations

import hashlib
import json
import pickle

import numpy as np
import pytest

from marketprism.core.errors import ConfigError, DataError, IntegrityError
from marketprism.models import (
    Manifest,
    ModelConfig,
    build_model,
    factor_signature,
    fit_model,
    pack_artefact,
    to_onnx_bytes,
    unpack_artefact,
)

FACTORS = ("a", "b", "c")


def artefact(factors=FACTORS, **changes):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, len(factors))), rng.integers(-1, 2, 200).astype(np.int8)
    model = fit_model(build_model(ModelConfig()), X, y)
    manifest = Manifest(
        **{
            "name": "logistic", "factors": factors, "factor_hash": factor_signature(factors), "label_scheme": "raw",
            "label_hash": "h", "horizon": "1_buckets", "bucket_policy": "p", **changes,
        }
    )  # fmt: skip
    return pack_artefact(model, manifest)


def edited(files, /, **changes):
    manifest = {**json.loads(files["manifest.json"]), **changes}
    return {**files, "manifest.json": json.dumps(manifest).encode()}


def test_untouched_is_accepted_and_predicts():
    files = artefact()
    model = unpack_artefact(
        files, factors=FACTORS, factor_hash=factor_signature(FACTORS), label_scheme="raw", bucket_policy="p"
    )
    assert model.predict_proba(np.zeros((2, 3))).sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert sorted(files) == ["manifest.json", "model.onnx"]
    with pytest.raises(DataError, match=r"shape \(2, 4\)"):
        model.predict_proba(np.zeros((2, 4)))


@pytest.mark.parametrize("position", [0, 100, -1])
def test_altered_graph(position):
    files = artefact()
    graph = bytearray(files["model.onnx"])
    graph[position] ^= 1
    with pytest.raises(IntegrityError, match=r"model\.onnx has SHA-256"):
        unpack_artefact({**files, "model.onnx": bytes(graph)})


def test_swapped_graph_even_with_a_corrected_checksum():
    files, other = artefact(), artefact(("c", "b", "a"))
    with pytest.raises(IntegrityError, match="was altered or swapped"):
        unpack_artefact({**files, "model.onnx": other["model.onnx"]})
    forged = edited(files, files=json.loads(other["manifest.json"])["files"])
    with pytest.raises(IntegrityError, match="made for factor_order"):
        unpack_artefact({**forged, "model.onnx": other["model.onnx"]})


def test_factor_order_edited_in_the_manifest():
    with pytest.raises(IntegrityError, match="graph and manifest belong to different models"):
        unpack_artefact(edited(artefact(), factors=["b", "a", "c"]))


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"factors": ("b", "a", "c")}, "position 0 is 'b', the model takes 'a'"),
        ({"factors": ("a", "b")}, "2 were offered, the model takes 3"),
        ({"factor_hash": "0" * 16}, "factor hash is '0000000000000000'"),
        ({"label_scheme": "per_second"}, "label scheme is 'per_second', the model's is 'raw'"),
        ({"label_hash": "g"}, "label definition is 'g', the model's is 'h'"),
        ({"bucket_policy": "q"}, "bucket policy is 'q'"),
    ],
)
def test_callers_input_differs(expected, message):
    with pytest.raises(IntegrityError, match=message):
        unpack_artefact(artefact(), **expected)


def test_unknown_key_wrong_version_and_wrong_type():
    with pytest.raises(IntegrityError, match="unknown field `extra`"):
        unpack_artefact(edited(artefact(), extra=1))
    with pytest.raises(IntegrityError, match="format version 2, this code reads 1"):
        unpack_artefact(edited(artefact(), format_version=2))
    with pytest.raises(IntegrityError, match="Expected `array`"):
        unpack_artefact(edited(artefact(), factors="abc"))


def test_missing_unlisted_and_unreadable_files():
    files = artefact()
    with pytest.raises(IntegrityError, match=r"lacks 'manifest\.json'"):
        unpack_artefact({"model.onnx": files["model.onnx"]})
    with pytest.raises(IntegrityError, match=r"lacks 'model\.onnx'"):
        unpack_artefact({"manifest.json": files["manifest.json"]})
    with pytest.raises(IntegrityError, match="is not readable"):
        unpack_artefact({**files, "manifest.json": b"{"})
    with pytest.raises(IntegrityError, match="lists no"):
        unpack_artefact({"manifest.json": edited(files, files={})["manifest.json"]})


def test_pickle_is_never_loaded():
    class Bomb:
        def __reduce__(self):
            return (exec, ("raise SystemExit",))

    files = {**artefact(), "model.pkl": pickle.dumps(Bomb())}
    with pytest.raises(IntegrityError, match=r"'model\.pkl', which its manifest does not list"):
        unpack_artefact(files)
    posing = {**artefact(), "model.onnx": pickle.dumps(Bomb())}
    with pytest.raises(IntegrityError, match="SHA-256"):
        unpack_artefact(posing)
    digest = hashlib.sha256(posing["model.onnx"]).hexdigest()
    with pytest.raises(IntegrityError, match="is no ONNX graph"):
        unpack_artefact(edited(posing, files={"model.onnx": digest}))


def test_only_the_baselines_export():
    from sklearn.naive_bayes import GaussianNB
    from sklearn.pipeline import Pipeline

    from marketprism.models.scaler import FactorScaler

    X, y = np.random.default_rng(0).normal(size=(50, 2)), np.tile([-1, 1], 25)
    model = Pipeline([("scale", FactorScaler()), ("model", GaussianNB())]).fit(X, y)
    with pytest.raises(ConfigError, match="model was a GaussianNB"):
        to_onnx_bytes(model)
