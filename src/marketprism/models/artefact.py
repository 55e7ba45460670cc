"""Model artefacts: an ONNX graph and a hash-checked manifest, packed to bytes and refused when anything differs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from marketprism.core.config import Config
from marketprism.core.errors import DataError, IntegrityError
from marketprism.models.features import factor_signature

__all__ = ["FORMAT_VERSION", "LoadedModel", "Manifest", "pack_artefact", "unpack_artefact"]

FORMAT_VERSION = 1
"""Layout version of an artefact; another one is refused."""

_MANIFEST, _GRAPH = "manifest.json", "model.onnx"


class Manifest(Config, frozen=True):
    """What a model was trained on; stored as ``manifest.json`` beside ``model.onnx``.

    Parameters
    ----------
    name : str
        Model name, such as ``lightgbm``.
    factors : tuple of str
        Inputs, in order.
    factor_hash : str
        ``factor_signature`` of the factors (and their definitions).
    series : tuple of str
        Panel series in code order; empty for one instrument.
    bucket_policy : str
        Hash of the bucket configuration.
    label_scheme, label_hash, horizon : str
        The labels it predicts.
    data_hash, config_hash, code_version : str
        Where it came from.
    model_config : mapping
        Parameters of the model.
    seed : int
        Seed of the run.
    metrics : mapping
        Out-of-sample metrics, name -> {"value", "low", "high", ...}.
    train_end_ts : int
        Latest time (ns UTC) at which a training label became known; the model saw nothing later.
    files : mapping of str to str
        SHA-256 of every other file; filled by :func:`pack_artefact`.
    format_version : int
        Layout of the artefact.
    """

    name: str
    factors: tuple[str, ...]
    factor_hash: str
    label_scheme: str
    label_hash: str
    horizon: str
    series: tuple[str, ...] = ()
    bucket_policy: str = ""
    data_hash: str = ""
    config_hash: str = ""
    code_version: str = ""
    model_config: dict[str, Any] = msgspec.field(default_factory=dict)
    seed: int = 0
    metrics: dict[str, Any] = msgspec.field(default_factory=dict)
    train_end_ts: int = -1
    files: dict[str, str] = msgspec.field(default_factory=dict)
    format_version: int = FORMAT_VERSION


class LoadedModel:
    """A checked artefact, ready to predict with ONNX Runtime on one thread.

    Parameters
    ----------
    manifest : Manifest
        Its description.
    graph : bytes
        The ONNX model.
    """

    def __init__(self, manifest: Manifest, graph: bytes) -> None:
        import onnxruntime

        self.manifest = manifest
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's errors have no common root but this
            raise IntegrityError(f"{_GRAPH} is no ONNX graph that runs: {error}", hint="train again") from error

    @property
    def graph_metadata(self) -> dict[str, str]:
        """Metadata stored inside the graph."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def predict_proba(self, X: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return ``float64[n, 3]``: probabilities of down, flat, up.

        Parameters
        ----------
        X : ndarray of shape (n, F)
            From ``feature_matrix(frame, manifest.factors, manifest.series)``; NaN where a factor is missing.

        Raises
        ------
        DataError
            The number of columns is wrong.
        """
        from marketprism.models.onnx_export import INPUT_NAME

        width = len(self.manifest.factors) + bool(self.manifest.series)
        if X.ndim != 2 or X.shape[1] != width:
            raise DataError(f"features were of shape {X.shape}", hint=f"expected (n, {width})")
        (result,) = self._session.run(None, {INPUT_NAME: np.ascontiguousarray(X, np.float64)})
        return np.asarray(result, np.float64)


def pack_artefact(model: Any, manifest: Manifest) -> dict[str, bytes]:
    """Return the files of an artefact, name -> content; the caller writes them.

    Parameters
    ----------
    model : sklearn.pipeline.Pipeline
        Fitted baseline.
    manifest : Manifest
        Its description; ``files`` is filled in here.
    """
    from marketprism.models.onnx_export import to_onnx_bytes

    graph = to_onnx_bytes(model, _graph_facts(manifest))
    sealed = manifest.replace(files={_GRAPH: hashlib.sha256(graph).hexdigest()})
    text = msgspec.json.format(msgspec.json.encode(sealed.to_mapping(), order="sorted"), indent=2)
    return {_GRAPH: graph, _MANIFEST: text + b"\n"}


def unpack_artefact(
    files: Mapping[str, bytes],
    *,
    factors: Sequence[str] | None = None,
    factor_hash: str | None = None,
    label_scheme: str | None = None,
    label_hash: str | None = None,
    bucket_policy: str | None = None,
) -> LoadedModel:
    """Check an artefact and return the model; every mismatch is refused with its reason.

    Parameters
    ----------
    files : mapping of str to bytes
        All files of the artefact's folder.
    factors, factor_hash, label_scheme, label_hash, bucket_policy : optional
        What the caller is about to feed it; each one given must equal the manifest's.

    Raises
    ------
    IntegrityError
        A file is missing, unlisted (a pickle, say) or altered; the manifest is malformed, has unknown keys or
        another format version, or contradicts the graph or the caller.
    """
    manifest = _read_manifest(files)
    unlisted = sorted(set(files) - set(manifest.files) - {_MANIFEST})
    if unlisted:
        raise IntegrityError(
            f"artefact holds {unlisted[0]!r}, which its manifest does not list",
            hint="nothing unlisted is loaded, pickles never; remove it or train again",
        )
    for name, digest in sorted(manifest.files.items()):
        if name not in files:
            raise IntegrityError(f"artefact lacks {name!r}", hint="copy the whole folder")
        found = hashlib.sha256(files[name]).hexdigest()
        if found != digest:
            raise IntegrityError(
                f"{name} has SHA-256 {found[:12]}..., the manifest says {digest[:12]}...",
                hint="the file was altered or swapped; train again or restore it",
            )
    if _GRAPH not in manifest.files:
        raise IntegrityError(f"manifest lists no {_GRAPH!r}", hint="train again")
    for what, expected, actual in (
        ("factors", None if factors is None else tuple(factors), manifest.factors),
        ("factor hash", factor_hash, manifest.factor_hash),
        ("label scheme", label_scheme, manifest.label_scheme),
        ("label definition", label_hash, manifest.label_hash),
        ("bucket policy", bucket_policy, manifest.bucket_policy),
    ):
        if expected is not None and expected != actual:
            raise IntegrityError(_difference(what, expected, actual), hint="train a model for this input")
    model = LoadedModel(manifest, files[_GRAPH])
    for key, value in _graph_facts(manifest).items():
        if model.graph_metadata.get(key) != value:
            raise IntegrityError(
                f"{_GRAPH} was made for {key} {model.graph_metadata.get(key)!r}, the manifest says {value!r}",
                hint="graph and manifest belong to different models",
            )
    return model


def _read_manifest(files: Mapping[str, bytes]) -> Manifest:
    if _MANIFEST not in files:
        raise IntegrityError(f"artefact lacks {_MANIFEST!r}", hint="copy the whole folder")
    try:
        raw = msgspec.json.decode(files[_MANIFEST], type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"{_MANIFEST} is not readable: {error}", hint="restore it or train again") from error
    version = raw.get("format_version")
    if version != FORMAT_VERSION:
        raise IntegrityError(
            f"artefact has format version {version!r}, this code reads {FORMAT_VERSION}",
            hint="train again with this version",
        )
    try:
        return msgspec.convert(raw, Manifest)
    except msgspec.ValidationError as error:
        raise IntegrityError(f"{_MANIFEST}: {error}", hint="it was edited, or written by another version") from error


def _graph_facts(manifest: Manifest) -> dict[str, str]:
    """Return what the graph itself remembers of its manifest."""
    return {
        "factor_order": factor_signature(manifest.factors),
        "factor_hash": manifest.factor_hash,
        "horizon": manifest.horizon,
        "label_hash": manifest.label_hash,
        "label_scheme": manifest.label_scheme,
        "bucket_policy": manifest.bucket_policy,
        "name": manifest.name,
        "series": factor_signature(manifest.series),
    }


def _difference(what: str, expected: Any, actual: Any) -> str:
    if isinstance(expected, tuple) and isinstance(actual, tuple):
        if len(expected) != len(actual):
            return f"{what}: {len(expected)} were offered, the model takes {len(actual)}"
        place = next(i for i, (left, right) in enumerate(zip(expected, actual, strict=True)) if left != right)
        return f"{what}: position {place} is {expected[place]!r}, the model takes {actual[place]!r}"
    return f"{what} is {expected!r}, the model's is {actual!r}"
