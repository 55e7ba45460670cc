"""Streaming readers over plain, gzip, xz, zstd and zip files: one error, naming the file, for all that can be wrong."""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from marketprism.core.errors import DataError, SourceError

__all__ = ["MAX_LINE_BYTES", "display_name", "iter_lines", "members", "open_binary", "open_text", "stem"]

MAX_LINE_BYTES = 16 * 1024 * 1024
"""Longest line or message that is read; a longer one cannot be honest market data."""

_CHUNK = 1 << 18
_COMPRESSIONS = (".gz", ".xz", ".zst", ".zip")


def display_name(path: str | Path, member: str = "") -> str:
    """Return how messages name a file, ``a.zip!inner.csv`` for a member.

    Examples
    --------
    >>> display_name("data/a.zip", "inner.csv")
    'a.zip!inner.csv'
    """
    name = Path(path).name
    return f"{name}!{member}" if member else name


def stem(path: str | Path) -> str:
    """Return the file name without folder, compression and format endings.

    Examples
    --------
    >>> stem("data/GOOG_2012-06-21_message_10.csv.gz")
    'GOOG_2012-06-21_message_10'
    """
    name = PurePosixPath(str(path).replace("\\", "/")).name
    for _ in range(2):
        base, dot, ending = name.rpartition(".")
        if dot and 1 <= len(ending) <= 5 and ending.isalnum() and not ending.isdigit():
            name = base
    return name


class _Guarded(io.RawIOBase):
    """A raw stream that turns every way of being broken into a SourceError naming the file."""

    def __init__(self, name: str, read: Callable[[int], bytes], close: Callable[[], object]) -> None:
        super().__init__()
        self._name = name
        self._read = read
        self._close = close

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._read(len(view))
        except (EOFError, OSError, lzma.LZMAError, zlib.error, zipfile.BadZipFile) as error:
            raise _broken(self._name, error) from error
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._close()
        super().close()


def _broken(name: str, error: Exception) -> SourceError:
    what = "is truncated" if isinstance(error, EOFError) else "is corrupt"
    return SourceError(f"{name} {what}: {error}", hint="fetch or copy the file again")


def open_binary(path: str | Path, member: str = "") -> io.BufferedIOBase:
    """Open a file for streaming reads of its decompressed bytes.

    Parameters
    ----------
    path : str or Path
        Plain, ``.gz``, ``.xz``, ``.zst`` or ``.zip``, told by the ending.
    member : str, optional
        Which file of a zip; may be left out when the zip holds one file.

    Returns
    -------
    io.BufferedIOBase
        Positioned at the first byte; memory does not grow with the file. Reads raise SourceError where the
        compressed data are truncated or corrupt (checksums are verified on the way).

    Raises
    ------
    SourceError
        The file is missing, empty, unreadable, not of the format its ending says, or a zip without ``member``.

    Examples
    --------
    >>> open_binary("no-such-file.csv")
    Traceback (most recent call last):
        ...
    marketprism.core.errors.SourceError: no-such-file.csv: file not found (check the path)
    """
    file = Path(path)
    name = display_name(path, member)
    _check_exists(file)
    ending = file.suffix.lower()
    try:
        if ending == ".zip":
            return _buffered(name, *_open_zip(file, member))
        if member:
            raise SourceError(f"{file.name} is no zip, but its member {member!r} was asked for", hint="drop the member")
        return _buffered(name, *_OPENERS.get(ending, _open_plain)(file))
    except (EOFError, OSError, lzma.LZMAError, zlib.error, zipfile.BadZipFile) as error:
        raise _broken(name, error) from error


def _check_exists(file: Path) -> None:
    if not file.exists():
        raise SourceError(f"{file}: file not found", hint="check the path", path=str(file))
    if file.is_dir():
        raise SourceError(f"{file} is a folder", hint="name a file in it", path=str(file))
    if file.stat().st_size == 0:
        raise SourceError(f"{file.name} is empty", hint="fetch or copy the file again", path=str(file))


def _buffered(name: str, read: Callable[[int], bytes], close: Callable[[], object]) -> io.BufferedIOBase:
    stream = io.BufferedReader(_Guarded(name, read, close), _CHUNK)
    try:
        empty = not stream.peek(1)
    except SourceError:
        stream.close()
        raise
    if empty:
        stream.close()
        raise SourceError(f"{name} is empty", hint="it decompresses to nothing; fetch or copy the file again")
    return stream


def _open_plain(file: Path) -> tuple[Callable[[int], bytes], Callable[[], object]]:
    stream = file.open("rb")
    return stream.read, stream.close


