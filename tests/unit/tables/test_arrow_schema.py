from __future__ import annotations

import polars as pl

from marketprism.core.arrow_schema import arrow_schema, decimal_fields, fields_of, widen
from marketprism.core.schema import EVENT_TYPES
from marketprism.core.tables import block_to_tables
from marketprism.testing.streams import every_column_stream


def test_the_arrow_schema_tells_units_and_nullability() -> None:
    for event_type in EVENT_TYPES.values():
        schema = arrow_schema(event_type)
        assert schema.names == [field.name for field in fields_of(event_type)]
        for field in fields_of(event_type):
            column = schema.field(field.name)
            assert column.nullable == field.nullable
            assert column.metadata[b"description"].decode() == field.description
            assert column.metadata[b"unit"].decode() == field.unit
        assert schema.metadata[b"schema_version"] == b"1"


def test_tables_cast_to_the_arrow_schema() -> None:
    for name, frame in block_to_tables(every_column_stream(400), "s").items():
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(arrow_schema(EVENT_TYPES[name]))
        table.validate(full=True)
        assert table.num_rows == frame.height


def test_widening_keeps_values() -> None:
    event_type = EVENT_TYPES["orderbook_snapshot"]
    frame = block_to_tables(every_column_stream(400), "s")["orderbook_snapshot"]
    wide = widen(frame, event_type, decimal_fields(event_type))
    assert wide.schema["bid_prices"] == pl.List(pl.Decimal(38, 18))
    assert wide["bid_prices"].to_list() == frame["bid_prices"].to_list()
    assert widen(frame, event_type, ()) is frame
