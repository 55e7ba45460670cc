"""``simulate compare``: calibrate generators on a source, run them, and set stylised facts side by side."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from marketprism.backtest.codes import TapeFlag, TapeKind
from marketprism.backtest.tape import Tape
from marketprism.backtest.tape_builder import tape_from_source
from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError, DataError, did_you_mean
from marketprism.core.timebase import NS
from marketprism.ingest.source import Source
from marketprism.pipelines.compare_document import compare_document
from marketprism.pipelines.files import check_folder, json_bytes, write_files
from marketprism.pipelines.runtime import Say, silent
from marketprism.report.page import render_page
from marketprism.simulate.calibrate import CALIBRATIONS, calibrate
from marketprism.simulate.calibrate_queues import Calibration
from marketprism.simulate.facts import StylisedFacts, facts_table, stylised_facts
from marketprism.simulate.flow import OrderFlow, order_flow
from marketprism.simulate.models import open_market
from marketprism.simulate.recording import RECORD_DTYPE, Recording, What, record_market

if TYPE_CHECKING:
    import polars as pl

__all__ = ["MarketComparison", "compare_markets", "record_source", "record_tape"]

_REACH_TICKS = 100_000
_CLOSE = 2.0
_WHAT = {
    TapeKind.BID: What.BID,
    TapeKind.ASK: What.ASK,
    TapeKind.NO_BID: What.BID,
    TapeKind.NO_ASK: What.ASK,
    TapeKind.BUY_TRADE: What.BUY,
    TapeKind.SELL_TRADE: What.SELL,
    TapeKind.CLEAR: What.CLEAR,
    TapeKind.GAP: What.LOST,
}


@dataclass(frozen=True)
class MarketComparison:
    """Generators beside the market on which they were calibrated.

    Attributes
    ----------
    facts : dict of str to StylisedFacts
        ``source`` first, then each generator.
    calibrations : dict of str to Calibration
        By generator.
    failed : dict of str to str
        Generators that this market cannot calibrate, and why.
    summary : dict
        Content of ``summary.json``.
    html : str
        The page.
    """

    facts: dict[str, StylisedFacts]
    calibrations: dict[str, Calibration]
    failed: dict[str, str]
    summary: dict[str, Any]
    html: str

    @property
    def table(self) -> pl.DataFrame:
        """The facts side by side; see :func:`~marketprism.simulate.facts.facts_table`."""
        return facts_table(self.facts)


def record_tape(tape: Tape) -> Recording:
    """Return a tape's exchange side as a recording; trades whose aggressor is unknown are left out."""
    events = tape.events[(tape.events["kind"] & TapeFlag.EXCHANGE) != 0]
    kind = events["kind"] & 63
    codes = np.zeros(64, np.int64)
    for one, what in _WHAT.items():
        codes[one] = what
    keep = codes[kind] > 0
    events, kind = events[keep], kind[keep]
    records = np.zeros(len(events), RECORD_DTYPE)
    records["ts"], records["tick"], records["what"] = events["exchange_ts"], events["tick"], codes[kind]
    gone = np.isin(kind, (TapeKind.NO_BID, TapeKind.NO_ASK))
    records["quantity"] = np.where(gone, 0.0, events["quantity"])
    return Recording(records, tape.tick_size, tape.key)


def record_source(source: Source, *, minutes: float = math.inf, symbol: str = "") -> Recording:
    """Record one instrument of a source, through the book's rules for gaps and sequences.

    Parameters
    ----------
    source : Source
        Read from its beginning.
    minutes : float
        Read no further than this from the first event.
    symbol : str
        Which instrument of a panel.

    Raises
    ------
    ConfigError
        A panel without ``symbol``, or one that is not there.
    DataError
        No book begins.
    """
    symbols = [instrument.symbol for instrument in source.instruments]
    if symbol and symbol not in symbols:
        raise ConfigError(f"symbol was {symbol!r}", hint=did_you_mean(symbol, symbols))
    if len(symbols) > 1 and symbols.count(symbol) != 1:
        raise ConfigError(
            f"{source.spec} holds {len(symbols)} instruments", hint=f"name one of {', '.join(symbols[:5])} as symbol"
        )
    instrument = source.instruments[symbols.index(symbol) if symbol else 0]
    blocks = _until(source, minutes)
    return record_tape(tape_from_source(blocks, instrument, latency_ns=0, reach_ticks=_REACH_TICKS))


