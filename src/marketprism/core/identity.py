"""Ingest ids: a stable hash of the venue's identity of a row, so that a row sent again is the same row."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache

import numpy as np

from marketprism.core.instrument import Instrument

__all__ = ["ingest_ids", "messages_and_ordinals"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_MASK = np.uint64(2**63 - 1)
_SCALE = 18


def _mix(state: np.ndarray, value: np.ndarray) -> np.ndarray:
    # The SplitMix64 finaliser: Steele, Lea, Flood (2014), "Fast splittable pseudorandom number generators".
    z = (state ^ value) + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    result: np.ndarray = z ^ (z >> np.uint64(31))
    return result


@cache
def _seed(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def ingest_ids(rows: np.ndarray, position: np.ndarray, instruments: Sequence[Instrument]) -> np.ndarray:
    """Return the 63-bit identity of every row: the same in every process, on every connection.

    Hashed: exchange, market type, symbol, kind, the three ids, side, price (not ticks: an inferred tick size
    must not matter), quantity, ``ts_event`` and the position in the message. Not hashed: ``ts_recv``, flags,
    source, payload.

    Parameters
    ----------
    rows : ndarray of ROW_DTYPE, shape (n,)
        Rows of the stream.
    position : int64 ndarray, shape (n,)
        Position of each row in its message, from :func:`messages_and_ordinals`.
    instruments : sequence of Instrument
        What ``rows["instrument"]`` indexes.

    Returns
    -------
    int64 ndarray, shape (n,)
        Non-negative identities.
    """
    index = rows["instrument"]
    seeds = np.array([_seed(instrument.key) for instrument in instruments], np.uint64)
    steps = [int(instrument.tick_size.scaleb(_SCALE)) % 2**64 for instrument in instruments]
    state = seeds[index]
    state = _mix(state, rows["price"].astype(np.uint64) * np.array(steps, np.uint64)[index])
    state = _mix(state, (rows["quantity"] + 0.0).view(np.uint64))
    for name in ("ts_event", "event_id", "first_id", "previous_id"):
        state = _mix(state, rows[name].astype(np.uint64))
    small = (rows["kind"].astype(np.uint64) << np.uint64(8)) | (rows["side"].astype(np.int64) + 1).astype(np.uint64)
    state = _mix(state, small ^ (position.astype(np.uint64) << np.uint64(16)))
    return (state & _MASK).astype(np.int64)


def messages_and_ordinals(
    rows: np.ndarray, first: np.ndarray, last_recv: int, last_ordinal: int, last_position: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's position in its message and its ordinal among the stream's rows of equal ``ts_recv``.

    Parameters
    ----------
    rows : ndarray of ROW_DTYPE, shape (n,)
        The next rows of the stream.
    first : bool ndarray, shape (n,)
        Which rows begin a message.
    last_recv, last_ordinal, last_position : int
        Of the row before the first one; position -1 where there is none.

    Returns
    -------
    tuple of int64 ndarray
        Positions and ordinals, both from 0.
    """
    index = np.arange(len(rows), dtype=np.int64)
    start = np.maximum.accumulate(np.where(first, index, -1 - last_position))
    recv = rows["ts_recv"]
    fresh = np.empty(len(rows), bool)
    fresh[0] = recv[0] != last_recv
    np.not_equal(recv[1:], recv[:-1], out=fresh[1:])
    begin = np.maximum.accumulate(np.where(fresh, index, -1 - last_ordinal))
    return index - start, index - begin