def _open_gzip(file: Path) -> tuple[Callable[[int], bytes], Callable[[], object]]:
    import gzip

    stream = gzip.GzipFile(file, "rb")
    return stream.read, stream.close


def _open_xz(file: Path) -> tuple[Callable[[int], bytes], Callable[[], object]]:
    stream = lzma.LZMAFile(file, "rb")  # noqa: SIM115 (the reader closes it)
    return stream.read, stream.close


def _open_zstd(file: Path) -> tuple[Callable[[int], bytes], Callable[[], object]]:
    stream = file.open("rb")
    return _ZstdFrames(stream).read, stream.close


_OPENERS: dict[str, Callable[[Path], tuple[Callable[[int], bytes], Callable[[], object]]]] = {
    ".gz": _open_gzip,
    ".xz": _open_xz,
    ".zst": _open_zstd,
}


class _ZstdFrames:
    """Decompress consecutive zstd frames; unlike ``stream_reader`` a cut frame is an error."""

    def __init__(self, stream: IO[bytes]) -> None:
        import zstandard

        self._error = zstandard.ZstdError
        self._new = zstandard.ZstdDecompressor().decompressobj
        self._stream = stream
        self._frame: Any = None
        self._rest = b""
        self._ready = b""
        self._offset = 0

    def read(self, size: int) -> bytes:
        while self._offset == len(self._ready):
            self._offset = 0
            self._ready = b""
            data = self._rest or self._stream.read(1 << 16)
            self._rest = b""
            if not data:
                if self._frame is not None:
                    raise EOFError("the last zstd frame is not complete")
                return b""
            if self._frame is None:
                self._frame = self._new()
            try:
                self._ready = self._frame.decompress(data)
            except self._error as error:
                raise OSError(str(error)) from error
            if self._frame.eof:
                self._rest = self._frame.unused_data
                self._frame = None
        piece = self._ready[self._offset : self._offset + size]
        self._offset += len(piece)
        return piece


def _open_zip(file: Path, member: str) -> tuple[Callable[[int], bytes], Callable[[], object]]:
    with ExitStack() as stack:
        archive = stack.enter_context(zipfile.ZipFile(file))
        names = _file_names(archive)
        if not member:
            if len(names) != 1:
                raise SourceError(f"{file.name} holds {len(names)} files: {', '.join(names[:8])}", hint="name one")
            member = names[0]
        if member not in names:
            raise SourceError(f"{file.name} holds no {member!r}", hint=f"it holds {', '.join(names[:8])}")
        try:
            stream = stack.enter_context(archive.open(member))
        except RuntimeError as error:  # encrypted, or a compression that zipfile does not know
            raise SourceError(f"{file.name}!{member} cannot be read: {error}", hint="repack it as plain zip") from error
        return stream.read, stack.pop_all().close
    raise SourceError(f"{file.name} cannot be read")  # pragma: no cover (ExitStack swallows nothing)


def _file_names(archive: zipfile.ZipFile) -> list[str]:
    return [i.filename for i in archive.infolist() if not i.is_dir() and not i.filename.startswith("__MACOSX/")]


def members(path: str | Path) -> list[str]:
    """Return the names of the files in a zip, in its own order (folders left out).

    Raises
    ------
    SourceError
        The file is missing, empty or no zip.
    """
    file = Path(path)
    _check_exists(file)
    try:
        with zipfile.ZipFile(file) as archive:
            return _file_names(archive)
    except (OSError, zipfile.BadZipFile) as error:
        raise _broken(file.name, error) from error


def open_text(path: str | Path, member: str = "") -> io.TextIOWrapper:
    """Open a file like :func:`open_binary`, decoded from UTF-8 (a byte-order mark is dropped).

    Bytes that are not UTF-8 come as U+FFFD, so that one bad line does not end the stream.
    """
    return io.TextIOWrapper(cast("IO[bytes]", open_binary(path, member)), encoding="utf-8-sig", errors="replace")


def iter_lines(stream: IO[bytes], name: str = "input") -> Iterator[bytes]:
    r"""Yield the lines of a stream without their line ends.

    Raises
    ------
    DataError
        A line is longer than :data:`MAX_LINE_BYTES`; it names the line.

    Examples
    --------
    >>> import io
    >>> list(iter_lines(io.BytesIO(b"a\r\nb")))
    [b'a', b'b']
    """
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise DataError(f"{name}:{number} is longer than {MAX_LINE_BYTES} bytes", hint="is it a text file?")
        yield line.rstrip(b"\r\n")
