"""Controls that run with every judgement: they show that the machinery finds nothing in nothing, and leaks in leaks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from marketprism.core.random import stream
from marketprism.evaluate.bootstrap import block_length, plan_blocks
from marketprism.evaluate.config import JudgeConfig
from marketprism.evaluate.factor_table import overlap_rows, univariate_ic
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.metrics import information_coefficient, rank_information_coefficient
from marketprism.evaluate.walkforward import Problem, run_folds
from marketprism.labels.labelset import NO_CLASS
from marketprism.models.scaler import FactorScaler

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

__all__ = ["PLANTED", "Control", "noise_control", "planted_leak_control", "shuffled_label_control", "suspected_leaks"]

PLANTED = "planted_leak"
"""Name of the factor that the planted-leak control injects."""

_NOISE_FACTORS = 5
_MIN_REPEATS = 3
_SHUFFLED_ROWS = 60_000
"""Rows that all shuffles together may train on, beyond the least number of shuffles."""
_STRICT = 0.99
"""Coverage of the controls' intervals: one false alarm in a hundred."""

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Control:
    """Outcome of one control.

    Attributes
    ----------
    name : str
        ``shuffled_labels``, ``planted_leak`` or ``noise_factors``.
    passed : bool
        Whether the machinery behaved.
    reason : str
        What was seen, in a sentence.
    metric : Metric
        The number behind the verdict.
    named : tuple of str
        Factors named as suspected leaks (planted-leak control).
    """

    name: str
    passed: bool
    reason: str
    metric: Metric
    named: tuple[str, ...] = ()


def fold_centred(values: _Floats, fold: npt.NDArray[np.int64], keep: npt.NDArray[np.bool_]) -> _Floats:
    """``values`` less their mean over the kept rows of their fold.

    Class shares differ between folds; a model of nothing still predicts them, which would correlate with a drifting
    market. Controls therefore look inside the folds only.
    """
    result = np.array(values, np.float64)
    for number in np.unique(fold[keep]):
        rows = keep & (fold == number)
        result[rows] -= result[rows].mean()
    return result


def _ic_inside(
    problem: Problem,
    score: _Floats,
    fold: npt.NDArray[np.int64],
    config: JudgeConfig,
    *,
    replications: int,
    ranked: bool = False,
) -> Metric:
    """IC (or rank IC) of the score less its fold means, with the controls' strict interval."""
    target = problem.scaled_returns
    keep = (fold >= 0) & problem.tradable & np.isfinite(target) & np.isfinite(score)
    n = int(keep.sum())
    if n < 3:
        nan = math.nan
        return Metric(value=nan, low=nan, high=nan, n=n, null=0.0, note="few samples: nothing was tested")
    plan = plan_blocks(
        n, block_length(n, overlap_rows(problem), max(1, len(problem.series))), replications, config.seed
    )
    correlation = rank_information_coefficient if ranked else information_coefficient
    return correlation(fold_centred(score, fold, keep)[keep], target[keep], plan, _STRICT)


