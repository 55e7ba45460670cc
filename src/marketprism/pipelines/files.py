"""Writing the files of a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from marketprism.core.errors import MarketPrismError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["json_bytes", "write_files"]


def json_bytes(value: Any) -> bytes:
    """Return plain data as indented JSON.

    Examples
    --------
    >>> json_bytes({"a": 1}).split()
    [b'{', b'"a":', b'1', b'}']
    """
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def write_files(out: Path, files: Mapping[str, bytes | str | pl.DataFrame]) -> None:
    """Write bytes, texts and frames (as Parquet) under their names into a folder, made if missing.

    Raises
    ------
    MarketPrismError
        The folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            if isinstance(content, bytes):
                (out / name).write_bytes(content)
            elif isinstance(content, str):
                (out / name).write_text(content, encoding="utf-8")
            else:
                content.write_parquet(out / name, compression="zstd", statistics=True)
    except OSError as error:
        raise MarketPrismError(
            f"{out} could not be written: {error}", hint="check the path and the free space"
        ) from error
