"""hftbacktest files: records to events, events to records, and the two orders."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from marketprism.core.block import EventBlock, concat
from marketprism.core.errors import ConfigError, DataError, SourceError
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind
from marketprism.core.rows import empty_rows
from marketprism.ingest import hftbacktest_events as hft
from marketprism.ingest.export_hftbacktest import export_hftbacktest, order_records
from marketprism.ingest.files.hftbacktest import HftbacktestSource
from marketprism.ingest.registry import parse_spec

_T = 1_700_000_000_000_000_000
_BOTH = hft.EXCH_EVENT | hft.LOCAL_EVENT
_BTC = Instrument(exchange="x", market_type="linear", symbol="BTC-USDT", tick_size=Decimal("0.1"))


def _records(*items):
    """Records from (code, side, exchange time, local time, price, quantity, order id)."""
    records = np.zeros(len(items), hft.EVENT_DTYPE)
    for record, (code, side, exch, local, px, qty, *order) in zip(records, items, strict=True):
        flag = {1: hft.BUY_EVENT, -1: hft.SELL_EVENT, 0: 0}[side]
        record["ev"] = code | flag
        record["exch_ts"], record["local_ts"], record["px"], record["qty"] = _T + exch, _T + local, px, qty
        record["order_id"] = order[0] if order else 0
    return records


def _save(tmp_path, records, name="btcusdt_20231114.npz", **arrays):
    path = tmp_path / name
    if name.endswith(".npy"):
        np.save(path, records)
    else:
        np.savez_compressed(path, **(arrays or {"data": records}))
    return str(path)


def _read(path, options="tick=0.1", **arguments):
    source = HftbacktestSource(parse_spec(f"hftbacktest:{path}?{options}"), **arguments)
    return source, concat(source)


def _load(path):
    with np.load(path) as archive:
        return archive["data"]


_TAPE = _records(
    (hft.DEPTH_CLEAR_EVENT, 1, 0, 10, np.nan, 0),
    (hft.DEPTH_SNAPSHOT_EVENT, 1, 0, 10, 100.0, 1),
    (hft.DEPTH_SNAPSHOT_EVENT, 1, 0, 10, 99.9, 2),
    (hft.DEPTH_CLEAR_EVENT, -1, 0, 10, np.nan, 0),
    (hft.DEPTH_SNAPSHOT_EVENT, -1, 0, 10, 100.1, 3),
    (hft.TRADE_EVENT, -1, 20, 25, 100.0, 0.5),
    (hft.TRADE_EVENT, 0, 20, 25, 100.1, 0.25),
    (hft.DEPTH_EVENT, 1, 18, 30, 100.0, 0),
    (hft.DEPTH_EVENT, -1, 18, 30, 100.1, 4),
    (hft.DEPTH_BBO_EVENT, 1, 40, 45, 99.9, 2),
    (hft.DEPTH_BBO_EVENT, -1, 40, 45, 100.1, 4),
    (hft.DEPTH_BBO_EVENT, 1, 40, 45, 99.8, 3),
    (hft.ADD_ORDER_EVENT, 1, 50, 55, 99.7, 1, 77),
    (hft.MODIFY_ORDER_EVENT, 1, 51, 56, 99.7, 0.5, 77),
    (hft.FILL_EVENT, 1, 52, 57, 99.7, 0.25, 77),
    (hft.CANCEL_ORDER_EVENT, 1, 53, 58, 99.7, 0.25, 77),
    (hft.DEPTH_CLEAR_EVENT, 1, 60, 65, np.nan, 0),
    (hft.DEPTH_CLEAR_EVENT, -1, 60, 65, np.nan, 0),
)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_records_become_messages_whatever_the_batch(tmp_path, size):
    path = _save(tmp_path, order_records(_TAPE))
    source, block = _read(path, batch_records=size, block_rows=size)
    rows = block.rows
    assert [EventKind(kind).name for kind in rows["kind"]] == [
        "BOOK_SNAPSHOT", "BOOK_SNAPSHOT", "BOOK_SNAPSHOT", "TRADE", "TRADE", "BOOK_DELTA", "BOOK_DELTA",
        "QUOTE", "QUOTE", "QUOTE", "ORDER_ADD", "ORDER_MODIFY", "ORDER_EXECUTE", "ORDER_DELETE", "BOOK_SNAPSHOT",
    ]  # fmt: skip
    assert rows["flags"].tolist() == [1, 0, 2, 3, 3, 1, 2, 1, 2, 3, 3, 3, 3, 3, 3]
    assert rows["price"].tolist()[:6] == [1000, 999, 1001, 1000, 1001, 1000]
    assert rows["side"].tolist()[:6] == [1, 1, -1, -1, 0, 1]
    assert rows["event_id"].tolist()[10:14] == [77] * 4
    assert rows["quantity"][-1] == 0
    assert (rows["ts_recv"][:3] - rows["ts_event"][:3]).tolist() == [10] * 3
    assert source.report.notes["exchange-only records (their local twins are the events)"] == 2


def test_export_of_import_is_the_same_file(tmp_path):
    path = _save(tmp_path, order_records(_TAPE))
    source, _ = _read(path)
    again = tmp_path / "again.npz"
    result = export_hftbacktest(source, again)
    first, second = _load(path), _load(again)
    assert len(first) == len(second) == len(_TAPE) + 2
    for name in hft.EVENT_DTYPE.names:
        assert np.array_equal(first[name], second[name], equal_nan=name in {"px", "qty", "fval"})
    assert result.records == 20
    assert result.duplicated == 2
    twice = tmp_path / "twice.npz"
    export_hftbacktest(source, twice)
    assert twice.read_bytes() == again.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.npz", "btcusdt_20231114.npz", "twice.npz"]


def _documented_order(records):
    """hftbacktest's documented merge of the two orders, one record at a time."""
    by_exch = sorted(range(len(records)), key=lambda i: records["exch_ts"][i])
    by_local = sorted(range(len(records)), key=lambda i: records["local_ts"][i])
    out = []
    while by_exch or by_local:
        a = by_exch[0] if by_exch else None
        b = by_local[0] if by_local else None
        key_a = (records["exch_ts"][a], records["local_ts"][a]) if a is not None else None
        key_b = (records["exch_ts"][b], records["local_ts"][b]) if b is not None else None
        if key_a is not None and key_a == key_b:
            out.append((a, _BOTH))
            by_exch.pop(0)
            by_local.pop(0)
        elif key_b is None or (key_a is not None and key_a < key_b):
            out.append((a, hft.EXCH_EVENT))
            by_exch.pop(0)
        else:
            out.append((b, hft.LOCAL_EVENT))
            by_local.pop(0)
    return out


