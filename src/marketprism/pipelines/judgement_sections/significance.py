"""Luck or skill: what is left of the result once everything that was tried is counted."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from marketprism.core.timebase import format_ns
from marketprism.evaluate.case import Case
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.significance import Significance, Superiority
from marketprism.evaluate.track_record import TrackRecord, market_time
from marketprism.pipelines.texts import horizon_text, interval, number, plural, share
from marketprism.report.document import Figure, Item, Note, Section, Table, Tone
from marketprism.report.figures import significance as draw

__all__ = ["significance_section"]

_FEW_TRADES = 30
_INTRO = (
    "Try enough ideas on the same data and the best of them looks good by luck alone. Here everything that was tried "
    "is counted, and the result is asked what remains. It would be bad if the probability of skill were below 95 %, "
    "p-values above 0.05, or no more factors passed than noise would."
)


def significance_section(result: Significance, case: Case) -> Section:
    """Lay out track records, tests over all models, and the factors that survive."""
    items: list[Item] = [_answer(result)] if result.records else []
    items += [Note(_sentence(note), "warn") for note in result.notes]
    said: dict[str, list[str]] = {}
    for record in result.records:
        for note in record.notes:
            said.setdefault(note, []).append(record.model)
    items += [Note(f"{', '.join(models)}: {note}.", "warn") for note, models in said.items()]
    if result.records:
        items.append(_records(result))
        items += _luck_figure(result)
    items += _factor_figure(case)
    if result.records:
        items.append(_superiority(result))
    items += _forecasts(result) + _information(result) + _factors(result) + _drawdowns(result)
    return Section("significance", "Luck or skill", _INTRO, items)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _p(value: float | None) -> str:
    """Return a p-value as people read it."""
    if value is None or not math.isfinite(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _answer(result: Significance) -> Note:
    """Say in one sentence whether the best track record is more than luck."""
    known = [record for record in result.records if math.isfinite(record.dsr)]
    tried = plural(result.trials.count, "trial")
    if not known:
        return Note(f"No model traded, so there is no track record to deflate ({tried} counted).", "warn")
    best = max(known, key=lambda record: record.dsr)
    where = "in the run ledger" if result.trials.from_ledger else "in this judgement"
    said = (
        f"Best track record: {best.model}. After {tried} on these data ({where}), the probability that its true Sharpe "
        f"ratio is above zero is {_probability(best.dsr)}"
    )
    if best.trades < _FEW_TRADES:
        return Note(f"{said}, from {plural(best.trades, 'trade')}: too few to believe either way.", "warn")
    if best.dsr >= result.config.confidence:
        return Note(f"{said}: hard to explain by luck.", "good")
    tone: Tone = "bad" if best.sharpe_per_period <= 0 else "warn"
    ending = "it loses money after costs" if best.sharpe_per_period <= 0 else "luck explains it well enough"
    return Note(f"{said}: {ending}.", tone)


def _probability(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return "< 0.1 %" if value < 0.001 else "> 99.9 %" if value > 0.999 else f"{value:.1%}".replace("%", " %")


def _records(result: Significance) -> Table:
    count = result.trials.count

    def metric(name: str, digits: int, scale: float = 1.0, *, floor: bool = False) -> Callable[[TrackRecord], str]:
        def cell(record: TrackRecord) -> str:
            found = record.metrics[name]
            low = max(0.0, found.low) if floor and math.isfinite(found.low) else found.low
            return interval(
                Metric(value=scale * found.value, low=scale * low, high=scale * found.high, n=found.n), digits
            )

        return cell

    lines: list[tuple[str, Callable[[TrackRecord], str], str]] = [
        ("Sharpe ratio per period", lambda r: number(r.sharpe_per_period, 4), "mean over deviation of net returns"),
        ("annual Sharpe ratio", metric("sharpe", 1), "times the root of the periods a year"),
        ("the same, serially corrected", metric("sharpe_serial", 1), "counts serial correlation (Lo)"),
        ("Sortino ratio", metric("sortino", 1), "annual; only losses count as risk"),
        ("Calmar ratio", metric("calmar", 1), "annual return over the largest drawdown"),
        ("largest drawdown (bps)", metric("max_drawdown", 1, 1e4, floor=True), "fall below the highest point"),
        ("from its peak to its low", _fall, "UTC"),
        ("recovered", _recovered, "when the old peak was reached again"),
        ("trades", lambda r: f"{r.trades:,}", "entries to exits"),
        ("trades that won", _won, "after costs"),
        (
            "probability of skill, alone",
            lambda r: _probability(r.psr),
            "had nothing else been tried",
        ),
        (
            "luckiest annual Sharpe",
            lambda r: number(r.luckiest, 1),
            f"of {plural(count, 'trial')} without skill",
        ),
        ("probability of skill, deflated", lambda r: _probability(r.dsr), f"after {plural(count, 'trial')}"),
        ("track record needed", _needed, f"to be {result.config.confidence:.0%} sure; in brackets: there is"),
    ]
    rows = [[name, *(cell(record) for record in result.records), said] for name, cell, said in lines]
    return Table(
        ["measure", *(record.model for record in result.records), "meaning"],
        rows,
        "Track record, net of all costs",
        "Value and interval. The deflated probability is the one to read: it pays for every trial. The probabilities "
        "count skew, fat tails and serial correlation of the returns.",
        text_columns=["measure", "meaning"],
        wide=True,
    )


def _fall(record: TrackRecord) -> str:
    fall = record.drawdown
    if fall is None:
        return "–"
    start, low = _moment(fall.peak_ts), _moment(fall.low_ts)
    return f"{start} to {low[11:] if low[:10] == start[:10] else low[5:]}"


def _recovered(record: TrackRecord) -> str:
    fall = record.drawdown
    if fall is None:
        return "–"
    return "never" if fall.recovered_ts is None else _moment(fall.recovered_ts)


def _moment(ts: int) -> str:
    return format_ns(ts)[:16].replace("T", " ")


def _won(record: TrackRecord) -> str:
    found = record.metrics["hit_rate"]
    return f"{share(found.value, 0)} [{share(found.low, 0)}, {share(found.high, 0)}]" if record.trades else "–"


def _needed(record: TrackRecord) -> str:
    have = market_time(record.observed_s)
    if math.isnan(record.needed_n):
        return "–"
    return f"never ({have})" if math.isinf(record.needed_n) else f"{market_time(record.needed_s)} ({have})"


def _luck_figure(result: Significance) -> list[Item]:
    shown = [record for record in result.records if math.isfinite(record.metrics["sharpe"].low)]
    if not shown:
        return []
    sharpes = [record.metrics["sharpe"] for record in shown]
    value, low, high = (np.array([getattr(one, name) for one in sharpes]) for name in ("value", "low", "high"))
    luckiest = max(record.luckiest for record in shown)
    return [
        Figure(
            draw.sharpe_against_luck([record.model for record in shown], value, low, high, luckiest),
            "Sharpe ratio against luck",
            "Ratios left of the dashed line are no better than the luckiest of as many tries without skill. Green: the "
            "whole interval is beyond it. Red: the whole interval is a loss.",
        )
    ]


def _factor_figure(case: Case) -> list[Item]:
    p_values = case.judgement.factor_table["p_value"].drop_nulls().to_numpy()
    if len(p_values) < 20:
        return []
    return [
        Figure(
            draw.p_value_histogram(p_values),
            "P-values of the factors",
            "If no factor knew anything, all bars would be about as high as the dashed line. What stands above it at "
            "the left (green, p below 0.05) is what there may be to find.",
        )
    ]


def _superiority(result: Significance) -> Table:
    losing = [record.model for record in result.records if record.sharpe_per_period <= 0]

    def row(found: Superiority) -> list[str]:
        if not found.best:
            return [found.benchmark, "–", "–", "–", "–", f"not tested: {found.note}"]
        worst = max(found.reality_check, found.spa)
        reading = "no evidence that any model earns more"
        if worst <= result.config.alpha:
            reading = "loses less" if found.best in losing else "earns more"
        note = f"{reading}; {found.note}" if found.note else reading
        conservative = f"{_p(found.spa)} [{_p(found.spa_lower)}, {_p(found.spa_upper)}]"
        return [
            found.benchmark,
            found.best,
            number(found.advantage_bps, 3),
            _p(found.reality_check),
            conservative,
            note,
        ]

    return Table(
        [
            "benchmark",
            "best model",
            "advantage (bps a period)",
            "Reality Check p",
            "SPA p [liberal, conservative]",
            "reading",
        ],
        [row(result.against_nothing), row(result.against_baseline)],
        "Does the best of all models earn more, counting that it was picked?",
        "White's Reality Check and Hansen's test of superior predictive ability (SPA) on net returns: the chance that "
        "the best of as many useless models would look as good.",
        text_columns=["benchmark", "best model", "reading"],
        wide=True,
    )


def _forecasts(result: Significance) -> list[Item]:
    rows = [
        [
            row["first"],
            row["second"],
            number(row["gain"], 5),
            number(row["statistic"], 2),
            _p(row["p_value"]),
            _p(row["holm"]),
            row["better"] or "no difference shown",
        ]
        for row in result.forecasts.iter_rows(named=True)
    ]
    if not rows:
        return []
    loss = "log loss" if result.config.loss == "log" else "Brier loss"
    lags = result.forecasts["lags"][0]
    return [
        Table(
            ["first", "second", "gain", "statistic", "p", "p, Holm", "better"],
            rows,
            "Which forecast is better?",
            f"Diebold-Mariano test on {result.forecasts['n'][0]:,} rows. Gain: {loss} of the first less that of the "
            f"second, positive where the second is better; {lags} autocovariances count overlapping labels. Base rates "
            "say how frequent up, flat and down were in training.",
            text_columns=["first", "second", "better"],
            wide=True,
            shown=15,
        )
    ]


def _information(result: Significance) -> list[Item]:
    rows = [
        [
            row["model"],
            horizon_text(row["horizon"]),
            f"{number(row['ic'])} [{number(row['low'])}, {number(row['high'])}]",
            *(_p(row[name]) for name in ("p_value", "benjamini_hochberg", "holm", "bonferroni")),
            row["note"],
        ]
        for row in result.information.iter_rows(named=True)
    ]
    if not rows:
        return []
    return [
        Table(
            ["model", "horizon", "IC", "p", "p, Benjamini-Hochberg", "p, Holm", "p, Bonferroni", "note"],
            rows,
            f"Out-of-sample IC of everything that was evaluated ({plural(len(rows), 'test')})",
            "Each further column pays for the number of tests: Benjamini-Hochberg bounds the share of false findings, "
            "Holm and Bonferroni the chance of even one.",
            text_columns=["model", "horizon", "note"],
            shown=15,
        )
    ]


def _factors(result: Significance) -> list[Item]:
    rows = [
        [
            "all horizons" if row["horizon"] == "all" else horizon_text(row["horizon"]),
            f"{row['tested']:,}",
            number(row["by_luck"], 1),
            *(f"{row[name]:,}" for name in ("unadjusted", "benjamini_hochberg", "holm", "bonferroni")),
        ]
        for row in result.factors.iter_rows(named=True)
    ]
    if not rows:
        return []
    best = [
        [
            row["factor"],
            horizon_text(row["horizon"]),
            number(row["ic"]),
            _p(row["p_value"]),
            _p(row["benjamini_hochberg"]),
            _p(row["holm"]),
        ]
        for row in result.best_factors.iter_rows(named=True)
    ]
    alpha = f"{result.config.alpha:g}"
    return [
        Table(
            ["horizon", "looked at", "passed by luck", "passed", "Benjamini-Hochberg", "Holm", "Bonferroni"],
            rows,
            "How many factors survive",
            f"Passed: p at most {alpha}, as if each factor were the only one. Passed by luck: how many of pure noise "
            "would. The last three pay for how many were looked at; few samples never pass.",
            text_columns=["horizon"],
        ),
        Table(
            ["factor", "horizon", "IC", "p", "p, Benjamini-Hochberg", "p, Holm"],
            best,
            "Factors with the smallest p-values",
            "In sample, each factor alone, adjusted for all factors at all horizons.",
            text_columns=["factor", "horizon"],
            shown=8,
        ),
    ]


def _drawdowns(result: Significance) -> list[Item]:
    table = result.drawdowns
    if table.is_empty():
        return []
    models = [record.model for record in result.records]
    parts = {name: table.filter(table["model"] == name) for name in models}
    periods = parts[models[0]]["period"].to_list()
    cells = {
        name: [f"{number(row['net_bps'], 1)} / {number(row['drawdown_bps'], 1)}" for row in part.iter_rows(named=True)]
        for name, part in parts.items()
    }
    rows = [[period, *(cells[name][k] for name in models)] for k, period in enumerate(periods)]
    unit = result.drawdown_unit
    return [
        Figure(
            draw.drawdown_bars(periods, {name: part["drawdown_bps"].to_numpy() for name, part in parts.items()}),
            f"Largest drawdown of each {unit}",
            f"Bps of notional, counted from the highest point of the same {unit}; one deep bar among shallow ones is a "
            "risk that the average hides.",
            wide=True,
        ),
        Table(
            [unit, *models],
            rows,
            f"Net P&L and largest drawdown by {unit} (bps)",
            text_columns=[unit],
            shown=24,
        ),
    ]
