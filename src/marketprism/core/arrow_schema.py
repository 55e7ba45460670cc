"""Column types of the typed tables, derived from :data:`marketprism.core.schema.EVENT_TYPES`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from marketprism.core.fixed_point import NARROW, WIDE
from marketprism.core.schema import KEY_FIELDS, EventType, Field

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "SCHEMA_VERSION",
    "arrow_schema",
    "concat_frames",
    "decimal_fields",
    "fields_of",
    "frame_schema",
    "wide_fields",
    "widen",
]

SCHEMA_VERSION = 1
"""Version of the typed tables; raised with every change of a column, together with a store migration."""


def fields_of(event_type: EventType) -> tuple[Field, ...]:
    """Return every column of a table: the keys, then its own.

    Examples
    --------
    >>> from marketprism.core.schema import EVENT_TYPES
    >>> [field.name for field in fields_of(EVENT_TYPES["open_interest"])][-3:]
    ['contracts', 'base_quantity', 'quote_value']
    """
    return KEY_FIELDS + event_type.fields


def decimal_fields(event_type: EventType) -> tuple[str, ...]:
    """Return the names of the decimal columns (arrays of decimals included)."""
    return tuple(field.name for field in fields_of(event_type) if field.type in {"decimal", "decimals"})


def frame_schema(event_type: EventType, wide: Collection[str] = ()) -> dict[str, pl.DataType]:
    """Return the Polars type of every column.

    Parameters
    ----------
    event_type : EventType
        The table.
    wide : collection of str, optional
        Decimal columns that are ``Decimal(38,18)`` because a venue's numbers do not fit ``Decimal(18,8)``.
    """
    import polars as pl

    plain: dict[str, pl.DataType] = {
        "text": pl.String(),
        "time": pl.Datetime("ns", "UTC"),
        "int": pl.Int64(),
        "float": pl.Float64(),
        "bool": pl.Boolean(),
        "ints": pl.List(pl.Int64()),
    }
    result: dict[str, pl.DataType] = {}
    for field in fields_of(event_type):
        number = pl.Decimal(*(WIDE if field.name in wide else NARROW))
        if field.type == "decimal":
            result[field.name] = number
        elif field.type == "decimals":
            result[field.name] = pl.List(number)
        else:
            result[field.name] = plain[field.type]
    return result


def arrow_schema(event_type: EventType, wide: Collection[str] = ()) -> Any:
    """Return the Arrow schema of a table, with nullability and the description and unit of every column."""
    import polars as pl
    import pyarrow as pa

    types = pl.DataFrame(schema=frame_schema(event_type, wide)).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    return pa.schema(
        [
            pa.field(
                field.name,
                types.field(field.name).type,
                field.nullable,
                {"description": field.description, "unit": field.unit},
            )
            for field in fields_of(event_type)
        ],
        {"event_type": event_type.name, "schema_version": str(SCHEMA_VERSION)},
    )


def wide_fields(frame: pl.DataFrame) -> frozenset[str]:
    """Return the names of the columns that are, or are arrays of, the wide decimal."""
    import polars as pl

    wide = pl.Decimal(*WIDE)
    return frozenset(name for name, dtype in frame.schema.items() if dtype in (wide, pl.List(wide)))


def widen(frame: pl.DataFrame, event_type: EventType, wide: Collection[str]) -> pl.DataFrame:
    """Return ``frame`` with the columns in ``wide`` as ``Decimal(38,18)``; values do not change."""
    schema = frame_schema(event_type, wide)
    casts = {name: schema[name] for name in wide if frame.schema[name] != schema[name]}
    return frame.cast(casts) if casts else frame  # type: ignore[arg-type]


def concat_frames(frames: Sequence[pl.DataFrame], event_type: EventType) -> pl.DataFrame:
    """Return the frames of one table in one, widened to the widest decimals among them."""
    import polars as pl

    wide = frozenset[str]().union(*map(wide_fields, frames))
    return pl.concat([widen(frame, event_type, wide) for frame in frames])
