"""Where the money goes: from paper profit to net, and how large orders may grow."""

from __future__ import annotations

import math

from marketprism.evaluate.capacity import Capacity
from marketprism.evaluate.case import Case
from marketprism.evaluate.metric import Metric
from marketprism.pipelines.texts import horizon_text, interval, number, share
from marketprism.report.document import Figure, Item, Note, Section, Table
from marketprism.report.figures import economics as draw

__all__ = ["capacity_section"]

_STEPS = {
    "paper_bps": "on paper",
    "latency_bps": "latency",
    "half_spread_bps": "half spread",
    "fee_bps": "fee",
    "slippage_bps": "slippage",
    "impact_bps": "impact",
}


def capacity_section(result: Capacity, case: Case) -> Section:
    """Lay out the cost waterfall, break-even costs and the P&L against order size."""
    intro = (
        "A forecast earns only what is left once it was acted on late and every trade was paid for. Each bar takes one "
        f"cost away from what the scores for the next {horizon_text(case.judgement.primary)} would earn on paper. It "
        "would be bad if nothing were left, or only for orders too small to matter."
    )
    items: list[Item] = [Note(f"{note[:1].upper()}{note[1:]}.", "warn") for note in result.notes]
    if not case.names:
        return Section("capacity", "Costs and capacity", intro, items)
    items = [_answer(result, case), *items, _waterfall_figure(result, case), _waterfall_table(result)]
    items.append(_cost_table(result))
    if result.limits:
        items += [_curve_figure(result), _limit_table(result)]
    return Section("capacity", "Costs and capacity", intro, items)


def _answer(result: Capacity, case: Case) -> Note:
    name = case.best
    found = result.costs[name]
    earned, paid = found["break_even_bps"], found["paid_bps"]
    if not math.isfinite(earned.value):
        return Note(f"{name} never traded: there is nothing to pay for and nothing to earn.", "warn")
    verdict = "earns more than it pays" if earned.value > paid.value else "pays more than it earns"
    sure = earned.low > paid.value or earned.high < paid.value
    text = (
        f"{name} earned {interval(earned, 2)} bps for each unit traded and paid {number(paid.value, 2)}: it {verdict}"
        f"{'' if sure else ', though the interval leaves it open'}. Its costs would have to be below "
        f"{number(max(0.0, earned.value), 2)} bps a unit for it to break even."
    )
    return Note(text, "good" if earned.low > paid.value else "bad" if earned.value <= paid.value else "warn")


def _waterfall_figure(result: Capacity, case: Case) -> Figure:
    row = next(row for row in result.waterfall.iter_rows(named=True) if row["model"] == case.best)
    steps = [(label, row[key]) for key, label in _STEPS.items()]
    size = (
        f"Impact is that of orders of {result.notional:,.0f} in quote currency."
        if result.notional > 0
        else "No order size was given, so impact is nil here: see what size does below."
    )
    return Figure(
        draw.waterfall(steps, "bps of notional, whole sample"),
        f"From paper to pocket: {case.best}",
        "On paper, every decision is filled at the very mid it was made on. Latency is what prices did until the order "
        f"arrived; the rest was paid. {size}",
        wide=True,
    )


def _waterfall_table(result: Capacity) -> Table:
    columns = [*_STEPS, "net_bps"]
    rows = [
        [row["model"], *(number(row[key], 1) for key in columns), f"{row['trades']:,}"]
        for row in result.waterfall.iter_rows(named=True)
    ]
    return Table(
        ["model", *_STEPS.values(), "net", "orders"],
        rows,
        "What every model earned and paid (bps of notional, whole sample)",
        "Each row sums to its net.",
        text_columns=["model"],
    )


def _cost_table(result: Capacity) -> Table:
    rows = [
        [
            name,
            interval(found["break_even_bps"], 2) + (" ★" if found["break_even_bps"].star else ""),
            number(found["paid_bps"].value, 2),
            number(found["turnover"].value, 2),
            _seconds(found["holding_s"].value),
            found["break_even_bps"].note,
        ]
        for name, found in result.costs.items()
    ]
    return Table(
        ["model", "break-even cost (bps a unit)", "paid (bps a unit)", "traded a decision", "time held", "note"],
        rows,
        "Break-even",
        "The break-even cost is what was earned for each unit traded, after latency. ★ it is above zero beyond chance.",
        text_columns=["model", "note"],
        wide=True,
    )


def _seconds(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min" if value < 7200 else f"{value / 3600:.1f} h"


def _curve_figure(result: Capacity) -> Figure:
    curves = {}
    for (name,), part in result.curve.group_by("model", maintain_order=True):
        keys = {"notional": "notional", "net": "net_pnl_bps", "low": "low", "high": "high", "gross": "gross_pnl_bps"}
        curves[str(name)] = {key: part[column].to_numpy() for key, column in keys.items()}
    return Figure(
        draw.capacity(curves, result.notional),
        "P&L against order size",
        f"The largest size is {share(_largest(result), 0)} of what the market trades in a usual bucket "
        f"({number(result.bucket_notional, 0)} in quote currency). Where the solid line is above zero there is money; "
        "the dashed one says what somebody without fees and spread would keep.",
        wide=True,
    )


def _largest(result: Capacity) -> float:
    return float(result.curve["share"].to_numpy().max())


def _limit_table(result: Capacity) -> Table:
    def size(metric: Metric) -> str:
        if not metric.value > 0:
            return "never profitable"
        return f"{_amount(metric.value)} [{_amount(metric.low)}, {_amount(metric.high)}]"

    rows = [
        [
            name,
            size(found["half_notional"]),
            size(found["best_notional"]),
            size(found["zero_notional"]),
            size(found["gross_notional"]),
        ]
        for name, found in result.limits.items()
    ]
    return Table(
        ["model", "half of the P&L is left", "most money", "nothing is left", "nothing is left, impact alone"],
        rows,
        "How large orders may grow (quote currency)",
        "The size at which impact has taken half of the P&L of the smallest orders, at which profit in money is "
        "largest, and at which nothing is left; in the last column nothing but impact is paid.",
        text_columns=["model"],
        wide=True,
    )


def _amount(value: float) -> str:
    """Return an amount of money in a few digits.

    Examples
    --------
    >>> _amount(25099.1), _amount(3.2e6), _amount(0.4)
    ('25,000', '3.2 million', '0.4')
    """
    if not math.isfinite(value):
        return "–"
    if value >= 1e6:
        return f"{value / 1e6:,.3g} million" if value < 1e9 else f"{value / 1e9:,.3g} billion"
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"
