"""Trend states of a whole bucket frame: each series by itself, every state from models fitted on earlier rows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from marketprism.core.config import config_hash
from marketprism.core.errors import ConfigError, DataError
from marketprism.labels._assemble import Span, tapes, to_label_set
from marketprism.labels.config import Scheme
from marketprism.labels.forward import SERIES_KEY, require_columns, series_rows
from marketprism.labels.kernels import bucket_targets
from marketprism.labels.labelset import LabelSet
from marketprism.labels.regimes import Regime
from marketprism.labels.state_inputs import bucket_returns, stretches, trend_inputs
from marketprism.labels.state_quality import NO_STATE, STATE_NAMES, StateQuality, state_quality

if TYPE_CHECKING:
    import polars as pl

    from marketprism.labels.trend_states import TrendStates

__all__ = ["StateSet", "walk_forward_states"]

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class StateSet:
    """Out-of-sample states of a bucket frame.

    Attributes
    ----------
    frame : polars.DataFrame
        Row for row as the bucket frame: series key, ``bucket_id``, ``segment``, ``ts_end``, ``ts_known``, ``state``
        (Int8, -1/0/1) and ``margin`` (Float64); null where unknown. A state is known at its row's ``ts_known``.
    scheme : {"per_second", "raw"}
        Of the returns behind it.
    methods : dict of str to tuple of str
        For each series ``exchange:market_type:symbol``, the method in use after each fit (``rules`` after a refusal).
    refusals : dict of str to tuple of str
        For each series, why fits were refused, in order.
    quality : dict of str to StateQuality
        For each series, of the states in ``frame``.
    definition : str
        Hash of the model's parameters, inputs and scheme.
    """

    frame: pl.DataFrame
    scheme: Scheme
    methods: dict[str, tuple[str, ...]]
    refusals: dict[str, tuple[str, ...]]
    quality: dict[str, StateQuality]
    definition: str

    @property
    def codes(self) -> _Ints:
        """State of each row, ``NO_STATE`` where unknown."""
        return self.frame["state"].fill_null(NO_STATE).to_numpy().astype(np.int64)

    def regime(self) -> Regime:
        """Return the states as a regime: gates for experts, slices for evaluation."""
        return Regime("trend", tuple(STATE_NAMES.values()), np.where(self.codes == NO_STATE, -1, self.codes + 1))

    def labels(self, frame: pl.DataFrame, steps: int) -> LabelSet:
        """Return the state ``steps`` buckets later as the class to predict, with the return until then.

        Parameters
        ----------
        frame : polars.DataFrame
            The frame of which these are the states.
        steps : int
            Buckets ahead; labels never cross a gap.

        Returns
        -------
        LabelSet
            Scheme of this set, horizon ``{steps}_buckets``.

        Raises
        ------
        DataError
            The frame has other rows.
        """
        if steps < 1:
            raise ConfigError(f"steps was {steps}", hint="it must be at least 1")
        keys = (*SERIES_KEY, "bucket_id", "segment", "ts_end", "ts_known")
        require_columns(frame, keys)
        if not frame.select(keys).equals(self.frame.select(keys)):
            raise DataError("the frame has other rows than the states", hint="pass the frame they were made from")
        span, codes = Span.empty(frame.height), self.codes
        for tape in tapes(frame):
            target = bucket_targets(np.arange(tape.rows.size), tape.stretch, steps)
            later = codes[tape.rows][target]
            moves = np.where(target >= 0, tape.logs[target] - tape.logs, np.nan)
            if self.scheme == "per_second":
                seconds = (tape.ts_end[target] - tape.ts_end) / 1e9
                moves = np.divide(moves, seconds, out=np.full(moves.size, np.nan), where=seconds > 0)
            target = np.where((later != NO_STATE) & np.isfinite(moves), target, -1)
            span.put(tape, target, moves, later, np.zeros(moves.size))
        return to_label_set(frame, span, steps, f"trend_states:{self.definition}", self.scheme)


def walk_forward_states(
    frame: pl.DataFrame,
    model: TrendStates,
    columns: Sequence[str] | None = None,
    *,
    scheme: Scheme = "per_second",
    refits: int = 4,
) -> StateSet:
    """Fit on the rows known so far, filter the next stretch online, and go on: states as they would have been live.

    Works for any inputs: with ``columns`` such as a volatility index, funding or ratios this is a jump-model or HMM
    regime on them.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket rows; each series (exchange, market type, symbol) is fitted by itself.
    model : TrendStates
        Parameters; it is cloned, never fitted itself.
    columns : sequence of str, optional
        Input columns of ``frame``; all of :func:`~marketprism.labels.trend_inputs` by default.
    scheme : {"per_second", "raw"}
        Of the returns, and of the default inputs.
    refits : int
        Stretches that get states; the one before the first gets none.

    Returns
    -------
    StateSet

    Raises
    ------
    DataError
        A column is missing. A series with too few complete rows gets no states, and its refusals say so.
    """
    import polars as pl

    if refits < 1:
        raise ConfigError(f"refits was {refits}", hint="it must be at least 1")
    inputs = trend_inputs(frame, scheme) if columns is None else frame
    names = tuple(inputs.columns) if columns is None else tuple(columns)
    require_columns(inputs, names)
    X = inputs.select(pl.col(name).cast(pl.Float64).fill_null(float("nan")) for name in names).to_numpy()
    returns, numbers = bucket_returns(frame, scheme), stretches(frame)
    states, margins = np.full(frame.height, NO_STATE, np.int64), np.full(frame.height, np.nan)
    methods: dict[str, tuple[str, ...]] = {}
    refusals: dict[str, tuple[str, ...]] = {}
    quality: dict[str, StateQuality] = {}
    for key, rows in series_rows(frame).items():
        name = ":".join(key)
        part = _one_series(X[rows], returns[rows], numbers[rows], model, refits)
        states[rows], margins[rows], methods[name], refusals[name] = part
        quality[name] = state_quality(states[rows], returns[rows], numbers[rows])
    result = frame.select(*SERIES_KEY, "bucket_id", "segment", "ts_end", "ts_known").with_columns(
        state=pl.Series(states.astype(np.int8)).replace(NO_STATE, None), margin=pl.Series(margins).fill_nan(None)
    )
    parameters = {key: repr(value) for key, value in sorted(model.get_params().items())}
    definition = config_hash({"model": parameters, "inputs": names, "scheme": scheme, "refits": refits})
    return StateSet(result, scheme, methods, refusals, quality, definition)


def _one_series(
    X: npt.NDArray[np.float64], returns: npt.NDArray[np.float64], numbers: _Ints, model: TrendStates, refits: int
) -> tuple[_Ints, npt.NDArray[np.float64], tuple[str, ...], tuple[str, ...]]:
    from sklearn.base import clone

    n = len(X)
    states, margins = np.full(n, NO_STATE, np.int64), np.full(n, np.nan)
    methods: list[str] = []
    refusals: list[str] = []
    edges = [k * n // (refits + 1) for k in range(1, refits + 2)]
    for start, stop in itertools.pairwise(edges):
        try:
            fitted = clone(model).fit(X[:start], returns[:start], numbers[:start])
        except DataError as error:
            refusals.append(str(error))
            continue
        # The filter is warmed up on the past, so that a refit forgets nothing.
        state, margin = fitted.online().push_with_margin(X[:stop], numbers[:stop])
        states[start:stop], margins[start:stop] = state[start:], margin[start:]
        methods.append(fitted.method_)
        refusals.extend(fitted.refused_)
    return states, margins, tuple(methods), tuple(refusals)