@pytest.mark.parametrize("seed", range(20))
def test_both_orders_hold(seed):
    rng = np.random.default_rng(seed)
    records = np.zeros(60, hft.EVENT_DTYPE)
    records["local_ts"] = rng.integers(0, 40, 60)
    if seed % 2:
        records["local_ts"].sort()
    records["exch_ts"] = records["local_ts"] - rng.integers(0, 12, 60)
    records["order_id"] = np.arange(60)
    ordered = order_records(records)
    expected = _documented_order(records)
    assert ordered["order_id"].tolist() == [index for index, _ in expected]
    assert ordered["ev"].tolist() == [flag for _, flag in expected]
    for flag, clock in ((hft.EXCH_EVENT, "exch_ts"), (hft.LOCAL_EVENT, "local_ts")):
        mine = ordered[(ordered["ev"] & np.uint64(flag)) != 0]
        assert sorted(mine["order_id"].tolist()) == list(range(60))
        assert (np.diff(mine[clock]) >= 0).all()


def test_range_clears_as_the_converters_write_them(tmp_path):
    tape = _TAPE[:-2].copy()
    tape["px"][0], tape["px"][3] = 99.9, 100.1
    path = _save(tmp_path, order_records(tape))
    source, block = _read(path)
    assert block.rows["flags"].tolist()[:3] == [1, 0, 2]
    again = tmp_path / "again.npz"
    export_hftbacktest(source, again, clear="range")
    first, second = _load(path), _load(again)
    assert len(first) > 0
    assert (first == second).all()


