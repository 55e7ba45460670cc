"""The run ledger: counting trials, several writers, damaged and foreign files."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from marketprism.core.errors import Action, DataError, StoreError
from marketprism.store import ledger as module
from marketprism.store.ledger import LEDGER_VARIABLE, DataSet, Ledger, Trial, ledger_path

T0 = 1_700_000_000_000_000_000
TRIAL = Trial(
    "d1", "c1", "f1", "0.1.0", "logistic", "1_buckets",
    source="sim:", n=500, ic=0.08, sharpe=0.02, periods_per_year=10_000.0, net_bps=-3.5,
)  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "deep" / "folder" / "ledger.db")


def test_every_field_comes_back(ledger: Ledger) -> None:
    told = replace(TRIAL, what="gate", verdict="adopt", source="lobster:/data/a.zip")
    ledger.record([told], when=T0)
    (found,) = ledger.trials("d1")
    assert found.trial == told
    assert (found.first, found.last, found.times) == (T0, T0, 1)


def test_the_same_trial_again_is_counted_once_and_keeps_its_newest_numbers(ledger: Ledger) -> None:
    ledger.record([replace(TRIAL, verdict="a signal")], when=T0 + 5)
    ledger.record([replace(TRIAL, ic=0.09, source="")], when=T0)
    (found,) = ledger.trials("d1")
    assert (found.first, found.last, found.times) == (T0, T0 + 5, 2)
    assert (found.trial.ic, found.trial.verdict, found.trial.source) == (0.09, "a signal", "sim:")
    assert ledger.count("d1") == 1


@pytest.mark.parametrize(
    "change", ["config_hash", "factor_hash", "code_version", "model", "horizon"]
)  # fmt: skip
def test_another_key_is_another_trial(ledger: Ledger, change: str) -> None:
    ledger.record([TRIAL, replace(TRIAL, **{change: "other"})], when=T0)
    assert ledger.count("d1") == 2
    assert ledger.data_sets()[0].trials == 2


def test_a_gate_on_a_recorded_run_is_kept_and_counts_as_no_further_trial(ledger: Ledger) -> None:
    other = replace(TRIAL, model="trees", sharpe=0.05)
    ledger.record([TRIAL, other], when=T0)
    before = ledger.data_sets()[0]
    ledger.record([replace(other, what="gate", sharpe=9.0, ic=0.9, verdict="REJECT")], when=T0 + 1)
    assert [known.trial.what for known in ledger.trials("d1")] == ["run", "run", "gate"]
    assert ledger.count("d1") == 2
    assert ledger.sharpe_variance("d1") == pytest.approx(np.var([TRIAL.sharpe, 0.05], ddof=1))
    assert ledger.data_sets()[0] == replace(before, evaluations=3, last=T0 + 1)
    alone = replace(TRIAL, data_hash="d2", what="gate")
    ledger.record([alone], when=T0)
    assert ledger.count("d2") == 1  # its run was kept out of the ledger


def test_data_sets_are_apart_and_the_newest_comes_first(ledger: Ledger) -> None:
    ledger.record([TRIAL, replace(TRIAL, model="trees", sharpe=0.05, ic=math.nan)], when=T0)
    ledger.record([TRIAL], when=T0 + 1)
    ledger.record([replace(TRIAL, data_hash="d2", sharpe=math.nan, ic=math.nan)], when=T0 + 2)
    second, first = ledger.data_sets()
    assert first == DataSet("d1", "sim:", 2, 3, 2, pytest.approx(4.5), 0.08, pytest.approx(5.0), T0, T0 + 1)
    assert (second.data_hash, second.trials, second.measured) == ("d2", 1, 0)
    assert all(math.isnan(value) for value in (second.sharpe_variance, second.best_ic, second.best_sharpe))
    assert [known.trial.model for known in ledger.trials("d1")] == ["logistic", "trees"]
    assert (ledger.count("d1"), ledger.count("d2"), ledger.count("d3")) == (2, 1, 0)
    assert ledger.sharpe_variance("d1") == pytest.approx(4.5e-4)
    assert math.isnan(ledger.sharpe_variance("d2"))


def test_the_best_annual_sharpe_needs_a_rate(ledger: Ledger) -> None:
    assert TRIAL.annual_sharpe == pytest.approx(2.0)
    assert math.isnan(replace(TRIAL, periods_per_year=math.nan).annual_sharpe)


def test_numbers_that_are_not_finite_and_odd_texts_are_kept(ledger: Ledger) -> None:
    odd = replace(TRIAL, net_bps=math.inf, sharpe=math.nan, source="csv:/data/\udcff'; DROP TABLE trial;--é")
    ledger.record([odd], when=T0)
    found = ledger.trials("d1")[0].trial
    assert math.isnan(found.net_bps)
    assert math.isnan(found.sharpe)
    assert found.source == "csv:/data/\\udcff'; DROP TABLE trial;--é"


def test_no_password_is_written(ledger: Ledger) -> None:
    ledger.record([replace(TRIAL, source="store:clickhouse://me:secret@db:9000?symbol=BTC-USDT")], when=T0)
    assert ledger.trials("d1")[0].trial.source == "store:clickhouse://me:***@db:9000?symbol=BTC-USDT"


def test_a_verdict_comes_later(ledger: Ledger) -> None:
    ledger.record([TRIAL, replace(TRIAL, model="trees"), replace(TRIAL, what="gate")], when=T0)
    assert ledger.conclude("d1", "c1", "No evidence of a signal") == 2
    assert {(k.trial.what, k.trial.verdict) for k in ledger.trials()} == {
        ("run", "No evidence of a signal"),
        ("gate", ""),
    }


def test_reading_makes_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "none" / "ledger.db")
    assert ledger.trials() == []
    assert (ledger.count("d1"), ledger.data_sets()) == (0, [])
    assert not ledger.path.parent.exists()
    ledger.path.parent.mkdir()
    ledger.path.touch()
    assert ledger.trials() == []
    assert ledger.path.stat().st_size == 0


def test_a_trial_belongs_to_data() -> None:
    with pytest.raises(DataError, match="data_hash was empty"):
        replace(TRIAL, data_hash="")


def test_all_or_none_of_a_batch_is_written(ledger: Ledger) -> None:
    ledger.record([TRIAL], when=T0)
    with pytest.raises(OverflowError):
        ledger.record([replace(TRIAL, model="a"), replace(TRIAL, model="b", n=2**70)], when=T0)
    assert [known.trial.model for known in ledger.trials()] == ["logistic"]


def test_nothing_but_the_file_is_left_behind(ledger: Ledger) -> None:
    ledger.record([TRIAL], when=T0)
    assert [path.name for path in ledger.path.parent.iterdir()] == ["ledger.db"]


WRITER = """
import sys
from marketprism.store.ledger import Ledger, Trial
ledger = Ledger(sys.argv[1])
for i in range(60):
    ledger.record([Trial("d", "c", "f", "1", "shared", str(i)), Trial("d", "c", "f", "1", sys.argv[2], str(i))], when=i)
