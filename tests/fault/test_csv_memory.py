"""Memory of the table sources does not grow with the file."""

from __future__ import annotations

import tracemalloc

from marketprism.ingest.files.tardis import TardisSource
from marketprism.ingest.registry import parse_spec

_HEADER = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"
_T = 1_700_000_000_000_000


def _peak(tmp_path, lines):
    paths = []
    for part in range(2):
        path = tmp_path / f"{lines}_{part}_{'trades' if part else 'liquidations'}.csv"
        with path.open("w") as stream:
            stream.write(_HEADER + "\n")
            stream.writelines(f"binance,BTCUSDT,{_T + i},{_T + i},{i},buy,100.5,1\n" for i in range(lines))
        paths.append(str(path))
    source = TardisSource(parse_spec(f"tardis:{','.join(paths)}?tick=0.5"), batch_bytes=1 << 16, block_rows=1024)
    tracemalloc.start()
    rows = sum(len(block) for block in source)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows == 2 * lines
    return peak


def test_four_times_the_file_is_not_more_memory(tmp_path):
    _peak(tmp_path, 2_000)  # first use: imports and compiled kernels
    small = _peak(tmp_path, 20_000)
    large = _peak(tmp_path, 80_000)
    assert large < 1.3 * small
