"""How large a model is: its parameters, or the leaves of its trees, counted in the ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marketprism.core.errors import IntegrityError

__all__ = ["ModelSize", "model_size"]

_SCALER = ("center", "scale", "zero", "cut", "end", "axis", "series", "pooled", "low", "high", "indicators")


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Size of a model.

    Attributes
    ----------
    count : int
        At least 1.
    unit : str
        ``"leaves"`` for trees, ``"parameters"`` for everything else.
    """

    count: int
    unit: str


def model_size(graph: bytes) -> ModelSize:
    """Count leaves of trees, coefficients of linear models, or else all weights; standardisation does not count.

    Coefficients that are exactly 0 are not counted.

    Parameters
    ----------
    graph : bytes
        An ONNX model.

    Raises
    ------
    IntegrityError
        The bytes are no ONNX model.
    """
    import onnx

    try:
        model = onnx.load_from_string(graph)
    except Exception as error:  # protobuf's errors have no common root but this
        raise IntegrityError(f"no ONNX graph: {error}", hint="train again") from error
    leaves = coefficients = 0
    for node in model.graph.node:
        found = {attribute.name: attribute for attribute in node.attribute}
        if node.op_type.startswith("TreeEnsemble"):
            leaves += sum(mode == b"LEAF" for mode in found["nodes_modes"].strings)
        elif node.op_type in {"LinearClassifier", "LinearRegressor"}:
            coefficients += _nonzero(found, "coefficients") + _nonzero(found, "intercepts")
    if leaves:
        return ModelSize(leaves, "leaves")
    return ModelSize(max(1, coefficients or _weights(model)), "parameters")


def _nonzero(found: dict[str, Any], name: str) -> int:
    return sum(value != 0 for value in found[name].floats) if name in found else 0


def _weights(model: Any) -> int:
    """Count numbers in the floating-point initialisers that are not the scaler's or the spread of the classes."""
    from onnx import numpy_helper

    total = 0
    for item in model.graph.initializer:
        if item.name in _SCALER or item.name == "spread_classes":
            continue
        values = numpy_helper.to_array(item)
        total += int((values != 0).sum()) if values.dtype.kind == "f" else 0
    return total
