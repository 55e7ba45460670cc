"""The YAML mapping of ``csv:``: which column of which file means what."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Self

import msgspec

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError, SourceError, did_you_mean
from marketprism.core.instrument import Instrument, MarketType, Sequencing
from marketprism.ingest.text_columns import TimeUnit

__all__ = [
    "CsvMapping",
    "InstrumentMapping",
    "LevelsMapping",
    "SideMapping",
    "TableMapping",
    "TimeMapping",
    "load_mapping",
]

TableKind = Literal["trades", "deltas", "snapshots", "wide_snapshots", "quotes", "last_prices"]

Words = tuple[str | int | float | bool, ...]

_NEEDED: dict[str, tuple[str, ...]] = {
    "trades": ("price", "quantity"),
    "deltas": ("price", "quantity", "side"),
    "snapshots": ("price", "quantity", "side"),
    "wide_snapshots": ("levels",),
    "quotes": ("bid_price", "ask_price"),
    "last_prices": ("price",),
}


class InstrumentMapping(Config, frozen=True, kw_only=True):
    """What is traded.

    Parameters
    ----------
    exchange, symbol : str
        Venue and canonical symbol.
    market_type : str, default "spot"
        Kind of market.
    tick_size : Decimal, optional
        Price step; by default told from the head of the data.
    contract_multiplier : Decimal, default 1
        Base units (linear) or quote value (inverse) of one unit of the quantity column.
    inverse : bool, default False
        Quantities are contracts worth ``contract_multiplier`` quote currency.
    sequencing : str, default "none"
        Rule of the venue's update ids.
    """

    exchange: str
    symbol: str
    market_type: MarketType = "spot"
    tick_size: Decimal | None = None
    contract_multiplier: Decimal = Decimal(1)
    inverse: bool = False
    sequencing: Sequencing = "none"
    raw_symbol: str = ""

    def instrument(self, tick: Decimal) -> Instrument:
        """Return the instrument, with the tick size found."""
        return Instrument(
            exchange=self.exchange,
            market_type=self.market_type,
            symbol=self.symbol,
            tick_size=tick,
            contract_multiplier=self.contract_multiplier,
            sequencing=self.sequencing,
            raw_symbol=self.raw_symbol,
        )


class TimeMapping(Config, frozen=True, kw_only=True):
    """A time column.

    Parameters
    ----------
    column : str
        Name of the column.
    unit : {"auto", "s", "ms", "us", "ns", "iso"}
        ``auto`` tells epoch numbers by magnitude and takes anything else for ISO 8601.
    timezone : str, default "UTC"
        Zone of texts without one, and of midnight.
    base_date : str, optional
        Day (``2014-05-05``) whose midnight the column counts from; ``from_name`` takes the first date in the file's
        name. ``unit`` must then be s, ms, us or ns.
    """

    column: str
    unit: TimeUnit = "auto"
    timezone: str = "UTC"
    base_date: str = ""

    def __post_init__(self) -> None:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ConfigError(
                f"timezone was {self.timezone!r}", hint="use an IANA name such as Europe/London"
            ) from error
        if self.base_date and self.unit in {"auto", "iso"}:
            raise ConfigError(
                f"{self.column}: base_date was given and unit was {self.unit}", hint="say s, ms, us or ns"
            )
        if self.base_date not in {"", "from_name"}:
            try:
                dt.date.fromisoformat(self.base_date)
            except ValueError as error:
                raise ConfigError(f"base_date was {self.base_date!r}", hint="write 2014-05-05 or from_name") from error


class SideMapping(Config, frozen=True, kw_only=True):
    """A side column and its words; ``buy`` and ``bid`` mean the same, and so do ``sell`` and ``ask``.

    Parameters
    ----------
    column : str
        Name of the column.
    buy, sell, none : list
        What the column says for each side, case ignored. For ``is_buyer_maker`` columns ``sell: [true]``.
    """

    column: str
    buy: Words = ("buy", "bid", "b", "1")
    sell: Words = ("sell", "ask", "a", "s", "-1")
    none: Words = ()

    def words(self) -> dict[str, int]:
        """Return side by lower-case word."""
        sides = ((1, self.buy), (-1, self.sell), (0, self.none))
        return {str(word).strip().lower(): side for side, words in sides for word in words}

    def __post_init__(self) -> None:
        if len(self.words()) != len(self.buy) + len(self.sell) + len(self.none):
            raise ConfigError(f"a word of {self.column} means two sides", hint="buy, sell and none must differ")


class LevelsMapping(Config, frozen=True, kw_only=True):
    """Columns of a snapshot that is one line, ``{n}`` standing for the level.

    Parameters
    ----------
    count : int
        Levels a side.
    first : int, default 0
        Number of the best level.
    bid_price, bid_quantity, ask_price, ask_quantity : str
        Column names such as ``bids[{n}].price``.
    """

    count: int
    bid_price: str
    bid_quantity: str
    ask_price: str
    ask_quantity: str
    first: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.count <= 5000:
            raise ConfigError(f"count was {self.count}", hint="levels a side, 1 to 5000")
        for name in (self.bid_price, self.bid_quantity, self.ask_price, self.ask_quantity):
            if "{n}" not in name:
                raise ConfigError(f"level column was {name!r}", hint="write {n} where the level number goes")

    def pairs(self, side: Literal["bid", "ask"]) -> list[tuple[str, str]]:
        """Return price and quantity column of each level of a side."""
        price, quantity = (getattr(self, f"{side}_{field}") for field in ("price", "quantity"))
        levels = range(self.first, self.first + self.count)
        return [(price.replace("{n}", str(n)), quantity.replace("{n}", str(n))) for n in levels]


class TableMapping(Config, frozen=True, kw_only=True):
    """How the files (or the chosen rows of files) of one kind are read.

    Parameters
    ----------
    kind : {"trades", "deltas", "snapshots", "wide_snapshots", "quotes", "last_prices"}
        What a row is: a trade; a level of an update; a level of a full book; a full book; a best quote; a last price
        (a trade of unknown size: quantity 0, flagged DERIVED).
    match : str, default "*"
        File names that this table applies to (shell pattern, compressed ending included).
    where : mapping of column to list, optional
        Only rows whose columns say one of the listed words; others belong to other tables.
    header : bool or list of str, default True
        Whether the first line names the columns; else the names.
    comment, separator : str
        Lines that begin with ``comment`` are skipped.
    instrument : InstrumentMapping, optional
        Default: the mapping's.
    receive_time : TimeMapping, optional
        Local clock; without it ``ts_recv`` = ``ts_event`` + ``latency``.
    event_time : TimeMapping, optional
        Exchange clock; without it ``ts_event`` = ``ts_recv``.
    latency : str, default "0"
        Receive latency such as ``5ms``, for files without a receive clock.
    price, quantity : str
        Columns of trades, levels and last prices.
    side : SideMapping, optional
        Side of a level, aggressor of a trade (0 where absent).
    event_id, first_id, previous_id : str, optional
        Columns of ids (``u``, ``U``, ``pu``; trade id).
    bid_price, bid_quantity, ask_price, ask_quantity : str
        Columns of quotes.
    unit_quantity : float, optional
        Size of both sides of quotes that carry none.
    levels : LevelsMapping, optional
        Columns of wide snapshots.
    ignore : list of str
        Columns that are known and not wanted; ``"*"`` for whatever else there is.
    max_time_jump : str, optional
        A record whose time lies further ahead of the record before than this, and that no later record confirms, is
        rejected (some writers end a file with a made-up time).
    """

    kind: TableKind
    match: str = "*"
    where: dict[str, Words] = msgspec.field(default_factory=dict)
    header: bool | tuple[str, ...] = True
    comment: str = ""
    separator: str = ","
    instrument: InstrumentMapping | None = None
    receive_time: TimeMapping | None = None
    event_time: TimeMapping | None = None
    latency: str = "0"
    price: str = ""
    quantity: str = ""
    side: SideMapping | None = None
    event_id: str = ""
    first_id: str = ""
    previous_id: str = ""
    bid_price: str = ""
    bid_quantity: str = ""
    ask_price: str = ""
    ask_quantity: str = ""
    unit_quantity: float | None = None
    levels: LevelsMapping | None = None
    ignore: tuple[str, ...] = ()
    max_time_jump: str = ""

    def __post_init__(self) -> None:
        missing = [name for name in _NEEDED[self.kind] if not getattr(self, name)]
        if missing:
            raise ConfigError(f"table of {self.kind} has no {', '.join(missing)}", hint="name the columns")
        if self.receive_time is None and self.event_time is None:
            raise ConfigError(f"table of {self.kind} has no time", hint="give event_time, receive_time or both")
        if self.receive_time is not None and self.latency != "0":
            raise ConfigError(
                f"latency was {self.latency} and receive_time is given", hint="latency replaces the column"
            )
        if self.kind == "quotes":
            sized = bool(self.bid_quantity), bool(self.ask_quantity)
            if any(sized) != all(sized) or all(sized) == (self.unit_quantity is not None):
                raise ConfigError(
                    "table of quotes needs bid_quantity and ask_quantity, or unit_quantity where the file has no sizes",
                    hint="a quantity of 0 would say that the side is empty",
                )
        if len(self.separator) != 1:
            raise ConfigError(f"separator was {self.separator!r}", hint="one character")

    def columns(self) -> dict[str, str]:
        """Return role by column, for every column that is read."""
        roles = ("price", "quantity", "event_id", "first_id", "previous_id")
        quote = ("bid_price", "bid_quantity", "ask_price", "ask_quantity")
        found = {getattr(self, role): role for role in (*roles, *quote) if getattr(self, role)}
        for role in ("receive_time", "event_time", "side"):
            if (part := getattr(self, role)) is not None:
                found[part.column] = role
        if self.levels is not None:
            found |= {name: "level" for side in ("bid", "ask") for pair in self.levels.pairs(side) for name in pair}
        return found | {name: found.get(name, "where") for name in self.where}


class CsvMapping(Config, frozen=True, kw_only=True):
    """A whole mapping file.

    Parameters
    ----------
    tables : list of TableMapping
        At equal times events keep the order of the tables.
    instrument : InstrumentMapping, optional
        Instrument of every table that names none.
    description : str
        For people.
    """

    tables: tuple[TableMapping, ...]
    instrument: InstrumentMapping | None = None
    description: str = ""

    def __post_init__(self) -> None:
        if not self.tables:
            raise ConfigError("the mapping has no tables", hint="list at least one under tables:")
        for i, table in enumerate(self.tables):
            if table.instrument is None and self.instrument is None:
                raise ConfigError(f"tables[{i}] has no instrument", hint="give it one, or the mapping")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Build from plain data; an unknown key at any depth is a ConfigError that names it."""
        _check_keys(cls, values, "mapping")
        return super().from_mapping(values)


