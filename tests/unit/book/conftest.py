"""A book, a way to write messages, and a way to feed them."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from marketprism.book import Book, BookConfig
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import empty_rows


@pytest.fixture
def instrument_of():
    def build(sequencing="none", lot="0.001"):
        return Instrument(
            exchange="sim",
            market_type="linear",
            symbol="BTC-USDT",
            tick_size=Decimal("0.1"),
            lot_size=Decimal(lot),
            sequencing=sequencing,
        )

    return build


@pytest.fixture
def new_book(instrument_of):
    def build(sequencing="none", **config):
        return Book(instrument_of(sequencing), BookConfig(**config))

    return build


@pytest.fixture
def message():
    """Rows of one message: levels are (side, price, quantity)."""

    def build(kind, levels=((0, 0, 0.0),), *, u=-1, U=-1, pu=-1, ts=0):
        rows = empty_rows(len(levels))
        rows["kind"] = EventKind[kind] if isinstance(kind, str) else kind
        rows["side"], rows["price"], rows["quantity"] = ([level[i] for level in levels] for i in range(3))
        rows["event_id"], rows["first_id"], rows["previous_id"] = u, U, pu
        rows["ts_event"], rows["ts_recv"] = ts, ts + 5
        rows["flags"][0] |= Flag.FIRST
        rows["flags"][-1] |= Flag.LAST
        return rows

    return build


@pytest.fixture
def feed():
    """Push messages one by one; return the last view as a dict of plain values."""

    def run(book, *messages):
        view = None
        for rows in messages:
            view = book.push(rows).top[-1]
        return dict(zip(view.dtype.names, view.item(), strict=True))

    return run


@pytest.fixture
def same_views():
    def check(one, two):
        for name in one[0].dtype.names:
            if name != "depth":
                np.testing.assert_array_equal(one[0][name], two[0][name], err_msg=name)
        np.testing.assert_array_equal(one[1], two[1])
        np.testing.assert_array_equal(one[2], two[2])

    return check
