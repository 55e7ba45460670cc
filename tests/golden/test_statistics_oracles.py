"""Every statistic with a published or exact value, through the same registry as ``marketprism selfcheck``."""

from __future__ import annotations

import pytest

from marketprism.pipelines.selfcheck import oracles
from marketprism.pipelines.selfcheck.statistics import ORACLES


def test_registered_and_complete():
    assert set(ORACLES) <= set(oracles())
    text = " ".join(oracle.piece for oracle in ORACLES)
    for word in ("PSR", "DSR", "Reality Check", "PSI", "KS", "ECE", "Brier", "effective Sharpe", "fractional"):
        assert word in text


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda oracle: oracle.piece)
def test_reproduced(oracle):
    result = oracle.check()
    assert result.passed, f"{oracle.piece}: {result.ours} against {oracle.published} {result.error}"
