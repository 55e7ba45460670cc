"""The whole judgement: labels, folds, models, metrics, controls, in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from marketprism.core.instrument import Instrument
from marketprism.evaluate.config import JudgeConfig
from marketprism.evaluate.controls import (
    Control,
    noise_control,
    planted_leak_control,
    shuffled_label_control,
    suspected_leaks,
)
from marketprism.evaluate.economics import Execution, execution, half_spread_column
from marketprism.evaluate.exclusions import Exclusions, find_exclusions
from marketprism.evaluate.factor_table import factor_table
from marketprism.evaluate.judgement import FittedModel, HorizonResult, Judgement, ModelResult
from marketprism.evaluate.results import horizon_result
from marketprism.evaluate.tuning import build_judged_model, lighter
from marketprism.evaluate.walkforward import (
    Fold,
    Problem,
    prediction_frame,
    prepare,
    run_folds,
    walk_forward_splitter,
)
from marketprism.labels.forward import make_labels
from marketprism.labels.labelset import LabelSet
from marketprism.models.baselines import fit_model
from marketprism.models.features import factor_names

if TYPE_CHECKING:
    import polars as pl
    from sklearn.base import BaseEstimator

__all__ = ["judge"]

_MIN_FOLD_ROWS = 20

Progress = Callable[[str], None]


def judge(
    frame: pl.DataFrame,
    config: JudgeConfig | None = None,
    *,
    instruments: Sequence[Instrument] = (),
    mids: pl.DataFrame | None = None,
    labels: LabelSet | None = None,
    models: Mapping[str, BaseEstimator] | None = None,
    progress: Progress | None = None,
) -> Judgement:
    """Judge the factors of a bucket frame: label, walk forward, measure, and run the controls.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per closed bucket of one or several instruments, with factor columns (the engine's output).
    config : JudgeConfig, optional
        What to do; its seed fixes everything random.
    instruments : sequence of Instrument, optional
        Tick sizes for the half spread; see :func:`~marketprism.evaluate.economics.half_spread_column`.
    mids : polars.DataFrame, optional
        Mid series ``exchange, market_type, symbol, ts_event, ts_recv, mid``: exact fixed-time labels and fills.
    labels : LabelSet, optional
        Ready-made labels of this very frame.
    models : mapping of str to estimator, optional
        Unfitted sklearn classifiers over the classes -1, 0, 1 to judge in place of ``config.models``. They take NaN,
        or are pipelines that impute; for a panel the last feature is the series code.
    progress : callable, optional
        Called with a word on each step.

    Returns
    -------
    Judgement
        With too few labelled rows it has no models, and says so in ``notes``.

    Raises
    ------
    DataError
        The frame has no rows or factors, or the half spread cannot be known.

    Examples
    --------
    >>> judge(frame, JudgeConfig(seed=1)).summary()["models"]["logistic"]["ic"]  # doctest: +SKIP
    {'value': 0.12, 'low': 0.08, 'high': 0.16, 'n': 4000, 'significant': True, 'note': ''}
    """
    config = config or JudgeConfig()
    tell = progress or (lambda _: None)
    tell("labels")
    labels = labels or make_labels(frame, config.labels, mids)
    factors = config.factors or factor_names(frame)
    problems, exclusions = _problems(frame, labels, factors, config, mids)
    primary = problems[config.model_horizons[0]]
    half_spread, spread_source = half_spread_column(frame, config.costs, instruments)
    executions = execution(frame, half_spread, config.costs, mids)
    tell("factor table")
    table, suspects = _factors_alone(problems, primary, config)
    folds, notes = _plan(primary, config)
    notes += [f"factor {name!r} has IC {ic:+.2f}: suspected leak" for name, ic in suspects.items()]
    models = dict(models) if models else _configured(config, by_series=bool(primary.series))
    judged = _judge_models(models, problems, config, folds, executions, tell) if folds else {}
    controls = _controls(models, primary, config, folds, judged, tell) if folds else ()
    notes += [f"control {control.name} failed: {control.reason}" for control in controls if not control.passed]
    return Judgement(
        config=config,
        labels=labels,
        factors=tuple(factors),
        series=primary.series,
        primary=primary.horizon,
        models={name: ModelResult(name, {h: part[0] for h, part in parts.items()}) for name, parts in judged.items()},
        folds=next((parts[primary.horizon][2] for parts in judged.values()), ()),
        controls=controls,
        suspects=suspects,
        factor_table=table,
        predictions=_predictions(judged, primary),
        fitted={name: _fit_all(primary, models[name], name) for name in judged},
        exclusions=exclusions,
        assumptions=_assumptions(config, labels, executions, spread_source, exact_fills=mids is not None),
        notes=(*notes, *exclusions.notes()),
        folds_by_model={name: parts[primary.horizon][2] for name, parts in judged.items()},
    )


def _problems(
    frame: pl.DataFrame, labels: LabelSet, factors: Sequence[str], config: JudgeConfig, mids: pl.DataFrame | None
) -> tuple[dict[str, Problem], Exclusions]:
    """Features and labels of every horizon, and the exclusion list with the rows of the primary one counted."""
    exclusions = find_exclusions(frame, config.exclusions, mids)
    problems = {name: prepare(frame, labels, name, factors, exclusions) for name in config.model_horizons}
    primary = problems[config.model_horizons[0]]
    return problems, exclusions.counted(primary.rows, primary.label_end, primary.label_known, primary.labelled)


def _factors_alone(
    problems: dict[str, Problem], primary: Problem, config: JudgeConfig
) -> tuple[pl.DataFrame, dict[str, float]]:
    table = factor_table(
        list(problems.values()), seed=config.seed, level=config.level, replications=config.replications
    )
    suspects = suspected_leaks(
        primary.X, primary.factors, primary.scaled_returns, config.leak_ceiling, by_series=bool(primary.series)
    )
    return table, suspects


_Part = tuple[HorizonResult, "pl.DataFrame", tuple[Fold, ...]]


def _plan(problem: Problem, config: JudgeConfig) -> tuple[int, list[str]]:
    """Choose the number of folds that the data bear (0: too few rows), and what to say about it."""
    rows = int(problem.trainable.sum())
    times = np.unique(problem.known).size
    if rows < config.min_rows or times < 2 * _MIN_FOLD_ROWS:
        return 0, [
            f"few samples: {rows} labelled buckets, at least {config.min_rows} are needed to train; no model was judged"
        ]
    folds = max(1, min(config.folds, rows // (2 * _MIN_FOLD_ROWS), times // _MIN_FOLD_ROWS - 1))
    notes = [f"{folds} folds instead of {config.folds}: only {rows} labelled buckets"] if folds < config.folds else []
    if rows < 500:
        notes.append(f"few samples: {rows} labelled buckets; read every number as an anecdote")
    return folds, notes


def _configured(config: JudgeConfig, *, by_series: bool) -> dict[str, BaseEstimator]:
    return {name: build_judged_model(one, config.seed, by_series=by_series) for name, one in config.models.items()}


def _judge_models(
    models: Mapping[str, BaseEstimator],
    problems: dict[str, Problem],
    config: JudgeConfig,
    folds: int,
    executions: dict[str, Execution],
    tell: Progress,
) -> dict[str, dict[str, _Part]]:
    result: dict[str, dict[str, _Part]] = {}
    splitter = walk_forward_splitter(config, folds)
    for name, model in models.items():
        result[name] = {}
        for horizon, problem in problems.items():
            tell(f"{name} {horizon}")
            probabilities, base, fold, made = run_folds(problem, model, splitter, jobs=config.jobs)
            predictions = prediction_frame(problem, probabilities, base, fold, name)
            result[name][horizon] = (horizon_result(problem, predictions, made, executions, config), predictions, made)
    return result


def _controls(
    models: Mapping[str, BaseEstimator],
    problem: Problem,
    config: JudgeConfig,
    folds: int,
    judged: dict[str, dict[str, _Part]],
    tell: Progress,
) -> tuple[Control, ...]:
    """Run the controls with the first model, on the primary horizon."""
    tell("controls")
    name, model = next(iter(models.items()))
    model = lighter(model)
    splitter = walk_forward_splitter(config, folds)
    predictions = judged[name][problem.horizon][1]
    real = np.full(len(problem.X), np.nan)
    # Stretch 0 is never tested and sorts first, so the tested rows are the tail of the problem.
    real[len(real) - predictions.height :] = predictions["score"].fill_null(float("nan")).to_numpy()
    return (
        shuffled_label_control(problem, model, splitter, config, real),
        planted_leak_control(problem, model, splitter, config),
        noise_control(problem, model, splitter, config),
    )


def _fit_all(problem: Problem, model: BaseEstimator, name: str) -> FittedModel:
    rows = problem.trainable
    fitted = fit_model(model, problem.X[rows], problem.classes[rows], times=problem.times[rows])
    end = int(problem.label_known[rows].max())
    chosen = getattr(fitted, "best_estimator_", fitted)
    parameters = dict(getattr(fitted, "best_params_", {}))
    return FittedModel(
        name, chosen, problem.factors, problem.series, problem.horizon, end, estimator=model, parameters=parameters
    )


def _predictions(judged: dict[str, dict[str, _Part]], problem: Problem) -> pl.DataFrame:
    """All predictions, by model and horizon; an empty table of the same columns where nothing was judged."""
    import polars as pl

    tables = [part[1] for parts in judged.values() for part in parts.values()]
    if tables:
        return pl.concat(tables)
    n = len(problem.X)
    nothing = np.full((n, 3), np.nan)
    return prediction_frame(problem, nothing, nothing, np.full(n, -1), "")


def _assumptions(
    config: JudgeConfig, labels: LabelSet, executions: dict[str, Execution], spread_source: str, *, exact_fills: bool
) -> tuple[str, ...]:
    costs, labels_config = config.costs, labels.config
    fees = sorted({round(one.fee * 1e4, 6) for one in executions.values()})
    years = sorted({round(one.seconds_per_year / 3600) for one in executions.values()})
    unit = "log returns" if labels.scheme == "raw" else "log returns per second"
    embargo = f"{config.embargo_s:g} s " if config.embargo_s else ""
    line = "from the mid series" if exact_fills else "on a straight line through the next bucket, blind to faster moves"
    lines = [
        f"returns are {unit} of the mid; fixed-time labels read mids from {labels.mid_source.replace('_', ' ')}",
        f"classes: up or down is a move beyond {labels_config.threshold_multiplier:g} past RMS moves, else flat",
        f"{config.window} walk-forward; a label trains only if it was known {embargo}before the test began",
        f"trading: enter at |P(up) - P(down)| >= {costs.enter:g}, hold until the sign turns, flat at every gap",
        f"fills {costs.latency_ms:g} ms after the bucket is known, at mids {line}",
        f"costs per unit traded: fee {', '.join(f'{fee:g}' for fee in fees)} bps plus half spread ({spread_source})",
        f"annualisation: a year has {', '.join(map(str, years))} trading hours; no correction for serial correlation",
        f"intervals: {config.level:.0%}, circular block bootstrap, {config.replications} replications",
    ]
    if costs.slippage_bps:
        lines.append(f"slippage: {costs.slippage_bps:g} bps more per unit traded")
    if costs.notional:
        lines.append(
            f"market impact: {costs.impact_coefficient:g} x volatility x sqrt({costs.notional:g} of quote currency / "
            f"notional traded in a bucket), both the means of {costs.impact_buckets} past buckets"
        )
    lines += [
        f"{share:.0%} of {name} labels ended on the mid they began with: bucket ends are coarse for this horizon"
        for name, share in labels.stale_share.items()
        if share > 0.1
    ]
    return tuple(lines)
