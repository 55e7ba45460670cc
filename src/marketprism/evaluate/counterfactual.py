"""What if: the model trained again without parts of its past, or on late, noisy, clipped or missing inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError, did_you_mean
from marketprism.core.random import stream
from marketprism.evaluate.bootstrap import block_length, interval, plan_blocks
from marketprism.evaluate.case import Case
from marketprism.evaluate.economics import pool, trade
from marketprism.evaluate.metric import ENOUGH_BLOCKS, ENOUGH_ROWS, Metric
from marketprism.evaluate.metrics import measured
from marketprism.evaluate.paired import paired_information
from marketprism.evaluate.tuning import lighter
from marketprism.evaluate.walkforward import Problem, prediction_frame, run_folds

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Counterfactual", "CounterfactualConfig", "Counterfactuals", "retrain_counterfactuals"]

_Floats = npt.NDArray[np.float64]
_Bools = npt.NDArray[np.bool_]


class CounterfactualConfig(Config, frozen=True):
    """What is changed before training again.

    Parameters
    ----------
    models : tuple of str
        Judged models to train again; empty means the first, which is the cheapest.
    all_models : bool
        Train all of them again.
    stretches : int
        Equal runs of rows of which the wildest are left out.
    wild_share : float
        Share of them that is left out.
    noise : float
        Standard deviation of the noise added to every factor, over that of the factor.
    clip : float
        Factors are cut off at this many robust standard deviations from their median (models cut at 5).
    drop : int
        Strongest factors that are taken away (at most half of them).
    """

    models: tuple[str, ...] = ()
    all_models: bool = False
    stretches: int = 20
    wild_share: float = 0.1
    noise: float = 0.1
    clip: float = 2.0
    drop: int = 5

    def __post_init__(self) -> None:
        for name in ("stretches", "drop"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must be at least 1")
        if not 0 < self.wild_share < 1:
            raise ConfigError(f"wild_share was {self.wild_share}", hint="it must be above 0 and below 1")
        for name in ("noise", "clip"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must be positive")


class Counterfactual(NamedTuple):
    """One model, trained again under one change.

    Attributes
    ----------
    model, name, text : str
        Judged model, short name of the change, and the change in words.
    folds : int
        Folds in which the original and the changed model could be trained; both are compared on these.
    original, ic, change : Metric
        IC of the original, of the changed model, and their difference by a paired block bootstrap.
    net, net_change : Metric
        Net profit of the changed model (bps of notional, costs paid), and its difference to the original's.
    """

    model: str
    name: str
    text: str
    folds: int
    original: Metric
    ic: Metric
    change: Metric
    net: Metric
    net_change: Metric

    @property
    def broken(self) -> bool:
        """The IC falls for certain, to less than half of a positive original."""
        return self.original.value > 0 and self.change.high < 0 and self.ic.value < 0.5 * self.original.value


@dataclass(frozen=True)
class Counterfactuals:
    """Result of :func:`retrain_counterfactuals`.

    Attributes
    ----------
    rows : tuple of Counterfactual
        By model, then change.
    notes : tuple of str
        What could not be done.
    """

    rows: tuple[Counterfactual, ...]
    notes: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Return plain data, by model and change."""
        result: dict[str, Any] = {"notes": list(self.notes), "models": {}}
        for row in self.rows:
            result["models"].setdefault(row.model, {})[row.name] = {
                "text": row.text,
                "folds": row.folds,
                "broken": row.broken,
                "ic": row.ic.to_mapping(),
                "ic_change": row.change.to_mapping(),
                "net_pnl_bps": row.net.to_mapping(),
                "net_pnl_change_bps": row.net_change.to_mapping(),
            }
        return result


class _Variant(NamedTuple):
    name: str
    text: str
    problem: Problem


