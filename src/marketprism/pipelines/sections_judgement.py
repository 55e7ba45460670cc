"""Sections of the report about the signal: factors, models, controls."""

from __future__ import annotations

import numpy as np

from marketprism.evaluate.judgement import HorizonResult, Judgement
from marketprism.evaluate.metric import Metric
from marketprism.pipelines.texts import horizon_text, interval, number, share
from marketprism.report.document import Figure, Item, Note, Section, Table
from marketprism.report.figures import judgement as draw

__all__ = ["controls_section", "factors_section", "models_section"]

_BARS = 15
_METRICS = (
    ("ic", "IC", 3),
    ("rank_ic", "rank IC", 3),
    ("ic_ir", "IC_IR", 2),
    ("auc", "AUC", 3),
    ("average_precision", "average precision", 3),
    ("brier_skill", "Brier skill", 4),
    ("log_loss_skill", "log-loss skill", 4),
    ("ece", "ECE, debiased", 3),
    ("hit_rate", "hit rate", 3),
    ("turnover", "turnover", 2),
    ("gross_pnl_bps", "gross P&L (bps)", 1),
    ("net_pnl_bps", "net P&L (bps)", 1),
    ("net_sharpe", "net Sharpe", 1),
)


def factors_section(judgement: Judgement) -> Section:
    """Every factor alone: IC with interval, stability, coverage, duplicates."""
    import polars as pl

    table = judgement.factor_table.filter(pl.col("horizon") == judgement.primary)
    # A factor with a handful of values has no interval; its IC, often 1, ranks last.
    ranked = table.sort(
        [pl.col("low").is_null(), pl.col("ic").abs(), "factor"], descending=[False, True, False], nulls_last=True
    )
    items: list[Item] = []
    top = ranked.filter(pl.col("ic").is_not_null() & pl.col("low").is_not_null()).head(_BARS)
    if top.height:
        svg = draw.interval_bars(
            top["factor"].to_list(),
            top["ic"].to_numpy(),
            top["low"].to_numpy(),
            top["high"].to_numpy(),
            "information coefficient",
        )
        items.append(
            Figure(
                svg,
                "Strongest factors",
                "Each factor alone, in sample, with block-bootstrap interval; grey crosses zero.",
            )
        )
    items += _horizon_table(judgement)
    rows = [
        [
            row["factor"] + (" ★" if row["star"] else ""),
            number(row["ic"]),
            f"{number(row['low'])} to {number(row['high'])}",
            number(row["ic_third_1"]),
            number(row["ic_third_2"]),
            number(row["ic_third_3"]),
            share(row["sign_consistency"], 0),
            share(row["coverage"], 0),
            row["duplicate_of"] or "",
            row["note"] or "",
        ]
        for row in ranked.iter_rows(named=True)
    ]
    columns = [
        "factor",
        "IC",
        "interval",
        "1st third",
        "2nd third",
        "3rd third",
        "same sign",
        "coverage",
        "duplicate of",
        "note",
    ]
    items.append(
        Table(
            columns,
            rows,
            "All factors",
            "★ Benjamini-Hochberg adjusted evidence over all factors, never on few samples.",
            text_columns=["factor", "duplicate of", "note"],
            shown=20,
        )
    )
    return Section(
        "factors",
        "Factors",
        f"Correlation of each factor with the return over the next {horizon_text(judgement.primary)}. "
        "This describes the sample; what could have been traded is in the next section.",
        items,
    )


def _horizon_table(judgement: Judgement) -> list[Item]:
    import polars as pl

    tested = judgement.factor_table.with_columns(pl.when(pl.col("low").is_not_null()).then("ic").alias("ic"))
    wide = tested.pivot(on="horizon", index="factor", values="ic")
    horizons = [h for h in wide.columns if h != "factor"]
    if len(horizons) < 2 or wide.is_empty():
        return []
    best = wide.sort([pl.col(judgement.primary).abs(), "factor"], descending=[True, False], nulls_last=True).head(_BARS)
    rows = [[row["factor"], *(number(row[h]) for h in horizons)] for row in best.iter_rows(named=True)]
    return [Table(["factor", *(horizon_text(h) for h in horizons)], rows, "IC by horizon", text_columns=["factor"])]


def models_section(judgement: Judgement) -> Section:
    """Out-of-sample metrics, folds, calibration and equity of every model."""
    intro = (
        f"Purged walk-forward, {len(judgement.folds)} folds, next {horizon_text(judgement.primary)}. Every number "
        "has a block-bootstrap interval; P&L pays fees, half the spread and latency."
    )
    results = {name: result.horizons[judgement.primary] for name, result in judgement.models.items()}
    if not results:
        notes = [Note(note, "warn") for note in judgement.notes] or [Note("No model could be trained.", "warn")]
        return Section("models", "Models", intro, notes)
    items: list[Item] = [_metric_table(results)]
    items += _model_figures(results)
    items += _other_horizons(judgement)
    items += _series_table(results)
    return Section("models", "Models", intro, items)


