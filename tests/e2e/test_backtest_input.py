"""What a newcomer gets wrong: one clear line, an exit code other than 0, and no folder that looks like success."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from marketprism.cli.main import cli
from marketprism.core.errors import DataError, MarketPrismError
from marketprism.pipelines.files import check_folder, write_files

SIM = "sim:?seed=2&minutes=1.5"
START = 1_700_000_000_000_000_000
HFT = np.dtype(
    [
        ("ev", np.uint64),
        ("exch_ts", np.int64),
        ("local_ts", np.int64),
        ("px", np.float64),
        ("qty", np.float64),
        ("order_id", np.uint64),
        ("ival", np.int64),
        ("fval", np.float64),
    ]
)
BID, ASK, BUY, SELL, BOTH = 1 | 1 << 29, 1 | 1 << 28, 2 | 1 << 29, 2 | 1 << 28, 3 << 30
pytestmark = pytest.mark.xdist_group("backtest")

OWN = """
from numba import njit
from marketprism.backtest.strategy import Strategy

class Raises(Strategy):
    def on_wake(self, desk):
        raise KeyError("nothing")

class Odd(Strategy):
    def on_wake(self, desk):
        desk.submit(7, 1.0, 1.0)

class Idle(Strategy):
    pass

class Joiner(Strategy):
    def on_wake(self, desk):
        if desk.bid is not None and not desk.orders:
            desk.submit(1, desk.bid, self.quantity)
    quantity: float = 1.0

@njit
def short(e):
    pass

def plain(e):
    pass
