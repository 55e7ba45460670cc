"""Could the probabilities be repaired: prequential calibration of walk-forward predictions, and attainable gates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError, did_you_mean
from marketprism.core.random import child_seed
from marketprism.core.timebase import NS
from marketprism.evaluate import metrics as measure
from marketprism.evaluate.bootstrap import BlockPlan, block_length, plan_blocks
from marketprism.evaluate.case import Case
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.reliability import CalibrationTest, best_possible_brier, calibration_test
from marketprism.evaluate.results import calibration_curve
from marketprism.models.calibration import CalibrationMethod, ProbabilityCalibrator

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "RAW",
    "Attainability",
    "Calibrated",
    "CalibratedMethod",
    "CalibratedModel",
    "CalibrationConfig",
    "assess_calibration",
    "prequential",
]

RAW = "raw"
"""Name of the probabilities as the model gave them."""
CHOSEN = "chosen on the past"
"""Name of the probabilities of whichever method had been best by then."""

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]
_FLOOR = 1e-6


class CalibrationConfig(Config, frozen=True):
    """What :func:`assess_calibration` compares.

    Parameters
    ----------
    methods : tuple of {"isotonic", "platt", "beta"}
        Compared with the raw probabilities.
    min_rows : int
        Known earlier predictions that a fit needs; with fewer, a fold keeps its raw probabilities.
    bins : int
        Bins of the reliability curves.
    brier_gate : float
        The gate whose attainability is examined.
    """

    methods: tuple[CalibrationMethod, ...] = get_args(CalibrationMethod)
    min_rows: int = 60
    bins: int = 10
    brier_gate: float = 0.20

    def __post_init__(self) -> None:
        for name, lowest in (("min_rows", 2), ("bins", 2)):
            if getattr(self, name) < lowest:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint=f"it must be at least {lowest}")
        if not 0 < self.brier_gate < 1:
            raise ConfigError(f"brier_gate was {self.brier_gate}", hint="it must lie between 0 and 1")
        if not self.methods:
            raise ConfigError("no method was given", hint=f"name at least one of {get_args(CalibrationMethod)}")
        for method in self.methods:
            if method not in get_args(CalibrationMethod):
                raise ConfigError(f"method was {method!r}", hint=did_you_mean(method, get_args(CalibrationMethod)))


class Attainability(NamedTuple):
    """What Brier score a forecast of this strength could reach at best, for one yes-or-no question.

    Attributes
    ----------
    question : str
        ``up or not``, or ``up or down`` (flat rows left out).
    rows : int
        Rows that answer it.
    base_rate : float
        Share of yes.
    base_brier : float
        Brier score of always saying the base rate, ``b (1 - b)``.
    correlation : float
        Of the probability with the 0/1 outcome, and the largest in size inside its interval (``correlation_high``).
    best, best_high : float
        ``b (1 - b) (1 - r^2)`` at these correlations: no change of level and scale does better.
    observed : float
        Brier score of the raw probability.
    needed : float
        Correlation at which the gate would be reached; 0 where the base rate alone passes.
    verdict : {"attainable", "not attainable", "passed by the base rate"}
        Of the gate, judged at ``correlation_high``.
    """

    question: str
    rows: int
    base_rate: float
    base_brier: float
    correlation: float
    correlation_high: float
    best: float
    best_high: float
    observed: float
    needed: float
    verdict: str


@dataclass(frozen=True)
class CalibratedMethod:
    """One way of calibrating, on the rows that all ways share.

    Attributes
    ----------
    metrics : dict of str to Metric
        ``brier_skill``, ``log_loss_skill`` (against training base rates), ``ece`` (debiased, of P(up)), and ``gain``:
        ``1 - Brier / Brier of raw``, paired row by row.
    test : CalibrationTest or None
        Calibration error of P(up) beside what perfect probabilities would show, on rows whose labels do not overlap.
    curve : polars.DataFrame
        ``predicted, observed, low, high, n`` of P(up).
    """

    metrics: dict[str, Metric]
    test: CalibrationTest | None
    curve: pl.DataFrame


@dataclass(frozen=True)
class CalibratedModel:
    """Calibration of one model.

    Attributes
    ----------
    methods : dict of str to CalibratedMethod
        ``raw``, the methods, and ``chosen on the past``.
    chosen : tuple of str
        What had the smallest log-loss before each fold (``raw`` while nothing could be compared).
    recommended : str
        What has the smallest log-loss over all rows: the choice for what comes next. Its own numbers above were not
        chosen on the past; those of ``chosen on the past`` were.
    calibrator : dict or None
        The recommended method fitted on every known out-of-sample prediction, as plain data
        (:meth:`~marketprism.models.calibration.ProbabilityCalibrator.from_mapping`); None for ``raw``.
    attainable : tuple of Attainability
        Whether a Brier gate makes sense.
    rows : int
        Rows compared.
    """

    methods: dict[str, CalibratedMethod]
    chosen: tuple[str, ...]
    recommended: str
    calibrator: dict[str, Any] | None
    attainable: tuple[Attainability, ...]
    rows: int


@dataclass(frozen=True)
class Calibrated:
    """Result of :func:`assess_calibration`.

    Attributes
    ----------
    models : dict of str to CalibratedModel
        By name; empty where no model was judged or nothing could be compared.
    gate : float
        The Brier gate examined.
    notes : tuple of str
        What to know.
    """

    models: dict[str, CalibratedModel]
    gate: float
    notes: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Plain data: numbers of every model and method, the choice, attainability."""

        def plain(value: Any) -> Any:
            return None if isinstance(value, float) and not math.isfinite(value) else value

        def reliability(test: CalibrationTest | None) -> dict[str, Any] | None:
            return None if test is None else {key: plain(value) for key, value in test._asdict().items()}

        return {
            "gate": self.gate,
            "models": {
                name: {
                    "rows": one.rows,
                    "methods": {
                        method: {
                            **{key: metric.to_mapping() for key, metric in part.metrics.items()},
                            "calibration_test": reliability(part.test),
                        }
                        for method, part in one.methods.items()
                    },
                    "chosen": list(one.chosen),
                    "recommended": one.recommended,
                    "calibrator": one.calibrator,
                    "attainable": [
                        {key: plain(value) for key, value in line._asdict().items()} for line in one.attainable
                    ],
                }
                for name, one in self.models.items()
            },
            "notes": list(self.notes),
        }


