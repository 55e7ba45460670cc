"""How sure one may be: prediction sets, their coverage over time, and trading only outside the no-trade band."""

from __future__ import annotations

from marketprism.evaluate.case import Case
from marketprism.evaluate.conformal import Conformal, ConformalModel, SetQuality
from marketprism.evaluate.metric import Metric
from marketprism.pipelines.texts import horizon_text, interval, share
from marketprism.report.document import Figure, Item, Note, Section, Table
from marketprism.report.figures import confidence as draw

__all__ = ["conformal_section"]

_READING = (
    "A band that merely trades less also loses less where costs exceed what is earned: only more earned per unit "
    "traded, or a higher hit rate, says that it knows when to trade."
)


def conformal_section(result: Conformal, case: Case) -> Section:
    """Lay out coverage, set sizes, and what the no-trade band does to trading."""
    target = share(result.config.coverage, 0)
    intro = (
        f"In place of one guess, the model names every move (down, flat, up) over the next "
        f"{horizon_text(case.judgement.primary)} that it cannot rule out, so that the truth is among them {target} of "
        "the time. It would be bad if the truth were outside more often, in the whole or for long stretches, or if "
        "all sets held all three moves."
    )
    items: list[Item] = [Note(f"{note[:1].upper()}{note[1:]}.", "warn") for note in result.notes]
    items += [_answer(name, one, result.config.coverage) for name, one in result.models.items()]
    if result.models:
        items.append(_sets(result))
    for name, one in result.models.items():
        items += _coverage_figure(name, one, result)
    if result.models:
        items.append(_trading(result))
        items += _equity(result)
    return Section("conformal", "Confidence", intro, items)


def _answer(name: str, one: ConformalModel, target: float) -> Note:
    coverage, ruled_out = one.adaptive.coverage, one.adaptive.one_sided
    said = (
        f"{name}: the truth lay in the adaptive sets {share(coverage.value)} of the time (promise {share(target, 0)})"
    )
    said += f"; {share(ruled_out, 0)} of the sets rule out up or down and could be traded"
    kept = coverage.low <= target <= coverage.high or coverage.value >= target
    if not kept:
        return Note(f"{said}. The promise was broken.", "bad")
    return Note(f"{said}.", "good" if ruled_out > 0.05 else "warn")


def _sets(result: Conformal) -> Table:
    def row(name: str, kind: str, one: SetQuality) -> list[str]:
        percent = one.coverage
        return [
            name,
            kind,
            f"{share(percent.value)} [{share(percent.low)}, {share(percent.high)}]",
            share(one.worst_run, 0),
            " / ".join(share(one.by_class[word], 0) for word in ("down", "flat", "up")),
            interval(one.size, 2),
            share(one.one_sided, 0),
            share(one.singleton, 0),
            share(one.full, 0),
        ]

    rows = [
        row(name, kind, part)
        for name, one in result.models.items()
        for kind, part in (("static", one.static), ("adaptive", one.adaptive))
    ]
    config = result.config
    return Table(
        [
            "model",
            "sets",
            "coverage",
            f"worst {config.rolling_rows} rows",
            "of down / flat / up",
            "moves",
            "one-sided",
            "single",
            "all three",
        ],
        rows,
        "Prediction sets, out of sample",
        f"Static: one limit learnt from the first {min(one.calibration_rows for one in result.models.values()):,} "
        "predictions (split conformal). Adaptive: the limit moves after each miss or hit, as soon as the label is "
        "known. Coverage is promised on average; the split by outcome shows who pays for it. Moves: how many a set "
        "holds. One-sided: it rules out up or down; single: it names up or down alone; all three: it says nothing.",
        text_columns=["model", "sets"],
        wide=True,
    )


def _coverage_figure(name: str, one: ConformalModel, result: Conformal) -> list[Item]:
    if one.rolling.height < 2:
        return []
    lines = {kind: one.rolling[kind].to_numpy() for kind in ("static", "adaptive")}
    rows = min(result.config.rolling_rows, one.rows)
    return [
        Figure(
            draw.rolling_coverage(one.rolling["ts"].to_numpy(), lines, result.config.coverage, rows),
            f"Coverage over time, {name}",
            "Below the dashed line the promise is broken for the moment, far above it the sets are needlessly wide. "
            "When the market changes, the adaptive line should come back; the static one need not.",
            wide=True,
        )
    ]


def _trading(result: Conformal) -> Table:
    lines = (
        ("net P&L (bps)", "net_pnl_bps", 1),
        ("gross P&L (bps)", "gross_pnl_bps", 1),
        ("earned per unit traded, before costs (bps)", "gross_per_unit_bps", 3),
        ("net Sharpe", "net_sharpe", 1),
        ("hit rate of signals", "hit_rate", 3),
        ("turnover per decision", "turnover", 3),
    )
    rows = []
    for name, one in result.models.items():
        band = one.band
        rows += [
            [name, label, _cell(band.without[key], digits), _cell(band.within[key], digits)]
            for label, key, digits in lines
        ]
        rows.append([name, "net P&L gained (bps)", "", interval(band.gain, 1)])
        rows.append([name, "decisions inside the band", "", share(band.share, 0)])
        rows.append([name, "signals that stay tradable", "", share(band.signals_kept, 0)])
    rule = (
        "holds the forecast side but not the opposite one"
        if result.config.trade_when == "one_sided"
        else "names nothing but the forecast side"
    )
    return Table(
        ["model", "measure", "all signals", "with the no-trade band"],
        rows,
        "Trading only when sure",
        f"A position is opened only when the adaptive set {rule}; it closes as before. {_READING} ★ enough "
        "samples, and the whole interval above no skill.",
        text_columns=["model", "measure"],
        wide=True,
    )


def _cell(metric: Metric, digits: int) -> str:
    return interval(metric, digits) + (" ★" if metric.star else "")


def _equity(result: Conformal) -> list[Item]:
    ts = next(iter(result.models.values())).band.equity["ts"].to_numpy()
    curves = {
        name: (one.band.equity["without_bps"].to_numpy(), one.band.equity["within_bps"].to_numpy())
        for name, one in result.models.items()
    }
    return [
        Figure(
            draw.banded_equity(ts, curves),
            "Net P&L with and without the band",
            "After all costs. The distance between dashed and solid is what the band saves or gives away.",
            wide=True,
        )
    ]
