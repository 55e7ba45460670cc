"""Profit and loss of an account in one market, split into what earned it; the parts sum to the whole exactly.

Quantities are counted in lots and prices in half ticks (a mid is the sum of two prices), so that all sums are of
integers. With s the side of a fill, n its lots, p its price, m the mid just before it, m(t) the mid at time t, T the
end of the tape and h the horizon of adverse selection:

=====================  ====================================================
spread capture         sum s n (m - p)
adverse selection      sum s n (m(min(t + h, T)) - m)
inventory              sum s n (m(T) - m(min(t + h, T)))
their sum              sum s n (m(T) - p): cash plus the position at the mid
=====================  ====================================================

An inverse contract is worth ``multiplier / price`` of the base currency, so all is in base currency, and price and mid
stand for ``-1 / price`` and ``-1 / mid``, which are rounded to multiples of ``2^-62`` a half tick: the same integers in
every place, and the sums as exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np

from marketprism.backtest._mids import Mids
from marketprism.backtest._two_clocks import decimals_of
from marketprism.core.errors import DataError

__all__ = ["MarketAccount", "PnlSplit", "split_pnl"]

_INVERSE_SCALE = 1 << 62
_MOST_LOTS = float(1 << 40)
_MOST_SUM = float(1 << 62)
_MOST_TICK = 1 << 31


@dataclass(frozen=True)
class PnlSplit:
    """Parts of a profit, before fees and funding; ``spread_capture + adverse_selection + inventory_pnl == total``.

    Attributes
    ----------
    spread_capture, adverse_selection, inventory_pnl, total : Fraction
        Exact; quote currency, base currency of an inverse contract. ``total`` is summed by itself.
    """

    spread_capture: Fraction
    adverse_selection: Fraction
    inventory_pnl: Fraction
    total: Fraction


@dataclass(frozen=True)
class MarketAccount:
    """Fills of one account in one market, in the order of exchange time, in whole numbers.

    Attributes
    ----------
    ts : ndarray of int64, shape (n,)
        Exchange time, ns.
    lots : ndarray, shape (n,)
        Bought (positive) or sold, in units of ``lot``.
    price, mid : ndarray, shape (n,)
        Counted as the module says: half ticks, or scaled reciprocals. Where 64 bits do not hold the sums, Python
        integers.
    price_half_ticks, half_ticks : ndarray of int64, shape (n,)
        Twice the price and twice the mid, ticks.
    maker : ndarray of bool, shape (n,)
    fee : ndarray of float64, shape (n,)
    mids : Mids
        Of the market.
    inverse : bool
    unit : Fraction
        Currency of one lot times one of these price units.
    lot : Fraction
        Base units, or contracts.
    """

    ts: np.ndarray
    lots: np.ndarray
    price: np.ndarray
    mid: np.ndarray
    price_half_ticks: np.ndarray
    half_ticks: np.ndarray
    maker: np.ndarray
    fee: np.ndarray
    mids: Mids
    inverse: bool
    unit: Fraction
    lot: Fraction

    @classmethod
    def build(
        cls,
        mids: Mids,
        *,
        ts: np.ndarray,
        side: np.ndarray,
        tick: np.ndarray,
        quantity: np.ndarray,
        maker: np.ndarray,
        mid_half_ticks: np.ndarray,
        fee: np.ndarray,
        tick_size: Decimal,
        lot_size: Decimal,
        multiplier: float = 1.0,
        inverse: bool = False,
    ) -> MarketAccount:
        """Count fills, in any order, in lots and half ticks.

        Raises
        ------
        DataError
            An execution of no price (compat mode fills market orders against an empty side), or quantities that are
            no multiples of the lot's 100-millionth.
        """
        if (np.abs(tick) > _MOST_TICK).any():
            raise DataError(
                f"an execution had the price of {int(tick[np.argmax(np.abs(tick))])} ticks: the side was empty",
                hint='strict mode, mode="strict", fills nothing there',
            )
        share = quantity / float(lot_size)
        decimals = int(decimals_of(share, 0))
        exact = np.rint(share * 10.0**decimals)
        if exact.size and (np.abs(exact).max() > _MOST_LOTS or np.abs(share * 10.0**decimals - exact).max() > 1e-3):
            raise DataError(
                f"quantities up to {quantity.max()} are not countable in lots of {lot_size}",
                hint="trade whole lots, or give the tape the market's lot size",
            )
        order = np.argsort(ts, kind="stable")
        lots = side * exact.astype(np.int64)
        if exact.sum() * (2.0 * np.ptp(np.append(2 * tick, mids.half_ticks)) + 1.0) > _MOST_SUM:
            lots = lots.astype(object)
        lot = Fraction(lot_size) / 10**decimals
        unit = Fraction(multiplier) * lot * (Fraction(2) / Fraction(tick_size) / _INVERSE_SCALE)
        if not inverse:
            unit = Fraction(multiplier) * lot * Fraction(tick_size) / 2
        return cls(
            ts[order],
            lots[order],
            price_units(2 * tick[order], inverse),
            price_units(mid_half_ticks[order], inverse),
            2 * tick[order],
            mid_half_ticks[order],
            maker[order],
            fee[order],
            mids,
            inverse,
            unit,
            lot,
        )

    def later(self, ts: np.ndarray) -> np.ndarray:
        """Return the mid after all events up to each time, in price units."""
        return price_units(self.mids.at(ts), self.inverse)

    def held_before(self, ts: np.ndarray) -> np.ndarray:
        """Return the lots held when funding falls due: makers' fills of that very time count, takers' come after."""
        key = 2 * self.ts + np.where(self.maker, 0, 1)
        order = np.argsort(key, kind="stable")
        held: np.ndarray = _running(self.lots[order])[np.searchsorted(key[order], 2 * ts, side="right")]
        return held.astype(np.float64)

    def currency(self, amounts: np.ndarray) -> np.ndarray:
        """Return amounts of lots times price units as floats in currency."""
        scaled: np.ndarray = amounts.astype(np.float64) * float(self.unit)
        return scaled


def price_units(half_ticks: np.ndarray, inverse: bool) -> np.ndarray:
    """Return what stands for a price in sums: half ticks, or ``-2^62 / half ticks`` rounded, as Python integers."""
    if not inverse:
        return half_ticks.astype(np.int64)
    found, at = np.unique(half_ticks, return_inverse=True)
    if found.size and found[0] <= 0:
        raise DataError(f"a price was {found[0] / 2} ticks", hint="inverse contracts need positive prices")
    units = np.array([-((2 * _INVERSE_SCALE + h) // (2 * h)) for h in found.tolist()], object)
    return units[at.reshape(-1)] if found.size else np.zeros(0, object)


def _total(lots: np.ndarray, difference: np.ndarray) -> int:
    """Sum lots times a difference of prices, without overflow."""
    return sum((lots * difference).tolist())


def split_pnl(account: MarketAccount, adverse_ns: int = 1_000_000_000) -> PnlSplit:
    """Split the profit of an account's fills in one market, before fees and funding.

    Parameters
    ----------
    account : MarketAccount
        The fills.
    adverse_ns : int, default 1 s
        Horizon of adverse selection; where the tape ends before it, the end.

    Notes
    -----
    Where the mid is not known (an empty side, a gap) the last one known stands for it, see
    :class:`~marketprism.backtest._mids.Mids`.

    Examples
    --------
    >>> none = np.zeros(0, np.int64)
    >>> mids = Mids(np.array([0, 5]), np.array([200, 204]), np.array([True, True]), none, 0, 9, none)
    >>> fill = dict(ts=np.array([2]), side=np.array([1]), tick=np.array([99]), quantity=np.array([3.0]))
    >>> rest = dict(maker=np.array([True]), mid_half_ticks=np.array([200]), fee=np.zeros(1))
    >>> lots = dict(tick_size=Decimal("0.5"), lot_size=Decimal(1))
    >>> split = split_pnl(MarketAccount.build(mids, **fill, **rest, **lots), adverse_ns=1)
    >>> [str(part) for part in (split.spread_capture, split.adverse_selection, split.inventory_pnl, split.total)]
    ['3/2', '0', '3', '9/2']
    """
    end = account.later(np.array([account.mids.last_ts]))[0]
    then = account.later(np.minimum(account.ts + adverse_ns, account.mids.last_ts))
    lots, unit = account.lots, account.unit
    return PnlSplit(
        _total(lots, account.mid - account.price) * unit,
        _total(lots, then - account.mid) * unit,
        _total(lots, end - then) * unit,
        _total(lots, end - account.price) * unit,
    )


def pnl_at(account: MarketAccount, times: np.ndarray, adverse_ns: int) -> dict[str, np.ndarray]:
    """Return the position and the parts of the profit as they were after all events up to each time, as floats.

    Adverse selection of a fill younger than the horizon is measured to the time itself.
    """
    lots = account.lots
    done = np.searchsorted(account.ts, times, side="right")
    settled = np.searchsorted(account.ts, times - adverse_ns, side="right")
    mid = account.later(times)
    then = account.later(np.minimum(account.ts + adverse_ns, account.mids.last_ts))
    base = account.mid[0] if len(lots) else 0
    position, spread, paid = (_running(x) for x in (lots, lots * (account.mid - account.price), account.fee))
    entered, moved = (_running(lots * (p - base)) for p in (account.mid, then))
    open_lots = position[done] - position[settled]
    adverse = moved[settled] - entered[settled] + open_lots * (mid - base) - (entered[done] - entered[settled])
    inventory = position[settled] * (mid - base) - moved[settled]
    return {
        "mid": 0.5 * account.mids.at(times),
        "position": position[done].astype(np.float64) * float(account.lot),
        "spread_capture": account.currency(spread[done]),
        "inventory_pnl": account.currency(inventory),
        "adverse_selection": account.currency(adverse),
        "fees": paid[done],
    }


def _running(values: np.ndarray) -> np.ndarray:
    """Return running sums that begin with none."""
    return np.concatenate([np.zeros(1, values.dtype), np.add.accumulate(values)])
