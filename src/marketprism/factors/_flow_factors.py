"""Definitions of the order-flow factors; the kernel is in :mod:`marketprism.factors.flow`."""

from __future__ import annotations

from marketprism.core.config import Config
from marketprism.factors.base import Factor, Setup, in_buckets, in_seconds, increasing

__all__ = ["FlowParams", "flow_factors"]


class FlowParams(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Windows of the family.

    Parameters
    ----------
    buckets : tuple of int
        Windows in buckets, the last of which is the present one.
    trades : tuple of int
        Windows in trades.
    half_lives_s : tuple of float
        Half-lives of the decaying sums, seconds.
    """

    buckets: tuple[int, ...] = (1, 5, 20)
    trades: tuple[int, ...] = (20, 100)
    half_lives_s: tuple[float, ...] = (10.0, 60.0)

    def __post_init__(self) -> None:
        for name in ("buckets", "trades", "half_lives_s"):
            increasing(name, getattr(self, name))


_EPPS = "FACTORS.md section 3"
_LILLO = "Lillo and Farmer (2004), The long memory of the efficient market"
# name, unit, formula, description, when null (besides an unfilled window), mirror, power, source, inputs
_BY_BUCKETS = (
    ("traded_volume", "base", "sum of q", "Traded quantity.", "", "even", 1, _EPPS, ("trades",)),
    ("signed_volume", "base", "sum of s q, s = +1 buyer, -1 seller, 0 unknown", "Bought minus sold quantity.",
     "", "odd", 1, _EPPS, ("trades",)),
    ("flow_imbalance", "1", "sum of s q / sum of |s| q", "Bought minus sold share of the signed volume.",
     "no trade had a known side", "odd", 0, _EPPS, ("trades",)),
    ("trade_count", "trades", "n", "Number of trades.", "", "even", 0, _EPPS, ("trades",)),
    ("mean_trade_size", "base", "sum of q / n", "Mean quantity of a trade.", "there was no trade", "even", 1, _EPPS,
     ("trades",)),
    ("sign_persistence", "1", "mean of s_i s_{i-1} over consecutive signed trades",
     "How often a trade follows one of the same side: 1 always, -1 never.", "fewer than 2 signed trades", "even", 0,
     _LILLO, ("trades",)),
    ("sign_autocorrelation", "1", "sum of (s_i - m)(s_{i-1} - m) / sum of (s_i - m)^2, m the mean sign",
     "Lag-1 sample autocorrelation of trade signs.", "fewer than 3 signed trades or all of one side", "even", 0,
     _LILLO, ("trades",)),
    ("inter_trade_time", "s", "mean of t_i - t_{i-1} over trades with one before them since the last gap",
     "Mean waiting time between trades, event clock.", "there was no such trade", "even", 0, _EPPS, ("trades",)),
    ("aggressive_share", "1", "share of signed volume with buy price >= a or sell price <= b, quotes before the trade",
     "Volume that crossed the spread; the rest traded inside it (hidden, midpoint or stale quotes).",
     "no signed trade met a valid quote", "even", 0, _EPPS, ("trades", "quotes")),
    ("trade_intensity", "1/s", "n / duration", "Trades per second.", "", "even", 0, "FACTORS.md section 1",
     ("trades",)),
    ("vwap_deviation", "1", "(VWAP_t - mid_{t-1}) / S_t, mid_{t-1} at the close before the window",
     "How far trades ran from where the mid stood, in spreads.",
     "there was no trade, the book was invalid at either end or is locked", "odd", 0, "FACTORS.md section 1",
     ("trades", "quotes")),
)  # fmt: skip


def flow_factors(setup: Setup) -> tuple[Factor, ...]:
    """Return the definitions in the order of the kernel's columns."""
    p = setup.params
    result = [
        Factor(
            name=in_buckets(name, n), unit=unit, formula=formula, description=description, inputs=inputs, mirror=mirror,
            quantity_power=power, source=source, window=f"{n} bucket(s) up to the present one",
            needs_valid_close=name == "vwap_deviation",
            null="; ".join(filter(None, [f"fewer than {n} buckets have closed since the last gap" if n > 1 else "",
                                         null])) or "never",
        )
        for name, unit, formula, description, null, mirror, power, source, inputs in _BY_BUCKETS
        for n in p.buckets
    ]  # fmt: skip
    result.append(
        Factor(
            name="sign_run_length", unit="trades", formula="s n, n the number of trades of side s since the last of -s",
            description="Length of the present run of one side; positive for buyers.", inputs=("trades",),
            window="back to the last trade of the other side, or the last gap", mirror="odd", quantity_power=0,
            null="no signed trade since the last gap", source=_LILLO,
        )
    )  # fmt: skip
    for n in p.trades:
        few = f"fewer than {n} trades since the last gap"
        result += [
            Factor(
                name=f"flow_imbalance_{n}_trades", unit="1", formula="sum of s q / sum of |s| q", inputs=("trades",),
                description="Bought minus sold share of the signed volume.", window=f"the last {n} trades",
                null=few + "; none of known side", mirror="odd", quantity_power=0, source=_EPPS,
            ),
            Factor(
                name=f"trade_intensity_{n}_trades", unit="1/s", formula=f"{n} / (ts_end - time of the first of them)",
                description="Trades per second.", window=f"the last {n} trades", inputs=("trades",), source=_EPPS,
                null=few + "; all of them at ts_end", mirror="even", quantity_power=0,
            ),
        ]  # fmt: skip
    for h in p.half_lives_s:
        label = in_seconds(h)
        window = f"all since the last gap, half-life {label}"
        short = "less than one half-life since the first trade after the last gap"
        result += [
            Factor(
                name=f"signed_volume_halflife_{label}", unit="base", formula="sum of s q 2^(-age/h)",
                description="Bought minus sold quantity with exponential memory.", window=window, inputs=("trades",),
                null=short, mirror="odd", quantity_power=1, source=_EPPS,
            ),
            Factor(
                name=f"flow_imbalance_halflife_{label}", unit="1", inputs=("trades",), source=_EPPS,
                formula="sum of s q 2^(-age/h) / sum of |s| q 2^(-age/h)", window=window,
                description="Bought minus sold share of the signed volume with exponential memory.",
                null=short + "; none of known side", mirror="odd", quantity_power=0,
            ),
            Factor(
                name=f"trade_intensity_halflife_{label}", unit="1/s", inputs=("trades",), window=window, source=_EPPS,
                formula="sum of 2^(-age/h) / integral of 2^(-age/h) since the first trade",
                description="Trades per second with exponential memory.", null=short, mirror="even", quantity_power=0,
            ),
        ]  # fmt: skip
    return tuple(result)
