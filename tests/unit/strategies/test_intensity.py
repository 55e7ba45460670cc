"""Intensity and volatility come back from a tape that was made with them, and only from what was heard."""

from __future__ import annotations

import math

import numpy as np
import pytest

from marketprism.backtest.tape import Tape
from marketprism.core.errors import ConfigError, DataError
from marketprism.strategies.intensity import fit_intensity


def test_recovers_what_the_tape_was_made_with(tape: Tape) -> None:
    fit = fit_intensity(tape, interval_ms=50.0)
    # Trades stand at whole ticks from a whole mid, cut at the fifth: k is that of the first five.
    assert abs(fit.k - 0.7) < 4 * fit.k_stderr + 0.06
    assert abs(fit.A - 1.2) < 4 * fit.A_stderr + 0.05
    assert abs(fit.sigma - 1.5) < 4 * fit.sigma_stderr
    lasts = (tape.events["local_ts"][-1] - tape.events["local_ts"][0]) * 1e-9
    assert fit.seconds == pytest.approx(lasts, abs=0.11)
    assert fit.rates[0] == pytest.approx(fit.orders / fit.seconds / 2)
    assert (np.diff(fit.rates) <= 0).all()
    assert fit.rate(fit.depths[0]) == pytest.approx(fit.rates[0])


def test_reads_no_further_than_it_is_told(tape: Tape) -> None:
    early = tape.events[tape.events["local_ts"] <= tape.events["local_ts"][0] + 100_000_000_000]
    cut = fit_intensity(Tape(early, tape.tick_size, tape.lot_size), seconds=90.0)
    whole = fit_intensity(tape, seconds=90.0)
    assert (cut.A, cut.k, cut.sigma, cut.orders) == (whole.A, whole.k, whole.sigma, whole.orders)
    assert whole.k != fit_intensity(tape).k


def test_too_little_is_said(tape: Tape) -> None:
    with pytest.raises(DataError, match="moves of the mid"):
        fit_intensity(tape, seconds=0.2)
    with pytest.raises(ConfigError, match="interval_ms was 0"):
        fit_intensity(tape, interval_ms=0.0)
    assert math.isfinite(fit_intensity(tape, seconds=60.0).k_stderr)
