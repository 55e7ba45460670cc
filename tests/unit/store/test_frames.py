from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest

from marketprism.buckets.record import BUCKET_DTYPE
from marketprism.core.errors import DataError, StoreError
from marketprism.store import Store
from marketprism.store.ddl import FIXED_TABLES
from marketprism.store.frames import frame_signature, read_frame, signatures, write_frame

NS = 1_723_161_255_030_314_667


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(tmp_path_factory.mktemp("frames") / "db") as opened:
        yield opened


def bucket_frame(n: int = 5) -> pl.DataFrame:
    """Return rows as the factor engine gives them."""
    columns: dict[str, pl.Series] = {
        "exchange": pl.Series(["binance"] * n),
        "market_type": pl.Series(["linear"] * n),
        "symbol": pl.Series(["BTC-USDT"] * n),
    }
    for i, name in enumerate(BUCKET_DTYPE.names or ()):
        if name == "trigger":
            columns[name] = pl.Series(["volume"] * n)
        elif BUCKET_DTYPE[name] == np.float64:
            columns[name] = pl.Series([None, *(0.1 * i + j for j in range(n - 1))], dtype=pl.Float64)
        else:
            base = NS if name.startswith("ts_") else i
            columns[name] = pl.Series([base + j for j in range(n)], dtype=pl.Int64)
    columns["queue_imbalance"] = pl.Series([0.5, None, -1 / 3, 1e-300, 2.0][:n], dtype=pl.Float64)
    return pl.DataFrame(columns)


def test_factors_come_back_with_their_types(store: Store) -> None:
    frame = bucket_frame()
    signature = write_frame(store, "factors", frame, source="s", run="r1")
    assert signature == frame_signature(frame)
    assert read_frame(store, "factors", source="s", run="r1").equals(frame)
    assert read_frame(store, "factors", source="s", run="r1").schema == frame.schema


def test_a_frame_written_twice_is_single_and_runs_do_not_mix(store: Store) -> None:
    frame = bucket_frame()
    other = frame.with_columns(queue_imbalance=pl.lit(9.0))
    for run, rows in (("a", frame), ("b", other), ("a", frame)):
        write_frame(store, "factors", rows, source="twice", run=run)
    for run, rows in (("a", frame), ("b", other)):
        assert read_frame(store, "factors", source="twice", run=run, signature=frame_signature(frame)).equals(rows)


def test_more_rows_of_a_run_are_added(store: Store) -> None:
    frame = bucket_frame()
    write_frame(store, "factors", frame[:3], source="grow", run="r")
    write_frame(store, "factors", frame[3:], source="grow", run="r")
    assert read_frame(store, "factors", source="grow", signature=frame_signature(frame)).equals(frame)


def test_a_new_factor_is_a_new_signature(store: Store) -> None:
    frame = bucket_frame().with_columns(ofi_10=pl.lit(1.5))
    signature = write_frame(store, "factors", frame, source="new", run="r")
    write_frame(store, "factors", bucket_frame(), source="new", run="r")
    assert {signature, frame_signature(bucket_frame())} <= set(signatures(store, "factors"))
    with pytest.raises(StoreError, match="signatures of factors fit"):
        read_frame(store, "factors", source="new")
    assert read_frame(store, "factors", source="new", signature=signature).equals(frame)
    with pytest.raises(StoreError, match="0 signatures"):
        read_frame(store, "factors", signature="feedbeef")


def test_labels_and_predictions_keep_every_type(store: Store) -> None:
    keys = bucket_frame().select("exchange", "market_type", "symbol", "bucket_id", "segment", "ts_end", "ts_known")
    labels = keys.with_columns(
        return_1=pl.Series([0.1, None, 0.2, 0.3, -0.1]),
        class_1=pl.Series([1, None, 0, -1, 1], dtype=pl.Int8),
        label_end_ts_1=pl.Series([NS, None, NS + 1, NS + 2, 2**62], dtype=pl.Int64),
    )
    write_frame(store, "labels", labels, source="s", run="r")
    assert read_frame(store, "labels", source="s").equals(labels)
    predictions = keys.with_columns(
        model=pl.Series(["lightgbm", "lightgbm", "logistic", "logistic", "logistic"], dtype=pl.Categorical),
        horizon=pl.lit("5"),
        fold=pl.Series([0, 1, 0, 1, 2], dtype=pl.Int32),
        p_up=pl.Series([0.1, 0.2, 0.3, None, 0.5], dtype=pl.Float32),
        wide=pl.Series([0, 1, 2, 3, 2**64 - 1], dtype=pl.UInt64),
        traded=pl.Series([True, False, None, True, False]),
        note=pl.Series(["a", None, "c", "d", "é'\\"]),
        at=pl.Series([NS, None, 3, 4, 5]).cast(pl.Datetime("ns", "UTC")),
        side=pl.Series(["buy"] * 5, dtype=pl.Enum(["buy", "sell"])),
    )
    write_frame(store, "predictions", predictions, source="s", run="r")
    back = read_frame(store, "predictions", source="s")
    expected = predictions.with_columns(pl.col("model", "side").cast(pl.String)).sort("model", "horizon", "fold")
    assert back.equals(expected)
    assert back.schema == expected.schema


