"""Study 3: quotes moved by signals, against the same maker without."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from marketprism.backtest.evidence import PairedPnl
from marketprism.core.errors import DataError
from marketprism.evaluate.multiple import holm
from marketprism.studies.lanes import Ground, Lane, Maker, compare, run_makers

__all__ = ["SignalStudy", "SignalWeight", "study_signals"]

_Floats = npt.NDArray[np.float64]
_LEAST = 50
_RIDGE = 1e-3


@dataclass(frozen=True)
class SignalWeight:
    """What one signal foretold in the calibration and afterwards.

    Attributes
    ----------
    name : str
        Of the signal.
    single, joint : float
        Ticks the mid moves within the horizon for each standard deviation, of the signal alone and beside the others.
    correlation, later : float
        Of the signal with that move, in the calibration and after it; NaN where undefined.
    """

    name: str
    single: float
    joint: float
    correlation: float
    later: float


@dataclass(frozen=True)
class SignalStudy:
    """Makers with signals against the plain one.

    Attributes
    ----------
    plain : Lane
        Avellaneda and Stoikov without signals.
    skewed : list of Lane
        The same with signals.
    differences : list of PairedPnl
        P&L of each of them less that of ``plain``.
    adjusted : list of float
        p-values of the differences after Holm's correction for their number; NaN where nothing differs.
    weights : list of SignalWeight
        How signals were weighted.
    calibration_s : float
        Length of the calibration, seconds; nobody quoted before its end.
    """

    plain: Lane
    skewed: list[Lane]
    differences: list[PairedPnl]
    adjusted: list[float]
    weights: list[SignalWeight]
    calibration_s: float

    @property
    def lanes(self) -> list[Lane]:
        """All of them, the plain one first."""
        return [self.plain, *self.skewed]


def study_signals(ground: Ground, predicted: str | None = None) -> SignalStudy:
    """Weight signals by the first part of the tape, then run makers with and without them on the rest.

    Parameters
    ----------
    ground : Ground
        With signals, and the mids of their rows.
    predicted : str, optional
        Which of the signals is a model's prediction.

    Raises
    ------
    DataError
        There are no signals, or too few rows to weight them.
    """
    signals, config = ground.signals, ground.config
    if signals is None or ground.mids is None:
        raise DataError("the study of signals was given none", hint="read the source with factors")
    heard = ground.tape.events["local_ts"]
    first, last = int(heard.min()), int(heard.max())
    begin = first
    if predicted is not None:
        # Out-of-sample predictions begin late: their calibration must not end before it began.
        known = np.isfinite(signals.values[:, signals.names.index(predicted)])
        begin = max(first, int(signals.ts[known].min(initial=last)))
    end = begin + round(config.calibration * (last - begin))
    weights = _weights(ground, end)
    by_name = {weight.name: weight for weight in weights}
    warm = {"warmup_s": max(config.warmup_s, (end - first) / 1e9)}
    own: dict[str, Any] = {"max_inventory": config.max_inventory, **warm}
    factors = [name for name in config.factors if name in by_name]
    makers = [
        Maker("plain", "avellaneda_stoikov", own),
        _skewed(f"{factors[0]} skew", own, {factors[0]: by_name[factors[0]].single}),
        _skewed("five-factor skew", own, {name: by_name[name].joint for name in factors}),
    ]
    if predicted is not None:
        makers.append(_skewed(f"prediction of {predicted}", own, {predicted: by_name[predicted].single}))
    plain, *skewed = run_makers(ground, makers)
    differences = [compare(ground, lane, plain) for lane in skewed]
    return SignalStudy(plain, skewed, differences, _adjusted(differences), weights, (end - first) / 1e9)


def _skewed(name: str, own: Mapping[str, Any], weights: Mapping[str, float]) -> Maker:
    # Scores are clipped at three deviations: the limit must not cut what the calibration asks for.
    most = max(3.0 * sum(abs(weight) for weight in weights.values()), 1e-9)
    skew = {
        "base": "avellaneda_stoikov",
        "signals": list(weights),
        "weights": list(weights.values()),
        "skew_limit_ticks": most,
    }
    return Maker(name, "signal_skew", {**own, **skew})


def _adjusted(differences: list[PairedPnl]) -> list[float]:
    p = np.array([one.p for one in differences])
    known = np.isfinite(p)
    result = np.full(len(p), math.nan)
    if known.any():
        result[known] = holm(p[known])
    return [float(value) for value in result]


def _weights(ground: Ground, end: int) -> list[SignalWeight]:
    """Regress the move of the mid on standardised signals, rows whose move ended before ``end`` alone."""
    signals, config, mids = ground.signals, ground.config, ground.mids
    if signals is None or mids is None:
        return []
    horizon = round(config.signal_horizon_s * 1e9)
    move = _moves(mids[0], mids[1], horizon, signals.ts) / float(ground.tape.tick_size)
    early = np.isfinite(move) & (signals.ts + horizon <= end)
    if early.sum() < _LEAST:
        raise DataError(
            f"{int(early.sum())} rows in the calibration, {_LEAST} are needed to weight signals",
            hint="give a longer source, or a smaller signal_bucket_s",
        )
    scores = np.column_stack([_scores(column, early) for column in signals.values.T])
    x, y = scores[early], move[early] - move[early].mean()
    gram = x.T @ x
    ridge = _RIDGE * len(x) * np.eye(x.shape[1])
    joint = np.linalg.solve(gram + ridge, x.T @ y)
    single = (x * y[:, None]).sum(axis=0) / (np.diag(gram) + _RIDGE * len(x))
    late = np.isfinite(move) & (signals.ts > end)
    return [
        SignalWeight(
            name, float(single[k]), float(joint[k]), _correlation(scores[early, k], move[early]),
            _correlation(scores[late, k], move[late]),
        )
        for k, name in enumerate(signals.names)
    ]  # fmt: skip


def _scores(values: _Floats, early: npt.NDArray[np.bool_]) -> _Floats:
    """Standardise by mean and deviation of the finite early rows; 0 where a value is missing or nothing varied."""
    known = np.isfinite(values)
    past = values[known & early]
    deviation = float(past.std()) if past.size else 0.0
    if not deviation > 0:
        return np.zeros(len(values))
    return np.where(known, (np.where(known, values, 0.0) - past.mean()) / deviation, 0.0)


def _moves(ts: npt.NDArray[np.int64], mid: _Floats, horizon: int, at: npt.NDArray[np.int64]) -> _Floats:
    """Return how far the mid last known at each time moves within the horizon; NaN where either is not known."""
    now = np.searchsorted(ts, at, side="right") - 1
    then = np.searchsorted(ts, at + horizon, side="right") - 1
    known = (now >= 0) & (at + horizon <= ts[-1])
    return np.where(known, mid[then] - mid[np.maximum(now, 0)], math.nan)


def _correlation(x: _Floats, y: _Floats) -> float:
    if len(x) < _LEAST or x.std() == 0 or y.std() == 0:
        return math.nan
    return float(np.corrcoef(x, y)[0, 1])
