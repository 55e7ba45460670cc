"""Permutation importance out of sample: how much IC is lost when an input says nothing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from marketprism.core.random import stream
from marketprism.evaluate.bootstrap import block_length, plan_blocks
from marketprism.evaluate.case import Case
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.metrics import measured
from marketprism.models.baselines import fit_model, predict_classes
from marketprism.models.explain import input_view

__all__ = ["PermutedInput", "factor_groups", "permutation_importance"]

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]
_REPEATS = 5


class PermutedInput(NamedTuple):
    """A group of near-duplicate inputs and the out-of-sample IC that is lost when they are shuffled together.

    Attributes
    ----------
    inputs : tuple of str
        Its members, the strongest attribution first.
    loss : Metric
        IC minus mean IC over shuffles, with paired block-bootstrap interval.
    """

    inputs: tuple[str, ...]
    loss: Metric


def factor_groups(case: Case) -> tuple[tuple[int, ...], ...]:
    """Columns of the factors in groups of near duplicates (see ``duplicate_of`` of the factor table), in order.

    Shuffling one of two twins shows no loss, because the model reads the other.
    """
    import polars as pl

    factors = case.problem.factors
    table = case.judgement.factor_table.filter(pl.col("horizon") == case.judgement.primary)
    twin = dict(table.select("factor", "duplicate_of").iter_rows())
    place = {name: column for column, name in enumerate(factors)}
    members: dict[str, list[int]] = {}
    leader: dict[str, str] = {}
    for name in factors:  # a twin always comes earlier, so its leader is known
        other = twin.get(name)
        leader[name] = leader.get(str(other), name)
        members.setdefault(leader[name], []).append(place[name])
    return tuple(tuple(group) for group in members.values())


def permutation_importance(
    case: Case, name: str, groups: tuple[tuple[int, ...], ...], strength: _Floats, *, most: int, budget: int
) -> tuple[tuple[PermutedInput, ...], str]:
    """Shuffle groups of inputs inside each test stretch and measure the loss of IC.

    A model that tunes itself is refitted with the parameters that it chose on all rows.

    Parameters
    ----------
    case : Case
        What was judged.
    name : str
        Model.
    groups : tuple of tuple of int
        From :func:`factor_groups`.
    strength : ndarray of shape (factors,)
        Attribution of each factor: the ``most`` groups of largest sum are shuffled; the others hardly move anything.
    most : int
        Groups to shuffle.
    budget : int
        Predictions that may be made, over all folds.

    Returns
    -------
    tuple of PermutedInput
        Largest loss first.
    str
        What was capped; empty where nothing was.
    """
    problem, config = case.problem, case.judgement.config
    weight = np.array([strength[list(group)].sum() for group in groups])
    order = [int(place) for place in np.argsort(-weight, kind="stable")[:most] if weight[place] > 0]
    target = problem.scaled_returns
    fold_rows = _test_rows(case, np.isfinite(target) & problem.tradable & ~problem.excluded)
    available = sum(test.size for _, test in fold_rows)
    if not order or available < 3:
        return (), "nothing to permute: the model listens to no input" if not order else "too few rows to permute"
    each = max(1, available * len(order))
    repeats = int(max(1, min(_REPEATS, budget // each)))
    step = max(1, -(-each * repeats // budget))
    fold_rows = [(train, test[::step]) for train, test in fold_rows]
    plain, shuffled = _scores(case, name, [groups[place] for place in order], fold_rows, repeats)
    rows = np.concatenate([test for _, test in fold_rows])
    goal = target[rows]
    overlap = max(1, -(-case.overlap // step))
    plan = plan_blocks(rows.size, block_length(rows.size, overlap, case.series_count), config.replications, config.seed)
    result = []
    for place, scores in zip(order, shuffled, strict=True):
        columns = _moments(plain, goal, scores)
        metric = measured(columns, _loss, plan, config.level, null=0.0)
        members = sorted(groups[place], key=lambda column: -strength[column])
        result.append(PermutedInput(tuple(problem.factors[column] for column in members), metric))
    result.sort(key=lambda one: -one.loss.value if np.isfinite(one.loss.value) else np.inf)
    notes = []
    if len(order) < int((weight > 0).sum()):
        notes.append(f"permuted the {len(order)} strongest of {len(groups)} groups of inputs")
    if step > 1:
        notes.append(f"permuted every {step}th row: at most {budget:,} predictions")
    return tuple(result), "; ".join(notes)


def _test_rows(case: Case, usable: npt.NDArray[np.bool_]) -> list[tuple[_Ints, _Ints]]:
    """Training and test rows of each fold that trained on more than one class."""
    problem = case.problem
    result = []
    for train, test in case.splitter.split(problem.X, problem.classes, problem.times):
        labelled = train[problem.trainable[train]]
        kept = test[usable[test]]
        if np.unique(problem.classes[labelled]).size > 1 and kept.size:
            result.append((labelled, kept))
    return result


def _scores(
    case: Case, name: str, groups: list[tuple[int, ...]], fold_rows: list[tuple[_Ints, _Ints]], repeats: int
) -> tuple[_Floats, _Floats]:
    """Scores as they are ``[rows]`` and with each group shuffled ``[groups, repeats, rows]``, over all folds."""
    problem, seed = case.problem, case.judgement.config.seed
    plain, shuffled = [], []
    for number, (train, test) in enumerate(fold_rows):
        # The fitted pipeline, not the judged estimator: one that tunes itself would tune in every fold again.
        model = fit_model(case.judgement.fitted[name].pipeline, problem.X[train], problem.classes[train])
        view = input_view(model, problem.X.shape[1])
        z = view.columns(problem.X[test])
        plain.append(_edge(view.final, z))
        code = problem.X[test, -1] if problem.series else np.zeros(test.size)
        draws = [_shuffle(code, stream(seed, "permute", number, repeat)) for repeat in range(repeats)]
        found = np.empty((len(groups), repeats, test.size))
        for place, group in enumerate(groups):
            columns = np.flatnonzero(np.isin(view.source, group))
            stacked = np.tile(z, (repeats, 1))
            for repeat, draw in enumerate(draws):
                stacked[repeat * test.size : (repeat + 1) * test.size][:, columns] = z[draw][:, columns]
            found[place] = _edge(view.final, stacked).reshape(repeats, test.size)
        shuffled.append(found)
    return np.concatenate(plain), np.concatenate(shuffled, axis=2)


def _edge(model: object, z: npt.NDArray[np.float64]) -> _Floats:
    probabilities = predict_classes(model, z)
    return np.asarray(probabilities[:, 2] - probabilities[:, 0])


def _shuffle(code: _Floats, rng: np.random.Generator) -> _Ints:
    """Permutation of the rows that keeps every series to itself."""
    result = np.arange(code.size)
    for one in np.unique(code):
        rows = np.flatnonzero(code == one)
        result[rows] = rng.permutation(rows)
    return result


def _moments(plain: _Floats, goal: _Floats, shuffled: _Floats) -> _Floats:
    """Columns whose sums give the loss: 1, y, yy, then x, xx, xy of the plain and of each shuffled score."""
    y = _standard(goal)
    columns = [np.ones_like(y), y, y * y]
    for score in (plain, *shuffled):
        # One scale for all: correlation does not change, and a score that shuffling made constant stays constant.
        x = score - score.mean()
        x = x / spread if (spread := float(plain.std())) > 0 else x
        columns += [x, x * x, x * y]
    return np.column_stack(columns)


def _standard(x: _Floats) -> _Floats:
    centred = x - x.mean()
    spread = float(x.std())
    return np.asarray(centred / spread) if spread > 0 else centred


def _loss(sums: _Floats) -> _Floats:
    n, y, yy = (sums[..., place] for place in range(3))
    var_y = yy - y * y / n
    ics = []
    for place in range(3, sums.shape[-1], 3):
        x, xx, xy = (sums[..., place + k] for k in range(3))
        both = (xx - x * x / n) * var_y
        # A constant score forecasts nothing: its IC counts as 0, not as unknown.
        ics.append(np.where(both > 1e-12 * xx * yy, (xy - x * y / n) / np.sqrt(np.maximum(both, 1e-300)), 0.0))
    return np.asarray(ics[0] - np.mean(ics[1:], axis=0))
