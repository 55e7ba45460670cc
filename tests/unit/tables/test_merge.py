from __future__ import annotations

from collections.abc import Iterator

import pytest

from marketprism.core.block import EventBlock
from marketprism.core.errors import IntegrityError
from marketprism.core.merge import merge_tables
from marketprism.core.schema import EVENT_TYPES
from marketprism.core.table_rows import TableRows, decode_table
from marketprism.core.tables import block_to_tables
from marketprism.testing.streams import canonical, every_column_stream


def pieces(block: EventBlock, size: int, log: list[str]) -> dict[str, Iterator[TableRows]]:
    def read(name: str) -> Iterator[TableRows]:
        frame = tables[name]
        for start in range(0, frame.height, size):
            log.append(name)
            yield decode_table(frame[start : start + size], EVENT_TYPES[name], block.instruments)

    tables = block_to_tables(block, "s")
    return {name: read(name) for name in tables}


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_tables_merge_into_the_stream(size: int) -> None:
    block = every_column_stream(500, seed=11)
    assert canonical(merge_tables(pieces(block, size, []), block.instruments)) == canonical(block)


def test_only_one_piece_of_a_table_is_read_ahead() -> None:
    block = every_column_stream(500, seed=11)
    log: list[str] = []
    merged = merge_tables(pieces(block, 10, log), block.instruments)
    next(merged)
    assert sorted(log) == sorted(EVENT_TYPES)


def test_pieces_that_run_backwards_are_refused() -> None:
    block = every_column_stream(200, seed=11)
    trades = decode_table(block_to_tables(block, "s")["trade"], EVENT_TYPES["trade"], block.instruments)
    with pytest.raises(IntegrityError, match="trade runs backwards"):
        list(merge_tables({"trade": iter([trades, trades])}, block.instruments))


def test_nothing_gives_nothing() -> None:
    assert list(merge_tables({"trade": iter([])}, every_column_stream(1).instruments)) == []
