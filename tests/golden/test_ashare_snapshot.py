"""Thirty Shanghai stocks on 2021-12-01, checked against an independent reading of the same file."""

from __future__ import annotations

import zipfile
from collections import Counter, defaultdict
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from marketprism.core.block import EventBlock, concat
from marketprism.core.kinds import EventKind, Flag
from marketprism.ingest import external_sort, tabular
from marketprism.ingest.registry import open_source
from marketprism.ingest.source import Source

FILE = "ashare_l2/20211201snapshot_30stocks.zip"
MIDNIGHT = 1_638_288_000_000_000_000  # 2021-12-01 00:00 in China
BOOK, TRADE = EventKind.BOOK_SNAPSHOT, EventKind.TRADE


@pytest.fixture(scope="module")
def panel(data_dir: Path) -> tuple[Source, EventBlock]:
    source = open_source(f"ashare-snapshot:{data_dir / FILE}")
    return source, concat(source)


@pytest.fixture(scope="module")
def rows_by_stock(data_dir: Path) -> dict[str, list[dict[str, str]]]:
    columns = ["SecurityID", "DateTime", "InstrumentStatus", "TotalVolumeTrade", "TotalValueTrade"]
    columns += [f"{side}{what}{i}" for side in ("Bid", "Offer") for what in ("Price", "OrderQty") for i in range(10)]
    with zipfile.ZipFile(data_dir / FILE) as archive:
        frame = pl.read_csv(archive.read(archive.namelist()[0]), columns=columns, infer_schema=False)
    result: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in frame.iter_rows(named=True):
        result[row["SecurityID"]].append(row)
    return result


def _time(row: dict[str, str]) -> int:
    hour, minute, second = row["DateTime"][11:].split(":")
    return MIDNIGHT + (int(hour) * 3600 + int(minute) * 60) * 10**9 + round(float(second) * 1000) * 10**6


def _yuan(text: str) -> Decimal:
    return Decimal(text).quantize(Decimal("0.0001"))


def _is_open(row: dict[str, str]) -> bool:
    return row["InstrumentStatus"] == "TRADE" and row["DateTime"][11:] >= "09:30"


def _book(row: dict[str, str]) -> list[tuple[int, int, float]]:
    return [
        (side, round(float(row[f"{price}Price{i}"]) * 100), float(row[f"{price}OrderQty{i}"]))
        for side, price in ((1, "Bid"), (-1, "Offer"))
        for i in range(10)
        if float(row[f"{price}Price{i}"]) and float(row[f"{price}OrderQty{i}"])
    ]


def test_every_book_and_time_of_the_file(panel: tuple[Source, EventBlock], rows_by_stock: dict) -> None:
    source, block = panel
    assert [i.symbol for i in source.instruments] == sorted(rows_by_stock)
    for index, instrument in enumerate(source.instruments):
        rows = block.only(index).rows
        mine = rows[rows["kind"] == BOOK]
        starts = np.flatnonzero(mine["flags"] & Flag.FIRST)
        assert np.array_equal(np.append(starts[1:], len(mine)) - 1, np.flatnonzero(mine["flags"] & Flag.LAST))
        books = [part[["side", "price", "quantity"]].tolist() for part in np.split(mine, starts[1:])]
        expected = [row for row in rows_by_stock[instrument.symbol] if _is_open(row)]
        assert books == [_book(row) for row in expected]
        assert mine["ts_event"][starts].tolist() == [_time(row) for row in expected]


def test_derived_trades(panel: tuple[Source, EventBlock], rows_by_stock: dict) -> None:
    source, block = panel
    sides: Counter[int] = Counter()
    for index, instrument in enumerate(source.instruments):
        rows = block.only(index).rows
        mine = rows[rows["kind"] == TRADE]
        expected = []
        previous: dict[str, str] | None = None
        for row in rows_by_stock[instrument.symbol]:
            if previous is not None and int(row["TotalVolumeTrade"]) > int(previous["TotalVolumeTrade"]):
                volume = int(row["TotalVolumeTrade"]) - int(previous["TotalVolumeTrade"])
                value = _yuan(row["TotalValueTrade"]) - _yuan(previous["TotalValueTrade"])
                price = Fraction(value) / volume
                auction = not _is_open(row)
                side = 0
                if (
                    not auction
                    and _is_open(previous)
                    and float(previous["BidPrice0"])
                    and float(previous["OfferPrice0"])
                ):
                    above = 2 * price - Fraction(_yuan(previous["BidPrice0"]) + _yuan(previous["OfferPrice0"]))
                    side = int(above > 0) - int(above < 0)
                if auction or previous["DateTime"][11:] >= "09:25":
                    expected.append((_time(row), int(price * 100 + Fraction(1, 2)), float(volume), side, auction))
                else:
                    expected.append((_time(row), int(price * 100 + Fraction(1, 2)), float(volume), 0, True))
            previous = row
        found = zip(
            mine["ts_event"].tolist(),
            mine["price"].tolist(),
            mine["quantity"].tolist(),
            mine["side"].tolist(),
            ((mine["flags"] & Flag.AUCTION) != 0).tolist(),
            strict=True,
        )
        assert list(found) == expected
        assert (mine["flags"] & Flag.DERIVED).all()
        sides.update(mine["side"].tolist())
    assert sum(sides.values()) == 21_340
    assert sides[1] > 8_000
    assert sides[-1] > 8_000