"""


def test_two_processes_write_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ledger.db"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in ("a", "b")]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    found = Ledger(path).trials("d")
    assert len(found) == 180
    assert {known.times for known in found if known.trial.model == "shared"} == {2}
    assert {known.times for known in found if known.trial.model != "shared"} == {1}


def test_a_lock_that_lasts_says_to_try_again(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.record([TRIAL], when=T0)
    monkeypatch.setattr(module, "_BUSY_S", 0.05)
    other = sqlite3.connect(ledger.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked by another process") as caught:
        ledger.record([TRIAL], when=T0)
    assert caught.value.action == Action.RETRY
    assert ledger.count("d1") == 1  # readers need not wait
    other.close()


def test_a_switch_of_the_journal_by_another_process_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy:
        calls = 0

        def execute(self, _: str) -> sqlite3.Cursor:
            self.calls += 1
            if self.calls < 3:
                raise sqlite3.OperationalError("database is locked")
            if self.calls == 4:
                raise sqlite3.OperationalError("disk I/O error")
            return sqlite3.connect(":memory:").execute("SELECT 1")

    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    busy = Busy()
    module._wal(busy)  # type: ignore[arg-type]
    assert busy.calls == 3
    with pytest.raises(sqlite3.OperationalError, match="I/O"):
        module._wal(busy)  # type: ignore[arg-type]
    busy.calls = -1000
    module._wal(busy)  # type: ignore[arg-type]
    assert busy.calls == -900  # it works without, too


def _damaged(path: Path, kind: str) -> None:
    if kind == "text":
        path.write_text("not a database\n" * 200)
    elif kind == "foreign":
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE theirs (x)")
        other.close()
    else:
        Ledger(path).record([replace(TRIAL, model=f"m{i}", verdict="v" * 200) for i in range(200)], when=T0)
        content = bytearray(path.read_bytes())
        if kind == "short":
            path.write_bytes(content[: len(content) // 2])
        elif kind == "flipped":
            middle = len(content) // 2
            content[middle : middle + 4096] = os.urandom(4096)
            path.write_bytes(content)
        else:
            with sqlite3.connect(path) as other:
                other.execute("PRAGMA user_version = 99" if kind == "newer" else "ALTER TABLE trial DROP COLUMN ic")
            other.close()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("text", "damaged, or no ledger: file is not a database"),
        ("foreign", "no MarketPrism ledger"),
        ("short", "damaged"),
        ("flipped", "damaged"),
        ("newer", "ledger version 99"),
        ("column", "no such column: ic|no column named ic"),
    ],
)
def test_a_file_that_is_no_sound_ledger_is_refused_and_left_alone(tmp_path: Path, kind: str, said: str) -> None:
    path = tmp_path / "ledger.db"
    _damaged(path, kind)
    before = path.read_bytes()
    ledger = Ledger(path)
    for attempt in (lambda: ledger.record([TRIAL], when=T0), ledger.trials, ledger.data_sets):
        with pytest.raises(StoreError, match=said) as caught:
            attempt()
        assert str(path) in str(caught.value)
        assert LEDGER_VARIABLE in caught.value.hint
    assert path.read_bytes() == before


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.db").mkdir()
    for path in (tmp_path / "file" / "ledger.db", tmp_path / "folder.db"):
        with pytest.raises(StoreError, match="could not be opened or written") as caught:
            Ledger(path).record([TRIAL], when=T0)
        assert str(path) in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(StoreError, match="could not be opened or written"):
        Ledger(tmp_path / "locked" / "ledger.db").record([TRIAL], when=T0)


def test_a_failing_disk_is_no_crash(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    ledger.record([TRIAL], when=T0)
    monkeypatch.setattr(module.sqlite3, "connect", full)
    with pytest.raises(StoreError, match="disk is full"):
        ledger.record([TRIAL], when=T0)


def test_where_the_ledger_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv(LEDGER_VARIABLE, raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert ledger_path() == Path("/home/me/.local/share/marketprism/ledger.db")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert ledger_path() == Path("/home/me/.local/share/marketprism/ledger.db")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert ledger_path() == tmp_path / "marketprism" / "ledger.db"
    monkeypatch.setenv(LEDGER_VARIABLE, "~/other.db")
    assert ledger_path() == Path("/home/me/other.db")
    assert ledger_path("/here.db") == Path("/here.db")
    assert repr(Ledger("/here.db")) == "Ledger('/here.db')"
    with pytest.raises(StoreError, match="no home folder"):
        ledger_path("~nobody-of-this-name/ledger.db")
