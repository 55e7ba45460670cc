"""The run ledger: every evaluation ever made on a data set, so that multiple testing cannot be forgotten."""

from __future__ import annotations

import math
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from marketprism.core.errors import Action, DataError, StoreError

__all__ = ["LEDGER_VARIABLE", "DataSet", "Ledger", "RecordedTrial", "Trial", "ledger_path"]

LEDGER_VARIABLE = "MARKETPRISM_LEDGER"
"""Environment variable that names the ledger's file."""

_VERSION = 1
_APPLICATION = 0x4D504C47  # "MPLG": tells our file from anybody else's SQLite database
_BUSY_S = 30.0
_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@/\s]+@")
_ELSEWHERE = f"name another file with --ledger or {LEDGER_VARIABLE}"


@dataclass(frozen=True)
class Trial:
    """One evaluation of one model at one horizon; the first seven fields say which, the others what came out.

    What agrees in all of these but ``what`` is one trial: a gate that looks again at a recorded run tries nothing new.

    Attributes
    ----------
    data_hash, config_hash, factor_hash, code_version : str
        Of the events, the configuration, the factor definitions and the program. The data hash is not empty.
    model, horizon : str
        What was evaluated.
    what : str
        Kind of evaluation: ``"run"``, ``"gate"``, ``"tuning"`` and so on.
    source : str
        Text of the source, for people; passwords in it are blotted out.
    n : int
        Rows behind the IC.
    ic : float
        Out-of-sample information coefficient; NaN where undefined.
    sharpe : float
        Net Sharpe ratio per period, NOT annualised; NaN where undefined.
    periods_per_year : float
        Of those periods.
    net_bps : float
        Net P&L over the sample, bps of notional.
    verdict : str
        In words; empty while unknown.
    """

    data_hash: str
    config_hash: str
    factor_hash: str
    code_version: str
    model: str
    horizon: str
    what: str = "run"
    source: str = ""
    n: int = 0
    ic: float = math.nan
    sharpe: float = math.nan
    periods_per_year: float = math.nan
    net_bps: float = math.nan
    verdict: str = ""

    def __post_init__(self) -> None:
        if not self.data_hash:
            raise DataError("data_hash was empty", hint="a trial belongs to a data set: pass the hash of its events")

    @property
    def annual_sharpe(self) -> float:
        """``sharpe * sqrt(periods_per_year)``; NaN where one of them is unknown."""
        return self.sharpe * math.sqrt(self.periods_per_year) if self.periods_per_year >= 0 else math.nan


@dataclass(frozen=True)
class RecordedTrial:
    """A trial as the ledger knows it.

    Attributes
    ----------
    trial : Trial
        With the numbers of its last evaluation.
    first, last : int
        When it was evaluated first and last, ns UTC.
    times : int
        How often it was evaluated; it counts as one trial all the same.
    """

    trial: Trial
    first: int
    last: int
    times: int


@dataclass(frozen=True)
class DataSet:
    """What was tried on one data set.

    Attributes
    ----------
    data_hash, source : str
        Its events, and the text of the source that gave them last.
    trials, evaluations : int
        Distinct trials, whatever the kind of evaluation, and evaluations with repetitions.
    measured : int
        Trials with a Sharpe ratio: those that traded.
    sharpe_variance : float
        Variance of their annual Sharpe ratios; NaN for fewer than two.
    best_ic, best_sharpe : float
        Largest IC and annual Sharpe ratio; NaN without one.
    first, last : int
        First and last evaluation, ns UTC.
    """

    data_hash: str
    source: str
    trials: int
    evaluations: int
    measured: int
    sharpe_variance: float
    best_ic: float
    best_sharpe: float
    first: int
    last: int


_KEYS = tuple(field.name for field in fields(Trial))[:7]
_SAME = _KEYS[:6]
_COLUMNS = tuple(field.name for field in fields(Trial))
_NUMBERS = ("ic", "sharpe", "periods_per_year", "net_bps")


def ledger_path(path: str | os.PathLike[str] | None = None) -> Path:
    """Return where the ledger is: ``path``, else what ``MARKETPRISM_LEDGER`` names, else the user's data folder.

    The last is ``$XDG_DATA_HOME/marketprism/ledger.db``, with ``~/.local/share`` where ``XDG_DATA_HOME`` is not set.

    Raises
    ------
    StoreError
        It would be in the home folder, and there is none.
    """
    named = os.fspath(path) if path is not None else os.environ.get(LEDGER_VARIABLE, "")
    home = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification: relative paths there are to be ignored.
    base = Path(home) if Path(home).is_absolute() else Path("~/.local/share")
    try:
        return (Path(named) if named else base / "marketprism" / "ledger.db").expanduser().absolute()
    except RuntimeError as error:
        raise StoreError(f"there is no home folder for the ledger: {error}", hint=_ELSEWHERE) from error


