"""What a judgement holds: metrics, curves, controls, and in words what they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marketprism.evaluate.config import JudgeConfig
from marketprism.evaluate.controls import Control
from marketprism.evaluate.exclusions import Exclusions
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.walkforward import Fold
from marketprism.labels.labelset import LabelSet

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FittedModel", "HorizonResult", "Judgement", "ModelResult"]


@dataclass(frozen=True)
class HorizonResult:
    """One model at one horizon.

    Attributes
    ----------
    metrics : dict of str to Metric
        Pooled over all instruments, excluded rows left out of the forecast metrics (trading includes them):
        ``ic, ic_after_latency, ic_ir, rank_ic, auc, average_precision, brier_skill, log_loss_skill, ece,
        hit_rate, turnover, gross_pnl_bps, net_pnl_bps, gross_sharpe, net_sharpe, gross_per_unit_bps``.
    by_series : dict of str to dict of str to Metric
        The same for each instrument of a panel, by series key; empty for one instrument.
    calibration : polars.DataFrame
        ``predicted, observed, low, high, n`` of P(up) in ten bins of equal count (Wilson 95 % intervals).
    fold_ic : polars.DataFrame
        ``fold, test_start, test_end, train_rows, test_rows, purged, ic, low, high, rank_ic, note``.
    equity : polars.DataFrame
        ``ts, position, gross_bps, cost_bps, net_bps``.
    equity_by_series : dict of str to polars.DataFrame
        The same for each instrument of a panel.
    excluded : dict of str to Metric
        Forecast metrics of the excluded rows alone; empty where no tested row is excluded.
    included : dict of str to Metric
        Forecast metrics with the excluded rows included, to be shown beside ``metrics``; empty where none is excluded.
    """

    horizon: str
    metrics: dict[str, Metric]
    by_series: dict[str, dict[str, Metric]]
    calibration: pl.DataFrame
    fold_ic: pl.DataFrame
    equity: pl.DataFrame
    equity_by_series: dict[str, pl.DataFrame]
    excluded: dict[str, Metric] = field(default_factory=dict)
    included: dict[str, Metric] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelResult:
    """All horizons of one model, the primary one first."""

    name: str
    horizons: dict[str, HorizonResult]


@dataclass(frozen=True)
class FittedModel:
    """A model fitted on every labelled row of the primary horizon, for export.

    Attributes
    ----------
    pipeline : sklearn.pipeline.Pipeline
        The fitted pipeline; of a model that chooses its own parameters, the chosen one.
    factors, series : tuple of str
        Inputs in order, and panel series in code order.
    train_end_ts : int
        When the last training label became known, ns UTC.
    estimator : estimator
        The unfitted model as judged; it chooses anew wherever it is fitted, if it chooses its own parameters.
    parameters : mapping
        What it chose on all training rows; empty without a choice.
    """

    name: str
    pipeline: Any
    factors: tuple[str, ...]
    series: tuple[str, ...]
    horizon: str
    train_end_ts: int
    estimator: Any
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Judgement:
    """Result of :func:`~marketprism.evaluate.judge`.

    Attributes
    ----------
    models : dict of str to ModelResult
        Empty when there were too few rows to train; ``notes`` then says so.
    folds : tuple of Fold
        Folds of the primary horizon, of the first model.
    folds_by_model : dict of str to tuple of Fold
        The same of every model; they differ in ``note`` and ``parameters`` only.
    controls : tuple of Control
        Shuffled labels, planted leak, noise factors.
    suspects : dict of str to float
        Real factors whose IC is too good to be honest.
    factor_table : polars.DataFrame
        See :func:`~marketprism.evaluate.factor_table`.
    predictions : polars.DataFrame
        Out-of-sample predictions of every model and horizon.
    fitted : dict of str to FittedModel
        For export.
    exclusions : Exclusions
        Outages, abnormal jumps and given spans, with the rows that they cost at the primary horizon.
    assumptions, notes : tuple of str
        What the numbers rest on, and what to be warned of.
    """

    config: JudgeConfig
    labels: LabelSet
    factors: tuple[str, ...]
    series: tuple[str, ...]
    primary: str
    models: dict[str, ModelResult]
    folds: tuple[Fold, ...]
    controls: tuple[Control, ...]
    suspects: dict[str, float]
    factor_table: pl.DataFrame
    predictions: pl.DataFrame
    fitted: dict[str, FittedModel]
    exclusions: Exclusions
    assumptions: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())
    folds_by_model: dict[str, tuple[Fold, ...]] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Plain data for ``summary.json``: folds, models, controls and words."""
        return {
            "horizon": self.primary,
            "scheme": self.labels.scheme,
            "folds": len(self.folds),
            "models": {
                name: {key: metric.to_mapping() for key, metric in result.horizons[self.primary].metrics.items()}
                for name, result in self.models.items()
            },
            "horizons": {
                name: {
                    horizon: {key: metric.to_mapping() for key, metric in part.metrics.items()}
                    for horizon, part in result.horizons.items()
                }
                for name, result in self.models.items()
            },
            "series": {
                name: {
                    key: {metric: value.to_mapping() for metric, value in metrics.items()}
                    for key, metrics in result.horizons[self.primary].by_series.items()
                }
                for name, result in self.models.items()
            },
            "controls": {
                control.name: {
                    "passed": control.passed,
                    "reason": control.reason,
                    "named": list(control.named),
                    "metric": control.metric.to_mapping(),
                }
                for control in self.controls
            },
            "suspects": dict(self.suspects),
            "exclusions": {**self.exclusions.summary(), "models": self._apart()},
            "parameters": {
                name: [dict(fold.parameters) for fold in folds]
                for name, folds in self.folds_by_model.items()
                if any(fold.parameters for fold in folds)
            },
            "assumptions": list(self.assumptions),
            "notes": list(self.notes),
        }

    def _apart(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Forecast metrics of excluded rows alone, and with them, by model; empty where no tested row is excluded."""
        parts = {name: result.horizons[self.primary] for name, result in self.models.items()}
        return {
            name: {
                "excluded": {key: metric.to_mapping() for key, metric in part.excluded.items()},
                "included": {key: metric.to_mapping() for key, metric in part.included.items()},
            }
            for name, part in parts.items()
            if part.included
        }
