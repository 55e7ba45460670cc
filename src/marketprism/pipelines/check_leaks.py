"""``check-leaks``: the leak detector on every engine factor of a source, or on a function of your own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from marketprism.core.block import EventBlock, concat
from marketprism.core.errors import ConfigError, DataError, MarketPrismError, SourceError, did_you_mean
from marketprism.core.kinds import Flag
from marketprism.core.timebase import NS
from marketprism.evaluate.leaks import Leak, as_table
from marketprism.evaluate.leaks import check_leaks as find_leaks
from marketprism.evaluate.tapes import RECEIVED, open_tape
from marketprism.factors.config import EngineConfig
from marketprism.factors.engine import FactorEngine
from marketprism.factors.registry import factors
from marketprism.ingest.source import Source
from marketprism.pipelines.leak_target import adapt, load_function, read_tape
from marketprism.pipelines.runtime import Say, silent

if TYPE_CHECKING:
    import polars as pl

__all__ = ["EVENTS", "PLANTED", "SAMPLES", "LeakReport", "check_engine", "check_function"]

EVENTS = 100_000
"""Rows of a tape that are checked by default."""
SAMPLES = 24
"""Sampled times by default."""
PLANTED = "planted_look_ahead"
"""Name of the leak that every check plants to see whether it finds it."""

_BUCKETS = 150
_CONTROL_SAMPLES = 2
_SHORT = 64
_ROUNDING = 1e-9
_TESTS = ("truncation", "shuffled future", "late row")
_KNOWN = RECEIVED


@dataclass(frozen=True)
class LeakReport:
    """What a check found, and what it looked at.

    Attributes
    ----------
    target, tape : str
        What was checked, and on what.
    rows : int
        Rows of the tape.
    checked : tuple of str
        Factors that varied on the tape, so that a look-ahead would have shown.
    idle : dict of str to str
        Factors that were not exercised, and why: never called clean.
    samples : int
        Sampled times asked for.
    tests : tuple of str
        Tests run at each of them.
    leaks : tuple of Leak
        What was found.
    rounding : tuple of Leak
        Changes below a billionth of the factor's own deviation: it is added up differently on more rows, which no
        model can exploit. They count as leaks in an exact check, and then this is empty.
    control : Leak, optional
        The planted one-step look-ahead as found; None where it was not: then nothing here is to be believed.
    notes : tuple of str
        What was capped or chosen.
    """

    target: str
    tape: str
    rows: int
    checked: tuple[str, ...]
    idle: dict[str, str]
    samples: int
    tests: tuple[str, ...]
    leaks: tuple[Leak, ...]
    rounding: tuple[Leak, ...]
    control: Leak | None
    notes: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """No leak was found, and the planted one was."""
        return not self.leaks and self.control is not None

    def summary(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "target": self.target,
            "tape": self.tape,
            "rows": self.rows,
            "clean": self.clean,
            "factors_checked": len(self.checked),
            "factors": list(self.checked),
            "not_exercised": dict(self.idle),
            "samples": self.samples,
            "tests": list(self.tests),
            "leaks": [_plain(leak) for leak in self.leaks],
            "rounding": [_plain(leak) for leak in self.rounding],
            "control": None if self.control is None else _plain(self.control),
            "notes": list(self.notes),
        }


def _plain(leak: Leak) -> dict[str, Any]:
    return {
        "factor": leak.factor,
        "rows_ahead": leak.rows_ahead,
        "reach": leak.reach,
        "tests": list(leak.tests),
        "row": leak.row,
        "failed": leak.failed,
        "sampled": leak.sampled,
        "difference": leak.difference if np.isfinite(leak.difference) else None,
    }


@dataclass(frozen=True)
class _Job:
    """A function on a tape: what is checked."""

    target: str
    said: str
    function: Callable[[Any], Any]
    tape: Any
    notes: tuple[str, ...]
    given: pl.DataFrame | None = None
    """The table that the function got; None for events."""
    event: str | None = None
    received: str | None = None
    exact: bool = True


def check_engine(
    source: Source,
    names: Sequence[str] = (),
    *,
    events: int = EVENTS,
    samples: int = SAMPLES,
    seed: int = 0,
    say: Say = silent,
) -> LeakReport:
    """Check the engine's factors (all, or the named ones) on the first events of a source.

    Buckets are made short, so that about 150 close on the capped tape.

    Raises
    ------
    ConfigError
        An unknown factor.
    DataError
        No factor had a value on the tape: nothing was checked.
    """
    catalogue = {item.name: item.family for item in factors()}
    for name in names:
        if name not in catalogue:
            raise ConfigError(f"factor was {name!r}", hint=did_you_mean(name, catalogue))
    say("tape", None, source.spec)
    block, notes = _event_tape(source, events)
    config, note = _engine_config(block, tuple(dict.fromkeys(catalogue[name] for name in names)))
    chosen = list(names or catalogue)

    def function(part: EventBlock) -> pl.DataFrame:
        return FactorEngine(config, instrument=source.instruments).push(part).select("ts_known", *chosen)

    said = f"the first {len(block):,} event rows of {source.spec}"
    return _check(_Job("engine factors", said, function, block, (*notes, note)), names, samples, seed, say)


def check_function(
    target: str,
    *,
    tape: Path | None = None,
    source: Source | None = None,
    on: str = "buckets",
    kind: str = "auto",
    names: Sequence[str] = (),
    event: str | None = None,
    received: str | None = None,
    exact: bool = False,
    events: int = EVENTS,
    samples: int = SAMPLES,
    seed: int = 0,
    say: Say = silent,
) -> LeakReport:
    """Check a function of your own on a table, or on the buckets or events of a source.

    Parameters
    ----------
    target : str
        ``module:function`` or ``path/to/file.py:function``.
    tape : Path, optional
        Parquet or CSV table in the order of receipt.
    source : Source, optional
        In place of a table: its bucket frame with all factors, or with ``on="events"`` its events as an EventBlock.
    on : {"buckets", "events"}
        What of the source the function gets.
    kind : {"auto", "polars", "pandas", "numpy"}
        What the function takes.
    names : sequence of str
        Only these columns of its result.
    event, received : str, optional
        Time columns of the table.
    exact : bool, default False
        Count rounding as a leak: values must be the same bit by bit, as the engine's always must.
    events, samples, seed
        As for :func:`check_engine`; ``events`` caps the rows of a table, too.

    Raises
    ------
    ConfigError
        Not exactly one of tape and source, or the target cannot be loaded.
    DataError
        The function gave no factor, or none had a value: nothing was checked.
    """
    if (tape is None) == (source is None):
        raise ConfigError("a target needs one tape", hint="give --tape FILE or --source SPEC, and not both")
    function = load_function(target)
    say("tape")
    if source is not None and on == "events":
        block, notes = _event_tape(source, events)
        said = f"the first {len(block):,} event rows of {source.spec}"
        return _check(_Job(target, said, function, block, notes, exact=exact), names, samples, seed, say)
    if source is not None:
        table, notes = _bucket_tape(source, events)
        said = f"{table.height:,} buckets of {source.spec}"
    else:
        table, notes = _capped(read_tape(Path(str(tape))), events)
        notes = (*notes, *_backwards(table))
        said = f"{table.height:,} rows of {tape}"
    kind, native, adapted = adapt(function, kind, table)
    notes = (*notes, f"the function was given {'a dict of NumPy arrays' if kind == 'numpy' else f'a {kind} frame'}")
    return _check(_Job(target, said, adapted, native, notes, table, event, received, exact), names, samples, seed, say)


def _check(job: _Job, names: Sequence[str], samples: int, seed: int, say: Say) -> LeakReport:
    """Find out which factors the tape exercises, check them, and see whether a planted leak is found."""
    full = as_table(_called(job.function, job.tape), "factor")
    columns = _factors_of(full, names, job.given)
    idle = {name: why for name in columns if (why := _idle(full[name]))}
    checked = tuple(name for name in columns if name not in idle)
    if not checked:
        first = next(iter(idle.items()))
        raise DataError(
            f"none of {len(columns)} factors could be checked: {first[0]} {first[1]}",
            hint="use a longer tape, so that factors have values that vary",
        )
    keep = [name for name in full.columns if name in {*columns, *_KNOWN}]
    short: list[int] = []

    def chosen(part: Any) -> pl.DataFrame:
        try:
            table = as_table(job.function(part), "factor")
        except MarketPrismError:
            raise
        except Exception:
            # Many functions need a few rows to work at all: beginnings that short are left out, and that is said.
            if len(part) > _SHORT or full.height != len(job.tape):
                raise
            short.append(len(part))
            table = full.head(len(part))
        return table.select([name for name in keep if name in table.columns])

    say("check", None, f"{len(checked)} factors")
    leaks = find_leaks(chosen, job.tape, samples=samples, event=job.event, received=job.received, seed=seed)
    rounding = [] if job.exact else [leak for leak in leaks if _is_rounding(leak, full, chosen, job)]
    leaks = [leak for leak in leaks if leak not in rounding]
    say("control")
    fullest = min(checked, key=lambda name: _holes(full[name]))
    control = _control(job, chosen, full, fullest, samples, seed)
    tests = _TESTS if _has_times(job) else _TESTS[:2]
    notes = list(job.notes)
    if short:
        notes.append(f"the function fails on beginnings of {max(short)} rows or fewer: those were not tested")
    if len(tests) < len(_TESTS):
        notes.append("no late-row test: the tape lacks event or receive times")
    return LeakReport(
        job.target,
        job.said,
        len(job.tape),
        checked,
        idle,
        samples,
        tests,
        tuple(leaks),
        tuple(rounding),
        control,
        tuple(notes),
    )


def _is_rounding(leak: Leak, full: pl.DataFrame, function: Callable[[Any], pl.DataFrame], job: _Job) -> bool:
    """Tell rounding from looking ahead: tiny changes of values, none of which appears or vanishes."""
    column = full[leak.factor]
    if not column.dtype.is_float() or full.height != len(job.tape) or not np.isfinite(leak.difference):
        return False
    values = column.cast(float).fill_null(float("nan")).to_numpy()
    scale = float(np.nanstd(values[np.isfinite(values)]))
    part = function(open_tape(job.tape, job.event, job.received).cut(leak.row + 1))[leak.factor]
    whole = column.head(leak.row + 1)
    same_holes = bool((part.fill_nan(None).is_null() == whole.fill_nan(None).is_null()).all())
    return same_holes and leak.difference <= _ROUNDING * scale


def _called(function: Callable[[Any], Any], tape: Any) -> Any:
    try:
        return function(tape)
    except MarketPrismError:
        raise
    except Exception as error:
        raise DataError(
            f"the factor function failed on the whole tape: {type(error).__name__}: {error}", hint="correct it first"
        ) from error


def _factors_of(full: pl.DataFrame, names: Sequence[str], given: pl.DataFrame | None) -> list[str]:
    """Columns to check: the named ones, or all that are no times and no unchanged columns of the tape."""
    for name in names:
        if name not in full.columns:
            raise ConfigError(f"the function gave no factor {name!r}", hint=did_you_mean(name, full.columns))
    if names:
        return list(dict.fromkeys(names))

    def passed_on(name: str) -> bool:
        if given is None or name not in given.columns or given.height != full.height:
            return False
        ours, theirs = full[name], given[name]
        if ours.dtype.is_float() and theirs.dtype.is_float():
            ours, theirs = ours.fill_nan(None), theirs.fill_nan(None)
        return ours.dtype == theirs.dtype and not bool(ours.ne_missing(theirs).any())

    found = [name for name in full.columns if name not in _KNOWN and not passed_on(name)]
    if not found:
        raise DataError(
            f"the function gave {full.width} columns, none of them a new factor",
            hint="return the factors that it makes",
        )
    return found


def _holes(column: pl.Series) -> int:
    return (column.fill_nan(None) if column.dtype.is_float() else column).null_count()


def _idle(column: pl.Series) -> str:
    """Say why a column could not show a look-ahead; empty where it could."""
    seen = column.fill_nan(None).drop_nulls() if column.dtype.is_float() else column.drop_nulls()
    if not seen.len():
        return "has no value on this tape"
    return "is constant on this tape" if seen.n_unique() == 1 else ""


def _control(
    job: _Job, function: Callable[[Any], pl.DataFrame], full: pl.DataFrame, base: str, samples: int, seed: int
) -> Leak | None:
    """Plant a one-step look-ahead on the same tape and return how it was found."""
    aligned = full.height == len(job.tape)
    known = [name for name in _KNOWN if name in full.columns]

    def planted(part: Any) -> pl.DataFrame:
        table = function(part)
        plant = table[base].shift(-1).alias(PLANTED)
        return plant.to_frame() if aligned else table.select(*known).with_columns(plant)

    # A few times are enough as a rule, and finding out how far a leak looks is what takes long.
    for count in (_CONTROL_SAMPLES, samples):
        leaks = find_leaks(planted, job.tape, samples=count, event=job.event, received=job.received, seed=seed)
        found = next((leak for leak in leaks if leak.factor == PLANTED), None)
        if found is not None:
            return found
    return None


def _has_times(job: _Job) -> bool:
    if job.given is None:
        return True
    return open_tape(job.tape, job.event, job.received).backfilled(1, 2) is not None


def _event_tape(source: Source, events: int) -> tuple[EventBlock, tuple[str, ...]]:
    """Return the first events of a source, cut behind a whole message."""
    if events < 3:
        raise ConfigError(f"events was {events}", hint="a check needs at least 3 rows")
    parts, rows, capped = [], 0, False
    for block in source:
        parts.append(block)
        rows += len(block)
        if rows > events:
            capped = True
            break
    if not rows:
        raise SourceError(f"{source.spec} holds no event", hint="check the path and the options")
    whole = concat(parts)
    if not capped:
        return whole, ()
    ends = np.flatnonzero(whole.rows["flags"][:events] & Flag.LAST)
    stop = int(ends[-1]) + 1 if ends.size else events
    return whole[:stop], (f"capped at {events:,} event rows (--events)",)


def _engine_config(block: EventBlock, families: tuple[str, ...] = ()) -> tuple[EngineConfig, str]:
    """Choose a bucket duration at which about 150 close on the tape, for each instrument."""
    times = block.rows["ts_event"]
    span = max(1e-3, float(int(times.max()) - int(times.min())) / NS)
    duration = max(1e-3, float(f"{span / _BUCKETS:.2g}"))
    config = EngineConfig.from_mapping({"families": families or None, "buckets": {"t_target_s": duration}})
    return config, f"volume buckets of about {duration:g} s, short enough that about {_BUCKETS} close on this tape"


def _bucket_tape(source: Source, events: int) -> tuple[pl.DataFrame, tuple[str, ...]]:
    block, notes = _event_tape(source, events)
    config, note = _engine_config(block)
    engine = FactorEngine(config, instrument=source.instruments)
    frame = engine.push(block)
    if frame.height < 3:
        raise DataError(f"{source.spec}: {frame.height} buckets closed", hint="read more events with --events")
    return frame, (*notes, note)


def _backwards(table: pl.DataFrame) -> list[str]:
    """Say which time columns run backwards: the order of the rows is taken for the order of receipt."""
    import polars as pl

    said = []
    for name, dtype in table.schema.items():
        if isinstance(dtype, pl.Date | pl.Datetime) and (table[name].diff().dt.total_nanoseconds() < 0).any():
            said.append(f"{name!r} runs backwards: rows are taken in the order of the file, so sort it first")
    return said


def _capped(table: pl.DataFrame, rows: int) -> tuple[pl.DataFrame, tuple[str, ...]]:
    if table.height <= rows:
        return table, ()
    return table.head(rows), (f"capped at the first {rows:,} of {table.height:,} rows (--events)",)