class Ledger:
    """A file of trials, safe with several processes writing to it.

    The file and its folder are made by the first :meth:`record`; reading where there is none finds nothing. A file of
    anybody else, or a damaged one, is never written to.

    Parameters
    ----------
    path : str or path, optional
        See :func:`ledger_path`.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> ledger = Ledger(f"{folder.name}/ledger.db")
    >>> tried = Trial("data", "config", "factors", "1.0", "logistic", "1_buckets", ic=0.1)
    >>> ledger.record([tried], when=1_700_000_000_000_000_000)
    >>> ledger.record([tried], when=1_700_000_001_000_000_000)
    >>> ledger.count("data"), ledger.trials("data")[0].times
    (1, 2)
    >>> folder.cleanup()
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = ledger_path(path)

    def __repr__(self) -> str:
        return f"Ledger({str(self.path)!r})"

    def record(self, trials: Sequence[Trial], when: int) -> None:
        """Write trials, all or none of them; one that is known gets its new numbers and is counted once.

        Parameters
        ----------
        trials : sequence of Trial
            An empty verdict or source leaves a known one.
        when : int
            Time of the evaluation, ns UTC.

        Raises
        ------
        StoreError
            The file or its folder cannot be written, is damaged, or is no ledger.
        """
        rows = [(*_plain(trial), when, when) for trial in trials]
        marks = ", ".join("?" * (len(_COLUMNS) + 2))
        kept = ", ".join(
            f"{name} = CASE WHEN excluded.{name} = '' THEN {name} ELSE excluded.{name} END"
            if name in {"source", "verdict"}
            else f"{name} = excluded.{name}"
            for name in _COLUMNS[len(_KEYS) :]
        )
        statement = (
            f"INSERT INTO trial ({', '.join(_COLUMNS)}, first, last) VALUES ({marks}) "
            f"ON CONFLICT ({', '.join(_KEYS)}) DO UPDATE SET {kept}, times = times + 1, "
            "first = min(first, excluded.first), last = max(last, excluded.last)"
        )
        with self._open(write=True) as connection:
            connection.executemany(statement, rows)

    def conclude(self, data_hash: str, config_hash: str, verdict: str, what: str = "run") -> int:
        """Write the verdict on the trials of one evaluation, which is known only after them; return how many.

        Raises
        ------
        StoreError
            As :meth:`record`.
        """
        with self._open(write=True) as connection:
            return connection.execute(
                "UPDATE trial SET verdict = ? WHERE data_hash = ? AND config_hash = ? AND what = ?",
                (_text(verdict), data_hash, config_hash, what),
            ).rowcount

    def trials(self, data_hash: str | None = None) -> list[RecordedTrial]:
        """Return every trial on a data set (on all of them by default), in the order of their first evaluation.

        Raises
        ------
        StoreError
            The file cannot be read, is damaged, or is no ledger.
        """
        where, values = ("WHERE data_hash = ?", (data_hash,)) if data_hash is not None else ("", ())
        with self._open(write=False) as connection:
            found = connection.execute(
                f"SELECT {', '.join(_COLUMNS)}, first, last, times FROM trial {where} ORDER BY first, id", values
            ).fetchall()
        return [_trial(row) for row in found]

    def count(self, data_hash: str) -> int:
        """Return the number of distinct trials on a data set.

        Raises
        ------
        StoreError
            As :meth:`trials`.
        """
        statement = f"SELECT count(*) FROM (SELECT DISTINCT {', '.join(_SAME)} FROM trial WHERE data_hash = ?)"
        with self._open(write=False) as connection:
            return int(connection.execute(statement, (data_hash,)).fetchone()[0])

    def sharpe_variance(self, data_hash: str) -> float:
        """Return the variance (ddof 1) of the per-period Sharpe ratios of all trials on a data set that have one.

        Comparable only where all trials have periods of one length; see :attr:`DataSet.sharpe_variance` for the rest.

        Returns
        -------
        float
            NaN for fewer than two.

        Raises
        ------
        StoreError
            As :meth:`trials`.
        """
        return _variance([known.trial.sharpe for known in _distinct(self.trials(data_hash))])

    def data_sets(self) -> list[DataSet]:
        """Return what was tried on each data set, the one tried last first.

        Raises
        ------
        StoreError
            As :meth:`trials`.
        """
        groups: dict[str, list[RecordedTrial]] = {}
        for known in self.trials():
            groups.setdefault(known.trial.data_hash, []).append(known)
        return sorted(
            (_data_set(name, found) for name, found in groups.items()), key=lambda one: (-one.last, one.data_hash)
        )

    @contextmanager
    def _open(self, *, write: bool) -> Iterator[sqlite3.Connection]:
        """Connect for one transaction: nothing stays open, so threads and forks need no care."""
        try:
            if write:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            elif not self.path.exists():
                yield from _nothing()
                return
            with closing(sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)) as connection:
                if self._is_empty(connection):
                    if not write:
                        yield from _nothing()
                        return
                    _create(connection)
                connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                try:
                    yield connection
                except BaseException:
                    connection.rollback()
                    raise
                connection.commit()
        except (OSError, sqlite3.Error) as error:
            raise self._explained(error) from error

    def _is_empty(self, connection: sqlite3.Connection) -> bool:
        """Tell whether the file has no tables yet; refuse one that is damaged, foreign or newer."""
        application, version = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in _HEADER)
        if application == 0 and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return True
        if application != _APPLICATION:
            raise StoreError(
                f"{self.path} is an SQLite database, but no MarketPrism ledger",
                hint=f"it was left alone; {_ELSEWHERE}",
            )
        if version != _VERSION:
            raise StoreError(
                f"{self.path} has ledger version {version}, this program reads {_VERSION}",
                hint=f"update MarketPrism, or {_ELSEWHERE}",
            )
        damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise sqlite3.DatabaseError(damage)
        return False

    def _explained(self, error: OSError | sqlite3.Error) -> StoreError:
        said = str(error)
        if "locked" in said or "busy" in said:
            return StoreError(
                f"{self.path} was locked by another process for {_BUSY_S:g} s",
                hint="try again when it has finished",
                action=Action.RETRY,
            )
        # An unwritable place gives these; all other errors of SQLite say that the content is wrong.
        if isinstance(error, OSError) or any(word in said for word in ("unable to open", "readonly", "full", "I/O")):
            return StoreError(
                f"the ledger {self.path} could not be opened or written: {said}",
                hint=f"check that {self.path.parent} can be written and has free space, or {_ELSEWHERE}",
            )
        return StoreError(
            f"{self.path} is damaged, or no ledger: {said}",
            hint=f"it was left alone; restore it from a copy or move it away, or {_ELSEWHERE}",
        )


_HEADER = ("application_id", "user_version")


def _wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging (for speed: without it the ledger is as safe).

    SQLite does not wait by itself when another process is just doing so.
    """
    for _ in range(100):
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            time.sleep(0.05)
        else:
            return