def assess_calibration(case: Case, config: CalibrationConfig | None = None) -> Calibrated:
    """Calibrate out-of-sample predictions with earlier ones whose labels were known, and compare.

    The predictions of fold k are mapped by a calibrator fitted on the predictions of folds before k whose labels were
    known strictly before the test of fold k began (less the embargo): what could have been done at the time. All
    methods are compared on the same rows, those of folds where a fit was possible; rows that touch an excluded span
    are not measured, nor learnt from where the span was known. Panels are calibrated together.

    Cost: a few fits of two or three parameters a fold; well under a second at 100,000 rows. Nothing is capped.

    Parameters
    ----------
    case : Case
        What was judged.
    config : CalibrationConfig, optional
        What to compare.
    """
    config = config or CalibrationConfig()
    notes = []
    models: dict[str, CalibratedModel] = {}
    if not case.names:
        notes.append("no model was judged, so there are no probabilities to repair")
    for name in case.names:
        found = _assess_model(case, name, config)
        if found is None:
            notes.append(
                f"{name}: no fold had {config.min_rows} earlier predictions with known labels, "
                "so no calibration could be fitted honestly"
            )
        else:
            models[name] = found
    return Calibrated(models, config.brier_gate, tuple(notes))


def prequential(
    probabilities: _Floats,
    classes: _Ints,
    fold: _Ints,
    start: _Ints,
    known: _Ints,
    method: CalibrationMethod,
    min_rows: int,
) -> tuple[_Floats, npt.NDArray[np.bool_]]:
    """Calibrate each fold's predictions by a fit on earlier folds' predictions whose labels were known by then.

    Parameters
    ----------
    probabilities : ndarray of shape (n, 3)
        Out-of-sample P(down), P(flat), P(up); NaN where missing.
    classes : ndarray of int
        -1, 0, 1; anything else where undefined.
    fold : ndarray of int
        Fold of each row.
    start : ndarray of int, shape (folds,)
        Time before which labels must be known to be used for the fold, by fold number.
    known : ndarray of int
        When each row's label became known.
    method, min_rows
        See :class:`~marketprism.models.calibration.ProbabilityCalibrator`.

    Returns
    -------
    calibrated : ndarray of shape (n, 3)
        Equal to ``probabilities`` in folds where no fit was possible.
    fitted : ndarray of bool
        Rows of folds where one was.
    """
    result, fitted = probabilities.copy(), np.zeros(len(fold), np.bool_)
    usable = np.isin(classes, (-1, 0, 1)) & np.isfinite(probabilities).all(axis=1)
    for number, moment in enumerate(start.tolist()):
        past, now = usable & (fold < number) & (known < moment), fold == number
        if past.sum() < min_rows:
            continue
        calibrator = ProbabilityCalibrator(method, min_rows=min_rows).fit(probabilities[past], classes[past])
        result[now], fitted[now] = calibrator.transform(probabilities[now]), True
    return result, fitted


