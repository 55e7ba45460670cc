"""How large orders of a maker are where nobody says so."""

from __future__ import annotations

import numpy as np

from marketprism.backtest.codes import TapeFlag, TapeKind
from marketprism.backtest.tape import Tape
from marketprism.core.errors import ConfigError

__all__ = ["median_trade"]

_NS = 1_000_000_000
_TRADES = (TapeKind.BUY_TRADE, TapeKind.SELL_TRADE, TapeKind.TRADE)


def median_trade(tape: Tape, seconds: float) -> float:
    """Return the median trade heard within the first ``seconds``, base units in whole lots, one at least.

    Raises
    ------
    ConfigError
        There was none.
    """
    events = tape.events[(tape.events["kind"] & TapeFlag.LOCAL) != 0]
    early = events[events["local_ts"] <= events["local_ts"][0] + round(seconds * _NS)]
    quantities = early["quantity"][np.isin(early["kind"] & 63, _TRADES)]
    if not quantities.size:
        raise ConfigError(
            f"no trade in the first {seconds:g} s says how large orders should be",
            hint="give order_quantity, or a longer warmup_s",
        )
    lots = max(round(float(np.median(quantities)) / float(tape.lot_size)), 1)
    return float(lots * tape.lot_size)