def test_buckets_have_their_own_table(store: Store) -> None:
    frame = bucket_frame()
    assert write_frame(store, "unified_buckets", frame, source="s", run="r", policy_hash="p") == ""
    back = read_frame(store, "unified_buckets", source="s", run="r")
    assert back.columns == list(FIXED_TABLES["unified_buckets"].column_names)
    assert back["policy_hash"].to_list() == ["p"] * 5
    for name in BUCKET_DTYPE.names or ():
        column = back[name].to_physical() if name.startswith("ts_") else back[name]
        assert column.to_list() == frame[name].to_list(), name
    assert read_frame(store, "unified_buckets", source="nobody").columns == back.columns
    assert read_frame(store, "unified_buckets", source="nobody").height == 0


def test_the_other_fixed_tables(store: Store) -> None:
    row = {
        "exchange": "binance", "market_type": "spot", "symbol": "A", "session_tag": "asia", "mode": "volume",
        "t_target_s": 30.0, "t_max_s": 60.0, "q": 1.5, "q_min": 1.0, "q_max": 2.0, "n": 3.0, "n_min": 1.0, "n_max": 9.0,
        "u": 5.0, "u_min": 1.0, "u_max": 7.0, "volume_per_s_p50": 0.1, "volume_per_s_p80": 0.2, "trades_per_s_p50": 0.3,
        "trades_per_s_p80": 0.4, "updates_per_s_p50": 0.5, "updates_per_s_p80": None, "window_min": 15, "notes": "n",
        "valid_from": NS, "valid_to": None, "version": 1,
    }  # fmt: skip
    types = {
        "valid_from": pl.Datetime("ns", "UTC"),
        "valid_to": pl.Datetime("ns", "UTC"),
        "updates_per_s_p80": pl.Float64,
    }
    frame = pl.DataFrame([row], schema_overrides=types)
    write_frame(store, "bucket_config", frame, source="calibrated")
    newer = frame.with_columns(version=pl.lit(2, pl.Int64), notes=pl.lit("newer"))
    write_frame(store, "bucket_config", newer, source="calibrated")
    write_frame(store, "bucket_config", frame.with_columns(notes=pl.lit("late")), source="calibrated")
    assert read_frame(store, "bucket_config")["notes"].to_list() == ["newer"]
    day = pl.DataFrame(
        {"day": ["2024-08-08"], "event_type": ["trade"], "exchange": ["binance"], "rows": [1], "bytes": [2],
         "checksum": ["c"], "seconds": [0.5]}
    ).with_columns(pl.col("day").str.to_date())  # fmt: skip
    write_frame(store, "archive_status", day)
    assert read_frame(store, "archive_status").equals(day)


def test_what_cannot_be_filed_is_refused(store: Store) -> None:
    frame = bucket_frame()
    for kind, bad, message in (
        ("factors", pl.concat([frame, frame[:1]]), "occurs twice"),
        ("factors", frame.drop("bucket_id"), "no column 'bucket_id'"),
        ("factors", frame.with_columns(bucket_id=pl.lit(None, pl.Int64)), "has a null"),
        ("factors", frame.with_columns(a=pl.lit([1])), "'a' has type List"),
        ("unified_buckets", frame.drop("vwap"), "needs a column 'policy_hash'"),
    ):
        with pytest.raises(DataError, match=message):
            write_frame(store, kind, bad, source="s", run="bad")
    with pytest.raises(StoreError, match="did you mean 'factors'"):
        write_frame(store, "factor", frame)


def test_an_empty_frame_is_known_by_its_columns(store: Store) -> None:
    empty = bucket_frame()[:0].with_columns(other=pl.lit(1.0))
    signature = write_frame(store, "factors", empty, source="empty", run="r")
    back = read_frame(store, "factors", source="empty", signature=signature)
    assert back.equals(empty)
    assert back.schema == empty.schema
