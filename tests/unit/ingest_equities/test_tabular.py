"""The batched CSV reader: exact numbers, a line number for every rejection, kernel equal to its reference."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketprism.core.block import EventBlock
from marketprism.core.errors import DataError, SourceError
from marketprism.ingest import _csv_kernel as kernel
from marketprism.ingest import tabular
from marketprism.ingest.source import Source
from marketprism.ingest.tabular import Column, CsvFile, fixed_column, parse_fixed, read_header


class _Source(Source):
    def __init__(self, *, strict: bool = False) -> None:
        super().__init__("test:", (), strict=strict)

    def _blocks(self) -> Iterator[EventBlock]:  # pragma: no cover
        return iter(())


def _read(path: Path, columns: list[Column], **options: object) -> tuple[Source, list[tuple[int, tuple]]]:
    source = _Source()
    found = []
    for batch in CsvFile(source, path, columns=columns, **options):
        values = [batch[c.name].tolist() for c in columns]
        found += list(zip(batch.lines.tolist(), zip(*values, strict=True), strict=True))
    return source, found


def test_columns_of_every_kind(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbfid,price,size,side,note\r\n1,"1.25",0.1,B,\r\n\r\n-2,3,12345.678901,"S",x\r\n')
    header = read_header(path)
    assert header == ["id", "price", "size", "side", "note"]
    columns = [
        Column("id"),
        Column("price", digits=2),
        Column("size", "float"),
        Column("side", "text"),
        Column("note", "text", optional=True),
    ]
    source, rows = _read(path, columns, header=header)
    assert rows == [(2, (1, 125, 0.1, b"B", b"")), (4, (-2, 300, 12345.678901, b"S", b"x"))]
    assert source.report.records == 2
    assert source.report.rejected == {}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,2", "not 3 fields"),
        ("1,2,3,4", "not 3 fields"),
        ("x,2,3", "a is no number"),
        ("1.5,2,3", "a is no integer"),
        ("1_0,2,3", "a is out of range"),
        (",2,3", "a is empty"),
        ("9223372036854775808,2,3", "a is out of range"),
        ("1e308,2,3", "a is out of range"),
        ("1,nan,3", "b is no number"),
        ("1,inf,3", "b is out of range"),
        ("1,0.001,3", "b has more than 2 decimals"),
        ("1," + "9" * 70 + ",3", "b is out of range"),
        ("1,2,nan", "c is not finite or out of range"),
        ("1,2,1e999", "c is not finite or out of range"),
        ("1,2,banana", "c is no number"),
        ("1,2,", "c is empty"),
        ('1,"2,3', "broken quotes"),
        ("\x00\xff,2,3", "a is no number"),
    ],
)
def test_a_bad_row_is_named_and_its_neighbours_survive(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"1,1,1\n" + line.encode("latin-1") + b"\n3,3,3\n")
    columns = [Column("a", position=0), Column("b", digits=2, position=1), Column("c", "float", position=2)]
    source, rows = _read(path, columns, width=3)
    assert [number for number, _ in rows] == [1, 3]
    ((name, rejection),) = source.report.rejected.items()
    assert name.startswith(reason)
    assert rejection.count == 1
    assert rejection.examples[0].startswith("a.csv:2: ")
    with pytest.raises(DataError, match=r"a\.csv:2"):
        list(CsvFile(_Source(strict=True), path, columns=columns, width=3))


def test_unusual_but_good_numbers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(" 1 ,+1.5,1e-3\n9223372036854775807,1854.980000000000018,0.1234567890123456789\n5.0,2.,.5\n")
    columns = [Column("a", position=0), fixed_column("b", 4, position=1), Column("c", "float", position=2)]
    _, rows = _read(path, columns)
    assert [values for _, values in rows] == [
        (1, 15_000, 1e-3),
        (2**63 - 1, 18_549_800, 0.1234567890123456789),
        (5, 20_000, 0.5),
    ]


def test_optional_cells_and_a_line_that_ends_on_a_comma(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("1,,\n,2,x\n1,2,\n")
    columns = [
        Column("a", optional=True, default=-1, position=0),
        Column("b", "float", optional=True, position=1),
        Column("c", "text", optional=True, position=2),
    ]
    assert [values for _, values in _read(path, columns, width=3)[1]] == [
        (1, 0.0, b""),
        (-1, 2.0, b"x"),
        (1, 2.0, b""),
    ]
    for last in ([Column("c", optional=True, position=2)], [Column("c", "float", optional=True, position=2)]):
        path.write_text("1,2,\n")
        assert [values for _, values in _read(path, last)[1]] == [(0,)]
    assert _read(path, [Column("c", position=2)])[0].report.rejected_count == 1


def test_text_is_capped(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x" * 32 + "\n" + "x" * 33 + "\n")
    source, rows = _read(path, [Column("a", "text", position=0)])
    assert [number for number, _ in rows] == [1]
    assert list(source.report.rejected) == ["a is longer than 32 bytes"]


def test_a_line_beyond_the_cap_is_rejected_and_the_rest_survives(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"1,a\n2," + b"y" * (5 << 20) + b"\n3,c\n4," + b"z" * (3 << 20) + b"\n")
    source, rows = _read(path, [Column("a", position=0)])
    assert [number for number, _ in rows] == [1, 3]
    assert {name: r.count for name, r in source.report.rejected.items()} == {"line too long": 2}
    assert source.report.records == 4


@pytest.mark.parametrize("batch_lines", [1, 3, 7, 1000])
def test_batches_have_a_fixed_number_of_lines(
    tmp_path: Path, batch_lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tabular, "_READ", 11)
    path = tmp_path / "a.csv"
    path.write_text("h\n" + "".join(f"{i}\n" for i in range(50)) + "50")
    source = _Source()
    batches = list(CsvFile(source, path, columns=[Column("h")], header=["h"], batch_lines=batch_lines))
    assert np.concatenate([b["h"] for b in batches]).tolist() == list(range(51))
    assert np.concatenate([b.lines for b in batches]).tolist() == list(range(2, 53))
    assert all((b.lines - 1)[-1] // batch_lines == (b.lines - 1)[0] // batch_lines for b in batches if len(b))
    assert source.report.records == 51


def test_keep_rejects_with_line_and_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("1\n-1\n2\n")
    source = _Source()
    (batch,) = CsvFile(source, path, columns=[Column("a", position=0)])
    kept = batch.keep(batch["a"] > 0, source, "a not positive")
    assert kept["a"].tolist() == [1, 2]
    assert source.report.rejected["a not positive"].examples == ["a.csv:2: a not positive: was '-1'"]
    assert (kept.where(1), kept.raw(1)) == ("a.csv:3", "2")
    assert kept.keep(np.array([True, True]), source, "nothing") is kept


def test_header_faults(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b,a\n")
    with pytest.raises(SourceError, match="names column 'a' twice"):
        read_header(path)
    path.write_text("\n1\n")
    with pytest.raises(SourceError, match="no header"):
        read_header(path)
    path.write_text("# by someone\nid,px\n1,2\n")
    assert read_header(path, skip_lines=1) == ["id", "px"]
    with pytest.raises(SourceError, match=r"no column 'pq' \(known: id, px\)"):
        CsvFile(_Source(), path, columns=[Column("pq")], header=["id", "px"])
    with pytest.raises(SourceError, match="no column 'pq'"):
        CsvFile(_Source(), path, columns=[Column("pq")])
    _, rows = _read(path, [Column("px")], header=["id", "px"], skip_lines=1)
    assert rows == [(3, (2,))]


NUMBERS = st.one_of(
    st.from_regex(r"-?[0-9]{1,22}(\.[0-9]{0,24})?", fullmatch=True),
    st.from_regex(r"[-+]?[0-9.]{0,8}(e-?[0-9]{1,3})?", fullmatch=True),
    st.from_regex(r"-?[0-9]{1,4}(\.[0-9]{0,12})?[eE]-?[0-9]{1,2}", fullmatch=True),
    st.sampled_from(
        ["-", ".", "-.", "1.", ".1", "0", "-0", "0.5", "1.5", "2.5", "0.50000000000000000001", "1e", "1e-", "1e+5"]
    ),
)


@given(NUMBERS, st.integers(0, 9), st.booleans())
def test_the_kernel_agrees_with_the_reference(text: str, digits: int, exact: bool) -> None:
    data = np.frombuffer(text.encode() or b" ", np.uint8)
    ok, value = kernel._fixed(data, 0, len(data), digits, exact)
    if ok:
        assert parse_fixed(text, digits, exact=exact) == (value, "")
    ok, number = kernel._float(data, 0, len(data))
    if ok:
        assert number == float(text)


@given(st.integers(-(10**16), 10**16), st.integers(0, 8))
def test_plain_numbers_take_the_fast_path(mantissa: int, places: int) -> None:
    text = f"{Decimal(mantissa).scaleb(-places):f}"
    data = np.frombuffer(text.encode(), np.uint8)
    ok, value = kernel._fixed(data, 0, len(data), places, True)
    assert ok
    assert value == mantissa
    ok, number = kernel._float(data, 0, len(data))
    if ok:
        assert abs(Fraction(number) - Fraction(text)) <= abs(Fraction(text)) / 2**53
    else:
        assert abs(mantissa) > 2**53 // 100


def test_tiny_exponents_do_not_slip_through_as_zero() -> None:
    assert parse_fixed("1e-400", 8)[1] == "has more than 8 decimals"
    assert parse_fixed("1e-400", 8, exact=False) == (0, "")
    assert parse_fixed("0e-400", 8) == (0, "")
    assert parse_fixed("9e18", 0) == (9 * 10**18, "")
    assert parse_fixed("9.3e18", 0)[1] == "is out of range"