def _metric_table(results: dict[str, HorizonResult]) -> Table:
    def cell(metric: Metric, digits: int) -> str:
        return interval(metric, digits) + (" ★" if metric.star else "")

    rows = []
    for key, label, digits in _METRICS:
        cells = [cell(result.metrics[key], digits) for result in results.values()]
        rows.append([label, *cells, next((r.metrics[key].note for r in results.values() if r.metrics[key].note), "")])
    return Table(
        ["metric", *results, "note"],
        rows,
        "Out of sample",
        "Value and 95 % interval. ★ enough samples, and the whole interval is better than no skill.",
        text_columns=["metric", "note"],
        wide=True,
    )


def _model_figures(results: dict[str, HorizonResult]) -> list[Item]:
    items: list[Item] = []
    folds = {}
    for name, result in results.items():
        known = result.fold_ic.drop_nulls(["ic", "low", "high"])
        folds[name] = list(known.select("ic", "low", "high").iter_rows())
    if any(folds.values()):
        items.append(Figure(draw.fold_ic(folds), "IC fold by fold", "A signal that lives in one fold is not a signal."))
    curves = {}
    for name, result in results.items():
        curve = result.calibration
        if curve.height:
            curves[name] = (curve["predicted"].to_numpy(), curve["observed"].to_numpy(), curve["n"].to_numpy())
    if curves:
        items.append(
            Figure(
                draw.calibration(curves),
                "Calibration of P(up)",
                "On the diagonal, a forecast of 60 % comes true 60 % of the time.",
            )
        )
    equity = {name: result.equity for name, result in results.items() if result.equity.height > 1}
    if equity:
        ts = next(iter(equity.values()))["ts"].to_numpy()
        lines = {}
        for name, curve in equity.items():
            own = curve["ts"].to_numpy()
            gross, net = curve["gross_bps"].to_numpy(), curve["net_bps"].to_numpy()
            place = np.clip(np.searchsorted(own, ts, side="right") - 1, 0, len(own) - 1)
            lines[name] = (gross[place], net[place])
        items.append(
            Figure(
                draw.equity(ts, lines, "bps"),
                "Cumulative P&L",
                "Before costs dashed, after costs solid; one unit a trade.",
                wide=True,
            )
        )
    return items


def _other_horizons(judgement: Judgement) -> list[Item]:
    rows = []
    for name, result in judgement.models.items():
        for horizon, part in result.horizons.items():
            cells = [
                interval(part.metrics[key], digits)
                for key, digits in (("ic", 3), ("auc", 3), ("brier_skill", 4), ("net_pnl_bps", 1))
            ]
            rows.append([name, horizon_text(horizon), *cells, f"{part.metrics['ic'].n:,}"])
    if len(rows) <= len(judgement.models):
        return []
    columns = ["model", "horizon", "IC", "AUC", "Brier skill", "net P&L (bps)", "n"]
    return [Table(columns, rows, "By horizon", text_columns=["model", "horizon"])]


def _series_table(results: dict[str, HorizonResult]) -> list[Item]:
    rows = []
    for name, result in results.items():
        for key, metrics in result.by_series.items():
            cells = [
                interval(metrics[metric], digits) for metric, digits in (("ic", 3), ("auc", 3), ("net_pnl_bps", 1))
            ]
            rows.append([name, key, *cells, f"{metrics['ic'].n:,}"])
    if not rows:
        return []
    columns = ["model", "series", "IC", "AUC", "net P&L (bps)", "n"]
    return [
        Table(
            columns,
            rows,
            "By instrument",
            "One model over all instruments.",
            text_columns=["model", "series"],
            shown=16,
        )
    ]


def controls_section(judgement: Judgement) -> Section:
    """Say what the controls found."""
    items: list[Item] = [
        Note(
            f"{control.name.replace('_', ' ').capitalize()} "
            f"{'passed' if control.passed else 'FAILED'}: {control.reason}",
            "good" if control.passed else "bad",
        )
        for control in judgement.controls
    ]
    if judgement.suspects:
        rows = [[name, number(ic)] for name, ic in judgement.suspects.items()]
        items.append(Table(["factor", "IC"], rows, "Too good to be honest", text_columns=["factor"]))
    if not items:
        items.append(Note("No model was trained, so no control could run.", "warn"))
    return Section(
        "controls",
        "Controls",
        "The same machinery on shuffled labels must find nothing; with the future planted as a factor it must find it "
        "and name it.",
        items,
    )