_PARTS: dict[tuple[type[Config], str], type[Config]] = {
    (CsvMapping, "tables"): TableMapping,
    (CsvMapping, "instrument"): InstrumentMapping,
    (TableMapping, "instrument"): InstrumentMapping,
    (TableMapping, "receive_time"): TimeMapping,
    (TableMapping, "event_time"): TimeMapping,
    (TableMapping, "side"): SideMapping,
    (TableMapping, "levels"): LevelsMapping,
}


def _check_keys(config: type[Config], values: Any, where: str) -> None:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} was {values!r}", hint="expected keys and values")
    known = {field.encode_name for field in msgspec.structs.fields(config)}
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"{where} has no key {key!r}", hint=did_you_mean(str(key), known))
        part = _PARTS.get((config, key))
        if part is not None and value is not None:
            items = enumerate(value) if key == "tables" and isinstance(value, list) else [(-1, value)]
            for i, item in items:
                _check_keys(part, item, f"{where}.{key}" if i < 0 else f"{where}.{key}[{i}]")


def _plain(value: Any) -> Any:
    """Return YAML data with dates as text."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, dt.date | dt.datetime) else value


def load_mapping(path: str) -> CsvMapping:
    """Read and check a mapping file.

    Raises
    ------
    SourceError
        The file is missing or no YAML.
    ConfigError
        A key is unknown, a value is of the wrong type, or a table lacks a column that its kind needs.
    """
    import yaml

    file = Path(path)
    if not file.is_file():
        raise SourceError(f"{path}: mapping file not found", hint="examples are in examples/mappings")
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SourceError(f"{file.name} is no YAML: {error}") from error
    try:
        return CsvMapping.from_mapping(_plain(values))
    except ConfigError as error:
        raise ConfigError(f"{file.name}: {error}") from error
