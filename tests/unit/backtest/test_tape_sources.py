"""Tapes of whole sources show the same best quotes as the Book after every message."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.backtest.replay import same_as_book

import marketprism as mp
from marketprism.backtest.codes import TapeKind
from marketprism.backtest.tape import order_slot
from marketprism.backtest.tape_builder import TapeBuilder, tape_from_source
from marketprism.core.block import concat
from marketprism.core.errors import DataError


def test_simulated_market() -> None:
    source = mp.open_source("sim:?minutes=1&seed=3")
    blk = concat(source)
    tape = tape_from_source([blk])
    assert same_as_book(tape, blk) > 100
    assert tape.events.tobytes() == tape_from_source(source).events.tobytes()


@pytest.mark.slow
@pytest.mark.parametrize(("market", "levels"), [("usdm", None), ("usdm", 20), ("spot", None)])
def test_binance_capture(data_dir: Path, market: str, levels: int | None) -> None:
    source = mp.open_source(f"binance-ws:{data_dir}/binance_ws_20240808/{market}_btcusdt_20240808.gz")
    blk = concat(source)[:200_000]
    with pytest.raises(DataError, match="see the future"):
        tape_from_source([blk])
    builder = TapeBuilder(source.instrument, negative_latency="shift", levels=levels)
    builder.push(blk)
    tape = builder.finish()
    assert 1_200_000_000 < builder.report.shift_ns < 1_400_000_000
    assert same_as_book(tape, blk, builder.report.shift_ns) > 10_000
    low, high = tape.ticks()
    assert high - low < 1 << 22


@pytest.mark.slow
def test_lobster(data_dir: Path) -> None:
    source = mp.open_source(f"lobster:{data_dir}/lobster/LOBSTER_SampleFile_GOOG_2012-06-21_10.zip")
    blk = concat(source)[:60_000]
    assert same_as_book(tape_from_source([blk]), blk) > 20_000


@pytest.mark.slow
def test_level_1(data_dir: Path) -> None:
    folder = data_dir / "us_equity_l1_201310"
    blk = concat(mp.open_source(f"us-l1:{folder}/bac_20131007_quote.zip,{folder}/bac_20131007_trade.zip"))[:100_000]
    builder = TapeBuilder(blk.instrument)
    builder.push(blk)
    tape = builder.finish()
    assert same_as_book(tape, blk) > 20_000
    assert builder.report.trades > 1000
    assert tape.lot_size == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    ["bitstamp-l3:{}/bitstamp_l3_20150501", "ashare-orders:{}/ashare_l2/SH600519_20230201_entrust_trade_snapshot.zip"],
)
def test_order_by_order(data_dir: Path, spec: str) -> None:
    folder = Path(spec.partition(":")[2].format(data_dir))
    where = folder if folder.is_file() else next(p for p in sorted(folder.iterdir()) if p.suffix != ".md")
    blk = concat(mp.open_source(f"{spec.partition(':')[0]}:{where}"))[:40_000]
    builder = TapeBuilder(blk.instrument)
    for part in blk.chunks(7000):
        builder.push(part)
    tape = builder.finish()
    assert same_as_book(tape, blk) > 1000
    held: dict[int, float] = {}
    levels: dict[tuple[int, int], float] = {}
    compared = 0
    for event in tape.events:
        kind, tick, quantity = event["kind"] & 63, int(event["tick"]), float(event["quantity"])
        if kind >= TapeKind.ORDER_ADD:
            side, slot = order_slot(event)
            held[slot] = quantity if kind == TapeKind.ORDER_ADD else held[slot] - quantity
            change = quantity if kind == TapeKind.ORDER_ADD else -quantity
            levels[side, tick] = levels.get((side, tick), 0.0) + change
        elif kind in (TapeKind.BID, TapeKind.ASK):
            compared += 1
            assert levels[1 if kind == TapeKind.BID else -1, tick] == pytest.approx(quantity, abs=1e-6)
    assert compared > 10_000
    assert min(held.values()) > -1e-6