@pytest.mark.parametrize("size", [1, 2, 100])
def test_snapshots_without_a_clear_only_set_levels_later(tmp_path, size):
    tape = _records(
        (hft.DEPTH_SNAPSHOT_EVENT, 1, 0, 10, 100.0, 1),
        (hft.DEPTH_SNAPSHOT_EVENT, 1, 20, 30, 99.0, 1),
        (hft.DEPTH_CLEAR_EVENT, 1, 40, 50, 99.0, 0),
        (hft.DEPTH_SNAPSHOT_EVENT, 1, 40, 50, 99.0, 1),
    )
    source, block = _read(_save(tmp_path, order_records(tape)), batch_records=size)
    assert [EventKind(kind).name for kind in block.rows["kind"]] == ["BOOK_SNAPSHOT", "BOOK_DELTA", "BOOK_SNAPSHOT"]
    assert source.report.notes == {"snapshots that clear one side (taken as whole books)": 1}


def test_float_noise_is_rounded_and_told_and_off_tick_rejected(tmp_path):
    tape = _records(
        (hft.TRADE_EVENT, 1, 0, 10, 204728 * 0.1, 1),
        (hft.TRADE_EVENT, 1, 0, 11, 20472.85, 1),
    )
    assert tape["px"][0] != 20472.8
    source, block = _read(_save(tmp_path, order_records(tape)))
    assert block.rows["price"].tolist() == [204728]
    assert source.report.notes["prices off the grid by float noise (rounded)"] == 1
    assert (
        source.report.rejected["px is off tick"]
        .examples[0]
        .startswith("btcusdt_20231114.npz: record 1: px is off tick")
    )


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("ev", hft.TRADE_EVENT, "neither EXCH nor LOCAL"),
        ("ev", 9 | _BOTH, "unknown event code"),
        ("ev", hft.TRADE_EVENT | _BOTH | hft.BUY_EVENT | hft.SELL_EVENT, "both BUY and SELL"),
        ("ev", hft.DEPTH_EVENT | _BOTH, "no side"),
        ("exch_ts", 1_700_000_000_000, "time is not in ns"),
        ("local_ts", -5, "time is not in ns"),
        ("px", np.nan, "px is not a number"),
        ("px", 0.0, "px is not positive"),
        ("px", 1e308, "px is out of range"),
        ("qty", np.inf, "qty is not a number"),
        ("qty", -1.0, "qty is negative"),
        ("qty", 1e300, "qty is out of range"),
        ("qty", 0.0, "trade qty is zero"),
    ],
)
def test_malformed_records(tmp_path, field, value, reason):
    tape = order_records(_records((hft.TRADE_EVENT, 1, 0, 10, 100.0, 1), (hft.TRADE_EVENT, 1, 5, 15, 100.0, 1)))
    tape[field][0] = value
    path = _save(tmp_path, tape)
    source, block = _read(path)
    assert len(block) == 1
    assert {r: rejection.count for r, rejection in source.report.rejected.items()} == {reason: 1}
    with pytest.raises(DataError, match=reason):
        _read(path, "tick=0.1&strict=1")


def test_order_ids_beyond_int64(tmp_path):
    tape = order_records(
        _records((hft.ADD_ORDER_EVENT, 1, 0, 10, 100.0, 1, 2**63), (hft.ADD_ORDER_EVENT, 1, 0, 10, 100.0, 1, 5))
    )
    source, block = _read(_save(tmp_path, tape))
    assert block.rows["event_id"].tolist() == [5]
    assert "order_id is out of range" in source.report.rejected


