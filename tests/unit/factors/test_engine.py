from __future__ import annotations

from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from marketprism.book.config import BookConfig
from marketprism.buckets.config import BucketConfig
from marketprism.buckets.record import BUCKET_DTYPE
from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError, DataError, StateError
from marketprism.core.instrument import Instrument
from marketprism.core.rows import empty_rows
from marketprism.factors.chain import Chain
from marketprism.factors.config import EngineConfig
from marketprism.factors.engine import FactorEngine
from marketprism.testing.streams import every_column_stream
from marketprism.testing.tapes import market_tape

TIME = EngineConfig(buckets=BucketConfig(policy="time", t_target_s=2.0), families=("level1", "flow"))
TAPE = market_tape(600)


def test_columns() -> None:
    engine = FactorEngine(TIME, instrument=TAPE.instrument)
    rows = engine.push(TAPE)
    buckets = tuple(BUCKET_DTYPE.names or ())
    assert rows.columns == ["exchange", "market_type", "symbol", *buckets, *engine.factor_names]
    assert rows.schema["trigger"] == pl.String
    assert set(rows["trigger"]) <= {"time", "gap"}
    assert all(rows.schema[name] == pl.Float64 for name in engine.factor_names)
    assert rows["bucket_id"].to_list() == list(range(rows.height))
    assert rows.height > 50
    assert engine.flush()["trigger"].to_list() == ["end"]
    assert engine.flush().height == 0


def test_bucket_columns_and_factors_agree() -> None:
    config = EngineConfig(buckets=TIME.buckets)
    rows = FactorEngine(config, instrument=TAPE.instrument).push(TAPE)
    same = (("traded_volume", "volume"), ("trade_count", "trades"))
    for factor, column in same:
        assert rows[factor].to_list() == rows[column].cast(pl.Float64).to_list()
    assert rows["spread_ticks"].fill_null(-1).to_list() == rows["spread_last_ticks"].cast(pl.Float64).to_list()
    signed = (rows["buy_volume"] - rows["sell_volume"]).to_numpy()
    np.testing.assert_allclose(rows["signed_volume"].to_numpy(), signed, atol=1e-9)
    mids = rows.filter(pl.col("segment") == pl.col("segment").shift(1))
    wanted = rows.with_columns(r=(pl.col("mid_last") / pl.col("mid_last").shift(1).over("segment")).log())["r"]
    assert mids.height > 20
    assert rows["mid_return"].is_null().to_list() == wanted.is_null().to_list()
    np.testing.assert_allclose(rows["mid_return"].drop_nulls(), wanted.drop_nulls(), rtol=1e-9, atol=1e-15)


def test_empty_pushes_share_one_frame() -> None:
    engine = FactorEngine(TIME, instrument=TAPE.instrument)
    first, second = engine.push(TAPE[:0]), engine.push(TAPE[:1])
    assert first is second
    assert first.height == 0
    assert first.schema == engine.push(TAPE[1:]).schema


def test_identity_of_micro_price_is_exact() -> None:
    rows = FactorEngine(TIME, instrument=TAPE.instrument).push(TAPE).drop_nulls("queue_imbalance")
    spread, imbalance = rows["spread_ticks"].to_numpy(), rows["queue_imbalance"].to_numpy()
    assert len(rows) > 50
    np.testing.assert_array_equal(rows["micro_mid_spread"], spread * imbalance / 2)
    open_book = spread > 0
    np.testing.assert_array_equal(rows["microprice_deviation"].to_numpy()[open_book], imbalance[open_book] / 2)
    assert rows["microprice_deviation"].is_null().to_list() == (~open_book).tolist()


def test_panel_order_and_mapping() -> None:
    panel = every_column_stream(600)
    config = EngineConfig(buckets=BucketConfig(policy="count", target_trades=3), families=("flow",))
    engine = FactorEngine(config, instrument=panel.instruments)
    rows = pl.concat([engine.push(part) for part in panel.chunks(50)])
    assert rows["ts_known"].is_sorted()
    other = FactorEngine(config, instrument=tuple(reversed(panel.instruments)))
    assert other.push(panel).equals(rows)
    only = panel.only(2)
    assert other.push(only).height > 0
    assert len(engine.books) == 3


def test_unknown_instrument_is_refused() -> None:
    other = Instrument(exchange="sim", market_type="spot", symbol="OTHER", tick_size=Decimal(1))
    engine = FactorEngine(TIME, instrument=TAPE.instrument)
    with pytest.raises(DataError, match="sim:spot:OTHER, unknown to the engine"):
        engine.push(EventBlock(empty_rows(1), (other,)))
    with pytest.raises(DataError, match="no instrument"):
        FactorEngine(TIME, instrument=())