def _until(blocks: Iterable[EventBlock], minutes: float) -> Iterator[EventBlock]:
    first: int | None = None
    for block in blocks:
        if not len(block):
            continue
        first = int(block.rows["ts_event"][0]) if first is None else first
        if not math.isfinite(minutes):
            yield block
            continue
        late = np.flatnonzero(block.rows["ts_event"] > first + minutes * 60 * NS)
        if late.size:
            yield block[: int(late[0])]
            return
        yield block


def compare_markets(
    source: Source,
    models: Sequence[str] = (),
    *,
    out: Path | None = None,
    minutes: float = math.inf,
    symbol: str = "",
    seed: int = 1,
    say: Say = silent,
) -> MarketComparison:
    """Calibrate generators on a source, run each for as long, and compare stylised facts.

    Parameters
    ----------
    source : Source
        With book and trades.
    models : sequence of str
        Generators; all by default.
    out : Path, optional
        Folder for ``report.html``, ``summary.json``, ``facts.parquet`` and ``models/NAME.json``, each of which streams
        as ``sim:?model=NAME&config=models/NAME.json``.
    minutes : float
        Read no more of the source than this.
    symbol : str
        Which instrument of a panel.
    seed : int
        Of the simulated markets.
    say : callable
        Told how far it is.

    Raises
    ------
    ConfigError
        Unknown generator or symbol.
    DataError
        The source has no book or too few trades, or none of the generators can be calibrated on it.
    """
    chosen = tuple(dict.fromkeys(models)) or tuple(CALIBRATIONS)
    for name in chosen:
        if name not in CALIBRATIONS:
            raise ConfigError(f"model was {name!r}", hint=did_you_mean(name, CALIBRATIONS))
    if not minutes > 0:
        raise ConfigError(f"minutes was {minutes}", hint="positive")
    if out is not None:
        check_folder(out)
    say("read", None, source.spec)
    try:
        flow = order_flow(record_source(source, minutes=minutes, symbol=symbol))
        facts = {"source": stylised_facts(flow)}
    except DataError as error:
        raise DataError(f"{source.spec}: {error}") from error
    calibrations: dict[str, Calibration] = {}
    failed: dict[str, str] = {}
    for place, name in enumerate(chosen):
        say("calibrate", place / len(chosen), name)
        try:
            found = calibrate(name, flow, seed=seed)
            facts[name] = stylised_facts(order_flow(record_market(open_market(name, found.config))))
        except (DataError, ConfigError) as error:
            failed[name] = str(error)
            continue
        calibrations[name] = found
    if not calibrations:
        raise DataError(f"no generator could be calibrated on {source.spec}", hint="; ".join(failed.values()))
    summary = _summary(source, flow, facts, calibrations, failed)
    html = render_page(compare_document(facts, calibrations, failed, summary))
    result = MarketComparison(facts, calibrations, failed, summary, html)
    if out is not None:
        _write(out, result)
    return result


def _summary(
    source: Source,
    flow: OrderFlow,
    facts: dict[str, StylisedFacts],
    calibrations: dict[str, Calibration],
    failed: dict[str, str],
) -> dict[str, Any]:
    table = facts_table(facts)
    models: dict[str, Any] = {}
    for name, found in calibrations.items():
        z = table[f"{name} z"].drop_nulls().abs().to_numpy()
        models[name] = {
            "config": f"models/{name}.json",
            "compared": len(z),
            "close": int((z <= _CLOSE).sum()),
            "median_z": float(np.median(z)) if len(z) else None,
            "estimates": [
                {"name": e.name, "value": _finite(e.value), "error": _finite(e.error), "orders": e.orders}
                for e in found.estimates
            ],
            "notes": list(found.notes),
        }
    # The closest has the most facts within two standard errors; ties go to the smaller median distance.
    ranked = sorted(models, key=lambda name: (-models[name]["close"], models[name]["median_z"] or math.inf))
    return {
        "version": 1,
        "source": source.spec,
        "series": flow.recording.key,
        "span_s": flow.span_s,
        "orders": len(flow.orders),
        "market_orders": len(flow.market_orders()),
        "unit": flow.unit,
        "facts": {row["fact"]: {k: v for k, v in row.items() if k != "fact"} for row in table.iter_rows(named=True)},
        "ranking": ranked,
        "models": models,
        "failed": failed,
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _write(out: Path, result: MarketComparison) -> None:
    models = {f"models/{name}.json": found.config.to_mapping() for name, found in result.calibrations.items()}
    write_files(
        out,
        {
            **{name: json_bytes(values) for name, values in models.items()},
            "facts.parquet": result.table,
            "summary.json": json_bytes(result.summary),
            "report.html": result.html,
        },
    )
    for old in (out / "models").glob("*.json"):
        if f"models/{old.name}" not in models:
            old.unlink()
