"""The study of market making: one pass over a source, five studies, a page each and an index."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import marketprism
from marketprism.backtest.signals import SignalTape
from marketprism.buckets.config import BucketConfig
from marketprism.core.errors import ConfigError
from marketprism.core.timebase import format_ns
from marketprism.factors.config import EngineConfig
from marketprism.ingest.source import Source
from marketprism.pipelines.backtest_summary import plain
from marketprism.pipelines.files import check_folder, json_bytes, write_files
from marketprism.pipelines.gate_side import Side, open_side
from marketprism.pipelines.market_tape import (
    MarketTape,
    TapeConfig,
    check_market,
    factor_signals,
    prediction_signals,
    read_market,
)
from marketprism.pipelines.runtime import Say, silent
from marketprism.pipelines.settings import merge, parse_setting
from marketprism.pipelines.study_pages.competition import competition_page
from marketprism.pipelines.study_pages.index import index_page
from marketprism.pipelines.study_pages.inventory import inventory_page
from marketprism.pipelines.study_pages.optimal import optimal_page
from marketprism.pipelines.study_pages.parts import Context, lane_summary
from marketprism.pipelines.study_pages.race import duel_summary, race_summary
from marketprism.pipelines.study_pages.signals import signals_page
from marketprism.pipelines.study_pages.symmetric import symmetric_page
from marketprism.report.document import Document
from marketprism.report.page import render_page
from marketprism.strategies.order_size import median_trade
from marketprism.studies.competition import study_competition
from marketprism.studies.config import StudyConfig
from marketprism.studies.distances import typical_distances, volatility
from marketprism.studies.inventory import study_inventory
from marketprism.studies.lanes import Ground, Lane
from marketprism.studies.optimal import study_optimal
from marketprism.studies.signals import study_signals
from marketprism.studies.symmetric import study_symmetric

__all__ = ["StudyResult", "load_study_config", "study_making"]

_FAMILIES = ("depth", "flow", "level1", "ofi", "returns")


@dataclass(frozen=True)
class StudyResult:
    """What a study gave.

    Attributes
    ----------
    pages : dict of str to Document
        The five pages by name.
    summary : dict
        Content of ``summary.json``.
    out : Path
        Folder with every file.
    seconds : float
        Wall time.
    """

    pages: dict[str, Document]
    summary: dict[str, Any]
    out: Path
    seconds: float


def load_study_config(settings: Sequence[str] = (), seed: int | None = None) -> tuple[StudyConfig, TapeConfig]:
    """Return the settings of the study and of its tape (``tape.key=value``) over their defaults.

    Raises
    ------
    ConfigError
        A setting is no ``key=value``, its key unknown or its value out of range.

    Examples
    --------
    >>> load_study_config(["warmup_s=30", "tape.levels=5"], seed=3)[0].seed
    3
    """
    values = {**StudyConfig().to_mapping(), "tape": TapeConfig().to_mapping()}
    if seed is not None:
        values["seed"] = seed
    for setting in settings:
        key, value = parse_setting(setting, "market.maker_fee_bps=0.2")
        for part in reversed(key.split(".")):
            value = {part: value}
        merge(values, value)
    tape = values.pop("tape")
    if not isinstance(tape, Mapping):
        raise ConfigError(f"tape was {tape!r}", hint="write tape.key=value, such as tape.levels=5")
    config = StudyConfig.from_mapping(values)
    if config.seed < 0:
        raise ConfigError(f"seed was {config.seed}", hint="0 or more")
    return config, TapeConfig.from_mapping(tape)


def study_making(
    source: Source,
    out: Path,
    config: StudyConfig | None = None,
    *,
    tape: TapeConfig | None = None,
    predictions: str | None = None,
    say: Say = silent,
) -> StudyResult:
    """Make the five studies of market making on a source.

    Parameters
    ----------
    source : Source
        One instrument; read once.
    out : Path
        Folder, made if missing; pages of an earlier study in it are replaced.
    config : StudyConfig, optional
        What the studies do.
    tape : TapeConfig, optional
        How the source becomes a tape.
    predictions : str, optional
        ``RUN_DIR:model`` whose out-of-sample predictions the study of signals sees besides the factors.
    say : callable
        Told how far it is.

    Raises
    ------
    MarketPrismError
        The source or a setting cannot be used, or the folder not be written.
    """
    config = config or StudyConfig()
    side = open_side(predictions) if predictions else None
    check_folder(out)
    started = time.perf_counter()
    market = _market(source, config, tape, say)
    quantity = config.order_quantity or median_trade(market.tape, config.warmup_s)
    ground = Ground(market.tape, config, quantity, distances=config.half_spreads or _distances(market))
    signals, predicted = _signals(market, config, side)
    base, unit = market.instrument.symbol.partition("-")[0], market.currency(inverse=config.market.inverse)
    context = Context(ground, market, source.spec, unit, base)
    seen = replace(ground, signals=signals, mids=_mids(market))
    pages: dict[str, Document] = {}
    found: dict[str, Any] = {}

    def make(name: str, study: Callable[[], tuple[Document, Sequence[Lane], dict[str, Any]]]) -> None:
        say("study", len(pages) / 5, name)
        document, lanes, more = study()
        pages[name] = document
        found[name] = {
            "headline": document.verdict.headline,
            "reasons": list(document.verdict.reasons),
            "lanes": [lane_summary(lane) for lane in lanes],
            **more,
        }

    make("symmetric", lambda: _symmetric(ground, context))
    make("optimal", lambda: _optimal(ground, context))
    make("signals", lambda: _with_signals(seen, context, predicted))
    make("inventory", lambda: _inventory(ground, context))
    make("competition", lambda: _competition(ground, context))
    first, last = market.span()
    summary = {
        "version": 1,
        "study": "making",
        "source": source.spec,
        "instrument": market.instrument.key,
        "unit": unit,
        "span": {"from": format_ns(first), "to": format_ns(last), "seconds": (last - first) / 1e9},
        "order_quantity": quantity,
        "distances_ticks": list(ground.distances),
        "gaps": market.report.gaps,
        "studies": plain(found),
        "config": config.to_mapping(),
        "hashes": {"data": market.data_hash, "config": config.hash, "code": marketprism.__version__},
    }
    documents = {**pages, "index": index_page(pages, context)}
    files = {f"{name}.html": render_page(document) for name, document in documents.items()}
    write_files(out, {**files, "summary.json": json_bytes(summary)})
    return StudyResult(pages, summary, out, time.perf_counter() - started)


def _market(source: Source, config: StudyConfig, tape: TapeConfig | None, say: Say) -> MarketTape:
    """Read a source with its factor rows."""
    engine = EngineConfig(buckets=BucketConfig(policy="time", t_target_s=config.signal_bucket_s), families=_FAMILIES)
    market = read_market(source, tape, engine, say)
    check_market(market, source.spec, trades=not config.market.fill_on_cross)
    return market


def _symmetric(ground: Ground, context: Context) -> tuple[Document, Sequence[Lane], dict[str, Any]]:
    study = study_symmetric(ground)
    return symmetric_page(study, context), [*study.lanes, study.limited], {}


def _optimal(ground: Ground, context: Context) -> tuple[Document, Sequence[Lane], dict[str, Any]]:
    study = study_optimal(ground)
    found = study.fit.intensity
    names = ("A", "k", "sigma", "A_stderr", "k_stderr", "sigma_stderr", "orders", "moves", "seconds")
    fit = None if found is None else {name: getattr(found, name) for name in names}
    return optimal_page(study, context), study.lanes, {"fit": fit}


def _with_signals(
    ground: Ground, context: Context, predicted: str | None
) -> tuple[Document, Sequence[Lane], dict[str, Any]]:
    study = study_signals(ground, predicted)
    against = [
        {"name": lane.name, **one.difference.to_mapping(), "p": one.p, "p_corrected": p}
        for lane, one, p in zip(study.skewed, study.differences, study.adjusted, strict=True)
    ]
    weights = [asdict(one) for one in study.weights]
    return signals_page(study, context), study.lanes, {"against_plain": against, "weights": weights}


def _inventory(ground: Ground, context: Context) -> tuple[Document, Sequence[Lane], dict[str, Any]]:
    study = study_inventory(ground)
    return inventory_page(study, context), study.lanes, {}


def _competition(ground: Ground, context: Context) -> tuple[Document, Sequence[Lane], dict[str, Any]]:
    study = study_competition(ground)
    more = {
        "alone": [lane_summary(lane) for lane in study.alone],
        "spread_shares": study.shares(study.together),
        "by_latency_ms": {
            f"{latency:g}": [lane.account.pnl for lane in lanes] for latency, lanes in study.by_latency.items()
        },
        "pnl_slowest_less_fastest": [one.difference.to_mapping() for one in study.slower],
        "slow_among_fast": race_summary(study.slow),
        "fast_among_slow": race_summary(study.fast),
        "twins": duel_summary(study.duel_alone, study.duels),
    }
    return competition_page(study, context), study.together, more


def _signals(market: MarketTape, config: StudyConfig, side: Side | None) -> tuple[SignalTape, str | None]:
    """Return factors, and predictions beside them as of each row."""
    factors = factor_signals(market, config.factors)
    if side is None:
        return factors, None
    model = prediction_signals(market, side)
    at = np.searchsorted(model.ts, factors.ts, side="right") - 1
    column = np.where(at >= 0, model.values[np.maximum(at, 0), 0], np.nan)
    return SignalTape(
        factors.ts, np.column_stack([factors.values, column]), (*factors.names, *model.names)
    ), model.names[0]


def _distances(market: MarketTape) -> tuple[float, ...]:
    """Choose the distances of symmetric makers: a grid that spans what the instrument does, on the whole tape."""
    frame, mids = market.frame, _mids(market)
    if frame is None or mids is None:
        return typical_distances(math.nan, math.nan)
    spread = frame["spread_ticks"].cast(float).drop_nulls().to_numpy()
    typical = float(np.nanmedian(spread)) if np.isfinite(spread).any() else math.nan
    return typical_distances(typical, volatility(*mids) / float(market.tape.tick_size))


def _mids(market: MarketTape) -> tuple[np.ndarray, np.ndarray] | None:
    frame = market.frame
    if frame is None:
        return None
    ts = frame["ts_known"].to_numpy().astype(np.int64) + market.tape.shift_ns
    return ts, frame["mid_last"].cast(float).fill_null(float("nan")).to_numpy()
