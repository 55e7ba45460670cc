"""Delimited text files in batches of string columns, line numbers kept: the ground floor of every CSV format."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketprism.core.errors import SourceError, did_you_mean
from marketprism.ingest.files_io import MAX_LINE_BYTES, display_name, open_binary

if TYPE_CHECKING:
    import polars as pl

__all__ = ["BATCH_BYTES", "EXTRA", "TextBatch", "TextTable", "check_columns", "peek_line"]

BATCH_BYTES = 1 << 22
"""Text decoded at a time; memory follows this, never the length of the file."""

EXTRA = "\N{SYMBOL FOR NULL}extra"
"""Column that catches fields beyond the header; a row that fills it is malformed."""


@dataclass(frozen=True, slots=True)
class TextBatch:
    """Consecutive lines as string columns (null where a field is blank); row ``i`` is line ``first_line + i``."""

    name: str
    first_line: int
    frame: pl.DataFrame

    def __len__(self) -> int:
        return self.frame.height

    def where(self, row: int) -> str:
        """Return ``file:line`` of a row."""
        return f"{self.name}:{self.first_line + row}"

    def record(self, row: int) -> str:
        """Return a row as text, for messages."""
        return ",".join(value or "" for value in self.frame.row(row)).rstrip(",")


class TextTable:
    r"""A delimited text file, plain or compressed, read forward in constant memory.

    Parameters
    ----------
    path : str
        The file (see :func:`marketprism.ingest.files_io.open_binary`).
    member : str, optional
        Member of a zip.
    columns : sequence of str, optional
        Column names of a file without header; by default the first line names them.
    comment : str, optional
        Lines that begin with it are skipped (they keep their line numbers).
    separator : str, default ","
        Field separator.
    batch_bytes : int
        How much text one batch holds.

    Raises
    ------
    SourceError
        The file is missing, empty, corrupt, or holds nothing but comments.

    Notes
    -----
    Fields are not quoted: a quotation mark is data, so that a stray one spoils its own line only.
    """

    def __init__(
        self,
        path: str,
        *,
        member: str = "",
        columns: Sequence[str] = (),
        comment: str = "",
        separator: str = ",",
        batch_bytes: int = BATCH_BYTES,
    ) -> None:
        self.path = path
        self.name = display_name(path, member)
        self._member = member
        self._comment = comment.encode()
        self._separator = separator
        self._batch_bytes = batch_bytes
        self._has_header = not columns
        with open_binary(path, member) as stream:
            self.first_line, self.first_text = _first_line(stream, self.name, self._comment)
        names = columns or self.first_text.split(separator)
        self.columns = tuple(name.strip().strip('"') for name in names)
        if self._has_header and len(set(self.columns)) != len(self.columns):
            raise SourceError(
                f"{self.name}:{self.first_line}: a column name occurs twice: {self.first_text[:200]!r}",
                hint="the first line must name the columns",
            )

    def head(self) -> TextBatch:
        """Return the first batch, of a size that does not depend on ``batch_bytes``."""
        own, self._batch_bytes = self._batch_bytes, BATCH_BYTES
        try:
            batch = next(self.batches(), None)
        finally:
            self._batch_bytes = own
        if batch is None or not self.content_mask(batch).any():
            raise SourceError(f"{self.name} holds a header and no rows", hint="fetch the file again")
        return TextBatch(batch.name, batch.first_line, batch.frame.filter(self.content_mask(batch)))

    def batches(self) -> Iterator[TextBatch]:
        """Yield the lines below the header, from the beginning."""
        with open_binary(self.path, self._member) as stream:
            skip = self.first_line if self._has_header else self.first_line - 1
            for _ in range(skip):
                stream.readline()
            line = skip + 1
            if not self._has_header and line == 1 and stream.peek(3)[:3] == b"\xef\xbb\xbf":  # type: ignore[attr-defined]
                stream.read(3)
            rest = b""
            while data := stream.read(self._batch_bytes):
                text = rest + data
                cut = text.rfind(b"\n") + 1
                rest = text[cut:]
                if cut:
                    yield self._parse(text[:cut], line)
                    line += text.count(b"\n", 0, cut)
                if len(rest) > MAX_LINE_BYTES:
                    raise SourceError(f"{self.name}:{line} is longer than {MAX_LINE_BYTES} bytes")
            if rest:
                yield self._parse(rest, line)

    def _parse(self, text: bytes, line: int) -> TextBatch:
        import polars as pl

        # A leading blank line would be taken for nothing by the reader, and shift the line numbers.
        stripped = text.lstrip(b"\r\n")
        line += text.count(b"\n", 0, len(text) - len(stripped))
        if not stripped:
            return TextBatch(self.name, line, pl.DataFrame(schema=dict.fromkeys((*self.columns, EXTRA), pl.String)))
        frame = pl.read_csv(
            io.BytesIO(stripped),
            has_header=False,
            separator=self._separator,
            quote_char=None,
            schema=dict.fromkeys((*self.columns, EXTRA), pl.String),
            truncate_ragged_lines=True,
            missing_columns="insert",
            encoding="utf8-lossy",
        )
        return TextBatch(self.name, line, frame)

    def content_mask(self, batch: TextBatch) -> pl.Series:
        """Return which rows are neither blank nor comments."""
        import polars as pl

        first = pl.col(self.columns[0])
        blank = pl.all_horizontal(pl.all().is_null())
        comment = (
            first.str.starts_with(self._comment.decode()).fill_null(value=False)
            if self._comment
            else pl.lit(value=False)
        )
        return batch.frame.select(keep=~(blank | comment))["keep"]


def peek_line(path: str, member: str = "", comment: str = "") -> str:
    """Return the first line of a file that is neither blank nor a comment."""
    with open_binary(path, member) as stream:
        return _first_line(stream, display_name(path, member), comment.encode())[1]


def _first_line(stream: io.BufferedIOBase, name: str, comment: bytes) -> tuple[int, str]:
    """Return number and text of the first line that is neither blank nor a comment."""
    number = 0
    while line := stream.readline(MAX_LINE_BYTES):
        number += 1
        bare = line.removeprefix(b"\xef\xbb\xbf").strip()
        if bare and not (comment and bare.startswith(comment)):
            return number, bare.decode("utf-8", "replace")
    raise SourceError(f"{name} holds no data: {number} lines, all blank or comments")


def check_columns(name: str, found: Sequence[str], required: Sequence[str], optional: Sequence[str] = ()) -> None:
    """Raise SourceError where a header lacks a required column or has one that nobody knows.

    Examples
    --------
    >>> check_columns("a.csv", ["time", "prise"], ["time", "price"])
    Traceback (most recent call last):
        ...
    marketprism.core.errors.SourceError: a.csv has no column 'price' (did you mean 'prise'?)
    """
    for column in required:
        if column not in found:
            raise SourceError(f"{name} has no column {column!r}", hint=did_you_mean(column, found))
    for column in found:
        if column not in required and column not in optional:
            raise SourceError(
                f"{name} has an unknown column {column!r}", hint=did_you_mean(column, {*required, *optional})
            )
