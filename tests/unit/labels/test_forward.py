"""Forward labels on hand-made tapes."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.labels import Horizon, LabelConfig, make_labels

NS = 10**9


def frame(mids, segments=None, ends=None, ids=None, symbol="A", delay=0):
    n = len(mids)
    end = np.array(ends if ends is not None else range(10, 10 + 10 * n, 10), np.int64) * NS
    return pl.DataFrame(
        {
            "exchange": "x",
            "market_type": "spot",
            "symbol": symbol,
            "bucket_id": np.array(ids if ids is not None else range(n), np.int64),
            "segment": np.array(segments if segments is not None else [0] * n, np.int64),
            "ts_end": end,
            "ts_known": end + delay,
            "mid_last": pl.Series(mids, dtype=pl.Float64),
        }
    )


def config(**changes):
    return LabelConfig(**{"bucket_horizons": (1,), "threshold_min_moves": 2, **changes})


def test_bucket_returns_and_ends():
    labels = make_labels(frame([100.0, 110.0, 121.0], delay=7), config(bucket_horizons=(1, 2))).frame
    assert labels["return_1_buckets"].to_list() == pytest.approx([math.log(1.1), math.log(1.1), None])
    assert labels["return_2_buckets"].to_list() == pytest.approx([math.log(1.21), None, None])
    assert labels["label_end_ts_1_buckets"].to_list() == [20 * NS, 30 * NS, None]
    assert labels["label_known_ts_1_buckets"].to_list() == [20 * NS + 7, 30 * NS + 7, None]


def test_per_second_divides_by_elapsed_seconds():
    labels = make_labels(frame([100.0, 110.0, 121.0], ends=[10, 12, 20]), config(scheme="per_second"))
    assert labels.scheme == "per_second"
    assert labels.frame["return_1_buckets"].to_list() == pytest.approx([math.log(1.1) / 2, math.log(1.1) / 8, None])


def test_per_second_is_null_where_no_time_elapsed():
    labels = make_labels(frame([100.0, 110.0, 121.0], ends=[10, 10, 20]), config(scheme="per_second"))
    assert labels.frame["return_1_buckets"].to_list()[0] is None
    raw = make_labels(frame([100.0, 110.0, 121.0], ends=[10, 10, 20]), config())
    assert raw.frame["return_1_buckets"].to_list()[0] is not None


def test_schemes_have_different_hashes():
    tape = frame([1.0, 2.0])
    assert make_labels(tape, config()).hash != make_labels(tape, config(scheme="per_second")).hash


def test_nothing_crosses_a_segment_or_a_missing_bucket():
    labels = make_labels(frame([1.0, 2.0, 3.0, 4.0], segments=[0, 0, 1, 1]), config()).frame
    assert [value is None for value in labels["return_1_buckets"]] == [False, True, False, True]
    labels = make_labels(frame([1.0, 2.0, 3.0], ids=[0, 2, 3]), config()).frame
    assert [value is None for value in labels["return_1_buckets"]] == [True, False, True]


def test_invalid_mids_are_null():
    labels = make_labels(frame([1.0, None, math.nan, 0.0, -1.0, 2.0, 3.0]), config()).frame
    assert [value is None for value in labels["return_1_buckets"]] == [True] * 5 + [False, True]
    assert [value is None for value in labels["label_end_ts_1_buckets"]] == [True] * 5 + [False, True]


def test_max_elapsed():
    labels = make_labels(frame([1.0, 2.0, 3.0], ends=[10, 20, 1000]), config(max_elapsed_s=10.0)).frame
    assert [value is None for value in labels["return_1_buckets"]] == [False, True, True]


def test_instruments_are_apart_in_any_row_order():
    one, two = frame([1.0, 2.0, 4.0], symbol="A"), frame([9.0, 3.0, 1.0], symbol="B")
    mixed = pl.concat([one, two])[[5, 0, 3, 2, 1, 4]]
    labels = make_labels(mixed, config()).frame
    assert labels["symbol"].to_list() == mixed["symbol"].to_list()
    assert labels["return_1_buckets"].to_list() == pytest.approx(
        [None, math.log(2), -math.log(3), None, math.log(2), -math.log(3)]
    )


def test_fixed_time_from_bucket_ends():
    tape = frame([1.0, 2.0, 4.0, 8.0], ends=[10, 20, 23, 40])
    labels = make_labels(tape, config(bucket_horizons=(), time_horizons_s=(13.0,)))
    # 23: the mid at exactly 23; 33: the last is the one at 23; 36: the same; 53: beyond the tape.
    assert labels.frame["return_13_s"].to_list() == pytest.approx([math.log(4), math.log(2), 0.0, None])
    assert labels.frame["label_end_ts_13_s"].to_list() == [23 * NS, 33 * NS, 36 * NS, None]
    assert labels.frame["label_known_ts_13_s"].to_list() == [23 * NS, 40 * NS, 40 * NS, None]
    assert labels.stale_share == {"13_s": pytest.approx(1 / 3)}
    assert labels.mid_source == "bucket_ends"


def test_fixed_time_needs_an_unbroken_tape():
    tape = frame([1.0, 2.0, 4.0, 8.0], ends=[10, 20, 30, 40], segments=[0, 0, 1, 1])
    labels = make_labels(tape, config(bucket_horizons=(), time_horizons_s=(12.0,))).frame
    assert labels["return_12_s"].to_list() == [None, None, None, None]


def series(ts, mid, symbol="A", clock="ts_event"):
    return pl.DataFrame(
        {"exchange": "x", "market_type": "spot", "symbol": symbol, clock: np.array(ts, np.int64) * NS, "mid": mid}
    )


def test_fixed_time_from_a_mid_series():
    tape = frame([1.0, 2.0, 4.0], ends=[10, 20, 30])
    mids = series([10, 14, 15, 16, 20, 22, 30], [1.0, 3.0, 5.0, 7.0, 2.0, math.nan, 4.0])
    labels = make_labels(tape, config(bucket_horizons=(), time_horizons_s=(5.0,)), mids)
    assert labels.frame["return_5_s"].to_list() == pytest.approx([math.log(5), None, None])
    assert labels.mid_source == "mid_series"
    assert labels.hash != make_labels(tape, labels.config).hash


def test_mid_series_of_another_instrument_or_starting_late_gives_null():
    tape = frame([1.0, 2.0, 4.0])
    setup = config(bucket_horizons=(), time_horizons_s=(5.0,))
    assert make_labels(tape, setup, series([1], [1.0], symbol="B")).frame["return_5_s"].null_count() == 3
    late = make_labels(tape, setup, series([24], [1.0], clock="ts")).frame["return_5_s"].to_list()
    assert late == pytest.approx([None, -math.log(2), None])


def test_event_clock_of_a_mid_series_may_step_back_but_its_receive_clock_may_not():
    tape = frame([1.0, 2.0, 4.0], ends=[10, 20, 30])
    setup = config(bucket_horizons=(), time_horizons_s=(5.0,))
    mids = series([10, 16, 14, 20], [1.0, 3.0, 5.0, 2.0]).with_columns(ts_recv=pl.Series([1, 2, 3, 4]))
    # The step back from 16 to 14 is read as 16: nothing newer than 10 is at or before 15.
    assert make_labels(tape, setup, mids).frame["return_5_s"].to_list()[0] == pytest.approx(0.0)
    with pytest.raises(DataError, match="ran backwards"):
        make_labels(tape, setup, mids.with_columns(ts_recv=pl.Series([1, 3, 2, 4])))


def test_classes_use_the_threshold_of_past_moves():
    mids = 100 * np.exp(np.cumsum([0.0, 0.01, -0.01, 0.01, 0.02, -0.02, 0.001]))
    setup = config(threshold_multiplier=1.0, threshold_half_life=1e9)
    labels = make_labels(frame(mids), setup).frame
    # At bucket i the moves up to i are known; two are needed.
    assert labels["threshold_1_buckets"].to_list()[:2] == [None, None]
    assert labels["threshold_1_buckets"].to_list()[2:] == pytest.approx(
        [0.01, 0.01, math.sqrt(7e-4 / 4), math.sqrt(11e-4 / 5), math.sqrt(11.01e-4 / 6)], rel=1e-6
    )
    assert labels["class_1_buckets"].to_list()[4:] == [-1, 0, None]
    assert labels["class_1_buckets"].to_list()[:2] == [None, None]
    assert labels["class_1_buckets"].dtype == pl.Int8


def test_move_of_exactly_zero_is_flat():
    labels = make_labels(frame([1.0] * 6), config()).frame
    assert labels["class_1_buckets"].to_list() == [None, None, 0, 0, 0, None]


def test_threshold_waits_until_moves_are_complete():
    labels = make_labels(frame(np.exp(0.01 * np.arange(8))), config(bucket_horizons=(3,))).frame
    # Moves over three buckets complete at buckets 3 and 4: two are known from bucket 4.
    assert [value is None for value in labels["threshold_3_buckets"]] == [True] * 4 + [False] * 4


def test_view_matches_the_frame():
    labels = make_labels(frame([1.0, 2.0, 4.0, 2.0, 1.0]), config())
    view = labels.view("1_buckets")
    assert view.horizon == Horizon(kind="buckets", length=1)
    assert view.scheme == "raw"
    assert np.isnan(view.returns[-1])
    assert view.classes.tolist() == [-128, -128, -1, -1, -128]
    assert view.label_end_ts[-1] == -1
    assert view.label_known_ts[0] == 20 * NS
    with pytest.raises(ConfigError, match="did you mean '1_buckets'"):
        labels.view("1_bucket")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bucket_horizons": ()}, "no horizon"),
        ({"bucket_horizons": (1, 1)}, "horizons were"),
        ({"bucket_horizons": (0,)}, "length was 0"),
        ({"time_horizons_s": (math.nan,)}, "length was nan"),
        ({"threshold_multiplier": 0.0}, "threshold_multiplier was 0"),
        ({"threshold_half_life": math.inf}, "threshold_half_life was inf"),
        ({"threshold_min_moves": 0}, "threshold_min_moves was 0"),
        ({"max_elapsed_s": 0.0}, "max_elapsed_s was 0"),
    ],
)
def test_bad_configuration(change, message):
    with pytest.raises(ConfigError, match=message):
        _ = config(**change).horizons


def test_fractional_buckets_are_refused():
    with pytest.raises(ConfigError, match=r"1\.5 buckets"):
        Horizon(kind="buckets", length=1.5)