def retrain_counterfactuals(case: Case, config: CounterfactualConfig | None = None) -> Counterfactuals:
    """Train a judged model again under changes that an honest, sturdy signal survives, and compare out of sample.

    The past is changed for training only: without its wildest stretches, without each third. Inputs are changed for
    training and prediction alike: all one bucket late, with noise, cut off early, without the strongest factors.
    Splits, costs and tested rows stay those of the judgement; excluded rows do not count for the IC. Scales of noise
    and cut-offs come from the rows before the first test. Which stretches were wild and which factors strong is known
    only afterwards: these two are stress tests, not trading rules.

    Parameters
    ----------
    case : Case
        At the primary horizon. A model that chooses its own parameters does so anew, from three proposals.
    config : CounterfactualConfig, optional
        The changes. The default trains nine walk-forwards of the first model.

    Raises
    ------
    ConfigError
        ``config.models`` names a model that was not judged.
    """
    config = config or CounterfactualConfig()
    if not case.names:
        return Counterfactuals((), ("no model was judged, so none could be trained again",))
    names = case.names if config.all_models else config.models or case.names[:1]
    for name in names:
        if name not in case.names:
            raise ConfigError(f"model was {name!r}", hint=did_you_mean(name, case.names))
    notes: list[str] = []
    if len(case.problem.factors) < 2:
        notes.append("only one factor: none could be taken away")
    rows = []
    for name in names:
        original = case.predictions(name)
        model = lighter(case.estimator(name))
        trained = {fold.number for fold in case.judgement.folds_by_model[name] if not fold.note}
        for variant in _variants(case, config):
            done = run_folds(variant.problem, model, case.splitter, jobs=case.judgement.config.jobs)
            both = sorted(trained & {fold.number for fold in done[3] if not fold.note})
            if not both:
                notes.append(f"{name}, {variant.text}: nothing was left to train on")
                continue
            changed = prediction_frame(case.problem, *done[:3], name)
            rows.append(_compare(case, name, variant, original, changed, both))
    return Counterfactuals(tuple(rows), tuple(notes))


