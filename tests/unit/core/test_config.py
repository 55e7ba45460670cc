"""Configuration errors name key, value and remedy, however deep they lie."""

from __future__ import annotations

from typing import Any

import pytest

import marketprism as mp
from marketprism.core.errors import ConfigError
from marketprism.evaluate import AdoptionConfig
from marketprism.pipelines.run_config import load_run_config


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"foldz": 3}, r"JudgeConfig has no key 'foldz' \(did you mean 'folds'\?\)"),
        ({"costs": {"fee": 1}}, r"JudgeConfig has no key 'costs.fee' \(did you mean 'fee_bps'\?\)"),
        ({"models": {"a": {"treees": 1}}}, r"no key 'models\[\.\.\.\].treees' \(did you mean 'trees'\?\)"),
        ({"folds": "many"}, r"JudgeConfig: folds was 'many' \(Expected `int`, was `str`\)"),
        ({"costs": {"enter": [1]}}, r"JudgeConfig: costs.enter was \[1\] \(Expected `float`, was `array`\)"),
        ({"horizons": ["1_buckets", 3]}, r"JudgeConfig: horizons\[1\] was 3 \(Expected `str`, was `int`\)"),
        ({"models": {"a": {"trees": "x"}}}, r"JudgeConfig: models\[...\].trees \(Expected `int`, was `str`\)"),
        ({"window": "sliding"}, r"JudgeConfig: window was 'sliding' \(known: expanding, rolling\)"),
        ({"models": {"a": {"tuning": {"trialz": 3}}}}, r"no key 'models\[\.\.\.\].tuning.trialz'"),
    ],
)
def test_errors_name_key_value_and_remedy(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        mp.JudgeConfig.from_mapping(values)


def test_settings_of_a_run_and_of_a_gate() -> None:
    with pytest.raises(ConfigError, match=r"'judge.foldz' \(did you mean 'folds'\?\)"):
        load_run_config(settings=["judge.foldz=3"])
    with pytest.raises(ConfigError, match=r"min_gain was 'x' \(Expected `float`"):
        AdoptionConfig.from_mapping({"min_gain": "x"})
