"""Kernels of the online state filters; every row is added in one fixed order, so block ends change nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["average_margins", "gate", "model_scores"]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]

_COUNT, _SEGMENT = 0, 1


@njit(cache=True)
def _losses(row: _Floats, centres: _Floats, precision: _Floats, offset: _Floats, out: _Floats) -> None:
    for k in range(centres.shape[0]):
        total = offset[k]
        for f in range(row.size):
            gap = row[f] - centres[k, f]
            total += 0.5 * gap * gap * precision[k, f]
        out[k] = total


@njit(cache=True)
def _step(value: _Floats, cost: _Floats, loss: _Floats, soft: bool, out: _Floats) -> None:
    """One step of the forward recursion: minimum over paths (jump model) or sum over them (HMM), as a cost."""
    states = value.size
    for k in range(states):
        best = value[0] + cost[0, k]
        for j in range(1, states):
            best = min(best, value[j] + cost[j, k])
        if soft:
            total = 0.0
            for j in range(states):
                total += np.exp(best - value[j] - cost[j, k])
            best -= np.log(total)
        out[k] = best + loss[k]
    lowest = out.min()
    for k in range(states):
        value[k] = out[k] - lowest


@njit(cache=True)
def model_scores(
    X: _Floats,
    segment: _Ints,
    centres: _Floats,
    precision: _Floats,
    offset: _Floats,
    cost: _Floats,
    start: _Floats,
    soft: bool,
    ring: _Floats,
    value: _Floats,
    memory: _Ints,
) -> _Floats:
    """Cost of being in each state at each row, least cost 0; NaN where the window holds no complete row.

    ``ring`` (window, K) holds the losses of the last rows (NaN: incomplete row), ``value`` (K) the running costs
    where the window is unlimited (``ring`` has no rows), ``memory`` the rows seen in the segment and its number.
    """
    n, states, window = X.shape[0], centres.shape[0], ring.shape[0]
    result = np.full((n, states), np.nan)
    loss, scratch, current = np.empty(states), np.empty(states), np.empty(states)
    for i in range(n):
        if segment[i] != memory[_SEGMENT]:
            memory[_SEGMENT], memory[_COUNT] = segment[i], 0
            value[:] = np.nan
        complete = True
        for f in range(X.shape[1]):
            complete = complete and np.isfinite(X[i, f])
        if complete:
            _losses(X[i], centres, precision, offset, loss)
        else:
            loss[:] = np.nan
        if window == 0:
            if complete and np.isnan(value[0]):
                value[:] = start + loss
                value[:] = value - value.min()
            elif complete:
                _step(value, cost, loss, soft, scratch)
            result[i] = value
            continue
        ring[memory[_COUNT] % window] = loss
        memory[_COUNT] += 1
        seen = min(memory[_COUNT], window)
        begun = False
        for back in range(seen - 1, -1, -1):
            place = (memory[_COUNT] - 1 - back) % window
            if np.isnan(ring[place, 0]):
                continue
            if begun:
                _step(current, cost, ring[place], soft, scratch)
            else:
                current[:] = start + ring[place]
                current[:] = current - current.min()
                begun = True
        if begun:
            result[i] = current
    return result


@njit(cache=True)
def average_margins(
    returns: _Floats, segment: _Ints, fast: int, slow: int, memory: _Ints, averages: _Floats
) -> _Floats:
    """Fast minus slow EWMA of the cumulated return, over the EWMA of its absolute value.

    0 (no trend) until ``slow`` returns of the segment are known, NaN before the first; a missing one changes nothing.

    ``averages`` holds the lags of the two averages behind the price, the mean absolute return and its weight.
    """
    a_fast, a_slow, a_scale = 2.0 / (fast + 1.0), 2.0 / (slow + 1.0), 2.0 / (4.0 * slow + 1.0)
    result = np.full(returns.size, np.nan)
    for i in range(returns.size):
        if segment[i] != memory[_SEGMENT]:
            memory[_SEGMENT], memory[_COUNT] = segment[i], 0
            averages[:] = 0.0
        if np.isfinite(returns[i]):
            memory[_COUNT] += 1
            averages[0] = (1.0 - a_fast) * (averages[0] + returns[i])
            averages[1] = (1.0 - a_slow) * (averages[1] + returns[i])
            averages[2] += a_scale * (abs(returns[i]) - averages[2])
            averages[3] += a_scale * (1.0 - averages[3])
        if memory[_COUNT] > 0:
            scale = averages[2] / averages[3]
            warm = memory[_COUNT] >= slow and scale > 0
            result[i] = (averages[1] - averages[0]) / scale if warm else 0.0
    return result


@njit(cache=True)
def gate(
    scores: _Floats, segment: _Ints, threshold: float, scale: float, dwell: int, delay: int, absent: int, memory: _Ints
) -> _Ints:
    """Turn costs (three states, ordered down, neutral, up) or a signed margin (one column) into states.

    ``memory``: state, rows it has held, segment, and the state of the row before (for the one-row delay).
    """
    n, columns = scores.shape
    result = np.full(n, absent, np.int64)
    for i in range(n):
        if segment[i] != memory[2]:
            memory[0], memory[1], memory[2], memory[3] = absent, 0, segment[i], absent
        state = memory[0]
        if not np.isnan(scores[i, 0]):
            wanted = state
            if columns == 1:
                margin = scores[i, 0] / scale
                if margin > 0 and margin >= threshold:
                    wanted = 1
                elif margin < 0 and -margin >= threshold:
                    wanted = -1
                elif state == absent or margin * state <= 0:
                    wanted = 0
            else:
                best = 0
                for k in range(1, columns):
                    if scores[i, k] < scores[i, best]:
                        best = k
                if state == absent or scores[i, state + 1] - scores[i, best] >= threshold * scale:
                    wanted = best - 1
            if wanted != state and (state == absent or memory[1] >= dwell):
                memory[0], memory[1] = wanted, 0
            memory[1] += 1
        else:
            memory[0], memory[1] = absent, 0
        result[i] = memory[3] if delay == 1 else memory[0]
        memory[3] = memory[0]
    return result