def _nothing() -> Iterator[sqlite3.Connection]:
    """Give an empty ledger that is nowhere."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        _create(connection)
        yield connection


def _create(connection: sqlite3.Connection) -> None:
    """Make the table, unless another process just did."""
    _wal(connection)
    columns = ", ".join(
        f"{name} {'REAL' if name in _NUMBERS else 'INTEGER NOT NULL' if name == 'n' else 'TEXT NOT NULL'}"
        for name in _COLUMNS
    )
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS trial (id INTEGER PRIMARY KEY, {columns}, first INTEGER NOT NULL, "
        f"last INTEGER NOT NULL, times INTEGER NOT NULL DEFAULT 1, UNIQUE ({', '.join(_KEYS)}))"
    )
    for name, value in zip(_HEADER, (_APPLICATION, _VERSION), strict=True):
        connection.execute(f"PRAGMA {name} = {value}")
    connection.commit()


def _text(value: str) -> str:
    """Blot out passwords, and spell what is no Unicode (bytes in a file name)."""
    return _PASSWORD.sub(r"\1:***@", value).encode("utf-8", "backslashreplace").decode()


def _plain(trial: Trial) -> tuple[str | int | float | None, ...]:
    values: Mapping[str, str | int | float] = dict(zip(_COLUMNS, astuple(trial), strict=True))
    return tuple(
        _text(value) if isinstance(value, str) else int(value) if name == "n" else _finite(value)
        for name, value in values.items()
    )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _trial(row: tuple[Any, ...]) -> RecordedTrial:
    width = len(_COLUMNS)
    values: list[Any] = [math.nan if value is None else value for value in row[:width]]
    return RecordedTrial(Trial(*values), *row[width:])


def _variance(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2:
        return math.nan
    mean = math.fsum(finite) / len(finite)
    return math.fsum((value - mean) ** 2 for value in finite) / (len(finite) - 1)


def _distinct(found: Sequence[RecordedTrial]) -> list[RecordedTrial]:
    """Each trial as it was evaluated first, whatever the kind of evaluation."""
    first: dict[tuple[str, ...], RecordedTrial] = {}
    for known in found:
        first.setdefault(astuple(known.trial)[: len(_SAME)], known)
    return list(first.values())


def _data_set(name: str, found: Sequence[RecordedTrial]) -> DataSet:
    tried = _distinct(found)
    sharpes = [known.trial.annual_sharpe for known in tried]
    finite = [value for value in sharpes if math.isfinite(value)]
    newest = max(found, key=lambda known: known.last)
    return DataSet(
        data_hash=name,
        source=newest.trial.source,
        trials=len(tried),
        evaluations=sum(known.times for known in found),
        measured=len(finite),
        sharpe_variance=_variance(finite),
        best_ic=max((k.trial.ic for k in tried if math.isfinite(k.trial.ic)), default=math.nan),
        best_sharpe=max(finite, default=math.nan),
        first=min(known.first for known in found),
        last=newest.last,
    )
