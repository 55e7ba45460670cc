"""Binance's public dumps (data.binance.vision): which file is what.

Layouts: https://github.com/binance/binance-public-data and the files themselves (2026-11). Spot files have no
header; futures files have one since 2022. Spot times are microseconds since 2025-01-01, everything else milliseconds
(``metrics`` and ``bookDepth``: text, UTC).
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from marketprism.core.errors import IntegrityError, SourceError, did_you_mean
from marketprism.ingest.files_io import display_name
from marketprism.ingest.text_table import TextTable, check_columns, peek_line

__all__ = ["TYPES", "VisionFile", "open_vision", "verify_checksum"]

VisionMarket = Literal["spot", "linear", "inverse"]

_TRADES = ("id", "price", "qty", "quote_qty", "time", "is_buyer_maker")
_AGG_TRADES = (
    "agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id", "transact_time", "is_buyer_maker",
)  # fmt: skip
TYPES: dict[str, tuple[tuple[str, ...], ...]] = {
    "trades": (_TRADES, (*_TRADES, "is_best_match")),
    "aggTrades": (_AGG_TRADES, (*_AGG_TRADES, "is_best_match")),
    "bookTicker": (
        (
            "update_id", "best_bid_price", "best_bid_qty", "best_ask_price", "best_ask_qty", "transaction_time",
            "event_time",
        ),
    ),
    "bookDepth": (("timestamp", "percentage", "depth", "notional"),),
    "metrics": (
        (
            "create_time", "symbol", "sum_open_interest", "sum_open_interest_value",
            "count_toptrader_long_short_ratio", "sum_toptrader_long_short_ratio", "count_long_short_ratio",
            "sum_taker_long_short_vol_ratio",
        ),
    ),
    "fundingRate": (("calc_time", "funding_interval_hours", "last_funding_rate"),),
    "liquidationSnapshot": (
        (
            "time", "side", "order_type", "time_in_force", "original_quantity", "price", "average_price",
            "order_status", "last_fill_quantity", "accumulated_fill_quantity",
        ),
    ),
}  # fmt: skip
"""Column layouts of each type; the longer one is spot's."""

_RENAMED = {"base_qty": "quote_qty"}
_OPTIONAL = {"symbol", "is_best_match", "quote_qty"}
_KLINES = re.compile(r"-(\d+(s|m|h|d|w|mo)|\d*[kK]lines|(index|mark)PriceKlines|premiumIndexKlines)-")
_NAME = re.compile(r"^(?P<symbol>[A-Z0-9]+(?:_[A-Z0-9]+)?)-(?P<type>[A-Za-z]+)(?:-|\.|$)")
_KLINE_COLUMNS = {"open_time", "close_time", "open", "close"}


class VisionFile(NamedTuple):
    """One dump.

    Attributes
    ----------
    table : TextTable
        The file, columns named as in :data:`TYPES`.
    kind : str
        Its type.
    symbol : str
        The venue's symbol.
    market : str
        spot, linear or inverse.
    """

    table: TextTable
    kind: str
    symbol: str
    market: VisionMarket


def open_vision(path: str, member: str, *, kind: str, symbol: str, market: str, batch_bytes: int) -> VisionFile:
    """Open a dump and tell what it is, from its name, its folder, its header and its first line.

    Parameters
    ----------
    path, member : str
        File, and member of a zip.
    kind, symbol, market : str
        What the user says it is; empty: find out.
    batch_bytes : int
        Text decoded at a time.

    Raises
    ------
    SourceError
        The type is klines, or cannot be told, or the columns are not those of the type.
    """
    inner = PurePosixPath(member).name or Path(path).name
    if _KLINES.search(inner) and not kind:
        raise _no_klines(path, member)
    named = _NAME.match(inner)
    name = display_name(path, member)
    first = peek_line(path, member)
    header = () if first[:1].isdigit() else tuple(cell.strip() for cell in first.split(","))
    if set(header) >= _KLINE_COLUMNS:
        raise _no_klines(path, member)
    found = kind or (named["type"] if named is not None and named["type"] in TYPES else "")
    found = found or (_type_of_header(name, header) if header else _type_of_line(name, first))
    if found not in TYPES:
        raise SourceError(f"{name}: type was {found!r}", hint=did_you_mean(found, TYPES))
    columns = () if header else _headerless(name, first, found)
    table = TextTable(path, member=member, columns=columns, batch_bytes=batch_bytes)
    table.columns = tuple(_RENAMED.get(column, column) for column in table.columns)
    layout = TYPES[found][-1]
    required = [column for column in layout if column not in _OPTIONAL]
    check_columns(f"{table.name}:{table.first_line}", table.columns, required, [*layout, "symbol"])
    raw = symbol or (named["symbol"] if named is not None else "")
    if not raw:
        raise SourceError(f"{table.name} does not name its symbol", hint="give ?symbol=BTCUSDT")
    return VisionFile(table, found, raw, _market(path, raw, market, table, header))


