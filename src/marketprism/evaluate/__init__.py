"""Judgement: purged walk-forward, metrics with block-bootstrap intervals, costs, and controls with every report."""

from marketprism.evaluate.attribution import Attribution, AttributionConfig, attribute, explainability_coverage
from marketprism.evaluate.backtest_paths import BacktestPaths, backtest_paths
from marketprism.evaluate.calibrated import Calibrated, CalibrationConfig, assess_calibration
from marketprism.evaluate.capacity import Capacity, CapacityConfig, assess_capacity
from marketprism.evaluate.case import Case
from marketprism.evaluate.checklist import Answer, answer_questions
from marketprism.evaluate.combinatorial import CombinatorialPurgedCV, PurgedKFold
from marketprism.evaluate.compare import DieboldMariano, diebold_mariano
from marketprism.evaluate.config import CostConfig, JudgeConfig
from marketprism.evaluate.conformal import Conformal, ConformalConfig, assess_conformal
from marketprism.evaluate.controls import Control, suspected_leaks
from marketprism.evaluate.counterfactual import CounterfactualConfig, Counterfactuals, retrain_counterfactuals
from marketprism.evaluate.decay import SignalDecay, effective_sharpe, information_by_delay, information_by_rows
from marketprism.evaluate.drift import DriftTest, drift_test, kolmogorov_smirnov, population_stability_index
from marketprism.evaluate.events import Discontinuity, EventStudy, event_study, regression_discontinuity
from marketprism.evaluate.evidence import Evidence, EvidenceConfig, gather_evidence
from marketprism.evaluate.exclusions import ExclusionConfig, Exclusions, find_exclusions
from marketprism.evaluate.factor_table import factor_table
from marketprism.evaluate.gate import Adoption, Candidate, adoption_gate
from marketprism.evaluate.gate_config import AdoptionConfig
from marketprism.evaluate.impact import square_root_impact
from marketprism.evaluate.judge import judge
from marketprism.evaluate.judgement import FittedModel, HorizonResult, Judgement, ModelResult
from marketprism.evaluate.leaks import Leak, check_leaks
from marketprism.evaluate.market_events import EventConfig, EventEvidence, study_events
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.metrics import average_precision
from marketprism.evaluate.multiple import benjamini_hochberg, bonferroni, holm
from marketprism.evaluate.overfitting import BacktestOverfitting, backtest_overfitting
from marketprism.evaluate.performance import (
    calmar_ratio,
    drawdowns,
    maximum_drawdown,
    performance_metrics,
    return_hit_rate,
    sortino_ratio,
)
from marketprism.evaluate.price_targets import PriceTargets, PriceTargetsConfig, compare_targets
from marketprism.evaluate.reliability import (
    CalibrationTest,
    best_possible_brier,
    calibration_test,
    expected_calibration_error,
)
from marketprism.evaluate.resample import block_bootstrap, optimal_block_lengths, stationary_bootstrap
from marketprism.evaluate.sharpe import (
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    minimum_track_record,
    probabilistic_sharpe_ratio,
    serial_sharpe_ratio,
    sharpe_ratio,
)
from marketprism.evaluate.signal_decay import Decay, DecayConfig, assess_decay
from marketprism.evaluate.significance import Significance, SignificanceConfig, Trials, assess_significance
from marketprism.evaluate.slices import Stability, hour_of_day, information_by, periodic_information, stability
from marketprism.evaluate.slicing import Slices, SlicingConfig, assess_slices
from marketprism.evaluate.splitters import PurgedWalkForward
from marketprism.evaluate.stability_report import StabilityConfig, StabilityReport, assess_stability
from marketprism.evaluate.superior import SuperiorityTest, reality_check, superior_predictive_ability
from marketprism.evaluate.trend_evidence import TrendEvidence, TrendEvidenceConfig, assess_trend_states
from marketprism.evaluate.tuning import NestedSearch, Range
from marketprism.evaluate.user_frames import bucket_frame, with_factors
from marketprism.evaluate.walkforward import Fold, WalkForward, walk_forward

__all__ = [
    "Adoption",
    "AdoptionConfig",
    "Answer",
    "Attribution",
    "AttributionConfig",
    "BacktestOverfitting",
    "BacktestPaths",
    "Calibrated",
    "CalibrationConfig",
    "CalibrationTest",
    "Candidate",
    "Capacity",
    "CapacityConfig",
    "Case",
    "CombinatorialPurgedCV",
    "Conformal",
    "ConformalConfig",
    "Control",
    "CostConfig",
    "CounterfactualConfig",
    "Counterfactuals",
    "Decay",
    "DecayConfig",
    "DieboldMariano",
    "Discontinuity",
    "DriftTest",
    "EventConfig",
    "EventEvidence",
    "EventStudy",
    "Evidence",
    "EvidenceConfig",
    "ExclusionConfig",
    "Exclusions",
    "FittedModel",
    "Fold",
    "HorizonResult",
    "JudgeConfig",
    "Judgement",
    "Leak",
    "Metric",
    "ModelResult",
    "NestedSearch",
    "PriceTargets",
    "PriceTargetsConfig",
    "PurgedKFold",
    "PurgedWalkForward",
    "Range",
    "SignalDecay",
    "Significance",
    "SignificanceConfig",
    "Slices",
    "SlicingConfig",
    "Stability",
    "StabilityConfig",
    "StabilityReport",
    "SuperiorityTest",
    "TrendEvidence",
    "TrendEvidenceConfig",
    "Trials",
    "WalkForward",
    "adoption_gate",
    "answer_questions",
    "assess_calibration",
    "assess_capacity",
    "assess_conformal",
    "assess_decay",
    "assess_significance",
    "assess_slices",
    "assess_stability",
    "assess_trend_states",
    "attribute",
    "average_precision",
    "backtest_overfitting",
    "backtest_paths",
    "benjamini_hochberg",
    "best_possible_brier",
    "block_bootstrap",
    "bonferroni",
    "bucket_frame",
    "calibration_test",
    "calmar_ratio",
    "check_leaks",
    "compare_targets",
    "deflated_sharpe_ratio",
    "diebold_mariano",
    "drawdowns",
    "drift_test",
    "effective_sharpe",
    "event_study",
    "expected_calibration_error",
    "expected_maximum_sharpe",
    "explainability_coverage",
    "factor_table",
    "find_exclusions",
    "gather_evidence",
    "holm",
    "hour_of_day",
    "information_by",
    "information_by_delay",
    "information_by_rows",
    "judge",
    "kolmogorov_smirnov",
    "maximum_drawdown",
    "minimum_track_record",
    "optimal_block_lengths",
    "performance_metrics",
    "periodic_information",
    "population_stability_index",
    "probabilistic_sharpe_ratio",
    "reality_check",
    "regression_discontinuity",
    "retrain_counterfactuals",
    "return_hit_rate",
    "serial_sharpe_ratio",
    "sharpe_ratio",
    "sortino_ratio",
    "square_root_impact",
    "stability",
    "stationary_bootstrap",
    "study_events",
    "superior_predictive_ability",
    "suspected_leaks",
    "walk_forward",
    "with_factors",
]