class _Rows(NamedTuple):
    """Out-of-sample predictions of one model as arrays; class 9 where none may be learnt from."""

    frame: pl.DataFrame
    p: _Floats
    base: _Floats
    classes: _Ints
    fold: _Ints
    known: _Ints
    start: _Ints
    excluded: npt.NDArray[np.bool_]

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """Rows that may be learnt from."""
        return np.asarray((self.classes <= 1) & np.isfinite(self.p).all(axis=1))

    @property
    def judged(self) -> npt.NDArray[np.bool_]:
        """Rows that numbers are made of: none that touches an excluded span."""
        return np.asarray(self.usable & ~self.excluded)


def _rows(case: Case, name: str) -> _Rows:
    frame = case.predictions(name)
    problem = case.problem
    # Stretch 0 is never tested and sorts first: the tested rows are the tail of the problem.
    tail = slice(len(problem.known) - frame.height, None)
    p, base = (
        np.column_stack([frame[f"{kind}_{word}"].fill_null(float("nan")).to_numpy() for word in ("down", "flat", "up")])
        for kind in ("p", "base")
    )
    embargo = round(case.judgement.config.embargo_s * NS)
    start = np.array([fold.test_start - embargo for fold in case.judgement.folds], np.int64)
    classes = np.where(problem.barred[tail], 9, frame["class"].cast(int).fill_null(9).to_numpy())
    fold = frame["fold"].to_numpy().astype(np.int64)
    return _Rows(frame, p, base, classes, fold, problem.label_known[tail], start, problem.excluded[tail])


def _assess_model(case: Case, name: str, config: CalibrationConfig) -> CalibratedModel | None:
    rows = _rows(case, name)
    versions: dict[str, _Floats] = {RAW: rows.p}
    shared = np.zeros(len(rows.fold), np.bool_)
    for method in config.methods:
        versions[method], shared = prequential(
            rows.p, rows.classes, rows.fold, rows.start, rows.known, method, config.min_rows
        )
    shared &= rows.judged
    if shared.sum() < 3:
        return None
    losses = {method: _log_losses(p, rows.classes) for method, p in versions.items()}
    chosen = _choices(losses, shared, rows)
    versions[CHOSEN] = np.select(
        [(rows.fold == number)[:, None] for number in range(len(chosen))], [versions[method] for method in chosen]
    )
    totals = {method: float(loss[shared].sum()) for method, loss in losses.items()}
    recommended = min(totals, key=lambda method: totals[method])
    calibrator = None
    if recommended != RAW:
        fit = ProbabilityCalibrator(recommended, min_rows=config.min_rows)  # type: ignore[arg-type]
        calibrator = fit.fit(rows.p[rows.usable], rows.classes[rows.usable]).to_mapping()
    return CalibratedModel(
        methods={method: _measure(case, rows, p, shared, config) for method, p in versions.items()},
        chosen=chosen,
        recommended=recommended,
        calibrator=calibrator,
        attainable=_attainable(case, rows, config.brier_gate),
        rows=int(shared.sum()),
    )


