"""Every published number on market making and execution, through the same registry as ``marketprism selfcheck``."""

from __future__ import annotations

import pytest

from marketprism.pipelines.selfcheck import oracles
from marketprism.pipelines.selfcheck.making import ORACLES


def test_registered_and_complete():
    assert set(ORACLES) <= set(oracles())
    assert len(ORACLES) == 18 + 6 + 9 + 6


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda oracle: oracle.piece)
def test_reproduced(oracle):
    result = oracle.check()
    assert result.passed, f"{oracle.piece}: {result.ours} against {oracle.published} {result.error}"
