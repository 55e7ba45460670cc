"""check-leaks: the usual mistakes of factor code are caught and named, honest code passes, nothing is never clean."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError, DataError, SourceError
from marketprism.pipelines.check_leaks import LeakReport, check_engine, check_function
from marketprism.pipelines.leak_target import load_function, read_tape
from marketprism.pipelines.sources import open_source

N = 120
SIM = "sim:?seed=1&minutes=3"


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(3)
    received = 1_700_000_000_000_000_000 + np.cumsum(rng.integers(10**8, 3 * 10**9, N))
    x = 100 + np.cumsum(rng.normal(size=N))
    path = tmp_path_factory.mktemp("tape") / "tape.parquet"
    pl.DataFrame(
        {
            "ts_event": received - rng.integers(0, 10**7, N),
            "ts_recv": received,
            "x": x,
            "holes": pl.Series(np.where(rng.random(N) < 0.3, np.nan, x), nan_to_null=True),
            "volume": rng.exponential(size=N),
        }
    ).write_parquet(path)
    return path


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    def one(body: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text("import numpy as np\nimport pandas as pd\nimport polars as pl\n\n" + textwrap.dedent(body))
        return f"{path}:factors"

    return one


def names(report: LeakReport) -> dict[str, int]:
    return {leak.factor: leak.rows_ahead for leak in report.leaks}


PANDAS_MISTAKES = {
    "one_step": "df.x.shift(-1)",
    "future_return": "df.x.pct_change(5).shift(-5)",
    "centred": "df.x.rolling(11, center=True).mean()",
    "z_score": "(df.x - df.x.mean()) / df.x.std()",
    "rank": "df.x.rank(pct=True)",
    "backward_fill": "df.holes.bfill()",
    "interpolated": "df.holes.interpolate()",
    "reversed": "df.x[::-1].ewm(span=9).mean()[::-1]",
    "full_quantile": "(df.x > df.x.quantile(0.9)).astype(float)",
    "min_max": "(df.x - df.x.min()) / (df.x.max() - df.x.min())",
    "differenced_ahead": "-df.x.diff(-1)",
    "gradient": "np.gradient(df.x)",
    "smoothed": "np.convolve(df.x, np.ones(5) / 5, mode='same')",
    "bar_close_at_its_start": (
        "df.set_index(pd.to_datetime(df.ts_recv)).x.resample('20s').last()"
        ".reindex(pd.to_datetime(df.ts_recv), method='ffill').to_numpy()"
    ),
    "bar_mean": "df.groupby(df.ts_recv // 20_000_000_000).x.transform('mean')",
}


@pytest.mark.parametrize("name", PANDAS_MISTAKES)
def test_the_usual_mistakes_are_caught_and_named(tape: Path, write: Callable[[str], str], name: str) -> None:
    target = write(
        f"""
        def factors(df: pd.DataFrame):
            honest = df.x.rolling(5).mean()
            return pd.DataFrame({{"honest": honest, "{name}": {PANDAS_MISTAKES[name]}}})
        """
    )
    report = check_function(target, tape=tape)
    assert list(names(report)) == [name]
    assert report.leaks[0].rows_ahead >= 1
    assert not report.clean
    assert report.checked == ("honest", name)
    assert any("pandas" in note for note in report.notes)


def test_how_far_it_looks(tape: Path, write: Callable[[str], str]) -> None:
    target = write(
        """
        def factors(frame):
            x = pl.col("x")
            return frame.with_columns(one=x.shift(-1), seven=x.shift(-7) - x, filled=pl.col("holes").backward_fill())
        """
    )
    report = check_function(target, tape=tape)
    found = names(report)
    assert (found["one"], found["seven"], found["filled"]) == (1, 7, 1)
    # Columns of the tape that come back as they were are no factors.
    assert report.checked == ("one", "seven", "filled")
    assert names(check_function(target, tape=tape, names=("seven",))) == {"seven": 7}


def test_honest_functions_are_clean(tape: Path, write: Callable[[str], str]) -> None:
    for body in (
        'def factors(df: "pd.DataFrame"):\n    return df.assign(a=df.x.ewm(span=9).mean(), b=df.holes.ffill().diff())',
        "def factors(df):\n    return df.groupby(df.ts_recv // 10**10).x.cumsum().rename('a')",
        "def factors(tape: dict):\n    return {'a': np.cumsum(tape['x']), 'b': np.append(np.nan, np.diff(tape['x']))}",
        "def factors(frame: pl.DataFrame):\n    return frame.lazy().select(a=pl.col('x').rolling_std(9))",
    ):
        report = check_function(write(body), tape=tape)
        assert report.clean, body
        assert report.control is not None
        assert report.control.rows_ahead >= 1
        assert report.tests == ("truncation", "shuffled future", "late row")
        assert report.summary()["leaks"] == []


def test_rounding_is_told_from_looking_ahead(tape: Path, write: Callable[[str], str]) -> None:
    body = """
    def factors(df: pd.DataFrame):
        wobble = df.x * (1 + 1e-15 * (len(df) % 7))
        return pd.DataFrame({"wobble": wobble, "tiny": 1e-13 * df.x.shift(-1), "null": df.x.where(df.x.shift(-1) > 0)})
    """
    report = check_function(write(body), tape=tape)
    assert sorted(names(report)) == ["null", "tiny"]
    assert [leak.factor for leak in report.rounding] == ["wobble"]
    assert sorted(names(check_function(write(body), tape=tape, exact=True))) == ["null", "tiny", "wobble"]


def test_a_filled_column_under_its_own_name_is_a_factor(tape: Path, write: Callable[[str], str]) -> None:
    report = check_function(
        write("def factors(f: pl.DataFrame):\n    return f.fill_null(strategy='backward')"), tape=tape
    )
    assert list(names(report)) == ["holes"]


def test_csv_without_times_and_capped(tape: Path, tmp_path: Path, write: Callable[[str], str]) -> None:
    path = tmp_path / "tape.csv"
    pl.read_parquet(tape).select("x", "volume").write_csv(path)
    report = check_function(
        write("def factors(f: pl.DataFrame):\n    return f.select(a=pl.col('x').diff())"), tape=path, events=100
    )
    assert report.clean
    assert report.rows == 100
    assert report.tests == ("truncation", "shuffled future")
    assert any("capped at the first 100 of 120" in note for note in report.notes)
    assert any("no late-row test" in note for note in report.notes)


def test_nothing_checked_is_never_a_success(tape: Path, write: Callable[[str], str]) -> None:
    for body, said in (
        ("def factors(f: pl.DataFrame):\n    return f", "none of them a new factor"),
        ("def factors(f: pl.DataFrame):\n    return f.select(a=0.0 * pl.col('x'))", "none of 1 factors .* is constant"),
        ("def factors(f: pl.DataFrame):\n    return f.select(a=pl.col('x').rolling_mean(999))", "has no value"),
        ("def factors(f: pl.DataFrame):\n    raise KeyError('price')", "failed on 120 rows as polars: KeyError"),
        ("def factors(f):\n    raise KeyError('price')", "failed on 120 rows as polars, pandas, numpy"),
    ):
        with pytest.raises(DataError, match=said):
            check_function(write(body), tape=tape)


def test_idle_factors_are_named_and_not_called_clean(tape: Path, write: Callable[[str], str]) -> None:
    body = "def factors(f: pl.DataFrame):\n    return f.select(a=pl.col('x').diff(), b=pl.col('x').rolling_mean(999))"
    report = check_function(write(body), tape=tape)
    assert report.checked == ("a",)
    assert report.idle == {"b": "has no value on this tape"}
    assert report.summary()["not_exercised"] == report.idle


def test_targets_that_cannot_be_loaded(tmp_path: Path, tape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("import helper_of_mine\n\ndef spread(f):\n    return f\n\nLIMIT = 3\n")
    with pytest.raises(ConfigError, match="could not be run: ModuleNotFoundError"):
        load_function(f"{tmp_path}/mine.py:spread")
    (tmp_path / "helper_of_mine.py").write_text("")
    assert callable(load_function(f"{tmp_path}/mine.py:spread"))
    monkeypatch.chdir(tmp_path)
    assert callable(load_function("mine:spread"))
    for text, said in (
        ("mine", "write module:function"),
        ("mine:", "write module:function"),
        (f"{tmp_path}/none.py:f", "there is no file"),
        ("no_such_module_at_all:f", "could not be imported"),
        ("mine:spred", "did you mean 'spread'"),
        ("mine:LIMIT", "is a int"),
    ):
        with pytest.raises(ConfigError, match=said):
            load_function(text)
    with pytest.raises(ConfigError, match="needs one tape"):
        check_function("mine:spread")
    with pytest.raises(ConfigError, match="needs one tape"):
        check_function("mine:spread", tape=tape, source=open_source(SIM))


def test_tapes_that_cannot_be_read(tmp_path: Path) -> None:
    for name, content, said in (
        ("a.txt", b"x", "give a .parquet or .csv file"),
        ("a.parquet", b"no parquet", "could not be read"),
        ("a.csv", b"x\n", "holds no row"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match=said):
            read_tape(tmp_path / name)
    with pytest.raises(SourceError, match="could not be read"):
        read_tape(tmp_path / "none.parquet")


def test_engine_factors_by_name() -> None:
    report = check_engine(open_source(SIM), ("spread_bps", "ofi"), events=2500, samples=6)
    assert report.clean
    assert report.checked == ("spread_bps", "ofi")
    assert report.rows <= 2500
    assert report.control is not None
    assert any("capped" in note for note in report.notes)
    with pytest.raises(ConfigError, match="did you mean 'spread_bps'"):
        check_engine(open_source(SIM), ("spread_bsp",))
    with pytest.raises(ConfigError, match="events was 2"):
        check_engine(open_source(SIM), events=2)


def test_own_function_on_buckets_and_events(write: Callable[[str], str]) -> None:
    target = write(
        """
        def factors(buckets):
            mid = pl.col("mid_last")
            return buckets.select(past=mid.pct_change(), peek=mid.shift(-1) / mid - 1)
        """
    )
    report = check_function(target, source=open_source(SIM), events=3000, samples=8)
    assert names(report) == {"peek": 1}
    target = write(
        """
        from marketprism.factors.config import EngineConfig
        from marketprism.factors.engine import FactorEngine

        CONFIG = EngineConfig.from_mapping({"families": ["level1"], "buckets": {"t_target_s": 1.0}})

        def factors(block):
            frame = FactorEngine(CONFIG, instrument=block.instruments).push(block)
            return frame.select("ts_known", "spread_bps", peek=pl.col("mid_last").shift(-1))
        """
    )
    report = check_function(target, source=open_source(SIM), on="events", events=2000, samples=4)
    assert list(names(report)) == ["peek"]
    assert report.clean is False


def test_a_table_whose_time_runs_backwards_is_said_to(write: Callable[[str], str], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [f"2026-01-01T00:{minute:02d}:00,{x}" for minute, x in enumerate(rng.normal(size=40))]
    target = write("def factors(df: pd.DataFrame):\n    return df.x.diff()\n")
    for order, said in ((1, False), (-1, True)):
        (tmp_path / "bars.csv").write_text("\n".join(["time,x", *rows[::order]]))
        notes = check_function(target, tape=tmp_path / "bars.csv", samples=3).notes
        assert any("'time' runs backwards" in note for note in notes) is said
