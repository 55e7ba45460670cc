"""A case: a judgement together with all that it was made from, which the parts of the evidence read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from marketprism.core.errors import DataError, did_you_mean
from marketprism.core.instrument import Instrument
from marketprism.evaluate.economics import Execution, Trading, execution, half_spread_column, pool, trade
from marketprism.evaluate.factor_table import overlap_rows
from marketprism.evaluate.judgement import Judgement
from marketprism.evaluate.splitters import PurgedWalkForward
from marketprism.evaluate.walkforward import Problem, prepare, walk_forward_splitter

if TYPE_CHECKING:
    import polars as pl
    from sklearn.base import BaseEstimator

__all__ = ["Case"]


@dataclass(frozen=True)
class Case:
    """What was judged, how, and the outcome.

    Attributes
    ----------
    frame : polars.DataFrame
        The bucket frame.
    judgement : Judgement
        Its judgement; ``judgement.config`` holds seed, costs, replications and jobs.
    instruments : tuple of Instrument
        Of the frame.
    mids : polars.DataFrame, optional
        Mid series, as given to :func:`~marketprism.evaluate.judge`.
    """

    frame: pl.DataFrame
    judgement: Judgement
    instruments: tuple[Instrument, ...] = ()
    mids: pl.DataFrame | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Judged models, in the order of the judgement; empty where there were too few rows."""
        return tuple(self.judgement.models)

    @property
    def best(self) -> str:
        """Model with the largest out-of-sample IC at the primary horizon; the first where none is finite.

        Raises
        ------
        DataError
            No model was judged.
        """
        if not self.names:
            raise DataError("no model was judged", hint="; ".join(self.judgement.notes) or "give more rows")

        def ic(name: str) -> float:
            value = self.judgement.models[name].horizons[self.judgement.primary].metrics["ic"].value
            return value if math.isfinite(value) else -math.inf

        return max(self.names, key=ic)

    @cached_property
    def problem(self) -> Problem:
        """Features and labels of the primary horizon."""
        made = self.judgement
        return prepare(self.frame, made.labels, made.primary, made.factors, made.exclusions)

    @cached_property
    def executions(self) -> dict[str, Execution]:
        """Fills of each instrument, by series key."""
        half_spread, _ = half_spread_column(self.frame, self.judgement.config.costs, self.instruments)
        return execution(self.frame, half_spread, self.judgement.config.costs, self.mids)

    @property
    def overlap(self) -> int:
        """Decisions of one series inside a label of the primary horizon."""
        return overlap_rows(self.problem)

    @property
    def series_count(self) -> int:
        """Instruments."""
        return max(1, len(self.problem.series))

    @property
    def splitter(self) -> PurgedWalkForward:
        """The walk-forward splitter of the judgement."""
        return walk_forward_splitter(self.judgement.config, max(1, len(self.judgement.folds)))

    def estimator(self, name: str) -> BaseEstimator:
        """Return an unfitted copy of a judged model.

        Raises
        ------
        DataError
            No such model.
        """
        from sklearn.base import clone

        if name not in self.judgement.fitted:
            raise DataError(f"model was {name!r}", hint=did_you_mean(name, list(self.judgement.fitted)))
        return clone(self.judgement.fitted[name].estimator)

    def predictions(self, name: str, horizon: str = "") -> pl.DataFrame:
        """Return out-of-sample predictions of a model, by ``ts_known``; of the primary horizon by default."""
        import polars as pl

        return self.judgement.predictions.filter(
            (pl.col("model") == name) & (pl.col("horizon") == (horizon or self.judgement.primary))
        )

    def trading(self, name: str, horizon: str = "") -> Trading:
        """Return what trading a model's scores earned, pooled over the instruments."""
        return pool(trade(self.predictions(name, horizon), self.executions, self.judgement.config.costs))
