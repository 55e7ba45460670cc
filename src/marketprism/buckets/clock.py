"""The bucket clock of one instrument: rows and views in, cuts and closed buckets out."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import msgspec
import numpy as np

from marketprism.book.views import BookViews
from marketprism.buckets.config import BucketConfig
from marketprism.buckets.kernel import advance, finish, new_clock
from marketprism.buckets.policies import policy
from marketprism.buckets.rates import RENEWAL_SLOTS, estimate, ring_slots
from marketprism.buckets.record import BUCKET_DTYPE, Trigger
from marketprism.buckets.rule import Rates
from marketprism.core.errors import DataError
from marketprism.core.instrument import Instrument
from marketprism.core.state import pack_state, unpack_state

__all__ = ["BucketClock", "BucketCuts"]

_TAG, _VERSION = "bucket-clock", 2
_SCRATCH = 256
_NO_BUCKETS = np.zeros(0, BUCKET_DTYPE)
_NO_BUCKETS.flags.writeable = False


class BucketCuts(NamedTuple):
    """What the clock says about one block.

    Attributes
    ----------
    cuts : uint8 ndarray, shape (n,)
        Bits of :class:`~marketprism.buckets.record.Cut` by row.
    buckets : ndarray of BUCKET_DTYPE
        The buckets closed in this block, in order: as many as bits are set.
    """

    cuts: np.ndarray
    buckets: np.ndarray


class BucketClock:
    """Cut one instrument's stream into buckets on event time; chunk invariant.

    The clock is the running maximum of ``ts_event``, never the wall clock. What closes a bucket, and in which
    order, is said in :mod:`marketprism.buckets.kernel`. Auction trades do not count; derived and hidden ones do.

    Parameters
    ----------
    instrument : Instrument
        Gives the tick size.
    config : BucketConfig, optional
        Policy and targets.

    Examples
    --------
    >>> from decimal import Decimal
    >>> from marketprism.core.rows import empty_rows
    >>> btc = Instrument(exchange="sim", market_type="spot", symbol="BTC-USDT", tick_size=Decimal("0.01"))
    >>> BucketClock(btc, BucketConfig(policy="time")).flush().size
    0
    """

    def __init__(self, instrument: Instrument, config: BucketConfig | None = None) -> None:
        self.instrument = instrument
        self.config = config if config is not None else BucketConfig()
        self._policy = policy(self.config.policy)
        slot_ns = self.config.slot_ns if self._policy.calibrates(self.config) else 0
        self._state, self._open = new_clock(instrument.tick, slot_ns, RENEWAL_SLOTS)
        self._rates: Rates | None = None
        self._rule = self._policy.rule(self.config, None).record()
        self._ring = np.zeros((ring_slots(self.config) if slot_ns else 1, 3))
        edges = np.array(self.config.reference_edges_ns, np.int64)
        self._arrays = (self._state, self._open, self._rule, edges, self._ring)
        self._scratch = np.zeros(_SCRATCH, BUCKET_DTYPE)

    @property
    def rates(self) -> Rates | None:
        """Online rates per second in force, None while warming up or where nothing is calibrated."""
        return self._rates

    @property
    def target_volume(self) -> float:
        """Volume that a bucket opening now must reach, base units; 0 where none is required."""
        return float(self._rule["volume"][0])

    def push(self, rows: np.ndarray, views: BookViews) -> BucketCuts:
        """Take the next rows of the instrument and the book after each of them.

        Raises
        ------
        DataError
            Rows and views are not of one length.
        """
        if len(rows) != len(views.top):
            raise DataError(f"{len(rows)} rows came with {len(views.top)} views", hint="push what Book.push returned")
        n_rows = len(rows)
        cuts = np.zeros(n_rows, np.uint8)
        buckets = _NO_BUCKETS
        at = 0
        while at < n_rows:
            at, n, renew = advance(rows, views.top, at, *self._arrays, cuts, self._scratch)
            if n:
                closed = self._scratch[:n].copy()
                buckets = np.concatenate([buckets, closed]) if len(buckets) else closed
            if renew:
                self._renew()
        return BucketCuts(cuts, buckets)

    def _renew(self) -> None:
        self._rates = estimate(self._ring, int(self._state["slots"][0]), self.config)
        self._state["slots_to_renewal"] = RENEWAL_SLOTS
        self._rule[:] = self._policy.rule(self.config, self._rates).record()

    def flush(self) -> np.ndarray:
        """Close the open bucket, if any, with trigger END and return it: 0 or 1 records."""
        n = finish(self._state, self._open, self._scratch, int(Trigger.END))
        return self._scratch[:n].copy()

    def save(self) -> bytes:
        """Return the whole state; :meth:`load` continues bit-identically."""
        return pack_state(
            _TAG,
            _VERSION,
            {
                "instrument": msgspec.to_builtins(self.instrument),
                "config": self.config.to_mapping(),
                "state": self._state,
                "open": self._open,
                "ring": self._ring,
                "rule": self._rule,
                "rates": None if self._rates is None else list(self._rates),
            },
        )

    @classmethod
    def load(cls, blob: bytes) -> Self:
        """Return the clock that :meth:`save` described.

        Raises
        ------
        StateError
            The bytes are torn, or are not a clock's.
        """
        saved: dict[str, Any] = unpack_state(blob, _TAG, _VERSION)
        clock = cls(msgspec.convert(saved["instrument"], Instrument), BucketConfig.from_mapping(saved["config"]))
        # Into the fresh arrays: a restored dtype would be another type to the compiled kernel.
        clock._state[:], clock._open[:] = saved["state"], saved["open"]
        clock._ring[:], clock._rule[:] = saved["ring"], saved["rule"]
        clock._rates = None if saved["rates"] is None else Rates(*saved["rates"])
        return clock
