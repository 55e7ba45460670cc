"""Baseline classifiers as sklearn pipelines, and artefacts that load without pickle or refuse with the reason."""

import os

# Must be in the environment before the first OpenMP library loads: spinning threads slow LightGBM 4 to 20 times.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from marketprism.models.adapters import RegressorAsClassifier, VotesAsProbabilities, as_classifier
from marketprism.models.artefact import LoadedModel, Manifest, pack_artefact, unpack_artefact
from marketprism.models.baselines import CLASSES, ModelConfig, TuningConfig, build_model, fit_model, predict_classes
from marketprism.models.calibration import ProbabilityCalibrator
from marketprism.models.explain import Explanation, explain
from marketprism.models.features import factor_names, factor_signature, feature_matrix
from marketprism.models.onnx_export import to_onnx_bytes

__all__ = [
    "CLASSES",
    "Explanation",
    "LoadedModel",
    "Manifest",
    "ModelConfig",
    "ProbabilityCalibrator",
    "RegressorAsClassifier",
    "TuningConfig",
    "VotesAsProbabilities",
    "as_classifier",
    "build_model",
    "explain",
    "factor_names",
    "factor_signature",
    "feature_matrix",
    "fit_model",
    "pack_artefact",
    "predict_classes",
    "to_onnx_bytes",
    "unpack_artefact",
]
