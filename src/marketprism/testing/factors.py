"""The check suite of factors: every property that the engine promises, on simulated or on your own data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from marketprism.book.config import BookConfig
from marketprism.buckets.config import BucketConfig
from marketprism.core.block import EventBlock
from marketprism.core.errors import MarketPrismError
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.random import stream
from marketprism.factors.base import Factor
from marketprism.factors.config import EngineConfig
from marketprism.factors.engine import FactorEngine
from marketprism.factors.registry import factor, factors
from marketprism.testing.tapes import market_tape, mirrored, scaled, without_book

__all__ = ["CHUNK_SIZES", "FACTOR_CHECKS", "CheckError", "FactorProbe", "check_factor", "check_family"]

CHUNK_SIZES = (1, 37, 4096)
"""Block sizes compared with the whole tape in one block."""

_POLICIES = (
    BucketConfig(policy="event", target_updates=15),  # closes when the event time moves on
    BucketConfig(policy="time", t_target_s=3.0),  # closes at a boundary between events
)
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class CheckError(MarketPrismError):
    """A factor breaks a promise; the message names the factor, the check and the first bucket that differs."""


@dataclass
class FactorProbe:
    """A family, the factors of it that are looked at, and a tape.

    Parameters
    ----------
    family : str
        Name of the family.
    only : tuple of Factor
        The factors to check.
    block : EventBlock
        A tape of one instrument.
    config : EngineConfig
        How they are computed; its bucket policy is replaced by two, one that fills and one that ends at set times.
    """

    family: str
    only: tuple[Factor, ...]
    block: EventBlock
    config: EngineConfig
    _whole: dict[int, pl.DataFrame] = field(default_factory=dict)

    def engine(self, policy: int = 0) -> FactorEngine:
        """Return a fresh engine that computes the family with one of the bucket policies."""
        config = EngineConfig(
            book=self.config.book,
            buckets=_POLICIES[policy],
            families=(self.family,),
            params={name: values for name, values in self.config.params.items() if name == self.family},
        )
        return FactorEngine(config, instrument=self.block.instruments)

    def run(self, block: EventBlock, policy: int = 0, size: int = 0, *, flush: bool = True) -> pl.DataFrame:
        """Return the rows of a fresh engine fed ``block`` in chunks of ``size`` (0: all at once)."""
        engine = self.engine(policy)
        parts = [engine.push(part) for part in (block.chunks(size) if size else (block,))]
        return pl.concat([*parts, engine.flush()] if flush else parts)

    def whole(self, policy: int = 0) -> pl.DataFrame:
        """Return the rows of the whole tape in one block."""
        if policy not in self._whole:
            self._whole[policy] = self.run(self.block, policy)
        return self._whole[policy]


def _bits(frame: pl.DataFrame, name: str) -> np.ndarray:
    return frame[name].to_numpy().view(np.int64) if frame[name].dtype == pl.Float64 else frame[name].to_numpy()


def _same(probe: FactorProbe, was: pl.DataFrame, wanted: pl.DataFrame, what: str) -> None:
    """Raise unless the factors of two frames agree bit for bit."""
    if was.height != wanted.height:
        raise CheckError(f"family {probe.family}: {what}: {was.height} rows, not {wanted.height}")
    for item in probe.only:
        differ = _bits(was, item.name) != _bits(wanted, item.name)
        if differ.any():
            at = int(np.argmax(differ))
            raise CheckError(
                f"factor {item.name}: {what}: row {at} was {was[item.name][at]}, not {wanted[item.name][at]}",
                hint="nothing may depend on where a block ends, on later rows, or on state outside the state arrays",
            )


def check_definition(probe: FactorProbe) -> None:
    """Check that every text of the definition is there, and the name is snake_case."""
    for item in probe.only:
        if not _NAME.fullmatch(item.name):
            raise CheckError(f"factor {item.name}: the name is not snake_case")
        for text in ("unit", "formula", "description", "inputs", "window", "null", "known", "source"):
            if not getattr(item, text):
                raise CheckError(f"factor {item.name} has no {text}", hint="say it in its Factor(...)")


def check_alive(probe: FactorProbe) -> None:
    """Check that every factor has values that are not all one; else the other checks would say nothing."""
    for item in probe.only:
        if all(probe.whole(policy)[item.name].drop_nulls().n_unique() < 2 for policy in range(len(_POLICIES))):
            raise CheckError(f"factor {item.name} never changed on the tape", hint="pass a longer tape, or mend it")


def check_finite(probe: FactorProbe) -> None:
    """Check that undefined is null: never NaN, never infinite."""
    for policy in range(len(_POLICIES)):
        for item in probe.only:
            values = probe.whole(policy)[item.name].drop_nulls()
            if not values.is_finite().all():
                raise CheckError(
                    f"factor {item.name} was NaN or infinite", hint="write NaN from the kernel: it is null"
                )


def check_chunk_invariance(probe: FactorProbe) -> None:
    """Check that one row at a time, blocks of 37 and 4096 rows and the whole tape give the same bits."""
    for policy in range(len(_POLICIES)):
        for size in CHUNK_SIZES:
            _same(probe, probe.run(probe.block, policy, size), probe.whole(policy), f"blocks of {size} rows")


def check_save_restore(probe: FactorProbe) -> None:
    """Check that saving and loading anywhere, also inside a message, changes nothing."""
    n = len(probe.block)
    for policy in range(len(_POLICIES)):
        for cut in sorted({1, n // 3, n // 2 + 1, n - 1}):
            engine = probe.engine(policy)
            first = engine.push(probe.block[:cut])
            engine = FactorEngine.load(engine.save())
            parts = [first, engine.push(probe.block[cut:]), engine.flush()]
            _same(probe, pl.concat(parts), probe.whole(policy), f"saved and loaded after row {cut}")


def check_prefix(probe: FactorProbe) -> None:
    """Check that what a tape cut at any row gives is the beginning of what the whole tape gives."""
    n = len(probe.block)
    for policy in range(len(_POLICIES)):
        for cut in range(n // 7, n, max(1, n // 7)):
            rows = probe.run(probe.block[:cut], policy, flush=False)
            _same(probe, rows, probe.whole(policy)[: rows.height], f"tape cut after row {cut}")


def check_no_look_ahead(probe: FactorProbe) -> None:
    """Check that a different future changes no value that was known before it."""
    n = len(probe.block)
    rng = stream(0, "check-no-look-ahead")
    for policy in range(len(_POLICIES)):
        for cut in (n // 4, n // 2, 3 * n // 4):
            known = probe.run(probe.block[:cut], policy, flush=False)
            rows = probe.block.rows.copy()
            order = rng.permutation(n - cut) + cut
            for name in ("price", "quantity", "side", "kind"):
                rows[name][cut:] = probe.block.rows[name][order]
            other = EventBlock(rows, probe.block.instruments, probe.block.payloads)
            shuffled = probe.run(other, policy)
            _same(probe, shuffled[: known.height], known, f"rows after {cut} shuffled")


def check_no_memory_across_gaps(probe: FactorProbe) -> None:
    """Check that what happened before a gap changes nothing after it."""
    kinds, flags = probe.block.rows["kind"], probe.block.rows["flags"]
    starts = np.flatnonzero((kinds == EventKind.BOOK_SNAPSHOT) & ((flags & Flag.FIRST) != 0))
    gaps = np.flatnonzero(kinds == EventKind.GAP)
    gaps = gaps[gaps < (starts[-1] if len(starts) else 0)]
    for gap in gaps[:3].tolist():
        whole = probe.run(probe.block)
        fresh = probe.run(probe.block[gap:])
        _same(probe, whole[whole.height - fresh.height :], fresh, f"state from before the gap at row {gap}")


def check_nulls(probe: FactorProbe) -> None:
    """Check for null without a book, where it is invalid at the close, and while a window of buckets is not filled."""
    without = without_book(probe.block)
    for item in probe.only:
        booked = bool({"quotes", "depth"} & set(item.inputs))
        if booked and len(without):
            rows = probe.run(without, 1)
            if rows[item.name].null_count() != rows.height:
                raise CheckError(f"factor {item.name} had a value without any book", hint="it must be null")
        for policy in range(len(_POLICIES)):
            rows = probe.whole(policy)
            if booked and item.needs_valid_close:
                _must_be_null(item, rows.filter(pl.col("mid_last").is_null()), "where the book is invalid at the close")
            window = re.search(r"_(\d+)_buckets$", item.name)
            if window:
                early = rows.filter(pl.int_range(pl.len()).over("segment") < int(window[1]) - 1)
                _must_be_null(item, early, "before its window was filled")


def _must_be_null(item: Factor, rows: pl.DataFrame, where: str) -> None:
    values = rows[item.name].drop_nulls()
    if len(values):
        raise CheckError(f"factor {item.name} was {values[0]} {where}", hint="it must be null")


def check_mirror(probe: FactorProbe) -> None:
    """Check that swapping the sides of the market does what the definition says."""
    if all(item.mirror is None for item in probe.only):
        return
    whole, other = probe.whole(), probe.run(mirrored(probe.block))
    for item in probe.only:
        if item.mirror is None:
            continue
        wanted = other[item.name if item.mirror in {"odd", "even"} else item.mirror].to_numpy()
        values = whole[item.name].to_numpy()
        wanted = -wanted if item.mirror == "odd" else wanted
        if not np.allclose(values, wanted, rtol=1e-9, atol=1e-9, equal_nan=True):
            at = int(np.argmax(~np.isclose(values, wanted, rtol=1e-9, atol=1e-9, equal_nan=True)))
            raise CheckError(f"factor {item.name} is not {item.mirror}: row {at} was {values[at]}, not {wanted[at]}")


def check_scale(probe: FactorProbe) -> None:
    """Check that quantities times four multiply the value as the definition says, exactly."""
    if all(item.quantity_power is None for item in probe.only):
        return
    whole, other = probe.whole(), probe.run(scaled(probe.block, 4.0))
    for item in probe.only:
        if item.quantity_power is None:
            continue
        wanted = whole[item.name].to_numpy() * 4.0**item.quantity_power
        values = other[item.name].to_numpy()
        if not np.array_equal(values, wanted, equal_nan=True):
            at = int(np.argmax(~((values == wanted) | (np.isnan(values) & np.isnan(wanted)))))
            raise CheckError(
                f"factor {item.name} does not scale with power {item.quantity_power}: row {at} was {values[at]}, "
                f"not {wanted[at]}"
            )


FACTOR_CHECKS: dict[str, Callable[[FactorProbe], None]] = {
    "definition": check_definition,
    "alive": check_alive,
    "finite": check_finite,
    "chunk_invariance": check_chunk_invariance,
    "save_restore": check_save_restore,
    "prefix": check_prefix,
    "no_look_ahead": check_no_look_ahead,
    "no_memory_across_gaps": check_no_memory_across_gaps,
    "nulls": check_nulls,
    "mirror": check_mirror,
    "scale": check_scale,
}
"""All checks by name; each raises a CheckError where a factor breaks a promise."""


def _checks(probe: FactorProbe, checks: Iterable[str] | None) -> tuple[str, ...]:
    names = tuple(FACTOR_CHECKS if checks is None else checks)
    for name in names:
        FACTOR_CHECKS[name](probe)
    return names


def _setting(block: EventBlock | None, params: dict[str, dict[str, Any]] | None) -> tuple[EventBlock, EngineConfig]:
    config = EngineConfig(book=BookConfig(depth_levels=20), params=params or {})
    return block if block is not None else market_tape(2500), config


def check_family(
    family: str,
    block: EventBlock | None = None,
    *,
    params: dict[str, dict[str, Any]] | None = None,
    checks: Iterable[str] | None = None,
) -> tuple[str, ...]:
    """Run the check suite on all factors of a family; see :func:`check_factor`."""
    tape, config = _setting(block, params)
    of_family = {name: values for name, values in config.params.items() if name == family}
    return _checks(FactorProbe(family, factors((family,), of_family, 20), tape, config), checks)


def check_factor(
    name: str,
    block: EventBlock | None = None,
    *,
    params: dict[str, dict[str, Any]] | None = None,
    checks: Iterable[str] | None = None,
) -> tuple[str, ...]:
    """Run the check suite on one factor.

    Parameters
    ----------
    name : str
        A registered factor.
    block : EventBlock, optional
        Your own tape of one instrument; without one a simulated tape is used that has gaps, odd books, bursts and
        silence.
    params : mapping, optional
        Parameters by family, where they are not the defaults.
    checks : iterable of str, optional
        Names out of ``FACTOR_CHECKS``; all by default.

    Returns
    -------
    tuple of str
        The checks that passed, which are all that were asked for.

    Raises
    ------
    CheckError
        The factor breaks a promise.
    ConfigError
        The name is unknown.

    Examples
    --------
    >>> check_factor("queue_imbalance", checks=["definition", "finite"])
    ('definition', 'finite')
    """
    tape, config = _setting(block, params)
    item = factor(name, config.params)
    return _checks(FactorProbe(item.family, (item,), tape, config), checks)