def test_the_instrument_comes_from_options_or_the_name(tmp_path):
    path = _save(tmp_path, order_records(_TAPE))
    source, _ = _read(path, "exchange=binance&market_type=spot")
    assert source.instrument.key == "binance:spot:BTC-USDT"
    assert source.instrument.tick_size == Decimal("0.1")
    assert "distinct prices" in str(source.report.facts)
    assert _read(path, "symbol=XBTUSD")[0].instrument.symbol == "BTC-USD"
    with pytest.raises(ConfigError, match="market_type was 'swap'"):
        _read(path, "market_type=swap")


def test_files_follow_each_other_and_npy_is_read(tmp_path):
    later = _TAPE.copy()
    later["exch_ts"] += 1000
    later["local_ts"] += 1000
    one = _save(tmp_path, order_records(_TAPE), "a.npy")
    two = _save(tmp_path, order_records(later), "b.npz")
    source, block = _read(f"{two},{one}")
    assert len(block) == 30
    assert (np.diff(block.rows["ts_recv"]) >= 0).all()
    assert source.files == (one, two)


def test_unusable_files(tmp_path):
    with pytest.raises(SourceError, match="file not found"):
        _read(str(tmp_path / "none.npz"))
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "junk.npz").write_bytes(b"junk")
    (tmp_path / "junk.npy").write_bytes(b"junk" * 9)
    for name, message in (("empty.npz", "is empty"), ("junk.npz", "is corrupt"), ("junk.npy", "no NumPy array")):
        with pytest.raises(SourceError, match=message):
            _read(str(tmp_path / name))
    with pytest.raises(SourceError, match="holds an array of float64"):
        _read(_save(tmp_path, np.zeros(3), "floats.npz"))
    with pytest.raises(SourceError, match=r"holds the arrays a.npy, b.npy"):
        _read(_save(tmp_path, None, "two.npz", a=np.zeros(1), b=np.zeros(1)))
    with pytest.raises(SourceError, match="holds no records"):
        _read(_save(tmp_path, np.zeros(0, hft.EVENT_DTYPE), "none.npz"))
    whole = _save(tmp_path, order_records(_TAPE), "whole.npy")
    (tmp_path / "cut.npy").write_bytes(Path(whole).read_bytes()[:-70])
    with pytest.raises(SourceError, match="is truncated"):
        _read(str(tmp_path / "cut.npy"))


def _block(latency=5):
    rows = empty_rows(3)
    rows["kind"], rows["flags"], rows["side"] = EventKind.TRADE, 3, 1
    rows["price"], rows["quantity"] = 1000, [1.0, 0.0, 2.0]
    rows["ts_event"] = _T + np.arange(3)
    rows["ts_recv"] = rows["ts_event"] + latency
    return EventBlock(rows, (_BTC,))


def test_export_refuses_or_shifts_negative_latency(tmp_path):
    path = tmp_path / "x.npz"
    with pytest.raises(DataError, match="received 7 ns before"):
        export_hftbacktest([_block(-7)], path)
    assert not path.exists()
    result = export_hftbacktest([_block(-7)], path, negative_latency="shift", base_latency_ns=100)
    assert result.shift_ns == 107
    assert (_load(path)["local_ts"] - _load(path)["exch_ts"]).tolist() == [100, 100]
    assert result.skipped == {"trade": 1}


def test_export_errors(tmp_path):
    with pytest.raises(DataError, match="nothing to export"):
        export_hftbacktest([], tmp_path / "x.npz")
    with pytest.raises(ConfigError, match="clear was 'al'"):
        export_hftbacktest([_block()], tmp_path / "x.npz", clear="al")
    panel = EventBlock(_block().rows, (_BTC, _BTC))
    with pytest.raises(DataError, match="2 instruments"):
        export_hftbacktest([panel], tmp_path / "x.npz")


def test_export_does_not_mind_where_blocks_end(tmp_path):
    _, block = _read(_save(tmp_path, order_records(_TAPE)))
    whole, cut = tmp_path / "whole.npz", tmp_path / "cut.npz"
    export_hftbacktest([block], whole)
    export_hftbacktest(block.chunks(1), cut)
    assert whole.read_bytes() == cut.read_bytes()