def _no_klines(path: str, member: str) -> SourceError:
    return SourceError(
        f"{display_name(path, member)} holds klines (bars), which are no events",
        hint="take trades or aggTrades of the same days: bars are cut from them here",
    )


def _type_of_header(name: str, header: tuple[str, ...]) -> str:
    own = {_RENAMED.get(column, column) for column in header}
    best = max(TYPES, key=lambda kind: len(own.intersection(TYPES[kind][0])))
    if len(own.intersection(TYPES[best][0])) < 2:
        raise SourceError(
            f"{name}: no type has the columns {','.join(header)[:120]!r}", hint=f"types: {', '.join(TYPES)}"
        )
    return best


def _type_of_line(name: str, line: str) -> str:
    """Tell a headerless file by its number of fields and by where the time is."""
    cells = line.split(",")
    timed = [i for i, cell in enumerate(cells) if cell.isdigit() and len(cell) in {13, 16}]
    if len(cells) == 12 and 6 in timed:
        raise _no_klines(name, "")
    flagged = cells[-1].strip().lower() in {"true", "false"}
    if len(cells) in {7, 8} and 5 in timed and flagged:
        return "aggTrades"
    if len(cells) in {6, 7} and 4 in timed and flagged:
        return "trades"
    if len(cells) == 7 and 5 in timed and 6 in timed:
        return "bookTicker"
    raise SourceError(
        f"{name}: the type cannot be told from {line[:120]!r}",
        hint=f"keep the original file name, or give ?type= ({', '.join(TYPES)})",
    )


def _headerless(name: str, line: str, kind: str) -> tuple[str, ...]:
    width = len(line.split(","))
    for layout in TYPES[kind]:
        if len(layout) == width:
            return layout
    widths = " or ".join(str(len(layout)) for layout in TYPES[kind])
    raise SourceError(f"{name} has {width} fields and no header", hint=f"{kind} has {widths}")


def _market(path: str, symbol: str, asked: str, table: TextTable, header: tuple[str, ...]) -> VisionMarket:
    folders = Path(path).parts
    if asked:
        names: dict[str, VisionMarket] = {"spot": "spot", "linear": "linear", "inverse": "inverse"}
        if asked not in names:
            raise SourceError(f"market_type was {asked!r}", hint=did_you_mean(asked, names))
        return names[asked]
    if "spot" in folders or "is_best_match" in table.columns:
        return "spot"
    if "cm" in folders or "base_qty" in header or re.search(r"USD_(PERP|\d{6})$", symbol):
        return "inverse"
    return "linear"


def verify_checksum(path: str, policy: str) -> str:
    """Check a file against its ``.CHECKSUM`` neighbour (sha256) and say what was found.

    Parameters
    ----------
    path : str
        The dump.
    policy : {"", "auto", "require", "ignore"}
        ``require``: a missing neighbour is an error; ``ignore``: do not look.

    Raises
    ------
    IntegrityError
        The hashes differ, or the neighbour holds no hash.
    SourceError
        There is no neighbour and it is required; unknown policy.
    """
    if policy not in {"", "auto", "require", "ignore"}:
        raise SourceError(f"checksum was {policy!r}", hint="use auto, require or ignore")
    sidecar = Path(f"{path}.CHECKSUM")
    if policy == "ignore":
        return "not looked at"
    if not sidecar.is_file():
        if policy == "require":
            raise SourceError(f"{sidecar.name}: checksum file not found", hint="download it, or drop checksum=require")
        return "none beside the file"
    words = sidecar.read_text(encoding="utf-8", errors="replace").split()
    if not words or not re.fullmatch(r"[0-9a-fA-F]{64}", words[0]):
        raise IntegrityError(f"{sidecar.name} holds no sha256", hint="download it again")
    file = Path(path)
    if not file.is_file():
        raise SourceError(f"{path}: file not found", hint="check the path")
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != words[0].lower():
        raise IntegrityError(
            f"{file.name}: sha256 was {found}, {sidecar.name} says {words[0].lower()}", hint="download the file again"
        )
    return f"sha256 {found[:12]} verified"
