"""Writing the files of a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from marketprism.core.errors import MarketPrismError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["check_folder", "json_bytes", "write_files"]


def json_bytes(value: Any) -> bytes:
    """Return plain data as indented JSON.

    Examples
    --------
    >>> json_bytes({"a": 1}).split()
    [b'{', b'"a":', b'1', b'}']
    """
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def check_folder(out: Path) -> None:
    """Refuse a folder that cannot be written, before hours are spent on what goes into it; nothing is made.

    Raises
    ------
    MarketPrismError
        It, or the nearest folder above it that exists, is a file or may not be written.
    """
    above = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not above.is_dir():
        raise MarketPrismError(f"{out} cannot be made: {above} is a file", hint="choose another folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise MarketPrismError(f"{out} cannot be written: {above} may not be changed", hint="choose another folder")


def write_files(out: Path, files: Mapping[str, bytes | str | pl.DataFrame]) -> None:
    """Write bytes, texts and frames (as Parquet) under their names into a folder, made if missing.

    All are written under other names first and get their own when all are there: a disk that fills up leaves what was
    there before, not half of something new.

    Raises
    ------
    MarketPrismError
        The folder cannot be written.
    """
    parts = {name: (out / name).with_name(f".{Path(name).name}.part") for name in files}
    try:
        for name, content in files.items():
            parts[name].parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                parts[name].write_bytes(content)
            elif isinstance(content, str):
                parts[name].write_text(content, encoding="utf-8")
            else:
                content.write_parquet(parts[name], compression="zstd", statistics=True)
        for name, part in parts.items():
            part.replace(out / name)
    except OSError as error:
        for part in parts.values():
            with suppress(OSError):
                part.unlink(missing_ok=True)
        raise MarketPrismError(
            f"{out} could not be written: {error}", hint="check the path and the free space"
        ) from error
