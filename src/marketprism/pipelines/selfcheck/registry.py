"""The table of oracles and how it is run.

An oracle module defines ``ORACLES``, a tuple of :class:`Oracle`. The published number is the registry's column only:
``ours`` is computed by the code that users run, and never sees it.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from marketprism.core.errors import MarketPrismError

__all__ = ["CheckResult", "Oracle", "oracles", "run_selfcheck"]


@dataclass(frozen=True, slots=True)
class Oracle:
    """One published (or exactly known) number.

    Attributes
    ----------
    piece : str
        What is checked; unique.
    setup : str
        Parameters and conditions.
    published : float
        The number to reproduce.
    ours : callable
        ``ours()`` computes it by the project's own code path.
    tolerance : float
        Largest absolute difference that passes.
    source : str
        Where the number stands.
    """

    piece: str
    setup: str
    published: float
    ours: Callable[[], float]
    tolerance: float
    source: str

    def check(self) -> CheckResult:
        """Compute and compare; an error of ours is a failure that says why, never an exception."""
        try:
            ours, error = float(self.ours()), ""
        except (MarketPrismError, ArithmeticError, ValueError, LookupError) as problem:
            ours, error = math.nan, f"{type(problem).__name__}: {problem}"
        # The last bits of a decimal tolerance are rounding, not disagreement.
        passed = abs(ours - self.published) <= self.tolerance * (1 + 1e-9)
        return CheckResult(self.piece, self.setup, self.published, ours, self.tolerance, self.source, passed, error)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """An oracle's outcome: ``ours`` is NaN and ``error`` says why where it could not be computed."""

    piece: str
    setup: str
    published: float
    ours: float
    tolerance: float
    source: str
    passed: bool
    error: str = ""


@cache
def oracles() -> tuple[Oracle, ...]:
    """Return all oracles, by module name and then in the order of the module."""
    package = importlib.import_module("marketprism.pipelines.selfcheck")
    found: list[Oracle] = []
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        found.extend(getattr(module, "ORACLES", ()))
    return tuple(found)


def run_selfcheck(table: Sequence[Oracle] | None = None) -> list[CheckResult]:
    """Check every oracle of ``table`` (default: all) and return the outcomes in order.

    Examples
    --------
    >>> exact = Oracle("one", "", 1.0, lambda: 1.0, 0.0, "arithmetic")
    >>> [result.passed for result in run_selfcheck([exact])]
    [True]
    """
    return [oracle.check() for oracle in (oracles() if table is None else table)]