def _variants(case: Case, config: CounterfactualConfig) -> Iterator[_Variant]:
    problem = case.problem
    n, width = len(problem.X), len(problem.factors)
    place = np.arange(n)

    def without(rows: _Bools) -> Problem:
        return replace(problem, barred=problem.barred | rows)

    def inputs(factors: _Floats, keep: slice | _Bools = slice(None)) -> Problem:
        kept = tuple(np.array(problem.factors, object)[keep])
        return replace(problem, X=np.column_stack((factors[:, keep], problem.X[:, width:])), factors=kept)

    wild = _wild(problem, config)
    yield _Variant("without_wild", f"wildest {config.wild_share:.0%} of the past left out", without(wild))
    for third, word in enumerate(("first", "second", "last")):
        yield _Variant(f"without_third_{third + 1}", f"{word} third left out", without(place * 3 // n == third))
    factors = problem.X[:, :width]
    yield _Variant("late", "all inputs one bucket late", inputs(_one_late(problem, factors)))
    centre, scale = _scale(factors[: _first_test(case)])
    spread = np.where(np.isfinite(scale), scale, 0.0)
    noise = stream(case.judgement.config.seed, "counterfactual", "noise").standard_normal(factors.shape)
    yield _Variant(
        "noise", f"noise of {config.noise:.0%} added to every input", inputs(factors + config.noise * spread * noise)
    )
    low, high = centre - config.clip * scale, centre + config.clip * scale
    yield _Variant("clipped", f"inputs cut off at {config.clip:g} deviations", inputs(np.clip(factors, low, high)))
    if width > 1:
        strongest = _strongest(case, min(config.drop, width // 2))
        keep = ~np.isin(np.array(problem.factors), strongest)
        yield _Variant("without_strongest", f"strongest {len(strongest)} inputs taken away", inputs(factors, keep))


def _wild(problem: Problem, config: CounterfactualConfig) -> _Bools:
    """Rows of the stretches of largest mean squared return (over the past-only threshold in a panel)."""
    n = len(problem.X)
    count = min(config.stretches, max(1, n // 10))
    stretch = np.arange(n) * count // n
    returns = problem.scaled_returns
    known = np.isfinite(returns)
    squares = np.bincount(stretch[known], returns[known] ** 2, count)
    rows = np.maximum(np.bincount(stretch[known], minlength=count), 1)
    most = max(1, round(config.wild_share * count))
    return np.asarray(np.isin(stretch, np.argsort(-squares / rows, kind="stable")[:most]))


def _one_late(problem: Problem, factors: _Floats) -> _Floats:
    """Each row gets the inputs of the bucket before of its series; NaN after a gap."""
    from marketprism.labels.forward import series_rows

    late = np.full_like(factors, np.nan)
    segment = problem.rows["segment"].to_numpy()
    for rows in series_rows(problem.rows).values():
        same = segment[rows[1:]] == segment[rows[:-1]]
        late[rows[1:][same]] = factors[rows[:-1][same]]
    return late


def _first_test(case: Case) -> int:
    """Rows before the first test; they set scales without looking ahead."""
    start = case.judgement.folds[0].test_start
    return int((case.problem.known < start).sum())


def _scale(factors: _Floats) -> tuple[_Floats, _Floats]:
    """Median and robust standard deviation of each column; 0 and infinity where a column has no values."""
    from marketprism.models.scaler import FactorScaler

    fitted = FactorScaler().fit(factors)
    some = np.isfinite(factors).any(axis=0)
    return np.where(some, fitted.center_[0], 0.0), np.where(some, fitted.scale_[0], np.inf)


def _strongest(case: Case, count: int) -> list[str]:
    import polars as pl

    table = case.judgement.factor_table.filter(pl.col("horizon") == case.judgement.primary)
    ranked = table.sort([pl.col("ic").abs(), "factor"], descending=[True, False], nulls_last=True)
    return list(ranked["factor"].head(count))


def _compare(
    case: Case, name: str, variant: _Variant, original: pl.DataFrame, changed: pl.DataFrame, folds: list[int]
) -> Counterfactual:
    import polars as pl

    config = case.judgement.config
    before, after = (table.filter(pl.col("fold").is_in(folds)) for table in (original, changed))
    first, second, change = _information(case, before, after)
    books = [pool(trade(table, case.executions, config.costs)) for table in (before, after)]
    n = books[0].net.size
    plan = plan_blocks(n, block_length(n), config.replications, config.seed)

    def total(values: _Floats) -> Metric:
        return measured(
            values[:, None], lambda sums: 1e4 * sums[..., 0], plan, config.level, null=0.0, note="bps, costs paid"
        )

    net, difference = total(books[1].net), total(books[1].net - books[0].net)
    return Counterfactual(name, variant.name, variant.text, len(folds), first, second, change, net, difference)


def _information(case: Case, before: pl.DataFrame, after: pl.DataFrame) -> tuple[Metric, Metric, Metric]:
    """IC of both scores with the same returns, and the difference, resampled together."""
    config = case.judgement.config
    target, old, new, threshold = (
        column.fill_null(float("nan")).to_numpy()
        for column in (before["return"], before["score"], after["score"], before["threshold"])
    )
    if case.problem.series:
        with np.errstate(divide="ignore", invalid="ignore"):
            target = np.where(threshold > 0, target / threshold, np.nan)
    keep = np.isfinite(target) & np.isfinite(old) & np.isfinite(new) & before["class"].is_not_null().to_numpy()
    keep &= ~before["excluded"].to_numpy()
    n = int(keep.sum())
    if n < 3:
        nothing = Metric(value=math.nan, low=math.nan, high=math.nan, n=n, null=0.0, note=f"few samples: {n} rows")
        return nothing, nothing, nothing
    plan = plan_blocks(n, block_length(n, case.overlap, case.series_count), config.replications, config.seed)
    found = paired_information(target[keep], np.column_stack((old[keep], new[keep])), plan, config.level)
    gap = found.samples[:, 1] - found.samples[:, 0]
    value = float(found.values[1] - found.values[0])
    low, high = interval(value, gap, plan.blocks, config.level)
    few = n < ENOUGH_ROWS or plan.blocks < ENOUGH_BLOCKS
    note = f"few samples: {n} rows in {plan.blocks} blocks, not evidence" if few else ""
    change = Metric(value=value, low=low, high=high, n=n, blocks=plan.blocks, null=0.0, note=note)
    return found.metrics[0], found.metrics[1], change
