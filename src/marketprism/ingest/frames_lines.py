"""Lines of a raw recording: whole-line chunks in constant memory, and receive times with one unit a file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Protocol

from marketprism.core.errors import DataError
from marketprism.core.timebase import scale_to_ns, unit_of

__all__ = [
    "CHUNK_BYTES",
    "MAX_MESSAGE_BYTES",
    "ReceiveClock",
    "Reject",
    "numbered_lines",
    "readable",
    "refuse",
    "whole_lines",
]

CHUNK_BYTES = 1 << 21
"""Bytes read at a time: a few thousand messages, small enough to stay near the cache."""

MAX_MESSAGE_BYTES = 8 << 20
"""Longest message that is believed; the longest honest one seen is a 5.8 MB order-book snapshot."""

_DIGITS = frozenset(b"0123456789")


class Reject(Protocol):
    """What a reader does with a record it cannot use: the signature of ``Source.reject``."""

    def __call__(self, reason: str, where: str, value: object, *, hint: str = "") -> None:
        """Count the record, keep an example, or raise."""


def refuse(reason: str, where: str, value: object, *, hint: str = "") -> None:
    """Raise DataError: the :class:`Reject` of a reader that nobody listens to."""
    raise DataError(f"{where}: {reason}: was {str(value)[:200]!r}", hint=hint)


def readable(raw: bytes) -> str:
    r"""Return the beginning of raw bytes as text, what is no UTF-8 escaped.

    Examples
    --------
    >>> readable(b'{"x":\xff')
    '{"x":\\xff'
    """
    return raw[:400].decode("utf-8", "backslashreplace")


def whole_lines(stream: io.BufferedIOBase, name: str, reject: Reject) -> Iterator[tuple[bytes, int]]:
    r"""Yield chunks of whole lines, each ending in a newline, with the number of their first line.

    A line longer than :data:`MAX_MESSAGE_BYTES` is rejected with its first bytes and skipped, holding no more
    than that in memory. A last line without a newline is a line.

    Examples
    --------
    >>> list(whole_lines(io.BytesIO(b"a\nb"), "x", refuse))
    [(b'a\n', 1), (b'b\n', 2)]
    """
    rest = b""
    line = 1
    skipping = False
    while data := stream.read(CHUNK_BYTES):
        if skipping:
            start = data.find(b"\n") + 1
            if not start:
                continue
            data = data[start:]
            line += 1
            skipping = False
        end = data.rfind(b"\n") + 1
        if end:
            chunk = rest + data[:end]
            rest = data[end:]
            yield chunk, line
            line += chunk.count(b"\n")
        else:
            rest += data
        if len(rest) > MAX_MESSAGE_BYTES:
            reject(
                "message too large",
                f"{name}:{line}",
                readable(rest[:200]),
                hint=f"the limit is {MAX_MESSAGE_BYTES} bytes",
            )
            rest = b""
            skipping = True
    if rest:
        yield rest + b"\n", line


def numbered_lines(stream: io.BufferedIOBase, name: str, reject: Reject) -> Iterator[tuple[int, bytes]]:
    r"""Yield lines without their ends, numbered from 1; blank ones are left out.

    Examples
    --------
    >>> list(numbered_lines(io.BytesIO(b"a\r\n\nb"), "x", refuse))
    [(1, b'a'), (3, b'b')]
    """
    for chunk, first in whole_lines(stream, name, reject):
        for offset, text in enumerate(chunk.split(b"\n")):
            content = text.rstrip(b"\r")
            if len(content) > MAX_MESSAGE_BYTES:
                hint = f"the limit is {MAX_MESSAGE_BYTES} bytes"
                reject("message too large", f"{name}:{first + offset}", readable(content[:200]), hint=hint)
            elif content:
                yield first + offset, content


class ReceiveClock:
    """Receive times of one file: the first one fixes the unit, any other unit is refused.

    Parameters
    ----------
    name : str
        File name for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.unit = ""
        self._first_line = 0

    def to_ns(self, text: bytes, line: int) -> int:
        """Return ns UTC from an epoch number (s, ms, us or ns, told by magnitude, decimals allowed).

        Raises
        ------
        ValueError
            The text is no epoch time, or beyond what 64 bits of nanoseconds hold.
        DataError
            Its unit differs from that of the file's first line.

        Examples
        --------
        >>> ReceiveClock("x").to_ns(b"1617647603.4249449", 1)
        1617647603424944900
        """
        whole, _, fraction = text.partition(b".")
        if not (whole and _DIGITS.issuperset(whole) and _DIGITS.issuperset(fraction) and len(whole) < 20):
            raise ValueError(text)
        value = int(whole)
        try:
            unit = unit_of(value)
        except DataError as error:
            raise ValueError(text) from error
        scale = scale_to_ns(unit)
        if value >= 2**63 // scale:
            raise ValueError(text)
        if not self.unit:
            self.unit, self._first_line = unit, line
        elif unit != self.unit:
            raise DataError(
                f"{self.name}:{line}: receive time {text.decode()} is in {unit}, "
                f"line {self._first_line} is in {self.unit}",
                hint="split the file by unit, or convert it to one",
                line=line,
            )
        digits = len(str(scale)) - 1
        return value * scale + int(fraction[:digits].ljust(digits, b"0") or b"0")
