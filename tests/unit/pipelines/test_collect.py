"""The pass over a source: hashes, samples and spans do not depend on where blocks end."""

from __future__ import annotations

import numpy as np
import pytest

from marketprism.core.block import EventBlock
from marketprism.pipelines.collect import DepthSamples, StreamHash, collect, pick_duration, span_of
from marketprism.pipelines.run_config import RunConfig
from marketprism.pipelines.sources import open_source
from marketprism.testing.streams import every_column_stream


def _digest(blocks: list[EventBlock]) -> str:
    stream_hash = StreamHash()
    for block in blocks:
        stream_hash.update(block)
    return stream_hash.hexdigest()


@pytest.mark.parametrize("size", [1, 7, 37])
def test_the_data_hash_does_not_depend_on_blocks(size: int) -> None:
    block = every_column_stream(300)
    assert _digest(list(block.chunks(size))) == _digest([block])


def test_the_data_hash_depends_on_every_row_and_payload() -> None:
    block = every_column_stream(300)
    whole = _digest([block])
    rows = block.rows.copy()
    rows["quantity"][17] += 1.0
    assert _digest([EventBlock(rows, block.instruments, block.payloads)]) != whole
    kind = next(iter(block.payloads))
    table = block.payloads[kind].copy()
    name = next(n for n in table.dtype.names or () if table.dtype[n].kind in "fi")
    table[name] += 1
    assert _digest([EventBlock(block.rows, block.instruments, {**block.payloads, kind: table})]) != whole


def test_depth_samples_stay_few_and_even() -> None:
    samples = DepthSamples()
    for ts in range(10_000):
        samples.add(ts, np.zeros((2, 3), np.int64), np.zeros((2, 3)))
    steps = np.diff(samples.ts)
    assert 200 < len(samples.ts) <= 800
    assert steps.min() == steps.max()


def test_span_and_duration() -> None:
    assert span_of(open_source("sim:?seed=1&minutes=10"), 1e9) == pytest.approx(600, rel=0.02)
    assert span_of(open_source("sim:?seed=1&minutes=10"), 60) >= 60
    assert pick_duration(10.0, 600) == 1.0
    assert pick_duration(6000.0, 600) == 10.0


def test_collect_counts_and_times_everything() -> None:
    source = open_source("sim:?seed=1&minutes=10")
    seen: list[int] = []

    class Sink:
        def write(self, block: EventBlock) -> None:
            seen.append(len(block))

    found = collect(source, RunConfig().engine, (Sink(),))
    assert sum(seen) == sum(len(block) for block in source)
    assert found.frame.height > 5
    assert found.mids.height > 100
    assert found.mids["mid"].drop_nulls().min() > 0
    assert set(found.seconds) == {"source", "hash", "sinks", "engine", "quality"}
    assert found.quality.gap_count == 0
    assert len(found.depth[0].ts) > 5