def test_volume_adds_up_to_the_last_row(panel: tuple[Source, EventBlock], rows_by_stock: dict) -> None:
    source, block = panel
    trades = block.rows[block.rows["kind"] == TRADE]
    for index, instrument in enumerate(source.instruments):
        total = trades["quantity"][trades["instrument"] == index].sum()
        rows = rows_by_stock[instrument.symbol]
        assert total == int(rows[-1]["TotalVolumeTrade"]) - int(rows[0]["TotalVolumeTrade"]) > 0


@pytest.mark.parametrize(
    ("symbol", "states"),
    [("600311", [100, 0, 0]), ("600258", [68, 19, 12]), ("603258", [45, 19, 36]), ("688339", [14, 5, 82])],
)
def test_spread_states(panel: tuple[Source, EventBlock], symbol: str, states: list[int]) -> None:
    source, block = panel
    index = [i.symbol for i in source.instruments].index(symbol)
    rows = block.only(index).rows
    mine = rows[rows["kind"] == BOOK]
    messages = np.cumsum(mine["flags"] & Flag.FIRST)
    bid = np.full(messages[-1] + 1, -1)
    ask = np.full(messages[-1] + 1, 10**9)
    np.maximum.at(bid, messages[mine["side"] == 1], mine["price"][mine["side"] == 1])
    np.minimum.at(ask, messages[mine["side"] == -1], mine["price"][mine["side"] == -1])
    both = (bid > 0) & (ask < 10**9)
    spread = np.minimum((ask - bid)[both], 3)
    assert [round(100 * (spread == s).mean()) for s in (1, 2, 3)] == states


def test_counts_and_order(panel: tuple[Source, EventBlock]) -> None:
    source, block = panel
    assert block.counts() == {"orderbook_snapshot": 31_686, "trade": 21_340}
    assert source.report.records == 32_972
    assert source.report.rejected == {}
    assert source.report.notes == {"snapshots outside continuous trading": 1_286}
    assert (np.diff(block.rows["ts_recv"]) >= 0).all()
    opening = block.rows[(block.rows["flags"] & Flag.AUCTION) != 0]
    assert (opening["kind"] == TRADE).all()
    assert 25 <= len(opening) <= 60


def test_one_stock_is_the_panel_s(data_dir: Path, panel: tuple[Source, EventBlock]) -> None:
    source = open_source(f"ashare-snapshot:{data_dir / FILE}?symbol=600311")
    block = concat(source)
    index = [i.symbol for i in panel[0].instruments].index("600311")
    assert np.array_equal(block.rows, panel[1].only(index).rows)
    assert source.instrument.key == "sse:equity:600311"
    window = concat(open_source(f"ashare-snapshot:{data_dir / FILE}?symbol=600311&from=10:00&to=10:15"))
    inside = (block.rows["ts_event"] >= MIDNIGHT + 36_000 * 10**9) & (
        block.rows["ts_event"] < MIDNIGHT + 36_900 * 10**9
    )
    assert np.array_equal(window.rows, block.rows[inside])
    moments = "from=2021-12-01T02:00:00Z&to=2021-12-01T02:15:00Z"
    same = concat(open_source(f"ashare-snapshot:{data_dir / FILE}?symbol=600311.SH&{moments}"))
    assert np.array_equal(window.rows, same.rows)


@pytest.mark.parametrize(("lines", "run_rows"), [(997, 50_000), (5_000, 1 << 20)])
def test_batches_and_runs_do_not_matter(
    data_dir: Path, panel: tuple[Source, EventBlock], lines: int, run_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tabular, "BATCH_LINES", lines)
    monkeypatch.setattr(external_sort, "RUN_ROWS", run_rows)
    monkeypatch.setattr(external_sort, "_MERGE_ROWS", 20_000)
    source = open_source(f"ashare-snapshot:{data_dir / FILE}")
    assert np.array_equal(concat(source).rows, panel[1].rows)
    assert source.report == panel[0].report
