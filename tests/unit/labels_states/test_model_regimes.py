"""Regimes by a model of any columns: found, named alike after refits, and from the past only."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.labels import model_regime


@pytest.fixture
def frame(tape):
    """Volatility index high while returns are poor and wild, low while they are good and calm."""
    rng = np.random.default_rng(0)
    high = np.repeat(np.resize([0, 1], 10), 60)
    moves = np.where(high, -1e-3, 1e-3) + 1e-3 * rng.standard_normal(600)
    return tape(
        100 * np.exp(np.cumsum(moves)),
        volatility_index=50 + 20 * high + rng.standard_normal(600),
        funding_rate=1e-4 * rng.standard_normal(600) - 3e-4 * high,
    ), high


@pytest.mark.parametrize("method", ["hmm", "jump", "sparse_jump"])
def test_finds_the_regimes_and_names_them_by_their_moments(frame, method):
    table, high = frame
    regime = model_regime(table, method=method, jump_penalty=10.0)
    assert regime.name == f"{method} of volatility_index, funding_rate"
    assert regime.states == ("low", "high")
    known = regime.codes >= 0
    assert not known[:120].any()
    assert known[120:].mean() > 0.95
    # The wild state has the lower mean return, so it is "low" in every stretch, whatever the fit called it.
    for stretch in np.array_split(np.arange(120, 600), 4):
        assert np.mean(regime.mask("low")[stretch] == high[stretch]) > 0.8


def test_three_states_of_chosen_columns(frame):
    table, _ = frame
    regime = model_regime(table, ["volatility_index"], n_states=3, refits=2)
    assert regime.states == ("low", "middle", "high")
    assert set(np.unique(regime.codes)) <= {-1, 0, 1, 2}
    assert (regime.codes >= 0).any()


def test_no_row_sees_the_future(frame):
    table, _ = frame
    later = pl.int_range(pl.len()) >= 400
    changed = table.with_columns(volatility_index=pl.when(later).then(1e3).otherwise("volatility_index"))
    one, other = (model_regime(part, ["volatility_index"]).codes for part in (table, changed))
    assert np.array_equal(one[:400], other[:400])
    assert not np.array_equal(one, other)


def test_bad_requests(frame, tape):
    with pytest.raises(ConfigError, match="method was 'rules'"):
        model_regime(frame[0], method="rules")
    with pytest.raises(DataError, match="no input columns"):
        model_regime(tape([1.0] * 50))
    with pytest.raises(DataError, match="no column 'basis'"):
        model_regime(frame[0], ["basis"])
