"""Definitions of the depth factors; the kernel is in :mod:`marketprism.factors.depth`."""

from __future__ import annotations

import math

from marketprism.book.views import DEPTH_LEVELS
from marketprism.core.config import Config
from marketprism.core.errors import ConfigError
from marketprism.factors.base import Factor, Setup, increasing

__all__ = ["PER_LEVELS", "DepthParams", "depth_factors", "usable_levels"]

PER_LEVELS = 11
"""Columns for each number of levels."""


class DepthParams(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Levels and sizes of the family.

    Parameters
    ----------
    levels : tuple of int
        Numbers of levels a side; those beyond what the book keeps (``book.depth_levels``) are left out.
    level_decay : float
        Weight of level l in the exponential imbalance is exp(-level_decay (l - 1)).
    sweep_multiples : tuple of float
        Sizes of the swept orders, in mean trade sizes.
    trade_half_life : float
        Half-life, in trades, of that mean.
    least_trades : int
        Trades since the last gap before that mean counts.
    """

    levels: tuple[int, ...] = (5, 10, 20)
    level_decay: float = 0.5
    sweep_multiples: tuple[float, ...] = (10.0, 50.0)
    trade_half_life: float = 200.0
    least_trades: int = 20

    def __post_init__(self) -> None:
        increasing("levels", self.levels)
        increasing("sweep_multiples", self.sweep_multiples)
        if self.levels and self.levels[-1] > DEPTH_LEVELS:
            raise ConfigError(f"levels was {self.levels}", hint=f"a book keeps at most {DEPTH_LEVELS}")
        if not (math.isfinite(self.level_decay) and self.level_decay >= 0):
            raise ConfigError(f"level_decay was {self.level_decay}", hint="it must not be negative")
        if not (self.trade_half_life > 0 and self.least_trades > 0):
            raise ConfigError(
                f"trade_half_life was {self.trade_half_life}, least_trades {self.least_trades}",
                hint="both must be positive",
            )


def usable_levels(setup: Setup) -> tuple[int, ...]:
    """Return the numbers of levels that the book keeps."""
    return tuple(n for n in setup.params.levels if n <= setup.depth_levels)


_NULL = "null where the depth is invalid at the close of the bucket, or a side has fewer levels"
_CATALOGUE = "FACTORS.md section 2"
# name, unit, formula, description, mirror, power
_COLUMNS = (
    ("depth_imbalance_{n}", "1", "(B - A) / (B + A), B and A the sums of qb_l and qa_l",
     "Share by which the bids of the first levels outweigh the asks.", "odd", 0),
    ("depth_imbalance_{n}_mean", "1", "integral of depth_imbalance dt / valid time",
     "Its time-weighted mean over the bucket.", "odd", 0),
    ("depth_imbalance_{n}_exponential", "1", "the same, level l weighted exp(-c (l - 1)), c = {decay:g}",
     "Imbalance that trusts near levels more.", "odd", 0),
    ("depth_imbalance_{n}_distance", "1", "the same, weighted by 1 / distance from the mid",
     "Imbalance weighted by nearness in price.", "odd", 0),
    ("depth_bid_{n}", "base", "sum of qb_l", "Cumulative bid depth.", "depth_ask_{n}", 1),
    ("depth_ask_{n}", "base", "sum of qa_l", "Cumulative ask depth.", "depth_bid_{n}", 1),
    ("depth_slope_bid_{n}", "base/tick", "sum of d_l B_l / sum of d_l^2, B_l the depth to level l, d_l its distance",
     "Depth that a tick of price buys on the bid side (least squares through the mid).", "depth_slope_ask_{n}", 1),
    ("depth_slope_ask_{n}", "base/tick", "sum of d_l A_l / sum of d_l^2",
     "Depth that a tick of price buys on the ask side.", "depth_slope_bid_{n}", 1),
    ("book_centroid_bid_{n}", "ticks", "sum of qb_l d_l / sum of qb_l", "Mean distance of resting bids from the mid.",
     "book_centroid_ask_{n}", 0),
    ("book_centroid_ask_{n}", "ticks", "sum of qa_l d_l / sum of qa_l", "Mean distance of resting asks from the mid.",
     "book_centroid_bid_{n}", 0),
    ("depth_log_ratio_{n}", "1", "ln(B / A)", "Log ratio of bid to ask depth.", "odd", 0),
)  # fmt: skip


def depth_factors(setup: Setup) -> tuple[Factor, ...]:
    """Return the definitions in the order of the kernel's columns."""
    p = setup.params
    result = []
    for n in usable_levels(setup):
        for name, unit, formula, description, mirror, power in _COLUMNS:
            mean = name.endswith("mean")
            null = _NULL + (" at a distance of 0 (locked)" if name.endswith("distance") else "")
            result.append(
                Factor(
                    name=name.format(n=n), unit=unit, formula=formula.format(decay=p.level_decay), inputs=("depth",),
                    description=description, mirror=mirror.format(n=n), quantity_power=power, source=_CATALOGUE,
                    window=f"{n} levels a side, " + ("over the bucket" if mean else "at ts_end"),
                    null="null where the depth was never valid in the bucket with so many levels" if mean else null,
                    needs_valid_close=not mean,
                )
            )  # fmt: skip
    for m in p.sweep_multiples if setup.depth_levels else ():
        names = f"sweep_cost_buy_{m:g}x", f"sweep_cost_sell_{m:g}x", f"sweep_cost_difference_{m:g}x"
        null = (
            f"null where the depth is invalid at the close, the visible levels hold less than Q, or fewer than "
            f"{p.least_trades} trades came since the last gap"
        )
        size = f"Q = {m:g} mean trade sizes (half-life {p.trade_half_life:g} trades)"
        texts = (
            (f"1e4 (cost of buying Q / (Q mid) - 1), {size}", "Cost of walking up the asks.", names[1]),
            (f"1e4 (1 - proceeds of selling Q / (Q mid)), {size}", "Cost of walking down the bids.", names[0]),
            (f"{names[0]} - {names[1]}", "How much dearer buying is than selling.", None),
        )
        result += [
            Factor(
                name=f"{name}_bps", unit="bps", formula=formula, description=description, quantity_power=0, null=null,
                inputs=("depth", "trades"), window="the book at ts_end; trades since the last gap", source=_CATALOGUE,
            )
            for name, (formula, description, _) in zip(names, texts, strict=True)
        ]  # fmt: skip
    return tuple(result)
