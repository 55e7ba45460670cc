"""Judgement: purged walk-forward, metrics with block-bootstrap intervals, costs, and controls with every report."""

from marketprism.evaluate.config import CostConfig, JudgeConfig
from marketprism.evaluate.controls import Control, suspected_leaks
from marketprism.evaluate.factor_table import factor_table
from marketprism.evaluate.judge import judge
from marketprism.evaluate.judgement import FittedModel, HorizonResult, Judgement, ModelResult
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.metrics import expected_calibration_error
from marketprism.evaluate.splitters import PurgedWalkForward
from marketprism.evaluate.walkforward import Fold, WalkForward, walk_forward

__all__ = [
    "Control",
    "CostConfig",
    "FittedModel",
    "Fold",
    "HorizonResult",
    "JudgeConfig",
    "Judgement",
    "Metric",
    "ModelResult",
    "PurgedWalkForward",
    "WalkForward",
    "expected_calibration_error",
    "factor_table",
    "judge",
    "suspected_leaks",
    "walk_forward",
]
