"""Text tables, column parsing, merging: the ground floor of the table formats."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from marketprism.core.errors import ConfigError, DataError, SourceError
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind
from marketprism.core.rows import empty_rows
from marketprism.ingest.merge import Chunk, join, merge_chunks, to_blocks
from marketprism.ingest.row_builders import ReceiveOrder, base_units, payload_rows
from marketprism.ingest.source import Source
from marketprism.ingest.symbols import canonical_symbol
from marketprism.ingest.text_columns import Checks, Clock, PriceGrid, duration_ns, integers, numbers, quantities, sides
from marketprism.ingest.text_table import TextTable, check_columns
from marketprism.ingest.ticks import infer_tick, parse_tick
from marketprism.ingest.time_jumps import JumpFilter

_BTC = Instrument(exchange="x", market_type="spot", symbol="BTC-USDT", tick_size=Decimal("0.01"))
_US = 1_700_000_000_000_000


class _Sink(Source):
    def _blocks(self):
        yield from ()


def _sink(*, strict=False):
    return _Sink("test:", (_BTC,), strict=strict)


def _table(tmp_path, text, **options):
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return TextTable(str(path), **options)


def _checks(tmp_path, header, *lines, **options):
    table = _table(tmp_path, "\n".join([header, *lines]) + "\n", **options)
    batch = next(table.batches())
    return Checks(batch, ~table.content_mask(batch).to_numpy())


@pytest.mark.parametrize("size", [1, 5, 20, 4096])
def test_lines_keep_their_numbers_whatever_the_batch(tmp_path, size):
    text = b'\xef\xbb\xbf#c\n\na,b,c\r\n1,2.5,x\r\n\n3,ban,y\n#mid,comment\n4,5\n6,7,8,9\n"q,8,z\n1,2,\xff\n,,\n\n7,8,9'
    table = _table(tmp_path, text, comment="#", batch_bytes=size)
    assert table.columns == ("a", "b", "c")
    seen = []
    for batch in table.batches():
        rows = np.flatnonzero(table.content_mask(batch).to_numpy()).tolist()
        seen += [(batch.where(row), batch.record(row)) for row in rows]
    assert seen == [
        ("t.csv:4", "1,2.5,x"),
        ("t.csv:6", "3,ban,y"),
        ("t.csv:8", "4,5"),
        ("t.csv:9", "6,7,8,9"),
        ("t.csv:10", '"q,8,z'),
        ("t.csv:11", "1,2,\N{REPLACEMENT CHARACTER}"),
        ("t.csv:14", "7,8,9"),
    ]


def test_headerless_table_begins_at_its_first_line(tmp_path):
    table = _table(tmp_path, b"\xef\xbb\xbf1,1\n2,2\n", columns=["a", "b"])
    batch = next(table.batches())
    assert batch.frame["a"].to_list() == ["1", "2"]
    assert batch.where(1) == "t.csv:2"


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,a\n1,2\n", "twice"), ("#x\n\n", "all blank or comments"), ("", "is empty")],
)
def test_unusable_table_is_an_error(tmp_path, text, message):
    with pytest.raises(SourceError, match=message):
        _table(tmp_path, text, comment="#")


def test_head_needs_rows_and_ignores_the_batch_size(tmp_path):
    table = _table(tmp_path, "a\n1\n2\n3\n", batch_bytes=1)
    assert table.head().frame["a"].to_list() == ["1", "2", "3"]
    with pytest.raises(SourceError, match="header and no rows"):
        _table(tmp_path, "a\n").head()


def test_a_line_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("marketprism.ingest.text_table.MAX_LINE_BYTES", 100)
    table = _table(tmp_path, "a,b\n1,2\n" + "x" * 500, batch_bytes=50)
    with pytest.raises(SourceError, match=r"t.csv:3 is longer than 100 bytes"):
        list(table.batches())


def test_unknown_columns_are_named_with_the_nearest_known():
    with pytest.raises(SourceError, match=r"unknown column 'prise'.*did you mean 'price'"):
        check_columns("f", ["price", "prise"], ["price"])


def test_number_guards_name_their_reason(tmp_path):
    bad = ["nan", "inf", "1e400", "banana", "", "1" * 50, "1_000", "0x10"]
    checks = _checks(tmp_path, "x,y", "1.5,a", *[f"{text},a" for text in bad], "2,a,surplus")
    values = numbers(checks, "x")
    source = _sink()
    assert checks.report(source).tolist() == [True] + [False] * 9
    assert values[0] == 1.5
    assert {reason: r.count for reason, r in source.report.rejected.items()} == {
        "x is not a number": 4,
        "x is not finite": 2,
        "x is blank": 1,
        "x has too many digits": 1,
        "more fields than columns": 1,
    }
    assert source.report.records == 10


@pytest.mark.parametrize("text", ["", '""'])
def test_optional_blank_is_nan_and_accepted(tmp_path, text):
    checks = _checks(tmp_path, "x,y", f"{text},1")
    assert np.isnan(numbers(checks, "x", required=False)).all()
    assert checks.good.all()


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ("0", "price is not positive"),
        ("-3", "price is not positive"),
        ("1e308", "price is out of range"),
        ("9223372036854775808", "price is out of range"),
        ("0.015", "price is off tick 0.01"),
        ("100000.001", "price is off tick 0.01"),
    ],
)
def test_price_guards(tmp_path, price, reason):
    checks = _checks(tmp_path, "price,y", f"{price},1", "20377.10,1")
    ticks, _ = PriceGrid((_BTC,)).ticks(checks, "price", np.zeros(2, np.int16))
    source = _sink()
    assert checks.report(source).tolist() == [False, True]
    assert list(source.report.rejected) == [reason]
    assert ticks.tolist() == [0, 2037710]


def test_every_price_on_the_grid_is_exact(tmp_path):
    rng = np.random.default_rng(7)
    for tick in ("0.01", "0.5", "0.00001", "2.5", "10", "0.025"):
        instrument = Instrument(exchange="x", market_type="spot", symbol="S", tick_size=Decimal(tick))
        ticks = rng.integers(1, 10**9, 500)
        lines = [f"{Decimal(int(n)) * Decimal(tick)},1" for n in ticks]
        checks = _checks(tmp_path, "price,y", *lines)
        found, price = PriceGrid((instrument,)).ticks(checks, "price", np.zeros(500, np.int16))
        assert checks.good.all()
        assert (found == ticks).all()
        assert (PriceGrid((instrument,)).prices(found, np.zeros(500, np.int16)) == price).all()


def test_quantity_guards(tmp_path):
    checks = _checks(tmp_path, "q,y", "-1,1", "1e308,1", "0,1", "0.1,1")
    values = quantities(checks, "q", positive=True)
    source = _sink()
    assert checks.report(source).tolist() == [False, False, False, True]
    assert values[3] == 0.1
    assert set(source.report.rejected) == {"q is negative", "q is out of range", "q is zero"}


def test_ids_and_sides(tmp_path):
    checks = _checks(tmp_path, "id,side", "7,BUY", "8.0,sell", "ab,buy", "9,banana", ",buy")
    assert integers(checks, "id", strict=False).tolist() == [7, -1, -1, 9, -1]
    assert integers(checks, "id").tolist() == [7, 8, -1, 9, -1]
    assert sides(checks, "side", {"buy": 1, "sell": -1}).tolist() == [1, -1, 1, 0, 1]
    assert checks.good.tolist() == [True, True, False, False, True]


@pytest.mark.parametrize(
    ("text", "unit", "ns"),
    [
        ("1700000000", "s", 1_700_000_000_000_000_000),
        ("1700000000123", "ms", 1_700_000_000_123_000_000),
        ("1700000000123456", "us", 1_700_000_000_123_456_000),
        ("1700000000123456789", "ns", 1_700_000_000_123_456_789),
        ("1700000000.123456789", "s", 1_700_000_000_123_456_789),
        ("2023-11-14 22:13:20", "iso", 1_700_000_000_000_000_000),
        ("2023-11-14T22:13:20.5Z", "iso", 1_700_000_000_500_000_000),
        ("2023/11/14 22:13:20 UTC", "iso", 1_700_000_000_000_000_000),
        ("2023-11-14 23:13:20+01", "iso", 1_700_000_000_000_000_000),
        ("2023-11-14T23:13:20.000000001+01:00", "iso", 1_700_000_000_000_000_001),
        ("2023-11-14", "iso", 1_699_920_000_000_000_000),
    ],
)
def test_clock_tells_the_unit(tmp_path, text, unit, ns):
    checks = _checks(tmp_path, "t,y", "garbage,1", f"{text},1")
    clock = Clock("t.csv", "t")
    assert clock.times(checks)[1] == ns
    assert clock.found == unit
    assert checks.good.tolist() == [False, True]


def test_clock_uses_its_zone_and_its_midnight(tmp_path):
    checks = _checks(tmp_path, "t,y", "2012-06-21 09:30:00,1", "2012-03-11 02:30:00,1")
    zoned = Clock("t.csv", "t", "iso", timezone="America/New_York")
    assert zoned.times(checks)[0] == 1_340_285_400_000_000_000
    assert checks.good.tolist() == [True, False]  # 02:30 does not exist on that day
    checks = _checks(tmp_path, "t,y", "3074,1", "-5,1", "999999999999,1")
    midnight = Clock("t.csv", "t", "ms", base_ns=10**18)
    assert midnight.times(checks)[0] == 10**18 + 3_074_000_000
    assert checks.good.tolist() == [True, False, False]


@pytest.mark.parametrize("first_batch_only", [True, False])
def test_two_units_in_one_file_are_refused_naming_the_line_and_both(tmp_path, first_batch_only):
    lines = ["1700000000123,1", "oops,1", "1700000000123456,1"]
    table = _table(tmp_path, "t,y\n" + "\n".join(lines) + "\n", batch_bytes=4096 if first_batch_only else 1)
    clock = Clock("t.csv", "t")

    def read():
        for batch in table.batches():
            clock.times(Checks(batch, ~table.content_mask(batch).to_numpy()))

    with pytest.raises(DataError, match=r"t.csv:4: t was 1700000000123456, in us; t.csv:2 says ms"):
        read()


def test_durations():
    assert duration_ns("1.5s") == 1_500_000_000
    assert duration_ns("1h") == 3_600_000_000_000
    with pytest.raises(ConfigError, match="latency was 'soon'"):
        duration_ns("soon")


def test_ticks_are_coarsened_only_on_evidence():
    many = [f"{n / 2:.2f}" for n in range(200, 300)]
    assert infer_tick(many, "f") == Decimal("0.5")
    assert infer_tick(many[:49], "f") == Decimal("0.01")
    assert infer_tick([*many, "7.03"], "f") == Decimal("0.01")
    assert infer_tick([str(n * 30) for n in range(1, 100)], "f") == Decimal(10)
    with pytest.raises(SourceError, match="no price"):
        infer_tick(["banana", "-1", "inf"], "f")
    for text in ("zero", "0", "inf"):
        with pytest.raises(ConfigError, match="tick was"):
            parse_tick(text)


@pytest.mark.parametrize(
    ("raw", "symbol"),
    [
        ("BTCTUSD", "BTC-TUSD"), ("DOTUSD", "DOT-USD"), ("BNBBUSD", "BNB-BUSD"), ("SHIBUSD", "SHIB-USD"),
        ("BTC/USDT", "BTC-USDT"), ("XBT/USD", "BTC-USD"), ("PI_XBTUSD", "BTC-USD"), ("XBTM20", "BTCM20"),
        ("BTC-26MAR21", "BTC-USD-26MAR21"), ("BTC-26MAR21-50000-C", "BTC-26MAR21-50000-C"),
        ("BTC-USD-210326", "BTC-USD-210326"), ("ethbtc", "ETH-BTC"), ("USDT", "USDT"),
    ],
)  # fmt: skip
def test_canonical_symbols(raw, symbol):
    assert canonical_symbol(raw) == symbol


def _chunks(times, size, mark):
    rows = empty_rows(len(times))
    rows["ts_recv"], rows["event_id"] = times, mark
    return [Chunk(rows[i : i + size]) for i in range(0, len(rows), size)]


@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 3, 5), (7, 1, 100)])
def test_merge_is_stable_and_independent_of_chunks(sizes):
    rng = np.random.default_rng(1)
    streams = [np.sort(rng.integers(0, 30, 40)) for _ in range(3)]
    merged = join(
        list(merge_chunks([iter(_chunks(t, n, i)) for i, (t, n) in enumerate(zip(streams, sizes, strict=True))]))
    )
    expected = sorted((int(t), i) for i, times in enumerate(streams) for t in times)
    assert list(zip(merged.rows["ts_recv"].tolist(), merged.rows["event_id"].tolist(), strict=True)) == expected


def test_merge_keeps_payloads_with_their_rows():
    def stream(times, offset):
        for t in times:
            at = np.array([t])
            yield payload_rows(EventKind.OPEN_INTEREST, at, at, np.zeros(1, int), {"base_quantity": at + offset})

    blocks = list(to_blocks(merge_chunks([stream([1, 4, 6], 0), stream([2, 4, 5], 100)]), (_BTC,), 2))
    assert [len(block) for block in blocks] == [2, 2, 2]
    values = [block.payload(EventKind.OPEN_INTEREST)["base_quantity"].tolist() for block in blocks]
    assert values == [[1, 102], [4, 104], [105, 6]]


def test_merge_reads_on_only_when_it_must():
    taken = []

    def stream():
        for t in range(0, 100, 10):
            taken.append(t)
            rows = empty_rows(1)
            rows["ts_recv"] = t
            yield Chunk(rows)

    other = empty_rows(1)
    other["ts_recv"] = 5
    merged = merge_chunks([stream(), iter([Chunk(other)])])
    next(merged)
    assert taken == [0, 10]


def test_receive_times_never_run_backwards_and_it_is_told():
    source = _sink()
    order = ReceiveOrder(source, "f")
    assert order.raise_times(np.array([5, 3, 7])).tolist() == [5, 5, 7]
    assert order.raise_times(np.array([6, 8])).tolist() == [7, 8]
    assert source.report.notes == {"receive time ran backwards (raised to the latest seen)": 2}
    assert source.report.facts == {"largest step back of receive time in f": "2 ns"}


def test_base_units_are_exact_decimals():
    amount = np.array([3.0, 7.0, 1e6])
    assert base_units(amount, amount, Decimal("0.1"), inverse=False).tolist() == [0.3, 0.7, 1e5]
    assert base_units(np.array([100.0]), np.array([6421.5]), Decimal(1), inverse=True).tolist() == [0.01557269]


def test_jump_filter_wants_confirmation():
    jumps = JumpFilter(100)
    assert jumps.unconfirmed(np.array([0, 10, 500, 20, 30]), final=False).tolist() == [False, False, True, False, False]
    assert jumps.unconfirmed(np.array([900, 950]), final=False).tolist() == [False, False]  # a true silence
    assert jumps.unconfirmed(np.array([5000, 5000]), final=True).tolist() == [True, True]
    assert JumpFilter(100).unconfirmed(np.array([], int), final=True).tolist() == []
    assert JumpFilter(100).unconfirmed(np.array([0, 500]), final=False).tolist() == [False, False]


def test_strict_raises_at_the_first_rejection(tmp_path):
    checks = _checks(tmp_path, "x,y", "banana,1")
    numbers(checks, "x")
    with pytest.raises(DataError, match=r"t.csv:2: x is not a number: was 'banana,1'"):
        checks.report(_sink(strict=True))
