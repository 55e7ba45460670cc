"""The evidence on a case: every part of the scrutiny in one object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import msgspec

from marketprism.core.config import Config
from marketprism.evaluate.attribution import Attribution, AttributionConfig, attribute
from marketprism.evaluate.calibrated import Calibrated, CalibrationConfig, assess_calibration
from marketprism.evaluate.capacity import Capacity, CapacityConfig, assess_capacity
from marketprism.evaluate.case import Case
from marketprism.evaluate.conformal import Conformal, ConformalConfig, assess_conformal
from marketprism.evaluate.counterfactual import (
    CounterfactualConfig,
    Counterfactuals,
    retrain_counterfactuals,
)
from marketprism.evaluate.market_events import EventConfig, EventEvidence, study_events
from marketprism.evaluate.price_targets import PriceTargets, PriceTargetsConfig, compare_targets
from marketprism.evaluate.signal_decay import Decay, DecayConfig, assess_decay
from marketprism.evaluate.significance import Significance, SignificanceConfig, assess_significance
from marketprism.evaluate.slicing import Slices, SlicingConfig, assess_slices
from marketprism.evaluate.stability_report import StabilityConfig, StabilityReport, assess_stability
from marketprism.evaluate.trend_evidence import TrendEvidence, TrendEvidenceConfig, assess_trend_states
from marketprism.evaluate.trials import Trials

__all__ = ["Evidence", "EvidenceConfig", "gather_evidence"]


class EvidenceConfig(Config, frozen=True):
    """How each part of the evidence is gathered; see there.

    Parameters
    ----------
    enabled : bool
        Gather evidence at all.
    significance, capacity, decay, slices, stability, calibration, conformal, attribution, counterfactual, targets
        Configuration of the part.
    events, trend_states
        Configuration of the part.
    """

    enabled: bool = True
    significance: SignificanceConfig = msgspec.field(default_factory=SignificanceConfig)
    capacity: CapacityConfig = msgspec.field(default_factory=CapacityConfig)
    decay: DecayConfig = msgspec.field(default_factory=DecayConfig)
    slices: SlicingConfig = msgspec.field(default_factory=SlicingConfig)
    stability: StabilityConfig = msgspec.field(default_factory=StabilityConfig)
    counterfactual: CounterfactualConfig = msgspec.field(default_factory=CounterfactualConfig)
    calibration: CalibrationConfig = msgspec.field(default_factory=CalibrationConfig)
    conformal: ConformalConfig = msgspec.field(default_factory=ConformalConfig)
    attribution: AttributionConfig = msgspec.field(default_factory=AttributionConfig)
    targets: PriceTargetsConfig = msgspec.field(default_factory=PriceTargetsConfig)
    events: EventConfig = msgspec.field(default_factory=EventConfig)
    trend_states: TrendEvidenceConfig = msgspec.field(default_factory=TrendEvidenceConfig)


@dataclass(frozen=True)
class Evidence:
    """What a sceptic asks for, part by part; each part says in its notes what it could not tell."""

    significance: Significance
    capacity: Capacity
    decay: Decay
    slices: Slices
    stability: StabilityReport
    counterfactual: Counterfactuals
    calibration: Calibrated
    conformal: Conformal
    attribution: Attribution
    targets: PriceTargets
    events: EventEvidence
    trend_states: TrendEvidence

    def summary(self) -> dict[str, Any]:
        """Plain data for ``summary.json``, by part."""
        return {field.name: getattr(self, field.name).summary() for field in fields(self)}


def gather_evidence(
    case: Case,
    trials: Trials | None = None,
    config: EvidenceConfig | None = None,
    progress: Callable[[str], None] | None = None,
) -> Evidence:
    """Gather every part of the evidence on a case.

    Parameters
    ----------
    case : Case
        A judgement with what it was made from; with too few rows for a model the parts say so.
    trials : Trials, optional
        Everything ever tried on the data set; see :func:`~marketprism.evaluate.assess_significance`.
    config : EvidenceConfig, optional
        Configuration of the parts; ``enabled`` is not looked at.
    progress : callable, optional
        Called with the name of each part before it is gathered.

    Examples
    --------
    >>> gather_evidence(case).capacity.waterfall  # doctest: +SKIP
    """
    config = config or EvidenceConfig()
    tell = progress or (lambda _: None)

    gather: dict[str, Callable[[], Any]] = {
        "significance": lambda: assess_significance(case, trials, config.significance),
        "capacity": lambda: assess_capacity(case, config.capacity),
        "decay": lambda: assess_decay(case, config.decay),
        "slices": lambda: assess_slices(case, config.slices),
        "stability": lambda: assess_stability(case, config.stability),
        "counterfactual": lambda: retrain_counterfactuals(case, config.counterfactual),
        "calibration": lambda: assess_calibration(case, config.calibration),
        "conformal": lambda: assess_conformal(case, config.conformal),
        "attribution": lambda: attribute(case, config.attribution),
        "targets": lambda: compare_targets(case, config.targets),
        "events": lambda: study_events(case, config.events),
        "trend_states": lambda: assess_trend_states(case, config.trend_states),
    }
    found = {}
    for name, part in gather.items():
        tell(name)
        found[name] = part()
    return Evidence(**found)