def _log_losses(p: _Floats, classes: _Ints) -> _Floats:
    labelled = classes <= 1
    column = np.where(labelled, classes + 1, 0)
    return np.where(labelled, -np.log(np.maximum(p[np.arange(len(p)), column], _FLOOR)), np.nan)


def _choices(losses: dict[str, _Floats], shared: npt.NDArray[np.bool_], rows: _Rows) -> tuple[str, ...]:
    """Best method before each fold, on compared rows whose labels were known; raw without any."""
    result = []
    for number, moment in enumerate(rows.start.tolist()):
        past = shared & (rows.fold < number) & (rows.known < moment)
        totals = {method: float(loss[past].sum()) for method, loss in losses.items()}
        result.append(min(totals, key=lambda method: totals[method]))  # raw comes first and wins ties
    return tuple(result)


def _plan(case: Case, n: int) -> BlockPlan:
    config = case.judgement.config
    return plan_blocks(n, block_length(n, case.overlap, case.series_count), config.replications, config.seed)


def _measure(
    case: Case, rows: _Rows, p: _Floats, shared: npt.NDArray[np.bool_], config: CalibrationConfig
) -> CalibratedMethod:
    import polars as pl

    level = case.judgement.config.level
    plan = _plan(case, int(shared.sum()))
    ours, raw, base = p[shared], rows.p[shared], rows.base[shared]
    classes = rows.classes[shared].astype(np.int8)
    up = classes > 0
    truth = classes[:, None] == np.array((-1, 0, 1))
    pair = np.column_stack((((ours - truth) ** 2).sum(1), ((raw - truth) ** 2).sum(1)))
    apart = slice(None, None, case.overlap * case.series_count)
    seed = child_seed(case.judgement.config.seed, "assess_calibration")
    replaced = rows.frame.with_columns(
        **{f"p_{word}": pl.Series(p[:, i]) for i, word in enumerate(("down", "flat", "up"))}
    ).filter(pl.Series(shared))
    return CalibratedMethod(
        metrics={
            "brier_skill": measure.brier_skill(ours, base, classes, plan, level),
            "log_loss_skill": measure.log_loss_skill(ours, base, classes, plan, level),
            "ece": measure.calibration_error(ours[:, 2], up, plan, level),
            "gain": measure.measured(
                pair, lambda sums: np.asarray(1.0 - sums[..., 0] / sums[..., 1]), plan, level, null=0.0
            ),
        },
        test=calibration_test(np.clip(ours[apart, 2], 0.0, 1.0), up[apart], seed=seed),
        curve=calibration_curve(replaced, config.bins),
    )


def _attainable(case: Case, rows: _Rows, gate: float) -> tuple[Attainability, ...]:
    result = []
    for question, keep in (("up or not", rows.judged), ("up or down", rows.judged & (rows.classes != 0))):
        n = int(keep.sum())
        if n < 3:
            continue
        p, up = rows.p[keep], (rows.classes[keep] > 0).astype(np.float64)
        said = p[:, 2] if question == "up or not" else _share(p)
        metric = measure.information_coefficient(said, up, _plan(case, n), case.judgement.config.level)
        base = float(up.mean())
        worst = base * (1 - base)
        ends = [abs(value) for value in (metric.value, metric.low, metric.high) if math.isfinite(value)]
        correlation, high = abs(metric.value), min(1.0, max(ends, default=0.0))
        strength = correlation if math.isfinite(correlation) else 0.0
        best_high = best_possible_brier(high, base)
        verdict = "attainable" if best_high < gate else "not attainable"
        result.append(
            Attainability(
                question=question,
                rows=n,
                base_rate=base,
                base_brier=worst,
                correlation=strength,
                correlation_high=high,
                best=best_possible_brier(min(1.0, strength), base),
                best_high=best_high,
                observed=float(((said - up) ** 2).mean()),
                needed=math.sqrt(1 - gate / worst) if worst > gate else 0.0,
                verdict="passed by the base rate" if worst < gate else verdict,
            )
        )
    return tuple(result)


def _share(p: _Floats) -> _Floats:
    """P(up) given that it is not flat; one half where both are 0."""
    moved = p[:, 0] + p[:, 2]
    return np.where(moved > 0, p[:, 2] / np.where(moved > 0, moved, 1.0), 0.5)