"""


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), catch_exceptions=False)


def error_of(*arguments: str) -> str:
    """Return the error that a command ends with: of one line."""
    with pytest.raises(MarketPrismError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def own(tmp_path: Path) -> str:
    (tmp_path / "own.py").write_text(OWN)
    return str(tmp_path / "own.py")


@pytest.fixture
def source(tmp_path: Path) -> Any:
    """Write a market of 100 s without some of its events, and return its source text."""

    def make(*kinds: int) -> str:
        rows = [
            (
                kind | BOTH,
                START + n * 10**8,
                START + n * 10**8 + 1,
                100.0 + (kind in (ASK, BUY)),
                n % 7 + 1.0,
                0,
                0,
                0.0,
            )
            for n in range(1000)
            for kind in kinds
        ]
        np.savez(tmp_path / "market.npz", data=np.array(rows, HFT))
        return f"hftbacktest:{tmp_path / 'market.npz'}?exchange=binance&tick=1"

    return make


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Raises", r"own\.py, line 7: Raises raised KeyError: 'nothing' \(mend the strategy\)"),
        ("Odd", r"own\.py, line 11: side was 7 \(1 buys, -1 sells\)"),
        ("Idle", r"own\.py:Idle sent no order in the 90 s"),
        ("short", r"own\.py: short takes 1 arguments \(decide\(e, account"),
        ("plain", r"own\.py has no strategy 'plain' \(known: Idle, Joiner"),
    ],
)
def test_own_strategies_that_fail(name: str, said: str, own: str, tmp_path: Path) -> None:
    assert re.search(
        said, error_of("backtest", f"{own}:{name}", "--source", SIM, "--out", str(tmp_path / "o"), "--no-ledger")
    )
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", r"no strategy 'Mine' \(write a Strategy class or an njit function\)"),
        ("\ndef x(:\n", "line 2 did not run: SyntaxError"),
        ("\nraise ValueError('two\\nlines')\n", "line 2 did not run: ValueError: two lines"),
        ("raise SystemExit\n", "line 1 did not run: SystemExit "),
        ("from numba import njit\nSTATE = -1\nMine = njit(lambda a, b, c, d, e, f: 0)\n", "STATE was -1"),
        ("from numba import njit\nPARAMETERS = [1]\nMine = njit(lambda a, b, c, d, e, f: 0)\n", "PARAMETERS was"),
        ("import no_such_module\n", "line 1 did not run: ModuleNotFoundError"),
    ],
)
def test_files_that_do_not_run(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(text)
    assert re.search(said, error_of("backtest", f"{tmp_path / 'mine.py'}:Mine", "--out", str(tmp_path / "o")))


def test_what_is_ours_is_not_blamed_on_the_strategy(own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr("marketprism.pipelines.backtest.simulate", broken)
    with pytest.raises(RuntimeError, match="ours"):
        call("backtest", f"{own}:Idle", "--source", SIM, "--out", str(tmp_path / "o"), "--no-ledger")


def test_a_compiled_strategy_is_checked_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketprism.pipelines.backtest.read_market", lambda *_: pytest.fail("was read"))
    text = "from numba import njit\nPARAMETERS = {'quantity': 1.0}\nmine = njit(lambda a, b, c, d, e, f: 0)\n"
    (tmp_path / "mine.py").write_text(text)
    where = ("--source", SIM, "--out", str(tmp_path / "o"), "--set", "quantiti=2")
    with pytest.raises(MarketPrismError, match="did you mean 'quantity'"):
        call("backtest", f"{tmp_path / 'mine.py'}:mine", *where)


def test_rejected_records_and_the_best_lane_are_told(source: Any, tmp_path: Path) -> None:
    spec = source(BID, SELL, ASK, BUY)
    with np.load(tmp_path / "market.npz") as saved:
        records = saved["data"]
    records["px"][1000] = np.nan
    np.savez(tmp_path / "market.npz", data=records)
    (tmp_path / "lanes.csv").write_text("half_spread_ticks\n0.5\n5\n")
    done = call(
        "backtest", "symmetric", "--source", spec, "--out", str(tmp_path / "o"), "--lanes", str(tmp_path / "lanes.csv"),
        "--no-ledger", "--set", "warmup_s=5", "--set", "replications=20", "--set", "tape.start=first_update",
    )  # fmt: skip
    assert done.exit_code == 0
    assert "  records rejected: 1 px is not a number" in done.output
    assert re.search(r"  best lane: .*0\.5", done.output), done.output


def test_a_lane_that_cannot_be_used_is_numbered(own: str, tmp_path: Path) -> None:
    (tmp_path / "lanes.csv").write_text("quantity\n1\nmuch\n")
    where = ("--lanes", str(tmp_path / "lanes.csv"), "--source", SIM, "--out", str(tmp_path / "o"), "--no-ledger")
    assert re.search("lane 2: .*quantity was 'much'", error_of("backtest", f"{own}:Joiner", *where))
    assert error_of("backtest", "symmetric", *where).startswith("lane 1: SymmetricConfig has no key 'quantity'")


def test_sources_that_nobody_can_make_a_market_on(source: Any, own: str, tmp_path: Path) -> None:
    end = ("--out", str(tmp_path / "o"), "--set", "order_quantity=1", "--set", "warmup_s=5")
    for kinds, said in (
        ((BID, ASK), r"market\.npz.* holds no trade that a tape can use \(left out: nothing\)"),
        ((BID, SELL), r"market\.npz.* holds no ask"),
        ((ASK, BUY), r"market\.npz.* holds no bid"),
        ((BUY, SELL), r"market\.npz.*: no book began in 2000 rows"),
        ((), r"market\.npz holds no records"),
    ):
        spec = source(*kinds)
        begin = () if BUY in kinds and SELL in kinds else ("--set", "tape.start=first_update")
        assert re.search(said, error_of("backtest", "symmetric", "--source", spec, *end, *begin, "--no-ledger"))
        assert re.search(said, error_of("study", "making", "--source", spec, "--out", str(tmp_path / "o"), *begin))
    spec = source(BID, ASK)
    own_run = ("backtest", f"{own}:Joiner", "--no-ledger", "--set", "tape.start=first_update")
    compare = ("simulate", "compare", "--models", "cst")
    for command, said in (
        (own_run, "holds no trade"),
        ((*compare, "--minutes", "nan"), "minutes was nan"),
        (compare, r"market\.npz"),
    ):
        assert re.search(said, error_of(*command, "--source", spec, "--out", str(tmp_path / "o")))
    assert not (tmp_path / "o").exists()


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in ("file", "file/below"):
        with pytest.raises(MarketPrismError, match="file is a file"):
            check_folder(tmp_path / folder)
    check_folder(tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()
    below = str(tmp_path / "file" / "below")
    for command in (("backtest", "symmetric", "--no-ledger"), ("study", "making"), ("simulate", "compare")):
        assert "is a file" in error_of(*command, "--source", SIM, "--out", below)


def test_a_folder_without_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(MarketPrismError, match="may not be changed"):
        check_folder(tmp_path / "out")


def test_a_disk_that_fills_up_leaves_what_was_there(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.json": b"old", "models/b.txt": "old"})

    class Full:
        def write_parquet(self, *_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(MarketPrismError, match="No space left"):
        write_files(tmp_path, {"a.json": b"new", "c.parquet": Full()})
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()) == [
        "a.json",
        "models/b.txt",
    ]
    assert (tmp_path / "a.json").read_bytes() == b"old"


def test_the_terminal_shows_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from marketprism.cli.main import main; main()", "strategies", "show", "nothing"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"error: there is no strategy 'nothing' \(.*\)\n", done.stderr)
    assert not done.stdout


def test_errors_of_several_lines_become_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def several(**_: object) -> None:
        raise DataError("two\nlines", hint="mend\nboth")

    monkeypatch.setattr("marketprism.cli.main.cli", several)
    from marketprism.cli.main import main

    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err == "error: two lines (mend both)\n"
