"""Adjusted p-values agree with statsmodels and control their error rate."""

from __future__ import annotations

import numpy as np
import pytest

from marketprism.core.errors import DataError
from marketprism.evaluate import benjamini_hochberg, bonferroni, holm


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_statsmodels(seed):
    from statsmodels.stats.multitest import multipletests

    p = np.random.default_rng(seed).uniform(size=25) ** 2
    p[3] = p[4]
    ours = {
        "bonferroni": bonferroni(p),
        "holm": holm(p),
        "fdr_bh": benjamini_hochberg(p),
        "fdr_by": benjamini_hochberg(p, dependent=True),
    }
    for method, values in ours.items():
        np.testing.assert_allclose(values, multipletests(p, method=method)[1], rtol=1e-12, err_msg=method)


def test_family_wise_error_and_order_of_power():
    p = np.random.default_rng(0).uniform(size=(4000, 10))
    assert np.mean([(holm(row) < 0.05).any() for row in p]) == pytest.approx(0.05, abs=0.012)
    p[:, :5] *= 1e-2
    counts = [np.mean([(f(row) < 0.05).sum() for row in p]) for f in (bonferroni, holm, benjamini_hochberg)]
    assert counts[0] < counts[1] < counts[2]


@pytest.mark.parametrize("p", [[1.5], [-0.1], [float("nan")], []])
def test_refuses_nonsense(p):
    for adjust in (bonferroni, holm, benjamini_hochberg):
        with pytest.raises(DataError):
            adjust(p)