def shuffled_label_control(
    problem: Problem, model: BaseEstimator, splitter: Any, config: JudgeConfig, real: _Floats | None = None
) -> Control:
    """Train on block-permuted labels, several times: the mean out-of-sample IC must not differ from 0.

    One shuffled fit points in a random direction, which a real signal makes look good or bad; the mean over repeats
    does not. A mean off zero says that test labels reached the training (a leak in splitting, preprocessing or the
    model).

    Parameters
    ----------
    real : ndarray, optional
        Scores of the honestly trained model, to state how many shuffles it beats.
    """
    overlap = max(1, len(problem.series)) * overlap_rows(problem)
    values, fold = [], np.empty(0, np.int64)
    # Large samples need fewer shuffles for the same certainty, and each one trains every fold.
    repeats = max(_MIN_REPEATS, min(config.control_repeats, _SHUFFLED_ROWS // max(1, int(problem.labelled.sum()))))
    for repeat in range(repeats):

        def relabel(number: int, classes: npt.NDArray[np.int8], repeat: int = repeat) -> npt.NDArray[np.int8]:
            return permute_blocks(classes, overlap, stream(config.seed, "shuffle", repeat, number))

        probabilities, _, fold, _ = run_folds(problem, model, splitter, relabel=relabel)
        score = probabilities[:, 2] - probabilities[:, 0]
        values.append(_ic_inside(problem, score, fold, config, replications=100).value)
    ics = np.array([value for value in values if math.isfinite(value)])
    if ics.size < 2:
        nan = math.nan
        metric = Metric(
            value=0.0 if ics.size < len(values) else nan,
            low=nan,
            high=nan,
            n=ics.size,
            null=0.0,
            note="shuffled models predicted constants",
        )
        return Control("shuffled_labels", True, "models trained on shuffled labels predict constants", metric)
    from scipy.special import stdtrit

    mean, error = float(ics.mean()), float(ics.std(ddof=1)) / math.sqrt(ics.size)
    half = float(stdtrit(ics.size - 1, 0.5 + _STRICT / 2)) * error
    metric = Metric(
        value=mean,
        low=mean - half,
        high=mean + half,
        n=int(ics.size),
        blocks=int(ics.size),
        null=0.0,
        note=f"mean of {ics.size} shuffles, {_STRICT:.0%} interval",
    )
    passed = metric.low <= 0.0 <= metric.high
    reason = f"mean IC over {ics.size} shuffles {mean:+.4f} in [{metric.low:+.4f}, {metric.high:+.4f}]"
    reason += ": contains 0" if passed else ": test labels reach the training"
    if real is not None:
        honest = _ic_inside(problem, real, fold, config, replications=100).value
        beaten = int((np.abs(ics) < abs(honest)).sum())
        reason += f"; the real labels' IC {honest:+.4f} exceeds {beaten} of them in size"
    return Control("shuffled_labels", passed, reason, metric)


def permute_blocks(classes: npt.NDArray[np.int8], length: int, rng: np.random.Generator) -> npt.NDArray[np.int8]:
    """Permute runs of ``length`` rows, which keeps the shares and most of the serial dependence."""
    length = max(1, min(length, classes.size // 10))
    blocks = np.array_split(classes, np.arange(length, classes.size, length))
    return np.concatenate([blocks[i] for i in rng.permutation(len(blocks))])


def suspected_leaks(
    X: _Floats, names: Sequence[str], target: _Floats, ceiling: float, *, by_series: bool = False
) -> dict[str, float]:
    """Factors whose IC or rank IC reaches ``ceiling`` in size, strongest first: no honest forecast is that good.

    Parameters
    ----------
    X : ndarray of shape (n, F) or (n, F + 1)
        Factor values, NaN where missing; with ``by_series`` the last column is the series code.
    target : ndarray of shape (n,)
        Forward returns; NaN rows are left out.
    """
    from scipy.stats import rankdata

    width = len(names)
    ok = np.isfinite(target)
    if ok.sum() < 3:
        return {}
    present = np.isfinite(X[ok, :width])
    scaled = np.where(present, FactorScaler(by_series=by_series).fit_transform(X[ok])[:, :width], 0.0)
    found: dict[str, float] = {}
    for values, goal in ((scaled, target[ok]), (rankdata(scaled, axis=0), rankdata(target[ok]))):
        ics = univariate_ic(
            values - values.mean(axis=0), present, goal, length=1 + len(goal) // 50, seed=0, replications=2
        )
        for name, ic, rows in zip(names, np.asarray(ics["ic"], np.float64), np.asarray(ics["n"]), strict=True):
            if rows >= 30 and math.isfinite(ic) and abs(ic) >= max(ceiling, abs(found.get(name, 0.0))):
                found[name] = float(ic)
    return dict(sorted(found.items(), key=lambda item: (-abs(item[1]), item[0])))


def planted_leak_control(problem: Problem, model: BaseEstimator, splitter: Any, config: JudgeConfig) -> Control:
    """Inject the future return as a factor: the detector must name it, and a model of it must be too good.

    The detector sees it among all factors. The model gets it alone: whether a strongly penalised model would pick it
    out of a hundred factors says nothing about the machinery.
    Every other factor that the detector names is reported too: it may be a leak in earnest.
    """
    target = problem.scaled_returns
    width = len(problem.factors)
    X = np.column_stack((problem.X[:, :width], np.where(np.isfinite(target), target, np.nan), problem.X[:, width:]))
    names = (*problem.factors, PLANTED)
    named = suspected_leaks(X, names, target, config.leak_ceiling, by_series=bool(problem.series))
    planted = replace(problem, X=X[:, width:], factors=(PLANTED,))
    probabilities, _, fold, _ = run_folds(planted, model, splitter)
    score = probabilities[:, 2] - probabilities[:, 0]
    # Fat tails hide a leak from the IC, ties (a mid that rarely moves) hide it from the rank IC.
    both = [
        _ic_inside(planted, score, fold, config, replications=config.replications, ranked=ranked)
        for ranked in (False, True)
    ]
    metric = max(both, key=lambda found: found.value if math.isfinite(found.value) else -1.0)
    seen = math.isfinite(metric.value) and metric.value >= config.leak_ceiling
    passed = PLANTED in named and seen
    kind, side = "IC" if metric is both[0] else "rank IC", "above" if seen else "NOT above"
    reason = (
        f"{PLANTED!r} was {'named' if PLANTED in named else 'NOT named'} by the leak detector; a model of it "
        f"reached {kind} {metric.value:.3f} ({side} {config.leak_ceiling:g})"
    )
    others = tuple(name for name in named if name != PLANTED)
    if others:
        reason += f"; ALSO SUSPECT: {', '.join(others)}"
    return Control("planted_leak", passed, reason, metric, tuple(named))


def noise_control(problem: Problem, model: BaseEstimator, splitter: Any, config: JudgeConfig) -> Control:
    """Train on factors of pure noise: the out-of-sample IC interval must contain 0, and no noise factor gets a star."""
    n = len(problem.X)
    noise = stream(config.seed, "noise").standard_normal((n, _NOISE_FACTORS))
    width = len(problem.factors)
    X = np.column_stack((noise, problem.X[:, width:]))
    names = tuple(f"noise_{i + 1}" for i in range(_NOISE_FACTORS))
    quiet = replace(problem, X=X, factors=names)
    probabilities, _, fold, _ = run_folds(quiet, model, splitter)
    metric = _ic_inside(
        quiet, probabilities[:, 2] - probabilities[:, 0], fold, config, replications=config.replications
    )
    target = problem.scaled_returns
    ok = np.isfinite(target) & problem.tradable & (problem.classes != NO_CLASS)
    starred: list[str] = []
    if ok.sum() >= 3:
        length = block_length(int(ok.sum()), overlap_rows(problem), max(1, len(problem.series)))
        found = univariate_ic(
            noise[ok], np.ones_like(noise[ok], bool), target[ok], length=length, seed=config.seed, level=_STRICT
        )
        starred = [name for name, star in zip(names, found["star"], strict=True) if star]
    inside = not math.isfinite(metric.value) or metric.low <= 0.0 <= metric.high
    reason = f"IC of a model of noise {metric.value:+.4f} in [{metric.low:+.4f}, {metric.high:+.4f}]"
    reason += ": contains 0" if inside else ": does NOT contain 0"
    reason += f"; stars given to noise: {', '.join(starred) or 'none'}"
    return Control("noise_factors", inside and not starred, reason, metric)
