"""Validated CSV reading in batches of typed columns, with constant memory and a line number for every rejection.

Plain rows are parsed by a Numba kernel straight from the bytes; a row with anything unusual (exponents, blanks,
19-digit numbers, a bad cell) is parsed again by the Python reference below, which accepts it or names what is wrong.
Numbers are exact: a fixed-point column is the decimal text times 10**digits, a float column is correctly rounded.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from pathlib import Path
from typing import Literal

import numpy as np

from marketprism.core.block import EventBlock
from marketprism.core.errors import SourceError, did_you_mean
from marketprism.ingest import _csv_kernel as kernel
from marketprism.ingest.files_io import display_name, open_binary
from marketprism.ingest.source import Source

__all__ = [
    "BATCH_LINES",
    "Column",
    "CsvBatch",
    "CsvFile",
    "first_lines",
    "fixed_column",
    "line_batches",
    "parse_fixed",
    "read_header",
    "scan_texts",
]

BATCH_LINES = 16_384
"""Lines a batch, good and bad: files that are read side by side stay aligned."""

_MAX_LINE = 1 << 20
_READ = 1 << 20
_CONTEXT = Context(prec=80)
_KINDS = {"fixed": kernel.FIXED, "float": kernel.FLOAT, "text": kernel.TEXT}


@dataclass(frozen=True, slots=True)
class Column:
    """One column to read.

    Parameters
    ----------
    name : str
        Key of the column in a batch, and its header name unless ``position`` is given.
    kind : {"fixed", "float", "text"}
        ``fixed``: int64, the number times ``10**digits``; ``float``: float64; ``text``: bytes, at most 32.
    digits : int, default 0
        Decimals of a fixed column: 0 makes it an integer column.
    exact : bool, default True
        Reject a fixed number with more decimals than ``digits``; otherwise it is rounded half to even (exports
        that went through binary floats write 1801.00999999999999 for 1801.01).
    optional : bool, default False
        An empty cell reads as ``default`` (empty text) and is not rejected.
    position : int, default -1
        Field index; -1: looked up by name in the header.
    """

    name: str
    kind: Literal["fixed", "float", "text"] = "fixed"
    digits: int = 0
    exact: bool = True
    optional: bool = False
    default: int = 0
    position: int = -1


def fixed_column(name: str, digits: int, *, optional: bool = False, position: int = -1) -> Column:
    """Return a fixed-point column that tolerates binary float noise beyond ``digits`` decimals."""
    return Column(name, "fixed", digits, exact=False, optional=optional, position=position)


@dataclass(slots=True)
class CsvBatch:
    """Accepted rows of consecutive lines, as columns.

    Attributes
    ----------
    file : str
        Name for messages.
    lines : int64 ndarray, shape (n,)
        Line number of each row, from 1.
    columns : dict of str to ndarray
        Column values: int64, float64, or ``S32`` for text.
    line_count : int
        Lines of the file that the batch covers, blank and rejected ones too.
    """

    file: str
    lines: np.ndarray
    columns: dict[str, np.ndarray]
    line_count: int = 0
    _buffer: bytes = field(default=b"", repr=False)
    _starts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)
    _ends: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def where(self, index: int) -> str:
        """Return ``file:line`` of row ``index``."""
        return f"{self.file}:{int(self.lines[index])}"

    def raw(self, index: int) -> str:
        """Return the text of row ``index``."""
        line = self._buffer[int(self._starts[index]) : int(self._ends[index])]
        return line.decode("utf-8", "replace").rstrip("\r")

    def take(self, mask: np.ndarray) -> CsvBatch:
        """Return the rows where ``mask`` (or an index array) selects."""
        columns = {name: values[mask] for name, values in self.columns.items()}
        return CsvBatch(
            self.file, self.lines[mask], columns, self.line_count, self._buffer, self._starts[mask], self._ends[mask]
        )

    def keep(self, good: np.ndarray, source: Source, reason: str, *, hint: str = "") -> CsvBatch:
        """Reject the rows where ``good`` is false, with ``reason``, and return the others."""
        if good.all():
            return self
        for index in np.flatnonzero(~good).tolist():
            source.reject(reason, self.where(index), self.raw(index), hint=hint)
        return self.take(good)


class CsvFile:
    """A CSV file read as batches of typed columns; iterate it, as often as needed.

    Parameters
    ----------
    source : Source
        Whose report counts records and rejections (and whose ``strict`` decides).
    path, member : str
        File, and member of a zip.
    columns : sequence of Column
        What to read; other fields are skipped unparsed.
    header : sequence of str, optional
        The file's header, as :func:`read_header` returned it: the first line is then not data, columns without a
        position are looked up in it, and every row must have as many fields.
    width : int, default 0
        Without a header: exact number of fields, or 0 for any number that covers the columns.
    skip_lines : int, default 0
        Lines before the header or the first row.
    batch_lines : int, default BATCH_LINES
        Lines a batch.
    """

    def __init__(
        self,
        source: Source,
        path: str | Path,
        member: str = "",
        *,
        columns: Sequence[Column],
        header: Sequence[str] | None = None,
        width: int = 0,
        skip_lines: int = 0,
        batch_lines: int = 0,
    ) -> None:
        self.name = display_name(path, member)
        self._source = source
        self._path = path
        self._member = member
        self._skip = skip_lines + (header is not None)
        self._batch_lines = batch_lines or BATCH_LINES
        self._columns = [_placed(column, header, self.name) for column in columns]
        self._width = len(header) if header is not None else width
        self._prepare()

    def _prepare(self) -> None:
        fields = 1 + max(column.position for column in self._columns)
        self._kinds = np.zeros(fields, np.int64)
        self._slots = np.zeros(fields, np.int64)
        self._digits = np.zeros(fields, np.int64)
        self._exact = np.zeros(fields, np.bool_)
        self._optional = np.zeros(fields, np.bool_)
        self._default = np.zeros(fields, np.float64)
        self._count = {"fixed": 0, "float": 0, "text": 0}
        for column in self._columns:
            at = column.position
            self._kinds[at] = _KINDS[column.kind]
            self._slots[at] = self._count[column.kind]
            self._count[column.kind] += 1
            self._digits[at], self._exact[at] = column.digits, column.exact
            self._optional[at], self._default[at] = column.optional, column.default

    def __iter__(self) -> Iterator[CsvBatch]:
        number = 0
        with open_binary(self._path, self._member) as stream:
            for buffer, starts, ends in line_batches(stream, self._batch_lines):
                lines = np.arange(number + 1, number + 1 + len(starts))
                number += len(starts)
                first = int(np.searchsorted(lines, self._skip, side="right"))
                yield self._parse(buffer, lines[first:], starts[first:], ends[first:])

    def _parse(self, buffer: bytes, lines: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> CsvBatch:
        n = len(lines)
        out_int = np.empty((self._count["fixed"], n), np.int64)
        out_float = np.empty((self._count["float"], n), np.float64)
        out_text = np.empty((self._count["text"], n, kernel.TEXT_BYTES), np.uint8)
        status = np.zeros(n, np.int64)
        if n:
            kernel.parse_rows(
                np.frombuffer(buffer, np.uint8), starts, ends, self._kinds, self._slots, self._digits, self._exact,
                self._optional, self._default, self._width, status, out_int, out_float, out_text,
            )  # fmt: skip
            status[ends - starts > _MAX_LINE] = kernel.UNUSUAL
        outputs = {"fixed": out_int, "float": out_float, "text": out_text.view("S32")[:, :, 0]}
        columns = {c.name: outputs[c.kind][self._slots[c.position]] for c in self._columns}
        batch = CsvBatch(self.name, lines, columns, n, buffer, starts, ends)
        self._source.report.records += int((status != kernel.BLANK).sum())
        if not status.any():
            return batch
        for index in np.flatnonzero(status == kernel.UNUSUAL).tolist():
            if self._reference(batch, index):
                status[index] = kernel.OK
        return batch.take(status == kernel.OK)

    def _reference(self, batch: CsvBatch, index: int) -> bool:
        text = batch.raw(index)
        if len(text) > _MAX_LINE:
            self._source.reject("line too long", batch.where(index), text)
            return False
        try:
            cells = next(csv.reader([text], strict=True))
        except csv.Error as error:
            self._source.reject(f"broken quotes ({error})", batch.where(index), text)
            return False
        wanted = self._width or len(self._kinds)
        if len(cells) < wanted or (self._width and len(cells) > wanted):
            self._source.reject(f"not {wanted} fields", batch.where(index), text, hint=f"it has {len(cells)}")
            return False
        for column in self._columns:
            value, problem = _read_cell(column, cells[column.position].strip())
            if problem:
                self._source.reject(f"{column.name} {problem}", batch.where(index), text)
                return False
            batch.columns[column.name][index] = value
        return True


def _placed(column: Column, header: Sequence[str] | None, name: str) -> Column:
    if column.position >= 0:
        return column
    if header is None or column.name not in header:
        raise SourceError(
            f"{name} has no column {column.name!r}", hint=did_you_mean(column.name, header or ["nothing"])
        )
    return replace(column, position=list(header).index(column.name))


def _read_cell(column: Column, text: str) -> tuple[int | float | bytes, str]:
    if not text:
        return (b"" if column.kind == "text" else column.default, "" if column.optional else "is empty")
    if column.kind == "text":
        data = text.encode()
        return data, "is longer than 32 bytes" if len(data) > kernel.TEXT_BYTES else ""
    if column.kind == "fixed":
        return parse_fixed(text, column.digits, exact=column.exact)
    try:
        value = float(text) if len(text) <= 64 and "_" not in text else float("inf")
    except ValueError:
        return 0.0, "is no number"
    return value, "" if np.isfinite(value) else "is not finite or out of range"


def parse_fixed(text: str, digits: int, *, exact: bool = True) -> tuple[int, str]:
    """Return (number times 10**digits as an int64, problem); the problem is empty where there is none.

    Examples
    --------
    >>> parse_fixed("1.5e-3", 4), parse_fixed("1801.00999999999999", 4, exact=False)
    ((15, ''), (18010100, ''))
    >>> parse_fixed("1e308", 2)[1], parse_fixed("nan", 2)[1], parse_fixed("0.125", 2)[1]
    ('is out of range', 'is no number', 'has more than 2 decimals')
    """
    whole_part, dot, decimals = text.partition(".")
    if text.isascii() and whole_part.isdigit() and len(decimals) <= digits and len(whole_part) + digits < 19:
        if decimals.isdigit():
            return int(whole_part + decimals) * 10 ** (digits - len(decimals)), ""
        if not dot:
            return int(whole_part) * 10**digits, ""
    try:
        value = Decimal(text) if len(text) <= 64 and "_" not in text else None
    except InvalidOperation:
        return 0, "is no number"
    if value is None:
        return 0, "is out of range"
    if value.is_nan():
        return 0, "is no number"
    if not value.is_finite() or value.adjusted() + digits > 19:
        return 0, "is out of range"
    if value.adjusted() < -40:
        value = Decimal(0) if not exact or value == 0 else Decimal("1e-40")
    scaled = value.scaleb(digits, _CONTEXT)
    whole = scaled.to_integral_value(ROUND_HALF_EVEN, _CONTEXT)
    if exact and whole != scaled:
        return 0, "is no integer" if digits == 0 else f"has more than {digits} decimals"
    if abs(whole) >= 2**63:
        return 0, "is out of range"
    return int(whole), ""


def line_batches(stream: io.BufferedIOBase, lines: int) -> Iterator[tuple[bytes, np.ndarray, np.ndarray]]:
    """Yield (buffer, starts, ends) of exactly ``lines`` lines at a time, the last batch shorter.

    A line longer than 1 MiB is cut to little more than that, so that memory stays bounded.
    """
    pending = bytearray()
    newlines, first, done = 0, True, False
    while not done:
        data = stream.read(_READ)
        if first and data.startswith(b"\xef\xbb\xbf"):
            data = data[3:]
        first, done = False, not data
        tail = pending.rfind(b"\n") + 1
        if len(pending) - tail > _MAX_LINE:
            # A line beyond the cap: keep just enough of it to be recognised and rejected as too long.
            del pending[tail + _MAX_LINE + 1 :]
            stop = data.find(b"\n")
            data = data[stop:] if stop >= 0 else b""
        pending += data
        newlines += data.count(b"\n")
        if done and pending and not pending.endswith(b"\n"):
            pending += b"\n"
            newlines += 1
        while newlines >= lines or (done and newlines):
            take = min(lines, newlines)
            buffer = bytes(pending)
            ends = np.flatnonzero(np.frombuffer(buffer, np.uint8) == 10)[:take]
            starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
            stop = int(ends[-1]) + 1
            yield buffer[:stop], starts, ends
            del pending[:stop]
            newlines -= take


def read_header(path: str | Path, member: str = "", *, skip_lines: int = 0) -> list[str]:
    """Return the cells of a file's first line (after ``skip_lines``), blanks stripped.

    Raises
    ------
    SourceError
        The file cannot be read, or the line is longer than a header can be or names a column twice.
    """
    name = display_name(path, member)
    with open_binary(path, member) as stream:
        for _ in range(skip_lines):
            stream.readline(_MAX_LINE)
        line = stream.readline(_MAX_LINE)
    text = line.decode("utf-8-sig", "replace").strip()
    if len(line) >= _MAX_LINE or not text:
        raise SourceError(f"{name} has no header line", hint="is it a CSV file?")
    cells = [cell.strip() for cell in next(csv.reader([text]))]
    twice = sorted({cell for cell in cells if cell and cells.count(cell) > 1})
    if twice:
        raise SourceError(f"{name} names column {twice[0]!r} twice", hint="drop one of them")
    return cells


def first_lines(path: str | Path, member: str = "", *, count: int) -> list[str]:
    """Return up to ``count`` lines from the beginning of a file, for telling its layout or tick."""
    result: list[str] = []
    with open_binary(path, member) as stream:
        while len(result) < count and (line := stream.readline(_MAX_LINE)):
            result.append(line.decode("utf-8-sig", "replace").strip())
    return result


class _Quiet(Source):
    """Counts for readers that only look ahead."""

    def __init__(self) -> None:
        super().__init__("", ())

    def _blocks(self) -> Iterator[EventBlock]:
        return iter(())


def scan_texts(path: str | Path, member: str, name: str, header: Sequence[str]) -> list[bytes]:
    """Return the distinct texts of one column, sorted; rows that cannot be read are left out."""
    found: set[bytes] = set()
    for batch in CsvFile(_Quiet(), path, member, columns=[Column(name, "text")], header=header):
        found.update(np.unique(batch[name]).tolist())
    return sorted(found)
