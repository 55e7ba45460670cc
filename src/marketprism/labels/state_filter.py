"""Online state filters: rows in, states out, one row or a million at a time, with state that saves to bytes."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import DataError, StateError
from marketprism.core.state import pack_state, unpack_state
from marketprism.labels._filter_kernels import average_margins, gate, model_scores
from marketprism.labels.state_quality import NO_STATE

__all__ = ["FilterModel", "RulesModel", "StateFilter"]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]
_TAG, _VERSION = "state_filter", 1
_NO_SEGMENT = np.iinfo(np.int64).min


class FilterModel(NamedTuple):
    """A fitted jump model or HMM, states in the order down, (neutral,) up.

    The cost of a standardised row x in state k is ``offset_k + 1/2 sum_f precision_kf (x_f - centre_kf)^2``.
    """

    mean: _Floats
    spread: _Floats
    """Standardisation of the inputs, ``clip((x - mean) / spread, -clip, clip)``."""
    clip: float
    centres: _Floats
    precision: _Floats
    offset: _Floats
    cost: _Floats
    """``cost[j, k]``: of going from state j to k (jump penalty, or minus log transition probability)."""
    start: _Floats
    soft: bool
    """Sum over paths (HMM) instead of the best path (jump model)."""
    window: int
    """Rows that the filter sees, 0 for all of the segment."""


class RulesModel(NamedTuple):
    """A fitted state machine over one input column."""

    column: int
    intercept: float
    slope: float
    """The column's linear fit to the return of its row, ``intercept + slope x``: sign and zero are then right."""
    fast: int
    slow: int


class StateFilter:
    """Turns input rows into states; the state at a row depends on no later row.

    Get one from ``TrendStates.online()``. Rows may come in any portions: the states are the same, bit for bit.

    Parameters
    ----------
    model : FilterModel or RulesModel
        What gives the evidence for each state.
    threshold : float
        Evidence, in units of ``scale``, at which a direction is entered (two states, rules) or a state is left for a
        better one (three states). A direction is left for neutral when the evidence turns against it.
    scale : float
        The usual strength of the evidence.
    dwell : int
        Rows that a state is held at least.
    delay : {0, 1}
        1 gives the state of the row before.
    """

    def __init__(
        self, model: FilterModel | RulesModel, threshold: float, scale: float, dwell: int = 0, delay: int = 0
    ) -> None:
        self.model = model
        self.threshold, self.scale, self.dwell, self.delay = threshold, scale, dwell, delay
        self._evidence = np.array([0, _NO_SEGMENT], np.int64)
        self._gate = np.array([NO_STATE, 0, _NO_SEGMENT, NO_STATE], np.int64)
        states = len(model.centres) if isinstance(model, FilterModel) else 4
        self._ring = np.full((model.window if isinstance(model, FilterModel) else 0, states), np.nan)
        self._value = np.full(states, np.nan) if isinstance(model, FilterModel) else np.zeros(states)

    def push(self, X: _Floats, segments: _Ints | None = None) -> _Ints:
        """Return the states of the rows of ``X``, and remember what the next rows need.

        Parameters
        ----------
        X : ndarray of shape (n, F)
            Inputs; a row with a missing value brings no evidence.
        segments : ndarray of int, shape (n,), optional
            Everything is forgotten where it changes, between calls too.

        Returns
        -------
        ndarray of int64, shape (n,)
            -1, 0, 1, or ``NO_STATE`` where no complete row lies in the filter window.
        """
        return self.push_with_margin(X, segments)[0]

    def push_with_margin(self, X: _Floats, segments: _Ints | None = None) -> tuple[_Ints, _Floats]:
        """As :meth:`push`, with the evidence for up against down in units of ``scale`` (NaN without; not delayed)."""
        segment = np.zeros(len(X), np.int64) if segments is None else np.ascontiguousarray(segments, np.int64)
        if X.ndim != 2 or len(segment) != len(X):
            raise DataError(f"X had shape {X.shape}, segments {segment.shape}", hint="pass one segment for each row")
        scores = self._scores(X, segment)
        if scores.shape[1] == 3:
            signal = scores
            margin = (scores[:, 0] - scores[:, 2]) / self.scale
        else:
            signal = scores if scores.shape[1] == 1 else scores[:, :1] - scores[:, 1:]
            margin = signal[:, 0] / self.scale
        signal = np.ascontiguousarray(signal)
        states = gate(signal, segment, self.threshold, self.scale, self.dwell, self.delay, NO_STATE, self._gate)
        return np.asarray(states), np.asarray(margin)

    def _scores(self, X: _Floats, segment: _Ints) -> _Floats:
        model = self.model
        if isinstance(model, RulesModel):
            if X.shape[1] <= model.column:
                raise DataError(f"X had {X.shape[1]} columns", hint=f"the rules read column {model.column}")
            returns = np.ascontiguousarray(model.intercept + model.slope * X[:, model.column])
            margins = average_margins(returns, segment, model.fast, model.slow, self._evidence, self._value)
            return np.asarray(margins)[:, None]
        if X.shape[1] != model.mean.size:
            raise DataError(f"X had {X.shape[1]} columns", hint=f"the states were fitted on {model.mean.size}")
        scaled = np.clip((np.where(np.isfinite(X), X, np.nan) - model.mean) / model.spread, -model.clip, model.clip)
        return np.asarray(
            model_scores(
                np.ascontiguousarray(scaled),
                segment,
                model.centres,
                model.precision,
                model.offset,
                model.cost,
                model.start,
                model.soft,
                self._ring,
                self._value,
                self._evidence,
            )
        )

    def save(self) -> bytes:
        """Return the filter as bytes, parameters and memory; :meth:`load` continues bit for bit."""
        state = {
            "kind": type(self.model).__name__,
            "model": self.model._asdict(),
            "settings": [self.threshold, self.scale, self.dwell, self.delay],
            "memory": [self._evidence, self._gate, self._ring, self._value],
        }
        return pack_state(_TAG, _VERSION, state)

    @classmethod
    def load(cls, blob: bytes) -> Self:
        """Return the filter that :meth:`save` packed.

        Raises
        ------
        StateError
            The bytes are torn, altered or of something else.
        """
        state = unpack_state(blob, _TAG, _VERSION)
        kinds: dict[str, type[FilterModel | RulesModel]] = {"FilterModel": FilterModel, "RulesModel": RulesModel}
        if state["kind"] not in kinds:
            raise StateError(f"saved filter was a {state['kind']!r}", hint="fit it again with this version")
        threshold, scale, dwell, delay = state["settings"]
        result = cls(kinds[state["kind"]](**state["model"]), threshold, scale, dwell, delay)
        result._evidence, result._gate, result._ring, result._value = state["memory"]
        return result