def test_equal_instruments_need_not_be_one_object() -> None:
    engine = FactorEngine(TIME, instrument=TAPE.instrument)
    same = {name: getattr(TAPE.instrument, name) for name in TAPE.instrument.__struct_fields__}
    again = EventBlock(TAPE.rows, (Instrument(**same),))
    whole = engine.push(TAPE)
    assert FactorEngine(TIME, instrument=TAPE.instrument).push(again).equals(whole)


def test_strided_rows_are_taken() -> None:
    doubled = np.repeat(TAPE.rows, 2)[::2]
    assert not doubled.flags.c_contiguous
    engine = FactorEngine(TIME, instrument=TAPE.instrument)
    wanted = FactorEngine(TIME, instrument=TAPE.instrument).push(TAPE)
    assert engine.push(EventBlock(doubled, TAPE.instruments)).equals(wanted)


def test_large_pushes_go_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    tape = market_tape(5000, seed=2)
    monkeypatch.setattr("marketprism.factors.chain.CHAIN_ROWS", len(tape) // 5)
    chain, steps = Chain(TIME, tape.instrument), Chain(TIME, tape.instrument)
    whole = chain.push(tape.rows)
    parts = [steps.push(part.rows) for part in tape.chunks(1000)]
    assert whole is not None
    np.testing.assert_array_equal(np.concatenate([p.values for p in parts if p is not None]), whole.values)
    assert (np.diff(whole.closing) >= 0).all()
    np.testing.assert_array_equal(tape.rows["ts_recv"][whole.closing], whole.buckets["ts_known"])


def test_observers_see_every_row() -> None:
    seen: list[int] = []
    engine = FactorEngine(TIME, instrument=TAPE.instrument)
    engine.observe([lambda rows, views, cuts: seen.append(len(rows) + 0 * len(views.top) + 0 * len(cuts))])
    engine.push(TAPE)
    assert sum(seen) == len(TAPE)


def test_signature() -> None:
    one = FactorEngine(TIME, instrument=TAPE.instrument).signature
    assert one == FactorEngine(TIME, instrument=TAPE.instrument).signature
    other = FactorEngine(TIME.replace(params={"flow": {"trades": [7]}}), instrument=TAPE.instrument).signature
    assert one.config != other.config
    assert one.factors != other.factors
    bucket = FactorEngine(TIME.replace(buckets={"policy": "volume"}), instrument=TAPE.instrument).signature
    assert (bucket.config != one.config, bucket.factors) == (True, one.factors)


def test_load_refuses_other_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FactorEngine(TIME, instrument=TAPE.instrument)
    blob = engine.save()
    with pytest.raises(StateError, match="checksum"):
        FactorEngine.load(blob[:-1] + bytes([blob[-1] ^ 1]))
    monkeypatch.setattr("marketprism.factors.engine.factor_hash", lambda *_: "0" * 16)
    with pytest.raises(StateError, match="saved by factors"):
        FactorEngine.load(blob)


def test_restore_refuses_another_layout() -> None:
    saved = Chain(TIME, TAPE.instrument).save()
    with pytest.raises(StateError, match="flow has another layout"):
        Chain(TIME.replace(params={"flow": {"trades": [7]}}), TAPE.instrument).restore(saved)
    with pytest.raises(StateError, match="no family ofi"):
        Chain(TIME.replace(families=["ofi"]), TAPE.instrument).restore(saved)


@pytest.mark.parametrize(
    ("family", "params"),
    [
        ("flow", {"buckets": (5, 1)}),
        ("flow", {"half_lives_s": (0.0,)}),
        ("ofi", {"strong_quantile": 1.0}),
        ("returns", {"capacity": 1}),
        ("depth", {"levels": (5, 40)}),
        ("depth", {"level_decay": -1.0}),
        ("depth", {"least_trades": 0}),
        ("depth_flow", {"levels": (21,)}),
    ],
)
def test_parameters_are_checked(family: str, params: dict) -> None:
    with pytest.raises(ConfigError):
        FactorEngine(EngineConfig(params={family: params}), instrument=TAPE.instrument)


def test_without_depth_and_windows() -> None:
    params = {"ofi": {"buckets": [], "events": [], "half_lives_s": []}, "flow": {"buckets": [], "trades": []}}
    config = EngineConfig(book=BookConfig(depth_levels=0), buckets=TIME.buckets, params=params)
    engine = FactorEngine(config, instrument=TAPE.instrument)
    assert not [name for name in engine.factor_names if "depth" in name or "sweep" in name]
    assert engine.push(TAPE).height > 50


def test_short_memory_gives_null_not_wrong() -> None:
    short, long = (EngineConfig(buckets=TIME.buckets, families=("returns",), params={"returns": p})
                   for p in ({"capacity": 12}, {}))  # fmt: skip
    few, all_ = (FactorEngine(config, instrument=TAPE.instrument).push(TAPE) for config in (short, long))
    both = few["momentum_30s"].is_not_null()
    assert few["momentum_30s"].null_count() > all_["momentum_30s"].null_count()
    assert few.filter(both)["momentum_30s"].equals(all_.filter(both)["momentum_30s"])
