"""Frames of users: what is meant is kept, what cannot be meant is refused with column, row, value and remedy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import marketprism as mp
from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate.economics import half_spread_column
from marketprism.evaluate.user_columns import _mixed_types, as_polars
from marketprism.models.features import factor_names

NS = 10**9
START = 1_767_571_200 * NS  # 2026-01-05


def bars(n: int = 6, **more: Any) -> pd.DataFrame:
    clock = pd.date_range("2026-01-05", periods=n, freq="1min", tz="UTC", name="time")
    return pd.DataFrame({"mid": np.arange(100.0, 100.0 + n), "f": np.arange(n) / 7, **more}, index=clock)


def made(frame: Any, **more: Any) -> pl.DataFrame:
    return mp.bucket_frame(frame, **{"time": "time", "mid": "mid", **more})


def test_pandas_polars_and_pyarrow_give_the_same_frame() -> None:
    table = bars().reset_index()
    frames = [made(kind) for kind in (bars(), table, pl.from_pandas(table), pa.Table.from_pandas(table))]
    frames.append(made(pl.from_pandas(table).lazy()))
    frames.append(made(table.assign(time=START + np.arange(6) * 60 * NS)))
    for frame in frames:
        assert frame.equals(frames[0])
    assert frames[0].columns[:11] == [
        "exchange", "market_type", "symbol", "bucket_id", "segment", "ts_start", "ts_end", "ts_known",
        "duration_ns", "mid_open", "mid_last",
    ]  # fmt: skip
    assert frames[0].row(2)[3:] == (
        2, 0, START + 60 * NS, START + 120 * NS, START + 120 * NS, 60 * NS, 101.0, 102.0, 2 / 7,
    )  # fmt: skip
    assert frames[0].row(0)[5:11] == (START, START, START, 0, 100.0, 100.0)
    assert factor_names(frames[0]) == ("f",)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", None])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_are_utc_nanoseconds_whatever_their_unit_and_zone(zone: str | None, unit: str) -> None:
    table = bars().reset_index()
    table["time"] = table["time"].dt.tz_convert(zone).dt.as_unit(unit)
    assert made(table)["ts_end"].to_list() == [START + i * 60 * NS for i in range(6)]


def test_dates_are_their_midnight() -> None:
    days = pl.DataFrame({"time": ["2026-01-05", "2026-01-06"], "mid": [1, 2], "f": [True, False]})
    frame = made(days.with_columns(pl.col("time").str.to_date()))
    assert frame["ts_end"].to_list() == [START, START + 86_400 * NS]
    assert frame["f"].to_list() == [1.0, 0.0]
    assert frame["mid_last"].dtype == pl.Float64


def test_a_panel_is_numbered_by_instrument_in_any_interleaving() -> None:
    table = pd.concat([bars().assign(ticker="B"), bars().assign(ticker="A", mid=7.0)]).sort_index(kind="stable")
    frame = made(table, symbol="ticker", exchange="x", market_type="equity")
    assert frame["symbol"].to_list() == ["B", "A"] * 6
    assert frame["bucket_id"].to_list() == [i for i in range(6) for _ in range(2)]
    own = frame.filter(pl.col("symbol") == "B")
    assert own["mid_open"].to_list() == [100.0, 100.0, 101.0, 102.0, 103.0, 104.0]
    assert factor_names(frame) == ("f",)
    assert mp.make_labels(frame).frame["return_1_buckets"][0] == pytest.approx(np.log(101 / 100))


def test_gaps_begin_a_segment_and_no_label_crosses_them() -> None:
    table = bars().iloc[[0, 1, 4, 5]]
    frame = made(table, gap_s=60)
    assert frame["segment"].to_list() == [0, 0, 1, 1]
    assert frame["duration_ns"].to_list() == [0, 60 * NS, 0, 60 * NS]
    assert frame["mid_open"].to_list() == [100.0, 100.0, 104.0, 104.0]
    assert mp.make_labels(frame).frame["return_1_buckets"].is_null().to_list() == [False, True, False, True]
    assert made(table)["segment"].to_list() == [0, 0, 0, 0]


def test_the_spread_is_paid_and_is_no_factor() -> None:
    frame = made(bars(), spread_bps=4.0)
    assert factor_names(frame) == ("f",)
    half, words = half_spread_column(frame, mp.JudgeConfig().costs)
    assert half.tolist() == [2e-4] * 6
    assert "came with the bars" in words
    by_column = made(bars(spread=[1.0, 2, 3, 4, 5, None]), spread_bps="spread")
    half, _ = half_spread_column(by_column, mp.JudgeConfig().costs)
    assert half[:5].tolist() == pytest.approx([0.5e-4, 1e-4, 1.5e-4, 2e-4, 2.5e-4])
    assert np.isnan(half[5])
    assert factor_names(by_column) == ("f",)


def test_known_comes_later_than_time() -> None:
    frame = made(bars(at=bars().index + pd.Timedelta("2s")), known="at")
    assert (frame["ts_known"] - frame["ts_end"]).unique().to_list() == [2 * NS]
    assert factor_names(frame) == ("f",)


def test_missing_factor_values_are_null() -> None:
    frame = made(bars(g=[1, None, 3, np.nan, 5, 6]), factors=["g"])
    assert frame["g"].to_list() == [1.0, None, 3.0, None, 5.0, 6.0]
    assert "f" not in frame.columns


def replaced(column: str, row: int, value: Any) -> pd.DataFrame:
    table = bars().reset_index()
    values = table[column].astype(object) if isinstance(value, str) else table[column].copy()
    values[row] = value
    return table.assign(**{column: values})


def shifted(unit: int) -> pd.DataFrame:
    return bars().reset_index(drop=True).assign(time=(START + np.arange(6) * 60 * NS) // unit)


def mixed() -> pd.DataFrame:
    table = shifted(1)
    table.loc[3, "time"] //= 1_000_000
    return table


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "backwards": (bars().iloc[::-1], {}, r"backwards in row 1: 2026-01-05 00:05.*sort_values\('time'\)"),
    "repeated": (bars().iloc[[0, 1, 1]], {}, "'time' was 2026-01-05 00:01:00.* twice, .* in row 2.*drop_dup"),
    "repeated in a panel": (
        pd.concat([bars().assign(t="A"), bars().assign(t="B"), bars().iloc[-1:].assign(t="A")]), {"symbol": "t"},
        "of A was .* twice, the second time in row 12",
    ),
    "milliseconds": (shifted(1_000_000), {}, r"in row 0: these are ms, not ns \(multiply by 1_000_000.*unit='ms'"),
    "microseconds": (shifted(1_000), {}, "these are us, not ns"),
    "seconds": (shifted(NS), {}, "these are s, not ns"),
    "mixed units": (mixed(), {}, "mixes units: row 3 .* looks like ms, row 0 .* like ns"),
    "no unit": (shifted(1).assign(time=range(6)), {}, "'time' was 0 in row 0, no time between 1990 and 2100"),
    "wrongly read": (bars().set_index(pd.to_datetime(range(6), utc=True)), {"time": "index"}, "'index' was 1970"),
    "float times": (shifted(NS).astype({"time": float}), {}, "'time' was Float64.*unit='s'"),
    "text times": (bars().reset_index().astype({"time": str}), {}, "time column 'time' was String.*to_datetime"),
    "null time": (replaced("time", 2, pd.NaT), {}, "time column 'time' was null in row 2"),
    "zone against none": (bars(at=bars().index.tz_localize(None)), {"known": "at"}, "'time' has a time zone, 'at' n"),
    "known too early": (bars(at=bars().index - pd.Timedelta("1s")), {"known": "at"}, "row 0 was known .*before it en"),
    "known backwards": (
        bars(at=bars().index + pd.to_timedelta([0, 999, 0, 0, 0, 0], "s")), {"known": "at"},
        "time 'at' ran backwards in row 2",
    ),
    "missing mid": (replaced("mid", 3, np.nan), {}, "mid 'mid' was nan in row 3.*drop rows"),
    "infinite mid": (replaced("mid", 3, np.inf), {}, "mid 'mid' was inf in row 3"),
    "no mid": (replaced("mid", 3, 0.0), {}, "mid 'mid' was 0.0 in row 3"),
    "text mid": (bars(mid=list("abcdef")), {}, "mid 'mid' was String, such as 'a'"),
    "infinite factor": (replaced("f", 4, -np.inf), {}, "factor 'f' was -inf in row 4.*replace"),
    "text factor": (bars(venue="NYSE"), {}, "factor 'venue' was String, such as 'NYSE'.*factors="),
    "null factor": (bars(venue=pd.Series([None] * 6, dtype=str)), {}, "factor 'venue' was .*such as null"),
    "mixed types": (replaced("f", 4, "x"), {}, "column 'f' mixes types"),
    "no factor": (bars()[["mid"]], {}, "there was no factor"),
    "no such factor": (bars(), {"factors": ["ff"]}, "factor was 'ff', and there is no such column .*did you mean 'f'"),
    "reserved": (bars(volume=1.0), {}, r"factor 'volume' has the name of a bucket column \(rename it, or leave"),
    "no such time": (bars(), {"time": "tme"}, "time was 'tme'.*did you mean 'time'"),
    "no such mid": (bars(), {"mid": "midd"}, "mid was 'midd'.*did you mean 'mid'"),
    "no rows": (bars().iloc[:0], {}, "no rows"),
    "no table": ([1, 2], {}, "the frame was a list"),
    "columns twice": (pd.concat([bars(), bars()], axis=1), {}, "'mid' came twice"),
    "symbol missing": (bars(t=["A", None, "A", "A", "A", "A"]), {"symbol": "t"}, "column 't' was null in row 1"),
    "negative spread": (bars(s=[1, 1, -2, 1, 1, 1.0]), {"spread_bps": "s"}, "spread 's' was -2.0 in row 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_meant_is_refused(name: str) -> None:
    frame, more, message = REFUSED[name]
    with pytest.raises(DataError, match=message):
        made(frame, **more)


def test_a_table_that_cannot_be_read_at_all() -> None:
    class Column:
        def to_polars(self) -> None:
            pass

    class Broken:
        columns = ("a",)

        def get_column(self, _name: str) -> Column:
            return Column()

    error = _mixed_types(Broken(), ValueError("no such thing"))
    assert "the frame could not be read: no such thing" in str(error)


def test_columns_named_by_numbers_are_named_by_their_text() -> None:
    table = bars().rename(columns={"f": 7})
    assert factor_names(made(table)) == ("7",)


@pytest.mark.parametrize("more", [{"market_type": "spto"}, {"spread_bps": -1.0}, {"spread_bps": np.nan}, {"gap_s": -1}])
def test_settings_out_of_range(more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        made(bars(), **more)


def test_the_users_frame_is_not_changed() -> None:
    table = bars()
    before = table.copy()
    mp.with_factors(made(table), table[["f"]].rename(columns={"f": "g"}), time="time")
    pd.testing.assert_frame_equal(table, before)
    assert as_polars(pl.DataFrame({"a": [1]})).columns == ["a"]


def brute(frame: pl.DataFrame, times: np.ndarray, values: np.ndarray) -> list[float | None]:
    result = []
    for known in frame["ts_known"].to_list():
        before = values[times <= known]
        result.append(float(before[-1]) if before.size and not np.isnan(before[-1]) else None)
    return result


def test_joined_factors_are_the_last_known_ones() -> None:
    rng = np.random.default_rng(1)
    frame = made(bars(40))
    times = START + np.unique(rng.integers(30, 2500, 25)) * NS
    times[5] = frame["ts_known"][20]  # known at that very moment counts
    times = np.unique(times)
    values = np.where(rng.random(times.size) < 0.2, np.nan, rng.normal(size=times.size))
    joined = mp.with_factors(frame, pl.DataFrame({"at": times, "g": values}), time="at")
    assert joined["g"].to_list() == brute(frame, times, values)
    assert joined["g"][0] is None
    assert joined.drop("g").equals(frame)
    # Later rows change nothing that was known before.
    cut = mp.with_factors(frame, pl.DataFrame({"at": times[:10], "g": values[:10]}), time="at")
    early = (frame["ts_known"] < times[10]).to_numpy()
    assert cut["g"].to_numpy()[early].tolist() == pytest.approx(joined["g"].to_numpy()[early].tolist(), nan_ok=True)


def test_joined_factors_by_symbol_and_of_limited_age() -> None:
    panel = made(pd.concat([bars().assign(t="A"), bars().assign(t="B")]), symbol="t")
    news = pd.DataFrame(
        {"t": ["B", "A", "C"], "g": [1.0, 2.0, 3.0], "h": [4, 5, 6]},
        index=pd.DatetimeIndex(["2026-01-05 00:01:30", "2026-01-05 00:02:00", "2026-01-05"], tz="UTC", name="at"),
    )
    joined = mp.with_factors(panel, news, time="at", symbol="t", max_age_s=100, columns=["g"])
    assert joined["g"].to_list() == [None, None, 2.0, 2.0, None, None, None, None, 1.0, 1.0, None, None]
    assert "h" not in joined.columns
    everywhere = mp.with_factors(panel, news.drop(columns="t").sort_index(), time="at")
    assert everywhere["h"].to_list() == [6.0, 6.0, 5.0, 5.0, 5.0, 5.0] * 2


def news(**more: Any) -> pd.DataFrame:
    return pd.DataFrame({"g": np.arange(6.0), **more}, index=bars().index)


JOINS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no zone": (news().tz_localize(None), {}, "no time zone .*tz_localize"),
    "there already": (news().rename(columns={"g": "f"}), {}, "column 'f' is in the frame already"),
    "reserved": (news().rename(columns={"g": "mid_last"}), {}, "name of a bucket column"),
    "unknown symbol": (news(t="XRP"), {"symbol": "t"}, r"symbols were XRP \(the frame has USER\)"),
    "too late": (news().shift(1, freq="1D"), {}, "no factor was known in time: the first at 2026-01-06"),
    "no rows": (news().iloc[:0], {}, "the factor frame had no rows"),
    "backwards": (news().iloc[::-1], {}, "ran backwards"),
    "twice": (pd.concat([news(), news().iloc[-1:]]), {}, "twice, the second time in row 6"),
    "infinite": (news(h=np.inf), {}, "factor 'h' was inf in row 0"),
    "milliseconds": (news().set_axis(START // 10**6 + np.arange(6), axis=0).rename_axis("time"), {}, "these are ms"),
}


@pytest.mark.parametrize("name", JOINS)
def test_joins_that_cannot_be_meant_are_refused(name: str) -> None:
    frame, more, message = JOINS[name]
    with pytest.raises(DataError, match=message):
        mp.with_factors(made(bars()), frame, time="time", **more)


def test_a_join_needs_a_bucket_frame() -> None:
    with pytest.raises(DataError, match="no column 'exchange'"):
        mp.with_factors(pl.DataFrame({"ts_known": [1]}), news(), time="time")
    with pytest.raises(ConfigError, match="max_age_s was -1"):
        mp.with_factors(made(bars()), news(), time="time", max_age_s=-1)
