"""A tape: the events of one market, packed once for any number of replays."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from marketprism.backtest._layout import EVENT_DTYPE
from marketprism.backtest.codes import TapeFlag, TapeKind
from marketprism.core.errors import DataError
from marketprism.core.kernels import kernel

__all__ = ["EVENT_DTYPE", "Tape", "order_slot"]

_MOST_TICKS = 1 << 22
_LEVELS = (TapeKind.BID, TapeKind.ASK, TapeKind.NO_BID, TapeKind.NO_ASK)
_ORDERS = (TapeKind.ORDER_ADD, TapeKind.ORDER_REDUCE, TapeKind.ORDER_DELETE, TapeKind.ORDER_EXECUTE)
_PRICED = (*_LEVELS, *_ORDERS, TapeKind.BUY_TRADE, TapeKind.SELL_TRADE, TapeKind.TRADE)


@kernel
def order_slot(event: Any) -> tuple[int, int]:
    """Return the side (1 buys, -1 sells) and the slot of an ORDER event; kernels may call it.

    A slot is an order's number on its tape, from 0, free again once the order is gone: 23 bits, the upper seven in
    ``flags`` below the side's bit.
    """
    return (1 if event.flags & 128 else -1), (event.flags & 127) << 16 | event.slot


@dataclass(frozen=True)
class Tape:
    """Events of one market: 32 bytes each.

    Attributes
    ----------
    events : ndarray of EVENT_DTYPE
        Those flagged EXCHANGE ordered by ``exchange_ts``, those flagged LOCAL by ``local_ts``, ns UTC; an event whose
        two orders disagree stands in the array twice. Ticks, base units.
    tick_size, lot_size : Decimal
        Of the market.
    key : str
        Series key, ``exchange:market_type:symbol``.
    shift_ns : int
        How much later than in the source, at most, anything is heard on the tape. What was computed from the source
        and carries its receive clock (``ts_known`` of factor rows) may be used this much later, not sooner.
    """

    events: np.ndarray
    tick_size: Decimal
    lot_size: Decimal
    key: str = ""
    shift_ns: int = 0

    def __post_init__(self) -> None:
        if self.events.dtype != EVENT_DTYPE:
            raise DataError(f"events had dtype {self.events.dtype}", hint="build them with EVENT_DTYPE")
        if not len(self.events):
            raise DataError(f"the tape of {self.key or 'a market'} holds no events", hint="check the source")
        for flag, name in ((TapeFlag.EXCHANGE, "exchange_ts"), (TapeFlag.LOCAL, "local_ts")):
            times = self.events[name][(self.events["kind"] & flag) != 0]
            back = np.flatnonzero(np.diff(times) < 0)
            if back.size:
                row = int(back[0]) + 1
                raise DataError(
                    f"{name} of event {row} was {times[row]}, before {times[row - 1]}",
                    hint="order the events: TapeBuilder does",
                )
        for name in ("tick_size", "lot_size"):
            if not getattr(self, name) > 0:
                raise DataError(f"{name} was {getattr(self, name)}", hint="it must be positive")

    def __len__(self) -> int:
        return len(self.events)

    def ticks(self) -> tuple[int, int]:
        """Return the lowest and the highest tick of levels, orders and trades.

        Raises
        ------
        DataError
            There are none, or they span more than four million ticks.
        """
        kind = self.events["kind"] & 63
        priced = self.events["tick"][np.isin(kind, _PRICED)]
        if not priced.size:
            raise DataError(f"the tape of {self.key or 'a market'} holds no price", hint="check the source")
        low, high = int(priced.min()), int(priced.max())
        if high - low > _MOST_TICKS:
            raise DataError(
                f"prices span {high - low:,} ticks, at most {_MOST_TICKS:,} fit a ladder",
                hint="cut far levels off when packing: levels=...",
            )
        return low, high
