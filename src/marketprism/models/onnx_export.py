"""Fitted baselines as one ONNX graph: doubles in (NaN allowed), class probabilities out, no pickle anywhere."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from marketprism.core.errors import ConfigError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

__all__ = ["INPUT_NAME", "OUTPUT_NAME", "to_onnx_bytes"]

INPUT_NAME = "factors"
OUTPUT_NAME = "probabilities"
_OPSET = 15
_ML_OPSET = 3


def to_onnx_bytes(model: Pipeline, metadata: Mapping[str, str] | None = None) -> bytes:
    """Convert a fitted pipeline of :func:`~marketprism.models.baselines.build_model`.

    Input ``factors`` is ``double[n, F]`` (with the series code as last column for panels), output ``probabilities``
    is ``float[n, 3]``, columns down, flat, up. The graph scales in double like the native pipeline, so that both
    see the same float32 values; they agree to about 1e-6.

    Parameters
    ----------
    model : sklearn.pipeline.Pipeline
        Fitted: steps ``scale`` and ``model``.
    metadata : mapping of str to str, optional
        Stored in the graph, such as the factor signature.

    Raises
    ------
    ConfigError
        The classifier is neither logistic regression nor LightGBM.
    """
    import onnx
    from onnx import compose

    scale, estimator = model.named_steps["scale"], model.named_steps["model"]
    first = _scaler_graph(scale)
    second = compose.add_prefix(_classifier_graph(estimator, scale), "model_")
    names = [output.name for output in second.graph.output]
    merged = compose.merge_models(
        first, second, io_map=[("scaled", second.graph.input[0].name)], outputs=[names[1]], name="marketprism"
    )
    _spread_classes(merged, names[1], [int(label) for label in estimator.classes_])
    merged.producer_name, merged.producer_version, merged.doc_string = "marketprism", "", ""
    del merged.metadata_props[:]
    onnx.helper.set_model_props(merged, dict(sorted((metadata or {}).items())))
    onnx.checker.check_model(merged)
    return bytes(merged.SerializeToString(deterministic=True))


def _scaler_graph(scale: Any) -> Any:
    """Write the transform of FactorScaler, operation by operation, in double."""
    from onnx import TensorProto, helper, numpy_helper

    factors = scale.center_.shape[1]
    nodes, constants = [], []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], name=f"{kind}_{output}", **attributes))
        return output

    values, center, scaling = INPUT_NAME, "center", "scale"
    constant("center", scale.center_ if scale.by_series else scale.center_[0])
    constant("scale", scale.scale_ if scale.by_series else scale.scale_[0])
    if scale.by_series:
        axis, cut, end = constant("axis", [1]), constant("cut", [factors]), constant("end", [factors + 1])
        values = node("Slice", [INPUT_NAME, constant("zero", [0]), cut, axis], "values")
        code = node("Cast", [node("Slice", [INPUT_NAME, cut, end, axis], "code_column")], "code", to=TensorProto.INT64)
        code = node("Squeeze", [code, axis], "code_flat")
        known = node("Less", [code, constant("series", np.int64(len(scale.center_)))], "known")
        code = node("Where", [known, code, constant("pooled", np.int64(0))], "row")
        center, scaling = node("Gather", ["center", code], "centers"), node("Gather", ["scale", code], "scales")
    # x - x is NaN for NaN and for infinities, which both count as missing.
    missing = node("IsNaN", [node("Sub", [values, values], "nothing")], "missing")
    finite = node("Where", [missing, center, values], "finite")
    z = node("Div", [node("Sub", [finite, center], "centred"), scaling], "z")
    limits = [constant("low", np.float64(-scale.limit)), constant("high", np.float64(scale.limit))]
    z = node("Cast", [node("Clip", [z, *limits], "clipped")], "rounded", to=TensorProto.FLOAT)
    if len(scale.indicators_):
        flags = node("Cast", [missing], "flags", to=TensorProto.FLOAT)
        flags = node("Gather", [flags, constant("indicators", scale.indicators_.astype(np.int64))], "marks", axis=1)
        node("Concat", [z, flags], "scaled", axis=1)
    else:
        node("Identity", [z], "scaled")
    width = factors + len(scale.indicators_)
    graph = helper.make_graph(
        nodes,
        "scaler",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.DOUBLE, [None, factors + bool(scale.by_series)])],
        [helper.make_tensor_value_info("scaled", TensorProto.FLOAT, [None, width])],
        constants,
    )
    return _model(graph)


def _model(graph: Any) -> Any:
    from onnx import helper

    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _classifier_graph(estimator: Any, scale: Any) -> Any:
    from onnxmltools.convert.common.data_types import FloatTensorType

    width = scale.center_.shape[1] + len(scale.indicators_)
    kind = type(estimator).__name__
    if kind == "LogisticRegression":
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import FloatTensorType as SkFloat

        converted = convert_sklearn(
            estimator,
            "logistic",
            [("scaled", SkFloat([None, width]))],
            target_opset={"": _OPSET, "ai.onnx.ml": _ML_OPSET},
            options={id(estimator): {"zipmap": False}},
        )
    elif kind == "LGBMClassifier":
        from onnxmltools import convert_lightgbm

        converted = convert_lightgbm(
            _with_float32_thresholds(estimator),
            "lightgbm",
            [("scaled", FloatTensorType([None, width]))],
            target_opset=_OPSET,
            zipmap=False,
        )
    else:
        raise ConfigError(f"model was a {kind}", hint="ONNX export covers LogisticRegression and LGBMClassifier")
    return _model(converted.graph)


def _with_float32_thresholds(estimator: Any) -> Any:
    """Copy whose split thresholds are rounded down to float32.

    ONNX trees compare in float32. Rounded to nearest, a threshold may pass the next representable input and send
    it the other way; rounded down, every float32 input takes the branch it takes natively.
    """
    from lightgbm import Booster

    def floor(match: re.Match[str]) -> str:
        exact = np.array(match.group(1).split(), np.float64)
        single = exact.astype(np.float32)
        single = np.where(single.astype(np.float64) > exact, np.nextafter(single, np.float32(-np.inf)), single)
        return "threshold=" + " ".join(repr(float(value)) for value in single)

    text = re.sub(r"^threshold=(.*)$", floor, estimator.booster_.model_to_string(), flags=re.MULTILINE)
    # The text starts with the byte length of each tree: without that line LightGBM parses the trees one by one.
    text = re.sub(r"^tree_sizes=.*\n", "", text, flags=re.MULTILINE)
    result = copy.copy(estimator)
    result._Booster = Booster(model_str=text)  # noqa: SLF001
    return result


def _spread_classes(model: Any, output: str, labels: list[int]) -> None:
    """Make the output ``probabilities``, three columns down, flat, up, with zeros for a class never seen."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    spread = np.zeros((len(labels), 3), np.float32)
    for position, label in enumerate(labels):
        spread[position, label + 1] = 1.0
    graph.initializer.append(numpy_helper.from_array(spread, "spread_classes"))
    graph.node.append(helper.make_node("MatMul", [output, "spread_classes"], [OUTPUT_NAME], name="spread"))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, [None, 3]))
