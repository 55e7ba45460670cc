"""What a factor and a factor family are.

A family is a small kernel with its own flat state that computes a few related factors. Its module defines
``FAMILY``; putting the module into ``marketprism.factors`` (or behind an entry point of the group
``marketprism.factors``) is all there is to do: the registry finds it, the engine runs it, the catalogue lists
it and the check suite checks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError

__all__ = ["Factor", "Family", "NoParams", "Setup", "in_buckets", "in_seconds", "increasing"]

BUCKET_CLOSE_NULL = "null where the book is invalid or one-sided at the close of the bucket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """The one definition of a factor.

    Parameters
    ----------
    name : str
        Unique, snake_case, with the window where there is more than one.
    unit : str
        Unit of the value: ``ticks``, ``bps``, ``base`` (quantity), ``quote`` (price), ``s``, ``1`` for a ratio.
    formula : str
        The formula in the letters of the catalogue.
    description : str
        One sentence that says what it measures.
    inputs : tuple of str
        Which events it reads: ``quotes``, ``depth``, ``trades``.
    window : str
        What it looks back on.
    null : str
        When the value is null. A null is never written as 0.
    known : str
        When the value can be known.
    source : str
        Where the definition comes from.
    mirror : str, optional
        What swapping bids and asks (and buyers and sellers) does: ``odd`` flips the sign, ``even`` changes
        nothing, another factor's name says that the two trade places. Checked where given.
    quantity_power : int, optional
        All quantities doubled multiply the value by 2 to this power. Checked where given.
    needs_valid_close : bool
        A factor that reads quotes or depth is null where the book is invalid at the close; False where it is of the
        whole bucket instead. Checked.
    family : str
        Filled in by the registry.
    """

    name: str
    unit: str
    formula: str
    description: str
    inputs: tuple[str, ...]
    window: str = "the bucket"
    null: str = BUCKET_CLOSE_NULL
    known: str = "when the bucket is (ts_known)"
    source: str = "FACTORS.md"
    mirror: str | None = None
    quantity_power: int | None = None
    needs_valid_close: bool = True
    family: str = ""


class NoParams(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a family that has none."""


class Setup(NamedTuple):
    """What a family is built for.

    Attributes
    ----------
    params : Config
        The family's own parameters.
    depth_levels : int
        Levels a side that the depth records hold.
    tick : float
        Tick size in quote currency; for state only, definitions must not depend on it.
    """

    params: Any
    depth_levels: int = 10
    tick: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A few related factors computed by one kernel.

    Parameters
    ----------
    name : str
        Unique name, by which configurations select the family and set its parameters.
    factors : callable
        ``factors(setup) -> tuple of Factor``, in the order of the kernel's output columns.
    state : callable
        ``state(setup) -> dict of ndarray``: the fresh state. Everything the kernel remembers is in these
        arrays, in this order; they are what is saved and restored.
    kernel : callable
        ``kernel(rows, top, depth_price, depth_quantity, marks, clock, buckets, *state, out)``, usually compiled
        by Numba. It goes through the rows in order and does, where the row's mark says so and in this order:
        BEFORE (write the next row of ``out``), RESET (empty all windows), the row itself, AFTER (write the next
        row of ``out``). ``buckets[k]`` is the record of the bucket that output row ``k`` belongs to.
        Nothing may depend on where a block ends.
    wants : int
        Marks besides BEFORE, AFTER and RESET that the kernel acts upon; blocks without any are not shown to it.
    params : type of Config
        The parameters; a subclass of Config with defaults.
    """

    name: str
    factors: Callable[[Setup], tuple[Factor, ...]]
    state: Callable[[Setup], dict[str, np.ndarray]]
    kernel: Callable[..., Any]
    wants: int
    params: type[Config] = NoParams


def in_buckets(name: str, buckets: int) -> str:
    """Return the name of a factor over a window of buckets; one bucket is the plain name.

    Examples
    --------
    >>> in_buckets("ofi", 1), in_buckets("ofi", 5)
    ('ofi', 'ofi_5_buckets')
    """
    return name if buckets == 1 else f"{name}_{buckets}_buckets"


def in_seconds(seconds: float) -> str:
    """Return the short text of a duration, as names carry it.

    Examples
    --------
    >>> in_seconds(30), in_seconds(300), in_seconds(0.5)
    ('30s', '5m', '500ms')
    """
    if seconds >= 60 and seconds % 60 == 0:
        return f"{round(seconds / 60)}m"
    return f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1000:g}ms"


def increasing(name: str, values: Iterable[float]) -> None:
    """Raise a ConfigError unless ``values`` are positive and strictly increasing."""
    items = list(values)
    if any(not x > 0 for x in items) or any(a >= b for a, b in pairwise(items)):
        raise ConfigError(f"{name} was {items}", hint="give positive, strictly increasing values")
