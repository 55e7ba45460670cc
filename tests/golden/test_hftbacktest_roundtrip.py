"""A real recording to hftbacktest's format and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from marketprism.core.block import concat
from marketprism.ingest.export_hftbacktest import export_hftbacktest
from marketprism.ingest.hftbacktest_events import EVENT_DTYPE, EXCH_EVENT, LOCAL_EVENT
from marketprism.ingest.registry import open_source

_EXAMPLES = Path(__file__).parents[2] / "examples" / "mappings"


@pytest.mark.parametrize("clear", ["all", "range"])
def test_trx_round_trip(data_dir, tmp_path, clear):
    (path,) = data_dir.glob("binance_trx_3market_20250304/merged*")
    source = open_source(f"csv:{path}?mapping={_EXAMPLES / 'binance_trx_merged.yaml'}")
    target = tmp_path / "trxusdt_20250414.npz"
    result = export_hftbacktest(source, target, clear=clear)
    assert (result.records, result.duplicated, result.skipped) == (6339, 2002, {})

    with np.load(target) as archive:
        records = archive["data"]
    assert records.dtype == EVENT_DTYPE
    for flag, clock in ((EXCH_EVENT, "exch_ts"), (LOCAL_EVENT, "local_ts")):
        mine = records[(records["ev"] & np.uint64(flag)) != 0]
        assert len(mine) == 4337
        assert (np.diff(mine[clock]) >= 0).all()

    back = open_source(f"hftbacktest:{target}?tick=0.00001&exchange=binance")
    before, after = concat(source), concat(back)
    assert back.instrument.key == source.instrument.key
    assert len(before) == len(after)
    for name in ("ts_event", "ts_recv", "price", "quantity", "side", "kind", "flags"):
        assert (before.rows[name] == after.rows[name]).all(), name
    again = tmp_path / "again.npz"
    export_hftbacktest(back, again, clear=clear)
    assert again.read_bytes() == target.read_bytes()
